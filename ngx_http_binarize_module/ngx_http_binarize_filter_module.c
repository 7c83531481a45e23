
#include "answer/answer.h"
#include "cloud/job.h"


static ngx_int_t ngx_http_binarize_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_binarize_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_binarize_filter_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


/* a module of its own for its place in nginx's list, see config */

ngx_module_t  ngx_http_binarize_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_binarize_filter_module_ctx,  /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_binarize_filter_init(ngx_conf_t *cf)
{
    /* the jobs' go before ours: a job is no client's request */

    ngx_http_binarize_header_init_filter();
    ngx_http_binarize_job_init_filters();

    return NGX_OK;
}
