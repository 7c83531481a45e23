
#include "claim.h"
#include "store_fixture.h"


/* slots: who leads, and who may follow */
#define LEADER   3
#define FIRST    70
#define SECOND   1023


static uint64_t  none[BINARIZE_STORE_SLOTS / 64];


static binarize_store_entry_t *
take(fixture_t *f, uint32_t n, unsigned slot, uint64_t epoch, int rc)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *claim;

    key_of(n, key);
    claim = NULL;

    assert_int_equal(binarize_claim_take(f->store, key, slot, epoch, &claim),
                     rc);
    fixture_check(f);

    return claim;
}


static binarize_store_entry_t *
find(fixture_t *f, uint32_t n)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    key_of(n, key);

    return binarize_claim_find(f->store, key);
}


static binarize_store_entry_t *
leave(fixture_t *f, uint32_t n, unsigned slot)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *left;

    key_of(n, key);
    left = binarize_claim_leave(f->store, key, slot);
    fixture_check(f);

    return left;
}


static void
orphan(fixture_t *f, unsigned slot, uint64_t *slots)
{
    memcpy(slots, none, sizeof(none));
    binarize_claim_orphan_all(f->store, slot, slots);
    fixture_check(f);
}


static uint64_t
nclaims(fixture_t *f)
{
    binarize_store_stats_t  stats;

    binarize_store_stats(f->store, &stats);

    return stats.nclaims;
}


/* one leads, others follow, and a result may lie beside it */

static void
test_one_leads(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *claim, *result;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    assert_null(find(&f, 1));
    claim = take(&f, 1, LEADER, 5, BINARIZE_OK);
    assert_int_equal(claim->owner, LEADER);
    assert_int_equal(claim->claim.epoch, 5);
    assert_int_equal(claim->claim.nowners, 1);
    assert_int_equal(claim->claim.turn_ms, 0);

    assert_ptr_equal(take(&f, 1, LEADER, 5, BINARIZE_OK), claim);
    assert_ptr_equal(take(&f, 1, FIRST, 7, BINARIZE_DECLINED), claim);
    assert_ptr_equal(take(&f, 1, LEADER, 9, BINARIZE_DECLINED), claim);

    assert_ptr_equal(binarize_claim_find_own(f.store, key, LEADER, 5), claim);
    assert_null(binarize_claim_find_own(f.store, key, LEADER, 9));
    assert_null(binarize_claim_find_own(f.store, key, FIRST, 5));

    /* look-ups of results do not find it, whatever else there is */

    assert_null(lookup(&f, 1, 0));
    assert_null(binarize_store_peek(f.store, key));
    assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_DECLINED);
    assert_ptr_equal(find(&f, 1), claim);

    assert_int_equal(insert(&f, 1, BINARIZE_STORE_RESULT, 3000, 0, &result),
                     BINARIZE_OK);
    assert_ptr_equal(lookup(&f, 1, 0), result);
    assert_ptr_equal(find(&f, 1), claim);
    fixture_check(&f);

    assert_int_equal(binarize_store_remove(f.store, key), BINARIZE_OK);
    assert_ptr_equal(find(&f, 1), claim);

    binarize_claim_release(f.store, claim);
    assert_null(find(&f, 1));
    assert_int_equal(nclaims(&f), 0);

    fixture_done(&f);
}


static void
test_followers(void **state)
{
    fixture_t                f;
    binarize_store_entry_t  *claim;

    (void) state;

    fixture_init(&f, 1 << 20);
    claim = take(&f, 1, LEADER, 5, BINARIZE_OK);

    binarize_claim_follow(f.store, claim, FIRST, 2000);
    binarize_claim_follow(f.store, claim, FIRST, 2500);
    binarize_claim_follow(f.store, claim, SECOND, 1000);
    fixture_check(&f);

    assert_int_equal(claim->npinned, 2);
    assert_int_equal(claim->claim.until_ms, 2500);

    /* who did not follow has nothing to leave */

    assert_null(leave(&f, 1, LEADER));
    assert_null(leave(&f, 2, FIRST));
    assert_int_equal(claim->npinned, 2);

    assert_null(leave(&f, 1, FIRST));
    assert_int_equal(claim->npinned, 1);

    /* the last one; until when it waited is forgotten */

    assert_ptr_equal(leave(&f, 1, SECOND), claim);
    assert_int_equal(claim->claim.until_ms, 0);
    assert_null(leave(&f, 1, SECOND));

    binarize_claim_follow(f.store, claim, FIRST, 100);
    assert_int_equal(claim->claim.until_ms, 100);

    /* released with followers, who may come to the next one */

    binarize_claim_release(f.store, claim);
    fixture_check(&f);
    assert_int_equal(f.store->holds[FIRST], 0);
    assert_null(leave(&f, 1, FIRST));

    claim = take(&f, 1, FIRST, 7, BINARIZE_OK);
    assert_int_equal(claim->npinned, 0);
    assert_int_equal(claim->claim.nowners, 1);

    fixture_done(&f);
}


