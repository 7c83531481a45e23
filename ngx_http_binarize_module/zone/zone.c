
#include "zone/zone.h"
#include "zone/metrics.h"
#include "zone/wake.h"

#include <openssl/rand.h>


/* who waits for the mutex spins so often, as nginx does, then rests, ms */
#define NGX_HTTP_BINARIZE_ZONE_SPINS  2048
#define NGX_HTTP_BINARIZE_ZONE_YIELDS 128
#define NGX_HTTP_BINARIZE_ZONE_REST   1

/* how often each worker shows that it lives, and looks who else does */
#define NGX_HTTP_BINARIZE_BEAT_MS  1000

/* a credential for so many bytes; each takes about 11 KB */
#define NGX_HTTP_BINARIZE_ZONE_CREDENTIAL_SHARE  (512 * 1024)
#define NGX_HTTP_BINARIZE_ZONE_MIN_CREDENTIALS   8
#define NGX_HTTP_BINARIZE_ZONE_MAX_CREDENTIALS   32


static ngx_int_t ngx_http_binarize_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_binarize_zone_format(ngx_http_binarize_zone_t *zone);
static void ngx_http_binarize_zone_layout(ngx_http_binarize_zone_t *zone);
static void ngx_http_binarize_zone_on_beat(ngx_event_t *ev);
static void ngx_http_binarize_zone_reap(ngx_http_binarize_zone_t *zone,
    ngx_uint_t slot);
static void ngx_http_binarize_zone_release_slot_locked(
    ngx_http_binarize_zone_t *zone, ngx_uint_t slot, uint64_t *slots);


ngx_shm_zone_t *
ngx_http_binarize_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_shm_zone_t            *shm_zone;
    ngx_http_binarize_zone_t  *zone;

    shm_zone = ngx_shared_memory_add(cf, name, size,
                                     &ngx_http_binarize_module);
    if (shm_zone == NULL || size == 0 || shm_zone->data != NULL) {
        return shm_zone;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(*zone));
    if (zone == NULL) {
        return NULL;
    }

    zone->shm_zone = shm_zone;
    zone->cycle = cf->cycle;
    ngx_queue_init(&zone->sleepers);

    shm_zone->init = ngx_http_binarize_zone_init;
    shm_zone->data = zone;

    return shm_zone;
}


static ngx_int_t
ngx_http_binarize_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_binarize_zone_t  *old = data;
    ngx_http_binarize_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        zone->shm = old->shm;
        zone->store = old->store;
        zone->metrics = old->metrics;
        ngx_http_binarize_zone_layout(zone);
        return NGX_OK;
    }

    return ngx_http_binarize_zone_format(zone);
}


static ngx_int_t
ngx_http_binarize_zone_format(ngx_http_binarize_zone_t *zone)
{
    void        *store;
    size_t       size;
    unsigned     attached;
    ngx_uint_t   nlanes, ncredentials;

    nlanes = ngx_max(ngx_http_binarize_wake_nprocesses(zone->cycle),
                     NGX_HTTP_BINARIZE_MIN_LANES);

    /* old workers of a reload keep theirs, should all be other ones */

    ncredentials = 2 * ngx_http_binarize_zone_ncredentials(
                                                zone->shm_zone->shm.size);

    zone->shm = ngx_slab_calloc(zone->shpool,
                                sizeof(*zone->shm)
                                + nlanes * sizeof(*zone->shm_notes)
                                + ncredentials
                                  * (sizeof(*zone->shm_credentials)
                                     + nlanes * sizeof(*zone->shm_lanes)));
    if (zone->shm == NULL) {
        goto too_small;
    }

    zone->shm->ncredentials = ncredentials;
    zone->shm->nlanes = nlanes;

    if (RAND_bytes((u_char *) zone->shm->secret, sizeof(zone->shm->secret))
        != 1)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                      "RAND_bytes() failed");
        return NGX_ERROR;
    }

    ngx_http_binarize_zone_layout(zone);

    if (ngx_http_binarize_metrics_format(zone) != NGX_OK) {
        goto too_small;
    }

    /* the rest, and nothing is left for anybody to allocate */

    size = (zone->shpool->pfree) * ngx_pagesize;

    store = ngx_slab_alloc(zone->shpool, size);
    if (store == NULL) {
        goto too_small;
    }

    if (binarize_store_init(store, size, &zone->store, &attached)
        != BINARIZE_OK)
    {
        goto too_small;
    }

    zone->shpool->data = zone->shm;
    zone->shpool->log_nomem = 0;

    return NGX_OK;

