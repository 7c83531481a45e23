
#include "budget/private.h"


static void ngx_http_binarize_budget_ticket_locked(
    ngx_http_binarize_budget_view_t *view, ngx_http_binarize_turn_t *turn);
static ngx_int_t ngx_http_binarize_budget_try_locked(
    ngx_http_binarize_budget_view_t *view);
static void ngx_http_binarize_budget_enqueue(ngx_http_binarize_turn_t *turn);
static uint64_t ngx_http_binarize_budget_own_ahead(
    ngx_http_binarize_turn_t *turn);
static void ngx_http_binarize_budget_on_event(ngx_event_t *ev);
static void ngx_http_binarize_budget_serve(ngx_http_binarize_budget_t *budget);
static ngx_http_binarize_turn_t *ngx_http_binarize_budget_next(
    ngx_http_binarize_budget_t *budget, ngx_msec_t *wait_ms);
static void ngx_http_binarize_budget_revise(
    ngx_http_binarize_budget_t *budget, ngx_http_binarize_turn_t *first,
    ngx_http_binarize_turn_t *estimate);
static void ngx_http_binarize_budget_arm(ngx_http_binarize_budget_t *budget,
    ngx_msec_t ms);
static void ngx_http_binarize_budget_activate(
    ngx_http_binarize_budget_t *budget);


ngx_int_t
ngx_http_binarize_budget_take(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn, ngx_msec_t patience_ms)
{
    uint64_t                          ahead;
    ngx_int_t                         rc;
    ngx_uint_t                        shared;
    ngx_msec_t                        left_ms;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_budget_view_t   view;

    if (budget == NULL || turn->granted) {
        return NGX_OK;
    }

    if (turn->waiting) {
        return NGX_AGAIN;
    }

    turn->budget = budget;
    turn->member = 0;

    zone = budget->shm_zone->data;
    shared = ngx_http_binarize_budget_shared(budget);

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, budget);

    if (view.lane == NULL) {
        ngx_http_binarize_zone_unlock(zone);

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "binarize_budget: more workers than zone \"%V\" has "
                      "room for", &budget->shm_zone->shm.name);

        turn->retry_ms = ngx_current_msec + 1000;

        return NGX_DECLINED;
    }

    ahead = ngx_http_binarize_budget_ahead_locked(&view, turn->ticket)
            + ngx_http_binarize_budget_own_ahead(turn);

    if (ahead == 0 && !shared
        && ngx_http_binarize_budget_try_locked(&view) == NGX_OK)
    {
        ngx_http_binarize_budget_ticket_locked(&view, turn);
        ngx_http_binarize_budget_grant(turn);
        rc = NGX_OK;

    } else {
        left_ms = ngx_http_binarize_budget_estimate_locked(&view, turn, ahead);
        rc = NGX_DECLINED;

        if (left_ms <= patience_ms) {
            turn->due_now = (left_ms == 0);
            ngx_http_binarize_budget_ticket_locked(&view, turn);
            ngx_http_binarize_budget_enqueue(turn);
            rc = NGX_AGAIN;
        }
    }

    ngx_http_binarize_budget_show_locked(&view);

    ngx_http_binarize_zone_unlock(zone);

    if (rc == NGX_DECLINED) {
        ngx_http_binarize_turn_new(turn);
        return NGX_DECLINED;
    }

    ngx_http_binarize_budget_activate(budget);

    if (rc == NGX_AGAIN && ahead == 0) {
        ngx_http_binarize_budget_post(budget);
    }

    return rc;
}


/* who is refused gets none: what lies between two tickets are turns */

static void
ngx_http_binarize_budget_ticket_locked(ngx_http_binarize_budget_view_t *view,
    ngx_http_binarize_turn_t *turn)
{
    if (turn->ticket == 0) {
        view->sb->ticket++;
        turn->ticket = view->sb->ticket;
    }
}


/* the budget as this zone knows it; a quota kept in Redis is not known here */

static ngx_int_t
ngx_http_binarize_budget_try_locked(ngx_http_binarize_budget_view_t *view)
{
    ngx_http_binarize_budget_t  *budget;

    budget = view->budget;

    if (budget->redis && budget->limits.quota) {
        return NGX_AGAIN;
    }

    if (!ngx_http_binarize_budget_unit_locked(view, 0)) {
        return NGX_AGAIN;
    }

    return (binarize_budget_take(&view->sb->state, &budget->limits,
                                 view->now_us, ngx_time())
            == BINARIZE_OK)
           ? NGX_OK : NGX_AGAIN;
}


