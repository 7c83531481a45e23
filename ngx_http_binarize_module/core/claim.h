
/*
 * Claims: who of the processes finds out what is to be known of a key, and
 * who waits for it.  They are entries of the store, a block each, in the
 * bucket of their key, beside its result or without one; a look-up does not
 * find them.
 *
 *            take                     owner is declared dead
 *   (none) -------> owner's claim --------------------------> orphan
 *      ^                |   ^                                  |   |
 *      |        release |   |               take               |   |
 *      +----------------+   +----------------------------------+   |
 *      |                        the last follower has left         |
 *      +-----------------------------------------------------------+
 *
 * The pins of a claim are the slots of those who follow it.  An owner is a
 * slot and an epoch (process.h), so that who has been declared dead does not
 * own any more what it owned; until it is, the claim is no other's.
 *
 * They have an eighth of the memory at most.  They displace nothing: a share
 * of it is kept free for them, so that there is room where all is in use.
 *
 * All calls are locked, as in store.h.  A claim is the caller's to read until
 * the mutex is released, or for longer while it follows it.
 */


#ifndef _BINARIZE_CLAIM_H_INCLUDED_
#define _BINARIZE_CLAIM_H_INCLUDED_


#include "store.h"


/*
 * BINARIZE_OK        *claim is ours: new, or an orphan, with what its owner
 *                    had noted, or it was ours already
 * BINARIZE_DECLINED  *claim is another's
 * BINARIZE_FULL      there is none, nor room for one
 */
int binarize_claim_take(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot,
    uint64_t epoch, binarize_store_entry_t **claim);

/* whosever it is, or NULL; and only if it is ours */
binarize_store_entry_t *binarize_claim_find(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE]);
binarize_store_entry_t *binarize_claim_find_own(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot,
    uint64_t epoch);

/* some of the slot wait until until_ms at most; again if they do for longer */
void binarize_claim_follow(binarize_store_t *store,
    binarize_store_entry_t *claim, unsigned slot, uint64_t until_ms);

/*
 * Nobody of the slot waits any more.  Returns the claim if it has an owner
 * and was left by the last follower: the owner may want to know.
 */
binarize_store_entry_t *binarize_claim_leave(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot);

/* its followers are woken before: who dies in between is found by them */
void binarize_claim_release(binarize_store_t *store,
    binarize_store_entry_t *claim);

/*
 * The slot's process has been, or is about to be, declared dead: its claims
 * are orphans.  Adds all who follow orphans to slots.  In time that grows
 * with the number of claims.
 */
void binarize_claim_orphan_all(binarize_store_t *store, unsigned slot,
    uint64_t slots[BINARIZE_STORE_SLOTS / 64]);


#endif /* _BINARIZE_CLAIM_H_INCLUDED_ */
