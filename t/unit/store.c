
#include <time.h>

#include "store_fixture.h"
#include "store_model.h"


static void
test_init(void **state)
{
    unsigned           attached;
    unsigned char     *memory;
    binarize_store_t  *store, *again;

    (void) state;

    memory = aligned_alloc(64, 1 << 20);
    assert_non_null(memory);
    memset(memory, 0xff, 1 << 20);

    assert_int_equal(binarize_store_init(memory, BINARIZE_STORE_MIN_SIZE - 64,
                                         &store, &attached),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_init(memory + 8, 1 << 19, &store,
                                         &attached),
                     BINARIZE_ERROR);

    assert_int_equal(binarize_store_init(memory, 1 << 20, &store, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);

    assert_int_equal(binarize_store_init(memory, 1 << 20, &again, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 1);
    assert_ptr_equal(store, again);

    /* another size */

    assert_int_equal(binarize_store_init(memory, 1 << 19, &store, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);

    assert_int_equal(binarize_store_init(memory, (1 << 19) + 64, &store,
                                         &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);
    assert_int_equal(binarize_store_init(memory, 1 << 19, &store, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);

    /* another layout */

    store->layout ^= 1;
    assert_int_equal(binarize_store_init(memory, 1 << 19, &store, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);

    /* killed while it was formatted */

    store->magic = 0;
    store->classes[5] = 99;
    assert_int_equal(binarize_store_init(memory, 1 << 19, &store, &attached),
                     BINARIZE_OK);
    assert_int_equal(attached, 0);
    assert_int_equal(store->classes[5], 0);

    free(memory);
}


static void
test_smallest(void **state)
{
    size_t     size;
    fixture_t  f;

    (void) state;

    for (size = BINARIZE_STORE_MIN_SIZE; size < 300000; size += 4096 + 64) {
        fixture_init(&f, size);
        assert_true(binarize_store_max_size(f.store) > size / 5);
        assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT,
                                binarize_store_max_size(f.store), 0, NULL),
                         BINARIZE_OK);
        assert_int_equal(insert(&f, 2, BINARIZE_STORE_RESULT,
                                binarize_store_max_size(f.store) + 1, 0,
                                NULL),
                         BINARIZE_DECLINED);
        fixture_done(&f);
    }
}


static void
test_put_and_get(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_span_t          piece;
    model_ref_t              ref;
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *entry;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = 100;
    meta.forget_ms = 200;
    meta.repeat = 3;
    meta.outcome = 4;
    memcpy(meta.etag, "0123456789abcdef0123456789abcdef", 32);

    assert_null(binarize_store_lookup(f.store, key, 50));
    binarize_store_prefetch_index(f.store, key);
    assert_int_equal(binarize_store_prefetch(f.store, key, 1), 0);

    assert_int_equal(binarize_store_put(f.store, key, BINARIZE_STORE_NEGATIVE,
                                        (const unsigned char *) "{\"a\":1}", 7,
                                        &meta, 1, 50, &entry),
                     BINARIZE_OK);

    assert_int_equal(binarize_store_prefetch(f.store, key, 1),
                     model_ref(f.store, entry).index);
    assert_int_equal(binarize_store_prefetch(f.store, key,
                                             BINARIZE_STORE_SLOTS), 0);

    assert_ptr_equal(binarize_store_lookup(f.store, key, 99), entry);
    assert_int_equal(entry->kind, BINARIZE_STORE_NEGATIVE);
    assert_int_equal(entry->hits, 1);
    assert_memory_equal(&entry->meta, &meta, sizeof(meta));

    assert_int_equal(binarize_store_doc(f.store, entry, 0, 100, &piece, 1), 1);
    assert_int_equal(piece.size, 7);
    assert_memory_equal(piece.data, "{\"a\":1}", 7);
    assert_int_equal(binarize_store_doc(f.store, entry, 5, 1, &piece, 1), 1);
    assert_memory_equal(piece.data, "1", 1);
    assert_int_equal(piece.size, 1);
    assert_int_equal(binarize_store_doc(f.store, entry, 7, 1, &piece, 1), 0);
    assert_int_equal(binarize_store_payload(f.store, entry, 0, 1, &piece, 1),
                     0);

    /* expired, but its repeat is not forgotten */

    ref = model_ref(f.store, entry);

    assert_null(binarize_store_lookup(f.store, key, 100));
    assert_ptr_equal(binarize_store_peek(f.store, key), entry);
    assert_ptr_equal(model_get(f.store, ref), entry);

    assert_null(binarize_store_lookup(f.store, key, 200));
    assert_null(binarize_store_peek(f.store, key));
    assert_null(model_get(f.store, ref));

    fixture_done(&f);
}


static void
test_arguments(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    assert_int_equal(binarize_store_reserve(f.store, key, 0, 1, 1024, 0,
                                            &entry),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_reserve(f.store, key,
                                            BINARIZE_STORE_NKINDS, 1, 1, 0,
                                            &entry),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_put(f.store, key, BINARIZE_STORE_PENDING,
                                        NULL, 65537, &forever, 1, 0, NULL),
                     BINARIZE_ERROR);

    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 10, 0, &entry),
                     BINARIZE_OK);

    assert_int_equal(binarize_store_pin(f.store, entry, 1024),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_unpin(f.store, entry, 5), BINARIZE_ERROR);

    /* what is published is not changed any more */

    assert_int_equal(binarize_store_grow(f.store, entry, 1000, 0),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_finish(f.store, entry, 5, 0, 0),
                     BINARIZE_ERROR);
    binarize_store_abort(f.store, entry);
    assert_ptr_equal(lookup(&f, 1, 0), entry);

    assert_int_equal(binarize_store_reserve(f.store, key, 0, 1000, 1, 0,
                                            &entry),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_finish(f.store, entry, 1025, 0, 0),
                     BINARIZE_ERROR);
    assert_int_equal(binarize_store_finish(f.store, entry, 1024, 65537, 0),
                     BINARIZE_ERROR);

    fixture_done(&f);
}


static void
test_replaced_while_pinned(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_span_t          piece;
    model_ref_t              ref;
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *newer, *older;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 5000, 0, &older),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_payload(f.store, older, 0, 5000, &piece,
                                            1),
                     1);
    memset((void *) piece.data, 'o', 5000);

    assert_int_equal(binarize_store_pin(f.store, older, 7), BINARIZE_OK);
    assert_int_equal(binarize_store_pin(f.store, older, 7), BINARIZE_OK);
    assert_int_equal(binarize_store_pin(f.store, older, 900), BINARIZE_OK);
    assert_int_equal(older->npinned, 2);

    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 6000, 0, &newer),
                     BINARIZE_OK);
    assert_ptr_equal(lookup(&f, 1, 0), newer);
    assert_int_equal(older->state, BINARIZE_STORE_ZOMBIE);

    /* nobody writes where the older one is being read */

    while (insert(&f, ++f.nkeys + 1, BINARIZE_STORE_RESULT, 20000, 0, NULL)
           == BINARIZE_OK && f.nkeys < 200)
    {
        assert_int_equal(binarize_store_payload(f.store,
                                                lookup(&f, f.nkeys + 1, 0),
                                                0, 1, &piece, 1),
                         1);
        memset((void *) piece.data, 'n', 20000);
    }

    assert_int_equal(binarize_store_payload(f.store, older, 4999, 9, &piece,
                                            1),
                     1);
    assert_int_equal(piece.size, 1);

    for (ref.index = 0; ref.index < 5000; ref.index++) {
        assert_int_equal(piece.data[1 - (int) ref.index - 1], 'o');
    }

    ref = model_ref(f.store, older);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nzombies, 1);
    assert_int_equal(stats.nzombie_blocks, 11);

    assert_int_equal(binarize_store_unpin(f.store, older, 7), BINARIZE_OK);
    assert_ptr_equal(model_get(f.store, ref), older);
    assert_int_equal(binarize_store_unpin(f.store, older, 900), BINARIZE_OK);
    assert_null(model_get(f.store, ref));

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nzombies, 0);

    fixture_done(&f);
}


