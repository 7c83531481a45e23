
#include "redis/private.h"


/*
 * A listener has no answers to wait for: that it still hears is known by a
 * PING now and then.
 */
#define NGX_HTTP_BINARIZE_REDIS_PING_MS  5000


struct ngx_http_binarize_redis_subscription_s {
    ngx_http_binarize_redis_t            redis;      /* the connection */
    ngx_str_t                            channel;
    ngx_http_binarize_redis_message_pt   handler;
    void                                *data;

    ngx_event_t                          ping;
    ngx_msec_t                           pinged;     /* last */
};


static void ngx_http_binarize_redis_on_ping_timer(ngx_event_t *ev);
static void ngx_http_binarize_redis_listener_send(
    ngx_http_binarize_redis_t *redis);


ngx_int_t
ngx_http_binarize_redis_subscribe(ngx_http_binarize_redis_t *redis,
    ngx_str_t *channel, ngx_http_binarize_redis_message_pt handler, void *data)
{
    u_char                                  *p;
    ngx_http_binarize_redis_t               *listener;
    ngx_http_binarize_redis_subscription_t  *subscription;

    static const char  suffix[] = " (subscription)";

    if (!redis->running || redis->subscription) {
        return NGX_DECLINED;
    }

    subscription = ngx_pcalloc(ngx_cycle->pool,
                               sizeof(ngx_http_binarize_redis_subscription_t));
    if (subscription == NULL) {
        return NGX_ERROR;
    }

    subscription->channel = *channel;
    subscription->handler = handler;
    subscription->data = data;

    listener = &subscription->redis;

    listener->conf = redis->conf;
    listener->subscription = subscription;
    listener->listener = 1;
    ngx_queue_init(&listener->calls);

    p = ngx_pnalloc(ngx_cycle->pool, redis->conf.name.len + sizeof(suffix));
    if (p == NULL) {
        return NGX_ERROR;
    }

    listener->conf.name.data = p;
    listener->conf.name.len = ngx_sprintf(p, "%V%s", &redis->conf.name, suffix)
                              - p;

    subscription->ping.handler = ngx_http_binarize_redis_on_ping_timer;
    subscription->ping.data = &listener->ident;
    subscription->ping.log = redis->log;
    subscription->ping.cancelable = 1;

    redis->subscription = subscription;

    ngx_http_binarize_redis_start(listener, redis->log);

    return NGX_OK;
}


/* the handshake is done */

void
ngx_http_binarize_redis_subscription_start(
    ngx_http_binarize_redis_subscription_t *subscription)
{
    size_t       argvlen[2];
    const char  *argv[2];

    subscription->pinged = ngx_current_msec;

    argv[0] = "SUBSCRIBE";
    argvlen[0] = sizeof("SUBSCRIBE") - 1;

    argv[1] = (char *) subscription->channel.data;
    argvlen[1] = subscription->channel.len;

    /* its answer is a message; if it cannot be queued the connection closes */

    (void) ngx_http_binarize_redis_adapter_command(subscription->redis.adapter,
                                                   NULL, 2, argv, argvlen,
                                                   NULL);
    ngx_http_binarize_redis_listener_send(&subscription->redis);

    ngx_add_timer(&subscription->ping, NGX_HTTP_BINARIZE_REDIS_PING_MS);
}


void
ngx_http_binarize_redis_subscription_stop(
    ngx_http_binarize_redis_subscription_t *subscription)
{
    if (subscription->ping.timer_set) {
        ngx_del_timer(&subscription->ping);
    }

    ngx_http_binarize_redis_stop(&subscription->redis);
}


/* ["subscribe", channel, 1], ["message", channel, text] or ["pong", ""] */

void
ngx_http_binarize_redis_on_message(void *data, redisReply *reply)
{
    ngx_http_binarize_redis_t *redis = data;

    u_char                                   text[128];
    ngx_str_t                                message;
    redisReply                              *kind;
    ngx_http_binarize_redis_subscription_t  *subscription;

    subscription = redis->subscription;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_binarize_redis_error_text(reply, text, sizeof(text));
        ngx_http_binarize_redis_adapter_close(redis->adapter, (char *) text);
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        ngx_http_binarize_redis_confused(redis);
        return;
    }

    kind = reply->element[0];

    if (ngx_strcmp(kind->str, "subscribe") == 0) {
        ngx_http_binarize_redis_recovered(&subscription->redis);
        subscription->handler(subscription->data, NULL);
        return;
    }

    if (ngx_strcmp(kind->str, "message") == 0 && reply->elements == 3
        && reply->element[2]->type == REDIS_REPLY_STRING)
    {
        message.data = (u_char *) reply->element[2]->str;
        message.len = reply->element[2]->len;

        subscription->handler(subscription->data, &message);
    }
}


static void
ngx_http_binarize_redis_on_ping_timer(ngx_event_t *ev)
{
    size_t                                   argvlen[1];
    ngx_msec_t                               seen;
    const char                              *argv[1];
    ngx_connection_t                        *ident;
    ngx_http_binarize_redis_t               *redis;
    ngx_http_binarize_redis_subscription_t  *subscription;

    ident = ev->data;
    redis = ident->data;
    subscription = redis->subscription;

    if (redis->adapter == NULL || !redis->ready) {
        return;
    }

    seen = ngx_http_binarize_redis_adapter_seen(redis->adapter);

    if ((ngx_msec_int_t) (subscription->pinged - seen) > 0) {
        redis->timedout = 1;
        ngx_http_binarize_redis_adapter_close(redis->adapter, "timed out");
        redis->timedout = 0;
        return;
    }

    argv[0] = "PING";
    argvlen[0] = sizeof("PING") - 1;

    (void) ngx_http_binarize_redis_adapter_command(redis->adapter, NULL, 1,
                                                   argv, argvlen, NULL);
    ngx_http_binarize_redis_listener_send(redis);

    subscription->pinged = ngx_current_msec;

    ngx_add_timer(ev, NGX_HTTP_BINARIZE_REDIS_PING_MS);
}


static void
ngx_http_binarize_redis_listener_send(ngx_http_binarize_redis_t *redis)
{
    ngx_http_binarize_redis_adapter_allow(redis->adapter,
                   ngx_http_binarize_redis_adapter_position(redis->adapter));
}
