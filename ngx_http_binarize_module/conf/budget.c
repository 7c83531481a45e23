
#include "conf/conf.h"


static ngx_int_t ngx_http_binarize_check_budget_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_uint_t ngx_http_binarize_check_budget_meet(
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);
static ngx_uint_t ngx_http_binarize_check_budget_equal(
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);
static ngx_uint_t ngx_http_binarize_check_budget_same_redis(
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);


ngx_int_t
ngx_http_binarize_check_budgets(ngx_conf_t *cf)
{
    ngx_uint_t                       i, n;
    ngx_http_binarize_loc_conf_t   **gp, *first;
    ngx_http_binarize_main_conf_t   *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    gp = bmcf->gateways.elts;
    first = NULL;
    n = 0;

    for (i = 0; i < bmcf->gateways.nelts; i++) {

        if (gp[i]->budget_conf == NULL) {
            first = first ? first : gp[i];
            n++;
            continue;
        }

        if (ngx_http_binarize_check_budget_share(cf, gp[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (n == 1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "no binarize_budget for binarize_pass \"%V\": what is "
                      "spent on its calls is not limited",
                      &first->answer.flight.cloud.target->url);

    } else if (n) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "no binarize_budget for binarize_pass \"%V\" and %ui "
                      "more: what is spent on their calls is not limited",
                      &first->answer.flight.cloud.target->url, n - 1);
    }

    return NGX_OK;
}


/* one budget a credential, in a zone and in Redis */

static ngx_int_t
ngx_http_binarize_check_budget_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf)
{
    ngx_uint_t                         i;
    ngx_http_binarize_budget_t        *budget;
    ngx_http_binarize_loc_conf_t     **gp;
    ngx_http_binarize_flight_conf_t   *fcf;

    fcf = &conf->answer.flight;

    if (conf->budget_conf->shared && fcf->redis == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_budget: \"shared\" for binarize_pass \"%V\" "
                      "needs binarize_redis", &fcf->cloud.target->url);
        return NGX_ERROR;
    }

    gp = fcf->main->gateways.elts;

    for (i = 0; i < fcf->main->gateways.nelts && gp[i] != conf; i++) {

        if (ngx_http_binarize_check_budget_meet(gp[i], conf)
            && !ngx_http_binarize_check_budget_equal(gp[i], conf))
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "binarize_budget: two that differ for the same "
                          "credentials, of binarize_pass \"%V\" and \"%V\"",
                          &gp[i]->answer.flight.cloud.target->url,
                          &fcf->cloud.target->url);
            return NGX_ERROR;
        }
    }

    if (fcf->token->budget == NULL) {
        budget = ngx_http_binarize_budget_create(cf, conf->budget_conf,
                                                 fcf->token->id, fcf->zone,
                                                 conf->budget_conf->shared
                                                 ? fcf->redis : NULL);
        if (budget == NULL) {
            return NGX_ERROR;
        }

        ngx_http_binarize_token_set_budget(fcf->token, budget);
    }

    fcf->budget = fcf->token->budget;

    return NGX_OK;
}


/* of the same credentials, and counted in the same place */

static ngx_uint_t
ngx_http_binarize_check_budget_meet(ngx_http_binarize_loc_conf_t *a,
    ngx_http_binarize_loc_conf_t *b)
{
    ngx_http_binarize_flight_conf_t  *af, *bf;

    af = &a->answer.flight;
    bf = &b->answer.flight;

    if (a->budget_conf == NULL
        || ngx_memcmp(af->token->id, bf->token->id, sizeof(af->token->id))
           != 0)
    {
        return 0;
    }

    return af->zone == bf->zone
           || (a->budget_conf->shared && b->budget_conf->shared
               && ngx_http_binarize_check_budget_same_redis(a, b));
}


static ngx_uint_t
ngx_http_binarize_check_budget_equal(ngx_http_binarize_loc_conf_t *a,
    ngx_http_binarize_loc_conf_t *b)
{
    binarize_budget_limits_t  *al, *bl;

    al = &a->budget_conf->limits;
    bl = &b->budget_conf->limits;

    return al->rate == bl->rate
           && al->burst == bl->burst
           && al->concurrency == bl->concurrency
           && al->quota == bl->quota
           && al->monthly == bl->monthly
           && a->budget_conf->shared == b->budget_conf->shared
           && (!a->budget_conf->shared
               || ngx_http_binarize_check_budget_same_redis(a, b));
}


static ngx_uint_t
ngx_http_binarize_check_budget_same_redis(ngx_http_binarize_loc_conf_t *a,
    ngx_http_binarize_loc_conf_t *b)
{
    ngx_str_t  *one, *two;

    one = ngx_http_binarize_redis_identity(a->answer.flight.redis);
    two = ngx_http_binarize_redis_identity(b->answer.flight.redis);

    return ngx_http_binarize_str_equal(one, two);
}
