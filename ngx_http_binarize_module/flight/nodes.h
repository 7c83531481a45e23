
/*
 * Flights of several nodes with one Redis: of all nodes that miss an id one
 * holds its lease and asks the cloud; the others hear of the landing.
 *
 *     {<result key>}:lease   who asks the cloud; see ngx_http_binarize_l2.h
 *     {<result key>}:state   there is no result, or none yet; core/state.h
 *
 * Whatever goes wrong with Redis, a node stands alone.
 */


#ifndef _NGX_HTTP_BINARIZE_NODES_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_NODES_H_INCLUDED_


#include "flight/lead.h"


/*
 * Redis has no result of a flight this worker leads: asks for what the other
 * nodes know and for the lease.  Goes on by one of
 *
 *     ngx_http_binarize_lead_alone()      the cloud is ours to ask
 *     ngx_http_binarize_flight_land()...  another node has a recent answer
 *     ngx_http_binarize_lead()            another node has landed, or is gone
 */
void ngx_http_binarize_nodes_ask(ngx_http_binarize_flight_t *flight);

/* tells what is remembered for ms, and how often it was the answer before */
void ngx_http_binarize_nodes_tell(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, ngx_msec_t ms, uint32_t repeat);

/* gives the lease back, if it is held, and tells the others to look again */
void ngx_http_binarize_nodes_release(ngx_http_binarize_flight_t *flight);

/* all flights that wait for another node look */
void ngx_http_binarize_nodes_wake(ngx_http_binarize_main_conf_t *bmcf);

/*
 * Listens to the other nodes; in init_process, after Redis' own.
 * on_purge(bmcf, ...) is called when one has purged.
 */
ngx_int_t ngx_http_binarize_nodes_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_main_conf_t *bmcf,
    ngx_http_binarize_l2_purged_pt on_purge);


/* lead.c: goes on without the other nodes */
void ngx_http_binarize_lead_alone(ngx_http_binarize_flight_t *flight);


#endif /* _NGX_HTTP_BINARIZE_NODES_H_INCLUDED_ */
