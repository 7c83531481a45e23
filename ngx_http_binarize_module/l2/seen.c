
#include "l2/seen.h"

#include <openssl/rand.h>


/* places, a power of two; what is not used takes no memory */
#define NGX_HTTP_BINARIZE_L2_NSEEN  1024


/* this worker's */
static uint64_t                     ngx_http_binarize_l2_secret[4];
static ngx_http_binarize_l2_seen_t
    ngx_http_binarize_l2_table[NGX_HTTP_BINARIZE_L2_NSEEN]
                              [NGX_HTTP_BINARIZE_L2_NWAYS];


ngx_http_binarize_l2_seen_t *
ngx_http_binarize_l2_seen(ngx_str_t *key, binarize_span_t *values,
    size_t max_size, binarize_fingerprint_t *fingerprint)
{
    binarize_span_t  spans[NGX_HTTP_BINARIZE_L2_NFIELDS + 2];

    if (ngx_http_binarize_l2_secret[0] == 0
        && RAND_bytes((u_char *) ngx_http_binarize_l2_secret,
                      sizeof(ngx_http_binarize_l2_secret))
           != 1)
    {
        ngx_memzero(ngx_http_binarize_l2_secret,
                    sizeof(ngx_http_binarize_l2_secret));
        return NULL;
    }

    ngx_memcpy(spans, values,
               NGX_HTTP_BINARIZE_L2_NFIELDS * sizeof(binarize_span_t));

    spans[NGX_HTTP_BINARIZE_L2_NFIELDS].data = key->data;
    spans[NGX_HTTP_BINARIZE_L2_NFIELDS].size = key->len;
    spans[NGX_HTTP_BINARIZE_L2_NFIELDS + 1].data = (u_char *) &max_size;
    spans[NGX_HTTP_BINARIZE_L2_NFIELDS + 1].size = sizeof(max_size);

    binarize_fingerprint(ngx_http_binarize_l2_secret, spans,
                         NGX_HTTP_BINARIZE_L2_NFIELDS + 2, fingerprint);

    return ngx_http_binarize_l2_table[fingerprint->half[0]
                                      % NGX_HTTP_BINARIZE_L2_NSEEN];
}


ngx_uint_t
ngx_http_binarize_l2_seen_record(ngx_http_binarize_l2_seen_t *seen,
    binarize_fingerprint_t *fingerprint, binarize_span_t *values,
    binarize_record_t *record)
{
    ngx_uint_t                   i;
    ngx_http_binarize_l2_seen_t  found;

    if (seen == NULL) {
        return 0;
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_L2_NWAYS; i++) {

        if (seen[i].used
            && seen[i].fingerprint.half[0] == fingerprint->half[0]
            && seen[i].fingerprint.half[1] == fingerprint->half[1])
        {
            break;
        }
    }

    if (i == NGX_HTTP_BINARIZE_L2_NWAYS) {
        return 0;
    }

    if (i) {
        found = seen[i];
        ngx_memmove(&seen[1], &seen[0], i * sizeof(*seen));
        seen[0] = found;
    }

    record->png = values[0];
    record->doc = values[1];
    record->etag = values[2];
    record->stored = seen->stored;
    record->payload_offset = seen->payload_offset;
    record->unpadded = seen->unpadded;
    ngx_memcpy(record->json_etag, seen->json_etag, BINARIZE_ETAG_SIZE);

    return 1;
}


void
ngx_http_binarize_l2_see(ngx_http_binarize_l2_seen_t *seen,
    binarize_fingerprint_t *fingerprint, binarize_record_t *record)
{
    if (seen == NULL) {
        return;
    }

    ngx_memmove(&seen[1], &seen[0],
                (NGX_HTTP_BINARIZE_L2_NWAYS - 1) * sizeof(*seen));

    seen->fingerprint = *fingerprint;
    seen->stored = record->stored;
    seen->payload_offset = record->payload_offset;
    seen->unpadded = record->unpadded;
    seen->used = 1;
    ngx_memcpy(seen->json_etag, record->json_etag, BINARIZE_ETAG_SIZE);
}
