
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/async.h>
#include "ngx_http_binarize_redis_adapter_private.h"


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


void
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
