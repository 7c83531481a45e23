
#include "budget/private.h"
#include "ngx_http_binarize_scripts.h"

#include <openssl/rand.h>


/* a unit whose worker is gone is free again after that, ms */
#define NGX_HTTP_BINARIZE_BUDGET_LEASE      "15000"

/* how often a worker confirms what it holds, ms */
#define NGX_HTTP_BINARIZE_BUDGET_KEEP_MS    5000

/* after a failure the zone's own budget serves for that long, ms */
#define NGX_HTTP_BINARIZE_BUDGET_RETRY_MS   1000

/* of one confirmation */
#define NGX_HTTP_BINARIZE_BUDGET_KEEP_MAX   14

#define NGX_HTTP_BINARIZE_BUDGET_NAME_SIZE  (16 + 1 + NGX_INT64_LEN)


static void ngx_http_binarize_budget_on_ask(void *data, ngx_int_t rc,
    redisReply *reply);
static ngx_uint_t ngx_http_binarize_budget_reply_valid(redisReply *reply);
static void ngx_http_binarize_budget_asked(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn, redisReply *reply);
static void ngx_http_binarize_budget_failed(ngx_http_binarize_budget_t *budget,
    const char *reason);
static void ngx_http_binarize_budget_run_script(
    ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_redis_script_t *script, ngx_uint_t nkeys,
    ngx_uint_t nargs, ngx_str_t *args);
static void ngx_http_binarize_budget_on_script_end(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_budget_give_back_member(
    ngx_http_binarize_budget_t *budget, uint64_t member, ngx_uint_t made);
static void ngx_http_binarize_budget_name(ngx_http_binarize_budget_t *budget,
    uint64_t member, ngx_str_t *name);
static void ngx_http_binarize_budget_number(ngx_str_t *s, u_char *text,
    uint64_t n);


static ngx_http_binarize_redis_script_t  ngx_http_binarize_budget_take_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_budget_take);

static ngx_http_binarize_redis_script_t  ngx_http_binarize_budget_end_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_budget_end);

static ngx_http_binarize_redis_script_t  ngx_http_binarize_budget_keep_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_budget_keep);

static ngx_http_binarize_redis_script_t  ngx_http_binarize_budget_pause_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_budget_pause);


ngx_uint_t
ngx_http_binarize_budget_shared(ngx_http_binarize_budget_t *budget)
{
    return budget->redis
           && ngx_current_msec >= budget->away_ms
           && ngx_http_binarize_redis_usable(budget->redis);
}


void
ngx_http_binarize_budget_ask(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn)
{
    u_char     numbers[4][NGX_INT_T_LEN];
    u_char     name[NGX_HTTP_BINARIZE_BUDGET_NAME_SIZE];
    ngx_str_t  args[11];

    if (budget->in_air) {
        return;
    }

    /* unanswered, it may have been taken: then it is taken again */

    if (budget->asked == 0) {
        budget->asked = ++budget->members;
    }

    args[0] = budget->keys[0];
    args[1] = budget->keys[1];
    args[2] = budget->keys[2];
    args[3] = budget->keys[3];

    ngx_http_binarize_budget_number(&args[4], numbers[0], budget->limits.rate);
    ngx_http_binarize_budget_number(&args[5], numbers[1],
                                    budget->limits.burst);
    ngx_http_binarize_budget_number(&args[6], numbers[2],
                                    budget->limits.concurrency);
    ngx_http_binarize_budget_number(&args[7], numbers[3],
                                    budget->limits.quota);

    args[8].data = (u_char *) (budget->limits.monthly ? "1" : "0");
    args[8].len = 1;

    args[9].data = name;
    ngx_http_binarize_budget_name(budget, budget->asked, &args[9]);

    ngx_str_set(&args[10], NGX_HTTP_BINARIZE_BUDGET_LEASE);

    budget->call.handler = ngx_http_binarize_budget_on_ask;
    budget->call.data = budget;
    budget->call.kind = NGX_HTTP_BINARIZE_REDIS_WRITE;

    if (ngx_http_binarize_redis_eval(budget->redis, &budget->call,
                                     &ngx_http_binarize_budget_take_script,
                                     4, 11, args)
        != NGX_OK)
    {
        ngx_http_binarize_budget_failed(budget, "it is not reachable");
        ngx_http_binarize_budget_post(budget);
        return;
    }

    budget->in_air = 1;
    budget->asking = turn;
}


