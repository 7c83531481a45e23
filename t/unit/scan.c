
#include "scan.h"
#include "unit.h"


#define HEAD  "{\"id\":null,\"taskStatus\":\"Completed\","                    \
              "\"responseStatusCode\":\"Ok\",\"results\":"                    \
              "[{\"type\":\"ImagePNG\",\"data\":\""
#define TAIL  "\"}],\"error\":null}"


typedef struct {
    int             rc;
    unsigned char  *envelope;
    size_t          envelope_size;
    unsigned char  *payload;
    size_t          payload_size;
    size_t          payload_offset;
    unsigned        payload_seen;
    unsigned        payload_unpadded;
    const char     *reason;
} result_t;


/*
 * Runs a document through in pieces of at most step bytes, decodes into
 * pieces of at most room bytes, and grows the envelope by grow.
 */

static void
scan_pieces(const void *doc, size_t size, size_t step, size_t room,
    size_t grow, uint64_t max, result_t *r)
{
    int              rc;
    size_t           n, done;
    unsigned char   *copy, *out;
    binarize_scan_t  scan;

    memset(r, 0, sizeof(*r));

    binarize_scan_init(&scan, max);

    out = malloc(room);
    r->payload = malloc(size + 1);

    rc = BINARIZE_AGAIN;

    for (done = 0; done < size && rc == BINARIZE_AGAIN; done += n) {

        n = size - done < step ? size - done : step;
        copy = unit_copy((const unsigned char *) doc + done, n);

        scan.next_in = copy;
        scan.avail_in = n;

        for ( ;; ) {
            rc = binarize_scan_run(&scan);

            if (scan.next_out) {
                memcpy(r->payload + r->payload_size, out,
                       scan.next_out - out);
                r->payload_size += scan.next_out - out;
            }

            if (rc == BINARIZE_FULL) {
                assert_true(scan.avail_out < 4);
                scan.next_out = out;
                scan.avail_out = room;
                continue;
            }

            if (scan.next_out) {
                scan.next_out = out;
                scan.avail_out = room;
            }

            if (rc != BINARIZE_GROW) {
                break;
            }

            assert_int_equal(scan.envelope_size, scan.envelope_room);
            assert_true(scan.envelope_room < BINARIZE_ENVELOPE_MAX_SIZE);
            scan.envelope_room += grow;
            scan.envelope = realloc(scan.envelope, scan.envelope_room);
        }

        if (rc == BINARIZE_AGAIN) {
            assert_int_equal(scan.avail_in, 0);
        }

        free(copy);
    }

    if (rc == BINARIZE_AGAIN) {
        rc = binarize_scan_finish(&scan);
    }

    if (rc == BINARIZE_OK) {
        assert_null(scan.reason);
        assert_int_equal(scan.payload_size, r->payload_size);

    } else {
        assert_int_equal(rc, BINARIZE_ERROR);
        assert_non_null(scan.reason);
        assert_int_equal(binarize_scan_finish(&scan), BINARIZE_ERROR);

        scan.next_in = (const unsigned char *) " ";
        scan.avail_in = 1;
        assert_int_equal(binarize_scan_run(&scan), BINARIZE_ERROR);
    }

    free(out);

    r->rc = rc;
    r->envelope = scan.envelope;
    r->envelope_size = scan.envelope_size;
    r->payload_offset = scan.payload_offset;
    r->payload_seen = scan.payload_seen;
    r->payload_unpadded = scan.payload_unpadded;
    r->reason = scan.reason;
}


static void
result_free(result_t *r)
{
    free(r->envelope);
    free(r->payload);
}


/* any chunking gives the same */

