#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "doc.h"
#include "token.h"

#define TOKEN_SIGNATURE_SIZE  256       /* as RS256's with a key of 2048 bits */
#define TOKEN_MAX_PAIRS       64


typedef struct {
    char  *client_id;
    char  *secret;
} credentials_t;


typedef struct {
    char      hash[65];         /* of id and secret as presented */
    unsigned  refusals;
    uint64_t  locked_until_ms;
} lock_t;


static lock_t *token_lock(const char *client_id, const char *secret);
static int token_known(const char *client_id, const char *secret);
static void token_refuse(answer_t *a, const char *error);
static void token_document(answer_t *a, const fault_t *f);
static void token_sign(const char *text, size_t size,
    unsigned char out[TOKEN_SIGNATURE_SIZE]);

static token_options_t    options;
static token_counters_t   counters;
static credentials_t      pairs[TOKEN_MAX_PAIRS];
static lock_t             locks[TOKEN_MAX_PAIRS];
static size_t             npairs, nlocks;
static unsigned char      key[32];
/* tokens carry a serial number: revoking is one comparison */
static uint64_t           last_serial, revoked_serial;


void
token_init(const token_options_t *o)
{
    options = *o;
    random_bytes(key, sizeof(key));
}


void
token_set_credentials(const char *client_id, const char *secret)
{
    token_forget_credentials(client_id);

    if (npairs < TOKEN_MAX_PAIRS) {
        pairs[npairs].client_id = mem_strdup(client_id);
        pairs[npairs].secret = mem_strdup(secret);
        npairs++;
    }
}


void
token_forget_credentials(const char *client_id)
{
    size_t  i;

    for (i = 0; i < npairs; i++) {
        if (strcmp(pairs[i].client_id, client_id) == 0) {
            free(pairs[i].client_id);
            OPENSSL_cleanse(pairs[i].secret, strlen(pairs[i].secret));
            free(pairs[i].secret);
            pairs[i] = pairs[--npairs];
            return;
        }
    }
}


void
token_revoke_all(void)
{
    revoked_serial = last_serial;
}


void
token_unlock_all(void)
{
    nlocks = 0;
}


token_counters_t *
token_counters(void)
{
    return &counters;
}


void
token_answer(const http_request_t *r, answer_t *a, const fault_t *f)
{
    char        *grant, *client_id, *secret;
    lock_t      *lock;
    const char  *form, *error;

    buf_puts(&a->headers, "Cache-Control: no-store, no-cache, max-age=0\r\n"
             "Pragma: no-cache\r\n");

    form = r->body.data ? r->body.data : "";
    grant = query_get(form, "grant_type");
    client_id = query_get(form, "client_id");
    secret = query_get(form, "client_secret");

    lock = token_lock(client_id ? client_id : "", secret ? secret : "");

    if (lock->locked_until_ms > now_ms()) {
        counters.locked++;
        answer_problem(a, 429, "Too Many Requests", NULL);
        buf_printf(&a->headers, "Retry-After: %llu\r\n",
                   (unsigned long long) options.lock_s);
        goto done;
    }

    if (lock->locked_until_ms) {
        lock->refusals = 0;
        lock->locked_until_ms = 0;
    }

    error = grant == NULL ? "invalid_request"
            : strcmp(grant, "client_credentials") != 0
            ? "unsupported_grant_type"
            : !token_known(client_id ? client_id : "", secret ? secret : "")
            ? "invalid_client" : NULL;

    if (error == NULL) {
        counters.ok++;
        token_document(a, f);
        goto done;
    }

    counters.refused++;
    token_refuse(a, error);

    if (++lock->refusals > options.lock_after) {
        lock->locked_until_ms = now_ms() + options.lock_s * 1000;
    }

done:

    free(grant);
    free(client_id);

    if (secret) {
        OPENSSL_cleanse(secret, strlen(secret));
        free(secret);
    }
}


static lock_t *
token_lock(const char *client_id, const char *secret)
{
    buf_t   b = { NULL, 0, 0 };
    char    hash[65];
    size_t  i;

    buf_add(&b, client_id, strlen(client_id) + 1);
    buf_add(&b, secret, strlen(secret));
    sha256_hex(b.data, b.size, hash);
    OPENSSL_cleanse(b.data, b.size);
    buf_free(&b);

    for (i = 0; i < nlocks; i++) {
        if (strcmp(locks[i].hash, hash) == 0) {
            return &locks[i];
        }
    }

    /* the last place serves all pairs beyond */
    i = nlocks < TOKEN_MAX_PAIRS ? nlocks++ : TOKEN_MAX_PAIRS - 1;
    memset(&locks[i], 0, sizeof(locks[i]));
    memcpy(locks[i].hash, hash, sizeof(hash));

    return &locks[i];
}


