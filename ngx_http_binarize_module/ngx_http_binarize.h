
/* of no room: nginx, and what all rooms above core/ may use */


#ifndef _NGX_HTTP_BINARIZE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/envelope.h"
#include "core/guid.h"
#include "core/negotiate.h"
#include "core/png.h"
#include "core/problem.h"
#include "core/record.h"
#include "core/scan.h"


#define NGX_HTTP_BINARIZE_NAME     "binarize"
#define NGX_HTTP_BINARIZE_VERSION  "0.1.0"


/* also of an empty string, whose data may be NULL */
static ngx_inline ngx_uint_t
ngx_http_binarize_str_equal(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


extern ngx_module_t  ngx_http_binarize_module;


#endif /* _NGX_HTTP_BINARIZE_H_INCLUDED_ */
