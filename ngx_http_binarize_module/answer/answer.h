
#ifndef _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_


#include "answer/conf.h"
#include "flight/flight.h"


typedef struct ngx_http_binarize_stream_s  ngx_http_binarize_stream_t;


/* one client request */
typedef struct {
    ngx_http_request_t            *request;
    ngx_http_binarize_answer_conf_t  *conf;
    u_char                         key[BINARIZE_STORE_KEY_SIZE];
    u_char                         guid[BINARIZE_GUID_SIZE];
    binarize_format_e              format;

    ngx_http_binarize_waiter_t     waiter;

    ngx_http_binarize_result_t    *result;     /* what it is answered with,
                                                  NULL: or was */
    ngx_http_binarize_stream_t    *stream;     /* being sent */

    ngx_msec_t                     waited_ms;
    binarize_task_status_e         task_status;

    unsigned                       has_guid:1;
    unsigned                       has_status:1;
    unsigned                       vary:1;
    unsigned                       prefer:1;   /* Prefer: wait was applied */
    unsigned                       headed:1;   /* its headers are set */
} ngx_http_binarize_ctx_t;


/* the content handler of a gateway */
ngx_int_t ngx_http_binarize_handler(ngx_http_request_t *r);

/*
 * Whether what the request's URL is answered with depends on Accept: it has
 * neither a suffix nor an argument "format".
 */
ngx_uint_t ngx_http_binarize_varies(ngx_http_request_t *r);

/*
 * Sends what the request is answered with, headers and body; keeps a
 * reference to the result as long as the body needs it.  Once a request.
 * Returns what a content handler returns.
 */
ngx_int_t ngx_http_binarize_answer(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);

/* nothing more of the result will be sent */
void ngx_http_binarize_answer_give_back(ngx_http_binarize_ctx_t *ctx);

/* a problem of the request itself: no cache was asked */
ngx_int_t ngx_http_binarize_answer_problem(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, binarize_problem_e problem);


/*
 * header.c; each returns NGX_ERROR if there is no memory.
 */

/* installs the filter that looks after what nginx itself answers here */
void ngx_http_binarize_header_init_filter(void);

/* takes back what another location has set before an internal redirect */
void ngx_http_binarize_header_reset(ngx_http_request_t *r);

/* NULL: no memory.  name, a literal, and value live as long as the request */
#define ngx_http_binarize_header_push(r, name, value)                         \
    ngx_http_binarize_header_add(r, name, sizeof(name) - 1, value)

ngx_table_elt_t *ngx_http_binarize_header_add(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);

/* what all answers have; without a result no Cache-Status */
ngx_int_t ngx_http_binarize_header_common(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);

/* Cache-Control; once more: another value for it */
ngx_int_t ngx_http_binarize_header_cache_control(ngx_http_request_t *r,
    ngx_str_t *value);

/* Cache-Control of all but a result: only NotExist may be kept, for a while */
ngx_int_t ngx_http_binarize_header_expiry(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result);

/* at least one second is said */
ngx_int_t ngx_http_binarize_header_retry_after(ngx_http_request_t *r,
    time_t seconds);

/* the strong ETag of BINARIZE_ETAG_SIZE hex digits */
ngx_int_t ngx_http_binarize_header_etag(ngx_http_request_t *r, u_char *etag);

ngx_int_t ngx_http_binarize_header_last_modified(ngx_http_request_t *r,
    time_t time);


/*
 * body.c
 */

/* the first bytes of the PNG, which will be sent, into the processor's cache */
void ngx_http_binarize_body_prefetch(ngx_http_binarize_result_t *result);

/* sends the body of a result, after the header; as .._stream_send() */
ngx_int_t ngx_http_binarize_body_send(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx);

/*
 * The PNG's pieces where they lie: they stay until the request's pool is gone.
 * NULL: no memory.
 */
ngx_chain_t *ngx_http_binarize_body_png(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result);


/*
 * stream.c: a body that is made a window at a time, when the client has taken
 * the one before: the cloud's own document, with the payload put back into
 * its place as base64 text, or a PNG whose memory is scarce.
 */

/* of the whole document, in bytes */
off_t ngx_http_binarize_json_size(ngx_http_binarize_result_t *result);

/*
 * Sends the body, after the header.  undivided: a PNG of which several ranges
 * are asked for; it is sent when there is a copy of it.
 * Returns what a content handler returns: NGX_DONE if the rest follows as the
 * client takes it; the request is then finalized from there.
 */
ngx_int_t ngx_http_binarize_stream_send(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t undivided);


/*
 * problem.c: the status of a problem, and its document, by RFC 9457.
 */

ngx_uint_t ngx_http_binarize_problem_status(
    binarize_problem_e problem);

/* result may be NULL; NGX_ERROR: no memory */
ngx_int_t ngx_http_binarize_problem_body(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    binarize_problem_e problem, ngx_str_t *body);


#endif /* _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_ */
