
#ifndef _BINARIZE_DECIMAL_H_INCLUDED_
#define _BINARIZE_DECIMAL_H_INCLUDED_


#include <stdint.h>


#define BINARIZE_DECIMAL_SIZE  20


/*
 * Writes n in decimal, at most BINARIZE_DECIMAL_SIZE bytes without a
 * terminating zero, and returns the end.  It is on the path of every hit,
 * where a printf() would be a tenth of the module's instructions.
 */
static inline unsigned char *
binarize_decimal(unsigned char *p, uint64_t n)
{
    unsigned char  *digit, digits[BINARIZE_DECIMAL_SIZE];

    digit = digits + BINARIZE_DECIMAL_SIZE;

    do {
        *--digit = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    while (digit != digits + BINARIZE_DECIMAL_SIZE) {
        *p++ = *digit++;
    }

    return p;
}


#endif /* _BINARIZE_DECIMAL_H_INCLUDED_ */
