
#include "answer/answer.h"
#include "answer/placeholder.h"
#include "answer/purge.h"


static ngx_int_t ngx_http_binarize_answer_result(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_document(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_pending(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_failure(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    binarize_problem_e problem);
static ngx_uint_t ngx_http_binarize_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_binarize_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *body);


static ngx_str_t  ngx_http_binarize_type_png = ngx_string("image/png");
static ngx_str_t  ngx_http_binarize_type_json = ngx_string("application/json");
static ngx_str_t  ngx_http_binarize_type_problem =
                                       ngx_string("application/problem+json");


ngx_int_t
ngx_http_binarize_answer(ngx_http_request_t *r, ngx_http_binarize_ctx_t *ctx,
    ngx_http_binarize_result_t *result)
{
    result->refs++;
    ctx->result = result;

    if (result->problem != BINARIZE_PROBLEM_NONE) {
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                                result->problem);
    }

    ctx->task_status = result->task_status;
    ctx->has_status = 1;

    if (result->outcome == BINARIZE_RESULT) {
        return ngx_http_binarize_answer_result(r, ctx, result);
    }

    if (ctx->format == BINARIZE_FORMAT_JSON) {
        return ngx_http_binarize_answer_document(r, ctx, result);
    }

    switch (result->outcome) {

    case BINARIZE_PENDING:
        return ngx_http_binarize_answer_pending(r, ctx, result);

    case BINARIZE_NOT_EXIST:
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                              BINARIZE_PROBLEM_NOT_FOUND);

    case BINARIZE_TASK_FAILED:
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                              BINARIZE_PROBLEM_TASK_ERROR);

    default: /* BINARIZE_NO_RESULT */
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                              BINARIZE_PROBLEM_NO_RESULT);
    }
}


ngx_int_t
ngx_http_binarize_answer_problem(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, binarize_problem_e problem)
{
    return ngx_http_binarize_answer_failure(r, ctx, NULL, problem);
}


static ngx_int_t
ngx_http_binarize_answer_result(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    u_char                        *etag;
    ngx_int_t                      rc;
    ngx_str_t                      value;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    if (ctx->format == BINARIZE_FORMAT_PNG) {
        etag = result->etag;
        r->headers_out.content_type = ngx_http_binarize_type_png;
        r->headers_out.content_length_n = result->png_size;

        if (r->method == NGX_HTTP_GET && r->headers_in.if_none_match == NULL) {
            ngx_http_binarize_body_prefetch(result);
        }

    } else {
        etag = result->json_etag;
        r->headers_out.content_type = ngx_http_binarize_type_json;
        r->headers_out.content_length_n = ngx_http_binarize_json_size(result);
        r->single_range = 1;
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->allow_ranges = 1;

    if (r->method == NGX_HTTP_HEAD) {
        /* RFC 9110 14.2: ranges are GET's */
        r->headers_in.range = NULL;
    }

    if (ngx_http_binarize_header_etag(r, etag) != NGX_OK
        || ngx_http_binarize_header_last_modified(r, result->stored) != NGX_OK
        || ngx_http_complex_value(r, conf->cache_control, &value) != NGX_OK
        || ngx_http_binarize_header_cache_control(r, &value) != NGX_OK
        || ngx_http_binarize_header_common(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_HTTP_RANGE_NOT_SATISFIABLE) {
        /* the result may be stored, this may not, and it is another page's */
        ngx_http_clear_etag(r);
        ngx_http_clear_last_modified(r);
        ngx_http_binarize_answer_give_back(ctx);

        return (ngx_http_binarize_header_expiry(r, NULL) == NGX_OK)
               ? rc : NGX_ERROR;
    }

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_binarize_answer_give_back(ctx);
        return rc;
    }

    return ngx_http_binarize_body_send(r, ctx);
}


void
ngx_http_binarize_answer_give_back(ngx_http_binarize_ctx_t *ctx)
{
    if (ctx->result) {
        ngx_http_binarize_result_release(ctx->result);
        ctx->result = NULL;
    }
}


/* a document without a payload, as it is */

static ngx_int_t
ngx_http_binarize_answer_document(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    if (ngx_http_binarize_header_expiry(r, result) != NGX_OK
        || ngx_http_binarize_header_common(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_binarize_send(r, NGX_HTTP_OK,
                                  &ngx_http_binarize_type_json, &result->doc);
}


/* a PNG that is not ready yet */

static ngx_int_t
ngx_http_binarize_answer_pending(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    ngx_str_t                     *image;
    ngx_msec_int_t                 left_ms;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    left_ms = (ngx_msec_int_t) (result->expires_ms - ngx_current_msec);

    if (ngx_http_binarize_header_retry_after(r, (left_ms + 999) / 1000)
        != NGX_OK
        || ngx_http_binarize_header_expiry(r, result) != NGX_OK
        || ngx_http_binarize_header_common(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    image = ngx_http_binarize_placeholder_of(conf->placeholder,
                                             BINARIZE_PROBLEM_NONE,
                                             NGX_HTTP_ACCEPTED);
    if (image) {
        return ngx_http_binarize_send(r, NGX_HTTP_ACCEPTED,
                                      &ngx_http_binarize_type_png, image);
    }

    return ngx_http_binarize_send(r, NGX_HTTP_ACCEPTED,
                                  &ngx_http_binarize_type_json, &result->doc);
}


/* RFC 9457 */

static ngx_int_t
ngx_http_binarize_answer_failure(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    binarize_problem_e problem)
{
    time_t                         retry_after_s;
    ngx_str_t                      body, *image;
    ngx_uint_t                     status;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    status = ngx_http_binarize_problem_status(problem);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        retry_after_s = result ? result->retry_after_s : 0;

        if (result && result->expires_ms > ngx_current_msec) {
            retry_after_s = (result->expires_ms - ngx_current_msec + 999)
                            / 1000;
        }

        if (ngx_http_binarize_header_retry_after(r, retry_after_s) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (status == NGX_HTTP_NOT_ALLOWED
        && ngx_http_binarize_header_push(r, "Allow",
                                         ngx_http_binarize_purge_methods(conf))
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_binarize_header_expiry(r, result) != NGX_OK
        || ngx_http_binarize_header_common(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (conf->intercept_errors && ngx_http_binarize_error_page(r, status)) {
        return status;
    }

    image = (ctx->format == BINARIZE_FORMAT_PNG)
            ? ngx_http_binarize_placeholder_of(conf->placeholder, problem,
                                               status)
            : NULL;

    if (image) {
        return ngx_http_binarize_send(r, status, &ngx_http_binarize_type_png,
                                      image);
    }

    if (ngx_http_binarize_problem_body(r, ctx, result, problem, &body)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_binarize_send(r, status, &ngx_http_binarize_type_problem,
                                  &body);
}


/* as proxy_intercept_errors: what has no error_page is answered as it is */

static ngx_uint_t
ngx_http_binarize_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL || r->error_page) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


/* body lives as long as the request */

static ngx_int_t
ngx_http_binarize_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = body->len;

    /*
     * What has no validators is neither unmodified nor modified (RFC 9110
     * 13.1.2, 13.1.4), but matches no If-Match (13.1.1).
     */

    if (r->headers_in.if_match == NULL) {
        r->disable_not_modified = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->start = body->data;
    b->pos = b->start;
    b->last = body->data + body->len;
    b->end = b->last;
    b->memory = body->len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
