
#ifndef _BINARIZE_GUID_H_INCLUDED_
#define _BINARIZE_GUID_H_INCLUDED_


#include "binarize.h"


#define BINARIZE_GUID_SIZE  36


/*
 * Parses 8-4-4-4-12 hex digits in either case and writes the canonical,
 * lower case form (no terminating zero).
 * Returns BINARIZE_OK or BINARIZE_ERROR; on error canonical is undefined.
 */
int binarize_guid_parse(const unsigned char *text, size_t size,
    unsigned char canonical[BINARIZE_GUID_SIZE]);

/*
 * The 128 bits of a canonical one, in an order of their own that is the same
 * on machines of one byte order.
 */
void binarize_guid_pack(const unsigned char canonical[BINARIZE_GUID_SIZE],
    uint64_t packed[2]);


#endif /* _BINARIZE_GUID_H_INCLUDED_ */
