
#include "redis/adapter_private.h"


static void ngx_http_binarize_redis_adapter_on_write(ngx_event_t *wev);
static void ngx_http_binarize_redis_adapter_on_connect(
    ngx_http_binarize_redis_adapter_t *adapter);
#if (NGX_SSL)
static void ngx_http_binarize_redis_adapter_tls_start(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_handshake(ngx_connection_t *c);
#endif
static void ngx_http_binarize_redis_adapter_connected(
    ngx_http_binarize_redis_adapter_t *adapter);
static void ngx_http_binarize_redis_adapter_on_cleanup(void *data);


ngx_http_binarize_redis_adapter_t *
ngx_http_binarize_redis_adapter_connect(
    ngx_http_binarize_redis_address_t *address,
    ngx_http_binarize_redis_tls_t *tls,
    const ngx_http_binarize_redis_events_t *events, void *data,
    ngx_http_binarize_redis_stats_t *stats, ngx_log_t *log,
    const char **reason)
{
    ngx_connection_t                   *c;
    redisAsyncContext                  *context;
    ngx_http_binarize_redis_adapter_t  *adapter;

    static char                         error[160];

    *reason = "no memory";

    context = address->host ? redisAsyncConnect(address->host, address->port)
                            : redisAsyncConnectUnix(address->path);
    if (context == NULL) {
        return NULL;
    }

    if (context->err) {
        (void) ngx_snprintf((u_char *) error, sizeof(error) - 1,
                            "connect() failed (%s)%Z", context->errstr);
        *reason = error;
        redisAsyncFree(context);
        return NULL;
    }

    adapter = ngx_calloc(sizeof(ngx_http_binarize_redis_adapter_t), log);
    if (adapter == NULL) {
        redisAsyncFree(context);
        return NULL;
    }

    /* logs why it has none */

    c = ngx_get_connection(context->c.fd, log);
    if (c == NULL) {
        *reason = "no free connection";
        redisAsyncFree(context);
        ngx_free(adapter);
        return NULL;
    }

    /* from here on hiredis' cleanup hook frees all */

    adapter->context = context;
    adapter->connection = c;
    adapter->log = log;
    adapter->events = events;
    adapter->data = data;
    adapter->stats = stats;
    adapter->tls = tls;
    adapter->seen = ngx_current_msec;

    adapter->flush.handler = ngx_http_binarize_redis_adapter_on_flush;
    adapter->flush.data = adapter;
    adapter->flush.log = log;

    ngx_http_binarize_redis_adapter_read_init(adapter);

    context->ev.data = adapter;
    context->ev.cleanup = ngx_http_binarize_redis_adapter_on_cleanup;

    c->data = adapter;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->log_error = NGX_ERROR_INFO;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;
    c->read->handler = ngx_http_binarize_redis_adapter_on_read;
    c->write->handler = ngx_http_binarize_redis_adapter_on_write;

    if (address->host == NULL) {
        c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
        c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK
        || ngx_handle_write_event(c->write, 0) != NGX_OK)
    {
        *reason = "cannot add an event";
        adapter->closed = 1;
        redisAsyncFree(context);
        return NULL;
    }

    return adapter;
}


static void
ngx_http_binarize_redis_adapter_on_write(ngx_event_t *wev)
{
    ngx_connection_t                   *c;
    ngx_http_binarize_redis_adapter_t  *adapter;

    c = wev->data;
    adapter = c->data;

    adapter->depth++;

    if (!adapter->connected) {
        ngx_http_binarize_redis_adapter_on_connect(adapter);

    } else {

        if (adapter->blocked) {

            /* the server has taken what filled the socket */

            adapter->blocked = 0;
            adapter->seen = ngx_current_msec;
        }

        ngx_http_binarize_redis_adapter_flush(adapter);
    }

    ngx_http_binarize_redis_adapter_leave(adapter);
}


static void
ngx_http_binarize_redis_adapter_on_connect(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    int                err;
    u_char             text[NGX_MAX_ERROR_STR / 16];
    socklen_t          size;
    ngx_connection_t  *c;

    c = adapter->connection;

    err = 0;
    size = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        *ngx_strerror(err, text, sizeof(text) - 1) = '\0';

        (void) ngx_snprintf((u_char *) adapter->reason,
                            sizeof(adapter->reason) - 1,
                            "connect() failed (%s)%Z", text);
        adapter->closing = 1;
        return;
    }

    /* lets hiredis see that it is connected: it has nothing to write */

    redisAsyncHandleWrite(adapter->context);

    if (adapter->dead || !(adapter->context->c.flags & REDIS_CONNECTED)) {
        return;
    }

    adapter->seen = ngx_current_msec;

#if (NGX_SSL)
    if (adapter->tls) {
        ngx_http_binarize_redis_adapter_tls_start(adapter);
        return;
    }
#endif

    ngx_http_binarize_redis_adapter_connected(adapter);
}


#if (NGX_SSL)

