
#include "flight/private.h"
#include "zone/wake.h"


/* how often a follower looks whether its leader still lives */
#define NGX_HTTP_BINARIZE_FOLLOW_MS       500


static void ngx_http_binarize_flight_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_binarize_flight_hash(u_char *key);
static ngx_http_binarize_flight_t *ngx_http_binarize_flight_find(
    ngx_http_binarize_zone_t *zone, u_char *key);
static ngx_http_binarize_flight_t *ngx_http_binarize_flight_create(
    ngx_http_request_t *r, ngx_http_binarize_flight_conf_t *conf, u_char *key,
    u_char *guid);
static void ngx_http_binarize_flight_on_event(ngx_event_t *ev);
static void ngx_http_binarize_flight_post(ngx_http_binarize_flight_t *flight,
    void (*state)(ngx_http_binarize_flight_t *));
static ngx_uint_t ngx_http_binarize_flight_waited(
    ngx_http_binarize_flight_t *flight);
static ngx_http_binarize_shm_flight_t *ngx_http_binarize_flight_claim_locked(
    ngx_http_binarize_flight_t *flight, ngx_uint_t *follow);
static ngx_uint_t ngx_http_binarize_flight_alive_locked(
    ngx_http_binarize_shm_flight_t *sf);
static void ngx_http_binarize_flight_follow(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_flight_on_renew(ngx_event_t *ev);


ngx_int_t
ngx_http_binarize_flight_join(ngx_http_request_t *r,
    ngx_http_binarize_flight_conf_t *conf, u_char *key, u_char *guid,
    ngx_http_binarize_waiter_t *waiter)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ngx_http_binarize_flight_find(conf->zone->data, key);

    if (flight == NULL) {
        flight = ngx_http_binarize_flight_create(r, conf, key, guid);
        if (flight == NULL) {
            return NGX_ERROR;
        }

        waiter->leader = 1;
    }

    waiter->flight = flight;
    ngx_queue_insert_tail(&flight->waiters, &waiter->queue);
    ngx_http_binarize_gauge_add(flight->zone, NGX_HTTP_BINARIZE_G_WAITING, 1);

    if (flight->sleeping && !ngx_http_binarize_flight_can_wait(waiter)) {
        /* the zone had no room to remember what is pending; soon */
        ngx_http_binarize_flight_arm_deadline(waiter, 1);
    }

    if (flight->queued && !ngx_http_binarize_flight_can_wait_for_turn(waiter)) {
        ngx_http_binarize_flight_arm_deadline(waiter, 1);
    }

    return NGX_OK;
}


void
ngx_http_binarize_flight_leave(ngx_http_binarize_waiter_t *waiter)
{
    ngx_http_binarize_flight_t  *flight;

    flight = waiter->flight;

    if (flight == NULL) {
        return;
    }

    ngx_queue_remove(&waiter->queue);
    waiter->flight = NULL;
    ngx_http_binarize_gauge_add(flight->zone, NGX_HTTP_BINARIZE_G_WAITING, -1);

    if (waiter->deadline.timer_set) {
        ngx_del_timer(&waiter->deadline);
    }

    ngx_http_binarize_flight_end_if_unwanted(flight);
}


void
ngx_http_binarize_flight_init_process(ngx_http_binarize_zone_t *zone)
{
    ngx_rbtree_init(&zone->flights, &zone->sentinel,
                    ngx_http_binarize_flight_insert_value);
}


