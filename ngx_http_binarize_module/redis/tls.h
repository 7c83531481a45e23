
/*
 * TLS towards Redis, by nginx: works with every hiredis.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_TLS_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_TLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef struct ngx_http_binarize_redis_tls_s  ngx_http_binarize_redis_tls_t;


/*
 * host as in the URL, brackets of an IPv6 literal included.  Trusts what the
 * system trusts.  Returns NULL with a line logged.
 */
ngx_http_binarize_redis_tls_t *ngx_http_binarize_redis_tls_create(
    ngx_conf_t *cf, ngx_str_t *host);

#if (NGX_SSL)

/* Starts the handshake: NGX_OK, NGX_AGAIN (see c->ssl->handler), NGX_ERROR. */
ngx_int_t ngx_http_binarize_redis_tls_handshake(
    ngx_http_binarize_redis_tls_t *tls, ngx_connection_t *c);

/* After the handshake: NULL if chain and name are good, or why they are not. */
const char *ngx_http_binarize_redis_tls_verify(ngx_connection_t *c);

/* Before the connection is closed; c->ssl may be NULL. */
void ngx_http_binarize_redis_tls_free(ngx_connection_t *c);

#endif


#endif /* _NGX_HTTP_BINARIZE_REDIS_TLS_H_INCLUDED_ */
