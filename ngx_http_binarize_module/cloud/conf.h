
/* what a location's calls are made with */


#ifndef _NGX_HTTP_BINARIZE_CLOUD_CONF_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_CLOUD_CONF_H_INCLUDED_


#include "cloud/target.h"


/* of this worker, for all locations; see peer.c */
typedef struct {
    ngx_queue_t                    idle;       /* connections */
    ngx_uint_t                     nidle;
    ngx_queue_t                    sessions;   /* of TLS */
    ngx_uint_t                     nsessions;
} ngx_http_binarize_cloud_t;


typedef struct {
    ngx_http_upstream_conf_t       upstream;
    ngx_http_binarize_cloud_t     *cloud;
    ngx_http_binarize_target_t    *target;     /* NULL: not a gateway */
    size_t                         max_size;   /* of a PNG */

    /* the context jobs run in: this location's, made harmless */
    void                         **job_main_conf;
    void                         **job_srv_conf;
    void                         **job_loc_conf;

#if (NGX_HTTP_SSL)
    /* as written, for upstream.ssl */
    ngx_uint_t                     ssl_protocols;
    ngx_str_t                      ssl_ciphers;
    ngx_uint_t                     ssl_verify_depth;
    ngx_str_t                      ssl_trusted_certificate;
    ngx_str_t                      ssl_crl;
    ngx_str_t                      ssl_certificate;
    ngx_str_t                      ssl_certificate_key;
    ngx_array_t                   *ssl_passwords;
    ngx_array_t                   *ssl_conf_commands;
#endif
} ngx_http_binarize_cloud_conf_t;


#endif /* _NGX_HTTP_BINARIZE_CLOUD_CONF_H_INCLUDED_ */
