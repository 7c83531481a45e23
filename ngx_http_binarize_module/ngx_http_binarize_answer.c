
#include "ngx_http_binarize_answer.h"
#include "ngx_http_binarize_placeholder.h"
#include "core/base64.h"


typedef struct {
    ngx_uint_t   status;
    const char  *slug;
    const char  *title;
    const char  *detail;
} ngx_http_binarize_problem_t;


static ngx_int_t ngx_http_binarize_answer_result(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_chain_t *ngx_http_binarize_png_chain(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_png_join(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, ngx_str_t *joined);
static ngx_chain_t *ngx_http_binarize_json_chain(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, off_t *size);
static void ngx_http_binarize_encode(u_char *text,
    ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_document(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_pending(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_answer_failure(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    ngx_http_binarize_problem_e problem);
static ngx_uint_t ngx_http_binarize_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_binarize_problem_body(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    ngx_http_binarize_problem_e problem, ngx_str_t *body);
static u_char *ngx_http_binarize_json_string(ngx_pool_t *pool, u_char *s,
    size_t len, size_t *size);
static ngx_int_t ngx_http_binarize_common_headers(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_cache_status(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_cache_control(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_binarize_expiry(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_retry_after(ngx_http_request_t *r,
    time_t seconds);
static ngx_int_t ngx_http_binarize_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *body);
static ngx_table_elt_t *ngx_http_binarize_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static void ngx_http_binarize_release_result(void *data);


static ngx_str_t  ngx_http_binarize_type_png = ngx_string("image/png");
static ngx_str_t  ngx_http_binarize_type_json = ngx_string("application/json");
static ngx_str_t  ngx_http_binarize_type_problem =
                                       ngx_string("application/problem+json");


/* by ngx_http_binarize_problem_e; the slugs are listed in README.md */

static ngx_http_binarize_problem_t  ngx_http_binarize_problems[] = {

    { 0, "", "", "" },

    { 400, "bad-id", "Not a task id",
      "The id has to be a GUID of 8-4-4-4-12 hex digits." },

    { 400, "bad-format", "Unknown format",
      "The argument \"format\" has to be \"png\" or \"json\"." },

    { 405, "bad-method", "Method not allowed",
      "This resource answers GET and HEAD." },

    { 406, "not-acceptable", "No acceptable representation",
      "This resource is available as image/png and as application/json." },

    { 404, "not-found", "No such task",
      "The cloud knows no task of this id; it forgets results 24 hours after "
      "their submission." },

    { 502, "task-failed", "The task has failed",
      "The cloud could not binarize the image." },

    { 502, "no-result", "The task has no result",
      "The task is completed, but the cloud has no picture of it." },

    { 502, "cloud-unreachable", "The cloud can not be reached",
      "No connection to the cloud could be made, or it broke. Try again." },

    { 502, "cloud-unauthorized", "The cloud refuses the gateway",
      "The cloud does not accept the gateway's token, not even a new one. "
      "Its operator has to look at the credentials." },

    { 502, "cloud-status", "Unexpected status of the cloud",
      "The cloud answered with a status that is no result." },

    { 502, "cloud-protocol", "The cloud's answer is not valid HTTP",
      "The cloud's answer is not valid HTTP. Try again." },

    { 502, "cloud-truncated", "The cloud's answer is cut short",
      "The cloud ended its answer early. Try again." },

    { 502, "bad-document", "The cloud's answer is not understood",
      "The cloud's answer is not the document of this task." },

    { 502, "too-large", "The picture is too large",
      "The picture is larger than the gateway is configured to accept." },

    { 502, "not-a-png", "The result is not a picture",
      "What the cloud sent as the result is not a whole PNG." },

    { 504, "cloud-timeout", "The cloud is too slow",
      "The cloud did not answer in time. Try again." },

    { 503, "cloud-busy", "The cloud is busy",
      "The cloud asks for a pause. Try again after it." },

    { 503, "budget", "The budget is spent",
      "The gateway may not call the cloud now. Try again later." },

    { 502, "credentials-refused", "The cloud refuses the credentials",
      "The cloud does not accept the gateway's credentials. "
      "Its operator has to look at them." },

    { 502, "no-token", "The gateway has no token",
      "The gateway could not get a token for the cloud. Try again." },

    { 500, "internal", "Internal error",
      "The gateway could not do its work; its error log says why." }
};


const char *
ngx_http_binarize_problem_name(ngx_http_binarize_problem_e problem)
{
    return ngx_http_binarize_problems[problem].slug;
}


ngx_int_t
ngx_http_binarize_answer(ngx_http_request_t *r, ngx_http_binarize_ctx_t *ctx,
    ngx_http_binarize_result_t *result)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    result->refs++;

    cln->handler = ngx_http_binarize_release_result;
    cln->data = result;

    if (result->problem != NGX_HTTP_BINARIZE_OK) {
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
                                              NGX_HTTP_BINARIZE_NOT_FOUND);

    case BINARIZE_TASK_FAILED:
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                              NGX_HTTP_BINARIZE_TASK_ERROR);

    default: /* BINARIZE_NO_RESULT */
        return ngx_http_binarize_answer_failure(r, ctx, result,
                                              NGX_HTTP_BINARIZE_NO_RESULT);
    }
}


ngx_int_t
ngx_http_binarize_answer_problem(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_problem_e problem)
{
    return ngx_http_binarize_answer_failure(r, ctx, NULL, problem);
}


static void
ngx_http_binarize_release_result(void *data)
{
    ngx_http_binarize_result_release(data);
}


static ngx_int_t
ngx_http_binarize_answer_result(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    off_t                          size;
    u_char                        *etag, *p;
    ngx_int_t                      rc;
    ngx_str_t                      value;
    ngx_chain_t                   *out;
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    if (ctx->format == BINARIZE_FORMAT_PNG) {
        out = ngx_http_binarize_png_chain(r, result);
        size = result->png_size;
        etag = result->etag;
        r->headers_out.content_type = ngx_http_binarize_type_png;

    } else {
        out = ngx_http_binarize_json_chain(r, result, &size);
        etag = result->json_etag;
        r->headers_out.content_type = ngx_http_binarize_type_json;
        r->single_range = 1;
    }

    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = size;
    r->headers_out.last_modified_time = result->stored;
    r->allow_ranges = 1;

    value.len = BINARIZE_ETAG_SIZE + 2;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = value.data;
    *p++ = '"';
    p = ngx_cpymem(p, etag, BINARIZE_ETAG_SIZE);
    *p = '"';

    r->headers_out.etag = ngx_http_binarize_header(r, "ETag", &value);

    if (r->headers_out.etag == NULL
        || ngx_http_complex_value(r, conf->cache_control, &value) != NGX_OK
        || ngx_http_binarize_cache_control(r, &value) != NGX_OK
        || ngx_http_binarize_common_headers(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


/*
 * The pieces as they lie in memory; they are pinned until the request's pool
 * is gone.  For several ranges nginx needs one piece.
 */

static ngx_chain_t *
ngx_http_binarize_png_chain(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result)
{
    ngx_buf_t    *b;
    ngx_str_t     joined;
    ngx_uint_t    i, n;
    ngx_chain_t  *cl;

    n = result->npieces;

    joined.len = 0;

    if (n > 1 && r->headers_in.range
        && ngx_strlchr(r->headers_in.range->value.data,
                       r->headers_in.range->value.data
                       + r->headers_in.range->value.len, ','))
    {
        if (ngx_http_binarize_png_join(r, result, &joined) != NGX_OK) {
            return NULL;
        }

        n = 1;
    }

    b = ngx_pcalloc(r->pool, n * (sizeof(ngx_buf_t) + sizeof(ngx_chain_t)));
    if (b == NULL) {
        return NULL;
    }

    cl = (ngx_chain_t *) (b + n);

    for (i = 0; i < n; i++) {
        b[i].start = joined.len ? joined.data
                                : (u_char *) result->png[i].data;
        b[i].end = b[i].start + (joined.len ? joined.len
                                            : result->png[i].size);
        b[i].pos = b[i].start;
        b[i].last = b[i].end;
        b[i].memory = 1;

        cl[i].buf = &b[i];
        cl[i].next = &cl[i + 1];
    }

    b[n - 1].last_buf = (r == r->main) ? 1 : 0;
    b[n - 1].last_in_chain = 1;
    cl[n - 1].next = NULL;

    return cl;
}


static ngx_int_t
ngx_http_binarize_png_join(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, ngx_str_t *joined)
{
    u_char      *p;
    ngx_uint_t   i;

    p = ngx_pnalloc(r->pool, result->png_size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    joined->data = p;
    joined->len = result->png_size;

    for (i = 0; i < result->npieces; i++) {
        p = ngx_cpymem(p, result->png[i].data, result->png[i].size);
    }

    return NGX_OK;
}


/* the cloud's own document, with the payload put back into its place */

static ngx_chain_t *
ngx_http_binarize_json_chain(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result, off_t *size)
{
    u_char       *text;
    size_t        text_size;
    ngx_buf_t    *b;
    ngx_uint_t    i;
    ngx_chain_t  *cl;

    text_size = binarize_base64_size(result->png_size);

    b = ngx_pcalloc(r->pool, 3 * (sizeof(ngx_buf_t) + sizeof(ngx_chain_t)));
    if (b == NULL) {
        return NULL;
    }

    cl = (ngx_chain_t *) (b + 3);

    if (r->method == NGX_HTTP_HEAD) {
        text = NULL;

    } else {
        text = ngx_pnalloc(r->pool, text_size);
        if (text == NULL) {
            return NULL;
        }

        ngx_http_binarize_encode(text, result);
    }

    if (result->unpadded) {
        text_size -= (3 - result->png_size % 3) % 3;
    }

    b[0].pos = result->doc.data;
    b[0].last = result->doc.data + result->payload_offset;
    b[1].pos = text;
    b[1].last = text + text_size;
    b[2].pos = b[0].last;
    b[2].last = result->doc.data + result->doc.len;

    for (i = 0; i < 3; i++) {
        b[i].start = b[i].pos;
        b[i].end = b[i].last;
        b[i].memory = 1;

        cl[i].buf = &b[i];
        cl[i].next = &cl[i + 1];
    }

    b[2].last_buf = (r == r->main) ? 1 : 0;
    b[2].last_in_chain = 1;
    cl[2].next = NULL;

    *size = result->doc.len + text_size;

    return cl;
}


/* base64 of the pieces; a group of three bytes may lie across two */

static void
ngx_http_binarize_encode(u_char *text, ngx_http_binarize_result_t *result)
{
    size_t         n, nheld;
    u_char         held[3];
    ngx_uint_t     i;
    const u_char  *p, *end;

    nheld = 0;

    for (i = 0; i < result->npieces; i++) {
        p = result->png[i].data;
        end = p + result->png[i].size;

        while (nheld && p < end) {
            held[nheld++] = *p++;

            if (nheld == 3) {
                text += binarize_base64_encode(text, held, 3);
                nheld = 0;
            }
        }

        n = (end - p) / 3 * 3;
        text += binarize_base64_encode(text, p, n);

        for (p += n; p < end; p++) {
            held[nheld++] = *p;
        }
    }

    (void) binarize_base64_encode(text, held, nheld);
}


/* a document without a payload, as it is */

static ngx_int_t
ngx_http_binarize_answer_document(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    if (ngx_http_binarize_expiry(r, result) != NGX_OK
        || ngx_http_binarize_common_headers(r, ctx, result) != NGX_OK)
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
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    left_ms = (ngx_msec_int_t) (result->expires_ms - ngx_current_msec);

    if (ngx_http_binarize_retry_after(r, (left_ms + 999) / 1000) != NGX_OK
        || ngx_http_binarize_expiry(r, result) != NGX_OK
        || ngx_http_binarize_common_headers(r, ctx, result) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    image = ngx_http_binarize_placeholder_of(conf->placeholder,
                                             NGX_HTTP_BINARIZE_OK,
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
    ngx_http_binarize_problem_e problem)
{
    time_t                         retry_after_s;
    ngx_str_t                      body, allow, *image;
    ngx_uint_t                     status;
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    status = ngx_http_binarize_problems[problem].status;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        retry_after_s = result ? result->retry_after_s : 0;

        if (result && result->expires_ms > ngx_current_msec) {
            retry_after_s = (result->expires_ms - ngx_current_msec + 999)
                            / 1000;
        }

        if (ngx_http_binarize_retry_after(r, retry_after_s) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (status == NGX_HTTP_NOT_ALLOWED) {
        ngx_str_set(&allow, "GET, HEAD");

        if (ngx_http_binarize_header(r, "Allow", &allow) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_http_binarize_expiry(r, result) != NGX_OK
        || ngx_http_binarize_common_headers(r, ctx, result) != NGX_OK)
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


static ngx_int_t
ngx_http_binarize_problem_body(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result,
    ngx_http_binarize_problem_e problem, ngx_str_t *body)
{
    size_t                        size;
    u_char                       *p, *text;
    ngx_str_t                     detail;
    binarize_envelope_t           envelope;
    ngx_http_binarize_problem_t  *pr;

    pr = &ngx_http_binarize_problems[problem];

    detail.data = (u_char *) pr->detail;
    detail.len = ngx_strlen(pr->detail);

    if (problem == NGX_HTTP_BINARIZE_TASK_ERROR && result) {
        binarize_envelope_read(result->doc.data, result->doc.len, ctx->guid,
                               0, &envelope);

        if (envelope.messages[0]) {
            detail.data = (u_char *) envelope.messages;
            detail.len = ngx_strlen(envelope.messages);
        }
    }

    text = ngx_http_binarize_json_string(r->pool, detail.data, detail.len,
                                         &size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"type\":\"urn:binarize:\","
                                    "\"title\":\"\",\"status\":,"
                                    "\"detail\":\"\",\"id\":\"\","
                                    "\"cloud_status\":}" CRLF)
                             + ngx_strlen(pr->slug) + ngx_strlen(pr->title)
                             + 2 * NGX_INT_T_LEN + size + BINARIZE_GUID_SIZE);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"type\":\"urn:binarize:%s\",\"title\":\"%s\","
                    "\"status\":%ui,\"detail\":\"%*s\"",
                    pr->slug, pr->title, pr->status, size, text);

    if (ctx->has_guid) {
        p = ngx_sprintf(p, ",\"id\":\"%*s\"", (size_t) BINARIZE_GUID_SIZE,
                        ctx->guid);
    }

    if (problem == NGX_HTTP_BINARIZE_BAD_STATUS && result) {
        p = ngx_sprintf(p, ",\"cloud_status\":%ui", result->status);
    }

    p = ngx_sprintf(p, "}" "\n");

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
ngx_http_binarize_json_string(ngx_pool_t *pool, u_char *s, size_t len,
    size_t *size)
{
    u_char  *p;

    *size = len + ngx_escape_json(NULL, s, len);

    p = ngx_pnalloc(pool, *size);
    if (p) {
        ngx_escape_json(p, s, len);
    }

    return p;
}


static ngx_int_t
ngx_http_binarize_common_headers(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    ngx_str_t  value;

    static ngx_str_t  nosniff = ngx_string("nosniff");
    static ngx_str_t  accept = ngx_string("Accept");

    if (ngx_http_binarize_header(r, "X-Content-Type-Options", &nosniff)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->vary && ngx_http_binarize_header(r, "Vary", &accept) == NULL) {
        return NGX_ERROR;
    }

    if (ctx->prefer) {
        value.data = ngx_pnalloc(r->pool, sizeof("wait=") + NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "wait=%M", ctx->wait_ms / 1000)
                    - value.data;

        if (ngx_http_binarize_header(r, "Preference-Applied", &value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return result ? ngx_http_binarize_cache_status(r, ctx, result) : NGX_OK;
}


/* RFC 9211 */

static ngx_int_t
ngx_http_binarize_cache_status(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    u_char      *p;
    uint64_t     ttl_s;
    ngx_str_t    value;
    const char  *detail;

    p = ngx_pnalloc(r->pool, sizeof("binarize; hit; ttl=; detail=negative")
                             + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    detail = NULL;

    switch (ctx->source) {

    case NGX_HTTP_BINARIZE_L1:
        detail = "l1";
        break;

    case NGX_HTTP_BINARIZE_REDIS:
        detail = "redis";
        break;

    case NGX_HTTP_BINARIZE_NEGATIVE:
        detail = "negative";
        break;

    case NGX_HTTP_BINARIZE_PENDING:
        detail = "pending";
        break;

    case NGX_HTTP_BINARIZE_COLLAPSED:
        p = ngx_sprintf(p, "binarize; fwd=uri-miss; collapsed");
        break;

    case NGX_HTTP_BINARIZE_BYPASS:
        p = ngx_sprintf(p, "binarize; fwd=bypass");
        break;

    default: /* NGX_HTTP_BINARIZE_MISS */
        p = ngx_sprintf(p, "binarize; fwd=uri-miss%s",
                        result->kept ? "; stored" : "");
    }

    if (detail) {
        ttl_s = (result->expires_ms > ngx_current_msec)
                ? (result->expires_ms - ngx_current_msec + 999) / 1000 : 0;

        p = ngx_sprintf(p, "binarize; hit; ttl=%uL; detail=%s", ttl_s, detail);
    }

    value.len = p - value.data;

    return ngx_http_binarize_header(r, "Cache-Status", &value) ? NGX_OK
                                                               : NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_cache_control(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

#if (nginx_version < 1023000)
    /* 1.23.0: a list of headers in place of an array of pointers to them */
    ngx_table_elt_t  **ccp;

    if (r->headers_out.cache_control.elts == NULL
        && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                          sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ccp = ngx_array_push(&r->headers_out.cache_control);
    if (ccp == NULL) {
        return NGX_ERROR;
    }

    h = ngx_http_binarize_header(r, "Cache-Control", value);
    *ccp = h;
#else
    h = ngx_http_binarize_header(r, "Cache-Control", value);
    r->headers_out.cache_control = h;
#endif

    return h ? NGX_OK : NGX_ERROR;
}


/* of everything but a result: only NotExist may be kept, for a while */

static ngx_int_t
ngx_http_binarize_expiry(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result)
{
    ngx_str_t  value;

    if (result
        && result->problem == NGX_HTTP_BINARIZE_OK
        && result->outcome == BINARIZE_NOT_EXIST
        && result->expires_ms > ngx_current_msec)
    {
        value.data = ngx_pnalloc(r->pool, sizeof("public, max-age=")
                                          + NGX_INT64_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "public, max-age=%uL",
                                (result->expires_ms - ngx_current_msec)
                                / 1000)
                    - value.data;

    } else {
        ngx_str_set(&value, "no-store");
    }

    return ngx_http_binarize_cache_control(r, &value);
}


static ngx_int_t
ngx_http_binarize_retry_after(ngx_http_request_t *r, time_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", ngx_max(seconds, 1))
                - value.data;

    return ngx_http_binarize_header(r, "Retry-After", &value) ? NGX_OK
                                                              : NGX_ERROR;
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


/* value lives as long as the request */

static ngx_table_elt_t *
ngx_http_binarize_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}
