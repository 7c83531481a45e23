
/*
 * A simple model of the store, and random operations on both, for the unit
 * test and the fuzzer.  The model does not know whom the store will evict,
 * but it knows whom it may, and counts.
 */


#ifndef _STORE_MODEL_H_INCLUDED_
#define _STORE_MODEL_H_INCLUDED_


#include "store_unit.h"


#define MODEL_OBJECTS   4096
#define MODEL_KEYS      96
#define MODEL_BUILDS    6
#define MODEL_PINS      24
#define MODEL_SLOTS     6


typedef struct {
    binarize_store_state_e   state;
    binarize_store_entry_t  *entry;
    model_ref_t              ref;
    unsigned                 key;
    binarize_store_kind_e    kind;
    unsigned                 owner;
    unsigned                 pins;          /* a bit a slot */
    uint64_t                 payload_size;
    size_t                   doc_size;
    uint64_t                 expires_ms;
    uint64_t                 forget_ms;
    uint32_t                 seed;
    unsigned                 published;
} model_object_t;


/* of each key */
typedef struct {
    unsigned                 nowners;       /* 0: there is none */
    unsigned                 owner;         /* index of a slot */
    uint64_t                 epoch;         /* 0: an orphan */
    unsigned                 pins;          /* a bit a slot */
    uint64_t                 until_ms;
} model_claim_t;


typedef struct {
    binarize_store_t        *store;
    void                    *memory;
    size_t                   size;
    uint32_t                *owners;
    uint64_t                 now_ms;
    uint32_t                 seed;
    uint64_t                 lost;          /* evicted, as far as is known */
    uint64_t                 expired;
    uint64_t                 nagain;
    uint64_t                 nfull;
    model_object_t           objects[MODEL_OBJECTS];
    model_claim_t            claims[MODEL_KEYS];
    uint64_t                 epoch;
    uint64_t                 epochs[MODEL_SLOTS];

    uint32_t               (*next)(void *data);
    void                    *data;
} model_t;


static const unsigned  model_slots[MODEL_SLOTS] = { 0, 1, 2, 63, 64, 1023 };


/* all bytes of an entry that can be read */

static void
model_verify(model_t *model, const model_object_t *object)
{
    size_t           n;
    unsigned char    key[BINARIZE_STORE_KEY_SIZE];
    binarize_span_t  pieces[4096];

    model_assert(object->entry->generation == object->ref.generation);
    model_assert(object->entry->state == (uint8_t) object->state);
    model_assert(object->entry->kind == (uint8_t) object->kind);

    model_key(object->key, key);
    model_assert(memcmp(object->entry->key, key, sizeof(key)) == 0);

    if (!object->published) {
        return;
    }

    n = binarize_store_payload(model->store, object->entry, 0, UINT64_MAX,
                               pieces, 4096);
    model_assert(n <= 4096);
    model_verify_pieces(pieces, n, object->seed, object->payload_size);

    n = binarize_store_doc(model->store, object->entry, 0, UINT64_MAX,
                           pieces, 4096);
    model_assert(n <= 4096);
    model_verify_pieces(pieces, n, object->seed + 1, object->doc_size);
}


static model_object_t *
model_find(model_t *model, unsigned key)
{
    unsigned  i;

    for (i = 0; i < MODEL_OBJECTS; i++) {

        if (model->objects[i].state == BINARIZE_STORE_LIVE
            && model->objects[i].key == key)
        {
            return &model->objects[i];
        }
    }

    return NULL;
}


static model_object_t *
model_new(model_t *model)
{
    unsigned  i;

    for (i = 0; i < MODEL_OBJECTS; i++) {

        if (model->objects[i].state == BINARIZE_STORE_FREE) {
            return &model->objects[i];
        }
    }

    abort();
}


/* the n-th of those that match, or NULL */

