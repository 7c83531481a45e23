
#ifndef _BINARIZE_FINGERPRINT_H_INCLUDED_
#define _BINARIZE_FINGERPRINT_H_INCLUDED_


#include "binarize.h"


typedef struct {
    uint64_t  half[2];
} binarize_fingerprint_t;


/*
 * Tells whether bytes are those seen before, some twenty times faster than a
 * SHA-256: two lists of spans that differ, in bytes or in where one span ends
 * and the next begins, have the same fingerprint by a chance of about 2^-64
 * as long as nobody who chooses them knows the secret (random).  A span whose
 * data is NULL differs from an empty one.  It depends on the machine's byte
 * order: not to be stored.
 */
void binarize_fingerprint(const uint64_t secret[4],
    const binarize_span_t *spans, size_t nspans,
    binarize_fingerprint_t *fingerprint);


#endif /* _BINARIZE_FINGERPRINT_H_INCLUDED_ */
