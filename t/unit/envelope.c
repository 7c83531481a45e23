
#include <cjson/cJSON.h>

#include "envelope.h"
#include "unit.h"


#define RESULT  "[{\"type\":\"ImagePNG\",\"data\":\"\"}]"

#define DOC(status, code, results)                                            \
    "{\"id\":\"" UNIT_GUID "\",\"taskStatus\":\"" status "\","                \
    "\"responseStatusCode\":\"" code "\",\"results\":" results ","            \
    "\"error\":null}"


static const unsigned char  *guid = (const unsigned char *) UNIT_GUID;


static size_t  allocations;     /* live */
static size_t  nth;             /* that fails, 0 for none */
static size_t  count;


static void *
counted_malloc(size_t size)
{
    void  *p;

    if (++count == nth) {
        return NULL;
    }

    p = malloc(size);

    if (p) {
        allocations++;
    }

    return p;
}


static void
counted_free(void *p)
{
    if (p) {
        allocations--;
    }

    free(p);
}


static void
read_doc(const char *doc, uint64_t payload_size, binarize_envelope_t *e)
{
    size_t          size;
    unsigned char  *copy;

    size = strlen(doc);
    copy = unit_copy(doc, size);

    memset(e, 0xa5, sizeof(*e));
    binarize_envelope_read(copy, size, guid, payload_size, e);

    free(copy);
}


static binarize_outcome_e
outcome(const char *doc, uint64_t payload_size)
{
    binarize_envelope_t  e;

    read_doc(doc, payload_size, &e);

    if (e.outcome == BINARIZE_REFUSED) {
        assert_non_null(e.reason);

    } else {
        assert_null(e.reason);
    }

    return e.outcome;
}


static void
test_outcomes(void **state)
{
    (void) state;

    assert_int_equal(outcome(DOC("Completed", "Ok", RESULT), 1),
                     BINARIZE_RESULT);
    assert_int_equal(outcome(DOC("Pending", "NotReady", "null"), 0),
                     BINARIZE_PENDING);
    assert_int_equal(outcome(DOC("Processing", "NotReady", "[]"), 0),
                     BINARIZE_PENDING);
    assert_int_equal(outcome(DOC("Error", "Error", "null"), 0),
                     BINARIZE_TASK_FAILED);
    assert_int_equal(outcome(DOC("NotExist", "TaskNotFound", "null"), 0),
                     BINARIZE_NOT_EXIST);

    /* whatever it carries */
    assert_int_equal(outcome(DOC("Pending", "Ok", RESULT), 1),
                     BINARIZE_PENDING);
}


static void
test_no_result(void **state)
{
    size_t  i;

    static const char  *docs[] = {
        DOC("Completed", "NoAnyResultData", RESULT),
        DOC("Completed", "PartiallyNotFound", RESULT),
        DOC("Completed", "ok", RESULT),
        DOC("Completed", "Ok", "null"),
        DOC("Completed", "Ok", "[]"),
        DOC("Completed", "Ok", "{}"),
        DOC("Completed", "Ok", "\"\""),
        DOC("Completed", "Ok", "[null]"),
        DOC("Completed", "Ok", "[[]]"),
        DOC("Completed", "Ok", "[{}]"),
        DOC("Completed", "Ok", "[{\"type\":\"ImagePNG\"}]"),
        DOC("Completed", "Ok", "[{\"type\":\"ImagePNG\",\"data\":null}]"),
        DOC("Completed", "Ok", "[{\"type\":\"ImagePNG\",\"data\":1}]"),
        DOC("Completed", "Ok", "[{\"type\":\"Text\",\"data\":\"\"}]"),
        DOC("Completed", "Ok", "[{\"type\":null,\"data\":\"\"}]"),
        DOC("Completed", "Ok", "[{\"data\":\"\"}]"),
        DOC("Completed", "Ok", "[{\"Type\":\"ImagePNG\",\"data\":\"\"}]"),
        DOC("Completed", "Ok", "[{\"type\":\"ImagePNG\",\"data\":\"\"},"
                               "{\"type\":\"ImagePNG\",\"data\":\"\"}]"),
        DOC("Completed", "Ok", "[{\"type\":\"ImagePNG\",\"data\":\"\"},"
                               "null]"),
        "{\"taskStatus\":\"Completed\",\"results\":" RESULT "}",
        "{\"taskStatus\":\"Completed\",\"responseStatusCode\":\"Ok\"}",
        "{\"taskStatus\":\"Completed\",\"responseStatusCode\":0,"
        "\"results\":" RESULT "}",
    };

    (void) state;

    for (i = 0; i < unit_nelts(docs); i++) {
        assert_int_equal(outcome(docs[i], 1), BINARIZE_NO_RESULT);
    }

    /* an empty payload */
    assert_int_equal(outcome(DOC("Completed", "Ok", RESULT), 0),
                     BINARIZE_NO_RESULT);
}


