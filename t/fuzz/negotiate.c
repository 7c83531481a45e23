
/* the whole is an Accept, and a Prefer */


#include "fuzz.h"
#include "negotiate.h"


static binarize_format_e
negotiate(const char *head, const unsigned char *text, size_t size,
    const char *tail, binarize_format_e preferred)
{
    size_t              n;
    unsigned char      *copy;
    binarize_format_e   format;

    n = strlen(head);
    copy = fuzz_alloc(n + size + strlen(tail));

    memcpy(copy, head, n);
    memcpy(copy + n, text, size);
    n += size;
    memcpy(copy + n, tail, strlen(tail));
    n += strlen(tail);

    format = binarize_negotiate(copy, n, preferred);

    free(copy);

    return format;
}


static int
prefer(const char *head, const unsigned char *text, size_t size,
    const char *tail, uint32_t *wait_s)
{
    int             rc;
    size_t          n;
    unsigned char  *copy;

    n = strlen(head);
    copy = fuzz_alloc(n + size + strlen(tail));

    memcpy(copy, head, n);
    memcpy(copy + n, text, size);
    n += size;
    memcpy(copy + n, tail, strlen(tail));
    n += strlen(tail);

    rc = binarize_prefer_wait(copy, n, wait_s);

    free(copy);

    return rc;
}


static void
check_accept(const unsigned char *text, const unsigned char *upper,
    size_t size, int quoted)
{
    binarize_format_e  png, json;

    png = negotiate("", text, size, "", BINARIZE_FORMAT_PNG);
    json = negotiate("", text, size, "", BINARIZE_FORMAT_JSON);

    fuzz_assert(png <= BINARIZE_FORMAT_JSON);

    /* either it does not matter what is preferred, or it is a tie */

    fuzz_assert(png == json || (png == BINARIZE_FORMAT_PNG
                                && json == BINARIZE_FORMAT_JSON));

    fuzz_assert(negotiate("", upper, size, "", BINARIZE_FORMAT_PNG) == png);
    fuzz_assert(negotiate(", ,\t", text, size, "", BINARIZE_FORMAT_JSON)
                == json);
    fuzz_assert(negotiate("@@, */png, a/b c,", text, size, "",
                          BINARIZE_FORMAT_PNG) == png);

    /* a range that is closest and best decides */

    json = negotiate("image/png;q=0, application/json;charset=utf-8, ", text,
                     size, "", BINARIZE_FORMAT_PNG);

    fuzz_assert(json != BINARIZE_FORMAT_NONE);

    if (quoted) {
        return;
    }

    fuzz_assert(negotiate("", text, size, " , ,", BINARIZE_FORMAT_PNG)
                == png);
    fuzz_assert(negotiate("", text, size, ",a/b;q=2", BINARIZE_FORMAT_PNG)
                == png);
}


static void
check_prefer(const unsigned char *text, const unsigned char *upper,
    size_t size, int quoted)
{
    int       rc;
    uint32_t  wait_s, again;

    wait_s = 0;
    rc = prefer("", text, size, "", &wait_s);

    fuzz_assert(rc == BINARIZE_OK || rc == BINARIZE_DECLINED
                || rc == BINARIZE_ERROR);

    again = 0;
    fuzz_assert(prefer("", upper, size, "", &again) == rc);
    fuzz_assert(again == wait_s);

    again = 0;
    fuzz_assert(prefer("a=\"wait=1, wait=2\", @, ", text, size, "", &again)
                == rc);
    fuzz_assert(again == wait_s);

    fuzz_assert(prefer("wait=17, ", text, size, "", &again) == BINARIZE_OK);
    fuzz_assert(again == 17);

    if (!quoted && rc == BINARIZE_DECLINED) {
        fuzz_assert(prefer("", text, size, ", wait=19", &again)
                    == BINARIZE_OK);
        fuzz_assert(again == 19);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             quoted;
    size_t          i;
    unsigned char  *upper;

    upper = fuzz_copy(data, size);

    for (i = 0; i < size; i++) {
        if (upper[i] >= 'a' && upper[i] <= 'z') {
            upper[i] -= 'a' - 'A';
        }
    }

    quoted = memchr(upper, '"', size) != NULL;

    check_accept(data, upper, size, quoted);
    check_prefer(data, upper, size, quoted);

    free(upper);

    return 0;
}
