/*
 * Preloaded into nginx: the n-th allocation of its workers fails, once, or
 * from the n-th on all of them.  STARVE_FILE is what the test arms it by:
 * three native int64_t, the allocations to go (0: disarmed), how many fail
 * then, and how many have failed.  STARVE_FILE.<pid> tells whose they were,
 * and how a worker crashed.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>


typedef struct {
    _Atomic int64_t  to_go;
    _Atomic int64_t  to_fail;
    _Atomic int64_t  nfailed;
} starve_t;


/* glibc's own, behind the names that are taken here */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);


static starve_t  *starve;
static char       name[2048];
static int        nwaits;    /* for events: workers do, the master does not */


static void
starve_trace(const char *title)
{
    int    fd;
    char   file[4096];
    void  *frames[16];

    snprintf(file, sizeof(file), "%s.%d", name, (int) getpid());

    fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd == -1) {
        return;
    }

    if (write(fd, title, strlen(title)) != -1) {
        backtrace_symbols_fd(frames, backtrace(frames, 16), fd);
    }

    close(fd);
}


static void
starve_on_crash(int number)
{
    signal(number, SIG_DFL);

    /* nginx gives up a worker that has no memory to start with */
    atomic_store(&starve->to_go, 0);

    starve_trace("crashed:\n");

    raise(number);
}


__attribute__((constructor))
static void
starve_init(void)
{
    int    fd;
    char  *value;
    void  *map, *frame;

    value = getenv("STARVE_FILE");

    if (value == NULL || strcmp(program_invocation_short_name, "nginx") != 0) {
        return;
    }

    /* nginx writes its titles over the environment */
    snprintf(name, sizeof(name), "%s", value);

    fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    map = mmap(NULL, sizeof(starve_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               0);
    close(fd);

    /* the first call allocates */
    backtrace(&frame, 1);

    signal(SIGSEGV, starve_on_crash);
    signal(SIGABRT, starve_on_crash);

    if (map != MAP_FAILED) {
        starve = map;
    }
}


static int
starve_now(void)
{
    int64_t  left;

    if (starve == NULL || nwaits < 2 || atomic_load(&starve->to_go) == 0) {
        return 0;
    }

    left = atomic_load(&starve->to_go);

    while (left > 1) {
        if (atomic_compare_exchange_weak(&starve->to_go, &left, left - 1)) {
            return 0;
        }
    }

    if (left == 0) {
        return 0;
    }

    if (atomic_fetch_sub(&starve->to_fail, 1) <= 1) {
        atomic_store(&starve->to_go, 0);
    }

    if (atomic_fetch_add(&starve->nfailed, 1) == 0) {
        starve_trace("failed:\n");
    }

    errno = ENOMEM;

    return 1;
}


int
epoll_wait(int ep, struct epoll_event *events, int nevents, int timeout_ms)
{
    /* the first one is a test of nginx's, ngx_epoll_test_rdhup() */
    nwaits += nwaits < 2;

    return syscall(SYS_epoll_pwait, ep, events, nevents, timeout_ms, NULL, 0);
}


void *
malloc(size_t size)
{
    return starve_now() ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return starve_now() ? NULL : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return starve_now() ? NULL : __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    int  saved;

    if (starve_now()) {
        return ENOMEM;
    }

    saved = errno;
    *p = __libc_memalign(alignment, size);
    errno = saved;

    return *p == NULL ? ENOMEM : 0;
}
