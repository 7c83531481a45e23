
#include "sim.h"


static uint64_t sim_claim_lease(sim_flight_t *f, uint64_t lease);
static binarize_flight_event_e sim_leased(sim_flight_t *f,
    const sim_message_t *message, uint64_t *at_ms);
static void sim_lease_release(sim_flight_t *f);


binarize_flight_event_t
sim_op_get(binarize_flight_t *flight)
{
    sim_flight_t   *f;
    sim_message_t   message;

    f = (sim_flight_t *) flight;
    f->purges = sim_zone(sim_worker(f))->purges[f->id];

    memset(&message, 0, sizeof(message));

    message.kind = SIM_GET;
    message.id = f->id;
    message.flight = f->number;
    message.serial = f->serial;

    return sim_redis_send(sim_worker(f), &message)
           ? sim_event(f, BINARIZE_FLIGHT_NONE, 0)
           : sim_event(f, BINARIZE_FLIGHT_UNUSABLE, 0);
}


/*
 * A lease of one that died with the claim is not waited for.  What may have
 * landed before ours was had is asked for behind it.
 */

binarize_flight_event_t
sim_op_lease(binarize_flight_t *flight)
{
    sim_flight_t   *f;
    sim_worker_t   *worker;
    sim_message_t   message;

    f = (sim_flight_t *) flight;
    worker = sim_worker(f);

    if (f->lease) {
        sim_fail("a lease is asked for twice");
    }

    memset(&message, 0, sizeof(message));
    message.id = f->id;

    message.token = sim_claim_lease(f, 0);

    if (message.token) {
        message.kind = SIM_RELEASE;
        message.yes = 1;
        (void) sim_redis_send(worker, &message);
    }

    message.flight = f->number;
    message.serial = f->serial;
    message.kind = SIM_LEASE;
    message.token = ++sim->redis.tokens;
    message.ms = SIM_LEASE_MS;

    if (!sim_redis_send(worker, &message)) {
        return sim_event(f, BINARIZE_FLIGHT_UNUSABLE, 0);
    }

    f->lease = message.token;
    f->held_ms = sim->now_ms + SIM_LEASE_MS;
    f->held = 0;
    f->tells = 0;

    (void) sim_claim_lease(f, f->lease);

    message.kind = SIM_BEHIND;

    if (!sim_redis_send(worker, &message)) {
        sim_lease_release(f);
        return sim_event(f, BINARIZE_FLIGHT_UNUSABLE, 0);
    }

    return sim_event(f, BINARIZE_FLIGHT_NONE, 0);
}


/* what whoever takes the claim over finds; returns what was there */

static uint64_t
sim_claim_lease(sim_flight_t *f, uint64_t lease)
{
    uint64_t                 before;
    binarize_store_entry_t  *claim;

    claim = sim_claim_own(f);

    if (claim == NULL) {
        return 0;
    }

    memcpy(&before, claim->claim.lease, sizeof(before));
    memcpy(claim->claim.lease, &lease, sizeof(lease));

    return before;
}


/* ok is 0 if the connection was lost before */

void
sim_on_reply(sim_worker_t *worker, const sim_message_t *message, int ok)
{
    uint64_t                 at_ms;
    sim_flight_t            *f;
    sim_message_t            given_back;
    binarize_flight_event_e  kind;

    if (ok) {
        worker->nanswered++;
    }

    if (message->kind > SIM_BEHIND) {
        return;
    }

    f = &sim->flights[message->flight];

    if (ok && message->kind == SIM_LEASE
        && (f->serial != message->serial || f->lease != message->token))
    {
        /* what was behind it could not be asked */

        if (message->yes) {
            given_back = *message;
            given_back.kind = SIM_RELEASE;
            given_back.yes = 0;
            (void) sim_redis_send(worker, &given_back);
        }

        return;
    }

    if (f->serial != message->serial || f->ended) {
        return;
    }

    if (!ok) {
        /* of both that ask for the lease only the last one */

        if (message->kind == SIM_LEASE) {
            return;
        }

        if (message->kind == SIM_BEHIND) {
            sim_lease_release(f);
        }

        sim_send(f, BINARIZE_FLIGHT_UNUSABLE, 0);
        return;
    }

    switch (message->kind) {

    case SIM_LEASE:
        f->held = message->yes;
        sim_renew(worker);
        return;

    case SIM_GET:
        kind = BINARIZE_FLIGHT_MISS;

        if (message->yes) {
            kind = BINARIZE_FLIGHT_PURGED;

            if (f->purges == sim_zone(worker)->purges[f->id]) {
                kind = BINARIZE_FLIGHT_HIT;

                sim_drop(worker, &f->hand);
                f->hand.kind = SIM_RESULT;
                f->hand.id = message->whose;
                f->hand.until_ms = sim->now_ms + message->ms;
            }
        }

        at_ms = 0;
        break;

    default:
        kind = sim_leased(f, message, &at_ms);
    }

    sim_send(f, kind, at_ms);
}


