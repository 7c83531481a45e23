
/*
 * A worker is killed inside a call of the store: at each instruction of a
 * script of calls, and at random moments.  Those who live on must find all
 * that was theirs or that nobody was about to change.
 *
 * Killing at each instruction needs no killing: a traced child runs the
 * script step by step, and whenever a step has changed the memory, a copy of
 * it is recovered and looked at.
 */


#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store_unit.h"
#include "unit.h"


#define CRASH_SIZE      (104 * 1024)
#define CRASH_RECORDS   256

/* slots: who dies, who lives, who is dead */
#define CRASH_VICTIM    1
#define CRASH_OTHER     2
#define CRASH_DEAD      3


typedef struct {
    model_ref_t              ref;
    binarize_store_state_e   state;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
} crash_record_t;


typedef struct {
    unsigned char           *image;
    crash_record_t           records[CRASH_RECORDS];
    unsigned                 n;
} crash_state_t;


typedef struct {
    const char              *name;
    void                   (*run)(binarize_store_t *store);
} crash_call_t;


/* what the traced child tells */
typedef struct {
    volatile unsigned        call;
} crash_control_t;


static const binarize_store_meta_t  crash_meta = {
    .expires_ms = 1000000
};


static void
crash_key(unsigned n, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    model_key(n, key);
}


static binarize_store_entry_t *
crash_reserve(binarize_store_t *store, unsigned n, uint64_t size,
    unsigned slot)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    crash_key(n, key);

    if (binarize_store_reserve(store, key, BINARIZE_STORE_RESULT, size, slot,
                               10, &entry)
        != BINARIZE_OK)
    {
        return NULL;
    }

    return entry;
}


static binarize_store_entry_t *
crash_peek(binarize_store_t *store, unsigned n)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(n, key);

    return binarize_store_peek(store, key);
}


/* the entry that the victim is building */

static binarize_store_entry_t *
crash_own(binarize_store_t *store)
{
    uint32_t                 i;
    unsigned char           *map;
    binarize_store_entry_t  *entry;

    map = binarize_store_map(store);

    for (i = 1; i <= store->nblocks; i++) {

        if (map[i] != BINARIZE_STORE_MAP_HEAD) {
            continue;
        }

        entry = binarize_store_entry(store, i);

        if (entry->state == BINARIZE_STORE_BUILDING
            && entry->owner == CRASH_VICTIM)
        {
            return entry;
        }
    }

    return NULL;
}


/* all the room, as the fetch would have */

static void
crash_fill(binarize_store_t *store, binarize_store_entry_t *entry,
    uint64_t size)
{
    size_t          room;
    uint64_t        offset;
    unsigned char  *data;

    for (offset = 0; offset < size; offset += room) {
        data = binarize_store_room(store, entry, offset, &room);
        model_assert(room != 0);

        room = room < size - offset ? room : size - offset;
        memset(data, (int) entry->generation, room);
    }
}


static void
crash_insert(binarize_store_t *store, unsigned n, uint64_t size,
    unsigned pinned_by)
{
    binarize_store_entry_t  *entry;

    entry = crash_reserve(store, n, size, CRASH_OTHER);
    model_assert(entry != NULL);

    crash_fill(store, entry, size);
    model_assert(binarize_store_finish(store, entry, size, 0, 10)
                 == BINARIZE_OK);

    if (pinned_by) {
        model_assert(binarize_store_pin(store, entry, pinned_by)
                     == BINARIZE_OK);
    }

    binarize_store_publish(store, entry, &crash_meta);
}


/* epochs are as the slots */

static binarize_store_entry_t *
crash_claim(binarize_store_t *store, unsigned n, unsigned slot)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *claim;

    crash_key(n, key);

    model_assert(binarize_claim_take(store, key, slot, slot, &claim)
                 == BINARIZE_OK);

    return claim;
}


/* the calls: each a mutation, all between them is of no interest */

static void
call_reserve(binarize_store_t *store)
{
    model_assert(crash_reserve(store, 60, 2000, CRASH_VICTIM) != NULL);
}


static void
call_reserve_evicting(binarize_store_t *store)
{
    model_assert(crash_reserve(store, 61, 12000, CRASH_VICTIM) != NULL);
}


