
/*
 * Memory in which the text of a body is made.  A worker keeps some for the next
 * requests, and what is in them: a text that fits into one need not be made
 * again soon.  Of a larger one a slice is made at a time, small enough for the
 * processor's cache and for the other clients, who wait for it; as soon as the
 * connection has taken it the window is anybody's again.
 */


#ifndef _NGX_HTTP_BINARIZE_WINDOW_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_WINDOW_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "zone/zone.h"


#define NGX_HTTP_BINARIZE_NWINDOWS     3

/* the windows of slices */
#define NGX_HTTP_BINARIZE_SLICES       (NGX_HTTP_BINARIZE_NWINDOWS - 1)

/* of the smallest, and of those of slices, bytes */
#define NGX_HTTP_BINARIZE_WINDOW_SIZE  (64 * 1024)
#define NGX_HTTP_BINARIZE_SLICE_SIZE   (256 * 1024)


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


/* this worker's, by size */
extern ngx_http_binarize_windows_t
    ngx_http_binarize_windows[NGX_HTTP_BINARIZE_NWINDOWS];


/*
 * Preferably one that has the text already, or for a text that nobody will
 * look for again the last one of that kind, otherwise the one least used.
 * NULL: no memory.
 */
ngx_http_binarize_window_t *ngx_http_binarize_window_get(
    ngx_http_binarize_windows_t *windows, ngx_http_binarize_zone_t *zone,
    uint64_t generation);

/* it is not needed any more */
void ngx_http_binarize_window_keep(ngx_http_binarize_window_t *window);

/* frees those this worker has kept */
void ngx_http_binarize_windows_exit_process(void);


#endif /* _NGX_HTTP_BINARIZE_WINDOW_H_INCLUDED_ */
