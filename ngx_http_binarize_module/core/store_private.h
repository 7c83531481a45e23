
/*
 * What the files of the store share.  See store.h for the layout.
 *
 * A process may be killed at any instruction of a locked call.  Whoever comes
 * next finds the dirty mark and rebuilds, so only what the rebuilding trusts
 * has an order to keep.  binarize_store_commit() stands where the order of
 * two writes matters: the compiler may not move one over it; that the killed
 * process' writes are seen in order is given, since it ran on one CPU at a
 * time and the kernel stopped it before the mutex was passed on.
 */


#ifndef _BINARIZE_STORE_PRIVATE_H_INCLUDED_
#define _BINARIZE_STORE_PRIVATE_H_INCLUDED_


#include <string.h>

#include "store.h"


#define BINARIZE_STORE_MAGIC         0x62696e6172697a65ULL
#define BINARIZE_STORE_VERSION       4

/* values of the map */
#define BINARIZE_STORE_MAP_FREE      0
#define BINARIZE_STORE_MAP_USED      1
#define BINARIZE_STORE_MAP_HEAD      2

/*
 * Free runs are listed by size class: exact below 16 blocks, above that 16
 * classes for each power of two.
 */
#define BINARIZE_STORE_NCLASSES      464
#define BINARIZE_STORE_NCLASS_WORDS  8

/* queues: see store_evict.c */
#define BINARIZE_STORE_QUEUE_NONE    0
#define BINARIZE_STORE_QUEUE_SMALL   1
#define BINARIZE_STORE_QUEUE_BRIEF   2
#define BINARIZE_STORE_QUEUE_MAIN    3      /* and one for each size class */
#define BINARIZE_STORE_NMAIN         32
#define BINARIZE_STORE_NQUEUES                                               \
    (BINARIZE_STORE_QUEUE_MAIN + BINARIZE_STORE_NMAIN)

#define BINARIZE_STORE_MAX_FREQ      3

#define BINARIZE_STORE_GHOST_WAYS    8

/* entries that go together at most: see store_fit.c */
#define BINARIZE_STORE_FIT           8

#define BINARIZE_STORE_LIST_EXTENTS  62

/*
 * 1 / N of the memory is kept free for claims, and so many blocks at least
 * where that is at most a sixteenth of it
 */
#define BINARIZE_STORE_CLAIM_KEPT    128
#define BINARIZE_STORE_CLAIM_LEAST   64


typedef struct {
    uint32_t       oldest;
    uint32_t       newest;
    uint64_t       nblocks;
    uint64_t       stamp;           /* of the oldest */
} binarize_store_queue_t;


typedef struct {
    uint32_t       fingerprint;     /* 0: none */
    uint32_t       born;            /* ghost clock then */
} binarize_store_ghost_t;


/* in the first and in the last block of a run of free blocks */
typedef struct {
    uint32_t       first;
    uint32_t       nblocks;
    uint32_t       next;            /* of its class; in the first block only */
    uint32_t       prev;
} binarize_store_run_t;


/* a block with the extents that do not fit into the head */
typedef struct {
    uint32_t       next;
    uint32_t       prev;            /* derived; of the first: the last one */
    uint32_t       reserved[2];
    binarize_store_extent_t  extents[BINARIZE_STORE_LIST_EXTENTS];
} binarize_store_list_t;


struct binarize_store_s {
    uint64_t       magic;           /* written last */
    uint64_t       layout;
    uint64_t       size;

    uint64_t       map_offset;
    uint64_t       buckets_offset;
    uint64_t       ghosts_offset;
    uint64_t       blocks_offset;   /* of block 0, which is not there */
    uint32_t       nblocks;
    uint32_t       bucket_mask;
    uint32_t       ghost_mask;      /* of sets */

    uint32_t       dirty;

    uint64_t       generation;      /* the last one given */
    uint64_t       clock;           /* stamp of the last one evicted */
    uint64_t       typical_size;    /* running mean of payloads, bytes */
    uint32_t       ghost_clock;     /* blocks evicted from the small queue */

    /* the entry that was to go, and what went instead: blocks */
    uint32_t       spared;
    uint32_t       spared_nblocks;

    binarize_store_queue_t  queues[BINARIZE_STORE_NQUEUES];

    uint64_t       class_bits[BINARIZE_STORE_NCLASS_WORDS];
    uint32_t       classes[BINARIZE_STORE_NCLASSES];

    uint32_t       newest_claim;    /* of all */

    /* pins and unfinished entries of each slot */
    uint32_t       holds[BINARIZE_STORE_SLOTS];