static void
call_reserve_full(binarize_store_t *store)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    crash_key(62, key);

    model_assert(binarize_store_reserve(store, key, BINARIZE_STORE_RESULT,
                                        binarize_store_max_size(store) + 1,
                                        CRASH_VICTIM, 10, &entry)
                 == BINARIZE_DECLINED);
}


static void
call_grow(binarize_store_t *store)
{
    binarize_store_entry_t  *entry;

    entry = crash_own(store);

    model_assert(binarize_store_grow(store, entry,
                                     (binarize_store_ndata(entry) + 3)
                                     * BINARIZE_STORE_BLOCK_SIZE, 10)
                 == BINARIZE_OK);
}


static void
call_finish(binarize_store_t *store)
{
    binarize_store_entry_t  *entry;

    entry = crash_own(store);

    model_assert(binarize_store_finish(store, entry, 1700, 600, 10)
                 == BINARIZE_OK);
}


static void
call_finish_all(binarize_store_t *store)
{
    binarize_store_entry_t  *entry;

    entry = crash_own(store);

    model_assert(binarize_store_finish(store, entry,
                                       (uint64_t) binarize_store_ndata(entry)
                                       * BINARIZE_STORE_BLOCK_SIZE, 20, 10)
                 == BINARIZE_OK);
}


static void
call_finish_nothing(binarize_store_t *store)
{
    model_assert(binarize_store_finish(store, crash_own(store), 0, 0, 10)
                 == BINARIZE_OK);
}


static void
call_publish(binarize_store_t *store)
{
    binarize_store_publish(store, crash_own(store), &crash_meta);
}


static void
call_abort(binarize_store_t *store)
{
    binarize_store_abort(store, crash_own(store));
}


static void
call_reserve_again(binarize_store_t *store)
{
    model_assert(crash_reserve(store, 60, 1700, CRASH_VICTIM) != NULL);
}


static void
call_reserve_pinned(binarize_store_t *store)
{
    model_assert(crash_reserve(store, 3, 1000, CRASH_VICTIM) != NULL);
}


static void
call_pin(binarize_store_t *store)
{
    model_assert(binarize_store_pin(store, crash_peek(store, 60),
                                    CRASH_VICTIM)
                 == BINARIZE_OK);
}


static void
call_unpin(binarize_store_t *store)
{
    model_assert(binarize_store_unpin(store, crash_peek(store, 60),
                                      CRASH_VICTIM)
                 == BINARIZE_OK);
}


static void
call_remove(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(60, key);
    model_assert(binarize_store_remove(store, key) == BINARIZE_OK);
}


static void
call_remove_pinned(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(5, key);
    model_assert(binarize_store_remove(store, key) == BINARIZE_OK);
}


static void
call_put(binarize_store_t *store)
{
    unsigned char          key[BINARIZE_STORE_KEY_SIZE], doc[700];
    binarize_store_meta_t  meta;

    crash_key(70, key);
    memset(doc, 'd', sizeof(doc));
    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = 20;

    model_assert(binarize_store_put(store, key, BINARIZE_STORE_NEGATIVE, doc,
                                    sizeof(doc), &meta, CRASH_VICTIM, 10,
                                    NULL)
                 == BINARIZE_OK);
}


static void
call_put_evicting(binarize_store_t *store)
{
    unsigned               i;
    unsigned char          key[BINARIZE_STORE_KEY_SIZE], doc[700];
    binarize_store_meta_t  meta;

    memset(doc, 'd', sizeof(doc));
    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = 20;

    for (i = 0; i < 8; i++) {
        crash_key(71 + i, key);

        model_assert(binarize_store_put(store, key, BINARIZE_STORE_PENDING,
                                        doc, sizeof(doc), &meta,
                                        CRASH_VICTIM, 10, NULL)
                     == BINARIZE_OK);
    }
}


/* into the blocks that the entry being built has given back */

static void
call_put_there(binarize_store_t *store)
{
    unsigned       i;
    unsigned char  key[BINARIZE_STORE_KEY_SIZE], doc[1200];

    memset(doc, 'e', sizeof(doc));

    for (i = 0; i < 4; i++) {
        crash_key(63 + i, key);

        model_assert(binarize_store_put(store, key, BINARIZE_STORE_RESULT,
                                        doc, sizeof(doc), &crash_meta,
                                        CRASH_VICTIM, 10, NULL)
                     == BINARIZE_OK);
    }
}


static void
call_lookup_expired(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(78, key);
    model_assert(binarize_store_lookup(store, key, 20) == NULL);
}


