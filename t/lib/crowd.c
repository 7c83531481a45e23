
/*
 * Many HTTP clients at once, on loopback.
 *
 *     crowd -p port [-c clients] [-t seconds] [-T seconds]
 *
 * Standard input has a client a line, members separated by tabs:
 *
 *     tag  rate  leave  path  [header field]...
 *
 * rate is how many bytes a second it reads (0: all there is), leave is after
 * how many ms it closes (-1: not before the end).  Without -c all of them
 * connect, then all send their requests, and "sent" is printed.  With -c so
 * many are busy at a time, the next one begins when one ends, and after -t
 * seconds none begins.  -T: a client gives up after so many seconds (30).
 *
 * Standard output has a line an answer, in the order they ended:
 *
 *     tag  fate  sent  first  end  size  SHA-256  status line  [field]...
 *
 * fate is "end" (the server closed), "left", "late" or "reset"; sent, first
 * (byte) and end are the wall clock in ms; size and SHA-256 are the body's.
 */


#define _GNU_SOURCE  /* memmem() */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define MAX_CONNECTING  200
#define HEAD_SIZE       4096
#define READ_SIZE       (256 * 1024)
#define TICK_MS         10


typedef struct client_s  client_t;

struct client_s {
    client_t     *next;       /* of those that read slowly or leave */
    client_t     *prev;

    int           fd;
    char         *tag;
    char         *request;
    double        rate;       /* bytes a ms, 0: unlimited */
    double        leave_ms;   /* below 0: never */

    double        began_ms;
    double        sent_ms;
    double        first_ms;

    char         *head;
    size_t        head_size;
    unsigned      connected:1;
    unsigned      whole:1;    /* the head is */
    size_t        received;
    size_t        size;       /* of the body */
    EVP_MD_CTX   *sha;
};


static void run_all(void);
static void run_some(long at_once, double seconds);
static client_t *client_read(void);
static void client_connect(client_t *client);
static int client_send(client_t *client);
static void client_receive(client_t *client, size_t max);
static int client_parse(client_t *client, char *data, size_t size);
static void client_end(client_t *client, const char *fate);
static void turn(void);
static void tick(void);
static double now_ms(void);
static void die(const char *what);


static int        epoll;
static FILE      *answers;           /* written out at the end */
static in_port_t  port;
static double     patience_ms = 30000;
static long       nconnecting, nactive;
static int        hold;              /* requests, until all are connected */
static client_t   clocked = { .next = &clocked, .prev = &clocked };
static char       buffer[READ_SIZE];


int
main(int argc, char **argv)
{
    int            c;
    long           at_once;
    size_t         size;
    double         seconds;
    char          *text;
    struct rlimit  limit;

    at_once = 0;
    seconds = 1e9;

    while ((c = getopt(argc, argv, "p:c:t:T:")) != -1) {
        switch (c) {
        case 'p': port = (in_port_t) atoi(optarg); break;
        case 'c': at_once = atol(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'T': patience_ms = atof(optarg) * 1000; break;
        default: return 2;
        }
    }

    signal(SIGPIPE, SIG_IGN);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }

    epoll = epoll_create1(0);
    if (epoll == -1) {
        die("epoll_create1()");
    }

    /* whoever reads them may have other things to do meanwhile */

    answers = open_memstream(&text, &size);
    if (answers == NULL) {
        die("open_memstream()");
    }

    if (at_once) {
        run_some(at_once, seconds);

    } else {
        run_all();
    }

    if (fclose(answers) != 0) {
        die("no memory");
    }

    fwrite(text, 1, size, stdout);

    return fflush(stdout) == 0 ? 0 : 1;
}


static void
run_all(void)
{
    long      n, i;
    client_t *client, **all;

    n = 0;
    all = NULL;
    hold = 1;

    while ((client = client_read()) != NULL) {

        if ((n & (n - 1)) == 0) {
            all = realloc(all, (n ? n * 2 : 1) * sizeof(client_t *));
            if (all == NULL) {
                die("realloc()");
            }
        }

        all[n++] = client;

        while (nconnecting >= MAX_CONNECTING) {
            turn();
        }

        client_connect(client);
    }

    while (nconnecting) {
        turn();
    }

    hold = 0;

    for (i = 0; i < n; i++) {
        if (all[i]->fd != -1 && client_send(all[i]) == -1) {
            client_end(all[i], "reset");
        }
    }

    printf("sent\n");
    fflush(stdout);

    while (nactive) {
        turn();
    }
}


