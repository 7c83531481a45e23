
/* a store for tests, and what is put into it */


#ifndef _STORE_FIXTURE_H_INCLUDED_
#define _STORE_FIXTURE_H_INCLUDED_


#include "store_private.h"
#include "unit.h"


typedef struct {
    binarize_store_t  *store;
    void              *memory;
    uint32_t          *owners;
    uint32_t           random;
    uint32_t           nkeys;
} fixture_t;


static const binarize_store_meta_t  forever = { .expires_ms = UINT64_MAX };


static inline void
fixture_init(fixture_t *f, size_t size)
{
    unsigned  attached;

    f->memory = aligned_alloc(64, size);
    assert_non_null(f->memory);
    memset(f->memory, 0, sizeof(binarize_store_t));

    assert_int_equal(binarize_store_init(f->memory, size, &f->store,
                                         &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);

    f->owners = malloc((binarize_store_nblocks(f->store) + 1)
                       * sizeof(uint32_t));
    assert_non_null(f->owners);

    f->random = 2463534242u;
    f->nkeys = 0;
}


static inline void
fixture_check(fixture_t *f)
{
    const char  *error;

    error = binarize_store_check(f->store, f->owners);

    if (error) {
        fail_msg("store: %s", error);
    }
}


static inline void
fixture_done(fixture_t *f)
{
    fixture_check(f);

    free(f->memory);
    free(f->owners);
}


static inline void
key_of(uint32_t n, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    uint64_t  i, word;

    for (i = 0; i < BINARIZE_STORE_KEY_SIZE / sizeof(word); i++) {
        word = (n * 4ULL + i + 1) * 0x9e3779b97f4a7c15ULL;
        word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9ULL;
        word ^= word >> 32;
        memcpy(key + i * sizeof(word), &word, sizeof(word));
    }
}


/* its size is known; nothing is written into it */

static inline int
insert(fixture_t *f, uint32_t n, binarize_store_kind_e kind, uint64_t size,
    size_t doc_size, binarize_store_entry_t **entry)
{
    int                      rc;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *e;

    key_of(n, key);

    do {
        rc = binarize_store_reserve(f->store, key, kind, size, 1, 0, &e);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        return rc;
    }

    do {
        rc = binarize_store_finish(f->store, e, size, doc_size, 0);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        binarize_store_abort(f->store, e);
        return rc;
    }

    binarize_store_publish(f->store, e, &forever);

    if (entry) {
        *entry = e;
    }

    return BINARIZE_OK;
}


/*
 * As it arrives: nobody knows how much more will come.  Collected elsewhere
 * where the store wants to know.
 */

static inline int
insert_growing(fixture_t *f, uint32_t n, uint64_t size)
{
    int                      rc;
    size_t                   room;
    uint64_t                 done;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *e;

    key_of(n, key);

    do {
        rc = binarize_store_reserve(f->store, key, BINARIZE_STORE_RESULT, 0, 1,
                                    0, &e);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        return rc;
    }

    for (done = 0; done < size; done += room) {

        (void) binarize_store_room(f->store, e, done, &room);

        if (room) {
            continue;
        }

        do {
            rc = binarize_store_grow(f->store, e, done + 65536, 0);
        } while (rc == BINARIZE_AGAIN);

        if (rc != BINARIZE_OK) {
            binarize_store_abort(f->store, e);

            return rc == BINARIZE_DECLINED
                   ? insert(f, n, BINARIZE_STORE_RESULT, size, 150, NULL) : rc;
        }
    }

    do {
        rc = binarize_store_finish(f->store, e, size, 150, 0);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        binarize_store_abort(f->store, e);
        return rc;
    }

    binarize_store_publish(f->store, e, &forever);

    return BINARIZE_OK;
}


static inline binarize_store_entry_t *
lookup(fixture_t *f, uint32_t n, uint64_t now_ms)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    key_of(n, key);

    return binarize_store_lookup(f->store, key, now_ms);
}


#endif /* _STORE_FIXTURE_H_INCLUDED_ */