    binarize_store_stats_t  stats;
};


#define binarize_store_commit()  __atomic_signal_fence(__ATOMIC_SEQ_CST)


static inline unsigned char *
binarize_store_map(const binarize_store_t *store)
{
    return (unsigned char *) (uintptr_t) store + store->map_offset;
}


static inline uint32_t *
binarize_store_bucket(const binarize_store_t *store, const unsigned char *key)
{
    uint64_t   hash;
    uint32_t  *buckets;

    memcpy(&hash, key, sizeof(hash));

    buckets = (uint32_t *) ((uintptr_t) store + store->buckets_offset);

    return &buckets[hash & store->bucket_mask];
}


static inline void *
binarize_store_block(const binarize_store_t *store, uint32_t block)
{
    return (unsigned char *) (uintptr_t) store + store->blocks_offset
           + (uint64_t) block * BINARIZE_STORE_BLOCK_SIZE;
}


static inline binarize_store_entry_t *
binarize_store_entry(const binarize_store_t *store, uint32_t block)
{
    return binarize_store_block(store, block);
}


static inline uint32_t
binarize_store_index(const binarize_store_t *store,
    const binarize_store_entry_t *entry)
{
    return ((uintptr_t) entry - (uintptr_t) store - store->blocks_offset)
           / BINARIZE_STORE_BLOCK_SIZE;
}


static inline uint64_t
binarize_store_size_blocks(uint64_t size)
{
    return (size + BINARIZE_STORE_BLOCK_SIZE - 1) / BINARIZE_STORE_BLOCK_SIZE;
}


/* blocks with extents that an entry of so many extents has */
static inline uint32_t
binarize_store_nlists(uint32_t nextents)
{
    if (nextents <= BINARIZE_STORE_EXTENTS) {
        return 0;
    }

    return (nextents - BINARIZE_STORE_EXTENTS
            + BINARIZE_STORE_LIST_EXTENTS - 1) / BINARIZE_STORE_LIST_EXTENTS;
}


/* blocks that only claims may have */
static inline uint32_t
binarize_store_claim_room(const binarize_store_t *store)
{
    uint32_t  room;

    room = store->nblocks / BINARIZE_STORE_CLAIM_KEPT;

    if (room < BINARIZE_STORE_CLAIM_LEAST
        && store->nblocks >= 16 * BINARIZE_STORE_CLAIM_LEAST)
    {
        room = BINARIZE_STORE_CLAIM_LEAST;
    }

    return room;
}


/* those of them that are free, for claims to come */
static inline uint32_t
binarize_store_kept(const binarize_store_t *store)
{
    uint32_t  room;

    room = binarize_store_claim_room(store);

    return store->stats.nclaims < room ? room - store->stats.nclaims : 0;
}


/* bytes of the entry's data blocks which are in use once it is finished */
static inline uint64_t
binarize_store_data_size(const binarize_store_entry_t *entry)
{
    if (entry->doc_size > BINARIZE_STORE_DOC_SIZE) {
        return entry->payload_size + entry->doc_size;
    }

    return entry->payload_size;
}


/* every locked call that changes more than one word is between these */

static inline void
binarize_store_enter(binarize_store_t *store)
{
    if (store->dirty) {
        binarize_store_recover(store);
    }

    store->dirty = 1;
    binarize_store_commit();
}


static inline void
binarize_store_leave(binarize_store_t *store)
{
    binarize_store_commit();
    store->dirty = 0;
}


/* store_blocks.c: runs of free blocks */

void binarize_store_runs_clear(binarize_store_t *store);

/* makes a run of blocks that are marked free and have used neighbours */
void binarize_store_run_insert(binarize_store_t *store, uint32_t first,
    uint32_t nblocks);

/*
 * Takes *nblocks in one run, or else one of the largest runs, whose size is
 * put there.  0 if nothing is free.
 */
uint32_t binarize_store_take(binarize_store_t *store, uint32_t *nblocks);

/* takes up to nblocks that begin with block, returns how many */
uint32_t binarize_store_take_at(binarize_store_t *store, uint32_t block,
    uint32_t nblocks);

/* 1 if there is a run of nblocks */
int binarize_store_may_take(const binarize_store_t *store, uint32_t nblocks);

void binarize_store_give(binarize_store_t *store, uint32_t first,
    uint32_t nblocks);

uint32_t binarize_store_class(uint32_t nblocks);


/* store_extent.c: the blocks of an entry */

/* the i-th extent, i < nextents; takes the longer the more there are */
binarize_store_extent_t *binarize_store_extent(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint32_t i);

