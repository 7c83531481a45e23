
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <hiredis/async.h>
#include "ngx_http_binarize_redis_adapter.h"
#include "ngx_http_binarize_redis_frame.h"
#include "ngx_http_binarize_redis_output.h"


#define NGX_HTTP_BINARIZE_REDIS_READ_SIZE   65536

/* a turn of the event loop reads no more from one connection */
#define NGX_HTTP_BINARIZE_REDIS_READS       32


/* exported by hiredis, but declared in its private header only */
void redisProcessCallbacks(redisAsyncContext *ac);


struct ngx_http_binarize_redis_adapter_s {
    redisAsyncContext                       *context;
    ngx_connection_t                        *connection;
    ngx_log_t                               *log;

    const ngx_http_binarize_redis_events_t  *events;
    void                                    *data;
    ngx_http_binarize_redis_stats_t         *stats;

    ngx_http_binarize_redis_tls_t           *tls;

    ngx_event_t                              flush;
    ngx_http_binarize_redis_output_t         output;
    uint64_t                                 position;   /* its end */
    uint64_t                                 allowed;    /* may be sent */
    ngx_msec_t                               seen;

    redisReplyObjectFunctions               *hiredis_functions;
    redisReplyObjectFunctions                functions;
    ngx_uint_t                               nstrings;
    ngx_http_binarize_redis_frame_t          frame;

    ngx_uint_t                               depth;      /* of our handlers */
    char                                     reason[160];

    unsigned                                 connected:1;
    unsigned                                 blocked:1;  /* by the socket */
    unsigned                                 closing:1;  /* see reason */
    unsigned                                 closed:1;   /* the owner knows */
    unsigned                                 dead:1;     /* freed at depth 0 */
};


static void ngx_http_binarize_redis_adapter_on_write(ngx_event_t *wev);
static void ngx_http_binarize_redis_adapter_on_connect(
    ngx_http_binarize_redis_adapter_t *adapter);
