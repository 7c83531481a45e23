
#include "budget/private.h"


void
ngx_http_binarize_budget_look_locked(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look)
{
    struct timespec                      ts;
    ngx_http_binarize_zone_t            *zone;
    ngx_http_binarize_shm_credential_t  *sc;

    zone = budget->shm_zone->data;

    /* the event loop's time is not the same in all workers */

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    look->now_us = (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
    look->now_ms = ngx_current_msec;
    look->unix_s = ngx_time();

    sc = ngx_http_binarize_zone_credential_locked(zone, budget->id);

    look->turns = &sc->turns;
    look->limits = &budget->limits;
    look->lanes = ngx_http_binarize_zone_lanes(zone, sc);
    look->nlanes = zone->shm->nlanes;
    look->slot = ngx_process_slot;
    look->own = &budget->lane;
    look->processes = zone->shm->processes;
    look->seen = zone->seen;
    look->ask_ms = budget->ask_ms;

    if (budget->redis == NULL) {
        look->keeper = BINARIZE_KEEPER_ZONE;

    } else if (ngx_http_binarize_budget_shared(budget)) {
        look->keeper = BINARIZE_KEEPER_REDIS;

    } else {
        look->keeper = budget->limits.quota ? BINARIZE_KEEPER_NONE
                                            : BINARIZE_KEEPER_ZONE;
    }

    /* who was declared dead has lost what it has shown, and shows it again */

    (void) ngx_http_binarize_zone_epoch_locked(zone);
    binarize_turns_show(look);
}


void
ngx_http_binarize_budget_open(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look)
{
    ngx_http_binarize_zone_lock(budget->shm_zone->data);
    ngx_http_binarize_budget_look_locked(budget, look);
}


void
ngx_http_binarize_budget_close(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look)
{
    binarize_turns_show(look);
    ngx_http_binarize_zone_unlock(budget->shm_zone->data);
}


/* who waited for it is woken */

void
ngx_http_binarize_budget_init_process(ngx_http_binarize_zone_t *zone)
{
    uint64_t          slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t        i, slot;
    binarize_lane_t  *lane;

    lane = zone->shm_lanes;

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    for (i = 0; i < zone->shm->ncredentials * zone->shm->nlanes; i++) {

        slot = i % zone->shm->nlanes;

        if (slot == (ngx_uint_t) ngx_process_slot) {
            ngx_memzero(&lane[i], sizeof(lane[i]));

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
