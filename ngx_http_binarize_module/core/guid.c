
#include <string.h>

#include "guid.h"


/* a byte in each of eight */
#define GUID_EACH(byte)  (0x0101010101010101ULL * (byte))


static uint64_t guid_load8(const unsigned char *p);
static uint64_t guid_load4(const unsigned char *p, const unsigned char *q);


int
binarize_guid_parse(const unsigned char *text, size_t size,
    unsigned char canonical[BINARIZE_GUID_SIZE])
{
    int       i;
    uint64_t  digits[4], invalid, number, letter, lower;

    if (size != BINARIZE_GUID_SIZE
        || text[8] != '-' || text[13] != '-' || text[18] != '-'
        || text[23] != '-')
    {
        return BINARIZE_ERROR;
    }

    digits[0] = guid_load8(text);
    digits[1] = guid_load4(text + 9, text + 14);
    digits[2] = guid_load4(text + 19, text + 24);
    digits[3] = guid_load8(text + 28);

    invalid = 0;

    for (i = 0; i < 4; i++) {

        /*
         * The top bit of each byte says whether its sum is 0x80 or more; a
         * byte that has this bit already is no digit, and what its sums carry
         * into the next one does not matter.
         */

        lower = digits[i] | GUID_EACH(0x20);

        number = (digits[i] + GUID_EACH(0x80 - '0'))
                 & ~(digits[i] + GUID_EACH(0x80 - '9' - 1));
        letter = (lower + GUID_EACH(0x80 - 'a'))
                 & ~(lower + GUID_EACH(0x80 - 'f' - 1));

        invalid |= ~(number | letter) | digits[i];

        digits[i] |= (letter & GUID_EACH(0x80)) >> 2;
    }

    if (invalid & GUID_EACH(0x80)) {
        return BINARIZE_ERROR;
    }

    memcpy(canonical, &digits[0], 8);
    memcpy(canonical + 9, &digits[1], 4);
    memcpy(canonical + 14, (unsigned char *) &digits[1] + 4, 4);
    memcpy(canonical + 19, &digits[2], 4);
    memcpy(canonical + 24, (unsigned char *) &digits[2] + 4, 4);
    memcpy(canonical + 28, &digits[3], 8);

    canonical[8] = '-';
    canonical[13] = '-';
    canonical[18] = '-';
    canonical[23] = '-';

    return BINARIZE_OK;
}


void
binarize_guid_pack(const unsigned char canonical[BINARIZE_GUID_SIZE],
    uint64_t packed[2])
{
    int       i;
    uint64_t  n, digits[4];

    digits[0] = guid_load8(canonical);
    digits[1] = guid_load4(canonical + 9, canonical + 14);
    digits[2] = guid_load4(canonical + 19, canonical + 24);
    digits[3] = guid_load8(canonical + 28);

    for (i = 0; i < 4; i++) {

        /* what tells a letter from a number is one bit */

        n = (digits[i] & GUID_EACH(0x0f))
            + 9 * ((digits[i] >> 6) & GUID_EACH(0x01));

        n = (n | n >> 4) & 0x00ff00ff00ff00ffULL;
        n = (n | n >> 8) & 0x0000ffff0000ffffULL;

        digits[i] = (n | n >> 16) & 0x00000000ffffffffULL;
    }

    packed[0] = digits[0] << 32 | digits[1];
    packed[1] = digits[2] << 32 | digits[3];
}


static uint64_t
guid_load8(const unsigned char *p)
{
    uint64_t  n;

    memcpy(&n, p, sizeof(n));

    return n;
}


static uint64_t
guid_load4(const unsigned char *p, const unsigned char *q)
{
    uint64_t  n;

    memcpy(&n, p, 4);
    memcpy((unsigned char *) &n + 4, q, 4);

    return n;
}
