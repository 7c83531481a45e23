
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
    /* inherited */
    ngx_http_upstream_conf_t       upstream;
    size_t                         max_size;   /* of a PNG */

    /* resolved, of a gateway; target NULL: it is none */
    ngx_http_binarize_target_t    *target;
    ngx_http_binarize_cloud_t     *cloud;

    /* the context jobs run in: this location's, made harmless */
    void                         **job_main_conf;
    void                         **job_srv_conf;
    void                         **job_loc_conf;
} ngx_http_binarize_cloud_conf_t;


void ngx_http_binarize_cloud_conf_init(ngx_http_binarize_cloud_conf_t *conf);
void ngx_http_binarize_cloud_conf_merge(ngx_http_binarize_cloud_conf_t *prev,
    ngx_http_binarize_cloud_conf_t *conf);

/* of a gateway, when merged: the context of its jobs, of the current one */
ngx_int_t ngx_http_binarize_cloud_conf_job(ngx_conf_t *cf,
    ngx_http_binarize_cloud_conf_t *conf);

/* directives, with cloud_conf_t as conf; and what others go by */
char *ngx_http_binarize_bind_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_conf_post_t     ngx_http_binarize_max_size_post;
extern ngx_conf_post_t     ngx_http_binarize_buffer_size_post;
extern ngx_conf_bitmask_t  ngx_http_binarize_next_upstream_words[];


#endif /* _NGX_HTTP_BINARIZE_CLOUD_CONF_H_INCLUDED_ */
