
/*
 * The simulated fleet: nodes, their workers and zones, a Redis, a cloud and
 * clients in one process, with a clock of its own.  What decides is core/'s;
 * what nginx does for it the files here do:
 *
 *   world.c       memory, and what a world is made of
 *   loop.c        events, and a worker's event loop
 *   zone.c        what workers of a node share: the store with its claims,
 *                 processes, wake-ups
 *   budget.c      their token, and turns
 *   ops.c         the operations of a flight, and in nodes.c those by Redis,
 *                 in calls.c those by the cloud
 *   redis.c       Redis and the connections to it
 *   cloud.c       the cloud, and the calls in the air
 *   clients.c     who asks
 *   accidents.c   what real life does to all of them
 *   invariants.c  what must be true whatever happens
 *   explorer.c    small worlds, all orders of events; hash.c: which of them
 *                 are the same
 *   faults.c      faults that have to be found
 *   main.c        the command line: random worlds, shrinking, growth
 *
 * There is one world at a time, and all of it lies in one piece of memory, so
 * that the explorer can go back to what was.  Numbers of objects name them.
 */


#ifndef _SIM_H_INCLUDED_
#define _SIM_H_INCLUDED_


#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "claim.h"
#include "flight.h"
#include "process.h"
#include "store.h"
#include "token.h"
#include "turns.h"


#define SIM_NONE              UINT32_MAX

#define SIM_BEAT_MS           1000
#define SIM_LEASE_MS          5000
#define SIM_REDIS_TIMEOUT_MS  250
#define SIM_TOKEN_TIMEOUT_MS  2000
#define SIM_CALL_TIMEOUT_MS   6000
#define SIM_POLL_MS           500
#define SIM_POLL_MAX_MS       4000
#define SIM_FAILURE_MS        1000
#define SIM_VALID_MS          (24 * 3600 * 1000ULL)

#define SIM_NWORKERS          64    /* of a node, bits of a word */
#define SIM_NIDS              64
#define SIM_NCOMMANDS         64    /* of a connection, not answered yet */


/* in the order in which an event loop comes to them */
typedef enum {
    SIM_PLANNED = 0,
    SIM_COMMAND,            /* comes to Redis */
    SIM_REPLY,              /* comes back */
    SIM_MESSAGE,            /* of a channel */
    SIM_CALL_ENDS,
    SIM_TOKEN_ENDS,
    SIM_WAKE,
    SIM_NEXT_COPY,          /* the next turn of the event loop */
    SIM_NEXT_ANSWER,
    SIM_DUE,                /* timers from here on */
    SIM_DEADLINE,
    SIM_BUDGET,
    SIM_AGREED,
    SIM_RENEW,
    SIM_REDIS_TIMEOUT,
    SIM_RECONNECT,
    SIM_CALL_TIMEOUT,
    SIM_READ,               /* a client has read its answer */
    SIM_RESPAWN,            /* a worker in place of one that is gone */
    SIM_BACK,               /* Redis */
    SIM_BEAT,               /* these do not keep a world going */
    SIM_OVERDUE,
    SIM_NEVENTS
} sim_event_e;


typedef enum {
    SIM_GET = 0,
    SIM_LEASE,
    SIM_BEHIND,             /* the state and whether there is a result */
    SIM_PUT,
    SIM_STATE,
    SIM_RELEASE,
    SIM_EXTEND,
    SIM_PURGE
} sim_command_e;


/* what is known of an id, as in a flight's hand */
typedef enum {
    SIM_NOTHING = 0,
    SIM_RESULT,
    SIM_PENDING,
    SIM_NEGATIVE,           /* the cloud's no, or a failure that passes */
    SIM_BUSY,               /* no turn, paused, no token; is not kept */
    SIM_CROWDED
} sim_answer_e;


typedef struct {
    sim_answer_e            kind;
    uint32_t                id;            /* whose it is */
    uint64_t                until_ms;
    uint32_t                repeat;
    binarize_store_entry_t *entry;         /* pinned; or NULL */
    unsigned                fresh:1;       /* the cloud's, is to be told */
} sim_hand_t;


