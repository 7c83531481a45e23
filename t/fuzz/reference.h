
/* the slow and simple way, to compare core/ with */


#ifndef _REFERENCE_H_INCLUDED_
#define _REFERENCE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * An object as the splitter takes it: RFC 8259, well formed UTF-8, no lone
 * surrogate and no \u0000, numbers of at most 63 characters, max_depth levels,
 * white space around it.  1 or 0.
 */
int reference_json(const unsigned char *doc, size_t size, size_t max_depth);

/* well formed UTF-8, RFC 3629.  1 or 0 */
int reference_utf8(const unsigned char *text, size_t size);

/*
 * Decodes the whole of base64, white space is skipped.  The number of bytes,
 * or -1; *unpadded says that there should have been a "=".
 */
long reference_base64(const unsigned char *text, size_t size,
    unsigned char *out, int *unpadded);


#endif /* _REFERENCE_H_INCLUDED_ */