static void
scan_all(const void *doc, size_t size, uint64_t max, result_t *r)
{
    size_t    i;
    result_t  again;

    static const struct {
        size_t  step;
        size_t  room;
        size_t  grow;
    } pieces[] = {
        { 1, 4, 1 }, { 2, 5, 7 }, { 3, 6, 64 }, { 5, 100, 3 }, { 7, 4, 999 },
        { 64, 40, 31 }, { 100000, 4, 1000 }
    };

    scan_pieces(doc, size, size ? size : 1, 100000, 4096, max, r);

    for (i = 0; i < unit_nelts(pieces); i++) {

        scan_pieces(doc, size, pieces[i].step, pieces[i].room,
                    pieces[i].grow, max, &again);

        assert_int_equal(again.rc, r->rc);
        assert_ptr_equal(again.reason, r->reason);
        assert_int_equal(again.payload_seen, r->payload_seen);

        if (r->rc == BINARIZE_OK) {
            assert_int_equal(again.envelope_size, r->envelope_size);
            assert_memory_equal(again.envelope, r->envelope,
                                r->envelope_size);
            assert_int_equal(again.payload_size, r->payload_size);
            assert_memory_equal(again.payload, r->payload, r->payload_size);
            assert_int_equal(again.payload_offset, r->payload_offset);
            assert_int_equal(again.payload_unpadded, r->payload_unpadded);
        }

        result_free(&again);
    }
}


static void
scan_text(const char *doc, uint64_t max, result_t *r)
{
    scan_all(doc, strlen(doc), max, r);
}


static void
assert_split(const char *doc, const char *envelope, const char *payload)
{
    size_t    offset;
    result_t  r;

    scan_text(doc, 1000, &r);

    assert_int_equal(r.rc, BINARIZE_OK);
    assert_int_equal(r.envelope_size, strlen(envelope));
    assert_memory_equal(r.envelope, envelope, r.envelope_size);

    if (payload == NULL) {
        assert_int_equal(r.payload_seen, 0);
        assert_int_equal(r.payload_size, 0);
        assert_int_equal(binarize_scan_payload_offset(r.envelope,
                                                      r.envelope_size,
                                                      &offset),
                         BINARIZE_ERROR);

    } else {
        assert_int_equal(r.payload_seen, 1);
        assert_int_equal(r.payload_size, strlen(payload));
        assert_memory_equal(r.payload, payload, r.payload_size);

        assert_memory_equal(r.envelope + r.payload_offset - 1, "\"\"", 2);
        assert_int_equal(binarize_scan_payload_offset(r.envelope,
                                                      r.envelope_size,
                                                      &offset),
                         BINARIZE_OK);
        assert_int_equal(offset, r.payload_offset);
    }

    result_free(&r);
}


static void
assert_refused(const char *doc, const char *reason)
{
    result_t  r;

    scan_text(doc, 1000, &r);

    assert_int_equal(r.rc, BINARIZE_ERROR);
    assert_non_null(strstr(r.reason, reason));

    result_free(&r);
}


static void
test_split(void **state)
{
    (void) state;

    assert_split(HEAD "Zm9vYmFy" TAIL, HEAD TAIL, "foobar");
    assert_split(HEAD TAIL, HEAD TAIL, "");

    /* any order, white space, members that nobody knows */

    assert_split("{\"results\":[{\"x\":{\"data\":\"Zg==\"},\"data\":\"Zg==\","
                 "\"type\":1}],\"data\":\"a\",\"id\":\"b\"}",
                 "{\"results\":[{\"x\":{\"data\":\"Zg==\"},\"data\":\"\","
                 "\"type\":1}],\"data\":\"a\",\"id\":\"b\"}", "f");

    assert_split(" \t\r\n{ \"results\" : [ { \"data\" : \"Zg==\" } ] } \n",
                 " \t\r\n{ \"results\" : [ { \"data\" : \"\" } ] } \n", "f");

    assert_split("{\"a\":[[],{},[1,-0.5e+7,0,0E-1,10.25],{\"b\":[true,false,"
                 "null]}],\"results\":[{\"data\":\"Zg==\"}]}",
                 "{\"a\":[[],{},[1,-0.5e+7,0,0E-1,10.25],{\"b\":[true,false,"
                 "null]}],\"results\":[{\"data\":\"\"}]}", "f");

    /* a byte order mark goes */

    assert_split("\xef\xbb\xbf" HEAD "Zm9v" TAIL, HEAD TAIL, "foo");
}


/* what looks like the payload's place, but is not */

