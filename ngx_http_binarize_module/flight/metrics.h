
/* what flights count besides what is counted where it happens */


#ifndef _NGX_HTTP_BINARIZE_FLIGHT_METRICS_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_FLIGHT_METRICS_H_INCLUDED_


#include "flight/flight.h"
#include "zone/metrics.h"


/* a call of the flight has ended */
void ngx_http_binarize_flight_count(ngx_http_binarize_flight_t *flight,
    ngx_http_binarize_fetch_t *fetch);

/* names the gateways' counters, and counts what their Redis do */
ngx_int_t ngx_http_binarize_flight_metrics_init_process(
    ngx_http_binarize_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BINARIZE_FLIGHT_METRICS_H_INCLUDED_ */
