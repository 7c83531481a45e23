
#include "cloud/peer.h"


/* per worker; as many as there are calls in the air at quiet times */
#define NGX_HTTP_BINARIZE_MAX_IDLE       32

#define NGX_HTTP_BINARIZE_IDLE_TIMEOUT   60000     /* ms */
#define NGX_HTTP_BINARIZE_MAX_REQUESTS   1000      /* as keepalive_requests */
#define NGX_HTTP_BINARIZE_MAX_AGE        3600000   /* ms, as keepalive_time */

/* per worker */
#define NGX_HTTP_BINARIZE_MAX_SESSIONS   64


typedef struct {
    ngx_queue_t        queue;
    ngx_connection_t  *connection;
    ngx_str_t          name;
    void              *ssl;
    socklen_t          socklen;
    ngx_sockaddr_t     sockaddr;

    ngx_http_binarize_cloud_t  *cloud;
} ngx_http_binarize_idle_t;


#if (NGX_HTTP_SSL)

typedef struct {
    ngx_queue_t        queue;
    ngx_ssl_session_t *session;
    ngx_str_t          name;
    void              *ssl;
    socklen_t          socklen;
    ngx_sockaddr_t     sockaddr;
} ngx_http_binarize_session_t;

#endif


static ngx_int_t ngx_http_binarize_peer_init_request(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_binarize_peer_get(ngx_peer_connection_t *pc,
    void *data);
static ngx_http_binarize_idle_t *ngx_http_binarize_peer_find_idle(
    ngx_http_binarize_peer_t *peer, ngx_peer_connection_t *pc);
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
static ngx_http_binarize_session_t *ngx_http_binarize_peer_find_session(
    ngx_http_binarize_peer_t *peer, ngx_peer_connection_t *pc);
static void ngx_http_binarize_session_free(
    ngx_http_binarize_cloud_t *cloud, ngx_http_binarize_session_t *session);
#endif
static ngx_uint_t ngx_http_binarize_idle_quiet(ngx_connection_t *c);
static void ngx_http_binarize_idle_on_write(ngx_event_t *ev);
static void ngx_http_binarize_idle_on_read(ngx_event_t *ev);
static ngx_connection_t *ngx_http_binarize_idle_remove(
    ngx_http_binarize_idle_t *idle);
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
    ngx_http_binarize_idle_t  *idle;

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

    idle = ngx_http_binarize_peer_find_idle(peer, pc);

    if (idle == NULL) {
        return NGX_OK;
    }

    c = ngx_http_binarize_idle_remove(idle);

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


static ngx_http_binarize_idle_t *
ngx_http_binarize_peer_find_idle(ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc)
{
    ngx_queue_t               *q, *queue;
    ngx_http_binarize_idle_t  *idle;

    queue = &peer->cloud->idle;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        idle = ngx_queue_data(q, ngx_http_binarize_idle_t, queue);

        if (idle->ssl == peer->ssl
            && ngx_http_binarize_str_equal(&idle->name, &peer->name)
            && ngx_memn2cmp((u_char *) &idle->sockaddr,
                            (u_char *) pc->sockaddr,
                            idle->socklen, pc->socklen)
               == 0)
        {
            return idle;
        }
    }

    return NULL;
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
    ngx_connection_t          *c;
    ngx_http_binarize_idle_t  *idle;

    c = pc->connection;

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

    idle = ngx_alloc(sizeof(*idle) + peer->name.len, c->log);
    if (idle == NULL) {
        return 0;
    }

    idle->name.len = peer->name.len;
    idle->name.data = (u_char *) (idle + 1);
    ngx_memcpy(idle->name.data, peer->name.data, peer->name.len);

    idle->ssl = peer->ssl;
    idle->socklen = pc->socklen;
    ngx_memcpy(&idle->sockaddr, pc->sockaddr, pc->socklen);
    idle->connection = c;
    idle->cloud = peer->cloud;

    ngx_queue_insert_head(&peer->cloud->idle, &idle->queue);
    peer->cloud->nidle++;

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

    if (peer->cloud->nidle > NGX_HTTP_BINARIZE_MAX_IDLE) {
        idle = ngx_queue_data(ngx_queue_last(&peer->cloud->idle),
                              ngx_http_binarize_idle_t, queue);
        ngx_http_binarize_idle_close(ngx_http_binarize_idle_remove(idle));
    }

    return 1;
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_binarize_peer_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_binarize_peer_t  *peer = data;

    ngx_http_binarize_session_t  *session;

    session = ngx_http_binarize_peer_find_session(peer, pc);

    return session ? ngx_ssl_set_session(pc->connection, session->session)
                   : NGX_OK;
}