typedef struct {
    uint8_t                 kind;          /* sim_command_e */
    uint8_t                 answer;        /* sim_answer_e */
    uint8_t                 yes;           /* held, there, to be told */
    uint32_t                id;
    uint32_t                whose;         /* the record's id */
    uint32_t                flight;        /* and its serial */
    uint32_t                serial;
    uint32_t                repeat;
    uint64_t                token;
    uint64_t                ms;            /* a life */
    uint64_t                sent_ms;
} sim_message_t;


typedef struct {
    uint64_t                at_ms;
    uint32_t                order;         /* of workers, of a moment */
    uint32_t                seq;
    uint32_t                worker;        /* who runs it, or NONE */
    uint32_t                pid;           /* of the worker */
    uint32_t                object;
    uint32_t                serial;
    uint8_t                 kind;
    sim_message_t           message;
} sim_event_t;


typedef struct {
    uint32_t                rate;          /* calls a minute; 0: no limit */
    uint32_t                burst;
    uint32_t                concurrency;
    uint32_t                quota;         /* calls a day; 0: no limit */
    uint32_t                nnodes;
    uint32_t                nworkers;      /* of a node */
    uint32_t                nids;
    uint32_t                nclients;
    uint32_t                naccidents;
    uint32_t                nclaims;       /* a zone has room for */
    uint32_t                npolls;        /* a task is pending for, at most */
    uint32_t                token_ms;      /* a token's life */
    uint32_t                latency_ms;    /* at most, to Redis and back */
    uint32_t                call_ms;       /* at most */
    uint32_t                patience_ms;   /* at most */
    uint32_t                span_ms;       /* over which clients come */
    uint32_t                slice;         /* answers a turn of the loop */
    uint32_t                size;          /* of pictures */
    unsigned                redis:1;
    unsigned                shared:1;      /* turns have to be agreed to */
    unsigned                explored:1;    /* messages come when one likes */
    unsigned                quiet:1;       /* no beats */
} sim_conf_t;


typedef enum {
    SIM_ARRIVE = 0,
    SIM_LEAVE,
    SIM_PURGED,             /* accidents from here on, see accidents.c */
    SIM_EVICTED,
    SIM_STALLED,
    SIM_NODE_STALLED,
    SIM_ALL_STALLED,
    SIM_KILLED,
    SIM_KILLED_INSIDE,
    SIM_NODE_KILLED,
    SIM_QUIT,
    SIM_QUIT_NOW,
    SIM_FLUSHED,
    SIM_CLOCK,
    SIM_CUT,
    SIM_AWAY,
    SIM_HUNG,
    SIM_UNSUBSCRIBED,
    SIM_LOSSY,
    SIM_REVOKED,
    SIM_TOKEN_FAILS,
    SIM_CALL_FAILS,
    SIM_CALL_BUSY,
    SIM_CALL_NEGATIVE,
    SIM_CALL_SLOW,
    SIM_CALL_AGAIN,
    SIM_NPLANNED
} sim_planned_e;


typedef struct {
    uint64_t                at_ms;
    uint64_t                ms;            /* how long, or far */
    uint32_t                kind;          /* sim_planned_e */
    uint32_t                worker;
    uint32_t                id;
    uint32_t                client;
} sim_planned_t;


typedef struct {
    binarize_flight_t       flight;        /* the first */
    uint32_t                number;
    uint32_t                serial;        /* 0: free */
    uint32_t                worker;
    uint32_t                id;
    uint32_t                next;          /* posted, ended, or free */
    uint32_t                depth;         /* of calls into the flight */
    uint64_t                epoch;         /* the claim is ours by, or 0 */
    uint64_t                lease;         /* token; 0: none */
    uint64_t                held_ms;       /* for certain until then */
    uint64_t                due_ms;        /* 0: no timer */
    uint32_t                due_serial;
    uint32_t                bearer;        /* a token's text; 0: none */
    uint64_t                generation;    /* of the last one */
    uint32_t                purges;        /* before Redis was asked */
    uint32_t                repeat;        /* of what is pending */
    uint64_t                ticket;
    uint64_t                turn_ms;       /* it was granted then, */
    uint64_t                turn_epoch;    /*   to a worker of that epoch */
    uint32_t                version;       /* of the zone, when it looked */
    uint64_t                looked_turn;
    uint64_t                looked_ms;
    sim_hand_t              hand;
    sim_message_t           lease_reply;
    uint8_t                 turn;          /* sim_turn_e */
    unsigned                follows:1;
    unsigned                held:1;        /* the lease */
    unsigned                tells:1;       /* when it is given back */
    unsigned                posted:1;
    unsigned                token_waits:1;
    unsigned                calls:1;
    unsigned                told:1;        /* what is in hand, to others */
    unsigned                ended:1;
} sim_flight_t;


