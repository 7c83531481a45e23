
#include <time.h>

#include "negotiate.h"
#include "unit.h"


#define NONE  BINARIZE_FORMAT_NONE
#define PNG   BINARIZE_FORMAT_PNG
#define JSON  BINARIZE_FORMAT_JSON

/* a tie: what is preferred */
#define TIE   3


typedef struct {
    const char  *accept;
    int          format;
} accept_case_t;


typedef struct {
    const char  *prefer;
    int          rc;
    uint32_t     wait_s;
} prefer_case_t;


static const accept_case_t  accept_cases[] = {

    /* none, or nothing that could be read */
    { "", TIE },
    { " ", TIE },
    { ", ,\t,", TIE },
    { "garbage", TIE },
    { "*", TIE },
    { "*/png", TIE },
    { "image/", TIE },
    { "/png", TIE },
    { "image/png;q", TIE },
    { "image/png;q=", TIE },
    { "image/png;q=2", TIE },
    { "image/png;q=1.001", TIE },
    { "image/png;q=0.1234", TIE },
    { "image/png;q=-1", TIE },
    { "image/png;q=0,5", NONE },
    { "image/png;q=.", TIE },
    { "image/png;q=0.a", TIE },
    { "image/png;q=0.0/", TIE },
    { "image/png;q=1;q=1", TIE },
    { "image/png;=1", TIE },
    { "image/png;a=\"b", TIE },
    { "image/png;a=\"b\\", TIE },
    { "image/png a", TIE },
    { "image / png", TIE },
    { "image/png;q =1", TIE },

    /* by name */
    { "image/png", PNG },
    { "application/json", JSON },
    { "text/json", JSON },
    { "text/plain", JSON },
    { "IMAGE/Png", PNG },
    { "Application/JSON", JSON },
    { "image/png, application/json", TIE },
    { "application/json,image/png", TIE },
    { "\timage/png ,", PNG },
    { ",,image/png", PNG },

    /* neither */
    { "text/html", NONE },
    { "image/webp", NONE },
    { "image/png2", NONE },
    { "image/pn", NONE },
    { "text/*", NONE },
    { "text/html;q=0.9, text/css", NONE },
    { "image/png;q=0", NONE },
    { "image/png;q=0.000, application/json;q=0", NONE },
    { "*/*;q=0", NONE },

    /* wildcards */
    { "*/*", TIE },
    { "image/*", PNG },
    { "application/*", JSON },
    { "image/*, application/*", TIE },
    { "image/*, */*;q=0.5", PNG },
    { "application/*, */*;q=0.1", JSON },
    { "text/*, */*;q=0", NONE },

    /* weights */
    { "image/png;q=0.5, application/json", JSON },
    { "image/png;q=0.9, application/json;q=0.8", PNG },
    { "image/png;q=0.001, application/json;q=0", PNG },
    { "image/png;q=0.501, application/json;q=0.5", PNG },
    { "image/png;q=1.000, application/json;q=1", TIE },
    { "image/png;q=0., application/json;q=0.001", JSON },
    { "image/png;Q=0.5, application/json;q=0.6", JSON },
    { "image/png ; q=0.5 , application/json ;\tq=0.6", JSON },
    { "image/png;q=0.5;, application/json;;q=0.6", JSON },
    { "image/png;q=\"0.5\", application/json;q=0.6", JSON },

    /* the closest range counts, wherever it stands */
    { "*/*, image/png;q=0", JSON },
    { "image/png;q=0, */*", JSON },
    { "image/*;q=0, image/png;q=0.1, */*;q=0", PNG },
    { "application/json;q=0.2, application/*;q=0.9, image/png;q=0.5", PNG },
    { "*/*;q=1, image/*;q=0.4, application/json;q=0.3", PNG },
    { "*/*;q=0.1, image/*;q=0.4, application/*;q=0.5", JSON },
    { "*/*;q=0.5, image/png;q=0.5", TIE },
    { "image/png;q=.2, application/json;q=0.200", TIE },

    /* of equally close ones the better */
    { "image/png;q=0.1, image/png;q=0.9, application/json;q=0.5", PNG },
    { "image/png;q=0.9, image/png;q=0.1, application/json;q=0.5", PNG },

    /* stand-ins of JSON: closer than wildcards, not than its own name */
    { "text/plain;q=0.5, image/png;q=0.6", PNG },
    { "text/plain;q=0.7, image/png;q=0.6", JSON },
    { "text/plain;q=0.1, */*;q=0.5", PNG },
    { "text/plain, application/json;q=0.1, image/png;q=0.5", PNG },
    { "application/json;q=0, text/plain, image/png;q=0.1", PNG },
    { "text/plain;q=0, text/json;q=0.9, image/png;q=0.8", JSON },

    /* parameters */
    { "image/png;foo=bar", NONE },
    { "image/png;foo=bar;q=0.5, application/json;q=0.1", JSON },
    { "image/png;q=0.5;foo=bar", NONE },
    { "*/*;foo=bar", NONE },
    { "image/png;charset=utf-8", NONE },
    { "*/*;charset=utf-8", NONE },
    { "application/*;charset=utf-8", NONE },
    { "application/json;charset=utf-8", JSON },
    { "application/json; Charset=\"UTF-8\"", JSON },
    { "text/plain; charset=utf-8", JSON },
    { "application/json;charset=latin1", NONE },
    { "application/json;charset=utf-8;foo=1", NONE },
    { "application/json;q=0.1, application/json;charset=utf-8;q=0.9, "
      "image/png;q=0.5", JSON },
    { "application/json;charset=utf-8;q=0.1, application/json, "
      "image/png;q=0.5", PNG },

    /* commas and semicolons in quotes */
    { "text/html;a=\"x,image/png\"", NONE },
    { "text/html;a=\"\\\",image/png;q=1\"", NONE },
    { "image/png;a=\";q=1\", application/json;q=0.1", JSON },
    { "text/html;a=\"\", image/png", PNG },
    { "text/html;a=\"\\\\\", image/png", PNG },
    { "text;a=\"b,image/png;q=1\", application/json", JSON },

    /* a malformed member does not harm the others */
    { "garbage, image/png", PNG },
    { "image/png;q=5, application/json", JSON },
    { "application/json;q=x;a=b, image/png;q=0.1", PNG },
    { "a/b c/d, image/png", PNG },
    { "\"a,b\"/c, image/png", PNG },

    /* as they come */
    { "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
      PNG },                                                /* Chromium */
    { "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
      PNG },                                                /* Firefox */
    { "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,"
      "video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
      PNG },                                                /* Safari */
    { "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
      "image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;"
      "q=0.7", TIE },
    { "text/plain, application/json, text/json", JSON },    /* the SDKs */
    { "application/json, text/plain, */*", TIE },           /* axios */
    { "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", TIE }, /* Java */
};


