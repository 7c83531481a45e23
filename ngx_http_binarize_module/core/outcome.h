
/*
 * What the end of a call to the cloud means: what is answered, whether it is
 * tried again, what becomes of the token, what is remembered and for how
 * long, and who is told.  All of it is decided here, from what is known when
 * the call ends; others carry it out.
 */


#ifndef _BINARIZE_OUTCOME_H_INCLUDED_
#define _BINARIZE_OUTCOME_H_INCLUDED_


#include "envelope.h"
#include "problem.h"


/* how an exchange ended, whatever was in it */
typedef enum {
    BINARIZE_END_WHOLE = 0,
    BINARIZE_END_TIMEOUT,     /* of connecting, sending, or reading */
    BINARIZE_END_BROKEN,      /* no connection, or it was cut */
    BINARIZE_END_FAILED,      /* we could not: no memory */
    BINARIZE_END_STOPPED      /* we gave it up: the worker has to end */
} binarize_end_e;


/* what of an answer is remembered, by zone, Redis, and flight */
typedef struct {
    binarize_problem_e   problem;     /* NONE: a document, */
    binarize_outcome_e   outcome;     /*   which means that */
    uint32_t             status;      /* the cloud's, 0: none */
    uint32_t             repeat;      /* it was so as often before */
} binarize_answer_t;


typedef struct {
    uint64_t             valid_ms;    /* binarize_valid */
    uint64_t             negative_ms; /* binarize_negative_valid */
    uint64_t             negative_max_ms;
    uint64_t             poll_ms;     /* binarize_poll */
    uint64_t             poll_max_ms;
} binarize_pace_t;


/*
 * A call that has ended, or that was refused by the gateway itself (no token,
 * a pause, no turn): then status is 0, and problem says so.
 */
typedef struct {
    binarize_end_e       end;
    binarize_problem_e   problem;        /* see binarize_outcome_problem() */
    uint32_t             status;         /* HTTP, 0: no head */
    int64_t              retry_after_s;  /* of the head; -1: none */
    binarize_outcome_e   document;       /* where there is no problem */
    unsigned             tries_left:1;   /* one more had no turn at once, */
    unsigned             time_left:1;    /*   and there is time for it */
    unsigned             refused:1;      /* by a 401, and tried again, before */
} binarize_ended_t;


typedef enum {
    BINARIZE_NEXT_ANSWER = 0,
    BINARIZE_NEXT_TURN,       /* one more try, in turn */
    BINARIZE_NEXT_TOKEN,      /* again, by a new token if there is one */
    BINARIZE_NEXT_OTHERS      /* no answer: others lead on */
} binarize_next_e;


typedef enum {
    BINARIZE_TOKEN_UNKNOWN = 0,
    BINARIZE_TOKEN_ACCEPTED,
    BINARIZE_TOKEN_REFUSED    /* that one is dropped, not a newer one */
} binarize_token_fate_e;


typedef struct {
    binarize_next_e         next;
    binarize_token_fate_e   token;

    /* the rest holds for BINARIZE_NEXT_ANSWER, or where there is no token */

    binarize_answer_t       answer;
    uint64_t                pause_ms;    /* all calls of the credential */
    uint64_t                ms;          /* until it may be asked again */
    unsigned                remember:1;  /* for so long */
    unsigned                told:1;      /* to other nodes, too */
} binarize_decision_t;


/*
 * What was wrong with an exchange.  found is what was seen of it before it
 * ended, NONE: nothing.
 */
binarize_problem_e binarize_outcome_problem(binarize_end_e end,
    binarize_problem_e found, uint32_t status);

/*
 * The decision.  before is what is remembered of the id, NULL: nothing; polls
 * is how often its task was pending, as the one who calls knows; random is any
 * number, for the jitter of polls.
 */
void binarize_outcome_decide(const binarize_ended_t *ended,
    const binarize_answer_t *before, uint32_t polls,
    const binarize_pace_t *pace, uint32_t random,
    binarize_decision_t *decision);

/* how often the task was pending, one answer after the other, by the last */
uint32_t binarize_answer_polls(const binarize_answer_t *answer);

/*
 * 1 if who has time left waits on: there is none yet.  pending: it was known
 * to be; a poll that the cloud has put off does not end the waiting either.
 */
int binarize_answer_goes_on(const binarize_answer_t *answer, int pending);


#endif /* _BINARIZE_OUTCOME_H_INCLUDED_ */