void
ngx_http_binarize_budget_grant(ngx_http_binarize_turn_t *turn)
{
    turn->granted = 1;
    turn->started_ms = ngx_current_msec;
    turn->budget->held++;

    ngx_queue_insert_tail(&turn->budget->granted, &turn->queue);
}


static void
ngx_http_binarize_budget_enqueue(ngx_http_binarize_turn_t *turn)
{
    ngx_queue_t               *q, *turns;
    ngx_http_binarize_turn_t  *other;

    turns = &turn->budget->turns;

    for (q = ngx_queue_last(turns);
         q != ngx_queue_sentinel(turns);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_http_binarize_turn_t, queue);

        if (other->ticket < turn->ticket) {
            break;
        }
    }

    ngx_queue_insert_after(q, &turn->queue);

    turn->waiting = 1;
    turn->budget->nwaiting++;
}


void
ngx_http_binarize_budget_dequeue(ngx_http_binarize_turn_t *turn)
{
    if (turn->budget->cursor == &turn->queue) {
        turn->budget->cursor = ngx_queue_next(&turn->queue);
    }

    if (turn->budget->asking == turn) {
        turn->budget->asking = NULL;
    }

    ngx_queue_remove(&turn->queue);

    turn->waiting = 0;
    turn->budget->nwaiting--;
}


/* of this worker */

static uint64_t
ngx_http_binarize_budget_own_ahead(ngx_http_binarize_turn_t *turn)
{
    uint64_t                   ahead;
    ngx_queue_t               *q, *turns;
    ngx_http_binarize_turn_t  *other;

    if (turn->ticket == 0) {
        return turn->budget->nwaiting;
    }

    turns = &turn->budget->turns;
    ahead = 0;

    for (q = ngx_queue_head(turns);
         q != ngx_queue_sentinel(turns);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_binarize_turn_t, queue);

        if (other->ticket >= turn->ticket) {
            break;
        }

        ahead++;
    }

    return ahead;
}


ngx_int_t
ngx_http_binarize_budget_again(ngx_http_binarize_turn_t *turn)
{
    ngx_int_t                         rc;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_budget_t       *budget;
    ngx_http_binarize_budget_view_t   view;

    budget = turn->budget;

    if (budget == NULL || !turn->granted) {
        return NGX_OK;
    }

    if (budget->redis) {
        return NGX_DECLINED;
    }

    zone = budget->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, budget);

    rc = (binarize_budget_take(&view.sb->state, &budget->limits, view.now_us,
                               ngx_time())
          == BINARIZE_OK)
         ? NGX_OK : NGX_DECLINED;

    ngx_http_binarize_zone_unlock(zone);

    return rc;
}


void
ngx_http_binarize_budget_not_again(ngx_http_binarize_turn_t *turn)
{
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_budget_t       *budget;
    ngx_http_binarize_budget_view_t   view;

    budget = turn->budget;

    if (budget == NULL || !turn->granted) {
        return;
    }

    zone = budget->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, budget);

    binarize_budget_give_back(&view.sb->state, &budget->limits, view.now_us,
                              ngx_time());

    ngx_http_binarize_zone_unlock(zone);
}


void
ngx_http_binarize_budget_release(ngx_http_binarize_turn_t *turn,
    ngx_uint_t made)
{
    uint64_t                          passed_ms;
    ngx_uint_t                        token;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_budget_t       *budget;
    ngx_http_binarize_budget_view_t   view;
    uint64_t                          slots[NGX_HTTP_BINARIZE_SLOTS / 64];

    budget = turn->budget;

    if (!turn->granted && !turn->waiting) {
        return;
    }

    zone = budget->shm_zone->data;
    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, budget);

    if (turn->waiting) {
        ngx_http_binarize_budget_dequeue(turn);

    } else {
        ngx_queue_remove(&turn->queue);
        turn->granted = 0;
        budget->held--;

        if (made) {
            passed_ms = ngx_current_msec - turn->started_ms;
            view.sb->call_ms = view.sb->call_ms
                               ? (view.sb->call_ms * 7 + passed_ms) / 8
                               : passed_ms;

        } else {
            binarize_budget_give_back(&view.sb->state, &budget->limits,
                                      view.now_us, ngx_time());
        }
    }

    ngx_http_binarize_budget_show_locked(&view);
    ngx_http_binarize_budget_front_slot_locked(&view, slots);

    token = ngx_current_msec < view.sb->token_ms;

    ngx_http_binarize_zone_unlock(zone);

    if (turn->member) {
        ngx_http_binarize_budget_give_back(turn, made);
        turn->member = 0;
    }

    /* who comes next: a token call, another worker's turn, or one of ours */

    if (token) {
        budget->on_unit(budget->owner);
    }

    ngx_http_binarize_zone_wake(zone, slots);

    ngx_http_binarize_budget_post(budget);
}


