
#ifndef _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_


#include "ngx_http_binarize.h"
#include "budget/budget.h"
#include "redis/redis.h"
#include "token/token.h"
#include "zone/zone.h"


/* commands.c: the directives */
extern ngx_command_t  ngx_http_binarize_commands[];

/* conf.c: creation and inheritance */
void *ngx_http_binarize_create_main_conf(ngx_conf_t *cf);
void *ngx_http_binarize_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_binarize_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/*
 * check.c: what can be said only when all is read: zones, token sources,
 * targets, and gateways that would mix up each other's results.  Logs one
 * line that names the directive where something is wrong.
 */
ngx_int_t ngx_http_binarize_check_conf(ngx_conf_t *cf);

/*
 * cloud/target.c: parses "http(s)://host[:port]/path".  Logs, naming the
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


#endif /* _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_ */
