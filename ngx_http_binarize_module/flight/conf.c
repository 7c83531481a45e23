
#include "flight/conf.h"
#include "common/conf.h"


static ngx_int_t ngx_http_binarize_zone_parse(ngx_conf_t *cf,
    ngx_str_t *value, ngx_str_t *name, ssize_t *size);
static ngx_uint_t ngx_http_binarize_zone_is_taken(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_binarize_valid_check(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_binarize_time_and_max(ngx_conf_t *cf, ngx_msec_t *first,
    ngx_msec_t *max);
static ngx_int_t ngx_http_binarize_header_name(ngx_conf_t *cf,
    ngx_str_t *name);


ngx_conf_post_t  ngx_http_binarize_valid_post =
    { ngx_http_binarize_valid_check };


ngx_int_t
ngx_http_binarize_main_conf_init(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *conf)
{
    if (ngx_array_init(&conf->zones, cf->pool, 1, sizeof(ngx_shm_zone_t *))
        != NGX_OK
        || ngx_array_init(&conf->gateways, cf->pool, 4,
                          sizeof(ngx_http_binarize_flight_conf_t *))
           != NGX_OK
        || ngx_array_init(&conf->redises, cf->pool, 1,
                          sizeof(ngx_http_binarize_redis_t *))
           != NGX_OK
        || ngx_array_init(&conf->tokens, cf->pool, 1,
                          sizeof(ngx_http_binarize_token_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_queue_init(&conf->cloud.idle);
    ngx_queue_init(&conf->cloud.sessions);
    ngx_queue_init(&conf->remote);

    return NGX_OK;
}


void
ngx_http_binarize_flight_conf_init(ngx_http_binarize_flight_conf_t *conf)
{
    conf->l1 = NGX_CONF_UNSET;
    conf->redis = NGX_CONF_UNSET_PTR;
    conf->valid_s = NGX_CONF_UNSET;
    conf->negative_ms = NGX_CONF_UNSET_MSEC;
    conf->negative_max_ms = NGX_CONF_UNSET_MSEC;
    conf->poll_ms = NGX_CONF_UNSET_MSEC;
    conf->poll_max_ms = NGX_CONF_UNSET_MSEC;
}


void
ngx_http_binarize_flight_conf_merge(ngx_http_binarize_flight_conf_t *prev,
    ngx_http_binarize_flight_conf_t *conf)
{
    if (conf->headers == NULL) {
        conf->headers = prev->headers;
    }

    if (conf->l1 == NGX_CONF_UNSET) {
        conf->zone_name = prev->zone_name;
    }

    ngx_conf_merge_value(conf->l1, prev->l1, 1);
    ngx_conf_merge_ptr_value(conf->redis, prev->redis, NULL);
    ngx_conf_merge_sec_value(conf->valid_s, prev->valid_s, 30 * 86400);

    /* a maximum is inherited with the time before it */

    if (conf->negative_ms == NGX_CONF_UNSET_MSEC) {
        conf->negative_max_ms = prev->negative_max_ms;
    }

    ngx_conf_merge_msec_value(conf->negative_ms, prev->negative_ms, 10000);

    if (conf->negative_max_ms == NGX_CONF_UNSET_MSEC) {
        conf->negative_max_ms = ngx_max(conf->negative_ms, 3600000);
    }

    if (conf->poll_ms == NGX_CONF_UNSET_MSEC) {
        conf->poll_max_ms = prev->poll_max_ms;
    }

    ngx_conf_merge_msec_value(conf->poll_ms, prev->poll_ms, 500);

    if (conf->poll_max_ms == NGX_CONF_UNSET_MSEC) {
        conf->poll_max_ms = ngx_max(conf->poll_ms, 4000);
    }
}


/* the last segment of the path */

ngx_int_t
ngx_http_binarize_flight_conf_ns(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf)
{
    u_char                      *p, *end;
    ngx_str_t                   *ns;
    ngx_uint_t                   i;
    ngx_http_binarize_target_t  *target;

    target = conf->cloud.target;
    ns = &conf->ns;

    end = target->uri.data + target->uri.len;

    for (p = end; p[-1] != '/'; p--) { /* void */ }

    ns->len = end - p;
    ns->data = ngx_pnalloc(cf->pool, ns->len + 1);
    if (ns->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(ns->data, p, ns->len);

    for (i = 0; i < ns->len; i++) {
        if (ngx_strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", ns->data[i])
            == NULL)
        {
            break;
        }
    }

    if (i == 0 || i < ns->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_pass: the path of \"%V\" has to end with "
                           "a segment of letters, digits, \".\", \"_\", \"-\","
                           " as \"/v5.0/ocr/binarizeimage\"", &target->url);
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_http_binarize_zone_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_main_conf_t *bmcf = conf;

    ssize_t          size;
    ngx_str_t       *value, name;
    ngx_uint_t       i;
    ngx_shm_zone_t  *shm_zone, **zp;

    value = cf->args->elts;

    if (ngx_http_binarize_zone_parse(cf, &value[1], &name, &size) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_binarize_zone_is_taken(cf, &name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: \"%V\" is a zone of another module",
                           &name);
        return NGX_CONF_ERROR;
    }

    shm_zone = ngx_http_binarize_zone_add(cf, &name, size);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        if (zp[i] == shm_zone) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_zone: duplicate zone \"%V\"", &name);
            return NGX_CONF_ERROR;
        }
    }

    zp = ngx_array_push(&bmcf->zones);
    if (zp == NULL) {
        return NGX_CONF_ERROR;
    }

    *zp = shm_zone;

    return NGX_CONF_OK;
}


/* "name:size" */

static ngx_int_t
ngx_http_binarize_zone_parse(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name,
    ssize_t *size)
{
    u_char     *p;
    ngx_str_t   s;

    p = ngx_strlchr(value->data, value->data + value->len, ':');

    if (p == NULL || p == value->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: \"%V\" is not \"name:size\"",
                           value);
        return NGX_ERROR;
    }

    name->data = value->data;
    name->len = p - name->data;

    s.data = p + 1;
    s.len = value->data + value->len - s.data;

    *size = ngx_parse_size(&s);

    if (*size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: invalid size in \"%V\"", value);
        return NGX_ERROR;
    }

    if (*size < NGX_HTTP_BINARIZE_ZONE_MIN_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: zone \"%V\" is too small, the "
                           "least is 1m", value);
        return NGX_ERROR;
    }

    if (name->len == 3 && ngx_strncmp(name->data, "off", 3) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: a zone can not be named \"off\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_binarize_zone_is_taken(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    for (part = &cf->cycle->shared_memory.part; part; part = part->next) {
        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (shm_zone[i].tag != &ngx_http_binarize_module
                && shm_zone[i].shm.name.len == name->len
                && ngx_strncmp(shm_zone[i].shm.name.data, name->data,
                               name->len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


char *
ngx_http_binarize_cache_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_flight_conf_t *fcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (fcf->l1 != NGX_CONF_UNSET || fcf->zone_name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    fcf->l1 = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (i == cf->args->nelts - 1
            && value[i].len == 3 && ngx_strncmp(value[i].data, "off", 3) == 0)
        {
            fcf->l1 = 0;

        } else if (i == 1) {
            fcf->zone_name = value[i];

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_cache: invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_valid_check(ngx_conf_t *cf, void *post, void *data)
{
    time_t *s = data;

    return *s > 0 ? NGX_CONF_OK : "has to be above 0";
}


char *
ngx_http_binarize_negative_valid_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_binarize_flight_conf_t *fcf = conf;

    return ngx_http_binarize_time_and_max(cf, &fcf->negative_ms,
                                          &fcf->negative_max_ms);
}


char *
ngx_http_binarize_poll_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_flight_conf_t *fcf = conf;

    char  *rv;

    rv = ngx_http_binarize_time_and_max(cf, &fcf->poll_ms, &fcf->poll_max_ms);

    if (rv == NGX_CONF_OK && fcf->poll_ms == 0) {
        return "has to be above 0";
    }

    return rv;
}


/* "time [max=time]" */

static char *
ngx_http_binarize_time_and_max(ngx_conf_t *cf, ngx_msec_t *first,
    ngx_msec_t *max)
{
    ngx_str_t  *value, s;

    if (*first != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *first = ngx_parse_time(&value[1], 0);

    if (*first == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: invalid time \"%V\"",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "max=", 4) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid parameter \"%V\"", &value[0],
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    s.data = value[2].data + 4;
    s.len = value[2].len - 4;

    *max = ngx_parse_time(&s, 0);

    if (*max == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: invalid time \"%V\"",
                           &value[0], &value[2]);
        return NGX_CONF_ERROR;
    }

    if (*max < *first) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: \"%V\" is below \"%V\"", &value[0],
                           &value[2], &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_binarize_flight_redis_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_binarize_flight_conf_t *fcf = conf;

    ngx_http_binarize_main_conf_t  *bmcf;

    if (ngx_http_binarize_no_duplicates(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    return ngx_http_binarize_redis_set(cf, &bmcf->redises, &fcf->redis);
}


char *
ngx_http_binarize_header_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_flight_conf_t *fcf = conf;

    ngx_str_t                         *value;
    ngx_http_binarize_header_t        *h;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (ngx_http_binarize_header_name(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (fcf->headers == NULL) {
        fcf->headers = ngx_array_create(cf->pool, 4, sizeof(*h));
        if (fcf->headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    h = ngx_array_push(fcf->headers);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->name = value[1];

    ngx_memzero(&ccv, sizeof(ccv));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &h->value;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_binarize_header_name(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char      *p;
    ngx_uint_t   i;

    static ngx_str_t  refused[] = {
        ngx_string("Authorization"),
        ngx_string("Connection"),
        ngx_string("Content-Length"),
        ngx_string("Transfer-Encoding"),
        ngx_string("TE"),
        ngx_string("Trailer"),
        ngx_string("Upgrade"),
        ngx_string("Keep-Alive"),
        ngx_string("Expect"),
        ngx_string("Accept-Encoding"),
        ngx_string("Range"),
        ngx_null_string
    };

    for (i = 0; refused[i].len; i++) {
        if (name->len == refused[i].len
            && ngx_strncasecmp(name->data, refused[i].data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_set_header: \"%V\" can not be set",
                               name);
            return NGX_ERROR;
        }
    }

    /* a token of RFC 9110 5.6.2 */

    for (p = name->data; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("\"(),/:;<=>?@[\\]{}", *p))
        {
            break;
        }
    }

    if (p == name->data || *p) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_set_header: \"%V\" is not a header name",
                           name);
        return NGX_ERROR;
    }

    return NGX_OK;
}
