
#include "l2/l2.h"
#include "ngx_http_binarize_scripts.h"

#include <ngx_event.h>


/* of the message of a purge, besides <ns>:<guid> */
#define NGX_HTTP_BINARIZE_L2_PURGE_SIZE                                       \
    (sizeof(NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE " ") - 1                       \
     + NGX_HTTP_BINARIZE_L2_NODE)


typedef enum {
    lease_asked = 0,
    lease_held,
    lease_not_held,
    lease_given_back
} ngx_http_binarize_l2_lease_state_e;


struct ngx_http_binarize_l2_lease_s {
    ngx_http_binarize_redis_call_t        call;
    ngx_http_binarize_redis_t            *redis;
    ngx_http_binarize_l2_lease_state_e    state;

    ngx_http_binarize_l2_lease_pt         handler;   /* NULL: released */
    void                                 *data;

    ngx_msec_t                            ttl_ms;
    ngx_queue_t                           queue;     /* .._l2_leases */

    unsigned                              landed:1;  /* to be told */

    u_char                                token[NGX_HTTP_BINARIZE_L2_TOKEN];
    ngx_str_t                             key;       /* after this structure */
    ngx_str_t                             result;    /* a part of key */
};


typedef struct {
    ngx_http_binarize_redis_t            *redis;
    ngx_http_binarize_l2_landing_pt       landing;
    ngx_http_binarize_l2_purged_pt        purged;
    void                                 *data;
} ngx_http_binarize_l2_listener_t;


