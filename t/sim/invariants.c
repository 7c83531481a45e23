
#include <stdarg.h>

#include "sim.h"


jmp_buf  sim_failed;
char     sim_failure[512];


void
sim_fail(const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(sim_failure, sizeof(sim_failure), format, args);
    va_end(args);

    sim_trace("FAILED: %s", sim_failure);

    longjmp(sim_failed, 1);
}


/* who shares a Redis makes a call once, else each node */

sim_known_t *
sim_known(sim_worker_t *worker, uint32_t id)
{
    return &sim->known[(sim->conf.redis ? 0 : worker->node) * sim->conf.nids
                       + id];
}


/* an accident may cost so many calls more, of each who would make them */

void
sim_allow(uint32_t id, uint32_t ncalls)
{
    uint32_t  i;

    for (i = 0; i < sim->conf.nnodes; i++) {
        sim->known[i * sim->conf.nids + id].nallowed += ncalls;
    }
}


void
sim_check_flight(const sim_flight_t *f)
{
    if (f->serial == 0) {
        sim_fail("a flight is used that has been freed");
    }

    if (f->flight.state >= BINARIZE_FLIGHT_NSTATES) {
        sim_fail("a flight is in no state");
    }
}


/* what has come and the time meet: that is one look */

void
sim_check_look(sim_flight_t *f, binarize_flight_event_e kind)
{
    sim_zone_t  *zone;

    zone = sim_zone(sim_worker(f));

    /* the clock does not go on within a turn */

    if (kind != BINARIZE_FLIGHT_FOUND && f->looked_turn == sim->turn + 1
        && f->looked_ms == sim->now_ms && f->version == zone->version)
    {
        sim_fail("a flight looks twice in a turn of the event loop");
    }

    f->looked_turn = sim->turn + 1;
    f->looked_ms = sim->now_ms;
    f->version = zone->version;
}


/*
 * A call is one too many that is made while another is in the air, after the
 * result was given, or before the next poll is due, so far as others can know
 * it.
 */

int
sim_check_call(sim_flight_t *f)
{
    uint32_t                  i;
    sim_zone_t               *zone;
    sim_hand_t                hand;
    const char               *reason;
    sim_known_t              *known;
    sim_client_t             *client;
    sim_worker_t             *worker;
    binarize_budget_limits_t  limits;

    worker = sim_worker(f);
    zone = sim_zone(worker);

    sim_check_flight(f);

    if (sim_claim_own(f) == NULL) {
        sim_fail("a call without the claim");
    }

    if (f->bearer == 0) {
        sim_fail("a call without a token");
    }

    if (zone->token.pause_ms > sim->now_ms) {
        sim_fail("a call in a pause");
    }

    for (i = 0; i < sim->conf.nclients; i++) {
        client = &sim->clients[i];

        if (client->state == SIM_CLIENT_WAITS && client->id == f->id
            && sim->workers[client->worker].node == worker->node)
        {
            break;
        }
    }

    if (i == sim->conf.nclients
        && !(sim_claim_own(f)->pins[0] & sim_gone(zone)))
    {
        sim_fail("a call for nobody");
    }

    /* a turn that one had who has been declared dead may be another's, too */

    if (sim->conf.concurrency && f->turn_epoch == worker->epoch
        && sim_calls_of(zone) >= sim->conf.concurrency)
    {
        sim_fail("more calls at a time than %u", sim->conf.concurrency);
    }

    sim_limits(&limits);

    if (binarize_budget_take(&zone->spent, &limits, sim->now_ms * 1000,
                             sim->now_ms / 1000)
        != BINARIZE_OK)
    {
        /* a turn may be used some time after it was given */

        if (binarize_budget_wait_us(&zone->spent, &limits, 0,
                                    sim->now_ms * 1000, sim->now_ms / 1000)
            > 1000 * sim->slack_ms + 500000)
        {
            sim_fail("more calls than rate or quota");
        }
    }

    known = sim_known(worker, f->id);
    memset(&hand, 0, sizeof(hand));

    reason = known->in_air ? "one is in the air"
             : known->given ? "the result was given"
             : known->due_ms > sim->now_ms ? "no poll is due"
             : sim_find(worker, f->id, &hand) ? "the answer is in the zone"
             : NULL;

    sim_drop(worker, &hand);

    if (reason == NULL) {
        return 0;
    }

    sim_calls_write_off(f->id);

    if (++known->nexcess > known->nallowed) {
        sim_fail("a call too many: %s", reason);
    }

    return 1;
}


