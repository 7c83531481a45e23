
#include "guid.h"
#include "unit.h"


static int
parse(const char *text, unsigned char *canonical)
{
    int             rc;
    size_t          size;
    unsigned char  *copy;

    size = strlen(text);
    copy = unit_copy(text, size);

    rc = binarize_guid_parse(copy, size, canonical);

    free(copy);

    return rc;
}


static void
test_canonical(void **state)
{
    unsigned char  canonical[BINARIZE_GUID_SIZE];

    (void) state;

    assert_int_equal(parse("0F8FAD5B-d9cb-469F-A165-70867728950e", canonical),
                     BINARIZE_OK);
    assert_memory_equal(canonical, UNIT_GUID, BINARIZE_GUID_SIZE);

    assert_int_equal(parse("ffffffff-FFFF-ffff-FFFF-ffffffffffff", canonical),
                     BINARIZE_OK);
    assert_memory_equal(canonical, "ffffffff-ffff-ffff-ffff-ffffffffffff",
                        BINARIZE_GUID_SIZE);
}


static void
test_refused(void **state)
{
    size_t         i;
    unsigned char  canonical[BINARIZE_GUID_SIZE];

    static const char  *texts[] = {
        "",
        "0f8fad5b",
        "0f8fad5b-d9cb-469f-a165-70867728950",
        "0f8fad5b-d9cb-469f-a165-70867728950e0",
        "0f8fad5bd9cb469fa16570867728950e",
        "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        "0f8fad5b-d9cb-469f-a165_70867728950e",
        "0f8fad5b-d9cb-469fa-165-70867728950e",
        "0f8fad5b-d9cb-469f-a165-7086772895 e",
        "-f8fad5b-d9cb-469f-a165-70867728950e",
        "\020f8fad5b-d9cb-469f-a165-70867728950e",
    };

    (void) state;

    for (i = 0; i < unit_nelts(texts); i++) {
        assert_int_equal(parse(texts[i], canonical), BINARIZE_ERROR);
    }
}


/* every byte in every place */

static void
test_every_byte(void **state)
{
    int            rc, allowed;
    size_t         i, c;
    unsigned char  text[BINARIZE_GUID_SIZE], canonical[BINARIZE_GUID_SIZE];

    (void) state;

    for (i = 0; i < BINARIZE_GUID_SIZE; i++) {

        for (c = 0; c < 256; c++) {

            memcpy(text, UNIT_GUID, BINARIZE_GUID_SIZE);
            text[i] = (unsigned char) c;

            rc = binarize_guid_parse(text, sizeof(text), canonical);

            allowed = UNIT_GUID[i] == '-'
                      ? c == '-'
                      : c && strchr("0123456789abcdefABCDEF", (int) c);

            assert_int_equal(rc, allowed ? BINARIZE_OK : BINARIZE_ERROR);
        }
    }
}


/* each digit has four bits of its own, which count from 0 to 15 */

static void
test_pack(void **state)
{
    size_t         i, d;
    uint64_t       packed[2], base[2], seen[2], mask[2], unit[2], n;
    unsigned char  text[BINARIZE_GUID_SIZE];

    (void) state;

    memcpy(text, "00000000-0000-0000-0000-000000000000", sizeof(text));
    binarize_guid_pack(text, base);

    assert_int_equal(base[0], 0);
    assert_int_equal(base[1], 0);

    seen[0] = 0;
    seen[1] = 0;

    for (i = 0; i < BINARIZE_GUID_SIZE; i++) {

        if (text[i] == '-') {
            continue;
        }

        text[i] = 'f';
        binarize_guid_pack(text, mask);

        text[i] = '1';
        binarize_guid_pack(text, unit);

        assert_int_equal(__builtin_popcountll(mask[0])
                         + __builtin_popcountll(mask[1]), 4);
        assert_int_equal(seen[0] & mask[0], 0);
        assert_int_equal(seen[1] & mask[1], 0);

        seen[0] |= mask[0];
        seen[1] |= mask[1];

        for (d = 0; d < 16; d++) {
            text[i] = "0123456789abcdef"[d];
            binarize_guid_pack(text, packed);

            n = d;
            assert_int_equal(packed[0], unit[0] * n);
            assert_int_equal(packed[1], unit[1] * n);
        }

        text[i] = '0';
    }

    assert_int_equal(seen[0], UINT64_MAX);
    assert_int_equal(seen[1], UINT64_MAX);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
