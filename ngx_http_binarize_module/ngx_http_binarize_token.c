
#include "ngx_http_binarize_token.h"
#include "ngx_http_binarize_http.h"
#include "ngx_http_binarize_zone.h"

#include <cjson/cJSON.h>


/* largest answer of the token endpoint */
#define NGX_HTTP_BINARIZE_TOKEN_BODY_SIZE  (16 * 1024)

/* how often a waiter looks whether the caller still lives */
#define NGX_HTTP_BINARIZE_TOKEN_LOOK_MS    500

/* a file is looked at no more often than that */
#define NGX_HTTP_BINARIZE_TOKEN_FILE_MS    1000

/* a token without expires_in, RFC 6749 5.1: seconds */
#define NGX_HTTP_BINARIZE_TOKEN_LIFE_S     3600

/* refusals as far apart as this are not of one series */
#define NGX_HTTP_BINARIZE_TOKEN_FORGET_MS  3600000


typedef struct {
    ngx_http_binarize_token_t  *token;
    ngx_http_binarize_call_t   *call;
    size_t                      size;
    u_char                      body[NGX_HTTP_BINARIZE_TOKEN_BODY_SIZE];
} ngx_http_binarize_token_call_t;


static ngx_int_t ngx_http_binarize_token_get_file(
    ngx_http_binarize_token_t *token, ngx_pool_t *pool,
    ngx_http_binarize_bearer_t *bearer, ngx_http_binarize_problem_e *problem);
static void ngx_http_binarize_token_read_file(
    ngx_http_binarize_token_t *token);
static ngx_int_t ngx_http_binarize_token_load(ngx_file_t *file, off_t size,
    ngx_str_t *text);
static ngx_http_binarize_shm_token_t *ngx_http_binarize_token_slot_locked(
    ngx_http_binarize_zone_t *zone, ngx_http_binarize_token_t *token);
static ngx_uint_t ngx_http_binarize_token_claim_locked(
    ngx_http_binarize_token_t *token, ngx_http_binarize_shm_token_t *st);
static void ngx_http_binarize_token_wait(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_waiter_t *waiter);
static void ngx_http_binarize_token_on_look(ngx_event_t *ev);
static void ngx_http_binarize_token_release(ngx_http_binarize_token_t *token,
    ngx_http_binarize_problem_e problem, time_t pause_s);
static ngx_int_t ngx_http_binarize_token_call(
    ngx_http_binarize_token_t *token);
static ngx_int_t ngx_http_binarize_token_create_request(
    ngx_http_binarize_token_call_t *tc);
static u_char *ngx_http_binarize_token_form_encode(u_char *p, ngx_str_t *s);
static ngx_int_t ngx_http_binarize_token_on_body(
    ngx_http_binarize_call_t *call, u_char *data, size_t size);
static void ngx_http_binarize_token_on_done(ngx_http_binarize_call_t *call);
static const char *ngx_http_binarize_token_parse(
    ngx_http_binarize_token_call_t *tc, ngx_str_t *text, time_t *expires_s);
static ngx_uint_t ngx_http_binarize_token_valid(ngx_str_t *text);
static void ngx_http_binarize_token_store(ngx_http_binarize_token_t *token,
    ngx_str_t *text, time_t expires_s);
static void ngx_http_binarize_token_failed(ngx_http_binarize_token_t *token,
    ngx_http_binarize_call_t *call);


