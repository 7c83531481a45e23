
#ifndef _NGX_HTTP_BINARIZE_HTTP_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_HTTP_H_INCLUDED_


#include "cloud/job.h"
#include "cloud/peer.h"
#include "core/outcome.h"


/*
 * One HTTP/1.1 exchange with the cloud, on a job: framing, interim answers,
 * truncation, time-outs.  What the body means is for the caller to say.
 */
typedef struct ngx_http_binarize_call_s  ngx_http_binarize_call_t;

struct ngx_http_binarize_call_s {
    /* the caller's, all strings in job->pool */
    ngx_http_binarize_job_t        *job;
    ngx_http_binarize_cloud_conf_t   *conf;
    ngx_http_binarize_target_t     *target;
    ngx_str_t                       request;      /* head and body */
    ngx_str_t                       ssl_name;     /* SNI and verified name */

    /*
     * A further try is to be made: NGX_DECLINED, not now; it was not made
     * after all.  May be NULL.
     */
    ngx_int_t                     (*try_again)(void *data);
    void                          (*not_tried)(void *data);

    ngx_uint_t                      max_tries;    /* 0: as configured */
    unsigned                        post:1;       /* not to be repeated */
    unsigned                        fresh:1;      /* on a new connection */

    /*
     * A piece of the body of a 200 answer; NGX_ERROR ends the exchange.
     * The bodies of other answers are passed over.
     */
    ngx_int_t                     (*body)(ngx_http_binarize_call_t *call,
                                          u_char *data, size_t size);

    /*
     * The body of a 200 answer is whole; NGX_ERROR: with problem set, the
     * connection is closed.  May be NULL.
     */
    ngx_int_t                     (*whole)(ngx_http_binarize_call_t *call);

    /* called once, from the event loop; the job is destroyed afterwards */
    void                          (*done)(ngx_http_binarize_call_t *call);
    void                           *data;

    /*
     * The answer.  Until done() problem is what body() and whole() have set,
     * or what was seen of the head; then binarize_outcome_problem() of it.
     */
    binarize_end_e                  end;
    binarize_problem_e              problem;
    ngx_uint_t                      status;       /* 0: no head */
    time_t                          retry_after_s; /* -1: none */
    const char                     *reason;       /* for the log */
    ngx_uint_t                      tries;
    ngx_uint_t                      tries_left;   /* of which the turn was
                                                     not there; 0: none */

    /* implementation */
    ngx_http_upstream_conf_t        upstream_conf;
    ngx_http_binarize_peer_t        peer;
    ngx_resolver_ctx_t             *resolver_ctx;
    ngx_http_status_t               status_line;
    ngx_http_chunked_t              chunked_ctx;
    off_t                           content_length_n;
    size_t                          discarded;
    size_t                          turn_size;    /* read in one go */
    ngx_event_t                     resume;
    ngx_int_t                       rc;           /* of the upstream */

    unsigned                        status_done:1;
    unsigned                        head_done:1;
    unsigned                        chunked:1;
    unsigned                        close:1;
    unsigned                        extra:1;      /* bytes behind the end */
    unsigned                        encoded:1;

    ngx_queue_t                     queue;        /* of this worker's */
};


/*
 * A call in a job of its own, zeroed; conf, target and job are set.
 * NULL: no memory.
 */
ngx_http_binarize_call_t *ngx_http_binarize_call_create(
    ngx_http_binarize_cloud_conf_t *conf, ngx_http_binarize_target_t *target);

/* gives back a call that was never started */
void ngx_http_binarize_call_abandon(ngx_http_binarize_call_t *call);

/*
 * Starts the exchange.  On NGX_ERROR (no memory) done() is not called and
 * the call is gone.
 */
ngx_int_t ngx_http_binarize_call_start(ngx_http_binarize_call_t *call);

/*
 * Ends all calls of this worker, as if the cloud were too slow, but with
 * BINARIZE_END_STOPPED: it is not the cloud's fault.
 */
void ngx_http_binarize_call_stop_all(void);

/* it was called: no more calls are to be started */
ngx_uint_t ngx_http_binarize_call_stopped(void);

/* the response's Content-Length, or -1; valid in body() */
off_t ngx_http_binarize_call_content_length(ngx_http_binarize_call_t *call);


#endif /* _NGX_HTTP_BINARIZE_HTTP_H_INCLUDED_ */
