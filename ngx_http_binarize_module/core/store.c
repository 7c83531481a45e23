
/* Entries: finding, pinning, removing.  See store.h. */


#include "claim.h"
#include "store_private.h"


/* what one entry may take: 1 / N of the memory */
#define STORE_MAX_SHARE  4


static uint64_t store_layout(void);
static int store_geometry(binarize_store_t *store, uint64_t size);
static void store_format(binarize_store_t *store);
static void store_remove_entry(binarize_store_t *store,
    binarize_store_entry_t *entry);
static void store_unpin(binarize_store_t *store,
    binarize_store_entry_t *entry, unsigned slot);


/* differs where a structure or a constant of the layout does */

static uint64_t
store_layout(void)
{
    size_t    i;
    uint64_t  hash;

    static const uint64_t  facts[] = {
        BINARIZE_STORE_VERSION,
        BINARIZE_STORE_BLOCK_SIZE,
        BINARIZE_STORE_NCLASSES,
        BINARIZE_STORE_NQUEUES,
        BINARIZE_STORE_GHOST_WAYS,
        BINARIZE_STORE_DOC_SIZE,
        sizeof(binarize_store_t),
        sizeof(binarize_store_entry_t),
        sizeof(binarize_store_meta_t),
        sizeof(binarize_store_list_t),
        sizeof(binarize_store_stats_t),
        offsetof(binarize_store_t, queues),
        offsetof(binarize_store_t, classes),
        offsetof(binarize_store_t, holds),
        offsetof(binarize_store_t, stats),
        offsetof(binarize_store_entry_t, generation),
        offsetof(binarize_store_entry_t, state),
        offsetof(binarize_store_entry_t, meta),
        offsetof(binarize_store_entry_t, doc_size),
        offsetof(binarize_store_entry_t, extents),
        offsetof(binarize_store_entry_t, pins),
        offsetof(binarize_store_entry_t, doc),
        sizeof(binarize_store_claim_t),
        offsetof(binarize_store_meta_t, stored),
        offsetof(binarize_store_meta_t, etag)
    };

    /* FNV-1a, by words */

    hash = 0xcbf29ce484222325ULL;

    for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        hash = (hash ^ facts[i]) * 0x100000001b3ULL;
    }

    return hash;
}


static int
store_geometry(binarize_store_t *store, uint64_t size)
{
    uint64_t  blocks, nblocks, nbuckets, nsets;

    if (size < BINARIZE_STORE_MIN_SIZE || size >> 40) {
        return BINARIZE_ERROR;
    }

    /* a bucket for 2K, a ghost for 4K, as powers of two not above that */

    nbuckets = 1ULL << (63 - __builtin_clzll(size / 2048));
    nsets = 1ULL << (63 - __builtin_clzll(size / 4096
                                          / BINARIZE_STORE_GHOST_WAYS));

    nblocks = size / BINARIZE_STORE_BLOCK_SIZE;

    store->map_offset = (sizeof(binarize_store_t) + 63) & ~63ULL;

    /* the map is closed by a used block at either end */

    store->buckets_offset = (store->map_offset + nblocks + 2 + 63) & ~63ULL;
    store->ghosts_offset = store->buckets_offset + nbuckets * sizeof(uint32_t);

    blocks = store->ghosts_offset + nsets * BINARIZE_STORE_GHOST_WAYS
                                    * sizeof(binarize_store_ghost_t);
    blocks = (blocks + BINARIZE_STORE_BLOCK_SIZE - 1)
             & ~(uint64_t) (BINARIZE_STORE_BLOCK_SIZE - 1);

    store->size = size;
    store->blocks_offset = blocks - BINARIZE_STORE_BLOCK_SIZE;
    store->nblocks = (size - blocks) / BINARIZE_STORE_BLOCK_SIZE;
    store->bucket_mask = nbuckets - 1;
    store->ghost_mask = nsets - 1;

    return BINARIZE_OK;
}


static void
store_format(binarize_store_t *store)
{
    unsigned char  *map;

    map = binarize_store_map(store);

    map[0] = BINARIZE_STORE_MAP_USED;
    memset(map + 1, BINARIZE_STORE_MAP_FREE, store->nblocks);
    map[store->nblocks + 1] = BINARIZE_STORE_MAP_USED;

    memset((unsigned char *) store + store->buckets_offset, 0,
           store->blocks_offset + BINARIZE_STORE_BLOCK_SIZE
           - store->buckets_offset);

    store->stats.nblocks = store->nblocks;

    binarize_store_run_insert(store, 1, store->nblocks);

    binarize_store_commit();

    store->magic = BINARIZE_STORE_MAGIC;
}


