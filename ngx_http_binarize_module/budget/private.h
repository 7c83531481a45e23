
/* between the files of the budget; see budget.h for others */


#ifndef _NGX_HTTP_BINARIZE_BUDGET_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_BUDGET_PRIVATE_H_INCLUDED_


#include "budget/budget.h"


/*
 * shm.c: a look at the budget, and at what this worker has; the mutex is held
 * from open to close.  The worker has a lane.
 */
void ngx_http_binarize_budget_open(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look);
void ngx_http_binarize_budget_close(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look);

/* the same where the mutex is held already, and held on */
void ngx_http_binarize_budget_look_locked(ngx_http_binarize_budget_t *budget,
    binarize_turns_look_t *look);


/* budget.c: the turn that waits waits no longer, between open and close */
void ngx_http_binarize_budget_dequeue(ngx_http_binarize_turn_t *turn);

/* notes a turn that was granted */
void ngx_http_binarize_budget_grant(ngx_http_binarize_turn_t *turn);

/* looks at the turns that wait, from the event loop */
void ngx_http_binarize_budget_post(ngx_http_binarize_budget_t *budget);


/* redis.c: 1 if Redis is to be asked for turns */
ngx_uint_t ngx_http_binarize_budget_shared(ngx_http_binarize_budget_t *budget);

/* asks Redis for the turn, the first of this worker and of all */
void ngx_http_binarize_budget_ask(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn);

/* the turn's unit is free again; made as in .._release() */
void ngx_http_binarize_budget_give_back(ngx_http_binarize_turn_t *turn,
    ngx_uint_t made);

/* tells Redis now and then of the units this worker still holds */
void ngx_http_binarize_budget_keep(ngx_http_binarize_budget_t *budget);


#endif /* _NGX_HTTP_BINARIZE_BUDGET_PRIVATE_H_INCLUDED_ */
