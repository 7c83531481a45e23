
#include "flight/private.h"


/* what a turn of the event loop answers at most */
#define NGX_HTTP_BINARIZE_LANDING_WAITERS  64
#define NGX_HTTP_BINARIZE_LANDING_SIZE     (2 * 1024 * 1024)


static void ngx_http_binarize_landing_on_event(ngx_event_t *ev);
static void ngx_http_binarize_landing_on_deadline(ngx_event_t *ev);
static void ngx_http_binarize_landing_leave(
    ngx_http_binarize_waiter_t *waiter);


void
ngx_http_binarize_landing_init_process(ngx_http_binarize_zone_t *zone)
{
    ngx_http_binarize_flights_t  *flights;

    flights = zone->flights;

    binarize_waiters_init(&flights->landed);

    flights->on_landed.handler = ngx_http_binarize_landing_on_event;
    flights->on_landed.data = flights;
    flights->on_landed.log = ngx_cycle->log;
}


void
ngx_http_binarize_flight_answer(binarize_flight_t *core,
    binarize_waiter_t *waiters, binarize_flight_by_e by)
{
    binarize_waiter_t            *w;
    ngx_http_binarize_flight_t   *flight;
    ngx_http_binarize_result_t   *result;
    ngx_http_binarize_waiter_t   *waiter;
    ngx_http_binarize_flights_t  *flights;

    flight = (ngx_http_binarize_flight_t *) core;
    flights = flight->zone->flights;

    result = (by == BINARIZE_FLIGHT_BY_TURN)
             ? ngx_http_binarize_flight_no_turn(flight) : flight->hand;

    for (w = waiters->next; w != waiters; w = w->next) {
        waiter = (ngx_http_binarize_waiter_t *) w;
        waiter->result = result;

        if (result == NULL) {
            continue;
        }

        result->refs++;
        waiter->source = result->source;

        if (waiter->leader) {
            waiter->cloud_calls = flight->tries;

        } else if (waiter->source == BINARIZE_SOURCE_MISS
                   || waiter->source == BINARIZE_SOURCE_BYPASS)
        {
            waiter->source = BINARIZE_SOURCE_COLLAPSED;
        }
    }

    if (result && by == BINARIZE_FLIGHT_BY_TURN) {
        ngx_http_binarize_result_release(result);
    }

    binarize_waiters_move(&flights->landed, waiters);
    ngx_http_binarize_flight_hold(flights);

    if (!flights->on_landed.posted) {
        ngx_post_event(&flights->on_landed, &ngx_posted_events);
    }
}


/*
 * To answer one may end others, and start flights.  Who waits behind them for
 * this turn of the event loop is not made to wait for all.
 */

static void
ngx_http_binarize_landing_on_event(ngx_event_t *ev)
{
    size_t                        size;
    ngx_uint_t                    n;
    ngx_http_binarize_result_t   *result;
    ngx_http_binarize_waiter_t   *waiter;
    ngx_http_binarize_flights_t  *flights;

    flights = ev->data;
    size = 0;

    for (n = 0; !binarize_waiters_empty(&flights->landed); n++) {

        if (n == NGX_HTTP_BINARIZE_LANDING_WAITERS
            || size > NGX_HTTP_BINARIZE_LANDING_SIZE)
        {
            if (!ev->posted) {
                ngx_post_event(ev, &ngx_posted_next_events);
            }

            return;
        }

        waiter = (ngx_http_binarize_waiter_t *)
                                    binarize_waiters_shift(&flights->landed);
        result = waiter->result;

        if (result) {
            size += result->png_size + result->doc.len;
        }

        /* the handler may free the waiter */

        waiter->result = NULL;
        ngx_http_binarize_landing_leave(waiter);

        waiter->handler(waiter, result);

        if (result) {
            ngx_http_binarize_result_release(result);
        }
    }

    ngx_http_binarize_flight_hold(flights);
}


void
ngx_http_binarize_flight_leave(ngx_http_binarize_waiter_t *waiter)
{
    if (waiter->core.next == NULL) {
        return;
    }

    ngx_http_binarize_landing_leave(waiter);

    if (waiter->result) {
        ngx_http_binarize_result_release(waiter->result);
        waiter->result = NULL;
    }

    binarize_flight_leave(&waiter->core, ngx_current_msec);
}


static void
ngx_http_binarize_landing_leave(ngx_http_binarize_waiter_t *waiter)
{
    ngx_http_binarize_gauge_add(waiter->zone, NGX_HTTP_BINARIZE_G_WAITING, -1);

    if (waiter->deadline.timer_set) {
        ngx_del_timer(&waiter->deadline);
    }
}


void
ngx_http_binarize_flight_arm(binarize_waiter_t *core, uint64_t at_ms)
{
    ngx_msec_int_t               left_ms;
    ngx_http_binarize_waiter_t  *waiter;

    waiter = (ngx_http_binarize_waiter_t *) core;

    waiter->deadline.handler = ngx_http_binarize_landing_on_deadline;
    waiter->deadline.data = waiter;
    waiter->deadline.log = ngx_cycle->log;

    left_ms = (ngx_msec_int_t) (at_ms - ngx_current_msec);
    ngx_add_timer(&waiter->deadline, (ngx_msec_t) ngx_max(left_ms, 1));
}


static void
ngx_http_binarize_landing_on_deadline(ngx_event_t *ev)
{
    ngx_http_binarize_waiter_t  *waiter;

    waiter = ev->data;

    binarize_flight_on_deadline(&waiter->core, ngx_current_msec);
}


/* what to answer who does not wait for the turn; NULL: no memory */

ngx_http_binarize_result_t *
ngx_http_binarize_flight_no_turn(ngx_http_binarize_flight_t *flight)
{
    time_t                       s;
    ngx_http_binarize_result_t  *result;

    /* if others wait for it, the answer is there when the turn has been */

    if (flight->core.nwaiters == 0 && flight->turn.waiting) {
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
    result->source = ngx_http_binarize_flight_fetched(flight);

    return result;
}
