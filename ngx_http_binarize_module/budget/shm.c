
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

    budget->lane.epoch = ngx_http_binarize_zone_epoch_locked(zone);
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
