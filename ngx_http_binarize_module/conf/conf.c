
#include "conf/conf.h"


/* what is given to a client in one turn of the event loop, at most */
#define NGX_HTTP_BINARIZE_MAX_CHUNK  (1024 * 1024)


static ngx_int_t ngx_http_binarize_gateway(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static void ngx_http_binarize_gateway_core(ngx_http_core_loc_conf_t *clcf);


void *
ngx_http_binarize_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_binarize_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool, sizeof(*bmcf));

    if (bmcf == NULL || ngx_http_binarize_main_conf_init(cf, bmcf) != NGX_OK) {
        return NULL;
    }

    return bmcf;
}


void *
ngx_http_binarize_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(*conf));
    if (conf == NULL) {
        return NULL;
    }

    /* what is not set is unset if it is 0, as after ngx_pcalloc() */

    ngx_http_binarize_cloud_conf_init(&conf->answer.flight.cloud);
    ngx_http_binarize_flight_conf_init(&conf->answer.flight);
    ngx_http_binarize_answer_conf_init(&conf->answer);
    ngx_http_binarize_token_conf_init(&conf->token);

    conf->status = NGX_CONF_UNSET_UINT;
    conf->budget_conf = NGX_CONF_UNSET_PTR;

#if (NGX_HTTP_SSL)
    ngx_http_binarize_ssl_conf_init(&conf->ssl);
#endif

    return conf;
}


char *
ngx_http_binarize_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_binarize_loc_conf_t *prev = parent;
    ngx_http_binarize_loc_conf_t *conf = child;

    ngx_http_binarize_cloud_conf_merge(&prev->answer.flight.cloud,
                                       &conf->answer.flight.cloud);
    ngx_http_binarize_flight_conf_merge(&prev->answer.flight,
                                        &conf->answer.flight);

    if (ngx_http_binarize_answer_conf_merge(cf, &prev->answer, &conf->answer)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_binarize_token_conf_merge(&prev->token, &conf->token);
    ngx_conf_merge_ptr_value(conf->budget_conf, prev->budget_conf, NULL);

#if (NGX_HTTP_SSL)
    ngx_http_binarize_ssl_conf_merge(&prev->ssl, &conf->ssl);
#endif

    ngx_http_binarize_location_merge(cf, prev, conf);

    if (conf->answer.flight.cloud.target
        && ngx_http_binarize_gateway(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* what a location with binarize_pass is resolved to; the rest is check.c's */

static ngx_int_t
ngx_http_binarize_gateway(ngx_conf_t *cf, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_binarize_loc_conf_t    **gp;
    ngx_http_binarize_main_conf_t    *bmcf;
    ngx_http_binarize_cloud_conf_t   *cloud;
    ngx_http_binarize_token_conf_t   *token;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cloud = &conf->answer.flight.cloud;
    token = &conf->token;

    ngx_http_binarize_gateway_core(clcf);

    if (ngx_http_binarize_target_resolve(cf, "binarize_pass", cloud->target,
                                         clcf->resolver)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (token->source == NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS
        && token->target
        && ngx_http_binarize_target_resolve(cf,
                                            "binarize_credentials token_url",
                                            token->target, clcf->resolver)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if ((cloud->target->ssl || (token->target && token->target->ssl))
        && ngx_http_binarize_ssl_conf_create(cf, &conf->ssl, &cloud->upstream)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

#endif

    if (ngx_http_binarize_cloud_conf_job(cf, cloud) != NGX_OK) {
        return NGX_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    conf->answer.flight.main = bmcf;
    cloud->cloud = &bmcf->cloud;

    gp = ngx_array_push(&bmcf->gateways);
    if (gp == NULL) {
        return NGX_ERROR;
    }

    *gp = conf;

    return NGX_OK;
}


static void
ngx_http_binarize_gateway_core(ngx_http_core_loc_conf_t *clcf)
{
    /*
     * nginx' default is for sendfile(), which only counts references: what is
     * copied takes as long for half of that.
     */

    if (clcf->sendfile_max_chunk == 0
        || clcf->sendfile_max_chunk > NGX_HTTP_BINARIZE_MAX_CHUNK)
    {
        clcf->sendfile_max_chunk = NGX_HTTP_BINARIZE_MAX_CHUNK;
    }

    /* RFC 9110 13.1.3: a later date is as good; nginx's default is "exact" */

    if (clcf->if_modified_since == NGX_HTTP_IMS_EXACT) {
        clcf->if_modified_since = NGX_HTTP_IMS_BEFORE;
    }
}
