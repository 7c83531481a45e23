
#include "token.h"


/* refusals as far apart as this are not of one series */
#define TOKEN_FORGET_MS  3600000

/* after a failure, or when the cloud is busy, seconds */
#define TOKEN_FAILED_S   1
#define TOKEN_BUSY_S     5

/* the order is for who is killed inside */
#define token_commit()   __atomic_signal_fence(__ATOMIC_SEQ_CST)


/*
 * The cloud locks a pair of credentials after five refusals, whatever was in
 * between: seconds before the next call after so many
 */

static uint64_t
token_pace_s(uint32_t nrefusals)
{
    static const uint64_t  pace_s[] = { 0, 5, 60, 600 };

    return pace_s[nrefusals < 3 ? nrefusals : 3];
}


binarize_token_verdict_e
binarize_token_look(const binarize_token_t *token,
    const binarize_process_t *processes, uint64_t now_ms,
    binarize_token_none_t *none)
{
    int  valid, calling;

    if (now_ms < token->pause_ms) {
        none->problem = BINARIZE_PROBLEM_BUSY;
        none->until_ms = token->pause_ms;
        return BINARIZE_TOKEN_NONE;
    }

    valid = now_ms < token->expires_ms;

    calling = token->caller_epoch
              && now_ms < token->deadline_ms
              && binarize_process_lives(&processes[token->caller_slot],
                                        token->caller_epoch);

    if (valid && (now_ms < token->renew_ms || calling
                  || now_ms < token->next_call_ms))
    {
        return BINARIZE_TOKEN_USE;
    }

    if (calling) {
        return BINARIZE_TOKEN_WAIT;
    }

    if (now_ms < token->next_call_ms) {
        none->problem = token->problem;
        none->until_ms = token->next_call_ms;
        return BINARIZE_TOKEN_NONE;
    }

    return valid ? BINARIZE_TOKEN_RENEW : BINARIZE_TOKEN_CALL;
}


uint64_t
binarize_token_called(binarize_token_t *token, uint32_t slot, uint64_t epoch,
    uint64_t deadline_ms)
{
    token->caller_epoch = 0;
    token_commit();

    token->call++;
    token->caller_slot = slot;
    token->deadline_ms = deadline_ms;

    token_commit();
    token->caller_epoch = epoch;

    return token->call;
}


/* 1 if it was in the air; 0 if it has been given up as lost before */

static int
token_call_ended(binarize_token_t *token, uint64_t call)
{
    if (token->call != call || token->caller_epoch == 0) {
        return 0;
    }

    token->caller_epoch = 0;

    return 1;
}


int
binarize_token_answered(binarize_token_t *token, uint64_t call,
    uint64_t now_ms)
{
    if (!token_call_ended(token, call) && now_ms < token->expires_ms) {
        return BINARIZE_DECLINED;
    }

    token->expires_ms = 0;
    token_commit();

    return BINARIZE_OK;
}


void
binarize_token_stored(binarize_token_t *token, uint64_t life_s,
    uint64_t now_ms)
{
    token->generation++;
    token->accepted = 0;
    token->renew_ms = now_ms + life_s * 800;

    token_commit();
    token->expires_ms = now_ms + life_s * 1000;
}


uint64_t
binarize_token_failed(binarize_token_t *token, uint64_t call, uint32_t status,
    binarize_problem_e *problem, int64_t retry_after_s, uint64_t now_ms)
{
    int       ended;
    uint64_t  delay_s;

    ended = token_call_ended(token, call);
    delay_s = TOKEN_FAILED_S;

    if (status == 429 || status == 503) {
        *problem = BINARIZE_PROBLEM_BUSY;
        delay_s = (retry_after_s > TOKEN_BUSY_S) ? retry_after_s
                                                 : TOKEN_BUSY_S;

    } else if (status >= 400 && status < 500 && status != 408) {
        *problem = BINARIZE_PROBLEM_TOKEN_REFUSED;

        if (now_ms > token->refused_ms + TOKEN_FORGET_MS) {
            token->nrefusals = 0;
        }

        token->nrefusals++;
        token->refused_ms = now_ms;
        delay_s = token_pace_s(token->nrefusals);

    } else if (status && status != 200) {
        *problem = BINARIZE_PROBLEM_TOKEN_FAILED;
    }

    /* a late one is counted by the cloud all the same */

    if ((ended || *problem == BINARIZE_PROBLEM_TOKEN_REFUSED)
        && token->next_call_ms < now_ms + delay_s * 1000)
    {
        token->problem = *problem;
        token->next_call_ms = now_ms + delay_s * 1000;
    }

    return delay_s;
}


void
binarize_token_stopped(binarize_token_t *token, uint64_t call)
{
    (void) token_call_ended(token, call);
}


void
binarize_token_accepted(binarize_token_t *token, uint64_t generation)
{
    if (token->generation == generation) {
        token->accepted = 1;
        token->ndrops = 0;
        token->next_drop_ms = 0;
    }
}


/*
 * A token that has worked is dropped and replaced.  One that never did too,
 * once; if the next one does not work either, the cloud dislikes us and not
 * the token, and tokens are replaced at the pace of refusals.
 */

int
binarize_token_refused(binarize_token_t *token, uint64_t generation,
    uint64_t now_ms)
{
    if (token->generation != generation || token->expires_ms == 0) {
        return BINARIZE_OK;
    }

    if (!token->accepted) {

        if (now_ms < token->next_drop_ms) {
            return BINARIZE_DECLINED;
        }

        token->ndrops++;
        token->next_drop_ms = now_ms + token_pace_s(token->ndrops) * 1000;
    }

    token->expires_ms = 0;

    return BINARIZE_OK;
}


void
binarize_token_paused(binarize_token_t *token, uint64_t until_ms)
{
    if (token->pause_ms < until_ms) {
        token->pause_ms = until_ms;
    }
}