#if (NGX_SSL)
static void ngx_http_binarize_redis_adapter_tls_start(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_handshake(ngx_connection_t *c);
#endif
static void ngx_http_binarize_redis_adapter_connected(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_flush(ngx_event_t *ev);
static void ngx_http_binarize_redis_adapter_flush(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_read(ngx_event_t *rev);
static ngx_int_t ngx_http_binarize_redis_adapter_read(
    ngx_http_binarize_redis_adapter_t *adapter);
static ssize_t ngx_http_binarize_redis_adapter_reply_start(void *data,
    u_char type);
static ngx_int_t ngx_http_binarize_redis_adapter_feed(void *data,
    const u_char *p, size_t size);
static ngx_int_t ngx_http_binarize_redis_adapter_reply_end(void *data);
static void *ngx_http_binarize_redis_adapter_create_string(
    const redisReadTask *task, char *str, size_t len);
static void ngx_http_binarize_redis_adapter_on_reply(redisAsyncContext *context,
    void *reply, void *data);
static void ngx_http_binarize_redis_adapter_fail(
    ngx_http_binarize_redis_adapter_t *adapter, const char *reason);
static void ngx_http_binarize_redis_adapter_leave(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_notify(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_cleanup(void *data);


/* shared by all connections of a worker */
static u_char  ngx_http_binarize_redis_read_buffer[
                                          NGX_HTTP_BINARIZE_REDIS_READ_SIZE];


ngx_http_binarize_redis_adapter_t *
ngx_http_binarize_redis_adapter_connect(
    ngx_http_binarize_redis_address_t *address,
    ngx_http_binarize_redis_tls_t *tls,
    const ngx_http_binarize_redis_events_t *events, void *data,
    ngx_http_binarize_redis_stats_t *stats, ngx_log_t *log,
    const char **reason)
{
    redisReader                            *reader;
    ngx_connection_t                       *c;
    redisAsyncContext                      *context;
    ngx_http_binarize_redis_adapter_t      *adapter;
    ngx_http_binarize_redis_frame_events_t  frame;

    static char                             error[160];

    *reason = "no memory";

    context = address->host ? redisAsyncConnect(address->host, address->port)
                            : redisAsyncConnectUnix(address->path);
    if (context == NULL) {
        return NULL;
    }

    if (context->err) {
        (void) ngx_snprintf((u_char *) error, sizeof(error) - 1,
                            "connect() failed (%s)%Z", context->errstr);
        *reason = error;
        redisAsyncFree(context);
        return NULL;
    }

    adapter = ngx_calloc(sizeof(ngx_http_binarize_redis_adapter_t), log);
    if (adapter == NULL) {
        redisAsyncFree(context);
        return NULL;
    }

    /* logs why it has none */

    c = ngx_get_connection(context->c.fd, log);
    if (c == NULL) {
        *reason = "no free connection";
        redisAsyncFree(context);
        ngx_free(adapter);
        return NULL;
    }

    /* from here on hiredis' cleanup hook frees all */

    adapter->context = context;
    adapter->connection = c;
    adapter->log = log;
    adapter->events = events;
    adapter->data = data;
    adapter->stats = stats;
    adapter->tls = tls;
    adapter->seen = ngx_current_msec;

    adapter->flush.handler = ngx_http_binarize_redis_adapter_on_flush;
    adapter->flush.data = adapter;
    adapter->flush.log = log;

    frame.reply_start = ngx_http_binarize_redis_adapter_reply_start;
    frame.feed = ngx_http_binarize_redis_adapter_feed;
    frame.reply_end = ngx_http_binarize_redis_adapter_reply_end;
    frame.data = adapter;

    ngx_http_binarize_redis_frame_init(&adapter->frame, &frame);

    reader = context->c.reader;
    adapter->hiredis_functions = reader->fn;
    adapter->functions = *reader->fn;
    adapter->functions.createString =
                                 ngx_http_binarize_redis_adapter_create_string;
    reader->fn = &adapter->functions;
    reader->privdata = adapter;

    context->ev.data = adapter;
    context->ev.cleanup = ngx_http_binarize_redis_adapter_on_cleanup;

    c->data = adapter;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->log_error = NGX_ERROR_INFO;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;
    c->read->handler = ngx_http_binarize_redis_adapter_on_read;
    c->write->handler = ngx_http_binarize_redis_adapter_on_write;

    if (address->host == NULL) {
        c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
        c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK
        || ngx_handle_write_event(c->write, 0) != NGX_OK)
    {
        *reason = "cannot add an event";
        adapter->closed = 1;
        redisAsyncFree(context);
        return NULL;
    }

    return adapter;
}


static void
ngx_http_binarize_redis_adapter_on_write(ngx_event_t *wev)
{
    ngx_connection_t                   *c;
    ngx_http_binarize_redis_adapter_t  *adapter;

    c = wev->data;
    adapter = c->data;

    adapter->depth++;

    if (!adapter->connected) {
        ngx_http_binarize_redis_adapter_on_connect(adapter);

    } else {

        if (adapter->blocked) {

            /* the server has taken what filled the socket */

            adapter->blocked = 0;
            adapter->seen = ngx_current_msec;
        }

        ngx_http_binarize_redis_adapter_flush(adapter);
    }

    ngx_http_binarize_redis_adapter_leave(adapter);
}


static void
ngx_http_binarize_redis_adapter_on_connect(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    int                err;
    u_char             text[NGX_MAX_ERROR_STR / 16];
    socklen_t          size;
    ngx_connection_t  *c;

    c = adapter->connection;

    err = 0;
    size = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        *ngx_strerror(err, text, sizeof(text) - 1) = '\0';

        (void) ngx_snprintf((u_char *) adapter->reason,
                            sizeof(adapter->reason) - 1,
                            "connect() failed (%s)%Z", text);
        adapter->closing = 1;
        return;
    }

    /* lets hiredis see that it is connected: it has nothing to write */

    redisAsyncHandleWrite(adapter->context);

    if (adapter->dead || !(adapter->context->c.flags & REDIS_CONNECTED)) {
        return;
    }

    adapter->seen = ngx_current_msec;

#if (NGX_SSL)
    if (adapter->tls) {
        ngx_http_binarize_redis_adapter_tls_start(adapter);
        return;
    }
#endif

    ngx_http_binarize_redis_adapter_connected(adapter);
}


#if (NGX_SSL)

static void
ngx_http_binarize_redis_adapter_tls_start(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = adapter->connection;

    if (c->ssl) {
        return;
    }

    rc = ngx_http_binarize_redis_tls_handshake(adapter->tls, c);

    if (c->ssl == NULL) {
        ngx_http_binarize_redis_adapter_fail(adapter, "TLS: no memory");
        return;
    }

    c->ssl->handler = ngx_http_binarize_redis_adapter_on_handshake;

    if (rc != NGX_AGAIN) {
        ngx_http_binarize_redis_adapter_on_handshake(c);
    }
}


static void
ngx_http_binarize_redis_adapter_on_handshake(ngx_connection_t *c)
{
    u_char                              reason[128];
    const char                         *error;
    ngx_http_binarize_redis_adapter_t  *adapter;

    adapter = c->data;

    adapter->depth++;

    if (!c->ssl->handshaked) {
        ngx_http_binarize_redis_adapter_fail(adapter, "TLS handshake failed");
        goto done;
    }

    error = ngx_http_binarize_redis_tls_verify(c);

    if (error) {
        (void) ngx_snprintf(reason, sizeof(reason), "TLS certificate: %s%Z",
                            error);
        reason[sizeof(reason) - 1] = '\0';
        ngx_http_binarize_redis_adapter_fail(adapter, (char *) reason);
        goto done;
    }

    c->read->handler = ngx_http_binarize_redis_adapter_on_read;
    c->write->handler = ngx_http_binarize_redis_adapter_on_write;

    ngx_http_binarize_redis_adapter_connected(adapter);

    /* what came along with the end of the handshake raises no event */

    ngx_post_event(c->read, &ngx_posted_events);

done:

    ngx_http_binarize_redis_adapter_leave(adapter);
}

#endif


static void
ngx_http_binarize_redis_adapter_connected(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    adapter->connected = 1;
    adapter->seen = ngx_current_msec;

    adapter->events->connected(adapter->data);

    if (!adapter->closing) {
        ngx_http_binarize_redis_adapter_flush(adapter);
    }
}


ngx_int_t
ngx_http_binarize_redis_adapter_command(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_call_t *call, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_chain_t *last)
{
    u_char                            *p, *start;
    size_t                             size, last_size;
    ngx_uint_t                         i;
    ngx_chain_t                       *cl;

    /* what hiredis sees of a command: it keeps the order of the callbacks */
    static const char                  tag[] = "*1\r\n$1\r\nX\r\n";

    if (adapter->closing || adapter->closed) {
        return NGX_ERROR;
    }

    last_size = 0;

    for (cl = last; cl; cl = cl->next) {
        last_size += cl->buf->last - cl->buf->pos;
    }

    size = (1 + (last != NULL) + argc) * (NGX_INT64_LEN + sizeof("$\r\n\r\n"))
           + last_size;

    for (i = 0; i < argc; i++) {
        size += argvlen[i];
    }

    p = ngx_http_binarize_redis_output_room(&adapter->output, size,
                                            adapter->log);

    if (p == NULL
        || (call
            && redisAsyncFormattedCommand(adapter->context,
                                      ngx_http_binarize_redis_adapter_on_reply,
                                      call, tag, 0)
               != REDIS_OK))
    {
        ngx_http_binarize_redis_adapter_fail(adapter, "no memory");

        if (!adapter->flush.posted) {
            ngx_post_event(&adapter->flush, &ngx_posted_events);
        }

        return NGX_ERROR;
    }

    start = p;

    p = ngx_sprintf(p, "*%ui\r\n", argc + (last != NULL));

    for (i = 0; i < argc; i++) {
        p = ngx_sprintf(p, "$%uz\r\n", argvlen[i]);
        p = ngx_cpymem(p, argv[i], argvlen[i]);
        *p++ = CR;
        *p++ = LF;
    }

    if (last) {
        p = ngx_sprintf(p, "$%uz\r\n", last_size);

        for (cl = last; cl; cl = cl->next) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }

        *p++ = CR;
        *p++ = LF;
    }

    ngx_http_binarize_redis_output_add(&adapter->output, p - start);
    adapter->position += p - start;

    return NGX_OK;
}


uint64_t
ngx_http_binarize_redis_adapter_position(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->position;
}


void
ngx_http_binarize_redis_adapter_allow(
    ngx_http_binarize_redis_adapter_t *adapter, uint64_t position)
{
    adapter->allowed = position;

    if (adapter->connected && !adapter->blocked && !adapter->flush.posted) {
        ngx_post_event(&adapter->flush, &ngx_posted_events);
    }
}


size_t
ngx_http_binarize_redis_adapter_reply_size(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->frame.reply_size;
}


size_t
ngx_http_binarize_redis_adapter_queued(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->output.size;
}


ngx_msec_t
ngx_http_binarize_redis_adapter_seen(ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->seen;
}


static void
ngx_http_binarize_redis_adapter_on_flush(ngx_event_t *ev)
{
    ngx_http_binarize_redis_adapter_t  *adapter;

    adapter = ev->data;

    adapter->depth++;

    if (adapter->connected && !adapter->closing) {
        ngx_http_binarize_redis_adapter_flush(adapter);
    }

    ngx_http_binarize_redis_adapter_leave(adapter);
}


static void
ngx_http_binarize_redis_adapter_flush(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    u_char            *p;
    size_t             size;
    ssize_t            n;
    uint64_t           sent;
    ngx_connection_t  *c;

    c = adapter->connection;

    for ( ;; ) {

        sent = adapter->position - adapter->output.size;

        size = ngx_http_binarize_redis_output_next(&adapter->output, &p);
        size = (size_t) ngx_min(size, adapter->allowed - sent);

        if (size == 0) {
            break;
        }

        n = c->send(c, p, size);

        if (n == NGX_AGAIN) {
            adapter->blocked = 1;
            break;
        }

        if (n <= 0) {
            ngx_http_binarize_redis_adapter_fail(adapter,
                                                 "connection lost in sending");
            return;
        }

        adapter->stats->sent += n;
        ngx_http_binarize_redis_output_sent(&adapter->output, n);
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_binarize_redis_adapter_fail(adapter, "cannot add an event");
    }
}


static void
ngx_http_binarize_redis_adapter_on_read(ngx_event_t *rev)
{
    ngx_int_t                           rc;
    ngx_uint_t                          n;
    ngx_connection_t                   *c;
    ngx_http_binarize_redis_adapter_t  *adapter;

    c = rev->data;
    adapter = c->data;

    /* a failed connect() is an event for writing as well */

    if (!adapter->connected) {
        return;
    }

    adapter->depth++;

    for (n = 0; n < NGX_HTTP_BINARIZE_REDIS_READS; n++) {

        rc = ngx_http_binarize_redis_adapter_read(adapter);

        if (rc != NGX_OK || !rev->ready) {
            break;
        }
    }

    if (!adapter->dead && !adapter->closing) {

        if (rev->ready) {

            /* a flood leaves others their turn */

            ngx_post_event(rev, &ngx_posted_next_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            ngx_http_binarize_redis_adapter_fail(adapter,
                                                 "cannot add an event");
        }
    }

    ngx_http_binarize_redis_adapter_leave(adapter);
}


/* NGX_OK: there may be more; NGX_AGAIN; NGX_DONE: closing or closed */

static ngx_int_t
ngx_http_binarize_redis_adapter_read(ngx_http_binarize_redis_adapter_t *adapter)
{
    u_char            *p;
    size_t             room;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = adapter->connection;

    room = ngx_http_binarize_redis_frame_room(&adapter->frame, &p);

    if (room) {
        n = c->recv(c, p, room);

    } else {
        p = ngx_http_binarize_redis_read_buffer;
        n = c->recv(c, p, NGX_HTTP_BINARIZE_REDIS_READ_SIZE);
    }

    if (n == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (n <= 0) {
        ngx_http_binarize_redis_adapter_fail(adapter,
                                             n ? "connection lost"
                                               : "connection closed");
        return NGX_DONE;
    }

    adapter->seen = ngx_current_msec;
    adapter->stats->received += n;

    if (room) {
        ngx_http_binarize_redis_frame_filled(&adapter->frame, n);
        return NGX_OK;
    }

    rc = ngx_http_binarize_redis_frame_process(&adapter->frame, p, n);

    adapter->stats->oversize += adapter->frame.oversize;
    adapter->frame.oversize = 0;

    if (rc == NGX_ERROR && !adapter->closing) {
        adapter->closing = 1;
        (void) ngx_snprintf((u_char *) adapter->reason,
                            sizeof(adapter->reason) - 1,
                            "protocol error: %s%Z", adapter->frame.error);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_DONE;
}


static ssize_t
ngx_http_binarize_redis_adapter_reply_start(void *data, u_char type)
{
    ngx_http_binarize_redis_adapter_t *adapter = data;

    redisCallback                   *callback;
    ngx_http_binarize_redis_call_t  *call;

    adapter->nstrings = 0;

    callback = adapter->context->replies.head;

    if (callback) {
        call = callback->privdata;
        return call->reply_max ? call->reply_max
                               : NGX_HTTP_BINARIZE_REDIS_REPLY_MAX;
    }

    /* an unasked error is a farewell: too many clients, or a time-out */

    if (adapter->events->message || type == '-') {
        return NGX_HTTP_BINARIZE_REDIS_REPLY_MAX;
    }

    return -1;
}


static ngx_int_t
ngx_http_binarize_redis_adapter_feed(void *data, const u_char *p, size_t size)
{
    ngx_http_binarize_redis_adapter_t *adapter = data;

    if (redisReaderFeed(adapter->context->c.reader, (const char *) p, size)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_redis_adapter_reply_end(void *data)
{
    ngx_http_binarize_redis_adapter_t *adapter = data;

    void         *reply;
    redisReply   *r;
    redisReader  *reader;

    reader = adapter->context->c.reader;

    if (adapter->context->replies.head) {
        redisProcessCallbacks(adapter->context);

        if (adapter->dead) {
            return NGX_DONE;
        }

    } else {
        reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK || reply == NULL) {
            ngx_http_binarize_redis_adapter_fail(adapter, "protocol error");
            return NGX_DONE;
        }

        r = reply;

        if (adapter->events->message) {
            adapter->events->message(adapter->data, r);

        } else {
            adapter->closing = 1;
            (void) ngx_snprintf((u_char *) adapter->reason,
                                sizeof(adapter->reason) - 1, "\"%*s\"%Z",
                                ngx_min(r->len, 100), r->str);
        }

        adapter->functions.freeObject(reply);
    }

    if (adapter->closing) {
        return NGX_DONE;
    }

    /* frame and hiredis agree, or hiredis would run out of callbacks */

    if (reader->pos != reader->len) {
        ngx_http_binarize_redis_adapter_fail(adapter, "protocol error");
        return NGX_DONE;
    }

    return NGX_OK;
}


/* hiredis asks for the strings of a reply in their order */

static void *
ngx_http_binarize_redis_adapter_create_string(const redisReadTask *task,
    char *str, size_t len)
{
    ngx_http_binarize_redis_adapter_t *adapter = task->privdata;

    u_char      *data;
    size_t       size;
    redisReply  *reply;

    reply = adapter->hiredis_functions->createString(task, str, len);

    if (reply == NULL || task->type != REDIS_REPLY_STRING) {
        return reply;
    }

    if (ngx_http_binarize_redis_frame_take(&adapter->frame,
                                           adapter->nstrings++, &data, &size))
    {
        free(reply->str);
        reply->str = (char *) data;
        reply->len = size;
    }

    return reply;
}


static void
ngx_http_binarize_redis_adapter_on_reply(redisAsyncContext *context,
    void *reply, void *data)
{
    ngx_http_binarize_redis_adapter_t *adapter = context->ev.data;

    ngx_http_binarize_redis_call_t *call = data;

    if (reply == NULL) {
        ngx_http_binarize_redis_adapter_notify(adapter);
    }

    adapter->depth++;
    adapter->events->reply(adapter->data, call, reply);
    adapter->depth--;
}


void
ngx_http_binarize_redis_adapter_close(
    ngx_http_binarize_redis_adapter_t *adapter, const char *reason)
{
    if (adapter->closing || adapter->closed) {
        return;
    }

    ngx_http_binarize_redis_adapter_fail(adapter, reason);

    adapter->depth++;
    ngx_http_binarize_redis_adapter_leave(adapter);
}


/* the first reason counts */

static void
ngx_http_binarize_redis_adapter_fail(ngx_http_binarize_redis_adapter_t *adapter,
    const char *reason)
{
    if (adapter->closing) {
        return;
    }

    adapter->closing = 1;
    ngx_cpystrn((u_char *) adapter->reason, (u_char *) reason,
                sizeof(adapter->reason));
}


/* the end of everything that may have made the connection unusable */

static void
ngx_http_binarize_redis_adapter_leave(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    if (--adapter->depth) {
        return;
    }

    if (adapter->closing && !adapter->dead) {

        adapter->depth++;

        ngx_http_binarize_redis_adapter_notify(adapter);
        redisAsyncFree(adapter->context);

        adapter->depth--;
    }

    if (adapter->dead) {
        ngx_free(adapter);
    }
}


static void
ngx_http_binarize_redis_adapter_notify(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    if (adapter->closed) {
        return;
    }

    adapter->closed = 1;

    if (adapter->reason[0] == '\0') {
        ngx_cpystrn((u_char *) adapter->reason,
                    (u_char *) (adapter->context->c.errstr[0]
                                ? adapter->context->c.errstr
                                : "internal error"),
                    sizeof(adapter->reason));
    }

    adapter->events->closed(adapter->data, adapter->reason);
}


/* hiredis frees its context after this; all callbacks were called */

static void
ngx_http_binarize_redis_adapter_on_cleanup(void *data)
{
    ngx_http_binarize_redis_adapter_t *adapter = data;

    ngx_connection_t  *c;

    ngx_http_binarize_redis_adapter_notify(adapter);

    c = adapter->connection;

    adapter->context->c.fd = -1;
    adapter->context->c.reader->fn = adapter->hiredis_functions;
    if (adapter->flush.posted) {
        ngx_delete_posted_event(&adapter->flush);
    }

#if (NGX_SSL)
    if (adapter->tls) {
        ngx_http_binarize_redis_tls_free(c);
    }
#endif

    ngx_close_connection(c);

    ngx_http_binarize_redis_output_free(&adapter->output);

    ngx_http_binarize_redis_frame_done(&adapter->frame);

    adapter->dead = 1;

    if (adapter->depth == 0) {
        ngx_free(adapter);
    }
}
