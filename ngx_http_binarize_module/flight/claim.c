
#include "flight/private.h"


/* how often a follower looks that nobody can wake */
#define NGX_HTTP_BINARIZE_FOLLOW_MS       500

/* of those that are to look one by one, how many do in a turn */
#define NGX_HTTP_BINARIZE_LOOK_TURN       32


static binarize_flight_event_t ngx_http_binarize_claim_crowded(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_claim_leave_locked(
    ngx_http_binarize_flight_t *flight, uint64_t *slots);
static void ngx_http_binarize_claim_note_locked(
    ngx_http_binarize_flight_t *flight, binarize_store_entry_t *claim,
    uint64_t *slots);
static void ngx_http_binarize_claim_on_notes(ngx_event_t *ev);
static void ngx_http_binarize_claim_on_look(ngx_event_t *ev);
static void ngx_http_binarize_claim_on_note(
    ngx_http_binarize_flight_t *flight);


void
ngx_http_binarize_claim_init_process(ngx_http_binarize_zone_t *zone)
{
    ngx_http_binarize_flights_t  *flights;

    flights = zone->flights;

    ngx_queue_init(&flights->followers);
    ngx_queue_init(&flights->to_look);

    flights->on_notes.handler = ngx_http_binarize_claim_on_notes;
    flights->on_notes.data = zone;
    flights->on_notes.log = ngx_cycle->log;

    flights->on_look.handler = ngx_http_binarize_claim_on_look;
    flights->on_look.data = flights;
    flights->on_look.log = ngx_cycle->log;

    flights->notified.event = &flights->on_notes;
    ngx_queue_insert_tail(&zone->sleepers, &flights->notified.queue);
}


binarize_flight_event_t
ngx_http_binarize_flight_look(binarize_flight_t *core)
{
    int                          rc;
    uint64_t                     turn_ms;
    uint64_t                     slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t                   first;
    binarize_store_entry_t      *claim, *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_flight_t  *flight;
    ngx_http_binarize_result_t  *result;

    flight = (ngx_http_binarize_flight_t *) core;
    zone = flight->zone;
    result = NULL;
    rc = BINARIZE_OK;
    turn_ms = 0;
    first = 0;

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    entry = binarize_store_lookup(zone->store, flight->key, ngx_current_msec);

    if (entry && entry->kind == BINARIZE_STORE_RESULT
        && !flight->conf->l1 && !core->waited)
    {
        /* left for those who waited */
        entry = NULL;
    }

    if (entry) {
        result = ngx_http_binarize_result_of_entry_locked(zone, entry, NULL);

    } else {
        rc = binarize_claim_take(zone->store, flight->key, ngx_process_slot,
                                 ngx_http_binarize_zone_epoch_locked(zone),
                                 &claim);

        if (rc == BINARIZE_DECLINED) {
            binarize_claim_follow(zone->store, claim, ngx_process_slot,
                                  core->until_ms);

            flight->epoch = 0;
            flight->follow_ms = core->until_ms;
            turn_ms = claim->claim.turn_ms;

        } else {
            ngx_http_binarize_claim_leave_locked(flight, slots);
        }

        if (rc == BINARIZE_OK) {
            first = (flight->epoch != claim->claim.epoch);

            if (first && claim->claim.nowners > 1) {
                ngx_http_binarize_metric_inc(zone,
                                             NGX_HTTP_BINARIZE_M_TAKEOVERS);
            }

            flight->epoch = claim->claim.epoch;
            claim->claim.turn_ms = 0;
        }
    }

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, slots);

    if (result) {
        result->source = ngx_http_binarize_flight_source(flight,
                                        ngx_http_binarize_result_hit(result));

        return ngx_http_binarize_flight_known(flight, result);
    }

    if (entry) {
        return ngx_http_binarize_flight_problem(flight,
                                                BINARIZE_PROBLEM_INTERNAL);
    }

    if (rc == BINARIZE_DECLINED) {
        ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_FOLLOWED);
        flight->retry_ms = turn_ms;

        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_OTHERS, turn_ms);
    }

    if (rc != BINARIZE_OK) {
        return ngx_http_binarize_claim_crowded(flight);
    }

    if (first) {
        ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_LED);
    }

    return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_MINE, 0);
}


