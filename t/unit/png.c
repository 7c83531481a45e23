
#include "png.h"
#include "unit.h"


#define IHDR  (8 + 8)               /* offset of its data */
#define IDAT  (8 + 12 + 13)         /* of its header */


static int
check_steps(const unsigned char *data, size_t size, size_t step,
    const char **reason)
{
    int              rc;
    size_t           n, done;
    unsigned char   *copy;
    binarize_png_t   png;

    binarize_png_init(&png);

    for (done = 0; done < size; done += n) {

        n = size - done < step ? size - done : step;
        copy = unit_copy(data + done, n);
        rc = binarize_png_feed(&png, copy, n);
        free(copy);

        if (rc != BINARIZE_AGAIN) {
            assert_int_equal(rc, BINARIZE_ERROR);
            assert_non_null(png.reason);

            /* and stays so */
            assert_int_equal(binarize_png_feed(&png, data, 1),
                             BINARIZE_ERROR);
            assert_int_equal(binarize_png_finish(&png), BINARIZE_ERROR);

            *reason = png.reason;
            return rc;
        }
    }

    rc = binarize_png_finish(&png);
    *reason = png.reason;

    if (rc == BINARIZE_OK) {
        assert_int_equal(png.width, 16);
        assert_int_equal(png.height, 9);

    } else {
        assert_non_null(png.reason);
    }

    return rc;
}


static int
check(const unsigned char *data, size_t size)
{
    int          rc;
    size_t       i;
    const char  *reason, *again;

    static const size_t  steps[] = { 1, 2, 7, 8, 9, 20, 33 };

    rc = check_steps(data, size, size, &reason);

    for (i = 0; i < unit_nelts(steps); i++) {
        assert_int_equal(check_steps(data, size, steps[i], &again), rc);
        assert_ptr_equal(reason, again);
    }

    return rc;
}


static void
test_good(void **state)
{
    size_t         n, size;
    unsigned char  png[UNIT_PNG_SIZE(300)];

    (void) state;

    size = 0;

    for (n = 0; n < 300; n += 37) {
        size = unit_png(png, n);
        assert_int_equal(size, UNIT_PNG_SIZE(n));
        assert_int_equal(check(png, size), BINARIZE_OK);
    }

    png[IHDR + 12] = 1;     /* interlaced */
    assert_int_equal(check(png, size), BINARIZE_OK);
}


static void
test_cut(void **state)
{
    size_t         i, size;
    unsigned char  png[UNIT_PNG_SIZE(40) + 1];

    (void) state;

    size = unit_png(png, 40);

    for (i = 0; i < size; i++) {
        assert_int_equal(check(png, i), BINARIZE_ERROR);
    }

    png[size] = 0;
    assert_int_equal(check(png, size + 1), BINARIZE_ERROR);
}


static void
test_refused(void **state)
{
    size_t         i, size;
    unsigned char  png[UNIT_PNG_SIZE(40)];

    static const struct {
        size_t       offset;
        size_t       size;
        const char  *bytes;
    } cases[] = {
        { 0,         8, "\xff\xd8\xff\xe0\0\x10JF" },       /* JPEG */
        { 4,         1, "\n" },                             /* CR lost */
        { 8,         4, "\0\0\0\x0e" },                     /* IHDR's size */
        { 12,        4, "iHDR" },
        { IHDR,      4, "\0\0\0\0" },                       /* width */
        { IHDR,      4, "\x80\0\0\0" },
        { IHDR + 4,  4, "\0\0\0\0" },                       /* height */
        { IHDR + 4,  4, "\xff\xff\xff\xff" },
        { IHDR + 8,  2, "\x03\0" },                         /* depth */
        { IHDR + 8,  2, "\0\0" },
        { IHDR + 8,  2, "\x20\0" },
        { IHDR + 8,  2, "\x10\x03" },
        { IHDR + 8,  2, "\x04\x02" },
        { IHDR + 8,  2, "\x01\x06" },
        { IHDR + 8,  2, "\x08\x01" },                       /* colour */
        { IHDR + 8,  2, "\x08\x07" },
        { IHDR + 10, 1, "\1" },                             /* compression */
        { IHDR + 11, 1, "\1" },                             /* filter */
        { IHDR + 12, 1, "\2" },                             /* interlace */
        { IDAT,      4, "\x80\0\0\x28" },                   /* lengths */
        { IDAT,      4, "\0\0\0\x29" },
        { IDAT,      4, "\0\0\0\x27" },
        { IDAT + 4,  4, "ID\0T" },                          /* types */
        { IDAT + 4,  4, "ID[T" },
        { IDAT + 4,  4, "IHDR" },
        { IDAT + 4,  4, "tEXt" },                           /* no IDAT */
        { IDAT + 52, 4, "\0\0\0\1" },                       /* IEND's size */
    };

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {
        size = unit_png(png, 40);
        memcpy(png + cases[i].offset, cases[i].bytes, cases[i].size);
        assert_int_equal(check(png, size), BINARIZE_ERROR);
    }
}


