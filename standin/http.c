#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#include "address.h"
#include "http.h"
#include "request.h"
#include "tls.h"

#define HTTP_BACKLOG     4096
#define HTTP_READ_AHEAD  (256 * 1024)


typedef struct http_conn_s {
    http_server_t               *server;
    struct bufferevent          *bev;
    struct event                *timer;
    SSL                         *ssl;           /* owned by bev */
    request_parser_t             parser;
    http_script_t                script;
    size_t                       step;
    uint64_t                     number;
    uint64_t                     nrequests;
    double                       started_ms;
    TAILQ_ENTRY(http_conn_s)     link;
    unsigned                     answering:1;
    unsigned                     draining:1;
    unsigned                     keepalive:1;
    unsigned                     continued:1;
} http_conn_t;


struct http_server_s {
    struct event_base           *base;
    struct evconnlistener       *listener;
    struct event                *resume;
    http_options_t               options;
    http_counters_t              counters;
    SSL_CTX                     *tls;
    FILE                        *log;
    char                         address[64];
    uint64_t                     last_number;
    uint64_t                     nopen;
    TAILQ_HEAD(, http_conn_s)    conns;
};


static void http_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int socklen, void *data);
static void http_on_read(struct bufferevent *bev, void *data);
static void http_on_write(struct bufferevent *bev, void *data);
static void http_on_event(struct bufferevent *bev, short what, void *data);
static void http_on_timer(evutil_socket_t fd, short what, void *data);
static void http_on_resume(evutil_socket_t fd, short what, void *data);
static void http_conn_process(http_conn_t *c);
static int http_conn_next_request(http_conn_t *c);
static int http_conn_play(http_conn_t *c);
static void http_conn_flood(struct evbuffer *out, struct evbuffer *bytes);
static void http_conn_answered(http_conn_t *c, int complete);
static void http_conn_close(http_conn_t *c, http_step_kind_t how);
static void http_conn_timer(http_conn_t *c, uint64_t ms);
static void http_conn_log(http_conn_t *c, int complete);
static void http_bad_request(http_conn_t *c, int status);


http_server_t *
http_server_create(struct event_base *base, const http_options_t *options)
{
    socklen_t                 len;
    http_server_t            *s;
    struct sockaddr_storage   ss;

    s = mem_zalloc(sizeof(*s));
    s->base = base;
    s->options = *options;
    TAILQ_INIT(&s->conns);

    len = address_parse(options->listen, &ss);

    if (len == 0) {
        fprintf(stderr, "standin: bad address \"%s\"\n", options->listen);
        goto failed;
    }

    if (options->tls_cert) {
        s->tls = tls_context(options->tls_cert, options->tls_key,
                             options->tls_client_ca, &s->counters);
        if (s->tls == NULL) {
            goto failed;
        }
    }

    if (options->log) {
        s->log = strcmp(options->log, "-") == 0 ? stderr
                                                : fopen(options->log, "a");
        if (s->log == NULL) {
            fprintf(stderr, "standin: cannot open \"%s\": %s\n", options->log,
                    strerror(errno));
            goto failed;
        }

        setvbuf(s->log, NULL, _IOLBF, 0);
    }

    s->listener = evconnlistener_new_bind(base, http_on_accept, s,
                                          LEV_OPT_CLOSE_ON_FREE
                                          |LEV_OPT_CLOSE_ON_EXEC
                                          |LEV_OPT_REUSEABLE,
                                          HTTP_BACKLOG,
                                          (struct sockaddr *) &ss, (int) len);
    s->resume = evtimer_new(base, http_on_resume, s);

    if (s->listener == NULL || s->resume == NULL) {
        fprintf(stderr, "standin: cannot listen on \"%s\": %s\n",
                options->listen, strerror(errno));
        goto failed;
    }

    len = sizeof(ss);
    getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *) &ss,
                &len);
    address_text(&ss, s->address, sizeof(s->address));

    return s;

failed:

    http_server_destroy(s);

    return NULL;
}


void
http_server_destroy(http_server_t *s)
{
    while (!TAILQ_EMPTY(&s->conns)) {
        http_conn_close(TAILQ_FIRST(&s->conns), STEP_CLOSE);
    }

    if (s->resume) {
        event_free(s->resume);
    }

    if (s->listener) {
        evconnlistener_free(s->listener);
    }

    SSL_CTX_free(s->tls);

    if (s->log && s->log != stderr) {
        fclose(s->log);
    }

    free(s);
}


const char *
http_server_address(http_server_t *s)
{
    return s->address;
}


http_counters_t *
http_server_counters(http_server_t *s)
{
    return &s->counters;
}


uint64_t
http_server_open(http_server_t *s)
{
    return s->nopen;
}


