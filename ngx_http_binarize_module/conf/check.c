
#include "conf/conf.h"

#include <openssl/evp.h>


static ngx_int_t ngx_http_binarize_check_zone(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf);
static ngx_int_t ngx_http_binarize_check_default_zone(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf);
static ngx_int_t ngx_http_binarize_check_token(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_check_token_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, u_char *id);
static ngx_int_t ngx_http_binarize_check_pair(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *a, ngx_http_binarize_flight_conf_t *b);
static const char *ngx_http_binarize_check_differ(
    ngx_http_binarize_flight_conf_t *a, ngx_http_binarize_flight_conf_t *b);
static ngx_uint_t ngx_http_binarize_check_alike(ngx_str_t *a, ngx_str_t *b);


ngx_int_t
ngx_http_binarize_check_conf(ngx_conf_t *cf)
{
    u_char                             digest[EVP_MAX_MD_SIZE];
    ngx_uint_t                         i, j;
    ngx_http_binarize_loc_conf_t     **gp;
    ngx_http_binarize_main_conf_t     *bmcf;
    ngx_http_binarize_flight_conf_t   *fcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts; i++) {
        fcf = &gp[i]->answer.flight;

        if (EVP_Digest(fcf->ns.data, fcf->ns.len, digest, NULL, EVP_sha256(),
                       NULL)
            != 1)
        {
            return NGX_ERROR;
        }

        ngx_memcpy(fcf->ns_digest, digest, sizeof(fcf->ns_digest));

        if (ngx_http_binarize_check_zone(cf, fcf) != NGX_OK
            || ngx_http_binarize_check_token(cf, gp[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (j = 0; j < i; j++) {
            if (ngx_http_binarize_check_pair(cf, &gp[j]->answer.flight, fcf)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return ngx_http_binarize_check_budgets(cf);
}


static ngx_int_t
ngx_http_binarize_check_zone(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf)
{
    ngx_uint_t        i;
    ngx_array_t      *zones;
    ngx_shm_zone_t  **zp;

    zones = &conf->main->zones;

    if (zones->nelts == 0
        && ngx_http_binarize_check_default_zone(cf, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->zone_name.len == 0 && zones->nelts > 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_cache: there are several zones, one has "
                      "to be named for binarize_pass \"%V\"",
                      &conf->cloud.target->url);
        return NGX_ERROR;
    }

    zp = zones->elts;

    for (i = 0; i < zones->nelts; i++) {
        if (conf->zone_name.len == 0
            || ngx_http_binarize_check_alike(&zp[i]->shm.name,
                                             &conf->zone_name))
        {
            conf->zone = zp[i];
        }
    }

    if (conf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_cache: unknown zone \"%V\"",
                      &conf->zone_name);
        return NGX_ERROR;
    }

    if (conf->l1 && conf->redis == NULL
        && conf->cloud.max_size > conf->zone->shm.size / 4)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "binarize_max_size %uz is above a quarter of zone "
                      "\"%V\": without binarize_redis larger results are not "
                      "kept", conf->cloud.max_size, &conf->zone->shm.name);
    }

    return NGX_OK;
}


/* it is there if none is configured, and no other name is asked for */

static ngx_int_t
ngx_http_binarize_check_default_zone(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf)
{
    ngx_shm_zone_t  **zp;

    static ngx_str_t  name = ngx_string("binarize");

    if (conf->zone_name.len
        && !ngx_http_binarize_check_alike(&conf->zone_name, &name))
    {
        return NGX_OK;
    }

    zp = ngx_array_push(&conf->main->zones);
    if (zp == NULL) {
        return NGX_ERROR;
    }

    *zp = ngx_http_binarize_zone_add(cf, &name, 32 * 1024 * 1024);

    return *zp ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_check_token(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf)
{
    u_char                           id[32];
    ngx_http_binarize_token_conf_t  *tcf;

    tcf = &conf->token;

    if (tcf->source == NGX_CONF_UNSET_UINT
        || tcf->source == NGX_HTTP_BINARIZE_TOKEN_OFF)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no binarize_credentials or binarize_bearer_file for "
                      "binarize_pass \"%V\"",
                      &conf->answer.flight.cloud.target->url);
        return NGX_ERROR;
    }

    if (tcf->source == NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS
        && tcf->target == NULL
        && ngx_http_binarize_token_conf_target(cf, tcf,
                                              conf->answer.flight.cloud.target)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_binarize_token_conf_id(tcf, id) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_binarize_check_token_share(cf, conf, id);
}


/* locations that agree share a token */

static ngx_int_t
ngx_http_binarize_check_token_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf, u_char *id)
{
    ngx_uint_t                         i, n;
    ngx_array_t                       *tokens;
    ngx_http_binarize_token_t        **tp;
    ngx_http_binarize_flight_conf_t   *fcf;

    fcf = &conf->answer.flight;
    tokens = &fcf->main->tokens;

    tp = tokens->elts;

    for (i = 0, n = 0; i < tokens->nelts; i++) {

        if (tp[i]->shm_zone != fcf->zone) {
            continue;
        }

        if (ngx_memcmp(tp[i]->id, id, sizeof(tp[i]->id)) == 0) {
            fcf->token = tp[i];
            return NGX_OK;
        }

        n++;
    }

    if (n == ngx_http_binarize_zone_ncredentials(fcf->zone->shm.size)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_credentials: more than %ui of them in zone "
                      "\"%V\" of %uz bytes", n, &fcf->zone->shm.name,
                      fcf->zone->shm.size);
        return NGX_ERROR;
    }

    tp = ngx_array_push(tokens);
    if (tp == NULL) {
        return NGX_ERROR;
    }

    *tp = ngx_http_binarize_token_conf_create(cf, &conf->token, id,
                                              &fcf->cloud, fcf->zone);
    fcf->token = *tp;

    return *tp ? NGX_OK : NGX_ERROR;
}


