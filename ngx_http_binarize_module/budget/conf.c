
#include "budget/budget.h"
#include "conf/conf.h"


static ngx_int_t ngx_http_binarize_budget_rate(ngx_str_t *value,
    uint32_t *rate);
static ngx_int_t ngx_http_binarize_budget_quota(ngx_str_t *value,
    binarize_budget_limits_t *limits);
static ngx_int_t ngx_http_binarize_budget_number(u_char *data, size_t len,
    ngx_int_t max, uint32_t *number);
static ngx_int_t ngx_http_binarize_budget_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_uint_t ngx_http_binarize_budget_equal(
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);
static ngx_uint_t ngx_http_binarize_budget_same_redis(
    ngx_http_binarize_loc_conf_t *a, ngx_http_binarize_loc_conf_t *b);
static ngx_int_t ngx_http_binarize_budget_create(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_budget_keys(ngx_conf_t *cf,
    ngx_http_binarize_budget_t *budget);


char *
ngx_http_binarize_budget_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_int_t                         rc;
    ngx_str_t                        *value, s;
    ngx_uint_t                        i;
    binarize_budget_limits_t         *limits;
    ngx_http_binarize_budget_conf_t  *bcf;

    if (blcf->budget_conf != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        blcf->budget_conf = NULL;
        return NGX_CONF_OK;
    }

    bcf = ngx_pcalloc(cf->pool, sizeof(*bcf));
    if (bcf == NULL) {
        return NGX_CONF_ERROR;
    }

    limits = &bcf->limits;

    for (i = 1; i < cf->args->nelts; i++) {

        s = value[i];

        if (ngx_strncmp(s.data, "rate=", 5) == 0 && limits->rate == 0) {
            s.data += 5;
            s.len -= 5;
            rc = ngx_http_binarize_budget_rate(&s, &limits->rate);

        } else if (ngx_strncmp(s.data, "burst=", 6) == 0
                   && limits->burst == 0)
        {
            rc = ngx_http_binarize_budget_number(s.data + 6, s.len - 6,
                                                 BINARIZE_BUDGET_MAX_BURST,
                                                 &limits->burst);

        } else if (ngx_strncmp(s.data, "concurrency=", 12) == 0
                   && limits->concurrency == 0)
        {
            rc = ngx_http_binarize_budget_number(s.data + 12, s.len - 12,
                                                 BINARIZE_BUDGET_MAX_QUOTA,
                                                 &limits->concurrency);

        } else if (ngx_strncmp(s.data, "quota=", 6) == 0
                   && limits->quota == 0)
        {
            s.data += 6;
            s.len -= 6;
            rc = ngx_http_binarize_budget_quota(&s, limits);

        } else if (ngx_strcmp(s.data, "shared") == 0 && !bcf->shared) {
            bcf->shared = 1;
            rc = NGX_OK;

        } else {
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_budget: invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (limits->burst && limits->rate == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_budget: \"burst\" needs \"rate\"");
        return NGX_CONF_ERROR;
    }

    if (limits->rate == 0 && limits->concurrency == 0 && limits->quota == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_budget: none of \"rate\", "
                           "\"concurrency\", \"quota\" is given");
        return NGX_CONF_ERROR;
    }

    limits->burst = ngx_max(limits->burst, 1);

    blcf->budget_conf = bcf;

    return NGX_CONF_OK;
}


/* "10r/s" or "30r/m", as limit_req has it */

