
#include "state.h"
#include "unit.h"


static int
read_text(const char *text, binarize_state_t *read, unsigned char **copy)
{
    size_t  size;

    size = strlen(text);
    *copy = unit_copy(text, size);

    return binarize_state_read(*copy, size, read);
}


static void
test_round_trip(void **state)
{
    char              head[BINARIZE_STATE_HEAD_SIZE];
    size_t            size;
    binarize_state_t  in, out;
    unsigned char    *copy;

    (void) state;

    memset(&in, 0, sizeof(in));

    in.outcome = BINARIZE_NOT_EXIST;
    in.task_status = BINARIZE_TASK_NOT_EXIST;
    in.problem = 31;
    in.status = 503;
    in.repeat = 1000000;

    size = binarize_state_write(head, &in);
    assert_int_equal(size, strlen(head));

    assert_int_equal(read_text(head, &out, &copy), BINARIZE_OK);
    assert_int_equal(out.outcome, in.outcome);
    assert_int_equal(out.task_status, in.task_status);
    assert_int_equal(out.problem, in.problem);
    assert_int_equal(out.status, in.status);
    assert_int_equal(out.repeat, in.repeat);
    assert_int_equal(out.doc.size, 0);

    free(copy);
}


static void
test_document(void **state)
{
    binarize_state_t  out;
    unsigned char    *copy;

    (void) state;

    assert_int_equal(read_text("1 2 1 0 0 7\n{\n}", &out, &copy),
                     BINARIZE_OK);
    assert_int_equal(out.outcome, BINARIZE_PENDING);
    assert_int_equal(out.task_status, BINARIZE_TASK_PROCESSING);
    assert_int_equal(out.repeat, 7);
    assert_int_equal(out.doc.size, 3);
    assert_memory_equal(out.doc.data, "{\n}", 3);

    free(copy);
}


static void
test_refused(void **state)
{
    size_t            i;
    binarize_state_t  out;
    unsigned char    *copy;

    static const char  *texts[] = {
        "",
        "1",
        "2 2 1 0 0 7\n",
        "1 2 1 0 0 7",
        "1 2 1 0 0\n",
        "1 2 1 0 0 7 \n",
        "1  2 1 0 0 7\n",
        "1 -2 1 0 0 7\n",
        "1 6 1 0 0 7\n",
        "1 2 5 0 0 7\n",
        "1 2 1 32 0 7\n",
        "1 2 1 0 1000 7\n",
        "1 2 1 0 0 1000001\n",
        "1 2 1 0 0 00000007\n",
        "1 0 2 0 0 0\n{}",
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(read_text(texts[i], &out, &copy), BINARIZE_ERROR);
        free(copy);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
