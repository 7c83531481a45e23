
#include "budget/private.h"


static void ngx_http_binarize_budget_enqueue(ngx_http_binarize_turn_t *turn);
static void ngx_http_binarize_budget_first(
    ngx_http_binarize_budget_t *budget);
static uint64_t ngx_http_binarize_budget_own_ahead(
    ngx_http_binarize_turn_t *turn);
static void ngx_http_binarize_budget_on_event(ngx_event_t *ev);
static void ngx_http_binarize_budget_serve(ngx_http_binarize_budget_t *budget);
static ngx_http_binarize_turn_t *ngx_http_binarize_budget_next(
    ngx_http_binarize_budget_t *budget, uint64_t *look_ms);
static void ngx_http_binarize_budget_revise(
    ngx_http_binarize_budget_t *budget, ngx_http_binarize_turn_t *first,
    binarize_turn_estimate_t *estimate);
static void ngx_http_binarize_budget_arm(ngx_http_binarize_budget_t *budget,
    ngx_msec_t ms);
static void ngx_http_binarize_budget_activate(
    ngx_http_binarize_budget_t *budget);


#define ngx_http_binarize_budget_has_lane(budget)                             \
    ((ngx_uint_t) ngx_process_slot                                            \
     < ((ngx_http_binarize_zone_t *) (budget)->shm_zone->data)->shm->nlanes)


ngx_int_t
ngx_http_binarize_budget_take(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn, ngx_msec_t patience_ms)
{
    binarize_turns_look_t     look;
    binarize_turn_verdict_e   verdict;
    binarize_turn_estimate_t  estimate;

    if (budget == NULL || turn->granted) {
        return NGX_OK;
    }

    if (turn->waiting) {
        return NGX_AGAIN;
    }

    turn->budget = budget;
    turn->member = 0;

    if (!ngx_http_binarize_budget_has_lane(budget)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "binarize_budget: more workers than zone \"%V\" has "
                      "room for", &budget->shm_zone->shm.name);

        turn->retry_ms = ngx_current_msec + 1000;

        return NGX_DECLINED;
    }

    ngx_http_binarize_budget_open(budget, &look);

    verdict = binarize_turns_want(&look, &turn->ticket,
                                  ngx_http_binarize_budget_own_ahead(turn),
                                  patience_ms, &estimate);

    if (verdict == BINARIZE_TURN_GRANTED) {
        ngx_http_binarize_budget_grant(turn);

    } else {
        turn->due_ms = ngx_current_msec + estimate.wait_ms;
        turn->retry_ms = ngx_current_msec + estimate.retry_ms;
    }

    if (verdict == BINARIZE_TURN_QUEUED) {
        turn->due_now = (estimate.wait_ms == 0);
        ngx_http_binarize_budget_enqueue(turn);
    }

    ngx_http_binarize_budget_close(budget, &look);

    if (verdict == BINARIZE_TURN_REFUSED) {
        ngx_http_binarize_turn_new(turn);
        return NGX_DECLINED;
    }

    ngx_http_binarize_budget_activate(budget);

    if (verdict == BINARIZE_TURN_GRANTED) {
        return NGX_OK;
    }

    if (budget->lane.ticket == turn->ticket) {
        ngx_http_binarize_budget_post(budget);
    }

    return NGX_AGAIN;
}


void
ngx_http_binarize_budget_grant(ngx_http_binarize_turn_t *turn)
{
    turn->granted = 1;
    turn->started_ms = ngx_current_msec;

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
    turn->budget->lane.nwaiting++;
    ngx_http_binarize_budget_first(turn->budget);
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
    turn->budget->lane.nwaiting--;
    ngx_http_binarize_budget_first(turn->budget);
}


static void
ngx_http_binarize_budget_first(ngx_http_binarize_budget_t *budget)
{
    ngx_http_binarize_turn_t  *turn;

    budget->lane.ticket = 0;

    if (!ngx_queue_empty(&budget->turns)) {
        turn = ngx_queue_data(ngx_queue_head(&budget->turns),
                              ngx_http_binarize_turn_t, queue);
        budget->lane.ticket = turn->ticket;
    }
}


/* of this worker; a new turn, without a ticket, is behind all */

static uint64_t
ngx_http_binarize_budget_own_ahead(ngx_http_binarize_turn_t *turn)
{
    uint64_t                   ahead;
    ngx_queue_t               *q, *turns;
    ngx_http_binarize_turn_t  *other;

    turns = &turn->budget->turns;
    ahead = 0;

    for (q = ngx_queue_head(turns);
         q != ngx_queue_sentinel(turns);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_binarize_turn_t, queue);

        if (turn->ticket && other->ticket >= turn->ticket) {
            break;
        }

        ahead++;
    }

    return ahead;
}


ngx_int_t
ngx_http_binarize_budget_again(ngx_http_binarize_turn_t *turn)
{
    ngx_int_t                    rc;
    binarize_turns_look_t        look;
    ngx_http_binarize_budget_t  *budget;

    budget = turn->budget;

    if (budget == NULL || !turn->granted) {
        return NGX_OK;
    }

    if (budget->redis) {
        return NGX_DECLINED;
    }

    ngx_http_binarize_budget_open(budget, &look);

    rc = (binarize_budget_take(&look.turns->budget, &budget->limits,
                               look.now_us, look.unix_s)
          == BINARIZE_OK)
         ? NGX_OK : NGX_DECLINED;

    ngx_http_binarize_budget_close(budget, &look);

    return rc;
}


void
ngx_http_binarize_budget_not_again(ngx_http_binarize_turn_t *turn)
{
    binarize_turns_look_t        look;
    ngx_http_binarize_budget_t  *budget;

    budget = turn->budget;

    if (budget == NULL || !turn->granted) {
        return;
    }

    ngx_http_binarize_budget_open(budget, &look);

    binarize_budget_give_back(&look.turns->budget, &budget->limits,
                              look.now_us, look.unix_s);

    ngx_http_binarize_budget_close(budget, &look);
}


