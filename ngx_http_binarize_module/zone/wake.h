
/*
 * Wake-ups among the workers of a master process: a worker that has published
 * something writes to the eventfd of the slots that wait for it.
 */


#ifndef _NGX_HTTP_BINARIZE_WAKE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_WAKE_H_INCLUDED_


#include "ngx_http_binarize.h"


/*
 * In the master, when a configuration is put into use: opens the eventfds
 * that its workers will have.  They are closed when the last configuration
 * that used them is gone.  Without them workers look by timer.
 */
void ngx_http_binarize_wake_init_module(ngx_cycle_t *cycle);

/*
 * handler(data) is called when this worker was woken; stopped(data) when
 * worker_shutdown_timeout has passed, after nginx has closed the clients'
 * connections.
 */
ngx_int_t ngx_http_binarize_wake_init_process(ngx_cycle_t *cycle,
    void (*handler)(void *data), void (*stopped)(void *data), void *data);
void ngx_http_binarize_wake_exit_process(void);

/* worker processes there may be at once: those of a reload overlap */
ngx_uint_t ngx_http_binarize_wake_nprocesses(ngx_cycle_t *cycle);

/* slots that can be woken: those below */
ngx_uint_t ngx_http_binarize_wake_nslots(void);

/* the worker in that slot, if it can be woken */
void ngx_http_binarize_wake_slot(ngx_uint_t slot);


#endif /* _NGX_HTTP_BINARIZE_WAKE_H_INCLUDED_ */
