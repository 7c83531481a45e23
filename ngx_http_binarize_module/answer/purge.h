
/* PURGE: what this node, Redis and the other nodes have of an id is removed */


#ifndef _NGX_HTTP_BINARIZE_PURGE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_PURGE_H_INCLUDED_


#include "answer/answer.h"
#include "l2/l2.h"


/*
 * Neither GET nor HEAD: purges, or answers that it is not allowed.  rc is
 * what became of the id, NGX_OK if there is one.  Returns what a content
 * handler returns.
 */
ngx_int_t ngx_http_binarize_purge_handler(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_int_t rc);

/* the methods of the location, for Allow */
ngx_str_t *ngx_http_binarize_purge_methods(
    ngx_http_binarize_answer_conf_t *conf);

/* another node has purged; as .._l2_purged_pt, data is the main conf */
void ngx_http_binarize_purge_on_message(void *data,
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    u_char *node);


#endif /* _NGX_HTTP_BINARIZE_PURGE_H_INCLUDED_ */
