
#include "sim.h"


/*
 * All orders of events of small worlds, depth first: each step is one event,
 * or an accident as long as there is one left.  What is the same but for the
 * names of things and the time on the clock is gone through once.  From each
 * state at the end the world is run on until nobody has anything to do.
 */

#define SIM_NCHOICES     96
#define SIM_MAX_DEPTH    64
#define SIM_MAX_FINISH   2000
#define SIM_VISITED      (1 << 22)

#define SIM_DOES(kind)   (1u << (kind))

/* besides what may be planned: of a worker that is stalled, or gone */
#define SIM_GOES_ON      30
#define SIM_FOUND_DEAD   31


typedef struct {
    const char          *name;
    uint32_t             depth;
    uint32_t             naccidents;
    uint32_t             accidents;        /* SIM_DOES() */
    uint32_t             nclients;
    uint32_t             patience_ms;      /* of every other client */
    uint32_t             nleave;           /* of them may leave */
    unsigned             token:1;          /* there is one */
    sim_conf_t           conf;
} sim_small_t;


typedef struct {
    uint32_t             event;            /* of sim->events, or NONE */
    uint32_t             accident;
    uint32_t             worker;
} sim_choice_t;


typedef struct {
    uint64_t             hash;             /* 0: none */
    uint32_t             left;             /* depth it was gone through to */
} sim_visited_t;


static void sim_small_create(const sim_small_t *small);
static int sim_small_explore(const sim_small_t *small, double until,
    int report);
static int sim_step(const sim_small_t *small, uint32_t left, double until);
static void sim_finish(const sim_small_t *small);
static uint32_t sim_choices(const sim_small_t *small, sim_choice_t *choices);
static int sim_is_enabled(uint32_t i, uint64_t next_ms);
static int sim_is_first(uint32_t i);
static void sim_choose(const sim_choice_t *choice);
static int sim_is_visited(uint32_t left);


#define SIM_SMALL                                                             \
    .npolls = 1, .token_ms = 1000000000, .latency_ms = 2, .call_ms = 2,       \
    .slice = 2, .size = 64, .explored = 1, .quiet = 1

static const sim_small_t  sim_smalls[] = {

    { "nodes", 12, 0, 0, 4, 20000, 1, 1,
      { .nnodes = 2, .nworkers = 2, .nids = 1, .redis = 1, SIM_SMALL } },

    { "ids", 10, 0, 0, 4, 20000, 1, 1,
      { .nnodes = 1, .nworkers = 2, .nids = 2, SIM_SMALL } },

    { "token", 12, 0, 0, 4, 0, 2, 0,
      { .nnodes = 2, .nworkers = 2, .nids = 1, .redis = 1, SIM_SMALL } },

    { "turns", 12, 0, 0, 4, 1000, 2, 1,
      { .nnodes = 1, .nworkers = 2, .nids = 2, .concurrency = 1, .burst = 1,
        SIM_SMALL } },

    { "agreed", 12, 0, 0, 4, 1000, 1, 1,
      { .nnodes = 2, .nworkers = 2, .nids = 1, .rate = 60, .burst = 1,
        .shared = 1, .redis = 1, SIM_SMALL } },

    { "stalled", 12, 1, SIM_DOES(SIM_STALLED), 4, 0, 1, 1,
      { .nnodes = 2, .nworkers = 2, .nids = 1, .redis = 1, SIM_SMALL } },

    { "stalled alone", 12, 1, SIM_DOES(SIM_STALLED), 3, 20000, 1, 0,
      { .nnodes = 1, .nworkers = 2, .nids = 1, .concurrency = 1, .burst = 1,
        SIM_SMALL } },

    { "killed", 12, 1, SIM_DOES(SIM_KILLED) | SIM_DOES(SIM_KILLED_INSIDE), 4,
      0, 0, 1,
      { .nnodes = 2, .nworkers = 2, .nids = 1, .redis = 1, SIM_SMALL } },

    { "quits", 12, 1, SIM_DOES(SIM_QUIT) | SIM_DOES(SIM_QUIT_NOW), 4, 1000, 1,
      1,
      { .nnodes = 1, .nworkers = 2, .nids = 2, .rate = 60, .burst = 1,
        SIM_SMALL } },

    { "lost", 12, 1,
      SIM_DOES(SIM_CUT) | SIM_DOES(SIM_FLUSHED) | SIM_DOES(SIM_PURGED)
      | SIM_DOES(SIM_UNSUBSCRIBED) | SIM_DOES(SIM_NODE_KILLED), 4, 0, 0, 1,
      { .nnodes = 2, .nworkers = 1, .nids = 1, .redis = 1, SIM_SMALL } },

    { "two at once", 10, 2,
      SIM_DOES(SIM_STALLED) | SIM_DOES(SIM_KILLED) | SIM_DOES(SIM_PURGED)
      | SIM_DOES(SIM_CUT) | SIM_DOES(SIM_CALL_AGAIN), 3, 20000, 1, 1,
      { .nnodes = 1, .nworkers = 2, .nids = 1, .redis = 1, .concurrency = 1,
        .burst = 1, SIM_SMALL } },

    { "fails", 12, 2,
      SIM_DOES(SIM_CALL_FAILS) | SIM_DOES(SIM_CALL_BUSY)
      | SIM_DOES(SIM_CALL_NEGATIVE) | SIM_DOES(SIM_CALL_AGAIN)
      | SIM_DOES(SIM_REVOKED) | SIM_DOES(SIM_TOKEN_FAILS)
      | SIM_DOES(SIM_EVICTED), 3, 20000, 0, 0,
      { .nnodes = 2, .nworkers = 1, .nids = 1, .redis = 1, SIM_SMALL } }
};

