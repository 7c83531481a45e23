
#include "token/call.h"
#include "zone/metrics.h"


/* how often a waiter looks whether the caller still lives */
#define NGX_HTTP_BINARIZE_TOKEN_LOOK_MS    500


static ngx_http_binarize_shm_credential_t *ngx_http_binarize_token_lock(
    ngx_http_binarize_token_t *token);
static uint64_t ngx_http_binarize_token_claim_locked(
    ngx_http_binarize_token_t *token, ngx_http_binarize_shm_credential_t *sc,
    ngx_uint_t needed);
static void ngx_http_binarize_token_wait(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_waiter_t *waiter);
static ngx_int_t ngx_http_binarize_token_copy(
    ngx_http_binarize_bearer_t *bearer, u_char *text);
static void ngx_http_binarize_token_on_look(ngx_event_t *ev);
static void ngx_http_binarize_token_on_unit(void *owner);
static void ngx_http_binarize_token_on_pause(void *owner,
    ngx_msec_t pause_ms);
static void ngx_http_binarize_token_unlock_and_wake(
    ngx_http_binarize_token_t *token, ngx_http_binarize_shm_credential_t *sc);


ngx_int_t
ngx_http_binarize_token_get(ngx_http_binarize_token_t *token,
    ngx_http_binarize_bearer_t *bearer,
    ngx_http_binarize_token_waiter_t *waiter,
    binarize_problem_e *problem, time_t *retry_after_s)
{
    uint64_t                             number;
    ngx_int_t                            rc;
    binarize_token_none_t                none;
    binarize_token_verdict_e             verdict;
    ngx_http_binarize_zone_t            *zone;
    ngx_http_binarize_shm_credential_t  *sc;

    /* how long it is, is known with the mutex held only */

    static u_char  text[NGX_HTTP_BINARIZE_TOKEN_SIZE];

    *retry_after_s = 0;
    *problem = BINARIZE_PROBLEM_INTERNAL;

    zone = token->shm_zone->data;
    number = 0;
    rc = NGX_OK;

    bearer->text.data = text;

    sc = ngx_http_binarize_token_lock(token);

    verdict = binarize_token_look(&sc->token, zone->shm->processes,
                                  ngx_current_msec, &none);

    if (verdict == BINARIZE_TOKEN_NONE) {
        *problem = none.problem;
        *retry_after_s = (none.until_ms - ngx_current_msec + 999) / 1000;
        rc = NGX_DECLINED;

    } else if (token->file.len) {
        /* read below */

    } else if (verdict <= BINARIZE_TOKEN_RENEW) {

        bearer->text.len = sc->size;
        ngx_memcpy(text, sc->text, sc->size);
        bearer->generation = sc->token.generation;

        if (verdict == BINARIZE_TOKEN_RENEW) {
            number = ngx_http_binarize_token_claim_locked(token, sc, 0);
        }

    } else {
        sc->waiters[ngx_process_slot / 64] |= 1ULL << (ngx_process_slot % 64);
        rc = NGX_AGAIN;

        if (verdict == BINARIZE_TOKEN_CALL) {
            number = ngx_http_binarize_token_claim_locked(token, sc, 1);
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

    if (number && ngx_http_binarize_token_call_start(token, number) != NGX_OK)
    {
        ngx_http_binarize_budget_token_end(token->budget);

        sc = ngx_http_binarize_token_lock(token);
        (void) binarize_token_failed(&sc->token, number, 0, problem, 0,
                                     ngx_current_msec);

        ngx_http_binarize_token_unlock_and_wake(token, sc);

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


static ngx_http_binarize_shm_credential_t *
ngx_http_binarize_token_lock(ngx_http_binarize_token_t *token)
{
    ngx_http_binarize_zone_lock(token->shm_zone->data);

    return ngx_http_binarize_zone_credential_locked(token->shm_zone->data,
                                                    token->id);
}


/* the number of the call, which is ours to make now; 0: it has no turn */

static uint64_t
ngx_http_binarize_token_claim_locked(ngx_http_binarize_token_t *token,
    ngx_http_binarize_shm_credential_t *sc, ngx_uint_t needed)
{
    ngx_http_binarize_zone_t  *zone;
    ngx_http_upstream_conf_t  *uc;

    if (!ngx_http_binarize_budget_token_begin_locked(token->budget, needed)) {
        return 0;
    }

    zone = token->shm_zone->data;
    uc = &token->conf->upstream;

    return binarize_token_called(&sc->token, ngx_process_slot,
                                 ngx_http_binarize_zone_epoch_locked(zone),
                                 ngx_current_msec + uc->connect_timeout
                                 + uc->send_timeout + 2 * uc->read_timeout);
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
    ngx_http_binarize_shm_credential_t  *sc;

    if (token->file.len || token->generation == generation) {
        return;
    }

    /* told once a token and worker */

    token->generation = generation;

    sc = ngx_http_binarize_token_lock(token);

    binarize_token_accepted(&sc->token, generation);
    ngx_http_binarize_zone_unlock(token->shm_zone->data);
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

    ngx_http_binarize_shm_credential_t  *sc;

    sc = ngx_http_binarize_token_lock(token);
    binarize_token_paused(&sc->token, ngx_current_msec + pause_ms);
    ngx_http_binarize_zone_unlock(token->shm_zone->data);
}


/* wakes all workers that wait for one: a call may be made now */

static void
ngx_http_binarize_token_on_unit(void *owner)
{
    ngx_http_binarize_token_t *token = owner;

    ngx_http_binarize_token_unlock_and_wake(token,
                                         ngx_http_binarize_token_lock(token));
}


ngx_int_t
ngx_http_binarize_token_refused(ngx_http_binarize_token_t *token,
    uint64_t generation)
{
    int                                  rc;
    ngx_http_binarize_shm_credential_t  *sc;

    if (token->file.len) {
        token->checked = 0;
        ngx_http_binarize_token_file_read(token);

        return (token->generation != generation) ? NGX_OK : NGX_DECLINED;
    }

    sc = ngx_http_binarize_token_lock(token);
    rc = binarize_token_refused(&sc->token, generation, ngx_current_msec);
    ngx_http_binarize_zone_unlock(token->shm_zone->data);

    return (rc == BINARIZE_OK) ? NGX_OK : NGX_DECLINED;
}


/* who is woken looks, and waits again where it has to */

static void
ngx_http_binarize_token_unlock_and_wake(ngx_http_binarize_token_t *token,
    ngx_http_binarize_shm_credential_t *sc)
{
    uint64_t  waiters[NGX_HTTP_BINARIZE_SLOTS / 64];

    ngx_memcpy(waiters, sc->waiters, sizeof(waiters));
    ngx_memzero(sc->waiters, sizeof(waiters));

    ngx_http_binarize_zone_unlock(token->shm_zone->data);

    ngx_http_binarize_zone_wake(token->shm_zone->data, waiters);
}


void
ngx_http_binarize_token_store(ngx_http_binarize_token_t *token,
    uint64_t number, ngx_str_t *text, time_t expires_s)
{
    ngx_http_binarize_zone_t            *zone;
    ngx_http_binarize_shm_credential_t  *sc;

    zone = token->shm_zone->data;

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_TOKEN_CALLS
                                       + BINARIZE_PROBLEM_NONE);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "binarize got a token from \"%V\", valid for %T s",
                  &token->target->url, expires_s);

    sc = ngx_http_binarize_token_lock(token);

    /* a worker that dies in between leaves no token, rather than half of two */

    if (binarize_token_answered(&sc->token, number, ngx_current_msec)
        == BINARIZE_OK)
    {
        ngx_memcpy(sc->text, text->data, text->len);
        sc->size = text->len;

        binarize_token_stored(&sc->token, expires_s, ngx_current_msec);
    }

    ngx_http_binarize_token_unlock_and_wake(token, sc);
}


void
ngx_http_binarize_token_failed(ngx_http_binarize_token_t *token,
    uint64_t number, ngx_http_binarize_call_t *call)
{
    uint64_t                             delay_s;
    binarize_problem_e                   problem;
    ngx_http_binarize_zone_t            *zone;
    ngx_http_binarize_shm_credential_t  *sc;

    zone = token->shm_zone->data;
    problem = call->problem;
    delay_s = 0;

    sc = ngx_http_binarize_token_lock(token);

    if (call->end == BINARIZE_END_STOPPED) {
        binarize_token_stopped(&sc->token, number);

    } else {
        delay_s = binarize_token_failed(&sc->token, number, call->status,
                                        &problem, call->retry_after_s,
                                        ngx_current_msec);
    }

    ngx_http_binarize_token_unlock_and_wake(token, sc);

    if (call->end == BINARIZE_END_STOPPED) {
        return;
    }

    ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_TOKEN_CALLS
                                       + problem);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "binarize got no token from \"%V\": status %ui%s%s, "
                  "next try in %uL s",
                  &token->target->url, call->status,
                  call->reason ? ", " : "", call->reason ? call->reason : "",
                  delay_s);
}
