
#ifndef _NGX_HTTP_BINARIZE_PEER_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_PEER_H_INCLUDED_


#include "cloud/conf.h"


/*
 * The peers of one call: those of an upstream{}, of an upstream of our own,
 * or addresses just resolved; around them a pool of idle connections that is
 * shared only between calls that agree in address, TLS settings and verified
 * name.  (nginx's own keepalive looks at the address alone: on a shared
 * upstream{} a connection verified for one name would serve another.)  The
 * same goes for TLS sessions: one that is resumed is not verified again.
 */
typedef struct {
    ngx_http_upstream_srv_conf_t      upstream;   /* u->conf->upstream */
    ngx_http_upstream_srv_conf_t     *inner;      /* or NULL: resolved */
    ngx_http_upstream_resolved_t      resolved;

    ngx_http_binarize_cloud_t        *cloud;
    ngx_http_upstream_t              *u;
    ngx_str_t                         name;       /* verified, of TLS */
    void                             *ssl;        /* ngx_ssl_t, or NULL */
    ngx_int_t                       (*try_again)(void *data); /* see call.h */
    void                            (*not_tried)(void *data);
    void                             *try_data;
    ngx_uint_t                        tries;      /* connections asked for */
    ngx_uint_t                        tries_left; /* when one was denied */
    unsigned                          reuse:1;    /* idle ones may be taken */

    ngx_event_get_peer_pt             get;
    ngx_event_free_peer_pt            free;
    ngx_event_notify_peer_pt          notify;
    void                             *data;
} ngx_http_binarize_peer_t;


/* peer is filled but for upstream; the latter is made ready for u->conf */
void ngx_http_binarize_peer_init(ngx_http_binarize_peer_t *peer);

/* closes the worker's idle connections, frees its TLS sessions */
void ngx_http_binarize_peer_exit_process(ngx_http_binarize_cloud_t *cloud);


#endif /* _NGX_HTTP_BINARIZE_PEER_H_INCLUDED_ */
