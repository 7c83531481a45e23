
/*
 * Who may call, of all processes that share memory: tickets and units.
 *
 * A turn that has to wait has a ticket, and each process shows in its lane
 * the least it waits with, how many wait, and what it holds.  Only the least
 * ticket of all whose process beats is served.  A process that stands still
 * is stepped over and keeps its place; what one holds is free when it has
 * ended or has been declared dead.
 *
 * All of it under the caller's lock.  Times are as in budget.h; those in ms
 * are of one clock that never goes back.
 */


#ifndef _BINARIZE_TURNS_H_INCLUDED_
#define _BINARIZE_TURNS_H_INCLUDED_


#include "budget.h"
#include "process.h"


/* so often who waits looks by itself, ms */
#define BINARIZE_TURNS_LOOK_MS   1000

/* while nobody knows what was spent: when to come back, ms */
#define BINARIZE_TURNS_AWAY_MS   5000
#define BINARIZE_TURNS_FOREVER   0x7fffffff


/* what a process holds and waits for; of one that lives no more: nothing */
typedef struct {
    uint64_t                         epoch;     /* see process.h */
    uint64_t                         ticket;    /* the least, 0: none waits */
    uint32_t                         nwaiting;
    uint32_t                         nheld;     /* units of concurrency */
} binarize_lane_t;


/*
 * In shared memory, zeroed at first.  Each change is one word, or in an order
 * that leaves at worst less to spend: a process may die between.
 */
typedef struct {
    binarize_budget_t                budget;
    uint64_t                         ticket;      /* the last one given */
    uint64_t                         call_ms;     /* a call's time, average */
    uint64_t                         token_ms;    /* until then a unit is kept
                                                     for a token call */
    uint64_t                         told_ms;     /* by Redis, then */
    uint64_t                         pause_ms;    /* of another node: until
                                                     then no call */
} binarize_turns_t;


/* who knows what may be spent */
typedef enum {
    BINARIZE_KEEPER_ZONE = 0,
    BINARIZE_KEEPER_REDIS,
    BINARIZE_KEEPER_NONE            /* Redis, and it can not be asked */
} binarize_keeper_e;


/* one process' look at a moment */
typedef struct {
    binarize_turns_t                *turns;
    binarize_lane_t                 *lanes;     /* by the slots of processes */
    uint32_t                         nlanes;
    uint32_t                         slot;      /* the process' own */
    binarize_lane_t                 *own;       /* what it has, in its memory */

    const binarize_process_t        *processes;
    binarize_process_seen_t         *seen;

    const binarize_budget_limits_t  *limits;
    binarize_keeper_e                keeper;
    uint64_t                         ask_ms;    /* not of Redis before */

    uint64_t                         now_ms;
    uint64_t                         now_us;
    int64_t                          unix_s;
} binarize_turns_look_t;


typedef enum {
    BINARIZE_TURN_GRANTED = 0,
    BINARIZE_TURN_QUEUED,       /* others are before, or it is not the time */
    BINARIZE_TURN_REFUSED,      /* it would be later than there is patience */
    BINARIZE_TURN_ASK           /* Redis is to be asked for it */
} binarize_turn_verdict_e;


/* when a turn comes, and when a new one would that is behind those before */
typedef struct {
    uint64_t                         wait_ms;
    uint64_t                         retry_ms;
} binarize_turn_estimate_t;


/*
 * Shows what the process has, and frees what those held that are no more.
 * Each look begins with it, and ends with it where ticket or nwaiting of own
 * have changed, which are the caller's; nheld changes with the functions
 * below.
 */
void binarize_turns_show(binarize_turns_look_t *look);

/*
 * A turn is wanted; *ticket is its own, or 0 for a new one.  own_ahead are
 * those of the process that wait before it.  GRANTED, QUEUED (*ticket is set,
 * the caller puts it into its line) or REFUSED; estimate is for the latter
 * two.
 */
binarize_turn_verdict_e binarize_turns_want(binarize_turns_look_t *look,
    uint64_t *ticket, uint64_t own_ahead, uint64_t patience_ms,
    binarize_turn_estimate_t *estimate);

/*
 * The least ticket that the process waits with: GRANTED, ASK or QUEUED; then
 * look_ms is when to look again.  estimate but for GRANTED.
 */
binarize_turn_verdict_e binarize_turns_serve(binarize_turns_look_t *look,
    uint64_t *look_ms, binarize_turn_estimate_t *estimate);

/* what a turn would have to wait that comes behind all but `without` of own */
void binarize_turns_estimate(binarize_turns_look_t *look, uint32_t without,
    binarize_turn_estimate_t *estimate);

/*
 * A unit for a token call.  needed: without it there is no token, the next
 * unit is kept for it.  0: none is free.
 */
int binarize_turns_token(binarize_turns_look_t *look, int needed);

/* 1 while a unit is kept for a token call */
int binarize_turns_token_waits(const binarize_turns_look_t *look);

/* a call of passed_ms is over; or it was not made, and costs nothing */
void binarize_turns_release(binarize_turns_look_t *look, int made,
    uint64_t passed_ms);

/* what Redis has told; taken: and it has granted the first own turn */
void binarize_turns_told(binarize_turns_look_t *look, int taken,
    uint64_t level, uint32_t spent, uint64_t pause_ms);

/*
 * Adds the slots to be woken to a bitmap of nlanes: whose turn is next, if
 * that is another process; or of all others that wait.
 */
void binarize_turns_wake(binarize_turns_look_t *look, int all,
    uint64_t *slots);


#endif /* _BINARIZE_TURNS_H_INCLUDED_ */
