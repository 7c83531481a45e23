
#include "answer/answer.h"
#include "core/base64.h"


/*
 * The text is made in windows.  A worker keeps some for the next requests, and
 * what is in them: a text that fits into one need not be made again soon.  Of
 * a larger one a slice is made at a time, small enough for the processor's
 * cache and for the other clients, who wait for it; as soon as the connection
 * has taken it the window is anybody's again.
 */

#define NGX_HTTP_BINARIZE_NWINDOWS  3

/* the windows of slices */
#define NGX_HTTP_BINARIZE_SLICES    (NGX_HTTP_BINARIZE_NWINDOWS - 1)


typedef struct {
    size_t                       size;
    ngx_uint_t                   nkeep;
    ngx_uint_t                   nkept;
    ngx_queue_t                  kept;      /* the one used last is first */
} ngx_http_binarize_windows_t;


typedef struct {
    ngx_queue_t                  queue;
    ngx_http_binarize_windows_t *windows;
    u_char                      *text;

    /* whose text begins in it and is whole; zone NULL: nobody's */
    ngx_http_binarize_zone_t    *zone;
    uint64_t                     generation;
} ngx_http_binarize_window_t;


struct ngx_http_binarize_stream_s {
    ngx_http_request_t          *request;
    ngx_http_binarize_result_t  *result;

    size_t                       left;      /* text not made yet */
    ngx_uint_t                   piece;     /* of the payload, the next byte */
    size_t                       offset;

    ngx_http_binarize_window_t  *window;    /* NULL: none at the moment */
    u_char                      *text;      /* of the window */
    size_t                       size;

    ngx_buf_t                    bufs[3];   /* document, window, document */
    ngx_chain_t                  chain[3];

    unsigned                     begun:1;
    unsigned                     made:1;    /* by a request before */
};


static size_t ngx_http_binarize_json_text_size(
    ngx_http_binarize_result_t *result);
static ngx_int_t ngx_http_binarize_stream_window(
    ngx_http_binarize_stream_t *stream);
static ngx_http_binarize_window_t *ngx_http_binarize_window_get(
    ngx_http_binarize_windows_t *windows, ngx_http_binarize_zone_t *zone,
    uint64_t generation);
static void ngx_http_binarize_stream_on_cleanup(void *data);
static void ngx_http_binarize_window_keep(
    ngx_http_binarize_window_t *window);
static void ngx_http_binarize_window_drop(
    ngx_http_binarize_windows_t *windows);
static ngx_int_t ngx_http_binarize_stream_pump(
    ngx_http_binarize_stream_t *stream, ngx_int_t rc);
static ngx_uint_t ngx_http_binarize_stream_taken(
    ngx_http_binarize_stream_t *stream);
static ngx_chain_t *ngx_http_binarize_stream_next(
    ngx_http_binarize_stream_t *stream);
static size_t ngx_http_binarize_stream_encode(
    ngx_http_binarize_stream_t *stream);
static void ngx_http_binarize_stream_on_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_stream_wait(
    ngx_http_binarize_stream_t *stream);


/* this worker's, by size */
static ngx_http_binarize_windows_t
    ngx_http_binarize_windows[NGX_HTTP_BINARIZE_NWINDOWS] =
{
    { 64 * 1024, 16, 0, { NULL, NULL } },
    { 512 * 1024, 8, 0, { NULL, NULL } },
    { 256 * 1024, 4, 0, { NULL, NULL } }
};


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
    ngx_http_binarize_result_t *result)
{
    ngx_int_t                  rc;
    ngx_pool_cleanup_t        *cln;
    ngx_http_binarize_ctx_t   *ctx;
    ngx_http_binarize_stream_t  *stream;

    stream = ngx_pcalloc(r->pool, sizeof(*stream));
    if (stream == NULL) {
        return NGX_ERROR;
    }

    stream->request = r;
    stream->result = result;
    stream->left = ngx_http_binarize_json_text_size(result);

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_binarize_stream_on_cleanup;
    cln->data = stream;

    rc = ngx_http_binarize_stream_pump(stream, NGX_OK);

    if (rc == NGX_ERROR || stream->left == 0) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_binarize_module);
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


