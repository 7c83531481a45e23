
/*
 * After a process was killed inside a locked call: the heads that the map
 * marks, their state words and their extents are true (see store_private.h),
 * the rest is made anew.  May be killed itself, and is then begun again: it
 * destroys nothing that it reads.
 */


#include "store_private.h"


/* of the sort that gives the queues their order back; 8 bytes each */
#define STORE_PILES  4096


static uint32_t store_next_head(const binarize_store_t *store,
    uint32_t block);
static void store_map_clear(binarize_store_t *store);
static int store_mark_run(binarize_store_t *store, uint32_t first,
    uint32_t nblocks, unsigned value);
static uint32_t store_mark(binarize_store_t *store,
    const binarize_store_entry_t *entry, uint32_t nruns, unsigned value);
static int store_forsaken(const binarize_store_entry_t *claim);
static int store_own(binarize_store_t *store, binarize_store_entry_t *entry);
static void store_drop(binarize_store_t *store, binarize_store_entry_t *entry);
static void store_derived_clear(binarize_store_t *store);
static void store_pins_count(binarize_store_t *store,
    binarize_store_entry_t *entry);
static void store_count(binarize_store_t *store,
    binarize_store_entry_t *entry);
static void store_link(binarize_store_t *store, binarize_store_entry_t *entry);
static void store_link_live(binarize_store_t *store);
static uint64_t store_rank(const binarize_store_entry_t *entry);
static void store_deal(binarize_store_t *store,
    binarize_store_queue_t *queue, uint64_t least, unsigned shift);
static void store_order(binarize_store_t *store,
    binarize_store_queue_t *queue);
static void store_runs_make(binarize_store_t *store);


/* the first head behind block, or 0 */

static uint32_t
store_next_head(const binarize_store_t *store, uint32_t block)
{
    unsigned char  *head, *map;

    map = binarize_store_map(store);
    head = memchr(map + block + 1, BINARIZE_STORE_MAP_HEAD,
                  store->nblocks - block);

    return head ? head - map : 0;
}


/* all but the heads is free */

static void
store_map_clear(binarize_store_t *store)
{
    uint32_t        i;
    unsigned char  *map;

    map = binarize_store_map(store);

    for (i = 1; i <= store->nblocks; i++) {

        if (map[i] != BINARIZE_STORE_MAP_HEAD) {
            map[i] = BINARIZE_STORE_MAP_FREE;
        }
    }
}


static int
store_mark_run(binarize_store_t *store, uint32_t first, uint32_t nblocks,
    unsigned value)
{
    uint32_t        i;
    unsigned char  *map;

    if (first == 0 || first > store->nblocks
        || nblocks == 0 || nblocks > store->nblocks - first + 1)
    {
        return BINARIZE_ERROR;
    }

    map = binarize_store_map(store) + first;

    if (value == BINARIZE_STORE_MAP_USED) {

        for (i = 0; i < nblocks; i++) {

            if (map[i] != BINARIZE_STORE_MAP_FREE) {
                return BINARIZE_ERROR;
            }
        }
    }

    memset(map, value, nblocks);

    return BINARIZE_OK;
}


/*
 * Marks the first nruns of the entry's runs: its extents, and the blocks with
 * extents.  Ends at one that is out of range or not the entry's to take.
 * Returns how many were marked.
 */

static uint32_t
store_mark(binarize_store_t *store, const binarize_store_entry_t *entry,
    uint32_t nruns, unsigned value)
{
    uint32_t                        i, link, n;
    const binarize_store_list_t    *list;
    const binarize_store_extent_t  *extent;

    link = entry->list;
    extent = entry->extents;
    n = 0;

    for (i = 0; i < entry->nextents && n < nruns; i++, extent++) {

        if (i >= BINARIZE_STORE_EXTENTS
            && (i - BINARIZE_STORE_EXTENTS) % BINARIZE_STORE_LIST_EXTENTS == 0)
        {
            if (store_mark_run(store, link, 1, value) != BINARIZE_OK
                || ++n == nruns)
            {
                return n;
            }

            list = binarize_store_block(store, link);
            link = list->next;
            extent = list->extents;
        }

        if (store_mark_run(store, extent->first, extent->nblocks, value)
            != BINARIZE_OK)
        {
            return n;
        }

        n++;
    }

    return n;
}


/* the claim has neither owner nor followers */

static int
store_forsaken(const binarize_store_entry_t *claim)
{
    unsigned  i;

    for (i = 0; i < BINARIZE_STORE_SLOTS / 64; i++) {

        if (claim->pins[i]) {
            return 0;
        }
    }

    return claim->claim.epoch == 0;
}


/* takes the entry's blocks for it, if all is well with it */

