
#include "flight/private.h"


/* a cloud's 429 or 503 without Retry-After, seconds */
#define NGX_HTTP_BINARIZE_BUSY_S          5


static void ngx_http_binarize_lead_on_l2(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms);
static void ngx_http_binarize_lead_on_record_kept(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);
static void ngx_http_binarize_lead_get_token(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_lead_on_token(void *data);
static void ngx_http_binarize_lead_take_turn(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_lead_no_turn(ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_lead_on_turn(void *data);
static void ngx_http_binarize_lead_on_revised(void *data);
static void ngx_http_binarize_lead_fetch(ngx_http_binarize_flight_t *flight);
static ngx_int_t ngx_http_binarize_lead_try_again(
    ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_lead_not_tried(
    ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_lead_on_fetch(
    ngx_http_binarize_fetch_t *fetch);
static ngx_uint_t ngx_http_binarize_lead_retry(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_lead_on_result(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_lead_on_kept(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_lead_done(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_lead_fail(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem, ngx_uint_t status,
    time_t retry_after_s);
static binarize_source_e ngx_http_binarize_lead_source(
    ngx_http_binarize_flight_t *flight);
static ngx_int_t ngx_http_binarize_lead_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight);


/* unless binarize_set_header says otherwise */
static ngx_str_t  ngx_http_binarize_lead_accept =
                                 ngx_string("Accept: application/json" CRLF);


void
ngx_http_binarize_lead(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_conf_t  *conf;

    conf = flight->conf;

    flight->leading = 1;

    if (!flight->turn.granted) {
        flight->refused = 0;
        flight->max_tries = 0;
        ngx_http_binarize_turn_new(&flight->turn);
    }

    ngx_http_binarize_flight_renew(flight);

    if (conf->redis && !flight->looked_up) {

        flight->looked_up = 1;
        flight->purges = ngx_http_binarize_zone_npurges(flight->zone,
                                                       flight->key);
        flight->redis_us = ngx_http_binarize_metric_clock_us();

        if (ngx_http_binarize_l2_get(conf->redis, &conf->ns, flight->guid,
                                     conf->cloud.max_size,
                                     ngx_http_binarize_lead_on_l2, flight)
            != NULL)
        {
            ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                         NGX_HTTP_BINARIZE_G_REDIS);
            return;
        }

        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_REDIS_UNUSABLE);
    }

    ngx_http_binarize_lead_get_token(flight);
}


static void
ngx_http_binarize_lead_on_l2(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms)
{
    ngx_http_binarize_flight_t *flight = data;

    ngx_http_binarize_result_t  *result;

    ngx_http_binarize_metric_redis_lookup(flight->zone, rc,
                      ngx_http_binarize_metric_clock_us() - flight->redis_us);

    if (rc == NGX_DECLINED) {
        ngx_http_binarize_nodes_ask(flight);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_binarize_lead_to_cloud(flight);
        return;
    }

    if (flight->purges
        != ngx_http_binarize_zone_npurges(flight->zone, flight->key))
    {
        /* it may have been read before it was purged */

        ngx_http_binarize_l2_free(owner);
        flight->looked_up = 0;

        ngx_http_binarize_lead(flight);
        return;
    }

    result = ngx_http_binarize_result_of_record(record, owner);
    if (result == NULL) {
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0, 0);
        return;
    }

    result->source = ngx_http_binarize_flight_source(flight,
                                                     BINARIZE_SOURCE_REDIS);

    if (ttl_ms > 0) {
        result->expires_ms = ngx_current_msec + ttl_ms;
    }

    ngx_http_binarize_keep_record(flight, result,
                                  ngx_http_binarize_lead_on_record_kept);
}


static void
ngx_http_binarize_lead_on_record_kept(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, result);
}


void
ngx_http_binarize_lead_to_cloud(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_lead_get_token(flight);
}


static void
ngx_http_binarize_lead_get_token(ngx_http_binarize_flight_t *flight)
{
    time_t                       retry_after_s;
    ngx_int_t                    rc;
    binarize_problem_e  problem;

    /* for somebody, and by a worker that may still make calls */

    if (ngx_http_binarize_flight_unwanted(flight)
        || ngx_http_binarize_call_stopped())
    {
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    flight->token_waiter.handler = ngx_http_binarize_lead_on_token;
    flight->token_waiter.data = flight;

    rc = ngx_http_binarize_token_get(flight->conf->token, &flight->bearer,
                                     &flight->token_waiter, &problem,
                                     &retry_after_s);
    if (rc == NGX_AGAIN) {
        ngx_http_binarize_budget_release(&flight->turn, 0);
        ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                     NGX_HTTP_BINARIZE_G_TOKEN);
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_binarize_lead_fail(flight, problem, 0, retry_after_s);
        return;
    }

    ngx_http_binarize_lead_take_turn(flight);
}


static void
ngx_http_binarize_lead_on_token(void *data)
{
    ngx_http_binarize_lead_get_token(data);
}


static void
ngx_http_binarize_lead_take_turn(ngx_http_binarize_flight_t *flight)
{
    ngx_int_t  rc;

    flight->turn.handler = ngx_http_binarize_lead_on_turn;
    flight->turn.revised = ngx_http_binarize_lead_on_revised;
    flight->turn.data = flight;

    rc = ngx_http_binarize_budget_take(flight->conf->budget, &flight->turn,
                                    ngx_http_binarize_flight_patience(flight));

    if (rc == NGX_OK) {
        ngx_http_binarize_lead_fetch(flight);
        return;
    }

    /* by then it may be another token */

    ngx_http_binarize_token_drop(&flight->bearer);

    flight->due_ms = flight->turn.due_ms;
    flight->retry_ms = flight->turn.retry_ms;

    if (rc == NGX_DECLINED) {
        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_BUDGET_REFUSED);
        ngx_http_binarize_lead_no_turn(flight);
        return;
    }

    ngx_http_binarize_metric_inc(flight->zone,
                                 NGX_HTTP_BINARIZE_M_BUDGET_WAITED);
    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_BUDGET);

    /* other nodes may be more patient, or have a turn before */

    ngx_http_binarize_nodes_release(flight);

    ngx_http_binarize_flight_await_turn(flight);
}


/* nobody who waits can wait for the turn */

static void
ngx_http_binarize_lead_no_turn(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_flight_no_turn(flight, 1);

    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, result);
}


/* the turn has come; meanwhile another node may have landed */

static void
ngx_http_binarize_lead_on_turn(void *data)
{
    ngx_http_binarize_flight_t *flight = data;

    flight->queued = 0;

    if (ngx_http_binarize_flight_unwanted(flight)) {
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    flight->looked_up = 0;
    flight->relooked = 0;

    ngx_http_binarize_lead(flight);
}


static void
ngx_http_binarize_lead_on_revised(void *data)
{
    ngx_http_binarize_flight_t *flight = data;

    flight->due_ms = flight->turn.due_ms;
    flight->retry_ms = flight->turn.retry_ms;

    ngx_http_binarize_flight_await_turn(flight);
}


static void
ngx_http_binarize_lead_fetch(ngx_http_binarize_flight_t *flight)
{
    ngx_int_t                   rc;
    ngx_http_binarize_fetch_t  *fetch;

    fetch = ngx_http_binarize_fetch_create(&flight->conf->cloud);
    if (fetch == NULL) {
        ngx_http_binarize_token_drop(&flight->bearer);
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0, 0);
        return;
    }

    ngx_memcpy(fetch->key, flight->key, sizeof(fetch->key));
    ngx_memcpy(fetch->guid, flight->guid, sizeof(fetch->guid));

    fetch->store_zone = flight->conf->l1 ? flight->zone : NULL;
    fetch->headers = flight->headers;
    fetch->host = flight->host;
    fetch->ssl_name = flight->ssl_name;
    fetch->try_again = ngx_http_binarize_lead_try_again;
    fetch->not_tried = ngx_http_binarize_lead_not_tried;
    fetch->max_tries = flight->max_tries;
    fetch->fresh = (flight->max_tries != 0);
    fetch->done = ngx_http_binarize_lead_on_fetch;
    fetch->data = flight;

    fetch->token = flight->bearer.text;

    if (flight->max_tries == 0) {
        flight->called_ms = ngx_current_msec;
    }

    rc = ngx_http_binarize_fetch_start(fetch);

    ngx_http_binarize_token_drop(&flight->bearer);

    if (rc != NGX_OK) {
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0, 0);
        return;
    }

    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_FETCHING);

    if (flight->pending) {
        ngx_http_binarize_metric_inc(flight->zone, NGX_HTTP_BINARIZE_M_POLLS);
    }
}


