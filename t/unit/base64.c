
#include "base64.h"
#include "unit.h"


typedef struct {
    const char  *text;
    const char  *plain;
    int          rc;        /* of decode, or of finish */
} base64_case_t;


/* RFC 4648, section 10, and what section 3 leaves to us */
static const base64_case_t  cases[] = {
    { "", "", BINARIZE_OK },
    { "Zg==", "f", BINARIZE_OK },
    { "Zm8=", "fo", BINARIZE_OK },
    { "Zm9v", "foo", BINARIZE_OK },
    { "Zm9vYg==", "foob", BINARIZE_OK },
    { "Zm9vYmE=", "fooba", BINARIZE_OK },
    { "Zm9vYmFy", "foobar", BINARIZE_OK },
    { "Zg", "f", BINARIZE_OK },
    { "Zm8", "fo", BINARIZE_OK },
    { " Z\r\ng\t=\n= ", "f", BINARIZE_OK },
    { "+/+/", "\xfb\xff\xbf", BINARIZE_OK },
    { "Z", "", BINARIZE_ERROR },
    { "Zm9vY", "foo", BINARIZE_ERROR },
    { "Zg=", "", BINARIZE_ERROR },
    { "Zh==", "", BINARIZE_ERROR },
    { "Zm9=", "", BINARIZE_ERROR },
    { "Zh", "", BINARIZE_ERROR },
    { "Zm9", "", BINARIZE_ERROR },
    { "=", "", BINARIZE_ERROR },
    { "Z===", "", BINARIZE_ERROR },
    { "Zg===", "", BINARIZE_ERROR },
    { "Zm8==", "", BINARIZE_ERROR },
    { "Zm9v=", "foo", BINARIZE_ERROR },
    { "Zg==Zg==", "", BINARIZE_ERROR },
    { "Zg=a", "", BINARIZE_ERROR },
    { "Zm9-", "", BINARIZE_ERROR },
    { "Zm9_", "", BINARIZE_ERROR },
    { "Zm\v9", "", BINARIZE_ERROR },
    { "Zm9v\xc3\xa4", "foo", BINARIZE_ERROR },
};


/* decodes from pieces of at most step bytes, into as small room as allowed */

static int
decode(const unsigned char *text, size_t size, size_t step,
    unsigned char *plain, size_t *plain_size)
{
    int                   rc;
    size_t                n, done;
    unsigned char        *copy, *out, room[3];
    binarize_base64_t     b;
    const unsigned char  *in;

    binarize_base64_init(&b);

    *plain_size = 0;

    for (done = 0; done < size; done += n) {

        n = size - done < step ? size - done : step;
        copy = unit_copy(text + done, n);
        in = copy;

        do {
            out = room;
            rc = binarize_base64_decode(&b, &in, copy + n, &out,
                                        room + sizeof(room));
            memcpy(plain + *plain_size, room, out - room);
            *plain_size += out - room;

        } while (rc == BINARIZE_FULL && out > room);

        if (rc == BINARIZE_AGAIN) {
            assert_ptr_equal(in, copy + n);
        }

        free(copy);

        if (rc != BINARIZE_AGAIN) {
            assert_int_equal(rc, BINARIZE_ERROR);
            return rc;
        }
    }

    out = room;
    rc = binarize_base64_finish(&b, &out, room + 2);
    memcpy(plain + *plain_size, room, out - room);
    *plain_size += out - room;

    return rc;
}


static void
test_cases(void **state)
{
    int             rc;
    size_t          i, step, size;
    unsigned char   plain[64];

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {

        for (step = 1; step < 10; step++) {

            rc = decode((const unsigned char *) cases[i].text,
                        strlen(cases[i].text), step, plain, &size);

            assert_int_equal(rc, cases[i].rc);
            assert_int_equal(size, strlen(cases[i].plain));
            assert_memory_equal(plain, cases[i].plain, size);
        }
    }
}


static void
test_round_trip(void **state)
{
    size_t          i, size, text_size, plain_size;
    uint32_t        seed;
    unsigned char  *data, *text, *plain;

    static const size_t  steps[] = { 1, 3, 31, 32, 33, 61, 1000 };

    (void) state;

    seed = 1;

    for (size = 0; size < 400; size++) {

        data = unit_copy("", 0);
        data = realloc(data, size ? size : 1);
        plain = malloc(size + 3);
        text = malloc(binarize_base64_size(size) + 1);

        for (i = 0; i < size; i++) {
            data[i] = (unsigned char) (unit_random(&seed) >> 11);
        }

        text[binarize_base64_size(size)] = 0x7e;
        text_size = binarize_base64_encode(text, data, size);

        assert_int_equal(text_size, binarize_base64_size(size));
        assert_int_equal(text[text_size], 0x7e);

        /* pieces that are multiples of three join */

        if (size > 33) {
            unsigned char  joined[4 * 140];

            i = binarize_base64_encode(joined, data, 33);
            i += binarize_base64_encode(joined + i, data + 33, size - 33);
            assert_int_equal(i, text_size);
            assert_memory_equal(joined, text, text_size);
        }

        for (i = 0; i < unit_nelts(steps); i++) {
            assert_int_equal(decode(text, text_size, steps[i], plain,
                                    &plain_size), BINARIZE_OK);
            assert_int_equal(plain_size, size);
            assert_memory_equal(plain, data, size);
        }

        free(data);
        free(plain);
        free(text);
    }
}


