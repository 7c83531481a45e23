
/*
 * Who is to go.
 *
 * A result enters the small queue, a FIFO for a twentieth of the memory.  At
 * its end those that were used since move on to the main part, the others
 * go, and leave a fingerprint ("ghost"): should they come back soon, they
 * enter the main part at once.  So far it is S3-FIFO (J. Yang et al., SOSP
 * 2023): what a crawler touches once passes through and harms nothing.
 *
 * The main part weighs size against use, since what counts is the number of
 * requests answered, each miss being a call, whatever its size: GreedyDual-
 * Size-Frequency (L. Cherkasova, 1998), whose heap is replaced by one FIFO
 * for each power of two of the size.  An entry's stamp is the clock when it
 * was queued plus its use over its size; the queue whose oldest entry has the
 * lowest stamp gives the candidate, and the clock advances to that stamp.  A
 * candidate that was used is queued again.  A use itself touches nothing but
 * the entry's counter.
 *
 * All may have been used: of those that one call saw then, the one whose new
 * stamp is lowest goes, so that there are no more calls than entries that go.
 *
 * Entries that only say "not yet" or "not there" are small, many and short-
 * lived, and each saves a call: they have a FIFO and a share of their own.
 * Nobody goes while there is room.  When there is none, those above the share
 * go first, and results never displace them below it.
 *
 * An entry found pinned leaves its queue until it is unpinned.
 *
 * A result that would leave much of the memory unused is spared for others
 * that fit better (store_fit.c), until many times its size went in its stead.
 */


#include "store_private.h"


/* entries examined a call */
#define STORE_EVICT_STEPS   64

/* shares of the memory: 1 / N */
#define STORE_SMALL_SHARE   20
#define STORE_BRIEF_SHARE   8

/* and of what may be free beyond the need, for the sake of long runs */
#define STORE_SLACK_SHARE   24

/* and of what one who goes may leave unused */
#define STORE_FIT_SHARE     14

/* who is spared goes after so many times its size */
#define STORE_SPARE_FACTOR  16

/* ghosts are remembered while so many times the memory is evicted */
#define STORE_GHOST_AGE     2

/* weight of one use of an entry of one block */
#define STORE_WEIGHT        (1ULL << 24)


static unsigned store_queue_main(const binarize_store_entry_t *entry);
static void store_queue_push(binarize_store_t *store,
    binarize_store_entry_t *entry, unsigned i);
static void store_queue_push_main(binarize_store_t *store,
    binarize_store_entry_t *entry, unsigned use);
static void store_ghost_add(binarize_store_t *store,
    const binarize_store_entry_t *entry);
static int store_ghost_remove(binarize_store_t *store,
    const unsigned char *key);
static binarize_store_ghost_t *store_ghosts(const binarize_store_t *store,
    const unsigned char *key, uint32_t *fingerprint);
static binarize_store_queue_t *store_candidate_queue(binarize_store_t *store);
static int store_evict_for_run(const binarize_store_t *store,
    const binarize_store_queue_t *queue, uint64_t nblocks);
static void store_evict_step(binarize_store_t *store,
    binarize_store_entry_t *entry, uint64_t now_ms);
static int store_may_spare(binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t now_ms);
static void store_evict_instead(binarize_store_t *store,
    binarize_store_entry_t *next, uint64_t need, uint64_t now_ms);
static binarize_store_entry_t *store_evict_next(binarize_store_t *store,
    const binarize_store_queue_t *queue, uint64_t need, uint64_t now_ms);


static unsigned
store_queue_main(const binarize_store_entry_t *entry)
{
    return BINARIZE_STORE_QUEUE_MAIN + 31 - __builtin_clz(entry->nblocks);
}


static void
store_queue_push(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned i)
{
    uint32_t                 block;
    binarize_store_queue_t  *queue;

    queue = &store->queues[i];
    block = binarize_store_index(store, entry);

    entry->queue = i;
    entry->newer = 0;
    entry->older = queue->newest;

    if (queue->newest) {
        binarize_store_entry(store, queue->newest)->newer = block;

    } else {
        queue->oldest = block;
        queue->stamp = entry->stamp;
    }

    queue->newest = block;
    queue->nblocks += entry->nblocks;
}


static void
store_queue_push_main(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned use)
{
    entry->stamp = store->clock + (use + 1) * STORE_WEIGHT / entry->nblocks;
    entry->freq = 0;

    store_queue_push(store, entry, store_queue_main(entry));
}


void
binarize_store_queue_admit(binarize_store_t *store,
    binarize_store_entry_t *entry, int known)
{
    entry->freq = 0;

    if (entry->kind != BINARIZE_STORE_RESULT) {
        store_queue_push(store, entry, BINARIZE_STORE_QUEUE_BRIEF);
        return;
    }

    if (store_ghost_remove(store, entry->key) || known) {
        store_queue_push_main(store, entry, 0);
        return;
    }

    store_queue_push(store, entry, BINARIZE_STORE_QUEUE_SMALL);
}


