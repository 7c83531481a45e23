
#include "flight/private.h"
#include "redis/redis.h"


/* what of an endpoint's numbers is in the zone already */
typedef struct {
    ngx_http_binarize_zone_t         *zone;
    ngx_http_binarize_redis_t        *redis;
    ngx_http_binarize_redis_stats_t   counted;
    ngx_uint_t                        usable;
} ngx_http_binarize_redis_report_t;


static ngx_uint_t ngx_http_binarize_flight_outcome(
    ngx_http_binarize_fetch_t *fetch);
static ngx_int_t ngx_http_binarize_flight_watch_redis(
    ngx_http_binarize_main_conf_t *bmcf, ngx_http_binarize_redis_t *redis);
static void ngx_http_binarize_flight_on_redis(void *data);


void
ngx_http_binarize_flight_count(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch)
{
    if (fetch->end == BINARIZE_END_STOPPED) {
        /* paid all the same, and it says nothing of the cloud */
        ngx_http_binarize_metric_add(flight->zone,
                                     NGX_HTTP_BINARIZE_M_CLOUD_TRIES
                                     + flight->conf->ns_index, fetch->tries);
        return;
    }

    ngx_http_binarize_metric_call(flight->zone, flight->conf->ns_index,
                                  fetch->tries,
                                  ngx_http_binarize_flight_outcome(fetch),
                                  fetch->received,
                                  ngx_http_binarize_metric_clock_us()
                                  - fetch->started_us);
}


static ngx_uint_t
ngx_http_binarize_flight_outcome(ngx_http_binarize_fetch_t *fetch)
{
    if (fetch->problem != BINARIZE_PROBLEM_NONE) {
        return 2 + fetch->problem;
    }

    switch (fetch->document->envelope.outcome) {

    case BINARIZE_RESULT:
        return 0;

    case BINARIZE_PENDING:
        return 1;

    case BINARIZE_NOT_EXIST:
        return 2 + BINARIZE_PROBLEM_NOT_FOUND;

    case BINARIZE_TASK_FAILED:
        return 2 + BINARIZE_PROBLEM_TASK_ERROR;

    default: /* BINARIZE_NO_RESULT */
        return 2 + BINARIZE_PROBLEM_NO_RESULT;
    }
}


ngx_int_t
ngx_http_binarize_flight_metrics_init_process(
    ngx_http_binarize_main_conf_t *bmcf)
{
    ngx_uint_t                       i;
    ngx_http_binarize_redis_t      **redis;
    ngx_http_binarize_flight_conf_t   **gp;

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts; i++) {
        gp[i]->ns_index = ngx_http_binarize_metrics_namespace(
                                              gp[i]->zone->data, &gp[i]->ns);
    }

    redis = bmcf->redises.elts;

    for (i = 0; i < bmcf->redises.nelts; i++) {
        if (ngx_http_binarize_flight_watch_redis(bmcf, redis[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* it is counted for the zone of the first gateway that uses it */

static ngx_int_t
ngx_http_binarize_flight_watch_redis(ngx_http_binarize_main_conf_t *bmcf,
    ngx_http_binarize_redis_t *redis)
{
    ngx_uint_t                          i;
    ngx_http_binarize_flight_conf_t      **gp;
    ngx_http_binarize_redis_report_t   *report;

    gp = bmcf->gateways.elts;

    for (i = 0; i < bmcf->gateways.nelts; i++) {
        if (gp[i]->redis == redis) {
            break;
        }
    }

    if (i == bmcf->gateways.nelts) {
        return NGX_OK;
    }

    report = ngx_pcalloc(ngx_cycle->pool, sizeof(*report));
    if (report == NULL) {
        return NGX_ERROR;
    }

    report->zone = gp[i]->zone->data;
    report->redis = redis;

    ngx_http_binarize_gauge_add(report->zone,
                                NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS, 1);

    ngx_http_binarize_redis_watch(redis, ngx_http_binarize_flight_on_redis,
                                  report);
    return NGX_OK;
}


static void
ngx_http_binarize_flight_on_redis(void *data)
{
    ngx_http_binarize_redis_report_t *report = data;

    uint64_t    n, *now, *counted;
    ngx_uint_t  i, usable;

    now = (uint64_t *) ngx_http_binarize_redis_stats(report->redis);
    counted = (uint64_t *) &report->counted;

    for (i = 0; i < sizeof(report->counted) / sizeof(uint64_t); i++) {
        n = now[i] - counted[i];

        if (n) {
            ngx_http_binarize_metric_add(report->zone,
                                       NGX_HTTP_BINARIZE_M_REDIS_COMMANDS + i,
                                       n);
            counted[i] = now[i];
        }
    }

    usable = ngx_http_binarize_redis_usable(report->redis);

    if (usable != report->usable) {
        ngx_http_binarize_gauge_add(report->zone,
                                    NGX_HTTP_BINARIZE_G_REDIS_USABLE,
                                    usable ? 1 : -1);
        report->usable = usable;
    }
}
