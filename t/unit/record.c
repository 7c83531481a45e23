
#include <cjson/cJSON.h>

#include "record.h"
#include "unit.h"


#define ETAG  "0123456789abcdef0123456789abcdef"

#define HEAD  "{\"id\":\"" UNIT_GUID "\",\"taskStatus\":\"Completed\","       \
              "\"responseStatusCode\":\"Ok\",\"results\":"                    \
              "[{\"type\":\"ImagePNG\",\"data\":\""
#define TAIL  "\"}],\"error\":null}"


enum { F_PNG = 0, F_DOC, F_ETAG, F_STORED, F_UNPADDED, NFIELDS };


static unsigned char    png[UNIT_PNG_SIZE(30)];
static binarize_span_t  values[NFIELDS];

static size_t  nth, count;


static void *
nth_malloc(size_t size)
{
    return ++count == nth ? NULL : malloc(size);
}


static void
set(size_t field, const char *text)
{
    values[field].data = (const unsigned char *) text;
    values[field].size = text ? strlen(text) : 0;
}


static int
good_record(void **state)
{
    (void) state;

    set(F_DOC, HEAD TAIL);
    set(F_ETAG, ETAG);
    set(F_STORED, "1700000000");
    set(F_UNPADDED, NULL);

    values[F_PNG].data = png;
    values[F_PNG].size = unit_png(png, 30);

    return 0;
}


/* from copies of the exact size */

static int
read_values(uint64_t max_size, binarize_record_t *record, const char **reason)
{
    int              rc;
    size_t           i;
    binarize_span_t  copies[NFIELDS];

    for (i = 0; i < NFIELDS; i++) {
        copies[i].size = values[i].size;
        copies[i].data = values[i].data
                         ? unit_copy(values[i].data, values[i].size) : NULL;
    }

    *reason = NULL;

    rc = binarize_record_read(copies, (const unsigned char *) UNIT_GUID,
                              max_size, record, reason);

    if (rc == BINARIZE_OK) {
        assert_ptr_equal(record->png.data, copies[F_PNG].data);
        assert_int_equal(record->png.size, copies[F_PNG].size);
        assert_ptr_equal(record->doc.data, copies[F_DOC].data);
        assert_int_equal(record->doc.size, copies[F_DOC].size);
        assert_ptr_equal(record->etag.data, copies[F_ETAG].data);
        assert_int_equal(record->etag.size, BINARIZE_ETAG_SIZE);
        assert_null(*reason);
    }

    assert_int_equal(rc == BINARIZE_ERROR, *reason != NULL);

    for (i = 0; i < NFIELDS; i++) {
        free((void *) copies[i].data);
    }

    return rc;
}


static void
test_good(void **state)
{
    const char         *reason;
    binarize_record_t   record;

    (void) state;

    assert_int_equal(read_values(sizeof(png), &record, &reason), BINARIZE_OK);
    assert_int_equal(record.stored, 1700000000);
    assert_int_equal(record.payload_offset, strlen(HEAD));
    assert_int_equal(record.unpadded, 0);

    set(F_UNPADDED, "1");
    assert_int_equal(read_values(UINT64_MAX, &record, &reason), BINARIZE_OK);
    assert_int_equal(record.unpadded, 1);
}


static void
test_missing(void **state)
{
    size_t              i;
    const char         *reason;
    binarize_record_t   record;

    (void) state;

    for (i = 0; i < NFIELDS; i++) {
        good_record(NULL);
        set(i, NULL);
        assert_int_equal(read_values(1000, &record, &reason),
                         i == F_UNPADDED ? BINARIZE_OK : BINARIZE_ERROR);

        good_record(NULL);
        set(i, "");
        assert_int_equal(read_values(1000, &record, &reason),
                         BINARIZE_ERROR);
    }

    memset(values, 0, sizeof(values));
    assert_int_equal(read_values(1000, &record, &reason), BINARIZE_DECLINED);

    set(F_UNPADDED, "1");
    assert_int_equal(read_values(1000, &record, &reason), BINARIZE_ERROR);
}


