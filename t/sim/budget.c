
#include "sim.h"


static void sim_turns_open(sim_worker_t *worker, binarize_turns_look_t *look,
    int agreed);
static void sim_turns_close(sim_worker_t *worker, binarize_turns_look_t *look);
static void sim_line_insert(sim_flight_t *f, uint64_t at_ms);
static void sim_line_remove(sim_flight_t *f);
static void sim_turns_revise(sim_worker_t *worker,
    const binarize_turn_estimate_t *estimate);
static void sim_turns_arm(sim_worker_t *worker, uint64_t at_ms);
static void sim_token_call(sim_worker_t *worker);


/* agreed: Redis has been asked for the first turn, and has nothing against */

static void
sim_turns_open(sim_worker_t *worker, binarize_turns_look_t *look, int agreed)
{
    sim_zone_t  *zone;

    static binarize_budget_limits_t  limits;

    zone = sim_zone(worker);

    (void) sim_live_on(worker);
    worker->lane.epoch = worker->epoch;

    sim_limits(&limits);
    memset(look, 0, sizeof(*look));

    look->turns = &zone->turns;
    look->lanes = zone->lanes;
    look->nlanes = sim->conf.nworkers;
    look->slot = worker->slot;
    look->own = &worker->lane;
    look->processes = zone->processes;
    look->seen = worker->seen;
    look->limits = &limits;
    look->keeper = (sim->conf.shared && !agreed) ? BINARIZE_KEEPER_REDIS
                                                 : BINARIZE_KEEPER_ZONE;
    look->now_ms = sim->now_ms;
    look->now_us = sim->now_ms * 1000;
    look->unix_s = sim->now_ms / 1000;

    binarize_turns_show(look);
}


static void
sim_turns_close(sim_worker_t *worker, binarize_turns_look_t *look)
{
    worker->lane.ticket = worker->nline
                          ? sim->flights[worker->line[0].flight].ticket : 0;
    worker->lane.nwaiting = worker->nline;

    binarize_turns_show(look);
}


/* 1: taken; 0: it has to wait; -1: it would come too late */

int
sim_turn_take(sim_flight_t *f, uint64_t *at_ms)
{
    uint32_t                   ahead;
    uint64_t                   until_ms;
    sim_worker_t              *worker;
    binarize_turns_look_t      look;
    binarize_store_entry_t    *claim;
    binarize_turn_verdict_e    verdict;
    binarize_turn_estimate_t   estimate;

    worker = sim_worker(f);

    if (f->turn == SIM_TURN_GRANTED) {
        return 1;
    }

    if (f->turn == SIM_TURN_QUEUED) {
        sim_fail("a turn is taken twice");
    }

    claim = sim_claim_own(f);
    until_ms = f->flight.nwaiters ? f->flight.until_ms : 0;

    if (claim && claim->npinned && claim->claim.until_ms > until_ms) {
        until_ms = claim->claim.until_ms;
    }

    for (ahead = 0; ahead < worker->nline; ahead++) {
        if (f->ticket
            && sim->flights[worker->line[ahead].flight].ticket >= f->ticket)
        {
            break;
        }
    }

    sim_turns_open(worker, &look, 0);

    verdict = binarize_turns_want(&look, &f->ticket, ahead,
                                  until_ms > sim->now_ms
                                  ? until_ms - sim->now_ms : 0,
                                  &estimate);

    if (verdict == BINARIZE_TURN_GRANTED) {
        sim_turn_granted(f);

    } else if (verdict == BINARIZE_TURN_QUEUED) {
        *at_ms = estimate.wait_ms ? sim->now_ms + estimate.wait_ms : 0;
        sim_line_insert(f, *at_ms);

    } else {
        f->ticket = 0;
    }

    sim_turns_close(worker, &look);

    if (verdict == BINARIZE_TURN_QUEUED) {
        worker->budget_posted = 1;
    }

    return verdict == BINARIZE_TURN_GRANTED ? 1
           : verdict == BINARIZE_TURN_QUEUED ? 0 : -1;
}


void
sim_turn_granted(sim_flight_t *f)
{
    f->turn = SIM_TURN_GRANTED;
    f->turn_ms = sim->now_ms;
    f->turn_epoch = sim_worker(f)->epoch;
}


