
#include "flight.h"


typedef binarize_flight_event_t (*binarize_flight_state_pt)(
    binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms);


static binarize_flight_event_t flight_look(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_follow(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_get(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_copy(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_lease(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_remote(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_token(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_turn(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_call(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_check(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_sleep(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_ended(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);

static binarize_flight_event_t flight_known(binarize_flight_t *flight,
    const binarize_flight_event_t *event, uint64_t now_ms);
static binarize_flight_event_t flight_to_look(binarize_flight_t *flight);
static binarize_flight_event_t flight_to_get(binarize_flight_t *flight);
static binarize_flight_event_t flight_to_token(binarize_flight_t *flight);
static binarize_flight_event_t flight_queue(binarize_flight_t *flight,
    uint64_t turn_ms, uint64_t now_ms);
static binarize_flight_event_t flight_end(binarize_flight_t *flight);
static void flight_enter(binarize_flight_t *flight,
    binarize_flight_state_e state);
static void flight_give_back(binarize_flight_t *flight);
static int flight_stays(const binarize_flight_t *flight,
    const binarize_waiter_t *waiter, uint64_t now_ms);
static void flight_settle(binarize_flight_t *flight,
    binarize_waiter_t *waiter, uint64_t now_ms);
static void flight_answer_others(binarize_flight_t *flight,
    binarize_flight_by_e by, uint64_t now_ms);
static void flight_release(binarize_flight_t *flight,
    binarize_waiter_t *waiter, binarize_waiter_t *to);
static void flight_link(binarize_waiter_t *waiters, binarize_waiter_t *waiter);
static void flight_unlink(binarize_waiter_t *waiter);


static const binarize_flight_state_pt  flight_states[] = {
    flight_look,
    flight_follow,
    flight_get,
    flight_copy,
    flight_lease,
    flight_remote,
    flight_token,
    flight_turn,
    flight_call,
    flight_check,
    flight_sleep,
    flight_ended
};

static const binarize_flight_event_t  flight_none = {
    BINARIZE_FLIGHT_NONE, 0
};


void
binarize_flight_init(binarize_flight_t *flight,
    const binarize_flight_ops_t *ops)
{
    flight->ops = ops;
    flight->state = BINARIZE_FLIGHT_LOOK;
    flight->nwaiters = 0;
    flight->until_ms = 0;
    flight->turn_ms = 0;
    flight->refusals = 0;
    flight->returns = 0;
    flight->waited = 0;

    binarize_waiters_init(&flight->waiters);
}


/* an event that a state does not name is none to it: it has come too late */

void
binarize_flight_event(binarize_flight_t *flight, binarize_flight_event_e kind,
    uint64_t at_ms, uint64_t now_ms)
{
    binarize_flight_event_t  event;

    event.kind = kind;
    event.at_ms = at_ms;

    while (event.kind != BINARIZE_FLIGHT_NONE) {
        event = flight_states[flight->state](flight, &event, now_ms);
    }
}


static binarize_flight_event_t
flight_look(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_DUE:
        return flight_to_look(flight);

    case BINARIZE_FLIGHT_MINE:
        return flight_to_get(flight);

    case BINARIZE_FLIGHT_OTHERS:
        flight->ops->give_turn(flight);

        flight->turn_ms = event->at_ms;
        flight->waited = 1;
        flight_enter(flight, BINARIZE_FLIGHT_FOLLOW);

        flight_answer_others(flight, BINARIZE_FLIGHT_BY_TURN, now_ms);

        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_follow(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    (void) now_ms;

    switch (event->kind) {

    case BINARIZE_FLIGHT_DUE:
        return flight_to_look(flight);

    case BINARIZE_FLIGHT_LEFT:
    case BINARIZE_FLIGHT_STOP:
        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_none;
    }
}


static binarize_flight_event_t
flight_get(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_HIT:
        flight_enter(flight, BINARIZE_FLIGHT_COPY);
        return flight->ops->copy(flight);

    case BINARIZE_FLIGHT_MISS:
        flight_enter(flight, BINARIZE_FLIGHT_LEASE);
        return flight->ops->lease(flight);

    case BINARIZE_FLIGHT_PURGED:
        return flight_to_get(flight);

    case BINARIZE_FLIGHT_UNUSABLE:
        return flight_to_token(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_copy(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    return flight_known(flight, event, now_ms);
}


/*
 * A result that is there, but is no good when it is looked at, would be
 * returned to for ever.
 */

static binarize_flight_event_t
flight_lease(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_HELD_LANDED:
    case BINARIZE_FLIGHT_BUSY_LANDED:

        if (flight->returns == 0) {
            flight->returns = 1;
            flight->ops->give_lease(flight);
            return flight_to_get(flight);
        }

        if (event->kind == BINARIZE_FLIGHT_HELD_LANDED) {
            return flight_to_token(flight);
        }

        /* fall through */

    case BINARIZE_FLIGHT_BUSY:

        /* the call is another node's to make */

        flight->ops->give_turn(flight);

        flight->returns = 0;
        flight->waited = 1;
        flight_enter(flight, BINARIZE_FLIGHT_REMOTE);

        /* a message may be lost, and a node that is gone sends none */

        flight->ops->schedule(flight, now_ms + BINARIZE_FLIGHT_REMOTE_MS);

        return flight_none;

    case BINARIZE_FLIGHT_HELD:
    case BINARIZE_FLIGHT_UNUSABLE:
        return flight_to_token(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_remote(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    (void) now_ms;

    switch (event->kind) {

    case BINARIZE_FLIGHT_DUE:
        return binarize_flight_wanted(flight) ? flight_to_get(flight)
                                              : flight_end(flight);

    case BINARIZE_FLIGHT_LEFT:
        return binarize_flight_wanted(flight) ? flight_none
                                              : flight_end(flight);

    case BINARIZE_FLIGHT_STOP:
        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_none;
    }
}


static binarize_flight_event_t
flight_token(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_BEARER:
        flight_enter(flight, BINARIZE_FLIGHT_TURN);
        return flight->ops->turn(flight);

    case BINARIZE_FLIGHT_NO_BEARER:

        /* others may be able to call meanwhile */

        flight->ops->give_turn(flight);
        flight->ops->give_lease(flight);

        flight->waited = 1;

        return flight_none;

    case BINARIZE_FLIGHT_DUE:
        return flight_to_look(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_turn(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_MAY_CALL:
        flight_enter(flight, BINARIZE_FLIGHT_CALL);
        return flight->ops->call(flight);

    case BINARIZE_FLIGHT_QUEUED:

        /* then it may be another token; other nodes may be more patient */

        flight->ops->drop_token(flight);
        flight->ops->give_lease(flight);

        return flight_queue(flight, event->at_ms, now_ms);

    case BINARIZE_FLIGHT_REVISED:
        return flight_queue(flight, event->at_ms, now_ms);

    case BINARIZE_FLIGHT_GRANTED:
        return flight_to_look(flight);

    case BINARIZE_FLIGHT_LEFT:
        return binarize_flight_wanted(flight) ? flight_none
                                              : flight_end(flight);

    case BINARIZE_FLIGHT_STOP:
        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_call(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_RESULT:
        flight_enter(flight, BINARIZE_FLIGHT_COPY);
        return flight->ops->copy(flight);

    case BINARIZE_FLIGHT_REFUSED:
        flight->refusals++;
        return flight_to_token(flight);

    case BINARIZE_FLIGHT_AGAIN:
        return flight_to_token(flight);

    case BINARIZE_FLIGHT_STOPPED:
        return flight_end(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_check(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_HIT:
        flight_enter(flight, BINARIZE_FLIGHT_COPY);
        return flight->ops->copy(flight);

    case BINARIZE_FLIGHT_MISS:
    case BINARIZE_FLIGHT_PURGED:
    case BINARIZE_FLIGHT_UNUSABLE:
        return flight->ops->keep(flight);

    case BINARIZE_FLIGHT_DUE:
        return flight_to_look(flight);

    default:
        return flight_known(flight, event, now_ms);
    }
}


static binarize_flight_event_t
flight_sleep(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    (void) now_ms;

    switch (event->kind) {

    case BINARIZE_FLIGHT_DUE:
        return flight_to_look(flight);

    case BINARIZE_FLIGHT_LEFT:
        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_none;
    }
}


static binarize_flight_event_t
flight_ended(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    (void) flight;
    (void) event;
    (void) now_ms;

    return flight_none;
}


/* what is in hand answers all, or those who do not wait for what is pending */

static binarize_flight_event_t
flight_known(binarize_flight_t *flight, const binarize_flight_event_t *event,
    uint64_t now_ms)
{
    switch (event->kind) {

    case BINARIZE_FLIGHT_FOUND:
        return flight_end(flight);

    case BINARIZE_FLIGHT_NO_RESULT:

        /* it is not held against a result that another leader has */

        flight->ops->give_turn(flight);
        flight_enter(flight, BINARIZE_FLIGHT_CHECK);

        return flight->ops->check(flight);

    case BINARIZE_FLIGHT_PENDING:
        flight_give_back(flight);

        flight->refusals = 0;
        flight->returns = 0;
        flight->turn_ms = 0;
        flight->waited = 1;
        flight_enter(flight, BINARIZE_FLIGHT_SLEEP);

        flight->ops->schedule(flight, event->at_ms);

        flight_answer_others(flight, BINARIZE_FLIGHT_BY_PENDING, now_ms);

        return flight->nwaiters ? flight_none : flight_end(flight);

    default:
        return flight_none;
    }
}


/* nobody polls, nor calls, when nobody waits */

static binarize_flight_event_t
flight_to_look(binarize_flight_t *flight)
{
    if (!binarize_flight_wanted(flight)) {
        return flight_end(flight);
    }

    /* a lost claim is found out with both in hand */

    flight->ops->drop_token(flight);
    flight->ops->give_lease(flight);

    flight->returns = 0;
    flight->turn_ms = 0;
    flight_enter(flight, BINARIZE_FLIGHT_LOOK);

    return flight->ops->look(flight);
}


static binarize_flight_event_t
flight_to_get(binarize_flight_t *flight)
{
    flight_enter(flight, BINARIZE_FLIGHT_GET);

    return flight->ops->get(flight);
}


static binarize_flight_event_t
flight_to_token(binarize_flight_t *flight)
{
    if (!binarize_flight_wanted(flight)) {
        return flight_end(flight);
    }

    flight_enter(flight, BINARIZE_FLIGHT_TOKEN);

    return flight->ops->token(flight);
}


/* the turn comes then: who can not wait for it is answered, and others told */

static binarize_flight_event_t
flight_queue(binarize_flight_t *flight, uint64_t turn_ms, uint64_t now_ms)
{
    flight->turn_ms = turn_ms;
    flight->waited = 1;
    flight->ops->entered(flight);
    flight->ops->show_turn(flight);

    flight_answer_others(flight, BINARIZE_FLIGHT_BY_TURN, now_ms);

    return binarize_flight_wanted(flight) ? flight_none : flight_end(flight);
}


static binarize_flight_event_t
flight_end(binarize_flight_t *flight)
{
    binarize_waiter_t  waiters;

    /* who was answered before may have taken the last ones with him */

    if (flight->state == BINARIZE_FLIGHT_ENDED) {
        return flight_none;
    }

    flight_give_back(flight);
    flight_enter(flight, BINARIZE_FLIGHT_ENDED);

    binarize_waiters_init(&waiters);

    while (flight->nwaiters) {
        flight_release(flight, flight->waiters.next, &waiters);
    }

    flight->ops->end(flight);

    if (!binarize_waiters_empty(&waiters)) {
        flight->ops->answer(flight, &waiters, BINARIZE_FLIGHT_BY_HAND);
    }

    return flight_none;
}


static void
flight_enter(binarize_flight_t *flight, binarize_flight_state_e state)
{
    flight->ops->schedule(flight, 0);
    flight->state = state;
    flight->ops->entered(flight);
}


/* who looks for what was landed finds it: the claim is the last to go */

static void
flight_give_back(binarize_flight_t *flight)
{
    flight->ops->give_turn(flight);
    flight->ops->drop_token(flight);
    flight->ops->give_lease(flight);
    flight->ops->give_claim(flight);
}


int
binarize_flight_wanted(binarize_flight_t *flight)
{
    return flight->nwaiters || flight->ops->followed(flight);
}


/* 1 if the waiter waits for what the flight waits for */

static int
flight_stays(const binarize_flight_t *flight, const binarize_waiter_t *waiter,
    uint64_t now_ms)
{
    switch (flight->state) {

    case BINARIZE_FLIGHT_SLEEP:
        return waiter->until_ms > now_ms;

    case BINARIZE_FLIGHT_TURN:
    case BINARIZE_FLIGHT_FOLLOW:
        return flight->turn_ms == 0
               || (waiter->until_ms > now_ms
                   && waiter->until_ms >= flight->turn_ms);

    default:
        /* what is in the air ends by itself, and soon */
        return 1;
    }
}


/* who stays is looked after when its patience ends, others at once */

static void
flight_settle(binarize_flight_t *flight, binarize_waiter_t *waiter,
    uint64_t now_ms)
{
    if (!flight_stays(flight, waiter, now_ms)) {
        flight->ops->arm(waiter, now_ms + 1);

    } else if ((flight->state == BINARIZE_FLIGHT_SLEEP
                || flight->state == BINARIZE_FLIGHT_TURN
                || flight->state == BINARIZE_FLIGHT_FOLLOW)
               && waiter->until_ms > now_ms)
    {
        flight->ops->arm(waiter, waiter->until_ms);
    }
}


static void
flight_answer_others(binarize_flight_t *flight, binarize_flight_by_e by,
    uint64_t now_ms)
{
    binarize_waiter_t  others, *next, *waiter;

    binarize_waiters_init(&others);

    for (waiter = flight->waiters.next;
         waiter != &flight->waiters;
         waiter = next)
    {
        next = waiter->next;

        if (flight_stays(flight, waiter, now_ms)) {
            flight_settle(flight, waiter, now_ms);
            continue;
        }

        flight_release(flight, waiter, &others);
    }

    if (!binarize_waiters_empty(&others)) {
        flight->ops->answer(flight, &others, by);
    }
}


void
binarize_flight_join(binarize_flight_t *flight, binarize_waiter_t *waiter,
    uint64_t now_ms)
{
    waiter->flight = flight;
    flight_link(&flight->waiters, waiter);

    if (flight->nwaiters++ == 0 || waiter->until_ms > flight->until_ms) {
        flight->until_ms = waiter->until_ms;
    }

    flight_settle(flight, waiter, now_ms);
}


void
binarize_flight_leave(binarize_waiter_t *waiter, uint64_t now_ms)
{
    binarize_flight_t  *flight;

    if (waiter->next == NULL) {
        return;
    }

    flight = waiter->flight;

    flight_unlink(waiter);
    waiter->flight = NULL;

    if (flight && --flight->nwaiters == 0) {
        binarize_flight_event(flight, BINARIZE_FLIGHT_LEFT, 0, now_ms);
    }
}


/*
 * Patience is for the task, not for what is in the air: who waits for that
 * waits on.  A leader's turn may have come meanwhile: it is looked at.
 */

void
binarize_flight_on_deadline(binarize_waiter_t *waiter, uint64_t now_ms)
{
    binarize_flight_t  *flight;

    flight = waiter->flight;

    if (flight == NULL || flight_stays(flight, waiter, now_ms)) {
        return;
    }

    if (flight->state == BINARIZE_FLIGHT_FOLLOW) {
        binarize_flight_event(flight, BINARIZE_FLIGHT_DUE, 0, now_ms);
        return;
    }

    flight_answer_others(flight, flight->state == BINARIZE_FLIGHT_SLEEP
                                 ? BINARIZE_FLIGHT_BY_PENDING
                                 : BINARIZE_FLIGHT_BY_TURN, now_ms);

    if (flight->nwaiters == 0) {
        binarize_flight_event(flight, BINARIZE_FLIGHT_LEFT, 0, now_ms);
    }
}


void
binarize_waiters_init(binarize_waiter_t *waiters)
{
    waiters->next = waiters;
    waiters->prev = waiters;
}


int
binarize_waiters_empty(const binarize_waiter_t *waiters)
{
    return waiters->next == waiters;
}


/* it is going to be answered, and not the flight's any more */

static void
flight_release(binarize_flight_t *flight, binarize_waiter_t *waiter,
    binarize_waiter_t *to)
{
    flight_unlink(waiter);
    flight->nwaiters--;

    waiter->flight = NULL;
    flight_link(to, waiter);
}


static void
flight_link(binarize_waiter_t *waiters, binarize_waiter_t *waiter)
{
    waiter->prev = waiters->prev;
    waiter->next = waiters;
    waiters->prev->next = waiter;
    waiters->prev = waiter;
}


static void
flight_unlink(binarize_waiter_t *waiter)
{
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;

    waiter->next = NULL;
    waiter->prev = NULL;
}


binarize_waiter_t *
binarize_waiters_shift(binarize_waiter_t *waiters)
{
    binarize_waiter_t  *waiter;

    waiter = waiters->next;

    flight_unlink(waiter);

    return waiter;
}


void
binarize_waiters_move(binarize_waiter_t *to, binarize_waiter_t *from)
{
    if (binarize_waiters_empty(from)) {
        return;
    }

    to->prev->next = from->next;
    from->next->prev = to->prev;

    from->prev->next = to;
    to->prev = from->prev;

    binarize_waiters_init(from);
}