static void
test_result_stays(void **state)
{
    fixture_t                f;
    unsigned                 kind;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *result, *entry;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = 100;
    meta.forget_ms = 200;

    assert_int_equal(binarize_store_put(f.store, key, BINARIZE_STORE_RESULT,
                                        NULL, 0, &meta, 1, 50, &result),
                     BINARIZE_OK);

    for (kind = BINARIZE_STORE_NEGATIVE; kind < BINARIZE_STORE_NKINDS; kind++) {
        assert_int_equal(binarize_store_put(f.store, key, kind, NULL, 0, &meta,
                                            2, 99, &entry),
                         BINARIZE_EXISTS);
        assert_ptr_equal(entry, result);
        assert_int_equal(binarize_store_put(f.store, key, kind, NULL, 0, &meta,
                                            2, 99, NULL),
                         BINARIZE_EXISTS);
    }

    assert_ptr_equal(lookup(&f, 1, 99), result);

    /* by another one, or when it has expired */

    assert_int_equal(binarize_store_put(f.store, key, BINARIZE_STORE_RESULT,
                                        NULL, 0, &meta, 1, 99, &result),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_put(f.store, key, BINARIZE_STORE_PENDING,
                                        NULL, 0, &meta, 2, 100, &entry),
                     BINARIZE_OK);

    fixture_done(&f);
}