static ngx_http_binarize_l2_lease_t *ngx_http_binarize_l2_lease_create(
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid);
static void ngx_http_binarize_l2_on_lease(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_l2_lease_give_back(
    ngx_http_binarize_l2_lease_t *lease);
static void ngx_http_binarize_l2_lease_keep(
    ngx_http_binarize_l2_lease_t *lease);
static void ngx_http_binarize_l2_on_renewal(ngx_event_t *ev);
static void ngx_http_binarize_l2_lease_extend(
    ngx_http_binarize_l2_lease_t *lease);
static void ngx_http_binarize_l2_on_given_back(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_l2_on_message(void *data, ngx_str_t *message);
static ngx_int_t ngx_http_binarize_l2_parse_id(ngx_str_t *text, ngx_str_t *ns,
    u_char *guid);


static ngx_http_binarize_redis_script_t  ngx_http_binarize_l2_release_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_lease_release);

static ngx_http_binarize_redis_script_t  ngx_http_binarize_l2_extend_script =
    ngx_http_binarize_redis_script(ngx_http_binarize_lua_lease_extend);


/* of this worker, those that are held; and when they are renewed */
static ngx_queue_t  ngx_http_binarize_l2_leases = {
    &ngx_http_binarize_l2_leases, &ngx_http_binarize_l2_leases
};

static ngx_event_t  ngx_http_binarize_l2_renewal = {
    .handler = ngx_http_binarize_l2_on_renewal,
    .data = &ngx_http_binarize_l2_renewal
};


ngx_http_binarize_l2_lease_t *
ngx_http_binarize_l2_lease(ngx_http_binarize_redis_t *redis, ngx_str_t *ns,
    u_char *guid, ngx_msec_t ttl_ms, ngx_http_binarize_l2_lease_pt handler,
    void *data)
{
    u_char                         ttl[NGX_INT_T_LEN];
    size_t                         argvlen[6];
    const char                    *argv[6];
    ngx_http_binarize_l2_lease_t  *lease;

    if (!ngx_http_binarize_redis_usable(redis)) {
        return NULL;
    }

    lease = ngx_http_binarize_l2_lease_create(redis, ns, guid);
    if (lease == NULL) {
        return NULL;
    }

    lease->handler = handler;
    lease->data = data;
    lease->ttl_ms = ttl_ms;
    lease->call.handler = ngx_http_binarize_l2_on_lease;

    (void) ngx_sprintf(lease->token, "%08xD%08xD%08xD%08xD",
                       (uint32_t) ngx_pid, (uint32_t) ngx_random(),
                       (uint32_t) ngx_random(), (uint32_t) ngx_time());

    argv[0] = "SET";
    argvlen[0] = 3;

    argv[1] = (char *) lease->key.data;
    argvlen[1] = lease->key.len;

    argv[2] = (char *) lease->token;
    argvlen[2] = NGX_HTTP_BINARIZE_L2_TOKEN;

    argv[3] = "NX";
    argvlen[3] = 2;

    argv[4] = "PX";
    argvlen[4] = 2;

    argv[5] = (char *) ttl;
    argvlen[5] = ngx_sprintf(ttl, "%M", ttl_ms) - ttl;

    if (ngx_http_binarize_redis_command(redis, &lease->call, 6, argv, argvlen,
                                        NULL)
        != NGX_OK)
    {
        ngx_free(lease);
        return NULL;
    }

    return lease;
}


static ngx_http_binarize_l2_lease_t *
ngx_http_binarize_l2_lease_create(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid)
{
    ngx_http_binarize_l2_lease_t  *lease;

    lease = ngx_alloc(sizeof(ngx_http_binarize_l2_lease_t)
                      + ngx_http_binarize_l2_key_size(redis, ns),
                      ngx_cycle->log);
    if (lease == NULL) {
        return NULL;
    }

    ngx_memzero(lease, sizeof(ngx_http_binarize_l2_lease_t));

    lease->redis = redis;
    lease->call.data = lease;
    ngx_queue_init(&lease->queue);

    lease->key.data = (u_char *) (lease + 1);
    ngx_http_binarize_l2_key_beside(redis, ns, guid,
                                    NGX_HTTP_BINARIZE_L2_LEASE, &lease->key,
                                    &lease->result);

    return lease;
}


u_char *
ngx_http_binarize_l2_lease_token(ngx_http_binarize_l2_lease_t *lease)
{
    return lease->token;
}


void
ngx_http_binarize_l2_lease_drop(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, u_char *token)
{
    ngx_http_binarize_l2_lease_t  *lease;

    lease = ngx_http_binarize_l2_lease_create(redis, ns, guid);
    if (lease == NULL) {
        return;
    }

    ngx_memcpy(lease->token, token, NGX_HTTP_BINARIZE_L2_TOKEN);
    lease->state = lease_held;

    ngx_http_binarize_l2_lease_land(lease);
}


static void
ngx_http_binarize_l2_on_lease(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_lease_t *lease = data;

    lease->state = lease_not_held;

    if (rc == NGX_OK) {

        if (reply->type == REDIS_REPLY_STATUS) {
            lease->state = lease_held;

        } else if (reply->type == REDIS_REPLY_NIL) {
            rc = NGX_BUSY;

        } else {
            ngx_http_binarize_redis_confused(lease->redis);
            rc = NGX_ERROR;
        }
    }

    if (lease->handler == NULL) {
        ngx_http_binarize_l2_lease_give_back(lease);
        return;
    }

    if (rc == NGX_ABORT) {
        return;
    }

    if (lease->state == lease_held) {
        ngx_http_binarize_l2_lease_keep(lease);
    }

    lease->handler(lease->data, rc == NGX_DECLINED ? NGX_ERROR : rc);
}


void
ngx_http_binarize_l2_lease_release(ngx_http_binarize_l2_lease_t *lease)
{
    lease->handler = NULL;

    if (lease->state != lease_asked) {
        ngx_http_binarize_l2_lease_give_back(lease);
    }
}


static void
ngx_http_binarize_l2_lease_give_back(ngx_http_binarize_l2_lease_t *lease)
{
    u_char     *channel;
    ngx_str_t   args[4], *prefix;

    if (lease->state != lease_held) {
        ngx_free(lease);
        return;
    }

    lease->state = lease_given_back;
    lease->call.handler = ngx_http_binarize_l2_on_given_back;
    ngx_queue_remove(&lease->queue);

    prefix = ngx_http_binarize_redis_prefix(lease->redis);

    channel = ngx_alloc(prefix->len + sizeof(NGX_HTTP_BINARIZE_L2_CHANNEL),
                        ngx_cycle->log);
    if (channel == NULL) {
        ngx_free(lease);
        return;
    }

    args[0] = lease->key;
    args[1].data = lease->token;
    args[1].len = NGX_HTTP_BINARIZE_L2_TOKEN;
    args[2].data = channel;
    args[2].len = ngx_sprintf(channel, "%V" NGX_HTTP_BINARIZE_L2_CHANNEL,
                              prefix)
                  - channel;
    ngx_str_set(&args[3], "");

    if (lease->landed) {
        /* <ns>:<guid>, as in the key */
        args[3].data = lease->result.data + prefix->len;
        args[3].len = lease->result.len - prefix->len;
    }

    /* if Redis is away the lease ends by itself */

    if (ngx_http_binarize_redis_eval(lease->redis, &lease->call,
                                     &ngx_http_binarize_l2_release_script, 1,
                                     4, args)
        != NGX_OK)
    {
        ngx_free(lease);
    }

    ngx_free(channel);
}


void
ngx_http_binarize_l2_lease_land(ngx_http_binarize_l2_lease_t *lease)
{
    lease->landed = 1;

    ngx_http_binarize_l2_lease_release(lease);
}


/* until it is given back */

static void
ngx_http_binarize_l2_lease_keep(ngx_http_binarize_l2_lease_t *lease)
{
    ngx_queue_insert_tail(&ngx_http_binarize_l2_leases, &lease->queue);

    if (!ngx_http_binarize_l2_renewal.timer_set) {
        ngx_http_binarize_l2_renewal.log = ngx_cycle->log;
        ngx_add_timer(&ngx_http_binarize_l2_renewal, lease->ttl_ms / 3);
    }
}


static void
ngx_http_binarize_l2_on_renewal(ngx_event_t *ev)
{
    ngx_queue_t                   *q;
    ngx_http_binarize_l2_lease_t  *lease;

    lease = NULL;

    for (q = ngx_queue_head(&ngx_http_binarize_l2_leases);
         q != ngx_queue_sentinel(&ngx_http_binarize_l2_leases);
         q = ngx_queue_next(q))
    {
        lease = ngx_queue_data(q, ngx_http_binarize_l2_lease_t, queue);
        ngx_http_binarize_l2_lease_extend(lease);
    }

    if (lease) {
        ngx_add_timer(ev, lease->ttl_ms / 3);
    }
}


static void
ngx_http_binarize_l2_lease_extend(ngx_http_binarize_l2_lease_t *lease)
{
    u_char                           ttl[NGX_INT_T_LEN];
    ngx_str_t                        args[3];
    ngx_http_binarize_redis_call_t  *call;

    call = ngx_calloc(sizeof(ngx_http_binarize_redis_call_t), ngx_cycle->log);
    if (call == NULL) {
        return;
    }

    call->handler = ngx_http_binarize_l2_on_given_back;
    call->data = call;

    args[0] = lease->key;
    args[1].data = lease->token;
    args[1].len = NGX_HTTP_BINARIZE_L2_TOKEN;
    args[2].data = ttl;
    args[2].len = ngx_sprintf(ttl, "%M", lease->ttl_ms) - ttl;

    if (ngx_http_binarize_redis_eval(lease->redis, call,
                                     &ngx_http_binarize_l2_extend_script, 1,
                                     3, args)
        != NGX_OK)
    {
        ngx_free(call);
    }
}


static void
ngx_http_binarize_l2_on_given_back(void *data, ngx_int_t rc, redisReply *reply)
{
    (void) rc;
    (void) reply;

    ngx_free(data);
}


ngx_int_t
ngx_http_binarize_l2_listen(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_l2_landing_pt landing,
    ngx_http_binarize_l2_purged_pt purged, void *data)
{
    ngx_str_t                         channel, *prefix;
    ngx_http_binarize_l2_listener_t  *listener;

    prefix = ngx_http_binarize_redis_prefix(redis);

    listener = ngx_palloc(ngx_cycle->pool,
                          sizeof(ngx_http_binarize_l2_listener_t));

    channel.data = ngx_pnalloc(ngx_cycle->pool, prefix->len
                               + sizeof(NGX_HTTP_BINARIZE_L2_CHANNEL) - 1);

    if (listener == NULL || channel.data == NULL) {
        return NGX_ERROR;
    }

    channel.len = ngx_sprintf(channel.data, "%V" NGX_HTTP_BINARIZE_L2_CHANNEL,
                              prefix)
                  - channel.data;

    listener->redis = redis;
    listener->landing = landing;
    listener->purged = purged;
    listener->data = data;

    return ngx_http_binarize_redis_subscribe(redis, &channel,
                                             ngx_http_binarize_l2_on_message,
                                             listener);
}


static void
ngx_http_binarize_l2_on_message(void *data, ngx_str_t *message)
{
    ngx_http_binarize_l2_listener_t *listener = data;

    u_char     guid[BINARIZE_GUID_SIZE], *node;
    ngx_str_t  ns, text;

    if (message == NULL) {
        listener->landing(listener->data, NULL, NULL);
        return;
    }

    /* anybody who may publish may write anything */

    text = *message;
    node = NULL;

    if (text.len > NGX_HTTP_BINARIZE_L2_PURGE_SIZE
        && ngx_memcmp(text.data, NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE,
                      sizeof(NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE) - 1)
           == 0)
    {
        node = text.data + text.len - NGX_HTTP_BINARIZE_L2_NODE;
        text.data += sizeof(NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE) - 1;
        text.len -= NGX_HTTP_BINARIZE_L2_PURGE_SIZE;
    }

    if (ngx_http_binarize_l2_parse_id(&text, &ns, guid) != NGX_OK) {
        return;
    }

    if (node) {
        listener->purged(listener->data, listener->redis, &ns, guid, node);

    } else {
        listener->landing(listener->data, &ns, guid);
    }
}


/* <ns>:<guid> */

static ngx_int_t
ngx_http_binarize_l2_parse_id(ngx_str_t *text, ngx_str_t *ns, u_char *guid)
{
    u_char  *p;

    if (text->len < 1 + BINARIZE_GUID_SIZE) {
        return NGX_ERROR;
    }

    p = text->data + text->len - BINARIZE_GUID_SIZE;

    if (p[-1] != ':'
        || binarize_guid_parse(p, BINARIZE_GUID_SIZE, guid) != BINARIZE_OK)
    {
        return NGX_ERROR;
    }

    ns->data = text->data;
    ns->len = p - 1 - text->data;

    return NGX_OK;
}
