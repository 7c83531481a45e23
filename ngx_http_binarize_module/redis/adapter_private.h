
/*
 * Shared by the files of _redis_adapter_*, and by nobody else.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_ADAPTER_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_ADAPTER_PRIVATE_H_INCLUDED_


#include "redis/adapter.h"
#include "redis/frame.h"
#include "redis/output.h"

#include <hiredis/async.h>


struct ngx_http_binarize_redis_adapter_s {
    redisAsyncContext                       *context;
    ngx_connection_t                        *connection;
    ngx_log_t                               *log;

    const ngx_http_binarize_redis_events_t  *events;
    void                                    *data;
    ngx_http_binarize_redis_stats_t         *stats;

    ngx_http_binarize_redis_tls_t           *tls;

    ngx_event_t                              flush;
    ngx_http_binarize_redis_output_t         output;
    uint64_t                                 position;   /* its end */
    uint64_t                                 allowed;    /* may be sent */
    ngx_msec_t                               seen;

    redisReplyObjectFunctions               *hiredis_functions;
    redisReplyObjectFunctions                functions;
    ngx_uint_t                               nstrings;
    ngx_http_binarize_redis_frame_t          frame;

    ngx_uint_t                               depth;      /* of our handlers */
    char                                     reason[160];

    unsigned                                 connected:1;
    unsigned                                 blocked:1;  /* by the socket */
    unsigned                                 closing:1;  /* see reason */
    unsigned                                 closed:1;   /* the owner knows */
    unsigned                                 dead:1;     /* freed at depth 0 */
};


/* adapter.c */

/* The connection is about to close, the first reason counts. */
void ngx_http_binarize_redis_adapter_fail(
    ngx_http_binarize_redis_adapter_t *adapter, const char *reason);

/* Ends whatever may have made the connection unusable. */
void ngx_http_binarize_redis_adapter_leave(
    ngx_http_binarize_redis_adapter_t *adapter);

/* Tells the owner, once, that the connection goes. */
void ngx_http_binarize_redis_adapter_notify(
    ngx_http_binarize_redis_adapter_t *adapter);


/* adapter_send.c */

void ngx_http_binarize_redis_adapter_on_flush(ngx_event_t *ev);
void ngx_http_binarize_redis_adapter_flush(
    ngx_http_binarize_redis_adapter_t *adapter);


/* adapter_read.c */

/* Stands between the socket and hiredis' reader. */
void ngx_http_binarize_redis_adapter_read_init(
    ngx_http_binarize_redis_adapter_t *adapter);
void ngx_http_binarize_redis_adapter_on_read(ngx_event_t *rev);

/* hiredis' callback of every command */
void ngx_http_binarize_redis_adapter_on_reply(redisAsyncContext *context,
    void *reply, void *data);


#endif /* _NGX_HTTP_BINARIZE_REDIS_ADAPTER_PRIVATE_H_INCLUDED_ */