/* workers that are gone and have not been missed yet */

uint64_t
sim_gone(sim_zone_t *zone)
{
    uint32_t  slot;
    uint64_t  gone;

    gone = 0;

    for (slot = 0; slot < sim->conf.nworkers; slot++) {
        if (sim_slot(zone, slot)->pid == 0) {
            gone |= 1ULL << slot;
        }
    }

    return gone;
}


void
sim_check_answer(sim_client_t *client)
{
    if (client->hand.kind == SIM_NOTHING) {

        if (!sim->workers[client->worker].stopped) {
            sim_fail("client %u is answered by nothing", client->number);
        }

        return;
    }

    if (client->hand.id != client->id) {
        sim_fail("client %u is answered by what is another id's",
                 client->number);
    }

    if (client->hand.kind == SIM_PENDING
        && client->by != BINARIZE_FLIGHT_BY_TURN
        && client->waiter.until_ms > sim->now_ms
        && !sim->workers[client->worker].stopped)
    {
        sim_fail("client %u is told to wait, which it does", client->number);
    }
}


/*
 * Looked up in Redis twice, another node's call, a token and a call: all of
 * it as long as it may take.  What fails may fail for each worker and node in
 * turn.
 */

uint64_t
sim_overdue_ms(const sim_client_t *client)
{
    uint64_t  ntimes;

    ntimes = sim->slack_ms ? sim->conf.nnodes + sim->conf.nworkers : 1;

    return client->came_ms + client->patience_ms + sim->slack_ms
           + ntimes * (4 * SIM_REDIS_TIMEOUT_MS + SIM_TOKEN_TIMEOUT_MS
                       + 2 * SIM_CALL_TIMEOUT_MS + BINARIZE_FLIGHT_REMOTE_MS);
}


void
sim_check_overdue(sim_client_t *client)
{
    if (client->state != SIM_CLIENT_WAITS
        && client->state != SIM_CLIENT_ANSWERING)
    {
        return;
    }

    if (sim_overdue_ms(client) > sim->now_ms) {
        sim_push(SIM_OVERDUE, sim_overdue_ms(client), SIM_NONE,
                 client->number, 0);
        return;
    }

    sim_fail("client %u is not answered", client->number);
}


void
sim_check_kept(sim_worker_t *worker, uint32_t id, sim_answer_e kind)
{
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    sim_key(id, key);

    entry = binarize_store_peek(sim_zone(worker)->store, key);

    if (entry && entry->kind == BINARIZE_STORE_RESULT && kind != SIM_RESULT
        && entry->meta.expires_ms > sim->now_ms)
    {
        sim_fail("a result is replaced by none");
    }
}


void
sim_check_end(void)
{
    uint32_t                 i, id;
    sim_zone_t              *zone;
    sim_worker_t            *worker;
    sim_redis_id_t          *rid;
    binarize_store_stats_t   stats;

    for (i = 0; i < sim->conf.nclients; i++) {
        if (sim->clients[i].state == SIM_CLIENT_WAITS
            || sim->clients[i].state == SIM_CLIENT_ANSWERING)
        {
            sim_fail("client %u will not be answered", i);
        }
    }

    if (sim->nflights) {
        sim_fail("a flight is left");
    }

    for (i = 0; i < sim->conf.nnodes; i++) {
        zone = &sim->zones[i];


        binarize_store_stats(zone->store, &stats);

        if (stats.nclaims) {
            sim_fail("a claim is left");
        }

        if (stats.npinned || stats.nbuilding || stats.nzombies) {
            sim_fail("a pin is left");
        }
    }

    for (i = 0; i < sim->nworkers; i++) {
        worker = &sim->workers[i];

        if (worker->nline || worker->lane.nheld) {
            sim_fail("a unit, or a ticket, is left");
        }

        if (worker->posted != SIM_NONE || worker->ended != SIM_NONE
            || worker->npins || !binarize_waiters_empty(&worker->answering))
        {
            sim_fail("a worker has something to do still");
        }
    }

    for (id = 0; id < sim->conf.nids; id++) {
        rid = &sim->redis.ids[id];

        if (rid->lease && !sim->lost
            && rid->lease_ms > sim->now_ms + sim->redis.clock_ms)
        {
            sim_fail("a lease is left");
        }

        if (sim->known[id].in_air) {
            sim_fail("a call is left");
        }
    }
}
