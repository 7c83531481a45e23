
/*
 * The L1 cache in one piece of memory: shared by processes which map it at
 * the same address, though nothing in it is a pointer.
 *
 * Memory layout, from the low addresses up:
 *
 *   +--------------+------------------------------------------------------+
 *   | header       | binarize_store_t: what it is, dirty mark, counters,  |
 *   |              | queues, heads of the free runs' lists                |
 *   +--------------+------------------------------------------------------+
 *   | map          | a byte a block: free, used, or head of an entry      |
 *   +--------------+------------------------------------------------------+
 *   | buckets      | first entry of each hash chain, uint32_t             |
 *   +--------------+------------------------------------------------------+
 *   | ghosts       | fingerprints of entries evicted lately, uint32_t     |
 *   +--------------+------------------------------------------------------+
 *   | blocks       | 512 bytes each, numbered from 1; 0 means none        |
 *   +--------------+------------------------------------------------------+
 *
 * A block is one of
 *
 *   head    binarize_store_entry_t: key, sizes, etags, the first extents,
 *           pins, and the document where it is small
 *   data    the payload, and behind it a document that is not small
 *   list    extents of an entry that has more than fit into its head
 *   free    the first and the last block of a run of free blocks name its
 *           size and its neighbours in the list of its size class
 *
 * An extent is a run of data blocks.  An entry has one extent as long as a
 * free run is large enough, otherwise several: every free block is usable.
 *
 * What is true is what the map's head marks, the state words of the heads
 * and the extents of those say.  Everything else (chains, queues, free runs,
 * gauges) is derived from that and is rebuilt by binarize_store_recover().
 *
 *                reserve           publish
 *   (free block) -------> BUILDING -------> LIVE ---+ evicted, replaced,
 *        ^                    |               |     | removed while pinned
 *        |              abort |      the same |     v
 *        |                    |      unpinned |  ZOMBIE
 *        +--------------------+---------------+-----+ last unpin
 *
 * A claim (claim.h) is a head alone, CLAIMED until it is free.
 *
 * Locking: "locked" below means that the caller holds the memory's mutex.
 * Such a call is short: it never copies a payload, and it examines a bounded
 * number of entries for eviction.  Each of them repairs the memory first if
 * a process was killed inside one before.  What is not marked so may be
 * called without the mutex by who pinned or who builds the entry.
 *
 * Times are milliseconds of any one monotonic clock, which the processes
 * share and which survives as long as the memory does.
 */


#ifndef _BINARIZE_STORE_H_INCLUDED_
#define _BINARIZE_STORE_H_INCLUDED_


#include "binarize.h"


#define BINARIZE_STORE_KEY_SIZE     32
#define BINARIZE_STORE_ETAG_SIZE    32

/* process slots, as nginx's NGX_MAX_PROCESSES */
#define BINARIZE_STORE_SLOTS        1024

#define BINARIZE_STORE_BLOCK_SIZE   512

/* the smallest memory binarize_store_init() takes, bytes */
#define BINARIZE_STORE_MIN_SIZE     (64 * 1024)

/* the largest document, bytes */
#define BINARIZE_STORE_MAX_DOC_SIZE (64 * 1024)

/* a document up to this size is in the head */
#define BINARIZE_STORE_DOC_SIZE     160

#define BINARIZE_STORE_EXTENTS      3


typedef enum {
    BINARIZE_STORE_RESULT = 0,
    BINARIZE_STORE_NEGATIVE,
    BINARIZE_STORE_PENDING,
    BINARIZE_STORE_NKINDS,
    BINARIZE_STORE_CLAIM = BINARIZE_STORE_NKINDS    /* see claim.h */
} binarize_store_kind_e;


typedef enum {
    BINARIZE_STORE_FREE = 0,
    BINARIZE_STORE_BUILDING,
    BINARIZE_STORE_LIVE,
    BINARIZE_STORE_ZOMBIE,
    BINARIZE_STORE_CLAIMED
} binarize_store_state_e;


