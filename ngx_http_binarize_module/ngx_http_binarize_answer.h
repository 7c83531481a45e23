
#ifndef _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "ngx_http_binarize_result.h"


/*
 * Sends what the request is answered with, headers and body; keeps a
 * reference to the result until the request's pool is destroyed.  Returns
 * what a content handler returns.
 */
ngx_int_t ngx_http_binarize_answer(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);

/* a problem of the request itself: no cache was asked */
ngx_int_t ngx_http_binarize_answer_problem(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_problem_e problem);


#endif /* _NGX_HTTP_BINARIZE_ANSWER_H_INCLUDED_ */
