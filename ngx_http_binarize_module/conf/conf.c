
#include "conf/conf.h"


/* what is given to a client in one turn of the event loop, at most */
#define NGX_HTTP_BINARIZE_MAX_CHUNK  (1024 * 1024)


static void ngx_http_binarize_merge_location(ngx_http_core_loc_conf_t *clcf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_merge_gateway(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_merge_job(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static void ngx_http_binarize_merge_upstream(ngx_http_upstream_conf_t *prev,
    ngx_http_upstream_conf_t *conf);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_binarize_merge_ssl(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_set_ssl(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_set_ssl_ctx(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, ngx_ssl_t *ssl);
static ngx_int_t ngx_http_binarize_set_ssl_verify(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, ngx_ssl_t *ssl);
#endif


void *
ngx_http_binarize_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_binarize_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool, sizeof(*bmcf));
    if (bmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&bmcf->zones, cf->pool, 1, sizeof(ngx_shm_zone_t *))
        != NGX_OK
        || ngx_array_init(&bmcf->gateways, cf->pool, 4,
                          sizeof(ngx_http_binarize_loc_conf_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->redises, cf->pool, 1,
                          sizeof(ngx_http_binarize_redis_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->tokens, cf->pool, 1,
                          sizeof(ngx_http_binarize_token_t *))
           != NGX_OK)
    {
        return NULL;
    }

    ngx_queue_init(&bmcf->cloud.idle);
    ngx_queue_init(&bmcf->cloud.sessions);
    ngx_queue_init(&bmcf->remote);

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

    /*
     * set by ngx_pcalloc():
     *
     *     conf->answer.flight.cloud.target = NULL;
     *     conf->answer.id = NULL;
     *     conf->answer.cache_control = NULL;
     *     conf->answer.flight.headers = NULL;
     *     conf->answer.flight.cloud.upstream.* of what a job does not use
     */

    conf->answer.format = NGX_CONF_UNSET_UINT;
    conf->answer.flight.l1 = NGX_CONF_UNSET;
    conf->answer.flight.valid_s = NGX_CONF_UNSET;
    conf->answer.flight.negative_ms = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.negative_max_ms = NGX_CONF_UNSET_MSEC;
    conf->answer.wait_ms = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.poll_ms = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.poll_max_ms = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.cloud.max_size = NGX_CONF_UNSET_SIZE;
    conf->answer.intercept_errors = NGX_CONF_UNSET;
    conf->answer.purge = NGX_CONF_UNSET;
    conf->answer.placeholder = NGX_CONF_UNSET_PTR;
    conf->status = NGX_CONF_UNSET_UINT;
    conf->token_source = NGX_CONF_UNSET_UINT;
    conf->answer.flight.redis = NGX_CONF_UNSET_PTR;
    conf->budget_conf = NGX_CONF_UNSET_PTR;

    conf->answer.flight.cloud.upstream.local = NGX_CONF_UNSET_PTR;
    conf->answer.flight.cloud.upstream.socket_keepalive = NGX_CONF_UNSET;
    conf->answer.flight.cloud.upstream.connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.cloud.upstream.send_timeout = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.cloud.upstream.read_timeout = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.cloud.upstream.next_upstream_tries = NGX_CONF_UNSET_UINT;
    conf->answer.flight.cloud.upstream.next_upstream_timeout = NGX_CONF_UNSET_MSEC;
    conf->answer.flight.cloud.upstream.buffer_size = NGX_CONF_UNSET_SIZE;
    conf->answer.flight.cloud.upstream.ignore_client_abort = 1;

#if (NGX_HTTP_SSL)
    conf->answer.flight.cloud.upstream.ssl_session_reuse = NGX_CONF_UNSET;
    conf->answer.flight.cloud.upstream.ssl_server_name = NGX_CONF_UNSET;
    conf->answer.flight.cloud.upstream.ssl_verify = NGX_CONF_UNSET;
    conf->answer.flight.cloud.ssl_verify_depth = NGX_CONF_UNSET_UINT;
    conf->answer.flight.cloud.ssl_passwords = NGX_CONF_UNSET_PTR;
    conf->answer.flight.cloud.ssl_conf_commands = NGX_CONF_UNSET_PTR;
#endif

    ngx_str_set(&conf->answer.flight.cloud.upstream.module, NGX_HTTP_BINARIZE_NAME);

    return conf;
}


char *
ngx_http_binarize_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_binarize_loc_conf_t *prev = parent;
    ngx_http_binarize_loc_conf_t *conf = child;

    ngx_http_compile_complex_value_t  ccv;

    static ngx_str_t  cache_control =
                         ngx_string("public, max-age=31536000, immutable");

    if (conf->answer.id == NULL) {
        conf->answer.id = prev->answer.id;
    }

    if (conf->answer.cache_control == NULL) {
        conf->answer.cache_control = prev->answer.cache_control;
    }

    if (conf->answer.cache_control == NULL) {
        conf->answer.cache_control = ngx_pcalloc(cf->pool,
                                          sizeof(ngx_http_complex_value_t));
        if (conf->answer.cache_control == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ccv));

        ccv.cf = cf;
        ccv.value = &cache_control;
        ccv.complex_value = conf->answer.cache_control;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        /* one for all levels below "http" */
        prev->answer.cache_control = conf->answer.cache_control;
    }

    if (conf->answer.flight.headers == NULL) {
        conf->answer.flight.headers = prev->answer.flight.headers;
    }

    ngx_conf_merge_uint_value(conf->answer.format, prev->answer.format,
                              BINARIZE_FORMAT_PNG);

    if (conf->answer.flight.l1 == NGX_CONF_UNSET) {
        conf->zone_name = prev->zone_name;
    }

    ngx_conf_merge_value(conf->answer.flight.l1, prev->answer.flight.l1, 1);
    ngx_conf_merge_sec_value(conf->answer.flight.valid_s, prev->answer.flight.valid_s, 30 * 86400);

    if (conf->answer.flight.negative_ms == NGX_CONF_UNSET_MSEC) {
        conf->answer.flight.negative_max_ms = prev->answer.flight.negative_max_ms;
    }

    ngx_conf_merge_msec_value(conf->answer.flight.negative_ms, prev->answer.flight.negative_ms, 10000);

    if (conf->answer.flight.negative_max_ms == NGX_CONF_UNSET_MSEC) {
        conf->answer.flight.negative_max_ms = ngx_max(conf->answer.flight.negative_ms, 3600000);
    }

    ngx_conf_merge_msec_value(conf->answer.wait_ms, prev->answer.wait_ms, 0);

    if (conf->answer.flight.poll_ms == NGX_CONF_UNSET_MSEC) {
        conf->answer.flight.poll_max_ms = prev->answer.flight.poll_max_ms;
    }

    ngx_conf_merge_msec_value(conf->answer.flight.poll_ms, prev->answer.flight.poll_ms, 500);

    if (conf->answer.flight.poll_max_ms == NGX_CONF_UNSET_MSEC) {
        conf->answer.flight.poll_max_ms = ngx_max(conf->answer.flight.poll_ms, 4000);
    }

    ngx_conf_merge_size_value(conf->answer.flight.cloud.max_size, prev->answer.flight.cloud.max_size,
                              32 * 1024 * 1024);
    ngx_conf_merge_value(conf->answer.intercept_errors, prev->answer.intercept_errors, 0);
    ngx_conf_merge_value(conf->answer.purge, prev->answer.purge, 0);
    ngx_conf_merge_ptr_value(conf->answer.placeholder, prev->answer.placeholder, NULL);

    /* a token source is inherited as a whole */

    if (conf->token_source == NGX_CONF_UNSET_UINT) {
        conf->token_source = prev->token_source;
        conf->client_id = prev->client_id;
        conf->client_secret = prev->client_secret;
        conf->token_target = prev->token_target;
        conf->bearer_file = prev->bearer_file;
    }

    ngx_conf_merge_ptr_value(conf->answer.flight.redis, prev->answer.flight.redis, NULL);
    ngx_conf_merge_ptr_value(conf->budget_conf, prev->budget_conf, NULL);

    ngx_http_binarize_merge_upstream(&prev->answer.flight.cloud.upstream, &conf->answer.flight.cloud.upstream);

#if (NGX_HTTP_SSL)
    if (ngx_http_binarize_merge_ssl(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
#endif

    if (ngx_http_binarize_merge_gateway(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_binarize_merge_upstream(ngx_http_upstream_conf_t *prev,
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


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_binarize_merge_ssl(ngx_conf_t *cf, ngx_http_binarize_loc_conf_t *prev,
    ngx_http_binarize_loc_conf_t *conf)
{
    if (conf->answer.flight.cloud.upstream.ssl_name == NULL) {
        conf->answer.flight.cloud.upstream.ssl_name = prev->answer.flight.cloud.upstream.ssl_name;
    }

    ngx_conf_merge_value(conf->answer.flight.cloud.upstream.ssl_session_reuse,
                         prev->answer.flight.cloud.upstream.ssl_session_reuse, 1);
    ngx_conf_merge_value(conf->answer.flight.cloud.upstream.ssl_server_name,
                         prev->answer.flight.cloud.upstream.ssl_server_name, 1);
    ngx_conf_merge_value(conf->answer.flight.cloud.upstream.ssl_verify,
                         prev->answer.flight.cloud.upstream.ssl_verify, 1);

    ngx_conf_merge_bitmask_value(conf->answer.flight.cloud.ssl_protocols, prev->answer.flight.cloud.ssl_protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));

    ngx_conf_merge_str_value(conf->answer.flight.cloud.ssl_ciphers, prev->answer.flight.cloud.ssl_ciphers, "DEFAULT");
    ngx_conf_merge_uint_value(conf->answer.flight.cloud.ssl_verify_depth, prev->answer.flight.cloud.ssl_verify_depth,
                              1);
    ngx_conf_merge_str_value(conf->answer.flight.cloud.ssl_trusted_certificate,
                             prev->answer.flight.cloud.ssl_trusted_certificate, "");
    ngx_conf_merge_str_value(conf->answer.flight.cloud.ssl_crl, prev->answer.flight.cloud.ssl_crl, "");
    ngx_conf_merge_str_value(conf->answer.flight.cloud.ssl_certificate, prev->answer.flight.cloud.ssl_certificate, "");
    ngx_conf_merge_str_value(conf->answer.flight.cloud.ssl_certificate_key,
                             prev->answer.flight.cloud.ssl_certificate_key, "");
    ngx_conf_merge_ptr_value(conf->answer.flight.cloud.ssl_passwords, prev->answer.flight.cloud.ssl_passwords, NULL);
    ngx_conf_merge_ptr_value(conf->answer.flight.cloud.ssl_conf_commands, prev->answer.flight.cloud.ssl_conf_commands,
                             NULL);

    return NGX_OK;
}


/* names the directive in what nginx says of its value */

static u_char *
ngx_http_binarize_ssl_log(ngx_log_t *log, u_char *buf, size_t len)
{
    return ngx_snprintf(buf, len, " in \"%s\"", log->data);
}


static ngx_int_t
ngx_http_binarize_set_ssl(ngx_conf_t *cf, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_int_t            rc;
    ngx_log_t            log;
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(*ssl));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    log = *cf->log;
    log.handler = ngx_http_binarize_ssl_log;
    log.data = "binarize_pass";

    ssl->log = &log;
    conf->answer.flight.cloud.upstream.ssl = ssl;

    if (ngx_ssl_create(ssl, conf->answer.flight.cloud.ssl_protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    rc = ngx_http_binarize_set_ssl_ctx(cf, conf, ssl);

    ssl->log = cf->log;

    return rc;
}


static ngx_int_t
ngx_http_binarize_set_ssl_ctx(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, ngx_ssl_t *ssl)
{
    ssl->log->data = "binarize_ssl_ciphers";

    if (ngx_ssl_ciphers(cf, ssl, &conf->answer.flight.cloud.ssl_ciphers, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_certificate";

    if (conf->answer.flight.cloud.ssl_certificate.len) {

        if (conf->answer.flight.cloud.ssl_certificate_key.len == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no \"binarize_ssl_certificate_key\" is defined for "
                          "certificate \"%V\"", &conf->answer.flight.cloud.ssl_certificate);
            return NGX_ERROR;
        }

        if (ngx_ssl_certificate(cf, ssl, &conf->answer.flight.cloud.ssl_certificate,
                                &conf->answer.flight.cloud.ssl_certificate_key,
                                conf->answer.flight.cloud.ssl_passwords)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (conf->answer.flight.cloud.upstream.ssl_verify
        && ngx_http_binarize_set_ssl_verify(cf, conf, ssl) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_session_reuse";

    if (ngx_ssl_client_session_cache(cf, ssl,
                                     conf->answer.flight.cloud.upstream.ssl_session_reuse)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_conf_command";

    return ngx_ssl_conf_commands(cf, ssl, conf->answer.flight.cloud.ssl_conf_commands);
}


static ngx_int_t
ngx_http_binarize_set_ssl_verify(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, ngx_ssl_t *ssl)
{
    ssl->log->data = "binarize_ssl_trusted_certificate";

    /* an empty name only sets the verification up */

    if (ngx_ssl_trusted_certificate(cf, ssl, &conf->answer.flight.cloud.ssl_trusted_certificate,
                                    conf->answer.flight.cloud.ssl_verify_depth)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_crl";

    if (ngx_ssl_crl(cf, ssl, &conf->answer.flight.cloud.ssl_crl) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->answer.flight.cloud.ssl_trusted_certificate.len == 0
        && SSL_CTX_set_default_verify_paths(ssl->ctx) != 1)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_ssl_verify: the system's bundle of "
                      "certificates can not be loaded");
        return NGX_ERROR;
    }

    return NGX_OK;
}

#endif


/*
 * As proxy_pass, binarize_pass and binarize_status are inherited by "if" and
 * "limit_except" only.
 */

static void
ngx_http_binarize_merge_location(ngx_http_core_loc_conf_t *clcf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf)
{
#if (NGX_PCRE)

    /* those two have the name of their location, but not its regex */

    conf->answer.regex = clcf->noname ? prev->answer.regex : (clcf->regex != NULL);

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
        clcf->handler = ngx_http_binarize_status_location;
    }
}


ngx_int_t
ngx_http_binarize_status_location(ngx_http_request_t *r)
{
    ngx_http_binarize_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    return ngx_http_binarize_status_handler(r, conf->status);
}


static ngx_int_t
ngx_http_binarize_merge_gateway(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_binarize_loc_conf_t   **gp;
    ngx_http_binarize_main_conf_t   *bmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_http_binarize_merge_location(clcf, prev, conf);

    if (conf->answer.flight.cloud.target == NULL) {
        return NGX_OK;
    }

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

    if (ngx_http_binarize_target_resolve(cf, "binarize_pass", conf->answer.flight.cloud.target,
                                         clcf->resolver)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->token_source == NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS
        && conf->token_target
        && ngx_http_binarize_target_resolve(cf,
                                            "binarize_credentials token_url",
                                            conf->token_target,
                                            clcf->resolver)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if ((conf->answer.flight.cloud.target->ssl || (conf->token_target && conf->token_target->ssl))
        && ngx_http_binarize_set_ssl(cf, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

#endif

    if (ngx_http_binarize_merge_job(cf, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    conf->answer.flight.main = bmcf;
    conf->answer.flight.cloud.cloud = &bmcf->cloud;

    gp = ngx_array_push(&bmcf->gateways);
    if (gp == NULL) {
        return NGX_ERROR;
    }

    *gp = conf;

    return NGX_OK;
}


/* a job runs as if in this location, but leaves no line in its log */

static ngx_int_t
ngx_http_binarize_merge_job(ngx_conf_t *cf, ngx_http_binarize_loc_conf_t *conf)
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

    conf->answer.flight.cloud.job_main_conf = ctx->main_conf;
    conf->answer.flight.cloud.job_srv_conf = ctx->srv_conf;
    conf->answer.flight.cloud.job_loc_conf = loc_conf;

    return NGX_OK;
}