/* each try is one more of the budget */

static ngx_int_t
ngx_http_binarize_lead_try_again(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;

    return ngx_http_binarize_budget_again(&flight->turn);
}


static void
ngx_http_binarize_lead_not_tried(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;

    ngx_http_binarize_budget_not_again(&flight->turn);
}


static void
ngx_http_binarize_lead_on_fetch(ngx_http_binarize_fetch_t *fetch)
{
    time_t                       retry_after_s;
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;
    flight->tries += fetch->tries;

    ngx_http_binarize_budget_release(&flight->turn, fetch->tries != 0);

    if (fetch->stopped) {
        /* paid all the same, and it says nothing of the cloud */

        ngx_http_binarize_metric_add(flight->zone,
                                     NGX_HTTP_BINARIZE_M_CLOUD_TRIES
                                     + flight->conf->ns_index, fetch->tries);
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    ngx_http_binarize_flight_count(flight, fetch);

    if (fetch->status != NGX_HTTP_UNAUTHORIZED && fetch->status) {
        ngx_http_binarize_token_accepted(flight->conf->token,
                                         flight->bearer.generation);
    }

    if (fetch->problem == BINARIZE_PROBLEM_NONE) {
        ngx_http_binarize_lead_on_result(flight, fetch);
        return;
    }

    if (ngx_http_binarize_lead_retry(flight, fetch)) {
        ngx_http_binarize_lead_get_token(flight);
        return;
    }

    retry_after_s = fetch->retry_after_s;

    if (fetch->problem == BINARIZE_PROBLEM_BUSY && retry_after_s < 0) {
        retry_after_s = NGX_HTTP_BINARIZE_BUSY_S;
    }

    if (fetch->status == NGX_HTTP_TOO_MANY_REQUESTS) {
        ngx_http_binarize_token_pause(flight->conf->token, retry_after_s);
    }

    ngx_http_binarize_lead_fail(flight, fetch->problem, fetch->status,
                                retry_after_s);
}


/*
 * 401: one new token, one retry.  Or the next try on an upstream had no turn
 * at once: it gets one, before others who wait.
 */

static ngx_uint_t
ngx_http_binarize_lead_retry(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    ngx_msec_t  timeout_ms;

    if (fetch->tries_left) {
        flight->max_tries = fetch->tries_left;
        timeout_ms = flight->conf->cloud.upstream.next_upstream_timeout;

        return timeout_ms == 0
               || ngx_current_msec - flight->called_ms < timeout_ms;
    }

    if (fetch->status != NGX_HTTP_UNAUTHORIZED || flight->refused) {
        return 0;
    }

    flight->refused = 1;
    flight->max_tries = 0;

    return ngx_http_binarize_token_refused(flight->conf->token,
                                           flight->bearer.generation)
           == NGX_OK;
}


static void
ngx_http_binarize_lead_on_result(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_fetch(fetch);
    if (result == NULL) {
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0, 0);
        return;
    }

    switch (result->outcome) {

    case BINARIZE_RESULT:
        result->expires_ms = ngx_current_msec
                             + (uint64_t) flight->conf->valid_s * 1000;

        if (fetch->blob.entry == NULL) {
            ngx_http_binarize_keep_record(flight, result,
                                          ngx_http_binarize_lead_on_kept);
            return;
        }

        result = ngx_http_binarize_keep_blob(flight, fetch, result);

        if (result == NULL) {
            ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0,
                                        0);
            return;
        }

        ngx_http_binarize_lead_on_kept(flight, result);
        return;

    case BINARIZE_PENDING:
        ngx_http_binarize_keep_answer(flight, result, BINARIZE_STORE_PENDING,
                                      fetch->retry_after_s);
        break;

    default:
        ngx_http_binarize_keep_answer(flight, result, BINARIZE_STORE_NEGATIVE,
                                      0);
    }

    ngx_http_binarize_lead_done(flight, result);
}


