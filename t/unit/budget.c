
#include <time.h>

#include "budget.h"
#include "unit.h"


#define DAY    86400
#define START  1700000000           /* 2023-11-14T22:13:20Z */
#define NCALLS 2000


static uint64_t  made_us[NCALLS];


/* no window may hold more than its part of the rate and a full bucket */

static void
assert_rate_kept(const binarize_budget_limits_t *limits, size_t n)
{
    size_t  i, j;

    for (i = 0; i < n; i++) {
        for (j = i + limits->burst; j < n; j++) {
            assert_true((made_us[j] - made_us[i]) * limits->rate
                        >= (j - i + 1 - limits->burst)
                           * (uint64_t) BINARIZE_BUDGET_UNIT);
        }
    }
}


static void
test_bucket(void **state)
{
    size_t             i;
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 300, 3, 0, 0, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 1000);

    for (i = 0; i < 3; i++) {
        assert_int_equal(binarize_budget_wait_us(&budget, &limits, 2 - i,
                                                 1000, START), 0);
        assert_int_equal(binarize_budget_take(&budget, &limits, 1000, START),
                         BINARIZE_OK);
    }

    /* 5 a second */

    assert_int_equal(binarize_budget_take(&budget, &limits, 1000, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 1000,
                                             START), 200000);
    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 99, 1000,
                                             START), 20000000);
    assert_int_equal(binarize_budget_take(&budget, &limits, 200999, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_take(&budget, &limits, 201000, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 201000, START),
                     BINARIZE_DECLINED);

    /* it holds no more than three */

    for (i = 0; i < 3; i++) {
        assert_int_equal(binarize_budget_take(&budget, &limits, UINT64_MAX,
                                              START), BINARIZE_OK);
    }

    assert_int_equal(binarize_budget_take(&budget, &limits, UINT64_MAX,
                                          START), BINARIZE_DECLINED);
}


static void
test_unlimited(void **state)
{
    size_t             i;
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 0, 1, 5, 0, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 0);

    for (i = 0; i < 100; i++) {
        assert_int_equal(binarize_budget_wait_us(&budget, &limits, 1000, 0,
                                                 START), 0);
        assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                         BINARIZE_OK);
    }
}


/* at any pace of asking, with whatever rate, to the microsecond */

static void
test_any_rate(void **state)
{
    size_t                    i, n;
    uint32_t                  seed;
    uint64_t                  now_us, wait_us, ahead;
    binarize_budget_t         budget;
    binarize_budget_limits_t  limits;

    static const uint32_t  rates[] = {
        1, 7, 59, 60, 61, 300, 999, 1200, 60000, 123457, 60000000
    };

    (void) state;

    seed = 1;

    for (i = 0; i < unit_nelts(rates); i++) {

        memset(&limits, 0, sizeof(limits));
        limits.rate = rates[i];
        limits.burst = 1 + unit_random(&seed) % 4;

        now_us = 5000000000;
        binarize_budget_init(&budget, &limits, now_us);

        for (n = 0; n < NCALLS; /* void */ ) {

            wait_us = binarize_budget_wait_us(&budget, &limits, 0, now_us,
                                              START);

            if (wait_us == 0) {
                assert_int_equal(binarize_budget_take(&budget, &limits,
                                                      now_us, START),
                                 BINARIZE_OK);
                made_us[n++] = now_us;
                continue;
            }

            ahead = unit_random(&seed) % 5;

            assert_in_range(binarize_budget_wait_us(&budget, &limits, ahead,
                                                    now_us, START)
                            - wait_us,
                            ahead * BINARIZE_BUDGET_UNIT / limits.rate,
                            ahead * BINARIZE_BUDGET_UNIT / limits.rate + 1);

            assert_int_equal(binarize_budget_take(&budget, &limits, now_us,
                                                  START),
                             BINARIZE_DECLINED);
            assert_int_equal(binarize_budget_take(&budget, &limits,
                                                  now_us + wait_us - 1,
                                                  START),
                             BINARIZE_DECLINED);

            switch (unit_random(&seed) % 4) {

            case 0:
                now_us += wait_us;
                break;

            case 1:
                now_us += 1 + wait_us / 3;
                break;

            case 2:
                now_us += wait_us * (unit_random(&seed) % 7);
                break;

            default:
                now_us++;
                now_us += wait_us - wait_us / 50;
            }
        }

        assert_rate_kept(&limits, n);
    }
}