static void
ngx_http_binarize_peer_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_binarize_peer_t  *peer = data;

    ngx_queue_t                    *q;
    ngx_ssl_session_t              *ssl_session;
    ngx_http_binarize_session_t    *session;
    ngx_http_binarize_cloud_t  *cloud;

    cloud = peer->cloud;

    if (pc->socklen > (socklen_t) sizeof(ngx_sockaddr_t)) {
        return;
    }

    ssl_session = ngx_ssl_get_session(pc->connection);
    if (ssl_session == NULL) {
        return;
    }

    session = ngx_http_binarize_peer_find_session(peer, pc);

    if (session) {
        ngx_ssl_free_session(session->session);
        session->session = ssl_session;
        return;
    }

    session = ngx_alloc(sizeof(*session) + peer->name.len, pc->log);
    if (session == NULL) {
        ngx_ssl_free_session(ssl_session);
        return;
    }

    session->session = ssl_session;
    session->name.len = peer->name.len;
    session->name.data = (u_char *) (session + 1);
    ngx_memcpy(session->name.data, peer->name.data, peer->name.len);

    session->ssl = peer->ssl;
    session->socklen = pc->socklen;
    ngx_memcpy(&session->sockaddr, pc->sockaddr, pc->socklen);

    ngx_queue_insert_head(&cloud->sessions, &session->queue);
    cloud->nsessions++;

    if (cloud->nsessions > NGX_HTTP_BINARIZE_MAX_SESSIONS) {
        q = ngx_queue_last(&cloud->sessions);
        ngx_http_binarize_session_free(cloud,
                         ngx_queue_data(q, ngx_http_binarize_session_t, queue));
    }
}


static ngx_http_binarize_session_t *
ngx_http_binarize_peer_find_session(ngx_http_binarize_peer_t *peer,
    ngx_peer_connection_t *pc)
{
    ngx_queue_t                  *q, *queue;
    ngx_http_binarize_session_t  *session;

    queue = &peer->cloud->sessions;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        session = ngx_queue_data(q, ngx_http_binarize_session_t, queue);

        if (session->ssl == peer->ssl
            && ngx_http_binarize_str_equal(&session->name, &peer->name)
            && ngx_memn2cmp((u_char *) &session->sockaddr,
                            (u_char *) pc->sockaddr,
                            session->socklen, pc->socklen)
               == 0)
        {
            return session;
        }
    }

    return NULL;
}


static void
ngx_http_binarize_session_free(ngx_http_binarize_cloud_t *cloud,
    ngx_http_binarize_session_t *session)
{
    ngx_queue_remove(&session->queue);
    cloud->nsessions--;

    ngx_ssl_free_session(session->session);
    ngx_free(session);
}

#endif


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

    ngx_http_binarize_idle_close(ngx_http_binarize_idle_remove(c->data));
}


static ngx_connection_t *
ngx_http_binarize_idle_remove(ngx_http_binarize_idle_t *idle)
{
    ngx_connection_t  *c;

    c = idle->connection;

    ngx_queue_remove(&idle->queue);
    idle->cloud->nidle--;

    ngx_free(idle);

    return c;
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
    ngx_queue_t               *q;
    ngx_http_binarize_idle_t  *idle;

    while (!ngx_queue_empty(&cloud->idle)) {
        q = ngx_queue_head(&cloud->idle);
        idle = ngx_queue_data(q, ngx_http_binarize_idle_t, queue);

        ngx_http_binarize_idle_close(ngx_http_binarize_idle_remove(idle));
    }

#if (NGX_HTTP_SSL)

    while (!ngx_queue_empty(&cloud->sessions)) {
        q = ngx_queue_head(&cloud->sessions);

        ngx_http_binarize_session_free(cloud,
                         ngx_queue_data(q, ngx_http_binarize_session_t, queue));
    }

#endif
}
