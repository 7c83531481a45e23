
#include "l2/l2.h"
#include "l2/digest.h"
#include "l2/seen.h"


/* what a record has besides its PNG, at most: envelope, etag, stored */
#define NGX_HTTP_BINARIZE_L2_OVERHEAD  (64 * 1024 + 256)


struct ngx_http_binarize_l2_op_s {
    ngx_http_binarize_redis_call_t    pttl;
    ngx_http_binarize_redis_call_t    hmget;
    ngx_uint_t                        ncalls;       /* in the air */
    ngx_http_binarize_redis_t        *redis;

    ngx_http_binarize_l2_handler_pt   handler;      /* NULL: cancelled */
    void                             *data;

    size_t                            max_size;
    int64_t                           ttl_ms;

    /* of a record that is verified */
    redisReply                       *owner;
    binarize_record_t                 record;
    binarize_fingerprint_t            fingerprint;
    ngx_http_binarize_l2_seen_t      *seen;
    ngx_http_binarize_l2_digest_t     digest;

    ngx_str_t                         key;          /* after this structure */
};


typedef struct {
    ngx_http_binarize_redis_call_t    calls[5];
    ngx_uint_t                        ncalls;       /* in the air */
} ngx_http_binarize_l2_put_t;


static u_char *ngx_http_binarize_l2_key(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, u_char *p);
static void ngx_http_binarize_l2_on_pttl(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_l2_on_hmget(void *data, ngx_int_t rc,
    redisReply *reply);
static ngx_int_t ngx_http_binarize_l2_found(ngx_http_binarize_l2_op_t *op,
    redisReply *reply);
static ngx_int_t ngx_http_binarize_l2_read(ngx_http_binarize_l2_op_t *op,
    redisReply *reply);
static void ngx_http_binarize_l2_on_digest(void *data,
    const u_char etag[BINARIZE_ETAG_SIZE]);
static void ngx_http_binarize_l2_verified(ngx_http_binarize_l2_op_t *op);
static void ngx_http_binarize_l2_ignored(ngx_http_binarize_l2_op_t *op,
    const char *reason);
static void ngx_http_binarize_l2_release(ngx_http_binarize_l2_op_t *op);
static ngx_int_t ngx_http_binarize_l2_put_record(
    ngx_http_binarize_redis_t *redis, ngx_str_t *ns, u_char *guid,
    binarize_record_t *record, ngx_http_binarize_redis_body_t *png,
    time_t valid_s);
static ngx_int_t ngx_http_binarize_l2_put_command(
    ngx_http_binarize_redis_t *redis, ngx_http_binarize_l2_put_t *put,
    ngx_uint_t argc, ngx_str_t *args, ngx_http_binarize_redis_body_t *body);
static void ngx_http_binarize_l2_on_put(void *data, ngx_int_t rc,
    redisReply *reply);


ngx_http_binarize_l2_op_t *
ngx_http_binarize_l2_get(ngx_http_binarize_redis_t *redis, ngx_str_t *ns,
    u_char *guid, size_t max_size, ngx_http_binarize_l2_handler_pt handler,
    void *data)
{
    size_t                      argvlen[2 + NGX_HTTP_BINARIZE_L2_NFIELDS];
    const char                 *argv[2 + NGX_HTTP_BINARIZE_L2_NFIELDS];
    ngx_uint_t                  i;
    ngx_http_binarize_l2_op_t  *op;

    static const char          *fields[] = {
        "png", "doc", "etag", "stored", "unpadded"
    };

    if (!ngx_http_binarize_redis_usable(redis)) {
        return NULL;
    }

    op = ngx_alloc(sizeof(ngx_http_binarize_l2_op_t)
                   + ngx_http_binarize_l2_key_size(redis, ns),
                   ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    ngx_memzero(op, sizeof(ngx_http_binarize_l2_op_t));

    op->redis = redis;
    op->handler = handler;
    op->data = data;
    op->max_size = max_size;

    op->key.data = (u_char *) (op + 1);
    op->key.len = ngx_http_binarize_l2_key(redis, ns, guid, op->key.data)
                  - op->key.data;

    argv[0] = "PTTL";
    argvlen[0] = 4;

    argv[1] = (char *) op->key.data;
    argvlen[1] = op->key.len;

    op->pttl.handler = ngx_http_binarize_l2_on_pttl;
    op->pttl.data = op;

    if (ngx_http_binarize_redis_command(redis, &op->pttl, 2, argv, argvlen,
                                        NULL)
        != NGX_OK)
    {
        ngx_free(op);
        return NULL;
    }

    op->ncalls = 1;

    argv[0] = "HMGET";
    argvlen[0] = 5;

    for (i = 0; i < NGX_HTTP_BINARIZE_L2_NFIELDS; i++) {
        argv[2 + i] = fields[i];
        argvlen[2 + i] = ngx_strlen(fields[i]);
    }

    op->hmget.handler = ngx_http_binarize_l2_on_hmget;
    op->hmget.data = op;
    op->hmget.reply_max = max_size + NGX_HTTP_BINARIZE_L2_OVERHEAD;
    op->hmget.kind = NGX_HTTP_BINARIZE_REDIS_READ;

    if (ngx_http_binarize_redis_command(redis, &op->hmget,
                                        2 + NGX_HTTP_BINARIZE_L2_NFIELDS,
                                        argv, argvlen, NULL)
        != NGX_OK)
    {
        /* the first answer frees op */

        op->handler = NULL;
        return NULL;
    }

    op->ncalls++;

    return op;
}


void
ngx_http_binarize_l2_free(void *owner)
{
    freeReplyObject(owner);
}


size_t
ngx_http_binarize_l2_key_size(ngx_http_binarize_redis_t *redis, ngx_str_t *ns)
{
    return ngx_http_binarize_redis_prefix(redis)->len + ns->len
           + BINARIZE_GUID_SIZE + sizeof("{:}:") - 1
           + ngx_max(sizeof(NGX_HTTP_BINARIZE_L2_LEASE),
                     sizeof(NGX_HTTP_BINARIZE_L2_STATE)) - 1;
}


static u_char *
ngx_http_binarize_l2_key(ngx_http_binarize_redis_t *redis, ngx_str_t *ns,
    u_char *guid, u_char *p)
{
    ngx_str_t  *prefix;

    prefix = ngx_http_binarize_redis_prefix(redis);

    p = ngx_cpymem(p, prefix->data, prefix->len);
    p = ngx_cpymem(p, ns->data, ns->len);
    *p++ = ':';

    return ngx_cpymem(p, guid, BINARIZE_GUID_SIZE);
}


void
ngx_http_binarize_l2_key_beside(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, const char *name, ngx_str_t *key,
    ngx_str_t *result)
{
    u_char  *p;

    p = key->data;
    *p++ = '{';
    p = ngx_http_binarize_l2_key(redis, ns, guid, p);

    if (result) {
        result->data = key->data + 1;
        result->len = p - result->data;
    }

    *p++ = '}';
    *p++ = ':';
    p = ngx_cpymem(p, name, ngx_strlen(name));

    key->len = p - key->data;
}


static void
ngx_http_binarize_l2_on_pttl(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_op_t *op = data;

    if (rc == NGX_OK) {

        if (reply->type == REDIS_REPLY_INTEGER) {

            /* -1: does not expire; -2: not there, but may be a moment later */

            op->ttl_ms = (reply->integer < -1) ? 0 : reply->integer;

        } else {
            ngx_http_binarize_redis_confused(op->redis);
        }
    }

    ngx_http_binarize_l2_release(op);
}


static void
ngx_http_binarize_l2_on_hmget(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_op_t *op = data;

    if (op->handler == NULL || rc == NGX_ABORT) {
        ngx_http_binarize_l2_release(op);
        return;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_binarize_l2_found(op, reply);

    } else if (rc == NGX_DECLINED
               && ngx_strncmp(reply->str, "WRONGTYPE", 9) == 0)
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "redis key \"%V\" is not a hash, ignored", &op->key);

    } else {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        op->handler(op->data, rc, NULL, NULL, 0);
    }

    ngx_http_binarize_l2_release(op);
}