static void
test_other_places(void **state)
{
    size_t  i;

    static const char  *docs[] = {
        "{}",
        "{\"results\":null}",
        "{\"results\":[]}",
        "{\"results\":\"Zg\"}",
        "{\"results\":[\"Zg\"]}",
        "{\"results\":[null,{\"data\":\"Zg\"}]}",
        "{\"results\":[{},{\"data\":\"Zg\"}]}",
        "{\"results\":[[{\"data\":\"Zg\"}]]}",
        "{\"results\":[[\"data\",\"Zg\"]]}",
        "{\"results\":{\"a\":{\"data\":\"Zg\"}}}",
        "{\"results\":{\"data\":\"Zg\"}}",
        "{\"results\":[{\"data\":null}]}",
        "{\"results\":[{\"data\":7}]}",
        "{\"results\":[{\"data\":[\"Zg\"]}]}",
        "{\"results\":[{\"data\":{\"data\":\"Zg\"}}]}",
        "{\"results\":[{\"Data\":\"Zg\"}]}",
        "{\"results\":[{\"data \":\"Zg\"}]}",
        "{\"results\":[{\"dat\":\"Zg\"}]}",
        "{\"results\":[{\"\\ndata\":\"Zg\"}]}",
        "{\"results\":[{\"data\xc3\xa4\":\"Zg\"}]}",
        "{\"results\":[{\"x\":\"data\",\"y\":\"Zg\"}]}",
        "{\"Results\":[{\"data\":\"Zg\"}]}",
        "{\"x\":[{\"data\":\"Zg\"}]}",
        "{\"results\":[1],\"x\":[{\"data\":\"Zg\"}]}",
        "{\"x\":{\"results\":[{\"data\":\"Zg\"}]}}",
        "{\"x\":[],\"results\":[0,{\"data\":\"Zg\"}]}",
        "{\"error\":[{\"data\":\"Zg\"}]}",
        "{\"datadatadatadatadatadata\":[{\"data\":\"Zg\"}]}",
    };

    (void) state;

    for (i = 0; i < unit_nelts(docs); i++) {
        assert_split(docs[i], docs[i], NULL);
    }
}


static void
test_escaped_names(void **state)
{
    (void) state;

    assert_split("{\"\\u0072esults\":[{\"d\\u0061t\\u0061\":\"Zg==\"}]}",
                 "{\"\\u0072esults\":[{\"d\\u0061t\\u0061\":\"\"}]}", "f");
    assert_split("{\"result\\u0073\":[{\"\\u0064\\u0061\\u0074\\u0061\""
                 ":\"Zg==\"}]}",
                 "{\"result\\u0073\":[{\"\\u0064\\u0061\\u0074\\u0061\""
                 ":\"\"}]}", "f");

    /* U+0161 is no "a" */

    assert_split("{\"results\":[{\"d\\u0161ta\":\"Zg\"}]}",
                 "{\"results\":[{\"d\\u0161ta\":\"Zg\"}]}", NULL);
    assert_split("{\"results\":[{\"data\\ud83d\\ude00\":\"Zg\"}]}",
                 "{\"results\":[{\"data\\ud83d\\ude00\":\"Zg\"}]}", NULL);
}


static void
test_payload_escapes(void **state)
{
    (void) state;

    assert_split(HEAD "\\u002B\\/\\u002b\\u002F" TAIL, HEAD TAIL,
                 "\xfb\xff\xbf");
    assert_split(HEAD "+/+\\u002f" TAIL, HEAD TAIL, "\xfb\xff\xbf");
    assert_split(HEAD "Zg\\u003D\\u003d" TAIL, HEAD TAIL, "f");
    assert_split(HEAD "\\u005Ag=\\u003d" TAIL, HEAD TAIL, "f");
    assert_split(HEAD "\\r\\nZm\\t9 v\\u0020Ym\\u000dFy\\n" TAIL, HEAD TAIL,
                 "foobar");
    assert_split(HEAD "Zg = = " TAIL, HEAD TAIL, "f");
    assert_split(HEAD " \\n" TAIL, HEAD TAIL, "");

    assert_refused(HEAD "Zm9v\\u00" TAIL, "bad JSON");
    assert_refused(HEAD "Zm9v\\x" TAIL, "bad JSON");
    assert_refused(HEAD "Zm9v\\u012B" TAIL, "base64");
    assert_refused(HEAD "Zm9v\\u0000" TAIL, "base64");
    assert_refused(HEAD "Zm9v\\\"" TAIL, "base64");
    assert_refused(HEAD "Zm9v\\\\" TAIL, "base64");
    assert_refused(HEAD "Zm9v\\b" TAIL, "base64");
}