/* blocks of data the entry has */
uint32_t binarize_store_ndata(const binarize_store_entry_t *entry);

/* adds up to nblocks that follow its last extent, returns how many */
uint32_t binarize_store_extend(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t nblocks);

/*
 * Adds blocks of data in one run, or else in several, the largest first.
 * BINARIZE_OK, or BINARIZE_FULL with what there was added.
 */
int binarize_store_add(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t nblocks);

/* gives back all but the first ndata blocks of data */
void binarize_store_trim(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t ndata);

/* adds a run to the entry; BINARIZE_FULL if that needs a block and none is */
int binarize_store_attach(binarize_store_t *store,
    binarize_store_entry_t *entry, uint32_t first, uint32_t nblocks);

/* gives back all blocks of an entry whose state is BINARIZE_STORE_FREE */
void binarize_store_dissolve(binarize_store_t *store,
    binarize_store_entry_t *entry);


/* store_evict.c: who is to go */

/* puts a new live entry into the queue of its kind */
void binarize_store_queue_admit(binarize_store_t *store,
    binarize_store_entry_t *entry, int known);

/* puts a live entry back that was found pinned */
void binarize_store_queue_return(binarize_store_t *store,
    binarize_store_entry_t *entry);

/* the same where recovery found it, which then restores the order */
void binarize_store_queue_restore(binarize_store_t *store,
    binarize_store_entry_t *entry);

void binarize_store_queue_leave(binarize_store_t *store,
    binarize_store_entry_t *entry);

/*
 * Evicts until nblocks are free in whatever pieces, and (in_run), while that
 * leaves little unused and this call lasts, until they are in one run.
 * BINARIZE_OK, BINARIZE_AGAIN after a bounded number of entries, some of which
 * went unless all were pinned, BINARIZE_FULL if it cannot be.
 */
int binarize_store_evict(binarize_store_t *store, uint32_t nblocks,
    int in_run, uint64_t now_ms);


/* store_fit.c: who fits */

/*
 * Those to go for need blocks instead of next, who does not: a result, not
 * pinned, not used, the oldest of its queue.  Together they are not above
 * most, if that can be.  Changes nothing; returns how many.
 */
unsigned binarize_store_fit(const binarize_store_t *store,
    binarize_store_entry_t *next, uint64_t need, uint64_t most,
    binarize_store_entry_t *entries[BINARIZE_STORE_FIT]);


/* store.c */

/* 1 if a lookup may not return it any more */
static inline int
binarize_store_expired(const binarize_store_entry_t *entry, uint64_t now_ms)
{
    return now_ms >= entry->meta.expires_ms;
}


static inline int
binarize_store_forgotten(const binarize_store_entry_t *entry, uint64_t now_ms)
{
    return now_ms >= entry->meta.expires_ms && now_ms >= entry->meta.forget_ms;
}


/* what is linked of a key in that state: BINARIZE_STORE_LIVE, or .._CLAIMED */
binarize_store_entry_t *binarize_store_find(const binarize_store_t *store,
    const unsigned char *key, binarize_store_state_e state);

void binarize_store_chain_insert(binarize_store_t *store,
    binarize_store_entry_t *entry);
void binarize_store_chain_remove(binarize_store_t *store,
    binarize_store_entry_t *entry);

/* a live entry leaves chain and queue, and becomes a zombie or free blocks */
void binarize_store_unlink(binarize_store_t *store,
    binarize_store_entry_t *entry);

/* no longer live or being built: stays as long as it is pinned */
void binarize_store_orphan(binarize_store_t *store,
    binarize_store_entry_t *entry);

/* whatever it was, it is free blocks now */
void binarize_store_free(binarize_store_t *store,
    binarize_store_entry_t *entry);

/*
 * store_build.c: a head of a block that was taken; it is nothing until its
 * state is set
 */
binarize_store_entry_t *binarize_store_head_create(binarize_store_t *store,
    uint32_t block, const unsigned char *key, binarize_store_kind_e kind);


/* claim.c */

/* where a new one, or recovery, has it */
void binarize_claim_link(binarize_store_t *store,
    binarize_store_entry_t *claim);

/* its last follower has left */
void binarize_claim_unpinned(binarize_store_t *store,
    binarize_store_entry_t *claim);


/* store.c: gauges of a live entry: it comes (1) or goes (0) */
void binarize_store_account(binarize_store_t *store,
    const binarize_store_entry_t *entry, int comes);


#endif /* _BINARIZE_STORE_PRIVATE_H_INCLUDED_ */