static void
call_claim(binarize_store_t *store)
{
    (void) crash_claim(store, 60, CRASH_VICTIM);
}


static void
call_claim_release(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(60, key);
    binarize_claim_release(store, binarize_claim_find(store, key));
}


static void
call_claim_follow(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    /* the other's, and the other ours */

    crash_key(80, key);
    binarize_claim_follow(store, binarize_claim_find(store, key),
                          CRASH_VICTIM, 20);
    crash_key(60, key);
    binarize_claim_follow(store, binarize_claim_find(store, key), CRASH_OTHER,
                          20);
}


static void
call_claim_leave(binarize_store_t *store)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    crash_key(80, key);
    model_assert(binarize_claim_leave(store, key, CRASH_VICTIM) == NULL);
    crash_key(83, key);
    model_assert(binarize_claim_leave(store, key, CRASH_VICTIM) == NULL);
}


static void
call_claim_orphan(binarize_store_t *store)
{
    uint64_t  slots[BINARIZE_STORE_SLOTS / 64] = { 0 };

    binarize_claim_orphan_all(store, CRASH_DEAD, slots);
    model_assert(slots[0] & 1 << CRASH_OTHER);
}


static void
call_claim_take_over(binarize_store_t *store)
{
    model_assert(crash_claim(store, 81, CRASH_VICTIM)->claim.nowners == 2);
}


static void
call_release_slot(binarize_store_t *store)
{
    uint64_t  slots[BINARIZE_STORE_SLOTS / 64] = { 0 };

    binarize_store_release_slot(store, CRASH_DEAD, slots);
}


static void
call_clear(binarize_store_t *store)
{
    unsigned       i;
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    for (i = 0; i < 80; i++) {
        crash_key(i, key);
        (void) binarize_store_remove(store, key);
    }
}


static void
call_reserve_large(binarize_store_t *store)
{
    model_assert(crash_reserve(store, 49, 9000, CRASH_VICTIM) != NULL);
}


static void
call_put_rest(binarize_store_t *store)
{
    unsigned                i;
    unsigned char           key[BINARIZE_STORE_KEY_SIZE], doc[1200];
    binarize_store_stats_t  stats;

    memset(doc, 'f', sizeof(doc));

    for (i = 0; i < 40; i++) {
        binarize_store_stats(store, &stats);

        if (stats.nfree_blocks < 12) {
            return;
        }

        crash_key(i, key);
        model_assert(binarize_store_put(store, key, BINARIZE_STORE_RESULT,
                                        doc, sizeof(doc), &crash_meta,
                                        CRASH_VICTIM, 10, NULL)
                     == BINARIZE_OK);
    }
}


/* little is needed, and the one to go is large */

static void
call_reserve_instead(binarize_store_t *store)
{
    binarize_store_stats_t  stats;

    binarize_store_stats(store, &stats);

    model_assert(crash_reserve(store, 61, stats.nfree_blocks
                                          * BINARIZE_STORE_BLOCK_SIZE,
                               CRASH_VICTIM)
                 != NULL);
    model_assert(crash_peek(store, 49) != NULL);
}


static void
call_recover(binarize_store_t *store)
{
    binarize_store_recover(store);
}


static const crash_call_t  crash_calls[] = {
    { "reserve", call_reserve },
    { "finish, trimmed", call_finish },
    { "publish", call_publish },
    { "pin", call_pin },
    { "unpin", call_unpin },
    { "reserve, same key", call_reserve_again },
    { "finish, not trimmed", call_finish_all },
    { "publish, replacing", call_publish },
    { "pin before it is replaced", call_pin },
    { "reserve, same key", call_reserve_again },
    { "publish, replacing what is pinned", call_publish },
    { "remove", call_remove },
    { "reserve, key pinned by another", call_reserve_pinned },
    { "grow", call_grow },
    { "grow", call_grow },
    { "publish over another's pin", call_publish },
    { "remove what another pinned", call_remove_pinned },
    { "reserve, evicting", call_reserve_evicting },
    { "grow", call_grow },
    { "grow, with a list", call_grow },
    { "finish, giving all back", call_finish_nothing },
    { "put into what was given back", call_put_there },
    { "grow elsewhere", call_grow },
    { "grow elsewhere", call_grow },
    { "finish, giving all back", call_finish_nothing },
    { "abort", call_abort },
    { "reserve, too large", call_reserve_full },
    { "put", call_put },
    { "put, evicting", call_put_evicting },
    { "lookup of what expired", call_lookup_expired },
    { "claim", call_claim },
    { "follow", call_claim_follow },
    { "declare a slot dead", call_claim_orphan },
    { "take an orphan over", call_claim_take_over },
    { "leave the last of the orphans", call_claim_leave },
    { "release a claim with followers", call_claim_release },
    { "release a slot", call_release_slot },
    { "remove all", call_clear },
    { "reserve a large one", call_reserve_large },
    { "finish, not trimmed", call_finish_all },
    { "publish", call_publish },
    { "put until all is full", call_put_rest },
    { "reserve, others going instead", call_reserve_instead },
    { "recover", call_recover },
};


