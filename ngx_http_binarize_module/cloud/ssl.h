
/* the TLS of a location's calls, as written */


#ifndef _NGX_HTTP_BINARIZE_SSL_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_SSL_H_INCLUDED_


#include "ngx_http_binarize.h"


#if (NGX_HTTP_SSL)

typedef struct {
    ngx_uint_t                     protocols;
    ngx_str_t                      ciphers;
    ngx_uint_t                     verify_depth;
    ngx_str_t                      trusted_certificate;
    ngx_str_t                      crl;
    ngx_str_t                      certificate;
    ngx_str_t                      certificate_key;
    ngx_array_t                   *passwords;
    ngx_array_t                   *conf_commands;
} ngx_http_binarize_ssl_conf_t;


void ngx_http_binarize_ssl_conf_init(ngx_http_binarize_ssl_conf_t *conf);
void ngx_http_binarize_ssl_conf_merge(ngx_http_binarize_ssl_conf_t *prev,
    ngx_http_binarize_ssl_conf_t *conf);

/*
 * Creates u->ssl, by what is written and by what u has merged of nginx's own
 * (verification, reuse of sessions).  Names the directive in what nginx and
 * OpenSSL have to say.
 */
ngx_int_t ngx_http_binarize_ssl_conf_create(ngx_conf_t *cf,
    ngx_http_binarize_ssl_conf_t *conf, ngx_http_upstream_conf_t *u);


/* a directive, with an ngx_array_t * at cmd->offset; and what one goes by */
char *ngx_http_binarize_ssl_password_file_set(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

extern ngx_conf_bitmask_t  ngx_http_binarize_ssl_protocol_words[];

#endif


#endif /* _NGX_HTTP_BINARIZE_SSL_H_INCLUDED_ */
