
#ifndef _BINARIZE_SCAN_H_INCLUDED_
#define _BINARIZE_SCAN_H_INCLUDED_


#include "base64.h"


/* the largest envelope: the document without its payload, bytes */
#define BINARIZE_ENVELOPE_MAX_SIZE  (64 * 1024)

/* the deepest nesting accepted; an OCRResponse needs three */
#define BINARIZE_SCAN_MAX_DEPTH     32


/*
 * Splits an OCRResponse, as it streams by, into the envelope (the cloud's own
 * text with the string results[0].data emptied, a leading BOM removed) and
 * the payload, decoded on the fly.  The payload's text is never held.
 *
 * Works like zlib: the caller sets next_in/avail_in, next_out/avail_out and
 * the envelope buffer, and calls binarize_scan_run() until it wants something.
 */
typedef struct {
    const unsigned char  *next_in;
    size_t                avail_in;

    unsigned char        *next_out;         /* decoded payload */
    size_t                avail_out;

    unsigned char        *envelope;         /* the caller's, may be replaced */
    size_t                envelope_room;    /*   by a larger copy any time */
    size_t                envelope_size;    /* written so far */

    uint64_t              payload_size;     /* decoded bytes so far */
    uint64_t              max_payload_size;

    /* where the payload's text belongs: envelope offset between the quotes */
    size_t                payload_offset;
    unsigned              payload_seen:1;   /* results[0].data is a string */
    unsigned              payload_unpadded:1; /* "=" were left out */

    const char           *reason;           /* static, set on BINARIZE_ERROR */

    /* implementation */
    binarize_base64_t     base64;
    /* H1: add what the state machine needs, fixed size */
} binarize_scan_t;


void binarize_scan_init(binarize_scan_t *scan, uint64_t max_payload_size);

/*
 * Returns
 *   BINARIZE_AGAIN  all input is used, more is wanted; a complete document
 *                   is also answered so, since white space may follow
 *   BINARIZE_FULL   avail_out is too small (fewer than four bytes)
 *   BINARIZE_GROW   the envelope buffer is full; it never has to be larger
 *                   than BINARIZE_ENVELOPE_MAX_SIZE
 *   BINARIZE_ERROR  reason is set: bad JSON, bad base64, too large, too deep,
 *                   trailing garbage, duplicate member
 */
int binarize_scan_run(binarize_scan_t *scan);

/* 1 once the top-level value is closed; for close-delimited bodies */
int binarize_scan_complete(const binarize_scan_t *scan);

/* the input has ended: BINARIZE_OK, or BINARIZE_ERROR (truncated) */
int binarize_scan_finish(binarize_scan_t *scan);

/*
 * Finds the place of the payload in an envelope that was split before, as
 * from a cache.  BINARIZE_OK and *offset, or BINARIZE_ERROR if doc is not a
 * whole envelope with an empty results[0].data.
 */
int binarize_scan_payload_offset(const unsigned char *doc, size_t size,
    size_t *offset);


#endif /* _BINARIZE_SCAN_H_INCLUDED_ */
