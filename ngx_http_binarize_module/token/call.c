
#include "token/call.h"

#include <cjson/cJSON.h>


/* largest answer of the token endpoint */
#define NGX_HTTP_BINARIZE_TOKEN_BODY_SIZE  (16 * 1024)

/* a token without expires_in, RFC 6749 5.1: seconds */
#define NGX_HTTP_BINARIZE_TOKEN_LIFE_S     3600


typedef struct {
    ngx_http_binarize_token_t  *token;
    ngx_http_binarize_call_t   *call;
    uint64_t                    number;
    size_t                      size;
    u_char                      body[NGX_HTTP_BINARIZE_TOKEN_BODY_SIZE];
} ngx_http_binarize_token_call_t;


static ngx_int_t ngx_http_binarize_token_call_create_request(
    ngx_http_binarize_token_call_t *tc);
static u_char *ngx_http_binarize_token_call_form_encode(u_char *p,
    ngx_str_t *s);
static ngx_int_t ngx_http_binarize_token_call_on_body(
    ngx_http_binarize_call_t *call, u_char *data, size_t size);
static void ngx_http_binarize_token_call_on_done(
    ngx_http_binarize_call_t *call);
static const char *ngx_http_binarize_token_call_parse(
    ngx_http_binarize_token_call_t *tc, ngx_str_t *text, time_t *expires_s);


ngx_int_t
ngx_http_binarize_token_call_start(ngx_http_binarize_token_t *token,
    uint64_t number)
{
    ngx_http_binarize_call_t        *call;
    ngx_http_binarize_token_call_t  *tc;

    call = ngx_http_binarize_call_create(token->conf, token->target);
    if (call == NULL) {
        return NGX_ERROR;
    }

    tc = ngx_palloc(call->job->pool, sizeof(*tc));
    if (tc == NULL) {
        ngx_http_binarize_call_abandon(call);
        return NGX_ERROR;
    }

    tc->token = token;
    tc->call = call;
    tc->number = number;
    tc->size = 0;

    call->post = 1;
    call->ssl_name = token->target->host;
    call->body = ngx_http_binarize_token_call_on_body;
    call->done = ngx_http_binarize_token_call_on_done;
    call->data = tc;

    ngx_str_set(&call->job->subject, "token");

    if (ngx_http_binarize_token_call_create_request(tc) != NGX_OK) {
        ngx_http_binarize_call_abandon(call);
        return NGX_ERROR;
    }

    return ngx_http_binarize_call_start(call);
}


/* RFC 6749 4.4.2, credentials in the body (2.3.1) */

static ngx_int_t
ngx_http_binarize_token_call_create_request(ngx_http_binarize_token_call_t *tc)
{
    u_char                      *p;
    size_t                       size, body_size;
    ngx_str_t                    body;
    ngx_http_binarize_call_t    *call;
    ngx_http_binarize_token_t   *token;
    ngx_http_binarize_target_t  *target;

    static ngx_str_t  grant = ngx_string("grant_type=client_credentials"
                                         "&client_id=");
    static ngx_str_t  secret = ngx_string("&client_secret=");

    token = tc->token;
    call = tc->call;
    target = token->target;

    body.data = ngx_pnalloc(call->job->pool,
                            grant.len + secret.len
                            + 3 * (token->client_id.len
                                   + token->client_secret.len));
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(body.data, grant.data, grant.len);
    p = ngx_http_binarize_token_call_form_encode(p, &token->client_id);
    p = ngx_cpymem(p, secret.data, secret.len);
    p = ngx_http_binarize_token_call_form_encode(p, &token->client_secret);

    body_size = p - body.data;
    body.len = body_size;

    size = sizeof("POST  HTTP/1.1" CRLF "Host: " CRLF
                  "Content-Type: application/x-www-form-urlencoded" CRLF
                  "Content-Length: " CRLF
                  "Accept: application/json" CRLF
                  "Connection: close" CRLF CRLF)
           + target->uri.len + target->authority.len + NGX_OFF_T_LEN
           + body_size;

    p = ngx_pnalloc(call->job->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->request.data = p;

    p = ngx_sprintf(p, "POST %V HTTP/1.1" CRLF
                    "Host: %V" CRLF
                    "Content-Type: application/x-www-form-urlencoded" CRLF
                    "Content-Length: %uz" CRLF
                    "Accept: application/json" CRLF
                    "Connection: close" CRLF CRLF
                    "%V",
                    &target->uri, &target->authority, body_size, &body);

    call->request.len = p - call->request.data;

    return NGX_OK;
}


/* application/x-www-form-urlencoded, as RFC 6749 appendix B has it */

static u_char *
ngx_http_binarize_token_call_form_encode(u_char *p, ngx_str_t *s)
{
    u_char      c;
    ngx_uint_t  i;

    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < s->len; i++) {
        c = s->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '*')
        {
            *p++ = c;

        } else if (c == ' ') {
            *p++ = '+';

        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];
        }
    }

    return p;
}