static void
ngx_http_binarize_redis_adapter_tls_start(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = adapter->connection;

    if (c->ssl) {
        return;
    }

    rc = ngx_http_binarize_redis_tls_handshake(adapter->tls, c);

    if (c->ssl == NULL) {
        ngx_http_binarize_redis_adapter_fail(adapter, "TLS: no memory");
        return;
    }

    c->ssl->handler = ngx_http_binarize_redis_adapter_on_handshake;

    if (rc != NGX_AGAIN) {
        ngx_http_binarize_redis_adapter_on_handshake(c);
    }
}


static void
ngx_http_binarize_redis_adapter_on_handshake(ngx_connection_t *c)
{
    u_char                              reason[128];
    const char                         *error;
    ngx_http_binarize_redis_adapter_t  *adapter;

    adapter = c->data;

    adapter->depth++;

    if (!c->ssl->handshaked) {
        ngx_http_binarize_redis_adapter_fail(adapter, "TLS handshake failed");
        goto done;
    }

    error = ngx_http_binarize_redis_tls_verify(c);

    if (error) {
        (void) ngx_snprintf(reason, sizeof(reason), "TLS certificate: %s%Z",
                            error);
        reason[sizeof(reason) - 1] = '\0';
        ngx_http_binarize_redis_adapter_fail(adapter, (char *) reason);
        goto done;
    }

    c->read->handler = ngx_http_binarize_redis_adapter_on_read;
    c->write->handler = ngx_http_binarize_redis_adapter_on_write;

    ngx_http_binarize_redis_adapter_connected(adapter);

    /* what came along with the end of the handshake raises no event */

    ngx_post_event(c->read, &ngx_posted_events);

done:

    ngx_http_binarize_redis_adapter_leave(adapter);
}

#endif


static void
ngx_http_binarize_redis_adapter_connected(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    adapter->connected = 1;
    adapter->seen = ngx_current_msec;

    adapter->events->connected(adapter->data);

    if (!adapter->closing) {
        ngx_http_binarize_redis_adapter_flush(adapter);
    }
}


ngx_msec_t
ngx_http_binarize_redis_adapter_seen(ngx_http_binarize_redis_adapter_t *adapter)
{
    return adapter->seen;
}


void
ngx_http_binarize_redis_adapter_close(
    ngx_http_binarize_redis_adapter_t *adapter, const char *reason)
{
    if (adapter->closing || adapter->closed) {
        return;
    }

    ngx_http_binarize_redis_adapter_fail(adapter, reason);

    adapter->depth++;
    ngx_http_binarize_redis_adapter_leave(adapter);
}


/* the first reason counts */

void
ngx_http_binarize_redis_adapter_fail(ngx_http_binarize_redis_adapter_t *adapter,
    const char *reason)
{
    if (adapter->closing) {
        return;
    }

    adapter->closing = 1;
    ngx_cpystrn((u_char *) adapter->reason, (u_char *) reason,
                sizeof(adapter->reason));
}


/* the end of everything that may have made the connection unusable */

void
ngx_http_binarize_redis_adapter_leave(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    if (--adapter->depth) {
        return;
    }

    if (adapter->closing && !adapter->dead) {

        adapter->depth++;

        ngx_http_binarize_redis_adapter_notify(adapter);
        redisAsyncFree(adapter->context);

        adapter->depth--;
    }

    if (adapter->dead) {
        ngx_free(adapter);
    }
}


void
ngx_http_binarize_redis_adapter_notify(
    ngx_http_binarize_redis_adapter_t *adapter)
{
    if (adapter->closed) {
        return;
    }

    adapter->closed = 1;

    if (adapter->reason[0] == '\0') {
        ngx_cpystrn((u_char *) adapter->reason,
                    (u_char *) (adapter->context->c.errstr[0]
                                ? adapter->context->c.errstr
                                : "internal error"),
                    sizeof(adapter->reason));
    }

    adapter->events->closed(adapter->data, adapter->reason);
}


/* hiredis frees its context after this; all callbacks were called */

static void
ngx_http_binarize_redis_adapter_on_cleanup(void *data)
{
    ngx_http_binarize_redis_adapter_t *adapter = data;

    ngx_connection_t  *c;

    ngx_http_binarize_redis_adapter_notify(adapter);

    c = adapter->connection;

    adapter->context->c.fd = -1;
    adapter->context->c.reader->fn = adapter->hiredis_functions;

    if (adapter->flush.posted) {
        ngx_delete_posted_event(&adapter->flush);
    }

#if (NGX_SSL)
    if (adapter->tls) {
        ngx_http_binarize_redis_tls_free(c);
    }
#endif

    ngx_close_connection(c);

    ngx_http_binarize_redis_output_free(&adapter->output);

    ngx_http_binarize_redis_frame_done(&adapter->frame);

    adapter->dead = 1;

    if (adapter->depth == 0) {
        ngx_free(adapter);
    }
}
