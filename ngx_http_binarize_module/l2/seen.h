
/*
 * Records of Redis that this worker has verified lately, by fingerprint.  One
 * that comes again, byte for byte, need not be verified again.
 */


#ifndef _NGX_HTTP_BINARIZE_L2_SEEN_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_L2_SEEN_H_INCLUDED_


#include "l2/l2.h"
#include "core/fingerprint.h"


/* values of a record, as binarize_record_read() takes them */
#define NGX_HTTP_BINARIZE_L2_NFIELDS  5


/* those in one place, the latest first */
#define NGX_HTTP_BINARIZE_L2_NWAYS    4


typedef struct {
    binarize_fingerprint_t  fingerprint;
    int64_t                 stored;
    uint32_t                payload_offset;
    unsigned                unpadded:1;
    unsigned                used:1;
    u_char                  json_etag[BINARIZE_ETAG_SIZE];
} ngx_http_binarize_l2_seen_t;


/*
 * The place where a record is remembered, and its fingerprint: of all that
 * its verification depends on.  NULL: there is no randomness.
 */
ngx_http_binarize_l2_seen_t *ngx_http_binarize_l2_seen(ngx_str_t *key,
    binarize_span_t *values, size_t max_size,
    binarize_fingerprint_t *fingerprint);

/* 1: it is remembered there, *record is set, its spans point into values */
ngx_uint_t ngx_http_binarize_l2_seen_record(ngx_http_binarize_l2_seen_t *seen,
    binarize_fingerprint_t *fingerprint, binarize_span_t *values,
    binarize_record_t *record);

/* remembers it */
void ngx_http_binarize_l2_see(ngx_http_binarize_l2_seen_t *seen,
    binarize_fingerprint_t *fingerprint, binarize_record_t *record);


#endif /* _NGX_HTTP_BINARIZE_L2_SEEN_H_INCLUDED_ */
