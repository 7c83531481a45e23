
#include "ngx_http_binarize_http.h"


/* body of an answer other than 200 that is read to keep the connection */
#define NGX_HTTP_BINARIZE_MAX_DISCARD  65536

/* bytes taken from one connection before others have their turn */
#define NGX_HTTP_BINARIZE_TURN_SIZE    131072

/* a Retry-After beyond that is cut: nobody waits for longer */
#define NGX_HTTP_BINARIZE_MAX_RETRY_S  86400


static void ngx_http_binarize_call_on_job_start(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_resolve(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_on_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_binarize_call_cleanup_resolver(void *data);
static void ngx_http_binarize_call_connect(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_on_job_end(void *data);
static ngx_int_t ngx_http_binarize_call_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_process_head(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_parse_status(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static ngx_int_t ngx_http_binarize_call_parse_headers(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static ngx_int_t ngx_http_binarize_call_header(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_binarize_call_head_done(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_retry_after(ngx_http_binarize_call_t *call,
    ngx_str_t *value);
static void ngx_http_binarize_call_abort_request(ngx_http_request_t *r);
static void ngx_http_binarize_call_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_binarize_call_filter_init(void *data);
static ngx_int_t ngx_http_binarize_call_filter(void *data, ssize_t bytes);
static ngx_int_t ngx_http_binarize_call_filter_chunked(
    ngx_http_request_t *r, ngx_http_binarize_call_t *call, u_char *p,
    size_t size);
static ngx_int_t ngx_http_binarize_call_body(ngx_http_binarize_call_t *call,
    u_char *p, size_t size);
static void ngx_http_binarize_call_body_end(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_yield(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, size_t size);
static void ngx_http_binarize_call_on_resume(ngx_event_t *ev);


ngx_http_binarize_call_t *
ngx_http_binarize_call_create(ngx_http_binarize_loc_conf_t *conf,
    ngx_http_binarize_target_t *target)
{
    ngx_http_binarize_job_t   *job;
    ngx_http_binarize_call_t  *call;

    job = ngx_http_binarize_job_create(conf);
    if (job == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(job->pool, sizeof(*call));
    if (call == NULL) {
        ngx_destroy_pool(job->pool);
        return NULL;
    }

    call->job = job;
    call->conf = conf;
    call->target = target;
    call->retry_after_s = -1;
    call->content_length_n = -1;

    return call;
}


void
ngx_http_binarize_call_abandon(ngx_http_binarize_call_t *call)
{
    ngx_pool_t  *pool;

    pool = call->job->pool;
    pool->log = ngx_cycle->log;

    ngx_destroy_pool(pool);
}


ngx_int_t
ngx_http_binarize_call_start(ngx_http_binarize_call_t *call)
{
    return ngx_http_binarize_job_start(call->job, call,
                                       ngx_http_binarize_call_on_job_start,
                                       ngx_http_binarize_call_on_job_end,
                                       call);
}


static void
ngx_http_binarize_call_on_job_start(ngx_http_request_t *r)
{
    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    /* a write event must not start it twice */
    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_upstream_create(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    u = r->upstream;

    call->upstream_conf = call->conf->upstream;
    call->upstream_conf.upstream = &call->peer.upstream;
#if (NGX_HTTP_SSL)
    call->upstream_conf.ssl_name = NULL;     /* evaluated by the caller */
#endif

    u->conf = &call->upstream_conf;
    u->output.tag = (ngx_buf_tag_t) &ngx_http_binarize_module;
    u->buffering = 0;
    u->uri = call->target->uri;

#if (NGX_HTTP_SSL)
    u->ssl = call->target->ssl;
    if (u->ssl) {
        call->peer.ssl = call->conf->upstream.ssl;
        ngx_str_set(&u->schema, "https://");

    } else
#endif
    {
        ngx_str_set(&u->schema, "http://");
    }

    u->create_request = ngx_http_binarize_call_create_request;
    u->reinit_request = ngx_http_binarize_call_reinit_request;
    u->process_header = ngx_http_binarize_call_process_head;
    u->abort_request = ngx_http_binarize_call_abort_request;
    u->finalize_request = ngx_http_binarize_call_finalize_request;

    u->input_filter_init = ngx_http_binarize_call_filter_init;
    u->input_filter = ngx_http_binarize_call_filter;
    u->input_filter_ctx = r;

    if (call->post) {
        r->method = NGX_HTTP_POST;
    }

    call->peer.main_conf = ngx_http_get_module_main_conf(r,
                                                   ngx_http_binarize_module);
    call->peer.name = call->ssl_name;
    call->peer.inner = call->target->upstream;
    call->peer.reuse = !call->post;

    if (call->peer.inner == NULL) {
        if (ngx_http_binarize_call_resolve(r, call) != NGX_OK) {
            call->problem = NGX_HTTP_BINARIZE_UNREACHABLE;
            ngx_http_finalize_request(r, NGX_HTTP_BAD_GATEWAY);
        }

        return;
    }

    ngx_http_binarize_call_connect(r, call);
}


static ngx_int_t
ngx_http_binarize_call_resolve(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_http_cleanup_t        *cln;
    ngx_resolver_ctx_t        *ctx, temp;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    temp.name = call->target->host;

    ctx = ngx_resolve_start(clcf->resolver, &temp);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx == NGX_NO_RESOLVER) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no resolver defined to resolve \"%V\"",
                      &call->target->host);
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_resolve_name_done(ctx);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_binarize_call_cleanup_resolver;
    cln->data = call;

    ctx->name = call->target->host;
    ctx->handler = ngx_http_binarize_call_on_resolved;
    ctx->data = call;
    ctx->timeout = clcf->resolver_timeout;

    call->resolver_ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        call->resolver_ctx = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_binarize_call_on_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_http_request_t            *r;
    ngx_http_binarize_call_t      *call;
    ngx_http_upstream_resolved_t  *ur;

    call = ctx->data;
    r = call->job->request;

    if (ctx->state) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%V could not be resolved (%i: %s)",
                      &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));

        ngx_resolve_name_done(ctx);
        call->resolver_ctx = NULL;

        call->problem = NGX_HTTP_BINARIZE_UNREACHABLE;
        ngx_http_finalize_request(r, NGX_HTTP_BAD_GATEWAY);
        ngx_http_binarize_job_run_posted(call->job);
        return;
    }

    ur = &call->peer.resolved;

    ur->host = call->target->host;
    ur->port = call->target->port;
    ur->naddrs = ctx->naddrs;
    ur->addrs = ctx->addrs;

    ngx_http_binarize_call_connect(r, call);

    /* the peers hold copies of the addresses now */

    if (call->resolver_ctx) {
        ngx_resolve_name_done(ctx);
        call->resolver_ctx = NULL;
    }

    ngx_http_binarize_job_run_posted(call->job);
}


static void
ngx_http_binarize_call_cleanup_resolver(void *data)
{
    ngx_http_binarize_call_t  *call = data;

    if (call->resolver_ctx) {
        ngx_resolve_name_done(call->resolver_ctx);
        call->resolver_ctx = NULL;
    }
}


static void
ngx_http_binarize_call_connect(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_http_binarize_peer_init(&call->peer);

    ngx_http_upstream_init(r);
}


static void
ngx_http_binarize_call_on_job_end(void *data)
{
    ngx_http_binarize_call_t  *call = data;

    ngx_int_t  rc;

    if (call->resume.posted) {
        ngx_delete_posted_event(&call->resume);
    }

    rc = call->job->rc;
    call->tries = call->peer.tries;

    if (!call->head_done) {
        call->status = 0;
    }

    if (call->problem != NGX_HTTP_BINARIZE_OK) {
        goto done;
    }

    if (rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        call->problem = NGX_HTTP_BINARIZE_TIMEOUT;

    } else if (call->status == 0) {
        call->problem = (rc == NGX_HTTP_BAD_GATEWAY)
                        ? NGX_HTTP_BINARIZE_UNREACHABLE
                        : NGX_HTTP_BINARIZE_INTERNAL;

    } else if (call->status == NGX_HTTP_OK && rc != NGX_OK) {
        call->problem = (rc == NGX_HTTP_BAD_GATEWAY || rc == NGX_ERROR)
                        ? NGX_HTTP_BINARIZE_TRUNCATED
                        : NGX_HTTP_BINARIZE_INTERNAL;
    }

done:

    call->done(call);
}


off_t
ngx_http_binarize_call_content_length(ngx_http_binarize_call_t *call)
{
    return call->chunked ? -1 : call->content_length_n;
}


static ngx_int_t
ngx_http_binarize_call_create_request(ngx_http_request_t *r)
{
    ngx_buf_t                 *b;
    ngx_chain_t               *cl;
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b->start = call->request.data;
    b->pos = b->start;
    b->last = b->start + call->request.len;
    b->end = b->last;
    b->memory = 1;
    b->flush = 1;

    cl->buf = b;
    cl->next = NULL;

    r->upstream->request_bufs = cl;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_call_reinit_request(ngx_http_request_t *r)
{
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    r->state = 0;

    ngx_memzero(&call->status_line, sizeof(ngx_http_status_t));
    ngx_memzero(&call->chunked_ctx, sizeof(ngx_http_chunked_t));

    call->status = 0;
    call->problem = NGX_HTTP_BINARIZE_OK;
    call->retry_after_s = -1;
    call->content_length_n = -1;
    call->status_done = 0;
    call->head_done = 0;
    call->chunked = 0;
    call->close = 0;
    call->encoded = 0;

    return NGX_OK;
}


/* RFC 9112 4 and 5; interim answers (RFC 9110 15.2) are passed over */

static ngx_int_t
ngx_http_binarize_call_process_head(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    for ( ;; ) {

        if (!call->status_done) {
            rc = ngx_http_binarize_call_parse_status(r, call);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = ngx_http_binarize_call_parse_headers(r, call);
        if (rc != NGX_OK) {
            return rc;
        }

        if (call->status_line.code >= 200) {
            return ngx_http_binarize_call_head_done(r, call);
        }

        if (call->status_line.code == NGX_HTTP_SWITCHING_PROTOCOLS) {
            call->problem = NGX_HTTP_BINARIZE_BAD_RESPONSE;
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "cloud switched protocols unasked");
            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        (void) ngx_http_binarize_call_reinit_request(r);
    }
}


static ngx_int_t
ngx_http_binarize_call_parse_status(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    rc = ngx_http_parse_status_line(r, &u->buffer, &call->status_line);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        call->problem = NGX_HTTP_BINARIZE_BAD_RESPONSE;
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "cloud sent no valid HTTP/1 status line");
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    call->status_done = 1;

    if (call->status_line.http_version < NGX_HTTP_VERSION_11) {
        call->close = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_call_parse_headers(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_int_t  rc;
    ngx_str_t  name, value;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &r->upstream->buffer, 1);

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            goto invalid;
        }

        name.data = r->header_name_start;
        name.len = r->header_name_end - r->header_name_start;
        value.data = r->header_start;
        value.len = r->header_end - r->header_start;

        if (ngx_http_binarize_call_header(r, call, &name, &value) != NGX_OK) {
            goto invalid;
        }
    }

invalid:

    call->problem = NGX_HTTP_BINARIZE_BAD_RESPONSE;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "cloud sent an invalid header line");

    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}


#define ngx_http_binarize_call_header_is(name, s)                             \
    ((name)->len == sizeof(s) - 1                                             \
     && ngx_strncasecmp((name)->data, (u_char *) s, sizeof(s) - 1) == 0)


/*
 * Nothing goes into u->headers_in: ngx_http_upstream acts on what is there,
 * and no header of the cloud is passed on.
 */

static ngx_int_t
ngx_http_binarize_call_header(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call, ngx_str_t *name, ngx_str_t *value)
{
    off_t  n;

    if (ngx_http_binarize_call_header_is(name, "Content-Length")) {
        n = ngx_atoof(value->data, value->len);

        /* RFC 9112 6.3: a repeated field must repeat the value */

        if (n == NGX_ERROR
            || (call->content_length_n != -1 && call->content_length_n != n))
        {
            return NGX_ERROR;
        }

        call->content_length_n = n;

    } else if (ngx_http_binarize_call_header_is(name, "Transfer-Encoding")) {

        if (call->chunked
            || !ngx_http_binarize_call_header_is(value, "chunked"))
        {
            return NGX_ERROR;
        }

        call->chunked = 1;

    } else if (ngx_http_binarize_call_header_is(name, "Connection")) {

        if (ngx_strlcasestrn(value->data, value->data + value->len,
                             (u_char *) "close", 5 - 1)
            != NULL)
        {
            call->close = 1;
        }

    } else if (ngx_http_binarize_call_header_is(name, "Content-Encoding")) {

        if (value->len
            && !ngx_http_binarize_call_header_is(value, "identity"))
        {
            call->encoded = 1;
        }

    } else if (ngx_http_binarize_call_header_is(name, "Retry-After")) {
        ngx_http_binarize_call_retry_after(call, value);
    }

    return NGX_OK;
}


/* RFC 9110 10.2.3: seconds or a date */

static void
ngx_http_binarize_call_retry_after(ngx_http_binarize_call_t *call,
    ngx_str_t *value)
{
    time_t  s;

    s = ngx_atotm(value->data, value->len);

    if (s == (time_t) NGX_ERROR) {
        s = ngx_parse_http_time(value->data, value->len);

        if (s == (time_t) NGX_ERROR) {
            return;
        }

        s -= ngx_time();
    }

    call->retry_after_s = ngx_min(ngx_max(s, 0), NGX_HTTP_BINARIZE_MAX_RETRY_S);
}


static ngx_int_t
ngx_http_binarize_call_head_done(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    call->status = call->status_line.code;
    call->head_done = 1;

    u->headers_in.status_n = call->status;

    if (u->state && u->state->status == 0) {
        u->state->status = call->status;
    }

    /* RFC 9112 6.3: chunked overrides a length; such a peer is not trusted
       with another request */

    if (call->chunked && call->content_length_n != -1) {
        call->close = 1;
    }

    if (call->encoded && call->status == NGX_HTTP_OK) {
        call->problem = NGX_HTTP_BINARIZE_BAD_DOCUMENT;
        call->reason = "it has a Content-Encoding";
    }

    return NGX_OK;
}


static void
ngx_http_binarize_call_abort_request(ngx_http_request_t *r)
{
    /* nobody aborts a job */
}


static void
ngx_http_binarize_call_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    if (rc != NGX_OK
        || !call->head_done
        || call->status != NGX_HTTP_OK
        || call->problem != NGX_HTTP_BINARIZE_OK
        || call->whole == NULL)
    {
        return;
    }

    /* before the connection is given back */

    if (call->whole(call) != NGX_OK) {
        r->upstream->keepalive = 0;
    }
}


/* RFC 9112 6.3 */

static ngx_int_t
ngx_http_binarize_call_filter_init(void *data)
{
    ngx_http_request_t  *r = data;

    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    u = r->upstream;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    if (call->problem != NGX_HTTP_BINARIZE_OK) {
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


static ngx_int_t
ngx_http_binarize_call_filter(void *data, ssize_t bytes)
{
    ngx_http_request_t  *r = data;

    off_t                      size;
    u_char                    *p;
    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    u = r->upstream;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    p = u->buffer.last;
    size = bytes;

    if (u->length == 0) {
        /* bytes behind the end: seen by filter_init or body_end */
        return NGX_OK;
    }

    ngx_http_binarize_call_yield(r, call, bytes);

    if (call->chunked) {
        return ngx_http_binarize_call_filter_chunked(r, call, p, bytes);
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

        call->problem = NGX_HTTP_BINARIZE_BAD_RESPONSE;
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
