
/* Building entries: reserve, grow, finish, publish.  See store.h. */


#include "store_private.h"


/*
 * The guess at a size that is not known: so many times the running mean, at
 * least so many bytes, at most 1 / N of the memory
 */
#define STORE_GUESS_FACTOR  3
#define STORE_GUESS_SIZE    (64 * 1024)
#define STORE_GUESS_SHARE   32

/* others are evicted for 1 / N of the memory, before the size is known */
#define STORE_UNKNOWN_SHARE  512

/* the running mean follows 1 / N of a new value */
#define STORE_MEAN_WEIGHT  16


static int store_is_building(const binarize_store_t *store,
    const binarize_store_entry_t *entry);
static uint32_t store_guess(const binarize_store_t *store);
static uint32_t store_spare(const binarize_store_t *store);
static int store_reserve(binarize_store_t *store, const unsigned char *key,
    binarize_store_kind_e kind, uint32_t nblocks, int in_run, unsigned slot,
    uint64_t now_ms, binarize_store_entry_t **entry);
static int store_grow(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t nblocks, int in_run, uint64_t now_ms);
static int store_grow_unknown(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t nblocks, uint64_t now_ms);
static void store_publish(binarize_store_t *store,
    binarize_store_entry_t *entry, const binarize_store_meta_t *meta);


/* also guards against an entry that was dropped meanwhile */

static int
store_is_building(const binarize_store_t *store,
    const binarize_store_entry_t *entry)
{
    uint32_t  block;

    block = binarize_store_index(store, entry);

    return binarize_store_map(store)[block] == BINARIZE_STORE_MAP_HEAD
           && entry->state == BINARIZE_STORE_BUILDING;
}


/*
 * A guess at a size that is not known: generous, since what is not needed is
 * given back soon, while what is added later is seldom beside it.  Hardly
 * anybody is evicted for it.
 */

static uint32_t
store_guess(const binarize_store_t *store)
{
    uint32_t  least, nblocks, spare;
    uint64_t  max, size;

    size = store->typical_size * STORE_GUESS_FACTOR;
    max = store->size / STORE_GUESS_SHARE;

    nblocks = binarize_store_size_blocks(size < max ? size : max);
    least = binarize_store_size_blocks(STORE_GUESS_SIZE);

    if (least > store->nblocks / STORE_UNKNOWN_SHARE) {
        least = store->nblocks / STORE_UNKNOWN_SHARE;
    }

    spare = store_spare(store);

    if (nblocks > spare) {
        nblocks = spare;
    }

    return nblocks > least ? nblocks : least;
}


/* data blocks that can be had without an eviction, in pieces at worst */

static uint32_t
store_spare(const binarize_store_t *store)
{
    uint64_t  nfree, nlists;

    nfree = store->stats.nfree_blocks;
    nlists = nfree / BINARIZE_STORE_LIST_EXTENTS + 3
             + binarize_store_kept(store);

    return nfree > nlists ? nfree - nlists : 0;
}


binarize_store_entry_t *
binarize_store_head_create(binarize_store_t *store, uint32_t block,
    const unsigned char *key, binarize_store_kind_e kind)
{
    binarize_store_entry_t  *entry;

    entry = binarize_store_entry(store, block);

    memset(entry, 0, sizeof(*entry));
    memcpy(entry->key, key, BINARIZE_STORE_KEY_SIZE);

    entry->generation = ++store->generation;
    entry->kind = kind;
    entry->nblocks = 1;

    binarize_store_commit();

    binarize_store_map(store)[block] = BINARIZE_STORE_MAP_HEAD;

    binarize_store_commit();

    return entry;
}


static int
store_reserve(binarize_store_t *store, const unsigned char *key,
    binarize_store_kind_e kind, uint32_t nblocks, int in_run, unsigned slot,
    uint64_t now_ms, binarize_store_entry_t **entry)
{
    int                      rc;
    uint32_t                 block, n;
    binarize_store_entry_t  *e;

    rc = binarize_store_evict(store, nblocks + 1, in_run, now_ms);

    if (rc != BINARIZE_OK) {
        return rc;
    }

    /* head and data side by side leave one hole when they go, not two */

    n = nblocks + 1;
    block = binarize_store_take(store, &n);

    if (block == 0) {
        return BINARIZE_FULL;
    }

    e = binarize_store_head_create(store, block, key, kind);
    e->owner = slot;

    binarize_store_commit();

    e->state = BINARIZE_STORE_BUILDING;

    binarize_store_commit();

    store->holds[slot]++;
    store->stats.nbuilding++;
    store->stats.nbuilding_blocks++;

    if (n > 1) {
        (void) binarize_store_attach(store, e, block + 1, n - 1);
    }

    rc = binarize_store_add(store, e, nblocks + 1 - n);

    store->stats.nbuilding_blocks += e->nblocks - 1;

    if (rc != BINARIZE_OK) {
        store->holds[slot]--;
        store->stats.nbuilding--;
        store->stats.nbuilding_blocks -= e->nblocks;
        binarize_store_free(store, e);
        return rc;
    }

    *entry = e;

    return BINARIZE_OK;
}


