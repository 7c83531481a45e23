
#include "flight/private.h"


static void ngx_http_binarize_flight_sleep(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_on_turn_timeout(
    ngx_http_binarize_waiter_t *waiter);
static void ngx_http_binarize_flight_on_deadline(ngx_event_t *ev);
static void ngx_http_binarize_flight_answer(ngx_http_binarize_waiter_t *waiter,
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_flight_end(ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight);


void
ngx_http_binarize_flight_land(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    binarize_answer_t  answer;

    if (result) {
        ngx_http_binarize_result_answer(result, &answer);

        if (binarize_answer_goes_on(&answer, flight->pending != NULL)) {
            flight->polls = ngx_max(flight->polls,
                                    binarize_answer_polls(&answer));

            ngx_http_binarize_flight_sleep(flight, result);
            return;
        }
    }

    ngx_http_binarize_flight_land_all(flight, result);
}


void
ngx_http_binarize_flight_land_all(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_queue_t                 *q;
    ngx_http_binarize_waiter_t  *waiter;

    /* a request that is answered may start the next flight of the id */

    ngx_http_binarize_flight_end(flight);

    while (!ngx_queue_empty(&flight->waiters)) {
        q = ngx_queue_head(&flight->waiters);
        waiter = ngx_queue_data(q, ngx_http_binarize_waiter_t, queue);

        ngx_http_binarize_flight_answer(waiter, result);
    }

    if (result) {
        ngx_http_binarize_result_release(result);
    }
}


/* answers who does not want to wait, and sleeps for the others */

static void
ngx_http_binarize_flight_sleep(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    ngx_queue_t     answered;
    ngx_msec_int_t  left_ms;

    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    flight->pending = result;
    flight->sleeping = 1;
    flight->state = ngx_http_binarize_flight_look;

    ngx_http_binarize_flight_rest(flight);
    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_SLEEPING);

    left_ms = (ngx_msec_int_t) (result->expires_ms - ngx_current_msec);
    ngx_add_timer(&flight->event, (ngx_msec_t) ngx_max(left_ms, 1));

    ngx_http_binarize_flight_split_waiters(flight,
                                    ngx_http_binarize_flight_can_wait,
                                    &answered);
    ngx_http_binarize_flight_answer_all(flight, &answered, result);
}


void
ngx_http_binarize_flight_rest(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_budget_release(&flight->turn, 0);
    ngx_http_binarize_turn_new(&flight->turn);

    flight->max_tries = 0;
    flight->refused = 0;
    flight->looked_up = 0;
    flight->relooked = 0;
}


void
ngx_http_binarize_flight_split_waiters(ngx_http_binarize_flight_t *flight,
    ngx_uint_t (*stays)(ngx_http_binarize_waiter_t *waiter),
    ngx_queue_t *others)
{
    ngx_queue_t              *q, *next;
    ngx_http_binarize_waiter_t  *waiter;

    ngx_queue_init(others);

    for (q = ngx_queue_head(&flight->waiters);
         q != ngx_queue_sentinel(&flight->waiters);
         q = next)
    {
        next = ngx_queue_next(q);
        waiter = ngx_queue_data(q, ngx_http_binarize_waiter_t, queue);

        if (!stays(waiter)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(others, q);
        }
    }
}


/* answering one request may end others, and start new ones */

void
ngx_http_binarize_flight_answer_all(ngx_http_binarize_flight_t *flight,
    ngx_queue_t *answered, ngx_http_binarize_result_t *result)
{
    ngx_queue_t              *q;
    ngx_http_binarize_waiter_t  *waiter;

    while (!ngx_queue_empty(answered)) {
        q = ngx_queue_head(answered);
        waiter = ngx_queue_data(q, ngx_http_binarize_waiter_t, queue);

        ngx_http_binarize_flight_answer(waiter, result);
    }

    ngx_http_binarize_flight_end_if_unwanted(flight);
}


/*
 * The turn has not come in time.  The leader's may have come meanwhile: then
 * it calls, and that is waited for.
 */

static void
ngx_http_binarize_flight_on_turn_timeout(ngx_http_binarize_waiter_t *waiter)
{
    ngx_uint_t                       i, calls;
    ngx_http_binarize_flight_t      *flight;
    ngx_http_binarize_result_t      *result;
    ngx_http_binarize_shm_flight_t  *sf;

    flight = waiter->flight;
    calls = 0;

    if (flight->following) {
        sf = ngx_http_binarize_zone_flights(flight->zone, flight->key);

        ngx_http_binarize_zone_lock(flight->zone);

        for (i = 0; i < NGX_HTTP_BINARIZE_WAYS; i++) {
            if (sf[i].leader && sf[i].turn_ms == 0
                && ngx_memcmp(sf[i].key, flight->key, sizeof(sf[i].key)) == 0)
            {
                calls = 1;
            }
        }

        ngx_http_binarize_zone_unlock(flight->zone);
    }

    if (calls) {
        return;
    }

    result = ngx_http_binarize_flight_no_turn(flight,
                                      ngx_queue_head(&flight->waiters)
                                      == ngx_queue_last(&flight->waiters));

    ngx_http_binarize_flight_answer(waiter, result);

    if (result) {
        ngx_http_binarize_result_release(result);
    }

    ngx_http_binarize_flight_end_if_unwanted(flight);
}


/* 1 if the request waits on; arms its deadline */

ngx_uint_t
ngx_http_binarize_flight_can_wait(ngx_http_binarize_waiter_t *waiter)
{
    ngx_msec_int_t  left_ms;

    left_ms = (ngx_msec_int_t) (waiter->started_ms + waiter->wait_ms
                                - ngx_current_msec);
    if (left_ms <= 0) {
        return 0;
    }

    if (!waiter->deadline.timer_set) {
        ngx_http_binarize_flight_arm_deadline(waiter, (ngx_msec_t) left_ms);
    }

    return 1;
}


void
ngx_http_binarize_flight_arm_deadline(ngx_http_binarize_waiter_t *waiter,
    ngx_msec_t ms)
{
    waiter->deadline.handler = ngx_http_binarize_flight_on_deadline;
    waiter->deadline.data = waiter;
    waiter->deadline.log = ngx_cycle->log;

    ngx_add_timer(&waiter->deadline, ms);
}


/*
 * The request has waited long enough for the task.  While a call is in the
 * air it waits for that: its answer is near.
 */

static void
ngx_http_binarize_flight_on_deadline(ngx_event_t *ev)
{
    ngx_http_binarize_waiter_t     *waiter;
    ngx_http_binarize_flight_t  *flight;

    waiter = ev->data;
    flight = waiter->flight;

    if (flight->queued) {
        ngx_http_binarize_flight_on_turn_timeout(waiter);
        return;
    }

    if (!flight->sleeping) {
        return;
    }

    ngx_http_binarize_flight_answer(waiter, flight->pending);
    ngx_http_binarize_flight_end_if_unwanted(flight);
}


/* nobody polls, nor takes a turn, when nobody waits */

void
ngx_http_binarize_flight_end_if_unwanted(ngx_http_binarize_flight_t *flight)
{
    if (!(flight->sleeping || flight->queued)
        || !ngx_queue_empty(&flight->waiters))
    {
        return;
    }

    if (flight->queued && flight->leading) {

        /* those who follow may be more patient */

        if (!ngx_http_binarize_flight_unwanted(flight)) {
            return;
        }

        ngx_http_binarize_flight_release(flight);
    }

    ngx_http_binarize_flight_end(flight);
}


static void
ngx_http_binarize_flight_answer(ngx_http_binarize_waiter_t *waiter,
    ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_flight_t  *flight;

    flight = waiter->flight;

    waiter->flight = NULL;
    ngx_queue_remove(&waiter->queue);
    ngx_http_binarize_gauge_add(flight->zone, NGX_HTTP_BINARIZE_G_WAITING, -1);

    if (waiter->deadline.timer_set) {
        ngx_del_timer(&waiter->deadline);
    }

    if (result) {
        waiter->source = result->source;

        if (waiter->leader) {
            waiter->cloud_calls = flight->tries;

        } else if (waiter->source == BINARIZE_SOURCE_MISS
                   || waiter->source == BINARIZE_SOURCE_BYPASS)
        {
            waiter->source = BINARIZE_SOURCE_COLLAPSED;
        }
    }

    waiter->handler(waiter, result);
}


/*
 * Once, as often as it is called: answering a request may end others, and
 * with the last of them the flight.  It is freed by the event loop, when
 * nobody on the call stack has it in his hands.
 */

static void
ngx_http_binarize_flight_end(ngx_http_binarize_flight_t *flight)
{
    if (flight->state == ngx_http_binarize_flight_free) {
        return;
    }

    if (flight->following) {
        ngx_queue_remove(&flight->sleeper.queue);
    }

    ngx_rbtree_delete(&flight->zone->flights, &flight->node);

    ngx_http_binarize_budget_release(&flight->turn, 0);
    ngx_http_binarize_token_drop(&flight->bearer);

    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_NONE);

    flight->state = ngx_http_binarize_flight_free;

    if (flight->event.timer_set) {
        ngx_del_timer(&flight->event);
    }

    ngx_post_event(&flight->event, &ngx_posted_events);
}


static void
ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight)
{
    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    ngx_destroy_pool(flight->pool);
}
