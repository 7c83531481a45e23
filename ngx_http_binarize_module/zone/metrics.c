
#include "zone/metrics.h"

#include <time.h>


#define NGX_HTTP_BINARIZE_CACHE_LINE  64

/* counters beside those of the workers there are: of a reload's older ones */
#define NGX_HTTP_BINARIZE_MAX_BLOCKS  64


static ngx_uint_t ngx_http_binarize_status_index(ngx_uint_t status);
static void ngx_http_binarize_observe(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_histogram_e i, uint64_t n);
static size_t ngx_http_binarize_metrics_stride(void);
static ngx_uint_t ngx_http_binarize_metrics_namespace_locked(
    ngx_http_binarize_zone_t *zone, ngx_str_t *ns);
static uint64_t *ngx_http_binarize_metrics_block(
    ngx_http_binarize_shm_metrics_t *metrics, ngx_uint_t i);


/* their names are in families.c, behind them one for all others */
static const ngx_uint_t  ngx_http_binarize_statuses[] = {
    200, 202, 204, 206, 304, 400, 403, 404, 405, 406, 412, 416, 499, 500, 502,
    503, 504
};

_Static_assert(sizeof(ngx_http_binarize_statuses) / sizeof(ngx_uint_t)
               == NGX_HTTP_BINARIZE_STATUSES - 1, "statuses");

_Static_assert(sizeof(ngx_http_binarize_gauges_t)
               == NGX_HTTP_BINARIZE_CACHE_LINE, "a record is a cache line");


static ngx_http_binarize_gauges_t  ngx_http_binarize_no_gauges;


uint64_t
ngx_http_binarize_metric_clock_us(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + 1;
}


void
ngx_http_binarize_metric_wait(ngx_http_binarize_zone_t *zone, uint64_t us)
{
    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_H_WAIT, us);
}


void
ngx_http_binarize_metric_redis_lookup(ngx_http_binarize_zone_t *zone,
    ngx_int_t rc, uint64_t us)
{
    ngx_uint_t  metric;

    switch (rc) {

    case NGX_OK:
        metric = NGX_HTTP_BINARIZE_M_REDIS_HIT;
        break;

    case NGX_DECLINED:
        metric = NGX_HTTP_BINARIZE_M_REDIS_MISS;
        break;

    default: /* NGX_ERROR */
        metric = NGX_HTTP_BINARIZE_M_REDIS_ERROR;
    }

    ngx_http_binarize_metric_inc(zone, metric);

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_H_REDIS_LOOKUP, us);
}


void
ngx_http_binarize_metric_lease(ngx_http_binarize_zone_t *zone, ngx_int_t rc,
    ngx_uint_t landed)
{
    ngx_uint_t  metric;

    if (landed) {
        metric = NGX_HTTP_BINARIZE_M_LEASE_LANDED;

    } else if (rc == NGX_OK) {
        metric = NGX_HTTP_BINARIZE_M_LEASE_HELD;

    } else if (rc == NGX_BUSY) {
        metric = NGX_HTTP_BINARIZE_M_LEASE_BUSY;

    } else {
        metric = NGX_HTTP_BINARIZE_M_LEASE_ERROR;
    }

    ngx_http_binarize_metric_inc(zone, metric);
}


void
ngx_http_binarize_metric_wake(ngx_http_binarize_zone_t *zone, uint64_t us)
{
    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_WAKES);

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_H_WAKE, us);
}


void
ngx_http_binarize_metric_answer(ngx_http_binarize_zone_t *zone,
    ngx_uint_t ns_index, binarize_format_e format, binarize_source_e source,
    ngx_uint_t status, off_t sent)
{
    ngx_uint_t  i;

    i = (ns_index * NGX_HTTP_BINARIZE_FORMATS + format) * BINARIZE_SOURCES
        + source;

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_REQUESTS + i);

    i = ngx_http_binarize_status_index(status);

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_ANSWERS + i);

    if (sent >= 0) {
        ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_H_SIZE, sent);
    }
}


static ngx_uint_t
ngx_http_binarize_status_index(ngx_uint_t status)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BINARIZE_STATUSES - 1; i++) {
        if (ngx_http_binarize_statuses[i] == status) {
            break;
        }
    }

    return i;
}


void
ngx_http_binarize_metric_call(ngx_http_binarize_zone_t *zone,
    ngx_uint_t ns_index, ngx_uint_t tries, ngx_uint_t outcome, size_t size,
    uint64_t us)
{
    ngx_http_binarize_metric_add(zone, NGX_HTTP_BINARIZE_M_CLOUD_TRIES
                                       + ns_index, tries);
    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_CLOUD_CALLS
                                       + outcome);
    ngx_http_binarize_metric_add(zone, NGX_HTTP_BINARIZE_M_CLOUD_BYTES, size);

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_H_FETCH, us);
}


static void
ngx_http_binarize_observe(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_histogram_e i, uint64_t n)
{
    ngx_uint_t                            k;
    const ngx_http_binarize_histogram_t  *h;

    h = &ngx_http_binarize_histograms[i];

    for (k = 0; k < h->nbounds && n > h->bounds[k]; k++) { /* void */ }

    ngx_http_binarize_metric_inc(zone, h->first + k);
    ngx_http_binarize_metric_add(zone, h->first + h->nbounds + 1, n);
}


uint64_t
ngx_http_binarize_histogram_count(
    const ngx_http_binarize_histogram_t *histogram,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t i)
{
    uint64_t    count;
    ngx_uint_t  k;

    count = 0;

    for (k = 0; k <= i; k++) {
        count += snapshot->cells[histogram->first + k];
    }

    return count;
}