static model_object_t *
model_pick(model_t *model, binarize_store_state_e state, int pinned,
    uint32_t n)
{
    unsigned         i, matches;
    model_object_t  *object;

    for (i = 0, matches = 0; i < MODEL_OBJECTS; i++) {
        object = &model->objects[i];

        matches += pinned ? object->pins != 0 : object->state == state;
    }

    if (matches == 0) {
        return NULL;
    }

    n %= matches;

    for (i = 0; /* void */ ; i++) {
        object = &model->objects[i];

        if ((pinned ? object->pins != 0 : object->state == state)
            && n-- == 0)
        {
            return object;
        }
    }
}


static unsigned
model_count(model_t *model, binarize_store_state_e state)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < MODEL_OBJECTS; i++) {
        n += model->objects[i].state == state;
    }

    return n;
}


static unsigned
model_count_pinned(model_t *model)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < MODEL_OBJECTS; i++) {
        n += model->objects[i].pins != 0;
    }

    return n;
}


/* no longer live or being built */

static void
model_orphan(model_t *model, model_object_t *object)
{
    binarize_store_entry_t  *entry;

    entry = model_get(model->store, object->ref);

    if (object->pins) {
        object->state = BINARIZE_STORE_ZOMBIE;
        model_assert(entry == object->entry);
        model_assert(entry->state == BINARIZE_STORE_ZOMBIE);
        return;
    }

    model_assert(entry == NULL);
    object->state = BINARIZE_STORE_FREE;
}


/* each claim is as the model has it, whatever became of the results */

static void
model_verify_claims(model_t *model)
{
    unsigned                 i, nclaims, npinned, slot;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    model_claim_t           *claim;
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry;

    for (i = 0, nclaims = 0; i < MODEL_KEYS; i++) {
        claim = &model->claims[i];

        model_key(i, key);
        entry = binarize_claim_find(model->store, key);
        model_assert((entry != NULL) == (claim->nowners != 0));

        if (entry == NULL) {
            continue;
        }

        nclaims++;
        npinned = 0;

        for (slot = 0; slot < MODEL_SLOTS; slot++) {
            model_assert((entry->pins[model_slots[slot] / 64]
                          >> (model_slots[slot] % 64) & 1)
                         == (claim->pins >> slot & 1));
            npinned += claim->pins >> slot & 1;
        }

        model_assert(entry->npinned == npinned);
        model_assert(entry->owner == model_slots[claim->owner]);
        model_assert(entry->claim.epoch == claim->epoch);
        model_assert(entry->claim.nowners == claim->nowners);
        model_assert(entry->claim.until_ms == claim->until_ms);
    }

    binarize_store_stats(model->store, &stats);
    model_assert(nclaims == stats.nclaims);
}


/* finds out who was evicted, and whether that was right */

static void
model_sync(model_t *model)
{
    unsigned                 i;
    uint64_t                 nlive, size;
    const char              *error;
    model_object_t          *object;
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry;

    nlive = 0;
    size = 0;

    for (i = 0; i < MODEL_OBJECTS; i++) {
        object = &model->objects[i];

        if (object->state == BINARIZE_STORE_FREE) {
            continue;
        }

        entry = model_get(model->store, object->ref);

        if (object->state == BINARIZE_STORE_LIVE
            && (entry == NULL || entry->state != BINARIZE_STORE_LIVE))
        {
            if (model->now_ms >= object->expires_ms
                && model->now_ms >= object->forget_ms)
            {
                model->expired++;

            } else {
                model_assert(object->pins == 0);
                model->lost++;
            }

            model_orphan(model, object);
            continue;
        }

        model_assert(entry == object->entry);
        model_assert(entry->state == (uint8_t) object->state);

        if (object->state == BINARIZE_STORE_LIVE) {
            nlive++;
            size += object->payload_size + object->doc_size;
        }
    }

    binarize_store_stats(model->store, &stats);

    model_assert(model->lost == stats.evictions[0] + stats.evictions[1]
                                + stats.evictions[2]);
    model_assert(model->expired == stats.expired);

    model_assert(nlive == stats.kinds[0].nentries + stats.kinds[1].nentries
                          + stats.kinds[2].nentries);
    model_assert(size == stats.kinds[0].size + stats.kinds[1].size
                         + stats.kinds[2].size);

    model_verify_claims(model);

    error = binarize_store_check(model->store, model->owners);

    if (error) {
        fprintf(stderr, "store: %s\n", error);
        abort();
    }
}


