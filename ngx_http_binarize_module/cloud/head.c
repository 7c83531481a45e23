
#include "cloud/call_private.h"


/* a Retry-After beyond that is cut: nobody waits for longer */
#define NGX_HTTP_BINARIZE_MAX_RETRY_S  86400

#define ngx_http_binarize_call_header_is(name, s)                             \
    ((name)->len == sizeof(s) - 1                                             \
     && ngx_strncasecmp((name)->data, (u_char *) s, sizeof(s) - 1) == 0)


static ngx_int_t ngx_http_binarize_call_parse_head(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static ngx_int_t ngx_http_binarize_call_parse_status(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static ngx_int_t ngx_http_binarize_call_parse_headers(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static ngx_int_t ngx_http_binarize_call_header(
    ngx_http_binarize_call_t *call, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_binarize_call_head_done(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_call_retry_after(ngx_http_binarize_call_t *call,
    ngx_str_t *value);


/* RFC 9112 4 and 5; interim answers (RFC 9110 15.2) are passed over */

ngx_int_t
ngx_http_binarize_call_process_head(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_upstream_t       *u;
    ngx_http_binarize_call_t  *call;

    u = r->upstream;
    call = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    rc = ngx_http_binarize_call_parse_head(r, call);

    if (rc == NGX_AGAIN && u->buffer.last == u->buffer.end) {
        /* too large; ngx_http_upstream says so and gives up */
        call->problem = BINARIZE_PROBLEM_BAD_RESPONSE;
    }

    return rc;
}


static ngx_int_t
ngx_http_binarize_call_parse_head(ngx_http_request_t *r,
    ngx_http_binarize_call_t *call)
{
    ngx_int_t  rc;

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
            call->problem = BINARIZE_PROBLEM_BAD_RESPONSE;
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
        call->problem = BINARIZE_PROBLEM_BAD_RESPONSE;
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

        if (ngx_http_binarize_call_header(call, &name, &value) != NGX_OK) {
            goto invalid;
        }
    }

invalid:

    call->problem = BINARIZE_PROBLEM_BAD_RESPONSE;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "cloud sent an invalid header line");

    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}


/*
 * Nothing goes into u->headers_in: ngx_http_upstream acts on what is there,
 * and no header of the cloud is passed on.
 */

static ngx_int_t
ngx_http_binarize_call_header(ngx_http_binarize_call_t *call,
    ngx_str_t *name, ngx_str_t *value)
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
        call->problem = BINARIZE_PROBLEM_BAD_DOCUMENT;
        call->reason = "it has a Content-Encoding";
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
