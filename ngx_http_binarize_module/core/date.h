
#ifndef _BINARIZE_DATE_H_INCLUDED_
#define _BINARIZE_DATE_H_INCLUDED_


#include "binarize.h"


#define BINARIZE_DATE_SIZE  29


/*
 * Writes a Unix time as HTTP does, "Sun, 06 Nov 1994 08:49:37 GMT" (no
 * terminating zero).  What is before 1970 or after 9999 becomes the first or
 * the last second of that.
 */
void binarize_date(int64_t seconds, unsigned char text[BINARIZE_DATE_SIZE]);


#endif /* _BINARIZE_DATE_H_INCLUDED_ */
