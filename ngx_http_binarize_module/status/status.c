
#include "status/status.h"
#include "token/token.h"
#include "core/negotiate.h"


#define NGX_HTTP_BINARIZE_PAGE_BUFFER_SIZE  16384
#define NGX_HTTP_BINARIZE_PAGE_PIECE_SIZE   1024


static ngx_uint_t ngx_http_binarize_status_format(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_status_collect(
    ngx_http_binarize_page_t *page);
static ngx_int_t ngx_http_binarize_status_zone_name(ngx_pool_t *pool,
    ngx_str_t *zone, ngx_http_binarize_status_name_t *name);
static void ngx_http_binarize_status_token(ngx_http_binarize_token_t *token,
    ngx_http_binarize_status_token_t *st);
static ngx_int_t ngx_http_binarize_status_send(ngx_http_request_t *r,
    ngx_http_binarize_page_t *page, ngx_uint_t format);
static ngx_int_t ngx_http_binarize_status_header(ngx_http_request_t *r,
    const char *name, const char *value);


const ngx_http_binarize_credential_t  ngx_http_binarize_per_credential[] = {

    { "token_expires_seconds",
      "Life left of the token of each binarize_credentials, 0 without one.",
      offsetof(ngx_http_binarize_status_token_t, expires_s) },

    { "budget_quota", "Calls a period that the budget's quota allows.",
      offsetof(ngx_http_binarize_status_token_t, quota) },

    { "budget_spent", "Calls of it made in this period.",
      offsetof(ngx_http_binarize_status_token_t, spent) },

    { NULL, NULL, 0 }
};


static ngx_str_t  ngx_http_binarize_status_types[] = {
    ngx_null_string,
    ngx_null_string,
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    ngx_string("application/json"),
    ngx_string("text/html; charset=utf-8")
};


ngx_int_t
ngx_http_binarize_status_handler(ngx_http_request_t *r, ngx_uint_t format)
{
    ngx_int_t                 rc;
    ngx_http_binarize_page_t  page;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_http_binarize_status_header(r, "Allow", "GET, HEAD")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (format == NGX_HTTP_BINARIZE_STATUS_AUTO) {
        format = ngx_http_binarize_status_format(r);

        if (ngx_http_binarize_status_header(r, "Vary", "Accept") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_memzero(&page, sizeof(page));

    page.request = r;
    page.last = &page.chain;

    if (ngx_http_binarize_status_collect(&page) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (format) {

    case NGX_HTTP_BINARIZE_STATUS_JSON:
        ngx_http_binarize_page_json(&page);
        break;

    case NGX_HTTP_BINARIZE_STATUS_HTML:
        ngx_http_binarize_page_html(&page);
        break;

    default: /* NGX_HTTP_BINARIZE_STATUS_PROMETHEUS */
        ngx_http_binarize_page_prometheus(&page);
    }

    if (page.failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_binarize_status_send(r, &page, format);
}


/* an Accept that allows none of them is answered all the same */

static ngx_uint_t
ngx_http_binarize_status_format(ngx_http_request_t *r)
{
    unsigned         best, quality;
    ngx_str_t        accept;
    ngx_uint_t       i, format;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    /* in the order of preference */

    static const struct {
        const char  *type;
        const char  *subtype;
        ngx_uint_t   format;
    } offers[] = {
        { "text", "plain", NGX_HTTP_BINARIZE_STATUS_PROMETHEUS },
        { "application", "openmetrics-text",
          NGX_HTTP_BINARIZE_STATUS_PROMETHEUS },
        { "application", "json", NGX_HTTP_BINARIZE_STATUS_JSON },
        { "text", "html", NGX_HTTP_BINARIZE_STATUS_HTML }
    };

    format = NGX_HTTP_BINARIZE_STATUS_PROMETHEUS;

    ngx_str_null(&accept);

    /* whoever sends several fields prefers the first one */

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (accept.data == NULL
                && h[i].key.len == sizeof("Accept") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Accept",
                                   sizeof("Accept") - 1)
                   == 0)
            {
                accept = h[i].value;
            }
        }
    }

    best = 0;

    for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        quality = binarize_accept_quality(accept.data, accept.len,
                                          offers[i].type, offers[i].subtype);
        if (quality > best) {
            best = quality;
            format = offers[i].format;
        }
    }

    return format;
}


static ngx_int_t
ngx_http_binarize_status_collect(ngx_http_binarize_page_t *page)
{
    ngx_uint_t                       i, k;
    ngx_pool_t                      *pool;
    ngx_shm_zone_t                 **zp;
    ngx_http_binarize_token_t      **tp;
    ngx_http_binarize_main_conf_t   *bmcf;

    pool = page->request->pool;
    bmcf = ngx_http_get_module_main_conf(page->request,
                                         ngx_http_binarize_module);

    page->nzones = bmcf->zones.nelts;
    page->snapshots = ngx_palloc(pool, (page->nzones + 1)
                                       * sizeof(*page->snapshots));
    page->names = ngx_palloc(pool, (page->nzones + 1) * sizeof(*page->names));

    page->ntokens = bmcf->tokens.nelts;
    page->tokens = ngx_pcalloc(pool, (page->ntokens + 1)
                                     * sizeof(*page->tokens));

    if (page->snapshots == NULL || page->names == NULL
        || page->tokens == NULL)
    {
        return NGX_ERROR;
    }

    zp = bmcf->zones.elts;

    for (i = 0; i < page->nzones; i++) {
        ngx_http_binarize_metrics_read(zp[i]->data, &page->snapshots[i]);

        if (ngx_http_binarize_status_zone_name(pool, &zp[i]->shm.name,
                                               &page->names[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    tp = bmcf->tokens.elts;

    for (i = 0; i < page->ntokens; i++) {
        page->tokens[i].credential = i + 1;

        for (k = 0; k < page->nzones; k++) {
            if (zp[k] == tp[i]->shm_zone) {
                page->tokens[i].nzone = k;
            }
        }

        ngx_http_binarize_status_token(tp[i], &page->tokens[i]);
    }

    return NGX_OK;
}


/* what is not UTF-8 becomes question marks */

static ngx_int_t
ngx_http_binarize_status_zone_name(ngx_pool_t *pool, ngx_str_t *zone,
    ngx_http_binarize_status_name_t *name)
{
    u_char  *p, *end, *s, *dst;

    s = ngx_pnalloc(pool, zone->len);
    name->label.data = ngx_pnalloc(pool, 2 * zone->len);
    name->json.data = ngx_pnalloc(pool, 6 * zone->len);
    name->html.data = ngx_pnalloc(pool, 6 * zone->len);

    if (s == NULL || name->label.data == NULL || name->json.data == NULL
        || name->html.data == NULL)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(s, zone->data, zone->len);

    end = s + zone->len;

    for (p = s; p < end; /* void */ ) {

        if (*p < 0x80) {
            p++;
            continue;
        }

        dst = p;

        if (ngx_utf8_decode(&p, end - p) > 0x10ffff) {
            *dst = '?';
            p = dst + 1;
        }
    }

    dst = name->label.data;

    for (p = s; p < end; p++) {

        if (*p == '"' || *p == '\\') {
            *dst++ = '\\';
            *dst++ = *p;

        } else if (*p == LF) {
            *dst++ = '\\';
            *dst++ = 'n';

        } else {
            *dst++ = *p;
        }
    }

    name->label.len = dst - name->label.data;

    dst = (u_char *) ngx_escape_json(name->json.data, s, zone->len);
    name->json.len = dst - name->json.data;

    dst = (u_char *) ngx_escape_html(name->html.data, s, zone->len);
    name->html.len = dst - name->html.data;

    return NGX_OK;
}


/*
 * Each number is read as it is at the moment, without the mutex: one that is
 * being changed is wrong for an instant, and only here.
 */

static void
ngx_http_binarize_status_token(ngx_http_binarize_token_t *token,
    ngx_http_binarize_status_token_t *st)
{
    uint64_t                             expires_ms, next_call_ms;
    binarize_budget_t                    state;
    binarize_budget_limits_t            *limits;
    ngx_http_binarize_shm_credential_t  *sc;

    sc = ngx_http_binarize_zone_credential(token->shm_zone->data, token->id);

    limits = token->budget ? &token->budget->limits : NULL;

    if (limits && limits->quota) {
        st->quota = limits->quota;
    }

    if (sc && st->quota) {
        state.spent = __atomic_load_n(&sc->turns.budget.spent,
                                      __ATOMIC_RELAXED);
        st->spent = binarize_budget_spent(&state, limits, ngx_time());
    }

    if (token->file.len) {
        st->file = 1;
        return;
    }

    if (sc == NULL) {
        return;
    }

    st->used = 1;

    expires_ms = __atomic_load_n(&sc->token.expires_ms, __ATOMIC_RELAXED);
    next_call_ms = __atomic_load_n(&sc->token.next_call_ms, __ATOMIC_RELAXED);

    if (expires_ms > ngx_current_msec) {
        st->expires_s = (expires_ms - ngx_current_msec + 999) / 1000;
    }

    if (next_call_ms > ngx_current_msec) {
        st->next_try_s = (next_call_ms - ngx_current_msec + 999) / 1000;
        st->problem = ngx_min(sc->token.problem, BINARIZE_PROBLEM_INTERNAL);
    }
}


ngx_uint_t
ngx_http_binarize_credential_number(
    const ngx_http_binarize_credential_t *credential,
    ngx_http_binarize_status_token_t *token, uint64_t *n)
{
    ngx_memcpy(n, (u_char *) token + credential->offset, sizeof(*n));

    if (credential->offset == offsetof(ngx_http_binarize_status_token_t,
                                       expires_s))
    {
        return !token->file;
    }

    return token->quota != 0;
}


uint64_t
ngx_http_binarize_family_number(const ngx_http_binarize_family_t *family,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t i)
{
    uint64_t  n;

    ngx_memcpy(&n, (u_char *) snapshot + family->offset + i * family->stride,
               sizeof(n));

    return n * family->scale;
}


const char *
ngx_http_binarize_family_value(const ngx_http_binarize_family_t *family,
    ngx_uint_t i)
{
    return family->names ? family->names[i] : family->name_of(i);
}


u_char *
ngx_http_binarize_namespace_name(ngx_http_binarize_snapshot_t *snapshot,
    ngx_uint_t i)
{
    ngx_uint_t  k, s;

    if (i < NGX_HTTP_BINARIZE_NAMESPACES - 1) {
        return snapshot->namespaces[i][0] ? snapshot->namespaces[i] : NULL;
    }

    for (k = 0; k < NGX_HTTP_BINARIZE_FORMATS; k++) {
        for (s = 0; s < BINARIZE_SOURCES; s++) {
            if (ngx_http_binarize_requests(snapshot, i, k, s)) {
                return snapshot->namespaces[i];
            }
        }
    }

    return NULL;
}


uint64_t
ngx_http_binarize_requests(ngx_http_binarize_snapshot_t *snapshot,
    ngx_uint_t ns, ngx_uint_t format, ngx_uint_t source)
{
    return snapshot->cells[NGX_HTTP_BINARIZE_M_REQUESTS
                           + (ns * NGX_HTTP_BINARIZE_FORMATS + format)
                             * BINARIZE_SOURCES + source];
}


void ngx_cdecl
ngx_http_binarize_page_printf(ngx_http_binarize_page_t *page, const char *fmt,
    ...)
{
    u_char       *p;
    va_list       args;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (page->failed) {
        return;
    }

    b = page->buf;

    if (b == NULL || b->end - b->last < NGX_HTTP_BINARIZE_PAGE_PIECE_SIZE) {
        b = ngx_create_temp_buf(page->request->pool,
                                NGX_HTTP_BINARIZE_PAGE_BUFFER_SIZE);
        cl = ngx_alloc_chain_link(page->request->pool);

        if (b == NULL || cl == NULL) {
            page->failed = 1;
            return;
        }

        cl->buf = b;
        cl->next = NULL;

        *page->last = cl;
        page->last = &cl->next;
        page->buf = b;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(b->last, b->last + NGX_HTTP_BINARIZE_PAGE_PIECE_SIZE,
                      fmt, args);
    va_end(args);

    page->size += p - b->last;
    b->last = p;
}


static ngx_int_t
ngx_http_binarize_status_send(ngx_http_request_t *r,
    ngx_http_binarize_page_t *page, ngx_uint_t format)
{
    ngx_int_t  rc;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = page->size;
    r->headers_out.content_type = ngx_http_binarize_status_types[format];
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_binarize_status_header(r, "Cache-Control", "no-store")
        != NGX_OK
        || ngx_http_binarize_status_header(r, "X-Content-Type-Options",
                                           "nosniff")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    page->buf->last_buf = (r == r->main) ? 1 : 0;
    page->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, page->chain);
}


static ngx_int_t
ngx_http_binarize_status_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(*h));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}
