
#include "unit.h"
#include "fingerprint.h"


static const uint64_t  secret[4] = {
    0x8a5cd789635d2dff, 0x121fd2155c472f96,
    0xe7037ed1a0b428db, 0x3c6ef372fe94f82b
};


static int
differ(const binarize_fingerprint_t *a, const binarize_fingerprint_t *b)
{
    /* each half by itself */

    return a->half[0] != b->half[0] && a->half[1] != b->half[1];
}


static void
test_bits(void **state)
{
    size_t                   i, size;
    binarize_span_t          span;
    binarize_fingerprint_t   whole, again, other;
    unsigned char           *data;

    (void) state;

    for (size = 0; size < 200; size++) {

        data = malloc(size ? size : 1);
        memset(data, 0, size);

        span.data = data;
        span.size = size;

        binarize_fingerprint(secret, &span, 1, &whole);
        binarize_fingerprint(secret, &span, 1, &again);

        assert_memory_equal(&whole, &again, sizeof(whole));

        for (i = 0; i < size * 8; i++) {
            data[i / 8] ^= (unsigned char) (1 << i % 8);

            binarize_fingerprint(secret, &span, 1, &other);
            assert_true(differ(&whole, &other));

            data[i / 8] ^= (unsigned char) (1 << i % 8);
        }

        /* a zero byte more, and less */

        if (size) {
            span.size--;
            binarize_fingerprint(secret, &span, 1, &other);
            assert_true(differ(&whole, &other));
        }

        free(data);
    }
}


static void
test_borders(void **state)
{
    binarize_span_t         spans[3];
    binarize_fingerprint_t  a, b;

    (void) state;

    spans[0].data = (const unsigned char *) "abc";
    spans[0].size = 3;
    spans[1].data = (const unsigned char *) "def";
    spans[1].size = 3;
    spans[2].data = NULL;
    spans[2].size = 0;

    binarize_fingerprint(secret, spans, 3, &a);

    spans[0].data = (const unsigned char *) "ab";
    spans[0].size = 2;
    spans[1].data = (const unsigned char *) "cdef";
    spans[1].size = 4;

    binarize_fingerprint(secret, spans, 3, &b);
    assert_true(differ(&a, &b));

    spans[2].data = (const unsigned char *) "";

    binarize_fingerprint(secret, spans, 3, &a);
    assert_true(differ(&a, &b));

    binarize_fingerprint(secret, spans, 2, &b);
    assert_true(differ(&a, &b));
}


static void
test_order(void **state)
{
    unsigned char           data[256];
    binarize_span_t         span;
    binarize_fingerprint_t  a, b;

    (void) state;

    span.data = data;
    span.size = sizeof(data);

    memset(data, 1, 64);
    memset(data + 64, 2, 192);
    binarize_fingerprint(secret, &span, 1, &a);

    memset(data, 2, 64);
    memset(data + 64, 1, 64);
    binarize_fingerprint(secret, &span, 1, &b);
    assert_true(differ(&a, &b));
}


static void
test_secret(void **state)
{
    uint64_t                another[4];
    unsigned                i;
    binarize_span_t         span;
    binarize_fingerprint_t  a, b;

    (void) state;

    span.data = (const unsigned char *) "abc";
    span.size = 3;

    binarize_fingerprint(secret, &span, 1, &a);

    for (i = 0; i < 4; i++) {
        memcpy(another, secret, sizeof(another));
        another[i] ^= 1;

        binarize_fingerprint(another, &span, 1, &b);
        assert_true(differ(&a, &b));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_borders),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_secret)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
