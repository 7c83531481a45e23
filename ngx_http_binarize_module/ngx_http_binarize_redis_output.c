
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_binarize_redis_output.h"


#define NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE  16384


struct ngx_http_binarize_redis_piece_s {
    ngx_http_binarize_redis_piece_t  *next;
    u_char                           *pos;
    u_char                           *last;
    u_char                           *end;
};


static void ngx_http_binarize_redis_output_drop_first(
    ngx_http_binarize_redis_output_t *output);


u_char *
ngx_http_binarize_redis_output_room(ngx_http_binarize_redis_output_t *output,
    size_t size, ngx_log_t *log)
{
    ngx_http_binarize_redis_piece_t  *piece;

    piece = output->last;

    if (piece && (size_t) (piece->end - piece->last) >= size) {
        return piece->last;
    }

    if (output->spare && size <= NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE) {
        piece = output->spare;
        output->spare = NULL;

    } else {
        size = ngx_max(size, NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE);

        piece = ngx_alloc(sizeof(ngx_http_binarize_redis_piece_t) + size, log);
        if (piece == NULL) {
            return NULL;
        }

        piece->end = (u_char *) (piece + 1) + size;
    }

    piece->next = NULL;
    piece->pos = (u_char *) (piece + 1);
    piece->last = piece->pos;

    if (output->last) {
        output->last->next = piece;

    } else {
        output->first = piece;
    }

    output->last = piece;

    return piece->last;
}


void
ngx_http_binarize_redis_output_add(ngx_http_binarize_redis_output_t *output,
    size_t size)
{
    output->last->last += size;
    output->size += size;
}


size_t
ngx_http_binarize_redis_output_next(ngx_http_binarize_redis_output_t *output,
    u_char **p)
{
    if (output->size == 0) {
        return 0;
    }

    while (output->first->pos == output->first->last) {
        ngx_http_binarize_redis_output_drop_first(output);
    }

    *p = output->first->pos;

    return output->first->last - output->first->pos;
}


void
ngx_http_binarize_redis_output_sent(ngx_http_binarize_redis_output_t *output,
    size_t size)
{
    output->first->pos += size;
    output->size -= size;

    if (output->first->pos == output->first->last) {
        ngx_http_binarize_redis_output_drop_first(output);
    }
}


static void
ngx_http_binarize_redis_output_drop_first(
    ngx_http_binarize_redis_output_t *output)
{
    ngx_http_binarize_redis_piece_t  *piece;

    piece = output->first;
    output->first = piece->next;

    if (output->first == NULL) {
        output->last = NULL;
    }

    if (output->spare == NULL
        && piece->end - (u_char *) (piece + 1)
           == NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE)
    {
        output->spare = piece;
        return;
    }

    ngx_free(piece);
}


void
ngx_http_binarize_redis_output_free(ngx_http_binarize_redis_output_t *output)
{
    ngx_http_binarize_redis_piece_t  *piece, *next;

    for (piece = output->first; piece; piece = next) {
        next = piece->next;
        ngx_free(piece);
    }

    if (output->spare) {
        ngx_free(output->spare);
    }

    ngx_memzero(output, sizeof(ngx_http_binarize_redis_output_t));
}
