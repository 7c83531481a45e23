
#ifndef _BINARIZE_BASE64_H_INCLUDED_
#define _BINARIZE_BASE64_H_INCLUDED_


#include "binarize.h"


/* size of the padded text of size bytes */
#define binarize_base64_size(size)  (((size) + 2) / 3 * 4)


typedef struct {
    uint32_t   bits;        /* up to three digits not decoded yet */
    unsigned   ndigits:3;
    unsigned   npads:2;
    unsigned   json:1;      /* set after init: the text is a JSON string's */
} binarize_base64_t;


void binarize_base64_init(binarize_base64_t *b);

/*
 * Decodes from *in to in_end into *out to out_end and moves both pointers.
 * RFC 4648 section 4 alphabet.  White space (CR, LF, space, tab) is skipped.
 * Returns
 *   BINARIZE_AGAIN  all input is used
 *   BINARIZE_FULL   *out is full (fewer than three bytes are left)
 *   BINARIZE_ERROR  *in is at the offending byte: a foreign character, or a
 *                   digit or too much padding after padding
 * Bytes between *out and out_end may be overwritten.
 *
 * With b->json white space is foreign, too, and the decoder may, where that
 * is fast, or may not take \u002B and \/ for the digits they are; where it
 * does not, it stops at the backslash.
 */
int binarize_base64_decode(binarize_base64_t *b, const unsigned char **in,
    const unsigned char *in_end, unsigned char **out, unsigned char *out_end);

/*
 * Ends the text: writes the last one or two bytes.  Missing padding is
 * accepted (RFC 4648 3.2); wrong padding, a lone digit, and bits that are
 * set behind the last byte (3.5) are BINARIZE_ERROR.  BINARIZE_FULL if there
 * are fewer than two bytes of room.
 */
int binarize_base64_finish(binarize_base64_t *b, unsigned char **out,
    unsigned char *out_end);

/*
 * Encodes with padding into out (room for binarize_base64_size(size), no
 * terminating zero), returns the number of bytes written.  Text of pieces
 * joins to the text of the whole if all pieces but the last are multiples of
 * three bytes.
 */
size_t binarize_base64_encode(unsigned char *out, const unsigned char *in,
    size_t size);


#endif /* _BINARIZE_BASE64_H_INCLUDED_ */
