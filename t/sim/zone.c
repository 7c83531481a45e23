
#include "sim.h"
#include "store_private.h"


static void sim_pin(sim_worker_t *worker, binarize_store_entry_t *entry);
static void sim_unpin(sim_worker_t *worker, binarize_store_entry_t *entry);


void
sim_zone_init(sim_zone_t *zone)
{
    unsigned                  attached;
    binarize_budget_limits_t  limits;

    if (binarize_store_init(zone->memory, BINARIZE_STORE_MIN_SIZE,
                            &zone->store, &attached)
        != BINARIZE_OK)
    {
        abort();
    }

    zone->version = 1;

    sim_limits(&limits);

    binarize_budget_init(&zone->spent, &limits, sim->now_ms * 1000);
}


void
sim_limits(binarize_budget_limits_t *limits)
{
    memset(limits, 0, sizeof(*limits));

    limits->rate = sim->conf.rate;
    limits->burst = sim->conf.burst;
    limits->concurrency = sim->conf.concurrency;
    limits->quota = sim->conf.quota;
}


void
sim_key(uint32_t id, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    uint32_t  i;
    uint64_t  word;

    for (i = 0; i < BINARIZE_STORE_KEY_SIZE / sizeof(word); i++) {
        word = sim_mix(id * 4 + i);
        memcpy(key + i * sizeof(word), &word, sizeof(word));
    }
}


/* what the zone knows goes into the hand */

binarize_store_entry_t *
sim_find(sim_worker_t *worker, uint32_t id, sim_hand_t *hand)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_span_t          piece;
    binarize_store_entry_t  *entry;

    sim_key(id, key);

    entry = binarize_store_lookup(sim_zone(worker)->store, key, sim->now_ms);
    if (entry == NULL) {
        return NULL;
    }

    sim_drop(worker, hand);

    hand->id = entry->meta.flags;
    hand->until_ms = entry->meta.expires_ms;
    hand->repeat = entry->meta.repeat;

    switch (entry->kind) {

    case BINARIZE_STORE_RESULT:
        sim_pin(worker, entry);

        hand->kind = SIM_RESULT;
        hand->entry = entry;

        binarize_store_payload(sim_zone(worker)->store, entry, 0,
                               sizeof(hand->id), &piece, 1);
        memcpy(&hand->id, piece.data, sizeof(hand->id));
        break;

    case BINARIZE_STORE_PENDING:
        hand->kind = SIM_PENDING;
        break;

    default:
        hand->kind = SIM_NEGATIVE;
    }

    return entry;
}


void
sim_hold(sim_worker_t *worker, sim_hand_t *to, const sim_hand_t *from)
{
    *to = *from;

    if (to->entry) {
        sim_pin(worker, to->entry);
    }
}


void
sim_drop(sim_worker_t *worker, sim_hand_t *hand)
{
    if (hand->entry) {
        sim_unpin(worker, hand->entry);
    }

    memset(hand, 0, sizeof(*hand));
}


/* pins do not nest: a process counts its own */

static void
sim_pin(sim_worker_t *worker, binarize_store_entry_t *entry)
{
    uint32_t  i;

    for (i = 0; i < worker->npins; i++) {
        if (worker->pins[i].entry == entry) {
            worker->pins[i].nuses++;
            return;
        }
    }

    if (i == SIM_NIDS) {
        sim_fail("no room for pins");
    }

    worker->pins[i].entry = entry;
    worker->pins[i].nuses = 1;
    worker->npins++;

    binarize_store_pin(sim_zone(worker)->store, entry, worker->slot);
}


static void
sim_unpin(sim_worker_t *worker, binarize_store_entry_t *entry)
{
    uint32_t  i;

    for (i = 0; worker->pins[i].entry != entry; i++) {
        if (i == worker->npins) {
            sim_fail("a pin is given back twice");
        }
    }

    if (--worker->pins[i].nuses) {
        return;
    }

    worker->pins[i] = worker->pins[--worker->npins];

    if (binarize_store_unpin(sim_zone(worker)->store, entry, worker->slot)
        != BINARIZE_OK)
    {
        sim_fail("a pin is gone");
    }
}


/* 0: the zone has no room, and the result stays where it is */

int
sim_keep_result(sim_worker_t *worker, sim_hand_t *hand)
{
    int                      rc;
    size_t                   size, offset;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE], *room;
    binarize_store_t        *store;
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *entry;

    store = sim_zone(worker)->store;
    sim_key(hand->id, key);

    do {
        rc = binarize_store_reserve(store, key, BINARIZE_STORE_RESULT,
                                    sim->conf.size, worker->slot, sim->now_ms,
                                    &entry);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        return 0;
    }

    for (offset = 0; offset < sim->conf.size; offset += size) {
        room = binarize_store_room(store, entry, offset, &size);

        if (offset == 0) {
            memcpy(room, &hand->id, sizeof(hand->id));
        }
    }

    do {
        rc = binarize_store_finish(store, entry, sim->conf.size, 0,
                                   sim->now_ms);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK) {
        binarize_store_abort(store, entry);
        return 0;
    }

    memset(&meta, 0, sizeof(meta));
    meta.expires_ms = hand->until_ms;

    sim_check_kept(worker, hand->id, SIM_RESULT);

    binarize_store_publish(store, entry, &meta);
    sim_zone(worker)->version++;

    sim_pin(worker, entry);
    hand->entry = entry;

    return 1;
}