ngx_int_t
ngx_http_binarize_token_get(ngx_http_binarize_token_t *token, ngx_pool_t *pool,
    ngx_http_binarize_bearer_t *bearer,
    ngx_http_binarize_token_waiter_t *waiter,
    ngx_http_binarize_problem_e *problem, time_t *retry_after_s)
{
    ngx_int_t                       rc;
    ngx_uint_t                      call;
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    *retry_after_s = 0;
    *problem = NGX_HTTP_BINARIZE_INTERNAL;

    if (token->file.len) {
        return ngx_http_binarize_token_get_file(token, pool, bearer, problem);
    }

    bearer->text.data = ngx_pnalloc(pool, NGX_HTTP_BINARIZE_TOKEN_SIZE);
    if (bearer->text.data == NULL) {
        return NGX_DECLINED;
    }

    zone = token->shm_zone->data;
    call = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    st = ngx_http_binarize_token_slot_locked(zone, token);
    st->used_ms = ngx_current_msec;

    if (st->size && ngx_current_msec < st->expires_ms) {

        bearer->text.len = st->size;
        ngx_memcpy(bearer->text.data, st->text, st->size);
        bearer->generation = st->generation;

        if (ngx_current_msec >= st->refresh_ms) {
            call = ngx_http_binarize_token_claim_locked(token, st);
        }

        rc = NGX_OK;

    } else {
        call = ngx_http_binarize_token_claim_locked(token, st);

        if (call || st->caller) {
            st->waiters[ngx_process_slot / 64] |=
                                           1ULL << (ngx_process_slot % 64);
            rc = NGX_AGAIN;

        } else {
            *problem = st->problem;
            *retry_after_s = (st->next_try_ms - ngx_current_msec + 999) / 1000;
            rc = NGX_DECLINED;
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (call && ngx_http_binarize_token_call(token) != NGX_OK) {
        ngx_http_binarize_token_release(token, NGX_HTTP_BINARIZE_INTERNAL, 1);

        if (rc == NGX_AGAIN) {
            return NGX_DECLINED;
        }
    }

    if (rc == NGX_AGAIN) {
        ngx_http_binarize_token_wait(zone, waiter);
    }

    return rc;
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

    st = zone->shm->tokens;
    oldest = st;

    for (i = 0; i < NGX_HTTP_BINARIZE_TOKENS; i++) {

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


/* 1 if the call is ours to make now */

static ngx_uint_t
ngx_http_binarize_token_claim_locked(ngx_http_binarize_token_t *token,
    ngx_http_binarize_shm_token_t *st)
{
    ngx_http_upstream_conf_t  *uc;

    if (st->caller) {

        if (ngx_current_msec < st->deadline_ms
            && (kill((ngx_pid_t) st->caller, 0) == 0 || ngx_errno != ESRCH))
        {
            return 0;
        }

        st->caller = 0;
    }

    if (ngx_current_msec < st->next_try_ms) {
        return 0;
    }

    uc = &token->conf->upstream;

    st->caller = ngx_pid;
    st->deadline_ms = ngx_current_msec + uc->connect_timeout
                      + uc->send_timeout + 2 * uc->read_timeout;

    return 1;
}


static void
ngx_http_binarize_token_wait(ngx_http_binarize_zone_t *zone,
    ngx_http_binarize_token_waiter_t *waiter)
{
    ngx_queue_insert_tail(&zone->token_waiters, &waiter->queue);

    waiter->waiting = 1;

    waiter->timer.handler = ngx_http_binarize_token_on_look;
    waiter->timer.data = waiter;
    waiter->timer.log = ngx_cycle->log;

    ngx_add_timer(&waiter->timer, NGX_HTTP_BINARIZE_TOKEN_LOOK_MS);
}


static void
ngx_http_binarize_token_on_look(ngx_event_t *ev)
{
    ngx_http_binarize_token_waiter_t  *waiter;

    waiter = ev->data;

    ngx_queue_remove(&waiter->queue);
    waiter->waiting = 0;

    waiter->handler(waiter->data);
}


void
ngx_http_binarize_token_wake(ngx_http_binarize_zone_t *zone)
{
    ngx_queue_t                       *q, woken;
    ngx_http_binarize_token_waiter_t  *waiter;

    if (ngx_queue_empty(&zone->token_waiters)) {
        return;
    }

    /* a handler may wait again */

    ngx_queue_init(&woken);
    ngx_queue_add(&woken, &zone->token_waiters);
    ngx_queue_init(&zone->token_waiters);

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        waiter = ngx_queue_data(q, ngx_http_binarize_token_waiter_t, queue);

        ngx_queue_remove(q);
        waiter->waiting = 0;

        if (waiter->timer.timer_set) {
            ngx_del_timer(&waiter->timer);
        }

        waiter->handler(waiter->data);
    }
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

    ngx_shmtx_lock(&zone->shpool->mutex);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    if (st->generation == generation) {
        st->accepted = 1;
        st->drops = 0;
        st->next_drop_ms = 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
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
        ngx_http_binarize_token_read_file(token);

        return (token->generation != generation) ? NGX_OK : NGX_DECLINED;
    }

    zone = token->shm_zone->data;
    rc = NGX_OK;

    ngx_shmtx_lock(&zone->shpool->mutex);

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

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


/* ends a call that was claimed without a token to show for it */

static void
ngx_http_binarize_token_release(ngx_http_binarize_token_t *token,
    ngx_http_binarize_problem_e problem, time_t pause_s)
{
    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;

    ngx_shmtx_lock(&zone->shpool->mutex);

    st = ngx_http_binarize_token_slot_locked(zone, token);

    st->problem = problem;
    st->next_try_ms = ngx_current_msec + (ngx_msec_t) pause_s * 1000;
    st->caller = 0;

    ngx_memcpy(waiters, st->waiters, sizeof(waiters));
    ngx_memzero(st->waiters, sizeof(waiters));

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ngx_http_binarize_zone_wake(zone, waiters);
}


static ngx_int_t
ngx_http_binarize_token_call(ngx_http_binarize_token_t *token)
{
    ngx_http_binarize_call_t        *call;
    ngx_http_binarize_token_call_t  *tc;

    call = ngx_http_binarize_call_create(token->conf, token->target);
    if (call == NULL) {
        return NGX_ERROR;
    }

    tc = ngx_palloc(call->job->pool, sizeof(*tc));
    if (tc == NULL) {
        ngx_http_binarize_call_abandon(call);
        return NGX_ERROR;
    }

    tc->token = token;
    tc->call = call;
    tc->size = 0;

    call->post = 1;
    call->ssl_name = token->target->host;
    call->body = ngx_http_binarize_token_on_body;
    call->done = ngx_http_binarize_token_on_done;
    call->data = tc;

    ngx_str_set(&call->job->subject, "token");

    if (ngx_http_binarize_token_create_request(tc) != NGX_OK) {
        ngx_http_binarize_call_abandon(call);
        return NGX_ERROR;
    }

    return ngx_http_binarize_call_start(call);
}


/* RFC 6749 4.4.2, credentials in the body (2.3.1) */

static ngx_int_t
ngx_http_binarize_token_create_request(ngx_http_binarize_token_call_t *tc)
{
    u_char                      *p;
    size_t                       size, body_size;
    ngx_str_t                    body;
    ngx_http_binarize_call_t    *call;
    ngx_http_binarize_token_t   *token;
    ngx_http_binarize_target_t  *target;

    static ngx_str_t  grant = ngx_string("grant_type=client_credentials"
                                         "&client_id=");
    static ngx_str_t  secret = ngx_string("&client_secret=");

    token = tc->token;
    call = tc->call;
    target = token->target;

    body.data = ngx_pnalloc(call->job->pool,
                            grant.len + secret.len
                            + 3 * (token->client_id.len
                                   + token->client_secret.len));
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(body.data, grant.data, grant.len);
    p = ngx_http_binarize_token_form_encode(p, &token->client_id);
    p = ngx_cpymem(p, secret.data, secret.len);
    p = ngx_http_binarize_token_form_encode(p, &token->client_secret);

    body_size = p - body.data;
    body.len = body_size;

    size = sizeof("POST  HTTP/1.1" CRLF "Host: " CRLF
                  "Content-Type: application/x-www-form-urlencoded" CRLF
                  "Content-Length: " CRLF
                  "Accept: application/json" CRLF
                  "Connection: close" CRLF CRLF)
           + target->uri.len + target->authority.len + NGX_OFF_T_LEN
           + body_size;

    p = ngx_pnalloc(call->job->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->request.data = p;

    p = ngx_sprintf(p, "POST %V HTTP/1.1" CRLF
                    "Host: %V" CRLF
                    "Content-Type: application/x-www-form-urlencoded" CRLF
                    "Content-Length: %uz" CRLF
                    "Accept: application/json" CRLF
                    "Connection: close" CRLF CRLF
                    "%V",
                    &target->uri, &target->authority, body_size, &body);

    call->request.len = p - call->request.data;

    return NGX_OK;
}


/* application/x-www-form-urlencoded, as RFC 6749 appendix B has it */

static u_char *
ngx_http_binarize_token_form_encode(u_char *p, ngx_str_t *s)
{
    u_char      c;
    ngx_uint_t  i;

    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < s->len; i++) {
        c = s->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '*')
        {
            *p++ = c;

        } else if (c == ' ') {
            *p++ = '+';

        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];
        }
    }

    return p;
}


static ngx_int_t
ngx_http_binarize_token_on_body(ngx_http_binarize_call_t *call, u_char *data,
    size_t size)
{
    ngx_http_binarize_token_call_t  *tc;

    tc = call->data;

    if (size > sizeof(tc->body) - tc->size) {
        call->problem = NGX_HTTP_BINARIZE_TOKEN_FAILED;
        call->reason = "too large";
        return NGX_ERROR;
    }

    ngx_memcpy(tc->body + tc->size, data, size);
    tc->size += size;

    return NGX_OK;
}


static void
ngx_http_binarize_token_on_done(ngx_http_binarize_call_t *call)
{
    time_t                           expires_s;
    ngx_str_t                        text;
    ngx_http_binarize_token_t       *token;
    ngx_http_binarize_zone_t        *zone;
    ngx_http_binarize_token_call_t  *tc;

    tc = call->data;
    token = tc->token;
    zone = token->shm_zone->data;

    if (call->problem == NGX_HTTP_BINARIZE_OK && call->status == NGX_HTTP_OK) {
        call->reason = ngx_http_binarize_token_parse(tc, &text, &expires_s);

        if (call->reason == NULL) {
            ngx_http_binarize_token_store(token, &text, expires_s);
            ngx_explicit_memzero(text.data, text.len);

        } else {
            call->problem = NGX_HTTP_BINARIZE_TOKEN_FAILED;
            ngx_http_binarize_token_failed(token, call);
        }

    } else {
        ngx_http_binarize_token_failed(token, call);
    }

    ngx_explicit_memzero(tc->body, tc->size);
    ngx_explicit_memzero(call->request.data, call->request.len);

    ngx_http_binarize_token_wake(zone);
}


/* RFC 6749 5.1; NULL, or what is wrong with the answer */

static const char *
ngx_http_binarize_token_parse(ngx_http_binarize_token_call_t *tc,
    ngx_str_t *text, time_t *expires_s)
{
    size_t       size;
    cJSON       *json, *item;
    u_char      *body;
    const char  *reason;

    body = tc->body;
    size = tc->size;

    if (size >= 3 && ngx_memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        body += 3;
        size -= 3;
    }

    json = cJSON_ParseWithLength((char *) body, size);
    if (json == NULL) {
        return "not JSON";
    }

    reason = NULL;

    item = cJSON_GetObjectItemCaseSensitive(json, "token_type");

    if (item && (!cJSON_IsString(item)
                 || ngx_strcasecmp((u_char *) item->valuestring,
                                   (u_char *) "bearer")
                    != 0))
    {
        reason = "token_type is not Bearer";
        goto done;
    }

    *expires_s = NGX_HTTP_BINARIZE_TOKEN_LIFE_S;

    item = cJSON_GetObjectItemCaseSensitive(json, "expires_in");

    if (item && !cJSON_IsNull(item)) {

        if (cJSON_IsString(item)) {
            *expires_s = ngx_atotm((u_char *) item->valuestring,
                                   ngx_strlen(item->valuestring));

        } else if (cJSON_IsNumber(item) && item->valuedouble >= 0) {
            *expires_s = (time_t) ngx_min(item->valuedouble, 31536000.0);

        } else {
            *expires_s = -1;
        }

        if (*expires_s <= 0) {
            reason = "expires_in is not a positive number";
            goto done;
        }

        *expires_s = ngx_min(*expires_s, 31536000);
    }

    item = cJSON_GetObjectItemCaseSensitive(json, "access_token");

    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        reason = "no access_token";
        goto done;
    }

    text->data = (u_char *) item->valuestring;
    text->len = ngx_strlen(item->valuestring);

    if (text->len > NGX_HTTP_BINARIZE_TOKEN_SIZE) {
        reason = "access_token is too long";
        goto wipe;
    }

    if (!ngx_http_binarize_token_valid(text)) {
        reason = "access_token has a character no token has";
        goto wipe;
    }

    text->data = ngx_pnalloc(tc->call->job->pool, text->len);
    if (text->data == NULL) {
        reason = "no memory";
        goto wipe;
    }

    ngx_memcpy(text->data, item->valuestring, text->len);

wipe:

    ngx_explicit_memzero(item->valuestring, ngx_strlen(item->valuestring));

done:

    cJSON_Delete(json);

    return reason;
}


/* the b64token of RFC 6750 2.1: nothing that could end a header line */

static ngx_uint_t
ngx_http_binarize_token_valid(ngx_str_t *text)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c <= ' ' || c >= 0x7f) {
            return 0;
        }
    }

    return text->len != 0;
}


