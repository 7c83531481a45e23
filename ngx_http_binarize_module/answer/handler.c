
#include "answer/answer.h"
#include "flight/flight.h"
#include "zone/metrics.h"
#include "answer/purge.h"


/* a result that takes long to be copied, bytes */
#define NGX_HTTP_BINARIZE_LARGE_SIZE  (256 * 1024)


static ngx_int_t ngx_http_binarize_parse_id(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx);
static ngx_int_t ngx_http_binarize_segment(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_str_t *segment);
static binarize_problem_e ngx_http_binarize_parse_format(
    ngx_http_request_t *r, ngx_http_binarize_answer_conf_t *conf,
    ngx_http_binarize_ctx_t *ctx);
static ngx_int_t ngx_http_binarize_header_in(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *value);
static void ngx_http_binarize_parse_wait(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx);
static ngx_http_binarize_result_t *ngx_http_binarize_lookup(
    ngx_http_request_t *r, ngx_http_binarize_answer_conf_t *conf,
    ngx_http_binarize_ctx_t *ctx);
static ngx_int_t ngx_http_binarize_wait(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx);
static ngx_int_t ngx_http_binarize_answer_landed(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result);
static void ngx_http_binarize_on_landing(ngx_http_binarize_waiter_t *waiter,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_on_cleanup(void *data);
static void ngx_http_binarize_on_end(void *data);


ngx_int_t
ngx_http_binarize_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc, id;
    ngx_pool_cleanup_t            *cln;
    ngx_http_binarize_ctx_t       *ctx;
    ngx_http_binarize_zone_t      *zone;
    ngx_http_binarize_result_t    *result;
    binarize_problem_e    problem;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);
    zone = conf->flight.zone->data;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(*ctx));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_binarize_on_end;

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(*ctx));

    ngx_http_set_ctx(r, ctx, ngx_http_binarize_module);

    if (r->internal) {
        ngx_http_binarize_header_reset(r);
    }

    ctx->request = r;
    ctx->conf = conf;
    ctx->waiter.started_ms = ngx_current_msec;

    /*
     * What the id leads to has not been used lately: the processor fetches it
     * while other things are done, the index first, then what it points to.
     */

    id = ngx_http_binarize_parse_id(r, conf, ctx);

    if (id == NGX_OK) {
        ngx_http_binarize_zone_key(zone, conf->flight.ns_digest, ctx->guid,
                                   ctx->key);
        binarize_store_prefetch_index(zone->store, ctx->key);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_binarize_purge_handler(r, ctx, id);
    }

    if (id == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (id != NGX_OK) {
        return ngx_http_binarize_answer_problem(r, ctx,
                                                BINARIZE_PROBLEM_BAD_ID);
    }

    problem = ngx_http_binarize_parse_format(r, conf, ctx);

    if (problem != BINARIZE_PROBLEM_NONE) {
        return ngx_http_binarize_answer_problem(r, ctx, problem);
    }

    ngx_http_binarize_parse_wait(r, conf, ctx);

    ngx_http_binarize_zone_prefetch(zone, ctx->key);

    result = ngx_http_binarize_lookup(r, conf, ctx);

    if (result) {
        rc = ngx_http_binarize_answer(r, ctx, result);
        ngx_http_binarize_result_release(result);

        return rc;
    }

    return ngx_http_binarize_wait(r, conf, ctx);
}


ngx_uint_t
ngx_http_binarize_varies(ngx_http_request_t *r)
{
    ngx_http_binarize_ctx_t        ctx;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_binarize_module);

    ngx_memzero(&ctx, sizeof(ctx));

    (void) ngx_http_binarize_parse_id(r, conf, &ctx);

    return ctx.vary;
}


/* NGX_DECLINED: it is not a GUID */

