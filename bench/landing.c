
/*
 * How long a crowd waits from the landing of what it waits for: a number of
 * connections ask a gateway for the same thing; this program is also the
 * cloud the gateway asks, and holds back the end of the document until all
 * have asked.  Without a document: the crowd asks for what is there, timed
 * from its first request.
 */


#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client.h"


/* what is held back, bytes */
#define TAIL_SIZE    16

/* until all who asked are waiting, and the document but its tail is read */
#define SETTLE_MS    400


static void
die(const char *what)
{
    fprintf(stderr, "landing: %s: %s\n", what, strerror(errno));
    exit(1);
}


static uint64_t
cpu_ns(pid_t pid)
{
    clockid_t        clock;
    struct timespec  ts;

    if (clock_getcpuclockid(pid, &clock) != 0
        || clock_gettime(clock, &ts) == -1)
    {
        die("clock of a process");
    }

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static int
cloud_listen(const char *text)
{
    int                 fd, on;
    struct sockaddr_in  address;

    on = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd == -1
        || client_address(text, &address) == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &address, sizeof(address)) == -1
        || listen(fd, 16) == -1)
    {
        die("listen");
    }

    return fd;
}


static void
cloud_write(int fd, const char *data, size_t size)
{
    ssize_t  n;

    while (size) {
        n = send(fd, data, size, MSG_NOSIGNAL);

        if (n == -1) {
            die("send to the gateway");
        }

        data += n;
        size -= n;
    }
}


/* all but the tail; returns the gateway's connection */

static int
cloud_answer(int listener, const char *document, size_t size)
{
    int             fd, n;
    char            buffer[4096];
    struct timeval  limit = { 10, 0 };

    (void) setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit,
                      sizeof(limit));

    fd = accept(listener, NULL, NULL);

    if (fd == -1 || recv(fd, buffer, sizeof(buffer), 0) <= 0) {
        die("request of the gateway");
    }

    n = snprintf(buffer, sizeof(buffer),
                 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n", size);

    cloud_write(fd, buffer, n);
    cloud_write(fd, document, size - TAIL_SIZE);

    return fd;
}


static void
crowd_ask(client_t *clients, unsigned n, const char *path)
{
    int       size;
    char      request[2048];
    unsigned  i;

    size = snprintf(request, sizeof(request),
                    "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

    for (i = 0; i < n; i++) {
        if (client_send(&clients[i], request, size) == -1) {
            die("send");
        }
    }
}


static void
crowd_read(int ep, unsigned nclients, int64_t length)
{
    int                 i, n;
    unsigned            ndone;
    client_t           *client;
    struct epoll_event  events[256];

    for (ndone = 0; ndone < nclients; /* void */ ) {

        n = epoll_wait(ep, events, 256, 10000);

        if (n <= 0) {
            die("no answer in 10 s");
        }

        for (i = 0; i < n; i++) {
            client = events[i].data.ptr;

            switch (client_read(client, 0)) {

            case CLIENT_AGAIN:
                break;

            case CLIENT_DONE:
                if (client->status != 200 || client->length != length) {
                    fprintf(stderr, "landing: status %d, length %" PRId64 "\n",
                            client->status, client->length);
                    exit(1);
                }
                ndone++;
                break;

            default:
                die("connection broke");
            }
        }
    }
}


int
main(int argc, char **argv)
{
    int                 c, ep, fd, listener, up;
    char               *document;
    unsigned            i, n;
    uint64_t            begin, end, cpu;
    client_t           *clients;
    const char         *listen_on, *file;
    struct stat         st;
    struct rlimit       limit;
    struct timespec     settle = { 0, SETTLE_MS * 1000000 };
    struct epoll_event  ev;
    struct sockaddr_in  address;
    int64_t             length;
    pid_t               pid;

    n = 1000;
    listen_on = NULL;
    file = NULL;
    length = -1;
    pid = getpid();

    while ((c = getopt(argc, argv, "c:u:d:l:p:")) != -1) {
        switch (c) {
        case 'c': n = atoi(optarg); break;
        case 'u': listen_on = optarg; break;
        case 'd': file = optarg; break;
        case 'l': length = atoll(optarg); break;
        case 'p': pid = atoi(optarg); break;
        default:  return 2;
        }
    }

    if (argc - optind != 2 || client_address(argv[optind], &address) == -1) {
        fprintf(stderr, "usage: landing [-c N] [-u address:port -d document]"
                        " -l length -p pid address:port path\n");
        return 2;
    }

    (void) getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void) setrlimit(RLIMIT_NOFILE, &limit);

    listener = listen_on ? cloud_listen(listen_on) : -1;

    clients = calloc(n, sizeof(*clients));
    ep = epoll_create1(0);

    if (clients == NULL || ep == -1) {
        die("epoll");
    }

    for (i = 0; i < n; i++) {
        if (client_open(&clients[i], &address) == -1) {
            die("connect");
        }

        ev.events = EPOLLIN;
        ev.data.ptr = &clients[i];
        (void) epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &ev);
    }

    /* accepted by now, or soon */
    (void) nanosleep(&settle, NULL);

    if (listener == -1) {
        cpu = cpu_ns(pid);
        begin = client_now_ns();
        crowd_ask(clients, n, argv[optind + 1]);
        crowd_read(ep, n, length);

    } else {
        fd = open(file, O_RDONLY);

        if (fd == -1 || fstat(fd, &st) == -1) {
            die(file);
        }

        document = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

        crowd_ask(clients, n, argv[optind + 1]);
        up = cloud_answer(listener, document, st.st_size);
        (void) nanosleep(&settle, NULL);

        cpu = cpu_ns(pid);
        begin = client_now_ns();
        cloud_write(up, document + st.st_size - TAIL_SIZE, TAIL_SIZE);
        crowd_read(ep, n, length);
    }

    end = client_now_ns();

    printf("ms=%.3f cpu_ms=%.3f\n", (end - begin) / 1e6,
           (cpu_ns(pid) - cpu) / 1e6);

    return 0;
}