/* one tenant must not read the other's pictures */

static ngx_int_t
ngx_http_binarize_check_pair(ngx_conf_t *cf, ngx_http_binarize_flight_conf_t *a,
    ngx_http_binarize_flight_conf_t *b)
{
    const char  *shared, *differ;

    if (!ngx_http_binarize_check_alike(&a->ns, &b->ns)) {
        return NGX_OK;
    }

    if (a->zone == b->zone) {
        shared = "zone";

    } else if (a->redis && b->redis
               && ngx_http_binarize_check_alike(
                                  ngx_http_binarize_redis_identity(a->redis),
                                  ngx_http_binarize_redis_identity(b->redis)))
    {
        shared = "binarize_redis prefix";

    } else {
        return NGX_OK;
    }

    differ = ngx_http_binarize_check_differ(a, b);

    if (differ == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "binarize_pass \"%V\" and \"%V\" share the %s and the "
                  "namespace \"%V\", but differ in their %s: one would answer "
                  "with the other's results",
                  &a->cloud.target->url, &b->cloud.target->url, shared, &a->ns,
                  differ);

    return NGX_ERROR;
}


static const char *
ngx_http_binarize_check_differ(ngx_http_binarize_flight_conf_t *a,
    ngx_http_binarize_flight_conf_t *b)
{
    ngx_http_binarize_target_t  *at, *bt;

    at = a->cloud.target;
    bt = b->cloud.target;

    if (at->ssl != bt->ssl
        || at->port != bt->port
        || !ngx_http_binarize_check_alike(&at->host, &bt->host)
        || !ngx_http_binarize_check_alike(&at->uri, &bt->uri))
    {
        return "URL";
    }

    if (ngx_memcmp(a->token->id, b->token->id, sizeof(a->token->id)) != 0) {
        return "credentials";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_binarize_check_alike(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && ngx_strncasecmp(a->data, b->data, a->len) == 0;
}
