
#include "cloud/fetch.h"
#include "cloud/job_pool.h"


/*
 * What a call takes of its job's pool besides, nginx' part of it measured;
 * what is more comes from the heap.
 */
#define NGX_HTTP_BINARIZE_JOB_ROOM                                            \
    (sizeof(ngx_http_binarize_call_t) + sizeof(ngx_http_binarize_fetch_t)     \
     + sizeof(ngx_http_upstream_t) + 1280)


/*
 * Kept in the pool for the end: when nginx has no memory to post the main
 * request it frees that by its own means, as a client's.
 */
#define NGX_HTTP_BINARIZE_JOB_RESERVE                                         \
    ngx_align(sizeof(ngx_http_posted_request_t) + NGX_ALIGNMENT,              \
              NGX_POOL_ALIGNMENT)


/* r->request_line.data of a job's main request points here */
static u_char  ngx_http_binarize_job_mark[] = "";


static ngx_http_request_t *ngx_http_binarize_job_main(
    ngx_http_binarize_job_t *job, ngx_http_binarize_cloud_conf_t *conf);
static ngx_http_request_t *ngx_http_binarize_job_subrequest(
    ngx_http_binarize_job_t *job);
static ngx_int_t ngx_http_binarize_job_headers_out(ngx_http_request_t *r);
static void ngx_http_binarize_job_connection(ngx_http_binarize_job_t *job);
static void ngx_http_binarize_job_on_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_job_on_subrequest(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static void ngx_http_binarize_job_on_main(ngx_http_request_t *r);
static void ngx_http_binarize_job_on_end(ngx_event_t *ev);
static void ngx_http_binarize_job_destroy(ngx_http_binarize_job_t *job);
static u_char *ngx_http_binarize_job_log(ngx_log_t *log, u_char *buf,
    size_t len);
static ngx_int_t ngx_http_binarize_job_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_job_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_http_binarize_job_t *
ngx_http_binarize_job_create(ngx_http_binarize_cloud_conf_t *conf)
{
    size_t                      size;
    ngx_pool_t                 *pool;
    ngx_http_binarize_job_t    *job;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = conf->job_main_conf[ngx_http_core_module.ctx_index];

    size = sizeof(ngx_pool_t) + sizeof(*job) + 2 * sizeof(ngx_http_request_t)
           + ngx_http_max_module * sizeof(void *)
           + cmcf->variables.nelts * sizeof(ngx_http_variable_value_t)
           + NGX_HTTP_BINARIZE_JOB_ROOM + NGX_HTTP_BINARIZE_JOB_RESERVE;

    pool = ngx_http_binarize_job_pool_create(size, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    job = ngx_pcalloc(pool, sizeof(*job));
    if (job == NULL) {
        ngx_http_binarize_job_pool_destroy(pool);
        return NULL;
    }

    job->pool = pool;

    pool->d.end -= NGX_HTTP_BINARIZE_JOB_RESERVE;
    job->reserved = 1;

    job->log = *ngx_cycle->log;
    job->log.data = job;
    job->log.handler = ngx_http_binarize_job_log;
    job->log.action = NULL;
    pool->log = &job->log;

    job->log_ctx.connection = &job->connection;

    job->conf_ctx.main_conf = conf->job_main_conf;
    job->conf_ctx.srv_conf = conf->job_srv_conf;
    job->conf_ctx.loc_conf = conf->job_loc_conf;
    job->http_connection.conf_ctx = &job->conf_ctx;

    ngx_http_binarize_job_connection(job);

    job->main = ngx_http_binarize_job_main(job, conf);
    if (job->main == NULL) {
        ngx_http_binarize_job_pool_destroy(pool);
        return NULL;
    }

    job->connection.data = job->main;
    job->log_ctx.request = job->main;

    return job;
}


/*
 * A connection nobody is behind: always writable, never read, on no event
 * queue.  "active" keeps ngx_http_upstream_init() from adding the write event
 * with edge-triggered methods, "ready" keeps everybody else from it.
 */
static void
ngx_http_binarize_job_connection(ngx_http_binarize_job_t *job)
{
    ngx_connection_t  *c;

    job->sockaddr.sin_family = AF_INET;

    c = &job->connection;

    c->fd = (ngx_socket_t) -1;
    c->pool = job->pool;
    c->log = &job->log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->sockaddr = (struct sockaddr *) &job->sockaddr;
    c->socklen = sizeof(job->sockaddr);
    c->local_sockaddr = (struct sockaddr *) &job->sockaddr;
    c->local_socklen = sizeof(job->sockaddr);
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->read = &job->read;
    c->write = &job->write;

    job->read.data = c;
    job->read.log = &job->log;
    job->write.data = c;
    job->write.log = &job->log;
    job->write.write = 1;

    job->read.ready = 1;
    job->write.ready = 1;
    job->read.active = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? 1 : 0;
    job->write.active = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? 1 : 0;
}


static ngx_http_request_t *
ngx_http_binarize_job_main(ngx_http_binarize_job_t *job,
    ngx_http_binarize_cloud_conf_t *conf)
{
    ngx_time_t                 *tp;
    ngx_http_request_t         *r;
    ngx_http_core_main_conf_t  *cmcf;

    r = ngx_pcalloc(job->pool, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }

    r->pool = job->pool;
    r->signature = NGX_HTTP_MODULE;
    r->connection = &job->connection;
    r->http_connection = &job->http_connection;

    r->main_conf = conf->job_main_conf;
    r->srv_conf = conf->job_srv_conf;
    r->loc_conf = conf->job_loc_conf;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 1,
                      sizeof(ngx_table_elt_t))
        != NGX_OK
        || ngx_http_binarize_job_headers_out(r) != NGX_OK)
    {
        return NULL;
    }

    r->ctx = ngx_pcalloc(r->pool, sizeof(void *) * ngx_http_max_module);
    if (r->ctx == NULL) {
        return NULL;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                        * sizeof(ngx_http_variable_value_t));
    if (r->variables == NULL) {
        return NULL;
    }

    r->main = r;
    r->count = 1;

    tp = ngx_timeofday();
    r->start_sec = tp->sec;
    r->start_msec = tp->msec;

    r->method = NGX_HTTP_GET;
    r->method_name = ngx_http_core_get_method;
    r->http_version = NGX_HTTP_VERSION_11;
    r->request_line.data = ngx_http_binarize_job_mark;

    r->headers_in.content_length_n = -1;
    r->headers_in.keep_alive_n = -1;
    r->headers_out.content_length_n = -1;
    r->headers_out.last_modified_time = -1;

    r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
    r->subrequests = NGX_HTTP_MAX_SUBREQUESTS + 1;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->internal = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_binarize_job_on_write;

    return r;
}