/* what the caller says of an entry; the store only reads the times */
typedef struct {
    uint64_t       expires_ms;      /* is not found from then on */
    uint64_t       forget_ms;       /* may be peeked at until then, 0: expires;
                                       keeps "repeat" over the expiry */
    int64_t        stored;          /* Unix time, seconds */
    uint32_t       payload_offset;  /* place of the payload in the document */
    uint32_t       repeat;          /* the same answer so many times before */
    uint16_t       flags;           /* the caller's */
    uint8_t        outcome;         /* binarize_outcome_e */
    uint8_t        task_status;     /* binarize_task_status_e */
    uint32_t       reserved;

    /* hex digits, all zero if there is none */
    unsigned char  etag[BINARIZE_STORE_ETAG_SIZE];         /* of the PNG */
    unsigned char  json_etag[BINARIZE_STORE_ETAG_SIZE];
} binarize_store_meta_t;


typedef struct {
    uint32_t       first;           /* block */
    uint32_t       nblocks;
} binarize_store_extent_t;


/* what there is of a claim besides its key, owner and pins, see claim.h */
typedef struct {
    uint64_t       epoch;           /* of the owner's process, 0: an orphan */
    uint64_t       until_ms;        /* followers wait until then at most */
    uint32_t       nowners;         /* so far */
    uint32_t       reserved;

    /* the owner's, for those who follow and who take it over */
    uint64_t       turn_ms;         /* it waits for a turn; 0: it does not */
    unsigned char  lease[32];       /* it has beyond the memory; or zeroes */
} binarize_store_claim_t;


/*
 * The head of an entry, one block.  The caller may read the members marked
 * so: without the mutex while the entry is pinned or built by its own slot
 * (they do not change then), otherwise under it.  It changes none.
 */
typedef struct {
    /* all a lookup looks at but the expiry: one cache line */
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];           /* caller reads */
    uint64_t       generation;      /* unique for ever, caller reads */
    uint64_t       payload_size;    /* bytes, caller reads */
    uint32_t       chain;           /* next entry of the bucket */
    uint32_t       hits;            /* caller reads */
    uint16_t       npinned;         /* slots that pin it */
    uint16_t       owner;           /* slot that builds it, or has claimed */
    uint8_t        state;           /* binarize_store_state_e, caller reads */
    uint8_t        kind;            /* binarize_store_kind_e, caller reads */
    uint8_t        queue;
    uint8_t        freq;            /* recent use, for eviction */

    binarize_store_meta_t  meta;    /* caller reads */

    uint32_t       doc_size;        /* bytes, 0: none; caller reads */
    uint32_t       nblocks;         /* all it holds, the head included */
    uint32_t       nextents;
    binarize_store_extent_t  extents[BINARIZE_STORE_EXTENTS];
    uint32_t       list;            /* first block with more extents */
    uint64_t       stamp;           /* the lowest is evicted next */
    uint32_t       newer;           /* neighbours in its queue */
    uint32_t       older;

    uint64_t       pins[BINARIZE_STORE_SLOTS / 64];        /* a bit a slot */

    union {
        unsigned char           doc[BINARIZE_STORE_DOC_SIZE];
        binarize_store_claim_t  claim;
    };
} binarize_store_entry_t;


typedef struct binarize_store_s  binarize_store_t;


typedef struct {
    /* gauges */
    uint64_t       nblocks;         /* of the memory */
    uint64_t       nfree_blocks;
    uint64_t       nzombies;
    uint64_t       nzombie_blocks;
    uint64_t       nbuilding;
    uint64_t       nbuilding_blocks;
    uint64_t       nclaims;
    uint64_t       npinned;         /* live entries that are pinned */
    uint64_t       nevictable_blocks;   /* of live entries not pinned */
    struct {
        uint64_t   nentries;        /* live */
        uint64_t   nblocks;
        uint64_t   size;            /* bytes of payload and document */
    } kinds[BINARIZE_STORE_NKINDS];

    /* counters since the memory was formatted */
    uint64_t       hits;
    uint64_t       misses;
    uint64_t       inserts[BINARIZE_STORE_NKINDS];
    uint64_t       replaced;
    uint64_t       evictions[BINARIZE_STORE_NKINDS];
    uint64_t       expired;
    uint64_t       removed;
    uint64_t       aborted;
    uint64_t       declined;        /* too large */
    uint64_t       full;            /* all is pinned or being built */
    uint64_t       split;           /* published with more than one extent */
    uint64_t       recoveries;
    uint64_t       dropped;         /* entries lost in recoveries */
} binarize_store_stats_t;


