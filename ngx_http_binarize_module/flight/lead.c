
#include "flight/private.h"


/* an answer that waits until Redis was asked once more; of the flight's pool */
typedef struct {
    ngx_http_binarize_flight_t        *flight;
    ngx_http_binarize_result_t        *result;
    binarize_decision_t                decision;
} ngx_http_binarize_late_t;


static ngx_int_t ngx_http_binarize_lead_look_up(
    ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_l2_handler_pt handler, void *data);
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
static void ngx_http_binarize_lead_decide(ngx_http_binarize_flight_t *flight,
    binarize_ended_t *ended, binarize_decision_t *decision);
static void ngx_http_binarize_lead_on_answer(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch,
    binarize_decision_t *decision);
static void ngx_http_binarize_lead_on_kept(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_lead_fail(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem, time_t retry_after_s);
static void ngx_http_binarize_lead_no_result(
    ngx_http_binarize_flight_t *flight, binarize_decision_t *decision,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_lead_on_late(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms);
static void ngx_http_binarize_lead_keep(ngx_http_binarize_flight_t *flight,
    binarize_decision_t *decision, ngx_http_binarize_result_t *result);
static binarize_source_e ngx_http_binarize_lead_source(
    ngx_http_binarize_flight_t *flight);


void
ngx_http_binarize_lead(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_conf_t  *conf;

    conf = flight->conf;

    flight->leading = 1;

    ngx_http_binarize_flight_renew(flight);

    if (conf->redis && !flight->looked_up) {

        flight->looked_up = 1;

        if (ngx_http_binarize_lead_look_up(flight,
                                           ngx_http_binarize_lead_on_l2,
                                           flight)
            == NGX_OK)
        {
            return;
        }
    }

    ngx_http_binarize_lead_get_token(flight);
}


static ngx_int_t
ngx_http_binarize_lead_look_up(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_l2_handler_pt handler, void *data)
{
    ngx_http_binarize_flight_conf_t  *conf;

    conf = flight->conf;

    flight->purges = ngx_http_binarize_zone_npurges(flight->zone, flight->key);
    flight->redis_us = ngx_http_binarize_metric_clock_us();

    if (ngx_http_binarize_l2_get(conf->redis, &conf->ns, flight->guid,
                                 conf->cloud.max_size, handler, data)
        == NULL)
    {
        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_REDIS_UNUSABLE);
        return NGX_DECLINED;
    }

    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_REDIS);
    return NGX_OK;
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
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0);
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
        ngx_http_binarize_lead_fail(flight, problem, retry_after_s);
        return;
    }

    ngx_http_binarize_lead_take_turn(flight);
}


static void
ngx_http_binarize_lead_on_token(void *data)
{
    /* meanwhile another worker may have landed */

    ngx_http_binarize_flight_look(data);
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
    ngx_http_binarize_flight_land_all(flight, result);
}


/* the turn has come; meanwhile another worker, or node, may have landed */

static void
ngx_http_binarize_lead_on_turn(void *data)
{
    ngx_http_binarize_flight_t *flight = data;

    flight->looked_up = 0;
    flight->relooked = 0;

    ngx_http_binarize_flight_look(flight);
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
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0);
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
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0);
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
    ngx_int_t                    another;
    ngx_msec_t                   timeout_ms;
    binarize_ended_t             ended;
    binarize_decision_t          decision;
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;
    flight->tries += fetch->tries;

    ngx_http_binarize_budget_release(&flight->turn, fetch->tries != 0);
    ngx_http_binarize_flight_count(flight, fetch);

    timeout_ms = flight->conf->cloud.upstream.next_upstream_timeout;

    ngx_memzero(&ended, sizeof(ended));

    ended.end = fetch->end;
    ended.problem = fetch->problem;
    ended.status = fetch->status;
    ended.retry_after_s = fetch->retry_after_s;
    ended.tries_left = (fetch->tries_left != 0);
    ended.time_left = (timeout_ms == 0
                       || ngx_current_msec - flight->called_ms < timeout_ms);
    ended.refused = flight->refused;

    if (fetch->problem == BINARIZE_PROBLEM_NONE) {
        ended.document = fetch->document->envelope.outcome;
    }

    ngx_http_binarize_lead_decide(flight, &ended, &decision);

    another = NGX_DECLINED;

    if (decision.token == BINARIZE_TOKEN_ACCEPTED) {
        ngx_http_binarize_token_accepted(flight->conf->token,
                                         flight->bearer.generation);

    } else if (decision.token == BINARIZE_TOKEN_REFUSED) {
        another = ngx_http_binarize_token_refused(flight->conf->token,
                                                  flight->bearer.generation);
    }

    if (decision.next == BINARIZE_NEXT_OTHERS) {
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    if (decision.next == BINARIZE_NEXT_TURN) {
        flight->max_tries = fetch->tries_left;
        ngx_http_binarize_lead_get_token(flight);
        return;
    }

    if (decision.next == BINARIZE_NEXT_TOKEN && another == NGX_OK) {
        flight->refused = 1;
        flight->max_tries = 0;
        ngx_http_binarize_lead_get_token(flight);
        return;
    }

    if (decision.pause_ms) {
        ngx_http_binarize_token_pause(flight->conf->token,
                                      (time_t) (decision.pause_ms / 1000));
    }

    ngx_http_binarize_lead_on_answer(flight, fetch, &decision);
}


