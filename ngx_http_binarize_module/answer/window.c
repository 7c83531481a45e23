
#include "answer/window.h"


static void ngx_http_binarize_window_drop(
    ngx_http_binarize_windows_t *windows);


ngx_http_binarize_windows_t
    ngx_http_binarize_windows[NGX_HTTP_BINARIZE_NWINDOWS] =
{
    { NGX_HTTP_BINARIZE_WINDOW_SIZE, 16, 0, { NULL, NULL } },
    { 512 * 1024, 8, 0, { NULL, NULL } },
    { NGX_HTTP_BINARIZE_SLICE_SIZE, 4, 0, { NULL, NULL } }
};


ngx_http_binarize_window_t *
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


void
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
ngx_http_binarize_windows_exit_process(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BINARIZE_NWINDOWS; i++) {
        while (ngx_http_binarize_windows[i].nkept) {
            ngx_http_binarize_window_drop(&ngx_http_binarize_windows[i]);
        }
    }
}
