
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_http_binarize_redis.h"
#include "ngx_http_binarize_redis_adapter.h"
#include "ngx_http_binarize_redis_conf.h"


#define NGX_HTTP_BINARIZE_REDIS_BACKOFF_MIN    100
#define NGX_HTTP_BINARIZE_REDIS_BACKOFF_MAX    5000

/* of writes after Redis refused one */
#define NGX_HTTP_BINARIZE_REDIS_REFUSAL_MIN    1000
#define NGX_HTTP_BINARIZE_REDIS_REFUSAL_MAX    30000

/* a connection that lived so long has proved that Redis is fine */
#define NGX_HTTP_BINARIZE_REDIS_PROOF          1000

/* an answer that trickles in may take so many time-outs */
#define NGX_HTTP_BINARIZE_REDIS_PATIENCE       20

/* while more is to be sent, Redis is not usable */
#define NGX_HTTP_BINARIZE_REDIS_QUEUED_MAX     (64 * 1024 * 1024)


typedef struct {
    u_char                                word[16];    /* empty: none */
    ngx_msec_t                            backoff_ms;
    ngx_msec_t                            retry_at;
} ngx_http_binarize_redis_refusal_t;


struct ngx_http_binarize_redis_s {
    ngx_http_binarize_redis_conf_t        conf;

    /* this worker's */

    ngx_http_binarize_redis_stats_t       stats;
    ngx_http_binarize_redis_adapter_t    *adapter;     /* NULL: none */
    ngx_uint_t                            address;     /* the next to try */
    ngx_msec_t                            ready_at;
    ngx_msec_t                            backoff_ms;

    ngx_queue_t                           calls;       /* in their order */
    ngx_uint_t                            nwaiting;    /* not of our own */
    ngx_http_binarize_redis_call_t        handshake[4];
    ngx_uint_t                            nhandshake;

    ngx_http_binarize_redis_refusal_t
                            refusals[NGX_HTTP_BINARIZE_REDIS_WRITE + 1];

    ngx_connection_t                      ident;       /* for debug logs */
    ngx_event_t                           timer;
    ngx_event_t                           retry;
    ngx_log_t                            *log;

    unsigned                              running:1;   /* in a worker */
    unsigned                              connected:1;
    unsigned                              ready:1;     /* handshake done */
    unsigned                              failing:1;   /* the last try did */
    unsigned                              down:1;      /* and it was logged */
    unsigned                              broken:1;    /* makes no sense */
    unsigned                              timedout:1;
    unsigned                              exiting:1;
};


static void ngx_http_binarize_redis_connect(ngx_http_binarize_redis_t *redis);
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
static void ngx_http_binarize_redis_on_retry(ngx_event_t *ev);
static void ngx_http_binarize_redis_on_timer(ngx_event_t *ev);
static void ngx_http_binarize_redis_on_reply(void *data,
    ngx_http_binarize_redis_call_t *call, redisReply *reply);
static ngx_uint_t ngx_http_binarize_redis_on_error(
    ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, redisReply *reply);
static void ngx_http_binarize_redis_refused(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind, const char *word, const char *text);
static void ngx_http_binarize_redis_accepted(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind);
static void ngx_http_binarize_redis_error_word(redisReply *reply,
    u_char word[16]);
static void ngx_http_binarize_redis_error_text(redisReply *reply, u_char *text,
    size_t size);


static const ngx_http_binarize_redis_events_t  ngx_http_binarize_redis_events =
{
    ngx_http_binarize_redis_on_connected,
    ngx_http_binarize_redis_on_reply,
    NULL,
    ngx_http_binarize_redis_on_closed
};


char *
ngx_http_binarize_redis_set(ngx_conf_t *cf, ngx_array_t *endpoints,
    ngx_http_binarize_redis_t **slot)
{
    char                             *rv;
    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_binarize_redis_t       **endpoint, *redis;
    ngx_http_binarize_redis_conf_t    conf;

    if (*slot != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"binarize_redis off\" takes no parameters");
            return NGX_CONF_ERROR;
        }

        *slot = NULL;
        return NGX_CONF_OK;
    }

    rv = ngx_http_binarize_redis_conf_parse(cf, &conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {

        if (ngx_http_binarize_redis_conf_equal(&endpoint[i]->conf, &conf)) {
            *slot = endpoint[i];
            return NGX_CONF_OK;
        }
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_binarize_redis_t));
    endpoint = ngx_array_push(endpoints);

    if (redis == NULL || endpoint == NULL) {
        return NGX_CONF_ERROR;
    }

    redis->conf = conf;
    ngx_queue_init(&redis->calls);

    *endpoint = redis;
    *slot = redis;

    return NGX_CONF_OK;
}