static int
store_own(binarize_store_t *store, binarize_store_entry_t *entry)
{
    uint32_t                  i, link, n, nruns, prev;
    uint64_t                  ndata;
    binarize_store_list_t    *list;
    binarize_store_extent_t  *extent;

    if (entry->state < BINARIZE_STORE_BUILDING
        || entry->state > BINARIZE_STORE_CLAIMED
        || (entry->state == BINARIZE_STORE_CLAIMED
            ? entry->kind != BINARIZE_STORE_CLAIM || store_forsaken(entry)
            : entry->kind >= BINARIZE_STORE_NKINDS)
        || entry->owner >= BINARIZE_STORE_SLOTS
        || entry->doc_size > BINARIZE_STORE_MAX_DOC_SIZE
        || entry->nextents > store->nblocks)
    {
        return BINARIZE_ERROR;
    }

    nruns = entry->nextents + binarize_store_nlists(entry->nextents);
    n = store_mark(store, entry, nruns, BINARIZE_STORE_MAP_USED);

    ndata = 0;

    if (n == nruns) {

        extent = entry->extents;
        link = entry->list;
        prev = 0;

        for (i = 0; i < entry->nextents; i++, extent++) {

            if (i >= BINARIZE_STORE_EXTENTS
                && (i - BINARIZE_STORE_EXTENTS)
                   % BINARIZE_STORE_LIST_EXTENTS == 0)
            {
                list = binarize_store_block(store, link);
                list->prev = prev;
                prev = link;
                link = list->next;
                extent = list->extents;
            }

            ndata += extent->nblocks;
        }

        if (prev) {
            list = binarize_store_block(store, entry->list);
            list->prev = prev;
        }

        if (binarize_store_size_blocks(binarize_store_data_size(entry))
            <= ndata)
        {
            entry->nblocks = 1 + ndata + binarize_store_nlists(entry->nextents);
            return BINARIZE_OK;
        }
    }

    (void) store_mark(store, entry, n, BINARIZE_STORE_MAP_FREE);

    return BINARIZE_ERROR;
}


/* the map only: there are no runs yet */

static void
store_drop(binarize_store_t *store, binarize_store_entry_t *entry)
{
    entry->state = BINARIZE_STORE_FREE;

    binarize_store_commit();

    binarize_store_map(store)[binarize_store_index(store, entry)] =
                                                    BINARIZE_STORE_MAP_FREE;
}


static void
store_derived_clear(binarize_store_t *store)
{
    binarize_store_stats_t  *stats;

    memset((unsigned char *) store + store->buckets_offset, 0,
           ((size_t) store->bucket_mask + 1) * sizeof(uint32_t));

    memset(store->queues, 0, sizeof(store->queues));
    memset(store->holds, 0, sizeof(store->holds));
    store->newest_claim = 0;

    binarize_store_runs_clear(store);

    stats = &store->stats;

    stats->nzombies = 0;
    stats->nzombie_blocks = 0;
    stats->nbuilding = 0;
    stats->nbuilding_blocks = 0;
    stats->nclaims = 0;
    stats->npinned = 0;
    stats->nevictable_blocks = 0;
    memset(stats->kinds, 0, sizeof(stats->kinds));
}


static void
store_pins_count(binarize_store_t *store, binarize_store_entry_t *entry)
{
    unsigned  i;
    uint64_t  bits;

    entry->npinned = 0;

    for (i = 0; i < BINARIZE_STORE_SLOTS / 64; i++) {

        for (bits = entry->pins[i]; bits; bits &= bits - 1) {
            store->holds[i * 64 + __builtin_ctzll(bits)]++;
            entry->npinned++;
        }
    }
}


static void
store_count(binarize_store_t *store, binarize_store_entry_t *entry)
{
    store_pins_count(store, entry);

    switch (entry->state) {

    case BINARIZE_STORE_BUILDING:
        store->holds[entry->owner]++;
        store->stats.nbuilding++;
        store->stats.nbuilding_blocks += entry->nblocks;
        break;

    case BINARIZE_STORE_ZOMBIE:
        if (entry->npinned) {
            store->stats.nzombies++;
            store->stats.nzombie_blocks += entry->nblocks;
            break;
        }

        (void) store_mark(store, entry, UINT32_MAX, BINARIZE_STORE_MAP_FREE);
        store_drop(store, entry);
        break;

    case BINARIZE_STORE_CLAIMED:
        binarize_claim_link(store, entry);

        if (entry->npinned == 0) {
            entry->claim.until_ms = 0;
        }

        break;

    default:
        binarize_store_account(store, entry, 1);
    }
}


static void
store_link(binarize_store_t *store, binarize_store_entry_t *entry)
{
    binarize_store_chain_insert(store, entry);

    if (entry->freq > BINARIZE_STORE_MAX_FREQ) {
        entry->freq = BINARIZE_STORE_MAX_FREQ;
    }

    binarize_store_queue_restore(store, entry);
}