static void
test_all_pinned(void **state)
{
    unsigned                 i;
    fixture_t                f;
    binarize_store_stats_t   before, after;
    binarize_store_entry_t  *entry, *first;

    (void) state;

    fixture_init(&f, 1 << 20);
    first = NULL;

    for (i = 0; /* void */ ; i++) {

        if (insert(&f, i, BINARIZE_STORE_RESULT, 30000, 0, &entry)
            != BINARIZE_OK)
        {
            break;
        }

        first = first ? first : entry;
        assert_int_equal(binarize_store_pin(f.store, entry, i % 1024),
                         BINARIZE_OK);
    }

    assert_true(i > 30);

    binarize_store_stats(f.store, &before);
    assert_int_equal(before.full, 1);
    assert_int_equal(before.evictions[BINARIZE_STORE_RESULT], 0);
    assert_int_equal(before.npinned, i);

    assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 30000, 0, &entry),
                     BINARIZE_FULL);
    assert_ptr_equal(lookup(&f, 0, 0), first);

    /* and goes on when one is let go */

    assert_int_equal(binarize_store_unpin(f.store, first, 0), BINARIZE_OK);
    assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 30000, 0, &entry),
                     BINARIZE_OK);
    assert_null(lookup(&f, 0, 0));

    binarize_store_stats(f.store, &after);
    assert_int_equal(after.evictions[BINARIZE_STORE_RESULT], 1);

    fixture_done(&f);
}


/* entries of a sixth: one is fine, two are too much, gone or not */

static void
test_scarce(void **state)
{
    unsigned                 i;
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry[4];

    (void) state;

    fixture_init(&f, 1 << 20);

    for (i = 0; i < 3; i++) {
        assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, (1 << 20) / 6, 0,
                                &entry[i]),
                         BINARIZE_OK);
    }

    key_of(3, key);
    assert_int_equal(binarize_store_reserve(f.store, key, 0, (1 << 20) / 6, 7,
                                            0, &entry[3]),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_scarce(f.store), 0);

    /* by as many as like to */

    for (i = 0; i < 100; i++) {
        assert_int_equal(binarize_store_pin(f.store, entry[0], i),
                         BINARIZE_OK);
    }

    assert_int_equal(binarize_store_scarce(f.store), 0);

    assert_int_equal(binarize_store_pin(f.store, entry[1], 1), BINARIZE_OK);
    assert_int_equal(binarize_store_scarce(f.store), 1);

    key_of(0, key);
    assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_OK);
    assert_int_equal(binarize_store_scarce(f.store), 1);

    binarize_store_recover(f.store);
    assert_int_equal(binarize_store_scarce(f.store), 1);

    for (i = 0; i < 100; i++) {
        assert_int_equal(binarize_store_scarce(f.store), 1);
        assert_int_equal(binarize_store_unpin(f.store, entry[0], i),
                         BINARIZE_OK);
    }

    assert_int_equal(binarize_store_scarce(f.store), 0);

    /* the largest one is no more than there may be */

    assert_int_equal(insert(&f, 4, BINARIZE_STORE_RESULT,
                            binarize_store_max_size(f.store), 0, &entry[0]),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_unpin(f.store, entry[1], 1), BINARIZE_OK);
    assert_int_equal(binarize_store_pin(f.store, entry[0], 1), BINARIZE_OK);
    assert_int_equal(binarize_store_scarce(f.store), 0);

    fixture_done(&f);
}


