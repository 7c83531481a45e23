
#include "answer/answer.h"
#include "answer/spool.h"
#include "answer/window.h"
#include "core/base64.h"


/*
 * Text, which is JSON's base64 or a PNG as it is, is made in windows: the
 * whole, or a slice at a time.  Of a result whose memory is scarce the slices
 * are the smallest.  Who does not take one at once holds no more than that
 * one: the rest comes from a copy in a file, as soon as that is whole.
 */

/* the bytes that make the smallest window of base64 */
#define NGX_HTTP_BINARIZE_READ_SIZE  (NGX_HTTP_BINARIZE_WINDOW_SIZE / 4 * 3)

/* slices are made in a turn as long as they are less than this, bytes */
#define NGX_HTTP_BINARIZE_STREAM_TURN  NGX_HTTP_BINARIZE_SLICE_SIZE


struct ngx_http_binarize_stream_s {
    ngx_http_request_t          *request;
    ngx_http_binarize_ctx_t     *ctx;
    ngx_http_binarize_spool_reader_t  reader;

    ngx_str_t                    head;      /* before the text */
    ngx_str_t                    tail;

    size_t                       png_size;
    size_t                       left;      /* text not made yet */
    size_t                       offset;    /* of the payload, the next byte */
    ngx_uint_t                   piece;     /* it lies there */
    size_t                       piece_offset;

    ngx_http_binarize_windows_t *windows;   /* NULL: of the request's pool */
    ngx_http_binarize_zone_t    *zone;      /* the window's */
    uint64_t                     generation;

    ngx_http_binarize_window_t  *window;    /* NULL: none at the moment */
    u_char                      *text;      /* of the window */
    size_t                       size;

    ngx_buf_t                    bufs[3];   /* head, window, tail */
    ngx_chain_t                  chain[3];

    unsigned                     begun:1;
    unsigned                     made:1;    /* by a request before */
    unsigned                     undivided:1; /* of several ranges */
};


static ngx_http_binarize_stream_t *ngx_http_binarize_stream_create(
    ngx_http_request_t *r, ngx_http_binarize_ctx_t *ctx);
static ngx_int_t ngx_http_binarize_stream_document(
    ngx_http_binarize_stream_t *stream, ngx_http_binarize_result_t *result);
