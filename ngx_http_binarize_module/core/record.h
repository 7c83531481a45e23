
#ifndef _BINARIZE_RECORD_H_INCLUDED_
#define _BINARIZE_RECORD_H_INCLUDED_


#include "guid.h"


/* 32 lower case hex digits: SHA-256, truncated to 16 bytes */
#define BINARIZE_ETAG_SIZE  32


/*
 * A result as it lies in Redis: a hash with the fields png, doc, etag (of the
 * PNG, without quotes), stored (Unix time, decimal seconds) and, only where
 * the cloud left the payload's padding out, "unpadded" (1).
 */
typedef struct {
    binarize_span_t   png;
    binarize_span_t   doc;
    binarize_span_t   etag;
    int64_t           stored;
    size_t            payload_offset;   /* in doc */
    unsigned          unpadded:1;

    /* not in Redis, and the caller's: of document and PNG */
    unsigned char     json_etag[BINARIZE_ETAG_SIZE];
} binarize_record_t;


/*
 * Reads the answer to HMGET key png doc etag stored unpadded: five values,
 * data NULL where the field is missing.
 * Returns
 *   BINARIZE_OK        the record is whole; the spans point into values
 *   BINARIZE_DECLINED  all fields are missing: there is no record
 *   BINARIZE_ERROR     foreign or corrupt, *reason says why: a field is
 *                      missing or malformed, png is not a PNG or larger than
 *                      max_size, doc is not the envelope of a result of guid
 * Does not verify the digest: that is the glue's.
 */
int binarize_record_read(const binarize_span_t values[5],
    const unsigned char guid[BINARIZE_GUID_SIZE], uint64_t max_size,
    binarize_record_t *record, const char **reason);

/* "-9223372036854775808" and its zero */
#define BINARIZE_STORED_SIZE  21

/* writes stored as the record keeps it, returns its size */
size_t binarize_record_stored(int64_t stored,
    char text[BINARIZE_STORED_SIZE]);

/* lower case hex of the first 16 bytes of a SHA-256 */
void binarize_record_hex(const unsigned char digest[16],
    unsigned char etag[BINARIZE_ETAG_SIZE]);


#endif /* _BINARIZE_RECORD_H_INCLUDED_ */
