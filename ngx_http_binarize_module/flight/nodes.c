
#include "flight/private.h"
#include "core/state.h"


/* what is asked behind the lease; outlives the flight where it has to */
typedef struct {
    ngx_http_binarize_redis_call_t   get;       /* the state, */
    ngx_http_binarize_redis_call_t   ttl;       /*   its life, */
    ngx_http_binarize_redis_call_t   exists;    /*   and the result */
    ngx_http_binarize_flight_t      *flight;    /* NULL: gone on without */
    ngx_uint_t                       nleft;     /* answers to come */
} ngx_http_binarize_nodes_ask_t;


static void ngx_http_binarize_nodes_claimed(
    ngx_http_binarize_flight_t *flight, u_char *token);
static void ngx_http_binarize_nodes_claim(ngx_http_binarize_flight_t *flight,
    u_char *token);
static ngx_int_t ngx_http_binarize_nodes_ask_behind(
    ngx_http_binarize_flight_t *flight);
static ngx_int_t ngx_http_binarize_nodes_command(
    ngx_http_binarize_nodes_ask_t *ask, ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_handler_pt handler, const char *command,
    ngx_str_t *key);
static void ngx_http_binarize_nodes_answered(
    ngx_http_binarize_nodes_ask_t *ask);
static void ngx_http_binarize_nodes_state_key(
    ngx_http_binarize_flight_t *flight, ngx_str_t *key, ngx_str_t *result);
