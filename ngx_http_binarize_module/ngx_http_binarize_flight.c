
#include "ngx_http_binarize_flight.h"


/* a leader's lease: it is renewed by each step, and after it, or as soon as
   the leader's process is gone, another worker takes over */
#define NGX_HTTP_BINARIZE_LEASE_MS        5000

/* how often a follower looks whether its leader still lives */
#define NGX_HTTP_BINARIZE_FOLLOW_MS       500

/* how long what only waiters need is kept where L1 is off */
#define NGX_HTTP_BINARIZE_LANDING_MS      2000

/* failures that may pass at any time are remembered so long at most */
#define NGX_HTTP_BINARIZE_FAILURE_MS      1000

/* a cloud's 429 or 503 without Retry-After, seconds */
#define NGX_HTTP_BINARIZE_BUSY_S          5


static ngx_http_binarize_flight_t *ngx_http_binarize_flight_find(
    ngx_http_binarize_zone_t *zone, u_char *key);
static ngx_http_binarize_flight_t *ngx_http_binarize_flight_create(
    ngx_http_request_t *r, ngx_http_binarize_ctx_t *ctx,
    ngx_http_binarize_loc_conf_t *conf);
static ngx_int_t ngx_http_binarize_flight_eval(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight);
static ngx_int_t ngx_http_binarize_flight_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_on_event(ngx_event_t *ev);
static void ngx_http_binarize_flight_post(ngx_http_binarize_flight_t *flight,
    void (*state)(ngx_http_binarize_flight_t *));
static void ngx_http_binarize_flight_look(ngx_http_binarize_flight_t *flight);
static ngx_http_binarize_shm_flight_t *
    ngx_http_binarize_flight_claim_locked(ngx_http_binarize_flight_t *flight,
    ngx_uint_t *follow);
static ngx_uint_t ngx_http_binarize_flight_alive_locked(
    ngx_http_binarize_shm_flight_t *sf);
