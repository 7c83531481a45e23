
#include "flight/private.h"


static void ngx_http_binarize_call_on_token(void *data);
static void ngx_http_binarize_call_on_turn(void *data);
static void ngx_http_binarize_call_on_revised(void *data);
static uint64_t ngx_http_binarize_call_turn_ms(
    ngx_http_binarize_flight_t *flight);
static ngx_int_t ngx_http_binarize_call_try_again(
    ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_call_not_tried(
    ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_call_on_done(ngx_http_binarize_fetch_t *fetch);
static binarize_flight_event_t ngx_http_binarize_call_ended(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static void ngx_http_binarize_call_decide(ngx_http_binarize_flight_t *flight,
    binarize_ended_t *ended);
static binarize_flight_event_t ngx_http_binarize_call_answer(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch);
static binarize_flight_event_t ngx_http_binarize_call_fail(
    ngx_http_binarize_flight_t *flight, binarize_problem_e problem,
    time_t retry_after_s);
static binarize_flight_event_t ngx_http_binarize_call_no_result(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);


binarize_flight_event_t
ngx_http_binarize_flight_token(binarize_flight_t *core)
{
    time_t                       retry_after_s;
    ngx_int_t                    rc;
    binarize_problem_e           problem;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    if (ngx_http_binarize_call_stopped()) {
        return ngx_http_binarize_flight_known(flight, NULL);
    }

    flight->token_waiter.handler = ngx_http_binarize_call_on_token;
    flight->token_waiter.data = flight;

    rc = ngx_http_binarize_token_get(flight->conf->token, &flight->bearer,
                                     &flight->token_waiter, &problem,
                                     &retry_after_s);

    switch (rc) {

    case NGX_OK:
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_BEARER, 0);

    case NGX_AGAIN:
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_NO_BEARER, 0);

    default: /* NGX_DECLINED */
        return ngx_http_binarize_call_fail(flight, problem, retry_after_s);
    }
}


static void
ngx_http_binarize_call_on_token(void *data)
{
    ngx_http_binarize_flight_event(data,
                       ngx_http_binarize_flight_says(BINARIZE_FLIGHT_DUE, 0));
}


void
ngx_http_binarize_flight_drop_token(binarize_flight_t *core)
{
    ngx_http_binarize_token_drop(
                             &((ngx_http_binarize_flight_t *) core)->bearer);
}


binarize_flight_event_t
ngx_http_binarize_flight_turn(binarize_flight_t *core)
{
    uint64_t                     until_ms;
    ngx_int_t                    rc;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    flight->turn.handler = ngx_http_binarize_call_on_turn;
    flight->turn.revised = ngx_http_binarize_call_on_revised;
    flight->turn.data = flight;

    /* who was declared dead while it stood still may not lead any more */

    if (!ngx_http_binarize_claim_owned(flight, &until_ms)) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_GRANTED, 0);
    }

    if (core->nwaiters) {
        until_ms = ngx_max(until_ms, core->until_ms);
    }

    rc = ngx_http_binarize_budget_take(flight->conf->budget, &flight->turn,
                       (until_ms > ngx_current_msec)
                       ? (ngx_msec_t) (until_ms - ngx_current_msec) : 0);

    flight->retry_ms = flight->turn.retry_ms;

    switch (rc) {

    case NGX_OK:
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_MAY_CALL, 0);

    case NGX_AGAIN:
        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_BUDGET_WAITED);

        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_QUEUED,
                                    ngx_http_binarize_call_turn_ms(flight));

    default: /* NGX_DECLINED */
        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_BUDGET_REFUSED);

        return ngx_http_binarize_flight_known(flight,
                                     ngx_http_binarize_flight_no_turn(flight));
    }
}


static void
ngx_http_binarize_call_on_turn(void *data)
{
    ngx_http_binarize_flight_event(data,
                   ngx_http_binarize_flight_says(BINARIZE_FLIGHT_GRANTED, 0));
}


static void
ngx_http_binarize_call_on_revised(void *data)
{
    ngx_http_binarize_flight_t *flight = data;

    flight->retry_ms = flight->turn.retry_ms;

    ngx_http_binarize_flight_event(flight,
                     ngx_http_binarize_flight_says(BINARIZE_FLIGHT_REVISED,
                                    ngx_http_binarize_call_turn_ms(flight)));
}