/*
 * Takes memory of size bytes (a multiple of 64 as its address), which was
 * zeroed or used by a store before.  *attached is 1 if a store of the same
 * layout and size was found and kept, 0 if the memory was formatted.
 * Locked, or before other processes see it.  BINARIZE_OK, or BINARIZE_ERROR
 * if it is too small or too large (BINARIZE_STORE_MIN_SIZE, 1 TiB) or not
 * aligned.
 */
int binarize_store_init(void *memory, size_t size, binarize_store_t **store,
    unsigned *attached);

/* the largest payload and document together an entry may have, bytes */
uint64_t binarize_store_max_size(const binarize_store_t *store);

/*
 * Rebuilds what is derived; entries that are not whole are dropped, pins are
 * kept, and nearly the order in which they are to go.  Every locked call does
 * it by itself where needed.  Its time grows with the memory: about 2 ms a GiB
 * and 0.3 us an entry, 1 us of very many.  Locked.
 */
void binarize_store_recover(binarize_store_t *store);


/*
 * The live entry of key that has not expired, or NULL.  Counts as a use of
 * it.  The entry is the caller's to read until the mutex is released; pin it
 * to keep it longer.  Locked.
 */
binarize_store_entry_t *binarize_store_lookup(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], uint64_t now_ms);

/*
 * Has the processor read what a lookup of key and a pin by slot will look at,
 * while the caller still does something else: first the index, then, a while
 * later, the entry.  Returns the block of what may be it, or 0.  Not locked.
 */
void binarize_store_prefetch_index(const binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE]);
uint32_t binarize_store_prefetch(const binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE], unsigned slot);

/* as lookup, but also finds what has expired and counts nothing; locked */
binarize_store_entry_t *binarize_store_peek(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE]);

/* the block of its head, until it is freed; locked, or pinned */
uint32_t binarize_store_place(const binarize_store_t *store,
    const binarize_store_entry_t *entry);


/*
 * Keeps the entry, live or not, and its data as they are until the slot
 * unpins it.  Pins do not nest: a process counts its own uses and calls these
 * for the first and the last one.  Pinning twice is once.  Locked.
 * BINARIZE_OK, or BINARIZE_ERROR if the slot is out of range or (unpin) did
 * not pin the entry.
 */
int binarize_store_pin(binarize_store_t *store, binarize_store_entry_t *entry,
    unsigned slot);
int binarize_store_unpin(binarize_store_t *store,
    binarize_store_entry_t *entry, unsigned slot);

/*
 * 1 if entries that are pinned, zombies too, take more than the largest one
 * may: who pins another one should not for long.  Locked.
 */
int binarize_store_scarce(const binarize_store_t *store);

/*
 * Drops all pins and unfinished entries of a slot whose process is gone, and
 * makes orphans of its claims: adds all who follow orphans to slots.  Costs
 * nothing if there are none.  Locked.
 */
void binarize_store_release_slot(binarize_store_t *store, unsigned slot,
    uint64_t slots[BINARIZE_STORE_SLOTS / 64]);


/*
 * The pieces which bytes [offset, offset + size) of the payload consist of,
 * cut at its end.  Writes at most npieces, returns how many there are.
 * For an entry pinned, or built by the caller.
 */
size_t binarize_store_payload(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces);

/* the same for the document */
size_t binarize_store_doc(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, uint64_t size,
    binarize_span_t *pieces, size_t npieces);


