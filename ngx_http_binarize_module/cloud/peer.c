
#include "cloud/peer.h"


/* per worker; as many as there are calls in the air at quiet times */
#define NGX_HTTP_BINARIZE_MAX_IDLE       32

#define NGX_HTTP_BINARIZE_IDLE_TIMEOUT   60000     /* ms */
#define NGX_HTTP_BINARIZE_MAX_REQUESTS   1000      /* as keepalive_requests */
#define NGX_HTTP_BINARIZE_MAX_AGE        3600000   /* ms, as keepalive_time */

/* per worker */
#define NGX_HTTP_BINARIZE_MAX_SESSIONS   64


/* a connection or a TLS session, and which calls may have it */
typedef struct {
    ngx_queue_t        queue;
    ngx_uint_t        *count;     /* of those in the queue */
    void              *data;
    ngx_str_t          name;
    void              *ssl;
    socklen_t          socklen;
    ngx_sockaddr_t     sockaddr;
} ngx_http_binarize_kept_t;


static ngx_int_t ngx_http_binarize_peer_init_request(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_binarize_peer_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_binarize_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_binarize_peer_notify(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
static ngx_uint_t ngx_http_binarize_peer_keep(ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc, ngx_uint_t state);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_binarize_peer_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_binarize_peer_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif
static ngx_http_binarize_kept_t *ngx_http_binarize_kept_find(
    ngx_queue_t *queue, ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc);
static ngx_http_binarize_kept_t *ngx_http_binarize_kept_add(
    ngx_queue_t *queue, ngx_uint_t *count, ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc);
static void *ngx_http_binarize_kept_remove(ngx_http_binarize_kept_t *kept);
static void *ngx_http_binarize_kept_remove_last(ngx_queue_t *queue);
static ngx_uint_t ngx_http_binarize_idle_quiet(ngx_connection_t *c);
static void ngx_http_binarize_idle_on_write(ngx_event_t *ev);
static void ngx_http_binarize_idle_on_read(ngx_event_t *ev);
static void ngx_http_binarize_idle_close(ngx_connection_t *c);


void
ngx_http_binarize_peer_init(ngx_http_binarize_peer_t *peer)
{
    if (peer->inner) {
        peer->upstream = *peer->inner;
    }

    peer->upstream.peer.init = ngx_http_binarize_peer_init_request;
    peer->upstream.peer.data = peer;
}


static ngx_int_t
ngx_http_binarize_peer_init_request(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_int_t                  rc;
    ngx_http_upstream_t       *u;
    ngx_http_binarize_peer_t  *peer;

    peer = us->peer.data;
    u = r->upstream;

    if (peer->inner) {
        rc = peer->inner->peer.init(r, peer->inner);

    } else {
        rc = ngx_http_upstream_create_round_robin_peer(r, &peer->resolved);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    peer->u = u;
    peer->data = u->peer.data;
    peer->get = u->peer.get;
    peer->free = u->peer.free;
    peer->notify = u->peer.notify;

    u->peer.data = peer;
    u->peer.get = ngx_http_binarize_peer_get;
    u->peer.free = ngx_http_binarize_peer_free;

    if (peer->notify) {
        u->peer.notify = ngx_http_binarize_peer_notify;
    }

#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_http_binarize_peer_set_session;
    u->peer.save_session = ngx_http_binarize_peer_save_session;

    /* what is verified; conf->ssl_name, evaluated, if there is one */
    u->ssl_name = peer->name;
    us->host = peer->name;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_peer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_binarize_peer_t  *peer = data;

    ngx_int_t                  rc;
    ngx_uint_t                 again;
    ngx_connection_t          *c;
    ngx_http_binarize_kept_t  *idle;

    pc->cached = 0;
    pc->connection = NULL;

    again = (peer->try_again && peer->tries);

    if (again && peer->try_again(peer->try_data) != NGX_OK) {

        /* the caller asks for another turn; nothing is said of the peers */

        ngx_log_error(NGX_LOG_INFO, pc->log, 0,
                      "another try has to wait for its turn");

        peer->tries_left = pc->tries;
        return NGX_BUSY;
    }

    rc = peer->get(pc, peer->data);

    if (rc != NGX_OK && rc != NGX_DONE) {

        if (again) {
            peer->not_tried(peer->try_data);
        }

        return rc;
    }

    peer->tries++;

    if (rc == NGX_DONE) {

        if (peer->ssl == NULL && peer->reuse) {
            return NGX_DONE;
        }

        /* kept by the upstream{}: nobody knows for which name */

        ngx_http_binarize_idle_close(pc->connection);
        pc->connection = NULL;
        pc->cached = 0;
    }

    if (!peer->reuse) {
        return NGX_OK;
    }

    idle = ngx_http_binarize_kept_find(&peer->cloud->idle, peer, pc);

    if (idle == NULL) {
        return NGX_OK;
    }

    c = ngx_http_binarize_kept_remove(idle);

    c->idle = 0;
    c->sent = 0;
    c->data = NULL;
    c->log = pc->log;
    c->read->log = pc->log;
    c->write->log = pc->log;
    c->pool->log = pc->log;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    pc->connection = c;
    pc->cached = 1;

    return NGX_DONE;
}


static void
ngx_http_binarize_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_binarize_peer_t  *peer = data;

    /* a keepalive of the upstream{} must not keep what it cannot tell apart */

    if (ngx_http_binarize_peer_keep(peer, pc, state)) {
        pc->connection = NULL;
    }

    peer->u->keepalive = 0;

    peer->free(pc, peer->data, state);
}


static void
ngx_http_binarize_peer_notify(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_binarize_peer_t  *peer = data;

    peer->notify(pc, peer->data, type);
}


static ngx_uint_t
ngx_http_binarize_peer_keep(ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc, ngx_uint_t state)
{
    ngx_connection_t           *c;
    ngx_http_binarize_kept_t   *idle;
    ngx_http_binarize_cloud_t  *cloud;

    c = pc->connection;
    cloud = peer->cloud;

    if (!peer->reuse
        || !peer->u->keepalive
        || !peer->u->request_body_sent
        || (state & NGX_PEER_FAILED)
        || c == NULL
        || c->pool == NULL
        || c->read->eof
        || c->read->error
        || c->read->timedout
        || c->write->error
        || c->write->timedout
        || c->requests >= NGX_HTTP_BINARIZE_MAX_REQUESTS
        || ngx_current_msec - c->start_time > NGX_HTTP_BINARIZE_MAX_AGE
        || pc->socklen > (socklen_t) sizeof(ngx_sockaddr_t)
        || ngx_terminate
        || ngx_exiting
        || !ngx_http_binarize_idle_quiet(c))
    {
        return 0;
    }

    c->read->ready = 0;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return 0;
    }

    idle = ngx_http_binarize_kept_add(&cloud->idle, &cloud->nidle, peer, pc);
    if (idle == NULL) {
        return 0;
    }

    idle->data = c;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->delayed = 0;
    ngx_add_timer(c->read, NGX_HTTP_BINARIZE_IDLE_TIMEOUT);

    c->write->handler = ngx_http_binarize_idle_on_write;
    c->read->handler = ngx_http_binarize_idle_on_read;

    c->data = idle;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;

    if (cloud->nidle > NGX_HTTP_BINARIZE_MAX_IDLE) {
        ngx_http_binarize_idle_close(
                             ngx_http_binarize_kept_remove_last(&cloud->idle));
    }

    return 1;
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_binarize_peer_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_binarize_peer_t  *peer = data;

    ngx_http_binarize_kept_t  *kept;

    kept = ngx_http_binarize_kept_find(&peer->cloud->sessions, peer, pc);

    return kept ? ngx_ssl_set_session(pc->connection, kept->data) : NGX_OK;
}


static void
ngx_http_binarize_peer_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_binarize_peer_t  *peer = data;

    ngx_ssl_session_t          *session;
    ngx_http_binarize_kept_t   *kept;
    ngx_http_binarize_cloud_t  *cloud;

    cloud = peer->cloud;

    if (pc->socklen > (socklen_t) sizeof(ngx_sockaddr_t)) {
        return;
    }

    session = ngx_ssl_get_session(pc->connection);
    if (session == NULL) {
        return;
    }

    kept = ngx_http_binarize_kept_find(&cloud->sessions, peer, pc);

    if (kept) {
        ngx_ssl_free_session(kept->data);
        kept->data = session;
        return;
    }

    kept = ngx_http_binarize_kept_add(&cloud->sessions, &cloud->nsessions,
                                      peer, pc);
    if (kept == NULL) {
        ngx_ssl_free_session(session);
        return;
    }

    kept->data = session;

    if (cloud->nsessions > NGX_HTTP_BINARIZE_MAX_SESSIONS) {
        ngx_ssl_free_session(
                         ngx_http_binarize_kept_remove_last(&cloud->sessions));
    }
}

