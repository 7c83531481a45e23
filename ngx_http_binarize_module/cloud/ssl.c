
#include "cloud/ssl.h"


#if (NGX_HTTP_SSL)

static u_char *ngx_http_binarize_ssl_log(ngx_log_t *log, u_char *buf,
    size_t len);
static ngx_int_t ngx_http_binarize_ssl_ctx(ngx_conf_t *cf,
    ngx_http_binarize_ssl_conf_t *conf, ngx_http_upstream_conf_t *u);
static ngx_int_t ngx_http_binarize_ssl_verify(ngx_conf_t *cf,
    ngx_http_binarize_ssl_conf_t *conf, ngx_ssl_t *ssl);


ngx_conf_bitmask_t  ngx_http_binarize_ssl_protocol_words[] = {
    { ngx_string("SSLv2"), NGX_SSL_SSLv2 },
    { ngx_string("SSLv3"), NGX_SSL_SSLv3 },
    { ngx_string("TLSv1"), NGX_SSL_TLSv1 },
    { ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1 },
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};


void
ngx_http_binarize_ssl_conf_init(ngx_http_binarize_ssl_conf_t *conf)
{
    conf->verify_depth = NGX_CONF_UNSET_UINT;
    conf->passwords = NGX_CONF_UNSET_PTR;
    conf->conf_commands = NGX_CONF_UNSET_PTR;
}


void
ngx_http_binarize_ssl_conf_merge(ngx_http_binarize_ssl_conf_t *prev,
    ngx_http_binarize_ssl_conf_t *conf)
{
    ngx_conf_merge_bitmask_value(conf->protocols, prev->protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));
    ngx_conf_merge_str_value(conf->ciphers, prev->ciphers, "DEFAULT");
    ngx_conf_merge_uint_value(conf->verify_depth, prev->verify_depth, 1);
    ngx_conf_merge_str_value(conf->trusted_certificate,
                             prev->trusted_certificate, "");
    ngx_conf_merge_str_value(conf->crl, prev->crl, "");
    ngx_conf_merge_str_value(conf->certificate, prev->certificate, "");
    ngx_conf_merge_str_value(conf->certificate_key, prev->certificate_key, "");
    ngx_conf_merge_ptr_value(conf->passwords, prev->passwords, NULL);
    ngx_conf_merge_ptr_value(conf->conf_commands, prev->conf_commands, NULL);
}


ngx_int_t
ngx_http_binarize_ssl_conf_create(ngx_conf_t *cf,
    ngx_http_binarize_ssl_conf_t *conf, ngx_http_upstream_conf_t *u)
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
    u->ssl = ssl;

    if (ngx_ssl_create(ssl, conf->protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    rc = ngx_http_binarize_ssl_ctx(cf, conf, u);

    ssl->log = cf->log;

    return rc;
}


/* names the directive in what nginx says of its value */

static u_char *
ngx_http_binarize_ssl_log(ngx_log_t *log, u_char *buf, size_t len)
{
    return ngx_snprintf(buf, len, " in \"%s\"", log->data);
}


static ngx_int_t
ngx_http_binarize_ssl_ctx(ngx_conf_t *cf, ngx_http_binarize_ssl_conf_t *conf,
    ngx_http_upstream_conf_t *u)
{
    ngx_ssl_t  *ssl;

    ssl = u->ssl;

    ssl->log->data = "binarize_ssl_ciphers";

    if (ngx_ssl_ciphers(cf, ssl, &conf->ciphers, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_certificate";

    if (conf->certificate.len) {

        if (conf->certificate_key.len == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no \"binarize_ssl_certificate_key\" is defined for "
                          "certificate \"%V\"", &conf->certificate);
            return NGX_ERROR;
        }

        if (ngx_ssl_certificate(cf, ssl, &conf->certificate,
                                &conf->certificate_key,
                                conf->passwords)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (u->ssl_verify
        && ngx_http_binarize_ssl_verify(cf, conf, ssl) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_session_reuse";

    if (ngx_ssl_client_session_cache(cf, ssl, u->ssl_session_reuse)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_conf_command";

    return ngx_ssl_conf_commands(cf, ssl, conf->conf_commands);
}


static ngx_int_t
ngx_http_binarize_ssl_verify(ngx_conf_t *cf,
    ngx_http_binarize_ssl_conf_t *conf, ngx_ssl_t *ssl)
{
    ssl->log->data = "binarize_ssl_trusted_certificate";

    /* an empty name only sets the verification up */

    if (ngx_ssl_trusted_certificate(cf, ssl, &conf->trusted_certificate,
                                    conf->verify_depth)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ssl->log->data = "binarize_ssl_crl";

    if (ngx_ssl_crl(cf, ssl, &conf->crl) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->trusted_certificate.len == 0
        && SSL_CTX_set_default_verify_paths(ssl->ctx) != 1)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_ssl_verify: the system's bundle of "
                      "certificates can not be loaded");
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_binarize_ssl_password_file_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    ngx_fd_t       fd;
    ngx_str_t     *value;
    ngx_array_t  **passwords;

    passwords = (ngx_array_t **) (p + cmd->offset);

    if (*passwords != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(value[1].data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%V: " ngx_open_file_n " \"%V\" failed",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_close_file(fd);

    *passwords = ngx_ssl_read_password_file(cf, &value[1]);

    return *passwords ? NGX_CONF_OK : NGX_CONF_ERROR;
}

#endif