static void
sim_line_insert(sim_flight_t *f, uint64_t at_ms)
{
    uint32_t       i;
    sim_worker_t  *worker;

    worker = sim_worker(f);

    for (i = worker->nline; i; i--) {

        if (sim->flights[worker->line[i - 1].flight].ticket < f->ticket) {
            break;
        }

        worker->line[i] = worker->line[i - 1];
    }

    worker->line[i].flight = f->number;
    worker->line[i].at_ms = at_ms;
    worker->nline++;

    f->turn = SIM_TURN_QUEUED;
}


static void
sim_line_remove(sim_flight_t *f)
{
    uint32_t       i;
    sim_worker_t  *worker;

    worker = sim_worker(f);

    for (i = 0; worker->line[i].flight != f->number; i++) {
        /* void */
    }

    memmove(&worker->line[i], &worker->line[i + 1],
            (worker->nline - i - 1) * sizeof(worker->line[0]));

    worker->nline--;
    worker->asks &= (i != 0);

    f->turn = SIM_TURN_NONE;
}


/* waits no longer, or is not made, or is over; made: there was a call */

void
sim_turn_give(sim_flight_t *f, int made)
{
    uint64_t                slots[BINARIZE_STORE_SLOTS / 64];
    sim_worker_t           *worker;
    binarize_turns_look_t   look;

    if (f->turn == SIM_TURN_NONE || (f->turn == SIM_TURN_MADE && !made)) {
        return;
    }

    worker = sim_worker(f);
    memset(slots, 0, sizeof(slots));

    sim_turns_open(worker, &look, 0);

    if (f->turn == SIM_TURN_QUEUED) {
        sim_line_remove(f);

    } else if (made || sim_fault != SIM_UNIT_LEAKED) {
        binarize_turns_release(&look, made, sim->now_ms - f->turn_ms);
    }

    f->turn = SIM_TURN_NONE;

    binarize_turns_wake(&look, 0, slots);
    sim_turns_close(worker, &look);

    worker->budget_posted = 1;

    sim_wake(sim_zone(worker), slots[0], 0);
}


/* who is first of all, and ours, is served */

void
sim_budget_run(sim_worker_t *worker, int agreed)
{
    uint64_t                   slots[BINARIZE_STORE_SLOTS / 64], look_ms;
    sim_flight_t              *f;
    binarize_turns_look_t      look;
    binarize_turn_verdict_e    verdict;
    binarize_turn_estimate_t   estimate;

    if (worker->nline == 0) {
        worker->budget_ms = 0;
        return;
    }

    f = &sim->flights[worker->line[0].flight];
    memset(slots, 0, sizeof(slots));

    sim_turns_open(worker, &look, agreed);

    verdict = binarize_turns_serve(&look, &look_ms, &estimate);

    if (verdict == BINARIZE_TURN_GRANTED) {
        sim_line_remove(f);
        sim_turn_granted(f);
        binarize_turns_wake(&look, 0, slots);
    }

    sim_turns_close(worker, &look);

    if (verdict == BINARIZE_TURN_GRANTED) {
        sim_wake(sim_zone(worker), slots[0], 0);
        worker->budget_posted = 1;

        if (sim_fault == SIM_BLIND_TURN) {
            f->bearer = sim_zone(worker)->text;
            sim_send(f, BINARIZE_FLIGHT_MAY_CALL, 0);
            return;
        }

        sim_send(f, BINARIZE_FLIGHT_GRANTED, 0);
        return;
    }

    sim_turns_arm(worker, sim->now_ms + look_ms);

    if (verdict == BINARIZE_TURN_ASK) {

        if (!worker->asks) {
            worker->asks = 1;
            sim_push(SIM_AGREED, sim->now_ms + 1 + sim_below(4),
                     worker->number, 0, 0);
        }

    } else if (estimate.wait_ms) {
        sim_turns_revise(worker, &estimate);
    }
}


void
sim_on_agreed(sim_worker_t *worker)
{
    if (worker->asks) {
        worker->asks = 0;
        sim_budget_run(worker, 1);
    }
}


/* when the first has to wait for longer than was thought, so have all */