static const prefer_case_t  prefer_cases[] = {
    { "", BINARIZE_DECLINED, 0 },
    { ", ,", BINARIZE_DECLINED, 0 },
    { "respond-async", BINARIZE_DECLINED, 0 },
    { "waiting=5", BINARIZE_DECLINED, 0 },
    { "wai=5", BINARIZE_DECLINED, 0 },
    { "foo; wait=5", BINARIZE_DECLINED, 0 },
    { "foo=\"wait=5, wait=6\"", BINARIZE_DECLINED, 0 },

    { "wait=5", BINARIZE_OK, 5 },
    { "WAIT=5", BINARIZE_OK, 5 },
    { "wait=0", BINARIZE_OK, 0 },
    { "wait=007", BINARIZE_OK, 7 },
    { "wait = 10", BINARIZE_OK, 10 },
    { "wait=\"10\"", BINARIZE_OK, 10 },
    { "respond-async, wait=10", BINARIZE_OK, 10 },
    { "respond-async;a=\"b,c\", wait=10", BINARIZE_OK, 10 },
    { "wait=10; foo=bar;; baz ;a=\"x\", b", BINARIZE_OK, 10 },
    { "wait=10;", BINARIZE_OK, 10 },
    { "wait=10, wait=20", BINARIZE_OK, 10 },
    { ",wait=10", BINARIZE_OK, 10 },
    { "@@@, wait=10", BINARIZE_OK, 10 },
    { "a=, wait=10", BINARIZE_OK, 10 },
    { "a b=\",\", wait=10", BINARIZE_OK, 10 },
    { "wait=4294967295", BINARIZE_OK, 4294967295u },
    { "wait=4294967296", BINARIZE_OK, 4294967295u },
    { "wait=99999999999999999999999999999999", BINARIZE_OK, 4294967295u },

    { "wait", BINARIZE_ERROR, 0 },
    { "wait=", BINARIZE_ERROR, 0 },
    { "wait=\"\"", BINARIZE_ERROR, 0 },
    { "wait=-1", BINARIZE_ERROR, 0 },
    { "wait=1.5", BINARIZE_ERROR, 0 },
    { "wait=5s", BINARIZE_ERROR, 0 },
    { "wait=0x5", BINARIZE_ERROR, 0 },
    { "wait=5 6", BINARIZE_ERROR, 0 },
    { "wait=\"5", BINARIZE_ERROR, 0 },
    { "wait=5;=", BINARIZE_ERROR, 0 },
    { "wait, wait=5", BINARIZE_ERROR, 0 },
};


