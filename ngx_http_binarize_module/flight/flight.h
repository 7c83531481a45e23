
/*
 * Flights: all requests of this worker for one id wait on one flight, and of
 * all workers' flights for it one leads, the others follow.  What a flight
 * decides is core/flight.h's; here is what it has to be told, and what it has
 * done.
 *
 * What a leader finds out it leaves in the zone before it wakes the others:
 * a landing is always something that can be looked up.
 */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_


#include "flight/conf.h"
#include "flight/result.h"
#include "core/flight.h"


typedef struct ngx_http_binarize_flight_s  ngx_http_binarize_flight_t;


/* who waits for a landing, embedded, zeroed before */
typedef struct ngx_http_binarize_waiter_s  ngx_http_binarize_waiter_t;

struct ngx_http_binarize_waiter_s {
    binarize_waiter_t                  core;

    /* the caller's */
    ngx_msec_t                         started_ms;
    ngx_msec_t                         wait_ms;    /* for the task, from then */

    /* the landing; result NULL: no memory */
    void                             (*handler)(
                                        ngx_http_binarize_waiter_t *waiter,
                                        ngx_http_binarize_result_t *result);

    /* set when it has come */
    binarize_source_e                  source;
    ngx_uint_t                         cloud_calls;

    /* implementation */
    ngx_http_binarize_zone_t          *zone;
    ngx_http_binarize_result_t        *result;     /* is to be answered by */
    ngx_event_t                        deadline;
    unsigned                           leader:1;   /* has started it */
};


/*
 * Makes the waiter wait on the flight of the id, which is started by r, if
 * there is none: waiter->handler() is called when it lands, never from inside.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_binarize_flight_join(ngx_http_request_t *r,
    ngx_http_binarize_flight_conf_t *conf, u_char *key, u_char *guid,
    ngx_http_binarize_waiter_t *waiter);

/* the client is gone; the flight goes on while others wait */
void ngx_http_binarize_flight_leave(ngx_http_binarize_waiter_t *waiter);

/* before the worker's first flight in that zone */
ngx_int_t ngx_http_binarize_flight_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_zone_t *zone);

/* names the gateways' counters, and counts what their Redis do */
ngx_int_t ngx_http_binarize_flight_metrics_init_process(
    ngx_http_binarize_main_conf_t *bmcf);

/*
 * Listens to the other nodes; in init_process, after Redis' own.
 * on_purge(bmcf, ...) is called when one has purged.
 */
ngx_int_t ngx_http_binarize_nodes_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_main_conf_t *bmcf,
    ngx_http_binarize_l2_purged_pt on_purge);

/*
 * No more calls are made: flights that wait for a turn, for another worker or
 * another node end.  Those that wait for Redis, a token or a call end by
 * themselves when that has come.
 */
void ngx_http_binarize_flight_stop(ngx_http_binarize_zone_t *zone);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_ */