static ngx_int_t
ngx_http_binarize_budget_rate(ngx_str_t *value, uint32_t *rate)
{
    ngx_uint_t  scale;

    if (value->len <= 3) {
        return NGX_ERROR;
    }

    value->len -= 3;

    if (ngx_strncmp(value->data + value->len, "r/s", 3) == 0) {
        scale = 60;

    } else if (ngx_strncmp(value->data + value->len, "r/m", 3) == 0) {
        scale = 1;

    } else {
        return NGX_ERROR;
    }

    if (ngx_http_binarize_budget_number(value->data, value->len,
                                        BINARIZE_BUDGET_MAX_RATE / scale, rate)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *rate *= scale;

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_budget_quota(ngx_str_t *value,
    binarize_budget_limits_t *limits)
{
    u_char  *p, *last;

    last = value->data + value->len;

    p = ngx_strlchr(value->data, last, '/');
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(p, "/month") == 0) {
        limits->monthly = 1;

    } else if (ngx_strcmp(p, "/day") != 0) {
        return NGX_ERROR;
    }

    return ngx_http_binarize_budget_number(value->data, p - value->data,
                                           BINARIZE_BUDGET_MAX_QUOTA,
                                           &limits->quota);
}


static ngx_int_t
ngx_http_binarize_budget_number(u_char *data, size_t len, ngx_int_t max,
    uint32_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(data, len);

    if (n == NGX_ERROR || n == 0 || n > max) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_budget_check(ngx_conf_t *cf)
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

        if (ngx_http_binarize_budget_share(cf, gp[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (n == 1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "no binarize_budget for binarize_pass \"%V\": what is "
                      "spent on its calls is not limited",
                      &first->target->url);

    } else if (n) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "no binarize_budget for binarize_pass \"%V\" and %ui "
                      "more: what is spent on their calls is not limited",
                      &first->target->url, n - 1);
    }

    return NGX_OK;
}


/* one budget a credential, in a zone and in Redis */

static ngx_int_t
ngx_http_binarize_budget_share(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf)
{
    ngx_uint_t                       i;
    ngx_http_binarize_loc_conf_t   **gp;
    ngx_http_binarize_main_conf_t   *bmcf;

    if (conf->budget_conf->shared && conf->redis == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "binarize_budget: \"shared\" for binarize_pass \"%V\" "
                      "needs binarize_redis", &conf->target->url);
        return NGX_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts && gp[i] != conf; i++) {

        if (gp[i]->budget_conf == NULL
            || ngx_memcmp(gp[i]->token->id, conf->token->id,
                          sizeof(conf->token->id))
               != 0)
        {
            continue;
        }

        if (gp[i]->zone != conf->zone
            && !(gp[i]->budget_conf->shared && conf->budget_conf->shared
                 && ngx_http_binarize_budget_same_redis(gp[i], conf)))
        {
            continue;
        }

        if (!ngx_http_binarize_budget_equal(gp[i], conf)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "binarize_budget: two that differ for the same "
                          "credentials, of binarize_pass \"%V\" and \"%V\"",
                          &gp[i]->target->url, &conf->target->url);
            return NGX_ERROR;
        }
    }

    if (conf->token->budget == NULL
        && ngx_http_binarize_budget_create(cf, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    conf->budget = conf->token->budget;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_binarize_budget_equal(ngx_http_binarize_loc_conf_t *a,
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
               || ngx_http_binarize_budget_same_redis(a, b));
}


static ngx_uint_t
ngx_http_binarize_budget_same_redis(ngx_http_binarize_loc_conf_t *a,
    ngx_http_binarize_loc_conf_t *b)
{
    ngx_str_t  *one, *two;

    one = ngx_http_binarize_redis_identity(a->redis);
    two = ngx_http_binarize_redis_identity(b->redis);

    return ngx_http_binarize_str_equal(one, two);
}


static ngx_int_t
ngx_http_binarize_budget_create(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *conf)
{
    ngx_http_binarize_budget_t  *budget;

    budget = ngx_pcalloc(cf->pool, sizeof(*budget));
    if (budget == NULL) {
        return NGX_ERROR;
    }

    budget->limits = conf->budget_conf->limits;
    budget->shm_zone = conf->zone;
    budget->token = conf->token;

    ngx_queue_init(&budget->turns);
    ngx_queue_init(&budget->granted);

    if (conf->budget_conf->shared) {
        budget->redis = conf->redis;

        if (ngx_http_binarize_budget_keys(cf, budget) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    conf->token->budget = budget;

    return NGX_OK;
}


/* the braces keep them in one slot of a cluster */

static ngx_int_t
ngx_http_binarize_budget_keys(ngx_conf_t *cf,
    ngx_http_binarize_budget_t *budget)
{
    u_char      *p, id[2 * sizeof(budget->token->id)];
    size_t       size;
    ngx_str_t   *prefix;
    ngx_uint_t   i;

    static const char  *names[] = { "rate", "held", "quota", "pause" };

    (void) ngx_hex_dump(id, budget->token->id, sizeof(budget->token->id));

    prefix = ngx_http_binarize_redis_prefix(budget->redis);
    size = prefix->len + sizeof(id) + sizeof("{budget:}:quota");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        p = ngx_pnalloc(cf->pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        budget->keys[i].data = p;
        budget->keys[i].len = ngx_sprintf(p, "{%Vbudget:%*s}:%s", prefix,
                                          sizeof(id), id, names[i])
                              - p;
    }

    return NGX_OK;
}