static void
test_unpadded(void **state)
{
    size_t    i;
    result_t  r;

    static const struct {
        const char  *text;
        unsigned     unpadded;
    } cases[] = {
        { "Zg==", 0 }, { "Zg", 1 }, { "Zm8=", 0 }, { "Zm8", 1 },
        { "Zm9v", 0 }, { "", 0 }, { "Zg\\u003d=", 0 }, { "Zm8 ", 1 }
    };

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {

        char  doc[200];

        sprintf(doc, "%s%s%s", HEAD, cases[i].text, TAIL);
        scan_text(doc, 1000, &r);
        assert_int_equal(r.rc, BINARIZE_OK);
        assert_int_equal(r.payload_unpadded, cases[i].unpadded);
        result_free(&r);
    }
}


static void
test_bad_payload(void **state)
{
    (void) state;

    assert_refused(HEAD "Z" TAIL, "base64");
    assert_refused(HEAD "Zm9vY" TAIL, "base64");
    assert_refused(HEAD "Zh==" TAIL, "base64");
    assert_refused(HEAD "Zg=" TAIL, "base64");
    assert_refused(HEAD "Zg==Zg==" TAIL, "base64");
    assert_refused(HEAD "Zg-_" TAIL, "base64");
    assert_refused(HEAD "Zm9v\n" TAIL, "base64");
    assert_refused(HEAD "Zm9v\t" TAIL, "base64");
    assert_refused(HEAD "Zm9v\x7f" TAIL, "base64");
    assert_refused(HEAD "Zm9v\xc3\xa4" TAIL, "base64");
    assert_refused(HEAD "data:image/png;base64,Zm9v" TAIL, "base64");
}


static void
test_bad_json(void **state)
{
    size_t  i;

    static const char  *docs[] = {
        "", " ", "x", "null", "1", "\"a\"", "[]", "<html>",
        "\xef\xbb", "\xef\xbb{}", "\xef{}", " \xef\xbb\xbf{}",
        "\xef\xbb\xbf\xef\xbb\xbf{}", "\xff\xfe{",
        "{", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1,,\"b\":1}",
        "{\"a\" 1}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}", "{\"a\":1;}",
        "{1:1}", "{\"a\":1]", "{\"a\":[1}", "{\"a\":[1,]}", "{\"a\":[,1]}",
        "{\"a\":[1 2]}", "{\"a\":[1", "{\"a\":[", "{\"a\":1", "{\"a\":tru",
        "{\"a\":", "{\"a\"", "{\"a", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":1}}",
        "{} {}", "{}x", "{}{", "{}\f", "{}\v", "{\f}", "{\"a\":\v1}",
        "{\"a\":True}", "{\"a\":truE}", "{\"a\":nul}", "{\"a\":nulll}",
        "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":undefined}",
        "{\"a\":01}", "{\"a\":00}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}",
        "{\"a\":-}", "{\"a\":--1}", "{\"a\":1e}", "{\"a\":1e+}",
        "{\"a\":1.e1}", "{\"a\":0x1}", "{\"a\":1.2.3}", "{\"a\":1e1.5}",
        "{\"a\":1-2}", "{\"a\":-01}", "{\"a\":1f}",
        "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\x1f\"}", "{\"\n\":1}",
        "{\"a\":\"\\x41\"}", "{\"a\":\"\\U0041\"}", "{\"a\":\"\\u004\"}",
        "{\"a\":\"\\u004g\"}", "{\"a\":\"\\u 041\"}", "{\"a\":\"\\'\"}",
        "{\"a\":\"\\\n\"}", "{\"a\":\"b\"c\"}",
        "{/**/}", "{}//", "{\"a\":1}#",
    };

    (void) state;

    for (i = 0; i < unit_nelts(docs); i++) {
        assert_refused(docs[i], "");
    }

    /* zeros, which C strings cannot say */

    for (i = 0; i < 13; i++) {
        char      doc[] = "{ \"a\":\"b\" } ";
        result_t  r;

        doc[i] = '\0';
        scan_all(doc, 13, 1000, &r);
        assert_int_equal(r.rc, BINARIZE_ERROR);
        result_free(&r);
    }
}


