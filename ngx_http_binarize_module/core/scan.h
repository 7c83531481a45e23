
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
typedef struct binarize_scan_s  binarize_scan_t;

struct binarize_scan_s {
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
    unsigned              payload_too_large:1; /* with BINARIZE_ERROR */

    const char           *reason;           /* static, set on BINARIZE_ERROR */

    /* implementation */

    int                 (*state)(binarize_scan_t *scan, unsigned char c);
    binarize_base64_t     base64;
    uint64_t              nspaces;          /* skipped inside the payload */

    uint32_t              arrays;           /* bit n: level n is an array */
    unsigned              depth;
    unsigned              element;          /* of results: 0, or 1 for more */

    unsigned              scope;            /* of the name being read */
    unsigned              top;              /* the member at level 1 */
    unsigned              member;           /* of results[0] or error */
    uint32_t              seen;             /* known members, all scopes */
    unsigned char         name[20];
    unsigned              name_size;

    const char           *literal;          /* what is left of null etc. */
    unsigned              number_size;
    unsigned              code;             /* of a \u escape */
    unsigned              nhex;
    unsigned              nbom;
    unsigned char         nfollow;          /* UTF-8 bytes to come, */
    unsigned char         follow_low;       /*   range of the first */
    unsigned char         follow_high;
    unsigned              high_surrogate:1;
    unsigned              name_open:1;      /* the string is a name */
    unsigned              escape:2;         /* in the payload: 1 after "\",
                                               2 in the hex digits */
    unsigned              discard:1;        /* the envelope is not kept */
};


void binarize_scan_init(binarize_scan_t *scan, uint64_t max_payload_size);

/*
 * Returns
 *   BINARIZE_AGAIN  all input is used, more is wanted; a complete document
 *                   is also answered so, since white space may follow
 *   BINARIZE_FULL   avail_out is too small (fewer than four bytes)
 *   BINARIZE_GROW   the envelope buffer is full; it never has to be larger
 *                   than BINARIZE_ENVELOPE_MAX_SIZE
 *   BINARIZE_ERROR  reason is set: bad JSON or UTF-8 (RFC 8259), not an
 *                   object, bad base64, too large, too deep, trailing garbage,
 *                   duplicate member.  Every further call says the same
 *
 * What it accepts cJSON parses, to the same values: lone surrogates, \u0000
 * and numbers of more than 63 characters are refused as well.
 */
int binarize_scan_run(binarize_scan_t *scan);

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