/* entries of all states, and holes between them */

static void
crash_setup(binarize_store_t *store)
{
    unsigned                 i;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    /* every third is the other's, so that holes stay apart */

    for (i = 0; i < 40; i++) {
        crash_insert(store, i, 600, i % 3 ? 0 : CRASH_OTHER);
    }

    for (i = 1; i < 15; i += 3) {
        crash_key(i, key);
        model_assert(binarize_store_remove(store, key) == BINARIZE_OK);
    }

    /* in several extents, one live, one not */

    crash_insert(store, 50, 4000, CRASH_OTHER);
    crash_insert(store, 51, 2000, CRASH_OTHER);
    crash_insert(store, 51, 2000, 0);
    crash_insert(store, 5, 700, CRASH_OTHER);

    /* half done by the other, and by one that is dead */

    entry = crash_reserve(store, 52, 3000, CRASH_OTHER);
    model_assert(entry != NULL);
    crash_fill(store, entry, 3000);

    entry = crash_reserve(store, 53, 1500, CRASH_DEAD);
    model_assert(entry != NULL);

    entry = crash_peek(store, 50);
    model_assert(binarize_store_pin(store, entry, CRASH_DEAD) == BINARIZE_OK);

    /* the other's claim, and claims of the dead with followers and without */

    entry = crash_claim(store, 80, CRASH_OTHER);
    binarize_claim_follow(store, entry, CRASH_DEAD, 20);

    entry = crash_claim(store, 81, CRASH_DEAD);
    binarize_claim_follow(store, entry, CRASH_OTHER, 20);
    binarize_claim_follow(store, entry, CRASH_VICTIM, 20);

    (void) crash_claim(store, 82, CRASH_DEAD);

    entry = crash_claim(store, 83, CRASH_DEAD);
    binarize_claim_follow(store, entry, CRASH_VICTIM, 20);

    crash_insert(store, 54, 1000, CRASH_DEAD);
    crash_key(54, key);
    model_assert(binarize_store_remove(store, key) == BINARIZE_OK);

    for (i = 16; i < 24; i += 3) {
        crash_key(i, key);
        model_assert(binarize_store_remove(store, key) == BINARIZE_OK);
    }
}


static void
crash_record(crash_state_t *state, const unsigned char *memory)
{
    uint32_t                 i;
    unsigned char           *map;
    binarize_store_t        *store;
    binarize_store_entry_t  *entry;

    memcpy(state->image, memory, CRASH_SIZE);

    store = (binarize_store_t *) state->image;
    map = binarize_store_map(store);
    state->n = 0;

    for (i = 1; i <= store->nblocks; i++) {

        if (map[i] != BINARIZE_STORE_MAP_HEAD) {
            continue;
        }

        entry = binarize_store_entry(store, i);

        model_assert(state->n < CRASH_RECORDS);
        state->records[state->n].ref = model_ref(store, entry);
        state->records[state->n].state = entry->state;
        memcpy(state->records[state->n].key, entry->key, sizeof(entry->key));
        state->n++;
    }
}


static crash_record_t *
crash_find(crash_state_t *state, model_ref_t ref)
{
    unsigned  i;

    for (i = 0; i < state->n; i++) {

        if (state->records[i].ref.index == ref.index
            && state->records[i].ref.generation == ref.generation)
        {
            return &state->records[i];
        }
    }

    return NULL;
}


static crash_record_t *
crash_find_live(crash_state_t *state, const unsigned char *key)
{
    unsigned  i;

    for (i = 0; i < state->n; i++) {

        if (state->records[i].state == BINARIZE_STORE_LIVE
            && memcmp(state->records[i].key, key, BINARIZE_STORE_KEY_SIZE)
               == 0)
        {
            return &state->records[i];
        }
    }

    return NULL;
}


