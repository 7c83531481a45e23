
#include <string.h>

#include "turns.h"


#define turns_max(a, b)  ((a) > (b) ? (a) : (b))
#define turns_min(a, b)  ((a) < (b) ? (a) : (b))


/* 1 if another process waits there, and goes on */

static int
turns_other_waits(binarize_turns_look_t *look, uint32_t slot)
{
    return slot != look->slot && look->lanes[slot].ticket
           && binarize_process_look(&look->processes[slot],
                                    &look->seen[slot],
                                    look->processes[look->slot].beat)
              == BINARIZE_PROCESS_BEATING;
}


void
binarize_turns_show(binarize_turns_look_t *look)
{
    uint32_t          i;
    binarize_lane_t  *lane;

    if (look->turns->budget.updated_us == 0) {
        binarize_budget_init(&look->turns->budget, look->limits, look->now_us);
    }

    look->lanes[look->slot] = *look->own;

    for (i = 0; i < look->nlanes; i++) {
        lane = &look->lanes[i];

        if (lane->epoch
            && !binarize_process_lives(&look->processes[i], lane->epoch))
        {
            memset(lane, 0, sizeof(*lane));
        }
    }
}


/* nlanes: none but the process itself, or nobody */

static uint32_t
turns_next(binarize_turns_look_t *look)
{
    uint32_t  i, next;
    uint64_t  least;

    next = look->nlanes;
    least = look->own->ticket ? look->own->ticket : UINT64_MAX;

    for (i = 0; i < look->nlanes; i++) {
        if (look->lanes[i].ticket < least && turns_other_waits(look, i)) {
            least = look->lanes[i].ticket;
            next = i;
        }
    }

    return next;
}


void
binarize_turns_wake(binarize_turns_look_t *look, int all, uint64_t *slots)
{
    uint32_t  i, next;

    next = turns_next(look);

    for (i = 0; i < look->nlanes; i++) {
        if (i == next || (all && turns_other_waits(look, i))) {
            slots[i / 64] |= 1ULL << (i % 64);
        }
    }
}


/* turns of other processes before a ticket; 0 stands for the next one given */

static uint64_t
turns_ahead(binarize_turns_look_t *look, uint64_t ticket)
{
    uint32_t          i;
    uint64_t          ahead;
    binarize_lane_t  *lane;

    ahead = 0;

    for (i = 0; i < look->nlanes; i++) {
        lane = &look->lanes[i];

        if (!turns_other_waits(look, i)) {
            continue;
        }

        if (ticket == 0) {
            ahead += lane->nwaiting;

        } else if (lane->ticket < ticket) {

            /* others of that lane may have later tickets */

            ahead += turns_min(lane->nwaiting, ticket - lane->ticket);
        }
    }

    return ahead;
}


int
binarize_turns_token_waits(const binarize_turns_look_t *look)
{
    return look->now_ms < look->turns->token_ms;
}


/* of who stands still, too: it may go on, and its call with it */

static int
turns_unit(binarize_turns_look_t *look, int token)
{
    uint32_t  i;
    uint64_t  nheld;

    nheld = (!token && binarize_turns_token_waits(look)) ? 1 : 0;

    for (i = 0; i < look->nlanes; i++) {
        nheld += look->lanes[i].nheld;
    }

    return look->limits->concurrency == 0 || nheld < look->limits->concurrency;
}


static void
turns_grant(binarize_turns_look_t *look)
{
    look->own->nheld++;
    look->lanes[look->slot].nheld = look->own->nheld;
}


/* the budget as it is known here */

static int
turns_take(binarize_turns_look_t *look)
{
    if (look->keeper != BINARIZE_KEEPER_ZONE
        || !turns_unit(look, 0)
        || binarize_budget_take(&look->turns->budget, look->limits,
                                look->now_us, look->unix_s)
           != BINARIZE_OK)
    {
        return 0;
    }

    turns_grant(look);

    return 1;
}


/*
 * Nobody knows when a call ends: who may wait at all waits for a unit, and
 * others are told what calls have lately taken.
 */

