
/* between the files of a flight; see flight.h for others */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_


#include "flight/flight.h"
#include "cloud/fetch.h"
#include "zone/metrics.h"


/*
 * A leader's lease, in the zone and among nodes.  It is renewed while the
 * leader's event loop runs; after it, or as soon as its process is gone,
 * another worker takes over; ms.
 */
#define NGX_HTTP_BINARIZE_LEASE_MS  5000


struct ngx_http_binarize_flight_s {
    ngx_rbtree_node_t                  node;       /* zone->flights */

    u_char                             key[BINARIZE_STORE_KEY_SIZE];
    u_char                             guid[BINARIZE_GUID_SIZE];
    ngx_http_binarize_zone_t          *zone;
    ngx_http_binarize_flight_conf_t   *conf;

    ngx_queue_t                        waiters;    /* .._waiter_t */

    void                             (*state)(ngx_http_binarize_flight_t *);
    ngx_event_t                        event;      /* runs state */
    ngx_http_binarize_sleeper_t        sleeper;    /* while it follows */

    /* of the request that started it */
    ngx_str_t                          headers;
    ngx_str_t                          host;
    ngx_str_t                          ssl_name;

    ngx_http_binarize_shm_flight_t    *shm;        /* we lead; or NULL */
    ngx_event_t                        renew;      /* of the leases */
    ngx_http_binarize_token_waiter_t   token_waiter;
    ngx_http_binarize_bearer_t         bearer;

    ngx_http_binarize_turn_t           turn;
    uint64_t                           due_ms;     /* of the turn we, or the
                                                      leader, wait for */
    uint64_t                           retry_ms;
    ngx_msec_t                         called_ms;  /* the first try */
    ngx_uint_t                         max_tries;  /* of the next fetch */

    /* among nodes, nodes.c */
    ngx_queue_t                        queue;      /* main->remote */
    ngx_http_binarize_l2_lease_t      *lease;      /* asked for, or held */
    uint64_t                           held_ms;    /* until then at least */
    ngx_int_t                          lease_rc;
    redisReply                        *state_reply;
    int64_t                            state_ttl_ms;

    ngx_uint_t                         gauge;      /* its state's */
    uint64_t                           redis_us;   /* asked */
    ngx_uint_t                         purges;     /* before it was */
    ngx_uint_t                         tries;
    ngx_log_t                         *log;
    ngx_pool_t                        *pool;

    ngx_http_binarize_result_t        *pending;    /* while it sleeps */
    uint32_t                           polls;      /* so often, one after
                                                      the other */

    unsigned                           leading:1;
    unsigned                           following:1;
    unsigned                           followed:1;  /* some time */
    unsigned                           remote:1;    /* another node flies */
    unsigned                           sleeping:1;
    unsigned                           queued:1;   /* for a turn */
    unsigned                           refused:1;  /* one token already */
    unsigned                           looked_up:1; /* in Redis */
    unsigned                           landed:1;    /* it came meanwhile */
    unsigned                           relooked:1;
};


/* flight.c: what the zone knows by now, then follows or leads */
void ngx_http_binarize_flight_look(ngx_http_binarize_flight_t *flight);


/* landing.c: moves the waiters that do not stay to a queue */
void ngx_http_binarize_flight_split_waiters(ngx_http_binarize_flight_t *flight,
    ngx_uint_t (*stays)(ngx_http_binarize_waiter_t *waiter),
    ngx_queue_t *others);

/* answers the requests in a queue, which may end others */
void ngx_http_binarize_flight_answer_all(ngx_http_binarize_flight_t *flight,
    ngx_queue_t *answered, ngx_http_binarize_result_t *result);

/* 1 if the request has time left to wait for the task; arms its deadline */
ngx_uint_t ngx_http_binarize_flight_can_wait(
    ngx_http_binarize_waiter_t *waiter);

/* looks after the request in ms */
void ngx_http_binarize_flight_arm_deadline(ngx_http_binarize_waiter_t *waiter,
    ngx_msec_t ms);

/* ends a flight that sleeps or queues and that nobody waits for */
void ngx_http_binarize_flight_end_if_unwanted(
    ngx_http_binarize_flight_t *flight);


/* turn.c: when the last of the flight's requests gives up; 0: now */
uint64_t ngx_http_binarize_flight_patient_until(
    ngx_http_binarize_flight_t *flight);

/* a request joins a flight that waits for a turn */
ngx_uint_t ngx_http_binarize_flight_can_wait_for_turn(
    ngx_http_binarize_waiter_t *waiter);

/* the request can not wait for the turn */
ngx_http_binarize_result_t *ngx_http_binarize_flight_no_turn(
    ngx_http_binarize_flight_t *flight, ngx_uint_t last);


/*
 * lead.c: what the leader of a flight does, from Redis to the cloud; each
 * step calls the next one, and the last one lands the flight.
 */
void ngx_http_binarize_lead(ngx_http_binarize_flight_t *flight);

/* lands without an answer: other workers that want one lead on */
void ngx_http_binarize_lead_give_up(ngx_http_binarize_flight_t *flight);

/* headers.c: what of the flight depends on the request that starts it */
ngx_int_t ngx_http_binarize_flight_eval(ngx_http_request_t *r,
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
 * That there is no result, or none yet, is to be answered, and, if it is to
 * be remembered, put into the zone, where it stays until result->expires_ms.
 * A result is replaced by a result only: returns the one that is there, and
 * the given one is released; else the given one.
 */
ngx_http_binarize_result_t *ngx_http_binarize_keep_state(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result,
    ngx_uint_t remember);


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
ngx_uint_t ngx_http_binarize_flight_unwanted(
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

/*
 * Answers the waiters by result (NULL: no memory), whose reference is taken
 * over, and frees the flight; if there is none yet who has time left waits on,
 * and the flight sleeps.
 */
void ngx_http_binarize_flight_land(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/* the same, and nobody waits on */
void ngx_http_binarize_flight_land_all(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/*
 * Nothing is called now, nor until the next look: a turn is given back, and
 * the next call begins anew.
 */
void ngx_http_binarize_flight_rest(ngx_http_binarize_flight_t *flight);


/*
 * nodes.c
 */

/*
 * Redis has no result of a flight this worker leads: asks for what the other
 * nodes know and for the lease.  Goes on by one of
 *
 *     ngx_http_binarize_lead_to_cloud()   the cloud is ours to ask
 *     ngx_http_binarize_flight_land()...  another node has a recent answer
 *     ngx_http_binarize_lead()            another node has landed, or is gone
 */
void ngx_http_binarize_nodes_ask(ngx_http_binarize_flight_t *flight);

/* for the others: what is remembered until result->expires_ms */
void ngx_http_binarize_nodes_publish_state(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/* gives the lease back, if it is held, and tells the others to look again */
void ngx_http_binarize_nodes_release(ngx_http_binarize_flight_t *flight);

/* lead.c: goes on without the other nodes */
void ngx_http_binarize_lead_to_cloud(ngx_http_binarize_flight_t *flight);


/*
 * metrics.c
 */

/* a call of the flight has ended */
void ngx_http_binarize_flight_count(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_ */
