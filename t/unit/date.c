
#include <time.h>

#include "date.h"
#include "unit.h"


static void
check(int64_t seconds, int64_t shown)
{
    char           expected[BINARIZE_DATE_SIZE + 1];
    time_t         t;
    struct tm      tm;
    unsigned char  text[BINARIZE_DATE_SIZE];

    t = shown;

    assert_non_null(gmtime_r(&t, &tm));
    assert_int_equal(strftime(expected, sizeof(expected),
                              "%a, %d %b %Y %H:%M:%S GMT", &tm),
                     BINARIZE_DATE_SIZE);

    binarize_date(seconds, text);

    assert_memory_equal(text, expected, BINARIZE_DATE_SIZE);
}


static void
test_known(void **state)
{
    unsigned char  text[BINARIZE_DATE_SIZE];

    (void) state;

    binarize_date(784111777, text);
    assert_memory_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT",
                        BINARIZE_DATE_SIZE);
}


/* the first and the last second of each day of 830 years */

static void
test_days(void **state)
{
    int64_t  day;

    (void) state;

    for (day = 0; day < 303000; day++) {
        check(day * 86400, day * 86400);
        check(day * 86400 + 86399, day * 86400 + 86399);
    }
}


static void
test_seconds(void **state)
{
    int64_t  second;

    (void) state;

    for (second = 0; second < 86400; second++) {
        check(951782400 + second, 951782400 + second);
    }
}


static void
test_limits(void **state)
{
    (void) state;

    check(-1, 0);
    check(INT64_MIN, 0);
    check(253402300799, 253402300799);
    check(253402300800, 253402300799);
    check(INT64_MAX, 253402300799);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
