
#include "flight/result.h"
#include "l2/digest.h"

#include <sys/mman.h>


/* of a worker's PNGs that are not in a zone: beyond it memory is scarce */
#define NGX_HTTP_BINARIZE_RESULT_MEMORY  (32 * 1024 * 1024)


static ngx_http_binarize_result_t *ngx_http_binarize_result_create(
    ngx_pool_t *pool, ngx_uint_t npieces, size_t size);
static ngx_int_t ngx_http_binarize_result_gather_doc(
    ngx_http_binarize_zone_t *zone, binarize_store_entry_t *entry,
    ngx_pool_t *pool, ngx_str_t *doc);
static ngx_int_t ngx_http_binarize_result_copy_doc(
    ngx_http_binarize_result_t *result, ngx_pool_t *pool, ngx_str_t *doc);
static void ngx_http_binarize_result_unpin(ngx_http_binarize_result_t *result);
static void ngx_http_binarize_result_free_record(
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_result_use_memory(
    ngx_http_binarize_result_t *result);
static void ngx_http_binarize_result_unmap(ngx_http_binarize_result_t *result);


/* of PNGs of this worker that are not in a zone, bytes */
static size_t  ngx_http_binarize_result_memory;


/* pool NULL: one of its own, with that size left; a flight may keep it long */

static ngx_http_binarize_result_t *
ngx_http_binarize_result_create(ngx_pool_t *pool, ngx_uint_t npieces,
    size_t size)
{
    ngx_pool_t                  *own;
    ngx_http_binarize_result_t  *result;

    own = NULL;

    if (pool == NULL) {
        size += sizeof(ngx_pool_t) + sizeof(*result)
                + npieces * sizeof(binarize_span_t);

        own = ngx_create_pool(ngx_min(ngx_align(size, NGX_POOL_ALIGNMENT),
                                      NGX_MAX_ALLOC_FROM_POOL),
                              ngx_cycle->log);
        if (own == NULL) {
            return NULL;
        }

        pool = own;
    }

    result = ngx_pcalloc(pool, sizeof(*result)
                               + npieces * sizeof(binarize_span_t));
    if (result == NULL) {
        if (own) {
            ngx_destroy_pool(own);
        }

        return NULL;
    }

    result->refs = 1;
    result->pool = own;
    result->png = (binarize_span_t *) (result + 1);
    result->npieces = npieces;

    return result;
}


void
ngx_http_binarize_result_release(ngx_http_binarize_result_t *result)
{
    if (--result->refs) {
        return;
    }

    if (result->release) {
        result->release(result);
    }

    if (result->pool) {
        ngx_destroy_pool(result->pool);
    }
}


ngx_http_binarize_result_t *
ngx_http_binarize_result_of_entry_locked(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry, ngx_pool_t *pool)
{
    size_t                       n;
    binarize_span_t              first, doc;
    ngx_http_binarize_result_t  *result;

    n = binarize_store_payload(zone->store, entry, 0, entry->payload_size,
                               &first, 1);

    result = ngx_http_binarize_result_create(pool, n, entry->doc_size);
    if (result == NULL) {
        return NULL;
    }

    if (pool == NULL) {
        pool = result->pool;
    }

    result->outcome = entry->meta.outcome;
    result->task_status = entry->meta.task_status;
    result->expires_ms = entry->meta.expires_ms;
    result->stored = entry->meta.stored;
    result->payload_offset = entry->meta.payload_offset;
    result->problem = ngx_http_binarize_flags_problem(entry->meta.flags);
    result->unpadded = (entry->meta.flags >> 5) & 1;
    result->status = entry->meta.flags >> 6;
    result->repeat = entry->meta.repeat;
    result->png_size = entry->payload_size;
    result->kept = 1;

    ngx_memcpy(result->etag, entry->meta.etag, BINARIZE_ETAG_SIZE);
    ngx_memcpy(result->json_etag, entry->meta.json_etag, BINARIZE_ETAG_SIZE);

    if (entry->payload_size) {
        result->png[0] = first;

        if (n > 1) {
            (void) binarize_store_payload(zone->store, entry, 0,
                                          entry->payload_size, result->png, n);
        }

        ngx_http_binarize_zone_pin_locked(zone, entry);

        result->release = ngx_http_binarize_result_unpin;
        result->owner = zone;
        result->owned = entry;
        result->scarce = binarize_store_scarce(zone->store);
    }

    if (entry->doc_size == 0) {
        return result;
    }

    n = binarize_store_doc(zone->store, entry, 0, entry->doc_size, &doc, 1);

    if (n == 1 && entry->payload_size) {
        result->doc.data = (u_char *) doc.data;
        result->doc.len = doc.size;
        return result;
    }

    /* several pieces, or of an entry that is not pinned */

    if (ngx_http_binarize_result_gather_doc(zone, entry, pool, &result->doc)
        != NGX_OK)
    {
        result->problem = BINARIZE_PROBLEM_INTERNAL;
    }

    return result;
}


static ngx_int_t
ngx_http_binarize_result_gather_doc(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry, ngx_pool_t *pool, ngx_str_t *doc)
{
    u_char           *p;
    binarize_span_t   piece;

    p = ngx_pnalloc(pool, entry->doc_size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    doc->data = p;

    while (doc->len < entry->doc_size) {
        (void) binarize_store_doc(zone->store, entry, doc->len,
                                  entry->doc_size - doc->len, &piece, 1);

        p = ngx_cpymem(p, piece.data, piece.size);
        doc->len += piece.size;
    }

    return NGX_OK;
}


ngx_http_binarize_zone_t *
ngx_http_binarize_result_entry(ngx_http_binarize_result_t *result,
    uint64_t *generation)
{
    binarize_store_entry_t  *entry;

    if (result->release != ngx_http_binarize_result_unpin) {
        return NULL;
    }

    entry = result->owned;
    *generation = entry->generation;

    return result->owner;
}


static void
ngx_http_binarize_result_unpin(ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_zone_unpin(result->owner, result->owned);
}


ngx_http_binarize_result_t *
ngx_http_binarize_result_of_record(binarize_record_t *record, void *owner)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_create(NULL, 1, 0);
    if (result == NULL) {
        ngx_http_binarize_l2_free(owner);
        return NULL;
    }

    result->release = ngx_http_binarize_result_free_record;
    result->owned = owner;

    result->outcome = BINARIZE_RESULT;
    result->task_status = BINARIZE_TASK_COMPLETED;
    result->stored = record->stored;
    result->payload_offset = record->payload_offset;
    result->unpadded = record->unpadded;
    result->kept = 1;

    result->doc.data = (u_char *) record->doc.data;
    result->doc.len = record->doc.size;

    result->png[0] = record->png;
    result->png_size = record->png.size;
    ngx_http_binarize_result_use_memory(result);

    ngx_memcpy(result->etag, record->etag.data, BINARIZE_ETAG_SIZE);
    ngx_memcpy(result->json_etag, record->json_etag, BINARIZE_ETAG_SIZE);

    return result;
}


static void
ngx_http_binarize_result_free_record(ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_result_memory -= result->png_size;
    ngx_http_binarize_l2_free(result->owned);
}


static void
ngx_http_binarize_result_use_memory(ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_result_memory += result->png_size;

    result->scarce = (ngx_http_binarize_result_memory
                      > NGX_HTTP_BINARIZE_RESULT_MEMORY);
}


ngx_http_binarize_result_t *
ngx_http_binarize_result_of_fetch(ngx_http_binarize_fetch_t *fetch)
{
    binarize_span_t              doc;
    ngx_http_binarize_blob_t    *blob;
    ngx_http_binarize_result_t  *result;

    blob = &fetch->blob;

    result = ngx_http_binarize_result_create(NULL, 1, fetch->doc.len);
    if (result == NULL) {
        return NULL;
    }

    result->outcome = fetch->document->envelope.outcome;
    result->task_status = fetch->document->envelope.task_status;
    result->stored = ngx_time();
    result->payload_offset = fetch->payload_offset;
    result->unpadded = fetch->unpadded;

    if (ngx_http_binarize_result_copy_doc(result, result->pool, &fetch->doc)
        != NGX_OK)
    {
        ngx_http_binarize_result_release(result);
        return NULL;
    }

    if (result->outcome != BINARIZE_RESULT) {
        result->npieces = 0;
        return result;
    }

    binarize_record_hex(fetch->document->digest, result->etag);

    doc.data = result->doc.data;
    doc.size = result->doc.len;

    ngx_http_binarize_l2_json_etag(&doc, result->etag, result->json_etag);

    if (blob->memory) {
        result->png[0].data = blob->memory;
        result->png[0].size = blob->size;
        result->png_size = blob->size;

        ngx_http_binarize_result_use_memory(result);

        result->release = ngx_http_binarize_result_unmap;
        result->owner = (void *) blob->mapped;
        result->owned = blob->memory;

        blob->memory = NULL;
    }

    return result;
}


ngx_http_binarize_result_t *
ngx_http_binarize_result_of_state(binarize_state_t *state)
{
    ngx_str_t                    doc;
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_create(NULL, 0, state->doc.size);
    if (result == NULL) {
        return NULL;
    }

    result->outcome = state->outcome;
    result->task_status = state->task_status;
    result->problem = state->problem;
    result->status = state->status;
    result->repeat = state->repeat;

    doc.data = (u_char *) state->doc.data;
    doc.len = state->doc.size;

    if (ngx_http_binarize_result_copy_doc(result, result->pool, &doc)
        != NGX_OK)
    {
        ngx_http_binarize_result_release(result);
        return NULL;
    }

    return result;
}


static ngx_int_t
ngx_http_binarize_result_copy_doc(ngx_http_binarize_result_t *result,
    ngx_pool_t *pool, ngx_str_t *doc)
{
    result->doc.data = ngx_pnalloc(pool, doc->len);
    if (result->doc.data == NULL) {
        return NGX_ERROR;
    }

    result->doc.len = doc->len;
    ngx_memcpy(result->doc.data, doc->data, doc->len);

    return NGX_OK;
}


static void
ngx_http_binarize_result_unmap(ngx_http_binarize_result_t *result)
{
    ngx_http_binarize_result_memory -= result->png_size;
    (void) munmap(result->owned, (size_t) result->owner);
}


ngx_http_binarize_result_t *
ngx_http_binarize_result_of_problem(binarize_problem_e problem,
    ngx_pool_t *pool)
{
    ngx_http_binarize_result_t  *result;

    result = ngx_http_binarize_result_create(pool, 0, 0);
    if (result == NULL) {
        return NULL;
    }

    result->problem = problem;

    return result;
}


void
ngx_http_binarize_result_answer(ngx_http_binarize_result_t *result,
    binarize_answer_t *answer)
{
    answer->problem = result->problem;
    answer->outcome = result->outcome;
    answer->status = result->status;
    answer->repeat = result->repeat;
}


void
ngx_http_binarize_meta_answer(binarize_store_meta_t *meta,
    binarize_answer_t *answer)
{
    answer->problem = ngx_http_binarize_flags_problem(meta->flags);
    answer->outcome = meta->outcome;
    answer->status = meta->flags >> 6;
    answer->repeat = meta->repeat;
}


void
ngx_http_binarize_result_meta(ngx_http_binarize_result_t *result,
    binarize_store_meta_t *meta)
{
    ngx_memzero(meta, sizeof(*meta));

    meta->expires_ms = result->expires_ms;
    meta->stored = result->stored;
    meta->payload_offset = result->payload_offset;
    meta->repeat = result->repeat;
    meta->outcome = result->outcome;
    meta->task_status = result->task_status;
    meta->flags = ngx_http_binarize_flags(result->problem, result->status,
                                          result->unpadded);

    ngx_memcpy(meta->etag, result->etag, BINARIZE_ETAG_SIZE);
    ngx_memcpy(meta->json_etag, result->json_etag, BINARIZE_ETAG_SIZE);
}


binarize_source_e
ngx_http_binarize_result_hit(ngx_http_binarize_result_t *result)
{
    if (result->problem == BINARIZE_PROBLEM_NONE) {

        if (result->outcome == BINARIZE_RESULT) {
            return BINARIZE_SOURCE_L1;
        }

        if (result->outcome == BINARIZE_PENDING) {
            return BINARIZE_SOURCE_PENDING;
        }
    }

    return BINARIZE_SOURCE_NEGATIVE;
}
