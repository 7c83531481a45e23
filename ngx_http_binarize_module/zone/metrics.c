
#include "zone/metrics.h"

#include <time.h>


#define NGX_HTTP_BINARIZE_CACHE_LINE  64

/* counters beside those of the workers there are: of a reload's older ones */
#define NGX_HTTP_BINARIZE_MAX_BLOCKS  64


static ngx_uint_t ngx_http_binarize_status_index(ngx_uint_t status);
static void ngx_http_binarize_observe(ngx_http_binarize_zone_t *zone,
    ngx_uint_t first, const uint64_t *bounds, ngx_uint_t nbounds, uint64_t n);
static size_t ngx_http_binarize_metrics_stride(void);
static void ngx_http_binarize_metrics_claim_locked(
    ngx_http_binarize_zone_t *zone);
static ngx_uint_t ngx_http_binarize_metrics_gone(int64_t pid);
static ngx_uint_t ngx_http_binarize_metrics_namespace_locked(
    ngx_http_binarize_zone_t *zone, ngx_str_t *ns);
static uint64_t *ngx_http_binarize_metrics_block(
    ngx_http_binarize_shm_metrics_t *metrics, ngx_uint_t i);
static const char *ngx_http_binarize_status_name(ngx_uint_t i);
static const char *ngx_http_binarize_outcome_name(ngx_uint_t i);
static const char *ngx_http_binarize_token_outcome_name(ngx_uint_t i);
static const char *ngx_http_binarize_turn_name(ngx_uint_t i);
static const char *ngx_http_binarize_lookup_name(ngx_uint_t i);
static const char *ngx_http_binarize_redis_store_name(ngx_uint_t i);
static const char *ngx_http_binarize_lease_name(ngx_uint_t i);
static const char *ngx_http_binarize_redis_failure_name(ngx_uint_t i);
static const char *ngx_http_binarize_role_name(ngx_uint_t i);
static const char *ngx_http_binarize_flight_name(ngx_uint_t i);
static const char *ngx_http_binarize_kind_name(ngx_uint_t i);


static const uint64_t  ngx_http_binarize_size_bounds[] = {
    0, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864
};

static const char *const  ngx_http_binarize_size_labels[] = {
    "0", "1024", "4096", "16384", "65536", "262144", "1048576", "4194304",
    "16777216", "67108864"
};

static const uint64_t  ngx_http_binarize_seconds_bounds[] = {
    5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
    5000000, 10000000, 30000000, 60000000
};

static const char *const  ngx_http_binarize_seconds_labels[] = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
    "10", "30", "60"
};

static const uint64_t  ngx_http_binarize_quick_bounds[] = {
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000
};

static const char *const  ngx_http_binarize_quick_labels[] = {
    "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005",
    "0.01", "0.025", "0.05", "0.1", "0.25"
};


#define ngx_http_binarize_array_size(a)  (sizeof(a) / sizeof(a[0]))

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_size_bounds)
               == NGX_HTTP_BINARIZE_SIZE_BOUNDS
               && ngx_http_binarize_array_size(ngx_http_binarize_size_labels)
                  == NGX_HTTP_BINARIZE_SIZE_BOUNDS, "bounds of sizes");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_seconds_bounds)
               == NGX_HTTP_BINARIZE_SECONDS_BOUNDS
               && ngx_http_binarize_array_size(
                                          ngx_http_binarize_seconds_labels)
                  == NGX_HTTP_BINARIZE_SECONDS_BOUNDS, "bounds of seconds");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_quick_bounds)
               == NGX_HTTP_BINARIZE_QUICK_BOUNDS
               && ngx_http_binarize_array_size(ngx_http_binarize_quick_labels)
                  == NGX_HTTP_BINARIZE_QUICK_BOUNDS, "bounds of the quick");

_Static_assert(sizeof(ngx_http_binarize_gauges_t)
               == NGX_HTTP_BINARIZE_CACHE_LINE, "a record is a cache line");