static void
test_release_slot(void **state)
{
    fixture_t                f;
    uint64_t                 slots[BINARIZE_STORE_SLOTS / 64];
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry[4];

    (void) state;

    fixture_init(&f, 1 << 20);

    assert_int_equal(insert(&f, 0, BINARIZE_STORE_RESULT, 3000, 0, &entry[0]),
                     BINARIZE_OK);
    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 3000, 0, &entry[1]),
                     BINARIZE_OK);

    assert_int_equal(binarize_store_pin(f.store, entry[0], 70), BINARIZE_OK);
    assert_int_equal(binarize_store_pin(f.store, entry[0], 71), BINARIZE_OK);
    assert_int_equal(binarize_store_pin(f.store, entry[1], 70), BINARIZE_OK);

    key_of(1, key);
    assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_OK);

    key_of(2, key);
    assert_int_equal(binarize_store_reserve(f.store, key, 0, 9000, 70, 0,
                                            &entry[2]),
                     BINARIZE_OK);
    key_of(3, key);
    assert_int_equal(binarize_store_reserve(f.store, key, 0, 9000, 71, 0,
                                            &entry[3]),
                     BINARIZE_OK);

    memset(slots, 0, sizeof(slots));
    binarize_store_release_slot(f.store, 69, slots);
    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nbuilding, 2);
    assert_int_equal(stats.nzombies, 1);

    binarize_store_release_slot(f.store, 70, slots);
    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nbuilding, 1);
    assert_int_equal(stats.nzombies, 0);
    assert_int_equal(stats.npinned, 1);

    fixture_check(&f);

    binarize_store_release_slot(f.store, 71, slots);
    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nbuilding, 0);
    assert_int_equal(stats.npinned, 0);

    fixture_done(&f);
}


/* small holes everywhere: a large entry takes them all the same */

static void
test_many_extents(void **state)
{
    int                      rc;
    size_t                   n, room, size;
    uint32_t                 i;
    fixture_t                f;
    unsigned char           *data, key[BINARIZE_STORE_KEY_SIZE];
    binarize_span_t          pieces[600];
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry, *keep;

    (void) state;

    fixture_init(&f, 1 << 20);

    /* a pinned one beside each hole of three blocks */

    for (i = 0; i < 330; i++) {
        assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 1000, 0,
                                &entry),
                         BINARIZE_OK);

        if (i % 2) {
            assert_int_equal(binarize_store_pin(f.store, entry, 3),
                             BINARIZE_OK);
        }
    }

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.evictions[BINARIZE_STORE_RESULT], 0);

    while (insert(&f, 1000 + i, BINARIZE_STORE_NEGATIVE, 0, 0, &keep)
           == BINARIZE_OK)
    {
        assert_int_equal(binarize_store_pin(f.store, keep, 3), BINARIZE_OK);

        binarize_store_stats(f.store, &stats);

        if (stats.nfree_blocks < 3 + binarize_store_kept(f.store)) {
            break;
        }

        i++;
    }

    key_of(999, key);
    size = 200000;

    do {
        rc = binarize_store_reserve(f.store, key, 0, size, 1, 0, &entry);
        fixture_check(&f);
    } while (rc == BINARIZE_AGAIN);

    assert_int_equal(rc, BINARIZE_OK);

    for (n = 0; n < size; n += room) {
        data = binarize_store_room(f.store, entry, n, &room);
        assert_true(room > 0);
        room = room < size - n ? room : size - n;

        for (i = 0; i < room; i++) {
            data[i] = model_byte(77, n + i);
        }
    }

    do {
        rc = binarize_store_finish(f.store, entry, size, 20000, 0);
    } while (rc == BINARIZE_AGAIN);

    assert_int_equal(rc, BINARIZE_OK);
    fixture_check(&f);

    data = malloc(20000);
    assert_non_null(data);
    memset(data, 'd', 20000);
    binarize_store_write_doc(f.store, entry, data);
    free(data);

    binarize_store_publish(f.store, entry, &forever);

    assert_true(entry->nextents > 100);

    n = binarize_store_payload(f.store, entry, 0, UINT64_MAX, pieces, 600);
    model_verify_pieces(pieces, n, 77, size);

    /* a range within it */

    n = binarize_store_payload(f.store, entry, 100000, 5000, pieces, 600);
    assert_true(n > 2);
    assert_int_equal(pieces[0].data[0], model_byte(77, 100000));

    for (i = 0, room = 0; i < n; i++) {
        room += pieces[i].size;
    }

    assert_int_equal(room, 5000);

    /* told how many there are, though there is no room for them */

    assert_int_equal(binarize_store_payload(f.store, entry, 100000, 5000,
                                            pieces, 1),
                     n);

    n = binarize_store_doc(f.store, entry, 0, UINT64_MAX, pieces, 600);

    for (i = 0, room = 0; i < n; i++) {
        assert_int_equal(pieces[i].data[0], 'd');
        assert_int_equal(pieces[i].data[pieces[i].size - 1], 'd');
        room += pieces[i].size;
    }

    assert_int_equal(room, 20000);

    key_of(999, key);
    assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_OK);

    fixture_done(&f);
}


