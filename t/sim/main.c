
#include <time.h>
#include <unistd.h>

#include "sim.h"


static int sim_random_world(uint64_t seed, const unsigned char *kept);
static int sim_shrink(uint64_t seed, unsigned char *kept, uint32_t *nkept);
static void sim_say_failure(uint64_t seed, const unsigned char *kept,
    uint32_t nplan);
static int sim_replay(const char *text);
static int sim_replay_all(const char *file);
static int sim_growth(void);
static void sim_say_coverage(void);


const binarize_flight_ops_t  *sim_ops = &sim_sound_ops;


double
sim_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


/* what sort of world it is */

void
sim_conf_of_seed(sim_conf_t *conf, uint64_t seed)
{
    uint64_t  n;

    static const uint32_t  spans_ms[] = { 1, 50, 1000, 20000 };

#define sim_draw(below)  ((n = sim_mix(n)) % (below))

    n = seed;

    memset(conf, 0, sizeof(*conf));

    conf->nnodes = sim_draw(5) < 2 ? 1 : 2 + sim_draw(2);
    conf->nworkers = 1 + sim_draw(4);
    conf->nids = 1 + sim_draw(4);
    conf->nclients = 2 + sim_draw(24);
    conf->redis = sim_draw(4) != 0;
    conf->npolls = sim_draw(3) ? sim_draw(5) : 0;
    conf->token_ms = sim_draw(3) ? 1000000000 : 1000 + sim_draw(6000);
    conf->latency_ms = 2 + sim_draw(50);
    conf->call_ms = sim_draw(2) ? 50 : 4000;
    conf->patience_ms = sim_draw(4) ? 20000 : 1;
    conf->span_ms = spans_ms[sim_draw(4)];
    conf->slice = 1 + sim_draw(3);
    conf->size = sim_draw(2) ? 64 : 3000;
    conf->nclaims = sim_draw(8) ? conf->nids : 1;
    conf->naccidents = sim_draw(3) ? 1 + sim_draw(6) : 0;

    if (sim_draw(3) == 0) {
        conf->rate = 30 + sim_draw(600);
        conf->burst = 1 + sim_draw(3);
    }

    if (sim_draw(4) == 0) {
        conf->concurrency = 1 + sim_draw(3);
    }

    if (sim_draw(12) == 0) {
        conf->quota = 1 + sim_draw(6);
    }

    if (conf->rate || conf->concurrency || conf->quota) {
        conf->burst += conf->burst == 0;
        conf->shared = sim_draw(3) == 0;
    }

#undef sim_draw
}


/* all that is going to happen from outside; kept: not all of it */

void
sim_plan(const unsigned char *kept)
{
    uint32_t        i;
    sim_client_t   *client;
    sim_planned_t  *planned;

    for (i = 0; i < sim->conf.nclients; i++) {

        client = &sim->clients[i];

        client->worker = sim_below(sim->nworkers);
        client->id = sim_below(sim->conf.nids);
        client->patience_ms = sim_below(3) ? sim_below(sim->conf.patience_ms)
                                           : 0;
        client->read_ms = sim_below(sim_below(4) ? 2 : 3000);

        if (sim_below(4) == 0) {
            client->closes = sim_below(sim->conf.nclients);
        }

        planned = &sim->plan[sim->nplan++];

        planned->kind = SIM_ARRIVE;
        planned->client = i;
        planned->at_ms = sim->now_ms + sim_below(sim->conf.span_ms);

        if (sim_below(5) == 0) {
            planned[1] = planned[0];
            planned[1].kind = SIM_LEAVE;
            planned[1].at_ms += sim_below(sim_below(2) ? 20 : 6000);
            sim->nplan++;
        }
    }

    for (i = 0; i < sim->conf.naccidents; i++) {
        planned = &sim->plan[sim->nplan++];

        sim_accident_draw(planned);
        planned->at_ms = sim->now_ms
                         + sim_below(sim->conf.span_ms
                                     + (sim_below(2) ? 100 : 8000));
    }

    for (i = 0; i < sim->nplan; i++) {
        if (kept == NULL || kept[i]) {
            sim_push(SIM_PLANNED, sim->plan[i].at_ms, SIM_NONE, i, 0);
        }
    }
}


/* 0, or -1: sim_failure says why */