static void
ngx_http_binarize_lead_decide(ngx_http_binarize_flight_t *flight,
    binarize_ended_t *ended, binarize_decision_t *decision)
{
    binarize_pace_t                   pace;
    binarize_answer_t                 before;
    binarize_store_entry_t           *entry;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_flight_conf_t  *conf;

    conf = flight->conf;
    zone = flight->zone;

    pace.valid_ms = (uint64_t) conf->valid_s * 1000;
    pace.negative_ms = conf->negative_ms;
    pace.negative_max_ms = conf->negative_max_ms;
    pace.poll_ms = conf->poll_ms;
    pace.poll_max_ms = conf->poll_max_ms;

    ngx_http_binarize_zone_lock(zone);

    entry = binarize_store_peek(zone->store, flight->key);

    if (entry) {
        ngx_http_binarize_meta_answer(&entry->meta, &before);
    }

    ngx_http_binarize_zone_unlock(zone);

    binarize_outcome_decide(ended, entry ? &before : NULL, flight->polls,
                            &pace, (uint32_t) ngx_random(), decision);
}


static void
ngx_http_binarize_lead_on_answer(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch, binarize_decision_t *decision)
{
    ngx_http_binarize_result_t  *result;

    result = (fetch->problem == BINARIZE_PROBLEM_NONE)
             ? ngx_http_binarize_result_of_fetch(fetch)
             : ngx_http_binarize_result_of_problem(fetch->problem, NULL);

    if (result && fetch->problem == BINARIZE_PROBLEM_NONE
        && result->outcome == BINARIZE_RESULT)
    {
        result->expires_ms = ngx_current_msec + decision->ms;

        if (fetch->blob.entry == NULL) {
            ngx_http_binarize_keep_record(flight, result,
                                          ngx_http_binarize_lead_on_kept);
            return;
        }

        result = ngx_http_binarize_keep_blob(flight, fetch, result);

        if (result) {
            ngx_http_binarize_lead_on_kept(flight, result);
            return;
        }
    }

    if (result == NULL) {
        ngx_http_binarize_lead_fail(flight, BINARIZE_PROBLEM_INTERNAL, 0);
        return;
    }

    ngx_http_binarize_lead_no_result(flight, decision, result);
}


static void
ngx_http_binarize_lead_on_kept(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_keep_l2(flight, result);

    result->source = ngx_http_binarize_lead_source(flight);

    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, result);
}


void
ngx_http_binarize_lead_give_up(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, NULL);
}


/* without a call, or without the memory for what it brought */

static void
ngx_http_binarize_lead_fail(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem, time_t retry_after_s)
{
    binarize_ended_t             ended;
    binarize_decision_t          decision;
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_problem(problem, NULL);

    if (result == NULL) {
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    ngx_memzero(&ended, sizeof(ended));

    ended.problem = problem;
    ended.retry_after_s = retry_after_s;

    ngx_http_binarize_lead_decide(flight, &ended, &decision);
    ngx_http_binarize_lead_no_result(flight, &decision, result);
}


/*
 * There is no result, or none yet, as far as this worker knows.  If it has no
 * lease, or that may have ended since it stood still, another node may have
 * one.
 */

static void
ngx_http_binarize_lead_no_result(ngx_http_binarize_flight_t *flight,
    binarize_decision_t *decision, ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_late_t  *late;

    result->status = decision->answer.status;
    result->repeat = decision->answer.repeat;
    result->expires_ms = ngx_current_msec + decision->ms;
    result->source = ngx_http_binarize_lead_source(flight);

    if (flight->conf->redis
        && (flight->lease == NULL || ngx_current_msec >= flight->held_ms))
    {

        late = ngx_palloc(flight->pool, sizeof(*late));

        if (late) {
            late->flight = flight;
            late->result = result;
            late->decision = *decision;

            if (ngx_http_binarize_lead_look_up(flight,
                                               ngx_http_binarize_lead_on_late,
                                               late)
                == NGX_OK)
            {
                return;
            }
        }
    }

    ngx_http_binarize_lead_keep(flight, decision, result);
}


static void
ngx_http_binarize_lead_on_late(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms)
{
    ngx_http_binarize_late_t *late = data;

    if (rc == NGX_OK) {
        ngx_http_binarize_result_release(late->result);
        ngx_http_binarize_lead_on_l2(late->flight, rc, record, owner, ttl_ms);
        return;
    }

    ngx_http_binarize_metric_redis_lookup(late->flight->zone, rc,
                                ngx_http_binarize_metric_clock_us()
                                - late->flight->redis_us);

    ngx_http_binarize_lead_keep(late->flight, &late->decision, late->result);
}


static void
ngx_http_binarize_lead_keep(ngx_http_binarize_flight_t *flight,
    binarize_decision_t *decision, ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_result_t  *kept;

    kept = ngx_http_binarize_keep_state(flight, result, decision->remember);

    if (kept == result && decision->told && flight->conf->redis) {
        ngx_http_binarize_nodes_publish_state(flight, result);
    }

    ngx_http_binarize_flight_release(flight);
    ngx_http_binarize_flight_land(flight, kept);
}


static binarize_source_e
ngx_http_binarize_lead_source(ngx_http_binarize_flight_t *flight)
{
    return (flight->conf->l1 || flight->conf->redis)
           ? BINARIZE_SOURCE_MISS : BINARIZE_SOURCE_BYPASS;
}
