
#ifndef _NGX_HTTP_BINARIZE_LEAD_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_LEAD_H_INCLUDED_


#include "flight/flight.h"


/*
 * lead.c: what the leader of a flight does, from Redis to the cloud; each
 * step calls the next one, and the last one lands the flight.
 */
void ngx_http_binarize_lead(ngx_http_binarize_flight_t *flight);

/* what of the flight depends on the request that starts it */
ngx_int_t ngx_http_binarize_lead_eval(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight);


/*
 * keep.c: what the leader leaves behind for others.
 *
 * The PNG is in the zone already: completes its entry, and returns a result
 * of that in place of the given one.  NULL: no memory.
 */
ngx_http_binarize_result_t *ngx_http_binarize_keep_blob(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_fetch_t *fetch,
    ngx_http_binarize_result_t *result);

typedef void (*ngx_http_binarize_kept_pt)(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/*
 * A result in memory of its own, as from Redis, is copied into the zone;
 * where L1 is off, only for those who follow.  The handler is called when
 * that is done or was not possible, for a small one from inside.
 */
void ngx_http_binarize_keep_record(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, ngx_http_binarize_kept_pt handler);

/* a result goes to Redis */
void ngx_http_binarize_keep_l2(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/*
 * Leaves in the zone, and in Redis, that there is no result, or none yet:
 * until it expires nobody asks the cloud again.  retry_after_s is the cloud's, if above 0.
 */
void ngx_http_binarize_keep_answer(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, binarize_store_kind_e kind,
    time_t retry_after_s);


/* puts it into the zone, where it stays until result->expires_ms */
void ngx_http_binarize_keep_state(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result, uint32_t repeat);


/* flight.c: renews the leases of the leader, again and again */
void ngx_http_binarize_flight_renew(ngx_http_binarize_flight_t *flight);

/*
 * The flight waits for its turn, or it will have to for longer than it was
 * thought: answers who can not wait for that.  The flight may be gone then.
 */
void ngx_http_binarize_flight_await_turn(ngx_http_binarize_flight_t *flight);

/* how long some of those who wait for it can wait for a turn, ms */
ngx_msec_t ngx_http_binarize_flight_patience(
    ngx_http_binarize_flight_t *flight);

/* 1 if there is nobody any more who waits for it */
ngx_uint_t ngx_http_binarize_flight_deserted(
    ngx_http_binarize_flight_t *flight);

/* gives the lead up and wakes who followed; what they need is in the zone */
void ngx_http_binarize_flight_release(ngx_http_binarize_flight_t *flight);

/*
 * The workers that wait for its landing, for ngx_http_binarize_zone_wake();
 * where there are more slots than bits, too many.  The mutex is held.
 */
void ngx_http_binarize_flight_slots(ngx_http_binarize_shm_flight_t *sf,
    uint64_t *slots);

/* 1 if workers other than the leader's wait for its landing */
ngx_uint_t ngx_http_binarize_flight_has_followers(
    ngx_http_binarize_flight_t *flight);

/*
 * The source of what was found, not fetched: a hit, unless the flight had
 * waited, so that it was fetched for it, too.
 */
binarize_source_e ngx_http_binarize_flight_source(
    ngx_http_binarize_flight_t *flight, binarize_source_e hit);

/* 1 if the result is none yet: who has time left waits on */
ngx_uint_t ngx_http_binarize_flight_waits(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/*
 * Answers all waiters by result (NULL: no memory), whose reference is taken
 * over, and frees the flight.
 */
void ngx_http_binarize_flight_land(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/* the same for a task that is pending: who has time left waits on */
void ngx_http_binarize_flight_land_pending(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);


#endif /* _NGX_HTTP_BINARIZE_LEAD_H_INCLUDED_ */
