
/*
 * Counters, histograms and gauges of a zone, for binarize_status.
 *
 * A worker counts in a block of its own by relaxed atomic additions, without
 * a lock; blocks lie on cache lines of their own and are summed up when they
 * are read.  Where there are more workers than blocks some share one.  Blocks
 * outlive their workers: what was counted stays until the zone ends.
 *
 * Gauges lie in a record of the process they are about, by its slot, which
 * alone writes it.  If it is gone they count for nothing.
 *
 * Each change is one aligned word: a worker that dies at any instruction
 * leaves at most one event that was counted by half.
 */


#ifndef _NGX_HTTP_BINARIZE_METRICS_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_METRICS_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "zone/zone.h"
#include "core/store.h"


/* namespaces counted apart; the last one is all others */
#define NGX_HTTP_BINARIZE_NAMESPACES        5
#define NGX_HTTP_BINARIZE_NAMESPACE_SIZE    48

#define NGX_HTTP_BINARIZE_FORMATS           (BINARIZE_FORMAT_JSON + 1)
#define NGX_HTTP_BINARIZE_STATUSES          18

/* bounds of the histograms; each has two cells more: above, and the sum */
#define NGX_HTTP_BINARIZE_SIZE_BOUNDS       10
#define NGX_HTTP_BINARIZE_SECONDS_BOUNDS    13
#define NGX_HTTP_BINARIZE_QUICK_BOUNDS      12


/*
 * The cells of a block.  A new counter is a line here, before the histograms,
 * and one in the table of families.c.
 */
typedef enum {
    /* by namespace, format and source, in this order */
    NGX_HTTP_BINARIZE_M_REQUESTS = 0,

    /* by namespace */
    NGX_HTTP_BINARIZE_M_CLOUD_TRIES = NGX_HTTP_BINARIZE_M_REQUESTS
                                      + NGX_HTTP_BINARIZE_NAMESPACES
                                        * NGX_HTTP_BINARIZE_FORMATS
                                        * BINARIZE_SOURCES,

    /* by status */
    NGX_HTTP_BINARIZE_M_ANSWERS = NGX_HTTP_BINARIZE_M_CLOUD_TRIES
                                  + NGX_HTTP_BINARIZE_NAMESPACES,

    /* completed, pending, then by problem */
    NGX_HTTP_BINARIZE_M_CLOUD_CALLS = NGX_HTTP_BINARIZE_M_ANSWERS
                                      + NGX_HTTP_BINARIZE_STATUSES,

    /* by problem, _OK being one */
    NGX_HTTP_BINARIZE_M_TOKEN_CALLS = NGX_HTTP_BINARIZE_M_CLOUD_CALLS
                                      + 2 + BINARIZE_PROBLEMS,

    NGX_HTTP_BINARIZE_M_REDIS_HIT = NGX_HTTP_BINARIZE_M_TOKEN_CALLS
                                    + BINARIZE_PROBLEMS,
    NGX_HTTP_BINARIZE_M_REDIS_MISS,
    NGX_HTTP_BINARIZE_M_REDIS_ERROR,
    NGX_HTTP_BINARIZE_M_REDIS_UNUSABLE,

    NGX_HTTP_BINARIZE_M_REDIS_STORE_SENT,
    NGX_HTTP_BINARIZE_M_REDIS_STORE_UNUSABLE,

    NGX_HTTP_BINARIZE_M_LEASE_HELD,
    NGX_HTTP_BINARIZE_M_LEASE_BUSY,
    NGX_HTTP_BINARIZE_M_LEASE_LANDED,
    NGX_HTTP_BINARIZE_M_LEASE_ERROR,

    /* as ngx_http_binarize_redis_stats_t, in its order */
    NGX_HTTP_BINARIZE_M_REDIS_COMMANDS,
    NGX_HTTP_BINARIZE_M_REDIS_TIMEOUTS,
    NGX_HTTP_BINARIZE_M_REDIS_ERRORS,
    NGX_HTTP_BINARIZE_M_REDIS_LOST,
    NGX_HTTP_BINARIZE_M_REDIS_CONNECTS,
    NGX_HTTP_BINARIZE_M_REDIS_FAILURES,
    NGX_HTTP_BINARIZE_M_REDIS_OVERSIZE,
    NGX_HTTP_BINARIZE_M_REDIS_RECEIVED,
    NGX_HTTP_BINARIZE_M_REDIS_SENT,

    NGX_HTTP_BINARIZE_M_BUDGET_WAITED,
    NGX_HTTP_BINARIZE_M_BUDGET_REFUSED,

    NGX_HTTP_BINARIZE_M_CLOUD_BYTES,   /* of bodies */
    NGX_HTTP_BINARIZE_M_POLLS,
    NGX_HTTP_BINARIZE_M_LED,           /* flights */
    NGX_HTTP_BINARIZE_M_FOLLOWED,
    NGX_HTTP_BINARIZE_M_TAKEOVERS,
    NGX_HTTP_BINARIZE_M_WAKES_SENT,
    NGX_HTTP_BINARIZE_M_WAKES,

    /* histograms */
    NGX_HTTP_BINARIZE_M_SIZE,
    NGX_HTTP_BINARIZE_M_WAIT = NGX_HTTP_BINARIZE_M_SIZE
                               + NGX_HTTP_BINARIZE_SIZE_BOUNDS + 2,
    NGX_HTTP_BINARIZE_M_FETCH = NGX_HTTP_BINARIZE_M_WAIT
                                + NGX_HTTP_BINARIZE_SECONDS_BOUNDS + 2,
    NGX_HTTP_BINARIZE_M_REDIS_LOOKUP = NGX_HTTP_BINARIZE_M_FETCH
                                       + NGX_HTTP_BINARIZE_SECONDS_BOUNDS + 2,
    NGX_HTTP_BINARIZE_M_WAKE = NGX_HTTP_BINARIZE_M_REDIS_LOOKUP
                               + NGX_HTTP_BINARIZE_QUICK_BOUNDS + 2,
    NGX_HTTP_BINARIZE_METRICS = NGX_HTTP_BINARIZE_M_WAKE
                                + NGX_HTTP_BINARIZE_QUICK_BOUNDS + 2
} ngx_http_binarize_metric_e;


