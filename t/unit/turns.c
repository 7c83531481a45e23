
#include "turns.h"
#include "unit.h"


#define NWORKERS  2
#define NLINE     2                 /* turns that wait in a worker, at most */
#define DEPTH     8
#define NSEEN     (1 << 22)         /* places for states, a power of 2 */

#define START     1700000000


typedef struct {
    binarize_lane_t           own;
    binarize_process_seen_t   seen[NWORKERS];
    uint64_t                  line[NLINE];   /* tickets */
    uint32_t                  ncalls;
    uint32_t                  token;         /* a token call is in the air */
    uint32_t                  nlost;         /* of its units, declared free */
    uint32_t                  stopped;
    uint32_t                  killed;
} worker_t;


/* two workers and what they share; compared byte by byte */
typedef struct {
    binarize_turns_t          turns;
    binarize_lane_t           lanes[NWORKERS];
    binarize_process_t        processes[NWORKERS];
    worker_t                  workers[NWORKERS];
    uint64_t                  now_ms;
} world_t;


typedef enum {
    ARRIVE = 0, SERVE, END, UNMADE, LEAVE_FIRST, LEAVE_LAST, TOKEN, TOKEN_END,
    BEAT, STOP, CONTINUE, KILL, REPLACE, NEVENTS
} event_e;


static const char  *event_names[NEVENTS] = {
    "arrive", "serve", "end", "unmade", "leave_first", "leave_last", "token",
    "token_end", "beat", "stop", "continue", "kill",
    "replace"
};

static binarize_budget_limits_t  limits;
static uint8_t                   path[DEPTH][2];
static size_t                    nseen;
static uint64_t                 *seen_hashes;


/* a violation tells how it came about */