static ngx_int_t
ngx_http_binarize_parse_id(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx)
{
    ngx_str_t  segment, value;

    ctx->vary = (ngx_http_arg(r, (u_char *) "format", 6, &value) != NGX_OK);

    if (conf->id) {
        if (ngx_http_complex_value(r, conf->id, &segment) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_http_binarize_segment(r, conf, &segment) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (binarize_segment_parse(segment.data, segment.len, ctx->guid,
                               &ctx->format)
        != BINARIZE_OK)
    {
        return NGX_DECLINED;
    }

    ctx->has_guid = 1;

    if (ctx->format != BINARIZE_FORMAT_NONE) {
        ctx->vary = 0;
    }

    return NGX_OK;
}


/* what is behind the location's prefix, or the last segment */

static ngx_int_t
ngx_http_binarize_segment(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_str_t *segment)
{
    u_char  *p, *end;

    p = r->uri.data;
    end = r->uri.data + r->uri.len;

    if (conf->prefix.len) {

        if (r->uri.len < conf->prefix.len
            || ngx_memcmp(p, conf->prefix.data, conf->prefix.len) != 0)
        {
            return NGX_DECLINED;
        }

        p += conf->prefix.len;

        if (p < end && *p == '/' && conf->prefix.data[conf->prefix.len - 1]
                                    != '/')
        {
            p++;
        }

        segment->data = p;
        segment->len = end - p;

        return NGX_OK;
    }

    for (p = end; p > r->uri.data && p[-1] != '/'; p--) { /* void */ }

    segment->data = p;
    segment->len = end - p;

    return NGX_OK;
}


static binarize_problem_e
ngx_http_binarize_parse_format(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx)
{
    ngx_str_t  value;

    if (ctx->format != BINARIZE_FORMAT_NONE) {
        return BINARIZE_PROBLEM_NONE;
    }

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) == NGX_OK) {
        ctx->format = binarize_format_parse(value.data, value.len);

        return (ctx->format == BINARIZE_FORMAT_NONE)
               ? BINARIZE_PROBLEM_BAD_FORMAT : BINARIZE_PROBLEM_NONE;
    }

    if (ngx_http_binarize_header_in(r, "accept", sizeof("accept") - 1, &value)
        != NGX_OK)
    {
        return BINARIZE_PROBLEM_INTERNAL;
    }

    ctx->format = binarize_negotiate(value.data, value.len, conf->format);

    return (ctx->format == BINARIZE_FORMAT_NONE)
           ? BINARIZE_PROBLEM_NOT_ACCEPTABLE : BINARIZE_PROBLEM_NONE;
}


/* the values of all fields of that name, joined (RFC 9110 5.3) */

static ngx_int_t
ngx_http_binarize_header_in(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    u_char           *p;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(value);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != len
                || ngx_strncasecmp(h[i].key.data, (u_char *) name, len) != 0)
            {
                continue;
            }

            if (value->len == 0) {
                *value = h[i].value;
                continue;
            }

            p = ngx_pnalloc(r->pool, value->len + 2 + h[i].value.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            value->len = ngx_sprintf(p, "%V, %V", value, &h[i].value) - p;
            value->data = p;
        }
    }

    return NGX_OK;
}


/* RFC 7240 4.3; a client can only shorten the wait */

static void
ngx_http_binarize_parse_wait(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx)
{
    uint32_t   wait_s;
    ngx_str_t  value;

    ctx->waiter.wait_ms = conf->wait_ms;

    if (ngx_http_binarize_header_in(r, "prefer", sizeof("prefer") - 1, &value)
        != NGX_OK
        || value.len == 0
        || binarize_prefer_wait(value.data, value.len, &wait_s) != BINARIZE_OK)
    {
        return;
    }

    ctx->prefer = 1;

    if (wait_s <= conf->wait_ms / 1000) {
        ctx->waiter.wait_ms = wait_s * 1000;
    }
}


/* what the zone knows already and the request is content with, or NULL */

