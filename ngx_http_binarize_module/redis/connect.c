
#include "redis/private.h"


#define NGX_HTTP_BINARIZE_REDIS_BACKOFF_MIN    100
#define NGX_HTTP_BINARIZE_REDIS_BACKOFF_MAX    5000

/* a connection that lived so long has proved that Redis is fine */
#define NGX_HTTP_BINARIZE_REDIS_PROOF          1000


static ngx_int_t ngx_http_binarize_redis_handshake(
    ngx_http_binarize_redis_t *redis);
static ngx_int_t ngx_http_binarize_redis_handshake_command(
    ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_handler_pt handler, ngx_uint_t argc,
    ngx_str_t *args);
static void ngx_http_binarize_redis_on_connected(void *data);
static void ngx_http_binarize_redis_on_auth(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_redis_on_select(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_redis_on_ping(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_redis_on_closed(void *data, const char *reason);
static void ngx_http_binarize_redis_failed(ngx_http_binarize_redis_t *redis,
    const char *reason);


static const ngx_http_binarize_redis_events_t  ngx_http_binarize_redis_events =
{
    ngx_http_binarize_redis_on_connected,
    ngx_http_binarize_redis_on_reply,
    NULL,
    ngx_http_binarize_redis_on_closed
};


static const ngx_http_binarize_redis_events_t
    ngx_http_binarize_redis_listener_events =
{
    ngx_http_binarize_redis_on_connected,
    ngx_http_binarize_redis_on_reply,
    ngx_http_binarize_redis_on_message,
    ngx_http_binarize_redis_on_closed
};


void
ngx_http_binarize_redis_connect(ngx_http_binarize_redis_t *redis)
{
    const char                         *reason;
    ngx_http_binarize_redis_address_t  *address;

    address = &redis->conf.addresses[redis->address % redis->conf.naddresses];

    redis->connected = 0;
    redis->ready = 0;
    redis->broken = 0;

    redis->stats.connects++;
    ngx_http_binarize_redis_notify(redis);

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    redis->adapter = ngx_http_binarize_redis_adapter_connect(address,
                                  redis->conf.tls,
                                  redis->listener
                                  ? &ngx_http_binarize_redis_listener_events
                                  : &ngx_http_binarize_redis_events,
                                  redis, &redis->stats, redis->log, &reason);
    if (redis->adapter == NULL) {
        ngx_http_binarize_redis_failed(redis, reason);
        return;
    }

    redis->timer.cancelable = 1;
    ngx_add_timer(&redis->timer, redis->conf.connect_timeout_ms);

    /* if it fails the adapter is about to close */

    (void) ngx_http_binarize_redis_handshake(redis);
}


static ngx_int_t
ngx_http_binarize_redis_handshake(ngx_http_binarize_redis_t *redis)
{
    u_char      db[NGX_INT_T_LEN];
    ngx_int_t   rc;
    ngx_str_t   args[3];
    ngx_uint_t  n;

    redis->nhandshake = 0;
    rc = NGX_OK;

    if (redis->conf.password.len) {
        n = 0;
        ngx_str_set(&args[n], "AUTH");
        n++;

        if (redis->conf.user.len) {
            args[n++] = redis->conf.user;
        }

        args[n++] = redis->conf.password;

        rc = ngx_http_binarize_redis_handshake_command(redis,
                                  ngx_http_binarize_redis_on_auth, n, args);
    }

    if (rc == NGX_OK && redis->conf.db) {
        ngx_str_set(&args[0], "SELECT");
        args[1].data = db;
        args[1].len = ngx_sprintf(db, "%ui", redis->conf.db) - db;

        rc = ngx_http_binarize_redis_handshake_command(redis,
                                  ngx_http_binarize_redis_on_select, 2, args);
    }

    if (rc == NGX_OK) {
        ngx_str_set(&args[0], "CLIENT");
        ngx_str_set(&args[1], "SETNAME");
        ngx_str_set(&args[2], "binarize");

        /* for the operator's eyes only: whether it is allowed is not asked */

        rc = ngx_http_binarize_redis_handshake_command(redis, NULL, 3, args);
    }

    if (rc == NGX_OK) {
        ngx_str_set(&args[0], "PING");

        rc = ngx_http_binarize_redis_handshake_command(redis,
                                    ngx_http_binarize_redis_on_ping, 1, args);
    }

    return rc;
}


static ngx_int_t
ngx_http_binarize_redis_handshake_command(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_handler_pt handler, ngx_uint_t argc,
    ngx_str_t *args)
{
    size_t                           argvlen[3];
    ngx_uint_t                       i;
    const char                      *argv[3];
    ngx_http_binarize_redis_call_t  *call;

    for (i = 0; i < argc; i++) {
        argv[i] = (char *) args[i].data;
        argvlen[i] = args[i].len;
    }

    call = &redis->handshake[redis->nhandshake];

    ngx_memzero(call, sizeof(ngx_http_binarize_redis_call_t));

    call->handler = handler;
    call->data = redis;
    if (ngx_http_binarize_redis_adapter_command(redis->adapter, call, argc,
                                                argv, argvlen, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    redis->nhandshake++;
    ngx_http_binarize_redis_line_up(redis, call);

    return NGX_OK;
}


static void
ngx_http_binarize_redis_on_connected(void *data)
{
    ngx_http_binarize_redis_t *redis = data;

    redis->connected = 1;

    /* the handshake has to be answered */

    ngx_add_timer(&redis->timer, redis->conf.timeout_ms);
}


static void
ngx_http_binarize_redis_on_auth(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    u_char  word[NGX_HTTP_BINARIZE_REDIS_WORD], reason[64];

    if (rc != NGX_DECLINED) {
        return;
    }

    /* a Redis that does not know AUTH may repeat its arguments: no text */

    ngx_http_binarize_redis_error_word(reply, word);

    (void) ngx_snprintf(reason, sizeof(reason) - 1, "AUTH was refused: %s%Z",
                        word);

    ngx_http_binarize_redis_adapter_close(redis->adapter, (char *) reason);
}


static void
ngx_http_binarize_redis_on_select(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    u_char  text[100], reason[128];

    if (rc != NGX_DECLINED) {
        return;
    }

    ngx_http_binarize_redis_error_text(reply, text, sizeof(text));

    (void) ngx_snprintf(reason, sizeof(reason) - 1, "SELECT was refused: %s%Z",
                        text);

    ngx_http_binarize_redis_adapter_close(redis->adapter, (char *) reason);
}


static void
ngx_http_binarize_redis_on_ping(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    (void) reply;

    if (rc == NGX_ERROR || rc == NGX_ABORT) {
        return;
    }

    redis->ready = 1;
    redis->failing = 0;
    redis->naddresses = 0;
    redis->ready_at = ngx_current_msec;

    ngx_http_binarize_redis_send(redis);

    if (redis->listener) {
        ngx_http_binarize_redis_subscription_start(redis->subscription);
        return;
    }

    ngx_http_binarize_redis_recovered(redis);

    /* may have been moved elsewhere */

    if (ngx_strcmp(redis->refusals[NGX_HTTP_BINARIZE_REDIS_READ].word, "MOVED")
        == 0)
    {
        redis->refusals[NGX_HTTP_BINARIZE_REDIS_READ].word[0] = '\0';
    }

    ngx_http_binarize_redis_notify(redis);
}


static void
ngx_http_binarize_redis_on_closed(void *data, const char *reason)
{
    ngx_http_binarize_redis_t *redis = data;

    ngx_uint_t  clean, proved;

    proved = redis->ready
             && ngx_current_msec - redis->ready_at
                >= NGX_HTTP_BINARIZE_REDIS_PROOF;

    clean = proved && !redis->timedout && !redis->broken;

    redis->adapter = NULL;
    redis->connected = 0;
    redis->ready = 0;

    redis->unsent = NULL;
    redis->nreads = 0;
    redis->expected = 0;

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (proved) {
        redis->backoff_ms = 0;
    }

    if (redis->exiting) {
        return;
    }

    if (!clean) {
        ngx_http_binarize_redis_failed(redis, reason);
        return;
    }

    /* idle for long, or a restart: the next try is worth waiting for */

    ngx_log_error(NGX_LOG_INFO, redis->log, 0,
                  "redis \"%V\": %s, reconnecting", &redis->conf.name, reason);

    if (!ngx_exiting) {
        ngx_add_timer(&redis->retry, 1);
    }
}


void
ngx_http_binarize_redis_recovered(ngx_http_binarize_redis_t *redis)
{
    if (!redis->down) {
        return;
    }

    redis->down = 0;

    ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                  "redis \"%V\" is usable again", &redis->conf.name);
}


/* the calls in the air get their NULL replies after this */


static void
ngx_http_binarize_redis_failed(ngx_http_binarize_redis_t *redis,
    const char *reason)
{
    ngx_uint_t  level;
    ngx_msec_t  delay;

    redis->stats.failures++;
    redis->address++;

    if (!redis->down && !redis->timedout && !ngx_exiting
        && ++redis->naddresses < redis->conf.naddresses)
    {
        /* as "localhost", which may be ::1 first: the next one at once */

        ngx_log_error(NGX_LOG_INFO, redis->log, 0,
                      "redis \"%V\": %s, trying the next address",
                      &redis->conf.name, reason);

        ngx_add_timer(&redis->retry, 1);
        return;
    }

    redis->failing = 1;
    redis->naddresses = 0;

    /* many addresses fail in many ways: once is enough */

    level = redis->down ? NGX_LOG_INFO
                        : redis->listener ? NGX_LOG_WARN : NGX_LOG_ERR;
    redis->down = 1;

    ngx_http_binarize_redis_notify(redis);

    ngx_log_error(level, redis->log, 0, "redis \"%V\" is not usable: %s",
                  &redis->conf.name, reason);

    if (ngx_exiting) {
        return;
    }

    redis->backoff_ms = ngx_min(redis->backoff_ms * 2,
                                NGX_HTTP_BINARIZE_REDIS_BACKOFF_MAX);
    redis->backoff_ms = ngx_max(redis->backoff_ms,
                                NGX_HTTP_BINARIZE_REDIS_BACKOFF_MIN);

    /* workers do not come back all at once */

    delay = redis->backoff_ms * 3 / 4
            + (ngx_msec_t) ngx_random() % (redis->backoff_ms / 2);

    ngx_add_timer(&redis->retry, delay);
}


void
ngx_http_binarize_redis_on_retry(ngx_event_t *ev)
{
    ngx_connection_t           *ident;
    ngx_http_binarize_redis_t  *redis;

    ident = ev->data;
    redis = ident->data;

    if (ngx_exiting || redis->adapter) {
        return;
    }

    ngx_http_binarize_redis_connect(redis);
}