static void
ngx_http_binarize_budget_on_ask(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_budget_t *budget = data;

    ngx_http_binarize_turn_t  *turn;

    budget->in_air = 0;

    if (rc == NGX_ABORT) {
        return;
    }

    turn = budget->asking;
    budget->asking = NULL;

    if (rc == NGX_ERROR) {
        ngx_http_binarize_budget_failed(budget, "it did not answer");

    } else if (rc == NGX_DECLINED) {
        ngx_http_binarize_budget_failed(budget, reply->str);

    } else if (!ngx_http_binarize_budget_reply_valid(reply)) {
        ngx_http_binarize_redis_confused(budget->redis);
        ngx_http_binarize_budget_failed(budget, "its answer makes no sense");

    } else {
        ngx_http_binarize_budget_asked(budget, turn, reply);
    }

    ngx_http_binarize_budget_post(budget);
}


static ngx_uint_t
ngx_http_binarize_budget_reply_valid(redisReply *reply)
{
    ngx_uint_t  i;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 6) {
        return 0;
    }

    for (i = 0; i < 6; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER
            || reply->element[i]->integer < 0)
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_binarize_budget_asked(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_turn_t *turn, redisReply *reply)
{
    uint64_t               member, slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t             taken;
    binarize_turns_look_t  look;

    taken = (reply->element[0]->integer == 1);
    member = budget->asked;
    budget->asked = 0;

    if (budget->failed) {
        budget->failed = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "binarize_budget is kept in redis again");
    }

    ngx_memzero(slots, sizeof(slots));

    /* it may be helped by hand: a quota raised, a unit given back */

    budget->ask_ms = ngx_current_msec
                     + ngx_min((ngx_msec_t) reply->element[1]->integer,
                               BINARIZE_TURNS_LOOK_MS);

    ngx_http_binarize_budget_open(budget, &look);

    binarize_turns_told(&look, taken && turn, reply->element[2]->integer,
                        reply->element[4]->integer,
                        reply->element[5]->integer);

    if (taken && turn) {
        ngx_http_binarize_budget_dequeue(turn);
        ngx_http_binarize_budget_grant(turn);
        turn->member = member;
    }

    binarize_turns_wake(&look, 1, slots);

    ngx_http_binarize_budget_close(budget, &look);

    ngx_http_binarize_zone_wake(budget->shm_zone->data, slots);

    if (reply->element[5]->integer) {
        budget->on_pause(budget->owner,
                                       reply->element[5]->integer);
    }

    if (!taken) {
        return;
    }

    if (turn) {
        turn->handler(turn->data);
        return;
    }

    /* who wanted it has left meanwhile */

    ngx_http_binarize_budget_give_back_member(budget, member, 0);
}


static void
ngx_http_binarize_budget_failed(ngx_http_binarize_budget_t *budget,
    const char *reason)
{
    budget->away_ms = ngx_current_msec + NGX_HTTP_BINARIZE_BUDGET_RETRY_MS;
    budget->ask_ms = 0;

    if (budget->failed) {
        return;
    }

    budget->failed = 1;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "binarize_budget: redis can not keep it: %s; %s", reason,
                  budget->limits.quota
                  ? "no calls are made until it can"
                  : "each node keeps its own until it can");
}


void
ngx_http_binarize_budget_give_back(ngx_http_binarize_turn_t *turn,
    ngx_uint_t made)
{
    ngx_http_binarize_budget_give_back_member(turn->budget, turn->member, made);
}


static void
ngx_http_binarize_budget_give_back_member(ngx_http_binarize_budget_t *budget,
    uint64_t member, ngx_uint_t made)
{
    u_char     numbers[3][NGX_INT_T_LEN];
    u_char     name[NGX_HTTP_BINARIZE_BUDGET_NAME_SIZE];
    ngx_str_t  args[8];

    if (made && budget->limits.concurrency == 0) {
        return;
    }

    args[0] = budget->keys[0];
    args[1] = budget->keys[1];
    args[2] = budget->keys[2];

    ngx_http_binarize_budget_number(&args[3], numbers[0], budget->limits.rate);
    ngx_http_binarize_budget_number(&args[4], numbers[1],
                                    budget->limits.burst);
    ngx_http_binarize_budget_number(&args[5], numbers[2],
                                    budget->limits.quota);

    args[6].data = name;
    ngx_http_binarize_budget_name(budget, member, &args[6]);

    args[7].data = (u_char *) (made ? "1" : "0");
    args[7].len = 1;

    ngx_http_binarize_budget_run_script(budget,
                                        &ngx_http_binarize_budget_end_script,
                                        3, 8, args);

    /* a unit is free, or a turn is */

    budget->ask_ms = 0;
}