too_small:

    ngx_log_error(NGX_LOG_EMERG, zone->shm_zone->shm.log, 0,
                  "binarize_zone \"%V\" is too small",
                  &zone->shm_zone->shm.name);

    return NGX_ERROR;
}


/* what lies behind shm */

static void
ngx_http_binarize_zone_layout(ngx_http_binarize_zone_t *zone)
{
    zone->shm_notes = (ngx_http_binarize_shm_notes_t *) (zone->shm + 1);

    zone->shm_credentials = (ngx_http_binarize_shm_credential_t *)
                            (zone->shm_notes + zone->shm->nlanes);

    zone->shm_lanes = (binarize_lane_t *)
                      (zone->shm_credentials + zone->shm->ncredentials);
}


ngx_uint_t
ngx_http_binarize_zone_ncredentials(size_t size)
{
    size_t  n;

    n = size / NGX_HTTP_BINARIZE_ZONE_CREDENTIAL_SHARE;
    n = ngx_max(n, NGX_HTTP_BINARIZE_ZONE_MIN_CREDENTIALS);

    return ngx_min(n, NGX_HTTP_BINARIZE_ZONE_MAX_CREDENTIALS);
}


ngx_http_binarize_shm_credential_t *
ngx_http_binarize_zone_credential(ngx_http_binarize_zone_t *zone, u_char *id)
{
    ngx_uint_t                           i;
    ngx_http_binarize_shm_credential_t  *sc;

    sc = zone->shm_credentials;

    for (i = 0; i < zone->shm->ncredentials; i++) {
        if (ngx_memcmp(sc[i].id, id, sizeof(sc[i].id)) == 0) {
            return &sc[i];
        }
    }

    return NULL;
}


ngx_http_binarize_shm_credential_t *
ngx_http_binarize_zone_credential_locked(ngx_http_binarize_zone_t *zone,
    u_char *id)
{
    ngx_uint_t                           i;
    ngx_http_binarize_shm_credential_t  *sc, *places;

    sc = ngx_http_binarize_zone_credential(zone, id);

    if (sc) {
        sc->used_ms = ngx_current_msec;
        return sc;
    }

    places = zone->shm_credentials;
    sc = places;

    for (i = 1; i < zone->shm->ncredentials; i++) {
        if (places[i].used_ms < sc->used_ms) {
            sc = &places[i];
        }
    }

    /* nobody's first, whole last */

    ngx_memzero(sc->id, sizeof(sc->id));
    ngx_memory_barrier();

    ngx_memzero(sc, sizeof(*sc));
    ngx_memzero(ngx_http_binarize_zone_lanes(zone, sc),
                zone->shm->nlanes * sizeof(*zone->shm_lanes));
    sc->used_ms = ngx_current_msec;

    ngx_memory_barrier();
    ngx_memcpy(sc->id, id, sizeof(sc->id));

    return sc;
}


ngx_int_t
ngx_http_binarize_zone_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_zone_t *zone)
{
    size_t               n;
    uint64_t             slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    binarize_process_t  *process;

    /* counts of pins; pages that are never touched take no memory */

    n = binarize_store_nblocks(zone->store) + 1;

    zone->pins = ngx_calloc(n * sizeof(uint32_t), cycle->log);
    if (zone->pins == NULL) {
        return NGX_ERROR;
    }

    /* what a worker that died in this slot has left */

    process = &zone->shm->processes[ngx_process_slot];

    ngx_http_binarize_zone_lock(zone);

    ngx_http_binarize_zone_release_slot_locked(zone, ngx_process_slot, slots);
    zone->epoch = binarize_process_begin(process, ngx_pid);

    if (ngx_http_binarize_zone_has_notes(zone)) {
        zone->shm_notes[ngx_process_slot].n = 0;
    }

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, slots);

    zone->beat.handler = ngx_http_binarize_zone_on_beat;
    zone->beat.data = zone;
    zone->beat.log = cycle->log;
    zone->beat.cancelable = 1;

    ngx_add_timer(&zone->beat, NGX_HTTP_BINARIZE_BEAT_MS);

    zone->shm->woken[ngx_process_slot] = 0;

    return NGX_OK;
}