void
binarize_store_queue_return(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    if (entry->kind != BINARIZE_STORE_RESULT) {
        store_queue_push(store, entry, BINARIZE_STORE_QUEUE_BRIEF);

    } else {
        store_queue_push_main(store, entry, entry->freq);
    }
}


void
binarize_store_queue_restore(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    uint64_t  most;

    most = store->clock + (BINARIZE_STORE_MAX_FREQ + 1) * STORE_WEIGHT;

    if (entry->kind == BINARIZE_STORE_RESULT
        && entry->queue == BINARIZE_STORE_QUEUE_SMALL)
    {
        store_queue_push(store, entry, BINARIZE_STORE_QUEUE_SMALL);

    } else if (entry->kind == BINARIZE_STORE_RESULT
               && entry->queue == store_queue_main(entry)
               && entry->stamp <= most)
    {
        store_queue_push(store, entry, entry->queue);

    } else {
        binarize_store_queue_return(store, entry);
    }
}


void
binarize_store_queue_leave(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    binarize_store_queue_t  *queue;

    if (entry->queue == BINARIZE_STORE_QUEUE_NONE) {
        return;
    }

    queue = &store->queues[entry->queue];

    if (entry->newer) {
        binarize_store_entry(store, entry->newer)->older = entry->older;

    } else {
        queue->newest = entry->older;
    }

    if (entry->older) {
        binarize_store_entry(store, entry->older)->newer = entry->newer;

    } else {
        queue->oldest = entry->newer;

        if (entry->newer) {
            queue->stamp = binarize_store_entry(store, entry->newer)->stamp;
        }
    }

    queue->nblocks -= entry->nblocks;
    entry->queue = BINARIZE_STORE_QUEUE_NONE;
}


/* the set of a key, and its fingerprint, from bits the buckets do not use */

static binarize_store_ghost_t *
store_ghosts(const binarize_store_t *store, const unsigned char *key,
    uint32_t *fingerprint)
{
    uint32_t                 hash;
    binarize_store_ghost_t  *ghosts;

    memcpy(fingerprint, key + 8, sizeof(uint32_t));
    memcpy(&hash, key + 12, sizeof(uint32_t));

    *fingerprint |= 1;

    ghosts = (binarize_store_ghost_t *)
                 ((uintptr_t) store + store->ghosts_offset);

    return &ghosts[(hash & store->ghost_mask) * BINARIZE_STORE_GHOST_WAYS];
}


static void
store_ghost_add(binarize_store_t *store, const binarize_store_entry_t *entry)
{
    uint32_t                 fingerprint, i;
    binarize_store_ghost_t  *ghosts, *victim;

    ghosts = store_ghosts(store, entry->key, &fingerprint);

    store->ghost_clock += entry->nblocks;
    victim = ghosts;

    for (i = 0; i < BINARIZE_STORE_GHOST_WAYS; i++) {

        if (ghosts[i].fingerprint == 0
            || ghosts[i].fingerprint == fingerprint)
        {
            victim = &ghosts[i];
            break;
        }

        /* the clock may have wrapped: compare ages */

        if (store->ghost_clock - ghosts[i].born
            > store->ghost_clock - victim->born)
        {
            victim = &ghosts[i];
        }
    }

    victim->fingerprint = fingerprint;
    victim->born = store->ghost_clock;
}


static int
store_ghost_remove(binarize_store_t *store, const unsigned char *key)
{
    uint32_t                 age, fingerprint, i;
    binarize_store_ghost_t  *ghosts;

    ghosts = store_ghosts(store, key, &fingerprint);

    for (i = 0; i < BINARIZE_STORE_GHOST_WAYS; i++) {

        if (ghosts[i].fingerprint == fingerprint) {
            ghosts[i].fingerprint = 0;
            age = store->ghost_clock - ghosts[i].born;

            return age / STORE_GHOST_AGE <= store->nblocks;
        }
    }

    return 0;
}


static binarize_store_queue_t *
store_candidate_queue(binarize_store_t *store)
{
    unsigned                 i;
    binarize_store_queue_t  *best, *brief, *queue, *small;

    small = &store->queues[BINARIZE_STORE_QUEUE_SMALL];
    brief = &store->queues[BINARIZE_STORE_QUEUE_BRIEF];

    if (brief->nblocks > store->nblocks / STORE_BRIEF_SHARE) {
        return brief;
    }

    if (small->nblocks > store->nblocks / STORE_SMALL_SHARE) {
        return small;
    }

    best = NULL;

    for (i = BINARIZE_STORE_QUEUE_MAIN; i < BINARIZE_STORE_NQUEUES; i++) {
        queue = &store->queues[i];

        if (queue->oldest && (best == NULL || queue->stamp < best->stamp)) {
            best = queue;
        }
    }

    if (best) {
        return best;
    }

    return small->oldest ? small : brief;
}


/* each step moves one entry on: out, out of a queue, or to a queue's end */

