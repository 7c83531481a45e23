
#include "sim.h"


static void sim_cost(uint32_t ncalls, int forgotten);
static void sim_cost_of(sim_worker_t *worker, uint32_t ncalls);
static void sim_stall(sim_worker_t *worker, uint64_t ms);
static void sim_kill(sim_worker_t *worker, uint64_t ms);
static void sim_kill_node(uint32_t node, uint64_t ms);
static void sim_quit(sim_worker_t *worker, int now);
static void sim_cut(sim_worker_t *worker);


const char *const  sim_planned_names[] = {
    "client", "leaves", "purge", "eviction", "worker stalled", "node stalled",
    "all stalled", "worker killed", "worker killed in a change",
    "node killed", "worker quits", "worker quits now", "redis flushed",
    "redis' clock", "connection cut", "redis away", "redis hung",
    "unsubscribed", "messages lost", "token revoked", "token fails",
    "call fails", "call is refused", "call says no", "call is slow",
    "call is tried again"
};


void
sim_accident_draw(sim_planned_t *planned)
{
    static const uint32_t  kinds[] = {
        SIM_PURGED, SIM_EVICTED, SIM_STALLED, SIM_STALLED, SIM_NODE_STALLED,
        SIM_ALL_STALLED, SIM_KILLED, SIM_KILLED, SIM_KILLED_INSIDE,
        SIM_NODE_KILLED, SIM_QUIT, SIM_QUIT, SIM_QUIT_NOW, SIM_FLUSHED,
        SIM_CLOCK, SIM_CUT, SIM_AWAY, SIM_HUNG, SIM_UNSUBSCRIBED, SIM_LOSSY,
        SIM_REVOKED, SIM_TOKEN_FAILS, SIM_CALL_FAILS, SIM_CALL_BUSY,
        SIM_CALL_NEGATIVE, SIM_CALL_SLOW, SIM_CALL_AGAIN
    };

    planned->kind = kinds[sim_below(sizeof(kinds) / sizeof(kinds[0]))];
    planned->worker = sim_below(sim->nworkers);
    planned->id = sim_below(sim->conf.nids);
    planned->ms = 1 + sim_below(sim_below(2) ? 500 : 12000);
}


/*
 * What an accident may cost:
 *
 *   purge                   the result is to be asked for anew
 *   eviction                the same without a Redis that has it
 *   worker stalled          two for each id it flies for: another one's, and
 *                           the next try of its own
 *   node or all stalled     the same among nodes, as leases end; else none
 *   worker killed           a call where its commands to Redis are lost
 *   node killed             a call for each id
 *   worker quits            none
 *   Redis flushed, or its   three for each id: lease and state are lost, and
 *   clock moved             the next try of who had the lease
 *   connection cut          two for each id: no lease, and a put may be lost
 *   Redis away, or hung     each node polls on its own
 *   messages lost           none
 *   token, cloud            none: what has failed is not counted
 */

