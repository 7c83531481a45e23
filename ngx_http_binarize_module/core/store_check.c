
/*
 * What must hold between two locked calls.  Written apart from the code that
 * keeps it, and from the one that restores it.
 */


#include "store_private.h"


#define STORE_CHECK_FREE  UINT32_MAX


typedef struct {
    const binarize_store_t  *store;
    uint32_t                *owners;
    binarize_store_stats_t   stats;
    uint64_t                 queue_blocks[BINARIZE_STORE_NQUEUES];
    uint64_t                 nqueued;
    uint64_t                 nlive;
    uint64_t                 nclaims;
    uint32_t                 holds[BINARIZE_STORE_SLOTS];
} store_check_t;


static const char *store_check_own(store_check_t *check, uint32_t owner,
    uint32_t first, uint32_t nblocks);
static const char *store_check_blocks(store_check_t *check, uint32_t block);
static const char *store_check_found(store_check_t *check, uint32_t block);
static const char *store_check_entry(store_check_t *check, uint32_t block);
static const char *store_check_runs(store_check_t *check);
static const char *store_check_queues(store_check_t *check);
static const char *store_check_chains(store_check_t *check);
static const char *store_check_claims(store_check_t *check);
static void store_check_pins(store_check_t *check,
    const binarize_store_entry_t *entry, unsigned *npinned);
static const char *store_check_gauges(store_check_t *check);


static const char *
store_check_own(store_check_t *check, uint32_t owner, uint32_t first,
    uint32_t nblocks)
{
    uint32_t  i;

    if (nblocks == 0 || first == 0
        || (uint64_t) first + nblocks - 1 > check->store->nblocks)
    {
        return "a run is out of range";
    }

    for (i = first; i < first + nblocks; i++) {

        if (check->owners[i]) {
            return "a block has two owners";
        }

        check->owners[i] = owner;
    }

    return NULL;
}


static const char *
store_check_blocks(store_check_t *check, uint32_t block)
{
    uint32_t                        i, last, link, nblocks;
    const char                     *error;
    const binarize_store_list_t    *list;
    const binarize_store_entry_t   *entry;
    const binarize_store_extent_t  *extent;

    entry = binarize_store_entry(check->store, block);
    link = entry->list;
    extent = entry->extents;
    last = 0;
    nblocks = 1;

    error = store_check_own(check, block, block, 1);

    for (i = 0; i < entry->nextents && error == NULL; i++) {

        if (i >= 3 && (i - 3) % 62 == 0) {
            error = store_check_own(check, block, link, 1);

            if (error) {
                break;
            }

            list = binarize_store_block(check->store, link);

            if (last && list->prev != last) {
                return "blocks of extents are not linked back";
            }

            last = link;
            link = list->next;
            extent = list->extents;
            nblocks++;
        }

        error = store_check_own(check, block, extent->first, extent->nblocks);
        nblocks += extent->nblocks;
        extent++;
    }

    if (error == NULL && nblocks != entry->nblocks) {
        return "an entry's number of blocks is wrong";
    }

    if (error == NULL && last) {
        list = binarize_store_block(check->store, entry->list);

        if (list->prev != last) {
            return "an entry's last block of extents is wrong";
        }
    }

    return error;
}


static const char *
store_check_found(store_check_t *check, uint32_t block)
{
    uint32_t                       i, n;
    const binarize_store_entry_t  *entry;

    entry = binarize_store_entry(check->store, block);
    n = 0;

    for (i = *binarize_store_bucket(check->store, entry->key); i;
         i = binarize_store_entry(check->store, i)->chain)
    {
        if (++n > check->store->nblocks) {
            return "a chain has a loop";
        }

        if (i == block) {
            return NULL;
        }

        if (memcmp(binarize_store_entry(check->store, i)->key, entry->key,
                   BINARIZE_STORE_KEY_SIZE)
            == 0
            && binarize_store_entry(check->store, i)->state == entry->state)
        {
            return "a key is found twice";
        }
    }

    return "a live entry is not in its chain";
}


static void
store_check_pins(store_check_t *check, const binarize_store_entry_t *entry,
    unsigned *npinned)
{
    unsigned  slot;

    *npinned = 0;

    for (slot = 0; slot < BINARIZE_STORE_SLOTS; slot++) {

        if (entry->pins[slot / 64] == 0) {
            slot += 63;
            continue;
        }

        if (entry->pins[slot / 64] >> (slot % 64) & 1) {
            check->holds[slot]++;
            (*npinned)++;
        }
    }
}