typedef enum {
    SIM_TURN_NONE = 0,
    SIM_TURN_QUEUED,
    SIM_TURN_GRANTED,
    SIM_TURN_MADE
} sim_turn_e;


typedef struct {
    binarize_waiter_t       waiter;        /* the first */
    uint32_t                number;
    uint32_t                worker;
    uint32_t                id;
    uint32_t                closes;        /* whose connection it shares */
    uint32_t                deadline_serial;
    uint64_t                came_ms;
    uint32_t                patience_ms;
    uint32_t                read_ms;       /* how long it reads */
    sim_hand_t              hand;          /* it is answered by */
    uint8_t                 by;
    uint8_t                 state;         /* sim_client_e */
} sim_client_t;


typedef enum {
    SIM_CLIENT_AWAY = 0,
    SIM_CLIENT_WAITS,
    SIM_CLIENT_ANSWERING,                  /* its turn of the loop comes */
    SIM_CLIENT_READS,
    SIM_CLIENT_DONE
} sim_client_e;


typedef struct {
    uint32_t                flight;
    uint64_t                at_ms;         /* as was said; 0: now */
} sim_line_t;


typedef struct {
    binarize_store_t       *store;
    void                   *memory;
    binarize_process_t     *processes;     /* of each slot */
    uint32_t               *purges;        /* of each id */
    uint32_t                version;       /* changes with what look() sees */

    binarize_token_t        token;
    uint32_t                text;          /* the cloud's number of it */
    uint64_t                token_waiters; /* slots */

    binarize_turns_t        turns;
    binarize_lane_t        *lanes;         /* of each slot */

    /* what the invariants count by */
    binarize_budget_t       spent;
} sim_zone_t;


typedef struct {
    binarize_store_entry_t *entry;
    uint32_t                nuses;
} sim_pin_t;


typedef struct {
    uint32_t                number;
    uint32_t                node;
    uint32_t                slot;
    uint32_t                pid;           /* of its events; 0: none */
    uint64_t                epoch;         /* in the zone */
    binarize_process_seen_t *seen;         /* of each slot */
    uint32_t               *flights;       /* of each id, or NONE */
    uint32_t                posted;        /* flights, the first */
    uint32_t                posted_last;
    uint32_t                ended;
    binarize_waiter_t       answering;
    sim_pin_t              *pins;
    uint32_t                npins;

    /* wake-ups, in the zone in truth */
    uint64_t                woken_ids;
    unsigned                woken:1;
    unsigned                woken_token:1;
    unsigned                woken_budget:1;

    unsigned                quits:1;
    unsigned                stopped:1;     /* no calls any more */
    unsigned                answers:1;     /* the next turn of the loop */
    unsigned                budget_posted:1;
    unsigned                renews:1;
    unsigned                connected:1;
    unsigned                subscribed:1;

    uint64_t                stalled_until_ms;
    binarize_lane_t         lane;
    sim_line_t             *line;          /* who waits for a turn */
    uint32_t                nline;
    unsigned                asks:1;        /* Redis for the first one's */
    uint64_t                budget_ms;     /* its timer; 0: none */
    uint32_t                budget_serial;

    /* to Redis */
    uint32_t                connection;    /* serial of its events */
    uint32_t                severed;       /* the one that Redis has closed */
    uint32_t                executed;      /* of lost ones, by seq */
    uint64_t                sent_ms;       /* order is kept: the last ones */
    uint64_t                replied_ms;
    uint64_t                told_ms;
    sim_message_t          *commands;      /* not answered, a ring */
    uint32_t                nsent;         /* by this connection */
    uint32_t                nanswered;
} sim_worker_t;