/* what a process has at the moment; a flight is in one of its states */
typedef enum {
    NGX_HTTP_BINARIZE_G_NONE = 0,
    NGX_HTTP_BINARIZE_G_FOLLOWING,
    NGX_HTTP_BINARIZE_G_REDIS,
    NGX_HTTP_BINARIZE_G_REMOTE,        /* another node's */
    NGX_HTTP_BINARIZE_G_BUDGET,
    NGX_HTTP_BINARIZE_G_TOKEN,
    NGX_HTTP_BINARIZE_G_FETCHING,
    NGX_HTTP_BINARIZE_G_SLEEPING,

    NGX_HTTP_BINARIZE_G_WAITING,       /* requests */
    NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS,
    NGX_HTTP_BINARIZE_G_REDIS_USABLE,

    NGX_HTTP_BINARIZE_GAUGES = 16
} ngx_http_binarize_gauge_e;


/* one cache line */
struct ngx_http_binarize_gauges_s {
    int32_t                          values[NGX_HTTP_BINARIZE_GAUGES];
};


/* slots whose gauges are seen; those of more would be missing */
#define NGX_HTTP_BINARIZE_GAUGE_RECORDS     256


struct ngx_http_binarize_shm_metrics_s {
    ngx_http_binarize_gauges_t       gauges[NGX_HTTP_BINARIZE_GAUGE_RECORDS];

    /* zero-terminated, empty: free; under shpool->mutex */
    u_char                           namespaces
                                       [NGX_HTTP_BINARIZE_NAMESPACES - 1]
                                       [NGX_HTTP_BINARIZE_NAMESPACE_SIZE];

    uint64_t                         nblocks;
    uint64_t                         stride; /* of a block, cells */

    /* behind it, on a line of its own: the blocks */
};


/* a zone as it is at one moment, all workers together */
typedef struct {
    ngx_http_binarize_zone_t        *zone;
    uint64_t                         cells[NGX_HTTP_BINARIZE_METRICS];
    uint64_t                         gauges[NGX_HTTP_BINARIZE_GAUGES];
    uint64_t                         nworkers;
    uint64_t                         size;   /* of the zone, bytes */
    binarize_store_stats_t           store;
    u_char                           namespaces
                                       [NGX_HTTP_BINARIZE_NAMESPACES]
                                       [NGX_HTTP_BINARIZE_NAMESPACE_SIZE];
} ngx_http_binarize_snapshot_t;


typedef enum {
    NGX_HTTP_BINARIZE_H_SIZE = 0,
    NGX_HTTP_BINARIZE_H_WAIT,
    NGX_HTTP_BINARIZE_H_FETCH,
    NGX_HTTP_BINARIZE_H_REDIS_LOOKUP,
    NGX_HTTP_BINARIZE_H_WAKE
} ngx_http_binarize_histogram_e;