static void
test_id(void **state)
{
    size_t               i;
    binarize_envelope_t  e;

    static const char  *good[] = {
        "{\"taskStatus\":\"Pending\"}",
        "{\"taskStatus\":\"Pending\",\"id\":null}",
        "{\"taskStatus\":\"Pending\",\"id\":\"" UNIT_GUID "\"}",
        "{\"taskStatus\":\"Pending\",\"id\":"
        "\"0F8FAD5B-D9CB-469F-A165-70867728950E\"}",
        "{\"taskStatus\":\"Pending\",\"id\":"
        "\"\\u0030F8FAD5B-D9CB-469F-A165-70867728950E\"}",
        "{\"taskStatus\":\"Pending\",\"Id\":1}",
    };

    /* a result has to be the task's own */
    static const char  *nobodys[] = {
        "{\"taskStatus\":\"Completed\",\"responseStatusCode\":\"Ok\","
        "\"results\":" RESULT "}",
        "{\"id\":null,\"taskStatus\":\"Completed\","
        "\"responseStatusCode\":\"Ok\",\"results\":" RESULT "}",
    };

    static const char  *bad[] = {
        "{\"taskStatus\":\"Pending\",\"id\":\"\"}",
        "{\"taskStatus\":\"Pending\",\"id\":1}",
        "{\"taskStatus\":\"Pending\",\"id\":{}}",
        "{\"taskStatus\":\"Pending\",\"id\":false}",
        "{\"taskStatus\":\"Pending\",\"id\":"
        "\"0f8fad5b-d9cb-469f-a165-70867728950f\"}",
        "{\"taskStatus\":\"Pending\",\"id\":\"{" UNIT_GUID "}\"}",
        "{\"taskStatus\":\"Pending\",\"id\":\"" UNIT_GUID "0\"}",
        "{\"taskStatus\":\"Pending\",\"id\":"
        "\"0f8fad5bd9cb469fa16570867728950e\"}",
        "{\"taskStatus\":\"unknown\",\"id\":\"1\"}",
    };

    (void) state;

    for (i = 0; i < unit_nelts(good); i++) {
        assert_int_equal(outcome(good[i], 0), BINARIZE_PENDING);
    }

    for (i = 0; i < unit_nelts(nobodys); i++) {
        assert_int_equal(outcome(nobodys[i], 1), BINARIZE_REFUSED);
        assert_int_equal(outcome(nobodys[i], 0), BINARIZE_NO_RESULT);
    }

    for (i = 0; i < unit_nelts(bad); i++) {
        read_doc(bad[i], 0, &e);
        assert_int_equal(e.outcome, BINARIZE_REFUSED);
        assert_non_null(e.reason);
    }
}


static void
test_refused(void **state)
{
    size_t               i;
    binarize_envelope_t  e;

    static const char  *docs[] = {
        "", "{", "x", "[]", "null", "\"Pending\"",
        "{}",
        "{\"taskStatus\":null}",
        "{\"taskStatus\":2}",
        "{\"taskStatus\":\"pending\"}",
        "{\"taskStatus\":\"Pending \"}",
        "{\"taskStatus\":\"\"}",
        "{\"taskstatus\":\"Pending\"}",
        "{\"taskStatus\":\"Pending\"} {}",
        "{\"taskStatus\":\"Pending\"}x",
    };

    (void) state;

    for (i = 0; i < unit_nelts(docs); i++) {
        read_doc(docs[i], 0, &e);
        assert_int_equal(e.outcome, BINARIZE_REFUSED);
        assert_non_null(e.reason);
    }

    assert_int_equal(outcome(" {\"taskStatus\":\"Pending\"}\r\n\t ", 0),
                     BINARIZE_PENDING);
}


static void
assert_messages(const char *error, const char *messages)
{
    char                 doc[4000];
    binarize_envelope_t  e;

    snprintf(doc, sizeof(doc), "{\"taskStatus\":\"Error\",\"error\":%s}",
             error);
    read_doc(doc, 0, &e);

    assert_int_equal(e.outcome, BINARIZE_TASK_FAILED);
    assert_string_equal(e.messages, messages);
}