static size_t
ngx_http_binarize_metrics_stride(void)
{
    return ngx_align(NGX_HTTP_BINARIZE_METRICS * sizeof(uint64_t),
                     NGX_HTTP_BINARIZE_CACHE_LINE)
           / sizeof(uint64_t);
}


/* at most 1/64 of the zone goes to the blocks, but one there is */

ngx_int_t
ngx_http_binarize_metrics_format(ngx_http_binarize_zone_t *zone)
{
    size_t                            size;
    ngx_uint_t                        n, max;
    ngx_core_conf_t                  *ccf;
    ngx_http_binarize_shm_metrics_t  *metrics;

    ccf = (ngx_core_conf_t *) ngx_get_conf(zone->cycle->conf_ctx,
                                           ngx_core_module);

    size = ngx_http_binarize_metrics_stride() * sizeof(uint64_t);

    max = zone->shm_zone->shm.size / 64 / size;
    max = ngx_min(max, NGX_HTTP_BINARIZE_MAX_BLOCKS);

    n = ngx_max(ccf->worker_processes, 1) * 2;
    n = ngx_min(n, max);
    n = ngx_max(n, 1);

    /* larger than a page, hence aligned to one */

    metrics = ngx_slab_calloc(zone->shpool,
                              ngx_align(sizeof(*metrics),
                                        NGX_HTTP_BINARIZE_CACHE_LINE)
                              + n * size);
    if (metrics == NULL) {
        return NGX_ERROR;
    }

    metrics->nblocks = n;
    metrics->stride = size / sizeof(uint64_t);

    zone->metrics = metrics;

    return NGX_OK;
}


static uint64_t *
ngx_http_binarize_metrics_block(ngx_http_binarize_shm_metrics_t *metrics,
    ngx_uint_t i)
{
    u_char  *p;

    p = (u_char *) metrics + ngx_align(sizeof(*metrics),
                                       NGX_HTTP_BINARIZE_CACHE_LINE);

    return (uint64_t *) p + i * metrics->stride;
}


void
ngx_http_binarize_metrics_init_process(ngx_http_binarize_zone_t *zone)
{
    zone->counters = ngx_http_binarize_metrics_block(zone->metrics,
                             ngx_process_slot % zone->metrics->nblocks);

    zone->gauges = &ngx_http_binarize_no_gauges;

    if (ngx_process_slot < NGX_HTTP_BINARIZE_GAUGE_RECORDS) {
        zone->gauges = &zone->metrics->gauges[ngx_process_slot];
    }

    ngx_memzero(zone->gauges, sizeof(*zone->gauges));
}


void
ngx_http_binarize_metrics_exit_process(ngx_http_binarize_zone_t *zone)
{
    zone->gauges = &ngx_http_binarize_no_gauges;
}


ngx_uint_t
ngx_http_binarize_metrics_namespace(ngx_http_binarize_zone_t *zone,
    ngx_str_t *ns)
{
    ngx_uint_t  i;

    ngx_http_binarize_zone_lock(zone);
    i = ngx_http_binarize_metrics_namespace_locked(zone, ns);
    ngx_http_binarize_zone_unlock(zone);

    return i;
}


static ngx_uint_t
ngx_http_binarize_metrics_namespace_locked(ngx_http_binarize_zone_t *zone,
    ngx_str_t *ns)
{
    u_char      *name;
    size_t       len;
    ngx_uint_t   i;

    len = ngx_min(ns->len, NGX_HTTP_BINARIZE_NAMESPACE_SIZE - 1);

    for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES - 1; i++) {
        name = zone->metrics->namespaces[i];

        if (name[0] == '\0') {
            /* the first byte makes it valid */

            ngx_memcpy(name + 1, ns->data + 1, len - 1);
            name[len] = '\0';

            ngx_memory_barrier();
            name[0] = ns->data[0];
        }

        if (ngx_strncmp(name, ns->data, len) == 0 && name[len] == '\0') {
            return i;
        }
    }

    return NGX_HTTP_BINARIZE_NAMESPACES - 1;
}


void
ngx_http_binarize_metrics_read(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_snapshot_t *snapshot)
{
    int32_t                           n;
    uint64_t                         *block;
    ngx_uint_t                        i, k;
    ngx_http_binarize_gauges_t       *gauges;
    ngx_http_binarize_shm_metrics_t  *metrics;

    metrics = zone->metrics;

    ngx_memzero(snapshot, sizeof(*snapshot));

    snapshot->zone = zone;
    snapshot->size = zone->shm_zone->shm.size;

    for (i = 0; i < metrics->nblocks; i++) {
        block = ngx_http_binarize_metrics_block(metrics, i);

        for (k = 0; k < NGX_HTTP_BINARIZE_METRICS; k++) {
            snapshot->cells[k] += __atomic_load_n(&block[k],
                                                  __ATOMIC_RELAXED);
        }
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_GAUGE_RECORDS; i++) {
        gauges = &metrics->gauges[i];

        if (zone->shm->processes[i].pid == 0
            || ngx_http_binarize_zone_gone(zone, i))
        {
            continue;
        }

        snapshot->nworkers++;

        for (k = 1; k < NGX_HTTP_BINARIZE_GAUGES; k++) {
            n = __atomic_load_n(&gauges->values[k], __ATOMIC_RELAXED);
            snapshot->gauges[k] += ngx_max(n, 0);
        }
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_NAMESPACES - 1; i++) {
        ngx_memcpy(snapshot->namespaces[i], metrics->namespaces[i],
                   NGX_HTTP_BINARIZE_NAMESPACE_SIZE);
    }

    ngx_memcpy(snapshot->namespaces[i], "other", sizeof("other"));

    ngx_http_binarize_zone_lock(zone);
    binarize_store_stats(zone->store, &snapshot->store);
    ngx_http_binarize_zone_unlock(zone);
}