void
ngx_http_binarize_zone_exit_process(ngx_http_binarize_zone_t *zone)
{
    uint64_t  slots[NGX_HTTP_BINARIZE_SLOTS / 64];

    if (zone->beat.timer_set) {
        ngx_del_timer(&zone->beat);
    }

    if (zone->pins) {
        ngx_http_binarize_zone_lock(zone);
        ngx_http_binarize_zone_release_slot_locked(zone, ngx_process_slot,
                                                   slots);
        binarize_process_end(&zone->shm->processes[ngx_process_slot]);
        ngx_http_binarize_zone_unlock(zone);

        ngx_http_binarize_zone_wake(zone, slots);

        ngx_free(zone->pins);
        zone->pins = NULL;
    }
}


/*
 * nginx's master takes the mutex from a worker that has died, but only if the
 * zone is one of the running configuration: one that a reload has removed is
 * used by the old workers alone, and they would wait for ever.
 */

void
ngx_http_binarize_zone_lock(ngx_http_binarize_zone_t *zone)
{
    ngx_pid_t     pid;
    ngx_uint_t    n;
    ngx_shmtx_t  *mutex;

    mutex = &zone->shpool->mutex;

    for (n = 0; !ngx_shmtx_trylock(mutex); n++) {

        if (ngx_ncpu > 1 && n < NGX_HTTP_BINARIZE_ZONE_SPINS) {
            ngx_cpu_pause();
            continue;
        }

        pid = (ngx_pid_t) *mutex->lock;

        if (pid && kill(pid, 0) == -1 && ngx_errno == ESRCH) {
            (void) ngx_shmtx_force_unlock(mutex, pid);

        } else if (n < NGX_HTTP_BINARIZE_ZONE_SPINS
                       + NGX_HTTP_BINARIZE_ZONE_YIELDS)
        {
            ngx_sched_yield();

        } else {
            ngx_msleep(NGX_HTTP_BINARIZE_ZONE_REST);
        }
    }
}


