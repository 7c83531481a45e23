
#include "flight/private.h"


static ngx_int_t ngx_http_binarize_flight_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight);


/* unless binarize_set_header says otherwise */
static ngx_str_t  ngx_http_binarize_headers_accept =
                                 ngx_string("Accept: application/json" CRLF);


/* what depends on the request that starts the flight */

ngx_int_t
ngx_http_binarize_flight_eval(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    ngx_http_binarize_flight_conf_t  *conf;
#if (NGX_HTTP_SSL)
    ngx_str_t                      name;
#endif

    conf = flight->conf;

    flight->host = conf->cloud.target->authority;
    flight->ssl_name = conf->cloud.target->host;
    flight->headers = ngx_http_binarize_headers_accept;

    if (conf->headers
        && ngx_http_binarize_flight_eval_headers(r, flight) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_SSL)

    if (conf->cloud.upstream.ssl_name) {
        if (ngx_http_complex_value(r, conf->cloud.upstream.ssl_name, &name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        flight->ssl_name.data = ngx_pstrdup(flight->pool, &name);
        flight->ssl_name.len = name.len;

        if (flight->ssl_name.data == NULL) {
            return NGX_ERROR;
        }
    }

#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_binarize_flight_eval_headers(ngx_http_request_t *r,
    ngx_http_binarize_flight_t *flight)
{
    size_t                       size;
    u_char                      *p;
    ngx_str_t                   *values;
    ngx_uint_t                   i, accept;
    ngx_http_binarize_header_t  *h;

    h = flight->conf->headers->elts;

    values = ngx_palloc(r->pool, flight->conf->headers->nelts
                                 * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    size = ngx_http_binarize_headers_accept.len;

    for (i = 0; i < flight->conf->headers->nelts; i++) {

        if (ngx_http_complex_value(r, &h[i].value, &values[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strlchr(values[i].data, values[i].data + values[i].len, LF)
            || ngx_strlchr(values[i].data, values[i].data + values[i].len,
                           CR))
        {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "binarize_set_header \"%V\": the value has a line "
                          "break, header is left out", &h[i].name);
            values[i].len = 0;
        }

        size += h[i].name.len + values[i].len + sizeof(": " CRLF);
    }

    p = ngx_pnalloc(flight->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    flight->headers.data = p;
    accept = 0;

    for (i = 0; i < flight->conf->headers->nelts; i++) {

        if (h[i].name.len == 6
            && ngx_strncasecmp(h[i].name.data, (u_char *) "Accept", 6) == 0)
        {
            accept = 1;
        }

        if (values[i].len == 0) {
            continue;
        }

        if (h[i].name.len == 4
            && ngx_strncasecmp(h[i].name.data, (u_char *) "Host", 4) == 0)
        {
            flight->host.len = values[i].len;
            flight->host.data = ngx_pstrdup(flight->pool, &values[i]);

            if (flight->host.data == NULL) {
                return NGX_ERROR;
            }

            flight->ssl_name = flight->host;
            continue;
        }

        p = ngx_sprintf(p, "%V: %V" CRLF, &h[i].name, &values[i]);
    }

    if (!accept) {
        p = ngx_cpymem(p, ngx_http_binarize_headers_accept.data,
                       ngx_http_binarize_headers_accept.len);
    }

    flight->headers.len = p - flight->headers.data;

    return NGX_OK;
}
