
/*
 * "binarize_redis" as configured.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "redis/adapter.h"


typedef struct {
    ngx_str_t                           name;       /* server/db, for the log */
    ngx_str_t                           identity;   /* and the prefix */
    ngx_str_t                           prefix;

    ngx_http_binarize_redis_address_t  *addresses;
    ngx_uint_t                          naddresses;
    ngx_http_binarize_redis_tls_t      *tls;        /* NULL: none */

    ngx_str_t                           user;       /* empty: the default */
    ngx_str_t                           password;   /* empty: no AUTH */
    ngx_uint_t                          db;

    ngx_msec_t                          timeout_ms;
    ngx_msec_t                          connect_timeout_ms;
} ngx_http_binarize_redis_conf_t;


/*
 * Parses the arguments of the directive, "off" apart.  Returns NGX_CONF_OK or,
 * with a line logged that holds no secret, NGX_CONF_ERROR.
 */
char *ngx_http_binarize_redis_conf_parse(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf);

/* 1 if one connection serves both */
ngx_uint_t ngx_http_binarize_redis_conf_equal(
    ngx_http_binarize_redis_conf_t *one, ngx_http_binarize_redis_conf_t *two);


#endif /* _NGX_HTTP_BINARIZE_REDIS_CONF_H_INCLUDED_ */