static void
test_strings(void **state)
{
    size_t  i;

    static const char  *good[] = {
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uABCD\\uefff\"}",
        "{\"a\":\"\\ud83d\\ude00\"}",
        "{\"a\":\"\\uDBFF\\uDFFF\\uD800\\uDC00\"}",
        ("{\"a\":\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
        "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}"),
    };

    static const char  *bad[] = {
        "\\u0000", "x\\u0000y",
        "\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\n", "\\ud83d\\u0041",
        "\\ud83d\\ud83d", "\\ude00\\ud83d", "\\ud83d\\ude00\\ude00",
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f",
        "\xc2\xc0", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe1\x80",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe",
        "\xff", "\xe2\x82\x28", "\xf0\x9f\x98\x28", "\xc3\\u00a4"
    };

    (void) state;

    for (i = 0; i < unit_nelts(good); i++) {
        assert_split(good[i], good[i], NULL);
    }

    for (i = 0; i < unit_nelts(bad); i++) {
        char  doc[64];

        sprintf(doc, "{\"a\":\"%s\"}", bad[i]);
        assert_refused(doc, "");
        sprintf(doc, "{\"%s\":1}", bad[i]);
        assert_refused(doc, "");
    }
}


static void
test_duplicates(void **state)
{
    size_t  i;

    static const char  *bad[] = {
        "{\"id\":1,\"id\":1}",
        "{\"id\":1,\"x\":2,\"\\u0069d\":1}",
        "{\"taskStatus\":1,\"taskStatus\":1}",
        "{\"responseStatusCode\":1,\"responseStatusCode\":1}",
        "{\"results\":[],\"results\":[]}",
        "{\"results\":[{\"data\":\"\"}],\"\\u0072esults\":null}",
        "{\"error\":null,\"error\":{}}",
        "{\"results\":[{\"data\":null,\"data\":\"Zg\"}]}",
        "{\"results\":[{\"data\":\"Zg\",\"\\u0064ata\":\"Zg\"}]}",
        "{\"results\":[{\"type\":1,\"type\":1}]}",
        "{\"error\":{\"messages\":[],\"messages\":[]}}",
        "{\"error\":{\"warnings\":1,\"warnings\":1}}",
    };

    static const char  *good[] = {
        "{\"x\":1,\"x\":1}",
        "{\"Id\":1,\"id\":1}",
        "{\"x\":{\"id\":1,\"id\":1}}",
        "{\"type\":1,\"results\":[{\"type\":1},{\"type\":1,\"type\":1}]}",
        "{\"error\":{\"id\":1,\"error\":1,\"type\":1},\"id\":1}",
        "{\"results\":[1,{\"data\":1,\"data\":1}]}",
    };

    (void) state;

    for (i = 0; i < unit_nelts(bad); i++) {
        assert_refused(bad[i], "twice");
    }

    for (i = 0; i < unit_nelts(good); i++) {
        assert_split(good[i], good[i], NULL);
    }
}


static void
test_cut(void **state)
{
    size_t    i, size;
    result_t  r;

    static const char  doc[] = HEAD "Zm9vYmFyLi4u\\u002B\\/==" TAIL;

    (void) state;

    size = strlen(doc);

    for (i = 0; i < size; i++) {
        scan_all(doc, i, 1000, &r);
        assert_int_equal(r.rc, BINARIZE_ERROR);
        result_free(&r);
    }
}


