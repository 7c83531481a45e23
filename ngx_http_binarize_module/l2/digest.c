
#include "l2/digest.h"


/* some 0.3 ms */
#define NGX_HTTP_BINARIZE_L2_DIGEST_TURN  (512 * 1024)


static void ngx_http_binarize_l2_digest_on_event(ngx_event_t *ev);


void
ngx_http_binarize_l2_digest(ngx_http_binarize_l2_digest_t *digest,
    const binarize_span_t *png, ngx_http_binarize_l2_digest_pt handler,
    void *data)
{
    ngx_memzero(digest, sizeof(ngx_http_binarize_l2_digest_t));

    digest->left = *png;
    digest->handler = handler;
    digest->data = data;

    digest->event.handler = ngx_http_binarize_l2_digest_on_event;
    digest->event.data = digest;
    digest->event.log = ngx_cycle->log;

    digest->md = EVP_MD_CTX_new();

    if (digest->md
        && EVP_DigestInit_ex(digest->md, EVP_sha256(), NULL) != 1)
    {
        EVP_MD_CTX_free(digest->md);
        digest->md = NULL;
    }

    ngx_http_binarize_l2_digest_on_event(&digest->event);
}


static void
ngx_http_binarize_l2_digest_on_event(ngx_event_t *ev)
{
    u_char                          bytes[EVP_MAX_MD_SIZE];
    u_char                          etag[BINARIZE_ETAG_SIZE];
    size_t                          size;
    ngx_http_binarize_l2_digest_t  *digest;

    digest = ev->data;

    size = ngx_min(digest->left.size, NGX_HTTP_BINARIZE_L2_DIGEST_TURN);

    if (digest->md
        && EVP_DigestUpdate(digest->md, digest->left.data, size) == 1)
    {
        digest->left.data += size;
        digest->left.size -= size;

        if (digest->left.size) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }
    }

    /* no picture has the one of a failure */

    ngx_memzero(bytes, sizeof(bytes));

    if (digest->md && digest->left.size == 0) {
        (void) EVP_DigestFinal_ex(digest->md, bytes, NULL);
    }

    EVP_MD_CTX_free(digest->md);
    digest->md = NULL;

    binarize_record_hex(bytes, etag);

    digest->handler(digest->data, etag);
}


void
ngx_http_binarize_l2_json_etag(const binarize_span_t *doc,
    const u_char etag[BINARIZE_ETAG_SIZE],
    u_char json_etag[BINARIZE_ETAG_SIZE])
{
    u_char       digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX  *md;

    ngx_memzero(digest, sizeof(digest));

    md = EVP_MD_CTX_new();

    if (md
        && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
        && EVP_DigestUpdate(md, doc->data, doc->size) == 1
        && EVP_DigestUpdate(md, etag, BINARIZE_ETAG_SIZE) == 1)
    {
        (void) EVP_DigestFinal_ex(md, digest, NULL);
    }

    EVP_MD_CTX_free(md);

    binarize_record_hex(digest, json_etag);
}
