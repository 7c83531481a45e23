
#include "flight/private.h"


static void ngx_http_binarize_keep_on_sent(void *data);
static int ngx_http_binarize_keep_state_locked(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result,
    ngx_uint_t remember, ngx_http_binarize_result_t **there);


/*
 * The PNG is in the zone already: completes the entry.  Returns a result of
 * the entry in place of the given one.
 */

ngx_http_binarize_result_t *
ngx_http_binarize_keep_blob(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch, ngx_http_binarize_result_t *result)
{
    int                          rc;
    binarize_store_meta_t        meta;
    binarize_store_entry_t      *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *stored;

    zone = flight->zone;
    entry = fetch->blob.entry;

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_finish(zone->store, entry, fetch->blob.size,
                              result->doc.len, ngx_current_msec));

    if (rc != BINARIZE_OK) {
        ngx_http_binarize_blob_free(&fetch->blob);
        ngx_http_binarize_result_release(result);
        return NULL;
    }

    binarize_store_write_doc(zone->store, entry, result->doc.data);

    ngx_http_binarize_result_meta(result, &meta);

    ngx_http_binarize_zone_lock(zone);

    binarize_store_publish(zone->store, entry, &meta);
    stored = ngx_http_binarize_result_of_entry_locked(zone, entry, NULL);

    ngx_http_binarize_zone_unlock(zone);

    fetch->blob.entry = NULL;

    ngx_http_binarize_result_release(result);

    return stored;
}


void
ngx_http_binarize_keep_l2(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    binarize_record_t               record;
    ngx_http_binarize_flight_conf_t   *conf;
    ngx_http_binarize_redis_body_t  png;

    conf = flight->conf;

    if (conf->redis == NULL
        || result == NULL
        || result->problem != BINARIZE_PROBLEM_NONE)
    {
        return;
    }

    ngx_memzero(&record, sizeof(record));

    /* it lies in the result until it is sent */

    png.spans = result->png;
    png.nspans = result->npieces;
    png.release = ngx_http_binarize_keep_on_sent;
    png.data = result;

    result->refs++;

    record.doc.data = result->doc.data;
    record.doc.size = result->doc.len;
    record.etag.data = result->etag;
    record.etag.size = BINARIZE_ETAG_SIZE;
    record.stored = result->stored;
    record.payload_offset = result->payload_offset;
    record.unpadded = result->unpadded;

    if (ngx_http_binarize_l2_put(conf->redis, &conf->ns, flight->guid,
                                 &record, &png, conf->valid_s)
        == NGX_OK)
    {
        result->kept = 1;
        ngx_http_binarize_metric_inc(flight->zone,
                                     NGX_HTTP_BINARIZE_M_REDIS_STORE_SENT);

    } else {
        ngx_http_binarize_metric_inc(flight->zone,
                                    NGX_HTTP_BINARIZE_M_REDIS_STORE_UNUSABLE);
    }
}


static void
ngx_http_binarize_keep_on_sent(void *data)
{
    ngx_http_binarize_result_release(data);
}


ngx_http_binarize_result_t *
ngx_http_binarize_keep_state(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, ngx_uint_t remember)
{
    int                          rc;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *there;

    zone = flight->zone;
    there = NULL;

    ngx_http_binarize_store_retry(zone, rc,
        ngx_http_binarize_keep_state_locked(flight, result, remember, &there));

    if (there) {
        there->source = BINARIZE_SOURCE_COLLAPSED;
        ngx_http_binarize_result_release(result);

        return there;
    }

    if (rc != BINARIZE_OK && rc != BINARIZE_EXISTS) {
        ngx_log_error(NGX_LOG_WARN, flight->log, 0,
                      "binarize zone \"%V\" has no room to remember \"%*s\"",
                      &zone->shm_zone->shm.name,
                      (size_t) BINARIZE_GUID_SIZE, flight->guid);
    }

    result->kept = (rc == BINARIZE_OK && remember
                    && result->problem == BINARIZE_PROBLEM_NONE
                    && result->outcome != BINARIZE_PENDING);

    return result;
}


/* *there becomes the result that is there, unless there is no memory */

static int
ngx_http_binarize_keep_state_locked(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, ngx_uint_t remember,
    ngx_http_binarize_result_t **there)
{
    int                      rc;
    binarize_store_kind_e    kind;
    binarize_store_meta_t    meta;
    binarize_store_entry_t  *entry;

    if (remember) {
        kind = (result->problem == BINARIZE_PROBLEM_NONE
                && result->outcome == BINARIZE_PENDING)
               ? BINARIZE_STORE_PENDING : BINARIZE_STORE_NEGATIVE;

        ngx_http_binarize_result_meta(result, &meta);

        /* how often it was the answer is known for longer than the answer */

        meta.forget_ms = meta.expires_ms + (meta.expires_ms - ngx_current_msec)
                         + ngx_max(flight->conf->negative_max_ms,
                                   flight->conf->poll_max_ms);

        rc = binarize_store_put(flight->zone->store, flight->key, kind,
                                result->doc.data, result->doc.len, &meta,
                                ngx_process_slot, ngx_current_msec, &entry);

    } else {
        entry = binarize_store_lookup(flight->zone->store, flight->key,
                                      ngx_current_msec);
        rc = (entry && entry->kind == BINARIZE_STORE_RESULT)
             ? BINARIZE_EXISTS : BINARIZE_OK;
    }

    if (rc == BINARIZE_EXISTS) {
        *there = ngx_http_binarize_result_of_entry_locked(flight->zone, entry,
                                                          NULL);
    }

    return rc;
}
