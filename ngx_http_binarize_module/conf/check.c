
#include "conf/conf.h"

#include <openssl/evp.h>


static ngx_int_t ngx_http_binarize_check_zone(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *bmcf, ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_check_token(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *bmcf, ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_token_target(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_token_id(
    ngx_http_binarize_loc_conf_t *conf, u_char *id);
static ngx_int_t ngx_http_binarize_check_pair(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);
static ngx_uint_t ngx_http_binarize_check_alike(ngx_str_t *a, ngx_str_t *b);


ngx_int_t
ngx_http_binarize_check_conf(ngx_conf_t *cf)
{
    u_char                           digest[EVP_MAX_MD_SIZE];
    ngx_uint_t                       i, j;
    ngx_http_binarize_loc_conf_t   **gp, *conf;
    ngx_http_binarize_main_conf_t   *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts; i++) {
        conf = gp[i];

        if (EVP_Digest(conf->answer.flight.ns.data, conf->answer.flight.ns.len, digest, NULL,
                       EVP_sha256(), NULL)
            != 1)
        {
            return NGX_ERROR;
        }

        ngx_memcpy(conf->answer.flight.ns_digest, digest, sizeof(conf->answer.flight.ns_digest));

        if (ngx_http_binarize_check_zone(cf, bmcf, conf) != NGX_OK
            || ngx_http_binarize_check_token(cf, bmcf, conf) != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (j = 0; j < i; j++) {
            if (ngx_http_binarize_check_pair(cf, gp[j], conf) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return ngx_http_binarize_check_budgets(cf);
}


static ngx_int_t
ngx_http_binarize_check_zone(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *bmcf, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_str_t         name;
    ngx_uint_t        i;
    ngx_shm_zone_t  **zp;

    if (bmcf->zones.nelts == 0) {

        ngx_str_set(&name, "binarize");

        if (conf->answer.flight.zone_name.len
            && !ngx_http_binarize_check_alike(&conf->answer.flight.zone_name, &name))
        {
            goto unknown;
        }

        zp = ngx_array_push(&bmcf->zones);
        if (zp == NULL) {
            return NGX_ERROR;
        }

        *zp = ngx_http_binarize_zone_add(cf, &name, 32 * 1024 * 1024);

        if (*zp == NULL) {
            return NGX_ERROR;
        }
    }

    zp = bmcf->zones.elts;

    if (conf->answer.flight.zone_name.len == 0) {

        if (bmcf->zones.nelts > 1) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "binarize_cache: there are several zones, one has "
                          "to be named for binarize_pass \"%V\"",
                          &conf->answer.flight.cloud.target->url);
            return NGX_ERROR;
        }

        conf->answer.flight.zone = zp[0];

    } else {

        for (i = 0; i < bmcf->zones.nelts; i++) {
            if (ngx_http_binarize_check_alike(&zp[i]->shm.name,
                                            &conf->answer.flight.zone_name))
            {
                conf->answer.flight.zone = zp[i];
            }
        }
    }

    if (conf->answer.flight.zone == NULL) {
        goto unknown;
    }

    if (conf->answer.flight.l1 && conf->answer.flight.redis == NULL
        && conf->answer.flight.cloud.max_size > conf->answer.flight.zone->shm.size / 4)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "binarize_max_size %uz is above a quarter of zone "
                      "\"%V\": without binarize_redis larger results are not "
                      "kept", conf->answer.flight.cloud.max_size, &conf->answer.flight.zone->shm.name);
    }

    return NGX_OK;

unknown:

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "binarize_cache: unknown zone \"%V\"", &conf->answer.flight.zone_name);

    return NGX_ERROR;
}


/* locations that agree share a token */

static ngx_int_t
ngx_http_binarize_check_token(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *bmcf, ngx_http_binarize_loc_conf_t *conf)
{
    u_char                      id[32];
    ngx_uint_t                  i, n;
    ngx_pool_cleanup_t         *cln;
    ngx_http_binarize_token_t  *token, **tp;

    if (conf->token.source == NGX_CONF_UNSET_UINT
        || conf->token.source == NGX_HTTP_BINARIZE_TOKEN_OFF)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no binarize_credentials or binarize_bearer_file for "
                      "binarize_pass \"%V\"", &conf->answer.flight.cloud.target->url);
        return NGX_ERROR;
    }

    if (conf->token.source == NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS
        && conf->token.target == NULL
        && ngx_http_binarize_token_target(cf, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_binarize_token_id(conf, id) != NGX_OK) {
        return NGX_ERROR;
    }

    tp = bmcf->tokens.elts;

    for (i = 0, n = 0; i < bmcf->tokens.nelts; i++) {

        if (tp[i]->shm_zone != conf->answer.flight.zone) {
            continue;
        }

        if (ngx_memcmp(tp[i]->id, id, sizeof(id)) == 0) {
            conf->answer.flight.token = tp[i];
            return NGX_OK;
        }

        n++;
    }

    if (n == ngx_http_binarize_zone_ntokens(conf->answer.flight.zone->shm.size)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_credentials: more than %ui of them in zone "
                      "\"%V\" of %uz bytes", n, &conf->answer.flight.zone->shm.name,
                      conf->answer.flight.zone->shm.size);
        return NGX_ERROR;
    }

    token = ngx_pcalloc(cf->pool, sizeof(*token));
    tp = ngx_array_push(&bmcf->tokens);

    if (token == NULL || tp == NULL) {
        return NGX_ERROR;
    }

    token->conf = &conf->answer.flight.cloud;
    token->shm_zone = conf->answer.flight.zone;
    ngx_memcpy(token->id, id, sizeof(id));

    if (conf->token.source == NGX_HTTP_BINARIZE_TOKEN_FILE) {
        token->file = conf->token.bearer_file;

        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_binarize_token_file_cleanup;
        cln->data = token;

    } else {
        token->client_id = conf->token.client_id;
        token->client_secret = conf->token.client_secret;
        token->target = conf->token.target;
    }

    *tp = token;
    conf->answer.flight.token = token;

    return NGX_OK;
}


