
#include "flight/private.h"


/* any time will do, see ngx_http_binarize_flight_hold() */
#define NGX_HTTP_BINARIZE_HOLD_MS  60000


static void ngx_http_binarize_flight_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_rbtree_key_t ngx_http_binarize_flight_hash(u_char *key);
static ngx_http_binarize_flight_t *ngx_http_binarize_flight_create(
    ngx_http_request_t *r, ngx_http_binarize_flight_conf_t *conf, u_char *key,
    u_char *guid);
static void ngx_http_binarize_flight_on_hold(ngx_event_t *ev);
static void ngx_http_binarize_flight_on_event(ngx_event_t *ev);
static void ngx_http_binarize_flight_schedule(binarize_flight_t *core,
    uint64_t at_ms);
static void ngx_http_binarize_flight_entered(binarize_flight_t *core);
static void ngx_http_binarize_flight_end(binarize_flight_t *core);
static void ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight);


static const binarize_flight_ops_t  ngx_http_binarize_flight_ops = {
    ngx_http_binarize_flight_look,
    ngx_http_binarize_flight_get,
    ngx_http_binarize_flight_copy,
    ngx_http_binarize_flight_lease,
    ngx_http_binarize_flight_token,
    ngx_http_binarize_flight_turn,
    ngx_http_binarize_flight_call,
    ngx_http_binarize_flight_check,
    ngx_http_binarize_flight_keep,
    ngx_http_binarize_flight_followed,
    ngx_http_binarize_flight_show_turn,
    ngx_http_binarize_flight_give_turn,
    ngx_http_binarize_flight_drop_token,
    ngx_http_binarize_flight_give_lease,
    ngx_http_binarize_flight_give_claim,
    ngx_http_binarize_flight_answer,
    ngx_http_binarize_flight_arm,
    ngx_http_binarize_flight_schedule,
    ngx_http_binarize_flight_entered,
    ngx_http_binarize_flight_end
};


/* by state, as the status page has them */
static const ngx_uint_t  ngx_http_binarize_flight_gauges[] = {
    NGX_HTTP_BINARIZE_G_NONE,        /* LOOK */
    NGX_HTTP_BINARIZE_G_FOLLOWING,
    NGX_HTTP_BINARIZE_G_REDIS,       /* GET */
    NGX_HTTP_BINARIZE_G_NONE,        /* COPY */
    NGX_HTTP_BINARIZE_G_REDIS,       /* LEASE */
    NGX_HTTP_BINARIZE_G_REMOTE,
    NGX_HTTP_BINARIZE_G_TOKEN,
    NGX_HTTP_BINARIZE_G_BUDGET,      /* TURN */
    NGX_HTTP_BINARIZE_G_FETCHING,    /* CALL */
    NGX_HTTP_BINARIZE_G_REDIS,       /* CHECK */
    NGX_HTTP_BINARIZE_G_SLEEPING,
    NGX_HTTP_BINARIZE_G_NONE         /* ENDED */
};


ngx_int_t
ngx_http_binarize_flight_join(ngx_http_request_t *r,
    ngx_http_binarize_flight_conf_t *conf, u_char *key, u_char *guid,
    ngx_http_binarize_waiter_t *waiter)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ngx_http_binarize_flight_find(conf->zone->data,
                                     ngx_http_binarize_flight_hash(key), key);

    if (flight == NULL) {
        flight = ngx_http_binarize_flight_create(r, conf, key, guid);
        if (flight == NULL) {
            return NGX_ERROR;
        }

        waiter->leader = 1;
    }

    waiter->zone = flight->zone;
    waiter->core.until_ms = waiter->started_ms + waiter->wait_ms;

    ngx_http_binarize_gauge_add(flight->zone, NGX_HTTP_BINARIZE_G_WAITING, 1);

    binarize_flight_join(&flight->core, &waiter->core, ngx_current_msec);
    ngx_http_binarize_claim_follow_longer(flight);

    return NGX_OK;
}


