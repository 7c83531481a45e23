
#ifndef _NGX_HTTP_BINARIZE_JOB_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_JOB_H_INCLUDED_


#include "cloud/conf.h"


/*
 * A request without a client, for a call of our own: a made-up connection and
 * main request, and under it one waited subrequest that owns the upstream.
 * It outlives any client, and a gracefully exiting worker waits for it as
 * long as the upstream's timers run.
 */
typedef struct ngx_http_binarize_job_s  ngx_http_binarize_job_t;

typedef void (*ngx_http_binarize_job_handler_pt)(void *data);

struct ngx_http_binarize_job_s {
    ngx_http_log_ctx_t                 log_ctx;   /* first: log->data */
    ngx_str_t                          subject;   /* for log lines */

    ngx_http_request_t                *request;   /* the subrequest */
    ngx_int_t                          rc;        /* it was finalized with */

    ngx_http_binarize_job_handler_pt   handler;   /* called once, at the end */
    void                              *data;

    ngx_http_request_t                *main;
    ngx_http_post_subrequest_t         post_subrequest;
    ngx_event_t                        end;
    ngx_pool_t                        *pool;
    ngx_log_t                          log;
    ngx_connection_t                   connection;
    ngx_event_t                        read;
    ngx_event_t                        write;
    ngx_http_connection_t              http_connection;
    ngx_http_conf_ctx_t                conf_ctx;
    struct sockaddr_in                 sockaddr;

    unsigned                           reserved:1;  /* room for the end */
};


/*
 * Creates a job in a pool of its own (job->pool; everything of the call may
 * live there) that runs in the context of conf.  NULL: no memory.
 */
ngx_http_binarize_job_t *ngx_http_binarize_job_create(
    ngx_http_binarize_cloud_conf_t *conf);

/*
 * Starts the subrequest: start(r) creates and initiates the upstream, uri
 * stands in log lines.  handler(data) is called once, from the event loop,
 * after the subrequest was finalized; the job is destroyed when it returns.
 * On NGX_ERROR nothing was started and the job is destroyed.
 */
ngx_int_t ngx_http_binarize_job_start(ngx_http_binarize_job_t *job,
    void *module_ctx, ngx_http_event_handler_pt start,
    ngx_http_binarize_job_handler_pt handler, void *data);

/* destroys a job that was not started */
void ngx_http_binarize_job_abandon(ngx_http_binarize_job_t *job);

/* runs what the job's request has posted; after each callback of our own */
void ngx_http_binarize_job_run_posted(ngx_http_binarize_job_t *job);

/* the job a request belongs to, or NULL: for filters */
ngx_http_binarize_job_t *ngx_http_binarize_job_of(ngx_http_request_t *r);

/* keeps header and body filters away from jobs; in postconfiguration */
void ngx_http_binarize_job_init_filters(void);


#endif /* _NGX_HTTP_BINARIZE_JOB_H_INCLUDED_ */