static void
model_init(model_t *model, size_t size, uint32_t (*next)(void *data),
    void *data)
{
    unsigned  attached;

    memset(model, 0, sizeof(*model));

    model->size = size;
    model->next = next;
    model->data = data;
    model->now_ms = 1000;

    model->memory = aligned_alloc(64, size);
    model_assert(model->memory != NULL);

    /* what was there before does not matter */
    memset(model->memory, 0xa5, size);

    model_assert(binarize_store_init(model->memory, size, &model->store,
                                     &attached)
                 == BINARIZE_OK);
    model_assert(attached == 0);

    model->owners = malloc((binarize_store_nblocks(model->store) + 1)
                           * sizeof(uint32_t));
    model_assert(model->owners != NULL);

    model_sync(model);
}


static void
model_done(model_t *model)
{
    free(model->memory);
    free(model->owners);
}


static uint32_t
model_random(model_t *model)
{
    return model->next(model->data);
}


/* sizes of all orders of magnitude up to a third of the memory */

static uint64_t
model_size(model_t *model)
{
    uint32_t  magnitude, n;

    n = model_random(model);
    magnitude = n % 11;

    if (magnitude == 10) {
        return (n >> 4) % (model->size / 3);
    }

    return (n >> 4) % (64u << magnitude);
}


static void
model_meta(model_t *model, model_object_t *object,
    binarize_store_meta_t *meta)
{
    uint32_t  n;

    memset(meta, 0, sizeof(*meta));

    n = model_random(model);

    object->expires_ms = model->now_ms + n % 5000;
    object->forget_ms = n & 0x10000 ? object->expires_ms + 3000 : 0;

    meta->expires_ms = object->expires_ms;
    meta->forget_ms = object->forget_ms;
    meta->repeat = object->seed;
}


static void
model_full(model_t *model, uint64_t size)
{
    uint64_t                need;
    binarize_store_stats_t  stats;

    model->nfull++;

    /* it was truly so: with heads and lists, the need is at most this */

    need = binarize_store_size_blocks(size);
    need += need / 32 + 4;

    binarize_store_stats(model->store, &stats);
    model_assert(stats.nfree_blocks + stats.nevictable_blocks < need);
}


static void
model_reserve(model_t *model)
{
    int              rc;
    unsigned         tries;
    uint64_t         size;
    unsigned char    key[BINARIZE_STORE_KEY_SIZE];
    model_object_t  *object;

    if (model_count(model, BINARIZE_STORE_BUILDING) >= MODEL_BUILDS) {
        return;
    }

    object = model_new(model);
    object->key = model_random(model) % MODEL_KEYS;
    object->kind = model_random(model) % 5;

    if (object->kind >= BINARIZE_STORE_NKINDS) {
        object->kind = BINARIZE_STORE_RESULT;
    }

    object->owner = model_slots[model_random(model) % MODEL_SLOTS];
    object->seed = ++model->seed;
    object->payload_size = 0;
    object->doc_size = 0;
    object->pins = 0;
    object->published = 0;

    size = model_size(model);
    model_key(object->key, key);

    for (tries = 0; /* void */ ; tries++) {
        rc = binarize_store_reserve(model->store, key, object->kind, size,
                                    object->owner, model->now_ms,
                                    &object->entry);
        if (rc != BINARIZE_AGAIN) {
            break;
        }

        model->nagain++;
        model_assert(tries < 1000);
        model_sync(model);
    }

    model_assert((rc == BINARIZE_DECLINED)
                 == (size > binarize_store_max_size(model->store)));

    if (rc == BINARIZE_OK) {
        object->state = BINARIZE_STORE_BUILDING;
        object->ref = model_ref(model->store, object->entry);

    } else if (rc == BINARIZE_FULL) {
        model_full(model, size ? size : model->size / 64);

    } else {
        model_assert(rc == BINARIZE_DECLINED);
    }

    model_sync(model);
}