static void
turns_estimate(binarize_turns_look_t *look, uint64_t ahead,
    binarize_turn_estimate_t *estimate)
{
    uint64_t           wait_ms;
    binarize_turns_t  *turns;

    turns = look->turns;

    if (look->keeper == BINARIZE_KEEPER_NONE) {
        estimate->wait_ms = BINARIZE_TURNS_FOREVER;
        estimate->retry_ms = BINARIZE_TURNS_AWAY_MS;
        return;
    }

    wait_ms = 0;

    /* another process' time may be a little ahead of ours */

    if (look->keeper == BINARIZE_KEEPER_ZONE || ahead
        || look->now_ms < turns->told_ms + BINARIZE_TURNS_LOOK_MS)
    {
        wait_ms = (binarize_budget_wait_us(&turns->budget, look->limits, ahead,
                                           look->now_us, look->unix_s)
                   + 999) / 1000;
    }

    if (look->keeper == BINARIZE_KEEPER_REDIS && look->now_ms < look->ask_ms) {
        wait_ms = turns_max(wait_ms, look->ask_ms - look->now_ms);
    }

    if (look->now_ms < turns->pause_ms) {
        wait_ms = turns_max(wait_ms, turns->pause_ms - look->now_ms);
    }

    estimate->wait_ms = wait_ms;
    estimate->retry_ms = wait_ms;

    if (!turns_unit(look, 0)) {
        estimate->wait_ms = turns_max(wait_ms, 1);
        estimate->retry_ms = turns_max(estimate->wait_ms,
                                       turns->call_ms * (ahead + 1)
                                       / look->limits->concurrency);
    }
}


void
binarize_turns_estimate(binarize_turns_look_t *look, uint32_t without,
    binarize_turn_estimate_t *estimate)
{
    turns_estimate(look, turns_ahead(look, 0) + look->own->nwaiting - without,
                   estimate);
}


/* who is refused gets no ticket: what lies between two of them are turns */

binarize_turn_verdict_e
binarize_turns_want(binarize_turns_look_t *look, uint64_t *ticket,
    uint64_t own_ahead, uint64_t patience_ms,
    binarize_turn_estimate_t *estimate)
{
    uint64_t                 ahead;
    binarize_turn_verdict_e  verdict;

    ahead = turns_ahead(look, *ticket) + own_ahead;

    if (ahead == 0 && turns_take(look)) {
        verdict = BINARIZE_TURN_GRANTED;

    } else {
        turns_estimate(look, ahead, estimate);

        if (estimate->wait_ms > patience_ms) {
            return BINARIZE_TURN_REFUSED;
        }

        verdict = BINARIZE_TURN_QUEUED;
    }

    if (*ticket == 0) {
        *ticket = ++look->turns->ticket;
    }

    return verdict;
}


binarize_turn_verdict_e
binarize_turns_serve(binarize_turns_look_t *look, uint64_t *look_ms,
    binarize_turn_estimate_t *estimate)
{
    int       first;
    uint64_t  ahead;

    first = turns_next(look) == look->nlanes;

    if (first && turns_take(look)) {
        return BINARIZE_TURN_GRANTED;
    }

    ahead = turns_ahead(look, look->own->ticket);
    turns_estimate(look, ahead, estimate);

    *look_ms = BINARIZE_TURNS_LOOK_MS;

    /* who frees a unit, or is served before, wakes us */

    if (!first || !turns_unit(look, 0)) {
        return BINARIZE_TURN_QUEUED;
    }

    if (look->keeper == BINARIZE_KEEPER_REDIS && estimate->wait_ms == 0) {
        return BINARIZE_TURN_ASK;
    }

    *look_ms = turns_min(*look_ms, turns_max(estimate->wait_ms, 1));

    return BINARIZE_TURN_QUEUED;
}


int
binarize_turns_token(binarize_turns_look_t *look, int needed)
{
    if (!turns_unit(look, 1)) {

        if (needed) {
            look->turns->token_ms = look->now_ms + BINARIZE_TURNS_LOOK_MS;
        }

        return 0;
    }

    look->turns->token_ms = 0;
    turns_grant(look);

    return 1;
}


void
binarize_turns_release(binarize_turns_look_t *look, int made,
    uint64_t passed_ms)
{
    binarize_turns_t  *turns;

    turns = look->turns;

    look->own->nheld--;
    look->lanes[look->slot].nheld = look->own->nheld;

    if (!made) {
        binarize_budget_give_back(&turns->budget, look->limits, look->now_us,
                                  look->unix_s);
        return;
    }

    turns->call_ms = turns->call_ms ? (turns->call_ms * 7 + passed_ms) / 8
                                    : passed_ms;
}


void
binarize_turns_told(binarize_turns_look_t *look, int taken, uint64_t level,
    uint32_t spent, uint64_t pause_ms)
{
    binarize_turns_t  *turns;

    turns = look->turns;

    /* what the zone goes on with while Redis is away */

    binarize_budget_set(&turns->budget, look->limits, level, spent,
                        look->now_us, look->unix_s);

    turns->told_ms = look->now_ms;
    turns->pause_ms = look->now_ms + pause_ms;

    if (taken) {
        turns_grant(look);
    }
}
