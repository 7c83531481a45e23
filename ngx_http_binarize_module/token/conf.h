
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

/* the target where none is written: on the host of binarize_pass */
ngx_int_t ngx_http_binarize_token_conf_target(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *conf, ngx_http_binarize_target_t *pass);

/* id[32]: the same for sources that are */
ngx_int_t ngx_http_binarize_token_conf_id(
    ngx_http_binarize_token_conf_t *conf, u_char *id);

/* NULL: no memory */
ngx_http_binarize_token_t *ngx_http_binarize_token_conf_create(ngx_conf_t *cf,
    ngx_http_binarize_token_conf_t *conf, u_char *id,
    ngx_http_binarize_cloud_conf_t *cloud, ngx_shm_zone_t *shm_zone);

/* directives, with a token_conf_t at cmd->offset */
char *ngx_http_binarize_credentials_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_bearer_file_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BINARIZE_TOKEN_CONF_H_INCLUDED_ */
