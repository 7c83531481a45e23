
#include "redis/redis.h"

#include <openssl/evp.h>


/* EVALSHA, hash, number of keys, and up to 16 arguments */
#define NGX_HTTP_BINARIZE_ARGC_MAX  (3 + 16)


/* keeps the arguments until it is known that Redis has the script */
typedef struct {
    ngx_http_binarize_redis_call_t      call;
    ngx_http_binarize_redis_call_t     *callers;
    ngx_http_binarize_redis_t          *redis;
    ngx_http_binarize_redis_script_t   *script;
    ngx_uint_t                          argc;
    const char                         *argv[NGX_HTTP_BINARIZE_ARGC_MAX];
    size_t                              argvlen[NGX_HTTP_BINARIZE_ARGC_MAX];
    u_char                              nkeys[NGX_INT_T_LEN];
} ngx_http_binarize_redis_eval_t;


static ngx_int_t ngx_http_binarize_redis_script_hash(
    ngx_http_binarize_redis_script_t *script);
static void ngx_http_binarize_redis_on_eval(void *data, ngx_int_t rc,
    redisReply *reply);
static ngx_int_t ngx_http_binarize_redis_eval_text(
    ngx_http_binarize_redis_eval_t *eval);


ngx_int_t
ngx_http_binarize_redis_eval(ngx_http_binarize_redis_t *redis,
    ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_script_t *script, ngx_uint_t nkeys,
    ngx_uint_t nargs, ngx_str_t *args)
{
    u_char                          *p;
    size_t                           size;
    ngx_uint_t                       i;
    ngx_http_binarize_redis_eval_t  *eval;

    if (3 + nargs > NGX_HTTP_BINARIZE_ARGC_MAX
        || ngx_http_binarize_redis_script_hash(script) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    size = sizeof(ngx_http_binarize_redis_eval_t);

    for (i = 0; i < nargs; i++) {
        size += args[i].len;
    }

    eval = ngx_alloc(size, ngx_cycle->log);
    if (eval == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(eval, sizeof(ngx_http_binarize_redis_eval_t));

    eval->callers = call;
    eval->redis = redis;
    eval->script = script;

    eval->call.handler = ngx_http_binarize_redis_on_eval;
    eval->call.data = eval;
    eval->call.reply_max = call->reply_max;
    eval->call.kind = call->kind;

    eval->argv[0] = "EVALSHA";
    eval->argvlen[0] = sizeof("EVALSHA") - 1;

    eval->argv[1] = (char *) script->sha1;
    eval->argvlen[1] = sizeof(script->sha1);

    eval->argv[2] = (char *) eval->nkeys;
    eval->argvlen[2] = ngx_sprintf(eval->nkeys, "%ui", nkeys) - eval->nkeys;

    p = (u_char *) (eval + 1);

    for (i = 0; i < nargs; i++) {
        eval->argv[3 + i] = (char *) p;
        eval->argvlen[3 + i] = args[i].len;
        p = ngx_cpymem(p, args[i].data, args[i].len);
    }

    eval->argc = 3 + nargs;

    if (ngx_http_binarize_redis_command(redis, &eval->call, eval->argc,
                                        eval->argv, eval->argvlen, NULL)
        != NGX_OK)
    {
        ngx_free(eval);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_redis_script_hash(ngx_http_binarize_redis_script_t *script)
{
    u_char  digest[EVP_MAX_MD_SIZE];

    if (script->sha1[0]) {
        return NGX_OK;
    }

    if (EVP_Digest(script->text, script->size, digest, NULL, EVP_sha1(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(script->sha1, digest, sizeof(script->sha1) / 2);

    return NGX_OK;
}


static void
ngx_http_binarize_redis_on_eval(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_redis_eval_t *eval = data;

    ngx_http_binarize_redis_call_t  *call;

    if (rc == NGX_DECLINED && ngx_strncmp(reply->str, "NOSCRIPT", 8) == 0
        && eval->argv[1] != eval->script->text)
    {
        if (ngx_http_binarize_redis_eval_text(eval) == NGX_OK) {
            return;
        }

        rc = NGX_ERROR;
        reply = NULL;
    }

    call = eval->callers;
    ngx_free(eval);

    if (call->handler) {
        call->handler(call->data, rc, reply);
    }
}


static ngx_int_t
ngx_http_binarize_redis_eval_text(ngx_http_binarize_redis_eval_t *eval)
{
    eval->argv[0] = "EVAL";
    eval->argvlen[0] = sizeof("EVAL") - 1;

    eval->argv[1] = eval->script->text;
    eval->argvlen[1] = eval->script->size;

    return ngx_http_binarize_redis_command(eval->redis, &eval->call,
                                           eval->argc, eval->argv,
                                           eval->argvlen, NULL);
}