#endif


static ngx_http_binarize_kept_t *
ngx_http_binarize_kept_find(ngx_queue_t *queue, ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc)
{
    ngx_queue_t               *q;
    ngx_http_binarize_kept_t  *kept;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        kept = ngx_queue_data(q, ngx_http_binarize_kept_t, queue);

        if (kept->ssl == peer->ssl
            && ngx_http_binarize_str_equal(&kept->name, &peer->name)
            && ngx_memn2cmp((u_char *) &kept->sockaddr,
                            (u_char *) pc->sockaddr,
                            kept->socklen, pc->socklen)
               == 0)
        {
            return kept;
        }
    }

    return NULL;
}


/* the caller sets data; its address fits */

static ngx_http_binarize_kept_t *
ngx_http_binarize_kept_add(ngx_queue_t *queue, ngx_uint_t *count,
    ngx_http_binarize_peer_t *peer, ngx_peer_connection_t *pc)
{
    ngx_http_binarize_kept_t  *kept;

    kept = ngx_alloc(sizeof(*kept) + peer->name.len, pc->log);
    if (kept == NULL) {
        return NULL;
    }

    kept->name.len = peer->name.len;
    kept->name.data = (u_char *) (kept + 1);
    ngx_memcpy(kept->name.data, peer->name.data, peer->name.len);

    kept->ssl = peer->ssl;
    kept->socklen = pc->socklen;
    ngx_memcpy(&kept->sockaddr, pc->sockaddr, pc->socklen);

    ngx_queue_insert_head(queue, &kept->queue);
    kept->count = count;
    (*count)++;

    return kept;
}