int
binarize_store_init(void *memory, size_t size, binarize_store_t **store,
    unsigned *attached)
{
    binarize_store_t  *s, geometry;

    s = memory;

    if ((uintptr_t) memory % 64
        || store_geometry(&geometry, size) != BINARIZE_OK)
    {
        return BINARIZE_ERROR;
    }

    *store = s;

    if (s->magic == BINARIZE_STORE_MAGIC
        && s->layout == store_layout()
        && s->size == size
        && s->nblocks == geometry.nblocks
        && s->blocks_offset == geometry.blocks_offset)
    {
        *attached = 1;
        return BINARIZE_OK;
    }

    s->magic = 0;
    binarize_store_commit();

    memset(s, 0, sizeof(*s));

    (void) store_geometry(s, size);
    s->layout = store_layout();

    store_format(s);

    *attached = 0;

    return BINARIZE_OK;
}


uint64_t
binarize_store_max_size(const binarize_store_t *store)
{
    return (uint64_t) (store->nblocks / STORE_MAX_SHARE - 1)
           * BINARIZE_STORE_BLOCK_SIZE;
}


size_t
binarize_store_nblocks(const binarize_store_t *store)
{
    return store->nblocks;
}


binarize_store_entry_t *
binarize_store_find(const binarize_store_t *store, const unsigned char *key,
    binarize_store_state_e state)
{
    uint32_t                 block;
    binarize_store_entry_t  *entry;

    for (block = *binarize_store_bucket(store, key);
         block;
         block = entry->chain)
    {
        entry = binarize_store_entry(store, block);

        if (memcmp(entry->key, key, BINARIZE_STORE_KEY_SIZE) == 0
            && entry->state == state)
        {
            return entry;
        }
    }

    return NULL;
}


binarize_store_entry_t *
binarize_store_peek(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    if (store->dirty) {
        binarize_store_recover(store);
    }

    return binarize_store_find(store, key, BINARIZE_STORE_LIVE);
}


binarize_store_entry_t *
binarize_store_lookup(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], uint64_t now_ms)
{
    binarize_store_entry_t  *entry;

    entry = binarize_store_peek(store, key);

    if (entry == NULL) {
        store->stats.misses++;
        return NULL;
    }

    if (binarize_store_expired(entry, now_ms)) {
        store->stats.misses++;

        if (binarize_store_forgotten(entry, now_ms)) {
            store->stats.expired++;
            store_remove_entry(store, entry);
        }

        return NULL;
    }

    store->stats.hits++;
    entry->hits++;

    if (entry->freq < BINARIZE_STORE_MAX_FREQ) {
        entry->freq++;
    }

    return entry;
}


void
binarize_store_prefetch_index(const binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    __builtin_prefetch(binarize_store_bucket(store, key));
}


uint32_t
binarize_store_prefetch(const binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot)
{
    uint32_t                       block;
    const binarize_store_entry_t  *entry;

    /* others may change it: any number within the memory will do */

    block = __atomic_load_n(binarize_store_bucket(store, key),
                            __ATOMIC_RELAXED);

    if (block == 0 || block > store->nblocks || slot >= BINARIZE_STORE_SLOTS) {
        return 0;
    }

    entry = binarize_store_entry(store, block);

    __builtin_prefetch(entry, 1);
    __builtin_prefetch(&entry->meta, 0);
    __builtin_prefetch(&entry->meta.json_etag, 0);
    __builtin_prefetch(&entry->pins[slot / 64], 1);
    __builtin_prefetch(&binarize_store_map(store)[block], 0);

    return block;
}


uint32_t
binarize_store_place(const binarize_store_t *store,
    const binarize_store_entry_t *entry)
{
    return binarize_store_index(store, entry);
}


void
binarize_store_account(binarize_store_t *store,
    const binarize_store_entry_t *entry, int comes)
{
    uint64_t                 sign;
    binarize_store_stats_t  *stats;

    stats = &store->stats;
    sign = comes ? 1 : (uint64_t) -1;

    stats->kinds[entry->kind].nentries += sign;
    stats->kinds[entry->kind].nblocks += sign * entry->nblocks;
    stats->kinds[entry->kind].size += sign * (entry->payload_size
                                              + entry->doc_size);

    if (entry->npinned) {
        stats->npinned += sign;

    } else {
        stats->nevictable_blocks += sign * entry->nblocks;
    }
}


void
binarize_store_chain_insert(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    uint32_t  *bucket;

    bucket = binarize_store_bucket(store, entry->key);
    entry->chain = *bucket;
    *bucket = binarize_store_index(store, entry);
}


void
binarize_store_chain_remove(binarize_store_t *store,
    binarize_store_entry_t *entry)
{
    uint32_t  block, *link;

    block = binarize_store_index(store, entry);
    link = binarize_store_bucket(store, entry->key);

    while (*link != block) {
        link = &binarize_store_entry(store, *link)->chain;
    }

    *link = entry->chain;
}


void
binarize_store_free(binarize_store_t *store, binarize_store_entry_t *entry)
{
    entry->state = BINARIZE_STORE_FREE;

    binarize_store_commit();

    binarize_store_dissolve(store, entry);
}


void
binarize_store_orphan(binarize_store_t *store, binarize_store_entry_t *entry)
{
    if (entry->npinned == 0) {
        binarize_store_free(store, entry);
        return;
    }

    entry->state = BINARIZE_STORE_ZOMBIE;

    store->stats.nzombies++;
    store->stats.nzombie_blocks += entry->nblocks;
}