static void
ngx_http_binarize_lead_on_kept(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_keep_l2(flight, result);
    ngx_http_binarize_lead_done(flight, result);
}


static void
ngx_http_binarize_lead_done(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    result->source = ngx_http_binarize_lead_source(flight);

    ngx_http_binarize_flight_release(flight);

    if (ngx_http_binarize_flight_goes_on(flight, result)) {
        ngx_http_binarize_flight_land_pending(flight, result);
        return;
    }

    ngx_http_binarize_flight_land(flight, result);
}


void
ngx_http_binarize_lead_give_up(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, NULL);
}


/* the flight ends without a document */

static void
ngx_http_binarize_lead_fail(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem, ngx_uint_t status,
    time_t retry_after_s)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_problem(problem, NULL);

    if (result) {
        result->status = status;
        result->source = ngx_http_binarize_lead_source(flight);
        result->retry_after_s = ngx_max(retry_after_s, 0);

        /* of a turn others may have more luck, or patience */

        if (problem != BINARIZE_PROBLEM_BUDGET) {
            ngx_http_binarize_keep_answer(flight, result,
                                          BINARIZE_STORE_NEGATIVE,
                                          problem == BINARIZE_PROBLEM_BUSY
                                          ? retry_after_s : 0);
        }
    }

    ngx_http_binarize_flight_release(flight);

    if (result && ngx_http_binarize_flight_goes_on(flight, result)) {
        ngx_http_binarize_flight_land_pending(flight, result);
        return;
    }

    ngx_http_binarize_flight_land(flight, result);
}


