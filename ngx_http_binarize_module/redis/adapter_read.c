
#include "redis/adapter_private.h"


#define NGX_HTTP_BINARIZE_REDIS_READ_SIZE   65536

/* read along with the rest of a large string: the end of its reply, and the
   beginning of the next one, of which the strings are copied */
#define NGX_HTTP_BINARIZE_REDIS_READ_AHEAD  16384

/* a turn of the event loop reads no more from one connection */
#define NGX_HTTP_BINARIZE_REDIS_READ_TURN   (512 * 1024)


/* exported by hiredis, but declared in its private header only */
void redisProcessCallbacks(redisAsyncContext *ac);


static ngx_int_t ngx_http_binarize_redis_adapter_read(
    ngx_http_binarize_redis_adapter_t *adapter, size_t *left);
static ssize_t ngx_http_binarize_redis_adapter_recv(
    ngx_http_binarize_redis_adapter_t *adapter, u_char *p, size_t size);
static ssize_t ngx_http_binarize_redis_adapter_reply_start(void *data,
    u_char type);
static ngx_int_t ngx_http_binarize_redis_adapter_feed(void *data,
    const u_char *p, size_t size);
static ngx_int_t ngx_http_binarize_redis_adapter_reply_end(void *data);
static void *ngx_http_binarize_redis_adapter_create_string(
    const redisReadTask *task, char *str, size_t len);


/* shared by all connections of a worker */
static u_char  ngx_http_binarize_redis_read_buffer[
                                          NGX_HTTP_BINARIZE_REDIS_READ_SIZE];


void
ngx_http_binarize_redis_adapter_read_init(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    redisReader                            *reader;
    ngx_http_binarize_redis_frame_events_t  frame;

    frame.reply_start = ngx_http_binarize_redis_adapter_reply_start;
    frame.feed = ngx_http_binarize_redis_adapter_feed;
    frame.reply_end = ngx_http_binarize_redis_adapter_reply_end;
    frame.data = adapter;

    ngx_http_binarize_redis_frame_init(&adapter->frame, &frame);

    reader = adapter->context->c.reader;
    adapter->hiredis_functions = reader->fn;
    adapter->functions = *reader->fn;
    adapter->functions.createString =
                                 ngx_http_binarize_redis_adapter_create_string;
    reader->fn = &adapter->functions;
    reader->privdata = adapter;
}


void
ngx_http_binarize_redis_adapter_on_read(ngx_event_t *rev)
{
    size_t                              left;
    ngx_int_t                           rc;
    ngx_connection_t                   *c;
    ngx_http_binarize_redis_adapter_t  *adapter;

    c = rev->data;
    adapter = c->data;

    /* a failed connect() is an event for writing as well */

    if (!adapter->connected) {
        return;
    }

    adapter->depth++;

    left = NGX_HTTP_BINARIZE_REDIS_READ_TURN;

    do {
        rc = ngx_http_binarize_redis_adapter_read(adapter, &left);
    } while (rc == NGX_OK && left && rev->ready);

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
ngx_http_binarize_redis_adapter_read(ngx_http_binarize_redis_adapter_t *adapter,
    size_t *left)
{
    u_char    *p;
    size_t     room, size;
    ssize_t    n;
    ngx_int_t  rc;

    room = ngx_http_binarize_redis_frame_room(&adapter->frame, &p);
    room = ngx_min(room, *left);

    n = ngx_http_binarize_redis_adapter_recv(adapter, p, room);

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

    size = (size_t) n;
    *left -= ngx_min(size, *left);

    if (room) {
        room = ngx_min(room, size);
        size -= room;

        ngx_http_binarize_redis_frame_filled(&adapter->frame, room);

        if (size == 0) {
            return NGX_OK;
        }
    }

    rc = ngx_http_binarize_redis_frame_process(&adapter->frame,
                                          ngx_http_binarize_redis_read_buffer,
                                          size);

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


/* to p as much as has room there, then into the buffer */

static ssize_t
ngx_http_binarize_redis_adapter_recv(ngx_http_binarize_redis_adapter_t *adapter,
    u_char *p, size_t size)
{
    ngx_buf_t          bufs[2];
    ngx_chain_t        chain[2];
    ngx_connection_t  *c;

    c = adapter->connection;

    if (size == 0) {
        return c->recv(c, ngx_http_binarize_redis_read_buffer,
                       NGX_HTTP_BINARIZE_REDIS_READ_SIZE);
    }

    ngx_memzero(bufs, sizeof(bufs));

    bufs[0].last = p;
    bufs[0].end = p + size;
    chain[0].buf = &bufs[0];
    chain[0].next = &chain[1];

    bufs[1].last = ngx_http_binarize_redis_read_buffer;
    bufs[1].end = bufs[1].last + NGX_HTTP_BINARIZE_REDIS_READ_AHEAD;
    chain[1].buf = &bufs[1];
    chain[1].next = NULL;

    return c->recv_chain(c, chain, 0);
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


void
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


size_t
ngx_http_binarize_redis_adapter_reply_size(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->frame.reply_size;
}
