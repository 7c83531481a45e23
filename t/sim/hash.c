
#include "sim.h"


static uint64_t sim_hash_flight(const sim_flight_t *f);
static uint64_t sim_hash_hand(const sim_hand_t *hand);
static uint64_t sim_hash_event(uint32_t i);


#define sim_into(hash, n)  (hash) = sim_mix((hash) ^ (uint64_t) (n))

/* what is far away is far away */

#define sim_rest(at_ms)                                                       \
    ((at_ms) <= sim->now_ms ? 0                                               \
     : (at_ms) - sim->now_ms < 600000 ? (at_ms) - sim->now_ms : 600000)


/* all that decides what can happen: not names, nor what the time is */

uint64_t
sim_hash(uint32_t naccidents)
{
    uint32_t                 i, id;
    uint64_t                 hash, sum;
    sim_zone_t              *zone;
    uint64_t                 lease;
    binarize_store_entry_t  *claim;
    sim_known_t             *known;
    binarize_token_t        *token;
    sim_worker_t            *worker;
    sim_client_t            *client;
    sim_redis_id_t          *rid;
    unsigned char            key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    hash = sim_mix(naccidents);

    for (i = 0; i < sim->conf.nnodes; i++) {
        zone = &sim->zones[i];

        token = &zone->token;

        sim_into(hash, zone->text < sim->cloud.revoked);
        sim_into(hash, sim_rest(token->expires_ms));
        sim_into(hash, sim_rest(token->renew_ms));
        sim_into(hash, token->accepted * 64 + token->ndrops * 8
                       + token->nrefusals);
        sim_into(hash, sim_rest(token->next_drop_ms));
        sim_into(hash, token->caller_epoch ? 1 + token->caller_slot : 0);
        sim_into(hash, sim_rest(token->deadline_ms));
        sim_into(hash, sim_rest(token->next_call_ms));
        sim_into(hash, sim_rest(token->pause_ms));
        sim_into(hash, zone->token_waiters);

        sim_into(hash, zone->turns.budget.level);
        sim_into(hash, sim->now_ms * 1000 - zone->turns.budget.updated_us);
        sim_into(hash, zone->turns.call_ms);

        for (id = 0; id < sim->conf.nworkers; id++) {
            sim_into(hash, zone->lanes[id].nheld * 8
                           + zone->lanes[id].nwaiting);
            sim_into(hash, zone->lanes[id].ticket
                           ? 1 + zone->turns.ticket - zone->lanes[id].ticket
                           : 0);
        }

        for (id = 0; id < sim->conf.nids; id++) {
            claim = sim_claim(zone, id);

            if (claim) {
                memcpy(&lease, claim->claim.lease, sizeof(lease));

                sim_into(hash, claim->claim.epoch ? claim->owner : 77);
                sim_into(hash, claim->pins[0]);
                sim_into(hash, sim_rest(claim->claim.until_ms));
                sim_into(hash, claim->claim.turn_ms
                               ? 1 + sim_rest(claim->claim.turn_ms) : 0);
                sim_into(hash, lease == 0 ? 0
                               : 1 + (lease == sim->redis.ids[id].lease));
            }

            sim_key(id, key);
            entry = binarize_store_peek(zone->store, key);

            sim_into(hash, entry ? entry->kind + 1 : 0);
            sim_into(hash, entry ? sim_rest(entry->meta.expires_ms) : 0);
            sim_into(hash, entry ? entry->meta.repeat : 0);

            known = &sim->known[i * sim->conf.nids + id];

            sim_into(hash, known->in_air);
            sim_into(hash, known->nallowed - known->nexcess);
            sim_into(hash, sim_rest(known->due_ms));
            sim_into(hash, known->given);
        }
    }

    for (i = 0; i < sim->nworkers; i++) {
        worker = &sim->workers[i];

        sim_into(hash, (worker->pid != 0) | (worker->woken << 1)
                       | (worker->woken_token << 2)
                       | (worker->woken_budget << 3) | (worker->quits << 4)
                       | (worker->stopped << 5) | (worker->answers << 6)
                       | (worker->renews << 7) | (worker->connected << 8)
                       | (worker->subscribed << 9)
                       | ((worker->stalled_until_ms != 0) << 10));
        sim_into(hash, worker->woken_ids);
        sim_into(hash, worker->lane.nheld * 2 + worker->asks);

        for (id = 0; id < worker->nline; id++) {
            sim_into(hash, sim->flights[worker->line[id].flight].id);
            sim_into(hash, worker->line[id].at_ms
                           ? 1 + sim_rest(worker->line[id].at_ms) : 0);
        }

        sim_into(hash, binarize_process_lives(&sim_zone(worker)->processes
                                                             [worker->slot],
                                              worker->epoch));

        for (id = 0; id < sim->conf.nids; id++) {
            sim_into(hash, worker->flights[id] == SIM_NONE ? 0
                           : sim_hash_flight(&sim->flights
                                                  [worker->flights[id]]));
        }
    }

    for (i = 0; i < sim->conf.nclients; i++) {
        client = &sim->clients[i];

        sim_into(hash, client->state);
        sim_into(hash, client->worker);

        if (client->state == SIM_CLIENT_WAITS) {
            sim_into(hash, sim_rest(client->waiter.until_ms));
        }
    }

    for (id = 0; id < sim->conf.nids; id++) {
        rid = &sim->redis.ids[id];

        sim_into(hash, sim_rest(rid->valid_ms));
        sim_into(hash, rid->lease ? 1 + sim_rest(rid->lease_ms) : 0);
        sim_into(hash, sim_rest(rid->state_ms)
                       ? sim_rest(rid->state_ms) * 8 + rid->state : 0);
        sim_into(hash, sim->cloud.ids[id].polls);
        sim_into(hash, sim->cloud.ids[id].next);
    }

    sim_into(hash, sim->cloud.token_fails);

    sum = 0;

    for (i = 0; i < sim->nevents; i++) {
        if (!sim_event_is_stale(&sim->events[i])) {
            sum += sim_hash_event(i);
        }
    }

    sim_into(hash, sum);

    return hash;
}


