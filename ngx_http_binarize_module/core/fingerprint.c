
/*
 * Each of four lanes takes sixteen bytes of a block of 64 and multiplies them
 * with what it has and a secret, to 128 bits, whose halves are added without
 * carry.
 */


#include <string.h>

#include "fingerprint.h"


#define FINGERPRINT_BLOCK  64
#define FINGERPRINT_LANES  4


__extension__ typedef unsigned __int128  fingerprint_product_t;


static void fingerprint_block(const uint64_t secret[4], uint64_t lanes[4],
    const unsigned char *p);
static uint64_t fingerprint_fold(uint64_t a, uint64_t b);


void
binarize_fingerprint(const uint64_t secret[4], const binarize_span_t *spans,
    size_t nspans, binarize_fingerprint_t *fingerprint)
{
    size_t                i, left;
    uint64_t              lanes[FINGERPRINT_LANES], size;
    unsigned char         rest[FINGERPRINT_BLOCK];
    const unsigned char  *p;

    memcpy(lanes, secret, sizeof(lanes));

    for (i = 0; i < nspans; i++) {

        p = spans[i].data;
        left = p ? spans[i].size : 0;

        for ( /* void */ ; left >= FINGERPRINT_BLOCK;
             left -= FINGERPRINT_BLOCK)
        {
            fingerprint_block(secret, lanes, p);
            p += FINGERPRINT_BLOCK;
        }

        memset(rest, 0, sizeof(rest));

        if (left) {
            memcpy(rest, p, left);
        }

        fingerprint_block(secret, lanes, rest);

        /* where it ended, and whether it was there */

        size = spans[i].data ? (uint64_t) spans[i].size + 1 : 0;
        lanes[0] = fingerprint_fold(lanes[0] ^ size, secret[1]);
    }

    fingerprint->half[0] = fingerprint_fold(lanes[0] ^ secret[2],
                                            lanes[1] ^ secret[3])
                           ^ fingerprint_fold(lanes[2] ^ secret[0],
                                              lanes[3] ^ secret[1]);

    fingerprint->half[1] = fingerprint_fold(lanes[0] ^ secret[1],
                                            lanes[2] ^ secret[0])
                           + fingerprint_fold(lanes[1] ^ secret[2],
                                              lanes[3] ^ secret[3]);
}


static void
fingerprint_block(const uint64_t secret[4], uint64_t lanes[4],
    const unsigned char *p)
{
    int       i;
    uint64_t  words[2 * FINGERPRINT_LANES];

    memcpy(words, p, sizeof(words));

    for (i = 0; i < FINGERPRINT_LANES; i++) {
        lanes[i] = fingerprint_fold(words[2 * i] ^ secret[i],
                                    words[2 * i + 1] ^ lanes[i]);
    }
}


static uint64_t
fingerprint_fold(uint64_t a, uint64_t b)
{
    fingerprint_product_t  product;

    product = (fingerprint_product_t) a * b;

    return (uint64_t) product ^ (uint64_t) (product >> 64);
}
