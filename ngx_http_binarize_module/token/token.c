
#include "token/call.h"
#include "zone/metrics.h"


/* how often a waiter looks whether the caller still lives */
#define NGX_HTTP_BINARIZE_TOKEN_LOOK_MS    500

/* refusals as far apart as this are not of one series */
#define NGX_HTTP_BINARIZE_TOKEN_FORGET_MS  3600000


static ngx_http_binarize_shm_token_t *ngx_http_binarize_token_slot_locked(
    ngx_http_binarize_zone_t *zone, ngx_http_binarize_token_t *token);
static ngx_int_t ngx_http_binarize_token_claim_locked(
    ngx_http_binarize_token_t *token, ngx_http_binarize_shm_token_t *st,
    ngx_uint_t needed);
static void ngx_http_binarize_token_wait(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_waiter_t *waiter);
static ngx_int_t ngx_http_binarize_token_copy(
    ngx_http_binarize_bearer_t *bearer, u_char *text);
static void ngx_http_binarize_token_on_look(ngx_event_t *ev);
static void ngx_http_binarize_token_on_unit(void *owner);
static void ngx_http_binarize_token_on_pause(void *owner,
    ngx_msec_t pause_ms);
static void ngx_http_binarize_token_release(ngx_http_binarize_token_t *token,
    binarize_problem_e problem, time_t pause_s);


ngx_int_t
ngx_http_binarize_token_get(ngx_http_binarize_token_t *token,
    ngx_http_binarize_bearer_t *bearer,
    ngx_http_binarize_token_waiter_t *waiter,
    binarize_problem_e *problem, time_t *retry_after_s)
{
    ngx_int_t                       rc;
    ngx_uint_t                      call;
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    /* how long it is, is known with the mutex held only */

    static u_char  text[NGX_HTTP_BINARIZE_TOKEN_SIZE];

    *retry_after_s = 0;
    *problem = BINARIZE_PROBLEM_INTERNAL;

    zone = token->shm_zone->data;
    call = 0;
    rc = NGX_OK;

    bearer->text.data = text;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);
    st->used_ms = ngx_current_msec;

    if (ngx_current_msec < st->pause_ms) {
        *problem = BINARIZE_PROBLEM_BUSY;
        *retry_after_s = (st->pause_ms - ngx_current_msec + 999) / 1000;
        rc = NGX_DECLINED;

    } else if (token->file.len) {
        /* read below */

    } else if (st->size && ngx_current_msec < st->expires_ms) {

        bearer->text.len = st->size;
        ngx_memcpy(text, st->text, st->size);
        bearer->generation = st->generation;

        if (ngx_current_msec >= st->refresh_ms) {
            call = (ngx_http_binarize_token_claim_locked(token, st, 0)
                    == NGX_OK);
        }

    } else {
        rc = ngx_http_binarize_token_claim_locked(token, st, 1);
        call = (rc == NGX_OK);

        if (rc != NGX_DECLINED) {
            st->waiters[ngx_process_slot / 64] |=
                                           1ULL << (ngx_process_slot % 64);
            rc = NGX_AGAIN;

        } else {
            *problem = st->problem;
            *retry_after_s = (st->next_try_ms - ngx_current_msec + 999) / 1000;
            rc = NGX_DECLINED;
        }
    }

    ngx_http_binarize_zone_unlock(zone);

    if (token->file.len && rc == NGX_OK) {
        rc = ngx_http_binarize_token_file_get(token, bearer, problem);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_binarize_token_copy(bearer, text);

    } else {
        ngx_str_null(&bearer->text);
    }

    if (call && ngx_http_binarize_token_call_start(token) != NGX_OK) {
        ngx_http_binarize_budget_token_end(token->budget);
        ngx_http_binarize_token_release(token, BINARIZE_PROBLEM_INTERNAL, 1);

        if (rc == NGX_AGAIN) {
            return NGX_DECLINED;
        }
    }

    if (rc == NGX_AGAIN) {
        ngx_http_binarize_token_wait(zone, waiter);
    }

    return rc;
}