/*
 * A foreign byte in any place of a long text: the decoder stops right there,
 * with all that was before.  All 256 values, by the table of RFC 4648.
 */

static void
test_every_byte(void **state)
{
    int                   rc;
    size_t                at, c, size;
    unsigned char         text[160], plain[160], *out;
    binarize_base64_t     b;
    const unsigned char  *in, *digit;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    (void) state;

    for (at = 0; at < sizeof(text); at++) {

        for (c = 0; c < 256; c++) {

            memset(text, 'A', sizeof(text));
            text[at] = (unsigned char) c;

            binarize_base64_init(&b);
            b.json = 1;

            in = text;
            out = plain;
            rc = binarize_base64_decode(&b, &in, text + sizeof(text), &out,
                                        plain + sizeof(plain));

            digit = c ? (const unsigned char *) strchr(digits, (int) c)
                      : NULL;
            size = out - plain;

            if (digit) {
                assert_int_equal(rc, BINARIZE_AGAIN);
                assert_int_equal(size, 120);
                assert_int_equal((plain[at / 4 * 3] << 16
                                  | plain[at / 4 * 3 + 1] << 8
                                  | plain[at / 4 * 3 + 2])
                                 >> (18 - at % 4 * 6),
                                 (const char *) digit - digits);

            } else if (c == '=' && at % 4 >= 2) {
                assert_ptr_equal(in, text + at + 1);
                assert_int_equal(rc, at == 159 ? BINARIZE_AGAIN
                                               : BINARIZE_ERROR);

            } else {
                assert_int_equal(rc, BINARIZE_ERROR);
                assert_ptr_equal(in, text + at);
                assert_int_equal(size, at / 4 * 3);
            }
        }
    }
}


/* JSON's escapes may be taken or left, but never mistaken */

static void
test_json(void **state)
{
    int                   rc;
    size_t                at, i, k;
    unsigned char         text[200], expected[200], plain[200], *out;
    binarize_base64_t     b;
    const unsigned char  *in;

    static const struct {
        const char  *escape;
        char         c;
    } escapes[] = {
        { "\\u002B", '+' }, { "\\u002b", '+' }, { "\\/", '/' },
        { "\\u002C", 0 }, { "\\u012B", 0 }, { "\\n", 0 }, { "\\", 0 },
        { "\\U002B", 0 }, { "\\u002\"", 0 }, { "\"", 0 }, { "\n", 0 }
    };

    (void) state;

    for (i = 0; i < unit_nelts(escapes); i++) {

        k = strlen(escapes[i].escape);

        for (at = 0; at + k <= 140; at++) {

            memset(text, 'b', 140);
            memcpy(text + at, escapes[i].escape, k);

            binarize_base64_init(&b);
            b.json = 1;

            in = text;
            out = plain;
            rc = binarize_base64_decode(&b, &in, text + 140, &out,
                                        plain + sizeof(plain));

            if (rc == BINARIZE_ERROR) {
                /* left */
                assert_ptr_equal(in, text + at);
                assert_int_equal(out - plain, at / 4 * 3);
                continue;
            }

            assert_int_equal(rc, BINARIZE_AGAIN);
            assert_int_not_equal(escapes[i].c, 0);

            memset(text, 'b', 140);
            text[at] = (unsigned char) escapes[i].c;

            binarize_base64_init(&b);
            in = text;
            out = expected;
            rc = binarize_base64_decode(&b, &in, text + 140 - k + 1, &out,
                                        expected + sizeof(expected));
            assert_int_equal(rc, BINARIZE_AGAIN);
            assert_memory_equal(plain, expected, out - expected);
        }
    }
}


/* nothing is written behind the room, whatever its size */

static void
test_room(void **state)
{
    int                   rc;
    size_t                room, total;
    unsigned char         text[400], *plain, *out;
    binarize_base64_t     b;
    const unsigned char  *in;

    (void) state;

    memset(text, 'q', sizeof(text));

    for (room = 3; room < 310; room++) {

        binarize_base64_init(&b);
        in = text;
        total = 0;

        do {
            plain = malloc(room);
            out = plain;
            rc = binarize_base64_decode(&b, &in, text + sizeof(text), &out,
                                        plain + room);
            total += out - plain;

            if (rc == BINARIZE_FULL) {
                assert_true(plain + room - out < 3);
            }

            free(plain);

        } while (rc == BINARIZE_FULL);

        assert_int_equal(rc, BINARIZE_AGAIN);
        assert_int_equal(total, 300);
    }

    /* the end of a text without room */

    binarize_base64_init(&b);
    in = (const unsigned char *) "Zg==";
    plain = malloc(2);
    out = plain;

    rc = binarize_base64_decode(&b, &in, in + 4, &out, plain);
    assert_int_equal(rc, BINARIZE_AGAIN);
    assert_int_equal(binarize_base64_finish(&b, &out, plain + 1),
                     BINARIZE_FULL);
    assert_int_equal(binarize_base64_finish(&b, &out, plain + 2),
                     BINARIZE_OK);
    assert_int_equal(out - plain, 1);

    free(plain);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