static void
test_depth(void **state)
{
    int        i, mixed;
    size_t     depth, n;
    char       doc[1000];
    result_t   r;

    (void) state;

    for (mixed = 0; mixed < 2; mixed++) {

        for (depth = 2; depth < 80; depth++) {

            n = sprintf(doc, "{\"a\":");

            for (i = 1; i < (int) depth; i++) {
                n += sprintf(doc + n, mixed && i % 2 ? "{\"b\":" : "[");
            }

            n += sprintf(doc + n, "0");

            while (--i) {
                doc[n++] = mixed && i % 2 ? '}' : ']';
            }

            doc[n++] = '}';
            doc[n] = '\0';

            scan_text(doc, 1000, &r);

            if (depth <= BINARIZE_SCAN_MAX_DEPTH) {
                assert_int_equal(r.rc, BINARIZE_OK);

            } else {
                assert_int_equal(r.rc, BINARIZE_ERROR);
                assert_non_null(strstr(r.reason, "deep"));
            }

            result_free(&r);
        }
    }
}


static void
test_number_size(void **state)
{
    size_t  i, k, n;
    char    doc[200];

    static const char  *starts[] = { "7", "-1", "0.1", "-0.5", "1e1", "0E+2" };

    (void) state;

    for (i = 0; i < unit_nelts(starts); i++) {

        k = strlen(starts[i]);

        for (n = k; n < 100; n++) {

            memcpy(doc, "{\"a\":", 5);
            memset(doc + 5, '7', n);
            memcpy(doc + 5, starts[i], k);
            memcpy(doc + 5 + n, "}", 2);

            if (n <= 63) {
                assert_split(doc, doc, NULL);

            } else {
                assert_refused(doc, "number");
            }
        }
    }
}


static void
test_envelope_size(void **state)
{
    char      *doc;
    size_t     size;
    result_t   r;

    (void) state;

    doc = malloc(BINARIZE_ENVELOPE_MAX_SIZE + 300);

    for (size = BINARIZE_ENVELOPE_MAX_SIZE - 1;
         size <= BINARIZE_ENVELOPE_MAX_SIZE + 1; size++)
    {
        memset(doc, ' ', size);
        memcpy(doc, HEAD TAIL, strlen(HEAD TAIL));

        scan_pieces(doc, size, 4096, 100, 4096, 1000, &r);

        if (size <= BINARIZE_ENVELOPE_MAX_SIZE) {
            assert_int_equal(r.rc, BINARIZE_OK);
            assert_int_equal(r.envelope_size, size);

        } else {
            assert_int_equal(r.rc, BINARIZE_ERROR);
            assert_non_null(strstr(r.reason, "64 KiB"));
        }

        result_free(&r);
    }

    /* the payload does not count */

    size = BINARIZE_ENVELOPE_MAX_SIZE + 200;
    memset(doc, 'A', size);
    memcpy(doc, HEAD, strlen(HEAD));
    memcpy(doc + strlen(HEAD) + BINARIZE_ENVELOPE_MAX_SIZE, TAIL,
           strlen(TAIL));
    size = strlen(HEAD) + BINARIZE_ENVELOPE_MAX_SIZE + strlen(TAIL);

    scan_pieces(doc, size, 4096, 100, 64, 1000000, &r);
    assert_int_equal(r.rc, BINARIZE_OK);
    assert_int_equal(r.envelope_size, strlen(HEAD TAIL));
    assert_int_equal(r.payload_size, BINARIZE_ENVELOPE_MAX_SIZE / 4 * 3);
    result_free(&r);

    free(doc);
}


static void
test_payload_size(void **state)
{
    size_t    max;
    result_t  r;

    (void) state;

    for (max = 0; max < 10; max++) {

        scan_text(HEAD "Zm9vYmFyLg==" TAIL, max, &r);       /* 7 */

        if (max >= 7) {
            assert_int_equal(r.rc, BINARIZE_OK);

        } else {
            assert_int_equal(r.rc, BINARIZE_ERROR);
            assert_non_null(strstr(r.reason, "too large"));
        }

        result_free(&r);
    }
}


/* white space is not held, but it has an end */