void
ngx_http_binarize_budget_release(ngx_http_binarize_turn_t *turn,
    ngx_uint_t made)
{
    ngx_uint_t                   token;
    binarize_turns_look_t        look;
    ngx_http_binarize_budget_t  *budget;
    uint64_t                     slots[NGX_HTTP_BINARIZE_SLOTS / 64];

    budget = turn->budget;

    if (!turn->granted && !turn->waiting) {
        return;
    }

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_budget_open(budget, &look);

    if (turn->waiting) {
        ngx_http_binarize_budget_dequeue(turn);

    } else {
        ngx_queue_remove(&turn->queue);
        turn->granted = 0;

        binarize_turns_release(&look, made,
                               ngx_current_msec - turn->started_ms);
    }

    binarize_turns_wake(&look, 0, slots);
    token = binarize_turns_token_waits(&look);

    ngx_http_binarize_budget_close(budget, &look);

    if (turn->member) {
        ngx_http_binarize_budget_give_back(turn, made);
        turn->member = 0;
    }

    /* who comes next: a token call, another worker's turn, or one of ours */

    if (token) {
        budget->on_unit(budget->owner);
    }

    ngx_http_binarize_zone_wake(budget->shm_zone->data, slots);

    ngx_http_binarize_budget_post(budget);
}


uint64_t
ngx_http_binarize_budget_retry_ms(ngx_http_binarize_turn_t *turn)
{
    binarize_turns_look_t     look;
    binarize_turn_estimate_t  estimate;

    if (!turn->waiting) {
        return turn->retry_ms;
    }

    ngx_http_binarize_budget_open(turn->budget, &look);

    /* without this one */

    binarize_turns_estimate(&look, 1, &estimate);

    ngx_http_binarize_budget_close(turn->budget, &look);

    return ngx_current_msec + estimate.retry_ms;
}


ngx_uint_t
ngx_http_binarize_budget_token_begin_locked(ngx_http_binarize_budget_t *budget,
    ngx_uint_t needed)
{
    binarize_turns_look_t      look;
    ngx_http_binarize_turn_t  *turn;

    if (budget == NULL || budget->limits.concurrency == 0
        || !ngx_http_binarize_budget_has_lane(budget))
    {
        return 1;
    }

    turn = &budget->token_turn;

    if (turn->granted) {
        /* the call before was given up as lost */
        return 1;
    }

    ngx_http_binarize_budget_look_locked(budget, &look);

    if (!binarize_turns_token(&look, needed)) {
        return 0;
    }

    turn->budget = budget;
    turn->member = 0;

    ngx_http_binarize_budget_grant(turn);

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

    ngx_http_binarize_budget_arm(budget, BINARIZE_TURNS_LOOK_MS);
}


static void
ngx_http_binarize_budget_serve(ngx_http_binarize_budget_t *budget)
{
    uint64_t                   look_ms;
    ngx_http_binarize_turn_t  *turn;

    for ( ;; ) {
        turn = ngx_http_binarize_budget_next(budget, &look_ms);

        if (turn == NULL) {
            break;
        }

        turn->handler(turn->data);
    }

    if (budget->lane.nheld) {
        ngx_http_binarize_budget_keep(budget);
    }

    if (budget->lane.nwaiting || budget->lane.nheld) {
        ngx_http_binarize_budget_arm(budget, look_ms);
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
    uint64_t *look_ms)
{
    binarize_turns_look_t      look;
    binarize_turn_verdict_e    verdict;
    binarize_turn_estimate_t   estimate;
    ngx_http_binarize_turn_t  *turn;
    uint64_t                   slots[NGX_HTTP_BINARIZE_SLOTS / 64];

    *look_ms = BINARIZE_TURNS_LOOK_MS;

    if (ngx_queue_empty(&budget->turns)) {
        return NULL;
    }

    turn = ngx_queue_data(ngx_queue_head(&budget->turns),
                          ngx_http_binarize_turn_t, queue);

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_budget_open(budget, &look);

    verdict = binarize_turns_serve(&look, look_ms, &estimate);

    if (verdict == BINARIZE_TURN_GRANTED) {
        ngx_http_binarize_budget_dequeue(turn);
        ngx_http_binarize_budget_grant(turn);
        binarize_turns_wake(&look, 0, slots);
    }

    ngx_http_binarize_budget_close(budget, &look);

    if (verdict == BINARIZE_TURN_GRANTED) {
        ngx_http_binarize_zone_wake(budget->shm_zone->data, slots);
        return turn;
    }

    if (verdict == BINARIZE_TURN_ASK) {
        ngx_http_binarize_budget_ask(budget, turn);

    } else if (estimate.wait_ms) {
        ngx_http_binarize_budget_revise(budget, turn, &estimate);
    }

    return NULL;
}


/* when the first has to wait for longer than was thought, so have all */

static void
ngx_http_binarize_budget_revise(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *first, binarize_turn_estimate_t *estimate)
{
    int64_t                    later_ms, retry_later_ms;
    ngx_queue_t               *turns;
    ngx_http_binarize_turn_t  *turn;

    later_ms = ngx_current_msec + estimate->wait_ms - first->due_ms;
    retry_later_ms = ngx_current_msec + estimate->retry_ms - first->retry_ms;

    /* a rounding is not a change, nor that nobody knows when a call ends */

    if (!first->due_now && (later_ms <= 20 || estimate->wait_ms <= 1)) {
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

    budget->event.cancelable = (budget->lane.nwaiting == 0);

    ngx_add_timer(&budget->event, ms);
}
