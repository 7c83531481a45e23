
/*
 * Asks a server as fast as it answers, over a number of connections, and says
 * what it got, how long it took, and what that cost other processes.  See
 * usage below; the result is one line of name=value.
 */


#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "client.h"


#define MAX_PIDS     16
#define MAX_REQUEST  4096

/* a histogram of 64 steps to each power of two: errors below 1.6 % */
#define STEP_BITS    6
#define NSTEPS       (1 << STEP_BITS)
#define NBUCKETS     ((64 - STEP_BITS) * NSTEPS)


typedef struct {
    struct sockaddr_in  address;
    const char         *path;
    const char         *method;
    char                headers[MAX_REQUEST / 2];

    unsigned            nclients;
    double              seconds;
    double              warmup;
    uint64_t            nrequests;      /* 0: by time */

    int                 status;
    int64_t             length;         /* -1: any */

    uint64_t            first;          /* ids in the place of %g */
    uint64_t            nids;
    unsigned            random:1;
    unsigned            busy:1;

    pid_t               pids[MAX_PIDS];
    unsigned            npids;
} load_conf_t;


typedef struct {
    uint64_t            nresponses;
    uint64_t            nbytes;
    uint64_t            nerrors;
    uint64_t            max_ns;
    uint64_t            buckets[NBUCKETS];
} load_stats_t;


static load_conf_t   conf;
static load_stats_t  stats;
static uint64_t      next_id, seed = 88172645463325252ULL;


static void
usage(void)
{
    fprintf(stderr,
        "usage: load [option...] address:port path\n"
        "  -c N      connections (16)\n"
        "  -t S      seconds (1), or\n"
        "  -n N      requests\n"
        "  -w S      seconds before that (0)\n"
        "  -H text   header line, may be repeated\n"
        "  -m name   method (GET)\n"
        "  -s N      status expected (200)\n"
        "  -l N      Content-Length expected (any)\n"
        "  -g A:N    %%g in the path is an id, of A to A + N - 1 in turn\n"
        "  -r        or at random\n"
        "  -b        never sleep, so that the server need not wake it\n"
        "  -p pid    count its CPU time, may be repeated\n"
        "  -a N      run on this CPU\n");
    exit(2);
}


static void
die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}


static unsigned
bucket_of(uint64_t ns)
{
    unsigned  shift;

    if (ns < NSTEPS) {
        return ns;
    }

    shift = 63 - STEP_BITS - __builtin_clzll(ns);

    return (shift + 1) * NSTEPS + ((ns >> shift) & (NSTEPS - 1));
}


static uint64_t
bucket_ns(unsigned n)
{
    unsigned  shift;

    if (n < NSTEPS) {
        return n;
    }

    shift = n / NSTEPS - 1;

    return ((uint64_t) (NSTEPS + n % NSTEPS) << shift)
           + ((uint64_t) 1 << shift) / 2;
}


static double
percentile_us(double part)
{
    unsigned  n;
    uint64_t  seen, wanted;

    seen = 0;
    wanted = part * stats.nresponses;

    for (n = 0; n < NBUCKETS; n++) {
        seen += stats.buckets[n];

        if (seen > wanted) {
            return bucket_ns(n) / 1e3;
        }
    }

    return stats.max_ns / 1e3;
}


/* user and system time of all threads */

