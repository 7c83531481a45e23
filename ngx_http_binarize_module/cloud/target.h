
#ifndef _NGX_HTTP_BINARIZE_TARGET_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_TARGET_H_INCLUDED_


#include "ngx_http_binarize.h"


/* an http(s) server the module calls */
typedef struct {
    ngx_str_t                      url;        /* as configured */
    ngx_str_t                      authority;  /* host[:port] of the URL */
    ngx_str_t                      host;       /* for the resolver and SNI */
    ngx_str_t                      uri;        /* path, at least "/" */
    in_port_t                      port;

    ngx_addr_t                    *addrs;      /* known when it was read */
    ngx_uint_t                     naddrs;

    /* an upstream{} or one of our own; NULL: resolved at run time */
    ngx_http_upstream_srv_conf_t  *upstream;

    unsigned                       no_port:1;  /* in the URL */
    unsigned                       ssl:1;
} ngx_http_binarize_target_t;


/*
 * Parses "http(s)://host[:port]/path".  Logs, naming the
 * directive, and returns NULL if it is not one.
 */
ngx_http_binarize_target_t *ngx_http_binarize_target_parse(ngx_conf_t *cf,
    const char *directive, ngx_str_t *url);

/*
 * Finds the target's servers: an upstream{}, or its addresses, or, where the
 * location has a resolver, none: they are looked up for each call.
 */
ngx_int_t ngx_http_binarize_target_resolve(ngx_conf_t *cf,
    const char *directive, ngx_http_binarize_target_t *target,
    ngx_resolver_t *resolver);


#endif /* _NGX_HTTP_BINARIZE_TARGET_H_INCLUDED_ */