/* as a fetch does: writes where there is room, grows where there is none */

static int
model_write(model_t *model, model_object_t *object, uint64_t size)
{
    int             rc;
    size_t          i, room;
    unsigned        tries;
    unsigned char  *data;

    tries = 0;

    while (size) {

        data = binarize_store_room(model->store, object->entry,
                                   object->payload_size, &room);

        if (room == 0) {
            rc = binarize_store_grow(model->store, object->entry,
                                     object->payload_size + 1, model->now_ms);
            model_sync(model);

            if (rc == BINARIZE_AGAIN) {
                model->nagain++;
                model_assert(tries++ < 1000);
                continue;
            }

            if (rc == BINARIZE_FULL) {
                model_full(model, 1);
            }

            if (rc != BINARIZE_OK) {
                return rc;
            }

            continue;
        }

        for (i = 0; i < room && size; i++, size--) {
            data[i] = model_byte(object->seed, object->payload_size++);
        }
    }

    return BINARIZE_OK;
}


static void
model_abort(model_t *model, model_object_t *object)
{
    binarize_store_abort(model->store, object->entry);
    model_orphan(model, object);
    model_sync(model);
}


static void
model_grow(model_t *model)
{
    int                     rc;
    uint64_t                max, size;
    model_object_t         *object;
    binarize_store_stats_t  stats;

    object = model_pick(model, BINARIZE_STORE_BUILDING, 0,
                        model_random(model));
    size = model_size(model);

    if (object == NULL) {
        return;
    }

    max = binarize_store_max_size(model->store);
    rc = model_write(model, object, size);

    if (rc == BINARIZE_DECLINED) {

        /* nobody is evicted for what may still become too large */

        binarize_store_stats(model->store, &stats);
        model_assert(object->payload_size + 1 > max
                     || stats.nfree_blocks
                        <= 3 + binarize_store_claim_room(model->store));
        model->nfull++;
    }

    if (size % 8 == 0) {
        model_assert(binarize_store_pin(model->store, object->entry,
                                        model_slots[3])
                     == BINARIZE_OK);
        object->pins |= 1u << 3;
    }

    if (rc != BINARIZE_OK || size % 16 == 1) {
        model_abort(model, object);
    }
}


static void
model_publish(model_t *model)
{
    int                    rc;
    size_t                 doc_size, i;
    unsigned               slot, tries;
    unsigned char         *doc;
    model_object_t        *object, *old;
    binarize_store_meta_t  meta;

    object = model_pick(model, BINARIZE_STORE_BUILDING, 0,
                        model_random(model));
    doc_size = model_random(model) % 3 ? model_random(model) % 300
                                       : model_size(model) % 65537;
    slot = model_random(model) % (4 * MODEL_SLOTS);

    if (object == NULL) {
        return;
    }

    for (tries = 0; /* void */ ; tries++) {
        rc = binarize_store_finish(model->store, object->entry,
                                   object->payload_size, doc_size,
                                   model->now_ms);
        model_sync(model);

        if (rc != BINARIZE_AGAIN) {
            break;
        }

        model->nagain++;
        model_assert(tries < 1000);
    }

    if (rc != BINARIZE_OK) {

        if (rc == BINARIZE_FULL) {
            model_full(model, object->payload_size + doc_size);

        } else {
            model_assert(rc == BINARIZE_DECLINED);
            model_assert(object->payload_size + doc_size
                         > binarize_store_max_size(model->store));
        }

        model_abort(model, object);
        return;
    }

    doc = malloc(doc_size + 1);
    model_assert(doc != NULL);

    for (i = 0; i < doc_size; i++) {
        doc[i] = model_byte(object->seed + 1, i);
    }

    binarize_store_write_doc(model->store, object->entry, doc);
    object->doc_size = doc_size;

    free(doc);

    if (slot < MODEL_SLOTS) {
        model_assert(binarize_store_pin(model->store, object->entry,
                                        model_slots[slot])
                     == BINARIZE_OK);
        object->pins |= 1u << slot;
    }

    model_meta(model, object, &meta);

    old = model_find(model, object->key);

    binarize_store_publish(model->store, object->entry, &meta);
    object->state = BINARIZE_STORE_LIVE;
    object->published = 1;

    if (old) {
        model_orphan(model, old);
    }

    model_sync(model);

    model_assert(object->state == BINARIZE_STORE_LIVE);
    model_verify(model, object);
}


