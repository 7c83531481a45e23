
/* what the tests and the fuzzer of the store share; without cmocka */


#ifndef _STORE_UNIT_H_INCLUDED_
#define _STORE_UNIT_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claim.h"
#include "store_private.h"


/* survives the entry */
typedef struct {
    uint64_t  generation;
    uint32_t  index;
} model_ref_t;


#define model_assert(condition)                                              \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                         \
        }                                                                    \
    } while (0)


static inline model_ref_t
model_ref(const binarize_store_t *store, const binarize_store_entry_t *entry)
{
    model_ref_t  ref;

    ref.index = binarize_store_index(store, entry);
    ref.generation = entry->generation;

    return ref;
}


/* NULL if it was freed since, whatever its block is used for now */

static inline binarize_store_entry_t *
model_get(const binarize_store_t *store, model_ref_t ref)
{
    binarize_store_entry_t  *entry;

    if (binarize_store_map(store)[ref.index] != BINARIZE_STORE_MAP_HEAD) {
        return NULL;
    }

    entry = binarize_store_entry(store, ref.index);

    return entry->generation == ref.generation ? entry : NULL;
}


/* keys of one bucket, and such that differ in their last byte only */

static inline void
model_key(unsigned i, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    uint64_t  bucket;

    memset(key, 0x5a, BINARIZE_STORE_KEY_SIZE);

    bucket = (i % 24) * 0x9e3779b97f4a7c15ULL;
    memcpy(key, &bucket, sizeof(bucket));

    key[8 + i % 5] ^= (unsigned char) (i * 37);
    key[BINARIZE_STORE_KEY_SIZE - 1] = (unsigned char) i;
}


static inline unsigned char
model_byte(uint32_t seed, uint64_t offset)
{
    return (unsigned char) (seed * 167 + offset * 7 + (offset >> 8) * 13
                            + (offset >> 16));
}


static inline void
model_verify_pieces(const binarize_span_t *pieces, size_t n, uint32_t seed,
    uint64_t size)
{
    size_t    i, k;
    uint64_t  offset;

    offset = 0;

    for (i = 0; i < n; i++) {
        for (k = 0; k < pieces[i].size; k++) {
            model_assert(pieces[i].data[k] == model_byte(seed, offset));
            offset++;
        }
    }

    model_assert(offset == size);
}


#endif /* _STORE_UNIT_H_INCLUDED_ */