/* without other entries a growing one stays in one piece */

static void
test_growing_in_place(void **state)
{
    uint64_t                 size;
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry;

    (void) state;

    fixture_init(&f, 8 << 20);
    key_of(1, key);

    assert_int_equal(binarize_store_reserve(f.store, key, 0, 0, 1, 0, &entry),
                     BINARIZE_OK);

    for (size = 1000; size < 1500000; size += 10000) {
        assert_int_equal(binarize_store_grow(f.store, entry, size, 0),
                         BINARIZE_OK);
        assert_int_equal(entry->nextents, 1);
    }

    assert_int_equal(binarize_store_finish(f.store, entry, 100001, 0, 0),
                     BINARIZE_OK);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nbuilding_blocks, 1 + 196);

    assert_int_equal(binarize_store_grow(f.store, entry, 4 << 20, 0),
                     BINARIZE_DECLINED);

    binarize_store_abort(f.store, entry);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.nfree_blocks, stats.nblocks);

    fixture_done(&f);
}


/* what says "not there" has a share of a full memory, and keeps it */

static void
test_brief_share(void **state)
{
    uint32_t                i;
    uint64_t                share;
    fixture_t               f;
    binarize_store_stats_t  stats;

    (void) state;

    fixture_init(&f, 1 << 20);

    for (i = 0; i < 200; i++) {
        assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 10000, 0, NULL),
                         BINARIZE_OK);
    }

    for (i = 0; i < 10000; i++) {
        assert_int_equal(insert(&f, 1000 + i, BINARIZE_STORE_NEGATIVE, 0, 100,
                                NULL),
                         BINARIZE_OK);
    }

    binarize_store_stats(f.store, &stats);
    share = stats.nblocks / 8;

    /* and what is left of the last result that made room for some */

    assert_in_range(stats.kinds[BINARIZE_STORE_NEGATIVE].nblocks, share - 1,
                    share + 22);
    assert_in_range(stats.kinds[BINARIZE_STORE_RESULT].nblocks,
                    stats.nblocks * 3 / 4, stats.nblocks);

    for (i = 0; i < 1000; i++) {
        assert_int_equal(insert(&f, 20000 + i, BINARIZE_STORE_RESULT, 10000,
                                0, NULL),
                         BINARIZE_OK);
    }

    binarize_store_stats(f.store, &stats);
    assert_in_range(stats.kinds[BINARIZE_STORE_NEGATIVE].nblocks, share - 1,
                    share);

    fixture_done(&f);
}


/* it takes what nobody else wants, and gives it back */

static void
test_brief_room(void **state)
{
    int                     full;
    uint32_t                i, n;
    uint64_t                brief, share;
    fixture_t               f;
    binarize_store_stats_t  stats;

    (void) state;

    fixture_init(&f, 1 << 20);

    do {
        n = f.nkeys++;

        assert_int_equal(insert(&f, n, n % 2 ? BINARIZE_STORE_NEGATIVE
                                             : BINARIZE_STORE_PENDING,
                                0, n % 3 ? 200 : 100, NULL),
                         BINARIZE_OK);

        binarize_store_stats(f.store, &stats);

        assert_int_equal(stats.evictions[BINARIZE_STORE_NEGATIVE], 0);
        assert_int_equal(stats.evictions[BINARIZE_STORE_PENDING], 0);

    } while (stats.nfree_blocks > 4 + binarize_store_kept(f.store));

    for (i = 0; i < f.nkeys; i++) {
        assert_non_null(lookup(&f, i, 0));
    }

    /* results take all but the share, and none of them goes before */

    share = stats.nblocks / 8;

    do {
        assert_int_equal(insert(&f, f.nkeys++, BINARIZE_STORE_RESULT, 10000, 0,
                                NULL),
                         BINARIZE_OK);

        binarize_store_stats(f.store, &stats);

        brief = stats.kinds[BINARIZE_STORE_NEGATIVE].nblocks
                + stats.kinds[BINARIZE_STORE_PENDING].nblocks;
        full = stats.evictions[BINARIZE_STORE_RESULT] != 0;

        assert_true(full ? brief <= share : brief >= share - 1);

    } while (!full);

    fixture_done(&f);
}


