
/*
 * What lies in a zone's shared memory besides the store and the counters, for
 * all rooms: it is laid out in one place, see zone.h.
 */


#ifndef _NGX_HTTP_BINARIZE_SHM_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/process.h"
#include "core/store.h"
#include "core/token.h"
#include "core/turns.h"


#define NGX_HTTP_BINARIZE_SLOTS          NGX_MAX_PROCESSES
#define NGX_HTTP_BINARIZE_PURGES         64
#define NGX_HTTP_BINARIZE_NOTES          31


typedef struct {
    /* under shpool->mutex; a look need not take it */
    binarize_process_t              processes[NGX_HTTP_BINARIZE_SLOTS];

    /* when it was to be woken, microseconds; 0: it has looked since */
    ngx_atomic_t                    woken[NGX_HTTP_BINARIZE_SLOTS];

    ngx_uint_t                      ncredentials;
    ngx_uint_t                      nlanes;      /* of each of them, and slots
                                                    with notes */
    uint64_t                        secret[3];   /* of keys */

    /* how often keys were purged, by their first byte; changed under the
       mutex */
    ngx_atomic_t                    purges[NGX_HTTP_BINARIZE_PURGES];
} ngx_http_binarize_shm_t;


/* what a worker is to look at, and has not yet; under shpool->mutex */
typedef struct {
    uint64_t                        n;           /* above NOTES: at all */
    uint64_t                        keys[NGX_HTTP_BINARIZE_NOTES];
                                                 /* what they begin with */
} ngx_http_binarize_shm_notes_t;


/* bytes of the largest token accepted; a JWT rarely has more than 4,000 */
#define NGX_HTTP_BINARIZE_TOKEN_SIZE  8192

/* slots of processes a zone has room for in each budget, at least */
#define NGX_HTTP_BINARIZE_MIN_LANES   64


/* a credential, its token and its budget; under shpool->mutex */
typedef struct {
    u_char                          id[32];     /* zeroes: nobody's */
    uint64_t                        used_ms;

    binarize_turns_t                turns;      /* its lanes lie apart */
    binarize_token_t                token;
    uint64_t                        waiters[NGX_HTTP_BINARIZE_SLOTS / 64];
    size_t                          size;       /* of its text */
    u_char                          text[NGX_HTTP_BINARIZE_TOKEN_SIZE];
} ngx_http_binarize_shm_credential_t;


#endif /* _NGX_HTTP_BINARIZE_SHM_H_INCLUDED_ */
