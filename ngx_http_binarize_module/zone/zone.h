
/*
 * Shared memory of one binarize_zone.
 *
 *   +------------+--------------------------------------------------------+
 *   | slab pool  | nginx's; its mutex is the only one used (the master    |
 *   |            | releases it when a worker dies), and it is emptied by  |
 *   |            | the allocations below: what a worker that dies         |
 *   |            | inside the allocator leaves behind can not be repaired |
 *   +------------+--------------------------------------------------------+
 *   | shm        | ngx_http_binarize_shm_t: processes, wake-ups; behind   |
 *   |            | it notes, credentials, their lanes                     |
 *   +------------+--------------------------------------------------------+
 *   | metrics    | counters and gauges, see metrics.h                    |
 *   +------------+--------------------------------------------------------+
 *   | store      | the L1 cache and claims, see core/store.h and claim.h  |
 *   +------------+--------------------------------------------------------+
 */


#ifndef _NGX_HTTP_BINARIZE_ZONE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_ZONE_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "zone/shm.h"
#include "core/claim.h"


typedef struct ngx_http_binarize_zone_s  ngx_http_binarize_zone_t;


#define NGX_HTTP_BINARIZE_ZONE_MIN_SIZE  (1024 * 1024)

/* see metrics.h */
typedef struct ngx_http_binarize_shm_metrics_s  ngx_http_binarize_shm_metrics_t;
typedef struct ngx_http_binarize_gauges_s       ngx_http_binarize_gauges_t;

typedef struct ngx_http_binarize_flights_s      ngx_http_binarize_flights_t;


/* embedded by who wants an event posted whenever this worker is woken */
typedef struct {
    ngx_queue_t                     queue;
    ngx_event_t                    *event;
} ngx_http_binarize_sleeper_t;


/* this process' view of a zone; shm_zone->data */
struct ngx_http_binarize_zone_s {
    ngx_shm_zone_t                 *shm_zone;
    ngx_cycle_t                    *cycle;
    ngx_slab_pool_t                *shpool;
    ngx_http_binarize_shm_t        *shm;
    ngx_http_binarize_shm_notes_t  *shm_notes;   /* nlanes, by slot */
    ngx_http_binarize_shm_credential_t *shm_credentials;
    binarize_lane_t                *shm_lanes;   /* nlanes of each of them */
    binarize_store_t               *store;
    ngx_http_binarize_shm_metrics_t *metrics;

    uint64_t                       *counters;   /* this worker's block */
    ngx_http_binarize_gauges_t     *gauges;     /* this worker's */
    uint32_t                       *pins;       /* this worker's, by block */

    ngx_http_binarize_flights_t    *flights;    /* this worker's */
    ngx_queue_t                     sleepers;

    ngx_event_t                     beat;
    uint64_t                        epoch;      /* this worker's */
    binarize_process_seen_t         seen[NGX_HTTP_BINARIZE_SLOTS];
};


/* adds or finds a zone; size 0: only named.  NULL: logged */
ngx_shm_zone_t *ngx_http_binarize_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);

ngx_int_t ngx_http_binarize_zone_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_zone_t *zone);
void ngx_http_binarize_zone_exit_process(ngx_http_binarize_zone_t *zone);

/*
 * The mutex of all that is in the zone.  One that a dead worker has held is
 * taken from it.
 */
void ngx_http_binarize_zone_lock(ngx_http_binarize_zone_t *zone);
void ngx_http_binarize_zone_unlock(ngx_http_binarize_zone_t *zone);

/*
 * This worker's epoch: another one than before if it has been declared dead
 * meanwhile, since it stood still for too long.  The mutex is held.
 */
uint64_t ngx_http_binarize_zone_epoch_locked(ngx_http_binarize_zone_t *zone);

/* 1 if the process that has that slot is gone */
ngx_uint_t ngx_http_binarize_zone_gone(ngx_http_binarize_zone_t *zone,
    ngx_uint_t slot);