/*
 * Whose the claim is, and that the other follows it, is as before or after
 * the call.
 */

static void
crash_check_claim(const binarize_store_entry_t *claim,
    const crash_record_t *before, const crash_state_t *was,
    const crash_record_t *after, const crash_state_t *will)
{
    unsigned                       follows;
    const binarize_store_entry_t  *older, *newer;

    older = binarize_store_entry((binarize_store_t *) was->image,
                                 before->ref.index);
    newer = binarize_store_entry((binarize_store_t *) will->image,
                                 after->ref.index);

    model_assert(claim->claim.epoch == older->claim.epoch
                 || claim->claim.epoch == newer->claim.epoch);
    model_assert(claim->claim.epoch == 0
                 || claim->owner == claim->claim.epoch);

    follows = claim->pins[0] >> CRASH_OTHER & 1;

    model_assert(follows == (older->pins[0] >> CRASH_OTHER & 1)
                 || follows == (newer->pins[0] >> CRASH_OTHER & 1));
}


/* the bytes of the entry are as they are in the image */

static void
crash_same_bytes(const unsigned char *memory, const binarize_store_t *store,
    const binarize_store_entry_t *entry, const crash_state_t *state)
{
    size_t                   i, n, nimage;
    binarize_span_t          pieces[256], image[256];
    binarize_store_t        *other;
    binarize_store_entry_t  *e;

    other = (binarize_store_t *) state->image;
    e = (binarize_store_entry_t *)
            (state->image + ((unsigned char *) entry - memory));

    model_assert(entry->payload_size == e->payload_size);
    model_assert(entry->doc_size == e->doc_size);

    if (entry->state == BINARIZE_STORE_BUILDING) {

        /* all it has room for is the builder's */

        n = entry->nextents;
        model_assert(n == e->nextents);

        for (i = 0; i < n; i++) {
            model_assert(memcmp(binarize_store_extent(store, entry, i),
                                binarize_store_extent(other, e, i),
                                sizeof(binarize_store_extent_t))
                         == 0);
        }

        pieces[0].data = binarize_store_room(store, entry, 0,
                                             &pieces[0].size);
        image[0].data = binarize_store_room(other, e, 0, &image[0].size);
        n = 1;
        nimage = 1;

    } else {
        n = binarize_store_payload(store, entry, 0, UINT64_MAX, pieces, 128);
        nimage = binarize_store_payload(other, e, 0, UINT64_MAX, image, 128);

        n += binarize_store_doc(store, entry, 0, UINT64_MAX, pieces + n, 128);
        nimage += binarize_store_doc(other, e, 0, UINT64_MAX, image + nimage,
                                     128);

        model_assert(memcmp(&entry->meta, &e->meta, sizeof(entry->meta))
                     == 0);
    }

    model_assert(n == nimage);

    for (i = 0; i < n; i++) {
        model_assert(pieces[i].size == image[i].size);
        model_assert(pieces[i].data - memory == image[i].data - state->image);
        model_assert(pieces[i].size == 0
                     || memcmp(pieces[i].data, image[i].data, pieces[i].size)
                        == 0);
    }
}


static void
crash_check_records(unsigned char *memory, crash_state_t *state,
    crash_state_t *peer)
{
    unsigned                 i;
    crash_record_t          *record, *same;
    binarize_store_t        *store;
    binarize_store_entry_t  *entry;

    store = (binarize_store_t *) memory;

    for (i = 0; i < state->n; i++) {
        record = &state->records[i];
        same = crash_find(peer, record->ref);
        entry = model_get(store, record->ref);

        /* it was there before and is there afterwards: so in between */

        if (same && entry == NULL) {

            /* but the victim's own, unfinished, may be dropped */

            model_assert(record->state == BINARIZE_STORE_BUILDING);
            model_assert(binarize_store_entry(store, record->ref.index)->owner
                         == CRASH_VICTIM
                         || ((binarize_store_entry_t *)
                             binarize_store_block((binarize_store_t *)
                                                  state->image,
                                                  record->ref.index))->owner
                            == CRASH_VICTIM);
            continue;
        }

        if (entry == NULL) {
            continue;
        }

        if (same && entry->state == BINARIZE_STORE_CLAIMED) {
            crash_check_claim(entry, record, state, same, peer);
        }

        model_assert(entry->state == record->state
                     || (same && entry->state == same->state)
                     || same == NULL);

        if (entry->state == record->state
            && (entry->state != BINARIZE_STORE_BUILDING
                || entry->owner == CRASH_OTHER))
        {
            crash_same_bytes(memory, store, entry, state);
        }
    }
}


