
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


static void fingerprint_blocks(const uint64_t secret[4], uint64_t lanes[4],
    const unsigned char *p, size_t nblocks);
static inline uint64_t fingerprint_lane(const unsigned char *p,
    uint64_t secret, uint64_t lane);
static inline uint64_t fingerprint_fold(uint64_t a, uint64_t b);


void
binarize_fingerprint(const uint64_t secret[4], const binarize_span_t *spans,
    size_t nspans, binarize_fingerprint_t *fingerprint)
{
    size_t                i, left, nblocks;
    uint64_t              lanes[FINGERPRINT_LANES], size;
    unsigned char         rest[FINGERPRINT_BLOCK];
    const unsigned char  *p;

    memcpy(lanes, secret, sizeof(lanes));

    for (i = 0; i < nspans; i++) {

        p = spans[i].data;
        left = p ? spans[i].size : 0;

        nblocks = left / FINGERPRINT_BLOCK;
        left %= FINGERPRINT_BLOCK;

        fingerprint_blocks(secret, lanes, p, nblocks);

        memset(rest, 0, sizeof(rest));

        if (left) {
            memcpy(rest, p + nblocks * FINGERPRINT_BLOCK, left);
        }

        fingerprint_blocks(secret, lanes, rest, 1);

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


/* in registers, which the loop is about: it is twice as fast so */

static void
fingerprint_blocks(const uint64_t secret[4], uint64_t lanes[4],
    const unsigned char *p, size_t nblocks)
{
    uint64_t  a, b, c, d;

    a = lanes[0];
    b = lanes[1];
    c = lanes[2];
    d = lanes[3];

    while (nblocks--) {
        a = fingerprint_lane(p, secret[0], a);
        b = fingerprint_lane(p + 16, secret[1], b);
        c = fingerprint_lane(p + 32, secret[2], c);
        d = fingerprint_lane(p + 48, secret[3], d);

        p += FINGERPRINT_BLOCK;
    }

    lanes[0] = a;
    lanes[1] = b;
    lanes[2] = c;
    lanes[3] = d;
}


static inline uint64_t
fingerprint_lane(const unsigned char *p, uint64_t secret, uint64_t lane)
{
    uint64_t  words[2];

    memcpy(words, p, sizeof(words));

    return fingerprint_fold(words[0] ^ secret, words[1] ^ lane);
}


static inline uint64_t
fingerprint_fold(uint64_t a, uint64_t b)
{
    fingerprint_product_t  product;

    product = (fingerprint_product_t) a * b;

    return (uint64_t) product ^ (uint64_t) (product >> 64);
}
