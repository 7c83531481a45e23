
#include "flight/private.h"


/* how long followers find a result where L1 is off */
#define NGX_HTTP_BINARIZE_LANDING_MS      2000

/* of a copy into the zone, of which a turn copies no more */
#define NGX_HTTP_BINARIZE_COPY_TURN       (512 * 1024)


/* the copy of a result into the zone, of the flight's pool */
typedef struct {
    ngx_http_binarize_flight_t    *flight;
    ngx_http_binarize_blob_t       blob;
    binarize_span_t                left;
    ngx_uint_t                     purges;      /* before it began */
    ngx_event_t                    event;
} ngx_http_binarize_copy_t;


static void ngx_http_binarize_record_on_get(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms);
static void ngx_http_binarize_copy_on_event(ngx_event_t *ev);
static ngx_int_t ngx_http_binarize_copy_turn(ngx_http_binarize_copy_t *copy);
static ngx_int_t ngx_http_binarize_copy_finish(ngx_http_binarize_copy_t *copy);
static ngx_uint_t ngx_http_binarize_copy_polled(
    ngx_http_binarize_flight_t *flight);


/*
 * If this worker has no lease, or one that may have ended since it stood
 * still, another node may have landed.  If it has been declared dead another
 * worker leads, and knows better.
 */

binarize_flight_event_t
ngx_http_binarize_flight_check(binarize_flight_t *core)
{
    uint64_t                     until_ms;
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    if (!ngx_http_binarize_claim_owned(flight, &until_ms)) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_DUE, 0);
    }

    if (flight->lease && ngx_current_msec < flight->held_ms) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_MISS, 0);
    }

    return ngx_http_binarize_flight_get(core);
}


binarize_flight_event_t
ngx_http_binarize_flight_get(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t       *flight;
    ngx_http_binarize_flight_conf_t  *conf;

    flight = (ngx_http_binarize_flight_t *) core;
    conf = flight->conf;

    if (conf->redis == NULL) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_UNUSABLE, 0);
    }

    flight->purges = ngx_http_binarize_zone_npurges(flight->zone,
                                                    flight->key);
    flight->redis_us = ngx_http_binarize_metric_clock_us();

    if (ngx_http_binarize_l2_get(conf->redis, &conf->ns, flight->guid,
                                 conf->cloud.max_size,
                                 ngx_http_binarize_record_on_get, flight)
        != NULL)
    {
        return ngx_http_binarize_flight_asked();
    }

    ngx_http_binarize_metric_inc(flight->zone,
                                 NGX_HTTP_BINARIZE_M_REDIS_UNUSABLE);

    return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_UNUSABLE, 0);
}


static void
ngx_http_binarize_record_on_get(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms)
{
    ngx_http_binarize_flight_t *flight = data;

    binarize_flight_event_e      kind;
    ngx_http_binarize_result_t  *result;

    ngx_http_binarize_metric_redis_lookup(flight->zone, rc,
                      ngx_http_binarize_metric_clock_us() - flight->redis_us);

    kind = (rc == NGX_DECLINED) ? BINARIZE_FLIGHT_MISS
                                : BINARIZE_FLIGHT_UNUSABLE;

    if (rc == NGX_OK
        && flight->purges
           != ngx_http_binarize_zone_npurges(flight->zone, flight->key))
    {
        /* it may have been read before it was purged */

        ngx_http_binarize_l2_free(owner);
        kind = BINARIZE_FLIGHT_PURGED;

    } else if (rc == NGX_OK) {

        result = ngx_http_binarize_result_of_record(record, owner);

        if (result == NULL) {
            ngx_http_binarize_flight_event(flight,
                     ngx_http_binarize_flight_problem(flight,
                                              BINARIZE_PROBLEM_INTERNAL));
            return;
        }

        result->source = ngx_http_binarize_flight_source(flight,
                                                     BINARIZE_SOURCE_REDIS);

        if (ttl_ms > 0) {
            result->expires_ms = ngx_current_msec + ttl_ms;
        }

        ngx_http_binarize_flight_take(flight, result);
        kind = BINARIZE_FLIGHT_HIT;
    }

    ngx_http_binarize_flight_event(flight,
                                   ngx_http_binarize_flight_says(kind, 0));
}


/*
 * A result in memory of its own, as from Redis, is copied into the zone;
 * where L1 is off, only for those who follow.  Without room for it, or with a
 * purge meanwhile, it is answered from where it is.
 */

