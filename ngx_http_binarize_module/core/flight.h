
/*
 * What a flight decides.  All requests of a worker for one id wait on one
 * flight; of the flights that the workers of a node have for it one leads, by
 * a claim in the zone, the others follow; of the nodes' leaders one has the
 * lease in Redis, the others wait for it.
 *
 *   LOOK ---- it is known: answer --------------------------------> ENDED
 *    ^ |----- another worker's: FOLLOW, until woken ---> LOOK
 *    | |----- the task is pending: SLEEP, until the next poll -> LOOK
 *    | |
 *    | `mine-> GET ------ Redis has it: COPY ----------------------> ENDED
 *    |          |
 *    |        LEASE ----- another node's: REMOTE, until told ----> GET
 *    |          |
 *    +------- TOKEN       who has to wait looks again afterwards
 *    |          |
 *    +------- TURN        the same
 *               |
 *             CALL ------ COPY, SLEEP or ENDED by what has come
 *               |
 *             CHECK ----- whether another has a result, if one may lead
 *
 * The state is all there is to decide by; what a flight holds (claim, lease,
 * token, turn) is given back by operations that do nothing where nothing is
 * held.  Operations are the caller's: nginx has one set, the simulator of
 * t/sim another.  One that asks returns the event it has led to, or NONE if
 * that comes later, by binarize_flight_event(); none may call that from
 * inside.
 *
 * Times are milliseconds of one clock that never goes back.
 */


#ifndef _BINARIZE_FLIGHT_H_INCLUDED_
#define _BINARIZE_FLIGHT_H_INCLUDED_


#include "binarize.h"


/* how often a node that waits for another one looks by itself, ms */
#define BINARIZE_FLIGHT_REMOTE_MS   1000


typedef enum {
    BINARIZE_FLIGHT_LOOK = 0,   /* the event loop is to run it */
    BINARIZE_FLIGHT_FOLLOW,     /* another worker leads */
    BINARIZE_FLIGHT_GET,        /* Redis is asked for the record */
    BINARIZE_FLIGHT_COPY,       /* the result goes into the zone */
    BINARIZE_FLIGHT_LEASE,      /* Redis is asked for the lease */
    BINARIZE_FLIGHT_REMOTE,     /* another node has it */
    BINARIZE_FLIGHT_TOKEN,      /* a token call is in the air */
    BINARIZE_FLIGHT_TURN,       /* others are before it */
    BINARIZE_FLIGHT_CALL,       /* the cloud is asked */
    BINARIZE_FLIGHT_CHECK,      /* Redis is asked for a result once more */
    BINARIZE_FLIGHT_SLEEP,      /* pending, until the next poll */
    BINARIZE_FLIGHT_ENDED,      /* is freed by the event loop */
    BINARIZE_FLIGHT_NSTATES
} binarize_flight_state_e;


