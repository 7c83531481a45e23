
/* how a gateway's location answers */


#ifndef _NGX_HTTP_BINARIZE_ANSWER_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_ANSWER_CONF_H_INCLUDED_


#include "flight/conf.h"


typedef struct ngx_http_binarize_placeholder_s
                                             ngx_http_binarize_placeholder_t;


typedef struct {
    ngx_http_binarize_flight_conf_t  flight;

    ngx_str_t                        prefix;   /* empty: last segment */
    ngx_uint_t                       regex;    /* the location's name is one */

    ngx_http_complex_value_t        *id;
    ngx_uint_t                       format;   /* binarize_format_e */
    ngx_msec_t                       wait_ms;
    ngx_http_complex_value_t        *cache_control;
    ngx_flag_t                       intercept_errors;
    ngx_flag_t                       purge;
    ngx_http_binarize_placeholder_t *placeholder; /* NULL: off */
} ngx_http_binarize_answer_conf_t;


#endif /* _NGX_HTTP_BINARIZE_ANSWER_CONF_H_INCLUDED_ */
