
/*
 * What is decided about a bearer token that processes share: whether it may
 * be used, who calls for a new one and when, what a call's end and the
 * cloud's 401 and 429 mean.  Its text is the caller's.
 *
 * A token is used until it expires or is refused; in its last fifth a new one
 * is called for beside.  One call is in the air at a time, unless who makes
 * it is dead; what ends late, when another call has been made, ends nothing.
 *
 * In shared memory, under the caller's lock.  Times are milliseconds of one
 * clock that never goes back.
 */


#ifndef _BINARIZE_TOKEN_H_INCLUDED_
#define _BINARIZE_TOKEN_H_INCLUDED_


#include "problem.h"
#include "process.h"


/* zeroed at first */
typedef struct {
    uint64_t             generation;    /* of the token, 0: none yet */
    uint64_t             expires_ms;    /* 0: there is none; set last */
    uint64_t             renew_ms;
    uint32_t             accepted;      /* it has worked */
    uint32_t             ndrops;        /* of tokens that never did */
    uint64_t             next_drop_ms;

    uint64_t             call;          /* the last one's number */
    uint64_t             caller_epoch;  /* 0: it has ended; set last */
    uint32_t             caller_slot;
    uint64_t             deadline_ms;   /* of the call in the air */

    uint64_t             next_call_ms;
    uint32_t             problem;       /* of the last failed call */
    uint32_t             nrefusals;
    uint64_t             refused_ms;    /* the last of them */

    uint64_t             pause_ms;      /* nobody uses it until then */
} binarize_token_t;


typedef enum {
    BINARIZE_TOKEN_USE = 0,
    BINARIZE_TOKEN_RENEW,     /* the same, and a call is due beside */
    BINARIZE_TOKEN_CALL,      /* there is none, a call is due */
    BINARIZE_TOKEN_WAIT,      /* for the call in the air */
    BINARIZE_TOKEN_NONE       /* and there will be none before until_ms */
} binarize_token_verdict_e;


/* why and until when there is none */
typedef struct {
    binarize_problem_e   problem;
    uint64_t             until_ms;
} binarize_token_none_t;


/* what to do now; none is set where that is the answer */
binarize_token_verdict_e binarize_token_look(const binarize_token_t *token,
    const binarize_process_t *processes, uint64_t now_ms,
    binarize_token_none_t *none);

/* a call is made, by the process in the slot; returns its number */
uint64_t binarize_token_called(binarize_token_t *token, uint32_t slot,
    uint64_t epoch, uint64_t deadline_ms);

/*
 * A call has brought a token.  BINARIZE_OK: what there was is used no more,
 * the caller replaces the text and calls _stored().  BINARIZE_DECLINED: it is
 * late, and there is one.
 */
int binarize_token_answered(binarize_token_t *token, uint64_t call,
    uint64_t now_ms);

/* the text is the new one: of a call, or as another node has told */
void binarize_token_stored(binarize_token_t *token, uint64_t life_s,
    uint64_t now_ms);

/*
 * A call has brought none: the status of the answer, 0 if there was none, the
 * problem there was beside it, and Retry-After, seconds.  Returns the seconds
 * before the next call; *problem is what it means.
 */
uint64_t binarize_token_failed(binarize_token_t *token, uint64_t call,
    uint32_t status, binarize_problem_e *problem, int64_t retry_after_s,
    uint64_t now_ms);

/* a call was given up by its caller, and tells nothing */
void binarize_token_stopped(binarize_token_t *token, uint64_t call);

/* the cloud has taken the token of that generation */
void binarize_token_accepted(binarize_token_t *token, uint64_t generation);

/*
 * The cloud answered 401 to it.  BINARIZE_OK: another one may be had.
 * BINARIZE_DECLINED: there will not be a better one soon.
 */
int binarize_token_refused(binarize_token_t *token, uint64_t generation,
    uint64_t now_ms);

/* the cloud answered 429, to this node or another */
void binarize_token_paused(binarize_token_t *token, uint64_t until_ms);


#endif /* _BINARIZE_TOKEN_H_INCLUDED_ */
