
#include "ngx_http_binarize.h"
#include "redis/conf.h"


#define NGX_HTTP_BINARIZE_REDIS_PORT          6379
#define NGX_HTTP_BINARIZE_REDIS_DB_MAX        65535
#define NGX_HTTP_BINARIZE_REDIS_PREFIX_MAX    255
#define NGX_HTTP_BINARIZE_REDIS_PASSWORD_MAX  1024


static char *ngx_http_binarize_redis_conf_url(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *url);
static char *ngx_http_binarize_redis_conf_unix(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *path);
static char *ngx_http_binarize_redis_conf_server(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *rest, ngx_uint_t tls);
static char *ngx_http_binarize_redis_conf_userinfo(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, u_char *p, u_char *last);
static void ngx_http_binarize_redis_conf_skip(ngx_str_t *text, size_t size);
static ngx_int_t ngx_http_binarize_redis_conf_unescape(ngx_conf_t *cf,
    ngx_str_t *value, u_char *p, u_char *last);
static char *ngx_http_binarize_redis_conf_host(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *authority,
    ngx_uint_t tls);
static char *ngx_http_binarize_redis_conf_db(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, u_char *p, u_char *last);
static char *ngx_http_binarize_redis_conf_option(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *option,
    ngx_str_t *password_file);
static char *ngx_http_binarize_redis_conf_prefix(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *prefix);
static char *ngx_http_binarize_redis_conf_password_file(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *name);
static char *ngx_http_binarize_redis_conf_password(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *name, u_char *p,
    u_char *last);
static void ngx_http_binarize_redis_conf_wipe(void *data);
static char *ngx_http_binarize_redis_conf_name(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *server);


