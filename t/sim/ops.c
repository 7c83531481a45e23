
#include "sim.h"


static binarize_flight_event_t sim_op_look(binarize_flight_t *flight);
static binarize_flight_event_t sim_op_copy(binarize_flight_t *flight);
static binarize_flight_event_t sim_copied(sim_flight_t *f);
static int sim_op_followed(binarize_flight_t *flight);
static void sim_op_show_turn(binarize_flight_t *flight);
static void sim_op_give_turn(binarize_flight_t *flight);
static void sim_op_drop_token(binarize_flight_t *flight);
static void sim_op_give_claim(binarize_flight_t *flight);
static void sim_op_answer(binarize_flight_t *flight,
    binarize_waiter_t *waiters, binarize_flight_by_e by);
static void sim_op_arm(binarize_waiter_t *waiter, uint64_t at_ms);
static void sim_op_schedule(binarize_flight_t *flight, uint64_t at_ms);
static void sim_op_entered(binarize_flight_t *flight);
static void sim_op_end(binarize_flight_t *flight);


const binarize_flight_ops_t  sim_sound_ops = {
    sim_op_look,
    sim_op_get,
    sim_op_copy,
    sim_op_lease,
    sim_op_token,
    sim_op_turn,
    sim_op_call,
    sim_op_check,
    sim_op_keep,
    sim_op_followed,
    sim_op_show_turn,
    sim_op_give_turn,
    sim_op_drop_token,
    sim_op_give_lease,
    sim_op_give_claim,
    sim_op_answer,
    sim_op_arm,
    sim_op_schedule,
    sim_op_entered,
    sim_op_end
};


sim_flight_t *
sim_flight_create(sim_worker_t *worker, uint32_t id)
{
    uint32_t       number;
    sim_flight_t  *f;

    number = sim->flights_free;

    if (number == SIM_NONE) {
        sim_fail("no room for flights");
    }

    f = &sim->flights[number];
    sim->flights_free = f->next;
    sim->nflights++;

    memset(f, 0, sizeof(*f));

    f->number = number;
    f->serial = ++sim->serial;
    f->worker = worker->number;
    f->id = id;

    binarize_flight_init(&f->flight, sim_ops);

    worker->flights[id] = number;
    sim_post(f);

    return f;
}


void
sim_flight_free(sim_flight_t *f)
{
    sim_check_flight(f);

    if (f->depth || f->epoch || f->follows || f->lease || f->bearer
        || f->due_ms || f->posted || f->token_waits || f->calls
        || f->turn != SIM_TURN_NONE || f->flight.nwaiters)
    {
        sim_fail("a flight is freed with what it holds");
    }

    sim_drop(sim_worker(f), &f->hand);

    f->serial = 0;
    f->next = sim->flights_free;
    sim->flights_free = f->number;
    sim->nflights--;
}


binarize_flight_event_t
sim_event(sim_flight_t *f, binarize_flight_event_e kind, uint64_t at_ms)
{
    binarize_flight_event_t  event;

    event.kind = kind;
    event.at_ms = at_ms;

    if (kind != BINARIZE_FLIGHT_NONE) {
        sim_seen[f->flight.state][kind]++;
        sim_trace("n%u w%u  id %u    in state %u: %u",
                  sim_worker(f)->node, sim_worker(f)->slot, f->id,
                  f->flight.state, kind);
    }

    return event;
}


/* by what is in hand, which is none of a result that is in the air */

binarize_flight_event_t
sim_known_event(sim_flight_t *f)
{
    return f->hand.kind == SIM_PENDING
           ? sim_event(f, BINARIZE_FLIGHT_PENDING, f->hand.until_ms)
           : sim_event(f, BINARIZE_FLIGHT_FOUND, 0);
}


static binarize_flight_event_t
sim_op_look(binarize_flight_t *flight)
{
    int            rc;
    sim_zone_t    *zone;
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;
    zone = sim_zone(sim_worker(f));

    sim_check_flight(f);

    if (sim_find(sim_worker(f), f->id, &f->hand)) {
        sim_check_look(f, f->hand.kind == SIM_PENDING
                          ? BINARIZE_FLIGHT_PENDING : BINARIZE_FLIGHT_FOUND);
        return sim_known_event(f);
    }

    rc = sim_claim_take(f);

    if (rc == BINARIZE_OK) {
        return sim_event(f, BINARIZE_FLIGHT_MINE, 0);
    }

    if (rc == BINARIZE_DECLINED) {
        sim_check_look(f, BINARIZE_FLIGHT_OTHERS);
        return sim_event(f, BINARIZE_FLIGHT_OTHERS,
                         sim_claim(zone, f->id)->claim.turn_ms);
    }

    sim_drop(sim_worker(f), &f->hand);
    f->hand.kind = SIM_CROWDED;
    f->hand.id = f->id;

    return sim_event(f, BINARIZE_FLIGHT_FOUND, 0);
}


/* a large one in turns of the event loop */

static binarize_flight_event_t
sim_op_copy(binarize_flight_t *flight)
{
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    if (sim->conf.size > 1024) {
        f->purges = sim_zone(sim_worker(f))->purges[f->id];
        sim_push(SIM_NEXT_COPY, sim->now_ms + sim_below(2), f->worker,
                 f->number, f->serial);
        return sim_event(f, BINARIZE_FLIGHT_NONE, 0);
    }

    return sim_copied(f);
}


