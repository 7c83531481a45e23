
#include <stdarg.h>

#include "sim.h"


static void *sim_alloc(size_t n, size_t size);
static void sim_layout(const sim_conf_t *conf);
static void sim_worker_layout(sim_worker_t *worker, uint32_t number);


sim_world_t  *sim;
sim_fault_e   sim_fault;
int           sim_traced;
uint64_t      sim_seen[BINARIZE_FLIGHT_NSTATES][BINARIZE_FLIGHT_NEVENTS];

static char    *sim_memory;
static size_t   sim_memory_size;
static size_t   sim_used;


/* all zero; the first pass only counts */

static void *
sim_alloc(size_t n, size_t size)
{
    size_t  start;

    start = (sim_used + 63) / 64 * 64;
    sim_used = start + n * size;

    return sim_used <= sim_memory_size ? sim_memory + start : NULL;
}


size_t
sim_size(void)
{
    return sim_used;
}


void
sim_create(const sim_conf_t *conf, uint64_t seed)
{
    uint32_t  i;

    sim_used = 0;
    sim = NULL;
    sim_layout(conf);

    if (sim_used > sim_memory_size) {
        free(sim_memory);

        sim_memory_size = sim_used;
        sim_memory = aligned_alloc(64, (sim_used + 63) / 64 * 64);

        if (sim_memory == NULL) {
            abort();
        }
    }

    memset(sim_memory, 0, sim_used);

    sim_used = 0;
    sim = (sim_world_t *) sim_memory;
    sim_layout(conf);

    sim->conf = *conf;
    sim->seed = seed;
    sim->random = sim_mix(seed) | 1;
    sim->now_ms = 1000000;
    sim->running = SIM_NONE;

    sim->flights_free = SIM_NONE;

    for (i = sim->flights_size; i-- > 0; ) {
        sim->flights[i].number = i;
        sim->flights[i].next = sim->flights_free;
        sim->flights_free = i;
    }

    for (i = 0; i < conf->nclients; i++) {
        sim->clients[i].number = i;
        sim->clients[i].closes = SIM_NONE;
    }

    for (i = 0; i < conf->nids; i++) {
        sim->cloud.ids[i].polls = conf->npolls
                                  ? sim_below(conf->npolls + 1) : 0;
    }

    sim->cloud.revoked = 1;

    for (i = 0; i < conf->nnodes; i++) {
        sim_zone_init(&sim->zones[i]);
    }

    for (i = 0; i < sim->nworkers; i++) {
        sim_worker_begin(&sim->workers[i]);
    }
}


static void
sim_layout(const sim_conf_t *conf)
{
    uint32_t      i, nworkers;
    sim_zone_t   *zone;
    sim_world_t  *world;

    static sim_world_t   counted;
    static sim_zone_t    counted_zone;
    static sim_worker_t  counted_worker;

    world = sim_alloc(1, sizeof(sim_world_t));

    if (sim == NULL) {
        world = &counted;
    }

    nworkers = conf->nnodes * conf->nworkers;

    world->nworkers = nworkers;
    world->flights_size = conf->nclients + nworkers * conf->nids + 8;
    world->calls_size = world->flights_size;
    world->events_size = conf->explored ? 256
                         : 1024 + conf->nclients * 8 + nworkers * 64;

    world->plan_size = 2 * conf->nclients + conf->naccidents;

    world->plan = sim_alloc(world->plan_size, sizeof(sim_planned_t));
    world->events = sim_alloc(world->events_size, sizeof(sim_event_t));
    world->flights = sim_alloc(world->flights_size, sizeof(sim_flight_t));
    world->clients = sim_alloc(conf->nclients, sizeof(sim_client_t));
    world->calls = sim_alloc(world->calls_size, sizeof(sim_call_t));
    world->redis.ids = sim_alloc(conf->nids, sizeof(sim_redis_id_t));
    world->cloud.ids = sim_alloc(conf->nids, sizeof(sim_cloud_id_t));
    world->known = sim_alloc(conf->nnodes * conf->nids, sizeof(sim_known_t));
    world->zones = sim_alloc(conf->nnodes, sizeof(sim_zone_t));
    world->workers = sim_alloc(nworkers, sizeof(sim_worker_t));

    for (i = 0; i < conf->nnodes; i++) {
        zone = sim ? &world->zones[i] : &counted_zone;

        zone->memory = sim_alloc(1, BINARIZE_STORE_MIN_SIZE);
        zone->processes = sim_alloc(conf->nworkers,
                                    sizeof(binarize_process_t));
        zone->purges = sim_alloc(conf->nids, sizeof(uint32_t));
        zone->lanes = sim_alloc(conf->nworkers, sizeof(binarize_lane_t));
    }

    world->conf = *conf;

    for (i = 0; i < nworkers; i++) {
        sim_worker_layout(sim ? &world->workers[i] : &counted_worker, i);
    }
}