uint64_t
ngx_http_binarize_budget_retry_ms(ngx_http_binarize_turn_t *turn)
{
    uint64_t                          ahead;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_turn_t          estimate;
    ngx_http_binarize_budget_view_t   view;

    if (!turn->waiting) {
        return turn->retry_ms;
    }

    zone = turn->budget->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, turn->budget);

    /* without this one */

    ahead = ngx_http_binarize_budget_ahead_locked(&view, 0)
            + turn->budget->nwaiting - 1;

    (void) ngx_http_binarize_budget_estimate_locked(&view, &estimate, ahead);

    ngx_http_binarize_zone_unlock(zone);

    return estimate.retry_ms;
}


ngx_uint_t
ngx_http_binarize_budget_token_begin_locked(ngx_http_binarize_budget_t *budget,
    ngx_uint_t needed)
{
    ngx_http_binarize_turn_t         *turn;
    ngx_http_binarize_budget_view_t   view;

    if (budget == NULL || budget->limits.concurrency == 0) {
        return 1;
    }

    turn = &budget->token_turn;

    if (turn->granted) {
        /* the call before was given up as lost */
        return 1;
    }

    ngx_http_binarize_budget_open_locked(&view, budget);

    if (!ngx_http_binarize_budget_unit_locked(&view, 1)) {

        if (needed) {
            view.sb->token_ms = ngx_current_msec
                                + NGX_HTTP_BINARIZE_BUDGET_BEAT_MS;
        }

        return 0;
    }

    view.sb->token_ms = 0;

    turn->budget = budget;
    turn->member = 0;

    ngx_http_binarize_budget_grant(turn);
    ngx_http_binarize_budget_show_locked(&view);

    /* Redis is told on the next occasion, and not asked */

    ngx_http_binarize_budget_activate(budget);
    ngx_http_binarize_budget_post(budget);

    return 1;
}


/* it counts for concurrency only: there is nothing to be given back */

void
ngx_http_binarize_budget_token_end(ngx_http_binarize_budget_t *budget)
{
    if (budget) {
        ngx_http_binarize_budget_release(&budget->token_turn, 1);
    }
}


void
ngx_http_binarize_budget_post(ngx_http_binarize_budget_t *budget)
{
    if (!budget->event.posted) {
        ngx_post_event(&budget->event, &ngx_posted_events);
    }
}


static void
ngx_http_binarize_budget_on_event(ngx_event_t *ev)
{
    ngx_http_binarize_budget_serve(ev->data);
}


static void
ngx_http_binarize_budget_activate(ngx_http_binarize_budget_t *budget)
{
    ngx_http_binarize_zone_t  *zone;

    if (budget->active) {
        return;
    }

    zone = budget->shm_zone->data;

    ngx_queue_insert_tail(&zone->sleepers, &budget->sleeper.queue);

    budget->active = 1;
    budget->sleeper.event = &budget->event;
    budget->event.handler = ngx_http_binarize_budget_on_event;
    budget->event.data = budget;
    budget->event.log = ngx_cycle->log;

    ngx_http_binarize_budget_arm(budget, NGX_HTTP_BINARIZE_BUDGET_BEAT_MS);
}


static void
ngx_http_binarize_budget_serve(ngx_http_binarize_budget_t *budget)
{
    ngx_msec_t                 wait_ms;
    ngx_http_binarize_turn_t  *turn;

    for ( ;; ) {
        turn = ngx_http_binarize_budget_next(budget, &wait_ms);

        if (turn == NULL) {
            break;
        }

        turn->handler(turn->data);
    }

    if (budget->held) {
        ngx_http_binarize_budget_keep(budget);
    }

    if (budget->nwaiting || budget->held) {
        ngx_http_binarize_budget_arm(budget, wait_ms);
        return;
    }

    if (budget->event.timer_set) {
        ngx_del_timer(&budget->event);
    }

    if (budget->active) {
        budget->active = 0;
        ngx_queue_remove(&budget->sleeper.queue);
    }
}


