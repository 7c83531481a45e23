
/* the source of a location's bearer tokens, as written */


#ifndef _NGX_HTTP_BINARIZE_TOKEN_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_TOKEN_CONF_H_INCLUDED_


#include "token/token.h"


typedef struct {
    ngx_uint_t                       source;         /* unset: inherited */
    ngx_str_t                        client_id;
    ngx_str_t                        client_secret;
    ngx_http_binarize_target_t      *target;         /* NULL: pass' host */
    ngx_str_t                        bearer_file;
} ngx_http_binarize_token_conf_t;


void ngx_http_binarize_token_conf_init(ngx_http_binarize_token_conf_t *conf);
void ngx_http_binarize_token_conf_merge(ngx_http_binarize_token_conf_t *prev,
    ngx_http_binarize_token_conf_t *conf);

/* directives, with a token_conf_t at cmd->offset */
char *ngx_http_binarize_credentials_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_bearer_file_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BINARIZE_TOKEN_CONF_H_INCLUDED_ */
