
#include "cloud/fetch.h"
#include "zone/metrics.h"


/* what the envelope's buffer begins with, bytes */
#define NGX_HTTP_BINARIZE_ENVELOPE_SIZE  1024

/* pieces smaller than that are decoded beside and copied */
#define NGX_HTTP_BINARIZE_MIN_ROOM       16


static ngx_int_t ngx_http_binarize_fetch_begin(
    ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_fetch_cleanup(void *data);
static ngx_int_t ngx_http_binarize_fetch_create_request(
    ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_try_again(void *data);
static void ngx_http_binarize_fetch_not_tried(void *data);
static ngx_int_t ngx_http_binarize_fetch_on_body(
    ngx_http_binarize_call_t *call, u_char *data, size_t size);
static ngx_int_t ngx_http_binarize_fetch_run(ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_fetch_no_memory(
    ngx_http_binarize_fetch_t *fetch);
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


ngx_http_binarize_fetch_t *
ngx_http_binarize_fetch_create(ngx_http_binarize_cloud_conf_t *conf)
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

    fetch->conf = conf;
    fetch->call = call;

    cln->handler = ngx_http_binarize_fetch_cleanup;
    cln->data = fetch;

    return fetch;

failed:

    ngx_http_binarize_call_abandon(call);

    return NULL;
}


/* the document is freed as it is, whatever it has got so far */

static ngx_int_t
ngx_http_binarize_fetch_begin(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_document_t  *doc;

    if (fetch->document) {
        return NGX_OK;
    }

    doc = ngx_calloc(sizeof(*doc), ngx_cycle->log);
    if (doc == NULL) {
        return NGX_ERROR;
    }

    fetch->document = doc;

    binarize_scan_init(&doc->scan, fetch->conf->max_size);
    binarize_png_init(&doc->png);

    doc->sha = EVP_MD_CTX_new();
    doc->scan.envelope = ngx_alloc(NGX_HTTP_BINARIZE_ENVELOPE_SIZE,
                                   ngx_cycle->log);

    if (doc->sha == NULL
        || doc->scan.envelope == NULL
        || EVP_DigestInit_ex(doc->sha, EVP_sha256(), NULL) != 1)
    {
        return NGX_ERROR;
    }

    doc->scan.envelope_room = NGX_HTTP_BINARIZE_ENVELOPE_SIZE;

    return NGX_OK;
}


static void
ngx_http_binarize_fetch_cleanup(void *data)
{
    ngx_http_binarize_fetch_t  *fetch = data;

    ngx_http_binarize_document_t  *doc;

    ngx_http_binarize_blob_free(&fetch->blob);

    if (fetch->call->request.data) {
        ngx_explicit_memzero(fetch->call->request.data,
                             fetch->call->request.len);
        ngx_free(fetch->call->request.data);
    }

    doc = fetch->document;

    if (doc == NULL) {
        return;
    }

    if (doc->scan.envelope) {
        ngx_free(doc->scan.envelope);
    }

    EVP_MD_CTX_free(doc->sha);
    ngx_free(doc);
}


ngx_int_t
ngx_http_binarize_fetch_start(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_call_t  *call;

    call = fetch->call;

    call->ssl_name = fetch->ssl_name;
    call->try_again = ngx_http_binarize_fetch_try_again;
    call->not_tried = ngx_http_binarize_fetch_not_tried;
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

    /* a token may be of any size: a job's pool has no room for it */

    p = ngx_alloc(size, ngx_cycle->log);
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
ngx_http_binarize_fetch_try_again(void *data)
{
    ngx_http_binarize_fetch_t  *fetch = data;

    return fetch->try_again(fetch);
}


static void
ngx_http_binarize_fetch_not_tried(void *data)
{
    ngx_http_binarize_fetch_t  *fetch = data;

    fetch->not_tried(fetch);
}


static ngx_int_t
ngx_http_binarize_fetch_on_body(ngx_http_binarize_call_t *call, u_char *data,
    size_t size)
{
    ngx_http_binarize_fetch_t     *fetch;
    ngx_http_binarize_document_t  *doc;

    fetch = call->data;

    if (ngx_http_binarize_fetch_begin(fetch) != NGX_OK) {
        return ngx_http_binarize_fetch_no_memory(fetch);
    }

    fetch->received += size;

    doc = fetch->document;

    doc->scan.next_in = data;
    doc->scan.avail_in = size;

    return ngx_http_binarize_fetch_run(fetch);
}


static ngx_int_t
ngx_http_binarize_fetch_run(ngx_http_binarize_fetch_t *fetch)
{
    int                            rc;
    u_char                        *out;
    ngx_http_binarize_document_t  *doc;

    doc = fetch->document;

    for ( ;; ) {

        out = doc->scan.next_out;

        rc = binarize_scan_run(&doc->scan);

        if (doc->scan.next_out != out
            && ngx_http_binarize_fetch_decoded(fetch, out,
                                               doc->scan.next_out - out)
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
            fetch->call->problem = doc->scan.payload_too_large
                                   ? BINARIZE_PROBLEM_TOO_LARGE
                                   : BINARIZE_PROBLEM_BAD_DOCUMENT;
            fetch->call->reason = doc->scan.reason;
            return NGX_ERROR;
        }
    }

no_memory:

    return ngx_http_binarize_fetch_no_memory(fetch);
}


static ngx_int_t
ngx_http_binarize_fetch_no_memory(ngx_http_binarize_fetch_t *fetch)
{
    fetch->call->problem = BINARIZE_PROBLEM_INTERNAL;
    fetch->call->reason = "no memory";

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_fetch_room(ngx_http_binarize_fetch_t *fetch)
{
    off_t                          n;
    size_t                         size, hint;
    u_char                        *p;
    ngx_http_binarize_document_t  *doc;

    doc = fetch->document;

    if (!doc->blob_ready) {

        n = ngx_http_binarize_call_content_length(fetch->call);
        hint = (n > 0) ? (size_t) ngx_min(n, NGX_MAX_SIZE_T_VALUE / 4) / 4 * 3
                       : 0;

        ngx_http_binarize_blob_init(&fetch->blob, fetch->store_zone,
                                    fetch->key,
                                    ngx_min(hint, fetch->conf->max_size),
                                    fetch->conf->max_size);
        doc->blob_ready = 1;
    }

    p = ngx_http_binarize_blob_room(&fetch->blob, &size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (size < NGX_HTTP_BINARIZE_MIN_ROOM) {
        p = doc->bounce;
        size = sizeof(doc->bounce);
    }

    doc->scan.next_out = p;
    doc->scan.avail_out = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_fetch_decoded(ngx_http_binarize_fetch_t *fetch, u_char *data,
    size_t size)
{
    ngx_http_binarize_document_t  *doc;

    doc = fetch->document;

    if (!doc->png_bad
        && binarize_png_feed(&doc->png, data, size) == BINARIZE_ERROR)
    {
        /* the rest of the document may say more: another task's, say */
        doc->png_bad = 1;
    }

    if (EVP_DigestUpdate(doc->sha, data, size) != 1) {
        return NGX_ERROR;
    }

    if (data >= doc->bounce
        && data < doc->bounce + sizeof(doc->bounce))
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

    fetch->document->scan.avail_out = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_fetch_grow(ngx_http_binarize_fetch_t *fetch)
{
    size_t                         size;
    u_char                        *p;
    ngx_http_binarize_document_t  *doc;

    doc = fetch->document;

    size = ngx_min(doc->scan.envelope_room * 2, BINARIZE_ENVELOPE_MAX_SIZE);

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, doc->scan.envelope, doc->scan.envelope_size);
    ngx_free(doc->scan.envelope);

    doc->scan.envelope = p;
    doc->scan.envelope_room = size;

    return NGX_OK;
}


/*
 * The body of a 200 answer has ended.  Whatever is wrong with it, the
 * connection is not trusted with another request.
 */

static ngx_int_t
ngx_http_binarize_fetch_on_whole(ngx_http_binarize_call_t *call)
{
    ngx_http_binarize_fetch_t     *fetch;
    ngx_http_binarize_document_t  *doc;

    fetch = call->data;

    /* it may have been empty */

    if (ngx_http_binarize_fetch_begin(fetch) != NGX_OK) {
        return ngx_http_binarize_fetch_no_memory(fetch);
    }

    doc = fetch->document;

    if (binarize_scan_finish(&doc->scan) != BINARIZE_OK) {
        call->problem = BINARIZE_PROBLEM_TRUNCATED;
        call->reason = doc->scan.reason;
        return NGX_ERROR;
    }

    binarize_envelope_read(doc->scan.envelope, doc->scan.envelope_size,
                           fetch->guid, fetch->blob.size, &doc->envelope);

    if (doc->envelope.outcome == BINARIZE_REFUSED) {
        call->problem = BINARIZE_PROBLEM_BAD_DOCUMENT;
        call->reason = doc->envelope.reason;
        return NGX_ERROR;
    }

    if (doc->envelope.outcome != BINARIZE_RESULT) {
        return NGX_OK;
    }

    if (doc->png_bad || binarize_png_finish(&doc->png) != BINARIZE_OK) {
        call->problem = BINARIZE_PROBLEM_NOT_PNG;
        call->reason = doc->png.reason;
        return NGX_ERROR;
    }

    if (EVP_DigestFinal_ex(doc->sha, doc->digest, NULL) != 1) {
        call->problem = BINARIZE_PROBLEM_INTERNAL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_binarize_fetch_on_done(ngx_http_binarize_call_t *call)
{
    ngx_http_binarize_fetch_t  *fetch;

    fetch = call->data;

    fetch->end = call->end;
    fetch->problem = call->problem;
    fetch->status = call->status;
    fetch->reason = call->reason;
    fetch->retry_after_s = call->retry_after_s;
    fetch->tries = call->tries;
    fetch->tries_left = call->tries_left;

    if (fetch->problem != BINARIZE_PROBLEM_NONE
        && fetch->end != BINARIZE_END_STOPPED)
    {
        ngx_log_error(NGX_LOG_ERR, &call->job->log, 0,
                      "cloud gave no document: %s, status %ui%s%s",
                      binarize_problem_name(fetch->problem),
                      fetch->status,
                      fetch->reason ? ", " : "",
                      fetch->reason ? fetch->reason : "");
    }

    if (fetch->document) {
        fetch->doc.data = fetch->document->scan.envelope;
        fetch->doc.len = fetch->document->scan.envelope_size;
        fetch->payload_offset = fetch->document->scan.payload_offset;
        fetch->unpadded = fetch->document->scan.payload_unpadded;
    }

    fetch->done(fetch);
}