void
ngx_http_binarize_budget_publish_pause(ngx_http_binarize_budget_t *budget,
    ngx_msec_t ms)
{
    u_char     number[NGX_INT_T_LEN];
    ngx_str_t  args[2];

    if (budget == NULL || !ngx_http_binarize_budget_shared(budget)) {
        return;
    }

    args[0] = budget->keys[3];
    ngx_http_binarize_budget_number(&args[1], number, ms);

    ngx_http_binarize_budget_run_script(budget,
                                        &ngx_http_binarize_budget_pause_script,
                                        1, 2, args);
}


void
ngx_http_binarize_budget_keep(ngx_http_binarize_budget_t *budget)
{
    u_char                     names[NGX_HTTP_BINARIZE_BUDGET_KEEP_MAX]
                                    [NGX_HTTP_BINARIZE_BUDGET_NAME_SIZE];
    ngx_str_t                  args[2 + NGX_HTTP_BINARIZE_BUDGET_KEEP_MAX];
    ngx_uint_t                 n, due;
    ngx_queue_t               *q;
    ngx_http_binarize_turn_t  *turn;

    if (budget->limits.concurrency == 0
        || !ngx_http_binarize_budget_shared(budget))
    {
        return;
    }

    due = ngx_current_msec - budget->kept_ms
          >= NGX_HTTP_BINARIZE_BUDGET_KEEP_MS;

    if (due) {
        budget->kept_ms = ngx_current_msec;
    }

    args[0] = budget->keys[1];
    ngx_str_set(&args[1], NGX_HTTP_BINARIZE_BUDGET_LEASE);

    n = 0;

    for (q = ngx_queue_head(&budget->granted);
         q != ngx_queue_sentinel(&budget->granted);
         q = ngx_queue_next(q))
    {
        turn = ngx_queue_data(q, ngx_http_binarize_turn_t, queue);

        if (turn->member && !due) {
            continue;
        }

        /* a token call's, or taken while Redis was away */

        if (turn->member == 0) {
            turn->member = ++budget->members;
        }

        args[2 + n].data = names[n];
        ngx_http_binarize_budget_name(budget, turn->member, &args[2 + n]);

        n++;

        if (n == NGX_HTTP_BINARIZE_BUDGET_KEEP_MAX) {
            ngx_http_binarize_budget_run_script(budget,
                                         &ngx_http_binarize_budget_keep_script,
                                         1, 2 + n, args);
            n = 0;
        }
    }

    if (n) {
        ngx_http_binarize_budget_run_script(budget,
                                         &ngx_http_binarize_budget_keep_script,
                                         1, 2 + n, args);
    }
}


/* what is lost mends itself when the lease ends */

static void
ngx_http_binarize_budget_run_script(ngx_http_binarize_budget_t *budget,
    ngx_http_binarize_redis_script_t *script, ngx_uint_t nkeys,
    ngx_uint_t nargs, ngx_str_t *args)
{
    ngx_http_binarize_redis_call_t  *call;

    if (!ngx_http_binarize_redis_usable(budget->redis)) {
        return;
    }

    call = ngx_calloc(sizeof(*call), ngx_cycle->log);
    if (call == NULL) {
        return;
    }

    call->handler = ngx_http_binarize_budget_on_script_end;
    call->data = call;

    if (ngx_http_binarize_redis_eval(budget->redis, call, script, nkeys, nargs,
                                     args)
        != NGX_OK)
    {
        ngx_free(call);
    }
}


static void
ngx_http_binarize_budget_on_script_end(void *data, ngx_int_t rc,
    redisReply *reply)
{
    ngx_free(data);
}


static void
ngx_http_binarize_budget_name(ngx_http_binarize_budget_t *budget,
    uint64_t member, ngx_str_t *name)
{
    u_char  *p, id[8];

    if (budget->name[0] == '\0') {

        if (RAND_bytes(id, sizeof(id)) != 1) {
            ngx_memcpy(id, &ngx_pid, sizeof(ngx_pid));
        }

        (void) ngx_hex_dump(budget->name, id, sizeof(id));
    }

    p = ngx_sprintf(name->data, "%*s:%uL", sizeof(budget->name), budget->name,
                    member);

    name->len = p - name->data;
}


static void
ngx_http_binarize_budget_number(ngx_str_t *s, u_char *text, uint64_t n)
{
    s->data = text;
    s->len = ngx_sprintf(text, "%uL", n) - text;
}