static void
test_accept(void **state)
{
    size_t              i, size;
    unsigned char      *copy;
    binarize_format_e   png, json;

    (void) state;

    for (i = 0; i < unit_nelts(accept_cases); i++) {

        size = strlen(accept_cases[i].accept);
        copy = unit_copy(accept_cases[i].accept, size);

        png = binarize_negotiate(copy, size, PNG);
        json = binarize_negotiate(copy, size, JSON);

        free(copy);

        if (accept_cases[i].format == TIE) {
            if (png != PNG || json != JSON) {
                fail_msg("\"%s\" is no tie", accept_cases[i].accept);
            }

        } else if ((int) png != accept_cases[i].format
                   || (int) json != accept_cases[i].format)
        {
            fail_msg("\"%s\" gives %d and %d", accept_cases[i].accept, png,
                     json);
        }
    }

    assert_int_equal(binarize_negotiate(NULL, 0, JSON), JSON);
}


static void
test_prefer(void **state)
{
    int             rc;
    size_t          i, size;
    uint32_t        wait_s;
    unsigned char  *copy;

    (void) state;

    for (i = 0; i < unit_nelts(prefer_cases); i++) {

        size = strlen(prefer_cases[i].prefer);
        copy = unit_copy(prefer_cases[i].prefer, size);

        wait_s = 0;
        rc = binarize_prefer_wait(copy, size, &wait_s);

        free(copy);

        if (rc != prefer_cases[i].rc || wait_s != prefer_cases[i].wait_s) {
            fail_msg("\"%s\" gives %d and %u", prefer_cases[i].prefer, rc,
                     wait_s);
        }
    }
}


/* cut anywhere, no byte behind the end is read */

static void
test_cut(void **state)
{
    size_t          i, j;
    uint32_t        wait_s;
    unsigned char  *copy;

    (void) state;

    for (i = 0; i < unit_nelts(accept_cases); i++) {

        for (j = 0; j < strlen(accept_cases[i].accept); j++) {
            copy = unit_copy(accept_cases[i].accept, j);
            (void) binarize_negotiate(copy, j, PNG);
            (void) binarize_prefer_wait(copy, j, &wait_s);
            free(copy);
        }
    }
}


static double
seconds(const unsigned char *text, size_t size)
{
    uint32_t         wait_s;
    struct timespec  start, end;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);

    (void) binarize_negotiate(text, size, PNG);
    (void) binarize_prefer_wait(text, size, &wait_s);

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);

    return (double) (end.tv_sec - start.tv_sec)
           + (double) (end.tv_nsec - start.tv_nsec) / 1e9;
}


/* a quadratic parser needs minutes for a mebibyte */

static void
test_linear(void **state)
{
    size_t          i, k, n, size;
    unsigned char  *text;

    static const char  *pieces[] = {
        ",", " ", ";", "\"", "\\", "\\\"", "a", "a/b;", "a/b,", "a/b;c=\"",
        "a/b;c=\"\\", "a/b;c=\"d\",", "a/b;c=d;", "*/*;q=0.1,", "a;", "a=",
        "a/b;c=d \"", "\"\\\",", "\"\1"
    };

    (void) state;

    size = 1 << 20;
    text = malloc(size);

    for (i = 0; i < unit_nelts(pieces); i++) {

        k = strlen(pieces[i]);

        for (n = 0; n < size; n++) {
            text[n] = (unsigned char) pieces[i][n % k];
        }

        assert_true(seconds(text, size) < 5.0);
    }

    free(text);
}