size_t
http_server_close_idle(http_server_t *s)
{
    size_t        n;
    http_conn_t  *c, *next;

    n = 0;

    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, link);

        if (!c->answering && request_parser_idle(&c->parser)) {
            http_conn_close(c, STEP_CLOSE);
            n++;
        }
    }

    return n;
}


void
http_server_pause(http_server_t *s, uint64_t ms)
{
    struct timeval  tv;

    tv.tv_sec = (time_t) (ms / 1000);
    tv.tv_usec = (suseconds_t) (ms % 1000 * 1000);

    evconnlistener_disable(s->listener);
    evtimer_add(s->resume, &tv);
}


static void
http_on_resume(evutil_socket_t fd, short what, void *data)
{
    http_server_t  *s = data;

    (void) fd;
    (void) what;

    evconnlistener_enable(s->listener);
}


void
http_script_add(http_script_t *script, http_step_kind_t kind,
    struct evbuffer *bytes, uint64_t ms, size_t size)
{
    http_step_t  *step;

    if (script->nsteps == HTTP_MAX_STEPS) {
        fprintf(stderr, "standin: script too long\n");
        abort();
    }

    step = &script->steps[script->nsteps++];
    step->kind = kind;
    step->bytes = bytes;
    step->ms = ms;
    step->size = size;
}


static void
http_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int socklen, void *data)
{
    int             on;
    http_conn_t    *c;
    http_server_t  *s = data;

    (void) listener;
    (void) sa;
    (void) socklen;

    on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    c = mem_zalloc(sizeof(*c));
    c->server = s;
    c->number = ++s->last_number;

    if (s->tls) {
        c->ssl = SSL_new(s->tls);
        c->bev = bufferevent_openssl_socket_new(s->base, fd, c->ssl,
                                                BUFFEREVENT_SSL_ACCEPTING,
                                                BEV_OPT_CLOSE_ON_FREE);
        bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);

    } else {
        c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    }

    c->timer = evtimer_new(s->base, http_on_timer, c);

    bufferevent_setcb(c->bev, http_on_read, http_on_write, http_on_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_READ_AHEAD);
    bufferevent_enable(c->bev, EV_READ|EV_WRITE);

    TAILQ_INSERT_TAIL(&s->conns, c, link);
    s->counters.accepted++;

    if (++s->nopen > s->counters.max_open) {
        s->counters.max_open = s->nopen;
    }

    http_conn_timer(c, (uint64_t) s->options.keepalive_s * 1000);
}


static void
http_on_read(struct bufferevent *bev, void *data)
{
    http_conn_t  *c = data;

    (void) bev;

    /* what was pipelined is read when the answer is over */
    if (!c->answering) {
        http_conn_process(c);
    }
}


static void
http_on_write(struct bufferevent *bev, void *data)
{
    http_conn_t  *c = data;

    (void) bev;

    if (c->draining) {
        http_conn_process(c);
    }
}


static void
http_on_event(struct bufferevent *bev, short what, void *data)
{
    http_conn_t  *c = data;

    (void) bev;

    if (what & BEV_EVENT_CONNECTED) {
        c->server->counters.handshakes++;
        c->server->counters.handshakes_resumed += SSL_session_reused(c->ssl);
        return;
    }

    if (c->ssl && !SSL_is_init_finished(c->ssl)) {
        c->server->counters.handshakes_failed++;
    }

    http_conn_close(c, STEP_CUT);
}


static void
http_on_timer(evutil_socket_t fd, short what, void *data)
{
    http_conn_t  *c = data;

    (void) fd;
    (void) what;

    if (c->answering) {
        http_conn_process(c);
        return;
    }

    http_conn_close(c, STEP_CLOSE);
}


static void
http_conn_timer(http_conn_t *c, uint64_t ms)
{
    struct timeval  tv;

    tv.tv_sec = (time_t) (ms / 1000);
    tv.tv_usec = (suseconds_t) (ms % 1000 * 1000);

    evtimer_add(c->timer, &tv);
}


/* Answers requests until one is incomplete or its answer takes time. */
static void
http_conn_process(http_conn_t *c)
{
    do {
        if (c->answering && http_conn_play(c) != 0) {
            return;
        }

    } while (http_conn_next_request(c) == 0);
}


/* Returns 0 if a request was handed to the handler. */
static int
http_conn_next_request(http_conn_t *c)
{
    int             rc;
    http_server_t  *s;

    s = c->server;

    rc = request_parse(&c->parser, bufferevent_get_input(c->bev),
                       s->options.max_body);

    if (rc == REQUEST_CONTINUE && !c->continued) {
        c->continued = 1;
        bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        rc = request_parse(&c->parser, bufferevent_get_input(c->bev),
                           s->options.max_body);
    }

    if (rc == REQUEST_AGAIN || rc == REQUEST_CONTINUE) {
        return -1;
    }

    evtimer_del(c->timer);

    c->continued = 0;
    c->answering = 1;
    c->step = 0;
    c->started_ms = wall_ms();
    c->nrequests++;
    s->counters.requests++;

    if (rc != REQUEST_OK) {
        s->counters.bad_requests++;
        http_bad_request(c, rc);
        return 0;
    }

    c->keepalive = http_request_keepalive(&c->parser.request);
    s->options.handler(&c->parser.request, &c->script, s->options.data);

    return 0;
}


