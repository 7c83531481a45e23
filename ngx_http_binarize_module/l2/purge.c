
#include "l2/l2.h"


typedef struct {
    ngx_http_binarize_redis_call_t    del;
    ngx_http_binarize_redis_call_t    publish;
    ngx_uint_t                        nleft;    /* answers to come */
    ngx_http_binarize_redis_t        *redis;

    ngx_http_binarize_l2_purge_pt     handler;  /* NULL: not called */
    void                             *data;
    ngx_int_t                         rc;
} ngx_http_binarize_l2_purge_t;


static ngx_int_t ngx_http_binarize_l2_purge_command(
    ngx_http_binarize_l2_purge_t *purge, ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_handler_pt handler, ngx_uint_t argc,
    ngx_str_t *args);
static void ngx_http_binarize_l2_on_del(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_l2_on_publish(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_l2_purge_answered(
    ngx_http_binarize_l2_purge_t *purge, ngx_int_t rc);


ngx_int_t
ngx_http_binarize_l2_purge(ngx_http_binarize_redis_t *redis, ngx_str_t *ns,
    u_char *guid, u_char *node, ngx_http_binarize_l2_purge_pt handler,
    void *data)
{
    size_t                         size;
    u_char                        *p;
    ngx_str_t                      args[3], *prefix;
    ngx_http_binarize_l2_purge_t  *purge;

    if (!ngx_http_binarize_redis_usable(redis)) {
        return NGX_DECLINED;
    }

    prefix = ngx_http_binarize_redis_prefix(redis);

    size = ngx_http_binarize_l2_key_size(redis, ns)
           + NGX_HTTP_BINARIZE_L2_NODE
           + sizeof(NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE);

    purge = ngx_calloc(sizeof(ngx_http_binarize_l2_purge_t) + 2 * size,
                       ngx_cycle->log);
    if (purge == NULL) {
        return NGX_DECLINED;
    }

    purge->redis = redis;
    purge->handler = handler;
    purge->data = data;
    purge->rc = NGX_ERROR;

    p = (u_char *) (purge + 1);

    ngx_str_set(&args[0], "DEL");
    args[2].data = p;
    ngx_http_binarize_l2_key_beside(redis, ns, guid,
                                    NGX_HTTP_BINARIZE_L2_STATE, &args[2],
                                    &args[1]);

    if (ngx_http_binarize_l2_purge_command(purge, &purge->del,
                                           ngx_http_binarize_l2_on_del, 3,
                                           args)
        != NGX_OK)
    {
        ngx_free(purge);
        return NGX_DECLINED;
    }

    /* after it, on the same connection */

    ngx_str_set(&args[0], "PUBLISH");
    args[1].data = p;
    args[1].len = ngx_sprintf(p, "%V" NGX_HTTP_BINARIZE_L2_CHANNEL, prefix)
                  - p;
    args[2].data = p + size;
    args[2].len = ngx_sprintf(p + size,
                              NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE
                              "%V:%*s %*s", ns,
                              (size_t) BINARIZE_GUID_SIZE, guid,
                              (size_t) NGX_HTTP_BINARIZE_L2_NODE, node)
                  - args[2].data;

    if (ngx_http_binarize_l2_purge_command(purge, &purge->publish,
                                           ngx_http_binarize_l2_on_publish, 3,
                                           args)
        != NGX_OK)
    {
        /* freed by the answer under way */
        purge->handler = NULL;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_l2_purge_command(ngx_http_binarize_l2_purge_t *purge,
    ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_handler_pt handler, ngx_uint_t argc,
    ngx_str_t *args)
{
    size_t       lens[3];
    ngx_uint_t   i;
    const char  *argv[3];

    for (i = 0; i < argc; i++) {
        argv[i] = (char *) args[i].data;
        lens[i] = args[i].len;
    }

    call->handler = handler;
    call->data = purge;

    if (ngx_http_binarize_redis_command(purge->redis, call, argc, argv, lens,
                                        NULL)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    purge->nleft++;

    return NGX_OK;
}


static void
ngx_http_binarize_l2_on_del(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_purge_t *purge = data;

    if (rc == NGX_OK) {

        if (reply->type == REDIS_REPLY_INTEGER) {
            purge->rc = reply->integer ? NGX_OK : NGX_DECLINED;

        } else {
            ngx_http_binarize_redis_confused(purge->redis);
        }
    }

    ngx_http_binarize_l2_purge_answered(purge, rc);
}


static void
ngx_http_binarize_l2_on_publish(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_purge_t *purge = data;

    (void) reply;

    if (rc != NGX_OK) {
        purge->rc = NGX_ERROR;
    }

    ngx_http_binarize_l2_purge_answered(purge, rc);
}


static void
ngx_http_binarize_l2_purge_answered(ngx_http_binarize_l2_purge_t *purge,
    ngx_int_t rc)
{
    if (--purge->nleft) {
        return;
    }

    if (purge->handler) {
        purge->handler(purge->data, rc == NGX_ABORT ? NGX_ABORT : purge->rc);
    }

    ngx_free(purge);
}
