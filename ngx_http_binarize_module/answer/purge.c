
#include "answer/purge.h"
#include "answer/answer.h"
#include "l2/l2.h"

#include <openssl/evp.h>


/* a purge that waits for Redis; the request may be gone before */
typedef struct {
    ngx_http_request_t            *request;     /* NULL: gone */
    ngx_http_cleanup_t            *cleanup;     /* its */
    ngx_http_binarize_answer_conf_t  *conf;
    u_char                         guid[BINARIZE_GUID_SIZE];
    unsigned                       had:1;       /* this node */
} ngx_http_binarize_purge_t;


static ngx_uint_t ngx_http_binarize_purge_is_wanted(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf);
static ngx_uint_t ngx_http_binarize_purge_node(
    ngx_http_binarize_flight_conf_t *conf, u_char *guid);
static ngx_uint_t ngx_http_binarize_purge_zone(
    ngx_http_binarize_flight_conf_t *conf, u_char *guid);
static ngx_uint_t ngx_http_binarize_purge_shares(
    ngx_http_binarize_flight_conf_t *a, ngx_http_binarize_flight_conf_t *b);
static void ngx_http_binarize_purge_node_id(ngx_http_binarize_zone_t *zone,
    u_char *id);
static ngx_int_t ngx_http_binarize_purge_l2(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t had);
static void ngx_http_binarize_purge_on_cleanup(void *data);
static void ngx_http_binarize_purge_on_l2(void *data, ngx_int_t rc);
static ngx_int_t ngx_http_binarize_purge_answer(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t had);


ngx_int_t
ngx_http_binarize_purge_handler(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t  had;

    if (!ngx_http_binarize_purge_is_wanted(r, ctx->conf)) {
        return ngx_http_binarize_answer_problem(r, ctx,
                                             BINARIZE_PROBLEM_BAD_METHOD);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_http_binarize_answer_problem(r, ctx,
                                                BINARIZE_PROBLEM_BAD_ID);
    }

    had = ngx_http_binarize_purge_node(&ctx->conf->flight, ctx->guid);

    if (ctx->conf->flight.redis == NULL) {
        return ngx_http_binarize_purge_answer(r, ctx, had);
    }

    return ngx_http_binarize_purge_l2(r, ctx, had);
}


static ngx_uint_t
ngx_http_binarize_purge_is_wanted(ngx_http_request_t *r,
    ngx_http_binarize_answer_conf_t *conf)
{
    return conf->purge
           && r->method == NGX_HTTP_UNKNOWN
           && r->method_name.len == sizeof("PURGE") - 1
           && ngx_memcmp(r->method_name.data, "PURGE", sizeof("PURGE") - 1)
              == 0;
}


ngx_str_t *
ngx_http_binarize_purge_methods(ngx_http_binarize_answer_conf_t *conf)
{
    static ngx_str_t  get = ngx_string("GET, HEAD");
    static ngx_str_t  purge = ngx_string("GET, HEAD, PURGE");

    return conf->purge ? &purge : &get;
}


/* 1 if there was something to be removed */

static ngx_uint_t
ngx_http_binarize_purge_node(ngx_http_binarize_flight_conf_t *conf,
    u_char *guid)
{
    ngx_uint_t                      i, had;
    ngx_http_binarize_flight_conf_t  **gp;

    had = ngx_http_binarize_purge_zone(conf, guid);

    gp = conf->main->gateways.elts;

    for (i = 0; i < conf->main->gateways.nelts; i++) {
        if (gp[i]->zone != conf->zone
            && ngx_http_binarize_purge_shares(gp[i], conf))
        {
            had |= ngx_http_binarize_purge_zone(gp[i], guid);
        }
    }

    return had;
}


static ngx_uint_t
ngx_http_binarize_purge_zone(ngx_http_binarize_flight_conf_t *conf,
    u_char *guid)
{
    u_char                     key[BINARIZE_STORE_KEY_SIZE];
    ngx_http_binarize_zone_t  *zone;

    zone = conf->zone->data;

    ngx_http_binarize_zone_key(zone, conf->ns_digest, guid, key);

    return ngx_http_binarize_zone_purge(zone, key);
}


/* 1 if they have the same records in Redis */

