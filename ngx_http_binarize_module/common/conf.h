
/* what the setters of several rooms do */


#ifndef _NGX_HTTP_BINARIZE_COMMON_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_COMMON_CONF_H_INCLUDED_


#include "ngx_http_binarize.h"


/*
 * One of the words of an ngx_conf_enum_t, or with NGX_CONF_1MORE some of an
 * ngx_conf_bitmask_t: cmd->post.  nginx's own setters see to them when all are
 * known; what they say of others would not name the directive.
 */
char *ngx_http_binarize_words_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Of parameters "name=value", the values of which may be secrets.  Logs one
 * line that names the directive if one is given twice.
 */
ngx_int_t ngx_http_binarize_no_duplicates(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BINARIZE_COMMON_CONF_H_INCLUDED_ */
