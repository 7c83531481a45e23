
/* between the files of a flight; see flight.h for others */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_


#include "flight/flight.h"
#include "cloud/fetch.h"
#include "core/flight.h"
#include "zone/metrics.h"


/* a leader's lease among nodes, ms; it is renewed while its event loop runs */
#define NGX_HTTP_BINARIZE_LEASE_MS  5000


/* all of this worker and one zone */
struct ngx_http_binarize_flights_s {
    ngx_rbtree_t                       tree;       /* by key */
    ngx_rbtree_node_t                  sentinel;
    ngx_event_t                        hold;       /* while there is any */

    /* claim.c: those that another worker leads, and of them those that are
       to look one by one */
    ngx_queue_t                        followers;
    ngx_queue_t                        to_look;
    ngx_http_binarize_sleeper_t        notified;
    ngx_event_t                        on_notes;
    ngx_event_t                        on_look;

    /* landing.c: who is to be answered */
    binarize_waiter_t                  landed;
    ngx_event_t                        on_landed;
};


struct ngx_http_binarize_flight_s {
    binarize_flight_t                  core;       /* what it decides */

    ngx_rbtree_node_t                  node;       /* zone->flights->tree */
    u_char                             key[BINARIZE_STORE_KEY_SIZE];
    u_char                             guid[BINARIZE_GUID_SIZE];
    ngx_http_binarize_zone_t          *zone;
    ngx_http_binarize_flight_conf_t   *conf;

    ngx_event_t                        event;      /* due, or to be freed */
    ngx_queue_t                        remote;     /* conf->main->remote */
    ngx_uint_t                         gauge;      /* its state's */

    /* what waiters are answered by; NULL: no memory */
    ngx_http_binarize_result_t        *hand;
    ngx_http_binarize_result_t        *pending;    /* the last one that was */
    uint64_t                           retry_ms;   /* who can not wait for the
                                                      turn comes back then */

    /* of the request that started it; headers.c */
    ngx_str_t                          headers;
    ngx_str_t                          host;
    ngx_str_t                          ssl_name;

    /* claim.c */
    ngx_queue_t                        follower;   /* .._flights_t */
    uint64_t                           follow_ms;  /* until then at most */
    uint64_t                           epoch;      /* of our claim; 0: none */

    /* record.c */
    uint64_t                           redis_us;   /* asked */
    ngx_uint_t                         purges;     /* before it was */

    /* nodes.c */
    ngx_http_binarize_l2_lease_t      *lease;      /* asked for, or held */
    ngx_int_t                          lease_rc;
    redisReply                        *state_reply;
    int64_t                            state_ttl_ms;
    uint64_t                           held_ms;    /* until then at least */

    /* call.c */
    ngx_http_binarize_token_waiter_t   token_waiter;
    ngx_http_binarize_bearer_t         bearer;
    ngx_http_binarize_turn_t           turn;
    ngx_msec_t                         called_ms;  /* the first try */
    ngx_uint_t                         max_tries;  /* of the next fetch */
    ngx_uint_t                         tries;      /* in all */
    uint32_t                           polls;      /* so often, one after
                                                      the other */
    binarize_decision_t                decision;   /* of what is in hand */

    ngx_log_t                         *log;
    ngx_pool_t                        *pool;
};


/* flight.c: the flight of the key, or with NULL of what keys begin with */
ngx_http_binarize_flight_t *ngx_http_binarize_flight_find(
    ngx_http_binarize_zone_t *zone, ngx_rbtree_key_t hash, u_char *key);

/* a flight or a landing has come, or gone */
void ngx_http_binarize_flight_hold(ngx_http_binarize_flights_t *flights);

/* an operation that was asked has ended */
void ngx_http_binarize_flight_event(ngx_http_binarize_flight_t *flight,
    binarize_flight_event_t event);

/*
 * Takes result into the hand, and says what that means to who waits; NULL: no
 * memory.
 */
binarize_flight_event_t ngx_http_binarize_flight_known(
    ngx_http_binarize_flight_t *flight, ngx_http_binarize_result_t *result);

/* takes it into the hand only */
void ngx_http_binarize_flight_take(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);

/* a problem that has no answer of the cloud's; nothing keeps it */
binarize_flight_event_t ngx_http_binarize_flight_problem(
    ngx_http_binarize_flight_t *flight, binarize_problem_e problem);