/* NGX_OK: the handler was called, or will be */

static ngx_int_t
ngx_http_binarize_l2_found(ngx_http_binarize_l2_op_t *op, redisReply *reply)
{
    ngx_int_t  rc;

    rc = ngx_http_binarize_l2_read(op, reply);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return rc;
    }

    op->owner = ngx_http_binarize_redis_keep(reply);
    if (op->owner == NULL) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        ngx_http_binarize_l2_verified(op);
        return NGX_OK;
    }

    op->ncalls++;

    ngx_http_binarize_l2_digest(&op->digest, &op->record.png,
                                ngx_http_binarize_l2_on_digest, op);

    return NGX_OK;
}


/* NGX_AGAIN: the record is good if its digest is */

static ngx_int_t
ngx_http_binarize_l2_read(ngx_http_binarize_l2_op_t *op, redisReply *reply)
{
    int              rc;
    ngx_uint_t       i;
    redisReply      *r;
    const char      *reason;
    binarize_span_t  values[NGX_HTTP_BINARIZE_L2_NFIELDS];

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements != NGX_HTTP_BINARIZE_L2_NFIELDS)
    {
        ngx_http_binarize_redis_confused(op->redis);
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_L2_NFIELDS; i++) {

        r = reply->element[i];

        values[i].data = NULL;
        values[i].size = 0;

        if (r->type == REDIS_REPLY_STRING) {
            values[i].data = (u_char *) r->str;
            values[i].size = r->len;

        } else if (r->type != REDIS_REPLY_NIL) {
            ngx_http_binarize_redis_confused(op->redis);
            return NGX_ERROR;
        }
    }

    /* the digest costs more than all the rest: once is enough */

    op->seen = ngx_http_binarize_l2_seen(&op->key, values, op->max_size,
                                         &op->fingerprint);

    if (ngx_http_binarize_l2_seen_record(op->seen, &op->fingerprint, values,
                                         &op->record))
    {
        return NGX_OK;
    }

    reason = "corrupt";

    rc = binarize_record_read(values,
                              op->key.data + op->key.len - BINARIZE_GUID_SIZE,
                              op->max_size, &op->record, &reason);

    if (rc == BINARIZE_OK) {
        return NGX_AGAIN;
    }

    if (rc != BINARIZE_DECLINED) {
        ngx_http_binarize_l2_ignored(op, reason);
    }

    return NGX_DECLINED;
}


