
/* between the files of a flight; see ngx_http_binarize_flight.h for others */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_


#include "flight/nodes.h"


/* flight.c: what the zone knows by now, then follows or leads */
void ngx_http_binarize_flight_look(ngx_http_binarize_flight_t *flight);


/* landing.c: moves the waiters that do not stay to a queue */
void ngx_http_binarize_flight_divide(ngx_http_binarize_flight_t *flight,
    ngx_uint_t (*stays)(ngx_http_binarize_waiter_t *waiter), ngx_queue_t *others);

/* answers the requests in a queue, which may end others */
void ngx_http_binarize_flight_answer_all(ngx_http_binarize_flight_t *flight,
    ngx_queue_t *answered, ngx_http_binarize_result_t *result);

/* 1 if the request has time left to wait for the task; arms its deadline */
ngx_uint_t ngx_http_binarize_flight_patient(ngx_http_binarize_waiter_t *waiter);

/* looks after the request in ms */
void ngx_http_binarize_flight_arm(ngx_http_binarize_waiter_t *waiter, ngx_msec_t ms);

/* ends a flight that sleeps or queues and that nobody waits for */
void ngx_http_binarize_flight_idle(ngx_http_binarize_flight_t *flight);


/* turn.c: when the last of the flight's requests gives up; 0: now */
uint64_t ngx_http_binarize_flight_patient_until(
    ngx_http_binarize_flight_t *flight);

/* a request joins a flight that waits for a turn */
ngx_uint_t ngx_http_binarize_flight_queue(ngx_http_binarize_waiter_t *waiter);

/* the request can not wait for the turn */
ngx_http_binarize_result_t *ngx_http_binarize_flight_no_turn(
    ngx_http_binarize_flight_t *flight, ngx_uint_t last);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_ */