typedef struct {
    /* the record */
    uint64_t                valid_ms;      /* 0: none */
    uint32_t                whose;

    uint64_t                lease;         /* token; 0: none */
    uint64_t                lease_ms;
    uint8_t                 state;         /* sim_answer_e */
    uint32_t                repeat;
    uint64_t                state_ms;
} sim_redis_id_t;


typedef struct {
    sim_redis_id_t         *ids;
    int64_t                 clock_ms;      /* ahead of ours */
    uint64_t                hung_until_ms;
    uint64_t                lossy_until_ms;
    uint64_t                tokens;        /* leases had so many */
    uint64_t                ncommands;
    unsigned                away:1;
} sim_redis_t;


typedef struct {
    uint32_t                polls;         /* pending so often still */
    uint8_t                 next;          /* sim_planned_e, or 0 */
    uint64_t                next_ms;
} sim_cloud_id_t;


typedef struct {
    uint32_t                serial;        /* 0: is not in the air */
    uint32_t                flight;
    uint32_t                flight_serial;
    uint32_t                worker;
    uint32_t                id;
    uint32_t                generation;
    uint64_t                epoch;         /* of the worker, when it began */
    uint8_t                 ends;          /* sim_planned_e or 0 */
    uint64_t                ms;
    unsigned                counted:1;     /* in known->in_air */
    unsigned                excess:1;      /* in known->nexcess */
} sim_call_t;


typedef struct {
    sim_cloud_id_t         *ids;
    uint32_t                generation;    /* tokens given */
    uint32_t                revoked;       /* those before are refused */
    uint32_t                token_fails;   /* the next ones */
    uint64_t                ncalls;
} sim_cloud_t;


/* what those who share a Redis, or a zone, know of an id: see invariants.c */
typedef struct {
    uint32_t                in_air;        /* with the lease */
    uint32_t                nexcess;       /* calls too many */
    uint32_t                nallowed;
    uint64_t                due_ms;        /* of the next poll */
    unsigned                given:1;       /* the result, and told */
} sim_known_t;


typedef struct {
    sim_conf_t              conf;
    uint64_t                now_ms;
    uint64_t                random;
    uint64_t                seed;
    uint64_t                slack_ms;      /* that accidents have cost */
    uint32_t                seq;
    uint32_t                serial;
    uint32_t                running;       /* worker, or NONE */

    sim_event_t            *events;        /* a heap */
    uint32_t                nevents;
    uint32_t                events_size;
    uint32_t                nactive;       /* that keep the world going */

    sim_zone_t             *zones;
    sim_worker_t           *workers;
    uint32_t                nworkers;      /* of all nodes */
    sim_flight_t           *flights;
    uint32_t                flights_size;
    uint32_t                flights_free;
    uint32_t                nflights;
    sim_client_t           *clients;
    uint32_t                nwaiting;
    sim_call_t             *calls;
    uint32_t                calls_size;
    sim_redis_t             redis;
    sim_cloud_t             cloud;
    sim_known_t            *known;
    unsigned                lost:1;        /* commands on their way */

    sim_planned_t          *plan;
    uint32_t                nplan;
    uint32_t                plan_size;

    uint64_t                turn;          /* of event loops, counted */
    uint64_t                nhandled;      /* events */
    uint64_t                nwakes;
} sim_world_t;


/* a fault of faults.c that has to be found */
typedef enum {
    SIM_SOUND = 0,
    SIM_RUNS_TWICE,
    SIM_FREED_BY_ANSWER,
    SIM_SECOND_LEADER,
    SIM_RESULT_REPLACED,
    SIM_BLIND_TURN,
    SIM_CALL_FOR_NOBODY,
    SIM_LOST_WAKE,
    SIM_UNIT_LEAKED,
    SIM_CLAIM_LOST,
    SIM_EARLY_RELEASE,
    SIM_NFAULTS
} sim_fault_e;


