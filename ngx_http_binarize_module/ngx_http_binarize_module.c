
#include "answer/answer.h"
#include "answer/purge.h"
#include "answer/window.h"
#include "conf/conf.h"
#include "cloud/job.h"
#include "flight/flight.h"
#include "cloud/peer.h"
#include "zone/metrics.h"
#include "zone/wake.h"


static ngx_int_t ngx_http_binarize_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_binarize_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_binarize_init_process(ngx_cycle_t *cycle);
static void ngx_http_binarize_on_wake(void *data);
static void ngx_http_binarize_on_stop(void *data);
static void ngx_http_binarize_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_binarize_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_binarize_variable_printf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const char *fmt, ...);


enum {
    NGX_HTTP_BINARIZE_VAR_ID,
    NGX_HTTP_BINARIZE_VAR_CACHE,
    NGX_HTTP_BINARIZE_VAR_TASK_STATUS,
    NGX_HTTP_BINARIZE_VAR_CLOUD_CALLS,
    NGX_HTTP_BINARIZE_VAR_WAIT_TIME
};


static ngx_http_variable_t  ngx_http_binarize_vars[] = {

    { ngx_string("binarize_id"), NULL,
      ngx_http_binarize_variable, NGX_HTTP_BINARIZE_VAR_ID,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("binarize_cache"), NULL,
      ngx_http_binarize_variable, NGX_HTTP_BINARIZE_VAR_CACHE,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("binarize_task_status"), NULL,
      ngx_http_binarize_variable, NGX_HTTP_BINARIZE_VAR_TASK_STATUS,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("binarize_cloud_calls"), NULL,
      ngx_http_binarize_variable, NGX_HTTP_BINARIZE_VAR_CLOUD_CALLS,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("binarize_wait_time"), NULL,
      ngx_http_binarize_variable, NGX_HTTP_BINARIZE_VAR_WAIT_TIME,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_http_module_t  ngx_http_binarize_module_ctx = {
    ngx_http_binarize_preconfiguration,    /* preconfiguration */
    ngx_http_binarize_check_conf,          /* postconfiguration */

    ngx_http_binarize_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_binarize_create_loc_conf,     /* create location configuration */
    ngx_http_binarize_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_binarize_module = {
    NGX_MODULE_V1,
    &ngx_http_binarize_module_ctx,         /* module context */
    ngx_http_binarize_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_binarize_init_module,         /* init module */
    ngx_http_binarize_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_binarize_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_binarize_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_binarize_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_init_module(ngx_cycle_t *cycle)
{
    ngx_http_binarize_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_binarize_module);

    if (bmcf && bmcf->zones.nelts) {
        ngx_http_binarize_wake_init_module(cycle);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_shm_zone_t                 **zp;
    ngx_http_binarize_main_conf_t   *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_binarize_module);
    if (bmcf == NULL) {
        return NGX_OK;
    }

    if (bmcf->zones.nelts
        && ngx_http_binarize_wake_init_process(cycle,
                                               ngx_http_binarize_on_wake,
                                               ngx_http_binarize_on_stop, bmcf)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        ngx_http_binarize_metrics_init_process(zp[i]->data);

        if (ngx_http_binarize_zone_init_process(cycle, zp[i]->data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_binarize_flight_init_process(cycle, zp[i]->data)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_binarize_redis_init_process(cycle, &bmcf->redises)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_binarize_flight_metrics_init_process(bmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_binarize_nodes_init_process(cycle, bmcf,
                                          ngx_http_binarize_purge_on_message);
}


static void
ngx_http_binarize_on_wake(void *data)
{
    ngx_http_binarize_main_conf_t *bmcf = data;

    ngx_uint_t        i;
    ngx_shm_zone_t  **zp;

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        ngx_http_binarize_zone_woken(zp[i]->data);
    }
}


/*
 * Nobody waits any more whom this worker could answer, and nobody will: calls
 * in the air end, and what waits to make one.
 */

static void
ngx_http_binarize_on_stop(void *data)
{
    ngx_http_binarize_main_conf_t *bmcf = data;

    ngx_uint_t        i;
    ngx_shm_zone_t  **zp;

    ngx_http_binarize_call_stop_all();

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        ngx_http_binarize_flight_stop(zp[i]->data);
    }

    ngx_http_binarize_on_wake(bmcf);
}


static void
ngx_http_binarize_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_shm_zone_t                 **zp;
    ngx_http_binarize_main_conf_t   *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_binarize_module);
    if (bmcf == NULL) {
        return;
    }

    ngx_http_binarize_windows_exit_process();
    ngx_http_binarize_peer_exit_process(&bmcf->cloud);
    ngx_http_binarize_redis_exit_process(&bmcf->redises);

    ngx_http_binarize_wake_exit_process();

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        ngx_http_binarize_zone_exit_process(zp[i]->data);
        ngx_http_binarize_metrics_exit_process(zp[i]->data);
    }

}


/*
 * Of the request's context; an internal redirect has cleared the module
 * contexts, then there is none.
 */

static ngx_int_t
ngx_http_binarize_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    const char               *name;
    ngx_http_binarize_ctx_t  *ctx;

    ctx = ngx_http_binarize_job_of(r)
          ? NULL : ngx_http_get_module_ctx(r, ngx_http_binarize_module);

    v->not_found = 1;

    if (ctx == NULL) {
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 1;

    name = NULL;

    switch (data) {

    case NGX_HTTP_BINARIZE_VAR_ID:
        if (ctx->has_guid) {
            v->not_found = 0;
            v->len = BINARIZE_GUID_SIZE;
            v->data = ctx->guid;
        }
        break;

    case NGX_HTTP_BINARIZE_VAR_CACHE:
        if (ctx->waiter.source != BINARIZE_SOURCE_NONE) {
            name = binarize_source_name(ctx->waiter.source);
        }
        break;

    case NGX_HTTP_BINARIZE_VAR_TASK_STATUS:
        if (ctx->has_status) {
            name = binarize_task_status_name(ctx->task_status);
        }
        break;

    case NGX_HTTP_BINARIZE_VAR_CLOUD_CALLS:
        return ngx_http_binarize_variable_printf(r, v, "%ui",
                                                 ctx->waiter.cloud_calls);

    default: /* NGX_HTTP_BINARIZE_VAR_WAIT_TIME */
        return ngx_http_binarize_variable_printf(r, v, "%T.%03M",
                                             (time_t) (ctx->waited_ms / 1000),
                                             ctx->waited_ms % 1000);
    }

    if (name) {
        v->not_found = 0;
        v->data = (u_char *) name;
        v->len = ngx_strlen(name);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_variable_printf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + sizeof(".000"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    va_start(args, fmt);
    v->not_found = 0;
    v->data = p;
    v->len = ngx_vslprintf(p, p + NGX_TIME_T_LEN + sizeof(".000"), fmt, args)
             - p;
    va_end(args);

    return NGX_OK;
}
