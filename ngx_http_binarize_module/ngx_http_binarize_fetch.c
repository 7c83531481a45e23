
#include "ngx_http_binarize_fetch.h"
#include "ngx_http_binarize_metrics.h"


/* what the envelope's buffer begins with, bytes */
#define NGX_HTTP_BINARIZE_ENVELOPE_SIZE  1024

/* pieces smaller than that are decoded beside and copied */
#define NGX_HTTP_BINARIZE_MIN_ROOM       16


static void ngx_http_binarize_fetch_cleanup(void *data);
static ngx_int_t ngx_http_binarize_fetch_create_request(
    ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_on_body(
    ngx_http_binarize_call_t *call, u_char *data, size_t size);
static ngx_int_t ngx_http_binarize_fetch_run(ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_room(
    ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_decoded(
    ngx_http_binarize_fetch_t *fetch, u_char *data, size_t size);
static ngx_int_t ngx_http_binarize_fetch_spread(
    ngx_http_binarize_fetch_t *fetch, u_char *data, size_t size);
static ngx_int_t ngx_http_binarize_fetch_grow(
    ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_on_whole(
    ngx_http_binarize_call_t *call);
static void ngx_http_binarize_fetch_on_done(ngx_http_binarize_call_t *call);
static void ngx_http_binarize_fetch_judge_status(
    ngx_http_binarize_fetch_t *fetch);


ngx_http_binarize_fetch_t *
ngx_http_binarize_fetch_create(ngx_http_binarize_loc_conf_t *conf)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_binarize_call_t   *call;
    ngx_http_binarize_fetch_t  *fetch;

    call = ngx_http_binarize_call_create(conf, conf->target);
    if (call == NULL) {
        return NULL;
    }

    fetch = ngx_pcalloc(call->job->pool, sizeof(*fetch));
    if (fetch == NULL) {
        goto failed;
    }

    cln = ngx_pool_cleanup_add(call->job->pool, 0);
    if (cln == NULL) {
        goto failed;
    }

    cln->handler = ngx_http_binarize_fetch_cleanup;
    cln->data = fetch;

    fetch->conf = conf;
    fetch->call = call;

    binarize_scan_init(&fetch->scan, conf->max_size);
    binarize_png_init(&fetch->png);

    fetch->sha = EVP_MD_CTX_new();
    fetch->scan.envelope = ngx_alloc(NGX_HTTP_BINARIZE_ENVELOPE_SIZE,
                                     ngx_cycle->log);

    if (fetch->sha == NULL
        || fetch->scan.envelope == NULL
        || EVP_DigestInit_ex(fetch->sha, EVP_sha256(), NULL) != 1)
    {
        goto failed;
    }

    fetch->scan.envelope_room = NGX_HTTP_BINARIZE_ENVELOPE_SIZE;

    return fetch;

failed:

    ngx_http_binarize_call_abandon(call);

    return NULL;
}


static void
ngx_http_binarize_fetch_cleanup(void *data)
{
    ngx_http_binarize_fetch_t  *fetch = data;

    ngx_http_binarize_blob_free(&fetch->blob);

    if (fetch->scan.envelope) {
        ngx_free(fetch->scan.envelope);
    }

    EVP_MD_CTX_free(fetch->sha);
}


void
ngx_http_binarize_fetch_abandon(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_call_abandon(fetch->call);
}


ngx_int_t
ngx_http_binarize_fetch_start(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_call_t  *call;

    call = fetch->call;

    call->ssl_name = fetch->ssl_name;
    call->turn = fetch->turn;
    call->max_tries = fetch->max_tries;
    call->fresh = fetch->fresh;
    call->body = ngx_http_binarize_fetch_on_body;
    call->whole = ngx_http_binarize_fetch_on_whole;
    call->done = ngx_http_binarize_fetch_on_done;
    call->data = fetch;

    call->job->subject.len = BINARIZE_GUID_SIZE;
    call->job->subject.data = fetch->guid;

    if (ngx_http_binarize_fetch_create_request(fetch) != NGX_OK) {
        ngx_http_binarize_call_abandon(call);
        return NGX_ERROR;
    }

    fetch->started_us = ngx_http_binarize_metric_clock_us();

    return ngx_http_binarize_call_start(call);
}


/* no Accept-Encoding: a compressed answer is refused */

static ngx_int_t
ngx_http_binarize_fetch_create_request(ngx_http_binarize_fetch_t *fetch)
{
    size_t                       size;
    u_char                      *p;
    ngx_http_binarize_call_t    *call;
    ngx_http_binarize_target_t  *target;

    call = fetch->call;
    target = fetch->conf->target;

    size = sizeof("GET ?id= HTTP/1.1" CRLF "Host: " CRLF
                  "Authorization: Bearer " CRLF CRLF)
           + target->uri.len + BINARIZE_GUID_SIZE + fetch->host.len
           + fetch->token.len + fetch->headers.len;

    p = ngx_pnalloc(call->job->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->request.data = p;

    p = ngx_sprintf(p, "GET %V?id=%*s HTTP/1.1" CRLF
                    "Host: %V" CRLF
                    "Authorization: Bearer %V" CRLF
                    "%V" CRLF,
                    &target->uri, (size_t) BINARIZE_GUID_SIZE, fetch->guid,
                    &fetch->host, &fetch->token, &fetch->headers);

    call->request.len = p - call->request.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_fetch_on_body(ngx_http_binarize_call_t *call, u_char *data,
    size_t size)
{
    ngx_http_binarize_fetch_t  *fetch;

    fetch = call->data;

    fetch->received += size;

    fetch->scan.next_in = data;
    fetch->scan.avail_in = size;

    return ngx_http_binarize_fetch_run(fetch);
}


static ngx_int_t
ngx_http_binarize_fetch_run(ngx_http_binarize_fetch_t *fetch)
{
    int      rc;
    u_char  *out;

    for ( ;; ) {

        out = fetch->scan.next_out;

        rc = binarize_scan_run(&fetch->scan);

        if (fetch->scan.next_out != out
            && ngx_http_binarize_fetch_decoded(fetch, out,
                                               fetch->scan.next_out - out)
               != NGX_OK)
        {
            goto no_memory;
        }

        switch (rc) {

        case BINARIZE_AGAIN:
            return NGX_OK;

        case BINARIZE_FULL:
            if (ngx_http_binarize_fetch_room(fetch) != NGX_OK) {
                goto no_memory;
            }
            break;

        case BINARIZE_GROW:
            if (ngx_http_binarize_fetch_grow(fetch) != NGX_OK) {
                goto no_memory;
            }
            break;

        default: /* BINARIZE_ERROR */
            fetch->call->problem = fetch->scan.payload_too_large
                                   ? NGX_HTTP_BINARIZE_TOO_LARGE
                                   : NGX_HTTP_BINARIZE_BAD_DOCUMENT;
            fetch->call->reason = fetch->scan.reason;
            return NGX_ERROR;
        }
    }

no_memory:

    fetch->call->problem = NGX_HTTP_BINARIZE_INTERNAL;
    fetch->call->reason = "no memory";

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_fetch_room(ngx_http_binarize_fetch_t *fetch)
{
    off_t    n;
    size_t   size, hint;
    u_char  *p;

    if (!fetch->blob_ready) {

        n = ngx_http_binarize_call_content_length(fetch->call);
        hint = (n > 0) ? (size_t) ngx_min(n, NGX_MAX_SIZE_T_VALUE / 4) / 4 * 3
                       : 0;

        ngx_http_binarize_blob_init(&fetch->blob, fetch->store_zone,
                                    fetch->key,
                                    ngx_min(hint, fetch->conf->max_size),
                                    fetch->conf->max_size);
        fetch->blob_ready = 1;
    }

    p = ngx_http_binarize_blob_room(&fetch->blob, &size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (size < NGX_HTTP_BINARIZE_MIN_ROOM) {
        p = fetch->bounce;
        size = sizeof(fetch->bounce);
    }

    fetch->scan.next_out = p;
    fetch->scan.avail_out = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_fetch_decoded(ngx_http_binarize_fetch_t *fetch, u_char *data,
    size_t size)
{
    if (!fetch->png_bad
        && binarize_png_feed(&fetch->png, data, size) == BINARIZE_ERROR)
    {
        /* the rest of the document may say more: another task's, say */
        fetch->png_bad = 1;
    }

    if (EVP_DigestUpdate(fetch->sha, data, size) != 1) {
        return NGX_ERROR;
    }

    if (data >= fetch->bounce
        && data < fetch->bounce + sizeof(fetch->bounce))
    {
        return ngx_http_binarize_fetch_spread(fetch, data, size);
    }

    fetch->blob.size += size;

    return NGX_OK;
}


/* a piece of the blob was too small to decode into */

static ngx_int_t
ngx_http_binarize_fetch_spread(ngx_http_binarize_fetch_t *fetch, u_char *data,
    size_t size)
{
    size_t   n;
    u_char  *p;

    while (size) {
        p = ngx_http_binarize_blob_room(&fetch->blob, &n);
        if (p == NULL) {
            return NGX_ERROR;
        }

        n = ngx_min(n, size);
        ngx_memcpy(p, data, n);

        fetch->blob.size += n;
        data += n;
        size -= n;
    }

    /* go on in the blob */

    fetch->scan.avail_out = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_fetch_grow(ngx_http_binarize_fetch_t *fetch)
{
    size_t   size;
    u_char  *p;

    size = ngx_min(fetch->scan.envelope_room * 2, BINARIZE_ENVELOPE_MAX_SIZE);

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, fetch->scan.envelope, fetch->scan.envelope_size);
    ngx_free(fetch->scan.envelope);

    fetch->scan.envelope = p;
    fetch->scan.envelope_room = size;

    return NGX_OK;
}


/*
 * The body of a 200 answer has ended.  Whatever is wrong with it, the
 * connection is not trusted with another request.
 */

static ngx_int_t
ngx_http_binarize_fetch_on_whole(ngx_http_binarize_call_t *call)
{
    ngx_http_binarize_fetch_t  *fetch;

    fetch = call->data;

    if (binarize_scan_finish(&fetch->scan) != BINARIZE_OK) {
        call->problem = NGX_HTTP_BINARIZE_TRUNCATED;
        call->reason = fetch->scan.reason;
        return NGX_ERROR;
    }

    binarize_envelope_read(fetch->scan.envelope, fetch->scan.envelope_size,
                           fetch->guid, fetch->blob.size, &fetch->envelope);

    if (fetch->envelope.outcome == BINARIZE_REFUSED) {
        call->problem = NGX_HTTP_BINARIZE_BAD_DOCUMENT;
        call->reason = fetch->envelope.reason;
        return NGX_ERROR;
    }

    if (fetch->envelope.outcome != BINARIZE_RESULT) {
        return NGX_OK;
    }

    if (fetch->png_bad || binarize_png_finish(&fetch->png) != BINARIZE_OK) {
        call->problem = NGX_HTTP_BINARIZE_NOT_PNG;
        call->reason = fetch->png.reason;
        return NGX_ERROR;
    }

    if (EVP_DigestFinal_ex(fetch->sha, fetch->digest, NULL) != 1) {
        call->problem = NGX_HTTP_BINARIZE_INTERNAL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_binarize_fetch_on_done(ngx_http_binarize_call_t *call)
{
    ngx_http_binarize_fetch_t  *fetch;

    fetch = call->data;

    fetch->problem = call->problem;
    fetch->status = call->status;
    fetch->reason = call->reason;
    fetch->retry_after_s = call->retry_after_s;
    fetch->tries = call->tries;
    fetch->tries_left = call->tries_left;

    if (fetch->status && fetch->status != NGX_HTTP_OK) {
        ngx_http_binarize_fetch_judge_status(fetch);
    }

    if (fetch->problem != NGX_HTTP_BINARIZE_OK) {
        ngx_log_error(NGX_LOG_ERR, &call->job->log, 0,
                      "cloud gave no document: %s, status %ui%s%s",
                      ngx_http_binarize_problem_name(fetch->problem),
                      fetch->status,
                      fetch->reason ? ", " : "",
                      fetch->reason ? fetch->reason : "");
    }

    fetch->doc.data = fetch->scan.envelope;
    fetch->doc.len = fetch->scan.envelope_size;
    fetch->payload_offset = fetch->scan.payload_offset;
    fetch->unpadded = fetch->scan.payload_unpadded;

    if (call->request.data) {
        ngx_explicit_memzero(call->request.data, call->request.len);
    }

    fetch->done(fetch);
}


static void
ngx_http_binarize_fetch_judge_status(ngx_http_binarize_fetch_t *fetch)
{
    switch (fetch->status) {

    case NGX_HTTP_UNAUTHORIZED:
        fetch->problem = NGX_HTTP_BINARIZE_UNAUTHORIZED;
        break;

    case NGX_HTTP_TOO_MANY_REQUESTS:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        fetch->problem = NGX_HTTP_BINARIZE_BUSY;
        break;

    default:
        fetch->problem = NGX_HTTP_BINARIZE_BAD_STATUS;
    }
}