static void
run_some(long at_once, double seconds)
{
    double     until_ms;
    client_t  *client;

    until_ms = now_ms() + seconds * 1000;

    for ( ;; ) {

        while (nactive < at_once && now_ms() < until_ms) {

            client = client_read();

            if (client == NULL) {
                until_ms = 0;
                break;
            }

            client_connect(client);
        }

        if (nactive == 0) {
            return;
        }

        turn();
    }
}


static client_t *
client_read(void)
{
    char      *line, *member[4], *field, *p;
    size_t     room, size;
    FILE      *f;
    int        i;
    client_t  *client;

    line = NULL;
    room = 0;

    if (getline(&line, &room, stdin) == -1) {
        free(line);
        return NULL;
    }

    line[strcspn(line, "\n")] = '\0';

    client = calloc(1, sizeof(*client));
    if (client == NULL) {
        die("calloc()");
    }

    p = line;

    for (i = 0; i < 4; i++) {
        member[i] = strsep(&p, "\t");

        if (member[i] == NULL) {
            die("a line with too few members");
        }
    }

    client->fd = -1;
    client->tag = strdup(member[0]);
    client->rate = atof(member[1]) / 1000;
    client->leave_ms = atof(member[2]);
    client->head = malloc(HEAD_SIZE);
    client->sha = EVP_MD_CTX_new();

    f = open_memstream(&client->request, &size);

    if (client->tag == NULL || client->head == NULL || f == NULL
        || EVP_DigestInit_ex(client->sha, EVP_sha256(), NULL) != 1)
    {
        die("no memory");
    }

    fprintf(f, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
            member[3]);

    while ((field = strsep(&p, "\t")) != NULL) {
        fprintf(f, "%s\r\n", field);
    }

    fprintf(f, "\r\n");

    if (fclose(f) != 0) {
        die("no memory");
    }

    free(line);

    return client;
}


static void
client_connect(client_t *client)
{
    int                 size;
    struct epoll_event  event;
    struct sockaddr_in  address;

    client->began_ms = now_ms();
    client->fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (client->fd == -1) {
        die("socket()");
    }

    nactive++;
    nconnecting++;

    client->next = &clocked;
    client->prev = clocked.prev;
    clocked.prev->next = client;
    clocked.prev = client;

    if (client->rate > 0) {
        /* so that the server gets to feel it */
        size = 16 * 1024;
        (void) setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &size,
                          sizeof(size));
    }

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (connect(client->fd, (struct sockaddr *) &address, sizeof(address))
        == -1 && errno != EINPROGRESS)
    {
        client_end(client, "reset");
        return;
    }

    event.events = EPOLLOUT;
    event.data.ptr = client;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) == -1) {
        die("epoll_ctl()");
    }
}


/* the request is small: it goes out at once, or the connection is broken */

static int
client_send(client_t *client)
{
    ssize_t             n, size;
    struct epoll_event  event;

    size = (ssize_t) strlen(client->request);
    n = send(client->fd, client->request, size, 0);

    if (n != size) {
        return -1;
    }

    client->sent_ms = now_ms();

    event.events = (client->rate > 0) ? 0 : EPOLLIN;
    event.data.ptr = client;

    if (epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event) == -1) {
        die("epoll_ctl()");
    }

    return 0;
}


