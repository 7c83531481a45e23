
#include "zone/blob.h"

#include <sys/mman.h>


/* what an entry grows by when nobody knows how large it becomes */
#define NGX_HTTP_BINARIZE_BLOB_STEP  (64 * 1024)


static ngx_int_t ngx_http_binarize_blob_map(ngx_http_binarize_blob_t *blob);


void
ngx_http_binarize_blob_init(ngx_http_binarize_blob_t *blob,
    ngx_http_binarize_zone_t *zone, u_char *key, size_t hint, size_t max_size)
{
    int  rc;

    ngx_memzero(blob, sizeof(*blob));

    blob->zone = zone;
    blob->max_size = max_size;

    if (zone == NULL) {
        return;
    }

    ngx_http_binarize_store_retry(zone, rc,
        binarize_store_reserve(zone->store, key, BINARIZE_STORE_RESULT, hint,
                               ngx_process_slot, ngx_current_msec,
                               &blob->entry));

    if (rc != BINARIZE_OK) {
        blob->entry = NULL;
    }
}


u_char *
ngx_http_binarize_blob_room(ngx_http_binarize_blob_t *blob, size_t *size)
{
    int      rc;
    u_char  *p;

    if (blob->entry) {
        p = binarize_store_room(blob->zone->store, blob->entry, blob->size,
                                size);
        if (*size) {
            return p;
        }

        ngx_http_binarize_store_retry(blob->zone, rc,
            binarize_store_grow(blob->zone->store, blob->entry,
                                blob->size + NGX_HTTP_BINARIZE_BLOB_STEP,
                                ngx_current_msec));

        if (rc == BINARIZE_OK) {
            return binarize_store_room(blob->zone->store, blob->entry,
                                       blob->size, size);
        }
    }

    if (blob->memory == NULL && ngx_http_binarize_blob_map(blob) != NGX_OK) {
        return NULL;
    }

    *size = blob->mapped - blob->size;

    return *size ? blob->memory + blob->size : NULL;
}


/*
 * Room for the largest size, in one piece: only pages that are written to
 * take memory.
 */

static ngx_int_t
ngx_http_binarize_blob_map(ngx_http_binarize_blob_t *blob)
{
    size_t   size, copied;
    u_char  *p;

    /* a decoder asks for a few bytes more than it writes */

    blob->mapped = ngx_align(blob->max_size + 64, ngx_pagesize);

    blob->memory = mmap(NULL, blob->mapped, PROT_READ|PROT_WRITE,
                        MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);

    if (blob->memory == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "mmap(%uz) failed", blob->mapped);
        blob->memory = NULL;
        return NGX_ERROR;
    }

    if (blob->entry == NULL) {
        return NGX_OK;
    }

    for (copied = 0; copied < blob->size; copied += size) {
        p = binarize_store_room(blob->zone->store, blob->entry, copied, &size);
        size = ngx_min(size, blob->size - copied);

        ngx_memcpy(blob->memory + copied, p, size);
    }

    ngx_http_binarize_zone_lock(blob->zone);
    binarize_store_abort(blob->zone->store, blob->entry);
    ngx_http_binarize_zone_unlock(blob->zone);

    blob->entry = NULL;

    return NGX_OK;
}


void
ngx_http_binarize_blob_free(ngx_http_binarize_blob_t *blob)
{
    if (blob->entry) {
        ngx_http_binarize_zone_lock(blob->zone);
        binarize_store_abort(blob->zone->store, blob->entry);
        ngx_http_binarize_zone_unlock(blob->zone);

        blob->entry = NULL;
    }

    if (blob->memory) {
        (void) munmap(blob->memory, blob->mapped);
        blob->memory = NULL;
    }
}