/* of two live entries with one key the newer one stays */

static void
store_link_live(binarize_store_t *store)
{
    uint32_t                 block;
    binarize_store_entry_t  *entry, *other;

    for (block = store_next_head(store, 0);
         block;
         block = store_next_head(store, block))
    {
        entry = binarize_store_entry(store, block);

        if (entry->state != BINARIZE_STORE_LIVE) {
            continue;
        }

        other = binarize_store_find(store, entry->key, BINARIZE_STORE_LIVE);

        if (other == NULL) {
            store_link(store, entry);
            continue;
        }

        if (other->generation < entry->generation) {
            binarize_store_unlink(store, other);
            store_link(store, entry);
            continue;
        }

        entry->queue = BINARIZE_STORE_QUEUE_NONE;
        entry->chain = 0;
        store_link(store, entry);
        binarize_store_unlink(store, entry);
    }
}


/* of the main part it is the stamp; the others go as they came */

static uint64_t
store_rank(const binarize_store_entry_t *entry)
{
    return entry->queue >= BINARIZE_STORE_QUEUE_MAIN ? entry->stamp
                                                     : entry->generation;
}


/* deals the queue out to piles by rank, and puts these together again */

static void
store_deal(binarize_store_t *store, binarize_store_queue_t *queue,
    uint64_t least, unsigned shift)
{
    uint32_t                 block, next;
    unsigned                 i;
    binarize_store_entry_t  *entry;
    struct {
        uint32_t             oldest;
        uint32_t             newest;
    } *pile, piles[STORE_PILES];

    memset(piles, 0, sizeof(piles));

    for (block = queue->oldest; block; block = next) {
        entry = binarize_store_entry(store, block);
        next = entry->newer;

        pile = &piles[(store_rank(entry) - least) >> shift];

        entry->newer = 0;
        entry->older = pile->newest;

        if (pile->newest) {
            binarize_store_entry(store, pile->newest)->newer = block;

        } else {
            pile->oldest = block;
        }

        pile->newest = block;
    }

    queue->oldest = 0;
    queue->newest = 0;

    for (i = 0; i < STORE_PILES; i++) {
        pile = &piles[i];

        if (pile->oldest == 0) {
            continue;
        }

        binarize_store_entry(store, pile->oldest)->older = queue->newest;

        if (queue->newest) {
            binarize_store_entry(store, queue->newest)->newer = pile->oldest;

        } else {
            queue->oldest = pile->oldest;
        }

        queue->newest = pile->newest;
    }

    queue->stamp = binarize_store_entry(store, queue->oldest)->stamp;
}


/*
 * Who was queued by position goes by rank again; where ranks differ by less
 * than 1 / STORE_PILES of their range, by position still.
 */

static void
store_order(binarize_store_t *store, binarize_store_queue_t *queue)
{
    uint32_t                 block;
    uint64_t                 least, most, rank;
    unsigned                 shift;
    binarize_store_entry_t  *entry;

    least = UINT64_MAX;
    most = 0;

    for (block = queue->oldest; block; block = entry->newer) {
        entry = binarize_store_entry(store, block);
        rank = store_rank(entry);

        least = rank < least ? rank : least;
        most = rank > most ? rank : most;
    }

    if (least >= most) {
        return;
    }

    for (shift = 0; (most - least) >> shift >= STORE_PILES; shift++) {
        /* void */
    }

    store_deal(store, queue, least, shift);
}


static void
store_runs_make(binarize_store_t *store)
{
    uint32_t        first, i;
    unsigned char  *map;

    map = binarize_store_map(store);

    for (i = 1; i <= store->nblocks; i++) {

        if (map[i] != BINARIZE_STORE_MAP_FREE) {
            continue;
        }

        for (first = i; map[i] == BINARIZE_STORE_MAP_FREE; i++) {
            /* the map is closed by a used block */
        }

        binarize_store_run_insert(store, first, i - first);
    }
}


void
binarize_store_recover(binarize_store_t *store)
{
    unsigned                 i;
    uint32_t                 block;
    binarize_store_entry_t  *entry;

    store->dirty = 1;
    binarize_store_commit();

    store_map_clear(store);
    store_derived_clear(store);

    for (block = store_next_head(store, 0);
         block;
         block = store_next_head(store, block))
    {
        entry = binarize_store_entry(store, block);

        if (store_own(store, entry) == BINARIZE_OK) {
            store_count(store, entry);

        } else {
            store->stats.dropped += entry->state != BINARIZE_STORE_FREE;
            store_drop(store, entry);
        }
    }

    store_runs_make(store);
    store_link_live(store);

    for (i = 0; i < BINARIZE_STORE_NQUEUES; i++) {
        store_order(store, &store->queues[i]);
    }

    store->stats.recoveries++;

    binarize_store_leave(store);
}
