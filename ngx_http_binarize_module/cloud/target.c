
#include "cloud/target.h"


static ngx_http_upstream_srv_conf_t *ngx_http_binarize_target_find(
    ngx_conf_t *cf, ngx_http_binarize_target_t *target);


ngx_http_binarize_target_t *
ngx_http_binarize_target_parse(ngx_conf_t *cf, const char *directive,
    ngx_str_t *url)
{
    size_t                       skip;
    u_char                      *p;
    ngx_url_t                    u;
    ngx_http_binarize_target_t  *target;

    target = ngx_pcalloc(cf->pool, sizeof(*target));
    if (target == NULL) {
        return NULL;
    }

    ngx_memzero(&u, sizeof(u));

    if (url->len > 7
        && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
    {
        skip = 7;
        u.default_port = 80;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
#if (NGX_HTTP_SSL)
        skip = 8;
        u.default_port = 443;
        target->ssl = 1;
#else
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: https needs nginx with SSL support, URL "
                           "\"%V\"", directive, url);
        return NULL;
#endif

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: URL \"%V\" has to begin with \"http://\" or "
                           "\"https://\"", directive, url);
        return NULL;
    }

    for (p = url->data; p < url->data + url->len; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '?' || *p == '#' || *p == '@'
            || *p == '$' || *p == '"')
        {
            /* not repeated: it may hold a password */
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s: the URL may have neither variables, user, "
                               "query nor fragment", directive);
            return NULL;
        }
    }

    u.url.data = url->data + skip;
    u.url.len = url->len - skip;
    u.uri_part = 1;
    u.no_resolve = 1;

    if (u.url.len == 0 || u.url.data[0] == '/'
        || ngx_parse_url(cf->pool, &u) != NGX_OK
        || u.family == AF_UNIX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s: %s in URL \"%V\"",
                           directive, u.err ? u.err : "invalid host", url);
        return NULL;
    }

    target->url = *url;
    target->host = u.host;
    target->authority.data = u.url.data;
    target->authority.len = u.url.len - u.uri.len;
    target->uri = u.uri;
    target->port = u.port;
    target->no_port = u.no_port;
    target->addrs = u.addrs;
    target->naddrs = u.naddrs;

    if (target->uri.len == 0) {
        ngx_str_set(&target->uri, "/");
    }

    return target;
}


ngx_int_t
ngx_http_binarize_target_resolve(ngx_conf_t *cf, const char *directive,
    ngx_http_binarize_target_t *target, ngx_resolver_t *resolver)
{
    ngx_url_t                      u;
    ngx_http_upstream_server_t    *us;
    ngx_http_upstream_srv_conf_t  *uscf;

    target->upstream = ngx_http_binarize_target_find(cf, target);

    if (target->upstream) {
        return NGX_OK;
    }

    if (target->naddrs == 0) {

        if (resolver && resolver->connections.nelts) {
            return NGX_OK;
        }

        ngx_memzero(&u, sizeof(u));

        u.host = target->host;
        u.port = target->port;

        if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s: %s \"%V\"",
                          directive,
                          u.err ? u.err : "can not resolve", &target->host);
            return NGX_ERROR;
        }

        target->addrs = u.addrs;
        target->naddrs = u.naddrs;
    }

    /* an upstream of our own: no other location shares its peers */

    uscf = ngx_pcalloc(cf->pool, sizeof(*uscf));
    if (uscf == NULL) {
        return NGX_ERROR;
    }

    uscf->host = target->host;
    uscf->port = target->port;
    uscf->file_name = cf->conf_file->file.name.data;
    uscf->line = cf->conf_file->line;

    uscf->servers = ngx_array_create(cf->pool, 1, sizeof(*us));
    if (uscf->servers == NULL) {
        return NGX_ERROR;
    }

    us = ngx_array_push(uscf->servers);
    if (us == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(us, sizeof(*us));

    us->name = target->authority;
    us->addrs = target->addrs;
    us->naddrs = target->naddrs;
    us->weight = 1;
    us->max_fails = 1;
    us->fail_timeout = 10;

    if (ngx_http_upstream_init_round_robin(cf, uscf) != NGX_OK) {
        return NGX_ERROR;
    }

    target->upstream = uscf;

    return NGX_OK;
}


static ngx_http_upstream_srv_conf_t *
ngx_http_binarize_target_find(ngx_conf_t *cf,
    ngx_http_binarize_target_t *target)
{
    ngx_uint_t                      i;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    if (!target->no_port) {
        return NULL;
    }

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->servers
            && uscfp[i]->port == 0
            && uscfp[i]->host.len == target->host.len
            && ngx_strncasecmp(uscfp[i]->host.data, target->host.data,
                               target->host.len)
               == 0)
        {
            return uscfp[i];
        }
    }

    return NULL;
}