static void
model_put(model_t *model)
{
    int                     rc;
    size_t                  doc_size, i;
    unsigned                tries;
    unsigned char           key[BINARIZE_STORE_KEY_SIZE], *doc;
    uint64_t                replaced;
    model_object_t         *object, *old;
    binarize_store_meta_t   meta;
    binarize_store_stats_t  stats;

    object = model_new(model);
    object->key = model_random(model) % MODEL_KEYS;
    object->kind = 1 + model_random(model) % 2;
    object->seed = ++model->seed;
    object->payload_size = 0;
    object->pins = 0;
    object->published = 1;

    doc_size = model_random(model) % 4 ? model_random(model) % 300
                                       : model_size(model) % 65537;
    object->doc_size = doc_size;

    doc = malloc(doc_size + 1);
    model_assert(doc != NULL);

    for (i = 0; i < doc_size; i++) {
        doc[i] = model_byte(object->seed + 1, i);
    }

    model_meta(model, object, &meta);
    model_key(object->key, key);

    for (tries = 0; /* void */ ; tries++) {

        old = model_find(model, object->key);

        binarize_store_stats(model->store, &stats);
        replaced = stats.replaced;

        rc = binarize_store_put(model->store, key, object->kind, doc,
                                doc_size, &meta, 5, model->now_ms,
                                &object->entry);
        if (rc != BINARIZE_AGAIN) {
            break;
        }

        model->nagain++;
        model_assert(tries < 1000);
        model_sync(model);
    }

    free(doc);

    /* a result is replaced by a result only */

    model_assert((rc == BINARIZE_EXISTS)
                 == (old && old->kind == BINARIZE_STORE_RESULT
                     && model->now_ms < old->expires_ms));

    if (rc == BINARIZE_EXISTS) {
        model_assert(object->entry == old->entry);

    } else if (rc == BINARIZE_OK) {
        object->state = BINARIZE_STORE_LIVE;
        object->ref = model_ref(model->store, object->entry);

        /* the older one was evicted to make room, or replaced */

        binarize_store_stats(model->store, &stats);

        if (stats.replaced != replaced) {
            model_assert(old != NULL);
            model_orphan(model, old);
        }

    } else if (rc == BINARIZE_FULL) {
        model_full(model, doc_size);

    } else {
        model_assert(rc == BINARIZE_DECLINED);
    }

    model_sync(model);

    if (rc == BINARIZE_OK) {
        model_verify(model, object);
    }
}


static void
model_lookup(model_t *model)
{
    unsigned                 slot;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    model_object_t          *object;
    binarize_store_entry_t  *entry;

    object = model_find(model, model_random(model) % MODEL_KEYS);
    slot = model_random(model) % (2 * MODEL_SLOTS);

    if (object == NULL) {
        model_key(MODEL_KEYS + 1, key);
        model_assert(binarize_store_lookup(model->store, key, model->now_ms)
                     == NULL);
        return;
    }

    model_key(object->key, key);

    entry = binarize_store_peek(model->store, key);
    model_assert(entry == object->entry);
    model_verify(model, object);

    entry = binarize_store_lookup(model->store, key, model->now_ms);

    if (model->now_ms >= object->expires_ms) {
        model_assert(entry == NULL);
        model_sync(model);
        return;
    }

    model_assert(entry == object->entry);

    if (slot < MODEL_SLOTS && model_count_pinned(model) < MODEL_PINS) {
        model_assert(binarize_store_pin(model->store, entry,
                                        model_slots[slot])
                     == BINARIZE_OK);
        object->pins |= 1u << slot;
    }

    model_sync(model);
}