void
binarize_store_unlink(binarize_store_t *store, binarize_store_entry_t *entry)
{
    binarize_store_chain_remove(store, entry);
    binarize_store_queue_leave(store, entry);
    binarize_store_account(store, entry, 0);

    binarize_store_orphan(store, entry);
}


static void
store_remove_entry(binarize_store_t *store, binarize_store_entry_t *entry)
{
    binarize_store_enter(store);
    binarize_store_unlink(store, entry);
    binarize_store_leave(store);
}


int
binarize_store_remove(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    binarize_store_entry_t  *entry;

    entry = binarize_store_peek(store, key);

    if (entry == NULL) {
        return BINARIZE_DECLINED;
    }

    store->stats.removed++;
    store_remove_entry(store, entry);

    return BINARIZE_OK;
}


int
binarize_store_pin(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned slot)
{
    uint64_t  bit;

    if (slot >= BINARIZE_STORE_SLOTS) {
        return BINARIZE_ERROR;
    }

    bit = 1ULL << (slot % 64);

    if (entry->pins[slot / 64] & bit) {
        return BINARIZE_OK;
    }

    binarize_store_enter(store);

    entry->pins[slot / 64] |= bit;
    store->holds[slot]++;

    if (entry->npinned++ == 0 && entry->state == BINARIZE_STORE_LIVE) {
        store->stats.npinned++;
        store->stats.nevictable_blocks -= entry->nblocks;
    }

    binarize_store_leave(store);

    return BINARIZE_OK;
}


static void
store_unpin(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned slot)
{
    entry->pins[slot / 64] &= ~(1ULL << (slot % 64));
    store->holds[slot]--;

    if (--entry->npinned) {
        return;
    }

    if (entry->state == BINARIZE_STORE_ZOMBIE) {
        store->stats.nzombies--;
        store->stats.nzombie_blocks -= entry->nblocks;
        binarize_store_free(store, entry);
        return;
    }

    if (entry->state == BINARIZE_STORE_LIVE) {
        store->stats.npinned--;
        store->stats.nevictable_blocks += entry->nblocks;

        if (entry->queue == BINARIZE_STORE_QUEUE_NONE) {
            binarize_store_queue_return(store, entry);
        }

        return;
    }

    if (entry->state == BINARIZE_STORE_CLAIMED) {
        binarize_claim_unpinned(store, entry);
    }
}


int
binarize_store_unpin(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned slot)
{
    uint32_t  block;

    block = binarize_store_index(store, entry);

    if (slot >= BINARIZE_STORE_SLOTS
        || binarize_store_map(store)[block] != BINARIZE_STORE_MAP_HEAD
        || (entry->pins[slot / 64] & (1ULL << (slot % 64))) == 0)
    {
        return BINARIZE_ERROR;
    }

    binarize_store_enter(store);
    store_unpin(store, entry, slot);
    binarize_store_leave(store);

    return BINARIZE_OK;
}


int
binarize_store_scarce(const binarize_store_t *store)
{
    uint64_t                       nblocks;
    const binarize_store_stats_t  *stats;

    stats = &store->stats;

    nblocks = store->nblocks - stats->nfree_blocks - stats->nevictable_blocks
              - stats->nbuilding_blocks - stats->nclaims;

    return nblocks > store->nblocks / STORE_MAX_SHARE;
}


void
binarize_store_release_slot(binarize_store_t *store, unsigned slot,
    uint64_t slots[BINARIZE_STORE_SLOTS / 64])
{
    uint32_t                 block;
    unsigned char           *map;
    binarize_store_entry_t  *entry;

    binarize_claim_orphan_all(store, slot, slots);

    if (slot >= BINARIZE_STORE_SLOTS || store->holds[slot] == 0) {
        return;
    }

    binarize_store_enter(store);

    map = binarize_store_map(store);

    for (block = 1; block <= store->nblocks && store->holds[slot]; block++) {

        if (map[block] != BINARIZE_STORE_MAP_HEAD) {
            continue;
        }

        entry = binarize_store_entry(store, block);

        /* the last unpin may free a zombie, an unfinished one stays */

        if (entry->state == BINARIZE_STORE_BUILDING && entry->owner == slot) {
            store->holds[slot]--;
            store->stats.aborted++;
            store->stats.nbuilding--;
            store->stats.nbuilding_blocks -= entry->nblocks;
            binarize_store_orphan(store, entry);
        }

        if (map[block] == BINARIZE_STORE_MAP_HEAD
            && entry->pins[slot / 64] & (1ULL << (slot % 64)))
        {
            store_unpin(store, entry, slot);
        }
    }

    binarize_store_leave(store);
}


void
binarize_store_stats(binarize_store_t *store, binarize_store_stats_t *stats)
{
    if (store->dirty) {
        binarize_store_recover(store);
    }

    *stats = store->stats;
}
