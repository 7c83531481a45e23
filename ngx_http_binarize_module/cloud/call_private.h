
/* between the files of a call: callbacks of its upstream */


#ifndef _NGX_HTTP_BINARIZE_HTTP_CALL_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_HTTP_CALL_H_INCLUDED_


#include "cloud/call.h"


/* call.c: forgets what was read of an answer, for the next one */
ngx_int_t ngx_http_binarize_call_reinit_request(ngx_http_request_t *r);

/* head.c */
ngx_int_t ngx_http_binarize_call_process_head(ngx_http_request_t *r);

/* body.c */
ngx_int_t ngx_http_binarize_call_filter_init(void *data);
ngx_int_t ngx_http_binarize_call_filter(void *data, ssize_t bytes);


#endif /* _NGX_HTTP_BINARIZE_HTTP_CALL_H_INCLUDED_ */