ngx_str_t *
ngx_http_binarize_redis_prefix(ngx_http_binarize_redis_t *redis)
{
    return &redis->conf.prefix;
}


ngx_str_t *
ngx_http_binarize_redis_identity(ngx_http_binarize_redis_t *redis)
{
    return &redis->conf.identity;
}


ngx_http_binarize_redis_stats_t *
ngx_http_binarize_redis_stats(ngx_http_binarize_redis_t *redis)
{
    return &redis->stats;
}


ngx_int_t
ngx_http_binarize_redis_init_process(ngx_cycle_t *cycle, ngx_array_t *endpoints)
{
    ngx_uint_t                   i;
    ngx_http_binarize_redis_t  **endpoint, *redis;

    /* the cache manager and its like serve no requests */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {

        redis = endpoint[i];

        redis->log = cycle->log;

        redis->ident.fd = (ngx_socket_t) -1;
        redis->ident.data = redis;

        redis->timer.handler = ngx_http_binarize_redis_on_timer;
        redis->timer.data = &redis->ident;
        redis->timer.log = cycle->log;

        redis->retry.handler = ngx_http_binarize_redis_on_retry;
        redis->retry.data = &redis->ident;
        redis->retry.log = cycle->log;
        redis->retry.cancelable = 1;

        redis->running = 1;

        ngx_http_binarize_redis_connect(redis);
    }

    return NGX_OK;
}


void
ngx_http_binarize_redis_exit_process(ngx_array_t *endpoints)
{
    ngx_uint_t                   i;
    ngx_http_binarize_redis_t  **endpoint, *redis;

    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {

        redis = endpoint[i];

        if (!redis->running) {
            continue;
        }

        redis->exiting = 1;

        if (redis->adapter) {
            ngx_http_binarize_redis_adapter_close(redis->adapter,
                                                  "worker exits");
        }

        if (redis->timer.timer_set) {
            ngx_del_timer(&redis->timer);
        }

        if (redis->retry.timer_set) {
            ngx_del_timer(&redis->retry);
        }

        redis->running = 0;
    }
}


ngx_uint_t
ngx_http_binarize_redis_usable(ngx_http_binarize_redis_t *redis)
{
    if (!redis->running || (redis->failing && !redis->ready)) {
        return 0;
    }

    return redis->adapter == NULL
           || ngx_http_binarize_redis_adapter_queued(redis->adapter)
              <= NGX_HTTP_BINARIZE_REDIS_QUEUED_MAX;
}


ngx_uint_t
ngx_http_binarize_redis_write_refused(ngx_http_binarize_redis_t *redis)
{
    ngx_http_binarize_redis_refusal_t  *refusal;

    refusal = &redis->refusals[NGX_HTTP_BINARIZE_REDIS_WRITE];

    return refusal->word[0]
           && (ngx_msec_int_t) (refusal->retry_at - ngx_current_msec) > 0;
}