void
sim_on_planned(const sim_planned_t *planned)
{
    uint32_t        i, id;
    sim_worker_t   *worker;
    sim_message_t   message;

    worker = &sim->workers[planned->worker];
    id = planned->id;

    if (planned->kind == SIM_ARRIVE || planned->kind == SIM_LEAVE) {
        sim_client_planned(planned);
        return;
    }

    sim_trace("ACCIDENT: %s, n%u w%u  id %u  %llu ms",
              sim_planned_names[planned->kind], worker->node, worker->slot,
              id, (unsigned long long) planned->ms);

    sim->slack_ms += planned->ms + 10000;

    switch (planned->kind) {

    case SIM_PURGED:
        sim_purge(sim_zone(worker), id);

        memset(&message, 0, sizeof(message));

        message.kind = SIM_PURGE;
        message.id = id;
        message.whose = worker->node;

        if (worker->pid) {
            (void) sim_redis_send(worker, &message);
        }

        for (i = 0; i < sim->conf.nnodes; i++) {
            sim->known[i * sim->conf.nids + id].given = 0;
            sim->known[i * sim->conf.nids + id].due_ms = 0;
        }

        sim_allow(id, 2);
        break;

    case SIM_EVICTED:
        sim_evict(sim_zone(worker), id);

        if (!sim->conf.redis) {
            sim_known(worker, id)->given = 0;
            sim_known(worker, id)->due_ms = 0;
        }

        break;

    case SIM_STALLED:
        sim_cost_of(worker, 2);
        sim_stall(worker, planned->ms);
        break;

    case SIM_NODE_STALLED:
    case SIM_ALL_STALLED:

        for (i = 0; i < sim->nworkers; i++) {

            if (planned->kind == SIM_NODE_STALLED
                && sim->workers[i].node != worker->node)
            {
                continue;
            }

            if ((sim->conf.redis && sim->conf.nnodes > 1)
                || sim_gone(sim_zone(&sim->workers[i])))
            {
                sim_cost_of(&sim->workers[i], 2);
            }

            sim_stall(&sim->workers[i], planned->ms + 20 * i);
        }

        break;

    case SIM_KILLED_INSIDE:
        sim_recover(sim_zone(worker));
        /* fall through */

    case SIM_KILLED:
        sim_kill(worker, planned->ms);
        break;

    case SIM_NODE_KILLED:
        sim_kill_node(worker->node, planned->ms);
        break;

    case SIM_QUIT:
    case SIM_QUIT_NOW:
        sim_quit(worker, planned->kind == SIM_QUIT_NOW);
        break;

    case SIM_FLUSHED:
        memset(sim->redis.ids, 0, sim->conf.nids * sizeof(sim_redis_id_t));
        sim_cost(3, 1);
        break;

    case SIM_CLOCK:
        sim->redis.clock_ms += planned->ms * (planned->ms % 3 ? 1 : 10000);
        sim_cost(3, 1);
        break;

    case SIM_CUT:
        sim_cost(2, 0);
        sim_cut(worker);
        break;

    case SIM_AWAY:
        sim->redis.away = 1;
        sim_push(SIM_BACK, sim->now_ms + planned->ms, SIM_NONE, 0, 0);

        for (i = 0; i < sim->nworkers; i++) {
            sim_cut(&sim->workers[i]);
        }

        sim_cost(sim->conf.nnodes * (2 + sim->conf.npolls), 0);
        break;

    case SIM_HUNG:

        if (sim->redis.hung_until_ms < sim->now_ms + planned->ms) {
            sim->redis.hung_until_ms = sim->now_ms + planned->ms;
        }

        sim_cost(sim->conf.nnodes * (2 + sim->conf.npolls), 0);
        break;

    case SIM_UNSUBSCRIBED:
        if (worker->connected) {
            worker->subscribed = 0;
            sim_push(SIM_RECONNECT, sim->now_ms + planned->ms,
                     worker->number, 0, worker->connection);
        }

        break;

    case SIM_LOSSY:
        sim->redis.lossy_until_ms = sim->now_ms + planned->ms;
        break;

    case SIM_REVOKED:
        sim->cloud.revoked = sim->cloud.generation + 1;
        break;

    case SIM_TOKEN_FAILS:
        sim->cloud.token_fails++;
        break;

    default:
        sim->cloud.ids[id].next = planned->kind;
        sim->cloud.ids[id].next_ms = planned->ms;
    }
}


/* calls for each id; forgotten: what was known is not any more */

static void
sim_cost(uint32_t ncalls, int forgotten)
{
    uint32_t  i;

    for (i = 0; i < sim->conf.nids; i++) {
        sim_allow(i, ncalls);
    }

    for (i = 0; forgotten && i < sim->conf.nids * sim->conf.nnodes; i++) {
        sim->known[i].given = 0;
        sim->known[i].due_ms = 0;
    }
}


/* for those it flies for, or has something of on the way to Redis */