static ngx_int_t
ngx_http_binarize_token_copy(ngx_http_binarize_bearer_t *bearer, u_char *text)
{
    size_t  len;

    len = bearer->text.len;

    bearer->text.data = ngx_alloc(len, ngx_cycle->log);

    if (bearer->text.data == NULL) {
        ngx_str_null(&bearer->text);

    } else {
        ngx_memcpy(bearer->text.data, text, len);
    }

    ngx_explicit_memzero(text, len);

    return bearer->text.data ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_binarize_token_drop(ngx_http_binarize_bearer_t *bearer)
{
    if (bearer->text.data == NULL) {
        return;
    }

    ngx_explicit_memzero(bearer->text.data, bearer->text.len);
    ngx_free(bearer->text.data);

    ngx_str_null(&bearer->text);
}


/*
 * The slot of the credentials: theirs, a free one, or the one unused for the
 * longest time, whose credentials are of an older configuration: there are
 * never more in one than slots.
 */

static ngx_http_binarize_shm_token_t *
ngx_http_binarize_token_slot_locked(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_t *token)
{
    ngx_uint_t                      i;
    ngx_http_binarize_shm_token_t  *st, *oldest;

    st = zone->shm_tokens;
    oldest = st;

    for (i = 0; i < zone->shm->ntokens; i++) {

        if (ngx_memcmp(st[i].id, token->id, sizeof(token->id)) == 0) {
            return &st[i];
        }

        if (st[i].used_ms < oldest->used_ms) {
            oldest = &st[i];
        }
    }

    oldest->size = 0;
    ngx_memory_barrier();
    ngx_memzero(oldest, sizeof(*oldest));
    ngx_memcpy(oldest->id, token->id, sizeof(token->id));

    return oldest;
}


/*
 * NGX_OK: the call is ours to make now; NGX_AGAIN: another one is in the air,
 * or has to wait for its turn; NGX_DECLINED: it is not the time for one.
 */

static ngx_int_t
ngx_http_binarize_token_claim_locked(ngx_http_binarize_token_t *token,
    ngx_http_binarize_shm_token_t *st, ngx_uint_t needed)
{
    ngx_http_upstream_conf_t  *uc;

    if (st->caller) {

        if (ngx_current_msec < st->deadline_ms
            && (kill((ngx_pid_t) st->caller, 0) == 0 || ngx_errno != ESRCH))
        {
            return NGX_AGAIN;
        }

        st->caller = 0;
    }

    if (ngx_current_msec < st->next_try_ms) {
        return NGX_DECLINED;
    }

    if (!ngx_http_binarize_budget_token_begin_locked(token->budget, needed)) {
        return NGX_AGAIN;
    }

    uc = &token->conf->upstream;

    st->caller = ngx_pid;
    st->deadline_ms = ngx_current_msec + uc->connect_timeout
                      + uc->send_timeout + 2 * uc->read_timeout;

    return NGX_OK;
}


static void
ngx_http_binarize_token_wait(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_waiter_t *waiter)
{
    ngx_queue_insert_tail(&zone->sleepers, &waiter->sleeper.queue);

    waiter->sleeper.event = &waiter->event;

    waiter->event.handler = ngx_http_binarize_token_on_look;
    waiter->event.data = waiter;
    waiter->event.log = ngx_cycle->log;

    ngx_add_timer(&waiter->event, NGX_HTTP_BINARIZE_TOKEN_LOOK_MS);
}


static void
ngx_http_binarize_token_on_look(ngx_event_t *ev)
{
    ngx_http_binarize_token_waiter_t  *waiter;

    waiter = ev->data;

    ngx_queue_remove(&waiter->sleeper.queue);

    /* woken, or the time has come, or both */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    waiter->handler(waiter->data);
}


void
ngx_http_binarize_token_accepted(ngx_http_binarize_token_t *token,
    uint64_t generation)
{
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    if (token->file.len || token->generation == generation) {
        return;
    }

    /* told once a token and worker */

    token->generation = generation;

    zone = token->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    if (st->generation == generation) {
        st->accepted = 1;
        st->drops = 0;
        st->next_drop_ms = 0;
    }

    ngx_http_binarize_zone_unlock(zone);
}


void
ngx_http_binarize_token_set_budget(ngx_http_binarize_token_t *token,
    ngx_http_binarize_budget_t *budget)
{
    token->budget = budget;

    budget->owner = token;
    budget->on_unit = ngx_http_binarize_token_on_unit;
    budget->on_pause = ngx_http_binarize_token_on_pause;
}


void
ngx_http_binarize_token_pause(ngx_http_binarize_token_t *token,
    time_t pause_s)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "cloud answered 429, its calls pause for %T s", pause_s);

    ngx_http_binarize_token_on_pause(token, (ngx_msec_t) pause_s * 1000);
    ngx_http_binarize_budget_publish_pause(token->budget,
                                           (ngx_msec_t) pause_s * 1000);
}


/* of this node, or as another one says */

static void
ngx_http_binarize_token_on_pause(void *owner, ngx_msec_t pause_ms)
{
    ngx_http_binarize_token_t *token = owner;

    uint64_t                        until_ms;
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;
    until_ms = ngx_current_msec + pause_ms;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);
    st->pause_ms = ngx_max(st->pause_ms, until_ms);

    ngx_http_binarize_zone_unlock(zone);
}


/* wakes all workers that wait for one: a call may be made now */

static void
ngx_http_binarize_token_on_unit(void *owner)
{
    ngx_http_binarize_token_t *token = owner;

    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);
    ngx_memcpy(waiters, st->waiters, sizeof(waiters));

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, waiters);
}


/*
 * A token that has worked is dropped and replaced.  One that never did too,
 * once; if the next one does not work either, the cloud dislikes us and not
 * the token, and tokens are replaced at the pace of refusals.
 */