static void
turn(void)
{
    int                  i, n, error;
    client_t            *client;
    socklen_t            size;
    static double        ticked_ms;
    struct epoll_event   events[512];

    n = epoll_wait(epoll, events, 512, TICK_MS);

    if (n == -1 && errno != EINTR) {
        die("epoll_wait()");
    }

    for (i = 0; i < n; i++) {
        client = events[i].data.ptr;

        if (client->sent_ms > 0) {

            if (client->rate == 0 || (events[i].events & EPOLLERR)) {
                client_receive(client, READ_SIZE);
            }

            continue;
        }

        if (client->connected) {
            /* waits for the others to be */
            continue;
        }

        client->connected = 1;
        nconnecting--;

        error = 0;
        size = sizeof(error);

        if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1
            || error
            || (!hold && client_send(client) == -1))
        {
            client_end(client, "reset");
            continue;
        }

        if (hold) {
            events[i].events = 0;
            (void) epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &events[i]);
        }
    }

    if (now_ms() - ticked_ms >= TICK_MS) {
        ticked_ms = now_ms();
        tick();
    }
}


/* those who read slowly, leave, or have waited too long */

static void
tick(void)
{
    double     now, may;
    client_t  *client, *next;

    now = now_ms();

    for (client = clocked.next; client != &clocked; client = next) {
        next = client->next;

        if (client->leave_ms >= 0 && client->sent_ms > 0
            && now - client->sent_ms >= client->leave_ms)
        {
            client_end(client, "left");
            continue;
        }

        if (now - client->began_ms > patience_ms) {
            client_end(client, "late");
            continue;
        }

        if (client->rate == 0 || client->sent_ms == 0) {
            continue;
        }

        may = (now - client->sent_ms) * client->rate
              - (double) client->received;

        if (may >= 1) {
            client_receive(client, may < READ_SIZE ? (size_t) may : READ_SIZE);
        }
    }
}


static void
client_receive(client_t *client, size_t max)
{
    ssize_t  n;

    n = recv(client->fd, buffer, max, MSG_DONTWAIT);

    if (n == -1) {
        if (errno != EAGAIN && errno != EINTR) {
            client_end(client, "reset");
        }

        return;
    }

    if (n == 0) {
        client_end(client, "end");
        return;
    }

    if (client->received == 0) {
        client->first_ms = now_ms();
    }

    client->received += (size_t) n;

    if (client_parse(client, buffer, (size_t) n) == -1) {
        client_end(client, "reset");
    }
}


static int
client_parse(client_t *client, char *data, size_t size)
{
    char    *end;
    size_t   n;

    if (!client->whole) {

        n = HEAD_SIZE - 1 - client->head_size;
        n = (size < n) ? size : n;

        memcpy(client->head + client->head_size, data, n);
        client->head[client->head_size + n] = '\0';

        end = memmem(client->head, client->head_size + n, "\r\n\r\n", 4);

        if (end == NULL) {
            client->head_size += n;
            return (client->head_size == HEAD_SIZE - 1) ? -1 : 0;
        }

        n = (size_t) (end + 4 - client->head) - client->head_size;
        client->head_size = (size_t) (end - client->head);
        client->head[client->head_size] = '\0';
        client->whole = 1;

        data += n;
        size -= n;
    }

    client->size += size;

    return EVP_DigestUpdate(client->sha, data, size) == 1 ? 0 : -1;
}


static void
client_end(client_t *client, const char *fate)
{
    char          *p;
    unsigned       n, i;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    client->prev->next = client->next;
    client->next->prev = client->prev;

    if (!client->connected) {
        nconnecting--;
    }

    nactive--;

    close(client->fd);
    client->fd = -1;

    fprintf(answers, "%s\t%s\t%.3f\t%.3f\t%.3f\t%zu\t", client->tag,
            fate, client->sent_ms, client->first_ms, now_ms(), client->size);

    if (EVP_DigestFinal_ex(client->sha, digest, &n) != 1) {
        die("EVP_DigestFinal_ex()");
    }

    for (i = 0; i < n; i++) {
        fprintf(answers, "%02x", digest[i]);
    }

    if (client->whole) {
        putc('\t', answers);

        for (p = client->head; *p; p++) {
            if (*p != '\r') {
                putc(*p == '\n' ? '\t' : *p, answers);
            }
        }
    }

    putc('\n', answers);

    EVP_MD_CTX_free(client->sha);
    free(client->head);
    free(client->request);
    free(client->tag);
}


static double
now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (double) ts.tv_sec * 1000 + (double) ts.tv_nsec / 1e6;
}


static void
die(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(1);
}