typedef enum {
    BINARIZE_FLIGHT_NONE = 0,

    /* something is in hand: to answer all by, or "pending" until at_ms */
    BINARIZE_FLIGHT_FOUND,
    BINARIZE_FLIGHT_PENDING,

    /* the time has come, a wake-up, another node's landing, a token's end */
    BINARIZE_FLIGHT_DUE,

    /* looked: another worker leads; its turn comes at at_ms, 0: is not
       waited for.  Or nobody, and the claim is ours. */
    BINARIZE_FLIGHT_OTHERS,
    BINARIZE_FLIGHT_MINE,

    /* Redis: a record in hand; none; purged meanwhile; could not be asked */
    BINARIZE_FLIGHT_HIT,
    BINARIZE_FLIGHT_MISS,
    BINARIZE_FLIGHT_PURGED,
    BINARIZE_FLIGHT_UNUSABLE,

    /* lease: held; another node's; and a result has come meanwhile */
    BINARIZE_FLIGHT_HELD,
    BINARIZE_FLIGHT_BUSY,
    BINARIZE_FLIGHT_HELD_LANDED,
    BINARIZE_FLIGHT_BUSY_LANDED,

    /* a token in hand; one is waited for, and ends with _DUE */
    BINARIZE_FLIGHT_BEARER,
    BINARIZE_FLIGHT_NO_BEARER,

    /* the turn is ours; it comes at at_ms (0: at once, if Redis agrees);
       it has come, after waiting; it comes later than was said */
    BINARIZE_FLIGHT_MAY_CALL,
    BINARIZE_FLIGHT_QUEUED,
    BINARIZE_FLIGHT_GRANTED,
    BINARIZE_FLIGHT_REVISED,

    /* the call has ended: with a result in hand, with something else; by a
       token that another one may replace; with tries left; because the worker
       is to end */
    BINARIZE_FLIGHT_RESULT,
    BINARIZE_FLIGHT_NO_RESULT,
    BINARIZE_FLIGHT_REFUSED,
    BINARIZE_FLIGHT_AGAIN,
    BINARIZE_FLIGHT_STOPPED,

    /* the last waiter has left, or the last of other workers; no more calls */
    BINARIZE_FLIGHT_LEFT,
    BINARIZE_FLIGHT_STOP,

    BINARIZE_FLIGHT_NEVENTS
} binarize_flight_event_e;


typedef struct {
    binarize_flight_event_e        kind;
    uint64_t                       at_ms;
} binarize_flight_event_t;


/* what a waiter is answered by */
typedef enum {
    BINARIZE_FLIGHT_BY_HAND = 0,  /* what is in hand */
    BINARIZE_FLIGHT_BY_PENDING,   /* the same, which is pending */
    BINARIZE_FLIGHT_BY_TURN       /* that the turn comes too late */
} binarize_flight_by_e;


typedef struct binarize_flight_s      binarize_flight_t;
typedef struct binarize_waiter_s      binarize_waiter_t;
typedef struct binarize_flight_ops_s  binarize_flight_ops_t;


/* embedded by who waits, zeroed before */
struct binarize_waiter_s {
    binarize_waiter_t             *next;       /* in a ring; NULL: in none */
    binarize_waiter_t             *prev;
    binarize_flight_t             *flight;     /* NULL: waits for none */
    uint64_t                       until_ms;   /* has patience until then */
};


/* embedded by the caller's flight; read only */
struct binarize_flight_s {
    const binarize_flight_ops_t   *ops;
    binarize_flight_state_e        state;
    binarize_waiter_t              waiters;    /* the ring's head */
    uint32_t                       nwaiters;

    /* of the most patient of them, also if it has left before others */
    uint64_t                       until_ms;

    /* the turn that this flight, or its leader, waits for; 0: none, or it
       comes at once */
    uint64_t                       turn_ms;

    uint32_t                       refusals;   /* of tokens, since a poll */
    uint32_t                       returns;    /* to Redis for a result that
                                                  was said to be there */
    unsigned                       waited:1;   /* and what has landed since
                                                  may be for this one, too */
};


struct binarize_flight_ops_s {
    /*
     * Looks into the zone, and claims the id where nothing is known: FOUND,
     * PENDING, OTHERS (and this worker is among those that are woken), MINE.
     * A claim that is ours stays so, but says no turn any more.
     */
    binarize_flight_event_t      (*look)(binarize_flight_t *flight);

    /* HIT, MISS, PURGED, UNUSABLE */
    binarize_flight_event_t      (*get)(binarize_flight_t *flight);

    /* the result in hand is put into the zone and kept for other nodes:
       FOUND */
    binarize_flight_event_t      (*copy)(binarize_flight_t *flight);

    /* HELD..BUSY_LANDED, UNUSABLE; FOUND or PENDING by what nodes know */
    binarize_flight_event_t      (*lease)(binarize_flight_t *flight);

    /* BEARER, NO_BEARER; NO_RESULT: there will be none */
    binarize_flight_event_t      (*token)(binarize_flight_t *flight);

