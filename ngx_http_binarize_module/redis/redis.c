
#include "redis/private.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif


/* of writes after Redis refused one */
#define NGX_HTTP_BINARIZE_REDIS_REFUSAL_MIN    1000
#define NGX_HTTP_BINARIZE_REDIS_REFUSAL_MAX    30000

/*
 * Answers come and go: glibc would give their memory back to the system each
 * time, and get it anew, page by page.  Larger ones have mappings of their own.
 */
#define NGX_HTTP_BINARIZE_REDIS_MAPPED         (2 * 1024 * 1024)
#define NGX_HTTP_BINARIZE_REDIS_UNTRIMMED      (16 * 1024 * 1024)

/* answers that may be on their way at once */
#define NGX_HTTP_BINARIZE_REDIS_WINDOW_SIZE    (8 * 1024 * 1024)
#define NGX_HTTP_BINARIZE_REDIS_WINDOW_READS   32

/* an answer that trickles in may take so many time-outs */
#define NGX_HTTP_BINARIZE_REDIS_PATIENCE       20

/* while more is to be sent, Redis is not usable */
#define NGX_HTTP_BINARIZE_REDIS_QUEUED_MAX     (64 * 1024 * 1024)


static ngx_uint_t ngx_http_binarize_redis_own(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call);
static void ngx_http_binarize_redis_answered(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call);
static void ngx_http_binarize_redis_on_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_binarize_redis_on_error(
    ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, redisReply *reply);
static void ngx_http_binarize_redis_refused(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind, const char *word, const char *text);
static void ngx_http_binarize_redis_accepted(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_kind_e kind);


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


void
ngx_http_binarize_redis_watch(ngx_http_binarize_redis_t *redis,
    void (*handler)(void *data), void *data)
{
    redis->watch = handler;
    redis->watch_data = data;
}


/* the watcher, that a number has changed */

void
ngx_http_binarize_redis_notify(ngx_http_binarize_redis_t *redis)
{
    if (redis->watch) {
        redis->watch(redis->watch_data);
    }
}


ngx_int_t
ngx_http_binarize_redis_init_process(ngx_cycle_t *cycle, ngx_array_t *endpoints)
{
    ngx_uint_t                   i;
    ngx_http_binarize_redis_t  **endpoint;

    /* the cache manager and its like serve no requests */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

#if defined(__GLIBC__)
    if (endpoints->nelts) {
        (void) mallopt(M_MMAP_THRESHOLD, NGX_HTTP_BINARIZE_REDIS_MAPPED);
        (void) mallopt(M_TRIM_THRESHOLD, NGX_HTTP_BINARIZE_REDIS_UNTRIMMED);
    }
#endif

    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {
        ngx_http_binarize_redis_start(endpoint[i], cycle->log);
    }

    return NGX_OK;
}


void
ngx_http_binarize_redis_exit_process(ngx_array_t *endpoints)
{
    ngx_uint_t                   i;
    ngx_http_binarize_redis_t  **endpoint;

    endpoint = endpoints->elts;

    for (i = 0; i < endpoints->nelts; i++) {
        ngx_http_binarize_redis_stop(endpoint[i]);
    }
}


void
ngx_http_binarize_redis_start(ngx_http_binarize_redis_t *redis, ngx_log_t *log)
{
    redis->log = log;

    redis->ident.fd = (ngx_socket_t) -1;
    redis->ident.data = redis;

    redis->timer.handler = ngx_http_binarize_redis_on_timer;
    redis->timer.data = &redis->ident;
    redis->timer.log = log;

    redis->retry.handler = ngx_http_binarize_redis_on_retry;
    redis->retry.data = &redis->ident;
    redis->retry.log = log;
    redis->retry.cancelable = 1;

    redis->estimate = NGX_HTTP_BINARIZE_REDIS_WINDOW_SIZE
                      / NGX_HTTP_BINARIZE_REDIS_WINDOW_READS;

    redis->running = 1;

    ngx_http_binarize_redis_connect(redis);
}


