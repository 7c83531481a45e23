
/*
 * The bytes of one PNG while they arrive, and afterwards: in an entry of the
 * zone, where they can stay, or else in memory of their own.
 */


#ifndef _NGX_HTTP_BINARIZE_BLOB_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_BLOB_H_INCLUDED_


#include "zone/zone.h"


typedef struct {
    ngx_http_binarize_zone_t  *zone;
    binarize_store_entry_t    *entry;     /* being built; NULL: own memory */

    u_char                    *memory;    /* mapped */
    size_t                     mapped;
    size_t                     max_size;

    size_t                     size;      /* bytes written */
} ngx_http_binarize_blob_t;


/*
 * zone NULL: in memory of its own.  hint is the expected size, 0: unknown;
 * max_size is the largest one.
 */
void ngx_http_binarize_blob_init(ngx_http_binarize_blob_t *blob,
    ngx_http_binarize_zone_t *zone, u_char *key, size_t hint,
    size_t max_size);

/*
 * Room for bytes behind those written, in one piece of *size; NULL: no
 * memory.  Where a blob leaves the zone that is too full or too small for it,
 * what was written is moved.
 */
u_char *ngx_http_binarize_blob_room(ngx_http_binarize_blob_t *blob,
    size_t *size);

void ngx_http_binarize_blob_free(ngx_http_binarize_blob_t *blob);


/* calls reserve, grow or finish until they no longer want to be called again */
#define ngx_http_binarize_store_retry(zone, rc, call)                         \
    do {                                                                      \
        ngx_http_binarize_zone_lock(zone);                                    \
        rc = call;                                                            \
        ngx_http_binarize_zone_unlock(zone);                                  \
    } while (rc == BINARIZE_AGAIN)


#endif /* _NGX_HTTP_BINARIZE_BLOB_H_INCLUDED_ */