static void
model_drop_pin(model_t *model, model_object_t *object, unsigned slot)
{
    object->pins &= ~(1u << slot);

    if (object->pins == 0 && object->state == BINARIZE_STORE_ZOMBIE) {
        object->state = BINARIZE_STORE_FREE;
        model_assert(model_get(model->store, object->ref) == NULL);
    }
}


static void
model_unpin(model_t *model)
{
    unsigned         slot;
    model_object_t  *object;

    object = model_pick(model, 0, 1, model_random(model));

    if (object == NULL) {
        return;
    }

    /* zombies were read by slow clients all the time */

    model_verify(model, object);

    slot = __builtin_ctz(object->pins);

    model_assert(binarize_store_unpin(model->store, object->entry,
                                      model_slots[slot])
                 == BINARIZE_OK);
    model_drop_pin(model, object, slot);
    model_sync(model);
}


static void
model_remove(model_t *model)
{
    int              rc;
    unsigned         i;
    unsigned char    key[BINARIZE_STORE_KEY_SIZE];
    model_object_t  *object;

    i = model_random(model) % MODEL_KEYS;
    object = model_find(model, i);
    model_key(i, key);

    rc = binarize_store_remove(model->store, key);
    model_assert(rc == (object ? BINARIZE_OK : BINARIZE_DECLINED));

    if (object) {
        model_orphan(model, object);
    }

    model_sync(model);
}


/* the slot's claims are orphans, and no pin of it is left if it has gone */

static void
model_orphan_claims(model_t *model, unsigned slot, int gone,
    const uint64_t slots[BINARIZE_STORE_SLOTS / 64])
{
    unsigned        i, n, pins;
    model_claim_t  *claim;

    for (i = 0, pins = 0; i < MODEL_KEYS; i++) {
        claim = &model->claims[i];

        if (claim->nowners && claim->owner == slot) {
            claim->epoch = 0;
        }

        if (claim->nowners && claim->epoch == 0) {
            pins |= claim->pins;
        }

        if (gone) {
            claim->pins &= ~(1u << slot);
        }

        if (claim->pins == 0) {
            claim->until_ms = 0;
            claim->nowners = claim->epoch ? claim->nowners : 0;
        }
    }

    /* all who follow an orphan are named, and nobody else */

    for (i = 0, n = 0; i < MODEL_SLOTS; i++) {
        model_assert((slots[model_slots[i] / 64] >> (model_slots[i] % 64) & 1)
                     == (pins >> i & 1));
        n += pins >> i & 1;
    }

    for (i = 0; i < BINARIZE_STORE_SLOTS / 64; i++) {
        n -= __builtin_popcountll(slots[i]);
    }

    model_assert(n == 0);

    model->epochs[slot] = ++model->epoch;
}


static void
model_take_claim(model_t *model, model_claim_t *claim, unsigned slot,
    const unsigned char *key)
{
    int                      rc;
    binarize_store_stats_t   stats;
    binarize_store_entry_t  *entry;

    rc = binarize_claim_take(model->store, key, model_slots[slot],
                             model->epochs[slot], &entry);

    if (rc == BINARIZE_FULL) {
        binarize_store_stats(model->store, &stats);
        model_assert(claim->nowners == 0);
        model_assert(stats.nfree_blocks == 0
                     || stats.nclaims >= stats.nblocks / 8);
        return;
    }

    model_assert((rc == BINARIZE_OK)
                 == (claim->nowners == 0 || claim->epoch == 0
                     || claim->epoch == model->epochs[slot]));
    model_assert(entry == binarize_claim_find(model->store, key));

    if (rc != BINARIZE_OK) {
        model_assert(rc == BINARIZE_DECLINED);
        return;
    }

    if (claim->epoch == 0 || claim->nowners == 0) {
        claim->pins &= ~(1u << slot);
        claim->until_ms = claim->pins ? claim->until_ms : 0;
        claim->owner = slot;
        claim->epoch = model->epochs[slot];
        claim->nowners++;
    }
}


