
#include "token.h"
#include "unit.h"


#define NWORKERS  2
#define NCALLS    2                 /* in the air, of a worker */
#define DEPTH     8
#define NSEEN     (1 << 22)         /* places for states, a power of 2 */

#define LIFE_S    10
#define CALL_MS   4000              /* a call is given up as lost after that */


/* a call in the air; number 0: none */
typedef struct {
    uint64_t             number;
    uint64_t             epoch;
} call_t;


/* two workers and what they share; compared byte by byte */
typedef struct {
    binarize_token_t     token;
    binarize_process_t   processes[NWORKERS];

    call_t               calls[NWORKERS][NCALLS];
    uint64_t             bearers[NWORKERS];  /* generations in use, 0: none */

    uint64_t             now_ms;
    uint64_t             expires_ms;         /* of the current generation */
    uint64_t             dropped;            /* the last one that was */
    uint64_t             worked;             /* that has */
    uint64_t             not_before_ms;      /* no call, after refusals */
    uint64_t             nrefusals;
    uint64_t             paused_ms;
} world_t;


typedef enum {
    ASK = 0, ASK_NO_UNIT, GOT, REFUSED, FAILED, STOPPED, TAKEN, NOT_TAKEN,
    PAUSE, DECLARED_DEAD, REPLACED, SECOND, NINE_SECONDS, MINUTE, NEVENTS
} event_e;


static const char  *event_names[NEVENTS] = {
    "ask", "ask_no_unit", "got", "refused", "failed", "stopped", "taken",
    "not_taken", "pause", "declared_dead", "replaced", "second",
    "nine_seconds", "minute"
};

static const uint64_t  pace_s[] = { 0, 5, 60, 600 };

static uint8_t   path[DEPTH][2];
static size_t    nseen;
static uint64_t  *seen_hashes;


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
world_begin(world_t *world)
{
    uint32_t  i;

    memset(world, 0, sizeof(*world));
    world->now_ms = 1000000;

    for (i = 0; i < NWORKERS; i++) {
        (void) binarize_process_begin(&world->processes[i], i + 1);
    }
}


/* a call of somebody who lives, that is not lost */

static int
world_calling(world_t *world)
{
    uint32_t  i, k;
    call_t   *call;

    for (i = 0; i < NWORKERS; i++) {
        for (k = 0; k < NCALLS; k++) {
            call = &world->calls[i][k];

            if (call->number && call->number == world->token.call
                && binarize_process_lives(&world->processes[i], call->epoch)
                && world->now_ms < world->token.deadline_ms)
            {
                return 1;
            }
        }
    }

    return 0;
}


static call_t *
world_call(world_t *world, uint32_t w, int free)
{
    uint32_t  k;

    for (k = 0; k < NCALLS; k++) {
        if ((world->calls[w][k].number == 0) == free) {
            return &world->calls[w][k];
        }
    }

    return NULL;
}


static int
world_ask(world_t *world, uint32_t w, int unit)
{
    call_t                       *call;
    binarize_token_none_t         none;
    binarize_token_verdict_e      verdict;

    memset(&none, 0, sizeof(none));

    verdict = binarize_token_look(&world->token, world->processes,
                                  world->now_ms, &none);
    switch (verdict) {

    case BINARIZE_TOKEN_NONE:
        assert_world(none.problem != BINARIZE_PROBLEM_NONE);
        assert_world(none.until_ms > world->now_ms);
        return 1;

    case BINARIZE_TOKEN_WAIT:
        assert_world(world_calling(world));
        break;

    case BINARIZE_TOKEN_USE:
    case BINARIZE_TOKEN_RENEW:
        assert_world(world->token.generation != world->dropped);
        assert_world(world->now_ms < world->expires_ms);
        world->bearers[w] = world->token.generation;
        break;

    case BINARIZE_TOKEN_CALL:
        assert_world(world->token.generation == world->dropped
                     || world->now_ms >= world->expires_ms);
        break;
    }

    assert_world(world->now_ms >= world->paused_ms);

    if (verdict == BINARIZE_TOKEN_RENEW || verdict == BINARIZE_TOKEN_CALL) {

        assert_world(!world_calling(world));
        assert_world(world->now_ms >= world->not_before_ms);

        call = world_call(world, w, 1);

        if (unit && call) {
            call->epoch = world->processes[w].epoch;
            call->number = binarize_token_called(&world->token, w, call->epoch,
                                                 world->now_ms + CALL_MS);
            assert_world(world_calling(world));
        }
    }

    return 1;
}


