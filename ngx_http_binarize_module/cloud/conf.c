
#include "cloud/conf.h"


static void ngx_http_binarize_cloud_merge_upstream(
    ngx_http_upstream_conf_t *prev, ngx_http_upstream_conf_t *conf);
static char *ngx_http_binarize_max_size_check(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_binarize_buffer_size_check(ngx_conf_t *cf, void *post,
    void *data);
#if (NGX_HTTP_SSL)
static void ngx_http_binarize_cloud_merge_ssl(ngx_http_upstream_conf_t *prev,
    ngx_http_upstream_conf_t *conf);
#endif


ngx_conf_post_t  ngx_http_binarize_max_size_post =
    { ngx_http_binarize_max_size_check };

ngx_conf_post_t  ngx_http_binarize_buffer_size_post =
    { ngx_http_binarize_buffer_size_check };


ngx_conf_bitmask_t  ngx_http_binarize_next_upstream_words[] = {
    { ngx_string("error"), NGX_HTTP_UPSTREAM_FT_ERROR },
    { ngx_string("timeout"), NGX_HTTP_UPSTREAM_FT_TIMEOUT },
    { ngx_string("invalid_header"), NGX_HTTP_UPSTREAM_FT_INVALID_HEADER },
    { ngx_string("non_idempotent"), NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT },
    { ngx_string("http_500"), NGX_HTTP_UPSTREAM_FT_HTTP_500 },
    { ngx_string("http_502"), NGX_HTTP_UPSTREAM_FT_HTTP_502 },
    { ngx_string("http_503"), NGX_HTTP_UPSTREAM_FT_HTTP_503 },
    { ngx_string("http_504"), NGX_HTTP_UPSTREAM_FT_HTTP_504 },
    { ngx_string("http_403"), NGX_HTTP_UPSTREAM_FT_HTTP_403 },
    { ngx_string("http_404"), NGX_HTTP_UPSTREAM_FT_HTTP_404 },
    { ngx_string("http_429"), NGX_HTTP_UPSTREAM_FT_HTTP_429 },
    { ngx_string("off"), NGX_HTTP_UPSTREAM_FT_OFF },
    { ngx_null_string, 0 }
};


void
ngx_http_binarize_cloud_conf_init(ngx_http_binarize_cloud_conf_t *conf)
{
    ngx_http_upstream_conf_t  *u;

    conf->max_size = NGX_CONF_UNSET_SIZE;

    u = &conf->upstream;

    ngx_str_set(&u->module, NGX_HTTP_BINARIZE_NAME);

    u->local = NGX_CONF_UNSET_PTR;
    u->socket_keepalive = NGX_CONF_UNSET;
    u->connect_timeout = NGX_CONF_UNSET_MSEC;
    u->send_timeout = NGX_CONF_UNSET_MSEC;
    u->read_timeout = NGX_CONF_UNSET_MSEC;
    u->next_upstream_tries = NGX_CONF_UNSET_UINT;
    u->next_upstream_timeout = NGX_CONF_UNSET_MSEC;
    u->buffer_size = NGX_CONF_UNSET_SIZE;
    u->ignore_client_abort = 1;

#if (NGX_HTTP_SSL)
    u->ssl_session_reuse = NGX_CONF_UNSET;
    u->ssl_server_name = NGX_CONF_UNSET;
    u->ssl_verify = NGX_CONF_UNSET;
#endif
}


void
ngx_http_binarize_cloud_conf_merge(ngx_http_binarize_cloud_conf_t *prev,
    ngx_http_binarize_cloud_conf_t *conf)
{
    ngx_conf_merge_size_value(conf->max_size, prev->max_size,
                              32 * 1024 * 1024);

    ngx_http_binarize_cloud_merge_upstream(&prev->upstream, &conf->upstream);

#if (NGX_HTTP_SSL)
    ngx_http_binarize_cloud_merge_ssl(&prev->upstream, &conf->upstream);
#endif
}


static void
ngx_http_binarize_cloud_merge_upstream(ngx_http_upstream_conf_t *prev,
    ngx_http_upstream_conf_t *conf)
{
    ngx_conf_merge_ptr_value(conf->local, prev->local, NULL);
    ngx_conf_merge_value(conf->socket_keepalive, prev->socket_keepalive, 0);

    ngx_conf_merge_msec_value(conf->connect_timeout, prev->connect_timeout,
                              10000);
    ngx_conf_merge_msec_value(conf->send_timeout, prev->send_timeout, 10000);
    ngx_conf_merge_msec_value(conf->read_timeout, prev->read_timeout, 60000);
    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size,
                              ngx_pagesize);

    ngx_conf_merge_bitmask_value(conf->next_upstream, prev->next_upstream,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_HTTP_UPSTREAM_FT_ERROR));

    if (conf->next_upstream & NGX_HTTP_UPSTREAM_FT_OFF) {
        conf->next_upstream = NGX_CONF_BITMASK_SET|NGX_HTTP_UPSTREAM_FT_OFF;
    }

    ngx_conf_merge_uint_value(conf->next_upstream_tries,
                              prev->next_upstream_tries, 0);
    ngx_conf_merge_msec_value(conf->next_upstream_timeout,
                              prev->next_upstream_timeout, 0);
}


