
#include "answer/answer.h"
#include "core/date.h"
#include "core/decimal.h"


static ngx_int_t ngx_http_binarize_header_cache_status(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static u_char *ngx_http_binarize_header_hit(u_char *p, ngx_str_t *detail,
    uint64_t expires_ms);
static ngx_table_elt_t **ngx_http_binarize_header_cache_control_slot(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_header_vary(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_header_filter(ngx_http_request_t *r);


static ngx_str_t  ngx_http_binarize_accept = ngx_string("Accept");
static ngx_str_t  ngx_http_binarize_no_store = ngx_string("no-store");

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_binarize_header_common(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    ngx_str_t  value;

    static ngx_str_t  nosniff = ngx_string("nosniff");

    ctx->headed = 1;

    if (ngx_http_binarize_header_push(r, "X-Content-Type-Options", &nosniff)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->vary && ngx_http_binarize_header_vary(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->prefer) {
        value.data = ngx_pnalloc(r->pool, sizeof("wait=") + NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "wait=%M",
                                ctx->waiter.wait_ms / 1000)
                    - value.data;

        if (ngx_http_binarize_header_push(r, "Preference-Applied", &value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return result ? ngx_http_binarize_header_cache_status(r, ctx, result)
                  : NGX_OK;
}


/* RFC 9211 */

static ngx_int_t
ngx_http_binarize_header_cache_status(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    u_char     *p;
    ngx_str_t   value;

    static ngx_str_t  l1 = ngx_string("; detail=l1");
    static ngx_str_t  redis = ngx_string("; detail=redis");
    static ngx_str_t  negative = ngx_string("; detail=negative");
    static ngx_str_t  pending = ngx_string("; detail=pending");

    p = ngx_pnalloc(r->pool, sizeof("binarize; hit; ttl=; detail=negative")
                             + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    switch (ctx->waiter.source) {

    case BINARIZE_SOURCE_L1:
        p = ngx_http_binarize_header_hit(p, &l1, result->expires_ms);
        break;

    case BINARIZE_SOURCE_REDIS:
        p = ngx_http_binarize_header_hit(p, &redis, result->expires_ms);
        break;

    case BINARIZE_SOURCE_NEGATIVE:
        p = ngx_http_binarize_header_hit(p, &negative, result->expires_ms);
        break;

    case BINARIZE_SOURCE_PENDING:
        p = ngx_http_binarize_header_hit(p, &pending, result->expires_ms);
        break;

    case BINARIZE_SOURCE_COLLAPSED:
        p = ngx_sprintf(p, "binarize; fwd=uri-miss; collapsed");
        break;

    case BINARIZE_SOURCE_BYPASS:
        p = ngx_sprintf(p, "binarize; fwd=bypass");
        break;

    default: /* BINARIZE_SOURCE_MISS */
        p = ngx_sprintf(p, "binarize; fwd=uri-miss%s",
                        result->kept ? "; stored" : "");
    }

    value.len = p - value.data;

    return ngx_http_binarize_header_push(r, "Cache-Status", &value)
           ? NGX_OK : NGX_ERROR;
}


static u_char *
ngx_http_binarize_header_hit(u_char *p, ngx_str_t *detail,
    uint64_t expires_ms)
{
    p = ngx_cpymem(p, "binarize; hit", sizeof("binarize; hit") - 1);

    /* a record in Redis may not expire */

    if (expires_ms) {
        p = ngx_cpymem(p, "; ttl=", sizeof("; ttl=") - 1);
        p = binarize_decimal(p, (expires_ms > ngx_current_msec)
                                ? (expires_ms - ngx_current_msec) / 1000 : 0);
    }

    return ngx_cpymem(p, detail->data, detail->len);
}


ngx_int_t
ngx_http_binarize_header_etag(ngx_http_request_t *r, u_char *etag)
{
    u_char     *p;
    ngx_str_t   value;

    value.len = BINARIZE_ETAG_SIZE + 2;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = value.data;
    *p++ = '"';
    p = ngx_cpymem(p, etag, BINARIZE_ETAG_SIZE);
    *p = '"';

    r->headers_out.etag = ngx_http_binarize_header_push(r, "ETag", &value);

    return r->headers_out.etag ? NGX_OK : NGX_ERROR;
}


/* nginx' own one costs ten times as much */

ngx_int_t
ngx_http_binarize_header_last_modified(ngx_http_request_t *r, time_t time)
{
    ngx_str_t  value;

    value.len = BINARIZE_DATE_SIZE;
    value.data = ngx_pnalloc(r->pool, BINARIZE_DATE_SIZE);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    binarize_date(time, value.data);

    r->headers_out.last_modified_time = time;
    r->headers_out.last_modified = ngx_http_binarize_header_push(r,
                                                   "Last-Modified", &value);

    return r->headers_out.last_modified ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_binarize_header_cache_control(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_table_elt_t  **slot;

    if (value->len == 0) {
        /* as with add_header */
        return NGX_OK;
    }

    slot = ngx_http_binarize_header_cache_control_slot(r);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    if (*slot) {
        (*slot)->value = *value;
        return NGX_OK;
    }

    *slot = ngx_http_binarize_header_push(r, "Cache-Control", value);

    return *slot ? NGX_OK : NGX_ERROR;
}


/* where nginx has its first Cache-Control */

static ngx_table_elt_t **
ngx_http_binarize_header_cache_control_slot(ngx_http_request_t *r)
{
#if (nginx_version < 1023000)

    /* 1.23.0: a list of headers in place of an array of pointers to them */
    ngx_array_t       *array;
    ngx_table_elt_t  **slot;

    array = &r->headers_out.cache_control;

    if (array->elts == NULL
        && ngx_array_init(array, r->pool, 1, sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return NULL;
    }

    if (array->nelts == 0) {
        slot = ngx_array_push(array);
        if (slot == NULL) {
            return NULL;
        }

        *slot = NULL;
    }

    return array->elts;

#else

    return &r->headers_out.cache_control;

#endif
}


ngx_int_t
ngx_http_binarize_header_expiry(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result)
{
    ngx_str_t  value;

    if (result == NULL
        || result->problem != BINARIZE_PROBLEM_NONE
        || result->outcome != BINARIZE_NOT_EXIST
        || result->expires_ms <= ngx_current_msec)
    {
        return ngx_http_binarize_header_cache_control(r,
                                                 &ngx_http_binarize_no_store);
    }

    value.data = ngx_pnalloc(r->pool, sizeof("public, max-age=")
                                      + NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "public, max-age=%uL",
                            (result->expires_ms - ngx_current_msec) / 1000)
                - value.data;

    return ngx_http_binarize_header_cache_control(r, &value);
}


ngx_int_t
ngx_http_binarize_header_retry_after(ngx_http_request_t *r, time_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", ngx_max(seconds, 1))
                - value.data;

    return ngx_http_binarize_header_push(r, "Retry-After", &value)
           ? NGX_OK : NGX_ERROR;
}


ngx_table_elt_t *
ngx_http_binarize_header_add(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = len;
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


/* once: before an internal redirect it may have been said already */

static ngx_int_t
ngx_http_binarize_header_vary(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (r->internal) {
        for (part = &r->headers_out.headers.part; part; part = part->next) {
            h = part->elts;

            for (i = 0; i < part->nelts; i++) {
                if (h[i].hash
                    && h[i].value.data == ngx_http_binarize_accept.data)
                {
                    return NGX_OK;
                }
            }
        }
    }

    return ngx_http_binarize_header_push(r, "Vary", &ngx_http_binarize_accept)
           ? NGX_OK : NGX_ERROR;
}


/* that the first location's answer varied is true of what replaces it, too */

void
ngx_http_binarize_header_reset(ngx_http_request_t *r)
{
    ngx_uint_t        i, k;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  names[] = {
        ngx_string("X-Content-Type-Options"),
        ngx_string("Preference-Applied"),
        ngx_string("Cache-Status"),
        ngx_string("Cache-Control"),
        ngx_string("ETag"),
        ngx_string("Last-Modified"),
        ngx_string("Retry-After"),
        ngx_string("Allow"),
        ngx_null_string
    };

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            for (k = 0; names[k].len; k++) {
                if (h[i].key.len == names[k].len
                    && ngx_strncasecmp(h[i].key.data, names[k].data,
                                       names[k].len)
                       == 0)
                {
                    h[i].hash = 0;
                    break;
                }
            }
        }
    }

    r->headers_out.etag = NULL;
    r->headers_out.last_modified = NULL;
    r->headers_out.last_modified_time = -1;
    ngx_memzero(&r->headers_out.cache_control,
                sizeof(r->headers_out.cache_control));
}


void
ngx_http_binarize_header_init_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_binarize_header_filter;
}


/*
 * What nginx itself answers to a gateway's URL, before the handler (403, 503
 * of limit_req) or after it (412: the handler's headers are gone by then),
 * depends on Accept just as well, and is not to be stored.
 */

static ngx_int_t
ngx_http_binarize_header_filter(ngx_http_request_t *r)
{
    ngx_http_binarize_ctx_t       *ctx;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    if (conf->flight.cloud.target == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    if (ctx && ctx->headed) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_binarize_varies(r)
        && ngx_http_binarize_header_vary(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->filter_finalize
        && ngx_http_binarize_header_cache_control(r,
                                                  &ngx_http_binarize_no_store)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}