static ngx_uint_t
ngx_http_binarize_purge_shares(ngx_http_binarize_flight_conf_t *a,
    ngx_http_binarize_flight_conf_t *b)
{
    ngx_str_t  *ia, *ib;

    if (a->redis == NULL || b->redis == NULL
        || !ngx_http_binarize_str_equal(&a->ns, &b->ns))
    {
        return 0;
    }

    ia = ngx_http_binarize_redis_identity(a->redis);
    ib = ngx_http_binarize_redis_identity(b->redis);

    return ngx_http_binarize_str_equal(ia, ib);
}


void
ngx_http_binarize_purge_on_message(void *data,
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    u_char *node)
{
    u_char                          own[NGX_HTTP_BINARIZE_L2_NODE];
    ngx_uint_t                      i;
    ngx_http_binarize_flight_conf_t  **gp;
    ngx_http_binarize_main_conf_t  *bmcf = data;

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts; i++) {

        if (gp[i]->redis != redis
            || !ngx_http_binarize_str_equal(&gp[i]->ns, ns))
        {
            continue;
        }

        /* what is there by now came after */

        ngx_http_binarize_purge_node_id(gp[i]->zone->data, own);

        if (ngx_memcmp(own, node, sizeof(own)) == 0) {
            continue;
        }

        (void) ngx_http_binarize_purge_zone(gp[i], guid);
    }
}


/* does not tell the zone's secret */

static void
ngx_http_binarize_purge_node_id(ngx_http_binarize_zone_t *zone, u_char *id)
{
    u_char  digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(zone->shm->secret, sizeof(zone->shm->secret), digest, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        ngx_memzero(digest, sizeof(digest));
    }

    ngx_hex_dump(id, digest, NGX_HTTP_BINARIZE_L2_NODE / 2);
}


static ngx_int_t
ngx_http_binarize_purge_l2(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t had)
{
    u_char                         node[NGX_HTTP_BINARIZE_L2_NODE];
    ngx_http_cleanup_t            *cln;
    ngx_http_binarize_purge_t     *purge;
    ngx_http_binarize_answer_conf_t  *conf;

    conf = ctx->conf;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    purge = ngx_alloc(sizeof(ngx_http_binarize_purge_t), r->connection->log);
    if (purge == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    purge->request = r;
    purge->cleanup = cln;
    purge->conf = conf;
    purge->had = had;
    ngx_memcpy(purge->guid, ctx->guid, sizeof(purge->guid));

    ngx_http_binarize_purge_node_id(conf->flight.zone->data, node);

    if (ngx_http_binarize_l2_purge(conf->flight.redis, &conf->flight.ns,
                                   ctx->guid, node,
                                   ngx_http_binarize_purge_on_l2, purge)
        != NGX_OK)
    {
        ngx_free(purge);

        return ngx_http_binarize_answer_problem(r, ctx,
                                                BINARIZE_PROBLEM_NOT_PURGED);
    }

    cln->handler = ngx_http_binarize_purge_on_cleanup;
    cln->data = purge;

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_binarize_purge_on_cleanup(void *data)
{
    ngx_http_binarize_purge_t *purge = data;

    purge->request = NULL;
}


static void
ngx_http_binarize_purge_on_l2(void *data, ngx_int_t rc)
{
    ngx_http_binarize_purge_t *purge = data;

    ngx_uint_t                had;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_binarize_ctx_t  *ctx;

    r = purge->request;
    had = purge->had || rc == NGX_OK;

    if (r) {
        purge->cleanup->handler = NULL;
    }

    if (rc != NGX_ABORT) {
        /* what was read from Redis meanwhile */
        (void) ngx_http_binarize_purge_node(&purge->conf->flight, purge->guid);
    }

    ngx_free(purge);

    if (r == NULL || rc == NGX_ABORT) {
        return;
    }

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    ngx_http_set_log_request(c->log, r);

    rc = (rc == NGX_ERROR)
         ? ngx_http_binarize_answer_problem(r, ctx,
                                            BINARIZE_PROBLEM_NOT_PURGED)
         : ngx_http_binarize_purge_answer(r, ctx, had);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_binarize_purge_answer(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t had)
{
    if (!had) {
        return ngx_http_binarize_answer_problem(r, ctx,
                                                BINARIZE_PROBLEM_NOT_KEPT);
    }

    if (ngx_http_binarize_header_expiry(r, NULL) != NGX_OK
        || ngx_http_binarize_header_common(r, ctx, NULL) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->disable_not_modified = 1;
    r->header_only = 1;

    return ngx_http_send_header(r);
}
