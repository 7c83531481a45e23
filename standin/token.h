/* Credentials, tokens, and the lock after too many refusals. */

#ifndef STANDIN_TOKEN_H
#define STANDIN_TOKEN_H

#include "http.h"
#include "wire.h"


typedef struct {
    uint64_t   expires_in_s;
    unsigned   lock_after;      /* refusals that are still answered 400 */
    uint64_t   lock_s;
} token_options_t;


typedef struct {
    uint64_t  calls;
    uint64_t  ok;
    uint64_t  refused;          /* 400 */
    uint64_t  locked;           /* 429 */
    uint64_t  faults;
} token_counters_t;


void token_init(const token_options_t *options);
/* Adds a pair, or gives a known id another secret. */
void token_set_credentials(const char *client_id, const char *secret);
void token_forget_credentials(const char *client_id);
/* Tokens handed out so far are good no longer. */
void token_revoke_all(void);
void token_unlock_all(void);

/* POST /connect/token; f may change what is answered. */
void token_answer(const http_request_t *r, answer_t *a, const fault_t *f);
/* A token as a fetch needs it, valid for lives_s. */
void token_create(buf_t *b, uint64_t lives_s);
/* NULL if the request's token is good, otherwise why not ("" if absent). */
const char *token_check(const http_request_t *r);

token_counters_t *token_counters(void);

#endif