const ngx_http_binarize_histogram_t  ngx_http_binarize_histograms[] = {

    { "answer_size_bytes",
      "Bytes of body sent to a client, complete or not.",
      NGX_HTTP_BINARIZE_M_SIZE, NGX_HTTP_BINARIZE_SIZE_BOUNDS,
      ngx_http_binarize_size_bounds, ngx_http_binarize_size_labels, 0 },

    { "wait_duration_seconds",
      "Time that requests waited for Redis, the cloud, or another request.",
      NGX_HTTP_BINARIZE_M_WAIT, NGX_HTTP_BINARIZE_SECONDS_BOUNDS,
      ngx_http_binarize_seconds_bounds, ngx_http_binarize_seconds_labels, 1 },

    { "fetch_duration_seconds",
      "Time of calls to the cloud, from connecting to the last byte.",
      NGX_HTTP_BINARIZE_M_FETCH, NGX_HTTP_BINARIZE_SECONDS_BOUNDS,
      ngx_http_binarize_seconds_bounds, ngx_http_binarize_seconds_labels, 1 },

    { "redis_lookup_duration_seconds",
      "Time of look-ups of a result in Redis.",
      NGX_HTTP_BINARIZE_M_REDIS_LOOKUP, NGX_HTTP_BINARIZE_QUICK_BOUNDS,
      ngx_http_binarize_quick_bounds, ngx_http_binarize_quick_labels, 1 },

    { "wake_duration_seconds",
      "Time from a landing to the worker that waits for it.",
      NGX_HTTP_BINARIZE_M_WAKE, NGX_HTTP_BINARIZE_QUICK_BOUNDS,
      ngx_http_binarize_quick_bounds, ngx_http_binarize_quick_labels, 1 },

    { NULL, NULL, 0, 0, NULL, NULL, 0 }
};


#define ngx_http_binarize_cell(metric)                                        \
    offsetof(ngx_http_binarize_snapshot_t, cells)                             \
        + (metric) * sizeof(uint64_t), sizeof(uint64_t)

#define ngx_http_binarize_gauge(gauge)                                        \
    offsetof(ngx_http_binarize_snapshot_t, gauges)                            \
        + (gauge) * sizeof(uint64_t), sizeof(uint64_t)

#define ngx_http_binarize_store(member)                                       \
    offsetof(ngx_http_binarize_snapshot_t, store)                             \
        + offsetof(binarize_store_stats_t, member), sizeof(uint64_t)

/* the members of an array of structures */
#define ngx_http_binarize_store_kinds(member)                                 \
    offsetof(ngx_http_binarize_snapshot_t, store)                             \
        + offsetof(binarize_store_stats_t, kinds[0].member),                  \
    sizeof(((binarize_store_stats_t *) 0)->kinds[0])