ngx_int_t
ngx_http_binarize_job_start(ngx_http_binarize_job_t *job, void *module_ctx,
    ngx_http_event_handler_pt start, ngx_http_binarize_job_handler_pt handler,
    void *data)
{
    ngx_http_request_t  *sr;

    job->handler = handler;
    job->data = data;

    sr = ngx_http_binarize_job_subrequest(job);

    if (sr == NULL || ngx_http_post_request(sr, NULL) != NGX_OK) {
        ngx_http_binarize_job_destroy(job);
        return NGX_ERROR;
    }

    sr->write_event_handler = start;
    ngx_http_set_ctx(sr, module_ctx, ngx_http_binarize_module);

    job->request = sr;

    job->main->write_event_handler = ngx_http_binarize_job_on_main;

    ngx_http_run_posted_requests(&job->connection);

    return NGX_OK;
}


/*
 * As ngx_http_subrequest() with NGX_HTTP_SUBREQUEST_WAITED, but without room
 * for headers, which nobody sends: it is kept small.
 */

static ngx_http_request_t *
ngx_http_binarize_job_subrequest(ngx_http_binarize_job_t *job)
{
    ngx_http_request_t            *r, *sr;
    ngx_http_postponed_request_t  *pr;

    r = job->main;

    sr = ngx_palloc(job->pool, sizeof(*sr));
    pr = ngx_pcalloc(job->pool, sizeof(*pr));

    if (sr == NULL || pr == NULL) {
        return NULL;
    }

    *sr = *r;

    if (ngx_http_binarize_job_headers_out(sr) != NGX_OK) {
        return NULL;
    }

    job->post_subrequest.handler = ngx_http_binarize_job_on_subrequest;
    job->post_subrequest.data = job;

    sr->parent = r;
    sr->post_subrequest = &job->post_subrequest;
    sr->count = 0;
    sr->subrequests--;
    sr->waited = 1;
    sr->read_event_handler = ngx_http_request_empty_handler;

    ngx_str_set(&sr->uri, "/");

    pr->request = sr;
    r->postponed = pr;
    r->count++;

    job->connection.data = sr;

    return sr;
}


