
/*
 * core/: what the gateway knows without nginx.  libc and cJSON only, the
 * caller's buffers, no I/O and no clock.
 */


#ifndef _BINARIZE_H_INCLUDED_
#define _BINARIZE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* the one vocabulary of return values of core/ */
#define BINARIZE_OK        0
#define BINARIZE_ERROR    -1
#define BINARIZE_AGAIN    -2    /* wants more input */
#define BINARIZE_FULL     -3    /* wants more room for the output */
#define BINARIZE_GROW     -4    /* wants a larger envelope buffer */
#define BINARIZE_DECLINED -5    /* well formed, but not ours or not there */
#define BINARIZE_EXISTS   -6    /* what is there is not to be replaced by it */


typedef struct {
    const unsigned char  *data;
    size_t                size;
} binarize_span_t;


#endif /* _BINARIZE_H_INCLUDED_ */