void
sim_on_copied(sim_flight_t *f)
{
    binarize_flight_event_t  event;

    event = sim_copied(f);
    sim_send(f, event.kind, event.at_ms);
}


static binarize_flight_event_t
sim_copied(sim_flight_t *f)
{
    int            kept;
    sim_worker_t  *worker;

    worker = sim_worker(f);

    if (f->purges == sim_zone(worker)->purges[f->id] || f->hand.fresh) {
        kept = sim_keep_result(worker, &f->hand);

        if (f->hand.fresh && kept && !sim->conf.redis) {
            sim_known(worker, f->id)->given = 1;
        }
    }

    f->hand.fresh = 0;

    return sim_event(f, BINARIZE_FLIGHT_FOUND, 0);
}


static int
sim_op_followed(binarize_flight_t *flight)
{
    sim_flight_t            *f;
    binarize_store_entry_t  *claim;

    f = (sim_flight_t *) flight;
    sim_check_flight(f);

    claim = sim_claim_own(f);

    if (sim_fault == SIM_CALL_FOR_NOBODY) {
        return claim && f->flight.waited;
    }

    return claim && claim->npinned;
}


static void
sim_op_show_turn(binarize_flight_t *flight)
{
    sim_zone_t              *zone;
    sim_flight_t            *f;
    binarize_store_entry_t  *claim;

    f = (sim_flight_t *) flight;
    zone = sim_zone(sim_worker(f));
    claim = sim_claim_own(f);

    if (claim == NULL || claim->claim.turn_ms == flight->turn_ms) {
        return;
    }

    claim->claim.turn_ms = flight->turn_ms;
    zone->version++;

    sim_wake(zone, claim->pins[0], 1ULL << f->id);
}


static void
sim_op_give_turn(binarize_flight_t *flight)
{
    sim_turn_give((sim_flight_t *) flight, 0);
}


static void
sim_op_drop_token(binarize_flight_t *flight)
{
    ((sim_flight_t *) flight)->bearer = 0;
}


static void
sim_op_give_claim(binarize_flight_t *flight)
{
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    sim_claim_release(f);
    sim_claim_leave(f);
}


static void
sim_op_answer(binarize_flight_t *flight, binarize_waiter_t *waiters,
    binarize_flight_by_e by)
{
    uint32_t            n;
    sim_client_t       *client;
    sim_flight_t       *f;
    sim_worker_t       *worker;
    binarize_waiter_t  *waiter;

    f = (sim_flight_t *) flight;
    worker = sim_worker(f);

    for (waiter = waiters->next; waiter != waiters; waiter = waiter->next) {
        client = (sim_client_t *) waiter;

        client->by = by;
        client->state = SIM_CLIENT_ANSWERING;
        sim_hold(worker, &client->hand, &f->hand);

        if (by == BINARIZE_FLIGHT_BY_TURN && f->hand.kind != SIM_PENDING) {
            sim_drop(worker, &client->hand);
            client->hand.kind = SIM_BUSY;
            client->hand.id = f->id;
        }
    }

    /* some at once, which may end others, the rest in turns of the loop */

    for (n = 0; n < sim->conf.slice; n++) {

        if (binarize_waiters_empty(waiters)) {
            break;
        }

        sim_client_answer((sim_client_t *) binarize_waiters_shift(waiters));
    }

    if (sim_fault == SIM_FREED_BY_ANSWER && worker->ended == f->number) {
        worker->ended = f->next;
        sim_flight_free(f);
    }

    if (!binarize_waiters_empty(waiters)) {
        binarize_waiters_move(&worker->answering, waiters);

        if (!worker->answers) {
            worker->answers = 1;
            sim_push(SIM_NEXT_ANSWER, sim->now_ms, worker->number, 0, 0);
        }
    }
}


static void
sim_op_arm(binarize_waiter_t *waiter, uint64_t at_ms)
{
    sim_client_t  *client;

    client = (sim_client_t *) waiter;
    client->deadline_serial = ++sim->serial;

    sim_push(SIM_DEADLINE, at_ms, client->worker, client->number,
             client->deadline_serial);
}


/* 0: neither by the timer nor by what was posted before */

static void
sim_op_schedule(binarize_flight_t *flight, uint64_t at_ms)
{
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;
    sim_check_flight(f);

    if (f->ended) {
        sim_fail("a flight has something to do after its end");
    }

    if (at_ms == 0) {

        if (sim_fault != SIM_RUNS_TWICE) {
            sim_unschedule(f);
        }

        f->due_ms = 0;
        return;
    }

    f->due_ms = at_ms;
    f->due_serial = ++sim->serial;

    sim_push(SIM_DUE, at_ms > sim->now_ms ? at_ms : sim->now_ms + 1,
             f->worker, f->number, f->due_serial);
}


static void
sim_op_entered(binarize_flight_t *flight)
{
    sim_check_flight((sim_flight_t *) flight);
}


static void
sim_op_end(binarize_flight_t *flight)
{
    sim_flight_t  *f;
    sim_worker_t  *worker;

    f = (sim_flight_t *) flight;
    worker = sim_worker(f);

    if (f->ended) {
        sim_fail("a flight ends twice");
    }

    sim_unschedule(f);

    f->ended = 1;
    f->token_waits = 0;
    worker->flights[f->id] = SIM_NONE;

    f->next = worker->ended;
    worker->ended = f->number;
}