static void
sim_worker_layout(sim_worker_t *worker, uint32_t number)
{
    static sim_conf_t  conf;

    if (sim) {
        conf = sim->conf;
    }

    worker->number = number;
    worker->node = number / (conf.nworkers ? conf.nworkers : 1);
    worker->slot = number % (conf.nworkers ? conf.nworkers : 1);

    worker->seen = sim_alloc(SIM_NWORKERS, sizeof(binarize_process_seen_t));
    worker->flights = sim_alloc(SIM_NIDS, sizeof(uint32_t));
    worker->line = sim_alloc(SIM_NIDS, sizeof(sim_line_t));
    worker->pins = sim_alloc(SIM_NIDS, sizeof(sim_pin_t));
    worker->commands = sim_alloc(SIM_NCOMMANDS, sizeof(sim_message_t));
}


uint64_t
sim_mix(uint64_t n)
{
    n += 0x9e3779b97f4a7c15ULL;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ULL;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebULL;

    return n ^ (n >> 31);
}


uint64_t
sim_random(void)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;

    return sim->random * 0x2545f4914f6cdd1dULL;
}


/* the explorer makes all choices itself */

uint32_t
sim_below(uint32_t n)
{
    return sim->conf.explored ? n - 1 : (sim_random() >> 33) % n;
}


void
sim_trace(const char *format, ...)
{
    va_list  args;

    if (!sim_traced) {
        return;
    }

    printf("%8llu  ", (unsigned long long) sim->now_ms - 1000000);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    putchar('\n');
}


void
sim_worker_begin(sim_worker_t *worker)
{
    uint32_t     i;
    sim_zone_t  *zone;

    zone = sim_zone(worker);

    /* what the one before has left, if nobody has seen that it is gone */

    sim_declare_dead(zone, worker->slot);

    worker->pid = ++sim->serial;
    worker->epoch = binarize_process_begin(&zone->processes[worker->slot],
                                           worker->pid);
    worker->stalled_until_ms = 0;
    worker->posted = SIM_NONE;
    worker->ended = SIM_NONE;
    worker->npins = 0;
    worker->quits = 0;
    worker->stopped = 0;
    worker->answers = 0;
    worker->budget_posted = 0;
    worker->budget_ms = 0;
    worker->nline = 0;
    worker->asks = 0;
    memset(&worker->lane, 0, sizeof(worker->lane));
    worker->renews = 0;
    worker->woken = 0;
    worker->woken_ids = 0;
    worker->woken_token = 0;
    worker->woken_budget = 0;
    worker->connected = 0;
    worker->subscribed = 0;
    worker->nsent = 0;
    worker->nanswered = 0;
    worker->connection = ++sim->serial;

    binarize_waiters_init(&worker->answering);

    for (i = 0; i < sim->conf.nids; i++) {
        worker->flights[i] = SIM_NONE;
    }

    memset(worker->seen, 0,
           sim->conf.nworkers * sizeof(binarize_process_seen_t));

    if (sim->conf.redis) {
        sim_redis_connect(worker);
    }

    if (!sim->conf.quiet) {
        sim_push(SIM_BEAT, sim->now_ms + 1 + sim_below(SIM_BEAT_MS),
                 worker->number, 0, 0);
    }
}


/*
 * A worker is gone with all it had; what is in the zone and in Redis stays,
 * and the first of what is on its way there.
 */

void
sim_worker_end(sim_worker_t *worker, uint32_t executed)
{
    uint32_t       i;
    sim_client_t  *client;

    if (worker->pid == 0) {
        return;
    }

    sim_redis_lose(worker, executed);

    for (i = 0; i < sim->conf.nclients; i++) {
        client = &sim->clients[i];

        if (client->worker != worker->number
            || client->state == SIM_CLIENT_AWAY
            || client->state == SIM_CLIENT_DONE)
        {
            continue;
        }

        if (client->state != SIM_CLIENT_READS) {
            sim->nwaiting--;
        }

        client->state = SIM_CLIENT_DONE;
        client->waiter.next = NULL;
        client->waiter.flight = NULL;
    }

    for (i = 0; i < sim->flights_size; i++) {

        if (sim->flights[i].serial == 0
            || sim->flights[i].worker != worker->number)
        {
            continue;
        }

        sim->flights[i].serial = 0;
        sim->flights[i].next = sim->flights_free;
        sim->flights_free = i;
        sim->nflights--;
    }

    for (i = 0; i < sim->calls_size; i++) {

        if (sim->calls[i].serial && sim->calls[i].worker == worker->number) {
            sim_call_landed(&sim->calls[i], 1);
        }
    }

    worker->pid = 0;
}