static void
ngx_http_binarize_flight_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t           **p;
    ngx_http_binarize_flight_t   *f, *ft;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            f = (ngx_http_binarize_flight_t *) node;
            ft = (ngx_http_binarize_flight_t *) temp;

            p = (ngx_memcmp(f->key, ft->key, sizeof(f->key)) < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_rbtree_key_t
ngx_http_binarize_flight_hash(u_char *key)
{
    ngx_rbtree_key_t  hash;

    ngx_memcpy(&hash, key, sizeof(hash));

    return hash;
}


static ngx_http_binarize_flight_t *
ngx_http_binarize_flight_find(ngx_http_binarize_zone_t *zone, u_char *key)
{
    ngx_int_t                    rc;
    ngx_rbtree_key_t             hash;
    ngx_rbtree_node_t           *node;
    ngx_http_binarize_flight_t  *flight;

    hash = ngx_http_binarize_flight_hash(key);
    node = zone->flights.root;

    while (node != zone->flights.sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        flight = (ngx_http_binarize_flight_t *) node;

        rc = ngx_memcmp(key, flight->key, sizeof(flight->key));
        if (rc == 0) {
            return flight;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_http_binarize_flight_t *
ngx_http_binarize_flight_create(ngx_http_request_t *r,
    ngx_http_binarize_flight_conf_t *conf, u_char *key, u_char *guid)
{
    ngx_pool_t                  *pool;
    ngx_http_binarize_flight_t  *flight;

    /* all of it but what depends on the request */
    pool = ngx_create_pool(sizeof(ngx_pool_t) + sizeof(*flight),
                           ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    flight = ngx_pcalloc(pool, sizeof(*flight));
    if (flight == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->pool = pool;
    flight->log = ngx_cycle->log;
    flight->conf = conf;
    flight->zone = conf->zone->data;

    ngx_memcpy(flight->key, key, sizeof(flight->key));
    ngx_memcpy(flight->guid, guid, sizeof(flight->guid));

    ngx_queue_init(&flight->waiters);

    if (ngx_http_binarize_flight_eval(r, flight) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->event.handler = ngx_http_binarize_flight_on_event;
    flight->event.data = flight;
    flight->event.log = ngx_cycle->log;

    flight->node.key = ngx_http_binarize_flight_hash(flight->key);
    ngx_rbtree_insert(&flight->zone->flights, &flight->node);

    ngx_http_binarize_flight_post(flight, ngx_http_binarize_flight_look);

    return flight;
}


/*
 * What was waited for has come, or the time to look: one event for both, so
 * that a turn of the event loop in which both come runs the state once.
 */

static void
ngx_http_binarize_flight_on_event(ngx_event_t *ev)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ev->data;

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    flight->state(flight);
}


static void
ngx_http_binarize_flight_post(ngx_http_binarize_flight_t *flight,
    void (*state)(ngx_http_binarize_flight_t *))
{
    flight->state = state;

    ngx_post_event(&flight->event, &ngx_posted_events);
}


void
ngx_http_binarize_flight_look(ngx_http_binarize_flight_t *flight)
{
    ngx_uint_t                   follow, waited;
    binarize_store_entry_t      *entry;
    ngx_http_binarize_zone_t    *zone;
    ngx_http_binarize_result_t  *result;

    zone = flight->zone;
    result = NULL;
    follow = 0;

    if (flight->following) {
        flight->following = 0;
        ngx_queue_remove(&flight->sleeper.queue);
    }

    flight->sleeping = 0;
    flight->queued = 0;

    /* also for a turn, or a token */

    waited = flight->leading || ngx_http_binarize_flight_waited(flight);

    if (ngx_http_binarize_flight_unwanted(flight)) {
        /* all have left; a call saved */
        ngx_http_binarize_lead_give_up(flight);
        return;
    }

    ngx_http_binarize_zone_lock(zone);

    entry = binarize_store_lookup(zone->store, flight->key, ngx_current_msec);

    if (entry && entry->kind == BINARIZE_STORE_RESULT
        && !flight->conf->l1 && !waited)
    {
        /* left for those who waited */
        entry = NULL;
    }

    if (entry) {
        result = ngx_http_binarize_result_of_entry_locked(zone, entry, NULL);

    } else {
        flight->shm = ngx_http_binarize_flight_claim_locked(flight, &follow);
    }

    ngx_http_binarize_zone_unlock(zone);

    if (result) {
        result->source = waited ? BINARIZE_SOURCE_COLLAPSED
                                : ngx_http_binarize_result_hit(result);

        ngx_http_binarize_flight_release(flight);
        ngx_http_binarize_flight_land(flight, result);
        return;
    }

    if (entry) {
        ngx_http_binarize_flight_release(flight);
        ngx_http_binarize_flight_land(flight,
            ngx_http_binarize_result_of_problem(BINARIZE_PROBLEM_INTERNAL,
                                                NULL));
        return;
    }

    if (follow) {
        ngx_http_binarize_flight_release(flight);
        ngx_http_binarize_flight_rest(flight);
        ngx_http_binarize_flight_follow(flight);
        return;
    }

    if (!flight->leading) {
        ngx_http_binarize_metric_inc(zone, NGX_HTTP_BINARIZE_M_LED);
    }

    ngx_http_binarize_lead(flight);
}


/* it has followed, or slept between polls */

static ngx_uint_t
ngx_http_binarize_flight_waited(ngx_http_binarize_flight_t *flight)
{
    return flight->followed || flight->pending;
}


binarize_source_e
ngx_http_binarize_flight_source(ngx_http_binarize_flight_t *flight,
    binarize_source_e hit)
{
    return ngx_http_binarize_flight_waited(flight)
           ? BINARIZE_SOURCE_COLLAPSED : hit;
}


/*
 * The record of a flight lies in one of few places its key names, without
 * links to others: a worker that dies while it writes leaves a record that
 * is not valid or whose leader is gone, and nothing else.  NULL without
 * *follow: there is no place left, and this worker flies on its own.
 */

static ngx_http_binarize_shm_flight_t *
ngx_http_binarize_flight_claim_locked(ngx_http_binarize_flight_t *flight,
    ngx_uint_t *follow)
{
    ngx_uint_t                       i;
    ngx_http_binarize_shm_flight_t  *sf, *free;

    sf = ngx_http_binarize_zone_flights(flight->zone, flight->key);
    free = NULL;

    for (i = 0; i < NGX_HTTP_BINARIZE_WAYS; i++) {

        if (sf[i].leader
            && ngx_memcmp(sf[i].key, flight->key, sizeof(sf[i].key)) == 0)
        {
            if (flight->shm == &sf[i] && sf[i].leader == ngx_pid) {
                return &sf[i];
            }

            if (ngx_http_binarize_flight_alive_locked(&sf[i])) {
                sf[i].waiters |= 1ULL << (ngx_process_slot % 64);
                sf[i].patience_ms = ngx_max(sf[i].patience_ms,
                                ngx_http_binarize_flight_patient_until(flight));

                flight->due_ms = sf[i].turn_ms;
                flight->retry_ms = sf[i].turn_ms;

                *follow = 1;
                return NULL;
            }

            /* others who waited for the dead one will look at ours */

            sf[i].turn_ms = 0;
            sf[i].deadline_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;
            sf[i].leader = ngx_pid;

            ngx_http_binarize_metric_inc(flight->zone,
                                         NGX_HTTP_BINARIZE_M_TAKEOVERS);
            return &sf[i];
        }

        if (free == NULL
            && (sf[i].leader == 0
                || !ngx_http_binarize_flight_alive_locked(&sf[i])))
        {
            free = &sf[i];
        }
    }

    if (free == NULL) {
        return NULL;
    }

    free->leader = 0;
    ngx_memory_barrier();

    ngx_memcpy(free->key, flight->key, sizeof(free->key));
    free->waiters = 0;
    ngx_memzero(free->lease, sizeof(free->lease));
    free->turn_ms = 0;
    free->patience_ms = 0;
    free->deadline_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;

    ngx_memory_barrier();
    free->leader = ngx_pid;

    return free;
}


static ngx_uint_t
ngx_http_binarize_flight_alive_locked(ngx_http_binarize_shm_flight_t *sf)
{
    if (ngx_current_msec >= sf->deadline_ms) {
        return 0;
    }

    return kill((ngx_pid_t) sf->leader, 0) == 0 || ngx_errno != ESRCH;
}


static void
ngx_http_binarize_flight_follow(ngx_http_binarize_flight_t *flight)
{
    flight->following = 1;
    flight->followed = 1;

    flight->sleeper.event = &flight->event;
    ngx_queue_insert_tail(&flight->zone->sleepers, &flight->sleeper.queue);

    ngx_http_binarize_metric_inc(flight->zone, NGX_HTTP_BINARIZE_M_FOLLOWED);
    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                                 NGX_HTTP_BINARIZE_G_FOLLOWING);

    /* a wake-up does not cover a dead leader */

    flight->state = ngx_http_binarize_flight_look;
    ngx_add_timer(&flight->event, NGX_HTTP_BINARIZE_FOLLOW_MS);

    if (flight->due_ms) {
        ngx_http_binarize_flight_await_turn(flight);
    }
}


void
ngx_http_binarize_flight_stop(ngx_http_binarize_zone_t *zone)
{
    ngx_rbtree_node_t           *node, *next;
    ngx_http_binarize_flight_t  *flight;

    if (zone->flights.root == zone->flights.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(zone->flights.root, zone->flights.sentinel);
         node;
         node = next)
    {
        next = ngx_rbtree_next(&zone->flights, node);
        flight = (ngx_http_binarize_flight_t *) node;

        /* to answer one might end the next */

        if (!ngx_queue_empty(&flight->waiters)) {
            continue;
        }

        if (flight->remote) {
            flight->remote = 0;
            ngx_queue_remove(&flight->queue);

        } else if (!flight->queued && !flight->following) {
            continue;
        }

        ngx_http_binarize_lead_give_up(flight);
    }
}


void
ngx_http_binarize_flight_renew(ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_shm_flight_t  *sf;

    sf = flight->shm;

    if (sf) {
        ngx_http_binarize_zone_lock(flight->zone);

        if (sf->leader == ngx_pid
            && ngx_memcmp(sf->key, flight->key, sizeof(sf->key)) == 0)
        {
            sf->deadline_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;

            if (!flight->queued) {
                sf->turn_ms = 0;
            }

        } else {
            /* it was taken over: the event loop stood still for too long */
            flight->shm = NULL;
        }

        ngx_http_binarize_zone_unlock(flight->zone);
    }

    if (flight->lease) {
        ngx_http_binarize_l2_lease_extend(flight->lease,
                                          NGX_HTTP_BINARIZE_LEASE_MS);

        /* one that may have ended meanwhile is not sure any more */

        if (ngx_current_msec < flight->held_ms) {
            flight->held_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;
        }
    }

    flight->renew.handler = ngx_http_binarize_flight_on_renew;
    flight->renew.data = flight;
    flight->renew.log = flight->log;

    ngx_add_timer(&flight->renew, NGX_HTTP_BINARIZE_LEASE_MS / 3);
}


static void
ngx_http_binarize_flight_on_renew(ngx_event_t *ev)
{
    ngx_http_binarize_flight_renew(ev->data);
}


/* gives the lead up and wakes who followed; what they need is in the zone */

void
ngx_http_binarize_flight_release(ngx_http_binarize_flight_t *flight)
{
    uint64_t                         slots[NGX_HTTP_BINARIZE_SLOTS / 64];
    ngx_uint_t                       wake;
    ngx_http_binarize_shm_flight_t  *sf;

    flight->leading = 0;

    if (flight->renew.timer_set) {
        ngx_del_timer(&flight->renew);
    }

    ngx_http_binarize_nodes_release(flight);

    sf = flight->shm;

    if (sf == NULL) {
        return;
    }

    flight->shm = NULL;
    wake = 0;

    ngx_http_binarize_zone_lock(flight->zone);

    if (sf->leader == ngx_pid
        && ngx_memcmp(sf->key, flight->key, sizeof(sf->key)) == 0)
    {
        ngx_http_binarize_flight_slots(sf, slots);
        sf->leader = 0;
        wake = 1;
    }

    ngx_http_binarize_zone_unlock(flight->zone);

    if (wake) {
        ngx_http_binarize_zone_wake(flight->zone, slots);
    }
}


void
ngx_http_binarize_flight_slots(ngx_http_binarize_shm_flight_t *sf,
    uint64_t *slots)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BINARIZE_SLOTS / 64; i++) {
        slots[i] = sf->waiters;
    }
}


ngx_uint_t
ngx_http_binarize_flight_has_followers(ngx_http_binarize_flight_t *flight)
{
    uint64_t  others;

    if (flight->shm == NULL) {
        return 0;
    }

    ngx_http_binarize_zone_lock(flight->zone);
    others = flight->shm->waiters;
    ngx_http_binarize_zone_unlock(flight->zone);

    /* this worker may have followed before it led */

    if (ngx_http_binarize_wake_nslots() <= 64) {
        others &= ~(1ULL << (ngx_process_slot % 64));
    }

    return others != 0;
}
