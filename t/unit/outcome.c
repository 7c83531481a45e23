
#include "outcome.h"
#include "unit.h"


#define NONE    BINARIZE_PROBLEM_NONE
#define BUSY_S  600


/* what a row expects of a decision */
typedef struct {
    binarize_next_e        next;
    binarize_token_fate_e  token;
    binarize_problem_e     problem;
    uint64_t               ms;
    uint64_t               pause_ms;
    unsigned               remember;
    unsigned               told;
    uint32_t               repeat;
} expected_t;


typedef struct {
    const char            *sentence;      /* of the interface */
    binarize_ended_t       ended;
    expected_t             expected;
} row_t;


static const binarize_pace_t  pace = {
    .valid_ms = 2592000000ULL,
    .negative_ms = 10000,
    .negative_max_ms = 3600000,
    .poll_ms = 500,
    .poll_max_ms = 4000
};


#define WHOLE(means)                                                          \
    { .status = 200, .retry_after_s = -1, .document = (means) }

#define STATUS(code, as)                                                      \
    { .status = (code), .retry_after_s = -1,                                  \
      .problem = BINARIZE_PROBLEM_ ## as }

#define AFTER(code, s)                                                        \
    { .status = (code), .retry_after_s = (s),                                 \
      .problem = BINARIZE_PROBLEM_BUSY }

#define FOUND(as)                                                             \
    { .status = 200, .retry_after_s = -1, .problem = BINARIZE_PROBLEM_ ## as }

#define NO_HEAD(how, as)                                                      \
    { .end = BINARIZE_END_ ## how, .retry_after_s = -1,                       \
      .problem = BINARIZE_PROBLEM_ ## as }

#define OWN(as, s)                                                            \
    { .retry_after_s = (s), .problem = BINARIZE_PROBLEM_ ## as }

#define PASSING(as)                                                           \
    { BINARIZE_NEXT_ANSWER, BINARIZE_TOKEN_UNKNOWN, BINARIZE_PROBLEM_ ## as,  \
      1000, 0, 1, 0, 0 }

#define ACCEPTED(as, ms, pause, remember, told)                               \
    { BINARIZE_NEXT_ANSWER, BINARIZE_TOKEN_ACCEPTED,                          \
      BINARIZE_PROBLEM_ ## as, (ms), (pause), (remember), (told), 0 }


/* nothing is known of the id; jitter 0 */

static const row_t  rows[] = {

    { "How long a result is kept in L1 and Redis.",
      WHOLE(BINARIZE_RESULT), ACCEPTED(NONE, 2592000000ULL, 0, 1, 1) },

    { "Pace of cloud calls for one pending id over all clients, workers and "
      "nodes: doubling.",
      WHOLE(BINARIZE_PENDING), ACCEPTED(NONE, 500, 0, 1, 1) },
    { "The cloud's Retry-After wins.",
      { .status = 200, .retry_after_s = 7, .document = BINARIZE_PENDING },
      ACCEPTED(NONE, 7000, 0, 1, 1) },
    { "The cloud's Retry-After wins: none of 0 s, that would be no pace.",
      { .status = 200, .retry_after_s = 0, .document = BINARIZE_PENDING },
      ACCEPTED(NONE, 500, 0, 1, 1) },

    { "NotExist, Error, Completed without a result, and a refused document "
      "are remembered (zone and Redis).",
      WHOLE(BINARIZE_NOT_EXIST), ACCEPTED(NONE, 10000, 0, 1, 1) },
    { "Error",
      WHOLE(BINARIZE_TASK_FAILED), ACCEPTED(NONE, 10000, 0, 1, 1) },
    { "Completed without a result",
      WHOLE(BINARIZE_NO_RESULT), ACCEPTED(NONE, 10000, 0, 1, 1) },
    { "A Retry-After means something of 429, 503 and Pending only.",
      { .status = 200, .retry_after_s = 7, .document = BINARIZE_NOT_EXIST },
      ACCEPTED(NONE, 10000, 0, 1, 1) },
    { "a refused document",
      FOUND(BAD_DOCUMENT), ACCEPTED(BAD_DOCUMENT, 10000, 0, 1, 1) },
    { "a refused document: not a PNG",
      FOUND(NOT_PNG), ACCEPTED(NOT_PNG, 10000, 0, 1, 1) },
    { "a refused document: oversize",
      FOUND(TOO_LARGE), ACCEPTED(TOO_LARGE, 10000, 0, 1, 1) },

    { "unreachable, time-out and 5xx at most 1 s",
      NO_HEAD(BROKEN, UNREACHABLE), PASSING(UNREACHABLE) },
    { "time-out, before the head",
      NO_HEAD(TIMEOUT, TIMEOUT), PASSING(TIMEOUT) },
    { "time-out, behind the head: the token has worked",
      FOUND(TIMEOUT), ACCEPTED(TIMEOUT, 1000, 0, 1, 0) },
    { "5xx",
      STATUS(500, BAD_STATUS), ACCEPTED(BAD_STATUS, 1000, 0, 1, 0) },
    { "502 another status",
      STATUS(302, BAD_STATUS), ACCEPTED(BAD_STATUS, 1000, 0, 1, 0) },
    { "5xx, whatever Retry-After it has",
      { .status = 500, .retry_after_s = 7,
        .problem = BINARIZE_PROBLEM_BAD_STATUS },
      ACCEPTED(BAD_STATUS, 1000, 0, 1, 0) },
    { "502 garbage",
      NO_HEAD(WHOLE, BAD_RESPONSE), PASSING(BAD_RESPONSE) },
    { "502 truncated",
      FOUND(TRUNCATED), ACCEPTED(TRUNCATED, 1000, 0, 1, 0) },
    { "no memory of ours: after a call, the next one has to wait, too",
      NO_HEAD(FAILED, INTERNAL), PASSING(INTERNAL) },

    { "A cloud 429 pauses all calls of that credential for its Retry-After",
      AFTER(429, 7), ACCEPTED(BUSY, 7000, 7000, 1, 1) },
    { "(default 5 s,",
      AFTER(429, -1), ACCEPTED(BUSY, 5000, 5000, 1, 1) },
    { "at most 10 min, over all nodes with the same Redis)",
      AFTER(429, 601), ACCEPTED(BUSY, 600000, 600000, 1, 1) },
    { "for its Retry-After: 0",
      AFTER(429, 0), ACCEPTED(BUSY, 1000, 0, 1, 0) },
    { "a 503 only that id",
      AFTER(503, 7), ACCEPTED(BUSY, 7000, 0, 1, 1) },
    { "a 503, default 5 s",
      AFTER(503, -1), ACCEPTED(BUSY, 5000, 0, 1, 1) },
    { "a 503, at most 10 min",
      AFTER(503, 86400), ACCEPTED(BUSY, 600000, 0, 1, 1) },
    { "a 503: 5xx at most 1 s",
      AFTER(503, 0), ACCEPTED(BUSY, 1000, 0, 1, 0) },

    { "401 = token bad or expired: the token that was used is dropped, one "
      "new token, one retry",
      STATUS(401, UNAUTHORIZED),
      { BINARIZE_NEXT_TOKEN, BINARIZE_TOKEN_REFUSED,
        BINARIZE_PROBLEM_UNAUTHORIZED, 1000, 0, 1, 0, 0 } },
    { "502 refused our credentials: the cloud answered 401 to a new token too",
      { .status = 401, .retry_after_s = -1, .refused = 1,
        .problem = BINARIZE_PROBLEM_UNAUTHORIZED },
      { BINARIZE_NEXT_ANSWER, BINARIZE_TOKEN_REFUSED,
        BINARIZE_PROBLEM_UNAUTHORIZED, 1000, 0, 1, 0, 0 } },

    { "Every try on an upstream counts: the next one waits for its turn",
      { .end = BINARIZE_END_BROKEN, .retry_after_s = -1,
        .problem = BINARIZE_PROBLEM_UNREACHABLE,
        .tries_left = 1, .time_left = 1 },
      { .next = BINARIZE_NEXT_TURN } },
    { "binarize_next_upstream_timeout",
      { .end = BINARIZE_END_BROKEN, .retry_after_s = -1,
        .problem = BINARIZE_PROBLEM_UNREACHABLE, .tries_left = 1 },
      PASSING(UNREACHABLE) },

    { "worker_shutdown_timeout: others lead on, nothing is said of the cloud",
      { .end = BINARIZE_END_STOPPED, .retry_after_s = -1, .status = 200,
        .problem = BINARIZE_PROBLEM_TIMEOUT, .tries_left = 1, .time_left = 1 },
      { .next = BINARIZE_NEXT_OTHERS } },

    { "What the gateway refuses itself without a call is no hit of the next: "
      "budget",
      OWN(BUDGET, 0), { .problem = BINARIZE_PROBLEM_BUDGET, .ms = 1000 } },
    { "pause: a reload ends it, and no memory of an id outlives it",
      OWN(BUSY, 7), { .problem = BINARIZE_PROBLEM_BUSY, .ms = 7000 } },
    { "pause, of less than a second",
      OWN(BUSY, 0), { .problem = BINARIZE_PROBLEM_BUSY, .ms = 1000 } },
    { "no token",
      OWN(TOKEN_FAILED, 3),
      { .problem = BINARIZE_PROBLEM_TOKEN_FAILED, .ms = 1000 } },
    { "no token: after a 400 the next tries come after 5 s, 60 s, 10 min",
      OWN(TOKEN_REFUSED, 60),
      { .problem = BINARIZE_PROBLEM_TOKEN_REFUSED, .ms = 1000 } },
};


static void
decided(const row_t *row, const binarize_decision_t *decision)
{
    const expected_t  *expected;

    expected = &row->expected;

    if (decision->next == expected->next
        && decision->token == expected->token
        && decision->answer.problem == expected->problem
        && decision->answer.repeat == expected->repeat
        && decision->ms == expected->ms
        && decision->pause_ms == expected->pause_ms
        && decision->remember == expected->remember
        && decision->told == expected->told)
    {
        return;
    }

    fail_msg("%s: next %d, token %d, %s, repeat %u, %llu ms, pause %llu ms, "
             "remember %u, told %u", row->sentence, decision->next,
             decision->token, binarize_problem_name(decision->answer.problem),
             decision->answer.repeat, (unsigned long long) decision->ms,
             (unsigned long long) decision->pause_ms, decision->remember,
             decision->told);
}


static void
test_rows(void **state)
{
    size_t               i;
    binarize_decision_t  decision;

    (void) state;

    for (i = 0; i < unit_nelts(rows); i++) {
        binarize_outcome_decide(&rows[i].ended, NULL, 0, &pace, 0, &decision);
        decided(&rows[i], &decision);
    }
}


/* by what was seen, how it ended and the status: each of them */

static void
test_problem(void **state)
{
    size_t    end, found, status;
    unsigned  expected;

    static const uint32_t  statuses[] = {
        0, 200, 100, 201, 204, 301, 304, 400, 401, 403, 404, 408, 429, 500,
        502, 503, 504, 599, 999
    };

    /* of a 200, and without a head, where nothing was seen */
    static const binarize_problem_e  ends[][2] = {
        { NONE, BINARIZE_PROBLEM_INTERNAL },
        { BINARIZE_PROBLEM_TIMEOUT, BINARIZE_PROBLEM_TIMEOUT },
        { BINARIZE_PROBLEM_TRUNCATED, BINARIZE_PROBLEM_UNREACHABLE },
        { BINARIZE_PROBLEM_INTERNAL, BINARIZE_PROBLEM_INTERNAL },
        { BINARIZE_PROBLEM_TIMEOUT, BINARIZE_PROBLEM_TIMEOUT }
    };

    (void) state;

    for (end = 0; end < unit_nelts(ends); end++) {
        for (found = 0; found < BINARIZE_PROBLEMS; found++) {
            for (status = 0; status < unit_nelts(statuses); status++) {

                switch (statuses[status]) {

                case 0:
                case 200:
                    expected = found ? found
                                     : ends[end][statuses[status] == 0];
                    break;

                case 401:
                    expected = BINARIZE_PROBLEM_UNAUTHORIZED;
                    break;

                case 429:
                case 503:
                    expected = BINARIZE_PROBLEM_BUSY;
                    break;

                default:
                    expected = BINARIZE_PROBLEM_BAD_STATUS;
                }

                assert_int_equal(binarize_outcome_problem(end, found,
                                                          statuses[status]),
                                 expected);
            }
        }
    }
}


/*
 * "doubling from first to max": as often as it was pending, whoever knows it,
 * and through failures that pass.
 */

static void
test_pace(void **state)
{
    uint32_t             polls, known, random;
    uint64_t             ms, n;
    binarize_answer_t    before;
    binarize_decision_t  decision;

    static const binarize_ended_t  pending = WHOLE(BINARIZE_PENDING);
    static const binarize_ended_t  failed = NO_HEAD(BROKEN, UNREACHABLE);
    static const binarize_ended_t  missing = WHOLE(BINARIZE_NOT_EXIST);
    static const uint64_t          paces[] = {
        500, 1000, 2000, 4000, 4000, 4000
    };

    (void) state;

    for (polls = 0; polls < 6; polls++) {
        for (known = 0; known < 6; known++) {

            memset(&before, 0, sizeof(before));
            before.outcome = BINARIZE_PENDING;
            before.repeat = known - 1;

            n = (polls > known) ? polls : known;
            ms = paces[n];

            binarize_outcome_decide(&pending, known ? &before : NULL, polls,
                                    &pace, 0, &decision);
            assert_int_equal(decision.ms, ms);
            assert_int_equal(decision.answer.repeat, n);
            assert_int_equal(binarize_answer_polls(&decision.answer), n + 1);

            binarize_outcome_decide(&failed, known ? &before : NULL, polls,
                                    &pace, 0, &decision);
            assert_int_equal(decision.ms, 1000);
            assert_int_equal(binarize_answer_polls(&decision.answer), n);

            /* and on from there */

            before = decision.answer;
            binarize_outcome_decide(&pending, &before, 0, &pace, 0, &decision);
            assert_int_equal(decision.ms, ms);

            /* it was pending, and then it was not */

            binarize_outcome_decide(&missing, &before, polls, &pace, 0,
                                    &decision);
            assert_int_equal(decision.ms, 10000);
            assert_int_equal(binarize_answer_polls(&decision.answer), 0);
        }
    }

    /* "with jitter of at most 10 %" */

    for (random = 0; random < 1000; random++) {
        binarize_outcome_decide(&pending, NULL, 2, &pace, random * 7919,
                                &decision);
        assert_in_range(decision.ms, 2000, 2200);
    }

    binarize_outcome_decide(&pending, NULL, UINT32_MAX - 1, &pace, 0,
                            &decision);
    assert_int_equal(decision.ms, 4000);
}


/* "doubling while the answer repeats" */

static void
test_repeats(void **state)
{
    size_t               i, j;
    unsigned             n;
    uint64_t             ms;
    binarize_answer_t    before;
    binarize_decision_t  decision;

    static const binarize_ended_t  ended[] = {
        WHOLE(BINARIZE_NOT_EXIST), WHOLE(BINARIZE_TASK_FAILED),
        WHOLE(BINARIZE_NO_RESULT), FOUND(BAD_DOCUMENT), FOUND(NOT_PNG),
        FOUND(TOO_LARGE)
    };

    (void) state;

    for (i = 0; i < unit_nelts(ended); i++) {

        ms = 10000;
        memset(&before, 0, sizeof(before));
        before.outcome = BINARIZE_RESULT;

        for (n = 0; n < 12; n++) {
            binarize_outcome_decide(&ended[i], &before, 0, &pace, 0,
                                    &decision);
            assert_int_equal(decision.ms, ms);
            assert_int_equal(decision.answer.repeat, n);

            before = decision.answer;
            ms = (ms * 2 < 3600000) ? ms * 2 : 3600000;
        }

        for (j = 0; j < unit_nelts(ended); j++) {
            binarize_outcome_decide(&ended[j], &before, 0, &pace, 0,
                                    &decision);
            assert_int_equal(decision.answer.repeat, i == j ? 12 : 0);
        }
    }
}


/* "binarize_negative_valid 0" */

static void
test_never_remembered(void **state)
{
    size_t               i;
    binarize_pace_t      never;
    binarize_decision_t  decision;

    (void) state;

    never = pace;
    never.negative_ms = 0;

    for (i = 0; i < unit_nelts(rows); i++) {
        binarize_outcome_decide(&rows[i].ended, NULL, 0, &never, 0, &decision);

        assert_int_equal(decision.remember,
                         rows[i].expected.remember && decision.ms != 0);
        assert_true(decision.told <= decision.remember);

        if (decision.answer.problem != BINARIZE_PROBLEM_BUSY
            && (decision.answer.problem != NONE
                || decision.answer.outcome > BINARIZE_PENDING))
        {
            assert_int_equal(decision.ms, 0);
        }
    }
}


/* a poll that the cloud has put off does not end the waiting */

static void
test_goes_on(void **state)
{
    int                  pending;
    unsigned             problem, outcome, status;
    binarize_answer_t    answer;
    binarize_pace_t      never;
    binarize_decision_t  decision;

    static const binarize_ended_t  now = AFTER(503, 0);
    static const binarize_ended_t  paused = OWN(BUSY, 0);

    (void) state;

    /* all that five bits can say: the zone keeps no more of it */

    for (problem = 0; problem < 32; problem++) {
        for (outcome = 0; outcome <= BINARIZE_REFUSED; outcome++) {
            for (status = 0; status <= 503; status += 503) {
                for (pending = 0; pending <= 1; pending++) {

                    memset(&answer, 0, sizeof(answer));
                    answer.problem = problem;
                    answer.outcome = outcome;
                    answer.status = status;

                    assert_int_equal(binarize_answer_goes_on(&answer, pending),
                        (problem == NONE && outcome == BINARIZE_PENDING)
                        || (pending && (problem == BINARIZE_PROBLEM_BUSY
                                        || problem
                                           == BINARIZE_PROBLEM_CROWDED)));
                }
            }
        }
    }

    /* who waits on is in no more hurry than before */

    never = pace;
    never.negative_ms = 0;

    binarize_outcome_decide(&now, NULL, 3, &never, 0, &decision);
    assert_int_equal(decision.ms, 4000);
    assert_int_equal(decision.answer.repeat, 3);

    binarize_outcome_decide(&paused, NULL, 1, &pace, 0, &decision);
    assert_int_equal(decision.ms, 1000);
    assert_int_equal(decision.remember, 0);
}


/* all of the small dimensions: what holds of each decision */

static void
test_all(void **state)
{
    unsigned             end, problem, document, bits, status, after, n;
    binarize_ended_t     ended;
    binarize_decision_t  decision;

    static const uint32_t  statuses[] = {
        0, 200, 204, 401, 404, 429, 500, 503
    };

    static const int64_t   afters[] = { -1, 0, 1, 600, 601, 86400 };

    (void) state;

    n = 0;

    for (end = 0; end <= BINARIZE_END_STOPPED; end++)
    for (problem = 0; problem < BINARIZE_PROBLEMS; problem++)
    for (document = 0; document <= BINARIZE_NOT_EXIST; document++)
    for (status = 0; status < unit_nelts(statuses); status++)
    for (after = 0; after < unit_nelts(afters); after++)
    for (bits = 0; bits < 8; bits++) {

        memset(&ended, 0, sizeof(ended));
        ended.end = end;
        ended.status = statuses[status];
        ended.problem = binarize_outcome_problem(end, problem, ended.status);
        ended.retry_after_s = afters[after];
        ended.document = document;
        ended.tries_left = bits & 1;
        ended.time_left = (bits >> 1) & 1;
        ended.refused = (bits >> 2) & 1;

        binarize_outcome_decide(&ended, NULL, 0, &pace, 0, &decision);
        n++;

        /* what is told is remembered, and for a time */

        assert_true(decision.told <= decision.remember);
        assert_true(decision.remember <= (decision.ms != 0));

        /* only a 429 pauses, and for so long at most */

        assert_true(decision.pause_ms == 0 || ended.status == 429);
        assert_in_range(decision.pause_ms, 0, BUSY_S * 1000);

        /* a token is only judged by a head */

        assert_true(decision.token == BINARIZE_TOKEN_UNKNOWN
                    || (ended.status && end != BINARIZE_END_STOPPED));
        assert_true((decision.token == BINARIZE_TOKEN_REFUSED)
                    == (ended.status == 401 && end != BINARIZE_END_STOPPED));

        /* not twice by a new token */

        assert_false(ended.refused && decision.next == BINARIZE_NEXT_TOKEN);

        /* a result is one only where nothing was wrong */

        if (decision.next == BINARIZE_NEXT_ANSWER && decision.remember
            && decision.answer.problem == NONE)
        {
            assert_int_equal(ended.status, 200);
            assert_int_equal(end, BINARIZE_END_WHOLE);
            assert_int_equal(problem, NONE);
        }

        /* nobody asks again at once */

        if (decision.next == BINARIZE_NEXT_ANSWER) {
            assert_true(decision.ms >= 500);
        }
    }

    assert_true(n > 100000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_never_remembered),
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