static void
test_orphans(void **state)
{
    uint64_t                 slots[BINARIZE_STORE_SLOTS / 64];
    fixture_t                f;
    binarize_store_entry_t  *claim, *other;

    (void) state;

    fixture_init(&f, 1 << 20);

    claim = take(&f, 1, LEADER, 5, BINARIZE_OK);
    claim->claim.turn_ms = 99;
    memcpy(claim->claim.lease, "lease", 5);
    binarize_claim_follow(f.store, claim, FIRST, 2000);
    binarize_claim_follow(f.store, claim, SECOND, 2000);

    (void) take(&f, 2, LEADER, 5, BINARIZE_OK);

    other = take(&f, 3, FIRST, 7, BINARIZE_OK);
    binarize_claim_follow(f.store, other, LEADER, 2000);

    orphan(&f, LEADER, slots);

    /* those who follow are named; what nobody follows is free */

    assert_int_equal(slots[FIRST / 64], 1ULL << FIRST % 64);
    assert_int_equal(slots[SECOND / 64], 1ULL << SECOND % 64);
    assert_int_equal(slots[0], 0);
    assert_ptr_equal(find(&f, 1), claim);
    assert_int_equal(claim->claim.epoch, 0);
    assert_null(find(&f, 2));

    /* what the stalled one follows, it follows */

    assert_int_equal(other->npinned, 1);
    assert_int_equal(other->claim.epoch, 7);

    /* who died before he woke anybody has done nothing that others do not */

    orphan(&f, LEADER, slots);
    assert_int_equal(slots[FIRST / 64], 1ULL << FIRST % 64);

    /* a follower leads on, with what there is of the other node's lease */

    assert_ptr_equal(take(&f, 1, FIRST, 7, BINARIZE_OK), claim);
    assert_int_equal(claim->owner, FIRST);
    assert_int_equal(claim->claim.nowners, 2);
    assert_int_equal(claim->claim.turn_ms, 0);
    assert_int_equal(claim->claim.until_ms, 2000);
    assert_memory_equal(claim->claim.lease, "lease", 5);
    assert_int_equal(claim->npinned, 1);

    /* the stalled one finds out, and follows */

    assert_ptr_equal(take(&f, 1, LEADER, 5, BINARIZE_DECLINED), claim);

    /* the last follower of an orphan frees it */

    orphan(&f, FIRST, slots);
    assert_ptr_equal(find(&f, 1), claim);
    assert_null(leave(&f, 1, SECOND));
    assert_null(find(&f, 1));

    /* so does one that dies, and what it has led is an orphan */

    claim = take(&f, 4, LEADER, 11, BINARIZE_OK);
    binarize_claim_follow(f.store, claim, SECOND, 10);
    claim = take(&f, 5, SECOND, 13, BINARIZE_OK);
    binarize_claim_follow(f.store, claim, FIRST, 10);

    orphan(&f, LEADER, slots);
    memcpy(slots, none, sizeof(none));
    binarize_store_release_slot(f.store, SECOND, slots);
    fixture_check(&f);

    assert_int_equal(slots[FIRST / 64], 1ULL << FIRST % 64);
    assert_null(find(&f, 4));
    assert_ptr_equal(find(&f, 5), claim);
    assert_int_equal(claim->claim.epoch, 0);

    fixture_done(&f);
}


/* an eighth at most, and never a result for a claim */

static void
test_room(void **state)
{
    uint32_t                n;
    uint64_t                evicted;
    fixture_t               f;
    binarize_store_stats_t  stats;

    (void) state;

    fixture_init(&f, 1 << 20);
    binarize_store_stats(f.store, &stats);

    for (n = 0; n < stats.nblocks / 8; n++) {
        (void) take(&f, n, LEADER, 5, BINARIZE_OK);
    }

    (void) take(&f, n, LEADER, 5, BINARIZE_FULL);
    (void) take(&f, n, FIRST, 7, BINARIZE_FULL);

    /* what there is can be claimed and followed all the same */

    (void) take(&f, 0, FIRST, 7, BINARIZE_DECLINED);

    binarize_claim_release(f.store, find(&f, 0));
    (void) take(&f, n, FIRST, 7, BINARIZE_OK);

    fixture_done(&f);

    /* where results have all the room, some is left to claims */

    fixture_init(&f, 1 << 20);

    for (n = 0; n < 3000; n++) {
        assert_int_equal(insert(&f, n, BINARIZE_STORE_RESULT, 400, 0, NULL),
                         BINARIZE_OK);
    }

    binarize_store_stats(f.store, &stats);
    evicted = stats.evictions[BINARIZE_STORE_RESULT];
    assert_true(evicted > 0);

    for (n = 0; n < binarize_store_claim_room(f.store); n++) {
        (void) take(&f, 5000 + n, LEADER, 5, BINARIZE_OK);
    }

    while (stats.nfree_blocks) {
        (void) take(&f, 5000 + n++, LEADER, 5, BINARIZE_OK);
        binarize_store_stats(f.store, &stats);
    }

    (void) take(&f, 5000 + n, LEADER, 5, BINARIZE_FULL);

    binarize_store_stats(f.store, &stats);
    assert_int_equal(stats.evictions[BINARIZE_STORE_RESULT], evicted);

    fixture_done(&f);
}


static void
test_out_of_range(void **state)
{
    fixture_t                f;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    (void) state;

    fixture_init(&f, 1 << 20);
    key_of(1, key);

    (void) take(&f, 1, BINARIZE_STORE_SLOTS, 5, BINARIZE_ERROR);
    (void) take(&f, 1, LEADER, 0, BINARIZE_ERROR);
    assert_int_equal(binarize_store_reserve(f.store, key,
                                            BINARIZE_STORE_CLAIM, 0, LEADER,
                                            0, &entry),
                     BINARIZE_ERROR);
    assert_null(binarize_claim_find_own(f.store, key, LEADER, 0));

    fixture_done(&f);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_one_leads),
        cmocka_unit_test(test_followers),
        cmocka_unit_test(test_orphans),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_out_of_range)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