/* the zone has no room for one more that flies; who can wait tries again */

static binarize_flight_event_t
ngx_http_binarize_claim_crowded(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_of_problem(BINARIZE_PROBLEM_CROWDED,
                                                 NULL);
    if (result) {
        result->retry_after_s = 1;
        result->expires_ms = ngx_current_msec + 1000;
        result->source = ngx_http_binarize_flight_fetched(flight);
    }

    return ngx_http_binarize_flight_known(flight, result);
}


binarize_store_entry_t *
ngx_http_binarize_claim_locked(ngx_http_binarize_flight_t *flight)
{
    if (flight->epoch == 0) {
        return NULL;
    }

    return binarize_claim_find_own(flight->zone->store, flight->key,
                                   ngx_process_slot, flight->epoch);
}


ngx_uint_t
ngx_http_binarize_claim_owned(ngx_http_binarize_flight_t *flight,
    uint64_t *until_ms)
{
    binarize_store_entry_t  *claim;

    ngx_http_binarize_zone_lock(flight->zone);

    claim = ngx_http_binarize_claim_locked(flight);
    *until_ms = (claim && claim->npinned) ? claim->claim.until_ms : 0;

    ngx_http_binarize_zone_unlock(flight->zone);

    return claim != NULL;
}


int
ngx_http_binarize_flight_followed(binarize_flight_t *core)
{
    uint64_t  until_ms;

    return ngx_http_binarize_claim_owned((ngx_http_binarize_flight_t *) core,
                                         &until_ms)
           && until_ms;
}


/*
 * The other workers' flights of the id go by it, too: their requests may have
 * less patience, or more
 */

void
ngx_http_binarize_flight_show_turn(binarize_flight_t *core)
{
    uint64_t                     slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    binarize_store_entry_t      *claim;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    if (core->turn_ms == 0) {
        return;
    }

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(flight->zone);

    claim = ngx_http_binarize_claim_locked(flight);

    if (claim) {
        claim->claim.turn_ms = core->turn_ms;
        ngx_http_binarize_claim_note_locked(flight, claim, slots);
    }

    ngx_http_binarize_zone_unlock(flight->zone);

    ngx_http_binarize_zone_wake(flight->zone, slots);
}


/*
 * Who followed is woken; what they need is in the zone.  Of a claim that has
 * been lost as well: they may wait for what a late leader has landed.
 */

void
ngx_http_binarize_flight_give_claim(binarize_flight_t *core)
{
    uint64_t                     slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    binarize_store_entry_t      *claim;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;
    zone = flight->zone;

    if (flight->epoch == 0 && flight->follower.next == NULL) {
        return;
    }

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_claim_leave_locked(flight, slots);

    if (flight->epoch) {
        claim = binarize_claim_find(zone->store, flight->key);

        if (claim) {
            ngx_http_binarize_claim_note_locked(flight, claim, slots);
        }

        claim = ngx_http_binarize_claim_locked(flight);

        if (claim) {
            binarize_claim_release(zone->store, claim);
        }
    }

    ngx_http_binarize_zone_unlock(zone);

    flight->epoch = 0;

    ngx_http_binarize_zone_wake(zone, slots);
}


/* a leader whose last follower leaves may have nobody to fly for */

static void
ngx_http_binarize_claim_leave_locked(ngx_http_binarize_flight_t *flight,
    uint64_t *slots)
{
    binarize_store_entry_t  *claim;

    if (flight->follower.next == NULL) {
        return;
    }

    ngx_queue_remove(&flight->follower);
    flight->follower.next = NULL;

    claim = binarize_claim_leave(flight->zone->store, flight->key,
                                 ngx_process_slot);
    if (claim) {
        slots[claim->owner / 64] |= 1ULL << (claim->owner % 64);
        ngx_http_binarize_zone_note_locked(flight->zone, slots, flight->key);
    }
}


