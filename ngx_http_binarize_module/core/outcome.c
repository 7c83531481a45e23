
/* What the end of a call means.  See outcome.h. */


#include <string.h>

#include "outcome.h"


/* failures that may pass at any time are remembered so long at most */
#define OUTCOME_FAILURE_MS      1000

/* a cloud's 429 or 503 without Retry-After, and the longest it may ask for */
#define OUTCOME_BUSY_MS         5000
#define OUTCOME_BUSY_MAX_MS     600000

/* of a poll's interval, at most, per mille */
#define OUTCOME_JITTER          100

#define OUTCOME_OK              200
#define OUTCOME_UNAUTHORIZED    401
#define OUTCOME_TOO_MANY        429
#define OUTCOME_UNAVAILABLE     503


/* what an answer is to those who come next */
typedef enum {
    OUTCOME_PASSING = 0,      /* the next moment, or node, may have more luck */
    OUTCOME_BUSY,             /* the cloud says for how long */
    OUTCOME_OWN,              /* without a call: nothing was learnt of the id */
    OUTCOME_NEGATIVE,         /* it will be the same again */
    OUTCOME_PENDING,
    OUTCOME_RESULT
} outcome_class_e;


static void outcome_remember(const binarize_ended_t *ended,
    const binarize_answer_t *before, uint32_t polls,
    const binarize_pace_t *pace, uint32_t random,
    binarize_decision_t *decision);
static outcome_class_e outcome_class(const binarize_answer_t *answer);
static int outcome_same(const binarize_answer_t *a,
    const binarize_answer_t *b);
static uint64_t outcome_pace(uint64_t ms, uint64_t max_ms, uint32_t repeat);
static uint64_t outcome_poll_ms(const binarize_pace_t *pace, uint32_t repeat,
    uint32_t random);
static uint64_t outcome_busy_ms(const binarize_ended_t *ended);


static const outcome_class_e  outcome_classes[BINARIZE_PROBLEMS] = {
    [BINARIZE_PROBLEM_UNREACHABLE]   = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_UNAUTHORIZED]  = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_BAD_STATUS]    = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_BAD_RESPONSE]  = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_TRUNCATED]     = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_BAD_DOCUMENT]  = OUTCOME_NEGATIVE,
    [BINARIZE_PROBLEM_TOO_LARGE]     = OUTCOME_NEGATIVE,
    [BINARIZE_PROBLEM_NOT_PNG]       = OUTCOME_NEGATIVE,
    [BINARIZE_PROBLEM_TIMEOUT]       = OUTCOME_PASSING,
    [BINARIZE_PROBLEM_BUSY]          = OUTCOME_BUSY,
    [BINARIZE_PROBLEM_BUDGET]        = OUTCOME_OWN,
    [BINARIZE_PROBLEM_TOKEN_REFUSED] = OUTCOME_OWN,
    [BINARIZE_PROBLEM_TOKEN_FAILED]  = OUTCOME_OWN,
    [BINARIZE_PROBLEM_INTERNAL]      = OUTCOME_PASSING
};


/* another status says all: its body was not looked at */

binarize_problem_e
binarize_outcome_problem(binarize_end_e end, binarize_problem_e found,
    uint32_t status)
{
    switch (status) {

    case 0:
    case OUTCOME_OK:
        break;

    case OUTCOME_UNAUTHORIZED:
        return BINARIZE_PROBLEM_UNAUTHORIZED;

    case OUTCOME_TOO_MANY:
    case OUTCOME_UNAVAILABLE:
        return BINARIZE_PROBLEM_BUSY;

    default:
        return BINARIZE_PROBLEM_BAD_STATUS;
    }

    if (found != BINARIZE_PROBLEM_NONE) {
        return found;
    }

    switch (end) {

    case BINARIZE_END_WHOLE:
        return status ? BINARIZE_PROBLEM_NONE : BINARIZE_PROBLEM_INTERNAL;

    case BINARIZE_END_TIMEOUT:
    case BINARIZE_END_STOPPED:
        return BINARIZE_PROBLEM_TIMEOUT;

    case BINARIZE_END_BROKEN:
        return status ? BINARIZE_PROBLEM_TRUNCATED
                      : BINARIZE_PROBLEM_UNREACHABLE;

    default: /* BINARIZE_END_FAILED */
        return BINARIZE_PROBLEM_INTERNAL;
    }
}


void
binarize_outcome_decide(const binarize_ended_t *ended,
    const binarize_answer_t *before, uint32_t polls,
    const binarize_pace_t *pace, uint32_t random,
    binarize_decision_t *decision)
{
    uint32_t            known;
    binarize_answer_t  *answer;

    memset(decision, 0, sizeof(*decision));

    if (ended->end == BINARIZE_END_STOPPED) {
        /* it says nothing of the cloud */
        decision->next = BINARIZE_NEXT_OTHERS;
        return;
    }

    if (ended->status) {
        decision->token = (ended->status == OUTCOME_UNAUTHORIZED)
                          ? BINARIZE_TOKEN_REFUSED : BINARIZE_TOKEN_ACCEPTED;
    }

    if (ended->tries_left && ended->time_left) {
        decision->next = BINARIZE_NEXT_TURN;
        return;
    }

    if (decision->token == BINARIZE_TOKEN_REFUSED && !ended->refused) {
        decision->next = BINARIZE_NEXT_TOKEN;
    }

    /* the interval does not start anew, whoever has forgotten it */

    known = before ? binarize_answer_polls(before) : 0;

    if (polls < known) {
        polls = known;
    }

    answer = &decision->answer;
    answer->problem = ended->problem;

    if (answer->problem == BINARIZE_PROBLEM_NONE) {
        answer->outcome = ended->document;

    } else {
        answer->status = ended->status;
    }

    outcome_remember(ended, before, polls, pace, random, decision);
}