void
ngx_http_binarize_zone_unlock(ngx_http_binarize_zone_t *zone)
{
    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * A worker that dies while it is shutting down has no successor in its slot:
 * its pins and unfinished entries would stay until the slot is used again.
 */

static void
ngx_http_binarize_zone_on_beat(ngx_event_t *ev)
{
    ngx_uint_t                 i;
    binarize_process_t        *process;
    ngx_http_binarize_zone_t  *zone;

    zone = ev->data;
    process = zone->shm->processes;

    ngx_http_binarize_zone_lock(zone);
    (void) ngx_http_binarize_zone_epoch_locked(zone);
    process[ngx_process_slot].beat++;
    ngx_http_binarize_zone_unlock(zone);

    for (i = 0; i < NGX_HTTP_BINARIZE_SLOTS; i++) {

        if (i != (ngx_uint_t) ngx_process_slot
            && process[i].pid
            && (ngx_http_binarize_zone_gone(zone, i)
                || ngx_http_binarize_zone_process(zone, i)
                   == BINARIZE_PROCESS_DEAD))
        {
            ngx_http_binarize_zone_reap(zone, i);
        }
    }

    /* who died between marking this worker and waking it never woke it */

    zone->shm->woken[ngx_process_slot] = 0;

    if (ngx_http_binarize_zone_has_notes(zone)
        && zone->shm_notes[ngx_process_slot].n)
    {
        ngx_http_binarize_zone_rouse(zone);
    }

    ngx_add_timer(ev, NGX_HTTP_BINARIZE_BEAT_MS);
}


/*
 * Who only stands still may go on: what it has pinned or begun is its own
 * still, only what it has claimed is for others.
 */

static void
ngx_http_binarize_zone_reap(ngx_http_binarize_zone_t *zone, ngx_uint_t slot)
{
    uint64_t             slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    binarize_process_t  *process;

    process = &zone->shm->processes[slot];

    ngx_memzero(slots, sizeof(slots));

    ngx_http_binarize_zone_lock(zone);

    /* it may have a successor by now, or have gone on */

    if (ngx_http_binarize_zone_gone(zone, slot)) {
        ngx_http_binarize_zone_release_slot_locked(zone, slot, slots);
        binarize_process_end(process);

    } else if (ngx_http_binarize_zone_process(zone, slot)
               == BINARIZE_PROCESS_DEAD)
    {
        binarize_claim_orphan_all(zone->store, slot, slots);
        ngx_http_binarize_zone_note_locked(zone, slots, NULL);
        binarize_process_declare_dead(process);
    }

    ngx_http_binarize_zone_unlock(zone);

    ngx_http_binarize_zone_wake(zone, slots);
}


/* its process is gone; slots are those to be woken */

static void
ngx_http_binarize_zone_release_slot_locked(ngx_http_binarize_zone_t *zone,
    ngx_uint_t slot, uint64_t *slots)
{
    ngx_memzero(slots, NGX_HTTP_BINARIZE_SLOTS / 8);

    binarize_store_release_slot(zone->store, slot, slots);
    ngx_http_binarize_zone_note_locked(zone, slots, NULL);
}


ngx_uint_t
ngx_http_binarize_zone_gone(ngx_http_binarize_zone_t *zone, ngx_uint_t slot)
{
    int64_t  pid;

    pid = zone->shm->processes[slot].pid;

    return pid && kill((ngx_pid_t) pid, 0) == -1 && ngx_errno == ESRCH;
}


uint64_t
ngx_http_binarize_zone_epoch_locked(ngx_http_binarize_zone_t *zone)
{
    binarize_process_t  *process;

    process = &zone->shm->processes[ngx_process_slot];

    if (!binarize_process_lives(process, zone->epoch)) {
        zone->epoch = binarize_process_begin(process, ngx_pid);
    }

    return zone->epoch;
}


binarize_process_state_e
ngx_http_binarize_zone_process(ngx_http_binarize_zone_t *zone, ngx_uint_t slot)
{
    binarize_process_t  *process;

    process = zone->shm->processes;

    return binarize_process_look(&process[slot], &zone->seen[slot],
                                 process[ngx_process_slot].beat);
}


void
ngx_http_binarize_zone_note_locked(ngx_http_binarize_zone_t *zone,
    uint64_t *slots, u_char *key)
{
    uint64_t                        bits;
    ngx_uint_t                      i, slot;
    ngx_http_binarize_shm_notes_t  *notes;

    for (i = 0; i < NGX_HTTP_BINARIZE_SLOTS / 64; i++) {

        for (bits = slots[i]; bits; bits &= bits - 1) {

            slot = i * 64 + __builtin_ctzll(bits);

            if (slot >= zone->shm->nlanes) {
                continue;
            }

            notes = &zone->shm_notes[slot];

            if (key == NULL || notes->n >= NGX_HTTP_BINARIZE_NOTES) {
                notes->n = NGX_HTTP_BINARIZE_NOTES + 1;
                continue;
            }

            ngx_memcpy(&notes->keys[notes->n], key, sizeof(uint64_t));
            ngx_memory_barrier();
            notes->n++;
        }
    }
}


ngx_uint_t
ngx_http_binarize_zone_notes(ngx_http_binarize_zone_t *zone,
    uint64_t keys[NGX_HTTP_BINARIZE_NOTES])
{
    ngx_uint_t                      n;
    ngx_http_binarize_shm_notes_t  *notes;

    if (!ngx_http_binarize_zone_has_notes(zone)) {
        return NGX_HTTP_BINARIZE_NOTES + 1;
    }

    notes = &zone->shm_notes[ngx_process_slot];

    ngx_http_binarize_zone_lock(zone);

    n = notes->n;
    notes->n = 0;
    ngx_memcpy(keys, notes->keys, sizeof(notes->keys));

    ngx_http_binarize_zone_unlock(zone);

    return n;
}


ngx_uint_t
ngx_http_binarize_zone_has_notes(ngx_http_binarize_zone_t *zone)
{
    return (ngx_uint_t) ngx_process_slot < ngx_http_binarize_wake_nslots()
           && (ngx_uint_t) ngx_process_slot < zone->shm->nlanes;
}


void
ngx_http_binarize_zone_woken(ngx_http_binarize_zone_t *zone)
{
    uint64_t  sent_us;

    sent_us = zone->shm->woken[ngx_process_slot];
    zone->shm->woken[ngx_process_slot] = 0;
    ngx_memory_barrier();

    if (sent_us) {
        ngx_http_binarize_metric_wake(zone,
                               ngx_http_binarize_metric_clock_us() - sent_us);
    }

    ngx_http_binarize_zone_rouse(zone);
}


void
ngx_http_binarize_zone_rouse(ngx_http_binarize_zone_t *zone)
{
    ngx_queue_t                  *q;
    ngx_http_binarize_sleeper_t  *sleeper;

    for (q = ngx_queue_head(&zone->sleepers);
         q != ngx_queue_sentinel(&zone->sleepers);
         q = ngx_queue_next(q))
    {
        sleeper = ngx_queue_data(q, ngx_http_binarize_sleeper_t, queue);

        if (!sleeper->event->posted) {
            ngx_post_event(sleeper->event, &ngx_posted_events);
        }
    }
}


void
ngx_http_binarize_zone_wake(ngx_http_binarize_zone_t *zone, uint64_t *slots)
{
    uint64_t    bits, now_us;
    ngx_uint_t  i, slot;

    now_us = ngx_http_binarize_metric_clock_us();

    for (i = 0; i < NGX_HTTP_BINARIZE_SLOTS / 64; i++) {

        for (bits = slots[i]; bits; bits &= bits - 1) {

            slot = i * 64 + __builtin_ctzll(bits);

            if (slot >= ngx_http_binarize_wake_nslots()
                || !ngx_atomic_cmp_set(&zone->shm->woken[slot], 0, now_us))
            {
                continue;
            }

            ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_WAKES_SENT);

            ngx_http_binarize_wake_slot(slot);
        }
    }
}


