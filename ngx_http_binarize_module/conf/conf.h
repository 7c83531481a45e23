
#ifndef _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_


#include "answer/answer.h"
#include "redis/redis.h"
#include "status/status.h"


/*
 * A location.  What rooms below see of it comes first: each of them gets its
 * own conf, which begins with that of the floor below.
 */
typedef struct {
    ngx_http_binarize_answer_conf_t  answer;

    ngx_uint_t                       status;   /* .._status_e, the page */

    /* as written; what they come to is found in check.c, budget.c */
    ngx_str_t                        zone_name;

    ngx_uint_t                       token_source;  /* unset: inherited */
    ngx_str_t                        client_id;
    ngx_str_t                        client_secret;
    ngx_http_binarize_target_t      *token_target;  /* NULL: pass' host */
    ngx_str_t                        bearer_file;

    ngx_http_binarize_budget_conf_t *budget_conf;   /* NULL: off */
} ngx_http_binarize_loc_conf_t;


/* commands.c: the directives */
extern ngx_command_t  ngx_http_binarize_commands[];

/* conf.c: the page of a location; creation and inheritance */
ngx_int_t ngx_http_binarize_status_location(ngx_http_request_t *r);
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
 * budget.c: finds or creates the budget of each gateway, when zones and tokens
 * are known.  Logs why it fails in one line.
 */
ngx_int_t ngx_http_binarize_check_budgets(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BINARIZE_CONF_H_INCLUDED_ */