/*
 * The source of what was found, not fetched: a hit, unless the flight had
 * waited, so that it was fetched for it, too.
 */
binarize_source_e ngx_http_binarize_flight_source(
    ngx_http_binarize_flight_t *flight, binarize_source_e hit);

/* and of what was fetched for the flight */
binarize_source_e ngx_http_binarize_flight_fetched(
    ngx_http_binarize_flight_t *flight);

static ngx_inline binarize_flight_event_t
ngx_http_binarize_flight_says(binarize_flight_event_e kind, uint64_t at_ms)
{
    binarize_flight_event_t  event;

    event.kind = kind;
    event.at_ms = at_ms;

    return event;
}

#define ngx_http_binarize_flight_asked()                                      \
    ngx_http_binarize_flight_says(BINARIZE_FLIGHT_NONE, 0)


/*
 * The operations of a flight, as core/flight.h has them; each file has those
 * of what it is about.
 */

/* claim.c: what the node knows, and who of its workers leads */
binarize_flight_event_t ngx_http_binarize_flight_look(
    binarize_flight_t *core);
int ngx_http_binarize_flight_followed(binarize_flight_t *core);
void ngx_http_binarize_flight_show_turn(binarize_flight_t *core);
void ngx_http_binarize_flight_give_claim(binarize_flight_t *core);

/* the flight follows; and a waiter has joined, of whose patience the leader is
   to know */
void ngx_http_binarize_claim_follow(ngx_http_binarize_flight_t *flight);
void ngx_http_binarize_claim_follow_longer(ngx_http_binarize_flight_t *flight);

/* the flight's claim, or NULL if it has none any more; the mutex is held */
binarize_store_entry_t *ngx_http_binarize_claim_locked(
    ngx_http_binarize_flight_t *flight);

/*
 * 1 if the flight has its claim; until_ms is when the patience of all ends
 * who follow it, 0: nobody does
 */
ngx_uint_t ngx_http_binarize_claim_owned(ngx_http_binarize_flight_t *flight,
    uint64_t *until_ms);

/* in init_process */
void ngx_http_binarize_claim_init_process(ngx_http_binarize_zone_t *zone);

/* record.c: results in Redis, and their copies in the zone */
binarize_flight_event_t ngx_http_binarize_flight_get(binarize_flight_t *core);
binarize_flight_event_t ngx_http_binarize_flight_check(
    binarize_flight_t *core);
binarize_flight_event_t ngx_http_binarize_flight_copy(
    binarize_flight_t *core);

/* nodes.c: the lease, and what nodes say to each other */
binarize_flight_event_t ngx_http_binarize_flight_lease(
    binarize_flight_t *core);
void ngx_http_binarize_flight_give_lease(binarize_flight_t *core);

/* call.c: the token, the turn, the call */
binarize_flight_event_t ngx_http_binarize_flight_token(
    binarize_flight_t *core);
binarize_flight_event_t ngx_http_binarize_flight_turn(
    binarize_flight_t *core);
binarize_flight_event_t ngx_http_binarize_flight_call(
    binarize_flight_t *core);
binarize_flight_event_t ngx_http_binarize_flight_keep(
    binarize_flight_t *core);
void ngx_http_binarize_flight_drop_token(binarize_flight_t *core);
void ngx_http_binarize_flight_give_turn(binarize_flight_t *core);

/* landing.c: answers */
void ngx_http_binarize_flight_answer(binarize_flight_t *core,
    binarize_waiter_t *waiters, binarize_flight_by_e by);
void ngx_http_binarize_flight_arm(binarize_waiter_t *waiter, uint64_t at_ms);
void ngx_http_binarize_landing_init_process(ngx_http_binarize_zone_t *zone);

/* the answer of who can not wait for the flight's turn; NULL: no memory */
ngx_http_binarize_result_t *ngx_http_binarize_flight_no_turn(
    ngx_http_binarize_flight_t *flight);


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


/* nodes.c: for the others, what is remembered until result->expires_ms */
void ngx_http_binarize_nodes_publish_state(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result);


/* metrics.c: a call of the flight has ended */
void ngx_http_binarize_flight_count(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_PRIVATE_H_INCLUDED_ */