void
ngx_http_binarize_redis_stop(ngx_http_binarize_redis_t *redis)
{
    if (!redis->running) {
        return;
    }

    redis->exiting = 1;

    if (redis->subscription && !redis->listener) {
        ngx_http_binarize_redis_subscription_stop(redis->subscription);
    }

    if (redis->adapter) {
        ngx_http_binarize_redis_adapter_close(redis->adapter, "worker exits");
    }

    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (redis->retry.timer_set) {
        ngx_del_timer(&redis->retry);
    }

    redis->running = 0;
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
    const size_t *argvlen, ngx_http_binarize_redis_body_t *body)
{
    if (redis->running && redis->adapter == NULL
        && (!redis->failing || redis->ready))
    {
        /* the connection has just come to a clean end */

        ngx_http_binarize_redis_connect(redis);
    }

    if (!redis->running || redis->adapter == NULL
        || (redis->failing && !redis->ready))
    {
        if (body) {
            body->release(body->data);
            body->release = NULL;
        }

        return NGX_DECLINED;
    }

    if (ngx_http_binarize_redis_adapter_command(redis->adapter, call, argc,
                                                argv, argvlen, body)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    redis->stats.commands++;
    redis->nwaiting++;

    ngx_http_binarize_redis_line_up(redis, call);

    /* whoever waits for an answer keeps an exiting worker */

    redis->timer.cancelable = 0;

    if (!redis->timer.timer_set) {
        ngx_add_timer(&redis->timer, redis->conf.timeout_ms);
    }

    ngx_http_binarize_redis_notify(redis);

    return NGX_OK;
}


void
ngx_http_binarize_redis_line_up(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call)
{
    call->issued = ngx_current_msec;
    call->expected = 0;
    call->position = ngx_http_binarize_redis_adapter_position(redis->adapter);

    ngx_queue_insert_tail(&redis->calls, &call->queue);

    if (redis->unsent == NULL) {
        redis->unsent = &call->queue;
    }

    ngx_http_binarize_redis_send(redis);
}


void
ngx_http_binarize_redis_send(ngx_http_binarize_redis_t *redis)
{
    size_t                           expected;
    uint64_t                         position;
    ngx_http_binarize_redis_call_t  *call;

    position = 0;

    while (redis->unsent) {

        call = ngx_queue_data(redis->unsent, ngx_http_binarize_redis_call_t,
                              queue);

        /* a Redis that does not know us, or in another db, gets nothing */

        if (!redis->ready && !ngx_http_binarize_redis_own(redis, call)) {
            break;
        }

        if (call->kind == NGX_HTTP_BINARIZE_REDIS_READ) {

            expected = ngx_min(redis->estimate, call->reply_max);

            if (redis->nreads
                && (redis->nreads >= NGX_HTTP_BINARIZE_REDIS_WINDOW_READS
                    || redis->expected + expected
                       > NGX_HTTP_BINARIZE_REDIS_WINDOW_SIZE))
            {
                break;
            }

            call->expected = expected;
            redis->expected += expected;
            redis->nreads++;
        }

        call->issued = ngx_current_msec;
        position = call->position;

        redis->unsent = ngx_queue_next(redis->unsent);

        if (redis->unsent == ngx_queue_sentinel(&redis->calls)) {
            redis->unsent = NULL;
        }
    }

    if (position) {
        ngx_http_binarize_redis_adapter_allow(redis->adapter, position);
    }
}


static ngx_uint_t
ngx_http_binarize_redis_own(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call)
{
    return call >= redis->handshake
           && call < redis->handshake + redis->nhandshake;
}


/* makes room in the window */

static void
ngx_http_binarize_redis_answered(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call)
{
    size_t  size;

    if (call->kind != NGX_HTTP_BINARIZE_REDIS_READ) {
        return;
    }

    redis->nreads--;
    redis->expected -= call->expected;

    /* rises at once, falls slowly; not by what is not there */

    size = ngx_http_binarize_redis_adapter_reply_size(redis->adapter);

    if (size) {
        redis->estimate = ngx_max(size,
                                  redis->estimate - redis->estimate / 16);
    }

    ngx_http_binarize_redis_send(redis);
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








/* an error (MISCONF, NOPERM) that does not keep Redis from answering is fine */




static void
ngx_http_binarize_redis_on_timer(ngx_event_t *ev)
{
    ngx_msec_t                       now, late, seen, silence, age;
    ngx_queue_t                     *q;
    ngx_connection_t                *ident;
    ngx_http_binarize_redis_t       *redis;
    ngx_http_binarize_redis_call_t  *call;

    ident = ev->data;
    redis = ident->data;

    if (redis->adapter == NULL) {
        return;
    }

    /* a worker that was busy elsewhere has not read what may be there */

    late = ngx_current_msec - ev->timer.key;

    if (late > redis->conf.timeout_ms / 4 && !redis->grace) {
        redis->grace = 1;
        ngx_add_timer(&redis->timer, redis->conf.timeout_ms / 2 + 1);
        return;
    }

    redis->grace = 0;

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

    /* since Redis could turn to it */

    age = now - call->issued;

    if ((ngx_msec_int_t) (redis->answered_at - call->issued) > 0) {
        age = now - redis->answered_at;
    }

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


void
ngx_http_binarize_redis_on_reply(void *data,
    ngx_http_binarize_redis_call_t *call, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    ngx_int_t   rc;
    ngx_uint_t  own;

    redis->answered_at = ngx_current_msec;

    own = ngx_http_binarize_redis_own(redis, call);

    ngx_queue_remove(&call->queue);

    if (reply) {
        ngx_http_binarize_redis_answered(redis, call);
    }

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

    ngx_http_binarize_redis_notify(redis);

    if (call->handler) {
        call->handler(call->data, rc, reply);
    }
}


/* 1: the connection is about to close */

static ngx_uint_t
ngx_http_binarize_redis_on_error(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, redisReply *reply)
{
    u_char      word[NGX_HTTP_BINARIZE_REDIS_WORD], text[128];
    ngx_uint_t  i;

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


void
ngx_http_binarize_redis_error_word(redisReply *reply,
    u_char word[NGX_HTTP_BINARIZE_REDIS_WORD])
{
    size_t  i, size;

    size = ngx_min(reply->len, NGX_HTTP_BINARIZE_REDIS_WORD - 1);

    for (i = 0; i < size; i++) {

        if (reply->str[i] < 'A' || reply->str[i] > 'Z') {
            break;
        }

        word[i] = reply->str[i];
    }

    word[i] = '\0';
}


void
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