static int
segment(const char *text, binarize_format_e *format)
{
    int             rc;
    size_t          size;
    unsigned char  *copy, guid[BINARIZE_GUID_SIZE];

    size = strlen(text);
    copy = unit_copy(text, size);

    rc = binarize_segment_parse(copy, size, guid, format);

    free(copy);

    if (rc == BINARIZE_OK) {
        assert_memory_equal(guid, UNIT_GUID, BINARIZE_GUID_SIZE);
    }

    return rc;
}


static void
test_segment(void **state)
{
    size_t             i;
    binarize_format_e  format;

    static const char  *bad[] = {
        "", ".png", "png", "0f8fad5b", UNIT_GUID ".", UNIT_GUID ".PNG",
        UNIT_GUID ".pn", UNIT_GUID ".pngx", UNIT_GUID ".jso",
        UNIT_GUID ".jsonp", UNIT_GUID "_png", UNIT_GUID "png",
        UNIT_GUID "/.png", UNIT_GUID ".png.json", UNIT_GUID "/",
        "xf8fad5b-d9cb-469f-a165-70867728950e.png"
    };

    (void) state;

    assert_int_equal(segment(UNIT_GUID, &format), BINARIZE_OK);
    assert_int_equal(format, NONE);

    assert_int_equal(segment(UNIT_GUID ".png", &format), BINARIZE_OK);
    assert_int_equal(format, PNG);

    assert_int_equal(segment("0F8FAD5B-D9CB-469F-A165-70867728950E.json",
                             &format), BINARIZE_OK);
    assert_int_equal(format, JSON);

    for (i = 0; i < unit_nelts(bad); i++) {
        assert_int_equal(segment(bad[i], &format), BINARIZE_ERROR);
    }
}


static void
test_format(void **state)
{
    size_t  i;

    static const char  *bad[] = {
        "", "PNG", "Json", "pn", "pngs", "jso", "jsons", " png", "xml"
    };

    (void) state;

    assert_int_equal(binarize_format_parse((unsigned char *) "png", 3), PNG);
    assert_int_equal(binarize_format_parse((unsigned char *) "json", 4),
                     JSON);

    for (i = 0; i < unit_nelts(bad); i++) {
        assert_int_equal(binarize_format_parse((unsigned char *) bad[i],
                                               strlen(bad[i])), NONE);
    }
}


static void
test_accept_quality(void **state)
{
    size_t          i, size;
    unsigned char  *copy;

    static const struct {
        const char  *accept;
        unsigned     plain;
        unsigned     html;
        unsigned     openmetrics;
    } cases[] = {
        { "", 1000, 1000, 1000 },
        { "*/*", 1000, 1000, 1000 },
        { "text/*;q=0.5", 500, 500, 0 },
        { "text/html", 0, 1000, 0 },
        { "TEXT/HTML;q=.2, */*;q=0.1", 100, 200, 100 },
        { "text/plain;q=0, */*", 0, 1000, 1000 },
        { "*/*, text/plain;q=0", 0, 1000, 1000 },
        { "text/plain;version=0.0.4;q=0.3", 300, 0, 0 },
        { "text/plain;charset=utf-8", 1000, 0, 0 },
        { "application/openmetrics-text;version=1.0.0;q=0.8,"
          "application/openmetrics-text;version=0.0.1;q=0.9,"
          "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", 300, 200, 900 },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
          800, 1000, 800 },
        { "text/html;q=2, /, text/", 1000, 1000, 1000 },
        { "text/html;q=2, text/plain", 1000, 0, 0 },
        { "text/htm", 0, 0, 0 },
        { "text/htmlx", 0, 0, 0 }
    };

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {
        size = strlen(cases[i].accept);
        copy = unit_copy(cases[i].accept, size);

        assert_int_equal(binarize_accept_quality(copy, size, "text", "plain"),
                         cases[i].plain);
        assert_int_equal(binarize_accept_quality(copy, size, "text", "html"),
                         cases[i].html);
        assert_int_equal(binarize_accept_quality(copy, size, "application",
                                                 "openmetrics-text"),
                         cases[i].openmetrics);
        free(copy);
    }

    assert_int_equal(binarize_accept_quality(NULL, 0, "text", "html"), 1000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_accept_quality),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_prefer),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_segment),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