static void ngx_http_binarize_nodes_on_state(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_nodes_on_ttl(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_nodes_on_exists(void *data, ngx_int_t rc,
    redisReply *reply);
static void ngx_http_binarize_nodes_on_lease(void *data, ngx_int_t rc);
static binarize_flight_event_t ngx_http_binarize_nodes_answer(
    ngx_http_binarize_flight_t *flight, ngx_uint_t landed);
static ngx_http_binarize_result_t *ngx_http_binarize_nodes_read_state(
    ngx_http_binarize_flight_t *flight);
static void ngx_http_binarize_nodes_on_landing(void *data, ngx_str_t *ns,
    u_char *guid);
static void ngx_http_binarize_nodes_on_published(void *data, ngx_int_t rc,
    redisReply *reply);


/*
 * The lease first, then what may have landed before it was had: in the other
 * order another node could land and give its lease back in between, unseen.
 * All in one round trip; the answers come in the order of the commands.
 */

binarize_flight_event_t
ngx_http_binarize_flight_lease(binarize_flight_t *core)
{
    u_char                            token[NGX_HTTP_BINARIZE_L2_TOKEN];
    ngx_http_binarize_flight_t       *flight;
    ngx_http_binarize_flight_conf_t  *conf;

    flight = (ngx_http_binarize_flight_t *) core;
    conf = flight->conf;

    flight->state_reply = NULL;
    flight->state_ttl_ms = 0;
    flight->lease_rc = NGX_ERROR;
    flight->held_ms = ngx_current_msec + NGX_HTTP_BINARIZE_LEASE_MS;

    /* the lease of a worker that died leading is not waited for */

    ngx_http_binarize_nodes_claimed(flight, token);

    if (token[0]) {
        ngx_http_binarize_l2_lease_drop(conf->redis, &conf->ns, flight->guid,
                                        token);
    }

    flight->lease = ngx_http_binarize_l2_lease(conf->redis, &conf->ns,
                                           flight->guid,
                                           NGX_HTTP_BINARIZE_LEASE_MS,
                                           ngx_http_binarize_nodes_on_lease,
                                           flight);

    if (flight->lease == NULL) {
        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_UNUSABLE, 0);
    }

    ngx_http_binarize_nodes_claim(flight,
                             ngx_http_binarize_l2_lease_token(flight->lease));

    if (ngx_http_binarize_nodes_ask_behind(flight) != NGX_OK) {
        ngx_http_binarize_l2_lease_release(flight->lease);
        flight->lease = NULL;

        return ngx_http_binarize_flight_says(BINARIZE_FLIGHT_UNUSABLE, 0);
    }

    return ngx_http_binarize_flight_asked();
}


/* the lease of our claim, which its last owner may have had, or zeroes */

static void
ngx_http_binarize_nodes_claimed(ngx_http_binarize_flight_t *flight,
    u_char *token)
{
    binarize_store_entry_t  *claim;

    ngx_memzero(token, NGX_HTTP_BINARIZE_L2_TOKEN);

    ngx_http_binarize_zone_lock(flight->zone);

    claim = ngx_http_binarize_claim_locked(flight);

    if (claim) {
        ngx_memcpy(token, claim->claim.lease, NGX_HTTP_BINARIZE_L2_TOKEN);
    }

    ngx_http_binarize_zone_unlock(flight->zone);
}


/* whoever takes the lead over finds it; NULL: there is nothing to give back */

static void
ngx_http_binarize_nodes_claim(ngx_http_binarize_flight_t *flight,
    u_char *token)
{
    binarize_store_entry_t  *claim;

    ngx_http_binarize_zone_lock(flight->zone);

    claim = ngx_http_binarize_claim_locked(flight);

    if (claim && token) {
        ngx_memcpy(claim->claim.lease, token, sizeof(claim->claim.lease));

    } else if (claim) {
        ngx_memzero(claim->claim.lease, sizeof(claim->claim.lease));
    }

    ngx_http_binarize_zone_unlock(flight->zone);
}


static ngx_int_t
ngx_http_binarize_nodes_ask_behind(ngx_http_binarize_flight_t *flight)
{
    ngx_int_t                       rc;
    ngx_str_t                       state, result;
    ngx_http_binarize_nodes_ask_t  *ask;

    rc = NGX_ERROR;
    ngx_http_binarize_nodes_state_key(flight, &state, &result);
    ask = ngx_calloc(sizeof(*ask), flight->log);

    if (state.data == NULL || ask == NULL) {
        goto failed;
    }

    ask->flight = flight;
    ask->get.reply_max = BINARIZE_ENVELOPE_MAX_SIZE + BINARIZE_STATE_HEAD_SIZE;

    if (ngx_http_binarize_nodes_command(ask, &ask->get,
                                        ngx_http_binarize_nodes_on_state,
                                        "GET", &state)
        != NGX_OK)
    {
        goto failed;
    }

    if (ngx_http_binarize_nodes_command(ask, &ask->ttl,
                                        ngx_http_binarize_nodes_on_ttl,
                                        "PTTL", &state)
        != NGX_OK
        || ngx_http_binarize_nodes_command(ask, &ask->exists,
                                           ngx_http_binarize_nodes_on_exists,
                                           "EXISTS", &result)
           != NGX_OK)
    {
        /* freed when the answers under way have come */
        ask->flight = NULL;

    } else {
        rc = NGX_OK;
    }

    ngx_free(state.data);

    return rc;

failed:

    if (state.data) {
        ngx_free(state.data);
    }

    if (ask) {
        ngx_free(ask);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_binarize_nodes_command(ngx_http_binarize_nodes_ask_t *ask,
    ngx_http_binarize_redis_call_t *call,
    ngx_http_binarize_redis_handler_pt handler, const char *command,
    ngx_str_t *key)
{
    size_t       lens[2];
    const char  *argv[2];

    call->handler = handler;
    call->data = ask;

    argv[0] = command;
    lens[0] = ngx_strlen(command);
    argv[1] = (char *) key->data;
    lens[1] = key->len;

    if (ngx_http_binarize_redis_command(ask->flight->conf->redis, call, 2,
                                        argv, lens, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ask->nleft++;

    return NGX_OK;
}


/*
 * key->data is for ngx_free(), as a flight may last for many polls, and NULL
 * without memory.
 */

static void
ngx_http_binarize_nodes_state_key(ngx_http_binarize_flight_t *flight,
    ngx_str_t *key, ngx_str_t *result)
{
    ngx_http_binarize_flight_conf_t  *conf;

    conf = flight->conf;

    key->data = ngx_alloc(ngx_http_binarize_l2_key_size(conf->redis,
                                                        &conf->ns),
                          flight->log);
    if (key->data == NULL) {
        return;
    }

    ngx_http_binarize_l2_key_beside(conf->redis, &conf->ns, flight->guid,
                                    NGX_HTTP_BINARIZE_L2_STATE, key, result);
}


static void
ngx_http_binarize_nodes_on_state(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_nodes_ask_t *ask = data;

    if (rc == NGX_OK && reply->type == REDIS_REPLY_STRING && ask->flight) {
        ask->flight->state_reply = ngx_http_binarize_redis_keep(reply);
    }

    ngx_http_binarize_nodes_answered(ask);
}


static void
ngx_http_binarize_nodes_on_ttl(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_nodes_ask_t *ask = data;

    if (rc == NGX_OK && reply->type == REDIS_REPLY_INTEGER && ask->flight) {
        ask->flight->state_ttl_ms = reply->integer;
    }

    ngx_http_binarize_nodes_answered(ask);
}


static void
ngx_http_binarize_nodes_on_exists(void *data, ngx_int_t rc, redisReply *reply)
{
    ngx_http_binarize_nodes_ask_t *ask = data;

    ngx_http_binarize_flight_t  *flight;

    flight = ask->flight;

    ngx_http_binarize_nodes_answered(ask);

    if (flight == NULL || rc == NGX_ABORT) {
        return;
    }

    ngx_http_binarize_flight_event(flight,
           ngx_http_binarize_nodes_answer(flight,
                      rc == NGX_OK && reply->type == REDIS_REPLY_INTEGER
                      && reply->integer));
}


static void
ngx_http_binarize_nodes_answered(ngx_http_binarize_nodes_ask_t *ask)
{
    if (--ask->nleft == 0) {
        ngx_free(ask);
    }
}


static void
ngx_http_binarize_nodes_on_lease(void *data, ngx_int_t rc)
{
    ngx_http_binarize_flight_t *flight = data;

    flight->lease_rc = rc;
}


/* a result is the newest that can be known, then what a node said of one */

static binarize_flight_event_t
ngx_http_binarize_nodes_answer(ngx_http_binarize_flight_t *flight,
    ngx_uint_t landed)
{
    ngx_int_t                    rc;
    binarize_flight_event_e      kind;
    ngx_http_binarize_result_t  *result;

    rc = flight->lease_rc;
    result = ngx_http_binarize_nodes_read_state(flight);

    ngx_http_binarize_metric_lease(flight->zone, rc, result || landed);

    if (result && landed) {
        ngx_http_binarize_result_release(result);
        result = NULL;
    }

    if (rc != NGX_OK || result) {
        ngx_http_binarize_l2_lease_release(flight->lease);
        flight->lease = NULL;
    }

    if (rc == NGX_BUSY) {
        ngx_http_binarize_nodes_claim(flight, NULL);
    }

    if (result) {
        result->source = ngx_http_binarize_flight_source(flight,
                                        ngx_http_binarize_result_hit(result));

        return ngx_http_binarize_flight_known(flight,
                          ngx_http_binarize_keep_state(flight, result, 1));
    }

    if (rc == NGX_OK) {
        kind = landed ? BINARIZE_FLIGHT_HELD_LANDED : BINARIZE_FLIGHT_HELD;

    } else if (rc == NGX_BUSY) {
        kind = landed ? BINARIZE_FLIGHT_BUSY_LANDED : BINARIZE_FLIGHT_BUSY;

    } else {
        kind = BINARIZE_FLIGHT_UNUSABLE;
    }

    return ngx_http_binarize_flight_says(kind, 0);
}


/* what another node said last, if it still holds; NULL otherwise */

static ngx_http_binarize_result_t *
ngx_http_binarize_nodes_read_state(ngx_http_binarize_flight_t *flight)
{
    binarize_state_t             state;
    ngx_http_binarize_result_t  *result;

    if (flight->state_reply == NULL) {
        return NULL;
    }

    result = NULL;

    if (flight->state_ttl_ms > 0
        && binarize_state_read((u_char *) flight->state_reply->str,
                               flight->state_reply->len, &state)
           == BINARIZE_OK
        && state.problem < BINARIZE_PROBLEM_INTERNAL)
    {
        result = ngx_http_binarize_result_of_state(&state);

        if (result) {
            result->expires_ms = ngx_current_msec + flight->state_ttl_ms;
        }
    }

    freeReplyObject(flight->state_reply);
    flight->state_reply = NULL;

    return result;
}


static void
ngx_http_binarize_nodes_on_landing(void *data, ngx_str_t *ns, u_char *guid)
{
    ngx_queue_t                    *q;
    ngx_http_binarize_flight_t     *flight;
    ngx_http_binarize_main_conf_t  *bmcf = data;

    for (q = ngx_queue_head(&bmcf->remote);
         q != ngx_queue_sentinel(&bmcf->remote);
         q = ngx_queue_next(q))
    {
        flight = ngx_queue_data(q, ngx_http_binarize_flight_t, remote);

        if (guid
            && (ngx_memcmp(guid, flight->guid, BINARIZE_GUID_SIZE) != 0
                || !ngx_http_binarize_str_equal(ns, &flight->conf->ns)))
        {
            continue;
        }

        if (!flight->event.posted) {
            ngx_post_event(&flight->event, &ngx_posted_events);
        }
    }
}


void
ngx_http_binarize_nodes_publish_state(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_result_t *result)
{
    u_char                          px[NGX_INT_T_LEN], *value;
    size_t                          lens[5], size;
    ngx_str_t                       key;
    const char                     *argv[5];
    binarize_state_t                state;
    ngx_http_binarize_redis_call_t *call;
    char                            head[BINARIZE_STATE_HEAD_SIZE];

    state.outcome = result->outcome;
    state.task_status = result->task_status;
    state.problem = result->problem;
    state.status = result->status;
    state.repeat = ngx_min(result->repeat, 1000000);

    size = binarize_state_write(head, &state);

    value = ngx_alloc(size + result->doc.len, flight->log);
    ngx_http_binarize_nodes_state_key(flight, &key, NULL);

    /* the call outlives the flight */

    call = ngx_calloc(sizeof(*call), flight->log);

    if (call == NULL || value == NULL || key.data == NULL) {
        goto failed;
    }

    ngx_memcpy(value, head, size);

    if (result->doc.len) {
        ngx_memcpy(value + size, result->doc.data, result->doc.len);
    }

    argv[0] = "SET";
    lens[0] = 3;
    argv[1] = (char *) key.data;
    lens[1] = key.len;
    argv[2] = (char *) value;
    lens[2] = size + result->doc.len;
    argv[3] = "PX";
    lens[3] = 2;
    argv[4] = (char *) px;
    lens[4] = ngx_sprintf(px, "%uL", result->expires_ms - ngx_current_msec)
              - px;

    call->handler = ngx_http_binarize_nodes_on_published;
    call->data = call;

    if (ngx_http_binarize_redis_command(flight->conf->redis, call, 5, argv,
                                        lens, NULL)
        == NGX_OK)
    {
        call = NULL;
    }

failed:

    if (call) {
        ngx_free(call);
    }

    if (value) {
        ngx_free(value);
    }

    if (key.data) {
        ngx_free(key.data);
    }
}


static void
ngx_http_binarize_nodes_on_published(void *data, ngx_int_t rc,
    redisReply *reply)
{
    ngx_free(data);
}


void
ngx_http_binarize_flight_give_lease(binarize_flight_t *core)
{
    ngx_http_binarize_flight_t  *flight;

    flight = (ngx_http_binarize_flight_t *) core;

    if (flight->lease == NULL) {
        return;
    }

    /* after what they will look for, on the same connection */

    ngx_http_binarize_l2_lease_land(flight->lease);
    flight->lease = NULL;
}


ngx_int_t
ngx_http_binarize_nodes_init_process(ngx_cycle_t *cycle,
    ngx_http_binarize_main_conf_t *bmcf,
    ngx_http_binarize_l2_purged_pt on_purge)
{
    ngx_uint_t                   i;
    ngx_http_binarize_redis_t  **rp;

    rp = bmcf->redises.elts;

    for (i = 0; i < bmcf->redises.nelts; i++) {
        if (ngx_http_binarize_l2_listen(rp[i],
                                        ngx_http_binarize_nodes_on_landing,
                                        on_purge, bmcf)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
