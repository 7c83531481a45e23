
#include "budget/private.h"


static ngx_http_binarize_shm_budget_t *ngx_http_binarize_budget_slot_locked(
    ngx_http_binarize_budget_t *budget, ngx_http_binarize_zone_t *zone,
    uint64_t now_us);
static binarize_process_state_e ngx_http_binarize_budget_process_locked(
    ngx_http_binarize_budget_view_t *view, ngx_http_binarize_shm_lane_t *lane);
static void ngx_http_binarize_budget_clear_locked(
    ngx_http_binarize_shm_lane_t *lane);
static uint64_t ngx_http_binarize_budget_held_locked(
    ngx_http_binarize_budget_view_t *view);


#define ngx_http_binarize_budget_nlanes(budget)                               \
    ((ngx_http_binarize_zone_t *) (budget)->shm_zone->data)->shm->nlanes


void
ngx_http_binarize_budget_open_locked(ngx_http_binarize_budget_view_t *view,
    ngx_http_binarize_budget_t *budget)
{
    struct timespec            ts;
    ngx_http_binarize_zone_t  *zone;

    zone = budget->shm_zone->data;

    /* the event loop's time is not the same in all workers */

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    view->budget = budget;
    view->now_us = (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
    view->sb = ngx_http_binarize_budget_slot_locked(budget, zone,
                                                    view->now_us);
    view->lanes = zone->shm_lanes
                  + (view->sb - zone->shm_budgets) * zone->shm->nlanes;
    view->lane = ((ngx_uint_t) ngx_process_slot < zone->shm->nlanes)
                 ? &view->lanes[ngx_process_slot] : NULL;

    view->sb->used_ms = ngx_current_msec;

    /* who was declared dead has lost what it has shown, and shows it again */

    (void) ngx_http_binarize_zone_epoch_locked(zone);
    ngx_http_binarize_budget_show_locked(view);
}


/* as ngx_http_binarize_token_slot_locked(), the two go together */

static ngx_http_binarize_shm_budget_t *
ngx_http_binarize_budget_slot_locked(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_zone_t *zone, uint64_t now_us)
{
    ngx_uint_t                       i;
    ngx_http_binarize_shm_budget_t  *sb, *oldest;

    sb = zone->shm_budgets;
    oldest = sb;

    for (i = 0; i < zone->shm->ntokens; i++) {

        if (ngx_memcmp(sb[i].id, budget->id, sizeof(sb[i].id)) == 0) {
            return &sb[i];
        }

        if (sb[i].used_ms < oldest->used_ms) {
            oldest = &sb[i];
        }
    }

    /* nobody's first, whole last */

    ngx_memzero(oldest->id, sizeof(oldest->id));
    ngx_memory_barrier();

    ngx_memzero(oldest, sizeof(*oldest));
    ngx_memzero(zone->shm_lanes
                + (oldest - zone->shm_budgets) * zone->shm->nlanes,
                zone->shm->nlanes * sizeof(*zone->shm_lanes));

    binarize_budget_init(&oldest->state, &budget->limits, now_us);

    ngx_memory_barrier();
    ngx_memcpy(oldest->id, budget->id, sizeof(oldest->id));

    return oldest;
}


/* what those held that are no more is free */

static binarize_process_state_e
ngx_http_binarize_budget_process_locked(ngx_http_binarize_budget_view_t *view,
    ngx_http_binarize_shm_lane_t *lane)
{
    binarize_process_state_e   state;

    if (lane == view->lane) {
        return BINARIZE_PROCESS_BEATING;
    }

    state = ngx_http_binarize_zone_process(view->budget->shm_zone->data,
                                           lane - view->lanes);

    if (state == BINARIZE_PROCESS_NONE) {
        ngx_http_binarize_budget_clear_locked(lane);
    }

    return state;
}


static void
ngx_http_binarize_budget_clear_locked(ngx_http_binarize_shm_lane_t *lane)
{
    lane->ticket = 0;
    lane->nwaiting = 0;
    lane->held = 0;
}


void
ngx_http_binarize_budget_show_locked(ngx_http_binarize_budget_view_t *view)
{
    ngx_queue_t                   *turns;
    ngx_http_binarize_turn_t      *turn;
    ngx_http_binarize_shm_lane_t  *lane;

    lane = view->lane;

    if (lane == NULL) {
        return;
    }

    turns = &view->budget->turns;

    lane->held = view->budget->held;
    lane->nwaiting = view->budget->nwaiting;

    if (ngx_queue_empty(turns)) {
        lane->ticket = 0;
        return;
    }

    turn = ngx_queue_data(ngx_queue_head(turns), ngx_http_binarize_turn_t,
                          queue);
    lane->ticket = turn->ticket;
}


ngx_http_binarize_shm_lane_t *
ngx_http_binarize_budget_front_locked(ngx_http_binarize_budget_view_t *view)
{
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane, *front;

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;
    front = NULL;

    for (i = 0; i < n; i++) {
        if (lane[i].ticket
            && (front == NULL || lane[i].ticket < front->ticket)
            && ngx_http_binarize_budget_process_locked(view, &lane[i])
               == BINARIZE_PROCESS_BEATING)
        {
            front = &lane[i];
        }
    }

    return front;
}


uint64_t
ngx_http_binarize_budget_ahead_locked(ngx_http_binarize_budget_view_t *view,
    uint64_t ticket)
{
    uint64_t                       ahead;
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane;

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;
    ahead = 0;

    for (i = 0; i < n; i++) {

        if (lane[i].ticket == 0 || &lane[i] == view->lane
            || ngx_http_binarize_budget_process_locked(view, &lane[i])
               != BINARIZE_PROCESS_BEATING)
        {
            continue;
        }

        if (ticket == 0) {
            ahead += lane[i].nwaiting;

        } else if (lane[i].ticket < ticket) {

            /* others of that lane may have later tickets */

            ahead += ngx_min(lane[i].nwaiting, ticket - lane[i].ticket);
        }
    }

    return ahead;
}


void
ngx_http_binarize_budget_front_slot_locked(
    ngx_http_binarize_budget_view_t *view, uint64_t *slots)
{
    ngx_uint_t                     slot;
    ngx_http_binarize_shm_lane_t  *front;

    front = ngx_http_binarize_budget_front_locked(view);

    if (front && front != view->lane) {
        slot = front - view->lanes;
        slots[slot / 64] |= 1ULL << (slot % 64);
    }
}


void
ngx_http_binarize_budget_waiting_locked(ngx_http_binarize_budget_view_t *view,
    uint64_t *slots)
{
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane;

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;

    for (i = 0; i < n; i++) {
        if (lane[i].ticket && &lane[i] != view->lane) {
            slots[i / 64] |= 1ULL << (i % 64);
        }
    }
}


ngx_uint_t
ngx_http_binarize_budget_unit_locked(ngx_http_binarize_budget_view_t *view,
    ngx_uint_t token)
{
    uint64_t  limit;

    limit = view->budget->limits.concurrency;

    if (limit == 0) {
        return 1;
    }

    if (!token && ngx_current_msec < view->sb->token_ms) {
        limit--;
    }

    return ngx_http_binarize_budget_held_locked(view) < limit;
}


/* also of who stands still: its call may go on */

static uint64_t
ngx_http_binarize_budget_held_locked(ngx_http_binarize_budget_view_t *view)
{
    uint64_t                       held;
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane;

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;
    held = 0;

    for (i = 0; i < n; i++) {

        if (lane[i].held == 0
            || ngx_http_binarize_budget_process_locked(view, &lane[i])
               == BINARIZE_PROCESS_NONE)
        {
            continue;
        }

        held += lane[i].held;
    }

    return held;
}


/*
 * Nobody knows when a call ends: who may wait at all waits for a unit, and
 * others are told what calls have lately taken.
 */

ngx_msec_t
ngx_http_binarize_budget_estimate_locked(ngx_http_binarize_budget_view_t *view,
    ngx_http_binarize_turn_t *turn, uint64_t ahead)
{
    uint64_t                     wait_ms, retry_ms;
    ngx_uint_t                   shared;
    ngx_http_binarize_budget_t  *budget;

    budget = view->budget;
    shared = ngx_http_binarize_budget_shared(budget);

    if (budget->redis && !shared && budget->limits.quota) {
        wait_ms = NGX_HTTP_BINARIZE_BUDGET_FOREVER;
        retry_ms = NGX_HTTP_BINARIZE_BUDGET_AWAY_MS;
        goto done;
    }

    wait_ms = 0;

    /* another worker's time may be a little ahead of ours */

    if (!shared || ahead
        || ngx_current_msec
           < view->sb->answered_ms + NGX_HTTP_BINARIZE_BUDGET_BEAT_MS)
    {
        wait_ms = (binarize_budget_wait_us(&view->sb->state, &budget->limits,
                                           ahead, view->now_us, ngx_time())
                   + 999) / 1000;
    }

    if (shared && ngx_current_msec < budget->ask_ms) {
        wait_ms = ngx_max(wait_ms, budget->ask_ms - ngx_current_msec);
    }

    if (ngx_current_msec < view->sb->pause_ms) {
        wait_ms = ngx_max(wait_ms, view->sb->pause_ms - ngx_current_msec);
    }

    retry_ms = wait_ms;

    if (!ngx_http_binarize_budget_unit_locked(view, 0)) {
        wait_ms = ngx_max(wait_ms, 1);
        retry_ms = ngx_max(wait_ms, view->sb->call_ms * (ahead + 1)
                                    / budget->limits.concurrency);
    }

done:

    turn->due_ms = ngx_current_msec + wait_ms;
    turn->retry_ms = ngx_current_msec + retry_ms;

    return wait_ms;
}


/* who waited for it is woken */

void
ngx_http_binarize_budget_init_process(ngx_http_binarize_zone_t *zone)
{
    uint64_t                       slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t                     i, n, slot;
    ngx_http_binarize_shm_lane_t  *lane;

    n = zone->shm->ntokens * zone->shm->nlanes;
    lane = zone->shm_lanes;

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    for (i = 0; i < n; i++) {

        slot = i % zone->shm->nlanes;

        if (slot == (ngx_uint_t) ngx_process_slot) {
            ngx_http_binarize_budget_clear_locked(&lane[i]);

        } else if (lane[i].ticket) {
            slots[slot / 64] |= 1ULL << (slot % 64);
        }
    }

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, slots);
}


void
ngx_http_binarize_budget_exit_process(ngx_http_binarize_zone_t *zone)
{
    /* as if another one came into this slot */

    ngx_http_binarize_budget_init_process(zone);
}