static void
ngx_http_binarize_l2_on_digest(void *data,
    const u_char etag[BINARIZE_ETAG_SIZE])
{
    ngx_http_binarize_l2_op_t *op = data;

    binarize_record_t  *record;

    record = &op->record;

    if (op->handler == NULL) {
        ngx_http_binarize_l2_free(op->owner);

    } else if (record->etag.size != BINARIZE_ETAG_SIZE
               || ngx_memcmp(record->etag.data, etag, BINARIZE_ETAG_SIZE) != 0)
    {
        ngx_http_binarize_l2_ignored(op, "etag and png do not match");
        ngx_http_binarize_l2_free(op->owner);

        op->handler(op->data, NGX_DECLINED, NULL, NULL, 0);

    } else {
        ngx_http_binarize_l2_json_etag(&record->doc, etag, record->json_etag);
        ngx_http_binarize_l2_see(op->seen, &op->fingerprint, record);

        ngx_http_binarize_l2_verified(op);
    }

    ngx_http_binarize_l2_release(op);
}


static void
ngx_http_binarize_l2_verified(ngx_http_binarize_l2_op_t *op)
{
    op->handler(op->data, NGX_OK, &op->record, op->owner, op->ttl_ms);
}


static void
ngx_http_binarize_l2_ignored(ngx_http_binarize_l2_op_t *op,
    const char *reason)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "redis record \"%V\" ignored: %s", &op->key, reason);
}


static void
ngx_http_binarize_l2_release(ngx_http_binarize_l2_op_t *op)
{
    if (--op->ncalls == 0) {
        ngx_free(op);
    }
}


ngx_int_t
ngx_http_binarize_l2_put(ngx_http_binarize_redis_t *redis, ngx_str_t *ns,
    u_char *guid, binarize_record_t *record,
    ngx_http_binarize_redis_body_t *png, time_t valid_s)
{
    ngx_int_t  rc;

    rc = ngx_http_binarize_l2_put_record(redis, ns, guid, record, png,
                                         valid_s);

    if (png->release) {
        png->release(png->data);
        png->release = NULL;
    }

    return rc;
}