static void
test_messages(void **state)
{
    (void) state;

    assert_messages("null", "");
    assert_messages("7", "");
    assert_messages("[\"a\"]", "");
    assert_messages("{}", "");
    assert_messages("{\"messages\":null}", "");
    assert_messages("{\"messages\":\"a\"}", "");
    assert_messages("{\"messages\":{\"a\":\"b\"}}", "");
    assert_messages("{\"messages\":[],\"warnings\":[\"w\"]}", "");
    assert_messages("{\"messages\":[\"a\"]}", "a");
    assert_messages("{\"messages\":[\"a\",\"b c\"]}", "a; b c");
    assert_messages("{\"messages\":[1,\"a\",null,\"\",[\"x\"],\"b\"]}",
                    "a; b");
    assert_messages("{\"messages\":[\"\\ud83d\\ude00\\u00e4\"]}",
                    "\xf0\x9f\x98\x80\xc3\xa4");
    assert_messages("{\"messages\":[\"a\\r\\nb\\tc\\u001bd\\u007fe\\u0085f"
                    "\\u009bg\\u00a0\"]}",
                    "a  b c d e f g\xc2\xa0");

    assert_messages("{\"messages\":[\"\xc2\xa0\xe0\xa0\x80\xed\x9f\xbf"
                    "\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"]}",
                    "\xc2\xa0\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
                    "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");

    /* a document that was not split */
    assert_messages("{\"messages\":[\"a\x80\xff\xc3\"]}", "a???");
    assert_messages("{\"messages\":[\"\xed\xa0\x80\xf0\x8f\"]}", "?????");
}


/* at a character's boundary, in any place */

static void
test_messages_cut(void **state)
{
    size_t               i, n, width, size;
    char                 doc[4000];
    binarize_envelope_t  e;

    static const char  *chars[] = {
        "x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"
    };

    (void) state;

    for (width = 1; width <= 4; width++) {

        for (i = 0; i < 4; i++) {

            n = sprintf(doc, "{\"taskStatus\":\"Error\",\"error\":"
                             "{\"messages\":[\"%.*s\",\"", (int) i, "aaaa");
            size = i ? i + 2 : 0;

            while (n < 3000) {
                n += sprintf(doc + n, "%s", chars[width - 1]);
            }

            strcpy(doc + n, "\"]}}");
            read_doc(doc, 0, &e);

            size += (sizeof(e.messages) - 1 - size) / width * width;
            assert_int_equal(strlen(e.messages), size);
            assert_memory_equal(e.messages + size - width, chars[width - 1],
                                width);
        }
    }

    /* a separator that does not fit */

    n = sprintf(doc, "{\"taskStatus\":\"Error\",\"error\":{\"messages\":[\"");
    memset(doc + n, 'm', 511);
    strcpy(doc + n + 511, "\",\"x\"]}}");
    read_doc(doc, 0, &e);
    assert_int_equal(strlen(e.messages), 511);
}


static void
test_status_names(void **state)
{
    (void) state;

    assert_string_equal(binarize_task_status_name(BINARIZE_TASK_PENDING),
                        "Pending");
    assert_string_equal(binarize_task_status_name(BINARIZE_TASK_PROCESSING),
                        "Processing");
    assert_string_equal(binarize_task_status_name(BINARIZE_TASK_COMPLETED),
                        "Completed");
    assert_string_equal(binarize_task_status_name(BINARIZE_TASK_ERROR),
                        "Error");
    assert_string_equal(binarize_task_status_name(BINARIZE_TASK_NOT_EXIST),
                        "NotExist");
}


static void
test_deep(void **state)
{
    char                 *doc;
    size_t                n;
    binarize_envelope_t   e;

    (void) state;

    n = 60000;
    doc = malloc(n + 1);
    memset(doc, '[', n);
    memcpy(doc, "{\"a\":", 5);
    doc[n] = '\0';

    read_doc(doc, 0, &e);
    assert_int_equal(e.outcome, BINARIZE_REFUSED);

    free(doc);
}


static void
test_every_allocation_fails(void **state)
{
    binarize_envelope_t  e;

    static const char  doc[] =
        "{\"id\":\"" UNIT_GUID "\",\"taskStatus\":\"Completed\","
        "\"responseStatusCode\":\"Ok\",\"results\":" RESULT ","
        "\"error\":{\"messages\":[\"a\",\"b\"],\"warnings\":null}}";

    cJSON_Hooks  hooks = { counted_malloc, counted_free };

    (void) state;

    cJSON_InitHooks(&hooks);

    for (nth = 1; /* void */ ; nth++) {

        count = 0;
        read_doc(doc, 9, &e);
        assert_int_equal(allocations, 0);

        if (count < nth) {
            break;
        }

        assert_int_equal(e.outcome, BINARIZE_REFUSED);
        assert_non_null(e.reason);
    }

    assert_int_equal(e.outcome, BINARIZE_RESULT);
    assert_string_equal(e.messages, "a; b");
    assert_true(nth > 20);

    cJSON_InitHooks(NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_no_result),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_messages_cut),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
