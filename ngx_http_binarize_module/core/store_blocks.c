
/*
 * Runs of free blocks, as in TLSF (M. Masmano et al., 2004): a good fit is
 * found by size class in constant time, and a freed run joins its free
 * neighbours at once.  All of it is derived from the map.
 */


#include "store_private.h"


/* runs of a class looked at for a better one */
#define STORE_RUN_TRIES  8


static binarize_store_run_t *store_run(const binarize_store_t *store,
    uint32_t block);
static void store_run_write(binarize_store_t *store, uint32_t first,
    uint32_t nblocks);
static void store_run_remove(binarize_store_t *store, uint32_t first);
static uint32_t store_run_cut(binarize_store_t *store, uint32_t first,
    uint32_t nblocks);
static uint32_t store_class_find(const binarize_store_t *store,
    uint32_t class);
static uint32_t store_run_largest(const binarize_store_t *store);
static uint32_t store_run_find(const binarize_store_t *store,
    uint32_t nblocks);


static binarize_store_run_t *
store_run(const binarize_store_t *store, uint32_t block)
{
    return binarize_store_block(store, block);
}


uint32_t
binarize_store_class(uint32_t nblocks)
{
    uint32_t  log;

    if (nblocks < 16) {
        return nblocks;
    }

    log = 31 - __builtin_clz(nblocks);

    return 16 + (log - 4) * 16 + ((nblocks >> (log - 4)) & 15);
}


void
binarize_store_runs_clear(binarize_store_t *store)
{
    memset(store->class_bits, 0, sizeof(store->class_bits));
    memset(store->classes, 0, sizeof(store->classes));

    store->stats.nfree_blocks = 0;
}


/* the first class that has a run, from class upwards; 0 if there is none */

static uint32_t
store_class_find(const binarize_store_t *store, uint32_t class)
{
    uint32_t  i;
    uint64_t  bits;

    i = class / 64;

    if (i >= BINARIZE_STORE_NCLASS_WORDS) {
        return 0;
    }

    bits = store->class_bits[i] & (~0ULL << (class % 64));

    while (bits == 0) {
        if (++i == BINARIZE_STORE_NCLASS_WORDS) {
            return 0;
        }

        bits = store->class_bits[i];
    }

    return i * 64 + __builtin_ctzll(bits);
}


static void
store_run_write(binarize_store_t *store, uint32_t first, uint32_t nblocks)
{
    binarize_store_run_t  *run;

    run = store_run(store, first + nblocks - 1);
    run->first = first;

    run = store_run(store, first);
    run->first = first;
    run->nblocks = nblocks;
}


void
binarize_store_run_insert(binarize_store_t *store, uint32_t first,
    uint32_t nblocks)
{
    uint32_t               class, next;
    binarize_store_run_t  *run;

    class = binarize_store_class(nblocks);
    next = store->classes[class];

    store_run_write(store, first, nblocks);

    run = store_run(store, first);
    run->prev = 0;
    run->next = next;

    if (next) {
        store_run(store, next)->prev = first;
    }

    store->classes[class] = first;
    store->class_bits[class / 64] |= 1ULL << (class % 64);

    store->stats.nfree_blocks += nblocks;
}


static void
store_run_remove(binarize_store_t *store, uint32_t first)
{
    uint32_t               class;
    binarize_store_run_t  *run;

    run = store_run(store, first);
    class = binarize_store_class(run->nblocks);

    if (run->next) {
        store_run(store, run->next)->prev = run->prev;
    }

    if (run->prev) {
        store_run(store, run->prev)->next = run->next;

    } else {
        store->classes[class] = run->next;

        if (run->next == 0) {
            store->class_bits[class / 64] &= ~(1ULL << (class % 64));
        }
    }

    store->stats.nfree_blocks -= run->nblocks;
}


/* takes the first nblocks of the run */

static uint32_t
store_run_cut(binarize_store_t *store, uint32_t first, uint32_t nblocks)
{
    uint32_t  rest;

    rest = store_run(store, first)->nblocks - nblocks;

    store_run_remove(store, first);

    memset(binarize_store_map(store) + first, BINARIZE_STORE_MAP_USED,
           nblocks);

    if (rest) {
        binarize_store_run_insert(store, first + nblocks, rest);
    }

    return first;
}


/* a run of at least nblocks, not much larger where there is a choice; or 0 */

static uint32_t
store_run_find(const binarize_store_t *store, uint32_t nblocks)
{
    uint32_t               block, class, i;
    binarize_store_run_t  *run;

    class = binarize_store_class(nblocks);
    block = store->classes[class];

    for (i = 0; block && i < STORE_RUN_TRIES; i++) {
        run = store_run(store, block);

        if (run->nblocks >= nblocks) {
            return block;
        }

        block = run->next;
    }

    class = store_class_find(store, class + 1);

    return class ? store->classes[class] : 0;
}


/* one of the largest, or 0 */

static uint32_t
store_run_largest(const binarize_store_t *store)
{
    uint32_t               best, best_nblocks, block, i;
    binarize_store_run_t  *run;

    i = BINARIZE_STORE_NCLASS_WORDS;

    do {
        if (i-- == 0) {
            return 0;
        }
    } while (store->class_bits[i] == 0);

    block = store->classes[i * 64 + 63
                           - __builtin_clzll(store->class_bits[i])];
    best = block;
    best_nblocks = 0;

    for (i = 0; block && i < STORE_RUN_TRIES; i++) {
        run = store_run(store, block);

        if (run->nblocks > best_nblocks) {
            best = block;
            best_nblocks = run->nblocks;
        }

        block = run->next;
    }

    return best;
}


int
binarize_store_may_take(const binarize_store_t *store, uint32_t nblocks)
{
    return store_run_find(store, nblocks) != 0;
}


uint32_t
binarize_store_take(binarize_store_t *store, uint32_t *nblocks)
{
    uint32_t  block;

    block = store_run_find(store, *nblocks);

    if (block == 0) {
        block = store_run_largest(store);

        if (block == 0) {
            return 0;
        }

        *nblocks = store_run(store, block)->nblocks;
    }

    return store_run_cut(store, block, *nblocks);
}


uint32_t
binarize_store_take_at(binarize_store_t *store, uint32_t block,
    uint32_t nblocks)
{
    binarize_store_run_t  *run;

    if (binarize_store_map(store)[block] != BINARIZE_STORE_MAP_FREE) {
        return 0;
    }

    run = store_run(store, block);

    if (nblocks > run->nblocks) {
        nblocks = run->nblocks;
    }

    (void) store_run_cut(store, block, nblocks);

    return nblocks;
}


void
binarize_store_give(binarize_store_t *store, uint32_t first, uint32_t nblocks)
{
    uint32_t        next, prev;
    unsigned char  *map;

    map = binarize_store_map(store);

    memset(map + first, BINARIZE_STORE_MAP_FREE, nblocks);

    next = first + nblocks;

    /* the map is closed by a used block at either end */

    if (map[next] == BINARIZE_STORE_MAP_FREE) {
        nblocks += store_run(store, next)->nblocks;
        store_run_remove(store, next);
    }

    if (map[first - 1] == BINARIZE_STORE_MAP_FREE) {
        prev = store_run(store, first - 1)->first;
        nblocks += first - prev;
        first = prev;
        store_run_remove(store, first);
    }

    binarize_store_run_insert(store, first, nblocks);
}
