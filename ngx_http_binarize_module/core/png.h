
#ifndef _BINARIZE_PNG_H_INCLUDED_
#define _BINARIZE_PNG_H_INCLUDED_


#include "binarize.h"


/*
 * Walks the chunks of a PNG as its bytes pass, without decoding pixels:
 * signature, IHDR first (13 bytes, a valid size, bit depth and colour type),
 * every chunk length in range, at least one IDAT, IEND last and nothing
 * behind it.  CRCs of chunk data are not computed; see the caller's digest.
 */
typedef struct {
    uint64_t      skip;          /* bytes of chunk data and CRC to pass over */
    uint32_t      width;
    uint32_t      height;
    unsigned      state;
    unsigned      nheld;
    unsigned      idat_seen:1;
    unsigned char held[32];      /* an incomplete signature, header or IHDR */
    const char   *reason;        /* static, why it is not a PNG */
} binarize_png_t;


void binarize_png_init(binarize_png_t *png);

/* BINARIZE_AGAIN, or BINARIZE_ERROR with reason set */
int binarize_png_feed(binarize_png_t *png, const unsigned char *data,
    size_t size);

/* BINARIZE_OK if a whole PNG went by, or BINARIZE_ERROR with reason set */
int binarize_png_finish(binarize_png_t *png);


#endif /* _BINARIZE_PNG_H_INCLUDED_ */