/* asked all the time it gives all there is, to the unit */

static void
test_nothing_lost(void **state)
{
    uint64_t           now_us, n;
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 421, 1, 0, 0, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 0);

    n = 0;

    for (now_us = 0; now_us <= 60 * 60000000ULL; now_us += 997) {
        n += (binarize_budget_take(&budget, &limits, now_us, START)
              == BINARIZE_OK);
    }

    /* asked late each time, a bucket of one can lose that much */
    assert_in_range(n, 421 * 60 - 421 * 60 * 997 / 142517, 421 * 60 + 1);
}


static void
test_clock_stands(void **state)
{
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 60, 1, 0, 0, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 5000000);

    assert_int_equal(binarize_budget_take(&budget, &limits, 5000000, START),
                     BINARIZE_OK);

    /* a process with an older time in hand neither gains nor loses */

    assert_int_equal(binarize_budget_take(&budget, &limits, 4000000, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_take(&budget, &limits, 5999999, START),
                     BINARIZE_DECLINED);

    binarize_budget_give_back(&budget, &limits, 4000000, START);

    assert_int_equal(binarize_budget_take(&budget, &limits, 4000000, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 5999999, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_take(&budget, &limits, 6000000, START),
                     BINARIZE_OK);
}


static void
test_day(void **state)
{
    size_t             i;
    int64_t            midnight_s;
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 0, 1, 0, 3, 0 };

    (void) state;

    midnight_s = 1700006400;

    binarize_budget_init(&budget, &limits, 0);

    for (i = 0; i < 3; i++) {
        assert_int_equal(binarize_budget_spent(&budget, &limits, START), i);
        assert_int_equal(binarize_budget_wait_us(&budget, &limits, 2 - i, 0,
                                                 START), 0);
        assert_int_equal(binarize_budget_wait_us(&budget, &limits, 3 - i, 0,
                                                 START),
                         (midnight_s - START) * 1000000ULL);
        assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                         BINARIZE_OK);
    }

    assert_int_equal(binarize_budget_take(&budget, &limits, 0,
                                          midnight_s - 1),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 0,
                                             midnight_s - 1), 1000000);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, midnight_s),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_spent(&budget, &limits, midnight_s), 1);

    /* the calendar steps back over midnight: nothing is given twice */

    assert_int_equal(binarize_budget_spent(&budget, &limits, midnight_s - 1),
                     1);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0,
                                          midnight_s - 1), BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, midnight_s),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, midnight_s),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 0,
                                             midnight_s - 1),
                     (DAY + 1) * 1000000ULL);

    /* far back it was wrong before */

    assert_int_equal(binarize_budget_take(&budget, &limits, 0,
                                          midnight_s - 2 * DAY), BINARIZE_OK);

    /* each day anew, also after a pause */

    assert_int_equal(binarize_budget_spent(&budget, &limits,
                                           midnight_s + 9 * DAY), 0);
}


static void
test_month(void **state)
{
    size_t                    i;
    binarize_budget_t         budget;
    binarize_budget_limits_t  limits;

    (void) state;

    memset(&limits, 0, sizeof(limits));
    limits.quota = 150;
    limits.monthly = 1;

    binarize_budget_init(&budget, &limits, 0);

    for (i = 0; i < 150; i++) {
        assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                         BINARIZE_OK);
    }

    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_DECLINED);

    /* 2023-12-01 */

    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 0, START),
                     (1701388800 - START) * 1000000ULL);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, 1701388799),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, 1701388800),
                     BINARIZE_OK);

    /* another kind of period is another count */

    limits.monthly = 0;
    assert_int_equal(binarize_budget_spent(&budget, &limits, 1701388800), 0);
}