/* the oldest call of the worker ends */

static int
world_end(world_t *world, uint32_t w, event_e event)
{
    int                       usable, others, in_time;
    call_t                   *call;
    uint64_t                  number, delay_s, generation;
    uint32_t                  status;
    binarize_problem_e        problem;
    binarize_token_none_t     none;

    call = world_call(world, w, 0);

    if (call == NULL) {
        return 0;
    }

    number = call->number;
    call->number = 0;

    in_time = world->token.call == number && world->token.caller_epoch;
    others = world_calling(world);
    generation = world->token.generation;

    usable = world->now_ms < world->expires_ms
             && generation != world->dropped
             && generation != 0;

    switch (event) {

    case GOT:
        if (binarize_token_answered(&world->token, number, world->now_ms)
            != BINARIZE_OK)
        {
            assert_world(usable && !in_time);
            break;
        }

        assert_world(!usable || in_time);

        /* who dies in between leaves none */

        assert_world(binarize_token_look(&world->token, world->processes,
                                         world->now_ms, &none)
                     >= BINARIZE_TOKEN_CALL);

        binarize_token_stored(&world->token, LIFE_S, world->now_ms);
        world->expires_ms = world->now_ms + LIFE_S * 1000;
        assert_world(world->token.generation == generation + 1);
        break;

    case STOPPED:
        binarize_token_stopped(&world->token, number);
        break;

    default:
        status = (event == REFUSED) ? 400 : 0;
        problem = BINARIZE_PROBLEM_UNREACHABLE;

        delay_s = binarize_token_failed(&world->token, number, status,
                                        &problem, 30, world->now_ms);

        if (event == REFUSED) {
            world->nrefusals++;
            assert_world(problem == BINARIZE_PROBLEM_TOKEN_REFUSED);
            assert_world(delay_s == pace_s[world->nrefusals < 3
                                           ? world->nrefusals : 3]);
            world->not_before_ms = world->now_ms + delay_s * 1000;
        }
    }

    /* another's call goes on, and what was good is good still */

    assert_world(world_calling(world) == others);

    if (usable && world->now_ms >= world->paused_ms) {
        assert_world(binarize_token_look(&world->token, world->processes,
                                         world->now_ms, &none)
                     <= BINARIZE_TOKEN_RENEW);
    }

    return 1;
}


/* the cloud has answered to a request with the token of the worker */

static int
world_answered(world_t *world, uint32_t w, int taken)
{
    uint64_t  generation;

    generation = world->bearers[w];

    if (generation == 0) {
        return 0;
    }

    world->bearers[w] = 0;

    if (taken) {
        binarize_token_accepted(&world->token, generation);
        world->worked = generation;
        return 1;
    }

    if (binarize_token_refused(&world->token, generation, world->now_ms)
        == BINARIZE_OK)
    {
        if (world->token.generation == generation) {
            world->dropped = generation;
        }

    } else {
        assert_world(world->token.generation == generation);
        assert_world(world->worked != generation);
        assert_world(world->dropped);
    }

    return 1;
}


/* 0: it can not happen */

static int
world_event(world_t *world, event_e event, uint32_t w)
{
    switch (event) {

    case ASK:
    case ASK_NO_UNIT:
        return world_ask(world, w, event == ASK);

    case GOT:
    case REFUSED:
    case FAILED:
    case STOPPED:
        return world_end(world, w, event);

    case TAKEN:
    case NOT_TAKEN:
        return world_answered(world, w, event == TAKEN);

    case PAUSE:
        world->paused_ms = world->now_ms + 5000;
        binarize_token_paused(&world->token, world->paused_ms);
        binarize_token_paused(&world->token, world->now_ms + 1);
        return w == 0;

    case DECLARED_DEAD:
        binarize_process_declare_dead(&world->processes[w]);
        (void) binarize_process_begin(&world->processes[w], w + 1);
        return 1;

    case REPLACED:
        memset(world->calls[w], 0, sizeof(world->calls[w]));
        world->bearers[w] = 0;
        (void) binarize_process_begin(&world->processes[w], w + 1);
        return 1;

    case SECOND:
    case NINE_SECONDS:
    case MINUTE:
        world->now_ms += (event == SECOND) ? 1000
                         : (event == NINE_SECONDS) ? 9000 : 60000;
        return w == 0;

    default:
        return 0;
    }
}


