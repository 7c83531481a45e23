
#include "budget/private.h"


static ngx_http_binarize_shm_budget_t *ngx_http_binarize_budget_slot_locked(
    ngx_http_binarize_budget_t *budget, ngx_http_binarize_zone_t *zone,
    uint64_t now_us);
static ngx_http_binarize_shm_lane_t *ngx_http_binarize_budget_lane_locked(
    ngx_http_binarize_budget_view_t *view, ngx_uint_t nlanes);
static ngx_uint_t ngx_http_binarize_budget_alive_locked(
    ngx_http_binarize_shm_lane_t *lane);
static void ngx_http_binarize_budget_clear_locked(
    ngx_http_binarize_shm_lane_t *lane);
static uint64_t ngx_http_binarize_budget_held_locked(
    ngx_http_binarize_budget_view_t *view, ngx_uint_t check);


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
    view->lane = ngx_http_binarize_budget_lane_locked(view,
                                                      zone->shm->nlanes);

    view->sb->used_ms = ngx_current_msec;

    if (view->lane) {
        view->lane->seen_ms = ngx_current_msec;
    }
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


static ngx_http_binarize_shm_lane_t *
ngx_http_binarize_budget_lane_locked(ngx_http_binarize_budget_view_t *view,
    ngx_uint_t nlanes)
{
    ngx_uint_t                     i;
    ngx_http_binarize_shm_lane_t  *lane, *free;

    lane = view->lanes;
    free = NULL;

    for (i = 0; i < nlanes; i++) {

        if (lane[i].pid == ngx_pid) {
            return &lane[i];
        }

        if (lane[i].pid == 0 && free == NULL) {
            free = &lane[i];
        }
    }

    for (i = 0; free == NULL && i < nlanes; i++) {

        if (!ngx_http_binarize_budget_alive_locked(&lane[i])
            || (lane[i].nwaiting == 0 && lane[i].held == 0))
        {
            free = &lane[i];
        }
    }

    if (free == NULL) {
        return NULL;
    }

    ngx_http_binarize_budget_clear_locked(free);

    free->slot = ngx_process_slot;
    free->seen_ms = ngx_current_msec;

    ngx_memory_barrier();
    free->pid = ngx_pid;

    return free;
}


static ngx_uint_t
ngx_http_binarize_budget_alive_locked(ngx_http_binarize_shm_lane_t *lane)
{
    /* the second test is for a number another process has got since */

    return (kill((ngx_pid_t) lane->pid, 0) == 0 || ngx_errno != ESRCH)
           && (ngx_msec_int_t) (ngx_current_msec - lane->seen_ms)
              < NGX_HTTP_BINARIZE_BUDGET_DEAD_MS;
}


static void
ngx_http_binarize_budget_clear_locked(ngx_http_binarize_shm_lane_t *lane)
{
    lane->pid = 0;
    ngx_memory_barrier();

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

    for ( ;; ) {

        lane = view->lanes;
        front = NULL;

        for (i = 0; i < n; i++) {
            if (lane[i].pid && lane[i].ticket
                && (front == NULL || lane[i].ticket < front->ticket))
            {
                front = &lane[i];
            }
        }

        if (front == NULL
            || front == view->lane
            || ngx_http_binarize_budget_alive_locked(front))
        {
            return front;
        }

        ngx_http_binarize_budget_clear_locked(front);
    }
}


uint64_t
ngx_http_binarize_budget_ahead_locked(ngx_http_binarize_budget_view_t *view,
    uint64_t ticket)
{
    uint64_t                       ahead;
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane;

    /* so that a dead one is not in the way; then dead ones do not count */

    (void) ngx_http_binarize_budget_front_locked(view);

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;
    ahead = 0;

    for (i = 0; i < n; i++) {

        if (lane[i].pid == 0 || lane[i].ticket == 0 || &lane[i] == view->lane) {
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
    ngx_http_binarize_shm_lane_t  *front;

    front = ngx_http_binarize_budget_front_locked(view);

    if (front && front != view->lane) {
        slots[front->slot / 64] |= 1ULL << (front->slot % 64);
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
        if (lane[i].pid && lane[i].ticket && &lane[i] != view->lane) {
            slots[lane[i].slot / 64] |= 1ULL << (lane[i].slot % 64);
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

    return ngx_http_binarize_budget_held_locked(view, 0) < limit
           || ngx_http_binarize_budget_held_locked(view, 1) < limit;
}


/* check: without what dead workers held */

static uint64_t
ngx_http_binarize_budget_held_locked(ngx_http_binarize_budget_view_t *view,
    ngx_uint_t check)
{
    uint64_t                       held;
    ngx_uint_t                     i, n;
    ngx_http_binarize_shm_lane_t  *lane;

    n = ngx_http_binarize_budget_nlanes(view->budget);
    lane = view->lanes;
    held = 0;

    for (i = 0; i < n; i++) {

        if (lane[i].pid == 0 || lane[i].held == 0) {
            continue;
        }

        if (check && &lane[i] != view->lane
            && !ngx_http_binarize_budget_alive_locked(&lane[i]))
        {
            ngx_http_binarize_budget_clear_locked(&lane[i]);
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

        if (lane[i].pid == 0) {
            continue;
        }

        slot = lane[i].slot;

        if (lane[i].pid == ngx_pid || slot == (ngx_uint_t) ngx_process_slot) {
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