static void
sim_cost_of(sim_worker_t *worker, uint32_t ncalls)
{
    uint32_t  i, id;
    uint64_t  ids;

    ids = 0;

    for (id = 0; id < sim->conf.nids; id++) {
        if (worker->flights[id] != SIM_NONE) {
            ids |= 1ULL << id;
        }
    }

    for (i = worker->nanswered; i != worker->nsent; i++) {
        ids |= 1ULL << worker->commands[i % SIM_NCOMMANDS].id;
    }

    for (id = 0; id < sim->conf.nids; id++) {
        if (ids & (1ULL << id)) {
            sim_known(worker, id)->nallowed += ncalls;
        }
    }
}


static void
sim_stall(sim_worker_t *worker, uint64_t ms)
{
    if (worker->stalled_until_ms < sim->now_ms + ms) {
        worker->stalled_until_ms = sim->now_ms + ms;
    }
}


static void
sim_kill(sim_worker_t *worker, uint64_t ms)
{
    uint32_t       i;
    sim_worker_t  *other;

    if (worker->pid == 0) {
        return;
    }

    if (sim->conf.redis) {
        sim_cost_of(worker, 1);
    }

    /* the one that comes instead may be the only one that is awake */

    for (i = 0; i < sim->conf.nworkers; i++) {
        other = sim_slot(sim_zone(worker), i);

        if (other->stalled_until_ms > sim->now_ms) {
            sim_cost_of(other, 1);
        }
    }

    sim_worker_end(worker, sim->conf.explored ? 0 : sim->seq - sim_below(64));
    sim_push(SIM_RESPAWN, sim->now_ms + ms, worker->number, 0, 0);
}


/* with its zone */

static void
sim_kill_node(uint32_t node, uint64_t ms)
{
    uint32_t      i;
    sim_zone_t   *zone, kept;

    for (i = 0; i < sim->conf.nworkers; i++) {
        sim_kill(&sim->workers[node * sim->conf.nworkers + i], ms);
    }

    zone = &sim->zones[node];
    kept = *zone;

    memset(zone, 0, sizeof(*zone));

    zone->memory = kept.memory;
    zone->processes = kept.processes;
    zone->purges = kept.purges;
    zone->lanes = kept.lanes;

    memset(zone->memory, 0, BINARIZE_STORE_MIN_SIZE);
    memset(zone->processes, 0,
           sim->conf.nworkers * sizeof(binarize_process_t));
    memset(zone->lanes, 0, sim->conf.nworkers * sizeof(binarize_lane_t));

    sim_zone_init(zone);

    for (i = 0; i < sim->conf.nids; i++) {
        sim->known[i].nallowed++;

        if (!sim->conf.redis) {
            sim->known[node * sim->conf.nids + i].given = 0;
            sim->known[node * sim->conf.nids + i].due_ms = 0;
        }
    }
}


/* now: worker_shutdown_timeout is over, calls are not waited for */

static void
sim_quit(sim_worker_t *worker, int now)
{
    uint32_t      i;
    sim_call_t   *call;

    if (worker->pid == 0) {
        return;
    }

    if (worker->stalled_until_ms > sim->now_ms) {
        return;
    }

    worker->quits = 1;
    worker->stopped |= now;

    for (i = 0; i < sim->calls_size; i++) {
        call = &sim->calls[i];

        if (now && call->serial && call->worker == worker->number) {
            call->ends = SIM_QUIT_NOW;
            sim_push(SIM_CALL_ENDS, sim->now_ms, worker->number, i,
                     call->serial);
        }
    }

    for (i = 0; i < sim->conf.nids; i++) {
        if (worker->flights[i] != SIM_NONE) {
            sim_send(&sim->flights[worker->flights[i]], BINARIZE_FLIGHT_STOP,
                     0);
        }
    }

    sim_drain(worker);
}


/* it sees that when it runs */

static void
sim_cut(sim_worker_t *worker)
{
    if (worker->connected) {
        worker->severed = worker->connection;
        sim_push(SIM_REDIS_TIMEOUT, sim->now_ms, worker->number, SIM_NONE,
                 worker->connection);
    }
}