    /*
     * MAY_CALL, QUEUED; FOUND: it would come too late for all.  GRANTED, so
     * that it is looked at, if the claim is not ours any more: this process
     * was stalled, and another one leads.
     */
    binarize_flight_event_t      (*turn)(binarize_flight_t *flight);

    /* FOUND: a result, which is kept; RESULT, NO_RESULT, REFUSED, AGAIN,
       STOPPED */
    binarize_flight_event_t      (*call)(binarize_flight_t *flight);

    /*
     * HIT: another leader has landed, since this one has no lease, or may
     * have lost it; MISS, PURGED, UNUSABLE.  DUE: another worker leads by now,
     * and knows better.
     */
    binarize_flight_event_t      (*check)(binarize_flight_t *flight);

    /*
     * What is in hand, and no result, is kept, but not in place of a result,
     * which is in hand then: FOUND, PENDING
     */
    binarize_flight_event_t      (*keep)(binarize_flight_t *flight);

    /* 1 if other workers wait for this flight's claim */
    int                          (*followed)(binarize_flight_t *flight);

    /* flight->turn_ms is what others are to go by; they are woken */
    void                         (*show_turn)(binarize_flight_t *flight);

    /*
     * These do nothing where nothing is held.  With the lease other nodes are
     * told to look, unless it was given back by the answer that it is ours.
     * Who follows another's claim leaves it: the last one wakes its leader,
     * for a LEFT, or frees the claim of one that is dead.
     */
    void                         (*give_turn)(binarize_flight_t *flight);
    void                         (*drop_token)(binarize_flight_t *flight);
    void                         (*give_lease)(binarize_flight_t *flight);
    void                         (*give_claim)(binarize_flight_t *flight);

    /* a ring of waiters, its head the caller's until the return */
    void                         (*answer)(binarize_flight_t *flight,
                                     binarize_waiter_t *waiters,
                                     binarize_flight_by_e by);

    /* calls binarize_flight_on_deadline() at at_ms, unless it waits for none
       then; the last call counts */
    void                         (*arm)(binarize_waiter_t *waiter,
                                     uint64_t at_ms);

    /*
     * DUE at at_ms; the last call counts.  0: not any more, neither by the
     * timer nor by a wake-up that has been posted: what that was for is about
     * to be seen.
     */
    void                         (*schedule)(binarize_flight_t *flight,
                                     uint64_t at_ms);

    /* the state has changed */
    void                         (*entered)(binarize_flight_t *flight);

    /* the next request of the id starts another flight; this one may be freed
       when nobody on the call stack has it in his hands */
    void                         (*end)(binarize_flight_t *flight);
};


/* before anything else; the caller sees to the first _DUE */
void binarize_flight_init(binarize_flight_t *flight,
    const binarize_flight_ops_t *ops);

void binarize_flight_event(binarize_flight_t *flight,
    binarize_flight_event_e kind, uint64_t at_ms, uint64_t now_ms);

/* never answers from inside */
void binarize_flight_join(binarize_flight_t *flight,
    binarize_waiter_t *waiter, uint64_t now_ms);

/* the client is gone; also from a ring that is being answered */
void binarize_flight_leave(binarize_waiter_t *waiter, uint64_t now_ms);

void binarize_flight_on_deadline(binarize_waiter_t *waiter, uint64_t now_ms);

/* 1 if somebody waits, here or in another worker */
int binarize_flight_wanted(binarize_flight_t *flight);


void binarize_waiters_init(binarize_waiter_t *waiters);
int binarize_waiters_empty(const binarize_waiter_t *waiters);

/* takes the first one out of the ring, which must have one */
binarize_waiter_t *binarize_waiters_shift(binarize_waiter_t *waiters);

/* moves all from one ring to the end of another */
void binarize_waiters_move(binarize_waiter_t *to, binarize_waiter_t *from);


#endif /* _BINARIZE_FLIGHT_H_INCLUDED_ */