static void
outcome_remember(const binarize_ended_t *ended,
    const binarize_answer_t *before, uint32_t polls,
    const binarize_pace_t *pace, uint32_t random,
    binarize_decision_t *decision)
{
    uint64_t            busy_ms;
    outcome_class_e     class;
    binarize_answer_t  *answer;

    answer = &decision->answer;
    class = outcome_class(answer);
    busy_ms = 0;

    /* no answer that may pass has a pace of its own, polls go on after it */

    answer->repeat = polls;

    switch (class) {

    case OUTCOME_RESULT:
        answer->repeat = 0;
        decision->ms = pace->valid_ms;
        break;

    case OUTCOME_PENDING:
        decision->ms = (ended->retry_after_s > 0)
                       ? (uint64_t) ended->retry_after_s * 1000
                       : outcome_poll_ms(pace, polls, random);
        break;

    case OUTCOME_NEGATIVE:
        answer->repeat = (before && outcome_same(before, answer))
                         ? before->repeat + 1 : 0;
        decision->ms = outcome_pace(pace->negative_ms, pace->negative_max_ms,
                                    answer->repeat);
        break;

    default:
        decision->ms = outcome_pace(pace->negative_ms, OUTCOME_FAILURE_MS, 0);

        if (answer->problem != BINARIZE_PROBLEM_BUSY) {
            break;
        }

        busy_ms = outcome_busy_ms(ended);

        if (busy_ms) {
            decision->ms = busy_ms;

        } else if (polls) {
            /* who waits on is in no more hurry than before */
            decision->ms = outcome_poll_ms(pace, polls, random);
        }

        if (answer->status == OUTCOME_TOO_MANY) {
            decision->pause_ms = busy_ms;
        }
    }

    decision->remember = (class != OUTCOME_OWN && decision->ms != 0);
    decision->told = decision->remember
                     && (class >= OUTCOME_NEGATIVE || busy_ms);
}


uint32_t
binarize_answer_polls(const binarize_answer_t *answer)
{
    switch (outcome_class(answer)) {

    case OUTCOME_PENDING:
        return answer->repeat + 1;

    case OUTCOME_RESULT:
    case OUTCOME_NEGATIVE:
        return 0;

    default:
        return answer->repeat;
    }
}


int
binarize_answer_goes_on(const binarize_answer_t *answer, int pending)
{
    return outcome_class(answer) == OUTCOME_PENDING
           || (pending && (answer->problem == BINARIZE_PROBLEM_BUSY
                           || answer->problem == BINARIZE_PROBLEM_CROWDED));
}


static outcome_class_e
outcome_class(const binarize_answer_t *answer)
{
    if (answer->problem == BINARIZE_PROBLEM_NONE) {
        return (answer->outcome == BINARIZE_RESULT) ? OUTCOME_RESULT
               : (answer->outcome == BINARIZE_PENDING) ? OUTCOME_PENDING
               : OUTCOME_NEGATIVE;
    }

    if ((answer->problem == BINARIZE_PROBLEM_BUSY && answer->status == 0)
        || (unsigned) answer->problem >= BINARIZE_PROBLEMS)
    {
        /* a pause of the credential, or of its token calls; crowded */
        return OUTCOME_OWN;
    }

    return outcome_classes[answer->problem];
}


static int
outcome_same(const binarize_answer_t *a, const binarize_answer_t *b)
{
    return a->problem == b->problem
           && a->status == b->status
           && (a->problem != BINARIZE_PROBLEM_NONE
               || a->outcome == b->outcome);
}


static uint64_t
outcome_pace(uint64_t ms, uint64_t max_ms, uint32_t repeat)
{
    while (repeat-- && ms && ms < max_ms) {
        ms *= 2;
    }

    return (ms < max_ms) ? ms : max_ms;
}


static uint64_t
outcome_poll_ms(const binarize_pace_t *pace, uint32_t repeat, uint32_t random)
{
    uint64_t  ms;

    ms = outcome_pace(pace->poll_ms, pace->poll_max_ms, repeat);

    return ms + ms * (random % (OUTCOME_JITTER + 1)) / 1000;
}


/* for how long the cloud, or a pause, wants no calls; 0: it does not say */

static uint64_t
outcome_busy_ms(const binarize_ended_t *ended)
{
    if (ended->retry_after_s < 0) {
        return OUTCOME_BUSY_MS;
    }

    return (ended->retry_after_s > OUTCOME_BUSY_MAX_MS / 1000)
           ? OUTCOME_BUSY_MAX_MS : (uint64_t) ended->retry_after_s * 1000;
}
