
/*
 * The first two bytes say how the text is cut and how much room there is.
 * The rest is text to decode, and data to encode.
 */


#include "base64.h"
#include "fuzz.h"
#include "reference.h"


/* -1, or the size */

static long
decode(const unsigned char *text, size_t size, unsigned char *out,
    uint32_t seed, size_t max_room)
{
    int                   rc;
    long                  total;
    size_t                done, n, room;
    unsigned char        *in_copy, *room_copy, *p;
    binarize_base64_t     b;
    const unsigned char  *in;

    binarize_base64_init(&b);

    total = 0;

    for (done = 0; done < size; done += n) {

        n = seed ? 1 + fuzz_random(&seed) % 100 : size;

        if (n > size - done) {
            n = size - done;
        }

        in_copy = fuzz_copy(text + done, n);
        in = in_copy;

        do {
            room = 3 + (seed ? fuzz_random(&seed) % max_room : size);
            room_copy = fuzz_alloc(room);
            p = room_copy;

            rc = binarize_base64_decode(&b, &in, in_copy + n, &p,
                                        room_copy + room);

            fuzz_assert(p <= room_copy + room);
            fuzz_assert(in <= in_copy + n);
            fuzz_assert(rc != BINARIZE_FULL || room_copy + room - p < 3);
            fuzz_assert(rc != BINARIZE_AGAIN || in == in_copy + n);

            memcpy(out + total, room_copy, p - room_copy);
            total += p - room_copy;
            free(room_copy);

        } while (rc == BINARIZE_FULL);

        free(in_copy);

        if (rc == BINARIZE_ERROR) {
            return -1;
        }

        fuzz_assert(rc == BINARIZE_AGAIN);
    }

    room_copy = fuzz_alloc(2);
    p = room_copy;

    rc = binarize_base64_finish(&b, &p, room_copy + 2);

    memcpy(out + total, room_copy, p - room_copy);
    total += p - room_copy;
    free(room_copy);

    fuzz_assert(rc == BINARIZE_OK || rc == BINARIZE_ERROR);

    return rc == BINARIZE_OK ? total : -1;
}


/* what was taken is what the same text without escapes gives */

static void
decode_json(const unsigned char *text, size_t size)
{
    int                   rc, unpadded;
    long                  n;
    size_t                i, k, taken;
    unsigned char        *out, *expected, *plain, *p;
    binarize_base64_t     b;
    const unsigned char  *in;

    out = fuzz_alloc(size + 3);
    expected = fuzz_alloc(size + 3);
    plain = fuzz_alloc(size);

    binarize_base64_init(&b);
    b.json = 1;

    in = text;
    p = out;

    rc = binarize_base64_decode(&b, &in, text + size, &p, out + size + 3);

    fuzz_assert(rc == BINARIZE_AGAIN || rc == BINARIZE_ERROR);
    taken = in - text;
    k = 0;

    for (i = 0; i < taken; k++) {

        fuzz_assert(text[i] && !strchr(" \t\r\n", text[i]));

        if (text[i] != '\\') {
            plain[k] = text[i++];

        } else if (text[i + 1] == '/') {
            plain[k] = '/';
            i += 2;

        } else {
            fuzz_assert(memcmp(text + i, "\\u002B", 6) == 0
                        || memcmp(text + i, "\\u002b", 6) == 0);
            plain[k] = '+';
            i += 6;
        }
    }

    fuzz_assert(i == taken);

    /* whole quanta only */

    while (k && plain[k - 1] == '=') {
        k--;
    }

    k = k / 4 * 4;
    n = reference_base64(plain, k, expected, &unpadded);

    fuzz_assert(n == p - out);
    fuzz_assert(memcmp(out, expected, n) == 0);

    free(out);
    free(expected);
    free(plain);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             unpadded;
    long            n, expected_size;
    size_t          max_room;
    uint32_t        seed;
    unsigned char  *text, *out, *expected, *encoded;

    if (size < 2) {
        return 0;
    }

    seed = data[0] + 1;
    max_room = data[1] + 1;
    data += 2;
    size -= 2;

    text = fuzz_copy(data, size);
    out = fuzz_alloc(size + 3);
    expected = fuzz_alloc(size + 3);

    expected_size = reference_base64(text, size, expected, &unpadded);

    n = decode(text, size, out, 0, 0);
    fuzz_assert(n == expected_size);
    fuzz_assert(n <= 0 || memcmp(out, expected, n) == 0);

    n = decode(text, size, out, seed, max_room);
    fuzz_assert(n == expected_size);
    fuzz_assert(n <= 0 || memcmp(out, expected, n) == 0);

    decode_json(text, size);

    free(out);
    free(expected);

    /* and back */

    encoded = fuzz_alloc(binarize_base64_size(size));
    out = fuzz_alloc(binarize_base64_size(size) + 3);

    n = (long) binarize_base64_encode(encoded, text, size);
    fuzz_assert((size_t) n == binarize_base64_size(size));

    n = reference_base64(encoded, n, out, &unpadded);
    fuzz_assert((size_t) n == size && !unpadded);
    fuzz_assert(memcmp(out, text, size) == 0);

    n = decode(encoded, binarize_base64_size(size), out, seed, max_room);
    fuzz_assert((size_t) n == size);
    fuzz_assert(memcmp(out, text, size) == 0);

    free(encoded);
    free(out);
    free(text);

    return 0;
}
