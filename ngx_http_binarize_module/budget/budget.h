
/*
 * binarize_budget: what may be spent on calls with one credential, over all
 * workers of a zone, or in Redis over all nodes.
 *
 * Who wants to call takes a turn.  Turns come in the order they were asked
 * for, see core/turns.h; the first waits for the time the bucket or the quota
 * name, or is woken when a unit of concurrency is given back.
 */


#ifndef _NGX_HTTP_BINARIZE_BUDGET_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_BUDGET_H_INCLUDED_


#include "redis/redis.h"
#include "zone/zone.h"


typedef struct ngx_http_binarize_budget_s  ngx_http_binarize_budget_t;


typedef struct {
    binarize_budget_limits_t       limits;
    ngx_uint_t                     shared;
} ngx_http_binarize_budget_conf_t;


typedef struct ngx_http_binarize_turn_s  ngx_http_binarize_turn_t;

/* embedded by who calls, zeroed before the first use */
struct ngx_http_binarize_turn_s {
    void                             (*handler)(void *data);
    void                             (*revised)(void *data);
    void                              *data;

    /*
     * If it has to wait: it comes not before, and who can not wait should
     * come back then; as ngx_current_msec
     */
    uint64_t                           due_ms;
    uint64_t                           retry_ms;

    /* implementation */
    ngx_http_binarize_budget_t        *budget;
    ngx_queue_t                        queue;
    uint64_t                           ticket;
    ngx_msec_t                         started_ms;
    uint64_t                           member;    /* in Redis; 0: not there */
    unsigned                           waiting:1;
    unsigned                           granted:1;
    unsigned                           due_now:1; /* due at once, if Redis
                                                     agrees */
};


/* one per credential and zone */
struct ngx_http_binarize_budget_s {
    binarize_budget_limits_t           limits;
    ngx_http_binarize_redis_t         *redis;     /* NULL: of the zone only */
    ngx_shm_zone_t                    *shm_zone;
    u_char                             id[32];    /* of the credential */

    /* of its token: a unit may be free for a call of its; others pause */
    void                             (*on_unit)(void *owner);
    void                             (*on_pause)(void *owner, ngx_msec_t ms);
    void                              *owner;

    /* of this worker */
    ngx_http_binarize_sleeper_t        sleeper;
    ngx_queue_t                        turns;     /* waiting, by ticket */
    ngx_queue_t                        granted;
    ngx_queue_t                       *cursor;    /* of a walk on turns */
    binarize_lane_t                    lane;
    ngx_event_t                        event;
    ngx_http_binarize_turn_t           token_turn;

    /* of a shared one, see redis.c */
    ngx_str_t                          keys[4];
    u_char                             name[16];  /* of this worker in Redis */
    uint64_t                           members;   /* numbers given so far */
    ngx_http_binarize_redis_call_t     call;
    uint64_t                           asked;     /* for which; 0: answered */
    ngx_http_binarize_turn_t          *asking;    /* for it; or it has left */
    uint64_t                           ask_ms;    /* not before */
    uint64_t                           away_ms;   /* Redis, until then */
    uint64_t                           kept_ms;

    unsigned                           active:1;  /* a sleeper */
    unsigned                           in_air:1;  /* call is */
    unsigned                           failed:1;  /* logged */
};


/*
 * Takes a turn, for one try; budget may be NULL: no limits.
 *   NGX_OK        make the call, then ngx_http_binarize_budget_release()
 *   NGX_AGAIN     when the turn has come turn->handler(data) is called, never
 *                 from inside: then take again.  When turn->due_ms has become
 *                 later turn->revised(data) is called.
 *   NGX_DECLINED  it would be later than patience_ms from now: turn->retry_ms
 */
ngx_int_t ngx_http_binarize_budget_take(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn, ngx_msec_t patience_ms);

/*
 * One more try of the call the turn was taken for.  NGX_DECLINED: not now;
 * who takes the turn again after its release is before all others.
 */
ngx_int_t ngx_http_binarize_budget_again(ngx_http_binarize_turn_t *turn);

/* that try was not made */
void ngx_http_binarize_budget_not_again(ngx_http_binarize_turn_t *turn);

/*
 * The call is over.  made: a try was made; without, the turn is given back.
 * A turn that waits waits no longer; one that does neither is left alone.
 */
void ngx_http_binarize_budget_release(ngx_http_binarize_turn_t *turn,
    ngx_uint_t made);

/* when to come back for a new turn, behind those that wait; of a waiting one */
uint64_t ngx_http_binarize_budget_retry_ms(ngx_http_binarize_turn_t *turn);

/* the next turn is a new one, behind those that wait */
#define ngx_http_binarize_turn_new(turn)  (turn)->ticket = 0

/*
 * A token call: counts for concurrency only.  needed: without it there is no
 * token, the next unit is kept for it.  0: no unit is free.  The mutex is
 * held by the caller of the first.
 */
ngx_uint_t ngx_http_binarize_budget_token_begin_locked(
    ngx_http_binarize_budget_t *budget, ngx_uint_t needed);
void ngx_http_binarize_budget_token_end(ngx_http_binarize_budget_t *budget);

/* a shared one: all nodes pause for so long */
void ngx_http_binarize_budget_publish_pause(ngx_http_binarize_budget_t *budget,
    ngx_msec_t ms);

/* conf.c: handler of the directive */
char *ngx_http_binarize_budget_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * A new one with these limits; redis NULL: of the zone only.  The caller sets
 * owner and its functions.  NULL: no memory.
 */
ngx_http_binarize_budget_t *ngx_http_binarize_budget_create(ngx_conf_t *cf,
    ngx_http_binarize_budget_conf_t *conf, u_char *id,
    ngx_shm_zone_t *shm_zone, ngx_http_binarize_redis_t *redis);


#endif /* _NGX_HTTP_BINARIZE_BUDGET_H_INCLUDED_ */