static void
ngx_http_binarize_token_store(ngx_http_binarize_token_t *token,
    ngx_str_t *text, time_t expires_s)
{
    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_shm_token_t  *st;

    zone = token->shm_zone->data;

    ngx_shmtx_lock(&zone->shpool->mutex);

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

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "binarize got a token from \"%V\", valid for %T s",
                  &token->target->url, expires_s);

    ngx_http_binarize_zone_wake(zone, waiters);
}


/*
 * The cloud locks a pair of credentials after five refusals, whatever was in
 * between: the pace after a 400 is slow, and a success does not reset it.
 */

static void
ngx_http_binarize_token_failed(ngx_http_binarize_token_t *token,
    ngx_http_binarize_call_t *call)
{
    time_t                          pause_s;
    ngx_http_binarize_zone_t       *zone;
    ngx_http_binarize_problem_e     problem;
    ngx_http_binarize_shm_token_t  *st;

    static time_t  pace_s[] = { 0, 5, 60, 600 };

    zone = token->shm_zone->data;
    problem = call->problem;
    pause_s = 1;

    if (call->status >= 400 && call->status < 500
        && call->status != NGX_HTTP_TOO_MANY_REQUESTS
        && call->status != NGX_HTTP_REQUEST_TIME_OUT)
    {
        problem = NGX_HTTP_BINARIZE_TOKEN_REFUSED;

        ngx_shmtx_lock(&zone->shpool->mutex);

        st = ngx_http_binarize_token_slot_locked(zone, token);

        if (st->refusals && ngx_current_msec - st->refused_ms
                            > NGX_HTTP_BINARIZE_TOKEN_FORGET_MS)
        {
            st->refusals = 0;
        }

        st->refusals++;
        st->refused_ms = ngx_current_msec;
        pause_s = pace_s[ngx_min(st->refusals, 3)];

        ngx_shmtx_unlock(&zone->shpool->mutex);

    } else if (call->status == NGX_HTTP_TOO_MANY_REQUESTS
               || call->status == NGX_HTTP_SERVICE_UNAVAILABLE)
    {
        problem = NGX_HTTP_BINARIZE_BUSY;
        pause_s = 5;

    } else if (call->status && call->status != NGX_HTTP_OK) {
        problem = NGX_HTTP_BINARIZE_TOKEN_FAILED;
    }

    if (call->retry_after_s > pause_s) {
        pause_s = call->retry_after_s;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "binarize got no token from \"%V\": status %ui%s%s, "
                  "next try in %T s",
                  &token->target->url, call->status,
                  call->reason ? ", " : "", call->reason ? call->reason : "",
                  pause_s);

    ngx_http_binarize_token_release(token, problem, pause_s);
}