static const char *
store_check_entry(store_check_t *check, uint32_t block)
{
    unsigned                 npinned;
    uint64_t                 size;
    const char              *error;
    binarize_store_entry_t  *entry;

    entry = binarize_store_entry(check->store, block);

    error = store_check_blocks(check, block);

    if (error) {
        return error;
    }

    store_check_pins(check, entry, &npinned);

    if (npinned != entry->npinned) {
        return "an entry's number of pins is wrong";
    }

    if (entry->generation == 0
        || entry->generation > check->store->generation)
    {
        return "an entry's generation was never given";
    }

    size = entry->payload_size + entry->doc_size;

    if (entry->doc_size <= BINARIZE_STORE_DOC_SIZE) {
        size -= entry->doc_size;
    }

    if (size > (uint64_t) entry->nblocks * BINARIZE_STORE_BLOCK_SIZE) {
        return "an entry is larger than its blocks";
    }

    switch (entry->state) {

    case BINARIZE_STORE_BUILDING:
        check->stats.nbuilding++;
        check->stats.nbuilding_blocks += entry->nblocks;
        check->holds[entry->owner]++;
        return NULL;

    case BINARIZE_STORE_ZOMBIE:
        check->stats.nzombies++;
        check->stats.nzombie_blocks += entry->nblocks;
        return npinned ? NULL : "a zombie is not pinned";

    case BINARIZE_STORE_CLAIMED:
        check->nclaims++;

        if (entry->nblocks != 1 || entry->kind != BINARIZE_STORE_CLAIM
            || entry->claim.nowners == 0)
        {
            return "a claim is not one";
        }

        if (npinned == 0
            && (entry->claim.epoch == 0 || entry->claim.until_ms))
        {
            return "a claim without followers is kept, or waited for";
        }

        return store_check_found(check, block);

    case BINARIZE_STORE_LIVE:
        break;

    default:
        return "a head has no state";
    }

    check->nlive++;
    check->stats.kinds[entry->kind].nentries++;
    check->stats.kinds[entry->kind].nblocks += entry->nblocks;
    check->stats.kinds[entry->kind].size += entry->payload_size
                                            + entry->doc_size;

    if (npinned) {
        check->stats.npinned++;

    } else {
        check->stats.nevictable_blocks += entry->nblocks;
    }

    if (entry->queue == BINARIZE_STORE_QUEUE_NONE) {

        if (npinned == 0) {
            return "an entry that is not pinned is in no queue";
        }

    } else {
        check->queue_blocks[entry->queue] += entry->nblocks;
        check->nqueued++;
    }

    return store_check_found(check, block);
}


static const char *
store_check_runs(store_check_t *check)
{
    uint32_t                     block, class, n, prev;
    const char                  *error;
    const unsigned char         *map;
    const binarize_store_t      *store;
    const binarize_store_run_t  *run, *last;

    store = check->store;
    map = binarize_store_map(store);

    for (class = 0; class < BINARIZE_STORE_NCLASSES; class++) {

        block = store->classes[class];

        if ((block != 0) != (store->class_bits[class / 64]
                             >> (class % 64) & 1))
        {
            return "a class' bit is wrong";
        }

        for (prev = 0; block; prev = block, block = run->next) {

            if (block > store->nblocks) {
                return "a free run is out of range";
            }

            run = binarize_store_block(store, block);
            n = run->nblocks;

            error = store_check_own(check, STORE_CHECK_FREE, block, n);

            if (error) {
                return error;
            }

            last = binarize_store_block(store, block + n - 1);

            if (run->prev != prev || run->first != block
                || last->first != block)
            {
                return "a free run's links are wrong";
            }

            if (binarize_store_class(n) != class) {
                return "a free run is in another class' list";
            }

            if (map[block - 1] == BINARIZE_STORE_MAP_FREE
                || map[block + n] == BINARIZE_STORE_MAP_FREE)
            {
                return "two free runs are not joined";
            }

            check->stats.nfree_blocks += n;
        }
    }

    return NULL;
}


static const char *
store_check_queues(store_check_t *check)
{
    uint32_t                       block, i, n, older;
    uint64_t                       nblocks, nqueued;
    const binarize_store_t        *store;
    const binarize_store_queue_t  *queue;
    const binarize_store_entry_t  *entry;

    store = check->store;
    nqueued = 0;

    for (i = 1; i < BINARIZE_STORE_NQUEUES; i++) {

        queue = &store->queues[i];
        nblocks = 0;
        older = 0;

        for (block = queue->oldest, n = 0; block; n++) {

            if (block > store->nblocks || check->owners[block] != block
                || n > store->nblocks)
            {
                return "a queue has what is no entry";
            }

            entry = binarize_store_entry(store, block);

            if (entry->state != BINARIZE_STORE_LIVE || entry->queue != i
                || entry->older != older)
            {
                return "a queue's links are wrong";
            }

            if (older == 0 && entry->stamp != queue->stamp) {
                return "a queue's stamp is wrong";
            }

            nblocks += entry->nblocks;
            nqueued++;
            older = block;
            block = entry->newer;
        }

        if (queue->newest != older || queue->nblocks != nblocks
            || nblocks != check->queue_blocks[i])
        {
            return "a queue's sum or end is wrong";
        }
    }

    return nqueued == check->nqueued ? NULL : "an entry's queue is wrong";
}