/*
 * Plays steps until one needs time. Returns 0 when the connection is ready
 * for another request; otherwise c may be gone.
 */
static int
http_conn_play(http_conn_t *c)
{
    http_step_t      *step;
    struct evbuffer  *out;

    out = bufferevent_get_output(c->bev);

    while (c->step < c->script.nsteps) {
        step = &c->script.steps[c->step];

        switch (step->kind) {

        case STEP_WRITE:
            bufferevent_write_buffer(c->bev, step->bytes);
            c->step++;
            break;

        case STEP_DRIBBLE:
            if (evbuffer_get_length(step->bytes) == 0) {
                c->step++;
                break;
            }
            evbuffer_remove_buffer(step->bytes, out, step->size);
            http_conn_timer(c, step->ms);
            return -1;

        case STEP_FLOOD:
            c->draining = 1;

            if (evbuffer_get_length(out) == 0) {
                http_conn_flood(out, step->bytes);
            }
            return -1;

        case STEP_SLEEP:
            c->step++;
            http_conn_timer(c, step->ms);
            return -1;

        case STEP_HANG:
            return -1;

        default:
            c->draining = evbuffer_get_length(out) != 0;

            if (c->draining) {
                return -1;
            }

            if (step->kind != STEP_END || !c->keepalive) {
                http_conn_answered(c, 1);
                http_conn_close(c, step->kind);
                return -1;
            }

            c->step++;
        }
    }

    http_conn_answered(c, 1);
    http_conn_timer(c, (uint64_t) c->server->options.keepalive_s * 1000);

    return 0;
}


static void
http_conn_flood(struct evbuffer *out, struct evbuffer *bytes)
{
    size_t  size;

    size = evbuffer_get_length(bytes);
    evbuffer_add(out, evbuffer_pullup(bytes, -1), size);
}


static void
http_conn_answered(http_conn_t *c, int complete)
{
    size_t  i;

    http_conn_log(c, complete);

    if (c->script.on_done) {
        c->script.on_done(c->script.data, complete);
    }

    for (i = 0; i < c->script.nsteps; i++) {
        if (c->script.steps[i].bytes) {
            evbuffer_free(c->script.steps[i].bytes);
        }
    }

    c->script.nsteps = 0;
    c->script.status = 0;
    c->script.body_size = 0;
    c->script.on_done = NULL;

    c->answering = 0;
    c->draining = 0;

    request_parser_reset(&c->parser);
}


static void
http_conn_close(http_conn_t *c, http_step_kind_t how)
{
    evutil_socket_t  fd;
    struct linger    linger = { 1, 0 };

    if (c->answering) {
        http_conn_answered(c, 0);
    }

    fd = bufferevent_getfd(c->bev);

    if (how == STEP_RESET) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));

    } else if (c->ssl && how != STEP_CUT && SSL_is_init_finished(c->ssl)) {
        /* sends close_notify and does not wait for the peer's */
        SSL_shutdown(c->ssl);
    }

    TAILQ_REMOVE(&c->server->conns, c, link);
    c->server->nopen--;

    request_parser_reset(&c->parser);
    event_free(c->timer);
    bufferevent_free(c->bev);
    free(c);
}


static void
http_conn_log(http_conn_t *c, int complete)
{
    const char  *line;

    if (c->server->log == NULL) {
        return;
    }

    line = c->parser.request.line;

    fprintf(c->server->log, "%.3f conn=%llu.%llu \"%s\" %d %zu %.1fms%s\n",
            c->started_ms / 1e3, (unsigned long long) c->number,
            (unsigned long long) c->nrequests, line ? line : "-",
            c->script.status, c->script.body_size,
            wall_ms() - c->started_ms, complete ? "" : " client left");
}


static void
http_bad_request(http_conn_t *c, int status)
{
    struct evbuffer  *b;

    b = evbuffer_new();
    evbuffer_add_printf(b, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n"
                        "Connection: close\r\n\r\n", status,
                        status == 413 ? "Payload Too Large"
                        : status == 431 ? "Request Header Fields Too Large"
                        : "Bad Request");

    c->script.status = status;
    http_script_add(&c->script, STEP_WRITE, b, 0, 0);
    http_script_add(&c->script, STEP_CLOSE, NULL, 0, 0);
}
