
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


void ngx_http_binarize_answer_conf_init(ngx_http_binarize_answer_conf_t *conf);

/* all but the part that is the flight's */
ngx_int_t ngx_http_binarize_answer_conf_merge(ngx_conf_t *cf,
    ngx_http_binarize_answer_conf_t *prev,
    ngx_http_binarize_answer_conf_t *conf);

/* what binarize_format may be */
extern ngx_conf_enum_t  ngx_http_binarize_format_words[];


#endif /* _NGX_HTTP_BINARIZE_ANSWER_CONF_H_INCLUDED_ */