static void *
ngx_http_binarize_kept_remove(ngx_http_binarize_kept_t *kept)
{
    void  *data;

    data = kept->data;

    ngx_queue_remove(&kept->queue);
    (*kept->count)--;

    ngx_free(kept);

    return data;
}


static void *
ngx_http_binarize_kept_remove_last(ngx_queue_t *queue)
{
    return ngx_http_binarize_kept_remove(
                             ngx_queue_data(ngx_queue_last(queue),
                                            ngx_http_binarize_kept_t, queue));
}


/*
 * Nothing has come that nobody has asked for, neither to the socket nor, of a
 * TLS record that was read whole, further: it would be taken for the answer
 * to the next request.
 */

static ngx_uint_t
ngx_http_binarize_idle_quiet(ngx_connection_t *c)
{
    char  buf[1];

#if (NGX_HTTP_SSL)

    if (c->ssl && SSL_has_pending(c->ssl->connection)) {
        return 0;
    }

#endif

    return recv(c->fd, buf, 1, MSG_PEEK) == -1
           && ngx_socket_errno == NGX_EAGAIN;
}


static void
ngx_http_binarize_idle_on_write(ngx_event_t *ev)
{
    /* an idle connection has nothing to write */
}


/* the server closed, spoke out of turn, or nobody needed it for too long */

static void
ngx_http_binarize_idle_on_read(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (!c->close && !ev->timedout && ngx_http_binarize_idle_quiet(c)) {
        ev->ready = 0;

        if (ngx_handle_read_event(ev, 0) == NGX_OK) {
            return;
        }
    }

    ngx_http_binarize_idle_close(ngx_http_binarize_kept_remove(c->data));
}


static void
ngx_http_binarize_idle_close(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->ssl->handler = ngx_http_binarize_idle_close;
            return;
        }
    }

#endif

    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}


void
ngx_http_binarize_peer_exit_process(ngx_http_binarize_cloud_t *cloud)
{
    while (!ngx_queue_empty(&cloud->idle)) {
        ngx_http_binarize_idle_close(
                             ngx_http_binarize_kept_remove_last(&cloud->idle));
    }

#if (NGX_HTTP_SSL)

    while (!ngx_queue_empty(&cloud->sessions)) {
        ngx_ssl_free_session(
                         ngx_http_binarize_kept_remove_last(&cloud->sessions));
    }

#endif
}