static ngx_int_t
ngx_http_binarize_job_headers_out(ngx_http_request_t *r)
{
    if (ngx_list_init(&r->headers_out.headers, r->pool, 1,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_list_init(&r->headers_out.trailers, r->pool, 1,
                         sizeof(ngx_table_elt_t));
}


void
ngx_http_binarize_job_run_posted(ngx_http_binarize_job_t *job)
{
    ngx_http_run_posted_requests(&job->connection);
}


static void
ngx_http_binarize_job_on_write(ngx_http_request_t *r)
{
    /* the main request has nothing to write */
}


/* whatever the outcome, the subrequest ends here and no page is made of it */

static ngx_int_t
ngx_http_binarize_job_on_subrequest(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_binarize_job_t  *job = data;

    job->rc = rc;

    /* ngx_http_finalize_request() posts the main request next */

    if (job->reserved) {
        job->reserved = 0;
        job->pool->d.end += NGX_HTTP_BINARIZE_JOB_RESERVE;
        job->pool->current = job->pool;
    }

    return NGX_OK;
}


static void
ngx_http_binarize_job_on_main(ngx_http_request_t *r)
{
    ngx_http_binarize_job_t  *job;

    job = (ngx_http_binarize_job_t *) r->connection->log->data;

    if (!job->request->done) {
        return;
    }

    /* the request is still on the call stack: end from an event */

    r->write_event_handler = ngx_http_binarize_job_on_write;

    job->end.handler = ngx_http_binarize_job_on_end;
    job->end.data = &job->connection;
    job->end.log = &job->log;

    ngx_post_event(&job->end, &ngx_posted_events);
}


static void
ngx_http_binarize_job_on_end(ngx_event_t *ev)
{
    ngx_connection_t         *c;
    ngx_http_binarize_job_t  *job;

    c = ev->data;
    job = (ngx_http_binarize_job_t *) c->log->data;

    job->handler(job->data);

    ngx_http_binarize_job_destroy(job);
}


static void
ngx_http_binarize_job_destroy(ngx_http_binarize_job_t *job)
{
    ngx_http_cleanup_t  *cln;

    for (cln = job->main->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    ngx_http_binarize_job_abandon(job);
}


void
ngx_http_binarize_job_abandon(ngx_http_binarize_job_t *job)
{
    ngx_pool_t  *pool;

    /* the log lives in the pool */

    pool = job->pool;
    pool->log = ngx_cycle->log;
    ngx_http_binarize_job_pool_destroy(pool);
}


ngx_http_binarize_job_t *
ngx_http_binarize_job_of(ngx_http_request_t *r)
{
    if (r->main->request_line.data != ngx_http_binarize_job_mark) {
        return NULL;
    }

    return (ngx_http_binarize_job_t *) r->connection->log->data;
}


static u_char *
ngx_http_binarize_job_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                   *p;
    ngx_http_request_t       *r;
    ngx_http_upstream_t      *u;
    ngx_http_binarize_job_t  *job;

    job = log->data;
    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    r = job->request;
    u = r ? r->upstream : NULL;

    if (u && u->peer.name) {
        p = ngx_snprintf(buf, len, ", upstream: %V", u->peer.name);
        len -= p - buf;
        buf = p;
    }

    if (job->subject.len) {
        p = ngx_snprintf(buf, len, ", binarize: %V", &job->subject);
    }

    return p;
}


void
ngx_http_binarize_job_init_filters(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_binarize_job_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_binarize_job_body_filter;
}


static ngx_int_t
ngx_http_binarize_job_header_filter(ngx_http_request_t *r)
{
    if (ngx_http_binarize_job_of(r) == NULL) {
        return ngx_http_next_header_filter(r);
    }

    r->header_sent = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_job_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (ngx_http_binarize_job_of(r) == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    return NGX_OK;
}