static ngx_int_t
ngx_http_binarize_token_call_on_body(ngx_http_binarize_call_t *call,
    u_char *data, size_t size)
{
    ngx_http_binarize_token_call_t  *tc;

    tc = call->data;

    if (size > sizeof(tc->body) - tc->size) {
        call->problem = BINARIZE_PROBLEM_TOKEN_FAILED;
        call->reason = "too large";
        return NGX_ERROR;
    }

    ngx_memcpy(tc->body + tc->size, data, size);
    tc->size += size;

    return NGX_OK;
}


static void
ngx_http_binarize_token_call_on_done(ngx_http_binarize_call_t *call)
{
    time_t                           expires_s;
    ngx_str_t                        text;
    ngx_http_binarize_token_t       *token;
    ngx_http_binarize_zone_t        *zone;
    ngx_http_binarize_token_call_t  *tc;

    tc = call->data;
    token = tc->token;
    zone = token->shm_zone->data;

    ngx_http_binarize_budget_token_end(token->budget);

    if (call->problem == BINARIZE_PROBLEM_NONE && call->status == NGX_HTTP_OK) {
        call->reason = ngx_http_binarize_token_call_parse(tc, &text,
                                                          &expires_s);

        if (call->reason == NULL) {
            ngx_http_binarize_token_store(token, tc->number, &text,
                                          expires_s);
            ngx_explicit_memzero(text.data, text.len);

        } else {
            call->problem = BINARIZE_PROBLEM_TOKEN_FAILED;
            ngx_http_binarize_token_failed(token, tc->number, call);
        }

    } else {
        ngx_http_binarize_token_failed(token, tc->number, call);
    }

    ngx_explicit_memzero(tc->body, tc->size);
    ngx_explicit_memzero(call->request.data, call->request.len);

    ngx_http_binarize_zone_rouse(zone);
}


/* RFC 6749 5.1; NULL, or what is wrong with the answer */

static const char *
ngx_http_binarize_token_call_parse(ngx_http_binarize_token_call_t *tc,
    ngx_str_t *text, time_t *expires_s)
{
    size_t       size;
    cJSON       *json, *item;
    u_char      *body;
    const char  *reason, *end;

    body = tc->body;
    size = tc->size;

    if (size >= 3 && ngx_memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        body += 3;
        size -= 3;
    }

    while (size && ngx_strchr(" \t\r\n", body[size - 1])) {
        size--;
    }

    json = cJSON_ParseWithLengthOpts((char *) body, size, &end, 0);

    if (json == NULL || end != (char *) body + size) {
        cJSON_Delete(json);
        return "not JSON";
    }

    reason = NULL;

    item = cJSON_GetObjectItemCaseSensitive(json, "token_type");

    if (item && (!cJSON_IsString(item)
                 || ngx_strcasecmp((u_char *) item->valuestring,
                                   (u_char *) "bearer")
                    != 0))
    {
        reason = "token_type is not Bearer";
        goto done;
    }

    *expires_s = NGX_HTTP_BINARIZE_TOKEN_LIFE_S;

    item = cJSON_GetObjectItemCaseSensitive(json, "expires_in");

    if (item && !cJSON_IsNull(item)) {

        if (cJSON_IsString(item)) {
            *expires_s = ngx_atotm((u_char *) item->valuestring,
                                   ngx_strlen(item->valuestring));

        } else if (cJSON_IsNumber(item) && item->valuedouble >= 0) {
            *expires_s = (time_t) ngx_min(item->valuedouble, 31536000.0);

        } else {
            *expires_s = -1;
        }

        if (*expires_s <= 0) {
            reason = "expires_in is not a positive number";
            goto done;
        }

        *expires_s = ngx_min(*expires_s, 31536000);
    }

    item = cJSON_GetObjectItemCaseSensitive(json, "access_token");

    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        reason = "no access_token";
        goto done;
    }

    text->data = (u_char *) item->valuestring;
    text->len = ngx_strlen(item->valuestring);

    if (text->len > NGX_HTTP_BINARIZE_TOKEN_SIZE) {
        reason = "access_token is too long";
        goto wipe;
    }

    if (!ngx_http_binarize_token_valid(text)) {
        reason = "access_token has a character no token has";
        goto wipe;
    }

    text->data = ngx_pnalloc(tc->call->job->pool, text->len);
    if (text->data == NULL) {
        reason = "no memory";
        goto wipe;
    }

    ngx_memcpy(text->data, item->valuestring, text->len);

wipe:

    ngx_explicit_memzero(item->valuestring, ngx_strlen(item->valuestring));

done:

    cJSON_Delete(json);

    return reason;
}


/* the b64token of RFC 6750 2.1: nothing that could end a header line */

ngx_uint_t
ngx_http_binarize_token_valid(ngx_str_t *text)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c <= ' ' || c >= 0x7f) {
            return 0;
        }
    }

    return text->len != 0;
}
