
#ifndef _NGX_HTTP_BINARIZE_FETCH_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FETCH_H_INCLUDED_


#include "cloud/call.h"
#include "zone/blob.h"

#include <openssl/evp.h>


/*
 * One billed call: GET ...?id=<guid> with a bearer token, the answer taken
 * apart, decoded, checked and digested as it arrives.
 */
typedef struct ngx_http_binarize_fetch_s  ngx_http_binarize_fetch_t;


/* what takes a document apart: there is none before its first byte is */
typedef struct {
    binarize_envelope_t             envelope;
    u_char                          digest[EVP_MAX_MD_SIZE];

    /* implementation */
    binarize_scan_t                 scan;
    binarize_png_t                  png;
    EVP_MD_CTX                     *sha;
    unsigned                        blob_ready:1;
    unsigned                        png_bad:1;
    u_char                          bounce[64];
} ngx_http_binarize_document_t;


struct ngx_http_binarize_fetch_s {
    /* the caller's; strings live until done() returns, but for the token */
    ngx_http_binarize_cloud_conf_t   *conf;
    ngx_http_binarize_zone_t       *store_zone;  /* NULL: keep out of L1 */
    u_char                          key[BINARIZE_STORE_KEY_SIZE];
    u_char                          guid[BINARIZE_GUID_SIZE];
    ngx_str_t                       token;       /* until it is started */
    ngx_str_t                       headers;     /* lines, each with CRLF */
    ngx_str_t                       host;
    ngx_str_t                       ssl_name;
    ngx_int_t                     (*try_again)(
                                        ngx_http_binarize_fetch_t *fetch);
    void                          (*not_tried)(
                                        ngx_http_binarize_fetch_t *fetch);
    ngx_uint_t                      max_tries;
    ngx_uint_t                      fresh;
    void                          (*done)(ngx_http_binarize_fetch_t *fetch);
    void                           *data;

    /*
     * The outcome: problem is _NONE and document->envelope holds what the
     * document means, or problem says what is wrong; status is the cloud's
     * (0: none), reason a static text for people.
     */
    binarize_end_e                  end;
    binarize_problem_e              problem;
    ngx_uint_t                      status;
    const char                     *reason;
    time_t                          retry_after_s; /* -1: none */
    ngx_uint_t                      tries;
    ngx_uint_t                      tries_left;
    ngx_http_binarize_document_t   *document;    /* NULL: no body */

    ngx_str_t                       doc;         /* until done() returns */
    size_t                          payload_offset;
    unsigned                        unpadded:1;

    /* of a result; whoever takes the blob sets blob.entry, memory to NULL */
    ngx_http_binarize_blob_t        blob;

    /* implementation */
    ngx_http_binarize_call_t       *call;
    uint64_t                        started_us;  /* for the metrics */
    size_t                          received;    /* bytes of body */
};


/* zeroed but for conf; NULL: no memory.  It has to be started. */
ngx_http_binarize_fetch_t *ngx_http_binarize_fetch_create(
    ngx_http_binarize_cloud_conf_t *conf);

/*
 * Starts the call.  done() is called once, from the event loop, and the fetch
 * is freed when it returns; on NGX_ERROR it is freed at once.
 */
ngx_int_t ngx_http_binarize_fetch_start(ngx_http_binarize_fetch_t *fetch);


#endif /* _NGX_HTTP_BINARIZE_FETCH_H_INCLUDED_ */