/* what other nodes know is kept here, too */

static binarize_flight_event_e
sim_leased(sim_flight_t *f, const sim_message_t *message, uint64_t *at_ms)
{
    int           held;
    sim_worker_t *worker;

    worker = sim_worker(f);
    *at_ms = 0;

    held = f->held;

    if (!held) {
        sim_lease_release(f);
    }

    if (message->yes && f->flight.returns == 0) {
        return held ? BINARIZE_FLIGHT_HELD_LANDED
                    : BINARIZE_FLIGHT_BUSY_LANDED;
    }

    if (message->answer) {
        sim_drop(worker, &f->hand);

        f->hand.kind = message->answer;
        f->hand.id = message->whose;
        f->hand.repeat = message->repeat;
        f->hand.until_ms = sim->now_ms + message->ms;

        (void) sim_keep_state(worker, f->id, &f->hand);

        *at_ms = f->hand.until_ms;

        return f->hand.kind == SIM_PENDING ? BINARIZE_FLIGHT_PENDING
                                           : BINARIZE_FLIGHT_FOUND;
    }

    if (message->yes) {
        return held ? BINARIZE_FLIGHT_HELD_LANDED
                    : BINARIZE_FLIGHT_BUSY_LANDED;
    }

    return held ? BINARIZE_FLIGHT_HELD : BINARIZE_FLIGHT_BUSY;
}


/*
 * To Redis, before the lease is given back on the same connection: who has it
 * after us finds what came.
 */

void
sim_put(sim_flight_t *f)
{
    sim_message_t  message;

    f->tells = 1;

    if (sim_fault == SIM_EARLY_RELEASE) {
        sim_lease_release(f);
    }

    memset(&message, 0, sizeof(message));

    message.kind = SIM_PUT;
    message.id = f->id;
    message.whose = f->hand.id;
    message.ms = SIM_VALID_MS;

    if (sim_redis_send(sim_worker(f), &message)) {
        sim_known(sim_worker(f), f->id)->given = 1;
    }
}


void
sim_tell_state(sim_flight_t *f)
{
    sim_message_t  message;

    memset(&message, 0, sizeof(message));

    message.kind = SIM_STATE;
    message.id = f->id;
    message.whose = f->hand.id;
    message.answer = f->hand.kind;
    message.repeat = f->hand.repeat;
    message.ms = f->hand.until_ms - sim->now_ms;

    (void) sim_redis_send(sim_worker(f), &message);
}


void
sim_op_give_lease(binarize_flight_t *flight)
{
    sim_lease_release((sim_flight_t *) flight);
}


/*
 * Others are told who may have been told that it was ours, or that something
 * has come.  If Redis is away the lease ends by itself.
 */

static void
sim_lease_release(sim_flight_t *f)
{
    sim_message_t  message;

    if (f->lease == 0) {
        return;
    }

    (void) sim_claim_lease(f, 0);

    if (f->held) {
        memset(&message, 0, sizeof(message));

        message.kind = SIM_RELEASE;
        message.id = f->id;
        message.token = f->lease;
        message.yes = f->tells;

        (void) sim_redis_send(sim_worker(f), &message);
    }

    f->lease = 0;
    f->held = 0;
}


void
sim_on_renew(sim_worker_t *worker)
{
    uint32_t        i, id;
    sim_flight_t   *f;
    sim_message_t   message;

    worker->renews = 0;

    for (id = 0; id < sim->conf.nids; id++) {

        i = worker->flights[id];
        f = &sim->flights[i];

        if (i == SIM_NONE || !f->held) {
            continue;
        }

        memset(&message, 0, sizeof(message));

        message.kind = SIM_EXTEND;
        message.id = id;
        message.token = f->lease;
        message.ms = SIM_LEASE_MS;

        (void) sim_redis_send(worker, &message);

        /* one that may have ended meanwhile is not certain any more */

        if (sim->now_ms < f->held_ms) {
            f->held_ms = sim->now_ms + SIM_LEASE_MS;
        }

        sim_renew(worker);
    }
}


/* one timer a worker, while it has leases */

void
sim_renew(sim_worker_t *worker)
{
    if (!worker->renews) {
        worker->renews = 1;
        sim_push(SIM_RENEW, sim->now_ms + SIM_LEASE_MS / 3, worker->number, 0,
                 0);
    }
}
