
#include "cloud/call_private.h"


/* body of an answer other than 200 that is read to keep the connection */
#define NGX_HTTP_BINARIZE_MAX_DISCARD  65536

/* bytes taken from one connection before others have their turn */
#define NGX_HTTP_BINARIZE_TURN_SIZE    131072


static ngx_int_t ngx_http_binarize_call_consume(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, u_char *p, off_t size);
static void ngx_http_binarize_call_share_buffer(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_filter_chunked(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, u_char *p, size_t size);
static ngx_int_t ngx_http_binarize_call_body(ngx_http_binarize_call_t *call,
    u_char *p, size_t size);
static void ngx_http_binarize_call_body_end(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_yield(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, size_t size);
static void ngx_http_binarize_call_on_resume(ngx_event_t *ev);


/*
 * What is read of a body is consumed before the next read: one buffer is
 * enough for all calls of a worker.
 */
static u_char  ngx_http_binarize_call_buffer[65536];


/* RFC 9112 6.3 */

ngx_int_t
ngx_http_binarize_call_filter_init(void *data)
{
    ngx_http_request_t  *r = data;

    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    u = r->upstream;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    if (call->problem != BINARIZE_PROBLEM_NONE) {
        return NGX_ERROR;
    }

    if (call->status == NGX_HTTP_NO_CONTENT
        || call->status == NGX_HTTP_NOT_MODIFIED)
    {
        u->length = 0;

    } else if (call->chunked) {
        u->length = 1;

    } else {
        u->length = call->content_length_n;      /* -1: until it closes */
    }

    if (u->length == 0) {
        call->extra = (u->buffer.pos != u->buffer.last);
        ngx_http_binarize_call_body_end(r, call);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_call_filter(void *data, ssize_t bytes)
{
    ngx_http_request_t  *r = data;

    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    u = r->upstream;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    if (u->length == 0) {
        /* bytes behind the end: seen by filter_init or body_end */
        return NGX_OK;
    }

    ngx_http_binarize_call_yield(r, call, bytes);

    if (ngx_http_binarize_call_consume(r, call, u->buffer.last, bytes)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (u->length) {
        ngx_http_binarize_call_share_buffer(r);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_call_consume(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, u_char *p, off_t size)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (call->chunked) {
        return ngx_http_binarize_call_filter_chunked(r, call, p, size);
    }

    if (u->length != -1 && size > u->length) {
        size = u->length;
        call->extra = 1;
    }

    if (ngx_http_binarize_call_body(call, p, size) != NGX_OK) {
        return NGX_ERROR;
    }

    if (u->length == -1) {
        return NGX_OK;
    }

    u->length -= size;

    if (u->length == 0) {
        ngx_http_binarize_call_body_end(r, call);
    }

    return NGX_OK;
}


/* the call's own one was for the header */

static void
ngx_http_binarize_call_share_buffer(ngx_http_request_t *r)
{
    ngx_buf_t  *b;

    b = &r->upstream->buffer;

    if (b->start == ngx_http_binarize_call_buffer) {
        return;
    }

    (void) ngx_pfree(r->pool, b->start);

    b->start = ngx_http_binarize_call_buffer;
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + sizeof(ngx_http_binarize_call_buffer);
}


static ngx_int_t
ngx_http_binarize_call_filter_chunked(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, u_char *p, size_t size)
{
    off_t      n;
    ngx_int_t  rc;
    ngx_buf_t  b;

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.start = p;
    b.pos = p;
    b.last = p + size;
    b.end = b.last;

    for ( ;; ) {

#if (nginx_version >= 1027002)
        /* 1.27.2: keep_trailers; there are none we would use */
        rc = ngx_http_parse_chunked(r, &b, &call->chunked_ctx, 0);
#else
        rc = ngx_http_parse_chunked(r, &b, &call->chunked_ctx);
#endif

        if (rc == NGX_OK) {
            n = ngx_min(b.last - b.pos, call->chunked_ctx.size);

            if (ngx_http_binarize_call_body(call, b.pos, n) != NGX_OK) {
                return NGX_ERROR;
            }

            b.pos += n;
            call->chunked_ctx.size -= n;

            continue;
        }

        if (rc == NGX_DONE) {
            call->extra = (b.pos != b.last);
            r->upstream->length = 0;
            ngx_http_binarize_call_body_end(r, call);
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        call->problem = BINARIZE_PROBLEM_BAD_RESPONSE;
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "cloud sent an invalid chunked body");

        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_binarize_call_body(ngx_http_binarize_call_t *call, u_char *p,
    size_t size)
{
    if (call->status == NGX_HTTP_OK) {
        return call->body(call, p, size);
    }

    call->discarded += size;

    return (call->discarded > NGX_HTTP_BINARIZE_MAX_DISCARD) ? NGX_ERROR
                                                             : NGX_OK;
}


static void
ngx_http_binarize_call_body_end(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    r->upstream->keepalive = !call->close && !call->extra;
}


/*
 * ngx_http_upstream reads until the socket is empty, and a fast cloud never
 * lets it become empty: stop after a while and go on in the next turn of the
 * event loop.
 */

static void
ngx_http_binarize_call_yield(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, size_t size)
{
    ngx_connection_t  *c;

    call->turn_size += size;

    if (call->turn_size < NGX_HTTP_BINARIZE_TURN_SIZE) {
        return;
    }

    c = r->upstream->peer.connection;

    if (c == NULL || !c->read->ready || c->read->eof || c->read->error) {
        return;
    }

    c->read->ready = 0;

    if (call->resume.posted) {
        return;
    }

    call->resume.handler = ngx_http_binarize_call_on_resume;
    call->resume.data = r;
    call->resume.log = r->connection->log;

    ngx_post_event(&call->resume, &ngx_posted_next_events);
}


static void
ngx_http_binarize_call_on_resume(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_binarize_call_t  *call;

    r = ev->data;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    call->turn_size = 0;

    c = r->upstream->peer.connection;

    if (c == NULL) {
        return;
    }

    c->read->ready = 1;
    c->read->handler(c->read);
}
