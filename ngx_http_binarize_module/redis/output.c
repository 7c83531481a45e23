
#include "redis/output.h"


#define NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE  16384


struct ngx_http_binarize_redis_piece_s {
    ngx_http_binarize_redis_piece_t  *next;
    u_char                           *pos;
    u_char                           *last;
    u_char                           *end;

    /* of bytes that lie elsewhere: after the last of them */
    void                            (*release)(void *data);
    void                             *data;

    unsigned                          borrowed:1;
};


static void ngx_http_binarize_redis_output_append(
    ngx_http_binarize_redis_output_t *output,
    ngx_http_binarize_redis_piece_t *piece);
static void ngx_http_binarize_redis_output_drop_first(
    ngx_http_binarize_redis_output_t *output);
static void ngx_http_binarize_redis_output_free_piece(
    ngx_http_binarize_redis_piece_t *piece);


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

    piece->pos = (u_char *) (piece + 1);
    piece->last = piece->pos;
    piece->release = NULL;
    piece->borrowed = 0;

    ngx_http_binarize_redis_output_append(output, piece);

    return piece->last;
}


static void
ngx_http_binarize_redis_output_append(ngx_http_binarize_redis_output_t *output,
    ngx_http_binarize_redis_piece_t *piece)
{
    piece->next = NULL;

    if (output->last) {
        output->last->next = piece;

    } else {
        output->first = piece;
    }

    output->last = piece;
}


void
ngx_http_binarize_redis_output_add(ngx_http_binarize_redis_output_t *output,
    size_t size)
{
    output->last->last += size;
    output->size += size;
}


ngx_int_t
ngx_http_binarize_redis_output_borrow(ngx_http_binarize_redis_output_t *output,
    const binarize_span_t *spans, ngx_uint_t nspans,
    void (*release)(void *data), void *data, ngx_log_t *log)
{
    ngx_uint_t                        i;
    ngx_http_binarize_redis_piece_t  *piece, *first, *next;

    first = NULL;

    for (i = nspans; i > 0; i--) {

        piece = ngx_calloc(sizeof(ngx_http_binarize_redis_piece_t), log);

        if (piece == NULL) {

            for (piece = first; piece; piece = next) {
                next = piece->next;
                ngx_free(piece);
            }

            return NGX_ERROR;
        }

        piece->pos = (u_char *) spans[i - 1].data;
        piece->last = piece->pos + spans[i - 1].size;
        piece->end = piece->last;
        piece->borrowed = 1;

        if (first == NULL) {
            piece->release = release;
            piece->data = data;
        }

        piece->next = first;
        first = piece;
    }

    for (piece = first; piece; piece = next) {
        next = piece->next;
        output->size += piece->last - piece->pos;
        ngx_http_binarize_redis_output_append(output, piece);
    }

    return NGX_OK;
}


ngx_chain_t *
ngx_http_binarize_redis_output_next(ngx_http_binarize_redis_output_t *output,
    size_t limit, ngx_http_binarize_redis_gather_t *gather)
{
    size_t                            size;
    ngx_buf_t                        *b;
    ngx_uint_t                        n;
    ngx_http_binarize_redis_piece_t  *piece;

    n = 0;

    for (piece = output->first; piece; piece = piece->next) {

        size = ngx_min((size_t) (piece->last - piece->pos), limit);

        if (size == 0) {
            continue;
        }

        b = &gather->bufs[n];

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->memory = 1;
        b->pos = piece->pos;
        b->last = piece->pos + size;
        b->start = b->pos;
        b->end = b->last;

        gather->chain[n].buf = b;
        gather->chain[n].next = NULL;

        if (n) {
            gather->chain[n - 1].next = &gather->chain[n];
        }

        limit -= size;

        if (++n == NGX_HTTP_BINARIZE_REDIS_NGATHER) {
            break;
        }
    }

    return n ? gather->chain : NULL;
}


void
ngx_http_binarize_redis_output_sent(ngx_http_binarize_redis_output_t *output,
    size_t size)
{
    size_t                            n;
    ngx_http_binarize_redis_piece_t  *piece;

    output->size -= size;

    while (output->first) {

        piece = output->first;

        n = ngx_min((size_t) (piece->last - piece->pos), size);
        piece->pos += n;
        size -= n;

        if (piece->pos != piece->last) {
            break;
        }

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

    if (!piece->borrowed
        && output->spare == NULL
        && piece->end - (u_char *) (piece + 1)
           == NGX_HTTP_BINARIZE_REDIS_PIECE_SIZE)
    {
        output->spare = piece;
        return;
    }

    ngx_http_binarize_redis_output_free_piece(piece);
}


static void
ngx_http_binarize_redis_output_free_piece(
    ngx_http_binarize_redis_piece_t *piece)
{
    if (piece->release) {
        piece->release(piece->data);
    }

    ngx_free(piece);
}


void
ngx_http_binarize_redis_output_free(ngx_http_binarize_redis_output_t *output)
{
    ngx_http_binarize_redis_piece_t  *piece, *next;

    for (piece = output->first; piece; piece = next) {
        next = piece->next;
        ngx_http_binarize_redis_output_free_piece(piece);
    }

    if (output->spare) {
        ngx_free(output->spare);
    }

    ngx_memzero(output, sizeof(ngx_http_binarize_redis_output_t));
}