static void
test_calendar(void **state)
{
    int64_t    days, start_s;
    uint32_t   period;
    time_t     t;
    struct tm  tm;

    (void) state;

    assert_int_equal(binarize_budget_period(-1, 0), 0);
    assert_int_equal(binarize_budget_period(-1, 1), 0);
    assert_int_equal(binarize_budget_period(86399, 0), 0);
    assert_int_equal(binarize_budget_period(86400, 0), 1);

    for (days = 0; days < 250 * 366; days++) {

        t = days * DAY;
        assert_non_null(gmtime_r(&t, &tm));

        period = binarize_budget_period(t, 1);

        assert_int_equal(period, (tm.tm_year - 70) * 12 + tm.tm_mon);
        assert_int_equal(binarize_budget_period(t + DAY - 1, 1), period);
        assert_int_equal(binarize_budget_period(t, 0), days);
        assert_int_equal(binarize_budget_period_start(days, 0), t);

        start_s = binarize_budget_period_start(period, 1);
        assert_int_equal(start_s, t - (tm.tm_mday - 1) * DAY);
    }
}


static void
test_given_back(void **state)
{
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 60, 2, 0, 5, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 0);

    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 2);

    binarize_budget_give_back(&budget, &limits, 0, START);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 1);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_DECLINED);

    /* never above full, nor below nothing spent; another day's stays spent */

    binarize_budget_give_back(&budget, &limits, 1500000, START);
    assert_int_equal(budget.level, 2 * (uint64_t) BINARIZE_BUDGET_UNIT);
    binarize_budget_give_back(&budget, &limits, 9000000, START);
    binarize_budget_give_back(&budget, &limits, 9000000, START);
    assert_int_equal(budget.level, 2 * (uint64_t) BINARIZE_BUDGET_UNIT);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 0);

    assert_int_equal(binarize_budget_take(&budget, &limits, 9000000, START),
                     BINARIZE_OK);
    binarize_budget_give_back(&budget, &limits, 9000000, START + 5 * DAY);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 1);
}


static void
test_both(void **state)
{
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 60, 1, 0, 2, 0 };

    (void) state;

    binarize_budget_init(&budget, &limits, 0);

    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_OK);

    /* refused by one of them, the other is not touched */

    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 1);
    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 0, START),
                     1000000);

    assert_int_equal(binarize_budget_take(&budget, &limits, 1000000, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 9000000, START),
                     BINARIZE_DECLINED);
    assert_int_equal(binarize_budget_take(&budget, &limits, 9000000,
                                          START + DAY), BINARIZE_OK);
}


static void
test_changed_limits(void **state)
{
    binarize_budget_t         budget;
    binarize_budget_limits_t  limits;

    (void) state;

    memset(&limits, 0, sizeof(limits));
    limits.rate = 60;
    limits.burst = 10;

    binarize_budget_init(&budget, &limits, 0);

    /* a reload with a smaller bucket, then with a larger one */

    limits.burst = 1;

    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_OK);
    assert_int_equal(binarize_budget_take(&budget, &limits, 0, START),
                     BINARIZE_DECLINED);

    limits.burst = 10;
    limits.rate = 600;

    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 0, START),
                     100000);
}


static void
test_set(void **state)
{
    binarize_budget_t  budget;

    static const binarize_budget_limits_t  limits = { 60, 2, 0, 9, 1 };

    (void) state;

    binarize_budget_init(&budget, &limits, 0);
    binarize_budget_set(&budget, &limits, BINARIZE_BUDGET_UNIT / 2, 7, 100,
                        START);

    assert_int_equal(binarize_budget_wait_us(&budget, &limits, 0, 100, START),
                     500000);
    assert_int_equal(binarize_budget_spent(&budget, &limits, START), 7);

    binarize_budget_set(&budget, &limits, UINT64_MAX, 9, 100, START);
    assert_int_equal(budget.level, 2 * (uint64_t) BINARIZE_BUDGET_UNIT);
    assert_int_equal(binarize_budget_take(&budget, &limits, 100, START),
                     BINARIZE_DECLINED);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_unlimited),
        cmocka_unit_test(test_any_rate),
        cmocka_unit_test(test_nothing_lost),
        cmocka_unit_test(test_clock_stands),
        cmocka_unit_test(test_day),
        cmocka_unit_test(test_month),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_changed_limits),
        cmocka_unit_test(test_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
