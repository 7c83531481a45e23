
#ifndef _NGX_HTTP_BINARIZE_RESULT_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_RESULT_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "cloud/fetch.h"
#include "l2/l2.h"
#include "zone/zone.h"
#include "core/outcome.h"
#include "core/state.h"


typedef struct ngx_http_binarize_result_s  ngx_http_binarize_result_t;


/*
 * What a request is answered with.  Shared by all requests a flight answers,
 * by reference count; release() gives back what the spans point into.
 */
struct ngx_http_binarize_result_s {
    ngx_uint_t                     refs;

    binarize_problem_e    problem;    /* _OK: a document */
    binarize_outcome_e             outcome;
    binarize_task_status_e         task_status;
    binarize_source_e     source;
    uint64_t                       expires_ms; /* ngx_current_msec; 0: never */

    ngx_str_t                      doc;        /* payload emptied */
    size_t                         payload_offset;
    binarize_span_t               *png;        /* its pieces, in order */
    ngx_uint_t                     npieces;
    size_t                         png_size;
    u_char                         etag[BINARIZE_ETAG_SIZE];
    u_char                         json_etag[BINARIZE_ETAG_SIZE];
    time_t                         stored;

    time_t                         retry_after_s;
    ngx_uint_t                     status;     /* the cloud's, 0: none */
    uint32_t                       repeat;     /* see core/outcome.h */

    /* too much is held by who reads slowly: give it back soon */
    unsigned                       scarce:1;

    unsigned                       unpadded:1;
    unsigned                       kept:1;     /* in L1 or Redis */

    ngx_pool_t                    *pool;       /* its own, or NULL */
    void                         (*release)(ngx_http_binarize_result_t *result);
    void                          *owner;
    void                          *owned;
};


/*
 * Each returns a result with one reference, the caller's, or NULL if there is
 * no memory; what it was to take over is freed then too.
 */

/*
 * Of a live entry; the mutex is held, the entry becomes pinned where it has a
 * payload.  In pool, which must outlive it, or if NULL in a pool of its own.
 */
ngx_http_binarize_result_t *ngx_http_binarize_result_of_entry_locked(
    ngx_http_binarize_zone_t *zone, binarize_store_entry_t *entry,
    ngx_pool_t *pool);

/* of a record in Redis; owner is taken over */
ngx_http_binarize_result_t *ngx_http_binarize_result_of_record(
    binarize_record_t *record, void *owner);

/* of a document just fetched; takes the blob's own memory over, if any */
ngx_http_binarize_result_t *ngx_http_binarize_result_of_fetch(
    ngx_http_binarize_fetch_t *fetch);

/* of what another node said; expires_ms is left to the caller */
ngx_http_binarize_result_t *ngx_http_binarize_result_of_state(
    binarize_state_t *state);

/*
 * The zone of the entry that a result points into, and what tells it from all
 * others the zone has or had; NULL: it points into none.
 */
ngx_http_binarize_zone_t *ngx_http_binarize_result_entry(
    ngx_http_binarize_result_t *result, uint64_t *generation);

/* a problem, in pool, or if NULL in a pool of its own */
ngx_http_binarize_result_t *ngx_http_binarize_result_of_problem(
    binarize_problem_e problem, ngx_pool_t *pool);

void ngx_http_binarize_result_release(ngx_http_binarize_result_t *result);

/* how an entry's problem and the cloud's status lie in its flags */
#define ngx_http_binarize_flags(problem, status, unpadded)                    \
    ((uint16_t) ((problem) | ((unpadded) << 5) | ((status) << 6)))

#define ngx_http_binarize_flags_problem(flags)                                \
    ((binarize_problem_e) ((flags) & 0x1f))

/* what it means to who decides; and what an entry does */
void ngx_http_binarize_result_answer(ngx_http_binarize_result_t *result,
    binarize_answer_t *answer);
void ngx_http_binarize_meta_answer(binarize_store_meta_t *meta,
    binarize_answer_t *answer);

/* what the zone keeps of it */
void ngx_http_binarize_result_meta(ngx_http_binarize_result_t *result,
    binarize_store_meta_t *meta);

/* the source of a request answered by what the zone had: a hit of its kind */
binarize_source_e ngx_http_binarize_result_hit(
    ngx_http_binarize_result_t *result);


#endif /* _NGX_HTTP_BINARIZE_RESULT_H_INCLUDED_ */
