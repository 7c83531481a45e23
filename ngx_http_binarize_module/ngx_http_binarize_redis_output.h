
/*
 * Bytes that wait to be sent, in pieces.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


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

/* What is to be sent first, all of it if one piece holds it; 0: nothing. */
size_t ngx_http_binarize_redis_output_next(
    ngx_http_binarize_redis_output_t *output, u_char **p);

/* So much of it was sent. */
void ngx_http_binarize_redis_output_sent(
    ngx_http_binarize_redis_output_t *output, size_t size);

void ngx_http_binarize_redis_output_free(
    ngx_http_binarize_redis_output_t *output);


#endif /* _NGX_HTTP_BINARIZE_REDIS_OUTPUT_H_INCLUDED_ */