ngx_int_t
ngx_http_binarize_token_refused(ngx_http_binarize_token_t *token,
    uint64_t generation)
{
    ngx_int_t                       rc;
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    static ngx_msec_t  pace_ms[] = { 0, 5000, 60000, 600000 };

    if (token->file.len) {
        token->checked = 0;
        ngx_http_binarize_token_file_read(token);

        return (token->generation != generation) ? NGX_OK : NGX_DECLINED;
    }

    zone = token->shm_zone->data;
    rc = NGX_OK;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    if (st->generation == generation && st->size) {

        if (st->accepted || ngx_current_msec >= st->next_drop_ms) {

            if (!st->accepted) {
                st->drops++;
                st->next_drop_ms = ngx_current_msec
                                   + pace_ms[ngx_min(st->drops, 3)];
            }

            st->size = 0;

        } else {
            rc = NGX_DECLINED;
        }
    }

    ngx_http_binarize_zone_unlock(zone);

    return rc;
}


/* ends a call that was claimed without a token to show for it */

static void
ngx_http_binarize_token_release(ngx_http_binarize_token_t *token,
    binarize_problem_e problem, time_t pause_s)
{
    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    st->problem = problem;
    st->next_try_ms = ngx_current_msec + (ngx_msec_t) pause_s * 1000;
    st->caller = 0;

    ngx_memcpy(waiters, st->waiters, sizeof(waiters));
    ngx_memzero(st->waiters, sizeof(waiters));

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, waiters);
}


void
ngx_http_binarize_token_store(ngx_http_binarize_token_t *token,
    ngx_str_t *text, time_t expires_s)
{
    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_TOKEN_CALLS
                                       + BINARIZE_PROBLEM_NONE);

    ngx_http_binarize_zone_lock(zone);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    /* a worker that dies in between leaves no token, rather than half of two */

    st->size = 0;
    ngx_memory_barrier();

    ngx_memcpy(st->text, text->data, text->len);
    st->generation++;
    st->accepted = 0;
    st->refresh_ms = ngx_current_msec + (uint64_t) expires_s * 800;
    st->expires_ms = ngx_current_msec + (uint64_t) expires_s * 1000;
    st->used_ms = ngx_current_msec;
    st->next_try_ms = 0;
    st->caller = 0;

    ngx_memcpy(waiters, st->waiters, sizeof(waiters));
    ngx_memzero(st->waiters, sizeof(waiters));

    ngx_memory_barrier();
    st->size = text->len;

    ngx_http_binarize_zone_unlock(zone);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "binarize got a token from \"%V\", valid for %T s",
                  &token->target->url, expires_s);

    ngx_http_binarize_zone_wake(zone, waiters);
}


/*
 * The cloud locks a pair of credentials after five refusals, whatever was in
 * between: the pace after a 400 is slow, and a success does not reset it.
 */

void
ngx_http_binarize_token_failed(ngx_http_binarize_token_t *token,
    ngx_http_binarize_call_t *call)
{
    time_t                          pause_s;
    ngx_http_binarize_zone_t       *zone;
    binarize_problem_e     problem;
    ngx_http_binarize_shm_token_t  *st;

    static time_t  pace_s[] = { 0, 5, 60, 600 };

    zone = token->shm_zone->data;
    problem = call->problem;
    pause_s = 1;

    if (call->stopped) {
        ngx_http_binarize_token_release(token, problem, 0);
        return;
    }

    if (call->status >= 400 && call->status < 500
        && call->status != NGX_HTTP_TOO_MANY_REQUESTS
        && call->status != NGX_HTTP_REQUEST_TIME_OUT)
    {
        problem = BINARIZE_PROBLEM_TOKEN_REFUSED;

        ngx_http_binarize_zone_lock(zone);

        st = ngx_http_binarize_token_slot_locked(zone, token);

        if (ngx_current_msec
            > st->refused_ms + NGX_HTTP_BINARIZE_TOKEN_FORGET_MS)
        {
            st->refusals = 0;
        }

        st->refusals++;
        st->refused_ms = ngx_current_msec;
        pause_s = pace_s[ngx_min(st->refusals, 3)];

        ngx_http_binarize_zone_unlock(zone);

    } else if (call->status == NGX_HTTP_TOO_MANY_REQUESTS
               || call->status == NGX_HTTP_SERVICE_UNAVAILABLE)
    {
        problem = BINARIZE_PROBLEM_BUSY;
        pause_s = 5;

    } else if (call->status && call->status != NGX_HTTP_OK) {
        problem = BINARIZE_PROBLEM_TOKEN_FAILED;
    }

    if (call->retry_after_s > pause_s) {
        pause_s = call->retry_after_s;
    }

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_TOKEN_CALLS
                                       + problem);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "binarize got no token from \"%V\": status %ui%s%s, "
                  "next try in %T s",
                  &token->target->url, call->status,
                  call->reason ? ", " : "", call->reason ? call->reason : "",
                  pause_s);

    ngx_http_binarize_token_release(token, problem, pause_s);
}