#define sim_nsmalls  (sizeof(sim_smalls) / sizeof(sim_smalls[0]))


static sim_visited_t  *sim_visited;
static uint32_t        sim_nvisited;
static char           *sim_saved[SIM_MAX_DEPTH];
static size_t          sim_saved_size;
static uint32_t        sim_path[SIM_MAX_DEPTH];
static uint32_t        sim_path_length;
static uint32_t        sim_accidents_left;
static uint64_t        sim_nsteps;
static int             sim_is_cut;         /* there is more below */


/* seconds are shared out: what is not needed to the wanted depth goes deeper */

int
sim_explore(double seconds, int report)
{
    size_t  i;
    double  begun;

    begun = sim_clock();

    for (i = 0; i < sim_nsmalls; i++) {
        if (sim_small_explore(&sim_smalls[i],
                              begun + seconds * (i + 1) / sim_nsmalls, report)
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static void
sim_small_create(const sim_small_t *small)
{
    uint32_t        i;
    sim_conf_t      conf;
    sim_client_t   *client;
    sim_planned_t  *planned;

    conf = small->conf;
    conf.nclients = small->nclients;
    conf.nclaims = conf.nids;

    sim_create(&conf, 1);

    for (i = 0; i < conf.nnodes && small->token; i++) {
        sim_token_store(&sim->zones[i]);
    }

    for (i = 0; i < conf.nclients; i++) {
        client = &sim->clients[i];

        client->worker = i % sim->nworkers;
        client->id = (i / sim->nworkers + i) % conf.nids;
        client->patience_ms = (i & 1) ? 0 : small->patience_ms;

        if (i == 0) {
            client->closes = conf.nclients - 1;
        }

        planned = &sim->plan[sim->nplan++];
        planned->kind = SIM_ARRIVE;
        planned->client = i;

        if (i < small->nleave) {
            planned = &sim->plan[sim->nplan++];
            planned->kind = SIM_LEAVE;
            planned->client = i;
        }
    }

    for (i = 0; i < sim->nplan; i++) {
        sim_push(SIM_PLANNED, sim->now_ms, SIM_NONE, i, 0);
    }

    sim_accidents_left = small->naccidents;
    sim_path_length = 0;
}


static int
sim_small_explore(const sim_small_t *small, double until, int report)
{
    double    begun;
    size_t    i;
    uint32_t  depth, reached, nstates;

    if (sim_visited == NULL) {
        sim_visited = malloc(SIM_VISITED * sizeof(sim_visited_t));

        if (sim_visited == NULL) {
            abort();
        }
    }

    begun = sim_clock();
    sim_nsteps = 0;
    reached = 0;
    nstates = 0;

    sim_small_create(small);

    if (sim_saved_size < sim_size()) {
        sim_saved_size = sim_size();

        for (i = 0; i < SIM_MAX_DEPTH; i++) {
            free(sim_saved[i]);
            sim_saved[i] = NULL;
        }
    }

    if (setjmp(sim_failed)) {
        printf("%s: %s\nreplay: SIM_SEED='explore %s:", small->name,
               sim_failure, small->name);

        for (i = 0; i < sim_path_length; i++) {
            printf("%s%u", i ? "," : "", sim_path[i]);
        }

        printf("' SIM_TRACE=1 make sim\n");

        return -1;
    }

    for (depth = small->depth / 2; depth < SIM_MAX_DEPTH; depth++) {

        memset(sim_visited, 0, SIM_VISITED * sizeof(sim_visited_t));
        sim_nvisited = 0;
        sim_is_cut = 0;

        sim_small_create(small);

        if (sim_step(small, depth, until) != 0) {
            break;
        }

        reached = depth;
        nstates = sim_nvisited;

        if (!sim_is_cut) {
            break;
        }
    }

    if (report) {
        printf("%s: depth %u%s, %u states, %llu steps, %.0f a second\n",
               small->name, reached,
               !sim_is_cut ? ", the whole of it"
               : reached < small->depth ? ", no time for more" : "",
               nstates, (unsigned long long) sim_nsteps,
               sim_nsteps / (sim_clock() - begun));
    }

    return 0;
}


/* -1: the time is over */

static int
sim_step(const sim_small_t *small, uint32_t left, double until)
{
    uint32_t       i, n, depth, accidents_left;
    sim_choice_t   choices[SIM_NCHOICES];

    depth = sim_path_length;

    if (sim_is_visited(left)) {
        return 0;
    }

    if ((sim_nsteps & 255) == 0 && sim_clock() > until) {
        return -1;
    }

    if (sim_saved[depth] == NULL) {
        sim_saved[depth] = malloc(sim_saved_size);

        if (sim_saved[depth] == NULL) {
            abort();
        }
    }

    if (left == 0) {
        sim_is_cut = 1;
        accidents_left = sim_accidents_left;
        memcpy(sim_saved[depth], sim, sim_size());
        sim_finish(small);
        memcpy(sim, sim_saved[depth], sim_size());
        sim_accidents_left = accidents_left;
        return 0;
    }

    n = sim_choices(small, choices);

    if (n == 0) {
        sim_check_end();
        return 0;
    }

    memcpy(sim_saved[depth], sim, sim_size());
    accidents_left = sim_accidents_left;

    for (i = 0; i < n; i++) {

        if (i) {
            memcpy(sim, sim_saved[depth], sim_size());
            sim_accidents_left = accidents_left;
        }

        sim_path[depth] = i;
        sim_path_length = depth + 1;
        sim_nsteps++;

        sim_choose(&choices[i]);

        if (sim_step(small, left - 1, until) != 0) {
            return -1;
        }
    }

    sim_path_length = depth;

    return 0;
}


/* always the first choice, until nobody has anything to do */

static void
sim_finish(const sim_small_t *small)
{
    uint32_t      i;
    sim_choice_t  choices[SIM_NCHOICES];

    sim_accidents_left = 0;

    for (i = 0; sim_choices(small, choices); i++) {

        if (i == SIM_MAX_FINISH) {
            sim_fail("it goes on for ever");
        }

        sim_nsteps++;
        sim_choose(&choices[0]);
    }

    sim_check_end();
}


static uint32_t
sim_choices(const sim_small_t *small, sim_choice_t *choices)
{
    uint32_t       i, n, kind, w;
    uint64_t       next_ms;
    sim_event_t   *event;
    sim_worker_t  *worker;

    /* time passes only where nothing has to be done at once */

    next_ms = UINT64_MAX;

    for (i = 0; i < sim->nevents; i++) {
        event = &sim->events[i];

        if (sim_event_is_stale(event)
            || (event->worker != SIM_NONE
                && sim->workers[event->worker].stalled_until_ms))
        {
            continue;
        }

        if (event->kind == SIM_WAKE || event->kind == SIM_NEXT_COPY
            || event->kind == SIM_NEXT_ANSWER || event->kind == SIM_REPLY
            || event->kind == SIM_CALL_ENDS
            || (event->kind == SIM_COMMAND
                && event->serial == sim->workers[event->object].connection))
        {
            next_ms = sim->now_ms;
        }

        if ((event->kind >= SIM_DUE || event->kind == SIM_TOKEN_ENDS)
            && event->at_ms < next_ms && event->kind < SIM_BEAT
            && event->kind != SIM_REDIS_TIMEOUT
            && event->kind != SIM_CALL_TIMEOUT)
        {
            next_ms = event->at_ms;
        }
    }

    n = 0;

    for (i = 0; i < sim->nevents && n < SIM_NCHOICES; i++) {
        if (sim_is_enabled(i, next_ms)) {
            choices[n++] = (sim_choice_t) { i, 0, 0 };
        }
    }

    for (w = 0; w < sim->nworkers && n < SIM_NCHOICES - 32; w++) {
        worker = &sim->workers[w];

        if (worker->stalled_until_ms) {
            choices[n++] = (sim_choice_t) { SIM_NONE, SIM_GOES_ON, w };
        }

        if ((worker->stalled_until_ms || worker->pid == 0)
            && sim->conf.nworkers > 1
            && (sim_zone(worker)->processes[worker->slot].epoch & 1))
        {
            choices[n++] = (sim_choice_t) { SIM_NONE, SIM_FOUND_DEAD, w };
        }

        for (kind = SIM_PURGED; sim_accidents_left && kind < SIM_NPLANNED;
             kind++)
        {
            if ((small->accidents & SIM_DOES(kind)) && worker->pid
                && worker->stalled_until_ms == 0
                && (w == 0 || kind < SIM_FLUSHED || kind == SIM_CUT
                    || kind == SIM_UNSUBSCRIBED))
            {
                choices[n++] = (sim_choice_t) { SIM_NONE, kind, w };
            }
        }
    }

    return n;
}


static int
sim_is_enabled(uint32_t i, uint64_t next_ms)
{
    sim_event_t   *event;
    sim_client_t  *client;

    event = &sim->events[i];

    if (sim_event_is_stale(event)
        || (event->worker != SIM_NONE && event->kind != SIM_RESPAWN
            && sim->workers[event->worker].stalled_until_ms))
    {
        return 0;
    }

    switch (event->kind) {

    case SIM_PLANNED:
        client = &sim->clients[sim->plan[event->object].client];

        /* who has not come can not leave */

        return (sim->plan[event->object].kind == SIM_ARRIVE
                || client->state != SIM_CLIENT_AWAY)
               && sim->workers[client->worker].stalled_until_ms == 0;

    case SIM_COMMAND:
        return event->serial == sim->workers[event->object].connection
               && sim_is_first(i);

    case SIM_REPLY:
    case SIM_MESSAGE:
        return sim_is_first(i);

    case SIM_CALL_ENDS:
    case SIM_TOKEN_ENDS:
    case SIM_WAKE:
    case SIM_NEXT_COPY:
    case SIM_NEXT_ANSWER:
    case SIM_AGREED:
    case SIM_RESPAWN:
    case SIM_RECONNECT:
        return 1;

    case SIM_REDIS_TIMEOUT:
        /* of a cut */
        return event->object == SIM_NONE;

    case SIM_CALL_TIMEOUT:
    case SIM_BEAT:
    case SIM_OVERDUE:
        return 0;

    default:
        return event->at_ms <= next_ms;
    }
}


/* of what one connection carries */

static int
sim_is_first(uint32_t i)
{
    uint32_t      k;
    sim_event_t  *event, *before;

    event = &sim->events[i];

    for (k = 0; k < i; k++) {
        before = &sim->events[k];

        if (before->kind == event->kind && before->worker == event->worker
            && before->object == event->object
            && (before->kind == SIM_MESSAGE
                || before->serial == event->serial)
            && !sim_event_is_stale(before))
        {
            return 0;
        }
    }

    return 1;
}


static void
sim_choose(const sim_choice_t *choice)
{
    sim_zone_t     *zone;
    sim_event_t     event;
    sim_worker_t   *worker;
    sim_planned_t   planned;

    if (choice->event != SIM_NONE) {
        sim_take(choice->event, &event);

        if (event.at_ms > sim->now_ms && event.kind >= SIM_DUE
            && event.kind != SIM_RESPAWN && event.kind != SIM_RECONNECT)
        {
            sim->now_ms = event.at_ms;
        }

        sim_handle(&event);

        if (event.worker != SIM_NONE && sim->workers[event.worker].pid) {
            sim_drain(&sim->workers[event.worker]);
        }

        return;
    }

    worker = &sim->workers[choice->worker];
    zone = sim_zone(worker);

    switch (choice->accident) {

    case SIM_GOES_ON:
        sim_trace("n%u w%u  goes on", worker->node, worker->slot);
        worker->stalled_until_ms = 0;

        (void) sim_live_on(worker);

        worker->budget_posted = 1;
        sim_drain(worker);
        return;

    case SIM_FOUND_DEAD:
        sim_trace("n%u w%u  is found dead", worker->node, worker->slot);
        sim_declare_dead(zone, worker->slot);
        return;
    }

    sim_accidents_left--;

    memset(&planned, 0, sizeof(planned));

    planned.kind = choice->accident;
    planned.worker = choice->worker;
    planned.ms = 1000;

    sim_on_planned(&planned);

    if (choice->accident == SIM_STALLED) {
        worker->stalled_until_ms = UINT64_MAX;
    }
}


/* 1 if it was gone through from here, at least as deep; remembers it */

static int
sim_is_visited(uint32_t left)
{
    uint32_t        i;
    uint64_t        hash;
    sim_visited_t  *visited;

    hash = sim_hash(sim_accidents_left) | 1;

    for (i = hash >> 32; ; i++) {

        visited = &sim_visited[i % SIM_VISITED];

        if (visited->hash == hash) {

            if (visited->left >= left + 1) {
                return 1;
            }

            break;
        }

        if (visited->hash == 0) {

            if (sim_nvisited > SIM_VISITED / 4 * 3) {
                return 0;
            }

            sim_nvisited++;
            break;
        }
    }

    visited->hash = hash;
    visited->left = left + 1;

    return 0;
}


int
sim_explore_replay(const char *text)
{
    size_t        i, length;
    uint32_t      n, choice;
    const char   *p;
    sim_choice_t  choices[SIM_NCHOICES];

    p = strchr(text, ':');
    length = p ? (size_t) (p - text) : 0;

    for (i = 0; i < sim_nsmalls; i++) {
        if (p && strlen(sim_smalls[i].name) == length
            && strncmp(sim_smalls[i].name, text, length) == 0)
        {
            break;
        }
    }

    if (i == sim_nsmalls) {
        snprintf(sim_failure, sizeof(sim_failure), "no such world");
        return -1;
    }

    if (setjmp(sim_failed)) {
        return -1;
    }

    sim_small_create(&sim_smalls[i]);

    while (*p == ':' || *p == ',') {

        n = sim_choices(&sim_smalls[i], choices);
        choice = strtoul(p + 1, (char **) &p, 10);

        if (choice >= n) {
            break;
        }

        sim_choose(&choices[choice]);
    }

    sim_finish(&sim_smalls[i]);

    return 0;
}
