
#include "redis/adapter_private.h"
#include "core/decimal.h"


/* a turn of the event loop sends no more on one connection */
#define NGX_HTTP_BINARIZE_REDIS_SEND_TURN  (512 * 1024)

/* what is smaller is copied: it goes out along with what is around it */
#define NGX_HTTP_BINARIZE_REDIS_BORROW     (64 * 1024)

/* "$18446744073709551615\r\n" and the end of the argument */
#define NGX_HTTP_BINARIZE_REDIS_HEADER     (1 + NGX_INT64_LEN + 4)


static ngx_int_t ngx_http_binarize_redis_adapter_queue(
    ngx_http_binarize_redis_adapter_t *adapter, ngx_uint_t argc,
    const char **argv, const size_t *argvlen,
    ngx_http_binarize_redis_body_t *body);
static ngx_int_t ngx_http_binarize_redis_adapter_queue_body(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_body_t *body);
static u_char *ngx_http_binarize_redis_adapter_number(u_char *p, u_char type,
    size_t n);
static ngx_int_t ngx_http_binarize_redis_adapter_expect(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_call_t *call);


ngx_int_t
ngx_http_binarize_redis_adapter_command(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_call_t *call, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_http_binarize_redis_body_t *body)
{
    size_t      queued;
    ngx_uint_t  closing;

    closing = adapter->closing || adapter->closed;
    queued = adapter->output.size;

    if (!closing
        && ngx_http_binarize_redis_adapter_queue(adapter, argc, argv, argvlen,
                                                 body)
           == NGX_OK
        && (call == NULL
            || ngx_http_binarize_redis_adapter_expect(adapter, call) == NGX_OK))
    {
        adapter->position += adapter->output.size - queued;
        return NGX_OK;
    }

    if (!closing) {
        ngx_http_binarize_redis_adapter_fail(adapter, "no memory");

        if (!adapter->flush.posted) {
            ngx_post_event(&adapter->flush, &ngx_posted_events);
        }
    }

    if (body && body->release) {
        body->release(body->data);
        body->release = NULL;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_redis_adapter_queue(
    ngx_http_binarize_redis_adapter_t *adapter, ngx_uint_t argc,
    const char **argv, const size_t *argvlen,
    ngx_http_binarize_redis_body_t *body)
{
    u_char      *p, *start;
    size_t       size;
    ngx_uint_t   i;

    size = (1 + argc) * NGX_HTTP_BINARIZE_REDIS_HEADER;

    for (i = 0; i < argc; i++) {
        size += argvlen[i];
    }

    p = ngx_http_binarize_redis_output_room(&adapter->output, size,
                                            adapter->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    start = p;
    p = ngx_http_binarize_redis_adapter_number(p, '*', argc + (body != NULL));

    for (i = 0; i < argc; i++) {
        p = ngx_http_binarize_redis_adapter_number(p, '$', argvlen[i]);
        p = ngx_cpymem(p, argv[i], argvlen[i]);
        *p++ = CR;
        *p++ = LF;
    }

    ngx_http_binarize_redis_output_add(&adapter->output, p - start);

    return body ? ngx_http_binarize_redis_adapter_queue_body(adapter, body)
                : NGX_OK;
}


/* what was released, or will be, has no release any more */

static ngx_int_t
ngx_http_binarize_redis_adapter_queue_body(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_body_t *body)
{
    u_char      *p, *start;
    size_t       size;
    ngx_uint_t   i, borrow;

    size = 0;

    for (i = 0; i < body->nspans; i++) {
        size += body->spans[i].size;
    }

    borrow = (size >= NGX_HTTP_BINARIZE_REDIS_BORROW);

    p = ngx_http_binarize_redis_output_room(&adapter->output,
                                            NGX_HTTP_BINARIZE_REDIS_HEADER
                                            + (borrow ? 0 : size),
                                            adapter->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    start = p;
    p = ngx_http_binarize_redis_adapter_number(p, '$', size);

    if (borrow) {
        ngx_http_binarize_redis_output_add(&adapter->output, p - start);

        if (ngx_http_binarize_redis_output_borrow(&adapter->output,
                                                  body->spans, body->nspans,
                                                  body->release, body->data,
                                                  adapter->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        body->release = NULL;

        p = ngx_http_binarize_redis_output_room(&adapter->output, 2,
                                                adapter->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        start = p;

    } else {

        for (i = 0; i < body->nspans; i++) {
            p = ngx_cpymem(p, body->spans[i].data, body->spans[i].size);
        }

        body->release(body->data);
        body->release = NULL;
    }

    *p++ = CR;
    *p++ = LF;

    ngx_http_binarize_redis_output_add(&adapter->output, p - start);

    return NGX_OK;
}


static u_char *
ngx_http_binarize_redis_adapter_number(u_char *p, u_char type, size_t n)
{
    *p++ = type;
    p = binarize_decimal(p, n);
    *p++ = CR;
    *p++ = LF;

    return p;
}


/* The next reply that nobody has is the call's: hiredis keeps the order. */

static ngx_int_t
ngx_http_binarize_redis_adapter_expect(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_call_t *call)
{
    redisAsyncContext  *context;

    /* what hiredis sees of a command */
    static const char   tag[] = "*1\r\n$1\r\nX\r\n";

    context = adapter->context;

    if (redisAsyncFormattedCommand(context,
                                   ngx_http_binarize_redis_adapter_on_reply,
                                   call, tag, 0)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    /*
     * 0.14 returns REDIS_OK also where it had no memory for the callback:
     * each would get the reply of the one before.
     */

    if (context->replies.tail == NULL
        || context->replies.tail->privdata != call)
    {
        return NGX_ERROR;
    }

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
ngx_http_binarize_redis_adapter_queued(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->output.size;
}


void
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


/*
 * What is left of a large value goes out in the next turns: that others have
 * theirs is not Redis' silence.
 */

void
ngx_http_binarize_redis_adapter_flush(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    size_t                             left, limit, n;
    uint64_t                           sent;
    ngx_chain_t                       *cl;
    ngx_connection_t                  *c;
    ngx_http_binarize_redis_gather_t   gather;

    c = adapter->connection;
    left = NGX_HTTP_BINARIZE_REDIS_SEND_TURN;

    for ( ;; ) {

        sent = adapter->position - adapter->output.size;
        limit = (size_t) ngx_min(left, adapter->allowed - sent);

        cl = ngx_http_binarize_redis_output_next(&adapter->output, limit,
                                                 &gather);
        if (cl == NULL) {
            break;
        }

        sent = c->sent;

        cl = c->send_chain(c, cl, limit);

        if (cl == NGX_CHAIN_ERROR) {
            ngx_http_binarize_redis_adapter_fail(adapter,
                                                 "connection lost in sending");
            return;
        }

        n = (size_t) (c->sent - sent);
        left -= n;

        adapter->stats->sent += n;
        ngx_http_binarize_redis_output_sent(&adapter->output, n);

        if (!c->write->ready) {
            adapter->blocked = 1;
            break;
        }
    }

    if (left == 0 && !adapter->blocked) {
        adapter->seen = ngx_current_msec;

        if (!adapter->flush.posted) {
            ngx_post_event(&adapter->flush, &ngx_posted_next_events);
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_binarize_redis_adapter_fail(adapter, "cannot add an event");
    }
}
