
/*
 * L2: results in Redis, shared by all workers and nodes.  One hash per
 * result, key <prefix><namespace>:<guid>.
 */


#ifndef _NGX_HTTP_BINARIZE_L2_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_L2_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "redis/redis.h"
#include "core/record.h"


/* a get in the air */
typedef struct ngx_http_binarize_l2_op_s  ngx_http_binarize_l2_op_t;

/*
 * rc is
 *   NGX_OK        found: the record is valid, its digest was checked
 *   NGX_DECLINED  not there, or foreign or corrupt (logged)
 *   NGX_ERROR     Redis is not usable: down, slow, loading, refuses
 * With NGX_OK the record's spans point into owner, which the handler takes
 * over and frees by ngx_http_binarize_l2_free(); else both are NULL.
 * ttl_ms is what is left of the key's life, -1 if it does not expire.
 * The record itself is the caller's only until the handler returns.
 */
typedef void (*ngx_http_binarize_l2_handler_pt)(void *data, ngx_int_t rc,
    binarize_record_t *record, void *owner, int64_t ttl_ms);


/*
 * Looks up a result; guid is canonical, BINARIZE_GUID_SIZE bytes; a PNG above
 * max_size bytes counts as foreign.  The handler is called once, never from
 * inside.  Returns NULL if Redis is not usable now, which is a miss: the
 * handler is not called.
 */
ngx_http_binarize_l2_op_t *ngx_http_binarize_l2_get(
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    size_t max_size, ngx_http_binarize_l2_handler_pt handler, void *data);

/* Frees what a handler was given as owner. */
void ngx_http_binarize_l2_free(void *owner);

/*
 * Replaces the key by the record, to expire after valid_s seconds, in one
 * transaction.  The record is copied, but record->png is not looked at: that
 * is png, which is released in any case.  Nobody is told how it ends:
 * failures are counted, and logged once per change of state.
 * Returns NGX_OK if the commands are on their way, else NGX_DECLINED.
 */
ngx_int_t ngx_http_binarize_l2_put(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, binarize_record_t *record,
    ngx_http_binarize_redis_body_t *png, time_t valid_s);


/*
 * Between nodes, nodes.c.
 */

/* keys of an id, kept by the node of a cluster that keeps the result */
#define NGX_HTTP_BINARIZE_L2_LEASE  "lease"
#define NGX_HTTP_BINARIZE_L2_STATE  "state"

/* what any key of an id takes at most, bytes */
size_t ngx_http_binarize_l2_key_size(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns);

/*
 * Writes {<result key>}:<name> to key->data, which has room for it, and sets
 * key->len.  result, unless NULL, becomes the result's key, a part of it.
 */
void ngx_http_binarize_l2_key_beside(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, const char *name, ngx_str_t *key,
    ngx_str_t *result);

/* pid and random: nobody else's on any node */
#define NGX_HTTP_BINARIZE_L2_TOKEN  32

/* the right to ask the cloud for an id, asked for or held */
typedef struct ngx_http_binarize_l2_lease_s  ngx_http_binarize_l2_lease_t;

/*
 * rc is
 *   NGX_OK     the lease is held
 *   NGX_BUSY   another holds it
 *   NGX_ERROR  Redis is not usable
 */
typedef void (*ngx_http_binarize_l2_lease_pt)(void *data, ngx_int_t rc);

/*
 * Something landed, on this node or another; ns and guid live until the
 * return.  guid NULL: landings may have been missed.
 */
typedef void (*ngx_http_binarize_l2_landing_pt)(void *data, ngx_str_t *ns,
    u_char *guid);

/* who purges: NGX_HTTP_BINARIZE_L2_NODE hex digits, each node has its own */
#define NGX_HTTP_BINARIZE_L2_NODE  16

/* A node has purged; ns, guid, and node live until the return. */
typedef void (*ngx_http_binarize_l2_purged_pt)(void *data,
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    u_char *node);

/*
 * rc is
 *   NGX_OK        Redis had something of the id, and has it no more
 *   NGX_DECLINED  it had nothing
 *   NGX_ERROR     Redis is not usable, or refuses
 *   NGX_ABORT     the worker exits
 */
typedef void (*ngx_http_binarize_l2_purge_pt)(void *data, ngx_int_t rc);

/* prefix + this: where nodes tell each other */
#define NGX_HTTP_BINARIZE_L2_CHANNEL        "landings"
#define NGX_HTTP_BINARIZE_L2_PURGE_MESSAGE  "purge "


/*
 * Asks for the lease, key {<result key>}:lease, which ends by itself after
 * ttl_ms, and is renewed before while it is held.  The handler is called once,
 * never from inside.  Returns NULL if Redis is not usable now: the handler is
 * not called.
 */
ngx_http_binarize_l2_lease_t *ngx_http_binarize_l2_lease(
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    ngx_msec_t ttl_ms, ngx_http_binarize_l2_lease_pt handler, void *data);

/*
 * To be called once for every lease, whatever became of it, and at any time:
 * gives back what is held, also if the answer is still in the air, whose
 * handler is not called any more.  The lease is gone.
 */
void ngx_http_binarize_l2_lease_release(ngx_http_binarize_l2_lease_t *lease);

/* The same for a lease that is held, and tells all nodes to look. */
void ngx_http_binarize_l2_lease_land(ngx_http_binarize_l2_lease_t *lease);

/*
 * What the lease is set to, NGX_HTTP_BINARIZE_L2_TOKEN bytes: whoever knows it
 * may give the lease back for a process that is gone.
 */
u_char *ngx_http_binarize_l2_lease_token(ngx_http_binarize_l2_lease_t *lease);

/*
 * Gives back a lease that was set to token, unless it has ended, and tells
 * all nodes to look.
 */
void ngx_http_binarize_l2_lease_drop(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, u_char *token);

/*
 * Listens to all nodes, this one too; once for an endpoint, in init_process,
 * after Redis' own.
 */
ngx_int_t ngx_http_binarize_l2_listen(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_l2_landing_pt landing,
    ngx_http_binarize_l2_purged_pt purged, void *data);


/*
 * purge.c: deletes what Redis has of an id, and tells all nodes that node
 * has purged.  The handler is called once, never from inside.  NGX_DECLINED:
 * Redis is not usable now, the handler is not called.
 */
ngx_int_t ngx_http_binarize_l2_purge(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, u_char *node,
    ngx_http_binarize_l2_purge_pt handler, void *data);


#endif /* _NGX_HTTP_BINARIZE_L2_H_INCLUDED_ */