static ngx_int_t
ngx_http_binarize_l2_put_record(ngx_http_binarize_redis_t *redis,
    ngx_str_t *ns, u_char *guid, binarize_record_t *record,
    ngx_http_binarize_redis_body_t *png, time_t valid_s)
{
    char                         stored[BINARIZE_STORED_SIZE];
    u_char                      *key, seconds[NGX_TIME_T_LEN];
    ngx_str_t                    args[12];
    ngx_uint_t                   n;
    ngx_http_binarize_l2_put_t  *put;

    if (!ngx_http_binarize_redis_usable(redis)
        || ngx_http_binarize_redis_write_refused(redis))
    {
        return NGX_DECLINED;
    }

    put = ngx_alloc(sizeof(ngx_http_binarize_l2_put_t)
                    + ngx_http_binarize_l2_key_size(redis, ns),
                    ngx_cycle->log);
    if (put == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(put, sizeof(ngx_http_binarize_l2_put_t));

    key = (u_char *) (put + 1);

    args[1].data = key;
    args[1].len = ngx_http_binarize_l2_key(redis, ns, guid, key) - key;

    /* ours until the last command: answers come later */

    ngx_str_set(&args[0], "MULTI");

    if (ngx_http_binarize_l2_put_command(redis, put, 1, args, NULL) != NGX_OK) {
        ngx_free(put);
        return NGX_DECLINED;
    }

    /* no field of an older record remains, nor anything but a hash */

    ngx_str_set(&args[0], "DEL");

    if (ngx_http_binarize_l2_put_command(redis, put, 2, args, NULL) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_str_set(&args[0], "HSET");

    ngx_str_set(&args[2], "doc");
    args[3].data = (u_char *) record->doc.data;
    args[3].len = record->doc.size;

    ngx_str_set(&args[4], "etag");
    args[5].data = (u_char *) record->etag.data;
    args[5].len = record->etag.size;

    ngx_str_set(&args[6], "stored");
    args[7].data = (u_char *) stored;
    args[7].len = binarize_record_stored(record->stored, stored);

    n = 8;

    if (record->unpadded) {
        ngx_str_set(&args[n], "unpadded");
        n++;
        ngx_str_set(&args[n], "1");
        n++;
    }

    ngx_str_set(&args[n], "png");
    n++;

    if (ngx_http_binarize_l2_put_command(redis, put, n, args, png) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_str_set(&args[0], "EXPIRE");
    args[2].data = seconds;
    args[2].len = ngx_sprintf(seconds, "%T", valid_s) - seconds;

    if (ngx_http_binarize_l2_put_command(redis, put, 3, args, NULL) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_str_set(&args[0], "EXEC");

    return ngx_http_binarize_l2_put_command(redis, put, 1, args, NULL);
}


/*
 * A command that cannot be queued closes the connection, so no transaction
 * is left open; the commands before it free put then.
 */

static ngx_int_t
ngx_http_binarize_l2_put_command(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_l2_put_t *put, ngx_uint_t argc, ngx_str_t *args,
    ngx_http_binarize_redis_body_t *body)
{
    size_t                           argvlen[12];
    const char                      *argv[12];
    ngx_uint_t                       i;
    ngx_http_binarize_redis_call_t  *call;

    for (i = 0; i < argc; i++) {
        argv[i] = (char *) args[i].data;
        argvlen[i] = args[i].len;
    }

    call = &put->calls[put->ncalls];

    call->handler = ngx_http_binarize_l2_on_put;
    call->data = put;
    call->kind = NGX_HTTP_BINARIZE_REDIS_WRITE;

    if (ngx_http_binarize_redis_command(redis, call, argc, argv, argvlen, body)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    put->ncalls++;

    return NGX_OK;
}


static void
ngx_http_binarize_l2_on_put(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_l2_put_t *put = data;

    (void) rc;
    (void) reply;

    if (--put->ncalls == 0) {
        ngx_free(put);
    }
}