static void
sim_turns_revise(sim_worker_t *worker,
    const binarize_turn_estimate_t *estimate)
{
    int64_t        later_ms;
    uint32_t       i, n, serials[SIM_NIDS];
    sim_line_t     line[SIM_NIDS], *first;
    sim_flight_t  *f;

    first = &worker->line[0];
    later_ms = sim->now_ms + estimate->wait_ms
               - (first->at_ms ? first->at_ms : sim->now_ms);

    if (first->at_ms && (later_ms <= 20 || estimate->wait_ms <= 1)) {
        return;
    }

    n = worker->nline;

    for (i = 0; i < n; i++) {
        worker->line[i].at_ms = later_ms
                                + (worker->line[i].at_ms ? worker->line[i].at_ms
                                                         : sim->now_ms);
        line[i] = worker->line[i];
        serials[i] = sim->flights[line[i].flight].serial;
    }

    /* who is told may leave, and others with it */

    for (i = 0; i < n; i++) {
        f = &sim->flights[line[i].flight];

        if (f->serial == serials[i] && f->turn == SIM_TURN_QUEUED) {
            sim_send(f, BINARIZE_FLIGHT_REVISED, line[i].at_ms);
        }
    }
}


static void
sim_turns_arm(sim_worker_t *worker, uint64_t at_ms)
{
    worker->budget_ms = at_ms;
    worker->budget_serial = ++sim->serial;

    sim_push(SIM_BUDGET, at_ms, worker->number, 0, worker->budget_serial);
}


/* 1: there is one; 0: it is waited for; -1: there is none before *until_ms */

int
sim_token_get(sim_flight_t *f, uint64_t *until_ms)
{
    sim_zone_t                *zone;
    sim_worker_t              *worker;
    binarize_token_none_t      none;
    binarize_token_verdict_e   verdict;

    worker = sim_worker(f);
    zone = sim_zone(worker);

    verdict = binarize_token_look(&zone->token, zone->processes, sim->now_ms,
                                  &none);

    if (verdict == BINARIZE_TOKEN_NONE) {
        *until_ms = none.until_ms;
        return -1;
    }

    if (verdict == BINARIZE_TOKEN_CALL || verdict == BINARIZE_TOKEN_RENEW) {
        sim_token_call(worker);
    }

    if (verdict == BINARIZE_TOKEN_USE || verdict == BINARIZE_TOKEN_RENEW) {
        f->bearer = zone->text;
        f->generation = zone->token.generation;
        return 1;
    }

    if (f->token_waits) {
        sim_fail("a token is waited for twice");
    }

    f->token_waits = 1;
    zone->token_waiters |= 1ULL << worker->slot;

    return 0;
}


static void
sim_token_call(sim_worker_t *worker)
{
    uint64_t  call;

    (void) sim_live_on(worker);

    call = binarize_token_called(&sim_zone(worker)->token, worker->slot,
                                 worker->epoch,
                                 sim->now_ms + SIM_TOKEN_TIMEOUT_MS);

    sim_push(SIM_TOKEN_ENDS,
             sim->now_ms + 1 + sim_below(sim_below(50) ? 60
                                         : SIM_TOKEN_TIMEOUT_MS - 1),
             worker->number, call, 0);
}


void
sim_token_ends(sim_worker_t *worker, uint64_t call)
{
    sim_zone_t          *zone;
    binarize_problem_e   problem;

    zone = sim_zone(worker);

    if (sim->cloud.token_fails) {
        sim->cloud.token_fails--;
        problem = BINARIZE_PROBLEM_NONE;
        (void) binarize_token_failed(&zone->token, call, 500, &problem, -1,
                                     sim->now_ms);

    } else if (binarize_token_answered(&zone->token, call, sim->now_ms)
               == BINARIZE_OK)
    {
        sim_token_store(zone);
    }

    sim_token_wake(zone);
}


void
sim_token_store(sim_zone_t *zone)
{
    zone->text = ++sim->cloud.generation;
    binarize_token_stored(&zone->token, sim->conf.token_ms / 1000,
                          sim->now_ms);
}


void
sim_token_wake(sim_zone_t *zone)
{
    uint32_t       slot;
    sim_worker_t  *worker;

    for (slot = 0; slot < sim->conf.nworkers; slot++) {

        worker = sim_slot(zone, slot);

        if (zone->token_waiters & (1ULL << slot) && worker->pid) {
            worker->woken_token = 1;
            sim_wake(zone, 1ULL << slot, 0);
        }
    }

    zone->token_waiters = 0;
}