static int
token_known(const char *client_id, const char *secret)
{
    size_t  i;

    for (i = 0; i < npairs; i++) {
        if (strcmp(pairs[i].client_id, client_id) == 0
            && strcmp(pairs[i].secret, secret) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
token_refuse(answer_t *a, const char *error)
{
    buf_t  b = { NULL, 0, 0 };

    buf_printf(&b, "{\"error\":\"%s\"}", error);

    a->status = 400;
    a->content_type = "application/json; charset=UTF-8";
    a->body = blob_from_buf(&b);
}


static void
token_document(answer_t *a, const fault_t *f)
{
    uint64_t       lives_s;
    doc_member_t   m[DOC_MAX_MEMBERS];

    memset(m, 0, sizeof(m));

    lives_s = f->lives ? f->lives
              : f->expires_in && strtoull(f->expires_in, NULL, 10)
              ? strtoull(f->expires_in, NULL, 10) : options.expires_in_s;

    m[0].name = "access_token";

    if (f->token) {
        buf_puts(&m[0].value, f->token);

    } else {
        buf_puts(&m[0].value, "\"");
        token_create(&m[0].value, lives_s);
        buf_puts(&m[0].value, "\"");
    }

    m[1].name = "expires_in";

    if (f->expires_in) {
        buf_puts(&m[1].value, f->expires_in);

    } else {
        buf_printf(&m[1].value, "%llu", (unsigned long long) lives_s);
    }

    m[2].name = "token_type";
    buf_json_string(&m[2].value, f->token_type ? f->token_type : "Bearer");

    a->status = 200;
    a->content_type = "application/json; charset=UTF-8";
    a->body = doc_join(m, 3, f);
}


void
token_create(buf_t *b, uint64_t lives_s)
{
    buf_t          text = { NULL, 0, 0 };
    char           jti[GUID_SIZE + 1];
    size_t         start;
    time_t         now;
    unsigned char  signature[TOKEN_SIGNATURE_SIZE];

    start = b->size;
    now = time(NULL);
    guid_random(jti);

    buf_puts(&text, "{\"alg\":\"RS256\",\"kid\":\"standin\","
             "\"typ\":\"at+jwt\"}");
    buf_base64url(b, text.data, text.size);
    buf_puts(b, ".");

    text.size = 0;
    buf_printf(&text, "{\"nbf\":%lld,\"exp\":%lld,\"iss\":\"standin\","
               "\"serial\":%llu,\"until\":%llu,\"jti\":\"%s\"}",
               (long long) now, (long long) (now + (time_t) lives_s),
               (unsigned long long) ++last_serial,
               (unsigned long long) (now_ms() + lives_s * 1000), jti);
    buf_base64url(b, text.data, text.size);
    buf_free(&text);

    token_sign(b->data + start, b->size - start, signature);
    buf_puts(b, ".");
    buf_base64url(b, signature, sizeof(signature));
}


static void
token_sign(const char *text, size_t size,
    unsigned char out[TOKEN_SIGNATURE_SIZE])
{
    size_t         i;
    unsigned       md_size;
    unsigned char  md[32];

    HMAC(EVP_sha256(), key, sizeof(key), (const unsigned char *) text, size,
         md, &md_size);

    for (i = 0; i < TOKEN_SIGNATURE_SIZE; i += sizeof(md)) {
        memcpy(out + i, md, sizeof(md));
        HMAC(EVP_sha256(), key, sizeof(key), md, sizeof(md), md, &md_size);
    }
}


const char *
token_check(const http_request_t *r)
{
    int                  n, bad;
    buf_t                b = { NULL, 0, 0 };
    char                *p;
    size_t               size;
    const char          *value, *dot, *claims;
    unsigned char        signature[TOKEN_SIGNATURE_SIZE];
    unsigned char        text[1024];
    unsigned long long   serial, until;

    value = http_header(r, "Authorization");

    if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0) {
        return "";
    }

    value += 7;
    claims = strchr(value, '.');
    dot = strrchr(value, '.');

    if (claims == NULL || dot == claims) {
        return "The token is not well formed";
    }

    token_sign(value, (size_t) (dot - value), signature);
    buf_base64url(&b, signature, sizeof(signature));
    size = strlen(dot + 1);
    bad = size != b.size || CRYPTO_memcmp(b.data, dot + 1, size) != 0;
    buf_free(&b);

    if (bad) {
        return "The signature is invalid";
    }

    /* ours: what follows is well formed */
    buf_add(&b, claims + 1, (size_t) (dot - claims - 1));

    for (p = b.data; *p; p++) {
        *p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
    }

    while (b.size % 4) {
        buf_puts(&b, "=");
    }

    n = b.size / 4 * 3 < sizeof(text)
        ? EVP_DecodeBlock(text, (unsigned char *) b.data, (int) b.size) : 0;
    buf_free(&b);
    text[n > 0 ? n : 0] = '\0';

    p = strstr((char *) text, "\"serial\":");

    if (p == NULL
        || sscanf(p, "\"serial\":%llu,\"until\":%llu", &serial, &until) != 2)
    {
        return "The token is not well formed";
    }

    if (serial <= revoked_serial) {
        return "The token was revoked";
    }

    return until <= now_ms() ? "The token expired" : NULL;
}