/* a place for the next text, if there is none */

static ngx_int_t
ngx_http_binarize_stream_window(ngx_http_binarize_stream_t *stream)
{
    size_t                        size;
    uint64_t                      generation;
    ngx_uint_t                    i;
    ngx_http_request_t           *r;
    ngx_http_binarize_zone_t     *zone;
    ngx_http_binarize_window_t   *window;
    ngx_http_binarize_windows_t  *windows;

    if (stream->text) {
        return NGX_OK;
    }

    r = stream->request;

    /* the encoder pads, whether the text has it or not */

    size = binarize_base64_size(stream->result->png_size);

    if (r != r->main) {
        /* its output waits for its turn, and nobody would ask for more */

        stream->size = size;
        stream->text = ngx_pnalloc(r->pool, size);

        return stream->text ? NGX_OK : NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_BINARIZE_SLICES; i++) {
        if (size <= ngx_http_binarize_windows[i].size) {
            break;
        }
    }

    windows = &ngx_http_binarize_windows[i];
    zone = NULL;
    generation = 0;

    if (i < NGX_HTTP_BINARIZE_SLICES) {
        zone = ngx_http_binarize_result_entry(stream->result, &generation);
    }

    window = ngx_http_binarize_window_get(windows, zone, generation);
    if (window == NULL) {
        return NGX_ERROR;
    }

    stream->made = (zone && window->zone == zone
                  && window->generation == generation);

    window->zone = zone;
    window->generation = generation;

    stream->window = window;
    stream->text = window->text;
    stream->size = windows->size;

    return NGX_OK;
}


/*
 * Preferably one that has the text already, or for a text that nobody will
 * look for again the last one of that kind, otherwise the one least used.
 */

static ngx_http_binarize_window_t *
ngx_http_binarize_window_get(ngx_http_binarize_windows_t *windows,
    ngx_http_binarize_zone_t *zone, uint64_t generation)
{
    ngx_queue_t                 *q;
    ngx_http_binarize_window_t  *window;

    if (windows->nkept == 0) {
        window = ngx_alloc(sizeof(*window), ngx_cycle->log);
        if (window == NULL) {
            return NULL;
        }

        window->text = ngx_alloc(windows->size, ngx_cycle->log);
        if (window->text == NULL) {
            ngx_free(window);
            return NULL;
        }

        window->windows = windows;
        window->zone = NULL;

        return window;
    }

    window = NULL;

    for (q = ngx_queue_head(&windows->kept);
         q != ngx_queue_sentinel(&windows->kept);
         q = ngx_queue_next(q))
    {
        window = ngx_queue_data(q, ngx_http_binarize_window_t, queue);

        if (window->zone == zone && window->generation == generation) {
            break;
        }
    }

    ngx_queue_remove(&window->queue);
    windows->nkept--;

    return window;
}


static void
ngx_http_binarize_stream_on_cleanup(void *data)
{
    ngx_http_binarize_stream_t  *stream = data;

    if (stream->window) {
        ngx_http_binarize_window_keep(stream->window);
    }
}


static void
ngx_http_binarize_window_keep(ngx_http_binarize_window_t *window)
{
    ngx_http_binarize_windows_t  *windows;

    windows = window->windows;

    if (windows->kept.next == NULL) {
        ngx_queue_init(&windows->kept);
    }

    ngx_queue_insert_head(&windows->kept, &window->queue);

    if (++windows->nkept > windows->nkeep) {
        ngx_http_binarize_window_drop(windows);
    }
}


/* the one least used */

static void
ngx_http_binarize_window_drop(ngx_http_binarize_windows_t *windows)
{
    ngx_http_binarize_window_t  *window;

    window = ngx_queue_data(ngx_queue_last(&windows->kept),
                            ngx_http_binarize_window_t, queue);

    ngx_queue_remove(&window->queue);
    windows->nkept--;

    ngx_free(window->text);
    ngx_free(window);
}