/* the table of W3C PNG 11.2.2 */

static void
test_depths(void **state)
{
    int            allowed;
    size_t         depth, colour, size;
    unsigned char  png[UNIT_PNG_SIZE(0)];

    static const char  *depths[] = {
        "\1\2\4\10\20", "", "\10\20", "\1\2\4\10", "\10\20", "", "\10\20"
    };

    (void) state;

    for (colour = 0; colour < 256; colour++) {

        for (depth = 0; depth < 256; depth++) {

            size = unit_png(png, 0);
            png[IHDR + 8] = (unsigned char) depth;
            png[IHDR + 9] = (unsigned char) colour;

            allowed = colour < unit_nelts(depths) && depth
                      && strchr(depths[colour], (int) depth);

            assert_int_equal(check(png, size),
                             allowed ? BINARIZE_OK : BINARIZE_ERROR);
        }
    }
}


static void
test_largest_size(void **state)
{
    unsigned char   png[UNIT_PNG_SIZE(0)];
    binarize_png_t  check;

    (void) state;

    unit_png(png, 0);
    memcpy(png + IHDR, "\x7f\xff\xff\xff\x7f\xff\xff\xff", 8);

    binarize_png_init(&check);
    assert_int_equal(binarize_png_feed(&check, png, sizeof(png)),
                     BINARIZE_AGAIN);
    assert_int_equal(binarize_png_finish(&check), BINARIZE_OK);
    assert_int_equal(check.width, 0x7fffffff);
    assert_int_equal(check.height, 0x7fffffff);
}


/* more data than 32 bits count, never held */

static void
test_large(void **state)
{
    size_t          i;
    unsigned char   png[UNIT_PNG_SIZE(0)], *p;
    binarize_png_t  check;
    unsigned char  *zeros;

    (void) state;

    unit_png(png, 0);
    zeros = calloc(1, 1 << 20);
    assert_non_null(zeros);

    binarize_png_init(&check);
    assert_int_equal(binarize_png_feed(&check, png, IDAT), BINARIZE_AGAIN);

    /* three times 2^31 - 1 bytes and a CRC */

    for (i = 0; i < 3; i++) {

        unsigned char  header[8];
        uint64_t       left;

        p = unit_chunk(header, "IDAT", 0x7fffffff);
        assert_ptr_equal(p, header + 8);
        assert_int_equal(binarize_png_feed(&check, header, 8),
                         BINARIZE_AGAIN);

        for (left = (uint64_t) 0x7fffffff + 4; left > 1 << 20;
             left -= 1 << 20)
        {
            assert_int_equal(binarize_png_feed(&check, zeros, 1 << 20),
                             BINARIZE_AGAIN);
        }

        assert_int_equal(binarize_png_feed(&check, zeros, (size_t) left),
                         BINARIZE_AGAIN);
    }

    assert_int_equal(binarize_png_finish(&check), BINARIZE_ERROR);

    binarize_png_init(&check);
    assert_int_equal(binarize_png_feed(&check, png, sizeof(png)),
                     BINARIZE_AGAIN);
    assert_int_equal(binarize_png_finish(&check), BINARIZE_OK);

    free(zeros);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depths),
        cmocka_unit_test(test_largest_size),
        cmocka_unit_test(test_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