/* a key that answers before and after the call answers all the time */

static void
crash_check_keys(unsigned char *memory, crash_state_t *before,
    crash_state_t *after)
{
    unsigned                 i;
    crash_record_t          *newer, *older;
    binarize_store_entry_t  *entry;

    for (i = 0; i < before->n; i++) {
        older = &before->records[i];

        if (older->state != BINARIZE_STORE_LIVE) {
            continue;
        }

        newer = crash_find_live(after, older->key);
        entry = binarize_store_peek((binarize_store_t *) memory, older->key);

        if (newer) {
            model_assert(entry != NULL);
            model_assert(entry->generation == older->ref.generation
                         || entry->generation == newer->ref.generation);

        } else if (entry) {
            model_assert(entry->generation == older->ref.generation);
        }
    }
}


static void
crash_look(unsigned char *memory, crash_state_t *before, crash_state_t *after,
    uint32_t *owners, int use)
{
    unsigned           i;
    uint64_t           slots[BINARIZE_STORE_SLOTS / 64];
    const char        *error;
    unsigned char      key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_t  *store;

    store = (binarize_store_t *) memory;

    binarize_store_recover(store);

    error = binarize_store_check(store, owners);

    if (error == NULL) {
        crash_check_records(memory, before, after);
        crash_check_records(memory, after, before);
        crash_check_keys(memory, before, after);

        if (use) {
            memset(slots, 0, sizeof(slots));
            binarize_store_release_slot(store, CRASH_VICTIM, slots);

            for (i = 0; i < 12; i++) {
                crash_key(80 + i, key);
                (void) binarize_store_put(store, key, i % 3, key, sizeof(key),
                                          &crash_meta, 9, 10, NULL);
            }

            error = binarize_store_check(store, owners);
        }
    }

    if (error) {
        fprintf(stderr, "store: %s\n", error);
        abort();
    }
}


static void
crash_child(unsigned char *memory, crash_control_t *control)
{
    unsigned  i;

    (void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    (void) raise(SIGSTOP);

    for (i = 0; i < unit_nelts(crash_calls); i++) {
        control->call = i + 1;
        crash_calls[i].run((binarize_store_t *) memory);
        control->call = 0;
    }

    _exit(0);
}


static void *
crash_map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    assert_true(p != MAP_FAILED);

    return p;
}


static void
test_each_instruction(void **state)
{
    int                status;
    pid_t              pid;
    uint32_t          *owners;
    unsigned           attached, call;
    uint64_t           nlooks, nsteps;
    unsigned char     *copy, *last, *memory, *scratch;
    crash_state_t      before, after;
    crash_control_t   *control;
    binarize_store_t  *store;

    (void) state;

    memory = crash_map(CRASH_SIZE);
    control = crash_map(4096);
    copy = crash_map(CRASH_SIZE);
    last = crash_map(CRASH_SIZE);
    scratch = crash_map(CRASH_SIZE);
    before.image = crash_map(CRASH_SIZE);
    after.image = crash_map(CRASH_SIZE);
    before.n = 0;
    after.n = 0;

    assert_int_equal(binarize_store_init(memory, CRASH_SIZE, &store,
                                         &attached),
                     BINARIZE_OK);
    owners = malloc((store->nblocks + 1) * sizeof(uint32_t));
    assert_non_null(owners);

    crash_setup(store);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        crash_child(memory, control);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *) PTRACE_O_EXITKILL)
        != 0)
    {
        print_message("no ptrace: %s\n", strerror(errno));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        free(owners);
        skip();
    }

    call = 0;
    nlooks = 0;
    nsteps = 0;

    for ( ;; ) {

        if (call != control->call && control->call) {

            /* what will come is known from a rehearsal */

            call = control->call;

            crash_record(&before, memory);
            memcpy(scratch, memory, CRASH_SIZE);
            crash_calls[call - 1].run((binarize_store_t *) scratch);
            crash_record(&after, scratch);
            memcpy(last, memory, CRASH_SIZE);
        }

        if (control->call == 0) {
            call = 0;
        }

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) {
            fail_msg("ptrace() failed");
        }

        if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
            break;
        }

        nsteps++;

        if (call == 0 || memcmp(last, memory, CRASH_SIZE) == 0) {
            continue;
        }

        memcpy(last, memory, CRASH_SIZE);

        if (!store->dirty) {

            /* nobody will recover it: it has to be whole */

            assert_null(binarize_store_check(store, owners));
            continue;
        }

        memcpy(copy, memory, CRASH_SIZE);
        crash_look(copy, &before, &after, owners, nlooks % 4 == 0);
        nlooks++;
    }

    print_message("killed after each of %lu instructions, "
                  "%lu states recovered\n",
                  (unsigned long) nsteps, (unsigned long) nlooks);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_null(binarize_store_check(store, owners));
    assert_true(nlooks > 1000);

    free(owners);
    munmap(memory, CRASH_SIZE);
    munmap(control, 4096);
    munmap(copy, CRASH_SIZE);
    munmap(last, CRASH_SIZE);
    munmap(scratch, CRASH_SIZE);
    munmap(before.image, CRASH_SIZE);
    munmap(after.image, CRASH_SIZE);
}


