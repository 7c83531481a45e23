
/* what the fuzz targets share */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define FUZZ_GUID  "0f8fad5b-d9cb-469f-a165-70867728950e"


/* a property that has to hold for every input */
#define fuzz_assert(e)                                                        \
    if (!(e)) {                                                               \
        fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #e); \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static inline void *
fuzz_alloc(size_t size)
{
    void  *p;

    p = malloc(size ? size : 1);
    fuzz_assert(p != NULL);

    return p;
}


/* of its own exact size, so that ASan sees a byte too many */

static inline unsigned char *
fuzz_copy(const void *data, size_t size)
{
    unsigned char  *p;

    p = fuzz_alloc(size);

    if (size) {
        memcpy(p, data, size);
    }

    return p;
}


static inline uint32_t
fuzz_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;

    return *state;
}


#endif /* _FUZZ_H_INCLUDED_ */