extern sim_world_t                  *sim;
extern sim_fault_e                   sim_fault;
extern int                           sim_traced;
extern jmp_buf                       sim_failed;
extern char                          sim_failure[512];
extern uint64_t                      sim_seen[BINARIZE_FLIGHT_NSTATES]
                                             [BINARIZE_FLIGHT_NEVENTS];
extern const char *const             sim_planned_names[];
extern const binarize_flight_ops_t  *sim_ops;


/* world.c, loop.c */
void sim_create(const sim_conf_t *conf, uint64_t seed);
void sim_conf_of_seed(sim_conf_t *conf, uint64_t seed);
void sim_plan(const unsigned char *kept);
void sim_run(void);
size_t sim_size(void);
uint64_t sim_random(void);
uint32_t sim_below(uint32_t n);
uint64_t sim_mix(uint64_t n);
sim_event_t *sim_push(sim_event_e kind, uint64_t at_ms, uint32_t worker,
    uint32_t object, uint32_t serial);
sim_event_t *sim_put_off_event(const sim_event_t *given, uint64_t at_ms);
int sim_event_is_stale(const sim_event_t *event);
void sim_take(uint32_t i, sim_event_t *event);
void sim_handle(const sim_event_t *event);
void sim_drain(sim_worker_t *worker);
void sim_post(sim_flight_t *f);
void sim_unschedule(sim_flight_t *f);
void sim_send(sim_flight_t *f, binarize_flight_event_e kind, uint64_t at_ms);
void sim_worker_begin(sim_worker_t *worker);
void sim_worker_end(sim_worker_t *worker, uint32_t executed);
void sim_trace(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* zone.c */
void sim_zone_init(sim_zone_t *zone);
void sim_limits(binarize_budget_limits_t *limits);
void sim_key(uint32_t id, unsigned char key[BINARIZE_STORE_KEY_SIZE]);
binarize_store_entry_t *sim_find(sim_worker_t *worker, uint32_t id,
    sim_hand_t *hand);
void sim_hold(sim_worker_t *worker, sim_hand_t *to, const sim_hand_t *from);
void sim_drop(sim_worker_t *worker, sim_hand_t *hand);
int sim_keep_result(sim_worker_t *worker, sim_hand_t *hand);
int sim_keep_state(sim_worker_t *worker, uint32_t id, sim_hand_t *hand);
int sim_claim_take(sim_flight_t *f);
binarize_store_entry_t *sim_claim(sim_zone_t *zone, uint32_t id);
binarize_store_entry_t *sim_claim_own(sim_flight_t *f);
void sim_claim_release(sim_flight_t *f);
void sim_claim_leave(sim_flight_t *f);
void sim_wake(sim_zone_t *zone, uint64_t slots, uint64_t ids);
void sim_declare_dead(sim_zone_t *zone, uint32_t slot);
void sim_purge(sim_zone_t *zone, uint32_t id);
void sim_evict(sim_zone_t *zone, uint32_t id);
void sim_recover(sim_zone_t *zone);
int sim_live_on(sim_worker_t *worker);
void sim_on_beat(sim_worker_t *worker);
void sim_on_wake(sim_worker_t *worker);

/* budget.c */
int sim_turn_take(sim_flight_t *f, uint64_t *at_ms);
void sim_turn_granted(sim_flight_t *f);
void sim_turn_give(sim_flight_t *f, int made);
void sim_budget_run(sim_worker_t *worker, int agreed);
void sim_on_agreed(sim_worker_t *worker);
int sim_token_get(sim_flight_t *f, uint64_t *until_ms);
void sim_token_ends(sim_worker_t *worker, uint64_t call);
void sim_token_store(sim_zone_t *zone);
void sim_token_wake(sim_zone_t *zone);

/* ops.c */
extern const binarize_flight_ops_t  sim_sound_ops;
sim_flight_t *sim_flight_create(sim_worker_t *worker, uint32_t id);
void sim_flight_free(sim_flight_t *f);
binarize_flight_event_t sim_event(sim_flight_t *f,
    binarize_flight_event_e kind, uint64_t at_ms);
binarize_flight_event_t sim_known_event(sim_flight_t *f);
void sim_on_copied(sim_flight_t *f);

/* nodes.c */
binarize_flight_event_t sim_op_get(binarize_flight_t *flight);
binarize_flight_event_t sim_op_lease(binarize_flight_t *flight);
void sim_op_give_lease(binarize_flight_t *flight);
void sim_on_reply(sim_worker_t *worker, const sim_message_t *message, int ok);
void sim_put(sim_flight_t *f);
void sim_tell_state(sim_flight_t *f);
void sim_on_renew(sim_worker_t *worker);
void sim_renew(sim_worker_t *worker);

/* calls.c */
binarize_flight_event_t sim_op_token(binarize_flight_t *flight);
binarize_flight_event_t sim_op_turn(binarize_flight_t *flight);
binarize_flight_event_t sim_op_call(binarize_flight_t *flight);
binarize_flight_event_t sim_op_check(binarize_flight_t *flight);
binarize_flight_event_t sim_op_keep(binarize_flight_t *flight);
void sim_on_call(sim_call_t *call, int in_time);

/* redis.c */
int sim_redis_send(sim_worker_t *worker, sim_message_t *message);
uint64_t sim_later(uint64_t last_ms);
void sim_on_command(const sim_event_t *event);
void sim_redis_lose(sim_worker_t *worker, uint32_t executed);
void sim_redis_cut(sim_worker_t *worker);
void sim_redis_connect(sim_worker_t *worker);
void sim_publish(const sim_message_t *message);
void sim_on_message(sim_worker_t *worker, const sim_message_t *message);

/* cloud.c */
void sim_call(sim_flight_t *f, int excess);
void sim_call_landed(sim_call_t *call, int failed);
void sim_calls_write_off(uint32_t id);
uint32_t sim_calls_of(sim_zone_t *zone);

/* clients.c */
void sim_client_planned(const sim_planned_t *planned);
void sim_client_arrive(sim_client_t *client);
void sim_client_leave(sim_client_t *client);
void sim_client_answer(sim_client_t *client);
void sim_client_on_deadline(sim_client_t *client);
void sim_answer_slice(sim_worker_t *worker);

/* accidents.c */
void sim_on_planned(const sim_planned_t *planned);
void sim_accident_draw(sim_planned_t *planned);

/* invariants.c */
void sim_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
sim_known_t *sim_known(sim_worker_t *worker, uint32_t id);
void sim_allow(uint32_t id, uint32_t ncalls);
void sim_check_flight(const sim_flight_t *f);
void sim_check_look(sim_flight_t *f, binarize_flight_event_e kind);
int sim_check_call(sim_flight_t *f);
uint64_t sim_gone(sim_zone_t *zone);
void sim_check_answer(sim_client_t *client);
uint64_t sim_overdue_ms(const sim_client_t *client);
void sim_check_overdue(sim_client_t *client);
void sim_check_kept(sim_worker_t *worker, uint32_t id, sim_answer_e kind);
void sim_check_end(void);

/* explorer.c, hash.c, faults.c, main.c */
uint64_t sim_hash(uint32_t naccidents);
int sim_explore(double seconds, int report);
int sim_explore_replay(const char *text);
int sim_faults(void);
int sim_random_worlds(uint64_t seed, double seconds, uint64_t limit,
    int report, uint64_t *nworlds);
double sim_clock(void);


static inline sim_zone_t *
sim_zone(const sim_worker_t *worker)
{
    return &sim->zones[worker->node];
}


static inline sim_worker_t *
sim_slot(const sim_zone_t *zone, uint32_t slot)
{
    return &sim->workers[(zone - sim->zones) * sim->conf.nworkers + slot];
}


static inline sim_worker_t *
sim_worker(const sim_flight_t *f)
{
    return &sim->workers[f->worker];
}


#endif /* _SIM_H_INCLUDED_ */
