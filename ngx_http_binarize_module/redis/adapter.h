
/*
 * A hiredis async context on nginx's events.
 *
 * hiredis makes the socket, keeps the order of the callbacks and builds the
 * replies; nginx does the input and output, TLS included.  What comes in is
 * framed before hiredis sees it: strings above what a command wants are
 * dropped on the way, large ones are read straight into their final place,
 * and what would run into one of hiredis' assertions closes the connection.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_ADAPTER_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_ADAPTER_H_INCLUDED_


#include "redis/redis.h"
#include "redis/tls.h"


/* one connection; it is gone when its closed handler has returned */
typedef struct ngx_http_binarize_redis_adapter_s
    ngx_http_binarize_redis_adapter_t;


typedef struct {
    char                *host;       /* numeric; NULL: a unix domain socket */
    char                *path;
    ngx_str_t            name;       /* for the log */
    in_port_t            port;
} ngx_http_binarize_redis_address_t;


typedef struct {
    /* the connection stands, TLS is verified */
    void               (*connected)(void *data);

    /* reply is NULL: there will be none */
    void               (*reply)(void *data,
                             ngx_http_binarize_redis_call_t *call,
                             redisReply *reply);

    /* what comes unasked; NULL: it closes the connection */
    void               (*message)(void *data, redisReply *reply);

    /*
     * The connection is about to go: the adapter must not be used any more.
     * Afterwards the calls in the air get their NULL replies.
     */
    void               (*closed)(void *data, const char *reason);
} ngx_http_binarize_redis_events_t;


/*
 * Starts connecting, tls is NULL for none; never blocks.  Returns NULL if that
 * fails at once, with *reason, which lives until the next call; events are
 * not called then, and never from inside.
 */
ngx_http_binarize_redis_adapter_t *ngx_http_binarize_redis_adapter_connect(
    ngx_http_binarize_redis_address_t *address,
    ngx_http_binarize_redis_tls_t *tls,
    const ngx_http_binarize_redis_events_t *events, void *data,
    ngx_http_binarize_redis_stats_t *stats, ngx_log_t *log,
    const char **reason);

/*
 * Queues a command, call may be NULL for one that has no reply of its own
 * (SUBSCRIBE).  The last argument is the body if that is not NULL.
 * Returns NGX_OK; or NGX_ERROR: then the connection is about to close.
 */
ngx_int_t ngx_http_binarize_redis_adapter_command(
    ngx_http_binarize_redis_adapter_t *adapter,
    ngx_http_binarize_redis_call_t *call, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_http_binarize_redis_body_t *body);

/* where what was queued last ends, in bytes since the connection was made */
uint64_t ngx_http_binarize_redis_adapter_position(
    ngx_http_binarize_redis_adapter_t *adapter);

/*
 * Up to there it may be sent, which happens at the end of this turn of the
 * event loop, or as soon as the connection stands.
 */
void ngx_http_binarize_redis_adapter_allow(
    ngx_http_binarize_redis_adapter_t *adapter, uint64_t position);

/* of the reply at hand: all its strings, those that were not taken as well */
size_t ngx_http_binarize_redis_adapter_reply_size(
    ngx_http_binarize_redis_adapter_t *adapter);

/* bytes queued and not yet sent */
size_t ngx_http_binarize_redis_adapter_queued(
    ngx_http_binarize_redis_adapter_t *adapter);

/* when the server was last seen alive, ngx_current_msec */
ngx_msec_t ngx_http_binarize_redis_adapter_seen(
    ngx_http_binarize_redis_adapter_t *adapter);

/*
 * Closes the connection, at once or, from inside an event, after its return.
 * The closed handler is called either way.
 */
void ngx_http_binarize_redis_adapter_close(
    ngx_http_binarize_redis_adapter_t *adapter, const char *reason);


#endif /* _NGX_HTTP_BINARIZE_REDIS_ADAPTER_H_INCLUDED_ */