ngx_int_t
ngx_http_binarize_flight_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_zone_t *zone)
{
    zone->flights = ngx_pcalloc(cycle->pool, sizeof(*zone->flights));
    if (zone->flights == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&zone->flights->tree, &zone->flights->sentinel,
                    ngx_http_binarize_flight_insert_value);

    zone->flights->hold.handler = ngx_http_binarize_flight_on_hold;
    zone->flights->hold.data = zone->flights;
    zone->flights->hold.log = ngx_cycle->log;

    ngx_http_binarize_claim_init_process(zone);
    ngx_http_binarize_landing_init_process(zone);

    return NGX_OK;
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
            f = ngx_rbtree_data(node, ngx_http_binarize_flight_t, node);
            ft = ngx_rbtree_data(temp, ngx_http_binarize_flight_t, node);

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


ngx_http_binarize_flight_t *
ngx_http_binarize_flight_find(ngx_http_binarize_zone_t *zone,
    ngx_rbtree_key_t hash, u_char *key)
{
    ngx_int_t                    rc;
    ngx_rbtree_node_t           *node;
    ngx_http_binarize_flight_t  *flight;

    node = zone->flights->tree.root;

    while (node != zone->flights->tree.sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        flight = ngx_rbtree_data(node, ngx_http_binarize_flight_t, node);

        rc = key ? ngx_memcmp(key, flight->key, sizeof(flight->key)) : 0;
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

    if (ngx_http_binarize_flight_eval(r, flight) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->event.handler = ngx_http_binarize_flight_on_event;
    flight->event.data = flight;
    flight->event.log = ngx_cycle->log;

    flight->node.key = ngx_http_binarize_flight_hash(flight->key);
    ngx_rbtree_insert(&flight->zone->flights->tree, &flight->node);

    binarize_flight_init(&flight->core, &ngx_http_binarize_flight_ops);
    ngx_post_event(&flight->event, &ngx_posted_events);

    ngx_http_binarize_flight_hold(flight->zone->flights);

    return flight;
}


/* a worker that is to exit waits for nothing but timers */

void
ngx_http_binarize_flight_hold(ngx_http_binarize_flights_t *flights)
{
    ngx_uint_t  any;

    any = (flights->tree.root != flights->tree.sentinel
           || !binarize_waiters_empty(&flights->landed));

    if (any && !flights->hold.timer_set) {
        ngx_add_timer(&flights->hold, NGX_HTTP_BINARIZE_HOLD_MS);

    } else if (!any && flights->hold.timer_set) {
        ngx_del_timer(&flights->hold);
    }
}


static void
ngx_http_binarize_flight_on_hold(ngx_event_t *ev)
{
    ngx_http_binarize_flight_hold(ev->data);
}


void
ngx_http_binarize_flight_event(ngx_http_binarize_flight_t *flight,
    binarize_flight_event_t event)
{
    binarize_flight_event(&flight->core, event.kind, event.at_ms,
                          ngx_current_msec);
}


/*
 * What was waited for has come, or the time to look: one event for both, so
 * that a turn of the event loop in which both come runs the flight once.  A
 * flight that has ended is freed by it, when nobody on the call stack has it
 * in his hands.
 */

static void
ngx_http_binarize_flight_on_event(ngx_event_t *ev)
{
    ngx_http_binarize_flight_t  *flight;

    flight = ev->data;

    if (flight->core.state == BINARIZE_FLIGHT_ENDED) {
        ngx_http_binarize_flight_free(flight);
        return;
    }

    binarize_flight_event(&flight->core, BINARIZE_FLIGHT_DUE, 0,
                          ngx_current_msec);
}


static void
ngx_http_binarize_flight_schedule(binarize_flight_t *core, uint64_t at_ms)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   left_ms;

    ev = &((ngx_http_binarize_flight_t *) core)->event;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    if (at_ms) {
        left_ms = (ngx_msec_int_t) (at_ms - ngx_current_msec);
        ngx_add_timer(ev, (ngx_msec_t) ngx_max(left_ms, 1));
    }
}


static void
ngx_http_binarize_flight_entered(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    ngx_http_binarize_gauge_move(flight->zone, &flight->gauge,
                               ngx_http_binarize_flight_gauges[core->state]);

    if (flight->remote.next) {
        ngx_queue_remove(&flight->remote);
        flight->remote.next = NULL;
    }

    if (core->state == BINARIZE_FLIGHT_REMOTE) {
        ngx_queue_insert_tail(&flight->conf->main->remote, &flight->remote);

    } else if (core->state == BINARIZE_FLIGHT_FOLLOW) {
        ngx_http_binarize_claim_follow(flight);
    }
}


binarize_flight_event_t
ngx_http_binarize_flight_known(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    binarize_answer_t  answer;

    ngx_http_binarize_flight_take(flight, result);

    if (result == NULL) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_FOUND, 0);
    }

    ngx_http_binarize_result_answer(result, &answer);

    if (!binarize_answer_goes_on(&answer, flight->pending != NULL)) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_FOUND, 0);
    }

    flight->polls = ngx_max(flight->polls, binarize_answer_polls(&answer));

    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    result->refs++;
    flight->pending = result;

    return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_PENDING,
                                         result->expires_ms);
}


void
ngx_http_binarize_flight_take(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    if (flight->hand) {
        ngx_http_binarize_result_release(flight->hand);
    }

    flight->hand = result;
}


binarize_flight_event_t
ngx_http_binarize_flight_problem(ngx_http_binarize_flight_t *flight,
    binarize_problem_e problem)
{
    return ngx_http_binarize_flight_known(flight,
                         ngx_http_binarize_result_of_problem(problem, NULL));
}


binarize_source_e
ngx_http_binarize_flight_source(ngx_http_binarize_flight_t *flight,
    binarize_source_e hit)
{
    return flight->core.waited ? BINARIZE_SOURCE_COLLAPSED : hit;
}


binarize_source_e
ngx_http_binarize_flight_fetched(ngx_http_binarize_flight_t *flight)
{
    return (flight->conf->l1 || flight->conf->redis)
           ? BINARIZE_SOURCE_MISS : BINARIZE_SOURCE_BYPASS;
}


void
ngx_http_binarize_flight_stop(ngx_http_binarize_zone_t *zone)
{
    ngx_rbtree_t                *tree;
    ngx_rbtree_node_t           *node, *next;
    ngx_http_binarize_flight_t  *flight;

    tree = &zone->flights->tree;

    if (tree->root == tree->sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = next)
    {
        /* it may end this one, and no other */

        next = ngx_rbtree_next(tree, node);
        flight = ngx_rbtree_data(node, ngx_http_binarize_flight_t, node);

        binarize_flight_event(&flight->core, BINARIZE_FLIGHT_STOP, 0,
                              ngx_current_msec);
    }
}


static void
ngx_http_binarize_flight_end(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    ngx_rbtree_delete(&flight->zone->flights->tree, &flight->node);
    ngx_post_event(&flight->event, &ngx_posted_events);

    ngx_http_binarize_flight_hold(flight->zone->flights);
}


static void
ngx_http_binarize_flight_free(ngx_http_binarize_flight_t *flight)
{
    if (flight->hand) {
        ngx_http_binarize_result_release(flight->hand);
    }

    if (flight->pending) {
        ngx_http_binarize_result_release(flight->pending);
    }

    ngx_destroy_pool(flight->pool);
}
