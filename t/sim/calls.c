
#include "sim.h"


static uint64_t sim_poll_ms(sim_flight_t *f);
static void sim_no_result(sim_flight_t *f, sim_answer_e kind, uint64_t ms,
    unsigned told);
static void sim_put_off(sim_flight_t *f, uint64_t until_ms);


binarize_flight_event_t
sim_op_token(binarize_flight_t *flight)
{
    uint64_t       until_ms;
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    switch (sim_token_get(f, &until_ms)) {

    case 1:
        return sim_event(f, BINARIZE_FLIGHT_BEARER, 0);

    case 0:
        /* others may be able to call meanwhile */
        f->tells = 1;
        return sim_event(f, BINARIZE_FLIGHT_NO_BEARER, 0);
    }

    sim_put_off(f, until_ms);

    return sim_event(f, BINARIZE_FLIGHT_NO_RESULT, 0);
}


/* who has been declared dead meanwhile looks who leads now */

binarize_flight_event_t
sim_op_turn(binarize_flight_t *flight)
{
    uint64_t       at_ms;
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    if (sim_claim_own(f) == NULL && sim_fault != SIM_SECOND_LEADER) {
        return sim_event(f, BINARIZE_FLIGHT_GRANTED, 0);
    }

    if (sim->conf.rate == 0 && sim->conf.concurrency == 0
        && sim->conf.quota == 0)
    {
        return sim_event(f, BINARIZE_FLIGHT_MAY_CALL, 0);
    }

    f->tells = 1;

    switch (sim_turn_take(f, &at_ms)) {

    case 1:
        return sim_event(f, BINARIZE_FLIGHT_MAY_CALL, 0);

    case 0:
        return sim_event(f, BINARIZE_FLIGHT_QUEUED, at_ms);
    }

    sim_drop(sim_worker(f), &f->hand);
    f->hand.kind = SIM_BUSY;
    f->hand.id = f->id;

    return sim_event(f, BINARIZE_FLIGHT_FOUND, 0);
}


binarize_flight_event_t
sim_op_call(binarize_flight_t *flight)
{
    int            excess;
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    if (sim_worker(f)->stopped) {
        return sim_event(f, BINARIZE_FLIGHT_STOPPED, 0);
    }

    excess = sim_check_call(f);

    /* whatever comes of it, others have to look */
    f->tells = 1;

    if (f->turn == SIM_TURN_GRANTED) {
        f->turn = SIM_TURN_MADE;
    }

    sim_call(f, excess);

    return sim_event(f, BINARIZE_FLIGHT_NONE, 0);
}


void
sim_on_call(sim_call_t *call, int in_time)
{
    uint32_t                  ends;
    sim_zone_t               *zone;
    sim_flight_t             *f;
    sim_worker_t             *worker;
    binarize_flight_event_e   kind;

    f = &sim->flights[call->flight];
    worker = sim_worker(f);
    zone = sim_zone(worker);

    sim_check_flight(f);

    ends = in_time ? call->ends : SIM_CALL_FAILS;
    f->calls = 0;

    sim_call_landed(call, ends != SIM_ARRIVE && ends != SIM_LEAVE);

    sim_turn_give(f, 1);

    if (ends != SIM_REVOKED && ends != SIM_CALL_AGAIN) {
        f->ticket = 0;
    }

    sim_trace("n%u w%u  id %u  call ends by %u", worker->node, worker->slot,
              f->id, ends);

    if (ends == SIM_ARRIVE || ends == SIM_LEAVE) {
        binarize_token_accepted(&zone->token, f->generation);
    }

    switch (ends) {

    case SIM_ARRIVE:
        sim_drop(worker, &f->hand);

        f->hand.kind = SIM_RESULT;
        f->hand.id = call->id;
        f->hand.until_ms = sim->now_ms + SIM_VALID_MS;
        f->hand.fresh = 1;

        sim_put(f);

        kind = BINARIZE_FLIGHT_RESULT;
        break;

    case SIM_LEAVE:
        sim_no_result(f, SIM_PENDING, sim_poll_ms(f), 1);
        kind = BINARIZE_FLIGHT_NO_RESULT;
        break;

    case SIM_REVOKED:

        kind = BINARIZE_FLIGHT_REFUSED;

        if (binarize_token_refused(&zone->token, f->generation, sim->now_ms)
            != BINARIZE_OK
            || f->flight.refusals)
        {
            sim_no_result(f, SIM_NEGATIVE, SIM_FAILURE_MS, 0);
            kind = BINARIZE_FLIGHT_NO_RESULT;
        }

        break;

    case SIM_CALL_AGAIN:
        kind = BINARIZE_FLIGHT_AGAIN;
        break;

    case SIM_QUIT_NOW:
        kind = BINARIZE_FLIGHT_STOPPED;
        break;

    case SIM_CALL_BUSY:
        binarize_token_paused(&zone->token, sim->now_ms + call->ms);
        sim_put_off(f, sim->now_ms + call->ms);
        kind = BINARIZE_FLIGHT_NO_RESULT;
        break;

    default:
        sim_no_result(f, SIM_NEGATIVE, ends == SIM_CALL_NEGATIVE
                                       ? 10 * SIM_FAILURE_MS
                                       : SIM_FAILURE_MS,
                      ends == SIM_CALL_NEGATIVE);
        kind = BINARIZE_FLIGHT_NO_RESULT;
    }

    sim_send(f, kind, 0);
}


static uint64_t
sim_poll_ms(sim_flight_t *f)
{
    uint64_t  ms;

    ms = SIM_POLL_MS << (f->repeat < 8 ? f->repeat : 8);
    f->repeat++;

    return ms > SIM_POLL_MAX_MS ? SIM_POLL_MAX_MS : ms;
}


/* in hand, until it is kept */

static void
sim_no_result(sim_flight_t *f, sim_answer_e kind, uint64_t ms, unsigned told)
{
    sim_drop(sim_worker(f), &f->hand);

    f->hand.kind = kind;
    f->hand.id = f->id;
    f->hand.repeat = f->repeat;
    f->hand.until_ms = sim->now_ms + ms;
    f->told = told;
}


/* a poll that is put off does not end the waiting */

static void
sim_put_off(sim_flight_t *f, uint64_t until_ms)
{
    sim_no_result(f, f->hand.kind == SIM_PENDING ? SIM_PENDING : SIM_NEGATIVE,
                  until_ms - sim->now_ms, 0);
}


/* another worker may lead, and knows better; or another node has landed */

binarize_flight_event_t
sim_op_check(binarize_flight_t *flight)
{
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    if (sim_fault == SIM_RESULT_REPLACED) {
        return sim_event(f, BINARIZE_FLIGHT_MISS, 0);
    }

    if (sim_claim_own(f) == NULL) {
        return sim_event(f, BINARIZE_FLIGHT_DUE, 0);
    }

    if (f->held && sim->now_ms < f->held_ms) {
        return sim_event(f, BINARIZE_FLIGHT_MISS, 0);
    }

    return sim_op_get(flight);
}


binarize_flight_event_t
sim_op_keep(binarize_flight_t *flight)
{
    sim_known_t   *known;
    sim_flight_t  *f;

    f = (sim_flight_t *) flight;

    if (sim_keep_state(sim_worker(f), f->id, &f->hand) && f->told) {

        known = sim_known(sim_worker(f), f->id);

        if (f->hand.kind == SIM_PENDING
            && (sim_worker(f)->connected || !sim->conf.redis))
        {
            known->due_ms = f->hand.until_ms;
        }

        sim_tell_state(f);
    }

    return sim_known_event(f);
}
