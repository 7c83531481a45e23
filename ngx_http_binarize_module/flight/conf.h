
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

    ngx_http_binarize_main_conf_t *main;
    ngx_str_t                      ns;         /* the key's namespace */
    ngx_uint_t                     ns_index;   /* of its counters */
    u_char                         ns_digest[16];

    ngx_shm_zone_t                *zone;
    ngx_flag_t                     l1;
    ngx_http_binarize_redis_t     *redis;      /* or NULL */
    ngx_http_binarize_token_t     *token;
    ngx_http_binarize_budget_t    *budget;     /* NULL: no limits */
    ngx_array_t                   *headers;    /* of .._header_t, or NULL */

    time_t                         valid_s;
    ngx_msec_t                     negative_ms;
    ngx_msec_t                     negative_max_ms;
    ngx_msec_t                     poll_ms;
    ngx_msec_t                     poll_max_ms;
} ngx_http_binarize_flight_conf_t;


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_CONF_H_INCLUDED_ */