/* nobody goes for the sake of a run: it goes where there are holes */

static void
test_brief_holes(void **state)
{
    uint32_t                i, n;
    fixture_t               f;
    unsigned char           doc[1500], key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t  stats;

    (void) state;

    fixture_init(&f, 1 << 20);
    memset(doc, 'd', sizeof(doc));

    do {
        assert_int_equal(insert(&f, f.nkeys++, BINARIZE_STORE_NEGATIVE, 0, 100,
                                NULL),
                         BINARIZE_OK);
        binarize_store_stats(f.store, &stats);
        assert_true(f.nkeys <= stats.nblocks);
    } while (stats.nfree_blocks > 1 + binarize_store_kept(f.store));

    for (i = 0; i < 80; i += 2) {
        key_of(i, key);
        assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_OK);
    }

    for (n = 0; n < 9; n++) {
        key_of(f.nkeys++, key);
        assert_int_equal(binarize_store_put(f.store, key,
                                            BINARIZE_STORE_PENDING, doc,
                                            sizeof(doc), &forever, 1, 0, NULL),
                         BINARIZE_OK);
    }

    binarize_store_stats(f.store, &stats);

    assert_int_equal(stats.nfree_blocks,
                     1 + 40 - 9 * 4 + binarize_store_kept(f.store));
    assert_int_equal(stats.evictions[BINARIZE_STORE_NEGATIVE], 0);

    fixture_done(&f);
}


/* entries used before a scan are there after it */

static void
test_scan(void **state)
{
    uint32_t   i, n;
    fixture_t  f;

    (void) state;

    fixture_init(&f, 4 << 20);

    for (n = 0; n < 3; n++) {
        for (i = 0; i < 50; i++) {
            if (lookup(&f, i, 0) == NULL) {
                assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 30000,
                                        0, NULL),
                                 BINARIZE_OK);
            }
        }
    }

    for (i = 0; i < 2000; i++) {
        assert_int_equal(insert(&f, 1000 + i, BINARIZE_STORE_RESULT, 30000, 0,
                                NULL),
                         BINARIZE_OK);
    }

    for (i = 0; i < 50; i++) {
        assert_non_null(lookup(&f, i, 0));
    }

    fixture_done(&f);
}


/* no call may hold the mutex for long: the eviction of many is divided */

static void
test_bounded_eviction(void **state)
{
    int                      rc;
    uint32_t                 i, n;
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t   before, after;
    binarize_store_entry_t  *entry;

    (void) state;

    fixture_init(&f, 8 << 20);

    for (i = 0; i < 12000; i++) {
        assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 200, 0, NULL),
                         BINARIZE_OK);
    }

    key_of(99999, key);

    for (n = 0; /* void */ ; n++) {
        binarize_store_stats(f.store, &before);
        rc = binarize_store_reserve(f.store, key, 0, 1 << 20, 1, 0, &entry);
        binarize_store_stats(f.store, &after);

        assert_true(after.evictions[0] - before.evictions[0] <= 64);

        if (rc != BINARIZE_AGAIN) {
            break;
        }
    }

    assert_int_equal(rc, BINARIZE_OK);
    assert_true(n >= 10);

    fixture_done(&f);
}


/* however many were used, each call makes room */

