
#include "budget/budget.h"


static ngx_int_t ngx_http_binarize_budget_parameter(
    ngx_http_binarize_budget_conf_t *bcf, ngx_str_t s);
static ngx_int_t ngx_http_binarize_budget_rate(ngx_str_t *value,
    uint32_t *rate);
static ngx_int_t ngx_http_binarize_budget_quota(ngx_str_t *value,
    binarize_budget_limits_t *limits);
static ngx_int_t ngx_http_binarize_budget_number(u_char *data, size_t len,
    ngx_int_t max, uint32_t *number);
static ngx_int_t ngx_http_binarize_budget_keys(ngx_conf_t *cf,
    ngx_http_binarize_budget_t *budget);


char *
ngx_http_binarize_budget_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    binarize_budget_limits_t          *limits;
    ngx_http_binarize_budget_conf_t   *bcf, **slot;

    slot = (ngx_http_binarize_budget_conf_t **) ((char *) conf + cmd->offset);

    if (*slot != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        *slot = NULL;
        return NGX_CONF_OK;
    }

    bcf = ngx_pcalloc(cf->pool, sizeof(*bcf));
    if (bcf == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_binarize_budget_parameter(bcf, value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_budget: invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    limits = &bcf->limits;

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

    *slot = bcf;

    return NGX_CONF_OK;
}


/* each once */

static ngx_int_t
ngx_http_binarize_budget_parameter(ngx_http_binarize_budget_conf_t *bcf,
    ngx_str_t s)
{
    binarize_budget_limits_t  *limits;

    limits = &bcf->limits;

    if (ngx_strncmp(s.data, "rate=", 5) == 0 && limits->rate == 0) {
        s.data += 5;
        s.len -= 5;
        return ngx_http_binarize_budget_rate(&s, &limits->rate);
    }

    if (ngx_strncmp(s.data, "burst=", 6) == 0 && limits->burst == 0) {
        return ngx_http_binarize_budget_number(s.data + 6, s.len - 6,
                                               BINARIZE_BUDGET_MAX_BURST,
                                               &limits->burst);
    }

    if (ngx_strncmp(s.data, "concurrency=", 12) == 0
        && limits->concurrency == 0)
    {
        return ngx_http_binarize_budget_number(s.data + 12, s.len - 12,
                                               BINARIZE_BUDGET_MAX_QUOTA,
                                               &limits->concurrency);
    }

    if (ngx_strncmp(s.data, "quota=", 6) == 0 && limits->quota == 0) {
        s.data += 6;
        s.len -= 6;
        return ngx_http_binarize_budget_quota(&s, limits);
    }

    if (ngx_strcmp(s.data, "shared") == 0 && !bcf->shared) {
        bcf->shared = 1;
        return NGX_OK;
    }

    return NGX_ERROR;
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


ngx_http_binarize_budget_t *
ngx_http_binarize_budget_create(ngx_conf_t *cf,
    ngx_http_binarize_budget_conf_t *conf, u_char *id,
    ngx_shm_zone_t *shm_zone, ngx_http_binarize_redis_t *redis)
{
    ngx_http_binarize_budget_t  *budget;

    budget = ngx_pcalloc(cf->pool, sizeof(*budget));
    if (budget == NULL) {
        return NULL;
    }

    budget->limits = conf->limits;
    budget->shm_zone = shm_zone;
    budget->redis = redis;
    ngx_memcpy(budget->id, id, sizeof(budget->id));

    ngx_queue_init(&budget->turns);
    ngx_queue_init(&budget->granted);

    if (redis && ngx_http_binarize_budget_keys(cf, budget) != NGX_OK) {
        return NULL;
    }

    return budget;
}


/* the braces keep them in one slot of a cluster */

static ngx_int_t
ngx_http_binarize_budget_keys(ngx_conf_t *cf,
    ngx_http_binarize_budget_t *budget)
{
    u_char      *p, id[2 * sizeof(budget->id)];
    size_t       size;
    ngx_str_t   *prefix;
    ngx_uint_t   i;

    static const char  *names[] = { "rate", "held", "quota", "pause" };

    (void) ngx_hex_dump(id, budget->id, sizeof(budget->id));

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
