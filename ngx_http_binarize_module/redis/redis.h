
/*
 * A Redis server as the configuration names it, and this worker's connection
 * to it.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>
#include "core/binarize.h"


#define NGX_HTTP_BINARIZE_REDIS_REPLY_MAX  65536


/* one per distinct server, prefix, time-outs and password */
typedef struct ngx_http_binarize_redis_s  ngx_http_binarize_redis_t;

/* a command in the air */
typedef struct ngx_http_binarize_redis_call_s  ngx_http_binarize_redis_call_t;

/*
 * rc is
 *   NGX_OK        reply is the answer
 *   NGX_DECLINED  Redis refused: reply is an error, reply->str says why
 *   NGX_ERROR     no answer: time-out or connection lost, reply is NULL
 *   NGX_ABORT     the worker exits: free what is yours and do nothing else
 * reply is freed after the return; ngx_http_binarize_redis_keep() takes it.
 * The handler may issue and cancel commands.
 */
typedef void (*ngx_http_binarize_redis_handler_pt)(void *data, ngx_int_t rc,
    redisReply *reply);

/* what an error answer says about Redis' state */
typedef enum {
    NGX_HTTP_BINARIZE_REDIS_NONE = 0,
    NGX_HTTP_BINARIZE_REDIS_READ,
    NGX_HTTP_BINARIZE_REDIS_WRITE
} ngx_http_binarize_redis_kind_e;

/*
 * A message of the subscribed channel, which lives until the return; NULL:
 * subscribed, for the first time or again, messages may have been missed.
 */
typedef void (*ngx_http_binarize_redis_message_pt)(void *data,
    ngx_str_t *message);


/*
 * Embedded in something of the issuer's that lives until the handler was
 * called, or would have been.
 */
struct ngx_http_binarize_redis_call_s {
    ngx_http_binarize_redis_handler_pt   handler;   /* NULL: not wanted */
    void                                *data;

    /* taken of a reply's strings, the others are read as nil; 0: 64 KiB */
    size_t                               reply_max;

    ngx_http_binarize_redis_kind_e       kind;

    /* set by the callee */
    ngx_queue_t                          queue;
    uint64_t                             position;  /* its end in the output */
    size_t                               expected;  /* size of the reply */
    ngx_msec_t                           issued;
};


/*
 * The last argument of a command, in pieces; they are where they are until
 * release(data) is called, once, whatever becomes of the command, maybe from
 * inside.  The callee sets release to NULL when it has taken care of that.
 */
typedef struct {
    const binarize_span_t               *spans;
    ngx_uint_t                           nspans;
    void                               (*release)(void *data);
    void                                *data;
} ngx_http_binarize_redis_body_t;


/* Lua, from redis/ by way of ngx_http_binarize_scripts.h */
typedef struct {
    const char                          *text;
    size_t                               size;
    u_char                               sha1[40];  /* set at the first use */
} ngx_http_binarize_redis_script_t;

#define ngx_http_binarize_redis_script(text)  { text, sizeof(text) - 1, "" }


/* of this worker, since it started */
typedef struct {
    uint64_t                             commands;
    uint64_t                             timeouts;  /* unanswered in time */
    uint64_t                             errors;    /* error answers */
    uint64_t                             lost;      /* connection lost */
    uint64_t                             connects;  /* tries */
    uint64_t                             failures;  /* of those */
    uint64_t                             oversize;  /* strings not taken */
    uint64_t                             received;  /* bytes */
    uint64_t                             sent;      /* bytes */
} ngx_http_binarize_redis_stats_t;


/*
 * Handler of "binarize_redis url|off [prefix=] [timeout=] [connect_timeout=]
 * [password_file=]".  Finds or creates the endpoint in endpoints, an array of
 * ngx_http_binarize_redis_t *, and stores it in *slot, which must hold
 * NGX_CONF_UNSET_PTR before; NULL stands for "off".  Resolves names, connects
 * to nothing.  Logs why it fails, in one line.
 */
char *ngx_http_binarize_redis_set(ngx_conf_t *cf, ngx_array_t *endpoints,
    ngx_http_binarize_redis_t **slot);

ngx_str_t *ngx_http_binarize_redis_prefix(ngx_http_binarize_redis_t *redis);

/*
 * "host:port/db prefix" or "unix:/path/db prefix", without secrets: equal for
 * endpoints that share their keys
 */
ngx_str_t *ngx_http_binarize_redis_identity(ngx_http_binarize_redis_t *redis);

ngx_int_t ngx_http_binarize_redis_init_process(ngx_cycle_t *cycle,
    ngx_array_t *endpoints);
void ngx_http_binarize_redis_exit_process(ngx_array_t *endpoints);

/*
 * 1 if a command issued now would be sent, or will be as soon as a connection
 * that is being made for the first time, or again after a clean end, is ready;
 * 0 while Redis is down, hung, loading, or far behind with what was sent.
 */
ngx_uint_t ngx_http_binarize_redis_usable(ngx_http_binarize_redis_t *redis);

ngx_http_binarize_redis_stats_t *ngx_http_binarize_redis_stats(
    ngx_http_binarize_redis_t *redis);

/*
 * From now on handler(data) is called when the numbers, or whether it is
 * usable, may have changed; it must not issue commands.
 */
void ngx_http_binarize_redis_watch(ngx_http_binarize_redis_t *redis,
    void (*handler)(void *data), void *data);

/*
 * 1 if Redis has lately refused a write (full, read-only, not allowed ...)
 * and it is not yet time to try the next
 */
ngx_uint_t ngx_http_binarize_redis_write_refused(
    ngx_http_binarize_redis_t *redis);

/*
 * Issues a command.  The arguments are copied; body, if not NULL, is the last
 * one.  The handler is not called from inside.  The answer comes within the
 * endpoint's time-out, or not at all: the time-out is the longest silence of a
 * Redis that owes answers.
 * Returns NGX_OK; or NGX_DECLINED if there is no usable connection: then the
 * handler is not called.
 */
ngx_int_t ngx_http_binarize_redis_command(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call, ngx_uint_t argc, const char **argv,
    const size_t *argvlen, ngx_http_binarize_redis_body_t *body);

/*
 * Runs a script, with its text only if Redis does not have it yet.  args are
 * nkeys keys and then the others.  Returns as .._command().
 */
ngx_int_t ngx_http_binarize_redis_eval(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_script_t *script, ngx_uint_t nkeys,
    ngx_uint_t nargs, ngx_str_t *args);

/*
 * Subscribes to a channel, on a connection of its own that is kept up until
 * the worker exits; once for an endpoint, after .._init_process().  The
 * handler is not called from inside.
 */
ngx_int_t ngx_http_binarize_redis_subscribe(ngx_http_binarize_redis_t *redis,
    ngx_str_t *channel, ngx_http_binarize_redis_message_pt handler,
    void *data);

/*
 * For a handler whose reply is not of the kind its command has: closes the
 * connection, the other answers on it may be anybody's.
 */
void ngx_http_binarize_redis_confused(ngx_http_binarize_redis_t *redis);

/* Takes the reply out of a handler: freeReplyObject() frees it. */
redisReply *ngx_http_binarize_redis_keep(redisReply *reply);


#endif /* _NGX_HTTP_BINARIZE_REDIS_H_INCLUDED_ */