/*
 * Building an entry: reserve, then write into room and grow as data arrives,
 * finish, write the document, publish.
 *
 * Starts an entry that is not visible yet, owned by slot, with room for at
 * least size bytes; 0 if the size of a result is not known, it then gets what
 * results usually need, and what is not used is given back in the end.
 * Locked.
 *   BINARIZE_OK        *entry
 *   BINARIZE_AGAIN     some entries were evicted, not yet enough: release the
 *                      mutex and call again
 *   BINARIZE_DECLINED  larger than binarize_store_max_size()
 *   BINARIZE_FULL      not enough that is neither pinned nor being built;
 *                      nothing was evicted
 *   BINARIZE_ERROR     slot or kind is out of range
 */
int binarize_store_reserve(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE],
    binarize_store_kind_e kind, uint64_t size, unsigned slot, uint64_t now_ms,
    binarize_store_entry_t **entry);

/*
 * Makes room for at least size bytes in all, and for more where that can be
 * had, so that a caller who needs a byte more each time does not call often.
 * What was written stays where it is.  Locked; returns as
 * binarize_store_reserve(); unless BINARIZE_OK the entry is as before, or has
 * grown by less.
 *
 * An entry that may still turn out to be too large displaces no others beyond
 * a small share of the memory: BINARIZE_DECLINED when that would be needed.
 * Collect the data elsewhere then, and reserve again when its size is known.
 */
int binarize_store_grow(binarize_store_t *store,
    binarize_store_entry_t *entry, uint64_t size, uint64_t now_ms);

/*
 * The room in one piece at offset of the data: *size is 0 if offset is at its
 * end (grow).  Not locked.
 */
unsigned char *binarize_store_room(const binarize_store_t *store,
    const binarize_store_entry_t *entry, uint64_t offset, size_t *size);

/*
 * Says how large the payload became, makes room for a document of doc_size
 * (up to BINARIZE_STORE_MAX_DOC_SIZE, 0: none), and gives back what is not
 * needed.  Locked; returns as binarize_store_grow(), BINARIZE_ERROR if
 * payload_size is above the room or doc_size too large.
 */
int binarize_store_finish(binarize_store_t *store,
    binarize_store_entry_t *entry, uint64_t payload_size, size_t doc_size,
    uint64_t now_ms);

/* copies the document of binarize_store_finish()'s size; not locked */
void binarize_store_write_doc(const binarize_store_t *store,
    binarize_store_entry_t *entry, const unsigned char *doc);

/*
 * Makes the entry the one of its key; an older one of that key is freed, or
 * becomes a zombie if it is pinned.  Cannot fail.  The entry is no longer the
 * caller's: pin it before to go on reading.  Locked.
 */
void binarize_store_publish(binarize_store_t *store,
    binarize_store_entry_t *entry, const binarize_store_meta_t *meta);

/*
 * Gives the entry up; if it is pinned, its blocks are kept until it no longer
 * is.  Locked.
 */
void binarize_store_abort(binarize_store_t *store,
    binarize_store_entry_t *entry);

/*
 * All of the above for an entry without a payload, in one locked call that
 * copies doc (NULL and 0: none).  Returns as binarize_store_reserve(), or
 * BINARIZE_EXISTS: a result that has not expired is replaced by a result only.
 * *entry (may be NULL) is the new one, or that result.
 */
int binarize_store_put(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE],
    binarize_store_kind_e kind, const unsigned char *doc, size_t doc_size,
    const binarize_store_meta_t *meta, unsigned slot, uint64_t now_ms,
    binarize_store_entry_t **entry);


/* unlinks the live entry of key: BINARIZE_OK or BINARIZE_DECLINED; locked */
int binarize_store_remove(binarize_store_t *store,
    const unsigned char key[BINARIZE_STORE_KEY_SIZE]);

/* locked */
void binarize_store_stats(binarize_store_t *store,
    binarize_store_stats_t *stats);


/* blocks in the memory, whatever they are used for */
size_t binarize_store_nblocks(const binarize_store_t *store);

/*
 * For tests: verifies that every block has exactly one owner, and that
 * chains, queues, free runs, and gauges are what a recount says.  owners is
 * the caller's, binarize_store_nblocks() + 1 numbers.  Changes nothing.
 * NULL, or what is wrong.  Locked.
 */
const char *binarize_store_check(const binarize_store_t *store,
    uint32_t *owners);


#endif /* _BINARIZE_STORE_H_INCLUDED_ */