static uint64_t
ngx_http_binarize_call_turn_ms(ngx_http_binarize_flight_t *flight)
{
    return flight->turn.due_now ? 0 : ngx_max(flight->turn.due_ms, 1);
}


void
ngx_http_binarize_flight_give_turn(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    ngx_http_binarize_budget_release(&flight->turn, 0);
}


binarize_flight_event_t
ngx_http_binarize_flight_call(binarize_flight_t *core)
{
    ngx_int_t                    rc;
    ngx_http_binarize_fetch_t   *fetch;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    fetch = ngx_http_binarize_fetch_create(&flight->conf->cloud);
    if (fetch == NULL) {
        return ngx_http_binarize_call_fail(flight, BINARIZE_PROBLEM_INTERNAL,
                                           0);
    }

    ngx_memcpy(fetch->key, flight->key, sizeof(fetch->key));
    ngx_memcpy(fetch->guid, flight->guid, sizeof(fetch->guid));

    fetch->store_zone = flight->conf->l1 ? flight->zone : NULL;
    fetch->headers = flight->headers;
    fetch->host = flight->host;
    fetch->ssl_name = flight->ssl_name;
    fetch->try_again = ngx_http_binarize_call_try_again;
    fetch->not_tried = ngx_http_binarize_call_not_tried;
    fetch->max_tries = flight->max_tries;
    fetch->fresh = (flight->max_tries != 0);
    fetch->done = ngx_http_binarize_call_on_done;
    fetch->data = flight;

    fetch->token = flight->bearer.text;

    if (flight->max_tries == 0) {
        flight->called_ms = ngx_current_msec;
    }

    rc = ngx_http_binarize_fetch_start(fetch);

    ngx_http_binarize_token_drop(&flight->bearer);

    if (rc != NGX_OK) {
        return ngx_http_binarize_call_fail(flight, BINARIZE_PROBLEM_INTERNAL,
                                           0);
    }

    if (flight->pending) {
        ngx_http_binarize_metric_inc(flight->zone, NGX_HTTP_BINARIZE_M_POLLS);
    }

    return ngx_http_binarize_flight_asked();
}


/* each try is one more of the budget, and the leader's to make */

static ngx_int_t
ngx_http_binarize_call_try_again(ngx_http_binarize_fetch_t *fetch)
{
    uint64_t                     until_ms;
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;

    if (!ngx_http_binarize_claim_owned(flight, &until_ms)) {
        return NGX_DECLINED;
    }

    return ngx_http_binarize_budget_again(&flight->turn);
}


static void
ngx_http_binarize_call_not_tried(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;

    ngx_http_binarize_budget_not_again(&flight->turn);
}


static void
ngx_http_binarize_call_on_done(ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_flight_t  *flight;

    flight = fetch->data;
    flight->tries += fetch->tries;

    ngx_http_binarize_budget_release(&flight->turn, fetch->tries != 0);
    ngx_http_binarize_flight_count(flight, fetch);

    ngx_http_binarize_flight_event(flight,
                                 ngx_http_binarize_call_ended(flight, fetch));
}


