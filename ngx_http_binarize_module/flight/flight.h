
/*
 * Flights: all requests of this worker for one id wait on one flight, and of
 * all workers' flights for it one leads, the others follow.
 *
 *             +------------- what the zone knows is enough -----> land
 *             |
 *   look -----+-- another worker leads: follow -- woken, or its lease
 *    ^        |                                   has run out --+
 *    |        +-- lead: Redis, token, turn of the budget,       |
 *    |                  fetch ------------------- land          |
 *    +----------------------------------------------------------+
 *    |
 *    +-- the task is pending and somebody waits: sleep until the next poll
 *
 * What a leader finds out it leaves in the zone before it wakes the others:
 * a landing is always something that can be looked up.
 */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_


#include "flight/conf.h"
#include "budget/budget.h"
#include "cloud/fetch.h"
#include "l2/l2.h"
#include "flight/result.h"
#include "token/token.h"
#include "zone/zone.h"


typedef struct ngx_http_binarize_flight_s  ngx_http_binarize_flight_t;


/* who waits for a landing, embedded, zeroed before */
typedef struct ngx_http_binarize_waiter_s  ngx_http_binarize_waiter_t;

struct ngx_http_binarize_waiter_s {
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
    ngx_http_binarize_flight_t        *flight;     /* NULL: waits for none */
    ngx_queue_t                        queue;      /* flight->waiters */
    ngx_event_t                        deadline;
    unsigned                           leader:1;   /* has started it */
};


struct ngx_http_binarize_flight_s {
    ngx_rbtree_node_t                  node;       /* zone->flights */
    ngx_queue_t                        queue;      /* zone->followers */

    u_char                             key[BINARIZE_STORE_KEY_SIZE];
    u_char                             guid[BINARIZE_GUID_SIZE];
    ngx_http_binarize_zone_t          *zone;
    ngx_http_binarize_flight_conf_t      *conf;

    ngx_queue_t                        waiters;    /* ..._ctx_t */

    void                             (*state)(ngx_http_binarize_flight_t *);
    ngx_event_t                        event;      /* runs state */

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
    ngx_http_binarize_l2_lease_t      *lease;      /* asked for, or held */
    ngx_int_t                          lease_rc;
    redisReply                        *state_reply;
    int64_t                            state_ttl_ms;
    uint32_t                           state_repeat;

    ngx_uint_t                         gauge;      /* its state's */
    uint64_t                           redis_us;   /* asked */
    ngx_uint_t                         purges;     /* before it was */
    ngx_uint_t                         tries;
    ngx_log_t                         *log;
    ngx_pool_t                        *pool;

    ngx_http_binarize_result_t        *pending;    /* while it sleeps */

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


/*
 * Makes the waiter wait on the flight of the id, which is started by r, if
 * there is none: waiter->handler() is called when it lands, never from inside.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_binarize_flight_join(ngx_http_request_t *r,
    ngx_http_binarize_flight_conf_t *conf, u_char *key, u_char *guid,
    ngx_http_binarize_waiter_t *waiter);

/* the client is gone; the flight goes on */
void ngx_http_binarize_flight_leave(ngx_http_binarize_waiter_t *waiter);

/* lets all followers look again; on a wake-up */
void ngx_http_binarize_flight_wake(ngx_http_binarize_zone_t *zone);

/*
 * A leader's lease, in the zone and among nodes.  It is renewed while the
 * leader's event loop runs; after it, or as soon as its process is gone,
 * another worker takes over; ms.
 */
#define NGX_HTTP_BINARIZE_LEASE_MS  5000

/* before the worker's first flight in that zone */
void ngx_http_binarize_flight_init_process(ngx_http_binarize_zone_t *zone);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_H_INCLUDED_ */
