
/* See claim.h. */


#include "claim.h"
#include "store_private.h"


/* claims are 1 / N of the memory at most */
#define CLAIM_SHARE  8


static binarize_store_entry_t *claim_create(binarize_store_t *store,
    const unsigned char *key, unsigned slot, uint64_t epoch);
static void claim_unlink(binarize_store_t *store,
    binarize_store_entry_t *claim);


static binarize_store_entry_t *
claim_create(binarize_store_t *store, const unsigned char *key, unsigned slot,
    uint64_t epoch)
{
    uint32_t                 block, nblocks;
    binarize_store_entry_t  *claim;

    if (store->stats.nclaims >= store->nblocks / CLAIM_SHARE) {
        return NULL;
    }

    nblocks = 1;
    block = binarize_store_take(store, &nblocks);

    if (block == 0) {
        return NULL;
    }

    claim = binarize_store_head_create(store, block, key,
                                       BINARIZE_STORE_CLAIM);

    claim->owner = slot;
    claim->claim.epoch = epoch;
    claim->claim.nowners = 1;

    binarize_store_commit();

    claim->state = BINARIZE_STORE_CLAIMED;

    binarize_store_commit();

    binarize_claim_link(store, claim);

    return claim;
}


void
binarize_claim_link(binarize_store_t *store, binarize_store_entry_t *claim)
{
    uint32_t  block;

    block = binarize_store_index(store, claim);

    binarize_store_chain_insert(store, claim);

    claim->newer = 0;
    claim->older = store->newest_claim;

    if (claim->older) {
        binarize_store_entry(store, claim->older)->newer = block;
    }

    store->newest_claim = block;
    store->stats.nclaims++;
}


static void
claim_unlink(binarize_store_t *store, binarize_store_entry_t *claim)
{
    binarize_store_chain_remove(store, claim);

    if (claim->older) {
        binarize_store_entry(store, claim->older)->newer = claim->newer;
    }

    if (claim->newer) {
        binarize_store_entry(store, claim->newer)->older = claim->older;

    } else {
        store->newest_claim = claim->older;
    }

    store->stats.nclaims--;

    binarize_store_free(store, claim);
}


void
binarize_claim_unpinned(binarize_store_t *store, binarize_store_entry_t *claim)
{
    claim->claim.until_ms = 0;

    if (claim->claim.epoch == 0) {
        claim_unlink(store, claim);
    }
}


binarize_store_entry_t *
binarize_claim_find(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    if (store->dirty) {
        binarize_store_recover(store);
    }

    return binarize_store_find(store, key, BINARIZE_STORE_CLAIMED);
}


binarize_store_entry_t *
binarize_claim_find_own(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot,
    uint64_t epoch)
{
    binarize_store_entry_t  *claim;

    claim = binarize_claim_find(store, key);

    return (claim && epoch && claim->owner == slot
            && claim->claim.epoch == epoch) ? claim : NULL;
}


int
binarize_claim_take(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot,
    uint64_t epoch, binarize_store_entry_t **claim)
{
    binarize_store_entry_t  *c;

    if (slot >= BINARIZE_STORE_SLOTS || epoch == 0) {
        return BINARIZE_ERROR;
    }

    c = binarize_claim_find(store, key);

    if (c && c->claim.epoch) {
        *claim = c;

        return c->owner == slot && c->claim.epoch == epoch
               ? BINARIZE_OK : BINARIZE_DECLINED;
    }

    binarize_store_enter(store);

    if (c) {
        c->owner = slot;
        c->claim.turn_ms = 0;
        c->claim.nowners++;

        binarize_store_commit();

        c->claim.epoch = epoch;

    } else {
        c = claim_create(store, key, slot, epoch);
    }

    binarize_store_leave(store);

    if (c == NULL) {
        return BINARIZE_FULL;
    }

    /* it may have followed the one that died */

    (void) binarize_store_unpin(store, c, slot);

    *claim = c;

    return BINARIZE_OK;
}


void
binarize_claim_follow(binarize_store_t *store, binarize_store_entry_t *claim,
    unsigned slot, uint64_t until_ms)
{
    if (binarize_store_pin(store, claim, slot) == BINARIZE_OK
        && until_ms > claim->claim.until_ms)
    {
        claim->claim.until_ms = until_ms;
    }
}


binarize_store_entry_t *
binarize_claim_leave(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot)
{
    unsigned                 orphaned;
    binarize_store_entry_t  *claim;

    claim = binarize_claim_find(store, key);

    if (claim == NULL) {
        return NULL;
    }

    /* an orphan is gone with its last follower */

    orphaned = claim->claim.epoch == 0;

    if (binarize_store_unpin(store, claim, slot) != BINARIZE_OK
        || orphaned || claim->npinned)
    {
        return NULL;
    }

    return claim;
}


void
binarize_claim_release(binarize_store_t *store, binarize_store_entry_t *claim)
{
    unsigned  i;
    uint64_t  bits;

    binarize_store_enter(store);

    for (i = 0; i < BINARIZE_STORE_SLOTS / 64; i++) {

        for (bits = claim->pins[i]; bits; bits &= bits - 1) {
            store->holds[i * 64 + __builtin_ctzll(bits)]--;
        }
    }

    claim_unlink(store, claim);

    binarize_store_leave(store);
}


void
binarize_claim_orphan_all(binarize_store_t *store, unsigned slot,
    uint64_t slots[BINARIZE_STORE_SLOTS / 64])
{
    uint32_t                 block;
    unsigned                 i;
    binarize_store_entry_t  *claim;

    if (store->dirty) {
        binarize_store_recover(store);
    }

    if (store->newest_claim == 0) {
        return;
    }

    binarize_store_enter(store);

    for (block = store->newest_claim; block; /* void */) {
        claim = binarize_store_entry(store, block);
        block = claim->older;

        if (claim->owner == slot) {
            claim->claim.epoch = 0;
            claim->claim.turn_ms = 0;
        }

        if (claim->claim.epoch) {
            continue;
        }

        for (i = 0; i < BINARIZE_STORE_SLOTS / 64; i++) {
            slots[i] |= claim->pins[i];
        }

        if (claim->npinned == 0) {
            claim_unlink(store, claim);
        }
    }

    binarize_store_leave(store);
}