static ngx_http_binarize_result_t *
ngx_http_binarize_lookup(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx)
{
    binarize_store_entry_t      *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *result;

    zone = conf->flight.zone->data;
    result = NULL;

    ngx_http_binarize_zone_lock(zone);

    entry = binarize_store_lookup(zone->store, ctx->key, ngx_current_msec);

    if (entry
        && !(entry->kind == BINARIZE_STORE_PENDING && ctx->waiter.wait_ms)
        && !(entry->kind == BINARIZE_STORE_RESULT && !conf->flight.l1))
    {
        result = ngx_http_binarize_result_of_entry_locked(zone, entry,
                                                          r->pool);
    }

    ngx_http_binarize_zone_unlock(zone);

    if (result) {
        ctx->waiter.source = ngx_http_binarize_result_hit(result);
    }

    return result;
}


static ngx_int_t
ngx_http_binarize_wait(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf, ngx_http_binarize_ctx_t *ctx)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->waiter.handler = ngx_http_binarize_on_landing;

    if (ngx_http_binarize_flight_join(r, &conf->flight, ctx->key, ctx->guid,
                                      &ctx->waiter)
        != NGX_OK)
    {
        return ngx_http_binarize_answer_problem(r, ctx,
                                                BINARIZE_PROBLEM_INTERNAL);
    }

    cln->handler = ngx_http_binarize_on_cleanup;
    cln->data = ctx;

    r->main->count++;

    r->write_event_handler = ngx_http_request_empty_handler;

    if (r != r->main) {
        return NGX_DONE;
    }

    /* notice that the client leaves */

    r->read_event_handler = ngx_http_test_reading;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_http_binarize_on_cleanup(void *data)
{
    ngx_http_binarize_ctx_t *ctx = data;

    ngx_http_binarize_flight_leave(&ctx->waiter);
}


/* of the request's pool: nothing of the answer is needed any more */

static void
ngx_http_binarize_on_end(void *data)
{
    ngx_http_binarize_ctx_t *ctx = data;

    ngx_http_request_t  *r;

    r = ctx->request;

    /*
     * Only now is its status the one the client got, of ranges, conditions
     * and an error_page, too
     */

    ngx_http_binarize_metric_answer(ctx->conf->flight.zone->data,
                                    ctx->conf->flight.ns_index, ctx->format,
                                    ctx->waiter.source,
                                    r->headers_out.status,
                                    (r == r->main) ? r->connection->sent
                                                     - (off_t) r->header_size
                                                   : -1);

    ngx_http_binarize_answer_give_back(ctx);
}


/*
 * What has arrived just now was decoded, checked and kept in this turn of the
 * event loop: a large one is sent from the next turn on, as if the client had
 * not been ready for it.  Of one whose memory is scarce little is sent a turn.
 */

static ngx_int_t
ngx_http_binarize_answer_landed(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_result_t *result)
{
    ngx_int_t     rc;
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (result->png_size < NGX_HTTP_BINARIZE_LARGE_SIZE
        || result->scarce
        || r != r->main
        || wev->delayed
        || !wev->ready)
    {
        return ngx_http_binarize_answer(r, ctx, result);
    }

    wev->delayed = 1;

    rc = ngx_http_binarize_answer(r, ctx, result);

    wev->delayed = 0;

    ngx_post_event(wev, &ngx_posted_next_events);

    return rc;
}


static void
ngx_http_binarize_on_landing(ngx_http_binarize_waiter_t *waiter,
    ngx_http_binarize_result_t *result)
{
    ngx_int_t                 rc;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_binarize_ctx_t  *ctx;

    ctx = (ngx_http_binarize_ctx_t *)
          ((u_char *) waiter - offsetof(ngx_http_binarize_ctx_t, waiter));

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx->waited_ms = ngx_current_msec - ctx->waiter.started_ms;
    ngx_http_binarize_metric_wait(ctx->conf->flight.zone->data,
                                  (uint64_t) ctx->waited_ms * 1000);

    r->read_event_handler = ngx_http_block_reading;

    if (result) {
        rc = ngx_http_binarize_answer_landed(r, ctx, result);

    } else {
        rc = ngx_http_binarize_answer_problem(r, ctx,
                                              BINARIZE_PROBLEM_INTERNAL);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