#define assert_world(condition)                                               \
    if (!(condition)) {                                                       \
        world_fail(#condition);                                               \
    }


static void
world_fail(const char *condition)
{
    size_t  i;

    for (i = 0; i < DEPTH && path[i][0] != NEVENTS; i++) {
        print_error("%s of %u\n", event_names[path[i][0]], path[i][1]);
    }

    fail_msg("not %s", condition);
}


static void
worker_begin(world_t *world, uint32_t w)
{
    world->workers[w].own.epoch = binarize_process_begin(&world->processes[w],
                                                         w + 1);
}


static void
world_begin(world_t *world)
{
    uint32_t  i;

    memset(world, 0, sizeof(*world));

    world->now_ms = 100000;

    for (i = 0; i < NWORKERS; i++) {
        worker_begin(world, i);
    }
}


static void
world_look(world_t *world, uint32_t w, binarize_turns_look_t *look)
{
    worker_t  *worker;

    worker = &world->workers[w];

    memset(look, 0, sizeof(*look));

    look->turns = &world->turns;
    look->lanes = world->lanes;
    look->nlanes = NWORKERS;
    look->slot = w;
    look->own = &worker->own;
    look->processes = world->processes;
    look->seen = worker->seen;
    look->limits = &limits;
    look->now_ms = world->now_ms;
    look->now_us = world->now_ms * 1000;
    look->unix_s = START;

    if (!binarize_process_lives(&world->processes[w], worker->own.epoch)) {
        worker_begin(world, w);
    }

    binarize_turns_show(look);
}


/* whose units are not known to be lost */

static uint32_t
world_nheld(world_t *world)
{
    uint32_t  i, nheld;

    nheld = 0;

    for (i = 0; i < NWORKERS; i++) {
        nheld += world->workers[i].ncalls + world->workers[i].token
                 - world->workers[i].nlost;
    }

    return nheld;
}


static void
worker_take_out(worker_t *worker, uint32_t i)
{
    for ( ; i + 1 < NLINE; i++) {
        worker->line[i] = worker->line[i + 1];
    }

    worker->line[NLINE - 1] = 0;
    worker->own.nwaiting--;
    worker->own.ticket = worker->line[0];
}


/* of all that beat, none that waits has come before */

static void
worker_granted(world_t *world, uint32_t w, uint64_t ticket, int kept)
{
    uint32_t                 i;
    worker_t                *other;
    binarize_process_seen_t  seen;

    world->workers[w].ncalls++;

    for (i = 0; i < NWORKERS; i++) {
        other = &world->workers[i];

        if (i == w || other->line[0] == 0 || other->line[0] > ticket) {
            continue;
        }

        seen = world->workers[w].seen[i];

        assert_world(binarize_process_look(&world->processes[i], &seen,
                                           world->processes[w].beat)
                     != BINARIZE_PROCESS_BEATING);
    }

    assert_world(world_nheld(world) + kept <= limits.concurrency);
}


static void
worker_serve(world_t *world, uint32_t w)
{
    int                       kept;
    uint64_t                  ticket, look_ms;
    worker_t                 *worker;
    binarize_turns_look_t     look;
    binarize_turn_verdict_e   verdict;
    binarize_turn_estimate_t  estimate;

    worker = &world->workers[w];

    while (worker->line[0]) {

        world_look(world, w, &look);
        kept = binarize_turns_token_waits(&look);

        verdict = binarize_turns_serve(&look, &look_ms, &estimate);

        if (verdict != BINARIZE_TURN_GRANTED) {
            assert_world(verdict == BINARIZE_TURN_QUEUED);
            assert_world(look_ms && look_ms <= BINARIZE_TURNS_LOOK_MS);
            break;
        }

        ticket = worker->line[0];
        worker_take_out(worker, 0);
        worker_granted(world, w, ticket, kept);
        binarize_turns_show(&look);
    }
}


static void
worker_arrive(world_t *world, uint32_t w)
{
    int                       kept;
    uint64_t                  ticket;
    worker_t                 *worker;
    binarize_turns_look_t     look;
    binarize_turn_verdict_e   verdict;
    binarize_turn_estimate_t  estimate;

    worker = &world->workers[w];
    ticket = 0;

    world_look(world, w, &look);
    kept = binarize_turns_token_waits(&look);

    verdict = binarize_turns_want(&look, &ticket, worker->own.nwaiting, 60000,
                                  &estimate);

    assert_world(ticket == world->turns.ticket);

    if (verdict == BINARIZE_TURN_GRANTED) {
        assert_world(worker->own.nwaiting == 0);
        worker_granted(world, w, ticket, kept);

    } else {
        assert_world(verdict == BINARIZE_TURN_QUEUED);
        worker->line[worker->own.nwaiting++] = ticket;
        worker->own.ticket = worker->line[0];
    }

    binarize_turns_show(&look);
}


/* a turn is over, or waits no longer: who is next is woken, or it is us */

static void
worker_leave(world_t *world, uint32_t w, event_e event)
{
    uint32_t                i, next;
    uint64_t                slots, least;
    worker_t               *worker;
    binarize_turns_look_t   look;

    worker = &world->workers[w];

    world_look(world, w, &look);

    switch (event) {

    case LEAVE_FIRST:
        worker_take_out(worker, 0);
        break;

    case LEAVE_LAST:
        worker_take_out(worker, worker->own.nwaiting - 1);
        break;

    default:
        binarize_turns_release(&look, event != UNMADE, 0);
        (event == TOKEN_END) ? worker->token-- : worker->ncalls--;

        if (worker->nlost > worker->ncalls + worker->token) {
            worker->nlost--;
        }
    }

    slots = 0;
    binarize_turns_wake(&look, 0, &slots);
    binarize_turns_show(&look);

    next = w;
    least = worker->line[0] ? worker->line[0] : UINT64_MAX;

    for (i = 0; i < NWORKERS; i++) {
        if (world->lanes[i].ticket && world->lanes[i].ticket < least
            && binarize_process_look(&world->processes[i], &worker->seen[i],
                                     world->processes[w].beat)
               == BINARIZE_PROCESS_BEATING)
        {
            next = i;
            least = world->lanes[i].ticket;
        }
    }

    assert_world(slots == (next == w ? 0 : 1ULL << next));
}


static void
worker_beat(world_t *world, uint32_t w)
{
    uint32_t                   i;
    worker_t                  *other;
    binarize_turns_look_t      look;
    binarize_process_state_e   state;

    world_look(world, w, &look);
    world->processes[w].beat++;

    for (i = 0; i < NWORKERS; i++) {
        other = &world->workers[i];

        if (i == w || world->processes[i].pid == 0) {
            continue;
        }

        state = binarize_process_look(&world->processes[i],
                                      &world->workers[w].seen[i],
                                      world->processes[w].beat);

        if (other->killed) {
            binarize_process_end(&world->processes[i]);
            other->nlost = other->ncalls + other->token;
            other->own.nwaiting = 0;
            memset(other->line, 0, sizeof(other->line));

        } else if (state == BINARIZE_PROCESS_DEAD) {
            binarize_process_declare_dead(&world->processes[i]);
            other->nlost = other->ncalls + other->token;
        }
    }

    worker_serve(world, w);
}


static void
worker_token(world_t *world, uint32_t w)
{
    worker_t               *worker;
    binarize_turns_look_t   look;

    worker = &world->workers[w];

    world_look(world, w, &look);

    if (binarize_turns_token(&look, 1)) {
        worker->token++;
        assert_world(world_nheld(world) <= limits.concurrency);
        assert_world(!binarize_turns_token_waits(&look));

    } else {
        assert_world(binarize_turns_token_waits(&look));
    }
}


/* 0: it can not happen */

static int
world_event(world_t *world, event_e event, uint32_t w)
{
    worker_t  *worker;

    worker = &world->workers[w];

    if (worker->killed) {
        memset(worker, 0, sizeof(*worker));
        worker_begin(world, w);
        return event == REPLACE;
    }

    if (worker->stopped) {
        worker->stopped = 0;
        return event == CONTINUE;
    }

    switch (event) {

    case ARRIVE:
        if (worker->own.nwaiting == NLINE) {
            return 0;
        }

        worker_arrive(world, w);
        return 1;

    case SERVE:
        worker_serve(world, w);
        return 1;

    case END:
    case UNMADE:
        if (worker->ncalls == 0) {
            return 0;
        }

        worker_leave(world, w, event);
        return 1;

    case LEAVE_FIRST:
    case LEAVE_LAST:
        if (worker->own.nwaiting == 0) {
            return 0;
        }

        worker_leave(world, w, event);
        return 1;

    case TOKEN:
        if (worker->token) {
            return 0;
        }

        worker_token(world, w);
        return 1;

    case TOKEN_END:
        if (worker->token == 0) {
            return 0;
        }

        worker_leave(world, w, event);
        return 1;

    case BEAT:
        world->now_ms += 1000;
        worker_beat(world, w);
        return 1;

    case STOP:
        worker->stopped = 1;
        return 1;

    case KILL:
        worker->killed = 1;
        return 1;

    default:
        return 0;
    }
}


/*
 * Calls end, and time goes on: who goes on waits for one that does not until
 * that stands still, or for its units until it is declared dead
 */

static void
world_end_calls(world_t *world, uint32_t w)
{
    worker_t  *worker;

    worker = &world->workers[w];

    while (worker->ncalls) {
        worker_leave(world, w, END);
    }

    if (worker->token) {
        worker_leave(world, w, TOKEN_END);
    }
}


static void
world_drain(world_t *world)
{
    uint32_t   i, n, nbeats;
    worker_t  *worker;

    nbeats = BINARIZE_PROCESS_STILL_BEATS + 1;

    for (i = 0; i < NWORKERS; i++) {
        worker = &world->workers[i];

        if (worker->stopped && worker->ncalls + worker->token) {
            nbeats = BINARIZE_PROCESS_DEAD_BEATS + 1;
        }
    }

    for (n = 0; n < nbeats + NWORKERS * NLINE; n++) {
        world->now_ms += 1000;

        for (i = 0; i < NWORKERS; i++) {
            worker = &world->workers[i];

            if (worker->stopped || worker->killed) {
                continue;
            }

            world_end_calls(world, i);

            if (n < nbeats) {
                worker_beat(world, i);

            } else {
                worker_serve(world, i);
            }
        }
    }

    for (i = 0; i < NWORKERS; i++) {
        worker = &world->workers[i];

        if (!worker->stopped && !worker->killed) {
            assert_world(worker->line[0] == 0);
            world_end_calls(world, i);
        }
    }
}


static void
world_check(const world_t *world)
{
    uint32_t  i, nrunning;
    world_t   copy;

    copy = *world;
    world_drain(&copy);

    nrunning = 0;

    for (i = 0; i < NWORKERS; i++) {
        copy.workers[i].stopped = 0;
        nrunning += !copy.workers[i].killed;
    }

    world_drain(&copy);

    for (i = 0; nrunning && i < NWORKERS; i++) {
        assert_world(copy.lanes[i].nheld == 0 && copy.lanes[i].ticket == 0);
    }
}


/* 1 if such a state has been there before */

static int
world_seen(const world_t *world)
{
    size_t                i;
    uint64_t              hash;
    const unsigned char  *p;

    hash = 14695981039346656037ULL;
    p = (const unsigned char *) world;

    for (i = 0; i < sizeof(*world); i++) {
        hash = (hash ^ p[i]) * 1099511628211ULL;
    }

    hash |= 1;

    for (i = hash >> 20; seen_hashes[i & (NSEEN - 1)]; i++) {
        if (seen_hashes[i & (NSEEN - 1)] == hash) {
            return 1;
        }
    }

    seen_hashes[i & (NSEEN - 1)] = hash;
    nseen++;
    assert_true(nseen < NSEEN / 2);

    return 0;
}


/* all orders of events: level by level, each state once */

typedef struct {
    world_t   world;
    uint8_t   path[DEPTH][2];
} node_t;


static void
explore(uint32_t concurrency)
{
    size_t    i, n, nnext, room, depth;
    node_t   *nodes, *next;
    world_t   world;
    uint32_t  event, w;

    memset(&limits, 0, sizeof(limits));
    limits.burst = 1;
    limits.concurrency = concurrency;

    seen_hashes = calloc(NSEEN, sizeof(*seen_hashes));
    assert_non_null(seen_hashes);
    nseen = 0;

    nodes = calloc(1, sizeof(*nodes));
    assert_non_null(nodes);
    n = 1;

    world_begin(&nodes->world);
    memset(nodes->path, NEVENTS, sizeof(nodes->path));

    for (depth = 0; depth < DEPTH; depth++) {
        next = NULL;
        nnext = 0;
        room = 0;

        for (i = 0; i < n; i++) {
            for (event = 0; event < NEVENTS; event++) {
                for (w = 0; w < NWORKERS; w++) {

                    memcpy(path, nodes[i].path, sizeof(path));
                    path[depth][0] = event;
                    path[depth][1] = w;

                    world = nodes[i].world;

                    if (!world_event(&world, event, w)
                        || world_seen(&world))
                    {
                        continue;
                    }

                    world_check(&world);

                    if (depth + 1 == DEPTH) {
                        continue;
                    }

                    if (nnext == room) {
                        room = room ? 2 * room : 64;
                        next = realloc(next, room * sizeof(*next));
                        assert_non_null(next);
                    }

                    next[nnext].world = world;
                    memcpy(next[nnext].path, path, sizeof(path));
                    nnext++;
                }
            }
        }

        free(nodes);
        nodes = next;
        n = nnext;
    }

    free(nodes);
    free(seen_hashes);

    print_message("%zu states, concurrency %u\n", nseen, concurrency);
}


static void
test_all_orders(void **state)
{
    (void) state;

    explore(1);
    explore(2);
}


static void
test_estimate(void **state)
{
    size_t                    i;
    world_t                   world;
    uint64_t                  ticket, look_ms;
    binarize_turns_look_t     look;
    binarize_turn_estimate_t  estimate;

    static const struct {
        binarize_keeper_e         keeper;
        uint64_t                  level;       /* of the bucket */
        uint64_t                  told_ms;     /* ago; all in ms */
        uint64_t                  ask_ms;      /* from now */
        uint64_t                  pause_ms;    /* from now */
        uint32_t                  own_ahead;
        uint32_t                  nheld;
        binarize_turn_verdict_e   wanted;
        binarize_turn_verdict_e   served;
        uint64_t                  wait_ms;
        uint64_t                  retry_ms;
    } rows[] = {
        /* the zone's own: 60 a minute, a unit of two is 700 ms in the air */
        { BINARIZE_KEEPER_ZONE, 1, 9000, 0, 0, 0, 0,
          BINARIZE_TURN_GRANTED, BINARIZE_TURN_GRANTED, 0, 0 },
        { BINARIZE_KEEPER_ZONE, 0, 9000, 0, 0, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 1000, 1000 },
        { BINARIZE_KEEPER_ZONE, 0, 9000, 0, 0, 3, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 4000, 4000 },
        { BINARIZE_KEEPER_ZONE, 0, 9000, 0, 0, 10, 0,
          BINARIZE_TURN_REFUSED, BINARIZE_TURN_QUEUED, 11000, 11000 },
        { BINARIZE_KEEPER_ZONE, 1, 9000, 0, 0, 0, 2,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 1, 350 },
        { BINARIZE_KEEPER_ZONE, 0, 9000, 0, 2500, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 2500, 2500 },

        /* Redis' is not ours to give; what it told holds for a second */
        { BINARIZE_KEEPER_REDIS, 1, 9000, 0, 0, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_ASK, 0, 0 },
        { BINARIZE_KEEPER_REDIS, 0, 9000, 0, 0, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_ASK, 0, 0 },
        { BINARIZE_KEEPER_REDIS, 0, 500, 0, 0, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 1000, 1000 },
        { BINARIZE_KEEPER_REDIS, 0, 9000, 300, 0, 0, 0,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 300, 300 },
        { BINARIZE_KEEPER_REDIS, 0, 9000, 300, 10001, 0, 0,
          BINARIZE_TURN_REFUSED, BINARIZE_TURN_QUEUED, 10001, 10001 },
        { BINARIZE_KEEPER_REDIS, 1, 9000, 0, 0, 0, 2,
          BINARIZE_TURN_QUEUED, BINARIZE_TURN_QUEUED, 1, 350 },

        /* nobody knows */
        { BINARIZE_KEEPER_NONE, 1, 9000, 0, 0, 0, 0,
          BINARIZE_TURN_REFUSED, BINARIZE_TURN_QUEUED,
          BINARIZE_TURNS_FOREVER, BINARIZE_TURNS_AWAY_MS },
    };

    (void) state;

    memset(&limits, 0, sizeof(limits));
    limits.rate = 60;
    limits.burst = 1;
    limits.concurrency = 2;

    for (i = 0; i < unit_nelts(rows); i++) {
        world_begin(&world);

        world.turns.call_ms = 700;
        world.turns.told_ms = world.now_ms - rows[i].told_ms;
        world.turns.pause_ms = rows[i].pause_ms
                               ? world.now_ms + rows[i].pause_ms : 0;
        world.turns.budget.level = rows[i].level * BINARIZE_BUDGET_UNIT;
        world.turns.budget.updated_us = world.now_ms * 1000;
        world.workers[0].own.nheld = rows[i].nheld;

        world_look(&world, 0, &look);
        look.keeper = rows[i].keeper;
        look.ask_ms = world.now_ms + rows[i].ask_ms;

        memset(&estimate, 0, sizeof(estimate));
        ticket = 0;

        assert_int_equal(binarize_turns_want(&look, &ticket, rows[i].own_ahead,
                                             10000, &estimate),
                         rows[i].wanted);
        assert_int_equal(estimate.wait_ms, rows[i].wait_ms);
        assert_int_equal(estimate.retry_ms, rows[i].retry_ms);
        assert_int_equal(ticket, rows[i].wanted != BINARIZE_TURN_REFUSED);

        /* as if it waited, and alone */

        world.workers[0].own.nheld = rows[i].nheld;
        world.workers[0].own.ticket = 1;
        world.workers[0].own.nwaiting = 1;
        world.turns.budget.level = rows[i].level * BINARIZE_BUDGET_UNIT;
        binarize_turns_show(&look);

        assert_int_equal(binarize_turns_serve(&look, &look_ms, &estimate),
                         rows[i].served);
    }
}


/* who comes back for another try has the place it had */

static void
test_ahead(void **state)
{
    world_t                   world;
    uint64_t                  ticket;
    binarize_turns_look_t     look;
    binarize_turn_estimate_t  estimate;

    (void) state;

    memset(&limits, 0, sizeof(limits));
    limits.rate = 60;
    limits.burst = 1;

    world_begin(&world);
    world.turns.budget.level = 0;
    world.turns.budget.updated_us = world.now_ms * 1000;
    world.turns.ticket = 9;

    world.workers[1].own.ticket = 5;
    world.workers[1].own.nwaiting = 3;
    world_look(&world, 1, &look);
    world_look(&world, 0, &look);

    ticket = 0;
    assert_int_equal(binarize_turns_want(&look, &ticket, 0, 60000, &estimate),
                     BINARIZE_TURN_QUEUED);
    assert_int_equal(ticket, 10);
    assert_int_equal(estimate.wait_ms, 4000);

    ticket = 4;
    assert_int_equal(binarize_turns_want(&look, &ticket, 0, 60000, &estimate),
                     BINARIZE_TURN_QUEUED);
    assert_int_equal(ticket, 4);
    assert_int_equal(estimate.wait_ms, 1000);

    /* of three from 5 on one at most is before 6 */

    ticket = 6;
    assert_int_equal(binarize_turns_want(&look, &ticket, 0, 60000, &estimate),
                     BINARIZE_TURN_QUEUED);
    assert_int_equal(estimate.wait_ms, 2000);

    world.workers[0].own.nwaiting = 2;
    binarize_turns_estimate(&look, 1, &estimate);
    assert_int_equal(estimate.wait_ms, 5000);
}


static void
test_told(void **state)
{
    world_t                world;
    uint64_t               slots;
    binarize_turns_look_t  look;

    (void) state;

    memset(&limits, 0, sizeof(limits));
    limits.rate = 60;
    limits.burst = 2;
    limits.quota = 9;
    limits.concurrency = 2;

    world_begin(&world);
    world.workers[1].own.ticket = 7;
    world.workers[1].own.nwaiting = 1;
    world_look(&world, 1, &look);

    world.workers[0].own.ticket = 3;
    world.workers[0].own.nwaiting = 1;
    world_look(&world, 0, &look);

    binarize_turns_told(&look, 1, BINARIZE_BUDGET_UNIT, 4, 0);

    assert_int_equal(world.workers[0].own.nheld, 1);
    assert_int_equal(world.lanes[0].nheld, 1);
    assert_int_equal(world.turns.budget.level, BINARIZE_BUDGET_UNIT);
    assert_int_equal(binarize_budget_spent(&world.turns.budget, &limits,
                                           START), 4);

    /* all have something new to go by, or the next only */

    slots = 0;
    binarize_turns_wake(&look, 0, &slots);
    assert_int_equal(slots, 0);
    binarize_turns_wake(&look, 1, &slots);
    assert_int_equal(slots, 2);

    binarize_turns_told(&look, 0, 0, 4, 2500);

    assert_int_equal(world.workers[0].own.nheld, 1);
    assert_int_equal(world.turns.pause_ms, world.now_ms + 2500);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_estimate),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_all_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
