/*
 * Preloaded into nginx: while the file FULL_FILE is there, the disk is full.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>


ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset);


static char  file[4096];


/* nginx clears the environment */

__attribute__((constructor))
static void
init(void)
{
    const char  *name;

    name = getenv("FULL_FILE");

    if (name) {
        strncpy(file, name, sizeof(file) - 1);
    }
}


ssize_t
pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (file[0] && access(file, F_OK) == 0) {
        errno = ENOSPC;
        return -1;
    }

    return syscall(SYS_pwrite64, fd, data, size, offset);
}


ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}
