
#include "guid.h"


#define GUID_IS_DASH(i)  ((i) == 8 || (i) == 13 || (i) == 18 || (i) == 23)


int
binarize_guid_parse(const unsigned char *text, size_t size,
    unsigned char canonical[BINARIZE_GUID_SIZE])
{
    size_t         i;
    unsigned char  c;

    if (size != BINARIZE_GUID_SIZE) {
        return BINARIZE_ERROR;
    }

    for (i = 0; i < BINARIZE_GUID_SIZE; i++) {

        c = text[i];

        if (GUID_IS_DASH(i)) {
            if (c != '-') {
                return BINARIZE_ERROR;
            }

        } else if (c < '0' || c > '9') {
            c |= 0x20;

            if (c < 'a' || c > 'f') {
                return BINARIZE_ERROR;
            }
        }

        canonical[i] = c;
    }

    return BINARIZE_OK;
}
