
/* what a location's flights go by */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_CONF_H_INCLUDED_


#include "budget/budget.h"
#include "cloud/conf.h"
#include "l2/l2.h"
#include "token/token.h"
#include "zone/zone.h"


/* of all locations together */
typedef struct {
    ngx_array_t                    zones;      /* ngx_shm_zone_t *, named */
    ngx_array_t                    gateways;   /* .._flight_conf_t *, which
                                                  begin their location's */
    ngx_array_t                    redises;    /* ngx_http_binarize_redis_t * */
    ngx_array_t                    tokens;     /* ngx_http_binarize_token_t * */

    ngx_http_binarize_cloud_t      cloud;

    ngx_queue_t                    remote;     /* this worker's flights that
                                                  wait for another node */
} ngx_http_binarize_main_conf_t;


typedef struct {
    ngx_str_t                      name;
    ngx_http_complex_value_t       value;
} ngx_http_binarize_header_t;


typedef struct {
    ngx_http_binarize_cloud_conf_t cloud;

    /* inherited */
    ngx_str_t                      zone_name;  /* or empty */
    ngx_flag_t                     l1;
    ngx_http_binarize_redis_t     *redis;      /* or NULL */
    ngx_array_t                   *headers;    /* of .._header_t, or NULL */

    time_t                         valid_s;
    ngx_msec_t                     negative_ms;
    ngx_msec_t                     negative_max_ms;
    ngx_msec_t                     poll_ms;
    ngx_msec_t                     poll_max_ms;

    /* resolved, of a gateway */
    ngx_http_binarize_main_conf_t *main;
    ngx_str_t                      ns;         /* the key's namespace */
    ngx_uint_t                     ns_index;   /* of its counters */
    u_char                         ns_digest[16];
    ngx_shm_zone_t                *zone;
    ngx_http_binarize_token_t     *token;
    ngx_http_binarize_budget_t    *budget;     /* NULL: no limits */
} ngx_http_binarize_flight_conf_t;


ngx_int_t ngx_http_binarize_main_conf_init(ngx_conf_t *cf,
    ngx_http_binarize_main_conf_t *conf);

void ngx_http_binarize_flight_conf_init(ngx_http_binarize_flight_conf_t *conf);

/* all but the part that is the cloud's */
void ngx_http_binarize_flight_conf_merge(ngx_http_binarize_flight_conf_t *prev,
    ngx_http_binarize_flight_conf_t *conf);

/* the namespace of binarize_pass' target; logs one line if it has none */
ngx_int_t ngx_http_binarize_flight_conf_ns(ngx_conf_t *cf,
    ngx_http_binarize_flight_conf_t *conf);

/* a directive, with main_conf_t as conf */
char *ngx_http_binarize_zone_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* directives, with flight_conf_t as conf; and what another one goes by */
char *ngx_http_binarize_cache_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_negative_valid_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_poll_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_flight_redis_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_binarize_header_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_conf_post_t  ngx_http_binarize_valid_post;


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_CONF_H_INCLUDED_ */