static int
sim_random_world(uint64_t seed, const unsigned char *kept)
{
    sim_conf_t  conf;

    if (setjmp(sim_failed)) {
        return -1;
    }

    sim_conf_of_seed(&conf, seed);
    sim_create(&conf, seed);
    sim_plan(kept);
    sim_run();

    return 0;
}


/* leaves out what is not needed to fail in the same way */

static int
sim_shrink(uint64_t seed, unsigned char *kept, uint32_t *nkept)
{
    int       again;
    char      failure[sizeof(sim_failure)];
    uint32_t  i, nplan;

    memset(kept, 1, 256);

    if (sim_random_world(seed, kept) == 0) {
        return -1;
    }

    nplan = sim->nplan;
    memcpy(failure, sim_failure, sizeof(failure));

    /* numbers of clients are another matter */

    failure[strcspn(failure, "0123456789")] = '\0';

    do {
        again = 0;

        for (i = nplan; i-- > 0; ) {

            if (!kept[i]) {
                continue;
            }

            kept[i] = 0;

            if (sim_random_world(seed, kept) != 0
                && strncmp(failure, sim_failure, strlen(failure)) == 0)
            {
                again = 1;
                continue;
            }

            kept[i] = 1;
        }

    } while (again);

    *nkept = nplan;

    (void) sim_random_world(seed, kept);

    return 0;
}


static void
sim_say_failure(uint64_t seed, const unsigned char *kept, uint32_t nplan)
{
    uint32_t  i;

    printf("FAILED: %s\n", sim_failure);
    printf("replay: SIM_SEED=%llu", (unsigned long long) seed);

    for (i = 0; i < nplan; i++) {
        if (kept[i]) {
            printf("%c%u", memchr(kept, 1, i) ? ',' : ':', i);
        }
    }

    printf(" SIM_TRACE=1 make sim\n");
}


/* "seed" or "seed:kept,kept..." */

static int
sim_replay(const char *text)
{
    char           *p;
    uint64_t        seed;
    unsigned char   kept[256];

    seed = strtoull(text, &p, 10);
    memset(kept, *p != ':', sizeof(kept));

    while (*p == ':' || *p == ',') {
        kept[strtoul(p + 1, &p, 10) % sizeof(kept)] = 1;
    }

    return sim_random_world(seed, kept);
}


/* those that have failed once */

static int
sim_replay_all(const char *file)
{
    int    rc, n;
    char   line[1024];
    FILE  *f;

    f = fopen(file, "r");

    if (f == NULL) {
        perror(file);
        return 1;
    }

    n = 0;

    while (fgets(line, sizeof(line), f)) {

        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }

        rc = (strncmp(line, "explore ", 8) == 0)
             ? sim_explore_replay(line + 8) : sim_replay(line);

        if (rc != 0) {
            printf("FAILED: %s\n    %s", sim_failure, line);
            fclose(f);
            return 1;
        }

        n++;
    }

    fclose(f);

    printf("%d kept worlds\n", n);

    return 0;
}


/* one seed after the other, for so long, and limit worlds at most */

int
sim_random_worlds(uint64_t seed, double seconds, uint64_t limit, int report,
    uint64_t *nworlds)
{
    double         begun, last;
    uint32_t       nplan;
    uint64_t       nevents;
    unsigned char  kept[256];

    begun = sim_clock();
    last = begun;
    nevents = 0;

    for (*nworlds = 0;
         *nworlds < limit && sim_clock() - begun < seconds;
         seed++)
    {

        (*nworlds)++;

        if (sim_random_world(seed, NULL) != 0) {

            if (report) {
                printf("seed %llu: %s\n", (unsigned long long) seed,
                       sim_failure);

                if (sim_shrink(seed, kept, &nplan) == 0) {
                    sim_say_failure(seed, kept, nplan);
                }
            }

            return -1;
        }

        nevents += sim->nhandled;

        if (report && sim_clock() - last > 30) {
            last = sim_clock();
            fprintf(stderr, "  %llu worlds\n",
                    (unsigned long long) *nworlds);
        }
    }

    if (report) {
        printf("random: %llu worlds, %llu events, %.0f a second, "
               "next seed %llu\n", (unsigned long long) *nworlds,
               (unsigned long long) nevents,
               nevents / (sim_clock() - begun), (unsigned long long) seed);
    }

    return 0;
}