/* a job runs as if in this location, but leaves no line in its log */

ngx_int_t
ngx_http_binarize_cloud_conf_job(ngx_conf_t *cf,
    ngx_http_binarize_cloud_conf_t *conf)
{
    void                      **loc_conf;
    ngx_http_conf_ctx_t        *ctx;
    ngx_http_core_loc_conf_t   *clcf, *jclcf;

    ctx = cf->ctx;

    loc_conf = ngx_palloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    jclcf = ngx_palloc(cf->pool, sizeof(*jclcf));

    if (loc_conf == NULL || jclcf == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(loc_conf, ctx->loc_conf, sizeof(void *) * ngx_http_max_module);

    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];

    *jclcf = *clcf;
    jclcf->log_subrequest = 0;
    ngx_str_null(&jclcf->post_action);
    jclcf->error_pages = NULL;

    loc_conf[ngx_http_core_module.ctx_index] = jclcf;

    conf->job_main_conf = ctx->main_conf;
    conf->job_srv_conf = ctx->srv_conf;
    conf->job_loc_conf = loc_conf;

    return NGX_OK;
}


char *
ngx_http_binarize_bind_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t   *value;
    ngx_addr_t   addr;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0
        && ngx_http_script_variables_count(&value[1]) == 0
        && ngx_parse_addr_port(cf->pool, &addr, value[1].data, value[1].len)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid address \"%V\"", &value[0],
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts > 2
        && ngx_strcmp(value[2].data, "transparent") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid parameter \"%V\"", &value[0],
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_upstream_bind_set_slot(cf, cmd, conf);
}


static char *
ngx_http_binarize_max_size_check(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    return (*size > 0 && *size <= ((size_t) 1 << 40))
           ? NGX_CONF_OK : "has to be above 0 and at most 1024g";
}


static char *
ngx_http_binarize_buffer_size_check(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    return *size >= 1024 ? NGX_CONF_OK : "has to be at least 1k";
}


#if (NGX_HTTP_SSL)

static void
ngx_http_binarize_cloud_merge_ssl(ngx_http_upstream_conf_t *prev,
    ngx_http_upstream_conf_t *conf)
{
    if (conf->ssl_name == NULL) {
        conf->ssl_name = prev->ssl_name;
    }

    ngx_conf_merge_value(conf->ssl_session_reuse, prev->ssl_session_reuse, 1);
    ngx_conf_merge_value(conf->ssl_server_name, prev->ssl_server_name, 1);
    ngx_conf_merge_value(conf->ssl_verify, prev->ssl_verify, 1);
}

#endif