int
binarize_store_reserve(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE],
    binarize_store_kind_e kind, uint64_t size, unsigned slot,
    uint64_t now_ms, binarize_store_entry_t **entry)
{
    int       rc, unknown;
    uint32_t  nblocks;

    if (slot >= BINARIZE_STORE_SLOTS || kind >= BINARIZE_STORE_NKINDS) {
        return BINARIZE_ERROR;
    }

    if (size > binarize_store_max_size(store)) {
        store->stats.declined++;
        return BINARIZE_DECLINED;
    }

    binarize_store_enter(store);

    nblocks = binarize_store_size_blocks(size);
    unknown = size == 0 && kind == BINARIZE_STORE_RESULT;
    rc = BINARIZE_FULL;

    if (unknown) {
        rc = store_reserve(store, key, kind, store_guess(store), 0, slot,
                           now_ms, entry);
    }

    if (rc == BINARIZE_FULL) {
        rc = store_reserve(store, key, kind, nblocks, !unknown, slot, now_ms,
                           entry);
    }

    binarize_store_leave(store);

    return rc;
}


/* to nblocks of data in all */

static int
store_grow(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t nblocks, int in_run, uint64_t now_ms)
{
    int       rc;
    uint32_t  n, ndata;

    ndata = binarize_store_ndata(entry);

    if (nblocks <= ndata) {
        return BINARIZE_OK;
    }

    n = binarize_store_extend(store, entry, nblocks - ndata);

    store->stats.nbuilding_blocks += n;
    ndata += n;

    if (nblocks == ndata) {
        return BINARIZE_OK;
    }

    rc = binarize_store_evict(store, nblocks - ndata, in_run, now_ms);

    if (rc != BINARIZE_OK) {
        return rc;
    }

    store->stats.nbuilding_blocks -= entry->nblocks;

    rc = binarize_store_add(store, entry, nblocks - ndata);

    if (rc != BINARIZE_OK) {
        binarize_store_trim(store, entry, ndata);
    }

    store->stats.nbuilding_blocks += entry->nblocks;

    return rc;
}


/*
 * By a half where that evicts nobody, so that the extents stay few; it is
 * given back soon.
 */

static int
store_grow_unknown(binarize_store_t *store, binarize_store_entry_t *entry,
    uint32_t nblocks, uint64_t now_ms)
{
    uint32_t  most, ndata, spare;

    ndata = binarize_store_ndata(entry);
    spare = store_spare(store);

    if (nblocks > ndata + spare
        && nblocks > store->nblocks / STORE_UNKNOWN_SHARE)
    {
        return BINARIZE_DECLINED;
    }

    most = binarize_store_size_blocks(binarize_store_max_size(store));

    if (spare > ndata / 2) {
        spare = ndata / 2;
    }

    if (spare > most - ndata) {
        spare = most - ndata;
    }

    return store_grow(store, entry,
                      nblocks > ndata + spare ? nblocks : ndata + spare, 0,
                      now_ms);
}


int
binarize_store_grow(binarize_store_t *store, binarize_store_entry_t *entry,
    uint64_t size, uint64_t now_ms)
{
    int  rc;

    if (size > binarize_store_max_size(store)) {
        store->stats.declined++;
        return BINARIZE_DECLINED;
    }

    binarize_store_enter(store);

    rc = BINARIZE_ERROR;

    if (store_is_building(store, entry)) {
        rc = store_grow_unknown(store, entry,
                                binarize_store_size_blocks(size), now_ms);
    }

    binarize_store_leave(store);

    return rc;
}