/* a bijection: the finalizer of MurmurHash3, 64 bits */

static uint64_t
ngx_http_binarize_zone_mix(uint64_t n)
{
    n ^= n >> 33;
    n *= 0xff51afd7ed558ccdULL;
    n ^= n >> 33;
    n *= 0xc4ceb9fe1a85ec53ULL;
    n ^= n >> 33;

    return n;
}


void
ngx_http_binarize_zone_key(ngx_http_binarize_zone_t *zone, u_char *ns_digest,
    u_char *guid, u_char *key)
{
    uint64_t  half[2], *secret;

    binarize_guid_pack(guid, half);

    secret = zone->shm->secret;

    half[0] = ngx_http_binarize_zone_mix(half[0] ^ secret[0]);
    half[1] = ngx_http_binarize_zone_mix(half[1] ^ half[0] ^ secret[1]);
    half[0] ^= ngx_http_binarize_zone_mix(half[1] ^ secret[2]);

    ngx_memcpy(key, half, sizeof(half));
    ngx_memcpy(key + sizeof(half), ns_digest, 16);
}


ngx_uint_t
ngx_http_binarize_zone_purge(ngx_http_binarize_zone_t *zone, u_char *key)
{
    ngx_uint_t               had;
    binarize_store_entry_t  *entry;

    ngx_http_binarize_zone_lock(zone);

    zone->shm->purges[key[0] % NGX_HTTP_BINARIZE_PURGES]++;

    /* what has expired only says how often it was the answer */

    entry = binarize_store_peek(zone->store, key);
    had = (entry && entry->meta.expires_ms > ngx_current_msec);

    if (entry) {
        (void) binarize_store_remove(zone->store, key);
    }

    ngx_http_binarize_zone_unlock(zone);

    return had;
}


ngx_uint_t
ngx_http_binarize_zone_npurges(ngx_http_binarize_zone_t *zone, u_char *key)
{
    return zone->shm->purges[key[0] % NGX_HTTP_BINARIZE_PURGES];
}


void
ngx_http_binarize_zone_prefetch(ngx_http_binarize_zone_t *zone, u_char *key)
{
    __builtin_prefetch(&zone->pins[binarize_store_prefetch(zone->store, key,
                                                       ngx_process_slot)], 1);
}


void
ngx_http_binarize_zone_pin_locked(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry)
{
    uint32_t  index;

    index = binarize_store_place(zone->store, entry);

    if (zone->pins[index]++ == 0) {
        (void) binarize_store_pin(zone->store, entry, ngx_process_slot);
    }
}


void
ngx_http_binarize_zone_unpin(ngx_http_binarize_zone_t *zone,
    binarize_store_entry_t *entry)
{
    uint32_t  index;

    index = binarize_store_place(zone->store, entry);

    if (--zone->pins[index]) {
        return;
    }

    ngx_http_binarize_zone_lock(zone);
    (void) binarize_store_unpin(zone->store, entry, ngx_process_slot);
    ngx_http_binarize_zone_unlock(zone);
}
