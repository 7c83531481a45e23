
#include "conf/conf.h"


static ngx_int_t ngx_http_binarize_page_handler(ngx_http_request_t *r);


char *
ngx_http_binarize_pass_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_str_t                        *value;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_binarize_flight_conf_t  *fcf;

    fcf = &blcf->answer.flight;

    if (fcf->cloud.target) {
        return "is duplicate";
    }

    if (blcf->status != NGX_CONF_UNSET_UINT) {
        return "can not be in a location with \"binarize_status\"";
    }

    value = cf->args->elts;

    fcf->cloud.target = ngx_http_binarize_target_parse(cf, "binarize_pass",
                                                       &value[1]);
    if (fcf->cloud.target == NULL
        || ngx_http_binarize_flight_conf_ns(cf, fcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_binarize_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_binarize_page_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    if (blcf->answer.flight.cloud.target) {
        return "can not be in a location with \"binarize_pass\"";
    }

    rv = ngx_http_binarize_status_set(cf, cmd, conf);

    if (rv == NGX_CONF_OK) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->handler = ngx_http_binarize_page_handler;
    }

    return rv;
}


/*
 * As proxy_pass, binarize_pass and binarize_status are inherited by "if" and
 * "limit_except" only.
 */

void
ngx_http_binarize_location_merge(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

#if (NGX_PCRE)

    /* those two have the name of their location, but not its regex */

    conf->answer.regex = clcf->noname ? prev->answer.regex
                                      : (clcf->regex != NULL);

#endif

    if (clcf->name.len && clcf->name.data[0] == '/' && !conf->answer.regex) {
        conf->answer.prefix = clcf->name;
    }

    if (clcf->noname && conf->answer.flight.cloud.target == NULL
        && conf->status == NGX_CONF_UNSET_UINT)
    {
        conf->answer.flight.cloud.target = prev->answer.flight.cloud.target;
        conf->answer.flight.ns = prev->answer.flight.ns;
        conf->status = prev->status;
    }

    if (!clcf->lmt_excpt || clcf->handler) {
        return;
    }

    if (conf->answer.flight.cloud.target) {
        clcf->handler = ngx_http_binarize_handler;

    } else if (conf->status != NGX_CONF_UNSET_UINT) {
        clcf->handler = ngx_http_binarize_page_handler;
    }
}


static ngx_int_t
ngx_http_binarize_page_handler(ngx_http_request_t *r)
{
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    return ngx_http_binarize_status_handler(r, conf->status);
}
