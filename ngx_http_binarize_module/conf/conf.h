
#ifndef _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_


#include "answer/answer.h"
#include "cloud/ssl.h"
#include "redis/redis.h"
#include "status/status.h"
#include "token/conf.h"


/*
 * A location.  What requests go by comes first, as inherited and, where a
 * room's conf says so, resolved from that: each room gets its own conf, which
 * begins with that of the floor below.
 */
typedef struct {
    ngx_http_binarize_answer_conf_t  answer;

    ngx_uint_t                       status;   /* .._status_e, the page */

    /*
     * As written, and inherited so: not for requests, but for what conf.c,
     * check.c and budget.c resolve it to.
     */
    ngx_http_binarize_token_conf_t   token;
    ngx_http_binarize_budget_conf_t *budget_conf;  /* NULL: off */
#if (NGX_HTTP_SSL)
    ngx_http_binarize_ssl_conf_t     ssl;
#endif
} ngx_http_binarize_loc_conf_t;


/* commands.c: the directives; their setters are in the rooms' conf.c */
extern ngx_command_t  ngx_http_binarize_commands[];

/* conf.c: creation and inheritance, room by room */
void *ngx_http_binarize_create_main_conf(ngx_conf_t *cf);
void *ngx_http_binarize_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_binarize_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* location.c: whether a location is a gateway, a status page, or neither */
char *ngx_http_binarize_pass_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_page_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_binarize_location_merge(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *prev, ngx_http_binarize_loc_conf_t *conf);

/*
 * check.c: what can be said only when all is read: zones, token sources,
 * targets, and gateways that would mix up each other's results.  Logs one
 * line that names the directive where something is wrong.
 */
ngx_int_t ngx_http_binarize_check_conf(ngx_conf_t *cf);

/*
 * budget.c: finds or creates the budget of each gateway, when zones and tokens
 * are known.  Logs why it fails in one line.
 */
ngx_int_t ngx_http_binarize_check_budgets(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_ */