static uint64_t
cpu_ns(void)
{
    unsigned         i;
    uint64_t         sum;
    clockid_t        clock;
    struct timespec  ts;

    sum = 0;

    for (i = 0; i < conf.npids; i++) {

        if (clock_getcpuclockid(conf.pids[i], &clock) != 0
            || clock_gettime(clock, &ts) == -1)
        {
            die("clock of a process");
        }

        sum += (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
    }

    return sum;
}


static uint64_t
id_next(void)
{
    if (!conf.random) {
        return conf.first + next_id++ % conf.nids;
    }

    /* xorshift64 */

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return conf.first + seed % conf.nids;
}


static void
request_send(client_t *client)
{
    int          n;
    char         path[1024], request[MAX_REQUEST];
    const char  *p;

    p = strstr(conf.path, "%g");

    if (p) {
        n = snprintf(path, sizeof(path),
                     "%.*s00000000-0000-4000-8000-%012" PRIx64 "%s",
                     (int) (p - conf.path), conf.path, id_next(), p + 2);

        if (n >= (int) sizeof(path)) {
            die("path");
        }

        p = path;

    } else {
        p = conf.path;
    }

    n = snprintf(request, sizeof(request),
                 "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                 conf.method, p, conf.headers);

    if (n >= (int) sizeof(request) || client_send(client, request, n) == -1) {
        die("send");
    }
}


static void
response_count(client_t *client, int counts)
{
    uint64_t  ns;

    if (client->status != conf.status
        || (conf.length != -1 && client->length != conf.length))
    {
        if (stats.nerrors++ == 0) {
            fprintf(stderr, "load: %s: status %d, length %" PRId64 "\n",
                    conf.path, client->status, client->length);
        }
    }

    if (!counts) {
        return;
    }

    ns = client_now_ns() - client->started_ns;

    stats.nresponses++;
    stats.nbytes += client->head_size
                    + (client->length > 0 && client->status != 304
                       ? client->length : 0);
    stats.buckets[bucket_of(ns)]++;

    if (ns > stats.max_ns) {
        stats.max_ns = ns;
    }
}


static void
options(int argc, char **argv)
{
    int        c;
    char      *end;
    size_t     used;
    cpu_set_t  cpus;

    conf.method = "GET";
    conf.nclients = 16;
    conf.seconds = 1;
    conf.status = 200;
    conf.length = -1;
    conf.nids = 1;

    while ((c = getopt(argc, argv, "bc:t:n:w:H:m:s:l:g:rp:a:")) != -1) {

        switch (c) {
        case 'c': conf.nclients = atoi(optarg); break;
        case 't': conf.seconds = atof(optarg); break;
        case 'n': conf.nrequests = strtoull(optarg, NULL, 10); break;
        case 'w': conf.warmup = atof(optarg); break;
        case 'm': conf.method = optarg; break;
        case 's': conf.status = atoi(optarg); break;
        case 'l': conf.length = atoll(optarg); break;
        case 'r': conf.random = 1; break;
        case 'b': conf.busy = 1; break;

        case 'H':
            used = strlen(conf.headers);
            snprintf(conf.headers + used, sizeof(conf.headers) - used,
                     "%s\r\n", optarg);
            break;

        case 'g':
            conf.first = strtoull(optarg, &end, 10);
            conf.nids = (*end == ':') ? strtoull(end + 1, NULL, 10) : 0;
            break;

        case 'p':
            if (conf.npids == MAX_PIDS) {
                usage();
            }
            conf.pids[conf.npids++] = atoi(optarg);
            break;

        case 'a':
            CPU_ZERO(&cpus);
            CPU_SET(atoi(optarg), &cpus);
            if (sched_setaffinity(0, sizeof(cpus), &cpus) == -1) {
                die("affinity");
            }
            break;

        default:
            usage();
        }
    }

    if (argc - optind != 2 || conf.nclients == 0 || conf.nids == 0
        || client_address(argv[optind], &conf.address) == -1)
    {
        usage();
    }

    conf.path = argv[optind + 1];
}


int
main(int argc, char **argv)
{
    int                  n, ep, no_body, counts;
    double               seconds;
    unsigned             i;
    uint64_t             now, begin, end, last, cpu, asked;
    client_t            *clients, *client;
    client_event_e       event;
    struct epoll_event   events[256], ev;

    options(argc, argv);

    clients = calloc(conf.nclients, sizeof(*clients));
    ep = epoll_create1(EPOLL_CLOEXEC);

    if (clients == NULL || ep == -1) {
        die("epoll");
    }

    for (i = 0; i < conf.nclients; i++) {
        if (client_open(&clients[i], &conf.address) == -1) {
            die("connect");
        }

        ev.events = EPOLLIN;
        ev.data.ptr = &clients[i];
        (void) epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &ev);
    }

    no_body = (strcmp(conf.method, "HEAD") == 0);
    counts = (conf.warmup == 0);
    asked = 0;

    cpu = cpu_ns();
    begin = client_now_ns();
    end = begin + (counts ? conf.seconds : conf.warmup) * 1e9;
    last = begin;
    now = begin;

    for (i = 0; i < conf.nclients && (!conf.nrequests || i < conf.nrequests);
         i++)
    {
        request_send(&clients[i]);
        asked++;
    }

    for ( ;; ) {

        n = epoll_wait(ep, events, 256, conf.busy ? 0 : 10000);

        if (n == 0 && conf.busy && client_now_ns() < now + 10000000000ULL) {
            continue;
        }

        if (n == 0 || (n == -1 && errno != EINTR)) {
            fprintf(stderr, "load: no answer in 10 s\n");
            return 1;
        }

        for (i = 0; n > 0 && i < (unsigned) n; i++) {
            client = events[i].data.ptr;

            event = client_read(client, no_body);

            if (event == CLIENT_AGAIN) {
                continue;
            }

            if (event == CLIENT_ERROR || client->closes) {
                fprintf(stderr, "load: %s: connection broke, status %d\n",
                        conf.path, client->status);
                return 1;
            }

            response_count(client, counts);

            if (conf.nrequests && counts && asked >= conf.nrequests) {
                continue;
            }

            asked++;
            request_send(client);
        }

        now = client_now_ns();

        if (!counts) {
            if (now >= end) {
                counts = 1;
                asked = conf.nclients;
                cpu = cpu_ns();
                begin = client_now_ns();
                end = begin + conf.seconds * 1e9;
            }

            continue;
        }

        if (conf.nrequests ? stats.nresponses >= conf.nrequests : now >= end) {
            last = client_now_ns();
            cpu = cpu_ns() - cpu;
            break;
        }
    }

    seconds = (last - begin) / 1e9;

    if (stats.nresponses == 0) {
        fprintf(stderr, "load: no response\n");
        return 1;
    }

    printf("responses=%" PRIu64 " bytes=%" PRIu64 " errors=%" PRIu64
           " seconds=%.6f rps=%.1f cpu_us=%.3f p50_us=%.1f p99_us=%.1f"
           " max_us=%.1f\n",
           stats.nresponses, stats.nbytes, stats.nerrors, seconds,
           stats.nresponses / seconds, cpu / 1e3 / stats.nresponses,
           percentile_us(0.5), percentile_us(0.99), stats.max_ns / 1e3);

    return stats.nerrors ? 1 : 0;
}
