
/* between the files of the budget; see budget.h for others */


#ifndef _NGX_HTTP_BINARIZE_BUDGET_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_BUDGET_PRIVATE_H_INCLUDED_


#include "budget/budget.h"


/* so often a worker that waits or holds looks */
#define NGX_HTTP_BINARIZE_BUDGET_BEAT_MS  1000

/* while Redis is away a quota is not to be had; when to ask again, ms */
#define NGX_HTTP_BINARIZE_BUDGET_AWAY_MS  5000
#define NGX_HTTP_BINARIZE_BUDGET_FOREVER  0x7fffffff


/* a budget, and all there is to say about it now; the mutex is held */
typedef struct {
    ngx_http_binarize_budget_t       *budget;
    ngx_http_binarize_shm_budget_t   *sb;
    ngx_http_binarize_shm_lane_t     *lanes;
    ngx_http_binarize_shm_lane_t     *lane;      /* ours; NULL: no room */
    uint64_t                          now_us;
} ngx_http_binarize_budget_view_t;


/*
 * shm.c, all with the mutex held.  Finds or creates the budget's slot,
 * and shows in this worker's lane what it has.
 */
void ngx_http_binarize_budget_open_locked(
    ngx_http_binarize_budget_view_t *view, ngx_http_binarize_budget_t *budget);

/* shows what this worker holds and waits for */
void ngx_http_binarize_budget_show_locked(
    ngx_http_binarize_budget_view_t *view);

/* the lane that waits with the least ticket, of those that beat, or NULL */
ngx_http_binarize_shm_lane_t *ngx_http_binarize_budget_front_locked(
    ngx_http_binarize_budget_view_t *view);

/*
 * Turns of other workers that come before a ticket; 0 stands for one that
 * is to be given
 */
uint64_t ngx_http_binarize_budget_ahead_locked(
    ngx_http_binarize_budget_view_t *view, uint64_t ticket);

/* the slot of the front, if that is another worker */
void ngx_http_binarize_budget_front_slot_locked(
    ngx_http_binarize_budget_view_t *view, uint64_t *slots);

/* the slots of all other workers that wait */
void ngx_http_binarize_budget_waiting_locked(
    ngx_http_binarize_budget_view_t *view, uint64_t *slots);

/* 1 if a unit of concurrency is free for a call, or for a token call */
ngx_uint_t ngx_http_binarize_budget_unit_locked(
    ngx_http_binarize_budget_view_t *view, ngx_uint_t token);

/*
 * due_ms and retry_ms of a turn with so many before it.  Returns what is left
 * until it is due, ms.
 */
ngx_msec_t ngx_http_binarize_budget_estimate_locked(
    ngx_http_binarize_budget_view_t *view, ngx_http_binarize_turn_t *turn,
    uint64_t ahead);


/*
 * budget.c: takes the turn out of those that wait; the mutex is held, and
 * the lane has to be shown
 */
void ngx_http_binarize_budget_dequeue(ngx_http_binarize_turn_t *turn);
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
