
/* what ngx_http_binarize_redis_frame.c uses of nginx */


#ifndef _NGX_CONFIG_H_INCLUDED_
#define _NGX_CONFIG_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>


typedef intptr_t   ngx_int_t;
typedef uintptr_t  ngx_uint_t;


#define NGX_INT64_LEN  (sizeof("-9223372036854775808") - 1)


#endif /* _NGX_CONFIG_H_INCLUDED_ */
