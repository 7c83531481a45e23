
#include "sim.h"


static void sim_execute(sim_message_t *message);


/* 0: Redis is not usable now */

int
sim_redis_send(sim_worker_t *worker, sim_message_t *message)
{
    sim_event_t  *event;

    if (!worker->connected
        || worker->nsent - worker->nanswered == SIM_NCOMMANDS)
    {
        return 0;
    }

    worker->commands[worker->nsent % SIM_NCOMMANDS] = *message;

    sim_push(SIM_REDIS_TIMEOUT, sim->now_ms + SIM_REDIS_TIMEOUT_MS,
             worker->number, worker->nsent, worker->connection);

    worker->nsent++;
    sim->redis.ncommands++;

    /* what one connection carries keeps its order */

    if (!sim->conf.explored) {
        worker->sent_ms = sim_later(worker->sent_ms);
    }

    event = sim_push(SIM_COMMAND, sim->conf.explored ? sim->now_ms
                                                     : worker->sent_ms,
                     SIM_NONE, worker->number, worker->connection);
    event->message = *message;

    return 1;
}


/* when what is sent now arrives, and not before what was sent before */

uint64_t
sim_later(uint64_t last_ms)
{
    uint64_t  at_ms;

    at_ms = sim->now_ms + sim_below(sim_below(16) ? 2 : sim->conf.latency_ms);

    return at_ms > last_ms ? at_ms : last_ms;
}


void
sim_on_command(const sim_event_t *event)
{
    int            live;
    sim_event_t   *reply;
    sim_worker_t  *worker;
    sim_message_t  message;

    worker = &sim->workers[event->object];
    live = (event->serial == worker->connection);
    message = event->message;

    if (sim->redis.away || event->serial == worker->severed
        || (!live && event->seq >= worker->executed))
    {
        sim->lost = 1;
        return;
    }

    if (sim->redis.hung_until_ms > sim->now_ms) {
        (void) sim_put_off_event(event, sim->redis.hung_until_ms);
        return;
    }

    sim_execute(&message);

    if (!live) {
        return;
    }

    if (!sim->conf.explored) {
        worker->replied_ms = sim_later(worker->replied_ms);
    }

    reply = sim_push(SIM_REPLY, sim->conf.explored ? sim->now_ms
                                                   : worker->replied_ms,
                     worker->number, 0, worker->connection);
    reply->message = message;
}


/* the answer is written into the message */

static void
sim_execute(sim_message_t *message)
{
    uint64_t         now_ms;
    sim_redis_id_t  *rid;

    rid = &sim->redis.ids[message->id];
    now_ms = sim->now_ms + sim->redis.clock_ms;

    switch (message->kind) {

    case SIM_GET:
        message->yes = rid->valid_ms > now_ms;
        message->whose = rid->whose;
        message->ms = message->yes ? rid->valid_ms - now_ms : 0;
        break;

    case SIM_LEASE:
        message->yes = (rid->lease == 0 || rid->lease_ms <= now_ms);

        if (message->yes) {
            rid->lease = message->token;
            rid->lease_ms = now_ms + message->ms;
        }

        break;

    case SIM_BEHIND:
        message->yes = rid->valid_ms > now_ms;
        message->answer = SIM_NOTHING;

        if (rid->state_ms > now_ms) {
            message->answer = rid->state;
            message->whose = message->id;
            message->repeat = rid->repeat;
            message->ms = rid->state_ms - now_ms;
        }

        break;

    case SIM_PUT:
        rid->valid_ms = now_ms + message->ms;
        rid->whose = message->whose;
        break;

    case SIM_STATE:
        rid->state = message->answer;
        rid->repeat = message->repeat;
        rid->state_ms = now_ms + message->ms;
        break;

    case SIM_RELEASE:
        if (rid->lease == message->token) {
            rid->lease = 0;
        }

        if (message->yes) {
            sim_publish(message);
        }

        break;

    case SIM_EXTEND:
        if (rid->lease == message->token && rid->lease_ms > now_ms) {
            rid->lease_ms = now_ms + message->ms;
        }

        break;

    default:
        rid->valid_ms = 0;
        rid->state_ms = 0;
        sim_publish(message);
    }

    sim_trace("redis  command %u  id %u  token %llu: %u", message->kind,
              message->id, (unsigned long long) message->token, message->yes);
}


void
sim_publish(const sim_message_t *message)
{
    uint32_t       i, n;
    sim_worker_t  *worker;

    for (i = 0; i < sim->nworkers; i++) {
        worker = &sim->workers[i];

        if (!worker->subscribed) {
            continue;
        }

        n = 1;

        if (sim->redis.lossy_until_ms > sim->now_ms) {
            n = sim_below(3);
        }

        while (n--) {

            if (!sim->conf.explored) {
                worker->told_ms = sim_later(worker->told_ms);
            }

            sim_push(SIM_MESSAGE, sim->conf.explored ? sim->now_ms
                                                     : worker->told_ms,
                     i, 0, 0)->message = *message;
        }
    }
}


void
sim_on_message(sim_worker_t *worker, const sim_message_t *message)
{
    uint32_t  i;

    if (message->kind == SIM_PURGE) {

        if (message->whose != worker->node) {
            sim_purge(sim_zone(worker), message->id);
        }

        return;
    }

    i = worker->flights[message->id];

    if (i != SIM_NONE && sim->flights[i].flight.state == BINARIZE_FLIGHT_REMOTE)
    {
        sim_post(&sim->flights[i]);
    }
}


/* of what is on its way to Redis the first are executed still */

void
sim_redis_lose(sim_worker_t *worker, uint32_t executed)
{
    worker->connection = ++sim->serial;
    worker->executed = executed;
    worker->connected = 0;
    worker->subscribed = 0;

    sim->lost = 1;
}


void
sim_redis_cut(sim_worker_t *worker)
{
    uint32_t       i, n;
    sim_message_t  lost[SIM_NCOMMANDS];

    if (!worker->connected) {
        return;
    }

    sim_trace("n%u w%u  connection lost", worker->node, worker->slot);

    for (i = worker->nanswered, n = 0; i != worker->nsent; i++) {
        lost[n++] = worker->commands[i % SIM_NCOMMANDS];
    }

    sim_redis_lose(worker, sim->conf.explored ? 0
                                              : sim->seq - sim_below(64));

    for (i = 0; i < n; i++) {
        sim_on_reply(worker, &lost[i], 0);
    }

    sim_push(SIM_RECONNECT, sim->now_ms + 1 + sim_below(400), worker->number,
             0, worker->connection);
}


void
sim_redis_connect(sim_worker_t *worker)
{
    uint32_t  id, i;

    if (sim->redis.away) {
        sim_push(SIM_RECONNECT, sim->now_ms + 1 + sim_below(200),
                 worker->number, 0, worker->connection);
        return;
    }

    if (!worker->connected) {
        worker->connected = 1;
        worker->nsent = 0;
        worker->nanswered = 0;
    }

    if (worker->subscribed) {
        return;
    }

    worker->subscribed = 1;

    /* landings may have been missed */

    for (id = 0; id < sim->conf.nids; id++) {
        i = worker->flights[id];

        if (i != SIM_NONE
            && sim->flights[i].flight.state == BINARIZE_FLIGHT_REMOTE)
        {
            sim_post(&sim->flights[i]);
        }
    }
}
