
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


struct ngx_http_binarize_json_s {
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
static ngx_int_t ngx_http_binarize_json_window(ngx_http_binarize_json_t *json);
static ngx_http_binarize_window_t *ngx_http_binarize_window_get(
    ngx_http_binarize_windows_t *windows, ngx_http_binarize_zone_t *zone,
    uint64_t generation);
static void ngx_http_binarize_json_on_cleanup(void *data);
static void ngx_http_binarize_window_keep(
    ngx_http_binarize_window_t *window);
static void ngx_http_binarize_window_drop(
    ngx_http_binarize_windows_t *windows);
static ngx_int_t ngx_http_binarize_json_pump(ngx_http_binarize_json_t *json,
    ngx_int_t rc);
static ngx_uint_t ngx_http_binarize_json_taken(ngx_http_binarize_json_t *json);
static ngx_chain_t *ngx_http_binarize_json_next(
    ngx_http_binarize_json_t *json);
static size_t ngx_http_binarize_json_encode(ngx_http_binarize_json_t *json);
static void ngx_http_binarize_json_on_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_binarize_json_wait(ngx_http_binarize_json_t *json);


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
ngx_http_binarize_json_send(ngx_http_request_t *r,
    ngx_http_binarize_result_t *result)
{
    ngx_int_t                  rc;
    ngx_pool_cleanup_t        *cln;
    ngx_http_binarize_ctx_t   *ctx;
    ngx_http_binarize_json_t  *json;

    json = ngx_pcalloc(r->pool, sizeof(*json));
    if (json == NULL) {
        return NGX_ERROR;
    }

    json->request = r;
    json->result = result;
    json->left = ngx_http_binarize_json_text_size(result);

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_binarize_json_on_cleanup;
    cln->data = json;

    rc = ngx_http_binarize_json_pump(json, NGX_OK);

    if (rc == NGX_ERROR || json->left == 0) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_binarize_module);
    ctx->json = json;

    r->main->count++;

    r->write_event_handler = ngx_http_binarize_json_on_write;
    r->read_event_handler = r->discard_body
                            ? ngx_http_discarded_request_body_handler
                            : ngx_http_test_reading;

    if (ngx_http_binarize_json_wait(json) != NGX_OK) {
        r->main->count--;
        return NGX_ERROR;
    }

    return NGX_DONE;
}


/* a place for the next text, if there is none */