static void
model_leave_claim(model_t *model, model_claim_t *claim, unsigned slot,
    const unsigned char *key)
{
    unsigned                 pins;
    binarize_store_entry_t  *left;

    pins = claim->pins;
    left = binarize_claim_leave(model->store, key, model_slots[slot]);

    claim->pins &= ~(1u << slot);

    if (pins == claim->pins || claim->pins) {
        model_assert(left == NULL);
        return;
    }

    claim->until_ms = 0;

    if (claim->epoch) {
        model_assert(left == binarize_claim_find(model->store, key));
        return;
    }

    model_assert(left == NULL);
    claim->nowners = 0;
}


static void
model_claim(model_t *model)
{
    uint32_t                 n;
    uint64_t                 slots[BINARIZE_STORE_SLOTS / 64] = { 0 };
    unsigned                 slot;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    model_claim_t           *claim;
    binarize_store_entry_t  *own;

    n = model_random(model);
    slot = model_random(model) % MODEL_SLOTS;

    /* few keys, so that they meet; and all, until there is no room */

    n = n % 32 | (n & 0x1000 ? n >> 16 << 5 : n >> 16 << 5 & 0x40);
    claim = &model->claims[(n >> 5) % MODEL_KEYS];

    model_key((n >> 5) % MODEL_KEYS, key);

    if (model->epochs[slot] == 0) {
        model->epochs[slot] = ++model->epoch;
    }

    own = binarize_claim_find_own(model->store, key, model_slots[slot],
                                  model->epochs[slot]);
    model_assert((own != NULL)
                 == (claim->nowners && claim->owner == slot && claim->epoch));

    if (n % 32 < 14) {
        model_take_claim(model, claim, slot, key);

    } else if (n % 32 < 22 && claim->nowners && own == NULL) {
        binarize_claim_follow(model->store,
                              binarize_claim_find(model->store, key),
                              model_slots[slot], n);
        claim->pins |= 1u << slot;
        claim->until_ms = n > claim->until_ms ? n : claim->until_ms;

    } else if (n % 32 < 26) {
        model_leave_claim(model, claim, slot, key);

    } else if (n % 32 < 31 && own) {
        binarize_claim_release(model->store, own);
        memset(claim, 0, sizeof(*claim));

    } else if (n % 32 == 31) {
        binarize_claim_orphan_all(model->store, model_slots[slot], slots);
        model_orphan_claims(model, slot, 0, slots);
    }

    model_sync(model);
}


static void
model_release_slot(model_t *model)
{
    uint64_t         slots[BINARIZE_STORE_SLOTS / 64] = { 0 };
    unsigned         i, slot;
    model_object_t  *object;

    slot = model_random(model) % MODEL_SLOTS;

    binarize_store_release_slot(model->store, model_slots[slot], slots);
    model_orphan_claims(model, slot, 1, slots);

    for (i = 0; i < MODEL_OBJECTS; i++) {
        object = &model->objects[i];

        if (object->pins & (1u << slot)) {

            if (object->state == BINARIZE_STORE_BUILDING
                && object->owner == model_slots[slot])
            {
                object->state = BINARIZE_STORE_ZOMBIE;
            }

            model_drop_pin(model, object, slot);
        }

        if (object->state == BINARIZE_STORE_BUILDING
            && object->owner == model_slots[slot])
        {
            model_orphan(model, object);
        }
    }

    model_sync(model);
}