/* how the process in that slot does, as far as this worker has seen */
binarize_process_state_e ngx_http_binarize_zone_process(
    ngx_http_binarize_zone_t *zone, ngx_uint_t slot);

/* how many credentials a configuration may have in a zone of that size */
ngx_uint_t ngx_http_binarize_zone_ncredentials(size_t size);

/* that of the id[32], or NULL */
ngx_http_binarize_shm_credential_t *ngx_http_binarize_zone_credential(
    ngx_http_binarize_zone_t *zone, u_char *id);

/*
 * The same, and it is used now: a new one has a free place, or that unused
 * for the longest time, whose credential is of an older configuration: there
 * are never more in one than half the places.  The mutex is held.
 */
ngx_http_binarize_shm_credential_t *ngx_http_binarize_zone_credential_locked(
    ngx_http_binarize_zone_t *zone, u_char *id);

/* its nlanes */
#define ngx_http_binarize_zone_lanes(zone, credential)                        \
    ((zone)->shm_lanes                                                        \
     + ((credential) - (zone)->shm_credentials) * (zone)->shm->nlanes)

/*
 * Wakes the workers in a bitmap of slots: each runs what it has waiting.
 * slots is BINARIZE_STORE_SLOTS bits.
 */
void ngx_http_binarize_zone_wake(ngx_http_binarize_zone_t *zone,
    uint64_t *slots);

/*
 * Notes for the workers in a bitmap of slots that they are to look at the key,
 * or at all they have (NULL); they are woken afterwards.  The mutex is held.
 */
void ngx_http_binarize_zone_note_locked(ngx_http_binarize_zone_t *zone,
    uint64_t *slots, u_char *key);

/*
 * Takes this worker's notes: what the keys begin with, and returns how many;
 * above NGX_HTTP_BINARIZE_NOTES: there were too many.
 */
ngx_uint_t ngx_http_binarize_zone_notes(ngx_http_binarize_zone_t *zone,
    uint64_t keys[NGX_HTTP_BINARIZE_NOTES]);

/* 1 if this worker can be woken, and so need not look by timer */
ngx_uint_t ngx_http_binarize_zone_has_notes(ngx_http_binarize_zone_t *zone);

/*
 * This worker was woken, its sleepers are going to look: who publishes
 * afterwards wakes it again
 */
void ngx_http_binarize_zone_woken(ngx_http_binarize_zone_t *zone);

/* posts the events of this worker's sleepers */
void ngx_http_binarize_zone_rouse(ngx_http_binarize_zone_t *zone);

/*
 * The key of L1 and flights: the GUID, mixed with the zone's secret so that
 * nobody outside can choose where it lies, and the digest of the namespace.
 * Different GUIDs have different keys.
 */
void ngx_http_binarize_zone_key(ngx_http_binarize_zone_t *zone,
    u_char *ns_digest, u_char *guid, u_char *key);

/* removes what there is of the key; 1 if there was something */
ngx_uint_t ngx_http_binarize_zone_purge(ngx_http_binarize_zone_t *zone,
    u_char *key);

/*
 * Changes with each purge of a key like this one.  A record that was asked of
 * Redis before it is deleted there may arrive after: whoever asks compares.
 */
ngx_uint_t ngx_http_binarize_zone_npurges(ngx_http_binarize_zone_t *zone,
    u_char *key);

/* what a lookup and a pin will need is on its way to the processor's cache */
void ngx_http_binarize_zone_prefetch(ngx_http_binarize_zone_t *zone,
    u_char *key);

/* pins for this worker; the mutex is held */
void ngx_http_binarize_zone_pin_locked(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry);

/* takes the mutex where it needs it */
void ngx_http_binarize_zone_unpin(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry);


#endif /* _NGX_HTTP_BINARIZE_ZONE_H_INCLUDED_ */