binarize_flight_event_t
ngx_http_binarize_flight_copy(binarize_flight_t *core)
{
    ngx_http_binarize_copy_t    *copy;
    ngx_http_binarize_flight_t  *flight;
    ngx_http_binarize_result_t  *result;

    flight = (ngx_http_binarize_flight_t *) core;
    result = flight->hand;
    copy = NULL;

    if (flight->conf->l1
        || ngx_http_binarize_flight_followed(core)
        || ngx_http_binarize_copy_polled(flight))
    {
        copy = ngx_pcalloc(flight->pool, sizeof(*copy));
    }

    if (copy) {
        ngx_http_binarize_blob_init(&copy->blob, flight->zone, flight->key,
                                    result->png_size, 0);
    }

    if (copy == NULL || copy->blob.entry == NULL) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_FOUND, 0);
    }

    copy->flight = flight;
    copy->left = result->png[0];
    copy->purges = ngx_http_binarize_zone_npurges(flight->zone, flight->key);

    copy->event.handler = ngx_http_binarize_copy_on_event;
    copy->event.data = copy;
    copy->event.log = flight->log;

    ngx_post_event(&copy->event, &ngx_posted_events);

    return ngx_http_binarize_flight_asked();
}


static void
ngx_http_binarize_copy_on_event(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_http_binarize_copy_t  *copy;

    copy = ev->data;

    rc = ngx_http_binarize_copy_turn(copy);

    if (rc == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    if (rc != NGX_OK || ngx_http_binarize_copy_finish(copy) != NGX_OK) {
        ngx_http_binarize_blob_free(&copy->blob);
    }

    ngx_http_binarize_flight_event(copy->flight,
                     ngx_http_binarize_flight_says(BINARIZE_FLIGHT_FOUND, 0));
}


/* NGX_AGAIN: the turn is over; NGX_ERROR: no room */

static ngx_int_t
ngx_http_binarize_copy_turn(ngx_http_binarize_copy_t *copy)
{
    size_t                     turn, size;
    u_char                    *p;
    ngx_http_binarize_blob_t  *blob;

    blob = &copy->blob;
    turn = NGX_HTTP_BINARIZE_COPY_TURN;

    while (copy->left.size) {

        if (turn == 0) {
            return NGX_AGAIN;
        }

        p = binarize_store_room(blob->zone->store, blob->entry, blob->size,
                                &size);

        size = ngx_min(size, copy->left.size);
        size = ngx_min(size, turn);

        if (size == 0) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, copy->left.data, size);

        copy->left.data += size;
        copy->left.size -= size;
        blob->size += size;
        turn -= size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_copy_finish(ngx_http_binarize_copy_t *copy)
{
    int                          rc;
    binarize_store_meta_t        meta;
    ngx_http_binarize_blob_t    *blob;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_flight_t  *flight;
    ngx_http_binarize_result_t  *result;

    blob = &copy->blob;
    flight = copy->flight;
    result = flight->hand;
    zone = flight->zone;

    if (copy->purges != ngx_http_binarize_zone_npurges(zone, flight->key)) {
        return NGX_DECLINED;
    }

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_finish(zone->store, blob->entry, blob->size,
                              result->doc.len, ngx_current_msec));

    if (rc != BINARIZE_OK) {
        return NGX_ERROR;
    }

    binarize_store_write_doc(zone->store, blob->entry, result->doc.data);

    ngx_http_binarize_result_meta(result, &meta);

    if (!flight->conf->l1) {
        meta.expires_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LANDING_MS;

    } else if (meta.expires_ms == 0) {
        meta.expires_ms = ngx_current_msec
                          + (uint64_t) flight->conf->valid_s * 1000;
    }

    ngx_http_binarize_zone_lock(zone);
    binarize_store_publish(zone->store, blob->entry, &meta);
    ngx_http_binarize_zone_unlock(zone);

    blob->entry = NULL;
    result->kept = flight->conf->l1;

    return NGX_OK;
}


/* 1 if the task was pending: other workers' flights may sleep until now */

static ngx_uint_t
ngx_http_binarize_copy_polled(ngx_http_binarize_flight_t *flight)
{
    ngx_uint_t                 polled;
    binarize_store_entry_t    *entry;
    ngx_http_binarize_zone_t  *zone;

    zone = flight->zone;

    ngx_http_binarize_zone_lock(zone);

    entry = binarize_store_peek(zone->store, flight->key);
    polled = (entry && entry->kind == BINARIZE_STORE_PENDING);

    ngx_http_binarize_zone_unlock(zone);

    return polled;
}