static binarize_flight_event_t
ngx_http_binarize_call_ended(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    ngx_int_t             another;
    ngx_msec_t            timeout_ms;
    binarize_ended_t      ended;
    binarize_decision_t  *decision;

    decision = &flight->decision;
    timeout_ms = flight->conf->cloud.upstream.next_upstream_timeout;

    ngx_memzero(&ended, sizeof(ended));

    ended.end = fetch->end;
    ended.problem = fetch->problem;
    ended.status = fetch->status;
    ended.retry_after_s = fetch->retry_after_s;
    ended.tries_left = (fetch->tries_left != 0);
    ended.time_left = (timeout_ms == 0
                       || ngx_current_msec - flight->called_ms < timeout_ms);
    ended.refused = (flight->core.refusals != 0);

    if (fetch->problem == BINARIZE_PROBLEM_NONE) {
        ended.document = fetch->document->envelope.outcome;
    }

    ngx_http_binarize_call_decide(flight, &ended);

    another = NGX_DECLINED;

    if (decision->token == BINARIZE_TOKEN_ACCEPTED) {
        ngx_http_binarize_token_accepted(flight->conf->token,
                                         flight->bearer.generation);

    } else if (decision->token == BINARIZE_TOKEN_REFUSED) {
        another = ngx_http_binarize_token_refused(flight->conf->token,
                                                  flight->bearer.generation);
    }

    flight->max_tries = 0;

    if (decision->next == BINARIZE_NEXT_TURN) {
        flight->max_tries = fetch->tries_left;

        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_AGAIN, 0);
    }

    if (decision->next == BINARIZE_NEXT_TOKEN && another == NGX_OK) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_REFUSED, 0);
    }

    ngx_http_binarize_turn_new(&flight->turn);

    if (decision->next == BINARIZE_NEXT_OTHERS) {
        ngx_http_binarize_flight_take(flight, NULL);

        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_STOPPED, 0);
    }

    if (decision->pause_ms) {
        ngx_http_binarize_token_pause(flight->conf->token,
                                      (time_t) (decision->pause_ms / 1000));
    }

    return ngx_http_binarize_call_answer(flight, fetch);
}


static void
ngx_http_binarize_call_decide(ngx_http_binarize_flight_t *flight,
    binarize_ended_t *ended)
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
                            &pace, (uint32_t) ngx_random(),
                            &flight->decision);
}


static binarize_flight_event_t
ngx_http_binarize_call_answer(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    ngx_http_binarize_result_t  *result;

    if (fetch->problem != BINARIZE_PROBLEM_NONE) {
        return ngx_http_binarize_call_no_result(flight,
                    ngx_http_binarize_result_of_problem(fetch->problem, NULL));
    }

    result = ngx_http_binarize_result_of_fetch(fetch);

    if (result && result->outcome != BINARIZE_RESULT) {
        return ngx_http_binarize_call_no_result(flight, result);
    }

    if (result) {
        result->expires_ms = ngx_current_msec + flight->decision.ms;
    }

    if (result && fetch->blob.entry) {
        result = ngx_http_binarize_keep_blob(flight, fetch, result);

        if (result) {
            result->source = ngx_http_binarize_flight_fetched(flight);
            ngx_http_binarize_keep_l2(flight, result);

            return ngx_http_binarize_flight_known(flight, result);
        }
    }

    if (result == NULL) {
        return ngx_http_binarize_call_fail(flight, BINARIZE_PROBLEM_INTERNAL,
                                           0);
    }

    result->source = ngx_http_binarize_flight_fetched(flight);
    ngx_http_binarize_keep_l2(flight, result);
    ngx_http_binarize_flight_take(flight, result);

    return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_RESULT, 0);
}


/* without a call, or without the memory for what it brought */

static binarize_flight_event_t
ngx_http_binarize_call_fail(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem, time_t retry_after_s)
{
    binarize_ended_t  ended;

    ngx_memzero(&ended, sizeof(ended));

    ended.problem = problem;
    ended.retry_after_s = retry_after_s;

    ngx_http_binarize_call_decide(flight, &ended);

    return ngx_http_binarize_call_no_result(flight,
                           ngx_http_binarize_result_of_problem(problem, NULL));
}


static binarize_flight_event_t
ngx_http_binarize_call_no_result(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_flight_take(flight, result);

    if (result == NULL) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_FOUND, 0);
    }

    result->status = flight->decision.answer.status;
    result->repeat = flight->decision.answer.repeat;
    result->expires_ms = ngx_current_msec + flight->decision.ms;
    result->source = ngx_http_binarize_flight_fetched(flight);

    return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_NO_RESULT, 0);
}


binarize_flight_event_t
ngx_http_binarize_flight_keep(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t  *flight;
    ngx_http_binarize_result_t  *kept;

    flight = (ngx_http_binarize_flight_t *) core;

    flight->hand->refs++;
    kept = ngx_http_binarize_keep_state(flight, flight->hand,
                                        flight->decision.remember);

    if (kept == flight->hand && flight->decision.told && flight->conf->redis) {
        ngx_http_binarize_nodes_publish_state(flight, kept);
    }

    return ngx_http_binarize_flight_known(flight, kept);
}