static void
test_malformed(void **state)
{
    size_t              i;
    const char         *reason;
    binarize_record_t   record;

    static const struct {
        size_t       field;
        const char  *text;
    } cases[] = {
        { F_ETAG, "0123456789abcdef0123456789abcde" },
        { F_ETAG, ETAG "0" },
        { F_ETAG, "0123456789ABCDEF0123456789abcdef" },
        { F_ETAG, "0123456789abcdef0123456789abcdeg" },
        { F_ETAG, "/123456789abcdef0123456789abcdef" },
        { F_ETAG, "\"123456789abcdef0123456789abcde\"" },
        { F_STORED, "-" },
        { F_STORED, "1.5" },
        { F_STORED, "1e3" },
        { F_STORED, "+1" },
        { F_STORED, "-0" },
        { F_STORED, "01" },
        { F_STORED, " 1" },
        { F_STORED, "1 " },
        { F_STORED, "9223372036854775808" },
        { F_STORED, "-9223372036854775809" },
        { F_STORED, "18446744073709551616" },
        { F_STORED, "18446744073709551617" },
        { F_STORED, "99999999999999999999" },
        { F_STORED, "100000000000000000000000000000" },
        { F_UNPADDED, "0" },
        { F_UNPADDED, "11" },
        { F_UNPADDED, "true" },
        { F_PNG, "PNG" },
        { F_DOC, "{}" },
        { F_DOC, HEAD "Zg==" TAIL },
        { F_DOC, HEAD TAIL "x" },
        { F_DOC, HEAD },
        { F_DOC, "\xef\xbb\xbf" HEAD TAIL },
        { F_DOC, "{\"taskStatus\":\"Completed\",\"responseStatusCode\":"
                 "\"Ok\",\"results\":[{\"data\":\"\",\"type\":\"Text\"}]}" },
        { F_DOC, "{\"taskStatus\":\"Pending\",\"responseStatusCode\":"
                 "\"Ok\",\"results\":[{\"data\":\"\",\"type\":"
                 "\"ImagePNG\"}]}" },
        { F_DOC, "{\"id\":\"1f8fad5b-d9cb-469f-a165-70867728950e\","
                 "\"taskStatus\":\"Completed\",\"responseStatusCode\":"
                 "\"Ok\",\"results\":[{\"data\":\"\",\"type\":"
                 "\"ImagePNG\"}]}" },
    };

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {
        good_record(NULL);
        set(cases[i].field, cases[i].text);
        assert_int_equal(read_values(1000, &record, &reason),
                         BINARIZE_ERROR);
    }

    /* too large, cut, with a tail */

    good_record(NULL);
    assert_int_equal(read_values(sizeof(png) - 1, &record, &reason),
                     BINARIZE_ERROR);
    assert_non_null(strstr(reason, "large"));

    values[F_PNG].size--;
    assert_int_equal(read_values(1000, &record, &reason), BINARIZE_ERROR);
}


static void
test_stored(void **state)
{
    char                text[BINARIZE_STORED_SIZE], expected[32];
    size_t              i, size;
    const char         *reason;
    binarize_record_t   record;

    static const int64_t  times[] = {
        0, 1, -1, 9, 10, 1700000000, INT64_MAX, INT64_MAX - 1, INT64_MIN,
        INT64_MIN + 1, 1000000000000000000
    };

    (void) state;

    for (i = 0; i < unit_nelts(times); i++) {

        size = binarize_record_stored(times[i], text);
        sprintf(expected, "%lld", (long long) times[i]);

        assert_int_equal(size, strlen(expected));
        assert_string_equal(text, expected);

        set(F_STORED, text);
        assert_int_equal(read_values(1000, &record, &reason), BINARIZE_OK);
        assert_true(record.stored == times[i]);
    }
}


static void
test_hex(void **state)
{
    unsigned char  etag[BINARIZE_ETAG_SIZE];

    static const unsigned char  digest[16] = {
        0x00, 0x01, 0x0a, 0x10, 0xa0, 0x7f, 0x80, 0xff,
        0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0
    };

    (void) state;

    binarize_record_hex(digest, etag);
    assert_memory_equal(etag, "00010a10a07f80ff123456789abcdef0",
                        BINARIZE_ETAG_SIZE);
}


static void
test_every_allocation_fails(void **state)
{
    int                 rc;
    const char         *reason;
    binarize_record_t   record;

    cJSON_Hooks  hooks = { nth_malloc, free };

    (void) state;

    cJSON_InitHooks(&hooks);

    for (nth = 1; /* void */ ; nth++) {

        count = 0;
        rc = read_values(1000, &record, &reason);

        if (count < nth) {
            break;
        }

        assert_int_equal(rc, BINARIZE_ERROR);
    }

    assert_int_equal(rc, BINARIZE_OK);
    assert_true(nth > 15);

    cJSON_InitHooks(NULL);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(test_good, good_record),
        cmocka_unit_test_setup(test_missing, good_record),
        cmocka_unit_test_setup(test_malformed, good_record),
        cmocka_unit_test_setup(test_stored, good_record),
        cmocka_unit_test_setup(test_hex, good_record),
        cmocka_unit_test_setup(test_every_allocation_fails, good_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
