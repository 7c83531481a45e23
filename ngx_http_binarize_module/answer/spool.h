
/*
 * Copies of PNGs for those who read slowly: a file without a name for each
 * PNG, by its digest, shared by this worker's requests and gone with the last
 * of them.  Files are written in turn, a slice in each turn of the event loop.
 */


#ifndef _NGX_HTTP_BINARIZE_SPOOL_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_SPOOL_H_INCLUDED_


#include "flight/result.h"


typedef struct ngx_http_binarize_spool_s  ngx_http_binarize_spool_t;
typedef struct ngx_http_binarize_spool_reader_s
                                          ngx_http_binarize_spool_reader_t;


/* embedded by who needs a copy, zeroed before */
struct ngx_http_binarize_spool_reader_s {
    /* the caller's: the copy is whole, or there is none */
    void                       (*handler)(
                                    ngx_http_binarize_spool_reader_t *reader);

    /* the caller reads */
    ngx_http_binarize_spool_t   *spool;     /* NULL: none */
    ngx_http_binarize_result_t  *result;    /* while it is copied, or NULL */

    /* implementation */
    ngx_queue_t                  queue;     /* spool->waiting */
};


/*
 * Joins the copy of the result's PNG, which is begun, in path, if there is
 * none.  The reader keeps the result until the copy is whole, or leaves.
 * NGX_OK: it is whole; NGX_AGAIN: the handler will be called, not from inside;
 * NGX_ERROR: there is none, which is logged.
 */
ngx_int_t ngx_http_binarize_spool_join(
    ngx_http_binarize_spool_reader_t *reader,
    ngx_http_binarize_result_t *result, ngx_path_t *path);

/* the copy is not needed any more, if there was one */
void ngx_http_binarize_spool_leave(ngx_http_binarize_spool_reader_t *reader);

/* a copy that is whole, NULL: there is none; valid until the reader leaves */
ngx_file_t *ngx_http_binarize_spool_file(
    ngx_http_binarize_spool_reader_t *reader);


#endif /* _NGX_HTTP_BINARIZE_SPOOL_H_INCLUDED_ */
