
/*
 * LD_PRELOAD for nginx: how long a process stays away from epoll_wait(), that
 * is the longest it keeps its other clients waiting.  Shared with who reads
 * it through the file named by BENCH_STALL, see stall_t.  nginx empties its
 * environment later than the constructor runs.
 */


#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


/* of all processes together; a file of zeros is a new beginning */
typedef struct {
    uint64_t  nturns;
    uint64_t  max_wall_ns;      /* with what the neighbours took */
    uint64_t  max_cpu_ns;       /* of the process itself */
    uint64_t  over_1ms;         /* turns by cpu time */
    uint64_t  sum_cpu_ns;
} stall_t;


typedef int (*epoll_wait_t)(int ep, struct epoll_event *events, int n,
    int timeout_ms);


static stall_t       *stall;
static epoll_wait_t   next;
static uint64_t       wall_ns, cpu_ns;


static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


__attribute__((constructor)) static void
stall_init(void)
{
    int          fd;
    void        *p;
    const char  *path;

    next = (epoll_wait_t) dlsym(RTLD_NEXT, "epoll_wait");
    path = getenv("BENCH_STALL");

    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDWR|O_CLOEXEC);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(stall_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p != MAP_FAILED) {
        stall = p;
    }

    close(fd);
}


static void
stall_turn(void)
{
    uint64_t  wall, cpu;

    wall = clock_ns(CLOCK_MONOTONIC) - wall_ns;
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;

    stall->nturns++;
    stall->sum_cpu_ns += cpu;
    stall->over_1ms += (cpu > 1000000);

    if (wall > stall->max_wall_ns) {
        stall->max_wall_ns = wall;
    }

    if (cpu > stall->max_cpu_ns) {
        stall->max_cpu_ns = cpu;
    }
}


int
epoll_wait(int ep, struct epoll_event *events, int n, int timeout_ms)
{
    int  rc;

    if (stall && wall_ns) {
        stall_turn();
    }

    rc = next(ep, events, n, timeout_ms);

    if (stall) {
        cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        wall_ns = clock_ns(CLOCK_MONOTONIC);
    }

    return rc;
}
