
/* what the unit tests share */


#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>


#define UNIT_GUID  "0f8fad5b-d9cb-469f-a165-70867728950e"

/* signature, IHDR, one IDAT of n bytes, IEND */
#define UNIT_PNG_SIZE(n)  (8 + 12 + 13 + 12 + (n) + 12)


#define unit_nelts(a)  (sizeof(a) / sizeof((a)[0]))


/* of its own exact size, so that ASan sees a byte too many */

static inline unsigned char *
unit_copy(const void *data, size_t size)
{
    unsigned char  *p;

    p = malloc(size ? size : 1);
    assert_non_null(p);
    memcpy(p, data, size);

    return p;
}


/* the same numbers in every run */

static inline uint32_t
unit_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;

    return *state;
}


static inline unsigned char *
unit_chunk(unsigned char *p, const char *type, size_t size)
{
    *p++ = (unsigned char) (size >> 24);
    *p++ = (unsigned char) (size >> 16);
    *p++ = (unsigned char) (size >> 8);
    *p++ = (unsigned char) size;

    memcpy(p, type, 4);

    return p + 4;
}


/* the CRCs are not right, nobody computes them; data is not pixels */

static inline size_t
unit_png(unsigned char *png, size_t idat_size)
{
    size_t          i;
    unsigned char  *p;

    static const unsigned char  head[] = {
        0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'
    };

    static const unsigned char  ihdr[] = {
        0, 0, 0, 16, 0, 0, 0, 9, 1, 0, 0, 0, 0
    };

    memcpy(png, head, sizeof(head));

    p = unit_chunk(png + sizeof(head), "IHDR", sizeof(ihdr));
    memcpy(p, ihdr, sizeof(ihdr));
    memset(p + sizeof(ihdr), 0xcc, 4);

    p = unit_chunk(p + sizeof(ihdr) + 4, "IDAT", idat_size);

    for (i = 0; i < idat_size; i++) {
        *p++ = (unsigned char) (i * 131 + (i >> 8));
    }

    memset(p, 0xcc, 4);
    p = unit_chunk(p + 4, "IEND", 0);
    memset(p, 0xcc, 4);

    return p + 4 - png;
}


#endif /* _UNIT_H_INCLUDED_ */
