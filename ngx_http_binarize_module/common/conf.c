
#include "common/conf.h"


/* either is a name and a number */
_Static_assert(sizeof(ngx_conf_enum_t) == sizeof(ngx_conf_bitmask_t)
               && offsetof(ngx_conf_enum_t, name)
                  == offsetof(ngx_conf_bitmask_t, name), "words");


char *
ngx_http_binarize_words_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t        *value;
    ngx_uint_t        i, k;
    ngx_conf_enum_t  *words;

    value = cf->args->elts;
    words = cmd->post;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; words[k].name.len; k++) {
            if (words[k].name.len == value[i].len
                && ngx_strcasecmp(words[k].name.data, value[i].data) == 0)
            {
                break;
            }
        }

        if (words[k].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V: invalid value \"%V\"", &value[0],
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return (cmd->type & NGX_CONF_1MORE)
           ? ngx_conf_set_bitmask_slot(cf, cmd, conf)
           : ngx_conf_set_enum_slot(cf, cmd, conf);
}


ngx_int_t
ngx_http_binarize_no_duplicates(ngx_conf_t *cf)
{
    u_char      *p;
    ngx_str_t   *value, name;
    ngx_uint_t   i, k;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        p = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');
        if (p == NULL) {
            continue;
        }

        name.data = value[i].data;
        name.len = p - name.data;

        for (k = i + 1; k < cf->args->nelts; k++) {
            if (value[k].len > name.len
                && ngx_memcmp(value[k].data, name.data, name.len + 1) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "%V: duplicate parameter \"%V\"",
                                   &value[0], &name);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}