/* what is derived is destroyed, as if somebody had died changing it */

static void
model_crash(model_t *model)
{
    unsigned                 i;
    uint32_t                 n;
    unsigned char           *map, key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_t        *store;
    binarize_store_entry_t  *claim;

    store = model->store;
    map = binarize_store_map(store);

    n = model_random(model);

    for (i = 0; i < MODEL_KEYS; i++) {
        model_key(i, key);
        claim = model->claims[i].nowners ? binarize_claim_find(store, key)
                                         : NULL;

        if (claim && (n >> (i % 23)) & 1) {
            claim->npinned ^= n & 1;
            claim->newer = n;
            claim->older = n;
            claim->nblocks = n;
        }
    }

    store->dirty = 1;
    store->newest_claim = n;
    store->stats.nclaims = n;

    for (i = 1; i <= store->nblocks; i++) {

        if (map[i] != BINARIZE_STORE_MAP_HEAD && (n >> (i % 29)) & 1) {
            map[i] ^= 1;
        }
    }

    for (i = 0; i <= store->bucket_mask; i++) {

        if ((n >> (i % 31)) & 1) {
            ((uint32_t *) ((uintptr_t) store + store->buckets_offset))[i] = n;
        }
    }

    memset(store->queues, n & 0xff, sizeof(store->queues));
    memset(store->classes, n & 0xff, sizeof(store->classes));
    memset(store->class_bits, n & 0xff, sizeof(store->class_bits));
    memset(store->holds, n & 0xff, sizeof(store->holds));

    store->stats.nfree_blocks = n;
    store->stats.nbuilding_blocks = n;
    store->stats.nevictable_blocks = n;
    memset(store->stats.kinds, n & 0xff, sizeof(store->stats.kinds));

    for (i = 0; i < MODEL_OBJECTS; i++) {

        if (model->objects[i].state != BINARIZE_STORE_FREE) {
            model->objects[i].entry->npinned ^= n & 1;
            model->objects[i].entry->newer = n;
            model->objects[i].entry->older = n;
            model->objects[i].entry->chain = n;
            model->objects[i].entry->nblocks = n;
        }
    }

    model_assert(store->dirty);

    /* any locked call will do */

    model_assert(binarize_store_remove(store, (const unsigned char *)
                                       "................................")
                 == BINARIZE_DECLINED);

    model_assert(!store->dirty);
    model_sync(model);
}


static void
model_reload(model_t *model)
{
    unsigned           attached;
    binarize_store_t  *store;

    model_assert(binarize_store_init(model->memory, model->size, &store,
                                     &attached)
                 == BINARIZE_OK);
    model_assert(attached == 1);
    model_assert(store == model->store);
    model_sync(model);
}


static void
model_step(model_t *model)
{
    unsigned  i;

    switch (model_random(model) % 40) {

    case 0: case 1: case 2: case 3: case 4: case 5:
        model_reserve(model);
        break;

    case 6: case 7: case 8: case 9:
        model_grow(model);
        break;

    case 10: case 11: case 12: case 13: case 14: case 15:
        model_publish(model);
        break;

    case 16: case 17: case 18:
        model_put(model);
        break;

    case 19: case 20: case 21: case 22: case 23:
        model_lookup(model);
        break;

    case 24: case 25:
        model_unpin(model);
        break;

    case 26:
        model_remove(model);
        break;

    case 27:
        model_release_slot(model);
        break;

    case 28:
        model_reload(model);
        break;

    case 29: case 30:
        model->now_ms += model_random(model) % 1000;
        break;

    case 31:
        model_crash(model);

        for (i = 0; i < MODEL_OBJECTS; i++) {

            if (model->objects[i].state != BINARIZE_STORE_FREE) {
                model_verify(model, &model->objects[i]);
            }
        }

        break;

    default:
        model_claim(model);
    }
}


#endif /* _STORE_MODEL_H_INCLUDED_ */