static ngx_int_t
ngx_http_binarize_token_get_file(ngx_http_binarize_token_t *token,
    ngx_pool_t *pool, ngx_http_binarize_bearer_t *bearer,
    ngx_http_binarize_problem_e *problem)
{
    ngx_http_binarize_token_read_file(token);

    if (token->text.len == 0) {
        *problem = NGX_HTTP_BINARIZE_TOKEN_FAILED;
        return NGX_DECLINED;
    }

    bearer->generation = token->generation;
    bearer->text.len = token->text.len;
    bearer->text.data = ngx_pstrdup(pool, &token->text);

    return bearer->text.data ? NGX_OK : NGX_DECLINED;
}


/*
 * Reads the file again, once a second: its time and size need not tell that
 * it has changed.  A bad one leaves the old token.
 */

static void
ngx_http_binarize_token_read_file(ngx_http_binarize_token_t *token)
{
    ngx_err_t        err;
    ngx_str_t        text;
    ngx_file_t       file;
    const char      *what;
    ngx_file_info_t  fi;

    if (token->checked
        && ngx_current_msec - token->checked_ms
           < NGX_HTTP_BINARIZE_TOKEN_FILE_MS)
    {
        return;
    }

    token->checked = 1;
    token->checked_ms = ngx_current_msec;

    ngx_memzero(&file, sizeof(ngx_file_t));
    ngx_memzero(&fi, sizeof(fi));

    file.name = token->file;
    file.log = ngx_cycle->log;

    file.fd = ngx_open_file(token->file.data, NGX_FILE_RDONLY, NGX_FILE_OPEN,
                            0);
    if (file.fd == NGX_INVALID_FILE) {
        err = ngx_errno;
        what = "open() failed";
        goto failed;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;
        what = "fstat() failed";
        goto close;
    }

    err = 0;

    if (ngx_http_binarize_token_load(&file, ngx_file_size(&fi), &text)
        != NGX_OK)
    {
        what = "it does not hold one token";
        goto close;
    }

    ngx_close_file(file.fd);

    if (text.len != token->text.len
        || ngx_memcmp(text.data, token->text.data, text.len) != 0)
    {
        token->generation++;
    }

    if (token->text.data) {
        ngx_explicit_memzero(token->text.data, token->text.len);
        ngx_free(token->text.data);
    }

    token->text = text;

    if (token->failed) {
        token->failed = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "binarize_bearer_file \"%V\" is readable again",
                      &token->file);
    }

    return;