void
ngx_http_binarize_stream_exit_process(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BINARIZE_NWINDOWS; i++) {
        while (ngx_http_binarize_windows[i].nkept) {
            ngx_http_binarize_window_drop(&ngx_http_binarize_windows[i]);
        }
    }
}


/*
 * Sends the next window if the one before is taken.  stream->left is 0 when
 * the last one was given to the filters.
 */

static ngx_int_t
ngx_http_binarize_stream_pump(ngx_http_binarize_stream_t *stream, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    if (!ngx_http_binarize_stream_taken(stream)) {
        return rc;
    }

    r = stream->request;

    if (ngx_http_binarize_stream_window(stream) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_output_filter(r, ngx_http_binarize_stream_next(stream));

    if (rc != NGX_ERROR
        && stream->left
        && ngx_http_binarize_stream_taken(stream))
    {
        if (stream->window) {
            ngx_http_binarize_window_keep(stream->window);

            stream->window = NULL;
            stream->text = NULL;
        }

        /* others have their turn before the next one */
        ngx_post_event(r->connection->write, &ngx_posted_next_events);
    }

    return rc;
}


/* no filter, and no protocol's queue, needs what the buffers point to */

static ngx_uint_t
ngx_http_binarize_stream_taken(ngx_http_binarize_stream_t *stream)
{
    return stream->bufs[0].pos == stream->bufs[0].last
           && stream->bufs[1].pos == stream->bufs[1].last
           && (stream->request->connection->buffered == 0 || !stream->begun);
}


static ngx_chain_t *
ngx_http_binarize_stream_next(ngx_http_binarize_stream_t *stream)
{
    size_t                       size;
    ngx_buf_t                   *b;
    ngx_uint_t                   i, first, last;
    ngx_http_binarize_result_t  *result;

    result = stream->result;

    first = stream->begun ? 1 : 0;
    last = 1;

    b = stream->bufs;

    ngx_memzero(b, sizeof(stream->bufs));

    b[0].start = result->doc.data;
    b[0].end = result->doc.data + result->payload_offset;

    size = ngx_http_binarize_stream_encode(stream);

    b[1].start = stream->text;
    b[1].end = stream->text + size;

    stream->left -= size;
    stream->begun = 1;

    if (stream->left == 0) {
        last = 2;

        b[2].start = b[0].end;
        b[2].end = result->doc.data + result->doc.len;
    }

    for (i = 0; i <= last; i++) {
        b[i].pos = b[i].start;
        b[i].last = b[i].end;
        b[i].memory = 1;

        stream->chain[i].buf = &b[i];
        stream->chain[i].next = (i < last) ? &stream->chain[i + 1] : NULL;
    }

    if (first) {
        /* was sent with the first window */
        b[0].pos = b[0].last;
    }

    if (last == 2) {
        b[2].last_buf = (stream->request == stream->request->main) ? 1 : 0;
        b[2].last_in_chain = 1;

    } else {
        /* nothing small stays behind, or the window could not be used again */
        b[1].flush = 1;
    }

    return &stream->chain[first];
}


/*
 * Fills the window with the next text and returns its size.  A group of three
 * bytes may lie across two pieces.
 */

static size_t
ngx_http_binarize_stream_encode(ngx_http_binarize_stream_t *stream)
{
    size_t            n, left, nheld;
    u_char            held[3], *text;
    const u_char     *p;
    binarize_span_t  *piece;

    if (stream->made) {
        return stream->left;
    }

    nheld = 0;
    text = stream->text;

    left = stream->size / 4 * 3;

    while (left && stream->piece < stream->result->npieces) {
        piece = &stream->result->png[stream->piece];

        p = (const u_char *) piece->data + stream->offset;
        n = ngx_min(piece->size - stream->offset, left);

        if (nheld || n < 3) {
            n = ngx_min(n, 3 - nheld);
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

        if (stream->offset == piece->size) {
            stream->piece++;
            stream->offset = 0;
        }
    }

    text += binarize_base64_encode(text, held, nheld);

    /* without the padding, if the cloud's text had none */

    return ngx_min((size_t) (text - stream->text), stream->left);
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
