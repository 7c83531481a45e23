
/* between the files of the token; see ngx_http_binarize_token.h for others */


#ifndef _NGX_HTTP_BINARIZE_TOKEN_CALL_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_TOKEN_CALL_H_INCLUDED_


#include "cloud/call.h"
#include "token/token.h"


/*
 * call.c: starts the call of that number.  It ends by one of
 * ngx_http_binarize_token_store() and _failed(), but for NGX_ERROR: then it
 * was not started.
 */
ngx_int_t ngx_http_binarize_token_call_start(
    ngx_http_binarize_token_t *token, uint64_t number);

/* a text that is safe in a header line (RFC 6750 2.1 allows even less) */
ngx_uint_t ngx_http_binarize_token_valid(ngx_str_t *text);


/* token.c: the call has brought a token */
void ngx_http_binarize_token_store(ngx_http_binarize_token_t *token,
    uint64_t number, ngx_str_t *text, time_t expires_s);

/* the call has brought none; call->problem, status and reason say why */
void ngx_http_binarize_token_failed(ngx_http_binarize_token_t *token,
    uint64_t number, ngx_http_binarize_call_t *call);


/*
 * file.c: the file's token, into the room bearer->text.data has;
 * NGX_OK, or NGX_DECLINED and *problem
 */
ngx_int_t ngx_http_binarize_token_file_get(ngx_http_binarize_token_t *token,
    ngx_http_binarize_bearer_t *bearer, binarize_problem_e *problem);

/* reads the file again where that is due */
void ngx_http_binarize_token_file_read(ngx_http_binarize_token_t *token);


#endif /* _NGX_HTTP_BINARIZE_TOKEN_CALL_H_INCLUDED_ */