/* a worker at work: what an entry's bytes are is known from its meta */

static void
worker(binarize_store_t *store, uint32_t seed, unsigned slot)
{
    int                      rc;
    size_t                   i, room;
    uint32_t                 n;
    uint64_t                 now, offset, size;
    unsigned char           *data, key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *claim, *entry, *pinned;

    pinned = NULL;
    now = 0;

    for ( ;; ) {
        n = unit_random(&seed);
        crash_key(n % 90, key);

        switch ((n >> 8) % 16) {

        case 0:
            (void) binarize_store_remove(store, key);
            continue;

        case 1: case 2: case 3:
            if (pinned) {
                (void) binarize_store_unpin(store, pinned, slot);
            }

            pinned = binarize_store_lookup(store, key, now);

            if (pinned) {
                (void) binarize_store_pin(store, pinned, slot);
            }

            continue;

        case 4:
            now++;
            continue;

        case 5:
            claim = NULL;

            if (binarize_claim_take(store, key, slot, 1, &claim)
                == BINARIZE_DECLINED)
            {
                binarize_claim_follow(store, claim, slot, n);

            } else if (claim && n & 0x10000) {
                binarize_claim_release(store, claim);
            }

            continue;

        case 6:
            (void) binarize_claim_leave(store, key, slot);
            continue;
        }

        memset(&meta, 0, sizeof(meta));
        meta.repeat = n;
        meta.expires_ms = now + n % 100;

        size = (n >> 12) % (n & 7 ? 2000 : 30000);

        do {
            rc = binarize_store_reserve(store, key, BINARIZE_STORE_RESULT,
                                        n & 16 ? size : 0, slot, now, &entry);
        } while (rc == BINARIZE_AGAIN);

        for (offset = 0; rc == BINARIZE_OK && offset < size; offset += room) {
            data = binarize_store_room(store, entry, offset, &room);

            if (room == 0) {
                do {
                    rc = binarize_store_grow(store, entry, offset + 1, now);
                } while (rc == BINARIZE_AGAIN);

                if (rc != BINARIZE_OK) {
                    binarize_store_abort(store, entry);
                }

                continue;
            }

            room = room < size - offset ? room : size - offset;

            for (i = 0; i < room; i++) {
                data[i] = model_byte(meta.repeat, offset + i);
            }
        }

        if (rc != BINARIZE_OK) {
            continue;
        }

        do {
            rc = binarize_store_finish(store, entry, size, 0, now);
        } while (rc == BINARIZE_AGAIN);

        if (rc != BINARIZE_OK) {
            binarize_store_abort(store, entry);
            continue;
        }

        binarize_store_publish(store, entry, &meta);
    }
}


static void
verify_live(binarize_store_t *store)
{
    size_t                   n;
    uint32_t                 i;
    binarize_span_t          pieces[256];
    binarize_store_entry_t  *entry;

    for (i = 1; i <= store->nblocks; i++) {

        if (binarize_store_map(store)[i] != BINARIZE_STORE_MAP_HEAD) {
            continue;
        }

        entry = binarize_store_entry(store, i);

        if (entry->state == BINARIZE_STORE_LIVE
            && entry->kind == BINARIZE_STORE_RESULT)
        {
            n = binarize_store_payload(store, entry, 0, UINT64_MAX, pieces,
                                       256);
            model_assert(n <= 256);
            model_verify_pieces(pieces, n, entry->meta.repeat,
                                entry->payload_size);
        }
    }
}


