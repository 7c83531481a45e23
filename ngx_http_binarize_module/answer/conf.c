
#include "answer/conf.h"


static ngx_int_t ngx_http_binarize_answer_default_cache_control(ngx_conf_t *cf,
    ngx_http_complex_value_t **value);


ngx_conf_enum_t  ngx_http_binarize_format_words[] = {
    { ngx_string("png"), BINARIZE_FORMAT_PNG },
    { ngx_string("json"), BINARIZE_FORMAT_JSON },
    { ngx_null_string, 0 }
};


void
ngx_http_binarize_answer_conf_init(ngx_http_binarize_answer_conf_t *conf)
{
    conf->format = NGX_CONF_UNSET_UINT;
    conf->wait_ms = NGX_CONF_UNSET_MSEC;
    conf->intercept_errors = NGX_CONF_UNSET;
    conf->purge = NGX_CONF_UNSET;
    conf->placeholder = NGX_CONF_UNSET_PTR;
}


ngx_int_t
ngx_http_binarize_answer_conf_merge(ngx_conf_t *cf,
    ngx_http_binarize_answer_conf_t *prev,
    ngx_http_binarize_answer_conf_t *conf)
{
    if (conf->id == NULL) {
        conf->id = prev->id;
    }

    /* one default for all levels below "http" */

    if (conf->cache_control == NULL && prev->cache_control == NULL
        && ngx_http_binarize_answer_default_cache_control(cf,
                                                       &prev->cache_control)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->cache_control == NULL) {
        conf->cache_control = prev->cache_control;
    }

    ngx_conf_merge_uint_value(conf->format, prev->format, BINARIZE_FORMAT_PNG);
    ngx_conf_merge_msec_value(conf->wait_ms, prev->wait_ms, 0);
    ngx_conf_merge_value(conf->intercept_errors, prev->intercept_errors, 0);
    ngx_conf_merge_value(conf->purge, prev->purge, 0);
    ngx_conf_merge_ptr_value(conf->placeholder, prev->placeholder, NULL);

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_answer_default_cache_control(ngx_conf_t *cf,
    ngx_http_complex_value_t **value)
{
    ngx_http_compile_complex_value_t  ccv;

    static ngx_str_t  text = ngx_string("public, max-age=31536000, immutable");

    *value = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ccv));

    ccv.cf = cf;
    ccv.value = &text;
    ccv.complex_value = *value;

    return ngx_http_compile_complex_value(&ccv);
}