static void ngx_http_binarize_flight_follow(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_lead(ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_renew(ngx_http_binarize_flight_t *flight,
    ngx_msec_t ms);
static void ngx_http_binarize_flight_on_l2(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms);
static void ngx_http_binarize_flight_get_token(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_on_token(void *data);
static void ngx_http_binarize_flight_fetch(ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_on_fetch(
    ngx_http_binarize_fetch_t *fetch);
static ngx_uint_t ngx_http_binarize_flight_retry(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_flight_on_result(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static ngx_http_binarize_result_t *ngx_http_binarize_flight_store_blob(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_store_record(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_put_l2(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_remember(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result,
    binarize_store_kind_e kind, time_t retry_after_s);
static ngx_msec_t ngx_http_binarize_flight_memory_ms(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result,
    binarize_store_kind_e kind, uint32_t repeat);
static void ngx_http_binarize_flight_fail(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_problem_e problem, ngx_uint_t status,
    time_t retry_after_s);
static void ngx_http_binarize_flight_release(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_land(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_land_pending(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_on_deadline(ngx_event_t *ev);
static void ngx_http_binarize_flight_answer(ngx_http_binarize_ctx_t *ctx,
    ngx_http_binarize_result_t *result);
static ngx_uint_t ngx_http_binarize_flight_patient(
    ngx_http_binarize_ctx_t *ctx);
static void ngx_http_binarize_flight_idle(ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight);


ngx_int_t
ngx_http_binarize_flight_join(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ngx_http_binarize_flight_find(conf->zone->data, ctx->key);

    if (flight == NULL) {
        flight = ngx_http_binarize_flight_create(r, ctx, conf);
        if (flight == NULL) {
            return NGX_ERROR;
        }

        ctx->leader = 1;
    }

    ctx->flight = flight;
    ngx_queue_insert_tail(&flight->waiters, &ctx->queue);

    if (flight->sleeping) {
        (void) ngx_http_binarize_flight_patient(ctx);
    }

    return NGX_OK;
}


void
ngx_http_binarize_flight_leave(ngx_http_binarize_ctx_t *ctx)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ctx->flight;

    if (flight == NULL) {
        return;
    }

    ngx_queue_remove(&ctx->queue);
    ctx->flight = NULL;

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    ngx_http_binarize_flight_idle(flight);
}


void
ngx_http_binarize_flight_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t           **p;
    ngx_http_binarize_flight_t   *f, *ft;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            f = (ngx_http_binarize_flight_t *) node;
            ft = (ngx_http_binarize_flight_t *) temp;

            p = (ngx_memcmp(f->key, ft->key, sizeof(f->key)) < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_rbtree_key_t
ngx_http_binarize_flight_hash(u_char *key)
{
    ngx_rbtree_key_t  hash;

    ngx_memcpy(&hash, key, sizeof(hash));

    return hash;
}


static ngx_http_binarize_flight_t *
ngx_http_binarize_flight_find(ngx_http_binarize_zone_t *zone, u_char *key)
{
    ngx_int_t                    rc;
    ngx_rbtree_key_t             hash;
    ngx_rbtree_node_t           *node;
    ngx_http_binarize_flight_t  *flight;

    hash = ngx_http_binarize_flight_hash(key);
    node = zone->flights.root;

    while (node != zone->flights.sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        flight = (ngx_http_binarize_flight_t *) node;

        rc = ngx_memcmp(key, flight->key, sizeof(flight->key));
        if (rc == 0) {
            return flight;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_http_binarize_flight_t *
ngx_http_binarize_flight_create(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_http_binarize_loc_conf_t *conf)
{
    ngx_pool_t                  *pool;
    ngx_http_binarize_flight_t  *flight;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    flight = ngx_pcalloc(pool, sizeof(*flight));
    if (flight == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->pool = pool;
    flight->log = ngx_cycle->log;
    flight->conf = conf;
    flight->zone = conf->zone->data;

    ngx_memcpy(flight->key, ctx->key, sizeof(flight->key));
    ngx_memcpy(flight->guid, ctx->guid, sizeof(flight->guid));

    ngx_queue_init(&flight->waiters);

    if (ngx_http_binarize_flight_eval(r, flight) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->event.handler = ngx_http_binarize_flight_on_event;
    flight->event.data = flight;
    flight->event.log = ngx_cycle->log;

    flight->node.key = ngx_http_binarize_flight_hash(flight->key);
    ngx_rbtree_insert(&flight->zone->flights, &flight->node);

    ngx_http_binarize_flight_post(flight, ngx_http_binarize_flight_look);

    return flight;
}


/* what depends on the request that starts the flight */

static ngx_int_t
ngx_http_binarize_flight_eval(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_loc_conf_t  *conf;
#if (NGX_HTTP_SSL)
    ngx_str_t                      name;
#endif

    conf = flight->conf;

    flight->host = conf->target->authority;
    flight->ssl_name = conf->target->host;

    if (conf->headers
        && ngx_http_binarize_flight_eval_headers(r, flight) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if (conf->upstream.ssl_name) {
        if (ngx_http_complex_value(r, conf->upstream.ssl_name, &name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        flight->ssl_name.data = ngx_pstrdup(flight->pool, &name);
        flight->ssl_name.len = name.len;

        if (flight->ssl_name.data == NULL) {
            return NGX_ERROR;
        }
    }

#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_flight_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    size_t                       size;
    u_char                      *p;
    ngx_str_t                   *values;
    ngx_uint_t                   i;
    ngx_http_binarize_header_t  *h;

    h = flight->conf->headers->elts;

    values = ngx_palloc(r->pool, flight->conf->headers->nelts
                                 * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    size = 0;

    for (i = 0; i < flight->conf->headers->nelts; i++) {

        if (ngx_http_complex_value(r, &h[i].value, &values[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strlchr(values[i].data, values[i].data + values[i].len, LF)
            || ngx_strlchr(values[i].data, values[i].data + values[i].len,
                           CR))
        {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "binarize_set_header \"%V\": the value has a line "
                          "break, header is left out", &h[i].name);
            values[i].len = 0;
        }

        size += h[i].name.len + values[i].len + sizeof(": " CRLF);
    }

    p = ngx_pnalloc(flight->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    flight->headers.data = p;

    for (i = 0; i < flight->conf->headers->nelts; i++) {

        if (values[i].len == 0) {
            continue;
        }

        if (h[i].name.len == 4
            && ngx_strncasecmp(h[i].name.data, (u_char *) "Host", 4) == 0)
        {
            flight->host.len = values[i].len;
            flight->host.data = ngx_pstrdup(flight->pool, &values[i]);

            if (flight->host.data == NULL) {
                return NGX_ERROR;
            }

            flight->ssl_name = flight->host;
            continue;
        }

        p = ngx_sprintf(p, "%V: %V" CRLF, &h[i].name, &values[i]);
    }

    flight->headers.len = p - flight->headers.data;

    return NGX_OK;
}


/* a timer or a posted event has come */

static void
ngx_http_binarize_flight_on_event(ngx_event_t *ev)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ev->data;

    flight->state(flight);
}


static void
ngx_http_binarize_flight_post(ngx_http_binarize_flight_t *flight,
    void (*state)(ngx_http_binarize_flight_t *))
{
    flight->state = state;

    ngx_post_event(&flight->event, &ngx_posted_events);
}


static void
ngx_http_binarize_flight_look(ngx_http_binarize_flight_t *flight)
{
    ngx_uint_t                   follow;
    binarize_store_entry_t      *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *result;

    zone = flight->zone;
    result = NULL;
    follow = 0;

    if (flight->following) {
        flight->following = 0;
        ngx_queue_remove(&flight->queue);
    }

    if (flight->event.timer_set) {
        ngx_del_timer(&flight->event);
    }

    flight->sleeping = 0;

    if (ngx_queue_empty(&flight->waiters)) {
        /* all have left; a call saved */
        ngx_http_binarize_flight_land(flight, NULL);
        return;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);

    entry = binarize_store_lookup(zone->store, flight->key, ngx_current_msec);

    if (entry) {
        result = ngx_http_binarize_result_of_entry_locked(zone, entry, NULL);

    } else {
        flight->shm = ngx_http_binarize_flight_claim_locked(flight, &follow);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (result) {
        result->source = flight->followed
                         ? NGX_HTTP_BINARIZE_COLLAPSED
                         : ngx_http_binarize_result_hit(result);

        if (result->problem == NGX_HTTP_BINARIZE_OK
            && result->outcome == BINARIZE_PENDING)
        {
            ngx_http_binarize_flight_land_pending(flight, result);
            return;
        }

        ngx_http_binarize_flight_land(flight, result);
        return;
    }

    if (entry) {
        ngx_http_binarize_flight_land(flight,
            ngx_http_binarize_result_of_problem(NGX_HTTP_BINARIZE_INTERNAL,
                                                NULL));
        return;
    }

    if (follow) {
        ngx_http_binarize_flight_follow(flight);
        return;
    }

    ngx_http_binarize_flight_lead(flight);
}


/*
 * The record of a flight lies in one of few places its key names, without
 * links to others: a worker that dies while it writes leaves a record that
 * is not valid or whose leader is gone, and nothing else.  NULL without
 * *follow: there is no place left, and this worker flies on its own.
 */

static ngx_http_binarize_shm_flight_t *
ngx_http_binarize_flight_claim_locked(ngx_http_binarize_flight_t *flight,
    ngx_uint_t *follow)
{
    ngx_uint_t                       i;
    ngx_http_binarize_shm_flight_t  *sf, *free;

    sf = ngx_http_binarize_zone_flights(flight->zone, flight->key);
    free = NULL;

    for (i = 0; i < NGX_HTTP_BINARIZE_WAYS; i++) {

        if (sf[i].leader
            && ngx_memcmp(sf[i].key, flight->key, sizeof(sf[i].key)) == 0)
        {
            if (ngx_http_binarize_flight_alive_locked(&sf[i])) {
                sf[i].waiters[ngx_process_slot / 64] |=
                                             1ULL << (ngx_process_slot % 64);
                *follow = 1;
                return NULL;
            }

            /* others who waited for the dead one will look at ours */

            sf[i].deadline_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;
            sf[i].leader = ngx_pid;

            return &sf[i];
        }

        if (free == NULL
            && (sf[i].leader == 0
                || !ngx_http_binarize_flight_alive_locked(&sf[i])))
        {
            free = &sf[i];
        }
    }

    if (free == NULL) {
        return NULL;
    }

    free->leader = 0;
    ngx_memory_barrier();

    ngx_memcpy(free->key, flight->key, sizeof(free->key));
    ngx_memzero(free->waiters, sizeof(free->waiters));
    free->deadline_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;

    ngx_memory_barrier();
    free->leader = ngx_pid;

    return free;
}


static ngx_uint_t
ngx_http_binarize_flight_alive_locked(ngx_http_binarize_shm_flight_t *sf)
{
    if (ngx_current_msec >= sf->deadline_ms) {
        return 0;
    }

    return kill((ngx_pid_t) sf->leader, 0) == 0 || ngx_errno != ESRCH;
}


static void
ngx_http_binarize_flight_follow(ngx_http_binarize_flight_t *flight)
{
    flight->following = 1;
    flight->followed = 1;
    ngx_queue_insert_tail(&flight->zone->followers, &flight->queue);

    /* a wake-up does not cover a dead leader */

    flight->state = ngx_http_binarize_flight_look;
    ngx_add_timer(&flight->event, NGX_HTTP_BINARIZE_FOLLOW_MS);
}


void
ngx_http_binarize_flight_wake(ngx_http_binarize_zone_t *zone)
{
    ngx_queue_t                 *q;
    ngx_http_binarize_flight_t  *flight;

    for (q = ngx_queue_head(&zone->followers);
         q != ngx_queue_sentinel(&zone->followers);
         q = ngx_queue_next(q))
    {
        flight = ngx_queue_data(q, ngx_http_binarize_flight_t, queue);

        if (!flight->event.posted) {
            ngx_post_event(&flight->event, &ngx_posted_events);
        }
    }
}


static void
ngx_http_binarize_flight_lead(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_loc_conf_t  *conf;

    conf = flight->conf;

    flight->leading = 1;
    flight->refused = 0;

    if (conf->redis && !flight->looked_up) {

        flight->looked_up = 1;

        if (ngx_http_binarize_l2_get(conf->redis, &conf->ns, flight->guid,
                                     conf->max_size,
                                     ngx_http_binarize_flight_on_l2, flight)
            != NULL)
        {
            return;
        }
    }

    ngx_http_binarize_flight_get_token(flight);
}


static void
ngx_http_binarize_flight_renew(ngx_http_binarize_flight_t *flight,
    ngx_msec_t ms)
{
    if (flight->shm == NULL) {
        return;
    }

    ngx_shmtx_lock(&flight->zone->shpool->mutex);

    if (flight->shm->leader == ngx_pid
        && ngx_memcmp(flight->shm->key, flight->key, sizeof(flight->key)) == 0)
    {
        flight->shm->deadline_ms = ngx_current_msec + ms;

    } else {
        /* it was taken over, since a step took longer than its lease */
        flight->shm = NULL;
    }

    ngx_shmtx_unlock(&flight->zone->shpool->mutex);
}


static void
ngx_http_binarize_flight_on_l2(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms)
{
    ngx_http_binarize_flight_t *flight = data;

    ngx_http_binarize_result_t  *result;

    if (rc != NGX_OK) {
        ngx_http_binarize_flight_get_token(flight);
        return;
    }

    result = ngx_http_binarize_result_of_record(record, owner);
    if (result == NULL) {
        ngx_http_binarize_flight_fail(flight, NGX_HTTP_BINARIZE_INTERNAL, 0,
                                      0);
        return;
    }

    result->source = NGX_HTTP_BINARIZE_REDIS;

    if (ttl_ms > 0) {
        result->expires_ms = ngx_current_msec + ttl_ms;
    }

    ngx_http_binarize_flight_store_record(flight, result);
    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, result);
}


static void
ngx_http_binarize_flight_get_token(ngx_http_binarize_flight_t *flight)
{
    time_t                       retry_after_s;
    ngx_int_t                    rc;
    ngx_http_binarize_problem_e  problem;

    ngx_http_binarize_flight_renew(flight, NGX_HTTP_BINARIZE_LEASE_MS);

    flight->token_waiter.handler = ngx_http_binarize_flight_on_token;
    flight->token_waiter.data = flight;

    rc = ngx_http_binarize_token_get(flight->conf->token, flight->pool,
                                     &flight->bearer, &flight->token_waiter,
                                     &problem, &retry_after_s);
    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_binarize_flight_fail(flight, problem, 0, retry_after_s);
        return;
    }

    ngx_http_binarize_flight_fetch(flight);
}


static void
ngx_http_binarize_flight_on_token(void *data)
{
    ngx_http_binarize_flight_get_token(data);
}


static void
ngx_http_binarize_flight_fetch(ngx_http_binarize_flight_t *flight)
{
    ngx_pool_t                  *pool;
    ngx_http_upstream_conf_t    *uc;
    ngx_http_binarize_fetch_t   *fetch;

    uc = &flight->conf->upstream;

    ngx_http_binarize_flight_renew(flight, NGX_HTTP_BINARIZE_LEASE_MS
                                           + uc->connect_timeout
                                           + uc->send_timeout
                                           + uc->read_timeout);

    fetch = ngx_http_binarize_fetch_create(flight->conf);
    if (fetch == NULL) {
        goto failed;
    }

    pool = ngx_http_binarize_fetch_pool(fetch);

    ngx_memcpy(fetch->key, flight->key, sizeof(fetch->key));
    ngx_memcpy(fetch->guid, flight->guid, sizeof(fetch->guid));

    fetch->store_zone = flight->conf->l1 ? flight->zone : NULL;
    fetch->headers = flight->headers;
    fetch->host = flight->host;
    fetch->ssl_name = flight->ssl_name;
    fetch->done = ngx_http_binarize_flight_on_fetch;
    fetch->data = flight;

    fetch->token.len = flight->bearer.text.len;
    fetch->token.data = ngx_pstrdup(pool, &flight->bearer.text);

    ngx_explicit_memzero(flight->bearer.text.data, flight->bearer.text.len);
    ngx_pfree(flight->pool, flight->bearer.text.data);

    if (fetch->token.data == NULL) {
        ngx_http_binarize_fetch_abandon(fetch);
        goto failed;
    }

    if (ngx_http_binarize_fetch_start(fetch) == NGX_OK) {
        return;
    }

failed:

    ngx_http_binarize_flight_fail(flight, NGX_HTTP_BINARIZE_INTERNAL, 0, 0);
}


static void
ngx_http_binarize_flight_on_fetch(ngx_http_binarize_fetch_t *fetch)
{
    time_t                       retry_after_s;
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;
    flight->tries += fetch->tries;

    ngx_explicit_memzero(fetch->token.data, fetch->token.len);

    if (fetch->status != NGX_HTTP_UNAUTHORIZED && fetch->status) {
        ngx_http_binarize_token_accepted(flight->conf->token,
                                         flight->bearer.generation);
    }

    if (fetch->problem == NGX_HTTP_BINARIZE_OK) {
        ngx_http_binarize_flight_on_result(flight, fetch);
        return;
    }

    if (ngx_http_binarize_flight_retry(flight, fetch)) {
        ngx_http_binarize_flight_get_token(flight);
        return;
    }

    retry_after_s = fetch->retry_after_s;

    if (fetch->problem == NGX_HTTP_BINARIZE_BUSY && retry_after_s < 0) {
        retry_after_s = NGX_HTTP_BINARIZE_BUSY_S;
    }

    ngx_http_binarize_flight_fail(flight, fetch->problem, fetch->status,
                                  retry_after_s);
}


/* 401: one new token, one retry */

static ngx_uint_t
ngx_http_binarize_flight_retry(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    if (fetch->status != NGX_HTTP_UNAUTHORIZED || flight->refused) {
        return 0;
    }

    flight->refused = 1;

    return ngx_http_binarize_token_refused(flight->conf->token,
                                           flight->bearer.generation)
           == NGX_OK;
}


static void
ngx_http_binarize_flight_on_result(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_fetch(fetch);
    if (result == NULL) {
        ngx_http_binarize_flight_fail(flight, NGX_HTTP_BINARIZE_INTERNAL, 0,
                                      0);
        return;
    }

    switch (result->outcome) {

    case BINARIZE_RESULT:
        result->expires_ms = ngx_current_msec
                             + (uint64_t) flight->conf->valid_s * 1000;

        if (fetch->blob.entry) {
            result = ngx_http_binarize_flight_store_blob(flight, fetch,
                                                         result);
        }

        ngx_http_binarize_flight_put_l2(flight, result);
        break;

    case BINARIZE_PENDING:
        ngx_http_binarize_flight_remember(flight, result,
                                          BINARIZE_STORE_PENDING,
                                          fetch->retry_after_s);
        break;

    default:
        ngx_http_binarize_flight_remember(flight, result,
                                          BINARIZE_STORE_NEGATIVE, -1);
    }

    result->source = NGX_HTTP_BINARIZE_MISS;

    ngx_http_binarize_flight_release(flight);

    if (result->problem == NGX_HTTP_BINARIZE_OK
        && result->outcome == BINARIZE_PENDING)
    {
        ngx_http_binarize_flight_land_pending(flight, result);
        return;
    }

    ngx_http_binarize_flight_land(flight, result);
}


/*
 * The PNG is in the zone already: completes the entry.  Returns a result of
 * the entry in place of the given one.
 */

static ngx_http_binarize_result_t *
ngx_http_binarize_flight_store_blob(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch, ngx_http_binarize_result_t *result)
{
    int                          rc;
    binarize_store_meta_t        meta;
    binarize_store_entry_t      *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *stored;

    zone = flight->zone;
    entry = fetch->blob.entry;

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_finish(zone->store, entry, fetch->blob.size,
                              result->doc.len, ngx_current_msec));

    if (rc != BINARIZE_OK) {
        ngx_http_binarize_blob_free(&fetch->blob);
        ngx_http_binarize_result_release(result);

        return ngx_http_binarize_result_of_problem(NGX_HTTP_BINARIZE_INTERNAL,
                                                   NULL);
    }

    binarize_store_write_doc(zone->store, entry, result->doc.data);

    ngx_http_binarize_result_meta(result, &meta);

    ngx_shmtx_lock(&zone->shpool->mutex);

    binarize_store_publish(zone->store, entry, &meta, ngx_current_msec);
    stored = ngx_http_binarize_result_of_entry_locked(zone, entry, NULL);

    ngx_shmtx_unlock(&zone->shpool->mutex);

    fetch->blob.entry = NULL;

    ngx_http_binarize_result_release(result);

    return stored;
}


/* what came from Redis is copied into the zone */

static void
ngx_http_binarize_flight_store_record(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    int                        rc;
    size_t                     size;
    u_char                    *p;
    binarize_span_t            png;
    binarize_store_meta_t      meta;
    ngx_http_binarize_blob_t   blob;
    ngx_http_binarize_zone_t  *zone;

    zone = flight->zone;

    if (!flight->conf->l1) {
        return;
    }

    ngx_http_binarize_blob_init(&blob, zone, flight->key, result->png_size,
                                0);

    if (blob.entry == NULL) {
        return;
    }

    png = result->png[0];

    while (png.size) {
        p = binarize_store_room(zone->store, blob.entry, blob.size, &size);
        size = ngx_min(size, png.size);

        if (size == 0) {
            ngx_http_binarize_blob_free(&blob);
            return;
        }

        ngx_memcpy(p, png.data, size);

        png.data += size;
        png.size -= size;
        blob.size += size;
    }

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_finish(zone->store, blob.entry, blob.size,
                              result->doc.len, ngx_current_msec));

    if (rc != BINARIZE_OK) {
        ngx_http_binarize_blob_free(&blob);
        return;
    }

    binarize_store_write_doc(zone->store, blob.entry, result->doc.data);

    ngx_http_binarize_result_meta(result, &meta);

    if (meta.expires_ms == 0) {
        meta.expires_ms = ngx_current_msec
                          + (uint64_t) flight->conf->valid_s * 1000;
    }

    ngx_shmtx_lock(&zone->shpool->mutex);
    binarize_store_publish(zone->store, blob.entry, &meta, ngx_current_msec);
    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static void
ngx_http_binarize_flight_put_l2(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    u_char                        *p;
    ngx_uint_t                     i;
    binarize_record_t              record;
    ngx_http_binarize_loc_conf_t  *conf;

    conf = flight->conf;

    if (conf->redis == NULL
        || result == NULL
        || result->problem != NGX_HTTP_BINARIZE_OK)
    {
        return;
    }

    ngx_memzero(&record, sizeof(record));

    p = NULL;
    record.png = result->png[0];

    if (result->npieces > 1) {
        p = ngx_alloc(result->png_size, flight->log);
        if (p == NULL) {
            return;
        }

        record.png.data = p;
        record.png.size = result->png_size;

        for (i = 0; i < result->npieces; i++) {
            p = ngx_cpymem(p, result->png[i].data, result->png[i].size);
        }

        p = (u_char *) record.png.data;
    }

    record.doc.data = result->doc.data;
    record.doc.size = result->doc.len;
    record.etag.data = result->etag;
    record.etag.size = BINARIZE_ETAG_SIZE;
    record.stored = result->stored;
    record.payload_offset = result->payload_offset;
    record.unpadded = result->unpadded;

    if (ngx_http_binarize_l2_put(conf->redis, &conf->ns, flight->guid,
                                 &record, conf->valid_s)
        == NGX_OK)
    {
        result->kept = 1;
    }

    if (p) {
        ngx_free(p);
    }
}


/*
 * Leaves in the zone that there is no result, or none yet: until then nobody
 * asks the cloud again.
 */

static void
ngx_http_binarize_flight_remember(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, binarize_store_kind_e kind,
    time_t retry_after_s)
{
    int                        rc;
    uint32_t                   repeat;
    ngx_msec_t                 ms;
    binarize_store_meta_t      meta;
    binarize_store_entry_t    *old;
    ngx_http_binarize_zone_t  *zone;

    zone = flight->zone;

    ngx_http_binarize_result_meta(result, &meta);

    repeat = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    old = binarize_store_peek(zone->store, flight->key);

    if (old && old->kind == kind
        && old->meta.outcome == meta.outcome
        && old->meta.flags == meta.flags)
    {
        repeat = old->meta.repeat + 1;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ms = ngx_http_binarize_flight_memory_ms(flight, result, kind, repeat);

    if (retry_after_s >= 0) {
        ms = ngx_max((ngx_msec_t) retry_after_s * 1000, 1);
    }

    if (ms == 0) {
        return;
    }

    meta.repeat = repeat;
    meta.expires_ms = ngx_current_msec + ms;
    meta.forget_ms = meta.expires_ms
                     + ngx_max(flight->conf->negative_max_ms,
                               flight->conf->poll_max_ms) + ms;

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_put(zone->store, flight->key, kind, result->doc.data,
                           result->doc.len, &meta, ngx_process_slot,
                           ngx_current_msec, NULL));

    if (rc != BINARIZE_OK) {
        ngx_log_error(NGX_LOG_WARN, flight->log, 0,
                      "binarize zone \"%V\" has no room to remember \"%*s\"",
                      &zone->shm_zone->shm.name,
                      (size_t) BINARIZE_GUID_SIZE, flight->guid);
    }

    result->expires_ms = meta.expires_ms;
}


static ngx_msec_t
ngx_http_binarize_flight_memory_ms(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, binarize_store_kind_e kind,
    uint32_t repeat)
{
    ngx_msec_t                     ms, max;
    ngx_http_binarize_loc_conf_t  *conf;

    conf = flight->conf;

    switch (result->problem) {

    case NGX_HTTP_BINARIZE_OK:
    case NGX_HTTP_BINARIZE_BAD_DOCUMENT:
    case NGX_HTTP_BINARIZE_TOO_LARGE:
    case NGX_HTTP_BINARIZE_NOT_PNG:
        break;

    default:
        return ngx_min(conf->negative_ms, NGX_HTTP_BINARIZE_FAILURE_MS);
    }

    if (kind == BINARIZE_STORE_PENDING) {
        ms = conf->poll_ms;
        max = conf->poll_max_ms;

    } else {
        ms = conf->negative_ms;
        max = conf->negative_max_ms;
    }

    while (repeat-- && ms < max) {
        ms *= 2;
    }

    ms = ngx_min(ms, max);

    if (kind == BINARIZE_STORE_PENDING) {
        ms += ms * (ngx_random() % 101) / 1000;
    }

    return ms;
}


/* the flight ends without a document */

static void
ngx_http_binarize_flight_fail(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_problem_e problem, ngx_uint_t status,
    time_t retry_after_s)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_problem(problem, NULL);

    if (result) {
        result->status = status;
        result->source = NGX_HTTP_BINARIZE_MISS;
        result->retry_after_s = ngx_max(retry_after_s, 0);

        ngx_http_binarize_flight_remember(flight, result,
                                          BINARIZE_STORE_NEGATIVE,
                                          problem == NGX_HTTP_BINARIZE_BUSY
                                          ? retry_after_s : -1);
    }

    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, result);
}


/* gives the lead up and wakes who followed; what they need is in the zone */

static void
ngx_http_binarize_flight_release(ngx_http_binarize_flight_t *flight)
{
    uint64_t                         slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t                       wake;
    ngx_http_binarize_shm_flight_t  *sf;

    flight->leading = 0;

    sf = flight->shm;

    if (sf == NULL) {
        return;
    }

    flight->shm = NULL;
    wake = 0;

    ngx_shmtx_lock(&flight->zone->shpool->mutex);

    if (sf->leader == ngx_pid
        && ngx_memcmp(sf->key, flight->key, sizeof(sf->key)) == 0)
    {
        ngx_memcpy(slots, sf->waiters, sizeof(slots));
        sf->leader = 0;
        wake = 1;
    }

    ngx_shmtx_unlock(&flight->zone->shpool->mutex);

    if (wake) {
        ngx_http_binarize_zone_wake(flight->zone, slots);
    }
}


static void
ngx_http_binarize_flight_land(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_queue_t              *q;
    ngx_http_binarize_ctx_t  *ctx;

    /* a request that is answered may start the next flight of the id */

    ngx_rbtree_delete(&flight->zone->flights, &flight->node);

    while (!ngx_queue_empty(&flight->waiters)) {
        q = ngx_queue_head(&flight->waiters);
        ctx = ngx_queue_data(q, ngx_http_binarize_ctx_t, queue);

        ngx_http_binarize_flight_answer(ctx, result);
    }

    if (result) {
        ngx_http_binarize_result_release(result);
    }

    ngx_http_binarize_flight_free(flight);
}


/* answers who does not want to wait, and sleeps for the others */

static void
ngx_http_binarize_flight_land_pending(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_queue_t              *q, *next, answered;
    ngx_msec_int_t            left_ms;
    ngx_http_binarize_ctx_t  *ctx;

    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    flight->pending = result;
    flight->looked_up = 0;
    flight->sleeping = 1;
    flight->state = ngx_http_binarize_flight_look;

    left_ms = (ngx_msec_int_t) (result->expires_ms - ngx_current_msec);
    ngx_add_timer(&flight->event, (ngx_msec_t) ngx_max(left_ms, 1));

    ngx_queue_init(&answered);

    for (q = ngx_queue_head(&flight->waiters);
         q != ngx_queue_sentinel(&flight->waiters);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_binarize_ctx_t, queue);

        if (!ngx_http_binarize_flight_patient(ctx)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&answered, q);
        }
    }

    /* answering one request may end others, and start new ones */

    while (!ngx_queue_empty(&answered)) {
        q = ngx_queue_head(&answered);
        ctx = ngx_queue_data(q, ngx_http_binarize_ctx_t, queue);

        ngx_http_binarize_flight_answer(ctx, result);
    }

    ngx_http_binarize_flight_idle(flight);
}


/* 1 if the request waits on; arms its deadline */

static ngx_uint_t
ngx_http_binarize_flight_patient(ngx_http_binarize_ctx_t *ctx)
{
    ngx_msec_int_t  left_ms;

    left_ms = (ngx_msec_int_t) (ctx->started_ms + ctx->wait_ms
                                - ngx_current_msec);
    if (left_ms <= 0) {
        return 0;
    }

    if (!ctx->deadline.timer_set) {
        ctx->deadline.handler = ngx_http_binarize_flight_on_deadline;
        ctx->deadline.data = ctx;
        ctx->deadline.log = ngx_cycle->log;

        ngx_add_timer(&ctx->deadline, (ngx_msec_t) left_ms);
    }

    return 1;
}


/*
 * The request has waited long enough for the task.  While a call is in the
 * air it waits for that: its answer is near.
 */

static void
ngx_http_binarize_flight_on_deadline(ngx_event_t *ev)
{
    ngx_http_binarize_ctx_t     *ctx;
    ngx_http_binarize_flight_t  *flight;

    ctx = ev->data;
    flight = ctx->flight;

    if (!flight->sleeping) {
        return;
    }

    ngx_http_binarize_flight_answer(ctx, flight->pending);
    ngx_http_binarize_flight_idle(flight);
}


/* nobody polls when nobody waits */

static void
ngx_http_binarize_flight_idle(ngx_http_binarize_flight_t *flight)
{
    if (!flight->sleeping || !ngx_queue_empty(&flight->waiters)) {
        return;
    }

    ngx_rbtree_delete(&flight->zone->flights, &flight->node);
    ngx_http_binarize_flight_free(flight);
}


static void
ngx_http_binarize_flight_answer(ngx_http_binarize_ctx_t *ctx,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ctx->flight;

    ctx->flight = NULL;
    ngx_queue_remove(&ctx->queue);

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (result) {
        ctx->source = result->source;

        if (ctx->leader) {
            ctx->cloud_calls = flight->tries;

        } else if (ctx->source == NGX_HTTP_BINARIZE_MISS) {
            ctx->source = NGX_HTTP_BINARIZE_COLLAPSED;
        }
    }

    ngx_http_binarize_resume(ctx, result);
}


static void
ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight)
{
    if (flight->event.timer_set) {
        ngx_del_timer(&flight->event);
    }

    if (flight->event.posted) {
        ngx_delete_posted_event(&flight->event);
    }

    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    ngx_destroy_pool(flight->pool);
}
