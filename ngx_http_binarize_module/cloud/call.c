
#include "cloud/call_private.h"


static void ngx_http_binarize_call_stop(ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_on_job_start(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_call_resolve(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_on_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_binarize_call_cleanup_resolver(void *data);
static void ngx_http_binarize_call_connect(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_on_job_end(void *data);
static ngx_int_t ngx_http_binarize_call_create_request(ngx_http_request_t *r);
static void ngx_http_binarize_call_abort_request(ngx_http_request_t *r);
static void ngx_http_binarize_call_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


/* of this worker, in the air */
static ngx_queue_t  ngx_http_binarize_calls = {
    &ngx_http_binarize_calls, &ngx_http_binarize_calls
};
static ngx_uint_t   ngx_http_binarize_stopped;


ngx_http_binarize_call_t *
ngx_http_binarize_call_create(ngx_http_binarize_cloud_conf_t *conf,
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
        ngx_http_binarize_job_abandon(job);
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
    ngx_http_binarize_job_abandon(call->job);
}


ngx_int_t
ngx_http_binarize_call_start(ngx_http_binarize_call_t *call)
{
    if (ngx_http_binarize_job_start(call->job, call,
                                    ngx_http_binarize_call_on_job_start,
                                    ngx_http_binarize_call_on_job_end, call)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&ngx_http_binarize_calls, &call->queue);

    return NGX_OK;
}


void
ngx_http_binarize_call_stop_all(void)
{
    ngx_queue_t  *q, *next;

    ngx_http_binarize_stopped = 1;

    for (q = ngx_queue_head(&ngx_http_binarize_calls);
         q != ngx_queue_sentinel(&ngx_http_binarize_calls);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_http_binarize_call_stop(ngx_queue_data(q, ngx_http_binarize_call_t,
                                                   queue));
    }
}


ngx_uint_t
ngx_http_binarize_call_stopped(void)
{
    return ngx_http_binarize_stopped;
}


/* nginx's upstream gives up for one reason only that is not another try's */

static void
ngx_http_binarize_call_stop(ngx_http_binarize_call_t *call)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = call->job->request;
    u = r->upstream;
    c = u ? u->peer.connection : NULL;

    if (c == NULL && call->resolver_ctx == NULL) {
        /* it is over, and about to say so */
        return;
    }

    call->end = BINARIZE_END_STOPPED;

    ngx_log_error(NGX_LOG_NOTICE, &call->job->log, 0,
                  "call is given up: worker_shutdown_timeout has passed");

    /* it is not the upstream that timed out */

    call->job->log.log_level = NGX_LOG_ALERT;

    if (c == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_GATEWAY_TIME_OUT);
        ngx_http_binarize_job_run_posted(call->job);
        return;
    }

    u->peer.tries = 0;

    c->read->timedout = 1;
    c->write->timedout = 1;
    c->read->handler(c->read);
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

    call->peer.cloud = call->conf->cloud;
    call->peer.name = call->ssl_name;
    call->peer.inner = call->target->upstream;
    call->peer.reuse = !call->post && !call->fresh;
    call->peer.try_again = call->try_again;
    call->peer.not_tried = call->not_tried;
    call->peer.try_data = call->data;

    if (call->max_tries) {
        call->upstream_conf.next_upstream_tries = call->max_tries;
    }

    if (call->peer.inner == NULL) {
        if (ngx_http_binarize_call_resolve(r, call) != NGX_OK) {
            call->problem = BINARIZE_PROBLEM_UNREACHABLE;
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

        call->problem = BINARIZE_PROBLEM_UNREACHABLE;
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

    ngx_queue_remove(&call->queue);

    if (call->resume.posted) {
        ngx_delete_posted_event(&call->resume);
    }

    /* a body that was cut short ends the job with NGX_OK all the same */

    rc = (call->job->rc == NGX_OK) ? call->rc : call->job->rc;
    call->tries = call->peer.tries;
    call->tries_left = call->peer.tries_left;

    if (!call->head_done) {
        call->status = 0;
    }

    if (call->end != BINARIZE_END_STOPPED) {
        call->end = (rc == NGX_OK) ? BINARIZE_END_WHOLE
                    : (rc == NGX_HTTP_GATEWAY_TIME_OUT) ? BINARIZE_END_TIMEOUT
                    : (rc == NGX_HTTP_BAD_GATEWAY
                       || (rc == NGX_ERROR && call->head_done))
                      ? BINARIZE_END_BROKEN : BINARIZE_END_FAILED;
    }

    call->problem = binarize_outcome_problem(call->end, call->problem,
                                             call->status);

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


ngx_int_t
ngx_http_binarize_call_reinit_request(ngx_http_request_t *r)
{
    ngx_http_binarize_call_t  *call;

    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    r->state = 0;

    ngx_memzero(&call->status_line, sizeof(ngx_http_status_t));
    ngx_memzero(&call->chunked_ctx, sizeof(ngx_http_chunked_t));

    call->status = 0;
    call->problem = BINARIZE_PROBLEM_NONE;
    call->retry_after_s = -1;
    call->content_length_n = -1;
    call->status_done = 0;
    call->head_done = 0;
    call->chunked = 0;
    call->close = 0;
    call->encoded = 0;

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

    call->rc = rc;

    if (rc != NGX_OK
        || !call->head_done
        || call->status != NGX_HTTP_OK
        || call->problem != BINARIZE_PROBLEM_NONE
        || call->whole == NULL)
    {
        return;
    }

    /* before the connection is given back */

    if (call->whole(call) != NGX_OK) {
        r->upstream->keepalive = 0;
    }
}
