
#include "redis/tls.h"


#if (NGX_SSL)

struct ngx_http_binarize_redis_tls_s {
    ngx_ssl_t   ssl;
    char       *host;         /* to verify and, unless numeric, SNI */

    unsigned    numeric:1;
};


static ngx_int_t ngx_http_binarize_redis_tls_expect(
    ngx_http_binarize_redis_tls_t *tls, ngx_ssl_conn_t *connection);


ngx_http_binarize_redis_tls_t *
ngx_http_binarize_redis_tls_create(ngx_conf_t *cf, ngx_str_t *host)
{
    u_char                         *p;
    size_t                          size;
    ngx_pool_cleanup_t             *cln;
    ngx_http_binarize_redis_tls_t  *tls;

    tls = ngx_pcalloc(cf->pool, sizeof(ngx_http_binarize_redis_tls_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (tls == NULL || cln == NULL) {
        return NULL;
    }

    tls->ssl.log = cf->log;

    if (ngx_ssl_create(&tls->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = &tls->ssl;

    if (SSL_CTX_set_default_verify_paths(tls->ssl.ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "no trusted certificates for \"binarize_redis\"");
        return NULL;
    }

    p = host->data;
    size = host->len;

    if (size > 2 && p[0] == '[') {
        tls->numeric = 1;
        p++;
        size -= 2;

    } else {
        tls->numeric = (ngx_inet_addr(p, size) != INADDR_NONE);
    }

    tls->host = ngx_pnalloc(cf->pool, size + 1);
    if (tls->host == NULL) {
        return NULL;
    }

    ngx_cpystrn((u_char *) tls->host, p, size + 1);

    return tls;
}


ngx_int_t
ngx_http_binarize_redis_tls_handshake(ngx_http_binarize_redis_tls_t *tls,
    ngx_connection_t *c)
{
    c->pool = ngx_create_pool(1024, c->log);
    if (c->pool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create_connection(&tls->ssl, c, NGX_SSL_CLIENT) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_binarize_redis_tls_expect(tls, c->ssl->connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_ssl_handshake(c);
}


static ngx_int_t
ngx_http_binarize_redis_tls_expect(ngx_http_binarize_redis_tls_t *tls,
    ngx_ssl_conn_t *connection)
{
    X509_VERIFY_PARAM  *param;

    param = SSL_get0_param(connection);

    if (tls->numeric) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, tls->host) == 1
               ? NGX_OK : NGX_ERROR;
    }

    if (X509_VERIFY_PARAM_set1_host(param, tls->host, 0) != 1
        || SSL_set_tlsext_host_name(connection, tls->host) != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * OpenSSL has checked chain and name, but was not told to fail over them:
 * nginx would log that at every try.
 */

const char *
ngx_http_binarize_redis_tls_verify(ngx_connection_t *c)
{
    long   rc;
    X509  *certificate;

    certificate = SSL_get_peer_certificate(c->ssl->connection);

    if (certificate == NULL) {
        return "no certificate";
    }

    X509_free(certificate);

    rc = SSL_get_verify_result(c->ssl->connection);

    return (rc == X509_V_OK) ? NULL : X509_verify_cert_error_string(rc);
}


void
ngx_http_binarize_redis_tls_free(ngx_connection_t *c)
{
    if (c->ssl) {

        /* never waits for the other side */

        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        (void) ngx_ssl_shutdown(c);
    }

    if (c->pool) {
        ngx_destroy_pool(c->pool);
        c->pool = NULL;
    }
}


#else

ngx_http_binarize_redis_tls_t *
ngx_http_binarize_redis_tls_create(ngx_conf_t *cf, ngx_str_t *host)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"rediss://\" for \"%V\" in \"binarize_redis\" needs "
                       "an nginx that was built with SSL", host);

    return NULL;
}

#endif
