
#include "zone/wake.h"

#include <sys/eventfd.h>


/* of the process that a worker is */
typedef struct {
    ngx_connection_t  *connection;
    ngx_event_t        stop;
    void             (*handler)(void *data);
    void             (*stopped)(void *data);
    void              *data;
} ngx_http_binarize_wake_t;


static void ngx_http_binarize_wake_open(ngx_cycle_t *cycle);
static void ngx_http_binarize_wake_on_cycle_end(void *data);
static void ngx_http_binarize_wake_on_read(ngx_event_t *ev);
static void ngx_http_binarize_wake_on_stop(ngx_event_t *ev);


/*
 * Of the master process, and by inheritance of its workers: the same numbers
 * in all of them, for as long as it lives.  None is added later: an older
 * worker would not have it, and the number might be a client's socket there.
 */
static int                       ngx_http_binarize_wake_fds[NGX_MAX_PROCESSES];
static ngx_uint_t                ngx_http_binarize_wake_nfds;
static ngx_uint_t                ngx_http_binarize_wake_ncycles;

static ngx_http_binarize_wake_t  ngx_http_binarize_wake;


void
ngx_http_binarize_wake_init_module(ngx_cycle_t *cycle)
{
    ngx_pool_cleanup_t  *cln;

    if (ngx_test_config) {
        return;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return;
    }

    cln->handler = ngx_http_binarize_wake_on_cycle_end;

    if (ngx_http_binarize_wake_ncycles++ == 0) {
        ngx_http_binarize_wake_open(cycle);

    } else if (ngx_http_binarize_wake_nprocesses(cycle)
               > ngx_http_binarize_wake_nfds)
    {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "binarize: more worker processes than nginx was started "
                      "with; until it is started anew some of them look by "
                      "timer for what others have fetched");
    }
}


/* some slots are not workers' */

ngx_uint_t
ngx_http_binarize_wake_nprocesses(ngx_cycle_t *cycle)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    return ngx_min(ngx_max(ccf->worker_processes, 1) * 3 + 16,
                   NGX_MAX_PROCESSES);
}


static void
ngx_http_binarize_wake_open(ngx_cycle_t *cycle)
{
    int         fd;
    ngx_uint_t  i, n;

    n = ngx_http_binarize_wake_nprocesses(cycle);

    for (i = 0; i < n; i++) {
        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "eventfd() failed, workers wake each other less");
            return;
        }

        ngx_http_binarize_wake_fds[i] = fd;
        ngx_http_binarize_wake_nfds = i + 1;
    }
}


static void
ngx_http_binarize_wake_on_cycle_end(void *data)
{
    if (--ngx_http_binarize_wake_ncycles) {
        return;
    }

    while (ngx_http_binarize_wake_nfds) {
        (void) close(ngx_http_binarize_wake_fds[--ngx_http_binarize_wake_nfds]);
    }
}


/*
 * A worker in a slot without an eventfd has one of its own: nobody writes to
 * it, but nginx tells its connection, too, when time is over.
 */

ngx_int_t
ngx_http_binarize_wake_init_process(ngx_cycle_t *cycle,
    void (*handler)(void *data), void (*stopped)(void *data), void *data)
{
    int                        fd;
    ngx_connection_t          *c;
    ngx_http_binarize_wake_t  *wake;

    wake = &ngx_http_binarize_wake;

    wake->handler = handler;
    wake->stopped = stopped;
    wake->data = data;

    wake->stop.handler = ngx_http_binarize_wake_on_stop;
    wake->stop.data = wake;
    wake->stop.log = cycle->log;

    if ((ngx_uint_t) ngx_process_slot < ngx_http_binarize_wake_nfds) {
        fd = ngx_http_binarize_wake_fds[ngx_process_slot];

    } else {
        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = wake;
    c->read->handler = ngx_http_binarize_wake_on_read;
    c->read->log = cycle->log;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT)
                      ? NGX_CLEAR_EVENT : NGX_LEVEL_EVENT)
        != NGX_OK)
    {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    wake->connection = c;

    return NGX_OK;
}


void
ngx_http_binarize_wake_exit_process(void)
{
    ngx_connection_t  *c;

    c = ngx_http_binarize_wake.connection;

    if (c == NULL) {
        return;
    }

    ngx_del_event(c->read, NGX_READ_EVENT, NGX_CLOSE_EVENT);
    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    ngx_http_binarize_wake.connection = NULL;
}


static void
ngx_http_binarize_wake_on_read(ngx_event_t *ev)
{
    uint64_t                   n;
    ngx_connection_t          *c;
    ngx_http_binarize_wake_t  *wake;

    c = ev->data;
    wake = c->data;

    if (c->close) {
        /* by ngx_shutdown_timer_handler(), which has others to tell */
        c->close = 0;
        ngx_post_event(&wake->stop, &ngx_posted_events);
    }

    if (read(c->fd, &n, sizeof(n)) == -1) {

        if (ngx_errno != NGX_EAGAIN) {
            ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                          "read() from eventfd failed");
        }

        return;
    }

    wake->handler(wake->data);
}


static void
ngx_http_binarize_wake_on_stop(ngx_event_t *ev)
{
    ngx_http_binarize_wake_t  *wake;

    wake = ev->data;

    wake->stopped(wake->data);
}


ngx_uint_t
ngx_http_binarize_wake_nslots(void)
{
    return ngx_http_binarize_wake_nfds;
}


void
ngx_http_binarize_wake_slot(ngx_uint_t slot)
{
    uint64_t  one;

    one = 1;

    if (write(ngx_http_binarize_wake_fds[slot], &one, sizeof(one)) == -1
        && ngx_errno != NGX_EAGAIN)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "write() to eventfd of slot %ui failed", slot);
    }
}