const ngx_http_binarize_family_t  ngx_http_binarize_families[] = {

    { "zone_size_bytes", "Size of the zone.", NULL, NULL, 1,
      offsetof(ngx_http_binarize_snapshot_t, size), 0, 1, 0 },

    { "workers", "Worker processes, those that are shutting down included.",
      NULL, NULL, 1,
      offsetof(ngx_http_binarize_snapshot_t, nworkers), 0, 1, 0 },

    { "answers", "Answers by the status the client got.",
      "status", ngx_http_binarize_status_name, NGX_HTTP_BINARIZE_STATUSES,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_ANSWERS), 1, 1 },

    { "waiting_requests", "Requests that wait for an answer now.",
      NULL, NULL, 1,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_WAITING), 1, 0 },

    { "flights", "Flights in the air now, by what they wait for.",
      "state", ngx_http_binarize_flight_name,
      NGX_HTTP_BINARIZE_G_SLEEPING - NGX_HTTP_BINARIZE_G_FOLLOWING + 1,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_FOLLOWING), 1, 0 },

    { "flights_started", "Flights by whether they led or followed another "
      "worker's; again at each poll.",
      "role", ngx_http_binarize_role_name, 2,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_LED), 1, 1 },

    { "flight_takeovers", "Flights led on after their leader was gone.",
      NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_TAKEOVERS), 1, 1 },

    { "wakes_sent", "Workers told that a flight has landed.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_WAKES_SENT), 1, 1 },

    { "wakes", "Wake-ups of workers by others.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_WAKES), 1, 1 },

    { "cloud_calls", "Calls to the cloud by their outcome.",
      "outcome", ngx_http_binarize_outcome_name,
      2 + BINARIZE_PROBLEMS,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_CLOUD_CALLS), 1, 1 },

    { "polls", "Calls made because requests wait for a pending task.",
      NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_POLLS), 1, 1 },

    { "budget_turns", "Calls the budget did not allow at once: those that "
      "waited for their turn, and those refused.",
      "outcome", ngx_http_binarize_turn_name, 2,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_BUDGET_WAITED), 1, 1 },

    { "cloud_received_bytes", "Bytes of the bodies the cloud sent.",
      NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_CLOUD_BYTES), 1, 1 },

    { "token_calls", "Calls for a token by their outcome.",
      "outcome", ngx_http_binarize_token_outcome_name,
      BINARIZE_PROBLEMS,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_TOKEN_CALLS), 1, 1 },

    { "l1_blocks_bytes", "Memory of the cache.", NULL, NULL, 1,
      ngx_http_binarize_store(nblocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_free_bytes", "Free memory of the cache.", NULL, NULL, 1,
      ngx_http_binarize_store(nfree_blocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_evictable_bytes", "Memory of entries that are not being sent.",
      NULL, NULL, 1,
      ngx_http_binarize_store(nevictable_blocks), BINARIZE_STORE_BLOCK_SIZE,
      0 },

    { "l1_entries", "Entries.",
      "kind", ngx_http_binarize_kind_name, BINARIZE_STORE_NKINDS,
      ngx_http_binarize_store_kinds(nentries), 1, 0 },

    { "l1_used_bytes", "Memory of entries.",
      "kind", ngx_http_binarize_kind_name, BINARIZE_STORE_NKINDS,
      ngx_http_binarize_store_kinds(nblocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_data_bytes", "Data of entries, without what it takes to keep them.",
      "kind", ngx_http_binarize_kind_name, BINARIZE_STORE_NKINDS,
      ngx_http_binarize_store_kinds(size), 1, 0 },

    { "l1_pinned_entries", "Entries that are being sent.", NULL, NULL, 1,
      ngx_http_binarize_store(npinned), 1, 0 },

    { "l1_building_entries", "Entries that are being received.",
      NULL, NULL, 1,
      ngx_http_binarize_store(nbuilding), 1, 0 },

    { "l1_building_bytes", "Memory of entries that are being received.",
      NULL, NULL, 1,
      ngx_http_binarize_store(nbuilding_blocks), BINARIZE_STORE_BLOCK_SIZE,
      0 },

    { "l1_zombie_entries", "Entries gone, but still being sent.",
      NULL, NULL, 1,
      ngx_http_binarize_store(nzombies), 1, 0 },

    { "l1_zombie_bytes", "Memory of entries gone, but still being sent.",
      NULL, NULL, 1,
      ngx_http_binarize_store(nzombie_blocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_hits", "Look-ups that found an entry of any kind, of flights too.",
      NULL, NULL, 1,
      ngx_http_binarize_store(hits), 1, 1 },

    { "l1_misses", "Look-ups that found none, of flights too.", NULL, NULL, 1,
      ngx_http_binarize_store(misses), 1, 1 },

    { "l1_inserts", "Entries that were stored.",
      "kind", ngx_http_binarize_kind_name, BINARIZE_STORE_NKINDS,
      ngx_http_binarize_store(inserts), 1, 1 },

    { "l1_evictions", "Entries that made room for others.",
      "kind", ngx_http_binarize_kind_name, BINARIZE_STORE_NKINDS,
      ngx_http_binarize_store(evictions), 1, 1 },

    { "l1_replaced", "Entries that a newer one of the same id replaced.",
      NULL, NULL, 1,
      ngx_http_binarize_store(replaced), 1, 1 },

    { "l1_expired", "Entries that expired.", NULL, NULL, 1,
      ngx_http_binarize_store(expired), 1, 1 },

    { "l1_removed", "Entries that were removed by a purge.", NULL, NULL, 1,
      ngx_http_binarize_store(removed), 1, 1 },

    { "l1_aborted", "Entries that were begun and not ended.", NULL, NULL, 1,
      ngx_http_binarize_store(aborted), 1, 1 },

    { "l1_declined", "Entries that were too large for the zone.",
      NULL, NULL, 1,
      ngx_http_binarize_store(declined), 1, 1 },

    { "l1_full", "Entries without room, since all is being sent or received.",
      NULL, NULL, 1,
      ngx_http_binarize_store(full), 1, 1 },

    { "l1_split", "Entries that were stored in more than one piece.",
      NULL, NULL, 1,
      ngx_http_binarize_store(split), 1, 1 },

    { "l1_recoveries", "Repairs after a worker died while it changed the "
      "cache.", NULL, NULL, 1,
      ngx_http_binarize_store(recoveries), 1, 1 },

    { "l1_dropped", "Entries lost in repairs.", NULL, NULL, 1,
      ngx_http_binarize_store(dropped), 1, 1 },

    { "redis_connections", "Connections to Redis there should be: one a "
      "worker and server.", NULL, NULL, 1,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS), 1, 0 },

    { "redis_usable_connections", "Those that are usable now.", NULL, NULL, 1,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_REDIS_USABLE), 1, 0 },

    { "redis_lookups", "Results looked up in Redis by outcome.",
      "outcome", ngx_http_binarize_lookup_name, 4,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_HIT), 1, 1 },

    { "redis_stores", "Results given to Redis: sent to it, or not since it "
      "was unusable.",
      "outcome", ngx_http_binarize_redis_store_name, 2,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_STORE_SENT), 1, 1 },

    { "leases", "Leases asked for, before a call to the cloud, by outcome: "
      "held; busy, another node asks the cloud; told, one has just done so.",
      "outcome", ngx_http_binarize_lease_name, 4,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_LEASE_HELD), 1, 1 },

    { "redis_commands", "Commands issued to Redis.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_COMMANDS), 1, 1 },

    { "redis_command_failures", "Commands that were not answered in time, "
      "answered by an error, or lost with the connection.",
      "reason", ngx_http_binarize_redis_failure_name, 3,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_TIMEOUTS), 1, 1 },

    { "redis_connects", "Tries to connect to Redis.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_CONNECTS), 1, 1 },

    { "redis_connect_failures", "Tries to connect to Redis that failed, and "
      "connections that did.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_FAILURES), 1, 1 },

    { "redis_oversize", "Strings in Redis that were too large to be taken.",
      NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_OVERSIZE), 1, 1 },

    { "redis_received_bytes", "Bytes received from Redis.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_RECEIVED), 1, 1 },

    { "redis_sent_bytes", "Bytes sent to Redis.", NULL, NULL, 1,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_SENT), 1, 1 },

    { NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0 }
};


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
    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_M_WAIT,
                              ngx_http_binarize_seconds_bounds,
                              NGX_HTTP_BINARIZE_SECONDS_BOUNDS, us);
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

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_M_REDIS_LOOKUP,
                              ngx_http_binarize_quick_bounds,
                              NGX_HTTP_BINARIZE_QUICK_BOUNDS, us);
}