static size_t ngx_http_binarize_json_text_size(
    ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_stream_window(
    ngx_http_binarize_stream_t *stream);
static void ngx_http_binarize_stream_on_cleanup(void *data);
static void ngx_http_binarize_stream_free_window(
    ngx_http_binarize_stream_t *stream);
static ngx_int_t ngx_http_binarize_stream_pump(
    ngx_http_binarize_stream_t *stream, ngx_int_t rc);
static void ngx_http_binarize_stream_give_back(
    ngx_http_binarize_stream_t *stream);
static void ngx_http_binarize_stream_spool(
    ngx_http_binarize_stream_t *stream);
static void ngx_http_binarize_stream_on_spool(
    ngx_http_binarize_spool_reader_t *reader);
static void ngx_http_binarize_stream_spooled(
    ngx_http_binarize_stream_t *stream);
static ngx_uint_t ngx_http_binarize_stream_taken(
    ngx_http_binarize_stream_t *stream);
static ngx_chain_t *ngx_http_binarize_stream_rest(
    ngx_http_binarize_stream_t *stream);
static ngx_chain_t *ngx_http_binarize_stream_next(
    ngx_http_binarize_stream_t *stream);
static ssize_t ngx_http_binarize_stream_fill(
    ngx_http_binarize_stream_t *stream);
static ssize_t ngx_http_binarize_stream_source(
    ngx_http_binarize_stream_t *stream, size_t size, u_char **data);
static void ngx_http_binarize_stream_on_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_stream_wait(
    ngx_http_binarize_stream_t *stream);


/* what is read of a copy */
static u_char  ngx_http_binarize_stream_read[NGX_HTTP_BINARIZE_READ_SIZE];


off_t
ngx_http_binarize_json_size(ngx_http_binarize_result_t *result)
{
    return result->doc.len + ngx_http_binarize_json_text_size(result);
}


static size_t
ngx_http_binarize_json_text_size(ngx_http_binarize_result_t *result)
{
    size_t  size;

    size = binarize_base64_size(result->png_size);

    return result->unpadded ? size - (3 - result->png_size % 3) % 3 : size;
}


ngx_int_t
ngx_http_binarize_stream_send(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx, ngx_uint_t undivided)
{
    ngx_int_t                    rc;
    ngx_http_binarize_stream_t  *stream;

    stream = ngx_http_binarize_stream_create(r, ctx);
    if (stream == NULL) {
        return NGX_ERROR;
    }

    if (undivided) {
        stream->undivided = 1;
        ngx_http_binarize_stream_spool(stream);
    }

    rc = ngx_http_binarize_stream_pump(stream, NGX_OK);

    if (rc == NGX_ERROR || stream->left == 0) {
        return rc;
    }

    ctx->stream = stream;

    r->main->count++;

    r->write_event_handler = ngx_http_binarize_stream_on_write;
    r->read_event_handler = r->discard_body
                            ? ngx_http_discarded_request_body_handler
                            : ngx_http_test_reading;

    if (ngx_http_binarize_stream_wait(stream) != NGX_OK) {
        r->main->count--;
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static ngx_http_binarize_stream_t *
ngx_http_binarize_stream_create(ngx_http_request_t *r,
    ngx_http_binarize_ctx_t *ctx)
{
    size_t                       size;
    ngx_uint_t                   i;
    ngx_pool_cleanup_t          *cln;
    ngx_http_binarize_result_t  *result;
    ngx_http_binarize_stream_t  *stream;

    stream = ngx_pcalloc(r->pool, sizeof(*stream));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (stream == NULL || cln == NULL) {
        return NULL;
    }

    result = ctx->result;

    stream->request = r;
    stream->ctx = ctx;
    stream->png_size = result->png_size;
    stream->reader.handler = ngx_http_binarize_stream_on_spool;

    cln->handler = ngx_http_binarize_stream_on_cleanup;
    cln->data = stream;

    if (ctx->format == BINARIZE_FORMAT_PNG) {
        stream->left = result->png_size;
        stream->windows = &ngx_http_binarize_windows[0];

        return stream;
    }

    if (ngx_http_binarize_stream_document(stream, result) != NGX_OK) {
        return NULL;
    }

    stream->left = ngx_http_binarize_json_text_size(result);

    /* the encoder pads, whether the text has it or not */

    size = binarize_base64_size(result->png_size);

    if (r != r->main) {
        /* its output waits for its turn, and nobody would ask for more */

        stream->size = size;
        stream->text = ngx_pnalloc(r->pool, size);

        return stream->text ? stream : NULL;
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_SLICES && !result->scarce; i++) {
        if (size <= ngx_http_binarize_windows[i].size) {
            stream->zone = ngx_http_binarize_result_entry(result,
                                                         &stream->generation);
            break;
        }
    }

    stream->windows = &ngx_http_binarize_windows[i];

    return stream;
}


/* it may be needed when the result is not any more */

static ngx_int_t
ngx_http_binarize_stream_document(ngx_http_binarize_stream_t *stream,
    ngx_http_binarize_result_t *result)
{
    u_char  *p;

    p = ngx_pnalloc(stream->request->pool, result->doc.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, result->doc.data, result->doc.len);

    stream->head.data = p;
    stream->head.len = result->payload_offset;
    stream->tail.data = p + result->payload_offset;
    stream->tail.len = result->doc.len - result->payload_offset;

    return NGX_OK;
}


/* a place for the next text, if there is none */

static ngx_int_t
ngx_http_binarize_stream_window(ngx_http_binarize_stream_t *stream)
{
    ngx_http_binarize_window_t  *window;

    if (stream->text) {
        return NGX_OK;
    }

    window = ngx_http_binarize_window_get(stream->windows, stream->zone,
                                          stream->generation);
    if (window == NULL) {
        return NGX_ERROR;
    }

    stream->made = (stream->zone && window->zone == stream->zone
                    && window->generation == stream->generation);

    window->zone = stream->zone;
    window->generation = stream->generation;

    stream->window = window;
    stream->text = window->text;
    stream->size = stream->windows->size;

    return NGX_OK;
}


static void
ngx_http_binarize_stream_on_cleanup(void *data)
{
    ngx_http_binarize_stream_t  *stream = data;

    ngx_http_binarize_spool_leave(&stream->reader);
    ngx_http_binarize_stream_free_window(stream);
}


static void
ngx_http_binarize_stream_free_window(ngx_http_binarize_stream_t *stream)
{
    if (stream->window) {
        ngx_http_binarize_window_keep(stream->window);

        stream->window = NULL;
        stream->text = NULL;
    }
}


/*
 * Sends the next windows, as long as the one before is taken.  stream->left is
 * 0 when the last one was given to the filters.
 */

static ngx_int_t
ngx_http_binarize_stream_pump(ngx_http_binarize_stream_t *stream, ngx_int_t rc)
{
    size_t                    turn;
    ngx_chain_t              *out;
    ngx_http_binarize_ctx_t  *ctx;

    ctx = stream->ctx;
    turn = 0;

    while (ngx_http_binarize_stream_taken(stream)) {

        if (stream->undivided && stream->reader.result) {
            return rc;
        }

        if (turn >= NGX_HTTP_BINARIZE_STREAM_TURN) {
            /* others have their turn before the next one */
            ngx_post_event(stream->request->connection->write,
                           &ngx_posted_next_events);
            return rc;
        }

        if (stream->undivided
            || (ctx->format == BINARIZE_FORMAT_PNG
                && ngx_http_binarize_spool_file(&stream->reader)))
        {
            out = ngx_http_binarize_stream_rest(stream);

        } else {
            out = ngx_http_binarize_stream_next(stream);
        }

        rc = out ? ngx_http_output_filter(stream->request, out) : NGX_ERROR;

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (stream->left == 0) {
            if (!stream->undivided) {
                ngx_http_binarize_stream_give_back(stream);
            }

            return rc;
        }

        turn += stream->size;

        if (ngx_http_binarize_stream_taken(stream)) {
            ngx_http_binarize_stream_free_window(stream);
        }
    }

    if (ctx->result && ctx->result->scarce) {
        ngx_http_binarize_stream_spool(stream);
    }

    return rc;
}


/* nothing of the result is needed any more */

static void
ngx_http_binarize_stream_give_back(ngx_http_binarize_stream_t *stream)
{
    if (stream->reader.result) {
        ngx_http_binarize_spool_leave(&stream->reader);
    }

    ngx_http_binarize_answer_give_back(stream->ctx);
}


static void
ngx_http_binarize_stream_spool(ngx_http_binarize_stream_t *stream)
{
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;

    if (stream->reader.spool) {
        return;
    }

    clcf = ngx_http_get_module_loc_conf(stream->request, ngx_http_core_module);

    rc = ngx_http_binarize_spool_join(&stream->reader, stream->ctx->result,
                                      clcf->client_body_temp_path);
    if (rc != NGX_AGAIN) {
        ngx_http_binarize_stream_spooled(stream);
    }
}


static void
ngx_http_binarize_stream_on_spool(ngx_http_binarize_spool_reader_t *reader)
{
    ngx_http_binarize_stream_t  *stream;

    stream = ngx_queue_data(reader, ngx_http_binarize_stream_t, reader);

    ngx_http_binarize_stream_spooled(stream);

    if (stream->undivided) {
        ngx_post_event(stream->request->connection->write,
                       &ngx_posted_next_events);
    }
}


static void
ngx_http_binarize_stream_spooled(ngx_http_binarize_stream_t *stream)
{
    if (ngx_http_binarize_spool_file(&stream->reader)) {
        ngx_http_binarize_answer_give_back(stream->ctx);

    } else {
        /* it has to stay, scarce or not */
        stream->ctx->result->scarce = 0;
    }
}


/* no filter, and no protocol's queue, needs what the buffers point to */

static ngx_uint_t
ngx_http_binarize_stream_taken(ngx_http_binarize_stream_t *stream)
{
    return stream->bufs[0].pos == stream->bufs[0].last
           && stream->bufs[1].pos == stream->bufs[1].last
           && (stream->request->connection->buffered == 0 || !stream->begun);
}


/* all that is left of a PNG, from its copy, or if there is none from memory */

static ngx_chain_t *
ngx_http_binarize_stream_rest(ngx_http_binarize_stream_t *stream)
{
    ngx_buf_t           *b;
    ngx_file_t          *file, *copy;
    ngx_http_request_t  *r;

    r = stream->request;

    stream->left = 0;

    ngx_http_binarize_stream_free_window(stream);

    copy = ngx_http_binarize_spool_file(&stream->reader);
    if (copy == NULL) {
        return ngx_http_binarize_body_png(r, stream->ctx->result);
    }

    /* what nginx leaves in it is the request's */

    file = ngx_palloc(r->pool, sizeof(ngx_file_t));
    if (file == NULL) {
        return NULL;
    }

    *file = *copy;
    file->log = r->connection->log;

    b = &stream->bufs[1];

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->in_file = 1;
    b->file = file;
    b->file_pos = stream->offset;
    b->file_last = stream->png_size;
    b->last_buf = 1;
    b->last_in_chain = 1;

    stream->chain[1].buf = b;
    stream->chain[1].next = NULL;

    return &stream->chain[1];
}


static ngx_chain_t *
ngx_http_binarize_stream_next(ngx_http_binarize_stream_t *stream)
{
    ssize_t      size;
    ngx_buf_t   *b;
    ngx_uint_t   i, first, last;

    if (ngx_http_binarize_stream_window(stream) != NGX_OK) {
        return NULL;
    }

    size = ngx_http_binarize_stream_fill(stream);
    if (size == NGX_ERROR) {
        return NULL;
    }

    first = (stream->begun || stream->head.len == 0) ? 1 : 0;
    last = 1;

    b = stream->bufs;

    ngx_memzero(b, sizeof(stream->bufs));

    if (first == 0) {
        b[0].start = stream->head.data;
        b[0].end = stream->head.data + stream->head.len;
    }

    b[1].start = stream->text;
    b[1].end = stream->text + size;

    stream->left -= size;
    stream->begun = 1;

    if (stream->left == 0 && stream->tail.len) {
        last = 2;

        b[2].start = stream->tail.data;
        b[2].end = stream->tail.data + stream->tail.len;
    }

    for (i = first; i <= last; i++) {
        b[i].pos = b[i].start;
        b[i].last = b[i].end;
        b[i].memory = 1;

        stream->chain[i].buf = &b[i];
        stream->chain[i].next = (i < last) ? &stream->chain[i + 1] : NULL;
    }

    if (stream->left == 0) {
        b[last].last_buf = (stream->request == stream->request->main) ? 1 : 0;
        b[last].last_in_chain = 1;

    } else {
        /* nothing small stays behind, or the window could not be used again */
        b[1].flush = 1;
    }

    return &stream->chain[first];
}


/*
 * Fills the window with the next text and returns its size, or NGX_ERROR.  A
 * group of three bytes may lie across two pieces.
 */

static ssize_t
ngx_http_binarize_stream_fill(ngx_http_binarize_stream_t *stream)
{
    size_t      left, nheld;
    u_char      held[3], *p, *text;
    ssize_t     n;
    ngx_uint_t  png;

    if (stream->made) {
        return stream->left;
    }

    png = (stream->ctx->format == BINARIZE_FORMAT_PNG);

    nheld = 0;
    text = stream->text;

    left = png ? stream->size : stream->size / 4 * 3;

    while (left && stream->offset < stream->png_size) {

        n = ngx_http_binarize_stream_source(stream, left, &p);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (png) {
            text = ngx_cpymem(text, p, n);

        } else if (nheld || n < 3) {
            n = ngx_min((size_t) n, 3 - nheld);
            ngx_memcpy(held + nheld, p, n);
            nheld += n;

            if (nheld == 3) {
                text += binarize_base64_encode(text, held, 3);
                nheld = 0;
            }

        } else {
            n -= n % 3;
            text += binarize_base64_encode(text, p, n);
        }

        left -= n;
        stream->offset += n;
    }

    text += binarize_base64_encode(text, held, nheld);

    /* without the padding, if the cloud's text had none */

    return ngx_min((size_t) (text - stream->text), stream->left);
}


/* the next bytes of the PNG, at most size of those there are, or NGX_ERROR */

static ssize_t
ngx_http_binarize_stream_source(ngx_http_binarize_stream_t *stream,
    size_t size, u_char **data)
{
    size_t            skip;
    ngx_file_t       *file;
    binarize_span_t  *piece;

    file = ngx_http_binarize_spool_file(&stream->reader);

    if (file) {
        size = ngx_min(size, stream->png_size - stream->offset);
        size = ngx_min(size, NGX_HTTP_BINARIZE_READ_SIZE);

        *data = ngx_http_binarize_stream_read;

        return (ngx_read_file(file, *data, size, stream->offset)
                == (ssize_t) size)
               ? (ssize_t) size : NGX_ERROR;
    }

    piece = &stream->ctx->result->png[stream->piece];
    skip = stream->offset - stream->piece_offset;

    if (skip == piece->size) {
        stream->piece++;
        stream->piece_offset = stream->offset;

        piece++;
        skip = 0;
    }

    *data = (u_char *) piece->data + skip;

    return ngx_min(piece->size - skip, size);
}


/* as ngx_http_writer() */

static void
ngx_http_binarize_stream_on_write(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_binarize_ctx_t   *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed || r->aio) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    rc = ngx_http_output_filter(r, NULL);

    if (rc != NGX_ERROR) {
        rc = ngx_http_binarize_stream_pump(ctx->stream, rc);
    }

    if (rc == NGX_ERROR || ctx->stream->left == 0) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_binarize_stream_wait(ctx->stream) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_binarize_stream_wait(ngx_http_binarize_stream_t *stream)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = stream->request;
    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat);
}
