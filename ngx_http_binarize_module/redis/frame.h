
/*
 * Frames a RESP2 stream: finds where replies end, and takes large strings out
 * of it.  Redis serialization protocol specification, RESP2.
 */


#ifndef _NGX_HTTP_BINARIZE_REDIS_FRAME_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_REDIS_FRAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* hiredis 0.14 takes arrays nested up to seven deep */
#define NGX_HTTP_BINARIZE_FRAME_DEPTH     7
#define NGX_HTTP_BINARIZE_FRAME_ELEMENTS  65536
#define NGX_HTTP_BINARIZE_FRAME_LINE      65536

/* strings of this size and more are taken out of the stream ... */
#define NGX_HTTP_BINARIZE_FRAME_LARGE     4096

/* ... as many in a reply; it may have more */
#define NGX_HTTP_BINARIZE_FRAME_NLARGE    8


typedef struct {
    ngx_uint_t    ordinal;     /* among the strings of the reply, nils apart */
    u_char       *data;        /* by malloc(), size + 1 bytes, ends with \0 */
    size_t        size;
} ngx_http_binarize_redis_large_t;


typedef struct {
    /*
     * First byte of a reply: returns the size its strings may have together,
     * or -1 with *error set.
     */
    ssize_t     (*reply_start)(void *data, u_char type);

    /* plain RESP, large strings replaced by empty ones; NGX_OK or NGX_ERROR */
    ngx_int_t   (*feed)(void *data, const u_char *p, size_t size);

    /* a reply is complete; NGX_OK, or NGX_DONE to stop here */
    ngx_int_t   (*reply_end)(void *data);

    void         *data;
} ngx_http_binarize_redis_frame_events_t;


typedef struct {
    ngx_http_binarize_redis_frame_events_t   events;

    ngx_uint_t                               state;
    ngx_uint_t                               depth;
    ngx_uint_t                    left[NGX_HTTP_BINARIZE_FRAME_DEPTH];
    size_t                                   line;      /* its size so far */
    u_char                                   cr;        /* last of a line */
    u_char                                   type;
    int64_t                                  number;
    ngx_uint_t                               ndigits;
    size_t                                   rest;      /* of a string */
    size_t                                   reply_max; /* bytes left */
    size_t                                   reply_size;

    ngx_uint_t                               nstrings;  /* of this reply */
    ngx_uint_t                               nlarge;
    ngx_http_binarize_redis_large_t
                                    large[NGX_HTTP_BINARIZE_FRAME_NLARGE];
    uint64_t                                 oversize;  /* counts */

    const char                              *error;

    unsigned                                 negative:1;
    unsigned                                 filling:1; /* large[nlarge] */
} ngx_http_binarize_redis_frame_t;


void ngx_http_binarize_redis_frame_init(ngx_http_binarize_redis_frame_t *frame,
    const ngx_http_binarize_redis_frame_events_t *events);

/* Frees what nobody has taken. */
void ngx_http_binarize_redis_frame_done(ngx_http_binarize_redis_frame_t *frame);

/*
 * NGX_OK: all taken; NGX_DONE: reply_end() said so; NGX_ERROR: the stream is
 * broken or memory is out, frame->error says why.
 */
ngx_int_t ngx_http_binarize_redis_frame_process(
    ngx_http_binarize_redis_frame_t *frame, const u_char *p, size_t size);

/*
 * While a large string is being filled, where its next bytes go and how many
 * are wanted; else 0.  After so many bytes or fewer were put there, _filled().
 */
size_t ngx_http_binarize_redis_frame_room(
    ngx_http_binarize_redis_frame_t *frame, u_char **room);
void ngx_http_binarize_redis_frame_filled(
    ngx_http_binarize_redis_frame_t *frame, size_t size);

/* The large string with the ordinal, the caller's from now on; or 0. */
ngx_uint_t ngx_http_binarize_redis_frame_take(
    ngx_http_binarize_redis_frame_t *frame, ngx_uint_t ordinal,
    u_char **data, size_t *size);


#endif /* _NGX_HTTP_BINARIZE_REDIS_FRAME_H_INCLUDED_ */
