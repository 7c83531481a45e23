
#include "flight/private.h"


static void ngx_http_binarize_flight_show_turn(
    ngx_http_binarize_flight_t *flight);


uint64_t
ngx_http_binarize_flight_patient_until(ngx_http_binarize_flight_t *flight)
{
    uint64_t                  until_ms;
    ngx_queue_t              *q;
    ngx_http_binarize_waiter_t  *waiter;

    until_ms = 0;

    for (q = ngx_queue_head(&flight->waiters);
         q != ngx_queue_sentinel(&flight->waiters);
         q = ngx_queue_next(q))
    {
        waiter = ngx_queue_data(q, ngx_http_binarize_waiter_t, queue);
        until_ms = ngx_max(until_ms, waiter->started_ms + waiter->wait_ms);
    }

    return until_ms;
}


ngx_msec_t
ngx_http_binarize_flight_patience(ngx_http_binarize_flight_t *flight)
{
    uint64_t  until_ms;

    until_ms = ngx_http_binarize_flight_patient_until(flight);

    if (flight->shm) {
        ngx_http_binarize_zone_lock(flight->zone);
        until_ms = ngx_max(until_ms, flight->shm->patience_ms);
        ngx_http_binarize_zone_unlock(flight->zone);
    }

    return (until_ms > ngx_current_msec) ? until_ms - ngx_current_msec : 0;
}


ngx_uint_t
ngx_http_binarize_flight_unwanted(ngx_http_binarize_flight_t *flight)
{
    return ngx_queue_empty(&flight->waiters)
           && ngx_http_binarize_flight_patience(flight) == 0;
}


void
ngx_http_binarize_flight_await_turn(ngx_http_binarize_flight_t *flight)
{
    ngx_queue_t                  answered;
    ngx_http_binarize_result_t  *result;

    flight->queued = 1;

    if (flight->leading) {
        ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                     NGX_HTTP_BINARIZE_G_BUDGET);
        ngx_http_binarize_flight_show_turn(flight);
    }

    ngx_http_binarize_flight_split_waiters(flight,
                                  ngx_http_binarize_flight_can_wait_for_turn,
                                    &answered);

    if (ngx_queue_empty(&answered)) {
        ngx_http_binarize_flight_end_if_unwanted(flight);
        return;
    }

    result = ngx_http_binarize_flight_no_turn(flight,
                                           ngx_queue_empty(&flight->waiters));

    ngx_http_binarize_flight_answer_all(flight, &answered, result);

    if (result) {
        ngx_http_binarize_result_release(result);
    }
}


/*
 * The other workers' flights of the id go by it, too: their requests may have
 * less patience, or more
 */

static void
ngx_http_binarize_flight_show_turn(ngx_http_binarize_flight_t *flight)
{
    uint64_t                         slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_shm_flight_t  *sf;

    sf = flight->shm;

    if (sf == NULL || flight->turn.due_now) {
        return;
    }

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(flight->zone);

    if (sf->leader == ngx_pid
        && ngx_memcmp(sf->key, flight->key, sizeof(sf->key)) == 0)
    {
        sf->turn_ms = ngx_max(flight->due_ms, 1);
        ngx_http_binarize_flight_slots(sf, slots);
    }

    ngx_http_binarize_zone_unlock(flight->zone);

    ngx_http_binarize_zone_wake(flight->zone, slots);
}


/* 1 if the request can wait for the flight's turn; arms its deadline */

ngx_uint_t
ngx_http_binarize_flight_can_wait_for_turn(ngx_http_binarize_waiter_t *waiter)
{
    ngx_http_binarize_flight_t  *flight;

    flight = waiter->flight;

    if (flight->leading && flight->turn.due_now) {
        (void) ngx_http_binarize_flight_can_wait(waiter);
        return 1;
    }

    return waiter->started_ms + waiter->wait_ms >= flight->due_ms
           && ngx_http_binarize_flight_can_wait(waiter);
}


/* what to answer who does not wait for the turn; NULL: no memory */

ngx_http_binarize_result_t *
ngx_http_binarize_flight_no_turn(ngx_http_binarize_flight_t *flight,
    ngx_uint_t last)
{
    time_t                       s;
    ngx_http_binarize_result_t  *result;

    /* if others wait for it, the answer is there when the turn has been */

    if (last && flight->leading) {
        flight->retry_ms = ngx_http_binarize_budget_retry_ms(&flight->turn);
    }

    if (flight->pending) {
        flight->pending->expires_ms = flight->retry_ms;
        flight->pending->refs++;

        return flight->pending;
    }

    result = ngx_http_binarize_result_of_problem(BINARIZE_PROBLEM_BUDGET,
                                                 NULL);
    if (result == NULL) {
        return NULL;
    }

    s = ((ngx_msec_int_t) (flight->retry_ms - ngx_current_msec) + 999) / 1000;

    result->retry_after_s = ngx_max(s, 1);
    result->source = (flight->conf->l1 || flight->conf->redis)
                     ? BINARIZE_SOURCE_MISS : BINARIZE_SOURCE_BYPASS;

    return result;
}