void
ngx_http_binarize_metric_lease(ngx_http_binarize_zone_t *zone, ngx_int_t rc,
    ngx_uint_t told)
{
    ngx_uint_t  metric;

    if (told) {
        metric = NGX_HTTP_BINARIZE_M_LEASE_TOLD;

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

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_M_WAKE,
                              ngx_http_binarize_quick_bounds,
                              NGX_HTTP_BINARIZE_QUICK_BOUNDS, us);
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
        ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_M_SIZE,
                                  ngx_http_binarize_size_bounds,
                                  NGX_HTTP_BINARIZE_SIZE_BOUNDS, sent);
    }
}


/* as ngx_http_binarize_status_name() */

static ngx_uint_t
ngx_http_binarize_status_index(ngx_uint_t status)
{
    switch (status) {

    case 200:
        return 0;

    case 202:
        return 1;

    case 204:
        return 2;

    case 206:
        return 3;

    case 304:
        return 4;

    case 400:
        return 5;

    case 403:
        return 6;

    case 404:
        return 7;

    case 405:
        return 8;

    case 406:
        return 9;

    case 412:
        return 10;

    case 416:
        return 11;

    case 499:
        return 12;

    case 500:
        return 13;

    case 502:
        return 14;

    case 503:
        return 15;

    case 504:
        return 16;

    default:
        return 17;
    }
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

    ngx_http_binarize_observe(zone, NGX_HTTP_BINARIZE_M_FETCH,
                              ngx_http_binarize_seconds_bounds,
                              NGX_HTTP_BINARIZE_SECONDS_BOUNDS, us);
}


static void
ngx_http_binarize_observe(ngx_http_binarize_zone_t *zone, ngx_uint_t first,
    const uint64_t *bounds, ngx_uint_t nbounds, uint64_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < nbounds && n > bounds[i]; i++) { /* void */ }

    ngx_http_binarize_metric_inc(zone, first + i);
    ngx_http_binarize_metric_add(zone, first + nbounds + 1, n);
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

    ngx_http_binarize_zone_lock(zone);
    ngx_http_binarize_metrics_claim_locked(zone);
    ngx_http_binarize_zone_unlock(zone);
}


void
ngx_http_binarize_metrics_exit_process(ngx_http_binarize_zone_t *zone)
{
    if (zone->gauges) {
        zone->gauges->pid = 0;
        zone->gauges = &ngx_http_binarize_no_gauges;
    }
}


/* that of the worker which died in this slot comes first */

