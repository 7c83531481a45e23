
/* guid.h, and segment and format of negotiate.h */


#include "fuzz.h"
#include "negotiate.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                 rc;
    size_t              i;
    unsigned char      *text, guid[BINARIZE_GUID_SIZE];
    unsigned char       again[BINARIZE_GUID_SIZE];
    const char         *suffix;
    binarize_format_e   format, again_format;

    text = fuzz_copy(data, size);

    rc = binarize_segment_parse(text, size, guid, &format);

    fuzz_assert(rc == BINARIZE_OK || rc == BINARIZE_ERROR);

    if (rc == BINARIZE_OK) {

        suffix = format == BINARIZE_FORMAT_PNG ? ".png"
                 : format == BINARIZE_FORMAT_JSON ? ".json" : "";

        fuzz_assert(size == BINARIZE_GUID_SIZE + strlen(suffix));
        fuzz_assert(memcmp(text + BINARIZE_GUID_SIZE, suffix,
                           strlen(suffix)) == 0);

        for (i = 0; i < BINARIZE_GUID_SIZE; i++) {

            if (FUZZ_GUID[i] == '-') {
                fuzz_assert(guid[i] == '-' && text[i] == '-');

            } else {
                fuzz_assert(guid[i] && strchr("0123456789abcdef", guid[i]));
                fuzz_assert(guid[i] == text[i]
                            || guid[i] == text[i] - 'A' + 'a');
            }
        }

        /* canonical is its own canonical form */

        rc = binarize_segment_parse(guid, sizeof(guid), again,
                                    &again_format);

        fuzz_assert(rc == BINARIZE_OK);
        fuzz_assert(again_format == BINARIZE_FORMAT_NONE);
        fuzz_assert(memcmp(guid, again, sizeof(guid)) == 0);
    }

    format = binarize_format_parse(text, size);

    fuzz_assert((format == BINARIZE_FORMAT_PNG)
                == (size == 3 && memcmp(text, "png", 3) == 0));
    fuzz_assert((format == BINARIZE_FORMAT_JSON)
                == (size == 4 && memcmp(text, "json", 4) == 0));

    free(text);

    return 0;
}