static ngx_int_t
ngx_http_binarize_json_window(ngx_http_binarize_json_t *json)
{
    size_t                        size;
    uint64_t                      generation;
    ngx_uint_t                    i;
    ngx_http_request_t           *r;
    ngx_http_binarize_zone_t     *zone;
    ngx_http_binarize_window_t   *window;
    ngx_http_binarize_windows_t  *windows;

    if (json->text) {
        return NGX_OK;
    }

    r = json->request;

    /* the encoder pads, whether the text has it or not */

    size = binarize_base64_size(json->result->png_size);

    if (r != r->main) {
        /* its output waits for its turn, and nobody would ask for more */

        json->size = size;
        json->text = ngx_pnalloc(r->pool, size);

        return json->text ? NGX_OK : NGX_ERROR;
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
        zone = ngx_http_binarize_result_entry(json->result, &generation);
    }

    window = ngx_http_binarize_window_get(windows, zone, generation);
    if (window == NULL) {
        return NGX_ERROR;
    }

    json->made = (zone && window->zone == zone
                  && window->generation == generation);

    window->zone = zone;
    window->generation = generation;

    json->window = window;
    json->text = window->text;
    json->size = windows->size;

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
ngx_http_binarize_json_on_cleanup(void *data)
{
    ngx_http_binarize_json_t  *json = data;

    if (json->window) {
        ngx_http_binarize_window_keep(json->window);
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
ngx_http_binarize_json_exit_process(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BINARIZE_NWINDOWS; i++) {
        while (ngx_http_binarize_windows[i].nkept) {
            ngx_http_binarize_window_drop(&ngx_http_binarize_windows[i]);
        }
    }
}


/*
 * Sends the next window if the one before is taken.  json->left is 0 when the
 * last one was given to the filters.
 */

static ngx_int_t
ngx_http_binarize_json_pump(ngx_http_binarize_json_t *json, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    if (!ngx_http_binarize_json_taken(json)) {
        return rc;
    }

    r = json->request;

    if (ngx_http_binarize_json_window(json) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_output_filter(r, ngx_http_binarize_json_next(json));

    if (rc != NGX_ERROR
        && json->left
        && ngx_http_binarize_json_taken(json))
    {
        if (json->window) {
            ngx_http_binarize_window_keep(json->window);

            json->window = NULL;
            json->text = NULL;
        }

        /* others have their turn before the next one */
        ngx_post_event(r->connection->write, &ngx_posted_next_events);
    }

    return rc;
}


/* no filter, and no protocol's queue, needs what the buffers point to */

static ngx_uint_t
ngx_http_binarize_json_taken(ngx_http_binarize_json_t *json)
{
    return json->bufs[0].pos == json->bufs[0].last
           && json->bufs[1].pos == json->bufs[1].last
           && (json->request->connection->buffered == 0 || !json->begun);
}


static ngx_chain_t *
ngx_http_binarize_json_next(ngx_http_binarize_json_t *json)
{
    size_t                       size;
    ngx_buf_t                   *b;
    ngx_uint_t                   i, first, last;
    ngx_http_binarize_result_t  *result;

    result = json->result;

    first = json->begun ? 1 : 0;
    last = 1;

    b = json->bufs;

    ngx_memzero(b, sizeof(json->bufs));

    b[0].start = result->doc.data;
    b[0].end = result->doc.data + result->payload_offset;

    size = ngx_http_binarize_json_encode(json);

    b[1].start = json->text;
    b[1].end = json->text + size;

    json->left -= size;
    json->begun = 1;

    if (json->left == 0) {
        last = 2;

        b[2].start = b[0].end;
        b[2].end = result->doc.data + result->doc.len;
    }

    for (i = 0; i <= last; i++) {
        b[i].pos = b[i].start;
        b[i].last = b[i].end;
        b[i].memory = 1;

        json->chain[i].buf = &b[i];
        json->chain[i].next = (i < last) ? &json->chain[i + 1] : NULL;
    }

    if (first) {
        /* was sent with the first window */
        b[0].pos = b[0].last;
    }

    if (last == 2) {
        b[2].last_buf = (json->request == json->request->main) ? 1 : 0;
        b[2].last_in_chain = 1;

    } else {
        /* nothing small stays behind, or the window could not be used again */
        b[1].flush = 1;
    }

    return &json->chain[first];
}


/*
 * Fills the window with the next text and returns its size.  A group of three
 * bytes may lie across two pieces.
 */

static size_t
ngx_http_binarize_json_encode(ngx_http_binarize_json_t *json)
{
    size_t            n, left, nheld;
    u_char            held[3], *text;
    const u_char     *p;
    binarize_span_t  *piece;

    if (json->made) {
        return json->left;
    }

    nheld = 0;
    text = json->text;

    left = json->size / 4 * 3;

    while (left && json->piece < json->result->npieces) {
        piece = &json->result->png[json->piece];

        p = (const u_char *) piece->data + json->offset;
        n = ngx_min(piece->size - json->offset, left);

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
        json->offset += n;

        if (json->offset == piece->size) {
            json->piece++;
            json->offset = 0;
        }
    }

    text += binarize_base64_encode(text, held, nheld);

    /* without the padding, if the cloud's text had none */

    return ngx_min((size_t) (text - json->text), json->left);
}


/* as ngx_http_writer() */

static void
ngx_http_binarize_json_on_write(ngx_http_request_t *r)
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
        rc = ngx_http_binarize_json_pump(ctx->json, rc);
    }

    if (rc == NGX_ERROR || ctx->json->left == 0) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_binarize_json_wait(ctx->json) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_binarize_json_wait(ngx_http_binarize_json_t *json)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = json->request;
    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat);
}