char *
ngx_http_binarize_redis_conf_parse(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf)
{
    char                *rv;
    ngx_str_t           *value, password_file;
    ngx_uint_t           i;
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(conf, sizeof(ngx_http_binarize_redis_conf_t));
    ngx_str_null(&password_file);

    ngx_str_set(&conf->prefix, "binarize:");
    conf->timeout_ms = 250;
    conf->connect_timeout_ms = 250;

    value = cf->args->elts;

    /* options first: the name made of the URL shows the prefix */

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_binarize_redis_conf_option(cf, conf, &value[i],
                                                 &password_file);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_binarize_redis_conf_url(cf, conf, &value[1]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (password_file.len) {
        rv = ngx_http_binarize_redis_conf_password_file(cf, conf,
                                                        &password_file);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (conf->user.len && conf->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no password for user \"%V\" in \"binarize_redis\"",
                           &conf->user);
        return NGX_CONF_ERROR;
    }

    if (conf->password.len == 0) {
        return NGX_CONF_OK;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    *(ngx_str_t *) cln->data = conf->password;
    cln->handler = ngx_http_binarize_redis_conf_wipe;

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_redis_conf_url(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *url)
{
    ngx_str_t    rest;
    ngx_uint_t   i;

    static ngx_str_t  unsupported[] = {
        ngx_string("redis+sentinel://"),
        ngx_string("redis+cluster://"),
        ngx_null_string
    };

#define ngx_http_binarize_starts_with(s, prefix)                              \
    ((s)->len >= sizeof(prefix) - 1                                           \
     && ngx_strncasecmp((s)->data, (u_char *) prefix, sizeof(prefix) - 1) == 0)

    for (i = 0; unsupported[i].len; i++) {

        if (url->len >= unsupported[i].len
            && ngx_strncasecmp(url->data, unsupported[i].data,
                               unsupported[i].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"binarize_redis\" "
                               "is not supported by this build",
                               &unsupported[i]);
            return NGX_CONF_ERROR;
        }
    }

    rest = *url;

    if (ngx_http_binarize_starts_with(url, "unix:")) {
        ngx_http_binarize_redis_conf_skip(&rest, sizeof("unix:") - 1);
        return ngx_http_binarize_redis_conf_unix(cf, conf, &rest);
    }

    if (ngx_http_binarize_starts_with(url, "redis://")) {
        ngx_http_binarize_redis_conf_skip(&rest, sizeof("redis://") - 1);
        return ngx_http_binarize_redis_conf_server(cf, conf, &rest, 0);
    }

    if (ngx_http_binarize_starts_with(url, "rediss://")) {
        ngx_http_binarize_redis_conf_skip(&rest, sizeof("rediss://") - 1);
        return ngx_http_binarize_redis_conf_server(cf, conf, &rest, 1);
    }

    /* the URL may hold a password, and is not shown */

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid URL in \"binarize_redis\", it must start with "
                       "\"redis://\", \"rediss://\" or \"unix:\"");
    return NGX_CONF_ERROR;
}


static void
ngx_http_binarize_redis_conf_skip(ngx_str_t *text, size_t size)
{
    text->data += size;
    text->len -= size;
}


/* unix:/path[?db=N] */

static char *
ngx_http_binarize_redis_conf_unix(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *path)
{
    char                               *rv;
    u_char                             *p, *last;
    ngx_str_t                           server;
    struct sockaddr_un                  saun;
    ngx_http_binarize_redis_address_t  *address;

    last = path->data + path->len;

    p = ngx_strlchr(path->data, last, '?');

    if (p) {
        path->len = p++ - path->data;

        if (last - p < 3 || ngx_strncmp(p, "db=", 3) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%*s\" of the unix domain "
                               "socket in \"binarize_redis\", "
                               "it may be \"db=N\"", (size_t) (last - p), p);
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_binarize_redis_conf_db(cf, conf, p + 3, last);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    /* hiredis leaves the last byte for a zero */

    if (path->len == 0 || path->data[0] != '/'
        || path->len > sizeof(saun.sun_path) - 2)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid unix domain socket \"unix:%V\" in "
                           "\"binarize_redis\", it must be an absolute path "
                           "of no more than %uz bytes",
                           path, sizeof(saun.sun_path) - 2);
        return NGX_CONF_ERROR;
    }

    address = ngx_pcalloc(cf->pool, sizeof(ngx_http_binarize_redis_address_t));
    if (address == NULL) {
        return NGX_CONF_ERROR;
    }

    server.len = sizeof("unix:") - 1 + path->len;
    server.data = ngx_pnalloc(cf->pool, server.len + 1);
    if (server.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_sprintf(server.data, "unix:%V%Z", path);

    address->path = (char *) server.data + sizeof("unix:") - 1;
    address->name = server;

    conf->addresses = address;
    conf->naddresses = 1;

    return ngx_http_binarize_redis_conf_name(cf, conf, &server);
}


/* [user[:password]@]host[:port][/db] */

static char *
ngx_http_binarize_redis_conf_server(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *rest, ngx_uint_t tls)
{
    char       *rv;
    u_char     *p, *at, *last;
    ngx_str_t   authority;

    last = rest->data + rest->len;

    p = ngx_strlchr(rest->data, last, '/');

    if (p && p + 1 < last) {
        rv = ngx_http_binarize_redis_conf_db(cf, conf, p + 1, last);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (p) {
        last = p;
    }

    for (at = last; at > rest->data && at[-1] != '@'; at--) { /* void */ }

    if (at > rest->data) {
        rv = ngx_http_binarize_redis_conf_userinfo(cf, conf, rest->data,
                                                   at - 1);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    authority.data = at;
    authority.len = last - at;

    return ngx_http_binarize_redis_conf_host(cf, conf, &authority, tls);
}


static char *
ngx_http_binarize_redis_conf_userinfo(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, u_char *p, u_char *last)
{
    u_char  *colon;

    colon = ngx_strlchr(p, last, ':');

    if (ngx_http_binarize_redis_conf_unescape(cf, &conf->user, p,
                                              colon ? colon : last)
        != NGX_OK)
    {
        goto invalid;
    }

    if (colon == NULL) {
        return NGX_CONF_OK;
    }

    if (ngx_http_binarize_redis_conf_unescape(cf, &conf->password, colon + 1,
                                              last)
        != NGX_OK)
    {
        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %%-escape in the user or password of "
                       "\"binarize_redis\"");
    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_binarize_redis_conf_unescape(ngx_conf_t *cf, ngx_str_t *value,
    u_char *p, u_char *last)
{
    u_char     *d;
    ngx_int_t   n;

    value->len = 0;
    value->data = ngx_pnalloc(cf->pool, last - p + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    d = value->data;

    while (p < last) {

        if (*p != '%') {
            *d++ = *p++;
            continue;
        }

        if (last - p < 3) {
            return NGX_ERROR;
        }

        n = ngx_hextoi(p + 1, 2);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *d++ = (u_char) n;
        p += 3;
    }

    value->len = d - value->data;

    return NGX_OK;
}


static char *
ngx_http_binarize_redis_conf_host(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *authority, ngx_uint_t tls)
{
    size_t                              len;
    u_char                              text[NGX_SOCKADDR_STRLEN];
    ngx_url_t                           u;
    ngx_str_t                           server;
    ngx_uint_t                          i;
    ngx_http_binarize_redis_address_t  *address;

    if (authority->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no host in URL of \"binarize_redis\"");
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *authority;
    u.default_port = NGX_HTTP_BINARIZE_REDIS_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\" of \"binarize_redis\"",
                           u.err ? u.err : "no address", authority);
        return NGX_CONF_ERROR;
    }

    address = ngx_pcalloc(cf->pool,
                        u.naddrs * sizeof(ngx_http_binarize_redis_address_t));
    if (address == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->addresses = address;
    conf->naddresses = u.naddrs;

    for (i = 0; i < u.naddrs; i++) {

        len = ngx_sock_ntop(u.addrs[i].sockaddr, u.addrs[i].socklen, text,
                            NGX_SOCKADDR_STRLEN, 0);

        address[i].host = ngx_pnalloc(cf->pool, len + 1);
        if (address[i].host == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_cpystrn((u_char *) address[i].host, text, len + 1);

        address[i].name = u.addrs[i].name;
        address[i].port = ngx_inet_get_port(u.addrs[i].sockaddr);
    }

    if (tls) {
        conf->tls = ngx_http_binarize_redis_tls_create(cf, &u.host);

        if (conf->tls == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    server.data = ngx_pnalloc(cf->pool, u.host.len + sizeof("[]:65535") - 1);
    if (server.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_strlow(u.host.data, u.host.data, u.host.len);

    server.len = ngx_sprintf(server.data, "%V:%ui", &u.host,
                             (ngx_uint_t) address[0].port)
                 - server.data;

    return ngx_http_binarize_redis_conf_name(cf, conf, &server);
}


static char *
ngx_http_binarize_redis_conf_db(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, u_char *p, u_char *last)
{
    ngx_int_t  n;

    n = ngx_atoi(p, last - p);

    if (n == NGX_ERROR || n > NGX_HTTP_BINARIZE_REDIS_DB_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid database number in URL of "
                           "\"binarize_redis\"");
        return NGX_CONF_ERROR;
    }

    conf->db = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_redis_conf_option(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *option,
    ngx_str_t *password_file)
{
    ngx_int_t    n;
    ngx_str_t    value;
    ngx_msec_t  *msec;

    value = *option;
    msec = NULL;

    if (ngx_strncmp(option->data, "prefix=", 7) == 0) {
        ngx_http_binarize_redis_conf_skip(&value, 7);
        return ngx_http_binarize_redis_conf_prefix(cf, conf, &value);
    }

    if (ngx_strncmp(option->data, "password_file=", 14) == 0) {
        ngx_http_binarize_redis_conf_skip(&value, 14);

        if (value.len == 0) {
            goto invalid;
        }

        *password_file = value;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(option->data, "timeout=", 8) == 0) {
        ngx_http_binarize_redis_conf_skip(&value, 8);
        msec = &conf->timeout_ms;

    } else if (ngx_strncmp(option->data, "connect_timeout=", 16) == 0) {
        ngx_http_binarize_redis_conf_skip(&value, 16);
        msec = &conf->connect_timeout_ms;
    }

    if (msec == NULL) {
        /* its value may be a secret in the wrong place */
        for (value.len = 0; value.len < option->len; value.len++) {
            if (value.data[value.len] == '=') {
                break;
            }
        }

        *option = value;
        goto invalid;
    }

    n = ngx_parse_time(&value, 0);

    if (n == NGX_ERROR || n == 0) {
        goto invalid;
    }

    *msec = n;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"binarize_redis\"",
                       option);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_binarize_redis_conf_prefix(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *prefix)
{
    u_char  *last;

    last = prefix->data + prefix->len;

    if (ngx_strlchr(prefix->data, last, '{')
        || ngx_strlchr(prefix->data, last, '}'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "prefix \"%V\" in \"binarize_redis\" "
                           "must have no braces", prefix);
        return NGX_CONF_ERROR;
    }

    if (prefix->len > NGX_HTTP_BINARIZE_REDIS_PREFIX_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "prefix in \"binarize_redis\" is longer than %d "
                           "bytes", NGX_HTTP_BINARIZE_REDIS_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    conf->prefix = *prefix;

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_redis_conf_password_file(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *name)
{
    char     *rv;
    u_char    buf[NGX_HTTP_BINARIZE_REDIS_PASSWORD_MAX + 1];
    ssize_t   n;
    ngx_fd_t  fd;

    if (conf->password.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "both a password in the URL and \"password_file\" "
                           "in \"binarize_redis\"");
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed, password_file of "
                           "\"binarize_redis\"", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed, password_file of "
                           "\"binarize_redis\"", name);
        rv = NGX_CONF_ERROR;

    } else {
        rv = ngx_http_binarize_redis_conf_password(cf, conf, name, buf,
                                                   buf + n);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    ngx_explicit_memzero(buf, sizeof(buf));

    return rv;
}


static char *
ngx_http_binarize_redis_conf_password(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *name, u_char *p,
    u_char *last)
{
    if (last - p > NGX_HTTP_BINARIZE_REDIS_PASSWORD_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password_file \"%V\" of \"binarize_redis\" is "
                           "larger than %d bytes", name,
                           NGX_HTTP_BINARIZE_REDIS_PASSWORD_MAX);
        return NGX_CONF_ERROR;
    }

    if (last > p && last[-1] == LF) {
        last--;
    }

    if (last > p && last[-1] == CR) {
        last--;
    }

    if (last == p || ngx_strlchr(p, last, LF)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password_file \"%V\" of \"binarize_redis\" must "
                           "hold one line", name);
        return NGX_CONF_ERROR;
    }

    conf->password.len = last - p;
    conf->password.data = ngx_pnalloc(cf->pool, last - p);
    if (conf->password.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(conf->password.data, p, last - p);

    return NGX_CONF_OK;
}


static void
ngx_http_binarize_redis_conf_wipe(void *data)
{
    ngx_str_t *password = data;

    ngx_explicit_memzero(password->data, password->len);
}


static char *
ngx_http_binarize_redis_conf_name(ngx_conf_t *cf,
    ngx_http_binarize_redis_conf_t *conf, ngx_str_t *server)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, server->len + 1 + NGX_INT_T_LEN + 1
                              + conf->prefix.len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->name.data = p;
    conf->identity.data = p;

    p = ngx_sprintf(p, "%V/%ui", server, conf->db);
    conf->name.len = p - conf->name.data;

    p = ngx_sprintf(p, " %V", &conf->prefix);
    conf->identity.len = p - conf->identity.data;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_binarize_redis_conf_equal(ngx_http_binarize_redis_conf_t *one,
    ngx_http_binarize_redis_conf_t *two)
{
    return ngx_http_binarize_str_equal(&one->identity, &two->identity)
           && ngx_http_binarize_str_equal(&one->user, &two->user)
           && ngx_http_binarize_str_equal(&one->password, &two->password)
           && (one->tls == NULL) == (two->tls == NULL)
           && one->timeout_ms == two->timeout_ms
           && one->connect_timeout_ms == two->connect_timeout_ms;
}