/* "/connect/token" on the host of binarize_pass */

static ngx_int_t
ngx_http_binarize_token_target(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf)
{
    u_char                      *p;
    ngx_http_binarize_target_t  *target;

    static ngx_str_t  path = ngx_string("/connect/token");

    target = ngx_palloc(cf->pool, sizeof(*target));
    if (target == NULL) {
        return NGX_ERROR;
    }

    *target = *conf->answer.flight.cloud.target;
    target->uri = path;

    p = ngx_pnalloc(cf->pool, sizeof("https://") + target->authority.len
                              + path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    target->url.data = p;
    target->url.len = ngx_sprintf(p, "%s%V%V",
                                  target->ssl ? "https://" : "http://",
                                  &target->authority, &path)
                      - p;

    conf->token.target = target;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_token_id(ngx_http_binarize_loc_conf_t *conf, u_char *id)
{
    u_char       digest[EVP_MAX_MD_SIZE];
    ngx_int_t    rc;
    ngx_str_t   *parts[3];
    EVP_MD_CTX  *md;
    ngx_uint_t   i, n;

    if (conf->token.source == NGX_HTTP_BINARIZE_TOKEN_FILE) {
        parts[0] = &conf->token.bearer_file;
        n = 1;

    } else {
        parts[0] = &conf->token.target->url;
        parts[1] = &conf->token.client_id;
        parts[2] = &conf->token.client_secret;
        n = 3;
    }

    md = EVP_MD_CTX_new();
    rc = NGX_ERROR;

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        goto done;
    }

    for (i = 0; i < n; i++) {

        /* the lengths keep the parts apart */

        if (EVP_DigestUpdate(md, &parts[i]->len, sizeof(parts[i]->len)) != 1
            || EVP_DigestUpdate(md, parts[i]->data, parts[i]->len) != 1)
        {
            goto done;
        }
    }

    if (EVP_DigestFinal_ex(md, digest, NULL) == 1) {
        ngx_memcpy(id, digest, 32);
        rc = NGX_OK;
    }

done:

    EVP_MD_CTX_free(md);

    return rc;
}


/* one tenant must not read the other's pictures */

static ngx_int_t
ngx_http_binarize_check_pair(ngx_conf_t *cf, ngx_http_binarize_loc_conf_t *a,
    ngx_http_binarize_loc_conf_t *b)
{
    const char  *shared, *differ;

    if (!ngx_http_binarize_check_alike(&a->answer.flight.ns, &b->answer.flight.ns)) {
        return NGX_OK;
    }

    if (a->answer.flight.zone == b->answer.flight.zone) {
        shared = "zone";

    } else if (a->answer.flight.redis && b->answer.flight.redis
               && ngx_http_binarize_check_alike(
                                  ngx_http_binarize_redis_identity(a->answer.flight.redis),
                                  ngx_http_binarize_redis_identity(b->answer.flight.redis)))
    {
        shared = "binarize_redis prefix";

    } else {
        return NGX_OK;
    }

    if (a->answer.flight.cloud.target->ssl != b->answer.flight.cloud.target->ssl
        || a->answer.flight.cloud.target->port != b->answer.flight.cloud.target->port
        || !ngx_http_binarize_check_alike(&a->answer.flight.cloud.target->host, &b->answer.flight.cloud.target->host)
        || !ngx_http_binarize_check_alike(&a->answer.flight.cloud.target->uri, &b->answer.flight.cloud.target->uri))
    {
        differ = "URL";

    } else if (ngx_memcmp(a->answer.flight.token->id, b->answer.flight.token->id, sizeof(a->answer.flight.token->id))) {
        differ = "credentials";

    } else {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "binarize_pass \"%V\" and \"%V\" share the %s and the "
                  "namespace \"%V\", but differ in their %s: one would answer "
                  "with the other's results",
                  &a->answer.flight.cloud.target->url, &b->answer.flight.cloud.target->url, shared, &a->answer.flight.ns, differ);

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_binarize_check_alike(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && ngx_strncasecmp(a->data, b->data, a->len) == 0;
}