static binarize_source_e
ngx_http_binarize_lead_source(ngx_http_binarize_flight_t *flight)
{
    return (flight->conf->l1 || flight->conf->redis)
           ? BINARIZE_SOURCE_MISS : BINARIZE_SOURCE_BYPASS;
}


/* what depends on the request that starts the flight */

ngx_int_t
ngx_http_binarize_lead_eval(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_conf_t  *conf;
#if (NGX_HTTP_SSL)
    ngx_str_t                      name;
#endif

    conf = flight->conf;

    flight->host = conf->cloud.target->authority;
    flight->ssl_name = conf->cloud.target->host;
    flight->headers = ngx_http_binarize_lead_accept;

    if (conf->headers
        && ngx_http_binarize_lead_eval_headers(r, flight) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if (conf->cloud.upstream.ssl_name) {
        if (ngx_http_complex_value(r, conf->cloud.upstream.ssl_name, &name)
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
ngx_http_binarize_lead_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    size_t                       size;
    u_char                      *p;
    ngx_str_t                   *values;
    ngx_uint_t                   i, accept;
    ngx_http_binarize_header_t  *h;

    h = flight->conf->headers->elts;

    values = ngx_palloc(r->pool, flight->conf->headers->nelts
                                 * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    size = ngx_http_binarize_lead_accept.len;

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
    accept = 0;

    for (i = 0; i < flight->conf->headers->nelts; i++) {

        if (h[i].name.len == 6
            && ngx_strncasecmp(h[i].name.data, (u_char *) "Accept", 6) == 0)
        {
            accept = 1;
        }

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

    if (!accept) {
        p = ngx_cpymem(p, ngx_http_binarize_lead_accept.data,
                       ngx_http_binarize_lead_accept.len);
    }

    flight->headers.len = p - flight->headers.data;

    return NGX_OK;
}
