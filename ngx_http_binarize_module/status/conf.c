
#include "status/status.h"
#include "common/conf.h"


ngx_conf_enum_t  ngx_http_binarize_status_words[] = {
    { ngx_string("prometheus"), NGX_HTTP_BINARIZE_STATUS_PROMETHEUS },
    { ngx_string("json"), NGX_HTTP_BINARIZE_STATUS_JSON },
    { ngx_string("html"), NGX_HTTP_BINARIZE_STATUS_HTML },
    { ngx_null_string, 0 }
};


char *
ngx_http_binarize_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_uint_t  *format;

    format = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*format != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    if (cf->args->nelts == 1) {
        *format = NGX_HTTP_BINARIZE_STATUS_AUTO;
        return NGX_CONF_OK;
    }

    return ngx_http_binarize_words_set(cf, cmd, conf);
}