/* what is written of a snapshot: its numbers at offset, and so on by stride */
typedef struct {
    const char                      *name;   /* without "binarize_" */
    const char                      *help;
    const char                      *label;  /* NULL: one number */

    /* the label's i-th value, by either; NULL: there is no such number */
    const char *const               *names;
    const char                    *(*name_of)(ngx_uint_t i);

    ngx_uint_t                       n;
    size_t                           offset;
    size_t                           stride; /* bytes */
    uint64_t                         scale;
    unsigned                         counter:1;
} ngx_http_binarize_family_t;


typedef struct {
    const char                      *name;
    const char                      *help;
    ngx_uint_t                       first;  /* cell */
    ngx_uint_t                       nbounds;
    const uint64_t                  *bounds; /* included, as counted */
    const char *const               *labels; /* the same in base units */
    unsigned                         seconds:1; /* counted in microseconds */
} ngx_http_binarize_histogram_t;


/* families.c; each ends with an entry without a name */
extern const ngx_http_binarize_family_t     ngx_http_binarize_families[];
extern const ngx_http_binarize_histogram_t  ngx_http_binarize_histograms[];


/* of this worker */

#define ngx_http_binarize_metric_add(zone, metric, n)                         \
    ((void) __atomic_fetch_add(&(zone)->counters[metric], (uint64_t) (n),     \
                               __ATOMIC_RELAXED))

#define ngx_http_binarize_metric_inc(zone, metric)                            \
    ngx_http_binarize_metric_add(zone, metric, 1)

/* only this process writes: no atomic addition is needed */
#define ngx_http_binarize_gauge_add(zone, gauge, n)                           \
    __atomic_store_n(&(zone)->gauges->values[gauge],                          \
                     (zone)->gauges->values[gauge] + (n), __ATOMIC_RELAXED)

/* a flight's state: from *current, _G_NONE at first, to gauge */
#define ngx_http_binarize_gauge_move(zone, current, gauge)                    \
    do {                                                                      \
        ngx_http_binarize_gauge_add(zone, *(current), -1);                    \
        *(current) = (gauge);                                                 \
        ngx_http_binarize_gauge_add(zone, *(current), 1);                     \
    } while (0)


/* microseconds of CLOCK_MONOTONIC, the same for all processes; never 0 */
uint64_t ngx_http_binarize_metric_clock_us(void);

/* an event in one of the histograms; microseconds or bytes */
void ngx_http_binarize_metric_wait(ngx_http_binarize_zone_t *zone,
    uint64_t us);
void ngx_http_binarize_metric_wake(ngx_http_binarize_zone_t *zone,
    uint64_t us);

/* a look-up in Redis has ended; rc as ngx_http_binarize_l2_handler_pt's */
void ngx_http_binarize_metric_redis_lookup(ngx_http_binarize_zone_t *zone,
    ngx_int_t rc, uint64_t us);

/*
 * The other nodes were asked; rc as ngx_http_binarize_l2_lease()'s, landed: one
 * has landed already
 */
void ngx_http_binarize_metric_lease(ngx_http_binarize_zone_t *zone,
    ngx_int_t rc, ngx_uint_t landed);

/* a request was answered; sent: bytes of body, -1: a part of another answer */
void ngx_http_binarize_metric_answer(ngx_http_binarize_zone_t *zone,
    ngx_uint_t ns_index, binarize_format_e format, binarize_source_e source,
    ngx_uint_t status, off_t sent);

/*
 * A call to the cloud has ended.  outcome: 0, a result; 1, pending; 2 and
 * more: 2 and the problem.
 */
void ngx_http_binarize_metric_call(ngx_http_binarize_zone_t *zone,
    ngx_uint_t ns_index, ngx_uint_t tries, ngx_uint_t outcome, size_t size,
    uint64_t us);


/* allocates the blocks from the zone's slab pool; NGX_ERROR: no room */
ngx_int_t ngx_http_binarize_metrics_format(ngx_http_binarize_zone_t *zone);

/* before anything is counted; and after */
void ngx_http_binarize_metrics_init_process(ngx_http_binarize_zone_t *zone);
void ngx_http_binarize_metrics_exit_process(ngx_http_binarize_zone_t *zone);

/* the index of a namespace's counters in that zone */
ngx_uint_t ngx_http_binarize_metrics_namespace(ngx_http_binarize_zone_t *zone,
    ngx_str_t *ns);

/* takes the zone's mutex for the store's numbers only */
void ngx_http_binarize_metrics_read(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_snapshot_t *snapshot);

/* buckets and sum are apart: the count of the events below and in bucket i */
uint64_t ngx_http_binarize_histogram_count(
    const ngx_http_binarize_histogram_t *histogram,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t i);

/* "png", "json", "none" */
const char *ngx_http_binarize_format_name(ngx_uint_t format);


#endif /* _NGX_HTTP_BINARIZE_METRICS_H_INCLUDED_ */
