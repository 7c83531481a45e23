
#include "answer/spool.h"


/* of a copy, of which a turn writes no more, bytes */
#define NGX_HTTP_BINARIZE_SPOOL_TURN  (512 * 1024)


struct ngx_http_binarize_spool_s {
    ngx_str_node_t               node;      /* by etag, of equal bytes */
    u_char                       etag[BINARIZE_ETAG_SIZE];

    ngx_uint_t                   nreaders;
    ngx_queue_t                  waiting;   /* readers; while it is written */
    ngx_queue_t                  queue;     /* of those to be written */

    size_t                       size;
    size_t                       written;
    ngx_file_t                   file;
    ngx_pool_t                  *pool;
};


static ngx_http_binarize_spool_t *ngx_http_binarize_spool_create(
    ngx_http_binarize_result_t *result, uint32_t hash, ngx_path_t *path);
static void ngx_http_binarize_spool_on_turn(ngx_event_t *ev);
static ngx_int_t ngx_http_binarize_spool_write(
    ngx_http_binarize_spool_t *spool);
static void ngx_http_binarize_spool_end(ngx_http_binarize_spool_t *spool,
    ngx_int_t rc);


/* this worker's */
static ngx_rbtree_t       ngx_http_binarize_spools;
static ngx_rbtree_node_t  ngx_http_binarize_spools_sentinel;
static ngx_queue_t        ngx_http_binarize_spools_unwritten;
static ngx_event_t        ngx_http_binarize_spools_turn;


ngx_int_t
ngx_http_binarize_spool_join(ngx_http_binarize_spool_reader_t *reader,
    ngx_http_binarize_result_t *result, ngx_path_t *path)
{
    uint32_t                    hash;
    ngx_str_t                   etag;
    ngx_http_binarize_spool_t  *spool;

    if (ngx_http_binarize_spools.root == NULL) {
        ngx_rbtree_init(&ngx_http_binarize_spools,
                        &ngx_http_binarize_spools_sentinel,
                        ngx_str_rbtree_insert_value);
        ngx_queue_init(&ngx_http_binarize_spools_unwritten);

        ngx_http_binarize_spools_turn.handler = ngx_http_binarize_spool_on_turn;
    }

    etag.data = result->etag;
    etag.len = BINARIZE_ETAG_SIZE;
    hash = ngx_crc32_short(etag.data, etag.len);

    spool = (ngx_http_binarize_spool_t *)
            ngx_str_rbtree_lookup(&ngx_http_binarize_spools, &etag, hash);

    if (spool == NULL) {
        spool = ngx_http_binarize_spool_create(result, hash, path);
        if (spool == NULL) {
            return NGX_ERROR;
        }
    }

    spool->nreaders++;
    reader->spool = spool;

    if (spool->written == spool->size) {
        return NGX_OK;
    }

    reader->result = result;
    ngx_queue_insert_tail(&spool->waiting, &reader->queue);

    return NGX_AGAIN;
}