static void
ngx_http_binarize_metrics_claim_locked(ngx_http_binarize_zone_t *zone)
{
    ngx_uint_t                   i;
    ngx_http_binarize_gauges_t  *gauges;

    zone->gauges = &ngx_http_binarize_no_gauges;

    for (i = 0; i < NGX_HTTP_BINARIZE_GAUGE_RECORDS; i++) {

        gauges = &zone->metrics->gauges[(ngx_process_slot + i)
                                        % NGX_HTTP_BINARIZE_GAUGE_RECORDS];

        if (!ngx_http_binarize_metrics_gone(gauges->pid)) {
            continue;
        }

        gauges->pid = 0;
        ngx_memory_barrier();

        ngx_memzero(gauges->values, sizeof(gauges->values));

        ngx_memory_barrier();
        gauges->pid = ngx_pid;

        zone->gauges = gauges;
        return;
    }
}


static ngx_uint_t
ngx_http_binarize_metrics_gone(int64_t pid)
{
    if (pid == 0 || pid == ngx_pid) {
        return 1;
    }

    return kill((ngx_pid_t) pid, 0) == -1 && ngx_errno == ESRCH;
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

        if (gauges->pid == 0
            || (gauges->pid != ngx_pid
                && ngx_http_binarize_metrics_gone(gauges->pid)))
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


const char *
ngx_http_binarize_format_name(ngx_uint_t format)
{
    static const char  *names[] = { "none", "png", "json" };

    return names[format];
}


static const char *
ngx_http_binarize_status_name(ngx_uint_t i)
{
    static const char  *names[NGX_HTTP_BINARIZE_STATUSES] = {
        "200", "202", "204", "206", "304", "400", "403", "404", "405", "406",
        "412", "416", "499", "500", "502", "503", "504", "other"
    };

    return names[i];
}


static const char *
ngx_http_binarize_outcome_name(ngx_uint_t i)
{
    switch (i) {

    case 0:
        return "completed";

    case 1:
        return "pending";

    case 2 + BINARIZE_PROBLEM_NONE:
    case 2 + BINARIZE_PROBLEM_BAD_ID:
    case 2 + BINARIZE_PROBLEM_BAD_FORMAT:
    case 2 + BINARIZE_PROBLEM_BAD_METHOD:
    case 2 + BINARIZE_PROBLEM_NOT_ACCEPTABLE:
    case 2 + BINARIZE_PROBLEM_BUDGET:
    case 2 + BINARIZE_PROBLEM_TOKEN_REFUSED:
    case 2 + BINARIZE_PROBLEM_TOKEN_FAILED:
        return NULL;

    default:
        return binarize_problem_name(i - 2);
    }
}


static const char *
ngx_http_binarize_token_outcome_name(ngx_uint_t i)
{
    switch (i) {

    case BINARIZE_PROBLEM_NONE:
        return "ok";

    case BINARIZE_PROBLEM_UNREACHABLE:
    case BINARIZE_PROBLEM_BAD_RESPONSE:
    case BINARIZE_PROBLEM_TRUNCATED:
    case BINARIZE_PROBLEM_TIMEOUT:
    case BINARIZE_PROBLEM_BUSY:
    case BINARIZE_PROBLEM_TOKEN_REFUSED:
    case BINARIZE_PROBLEM_TOKEN_FAILED:
    case BINARIZE_PROBLEM_INTERNAL:
        return binarize_problem_name(i);

    default:
        return NULL;
    }
}


static const char *
ngx_http_binarize_turn_name(ngx_uint_t i)
{
    return i ? "refused" : "waited";
}


static const char *
ngx_http_binarize_lookup_name(ngx_uint_t i)
{
    static const char  *names[] = { "hit", "miss", "error", "unusable" };

    return names[i];
}


static const char *
ngx_http_binarize_redis_store_name(ngx_uint_t i)
{
    return i ? "unusable" : "sent";
}


static const char *
ngx_http_binarize_lease_name(ngx_uint_t i)
{
    static const char  *names[] = { "held", "busy", "told", "error" };

    return names[i];
}


static const char *
ngx_http_binarize_redis_failure_name(ngx_uint_t i)
{
    static const char  *names[] = { "timeout", "refused", "lost" };

    return names[i];
}


static const char *
ngx_http_binarize_role_name(ngx_uint_t i)
{
    return i ? "follower" : "leader";
}


static const char *
ngx_http_binarize_flight_name(ngx_uint_t i)
{
    /* by ngx_http_binarize_gauge_e, from _FOLLOWING on */

    static const char  *names[] = {
        "following", "redis", "remote", "budget", "token", "fetching",
        "sleeping"
    };

    return names[i];
}


static const char *
ngx_http_binarize_kind_name(ngx_uint_t i)
{
    static const char  *names[] = { "result", "negative", "pending" };

    return names[i];
}
