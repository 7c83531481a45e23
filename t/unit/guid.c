
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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