static void
store_evict_step(binarize_store_t *store, binarize_store_entry_t *entry,
    uint64_t now_ms)
{
    unsigned  use;

    use = entry->freq;

    if (entry->npinned) {
        binarize_store_queue_leave(store, entry);
        return;
    }

    if (binarize_store_forgotten(entry, now_ms)) {
        store->stats.expired++;
        binarize_store_unlink(store, entry);
        return;
    }

    if (entry->kind == BINARIZE_STORE_RESULT) {

        if (use) {
            binarize_store_queue_leave(store, entry);
            store_queue_push_main(store, entry, use);
            return;
        }

        if (entry->queue == BINARIZE_STORE_QUEUE_SMALL) {
            store_ghost_add(store, entry);
        }
    }

    store->stats.evictions[entry->kind]++;
    binarize_store_unlink(store, entry);
}


/* it would go now, and is large enough to leave much unused */

static int
store_may_spare(binarize_store_t *store, const binarize_store_entry_t *entry,
    uint64_t now_ms)
{
    uint32_t  block;

    if (entry->nblocks <= store->nblocks / STORE_FIT_SHARE
        || entry->kind != BINARIZE_STORE_RESULT
        || entry->npinned
        || entry->freq
        || binarize_store_forgotten(entry, now_ms))
    {
        return 0;
    }

    block = binarize_store_index(store, entry);

    if (store->spared != block) {
        store->spared = block;
        store->spared_nblocks = 0;
    }

    return store->spared_nblocks / STORE_SPARE_FACTOR < entry->nblocks;
}


/* next itself may be one of them */

static void
store_evict_instead(binarize_store_t *store, binarize_store_entry_t *next,
    uint64_t need, uint64_t now_ms)
{
    unsigned                 i, n;
    binarize_store_entry_t  *entries[BINARIZE_STORE_FIT];

    n = binarize_store_fit(store, next, need,
                           need + store->nblocks / STORE_FIT_SHARE, entries);

    for (i = 0; i < n; i++) {
        store->spared_nblocks += entries[i]->nblocks;
        store_evict_step(store, entries[i], now_ms);
    }
}


/*
 * The next one of the queue, or others; need is what has to be free.  Returns
 * the one that was used and is queued again, or NULL.
 */

static binarize_store_entry_t *
store_evict_next(binarize_store_t *store,
    const binarize_store_queue_t *queue, uint64_t need, uint64_t now_ms)
{
    uint64_t                 nfree;
    binarize_store_entry_t  *entry;

    nfree = store->stats.nfree_blocks;
    entry = binarize_store_entry(store, queue->oldest);

    if (nfree < need && store_may_spare(store, entry, now_ms)) {
        store_evict_instead(store, entry, need - nfree, now_ms);
        return NULL;
    }

    if (entry->queue >= BINARIZE_STORE_QUEUE_MAIN
        && entry->npinned == 0
        && entry->stamp > store->clock)
    {
        store->clock = entry->stamp;
    }

    store_evict_step(store, entry, now_ms);

    if (store->stats.nfree_blocks > nfree
        || entry->queue == BINARIZE_STORE_QUEUE_NONE)
    {
        return NULL;
    }

    return entry;
}


/* may one more go, now that it is for a run only? */

static int
store_evict_for_run(const binarize_store_t *store,
    const binarize_store_queue_t *queue, uint64_t nblocks)
{
    const binarize_store_entry_t  *entry;

    if (queue->oldest == 0) {
        return 0;
    }

    entry = binarize_store_entry(store, queue->oldest);

    return store->stats.nfree_blocks + entry->nblocks
           <= nblocks + store->nblocks / STORE_SLACK_SHARE;
}


int
binarize_store_evict(binarize_store_t *store, uint32_t nblocks, int in_run,
    uint64_t now_ms)
{
    int                      enough;
    unsigned                 i;
    uint64_t                 kept, need, nfree;
    binarize_store_entry_t  *entry, *least;
    binarize_store_queue_t  *queue;

    nfree = store->stats.nfree_blocks;

    /* in pieces it must be possible, with the blocks that list them */

    need = (uint64_t) nblocks + nblocks / BINARIZE_STORE_LIST_EXTENTS + 2;

    if (nfree + store->stats.nevictable_blocks < need) {
        store->stats.full++;
        return BINARIZE_FULL;
    }

    /* what is for claims stays free, as far as anybody can go for it */

    kept = binarize_store_kept(store);
    least = NULL;

    for (i = 0; /* void */ ; i++) {

        if (store->stats.nfree_blocks > nblocks + kept
            && binarize_store_may_take(store, nblocks))
        {
            return BINARIZE_OK;
        }

        queue = store_candidate_queue(store);
        enough = store->stats.nfree_blocks >= need + kept;

        if (enough
            && (i == STORE_EVICT_STEPS || !in_run
                || !store_evict_for_run(store, queue, nblocks)))
        {
            return BINARIZE_OK;
        }

        if (queue->oldest == 0) {
            return BINARIZE_OK;
        }

        if (i == STORE_EVICT_STEPS) {
            break;
        }

        entry = store_evict_next(store, queue, need + kept, now_ms);

        if (entry && (least == NULL || entry->stamp < least->stamp)) {
            least = entry;
        }
    }

    /* nobody went, so it is still there; there is none if all were pinned */

    if (store->stats.nfree_blocks == nfree && least) {
        store_evict_step(store, least, now_ms);
    }

    return BINARIZE_AGAIN;
}