static ngx_http_binarize_spool_t *
ngx_http_binarize_spool_create(ngx_http_binarize_result_t *result,
    uint32_t hash, ngx_path_t *path)
{
    ngx_pool_t                 *pool;
    ngx_http_binarize_spool_t  *spool;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    spool = ngx_pcalloc(pool, sizeof(*spool));
    if (spool == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    spool->pool = pool;
    spool->size = result->png_size;
    spool->file.fd = NGX_INVALID_FILE;
    spool->file.log = pool->log;

    /* it has no name any more when this returns, and the pool closes it */

    if (ngx_create_temp_file(&spool->file, path, pool, 0, 0, 0) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_queue_init(&spool->waiting);
    ngx_queue_insert_tail(&ngx_http_binarize_spools_unwritten, &spool->queue);

    ngx_memcpy(spool->etag, result->etag, BINARIZE_ETAG_SIZE);

    spool->node.str.data = spool->etag;
    spool->node.str.len = BINARIZE_ETAG_SIZE;
    spool->node.node.key = hash;
    ngx_rbtree_insert(&ngx_http_binarize_spools, &spool->node.node);

    ngx_http_binarize_spools_turn.log = ngx_cycle->log;

    if (!ngx_http_binarize_spools_turn.posted) {
        ngx_post_event(&ngx_http_binarize_spools_turn,
                       &ngx_posted_next_events);
    }

    return spool;
}


void
ngx_http_binarize_spool_leave(ngx_http_binarize_spool_reader_t *reader)
{
    ngx_http_binarize_spool_t  *spool;

    spool = reader->spool;

    if (spool == NULL) {
        return;
    }

    reader->spool = NULL;

    if (reader->result) {
        reader->result = NULL;
        ngx_queue_remove(&reader->queue);
    }

    if (--spool->nreaders) {
        return;
    }

    if (spool->written < spool->size) {
        ngx_queue_remove(&spool->queue);
    }

    ngx_rbtree_delete(&ngx_http_binarize_spools, &spool->node.node);
    ngx_destroy_pool(spool->pool);
}


ngx_file_t *
ngx_http_binarize_spool_file(ngx_http_binarize_spool_reader_t *reader)
{
    return (reader->spool && reader->result == NULL) ? &reader->spool->file
                                                     : NULL;
}


static void
ngx_http_binarize_spool_on_turn(ngx_event_t *ev)
{
    ngx_int_t                   rc;
    ngx_queue_t                *q;
    ngx_http_binarize_spool_t  *spool;

    if (ngx_queue_empty(&ngx_http_binarize_spools_unwritten)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_binarize_spools_unwritten);
    spool = ngx_queue_data(q, ngx_http_binarize_spool_t, queue);

    rc = ngx_http_binarize_spool_write(spool);

    if (rc != NGX_AGAIN) {
        ngx_http_binarize_spool_end(spool, rc);
    }

    if (!ngx_queue_empty(&ngx_http_binarize_spools_unwritten)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/* from the memory of any of those who wait, it is the same */

static ngx_int_t
ngx_http_binarize_spool_write(ngx_http_binarize_spool_t *spool)
{
    size_t                             turn, size, begin;
    ngx_uint_t                         i;
    binarize_span_t                   *piece;
    ngx_http_binarize_result_t        *result;
    ngx_http_binarize_spool_reader_t  *reader;

    reader = ngx_queue_data(ngx_queue_head(&spool->waiting),
                            ngx_http_binarize_spool_reader_t, queue);
    result = reader->result;

    turn = NGX_HTTP_BINARIZE_SPOOL_TURN;
    begin = 0;

    for (i = 0; i < result->npieces && turn; i++) {
        piece = &result->png[i];

        if (spool->written < begin + piece->size) {
            size = ngx_min(begin + piece->size - spool->written, turn);

            if (ngx_write_file(&spool->file,
                               (u_char *) piece->data + spool->written - begin,
                               size, spool->written)
                == NGX_ERROR)
            {
                return NGX_ERROR;
            }

            spool->written += size;
            turn -= size;
        }

        begin += piece->size;
    }

    return (spool->written < spool->size) ? NGX_AGAIN : NGX_OK;
}


/* those who wait have the file, or go on without one */

static void
ngx_http_binarize_spool_end(ngx_http_binarize_spool_t *spool, ngx_int_t rc)
{
    ngx_queue_t                       *q, readers;
    ngx_http_binarize_spool_reader_t  *reader;

    if (rc == NGX_OK) {
        ngx_queue_remove(&spool->queue);
    }

    ngx_queue_init(&readers);
    ngx_queue_add(&readers, &spool->waiting);
    ngx_queue_init(&spool->waiting);

    while (!ngx_queue_empty(&readers)) {
        q = ngx_queue_head(&readers);
        reader = ngx_queue_data(q, ngx_http_binarize_spool_reader_t, queue);

        if (rc == NGX_OK) {
            reader->result = NULL;
            ngx_queue_remove(q);

        } else {
            ngx_http_binarize_spool_leave(reader);
        }

        reader->handler(reader);
    }
}