static void
test_payload_spaces(void **state)
{
    int        i;
    char      *doc;
    size_t     n;
    result_t   r;

    (void) state;

    doc = malloc(300000);

    for (i = 0; i < 2; i++) {

        n = sprintf(doc, "%s", HEAD);
        memset(doc + n, ' ', 200000);
        n += i ? 200000 : 60000;
        n += sprintf(doc + n, "%s", "Zg==" TAIL);

        scan_pieces(doc, n, 1000, 100, 1000, 1000, &r);
        assert_int_equal(r.rc, i ? BINARIZE_ERROR : BINARIZE_OK);
        result_free(&r);
    }

    /* lines of 76 characters, however many */

    n = sprintf(doc, "%s", HEAD);

    for (i = 0; i < 3000; i++) {
        memset(doc + n, 'A', 76);
        memcpy(doc + n + 76, "\\r\\n", 4);
        n += 80;
    }

    n += sprintf(doc + n, "%s", TAIL);

    scan_pieces(doc, n, 16384, 4096, 1000, 1000000, &r);
    assert_int_equal(r.rc, BINARIZE_OK);
    assert_int_equal(r.payload_size, 3000 * 57);
    result_free(&r);

    free(doc);
}


/* every "+" and "/" of a long payload in every spelling, at any place */

static void
test_long_payload(void **state)
{
    char           *doc;
    size_t          i, n, text_size;
    uint32_t        seed;
    result_t        r;
    unsigned char   data[6000], text[8000];

    static const char  *plus[] = { "+", "\\u002B", "\\u002b" };
    static const char  *slash[] = { "/", "\\/", "\\u002F", "\\u002f" };

    (void) state;

    seed = 7;
    doc = malloc(100000);

    for (i = 0; i < sizeof(data); i++) {
        /* many of both */
        data[i] = (unsigned char) (unit_random(&seed) >> 9
                                   | unit_random(&seed) >> 7);
    }

    text_size = binarize_base64_encode(text, data, sizeof(data) - 1);

    n = sprintf(doc, "%s", HEAD);

    for (i = 0; i < text_size; i++) {
        if (text[i] == '+') {
            n += sprintf(doc + n, "%s", plus[unit_random(&seed) % 3]);

        } else if (text[i] == '/') {
            n += sprintf(doc + n, "%s", slash[unit_random(&seed) % 4]);

        } else {
            doc[n++] = (char) text[i];
        }
    }

    strcpy(doc + n, TAIL);

    scan_text(doc, sizeof(data), &r);
    assert_int_equal(r.rc, BINARIZE_OK);
    assert_int_equal(r.payload_size, sizeof(data) - 1);
    assert_memory_equal(r.payload, data, sizeof(data) - 1);
    result_free(&r);

    free(doc);
}


static void
test_payload_offset(void **state)
{
    int             rc;
    size_t          i, offset;
    unsigned char  *copy;

    static const char  *bad[] = {
        "", "{}", HEAD, HEAD "\"", HEAD "\"}]", HEAD "\"}]}x",
        HEAD "Zg==" TAIL, HEAD " " TAIL, HEAD "\\n" TAIL,
        "\xef\xbb\xbf" HEAD TAIL, HEAD TAIL "x", HEAD TAIL TAIL,
        "{\"results\":[{\"data\":null}]}",
        "{\"results\":[{\"data\":\"\"}],\"x\":01}"
    };

    (void) state;

    for (i = 0; i < unit_nelts(bad); i++) {
        copy = unit_copy(bad[i], strlen(bad[i]));
        rc = binarize_scan_payload_offset(copy, strlen(bad[i]), &offset);
        assert_int_equal(rc, BINARIZE_ERROR);
        free(copy);
    }

    assert_int_equal(binarize_scan_payload_offset(
                         (const unsigned char *) HEAD TAIL,
                         strlen(HEAD TAIL), &offset),
                     BINARIZE_OK);
    assert_int_equal(offset, strlen(HEAD));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_other_places),
        cmocka_unit_test(test_escaped_names),
        cmocka_unit_test(test_payload_escapes),
        cmocka_unit_test(test_unpadded),
        cmocka_unit_test(test_bad_payload),
        cmocka_unit_test(test_bad_json),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_number_size),
        cmocka_unit_test(test_envelope_size),
        cmocka_unit_test(test_payload_size),
        cmocka_unit_test(test_payload_spaces),
        cmocka_unit_test(test_long_payload),
        cmocka_unit_test(test_payload_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