static uint64_t
sim_hash_flight(const sim_flight_t *f)
{
    uint64_t                  hash;
    const binarize_flight_t  *flight;

    flight = &f->flight;
    hash = sim_mix(flight->state);

    sim_into(hash, flight->nwaiters);
    sim_into(hash, sim_rest(flight->until_ms));
    sim_into(hash, flight->turn_ms ? 1 + sim_rest(flight->turn_ms) : 0);
    sim_into(hash, flight->refusals * 8 + flight->returns * 2
                   + flight->waited);
    sim_into(hash, (sim_claim_own((sim_flight_t *) f) != NULL)
                   + (f->epoch ? 2 : 0));
    sim_into(hash, sim_rest(f->held_ms));
    sim_into(hash, f->lease == 0 ? 0
                   : 1 + (f->lease == sim->redis.ids[f->id].lease));
    sim_into(hash, f->due_ms ? 1 + sim_rest(f->due_ms) : 0);
    sim_into(hash, f->bearer ? 1 + (f->bearer < sim->cloud.revoked) : 0);
    sim_into(hash, f->ticket ? 1 + sim_zone(&sim->workers[f->worker])
                                                    ->turns.ticket - f->ticket
                             : 0);
    sim_into(hash, f->purges
                   == sim_zone(&sim->workers[f->worker])->purges[f->id]);
    sim_into(hash, f->repeat);
    sim_into(hash, f->follows | (f->held << 1) | (f->tells << 2)
                   | (f->token_waits << 3) | (f->calls << 4)
                   | ((uint64_t) f->turn << 8));
    sim_into(hash, sim_hash_hand(&f->hand));

    return hash;
}


static uint64_t
sim_hash_hand(const sim_hand_t *hand)
{
    uint64_t  hash;

    hash = sim_mix(hand->kind);

    sim_into(hash, hand->id);
    sim_into(hash, sim_rest(hand->until_ms));
    sim_into(hash, (hand->entry != NULL) + 2 * hand->fresh);

    return hash;
}


/* its place among those of its channel counts, not that among all */

static uint64_t
sim_hash_event(uint32_t i)
{
    uint32_t              k, place;
    uint64_t              hash;
    const sim_call_t     *call;
    const sim_event_t    *event, *before;
    const sim_message_t  *message;

    event = &sim->events[i];
    message = &event->message;
    place = 0;

    for (k = 0; k < i; k++) {
        before = &sim->events[k];
        place += before->kind == event->kind
                 && before->worker == event->worker;
    }

    hash = sim_mix(event->kind);

    sim_into(hash, event->worker);

    switch (event->kind) {

    case SIM_PLANNED:
        sim_into(hash, event->object);
        break;

    case SIM_COMMAND:

        if (event->serial != sim->workers[event->object].connection) {
            return 0;
        }

        /* fall through */

    case SIM_REPLY:
    case SIM_MESSAGE:
        sim_into(hash, place);
        sim_into(hash, event->kind == SIM_COMMAND ? event->object : 0);
        sim_into(hash, message->kind * 4 + message->yes);
        sim_into(hash, message->id);
        sim_into(hash, message->answer);
        sim_into(hash, message->kind == SIM_MESSAGE ? message->whose : 0);
        sim_into(hash, message->token
                       && message->token
                          == sim->redis.ids[message->id].lease);
        sim_into(hash, message->kind <= SIM_BEHIND
                       && sim->flights[message->flight].serial
                          == message->serial);
        break;

    case SIM_CALL_ENDS:
    case SIM_CALL_TIMEOUT:
        call = &sim->calls[event->object];
        sim_into(hash, call->id);
        sim_into(hash, call->ends);
        sim_into(hash, call->counted + 2 * call->excess);
        sim_into(hash, call->generation < sim->cloud.revoked);
        break;

    case SIM_DUE:
    case SIM_NEXT_COPY:
        sim_into(hash, sim->flights[event->object].id);
        sim_into(hash, sim_rest(event->at_ms));
        break;

    case SIM_DEADLINE:
        sim_into(hash, event->object);
        sim_into(hash, sim_rest(event->at_ms));
        break;

    case SIM_REDIS_TIMEOUT:
        return event->object == SIM_NONE ? hash : 0;

    case SIM_OVERDUE:
        return 0;

    default:
        sim_into(hash, sim_rest(event->at_ms));
    }

    return hash;
}