/* a result stays where there is one, and is what is in hand then */

int
sim_keep_state(sim_worker_t *worker, uint32_t id, sim_hand_t *hand)
{
    int                      rc;
    sim_hand_t               there;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_meta_t    meta;

    memset(&there, 0, sizeof(there));

    if (sim_find(worker, id, &there) && there.kind == SIM_RESULT
        && sim_fault != SIM_RESULT_REPLACED)
    {
        sim_drop(worker, hand);
        *hand = there;
        return 0;
    }

    sim_drop(worker, &there);
    sim_check_kept(worker, id, hand->kind);

    memset(&meta, 0, sizeof(meta));

    meta.expires_ms = hand->until_ms;
    meta.forget_ms = hand->until_ms + SIM_POLL_MAX_MS;
    meta.repeat = hand->repeat;
    meta.flags = hand->id;

    sim_key(id, key);

    do {
        rc = binarize_store_put(sim_zone(worker)->store, key,
                                hand->kind == SIM_PENDING
                                ? BINARIZE_STORE_PENDING
                                : BINARIZE_STORE_NEGATIVE,
                                NULL, 0, &meta, worker->slot, sim->now_ms,
                                NULL);
    } while (rc == BINARIZE_AGAIN);

    sim_zone(worker)->version++;

    return 1;
}


/* whosever it is, or NULL */

binarize_store_entry_t *
sim_claim(sim_zone_t *zone, uint32_t id)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    sim_key(id, key);

    return binarize_claim_find(zone->store, key);
}


/* NULL: it is not ours, or not any more */

binarize_store_entry_t *
sim_claim_own(sim_flight_t *f)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    if (f->epoch == 0) {
        return NULL;
    }

    sim_key(f->id, key);

    return binarize_claim_find_own(sim_zone(sim_worker(f))->store, key,
                                   sim_worker(f)->slot, f->epoch);
}


/* BINARIZE_OK: it is ours; _DECLINED: another's, and followed; _FULL */

int
sim_claim_take(sim_flight_t *f)
{
    int                      rc;
    uint32_t                 id, n;
    sim_zone_t              *zone;
    sim_worker_t            *worker;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *claim;

    worker = sim_worker(f);
    zone = sim_zone(worker);

    for (id = 0, n = 0; id < sim->conf.nids; id++) {
        n += sim_claim(zone, id) != NULL;
    }

    if (n >= sim->conf.nclaims && sim_claim(zone, f->id) == NULL) {
        return BINARIZE_FULL;
    }

    (void) sim_live_on(worker);

    sim_key(f->id, key);

    rc = binarize_claim_take(zone->store, key, worker->slot, worker->epoch,
                             &claim);

    if (rc == BINARIZE_DECLINED) {
        binarize_claim_follow(zone->store, claim, worker->slot,
                              f->flight.until_ms);
        f->follows = 1;
        f->epoch = 0;

        return rc;
    }

    sim_claim_leave(f);

    if (rc == BINARIZE_OK) {

        if (f->epoch != worker->epoch) {
            zone->version++;
        }

        f->epoch = worker->epoch;
        claim->claim.turn_ms = 0;
    }

    return rc;
}


/*
 * Who followed is woken; also by a late leader, whose claim is lost, as it
 * may have landed what they wait for.
 */

void
sim_claim_release(sim_flight_t *f)
{
    uint64_t                 slots;
    sim_zone_t              *zone;
    binarize_store_entry_t  *claim;

    zone = sim_zone(sim_worker(f));
    claim = sim_claim(zone, f->id);

    if (f->epoch && claim) {
        slots = claim->pins[0];

        if (sim_fault == SIM_LOST_WAKE) {
            slots &= -slots;
        }

        sim_wake(zone, slots, 1ULL << f->id);
    }

    claim = sim_claim_own(f);

    if (claim) {
        binarize_claim_release(zone->store, claim);
        zone->version++;
    }

    f->epoch = 0;
}


/* a leader that only waits for others has to know */

void
sim_claim_leave(sim_flight_t *f)
{
    sim_zone_t              *zone;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *claim;

    if (!f->follows) {
        return;
    }

    f->follows = 0;

    zone = sim_zone(sim_worker(f));
    sim_key(f->id, key);

    claim = binarize_claim_leave(zone->store, key, sim_worker(f)->slot);

    if (claim) {
        sim_wake(zone, 1ULL << claim->owner, 1ULL << f->id);
    }
}