static const char *
store_check_chains(store_check_t *check)
{
    uint32_t                       block, i;
    uint64_t                       n;
    const uint32_t                *buckets;
    const binarize_store_t        *store;
    const binarize_store_entry_t  *entry;

    store = check->store;
    buckets = (const uint32_t *) ((uintptr_t) store + store->buckets_offset);
    n = 0;

    for (i = 0; i <= store->bucket_mask; i++) {

        for (block = buckets[i]; block; block = entry->chain) {

            if (block > store->nblocks || check->owners[block] != block
                || n > store->nblocks)
            {
                return "a chain has what is no entry";
            }

            entry = binarize_store_entry(store, block);

            if ((entry->state != BINARIZE_STORE_LIVE
                 && entry->state != BINARIZE_STORE_CLAIMED)
                || binarize_store_bucket(store, entry->key) != &buckets[i])
            {
                return "a chain has an entry that is not of it";
            }

            n++;
        }
    }

    return n == check->nlive + check->nclaims
           ? NULL : "chains have too many entries";
}


static const char *
store_check_claims(store_check_t *check)
{
    uint32_t                       block, newer;
    uint64_t                       n;
    const binarize_store_entry_t  *claim;

    n = 0;
    newer = 0;

    for (block = check->store->newest_claim; block; block = claim->older) {

        if (block > check->store->nblocks || check->owners[block] != block) {
            return "the list of claims has what is no entry";
        }

        claim = binarize_store_entry(check->store, block);

        if (claim->state != BINARIZE_STORE_CLAIMED || claim->newer != newer
            || ++n > check->nclaims)
        {
            return "the list of claims is wrong";
        }

        newer = block;
    }

    return n == check->nclaims && n == check->store->stats.nclaims
           ? NULL : "the number of claims is wrong";
}


static const char *
store_check_gauges(store_check_t *check)
{
    const binarize_store_stats_t  *is, *ought;

    is = &check->store->stats;
    ought = &check->stats;

    if (is->nblocks != check->store->nblocks
        || is->nfree_blocks != ought->nfree_blocks)
    {
        return "the number of free blocks is wrong";
    }

    if (is->nzombies != ought->nzombies
        || is->nzombie_blocks != ought->nzombie_blocks)
    {
        return "the number of zombies is wrong";
    }

    if (is->nbuilding != ought->nbuilding
        || is->nbuilding_blocks != ought->nbuilding_blocks)
    {
        return "the number of unfinished entries is wrong";
    }

    if (is->npinned != ought->npinned
        || is->nevictable_blocks != ought->nevictable_blocks)
    {
        return "the number of pinned or evictable entries is wrong";
    }

    if (memcmp(is->kinds, ought->kinds, sizeof(is->kinds)) != 0) {
        return "the number of live entries is wrong";
    }

    return NULL;
}


const char *
binarize_store_check(const binarize_store_t *store, uint32_t *owners)
{
    uint32_t              block;
    const char           *error;
    store_check_t         check;
    const unsigned char  *map;

    memset(&check, 0, sizeof(check));
    memset(owners, 0, ((size_t) store->nblocks + 1) * sizeof(*owners));

    check.store = store;
    check.owners = owners;

    map = binarize_store_map(store);

    if (store->dirty) {
        return "the dirty mark is set";
    }

    if (map[0] != BINARIZE_STORE_MAP_USED
        || map[store->nblocks + 1] != BINARIZE_STORE_MAP_USED)
    {
        return "the map is not closed";
    }

    for (block = 1; block <= store->nblocks; block++) {

        if (map[block] != BINARIZE_STORE_MAP_HEAD) {
            continue;
        }

        error = store_check_entry(&check, block);

        if (error) {
            return error;
        }
    }

    error = store_check_runs(&check);

    for (block = 1; block <= store->nblocks && error == NULL; block++) {

        if (owners[block] == 0) {
            return "a block has no owner";
        }

        if ((owners[block] == STORE_CHECK_FREE)
            != (map[block] == BINARIZE_STORE_MAP_FREE))
        {
            return "the map is wrong";
        }
    }

    if (error == NULL) {
        error = store_check_queues(&check);
    }

    if (error == NULL) {
        error = store_check_chains(&check);
    }

    if (error == NULL) {
        error = store_check_claims(&check);
    }

    if (error == NULL
        && memcmp(store->holds, check.holds, sizeof(check.holds)) != 0)
    {
        error = "a slot's number of holds is wrong";
    }

    if (error == NULL) {
        error = store_check_gauges(&check);
    }

    return error;
}