/* whatever was, there will be a token */

static void
world_check(const world_t *world)
{
    world_t                copy;
    binarize_token_none_t  none;

    copy = *world;
    copy.now_ms += 600000;

    assert_world(binarize_token_look(&copy.token, copy.processes, copy.now_ms,
                                     &none)
                 == BINARIZE_TOKEN_CALL);
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


typedef struct {
    world_t   world;
    uint8_t   path[DEPTH][2];
} node_t;


/* all orders of events: level by level, each state once */

static void
test_all_orders(void **state)
{
    size_t    i, n, nnext, room, depth;
    node_t   *nodes, *next;
    world_t   world;
    uint32_t  event, w;

    (void) state;

    seen_hashes = calloc(NSEEN, sizeof(*seen_hashes));
    assert_non_null(seen_hashes);

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

                    /* the first one is anybody */

                    if ((depth == 0 && w)
                        || !world_event(&world, event, w)
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

    print_message("%zu states\n", nseen);
}


static void
test_failed(void **state)
{
    size_t              i;
    uint64_t            call, delay_s;
    binarize_token_t    token;
    binarize_problem_e  problem;

    static const struct {
        uint32_t            status;
        binarize_problem_e  problem;
        int64_t             retry_after_s;
        binarize_problem_e  means;
        uint64_t            delay_s;
    } rows[] = {
        { 0, BINARIZE_PROBLEM_UNREACHABLE, -1,
          BINARIZE_PROBLEM_UNREACHABLE, 1 },
        { 0, BINARIZE_PROBLEM_TIMEOUT, 90, BINARIZE_PROBLEM_TIMEOUT, 1 },
        { 200, BINARIZE_PROBLEM_TOKEN_FAILED, 90,
          BINARIZE_PROBLEM_TOKEN_FAILED, 1 },
        { 204, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_TOKEN_FAILED, 1 },
        { 302, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_TOKEN_FAILED, 1 },
        { 400, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_TOKEN_REFUSED, 5 },
        { 400, BINARIZE_PROBLEM_NONE, 90, BINARIZE_PROBLEM_TOKEN_REFUSED, 5 },
        { 401, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_TOKEN_REFUSED, 5 },
        { 403, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_TOKEN_REFUSED, 5 },
        { 408, BINARIZE_PROBLEM_NONE, 90, BINARIZE_PROBLEM_TOKEN_FAILED, 1 },
        { 429, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_BUSY, 5 },
        { 429, BINARIZE_PROBLEM_NONE, 1, BINARIZE_PROBLEM_BUSY, 5 },
        { 429, BINARIZE_PROBLEM_NONE, 600, BINARIZE_PROBLEM_BUSY, 600 },
        { 500, BINARIZE_PROBLEM_NONE, 90, BINARIZE_PROBLEM_TOKEN_FAILED, 1 },
        { 503, BINARIZE_PROBLEM_NONE, -1, BINARIZE_PROBLEM_BUSY, 5 },
        { 503, BINARIZE_PROBLEM_NONE, 7, BINARIZE_PROBLEM_BUSY, 7 },
    };

    (void) state;

    for (i = 0; i < unit_nelts(rows); i++) {
        memset(&token, 0, sizeof(token));

        call = binarize_token_called(&token, 0, 1, 1000);
        problem = rows[i].problem;

        delay_s = binarize_token_failed(&token, call, rows[i].status, &problem,
                                        rows[i].retry_after_s, 500);

        assert_int_equal(problem, rows[i].means);
        assert_int_equal(delay_s, rows[i].delay_s);
        assert_int_equal(token.problem, rows[i].means);
        assert_int_equal(token.next_call_ms, 500 + delay_s * 1000);
        assert_int_equal(token.caller_epoch, 0);
    }
}


/* a success does not end a series of refusals, an hour does */

static void
test_pace(void **state)
{
    size_t              i;
    uint64_t            call, now_ms;
    binarize_token_t    token;
    binarize_problem_e  problem;

    static const struct {
        uint64_t            after_s;
        uint64_t            delay_s;
    } rows[] = {
        { 0, 5 }, { 5, 60 }, { 3600, 600 }, { 600, 600 }, { 3601, 5 },
        { 3600, 60 }
    };

    (void) state;

    memset(&token, 0, sizeof(token));
    now_ms = 10000000;

    for (i = 0; i < unit_nelts(rows); i++) {
        now_ms += rows[i].after_s * 1000;

        call = binarize_token_called(&token, 0, 1, now_ms + 1);
        problem = BINARIZE_PROBLEM_NONE;

        assert_int_equal(binarize_token_failed(&token, call, 400, &problem, -1,
                                               now_ms), rows[i].delay_s);

        call = binarize_token_called(&token, 0, 1, now_ms + 1);
        assert_int_equal(binarize_token_answered(&token, call, now_ms),
                         BINARIZE_OK);
        binarize_token_stored(&token, 60, now_ms);
    }
}


/* tokens that never work are replaced at the pace of refusals */

static void
test_drops(void **state)
{
    size_t            i;
    uint64_t          now_ms;
    binarize_token_t  token;

    static const uint64_t  after_s[] = { 0, 5, 60, 600, 600 };

    (void) state;

    memset(&token, 0, sizeof(token));
    now_ms = 10000000;

    for (i = 0; i < unit_nelts(after_s); i++) {
        binarize_token_stored(&token, 3600, now_ms);

        if (after_s[i]) {
            now_ms += after_s[i] * 1000;
            assert_int_equal(binarize_token_refused(&token, i + 1, now_ms - 1),
                             BINARIZE_DECLINED);
        }

        assert_int_equal(binarize_token_refused(&token, i + 1, now_ms),
                         BINARIZE_OK);
        assert_int_equal(token.expires_ms, 0);

        /* by others, who had it too */

        assert_int_equal(binarize_token_refused(&token, i + 1, now_ms),
                         BINARIZE_OK);
        assert_int_equal(token.ndrops, i + 1);
    }

    /* one that has worked is dropped at once, and the next one as well */

    binarize_token_stored(&token, 3600, now_ms);
    binarize_token_accepted(&token, token.generation - 1);
    assert_int_equal(binarize_token_refused(&token, token.generation, now_ms),
                     BINARIZE_DECLINED);
    binarize_token_accepted(&token, token.generation);

    for (i = 0; i < 2; i++) {
        assert_int_equal(binarize_token_refused(&token, token.generation,
                                                now_ms), BINARIZE_OK);
        binarize_token_stored(&token, 3600, now_ms);
    }

    assert_int_equal(binarize_token_refused(&token, token.generation, now_ms),
                     BINARIZE_DECLINED);
}


static void
test_life(void **state)
{
    uint64_t               call;
    binarize_token_t       token;
    binarize_process_t     processes[1];
    binarize_token_none_t  none;

    (void) state;

    memset(&token, 0, sizeof(token));
    memset(processes, 0, sizeof(processes));
    (void) binarize_process_begin(processes, 1);

#define verdict(ms)  binarize_token_look(&token, processes, ms, &none)

    assert_int_equal(verdict(1000), BINARIZE_TOKEN_CALL);

    call = binarize_token_called(&token, 0, processes[0].epoch, 5000);
    assert_int_equal(verdict(4999), BINARIZE_TOKEN_WAIT);
    assert_int_equal(verdict(5000), BINARIZE_TOKEN_CALL);

    assert_int_equal(binarize_token_answered(&token, call, 2000), BINARIZE_OK);
    binarize_token_stored(&token, 10, 2000);

    assert_int_equal(verdict(9999), BINARIZE_TOKEN_USE);
    assert_int_equal(verdict(10000), BINARIZE_TOKEN_RENEW);

    (void) binarize_token_called(&token, 0, processes[0].epoch, 20000);
    assert_int_equal(verdict(11999), BINARIZE_TOKEN_USE);
    assert_int_equal(verdict(12000), BINARIZE_TOKEN_WAIT);

    /* who hangs is declared dead */

    binarize_process_declare_dead(processes);
    assert_int_equal(verdict(11999), BINARIZE_TOKEN_RENEW);
    assert_int_equal(verdict(12000), BINARIZE_TOKEN_CALL);

    binarize_token_paused(&token, 11000);
    assert_int_equal(verdict(10999), BINARIZE_TOKEN_NONE);
    assert_int_equal(none.problem, BINARIZE_PROBLEM_BUSY);
    assert_int_equal(none.until_ms, 11000);
    assert_int_equal(verdict(11000), BINARIZE_TOKEN_RENEW);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_drops),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_all_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