/* no ids: for the budget's sake */

void
sim_wake(sim_zone_t *zone, uint64_t slots, uint64_t ids)
{
    uint32_t       slot;
    sim_worker_t  *worker;

    for (slot = 0; slot < sim->conf.nworkers; slot++) {

        worker = sim_slot(zone, slot);

        if (!(slots & (1ULL << slot)) || worker->pid == 0) {
            continue;
        }

        worker->woken_ids |= ids;
        worker->woken_budget |= (ids == 0);

        if (!worker->woken) {
            worker->woken = 1;
            sim->nwakes++;
            sim_push(SIM_WAKE, sim->now_ms + sim_below(2), worker->number, 0,
                     0);
        }
    }
}


void
sim_on_wake(sim_worker_t *worker)
{
    uint32_t       id;
    uint64_t       ids;
    unsigned       token;
    sim_flight_t  *f;

    /* before it is looked at what there is */

    ids = worker->woken_ids;
    token = worker->woken_token;
    worker->budget_posted |= worker->woken_budget;

    worker->woken = 0;
    worker->woken_ids = 0;
    worker->woken_token = 0;
    worker->woken_budget = 0;

    for (id = 0; id < sim->conf.nids; id++) {

        if (worker->flights[id] == SIM_NONE) {
            continue;
        }

        f = &sim->flights[worker->flights[id]];

        if (token && f->token_waits) {
            f->token_waits = 0;
            sim_post(f);
        }

        if (ids & (1ULL << id)) {

            if (f->follows) {
                /* something new, also to one that has just looked */
                f->looked_turn = 0;
                sim_post(f);

            } else if (sim_claim_own(f)) {
                sim_send(f, BINARIZE_FLIGHT_LEFT, 0);
            }
        }
    }
}


/* it may only have been stalled: what it follows, builds or has pinned stays */

void
sim_declare_dead(sim_zone_t *zone, uint32_t slot)
{
    int       gone;
    uint64_t  slots[BINARIZE_STORE_SLOTS / 64];

    gone = (sim_slot(zone, slot)->pid == 0);

    memset(slots, 0, sizeof(slots));

    if (gone) {
        binarize_store_release_slot(zone->store, slot, slots);
        binarize_process_end(&zone->processes[slot]);

    } else {
        binarize_claim_orphan_all(zone->store, slot, slots);
        binarize_process_declare_dead(&zone->processes[slot]);
    }

    zone->version++;

    if (slots[0]) {
        sim_wake(zone, slots[0], UINT64_MAX);
    }

    /* its token call is not waited for */

    sim_token_wake(zone);
}


void
sim_purge(sim_zone_t *zone, uint32_t id)
{
    sim_evict(zone, id);
    zone->purges[id]++;
}


void
sim_evict(sim_zone_t *zone, uint32_t id)
{
    unsigned char  key[BINARIZE_STORE_KEY_SIZE];

    sim_key(id, key);
    (void) binarize_store_remove(zone->store, key);

    zone->version++;
}


/* one was killed inside a change */

void
sim_recover(sim_zone_t *zone)
{
    uint32_t                 id;
    binarize_store_entry_t  *claim;

    zone->store->dirty = 1;
    binarize_store_recover(zone->store);

    for (id = 0; id < sim->conf.nids && sim_fault == SIM_CLAIM_LOST; id++) {
        claim = sim_claim(zone, id);

        if (claim) {
            binarize_claim_release(zone->store, claim);
        }
    }
}


/* 1 if it had been declared dead */

int
sim_live_on(sim_worker_t *worker)
{
    binarize_process_t  *process;

    process = &sim_zone(worker)->processes[worker->slot];

    if (binarize_process_lives(process, worker->epoch)) {
        return 0;
    }

    worker->epoch = binarize_process_begin(process, worker->pid);

    return 1;
}


void
sim_on_beat(sim_worker_t *worker)
{
    uint32_t                  slot;
    sim_zone_t               *zone;
    binarize_process_t       *process;
    binarize_process_state_e  state;

    zone = sim_zone(worker);
    process = &zone->processes[worker->slot];

    if (!sim_live_on(worker)) {
        process->beat++;
    }

    for (slot = 0; slot < sim->conf.nworkers; slot++) {

        if (slot == worker->slot) {
            continue;
        }

        state = binarize_process_look(&zone->processes[slot],
                                      &worker->seen[slot], process->beat);

        if (state != BINARIZE_PROCESS_NONE && sim_slot(zone, slot)->pid == 0) {
            state = BINARIZE_PROCESS_DEAD;
        }

        if (state == BINARIZE_PROCESS_DEAD) {
            sim_trace("n%u w%u  finds w%u dead", worker->node, worker->slot,
                      slot);
            sim_declare_dead(zone, slot);
        }
    }

    sim_push(SIM_BEAT, sim->now_ms + SIM_BEAT_MS, worker->number, 0, 0);
}