static void
test_random_moments(void **state)
{
    int                      status;
    pid_t                    pid;
    time_t                   until;
    uint32_t                *owners, random;
    uint64_t                 slots[BINARIZE_STORE_SLOTS / 64];
    unsigned                 attached, ndirty, nkills;
    const char              *error, *seconds;
    unsigned char           *memory, key[BINARIZE_STORE_KEY_SIZE];
    struct timespec          delay;
    binarize_span_t          piece;
    binarize_store_t        *store;
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *building, *claim, *pinned;

    (void) state;

    memory = crash_map(256 * 1024);

    assert_int_equal(binarize_store_init(memory, 256 * 1024, &store,
                                         &attached),
                     BINARIZE_OK);
    owners = malloc((store->nblocks + 1) * sizeof(uint32_t));
    assert_non_null(owners);

    /* ours: one that we send to a slow client, one that we fetch */

    crash_key(5, key);
    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = UINT64_MAX;

    assert_int_equal(binarize_store_reserve(store, key, 0, 9000, 2, 0,
                                            &pinned),
                     BINARIZE_OK);
    assert_int_equal(binarize_store_finish(store, pinned, 9000, 0, 0),
                     BINARIZE_OK);
    crash_fill(store, pinned, 9000);
    meta.repeat = 0;
    assert_int_equal(binarize_store_pin(store, pinned, 2), BINARIZE_OK);
    binarize_store_publish(store, pinned, &meta);
    assert_int_equal(binarize_store_remove(store, key), BINARIZE_OK);

    assert_int_equal(binarize_store_reserve(store, key, 0, 20000, 2, 0,
                                            &building),
                     BINARIZE_OK);
    crash_fill(store, building, 20000);

    /* and what we lead, and the others follow */

    crash_key(7, key);
    assert_int_equal(binarize_claim_take(store, key, 2, 3, &claim),
                     BINARIZE_OK);

    seconds = getenv("STORE_CRASH_SECONDS");
    until = time(NULL) + (seconds ? atoi(seconds) : 4);
    random = 88172645;
    ndirty = 0;

    for (nkills = 0; time(NULL) < until; nkills++) {

        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            worker(store, unit_random(&random) + nkills, 1);
        }

        delay.tv_sec = 0;
        delay.tv_nsec = 1000 * (unit_random(&random) % 3000);
        nanosleep(&delay, NULL);

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);

        ndirty += store->dirty;
        memset(slots, 0, sizeof(slots));
        binarize_store_release_slot(store, 1, slots);

        if (store->dirty) {
            binarize_store_recover(store);
        }

        error = binarize_store_check(store, owners);

        if (error) {
            fail_msg("store: %s", error);
        }

        verify_live(store);

        assert_int_equal(store->stats.nbuilding, 1);
        assert_int_equal(store->stats.nzombies, 1);
        assert_int_equal(store->holds[1], 0);
        assert_int_equal(store->holds[2], 2);
        assert_int_equal(store->stats.nclaims, 1);
        crash_key(7, key);
        assert_ptr_equal(binarize_claim_find_own(store, key, 2, 3), claim);
        assert_int_equal(claim->npinned, 0);

        assert_int_equal(binarize_store_payload(store, pinned, 0, 9000,
                                                &piece, 1),
                         1);
        assert_int_equal(piece.data[0], (unsigned char) pinned->generation);
        assert_memory_equal(piece.data, piece.data + 1, 8999);

        piece.data = binarize_store_room(store, building, 0, &piece.size);
        assert_true(piece.size >= 20000);
        assert_int_equal(piece.data[0], (unsigned char) building->generation);
        assert_memory_equal(piece.data, piece.data + 1, 19999);
    }

    print_message("killed %u times, %u of them inside a call\n", nkills,
                  ndirty);

    assert_true(nkills > 50);
    assert_true(ndirty > 5);

    free(owners);
    munmap(memory, 256 * 1024);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_each_instruction),
        cmocka_unit_test(test_random_moments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