/* what of the flight has been tried: an event that is never seen is not */

static void
sim_say_coverage(void)
{
    uint32_t  i, j, n, nevents, seen;

    for (j = 1, n = 0, nevents = 0; j < BINARIZE_FLIGHT_NEVENTS; j++) {

        for (i = 0, seen = 0; i < BINARIZE_FLIGHT_NSTATES; i++) {
            seen += sim_seen[i][j] != 0;
        }

        n += seen;
        nevents += seen != 0;

        if (seen == 0) {
            printf("event %u is never seen\n", j);
        }
    }

    printf("seen: %u of %u events, %u pairs of state and event\n", nevents,
           (unsigned) BINARIZE_FLIGHT_NEVENTS - 1, n);
}


/*
 * What a picture costs that 1,000 clients of a fleet ask for at once, where
 * nodes have a token, and where each of them is to get one first.
 */

static int
sim_growth(void)
{
    uint32_t    i, nodes, tokens;
    sim_conf_t  conf;

    printf("%6s %8s %8s %7s %8s %9s %8s\n", "nodes", "workers", "waiters",
           "tokens", "calls", "commands", "wakes");

    for (tokens = 0; tokens < 2; tokens++) {
        for (nodes = 1; nodes <= 1000; nodes *= 10) {

            memset(&conf, 0, sizeof(conf));

            conf.nnodes = nodes;
            conf.nworkers = 8;
            conf.nids = 1;
            conf.nclients = 1000;
            conf.redis = 1;
            conf.token_ms = 1000000000;
            conf.latency_ms = 2;
            conf.call_ms = 800;
            conf.patience_ms = 60000;
            conf.slice = 8;
            conf.size = 3000;
            conf.nclaims = 1;

            if (setjmp(sim_failed)) {
                printf("FAILED: %s\n", sim_failure);
                return 1;
            }

            sim_create(&conf, 1);

            for (i = 0; i < conf.nnodes && tokens == 0; i++) {
                sim_token_store(&sim->zones[i]);
            }

            for (i = 0; i < conf.nclients; i++) {
                sim->clients[i].worker = i * sim->nworkers / conf.nclients;
                sim->clients[i].patience_ms = conf.patience_ms;

                sim->plan[i].client = i;
                sim->plan[i].kind = SIM_ARRIVE;

                sim_push(SIM_PLANNED, sim->now_ms + sim_below(20), SIM_NONE,
                         i, 0);
            }

            sim->nplan = i;
            sim_run();

            printf("%6u %8u %8u %7s %8llu %9llu %8llu\n", nodes,
                   sim->nworkers, conf.nclients, tokens ? "none" : "all",
                   (unsigned long long) sim->cloud.ncalls,
                   (unsigned long long) sim->redis.ncommands,
                   (unsigned long long) sim->nwakes);
        }
    }

    return 0;
}


int
main(int argc, char **argv)
{
    int          rc;
    double       seconds;
    uint64_t     seed, nworlds;
    const char  *part, *text, *value;

    setvbuf(stdout, NULL, _IOLBF, 0);

    part = argc > 1 ? argv[1] : "run";

    value = getenv("SIM_SECONDS");
    seconds = value && *value ? atof(value) : 60;

    value = getenv("SIM_TRACE");
    sim_traced = value && *value && *value != '0';

    text = getenv("SIM_SEED");

    if (strcmp(part, "growth") == 0) {
        return sim_growth();
    }

    if (strcmp(part, "faults") == 0) {
        return sim_faults();
    }

    if (text && *text) {
        rc = strncmp(text, "explore ", 8) == 0 ? sim_explore_replay(text + 8)
                                               : sim_replay(text);

        printf("%s\n", rc ? sim_failure : "passed");

        return rc != 0;
    }

    if (argc > 2 && sim_replay_all(argv[2]) != 0) {
        return 1;
    }

    if (strcmp(part, "random") != 0 && sim_explore(seconds / 2, 1) != 0) {
        return 1;
    }

    seed = (uint64_t) time(NULL) * 1000000 + getpid() % 1000;

    if (sim_random_worlds(seed, seconds / 2, UINT64_MAX, 1, &nworlds) != 0) {
        return 1;
    }

    sim_say_coverage();

    return 0;
}
