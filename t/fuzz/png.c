
/* the first byte says how the rest is cut */


#include "fuzz.h"
#include "png.h"


static uint32_t
integer(const unsigned char *p)
{
    return p[0] * 0x1000000u + p[1] * 0x10000u + p[2] * 0x100u + p[3];
}


/* with the whole at hand */

static int
reference(const unsigned char *p, size_t size)
{
    int       idat;
    size_t    i;
    uint32_t  n;

    if (size < 33 || memcmp(p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) != 0) {
        return 0;
    }

    if (integer(p + 16) - 1 >= 0x7fffffff || integer(p + 20) - 1 >= 0x7fffffff
        || p[26] || p[27] || p[28] > 1)
    {
        return 0;
    }

    switch (p[25]) {
    case 0:
        if (!p[24] || !memchr("\1\2\4\x08\x10", p[24], 5)) {
            return 0;
        }
        break;
    case 3:
        if (!p[24] || !memchr("\1\2\4\x08", p[24], 4)) {
            return 0;
        }
        break;
    case 2:
    case 4:
    case 6:
        if (p[24] != 8 && p[24] != 16) {
            return 0;
        }
        break;
    default:
        return 0;
    }

    p += 33;
    size -= 33;
    idat = 0;

    while (size >= 12) {

        n = integer(p);

        for (i = 4; i < 8; i++) {
            if (!((p[i] >= 'a' && p[i] <= 'z')
                  || (p[i] >= 'A' && p[i] <= 'Z')))
            {
                return 0;
            }
        }

        if (memcmp(p + 4, "IEND", 4) == 0) {
            return n == 0 && size == 12 && idat;
        }

        if (memcmp(p + 4, "IHDR", 4) == 0 || n > size - 12) {
            return 0;
        }

        if (memcmp(p + 4, "IDAT", 4) == 0) {
            idat = 1;
        }

        p += 12 + n;
        size -= 12 + n;
    }

    return 0;
}


static const char *
check(const unsigned char *data, size_t size, uint32_t seed)
{
    int              rc;
    size_t           done, n;
    unsigned char   *copy;
    binarize_png_t   png;

    binarize_png_init(&png);

    for (done = 0; done < size; done += n) {

        n = seed ? fuzz_random(&seed) % 40 : size;

        if (n > size - done) {
            n = size - done;
        }

        copy = fuzz_copy(data + done, n);
        rc = binarize_png_feed(&png, copy, n);
        free(copy);

        if (rc != BINARIZE_AGAIN) {
            fuzz_assert(rc == BINARIZE_ERROR && png.reason);
            fuzz_assert(binarize_png_finish(&png) == BINARIZE_ERROR);
            return png.reason;
        }
    }

    rc = binarize_png_finish(&png);

    fuzz_assert((rc == BINARIZE_OK) == (png.reason == NULL));

    return png.reason;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *reason;

    if (size == 0) {
        return 0;
    }

    reason = check(data + 1, size - 1, 0);

    fuzz_assert((reason == NULL) == reference(data + 1, size - 1));
    fuzz_assert(check(data + 1, size - 1, data[0] + 1) == reason);

    return 0;
}