ngx_int_t
ngx_http_binarize_redis_command(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_chain_t *last)
{
    if (!redis->running || (redis->failing && !redis->ready)) {
        return NGX_DECLINED;
    }

    if (redis->adapter == NULL) {

        /* the connection has just come to a clean end */

        ngx_http_binarize_redis_connect(redis);

        if (redis->adapter == NULL) {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_binarize_redis_adapter_command(redis->adapter, call, argc,
                                                argv, argvlen, last)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    call->issued = ngx_current_msec;
    ngx_queue_insert_tail(&redis->calls, &call->queue);

    redis->stats.commands++;
    redis->nwaiting++;

    /* whoever waits for an answer keeps an exiting worker */

    redis->timer.cancelable = 0;

    if (!redis->timer.timer_set) {
        ngx_add_timer(&redis->timer, redis->conf.timeout_ms);
    }

    return NGX_OK;
}


void
ngx_http_binarize_redis_confused(ngx_http_binarize_redis_t *redis)
{
    redis->broken = 1;

    if (redis->adapter) {
        ngx_http_binarize_redis_adapter_close(redis->adapter,
                                              "answers make no sense");
    }
}


redisReply *
ngx_http_binarize_redis_keep(redisReply *reply)
{
    redisReply  *kept;

    kept = malloc(sizeof(redisReply));
    if (kept == NULL) {
        return NULL;
    }

    *kept = *reply;

    ngx_memzero(reply, sizeof(redisReply));
    reply->type = REDIS_REPLY_NIL;

    return kept;
}


static void
ngx_http_binarize_redis_connect(ngx_http_binarize_redis_t *redis)
{
    const char                         *reason;
    ngx_http_binarize_redis_address_t  *address;

    address = &redis->conf.addresses[redis->address % redis->conf.naddresses];

    redis->connected = 0;
    redis->ready = 0;
    redis->broken = 0;

    redis->stats.connects++;

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    redis->adapter = ngx_http_binarize_redis_adapter_connect(address,
                                        redis->conf.tls,
                                        &ngx_http_binarize_redis_events, redis,
                                        &redis->stats, redis->log, &reason);
    if (redis->adapter == NULL) {
        ngx_http_binarize_redis_failed(redis, reason);
        return;
    }

    redis->timer.cancelable = 1;
    ngx_add_timer(&redis->timer, redis->conf.connect_timeout_ms);

    if (ngx_http_binarize_redis_handshake(redis) != NGX_OK) {

        /* the adapter is about to close */

        return;
    }

    /* nothing else reaches a Redis that does not know us, or in another db */

    ngx_http_binarize_redis_adapter_hold(redis->adapter);
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
    call->issued = ngx_current_msec;

    if (ngx_http_binarize_redis_adapter_command(redis->adapter, call, argc,
                                                argv, argvlen, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    redis->nhandshake++;
    ngx_queue_insert_tail(&redis->calls, &call->queue);

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

    u_char  word[16], reason[64];

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


/* an error (MISCONF, NOPERM) that does not keep Redis from answering is fine */

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
    redis->ready_at = ngx_current_msec;

    ngx_http_binarize_redis_adapter_release(redis->adapter);

    if (redis->down) {
        redis->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "redis \"%V\" is usable again", &redis->conf.name);
    }

    /* may have been moved elsewhere */

    if (ngx_strcmp(redis->refusals[NGX_HTTP_BINARIZE_REDIS_READ].word, "MOVED")
        == 0)
    {
        redis->refusals[NGX_HTTP_BINARIZE_REDIS_READ].word[0] = '\0';
    }
}


/* the calls in the air get their NULL replies after this */

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


static void
ngx_http_binarize_redis_failed(ngx_http_binarize_redis_t *redis,
    const char *reason)
{
    ngx_uint_t  level;
    ngx_msec_t  delay;

    redis->stats.failures++;
    redis->failing = 1;
    redis->address++;

    /* many addresses fail in many ways: once is enough */

    level = redis->down ? NGX_LOG_INFO : NGX_LOG_ERR;
    redis->down = 1;

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


static void
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


static void
ngx_http_binarize_redis_on_timer(ngx_event_t *ev)
{
    ngx_msec_t                       now, seen, silence, age;
    ngx_queue_t                     *q;
    ngx_connection_t                *ident;
    ngx_http_binarize_redis_t       *redis;
    ngx_http_binarize_redis_call_t  *call;

    ident = ev->data;
    redis = ident->data;

    if (redis->adapter == NULL) {
        return;
    }

    if (!redis->connected) {
        redis->timedout = 1;
        ngx_http_binarize_redis_adapter_close(redis->adapter,
                                              "connecting timed out");
        redis->timedout = 0;
        return;
    }

    if (ngx_queue_empty(&redis->calls)) {
        return;
    }

    q = ngx_queue_head(&redis->calls);
    call = ngx_queue_data(q, ngx_http_binarize_redis_call_t, queue);

    now = ngx_current_msec;
    seen = ngx_http_binarize_redis_adapter_seen(redis->adapter);

    if ((ngx_msec_int_t) (call->issued - seen) > 0) {
        seen = call->issued;
    }

    silence = now - seen;
    age = now - call->issued;

    if (silence < redis->conf.timeout_ms
        && age < redis->conf.timeout_ms * NGX_HTTP_BINARIZE_REDIS_PATIENCE
                 + redis->conf.connect_timeout_ms)
    {
        ngx_add_timer(&redis->timer, redis->conf.timeout_ms - silence);
        return;
    }

    /* what comes late would be taken for the answers to what comes next */

    redis->timedout = 1;
    ngx_http_binarize_redis_adapter_close(redis->adapter, "timed out");
    redis->timedout = 0;
}


static void
ngx_http_binarize_redis_on_reply(void *data,
    ngx_http_binarize_redis_call_t *call, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    ngx_int_t   rc;
    ngx_uint_t  own;

    own = (call >= redis->handshake
           && call < redis->handshake + redis->nhandshake);

    ngx_queue_remove(&call->queue);

    if (!own && --redis->nwaiting == 0) {
        redis->timer.cancelable = 1;
    }

    if (reply == NULL) {
        rc = redis->exiting ? NGX_ABORT : NGX_ERROR;

        if (!own && redis->timedout) {
            redis->stats.timeouts++;

        } else if (!own) {
            redis->stats.lost++;
        }

    } else if (reply->type == REDIS_REPLY_ERROR) {
        rc = NGX_DECLINED;

        if (!own) {
            redis->stats.errors++;
        }

        if (ngx_http_binarize_redis_on_error(redis, call, reply) && own) {
            return;
        }

    } else {
        rc = NGX_OK;

        /* a status is no proof: QUEUED */

        if (call->kind && reply->type != REDIS_REPLY_STATUS) {
            ngx_http_binarize_redis_accepted(redis, call->kind);
        }
    }

    if (call->handler) {
        call->handler(call->data, rc, reply);
    }
}


/* 1: the connection is about to close */

static ngx_uint_t
ngx_http_binarize_redis_on_error(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, redisReply *reply)
{
    u_char       word[16], text[128];
    ngx_uint_t   i;

    /* Redis cannot answer anything now, or not us */
    static const char  *unusable[] = {
        "LOADING ", "NOAUTH ", "MASTERDOWN ",
        "ERR max number of clients reached", NULL
    };

    /* about this command, not about Redis */
    static const char  *innocent[] = {
        "WRONGTYPE", "EXECABORT", "NOSCRIPT", NULL
    };

    ngx_http_binarize_redis_error_word(reply, word);
    ngx_http_binarize_redis_error_text(reply, text, sizeof(text));

    for (i = 0; unusable[i]; i++) {

        if (ngx_strncmp(text, unusable[i], ngx_strlen(unusable[i])) == 0) {
            ngx_http_binarize_redis_adapter_close(redis->adapter,
                                                  (char *) text);
            return 1;
        }
    }

    if (call->kind == NGX_HTTP_BINARIZE_REDIS_NONE) {
        return 0;
    }

    for (i = 0; innocent[i]; i++) {

        if (ngx_strcmp(word, innocent[i]) == 0) {
            return 0;
        }
    }

    ngx_http_binarize_redis_refused(redis, call->kind, (char *) word,
                                    (char *) text);

    return 0;
}


static void
ngx_http_binarize_redis_refused(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind, const char *word, const char *text)
{
    ngx_http_binarize_redis_refusal_t  *refusal;

    refusal = &redis->refusals[kind];

    if (ngx_strcmp(refusal->word, word) != 0) {
        ngx_cpystrn(refusal->word, (u_char *) word, sizeof(refusal->word));

        refusal->backoff_ms = 0;
        refusal->retry_at = ngx_current_msec;

        ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                      "redis \"%V\" refuses to %s: \"%s\"", &redis->conf.name,
                      kind == NGX_HTTP_BINARIZE_REDIS_READ ? "read" : "write",
                      text);
    }

    /* the commands of one transaction count once */

    if ((ngx_msec_int_t) (refusal->retry_at - ngx_current_msec) > 0) {
        return;
    }

    refusal->backoff_ms = ngx_min(refusal->backoff_ms * 2,
                                  NGX_HTTP_BINARIZE_REDIS_REFUSAL_MAX);
    refusal->backoff_ms = ngx_max(refusal->backoff_ms,
                                  NGX_HTTP_BINARIZE_REDIS_REFUSAL_MIN);

    refusal->retry_at = ngx_current_msec + refusal->backoff_ms;
}


static void
ngx_http_binarize_redis_accepted(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind)
{
    ngx_http_binarize_redis_refusal_t  *refusal;

    refusal = &redis->refusals[kind];

    if (refusal->word[0] == '\0') {
        return;
    }

    /* a cluster's node answers for some keys, and refuses the others */

    if (ngx_strcmp(refusal->word, "MOVED") == 0) {
        return;
    }

    refusal->word[0] = '\0';

    ngx_log_error(NGX_LOG_NOTICE, redis->log, 0, "redis \"%V\" %s again",
                  &redis->conf.name,
                  kind == NGX_HTTP_BINARIZE_REDIS_READ ? "reads" : "writes");
}


static void
ngx_http_binarize_redis_error_word(redisReply *reply, u_char word[16])
{
    size_t  i;

    for (i = 0; i < 15 && i < reply->len; i++) {

        if (reply->str[i] < 'A' || reply->str[i] > 'Z') {
            break;
        }

        word[i] = reply->str[i];
    }

    word[i] = '\0';
}


/* printable, cut to size, ends with \0 */

static void
ngx_http_binarize_redis_error_text(redisReply *reply, u_char *text,
    size_t size)
{
    size_t  i;

    for (i = 0; i < size - 1 && i < reply->len; i++) {
        text[i] = (reply->str[i] < 0x20 || reply->str[i] > 0x7e)
                  ? '?' : reply->str[i];
    }

    text[i] = '\0';
}
