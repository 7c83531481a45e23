
/*
 * The ETags of a record: SHA-256, truncated, hex.  That of a large PNG takes
 * several turns of the event loop.
 */


#ifndef _NGX_HTTP_BINARIZE_L2_DIGEST_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_L2_DIGEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <openssl/evp.h>
#include "core/record.h"


typedef void (*ngx_http_binarize_l2_digest_pt)(void *data,
    const u_char etag[BINARIZE_ETAG_SIZE]);


/* lives, as the PNG, until the handler was called */
typedef struct {
    EVP_MD_CTX                      *md;
    binarize_span_t                  left;
    ngx_event_t                      event;

    ngx_http_binarize_l2_digest_pt   handler;
    void                            *data;
} ngx_http_binarize_l2_digest_t;


/* The handler is called once, maybe from inside. */
void ngx_http_binarize_l2_digest(ngx_http_binarize_l2_digest_t *digest,
    const binarize_span_t *png, ngx_http_binarize_l2_digest_pt handler,
    void *data);

/* of document and PNG, from the document and the PNG's */
void ngx_http_binarize_l2_json_etag(const binarize_span_t *doc,
    const u_char etag[BINARIZE_ETAG_SIZE],
    u_char json_etag[BINARIZE_ETAG_SIZE]);


#endif /* _NGX_HTTP_BINARIZE_L2_DIGEST_H_INCLUDED_ */
