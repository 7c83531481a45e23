
/*
 * Who is to go instead of one who is much larger than what is needed.
 *
 * In a memory of few and large entries the next one to go may be most of what
 * lies unused then.  So a bounded number of those that are next are looked
 * at, in the order in which they would go, and of all sets of those that fit
 * the cheapest is taken: it frees no more than a share of the memory beyond
 * the need, has few members, and these would have gone soon.  If there is no
 * such set, it is what leaves least unused.
 */


#include "store_private.h"


/* entries looked at; the largest of those that fit are members of sets */
#define STORE_FIT_STEPS    64

/* what a set costs that leaves too much unused: more than any other */
#define STORE_FIT_MISFIT   (1ULL << 32)


typedef struct {
    binarize_store_entry_t  *entry;
    unsigned                 cost;
} store_member_t;


typedef struct {
    uint64_t                 most;      /* blocks */
    unsigned                 nsteps;
    unsigned                 n;
    store_member_t           members[BINARIZE_STORE_FIT];
    binarize_store_entry_t  *larger;    /* the least of those above most */
} store_fit_t;


static void store_fit_look(store_fit_t *fit, binarize_store_entry_t *entry);
static void store_fit_small(const binarize_store_t *store, store_fit_t *fit);
static void store_fit_main(const binarize_store_t *store, store_fit_t *fit);
static unsigned store_fit_choose(const store_fit_t *fit, uint64_t need);


static void
store_fit_look(store_fit_t *fit, binarize_store_entry_t *entry)
{
    unsigned         i;
    store_member_t  *member;

    fit->nsteps++;

    if (entry->npinned || entry->freq) {
        return;
    }

    if (entry->nblocks > fit->most) {

        if (fit->larger == NULL || entry->nblocks < fit->larger->nblocks) {
            fit->larger = entry;
        }

        return;
    }

    if (fit->n < BINARIZE_STORE_FIT) {
        member = &fit->members[fit->n++];

    } else {
        member = &fit->members[0];

        for (i = 1; i < BINARIZE_STORE_FIT; i++) {

            if (fit->members[i].entry->nblocks < member->entry->nblocks) {
                member = &fit->members[i];
            }
        }

        if (entry->nblocks <= member->entry->nblocks) {
            return;
        }
    }

    member->entry = entry;
    member->cost = STORE_FIT_STEPS + fit->nsteps;
}


static void
store_fit_small(const binarize_store_t *store, store_fit_t *fit)
{
    uint32_t                 block;
    binarize_store_entry_t  *entry;

    block = store->queues[BINARIZE_STORE_QUEUE_SMALL].oldest;

    while (block && fit->nsteps < STORE_FIT_STEPS) {
        entry = binarize_store_entry(store, block);
        store_fit_look(fit, entry);
        block = entry->newer;
    }
}


/* of all size classes together, by stamp */

static void
store_fit_main(const binarize_store_t *store, store_fit_t *fit)
{
    uint32_t                 block;
    unsigned                 first, i, n;
    binarize_store_entry_t  *next[BINARIZE_STORE_NMAIN];

    n = 0;

    for (i = BINARIZE_STORE_QUEUE_MAIN; i < BINARIZE_STORE_NQUEUES; i++) {
        block = store->queues[i].oldest;

        if (block) {
            next[n++] = binarize_store_entry(store, block);
        }
    }

    while (n && fit->nsteps < STORE_FIT_STEPS) {
        first = 0;

        for (i = 1; i < n; i++) {

            if (next[i]->stamp < next[first]->stamp) {
                first = i;
            }
        }

        store_fit_look(fit, next[first]);
        block = next[first]->newer;

        if (block) {
            next[first] = binarize_store_entry(store, block);

        } else {
            next[first] = next[--n];
        }
    }
}


/* the best set, a bit a member; 0: none, or the larger one is better */

static unsigned
store_fit_choose(const store_fit_t *fit, uint64_t need)
{
    unsigned        best, rest, set;
    uint64_t        cost, least;
    store_member_t  member;
    struct {
        uint64_t    nblocks;
        uint64_t    cost;
    } sets[1 << BINARIZE_STORE_FIT];

    best = 0;
    least = fit->larger ? STORE_FIT_MISFIT + fit->larger->nblocks
                        : UINT64_MAX;

    sets[0].nblocks = 0;
    sets[0].cost = 0;

    for (set = 1; set < 1U << fit->n; set++) {
        rest = set & (set - 1);
        member = fit->members[__builtin_ctz(set)];

        sets[set].nblocks = sets[rest].nblocks + member.entry->nblocks;
        sets[set].cost = sets[rest].cost + member.cost;

        if (sets[set].nblocks < need) {
            continue;
        }

        cost = sets[set].nblocks > fit->most
               ? STORE_FIT_MISFIT + sets[set].nblocks : sets[set].cost;

        if (cost < least) {
            best = set;
            least = cost;
        }
    }

    return best;
}


unsigned
binarize_store_fit(const binarize_store_t *store,
    binarize_store_entry_t *next, uint64_t need, uint64_t most,
    binarize_store_entry_t *entries[BINARIZE_STORE_FIT])
{
    unsigned     n, set;
    store_fit_t  fit;

    fit.most = most;
    fit.nsteps = 0;
    fit.n = 0;
    fit.larger = NULL;

    if (next->queue == BINARIZE_STORE_QUEUE_SMALL) {
        store_fit_small(store, &fit);
        store_fit_main(store, &fit);

    } else {
        store_fit_main(store, &fit);
        store_fit_small(store, &fit);
    }

    set = store_fit_choose(&fit, need);

    if (set == 0) {
        entries[0] = fit.larger ? fit.larger : next;
        return 1;
    }

    for (n = 0; set; set &= set - 1) {
        entries[n++] = fit.members[__builtin_ctz(set)].entry;
    }

    return n;
}
