
/*
 * Bytes that wait to be sent, in pieces.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/binarize.h"


/* how many pieces are sent at once */
#define NGX_HTTP_BINARIZE_REDIS_NGATHER  8


typedef struct ngx_http_binarize_redis_piece_s  ngx_http_binarize_redis_piece_t;


/* all zero: empty */
typedef struct {
    ngx_http_binarize_redis_piece_t  *first;
    ngx_http_binarize_redis_piece_t  *last;
    ngx_http_binarize_redis_piece_t  *spare;
    size_t                            size;
} ngx_http_binarize_redis_output_t;


/* Room for size bytes at the end; NULL: no memory. */
u_char *ngx_http_binarize_redis_output_room(
    ngx_http_binarize_redis_output_t *output, size_t size, ngx_log_t *log);

/* So much of the room was used. */
void ngx_http_binarize_redis_output_add(
    ngx_http_binarize_redis_output_t *output, size_t size);

/*
 * Adds bytes that lie elsewhere, until release(data) is called: when the last
 * of them were sent, or the output is freed.  NGX_OK; or NGX_ERROR: no memory,
 * nothing was added, release was not called.
 */
ngx_int_t ngx_http_binarize_redis_output_borrow(
    ngx_http_binarize_redis_output_t *output, const binarize_span_t *spans,
    ngx_uint_t nspans, void (*release)(void *data), void *data,
    ngx_log_t *log);

/* places for what is to be sent */
typedef struct {
    ngx_chain_t                       chain[NGX_HTTP_BINARIZE_REDIS_NGATHER];
    ngx_buf_t                         bufs[NGX_HTTP_BINARIZE_REDIS_NGATHER];
} ngx_http_binarize_redis_gather_t;

/* What is to be sent first, limit bytes at most, in memory; NULL: nothing. */
ngx_chain_t *ngx_http_binarize_redis_output_next(
    ngx_http_binarize_redis_output_t *output, size_t limit,
    ngx_http_binarize_redis_gather_t *gather);

/* So much of it was sent. */
void ngx_http_binarize_redis_output_sent(
    ngx_http_binarize_redis_output_t *output, size_t size);

void ngx_http_binarize_redis_output_free(
    ngx_http_binarize_redis_output_t *output);


#endif /* _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_ */