static void
ngx_http_binarize_claim_note_locked(ngx_http_binarize_flight_t *flight,
    binarize_store_entry_t *claim, uint64_t *slots)
{
    ngx_memcpy(slots, claim->pins, sizeof(claim->pins));

    ngx_http_binarize_zone_note_locked(flight->zone, slots, flight->key);
}


/* it is woken by the leader, or by whoever declares that one dead */

void
ngx_http_binarize_claim_follow(ngx_http_binarize_flight_t *flight)
{
    if (flight->follower.next) {
        ngx_queue_remove(&flight->follower);
    }

    ngx_queue_insert_tail(&flight->zone->flights->followers,
                          &flight->follower);

    if (!ngx_http_binarize_zone_has_notes(flight->zone)) {
        ngx_add_timer(&flight->event, NGX_HTTP_BINARIZE_FOLLOW_MS);
    }
}


void
ngx_http_binarize_claim_follow_longer(ngx_http_binarize_flight_t *flight)
{
    binarize_store_entry_t    *claim;
    ngx_http_binarize_zone_t  *zone;

    zone = flight->zone;

    if (flight->core.state != BINARIZE_FLIGHT_FOLLOW
        || flight->core.until_ms <= flight->follow_ms)
    {
        return;
    }

    flight->follow_ms = flight->core.until_ms;

    ngx_http_binarize_zone_lock(zone);

    claim = binarize_claim_find(zone->store, flight->key);

    if (claim) {
        binarize_claim_follow(zone->store, claim, ngx_process_slot,
                              flight->follow_ms);
    }

    ngx_http_binarize_zone_unlock(zone);
}


/* this worker was woken */

static void
ngx_http_binarize_claim_on_notes(ngx_event_t *ev)
{
    uint64_t                      keys[NGX_HTTP_BINARIZE_NOTES];
    ngx_uint_t                    i, n;
    ngx_http_binarize_zone_t     *zone;
    ngx_http_binarize_flight_t   *flight;
    ngx_http_binarize_flights_t  *flights;

    zone = ev->data;
    flights = zone->flights;

    n = ngx_http_binarize_zone_notes(zone, keys);

    if (n > NGX_HTTP_BINARIZE_NOTES) {
        ngx_queue_add(&flights->to_look, &flights->followers);
        ngx_queue_init(&flights->followers);

        if (!flights->on_look.posted) {
            ngx_post_event(&flights->on_look, &ngx_posted_events);
        }

        return;
    }

    for (i = 0; i < n; i++) {
        flight = ngx_http_binarize_flight_find(zone, keys[i], NULL);

        if (flight) {
            ngx_http_binarize_claim_on_note(flight);
        }
    }
}


static void
ngx_http_binarize_claim_on_look(ngx_event_t *ev)
{
    ngx_uint_t                    n;
    ngx_queue_t                  *q;
    ngx_http_binarize_flights_t  *flights;

    flights = ev->data;

    for (n = 0; n < NGX_HTTP_BINARIZE_LOOK_TURN; n++) {

        if (ngx_queue_empty(&flights->to_look)) {
            return;
        }

        /* it goes to the others, or ends */

        q = ngx_queue_head(&flights->to_look);

        ngx_http_binarize_claim_on_note(
                  ngx_queue_data(q, ngx_http_binarize_flight_t, follower));
    }

    ngx_post_event(ev, &ngx_posted_next_events);
}


/* what it follows has changed, or who followed it has left */

static void
ngx_http_binarize_claim_on_note(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_event(flight,
         ngx_http_binarize_flight_says(
                            flight->core.state == BINARIZE_FLIGHT_FOLLOW
                            ? BINARIZE_FLIGHT_DUE : BINARIZE_FLIGHT_LEFT, 0));
}
