
#include "cloud/job_pool.h"

#include <sys/mman.h>


/* pools in one mapping */
#define NGX_HTTP_BINARIZE_SLAB_POOLS  64


typedef struct ngx_http_binarize_slab_s   ngx_http_binarize_slab_t;
typedef union ngx_http_binarize_block_u   ngx_http_binarize_block_t;

/* at the beginning of a mapping */
struct ngx_http_binarize_slab_s {
    ngx_queue_t                 queue;    /* of those with room */
    ngx_http_binarize_block_t  *free;     /* used before */
    u_char                     *next;     /* never used, and no page behind */
    ngx_uint_t                  nused;
    size_t                      stride;   /* of the blocks */
    size_t                      size;
};


/* in front of each pool */
union ngx_http_binarize_block_u {
    ngx_http_binarize_slab_t   *slab;     /* while it is used */
    ngx_http_binarize_block_t  *next;     /* while it is free */
    u_char                      align[NGX_POOL_ALIGNMENT];
};


static ngx_http_binarize_slab_t *ngx_http_binarize_slab_with_room(
    size_t stride, ngx_log_t *log);
static ngx_http_binarize_slab_t *ngx_http_binarize_slab_create(size_t stride,
    ngx_log_t *log);
static void ngx_http_binarize_slab_put(ngx_http_binarize_slab_t *slab,
    ngx_http_binarize_block_t *block);
static void ngx_http_binarize_slab_unmap(ngx_http_binarize_slab_t *slab);


/* of this worker: those with room, and one of them that nobody uses */
static ngx_queue_t                ngx_http_binarize_slabs;
static ngx_http_binarize_slab_t  *ngx_http_binarize_slab_spare;


ngx_pool_t *
ngx_http_binarize_job_pool_create(size_t size, ngx_log_t *log)
{
    ngx_pool_t                 *pool;
    ngx_http_binarize_slab_t   *slab;
    ngx_http_binarize_block_t  *block;

    size = ngx_align(size, NGX_POOL_ALIGNMENT);

    slab = ngx_http_binarize_slab_with_room(sizeof(*block) + size, log);
    if (slab == NULL) {
        return NULL;
    }

    block = slab->free;

    if (block) {
        slab->free = block->next;

    } else {
        block = (ngx_http_binarize_block_t *) slab->next;
        slab->next += slab->stride;
    }

    block->slab = slab;
    slab->nused++;

    if (slab == ngx_http_binarize_slab_spare) {
        ngx_http_binarize_slab_spare = NULL;
    }

    if (slab->nused == NGX_HTTP_BINARIZE_SLAB_POOLS) {
        ngx_queue_remove(&slab->queue);
    }

    /* as ngx_create_pool() has it */

    pool = (ngx_pool_t *) (block + 1);
    ngx_memzero(pool, sizeof(*pool));

    pool->d.last = (u_char *) (pool + 1);
    pool->d.end = (u_char *) pool + size;
    pool->max = ngx_min(size - sizeof(*pool), NGX_MAX_ALLOC_FROM_POOL);
    pool->current = pool;
    pool->log = log;

    return pool;
}


void
ngx_http_binarize_job_pool_destroy(ngx_pool_t *pool)
{
    ngx_pool_t                 *p, *next;
    ngx_pool_large_t           *l;
    ngx_pool_cleanup_t         *cln;
    ngx_http_binarize_block_t  *block;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    for (l = pool->large; l; l = l->next) {
        if (l->alloc) {
            ngx_free(l->alloc);
        }
    }

    for (p = pool->d.next; p; p = next) {
        next = p->d.next;
        ngx_free(p);
    }

    block = (ngx_http_binarize_block_t *) pool - 1;

    ngx_http_binarize_slab_put(block->slab, block);
}


/* the oldest ones are filled first, so that the others become empty */

static ngx_http_binarize_slab_t *
ngx_http_binarize_slab_with_room(size_t stride, ngx_log_t *log)
{
    ngx_queue_t               *q;
    ngx_http_binarize_slab_t  *slab;

    if (ngx_http_binarize_slabs.next == NULL) {
        ngx_queue_init(&ngx_http_binarize_slabs);
    }

    for (q = ngx_queue_head(&ngx_http_binarize_slabs);
         q != ngx_queue_sentinel(&ngx_http_binarize_slabs);
         q = ngx_queue_next(q))
    {
        slab = ngx_queue_data(q, ngx_http_binarize_slab_t, queue);

        /* with one process it changes when the configuration does */

        if (slab->stride == stride) {
            return slab;
        }
    }

    return ngx_http_binarize_slab_create(stride, log);
}


static ngx_http_binarize_slab_t *
ngx_http_binarize_slab_create(size_t stride, ngx_log_t *log)
{
    size_t                     size;
    ngx_http_binarize_slab_t  *slab;

    size = ngx_align(ngx_align(sizeof(*slab), NGX_POOL_ALIGNMENT)
                     + NGX_HTTP_BINARIZE_SLAB_POOLS * stride, ngx_pagesize);

    slab = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS,
                -1, 0);

    if (slab == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno, "mmap(%uz) failed", size);
        return NULL;
    }

    slab->free = NULL;
    slab->next = (u_char *) slab + ngx_align(sizeof(*slab),
                                             NGX_POOL_ALIGNMENT);
    slab->nused = 0;
    slab->stride = stride;
    slab->size = size;

    ngx_queue_insert_tail(&ngx_http_binarize_slabs, &slab->queue);

    return slab;
}


static void
ngx_http_binarize_slab_put(ngx_http_binarize_slab_t *slab,
    ngx_http_binarize_block_t *block)
{
    if (slab->nused == NGX_HTTP_BINARIZE_SLAB_POOLS) {
        ngx_queue_insert_tail(&ngx_http_binarize_slabs, &slab->queue);
    }

    block->next = slab->free;
    slab->free = block;
    slab->nused--;

    if (slab->nused) {
        return;
    }

    /* one is kept for the next call */

    if (ngx_http_binarize_slab_spare) {
        ngx_http_binarize_slab_unmap(ngx_http_binarize_slab_spare);
    }

    ngx_http_binarize_slab_spare = slab;
}


static void
ngx_http_binarize_slab_unmap(ngx_http_binarize_slab_t *slab)
{
    ngx_queue_remove(&slab->queue);

    (void) munmap(slab, slab->size);
}