int
binarize_store_finish(binarize_store_t *store, binarize_store_entry_t *entry,
    uint64_t payload_size, size_t doc_size, uint64_t now_ms)
{
    int       rc;
    uint32_t  nblocks;
    uint64_t  size;

    size = payload_size;

    if (doc_size > BINARIZE_STORE_DOC_SIZE) {
        size += doc_size;
    }

    if (size > binarize_store_max_size(store)) {
        store->stats.declined++;
        return BINARIZE_DECLINED;
    }

    binarize_store_enter(store);

    if (doc_size > BINARIZE_STORE_MAX_DOC_SIZE
        || !store_is_building(store, entry)
        || payload_size > (uint64_t) binarize_store_ndata(entry)
                          * BINARIZE_STORE_BLOCK_SIZE)
    {
        binarize_store_leave(store);
        return BINARIZE_ERROR;
    }

    nblocks = binarize_store_size_blocks(size);
    rc = store_grow(store, entry, nblocks, 1, now_ms);

    if (rc == BINARIZE_OK) {
        entry->payload_size = payload_size;
        entry->doc_size = doc_size;

        store->stats.nbuilding_blocks -= entry->nblocks;
        binarize_store_trim(store, entry, nblocks);
        store->stats.nbuilding_blocks += entry->nblocks;
    }

    binarize_store_leave(store);

    return rc;
}


static void
store_publish(binarize_store_t *store, binarize_store_entry_t *entry,
    const binarize_store_meta_t *meta)
{
    int                      known;
    int64_t                  step;
    binarize_store_entry_t  *old;

    old = binarize_store_find(store, entry->key, BINARIZE_STORE_LIVE);
    known = 0;

    if (old) {
        known = old->kind == BINARIZE_STORE_RESULT
                && old->queue != BINARIZE_STORE_QUEUE_SMALL;
    }

    entry->meta = *meta;

    store->holds[entry->owner]--;
    store->stats.nbuilding--;
    store->stats.nbuilding_blocks -= entry->nblocks;

    binarize_store_commit();

    /* for a moment both are live: recovery keeps the newer one */

    entry->state = BINARIZE_STORE_LIVE;

    binarize_store_commit();

    if (old) {
        store->stats.replaced++;
        binarize_store_unlink(store, old);
    }

    binarize_store_chain_insert(store, entry);
    binarize_store_account(store, entry, 1);
    binarize_store_queue_admit(store, entry, known);

    store->stats.inserts[entry->kind]++;
    store->stats.split += entry->nextents > 1;

    if (entry->kind == BINARIZE_STORE_RESULT) {
        step = (int64_t) (entry->payload_size - store->typical_size);
        store->typical_size += step / STORE_MEAN_WEIGHT;
    }
}


void
binarize_store_publish(binarize_store_t *store, binarize_store_entry_t *entry,
    const binarize_store_meta_t *meta)
{
    binarize_store_enter(store);

    if (store_is_building(store, entry)) {
        store_publish(store, entry, meta);
    }

    binarize_store_leave(store);
}


void
binarize_store_abort(binarize_store_t *store, binarize_store_entry_t *entry)
{
    binarize_store_enter(store);

    if (store_is_building(store, entry)) {
        store->holds[entry->owner]--;
        store->stats.aborted++;
        store->stats.nbuilding--;
        store->stats.nbuilding_blocks -= entry->nblocks;
        binarize_store_orphan(store, entry);
    }

    binarize_store_leave(store);
}


int
binarize_store_put(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE],
    binarize_store_kind_e kind, const unsigned char *doc, size_t doc_size,
    const binarize_store_meta_t *meta, unsigned slot, uint64_t now_ms,
    binarize_store_entry_t **entry)
{
    int                      rc;
    uint32_t                 nblocks;
    binarize_store_entry_t  *e;

    if (slot >= BINARIZE_STORE_SLOTS || kind >= BINARIZE_STORE_NKINDS
        || doc_size > BINARIZE_STORE_MAX_DOC_SIZE)
    {
        return BINARIZE_ERROR;
    }

    e = binarize_store_peek(store, key);

    if (e && e->kind == BINARIZE_STORE_RESULT
        && kind != BINARIZE_STORE_RESULT
        && !binarize_store_expired(e, now_ms))
    {
        if (entry) {
            *entry = e;
        }

        return BINARIZE_EXISTS;
    }

    nblocks = 0;

    if (doc_size > BINARIZE_STORE_DOC_SIZE) {
        nblocks = binarize_store_size_blocks(doc_size);

        if (doc_size > binarize_store_max_size(store)) {
            store->stats.declined++;
            return BINARIZE_DECLINED;
        }
    }

    binarize_store_enter(store);

    rc = store_reserve(store, key, kind, nblocks, 0, slot, now_ms, &e);

    if (rc == BINARIZE_OK) {
        e->doc_size = doc_size;

        if (doc_size) {
            binarize_store_write_doc(store, e, doc);
        }

        store_publish(store, e, meta);

        if (entry) {
            *entry = e;
        }
    }

    binarize_store_leave(store);

    return rc;
}