/* the next turn that has come, or NULL and when to look again */

static ngx_http_binarize_turn_t *
ngx_http_binarize_budget_next(ngx_http_binarize_budget_t *budget,
    ngx_msec_t *wait_ms)
{
    ngx_msec_t                        left_ms;
    ngx_uint_t                        shared, first, unit;
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_turn_t         *turn, estimate;
    ngx_http_binarize_budget_view_t   view;
    uint64_t                          slots[NGX_HTTP_BINARIZE_SLOTS / 64];

    *wait_ms = NGX_HTTP_BINARIZE_BUDGET_BEAT_MS;

    zone = budget->shm_zone->data;
    shared = ngx_http_binarize_budget_shared(budget);

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_budget_open_locked(&view, budget);
    ngx_http_binarize_budget_show_locked(&view);

    if (ngx_queue_empty(&budget->turns)) {
        ngx_http_binarize_zone_unlock(zone);
        return NULL;
    }

    turn = ngx_queue_data(ngx_queue_head(&budget->turns),
                          ngx_http_binarize_turn_t, queue);

    first = (ngx_http_binarize_budget_front_locked(&view) == view.lane);

    if (first && !shared
        && ngx_http_binarize_budget_try_locked(&view) == NGX_OK)
    {
        ngx_http_binarize_budget_dequeue(turn);
        ngx_http_binarize_budget_grant(turn);
        ngx_http_binarize_budget_show_locked(&view);

        ngx_memzero(slots, sizeof(slots));
        ngx_http_binarize_budget_front_slot_locked(&view, slots);

        ngx_http_binarize_zone_unlock(zone);

        ngx_http_binarize_zone_wake(zone, slots);

        return turn;
    }

    left_ms = ngx_http_binarize_budget_estimate_locked(&view, &estimate,
                       ngx_http_binarize_budget_ahead_locked(&view,
                                                             turn->ticket));

    unit = ngx_http_binarize_budget_unit_locked(&view, 0);

    ngx_http_binarize_zone_unlock(zone);

    if (left_ms) {
        ngx_http_binarize_budget_revise(budget, turn, &estimate);
    }

    /* who frees a unit, or is served before, wakes us */

    if (!first || !unit) {
        return NULL;
    }

    if (shared && left_ms == 0) {
        ngx_http_binarize_budget_ask(budget, turn);
        return NULL;
    }

    *wait_ms = ngx_min(*wait_ms, ngx_max(left_ms, 1));

    return NULL;
}


/* when the first has to wait for longer than was thought, so have all */

static void
ngx_http_binarize_budget_revise(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *first, ngx_http_binarize_turn_t *estimate)
{
    int64_t                    later_ms, retry_later_ms;
    ngx_queue_t               *turns;
    ngx_http_binarize_turn_t  *turn;

    later_ms = estimate->due_ms - first->due_ms;
    retry_later_ms = estimate->retry_ms - first->retry_ms;

    /* a rounding is not a change, nor that nobody knows when a call ends */

    if (!first->due_now
        && (later_ms <= 20 || estimate->due_ms <= ngx_current_msec + 1))
    {
        return;
    }

    turns = &budget->turns;
    budget->cursor = ngx_queue_head(turns);

    while (budget->cursor != ngx_queue_sentinel(turns)) {
        turn = ngx_queue_data(budget->cursor, ngx_http_binarize_turn_t, queue);
        budget->cursor = ngx_queue_next(budget->cursor);

        turn->due_now = 0;
        turn->due_ms += later_ms;
        turn->retry_ms += retry_later_ms;

        turn->revised(turn->data);
    }

    budget->cursor = NULL;
}


static void
ngx_http_binarize_budget_arm(ngx_http_binarize_budget_t *budget, ngx_msec_t ms)
{
    if (budget->event.timer_set) {
        ngx_del_timer(&budget->event);
    }

    /* calls in the air have timers of their own */

    budget->event.cancelable = (budget->nwaiting == 0);

    ngx_add_timer(&budget->event, ms);
}