static void
test_bounded_chances(void **state)
{
    int                      rc;
    uint32_t                 i, n, ncalls, need;
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t   before, after;
    binarize_store_entry_t  *entry;

    static const uint32_t  sizes[] = { 1, 400, 30000, 100000, 1000000 };

    (void) state;

    fixture_init(&f, 104 << 20);

    for (i = 0; i < unit_nelts(sizes); i++) {

        do {
            assert_int_equal(insert(&f, f.nkeys++, BINARIZE_STORE_RESULT, 400,
                                    0, NULL),
                             BINARIZE_OK);
            binarize_store_stats(f.store, &after);
        } while (after.nfree_blocks > 2 + binarize_store_kept(f.store));

        for (n = 0; n < f.nkeys; n++) {
            (void) lookup(&f, n, 0);
        }

        binarize_store_stats(f.store, &before);
        assert_true(before.kinds[BINARIZE_STORE_RESULT].nentries > 100000);

        key_of(f.nkeys++, key);
        ncalls = 0;

        do {
            ncalls++;
            rc = binarize_store_reserve(f.store, key, BINARIZE_STORE_RESULT,
                                        sizes[i], 1, 0, &entry);
        } while (rc == BINARIZE_AGAIN);

        assert_int_equal(rc, BINARIZE_OK);

        binarize_store_stats(f.store, &after);

        need = binarize_store_size_blocks(sizes[i]) + 1;
        need += need / BINARIZE_STORE_LIST_EXTENTS + 2;

        print_message("%u bytes: %u calls, %u went\n", sizes[i], ncalls,
                      (unsigned) (after.evictions[BINARIZE_STORE_RESULT]
                                  - before.evictions[BINARIZE_STORE_RESULT]));

        /* one goes in each call, of two blocks; the last is for a run */

        assert_true(ncalls <= need / 2 + 2);

        binarize_store_abort(f.store, entry);
    }

    fixture_done(&f);
}


static void
test_recovered_order(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *building, *newer, *older;

    (void) state;

    fixture_init(&f, 1 << 20);

    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 3000, 0, &older),
                     BINARIZE_OK);
    key_of(2, key);
    assert_int_equal(binarize_store_reserve(f.store, key, 0, 9000, 70, 0,
                                            &building),
                     BINARIZE_OK);
    assert_int_equal(insert(&f, 2, BINARIZE_STORE_RESULT, 3000, 0, &newer),
                     BINARIZE_OK);

    /* killed between the two steps of a replacement: both are live */

    memcpy(newer->key, older->key, BINARIZE_STORE_KEY_SIZE);
    f.store->dirty = 1;

    assert_ptr_equal(lookup(&f, 1, 0), newer);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.kinds[BINARIZE_STORE_RESULT].nentries, 1);
    assert_int_equal(stats.nbuilding, 1);
    assert_int_equal(stats.recoveries, 1);
    fixture_check(&f);

    /* the other builder goes on as if nothing had happened */

    assert_int_equal(binarize_store_finish(f.store, building, 9000, 0, 0),
                     BINARIZE_OK);
    binarize_store_publish(f.store, building, &forever);
    assert_ptr_equal(lookup(&f, 2, 0), building);

    fixture_done(&f);
}


/* an entry that is not whole is dropped, the others are not */

/*
 * In the order in which they would go: generations, or stamps of the main
 * part; n is how many there is room for
 */

static uint32_t
queue_order(fixture_t *f, unsigned queue, uint64_t *order, uint32_t n)
{
    uint32_t                 block, i;
    binarize_store_entry_t  *entry;

    block = f->store->queues[queue].oldest;

    for (i = 0; block; i++) {
        assert_true(i < n);
        entry = binarize_store_entry(f->store, block);
        order[i] = queue < BINARIZE_STORE_QUEUE_MAIN ? entry->generation
                                                     : entry->stamp;
        block = entry->newer;
    }

    return i;
}


static int
order_compare(const void *one, const void *two)
{
    uint64_t  a, b;

    memcpy(&a, one, sizeof(a));
    memcpy(&b, two, sizeof(b));

    return (a > b) - (a < b);
}


/* who is to go next is the same afterwards, but for small differences */

