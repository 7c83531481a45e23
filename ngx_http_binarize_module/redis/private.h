
/*
 * Shared by the files of _redis_*, and by nobody else.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_PRIVATE_H_INCLUDED_


#include "redis/conf.h"


#define NGX_HTTP_BINARIZE_REDIS_WORD  16


/* a connection that only listens */
typedef struct ngx_http_binarize_redis_subscription_s
    ngx_http_binarize_redis_subscription_t;


typedef struct {
    /* empty: nothing was refused */
    u_char                                word[NGX_HTTP_BINARIZE_REDIS_WORD];
    ngx_msec_t                            backoff_ms;
    ngx_msec_t                            retry_at;
} ngx_http_binarize_redis_refusal_t;


struct ngx_http_binarize_redis_s {
    ngx_http_binarize_redis_conf_t        conf;

    /* this worker's */

    ngx_http_binarize_redis_stats_t       stats;
    void                                (*watch)(void *data);
    void                                 *watch_data;
    ngx_http_binarize_redis_adapter_t    *adapter;     /* NULL: none */
    ngx_uint_t                            address;     /* the next to try */
    ngx_uint_t                            naddresses;  /* tried in a row */
    ngx_msec_t                            ready_at;
    ngx_msec_t                            backoff_ms;

    /*
     * In their order; those before unsent (NULL: all) are on their way.  A
     * read that would bring more than a window at once waits: Redis executes
     * what it can read before it writes the first answer, and keeps them all
     * in memory.
     */
    ngx_queue_t                           calls;
    ngx_queue_t                          *unsent;
    ngx_uint_t                            nreads;      /* on their way */
    size_t                                expected;    /* their answers */
    size_t                                estimate;    /* of one */

    ngx_msec_t                            answered_at; /* the last of them */
    ngx_uint_t                            nwaiting;    /* not of our own */
    ngx_http_binarize_redis_call_t        handshake[4];
    ngx_uint_t                            nhandshake;

    ngx_http_binarize_redis_refusal_t
                            refusals[NGX_HTTP_BINARIZE_REDIS_WRITE + 1];

    ngx_connection_t                      ident;       /* for debug logs */
    ngx_event_t                           timer;
    ngx_event_t                           retry;
    ngx_log_t                            *log;

    /* whose connection this is, of an endpoint: whom it has */
    ngx_http_binarize_redis_subscription_t  *subscription;

    unsigned                              listener:1;  /* serves that one */
    unsigned                              running:1;   /* in a worker */
    unsigned                              connected:1;
    unsigned                              ready:1;     /* handshake done */
    unsigned                              failing:1;   /* the last try did */
    unsigned                              down:1;      /* and it was logged */
    unsigned                              broken:1;    /* it makes no sense */
    unsigned                              timedout:1;
    unsigned                              grace:1;
    unsigned                              exiting:1;
};


/* redis.c */

void ngx_http_binarize_redis_start(ngx_http_binarize_redis_t *redis,
    ngx_log_t *log);
void ngx_http_binarize_redis_stop(ngx_http_binarize_redis_t *redis);
void ngx_http_binarize_redis_notify(ngx_http_binarize_redis_t *redis);

/* Puts a command queued with the adapter in line, sends what may be sent. */
void ngx_http_binarize_redis_line_up(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call);
void ngx_http_binarize_redis_send(ngx_http_binarize_redis_t *redis);

void ngx_http_binarize_redis_on_reply(void *data,
    ngx_http_binarize_redis_call_t *call, redisReply *reply);

/* the class of an error: its first word */
void ngx_http_binarize_redis_error_word(redisReply *reply,
    u_char word[NGX_HTTP_BINARIZE_REDIS_WORD]);

/* printable, cut to size, ends with \0 */
void ngx_http_binarize_redis_error_text(redisReply *reply, u_char *text,
    size_t size);

/* connect.c */

/* The outcome is in redis->adapter, ->failing. */
void ngx_http_binarize_redis_connect(ngx_http_binarize_redis_t *redis);
void ngx_http_binarize_redis_on_retry(ngx_event_t *ev);

/* Redis does what it is there for: says so if it did not. */
void ngx_http_binarize_redis_recovered(ngx_http_binarize_redis_t *redis);

/* subscribe.c */

void ngx_http_binarize_redis_subscription_start(
    ngx_http_binarize_redis_subscription_t *subscription);
void ngx_http_binarize_redis_subscription_stop(
    ngx_http_binarize_redis_subscription_t *subscription);
void ngx_http_binarize_redis_on_message(void *data, redisReply *reply);


#endif /* _NGX_HTTP_BINARIZE_REDIS_PRIVATE_H_INCLUDED_ */