close:

    ngx_close_file(file.fd);

failed:

    if (!token->failed) {
        token->failed = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                      "binarize_bearer_file \"%V\" can not be used%s: %s",
                      &token->file,
                      token->text.len ? ", the token read before is kept" : "",
                      what);
    }
}


static ngx_int_t
ngx_http_binarize_token_load(ngx_file_t *file, off_t size, ngx_str_t *text)
{
    ssize_t  n;

    if (size <= 0 || size > NGX_HTTP_BINARIZE_TOKEN_SIZE) {
        return NGX_ERROR;
    }

    text->data = ngx_alloc(size, file->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, text->data, size, 0);

    while (n > 0 && (text->data[n - 1] == LF || text->data[n - 1] == CR
                     || text->data[n - 1] == ' ' || text->data[n - 1] == '\t'))
    {
        n--;
    }

    text->len = n > 0 ? n : 0;

    if (!ngx_http_binarize_token_valid(text)) {
        ngx_explicit_memzero(text->data, size);
        ngx_free(text->data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_token_read_secret(ngx_conf_t *cf, const char *directive,
    ngx_str_t *name, ngx_str_t *secret)
{
    size_t      size;
    ssize_t     n;
    u_char      buf[NGX_HTTP_BINARIZE_TOKEN_SIZE];
    ngx_int_t   rc;
    ngx_file_t  file;

    rc = NGX_ERROR;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: " ngx_open_file_n " \"%V\" failed",
                           directive, name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(file.fd, buf, sizeof(buf));

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: " ngx_read_fd_n " \"%V\" failed",
                           directive, name);
        goto done;
    }

    if (n == (ssize_t) sizeof(buf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: file \"%V\" is too large", directive, name);
        goto done;
    }

    size = n;

    while (size && (buf[size - 1] == LF || buf[size - 1] == CR
                    || buf[size - 1] == ' ' || buf[size - 1] == '\t'))
    {
        size--;
    }

    if (size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: file \"%V\" is empty", directive, name);
        goto done;
    }

    secret->len = size;
    secret->data = ngx_pnalloc(cf->pool, size);

    if (secret->data) {
        ngx_memcpy(secret->data, buf, size);
        rc = NGX_OK;
    }

done:

    ngx_explicit_memzero(buf, sizeof(buf));
    ngx_close_file(file.fd);

    return rc;
}