static void
test_recovered_eviction(void **state)
{
    unsigned         queue, nqueues;
    uint32_t         i, n, nbefore[BINARIZE_STORE_NQUEUES];
    fixture_t        f;
    static uint64_t  before[BINARIZE_STORE_NQUEUES][4000], after[4000];

    (void) state;

    fixture_init(&f, 4 << 20);

    for (i = 0; i < 6000; i++) {
        n = unit_random(&f.random) % 3000;

        if (lookup(&f, n, 0)) {
            continue;
        }

        assert_int_equal(n % 5 ? insert(&f, n, BINARIZE_STORE_RESULT,
                                        500 + n * n % 20000, 100, NULL)
                               : insert(&f, n, BINARIZE_STORE_NEGATIVE, 0,
                                        100, NULL),
                         BINARIZE_OK);
    }

    nqueues = 0;

    for (queue = 1; queue < BINARIZE_STORE_NQUEUES; queue++) {
        nbefore[queue] = queue_order(&f, queue, before[queue], 4000);
        nqueues += nbefore[queue] > 5;

        qsort(before[queue], nbefore[queue], sizeof(uint64_t), order_compare);
    }

    assert_true(nqueues >= 5);

    f.store->dirty = 1;
    assert_null(lookup(&f, 3000, 0));
    fixture_check(&f);

    for (queue = 1; queue < BINARIZE_STORE_NQUEUES; queue++) {
        n = queue_order(&f, queue, after, 4000);

        assert_int_equal(n, nbefore[queue]);

        for (i = 1; i < n; i++) {
            assert_true(after[i - 1] <= after[i]
                        + (before[queue][n - 1] - before[queue][0]) / 2000);
        }

        qsort(after, n, sizeof(uint64_t), order_compare);
        assert_memory_equal(after, before[queue], n * sizeof(uint64_t));
    }

    fixture_done(&f);
}


static void
test_recovered_without(void **state)
{
    unsigned                 i;
    fixture_t                f;
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry[8];

    (void) state;

    fixture_init(&f, 1 << 20);

    for (i = 0; i < 8; i++) {
        assert_int_equal(insert(&f, i, BINARIZE_STORE_RESULT, 3000, 0,
                                &entry[i]),
                         BINARIZE_OK);
    }

    entry[1]->extents[0].nblocks += 9;          /* overlaps its neighbour */
    entry[2]->extents[0].first = UINT32_MAX;
    entry[3]->nextents = 100000;
    entry[4]->payload_size = 1 << 18;
    entry[5]->state = 200;
    entry[6]->nextents = 4;
    entry[6]->list = 1u << 31;

    f.store->dirty = 1;
    binarize_store_recover(f.store);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.kinds[BINARIZE_STORE_RESULT].nentries, 2);
    assert_int_equal(stats.dropped, 6);
    assert_non_null(lookup(&f, 0, 0));
    assert_non_null(lookup(&f, 7, 0));

    fixture_done(&f);
}


static uint32_t
next_random(void *data)
{
    return unit_random(data);
}


static void
test_model(void **state)
{
    size_t          i;
    time_t          until;
    uint32_t        random;
    uint64_t        nsteps;
    model_t        *model;

    static const size_t  sizes[] = { 64 << 10, 200 << 10, 1 << 20 };

    (void) state;

    model = malloc(sizeof(*model));
    assert_non_null(model);

    /* many short lives, and long ones */

    until = time(NULL) + 15;
    nsteps = 0;

    for (random = 1, i = 0; i < 60 && time(NULL) < until; i++) {
        uint32_t  seed = 2463534242u + i * 7919;
        uint32_t  steps = i % 10 == 9 ? 20000 : 1500;

        model_init(model, sizes[i % unit_nelts(sizes)], next_random, &seed);

        while (steps--) {
            model_step(model);
            nsteps++;
        }

        random += model->nagain + model->nfull;
        model_done(model);
    }

    print_message("%lu steps, %u were full or again\n",
                  (unsigned long) nsteps, random);

    assert_true(nsteps > 20000);
    assert_true(random > 10);

    free(model);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_smallest),
        cmocka_unit_test(test_put_and_get),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_replaced_while_pinned),
        cmocka_unit_test(test_result_stays),
        cmocka_unit_test(test_all_pinned),
        cmocka_unit_test(test_scarce),
        cmocka_unit_test(test_release_slot),
        cmocka_unit_test(test_many_extents),
        cmocka_unit_test(test_growing_in_place),
        cmocka_unit_test(test_brief_share),
        cmocka_unit_test(test_brief_room),
        cmocka_unit_test(test_brief_holes),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_bounded_eviction),
        cmocka_unit_test(test_bounded_chances),
        cmocka_unit_test(test_recovered_order),
        cmocka_unit_test(test_recovered_eviction),
        cmocka_unit_test(test_recovered_without),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
