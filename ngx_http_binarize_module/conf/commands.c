
#include "conf/conf.h"
#include "answer/placeholder.h"
#include "status/status.h"


static char *ngx_http_binarize_pass(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_http_binarize_zone_is_taken(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_binarize_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_negative_valid(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_binarize_poll(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_time_and_max(ngx_conf_t *cf, ngx_msec_t *first,
    ngx_msec_t *max);
static ngx_int_t ngx_http_binarize_no_duplicates(ngx_conf_t *cf);
static char *ngx_http_binarize_credentials(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_bearer_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_set_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_bitmask(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_bind(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_binarize_positive_time(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_binarize_positive_size(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_binarize_buffer_size(ngx_conf_t *cf, void *post,
    void *data);
#if (NGX_HTTP_SSL)
static char *ngx_http_binarize_ssl_password_file(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
#endif


#define NGX_HTTP_BINARIZE_L_CONF                                              \
    NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF

#define NGX_HTTP_BINARIZE_MSL_CONF                                            \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_BINARIZE_L_CONF

#define ngx_http_binarize_upstream_offset(member)                             \
    offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.upstream.member)


static ngx_conf_enum_t  ngx_http_binarize_formats[] = {
    { ngx_string("png"), BINARIZE_FORMAT_PNG },
    { ngx_string("json"), BINARIZE_FORMAT_JSON },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_binarize_status_formats[] = {
    { ngx_string("prometheus"), NGX_HTTP_BINARIZE_STATUS_PROMETHEUS },
    { ngx_string("json"), NGX_HTTP_BINARIZE_STATUS_JSON },
    { ngx_string("html"), NGX_HTTP_BINARIZE_STATUS_HTML },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_binarize_positive_time_post =
    { ngx_http_binarize_positive_time };

static ngx_conf_post_t  ngx_http_binarize_positive_size_post =
    { ngx_http_binarize_positive_size };

static ngx_conf_post_t  ngx_http_binarize_buffer_size_post =
    { ngx_http_binarize_buffer_size };


static ngx_conf_bitmask_t  ngx_http_binarize_next_upstream_masks[] = {
    { ngx_string("error"), NGX_HTTP_UPSTREAM_FT_ERROR },
    { ngx_string("timeout"), NGX_HTTP_UPSTREAM_FT_TIMEOUT },
    { ngx_string("invalid_header"), NGX_HTTP_UPSTREAM_FT_INVALID_HEADER },
    { ngx_string("non_idempotent"), NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT },
    { ngx_string("http_500"), NGX_HTTP_UPSTREAM_FT_HTTP_500 },
    { ngx_string("http_502"), NGX_HTTP_UPSTREAM_FT_HTTP_502 },
    { ngx_string("http_503"), NGX_HTTP_UPSTREAM_FT_HTTP_503 },
    { ngx_string("http_504"), NGX_HTTP_UPSTREAM_FT_HTTP_504 },
    { ngx_string("http_403"), NGX_HTTP_UPSTREAM_FT_HTTP_403 },
    { ngx_string("http_404"), NGX_HTTP_UPSTREAM_FT_HTTP_404 },
    { ngx_string("http_429"), NGX_HTTP_UPSTREAM_FT_HTTP_429 },
    { ngx_string("off"), NGX_HTTP_UPSTREAM_FT_OFF },
    { ngx_null_string, 0 }
};


#if (NGX_HTTP_SSL)

static ngx_conf_bitmask_t  ngx_http_binarize_ssl_protocols[] = {
    { ngx_string("SSLv2"), NGX_SSL_SSLv2 },
    { ngx_string("SSLv3"), NGX_SSL_SSLv3 },
    { ngx_string("TLSv1"), NGX_SSL_TLSv1 },
    { ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1 },
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};

#endif


ngx_command_t  ngx_http_binarize_commands[] = {

    { ngx_string("binarize_pass"),
      NGX_HTTP_BINARIZE_L_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_id"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.id),
      NULL },

    { ngx_string("binarize_format"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.format),
      &ngx_http_binarize_formats },

    { ngx_string("binarize_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_cache"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_valid"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.valid_s),
      &ngx_http_binarize_positive_time_post },

    { ngx_string("binarize_negative_valid"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_negative_valid,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_wait"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.wait_ms),
      NULL },

    { ngx_string("binarize_poll"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_poll,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_max_size"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.max_size),
      &ngx_http_binarize_positive_size_post },

    { ngx_string("binarize_cache_control"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.cache_control),
      NULL },

    { ngx_string("binarize_credentials"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE123,
      ngx_http_binarize_credentials,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_bearer_file"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_bearer_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_redis"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_redis,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_budget"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_budget_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, budget_conf),
      NULL },

    { ngx_string("binarize_set_header"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE2,
      ngx_http_binarize_set_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_status"),
      NGX_HTTP_BINARIZE_L_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_binarize_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, status),
      &ngx_http_binarize_status_formats },

    { ngx_string("binarize_intercept_errors"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.intercept_errors),
      NULL },

    { ngx_string("binarize_purge"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.purge),
      NULL },

    { ngx_string("binarize_placeholder"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE123,
      ngx_http_binarize_placeholder_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_connect_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(connect_timeout),
      NULL },

    { ngx_string("binarize_send_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(send_timeout),
      NULL },

    { ngx_string("binarize_read_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(read_timeout),
      NULL },

    { ngx_string("binarize_buffer_size"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(buffer_size),
      &ngx_http_binarize_buffer_size_post },

    { ngx_string("binarize_bind"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_bind,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(local),
      NULL },

    { ngx_string("binarize_next_upstream"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_bitmask,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(next_upstream),
      &ngx_http_binarize_next_upstream_masks },

    { ngx_string("binarize_next_upstream_tries"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(next_upstream_tries),
      NULL },

    { ngx_string("binarize_next_upstream_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(next_upstream_timeout),
      NULL },

    { ngx_string("binarize_socket_keepalive"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(socket_keepalive),
      NULL },

#if (NGX_HTTP_SSL)

    { ngx_string("binarize_ssl_session_reuse"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(ssl_session_reuse),
      NULL },

    { ngx_string("binarize_ssl_protocols"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_bitmask,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_protocols),
      &ngx_http_binarize_ssl_protocols },

    { ngx_string("binarize_ssl_ciphers"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_ciphers),
      NULL },

    { ngx_string("binarize_ssl_name"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(ssl_name),
      NULL },

    { ngx_string("binarize_ssl_server_name"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(ssl_server_name),
      NULL },

    { ngx_string("binarize_ssl_verify"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_upstream_offset(ssl_verify),
      NULL },

    { ngx_string("binarize_ssl_verify_depth"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_verify_depth),
      NULL },

    { ngx_string("binarize_ssl_trusted_certificate"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_trusted_certificate),
      NULL },

    { ngx_string("binarize_ssl_crl"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_crl),
      NULL },

    { ngx_string("binarize_ssl_certificate"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_certificate),
      NULL },

    { ngx_string("binarize_ssl_certificate_key"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_certificate_key),
      NULL },

    { ngx_string("binarize_ssl_password_file"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_ssl_password_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_ssl_conf_command"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE2,
      ngx_conf_set_keyval_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, answer.flight.cloud.ssl_conf_commands),
      NULL },

#endif

      ngx_null_command
};


static char *
ngx_http_binarize_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    u_char                    *p, *end;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (blcf->answer.flight.cloud.target) {
        return "is duplicate";
    }

    if (blcf->status != NGX_CONF_UNSET_UINT) {
        return "can not be in a location with \"binarize_status\"";
    }

    value = cf->args->elts;

    blcf->answer.flight.cloud.target = ngx_http_binarize_target_parse(cf, "binarize_pass",
                                                  &value[1]);
    if (blcf->answer.flight.cloud.target == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the last segment of the path is the namespace */

    end = blcf->answer.flight.cloud.target->uri.data + blcf->answer.flight.cloud.target->uri.len;

    for (p = end; p[-1] != '/'; p--) { /* void */ }

    blcf->answer.flight.ns.len = end - p;
    blcf->answer.flight.ns.data = ngx_pnalloc(cf->pool, blcf->answer.flight.ns.len + 1);
    if (blcf->answer.flight.ns.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_strlow(blcf->answer.flight.ns.data, p, blcf->answer.flight.ns.len);

    for (i = 0; i < blcf->answer.flight.ns.len; i++) {
        if (ngx_strchr("abcdefghijklmnopqrstuvwxyz0123456789._-",
                       blcf->answer.flight.ns.data[i])
            == NULL)
        {
            break;
        }
    }

    if (i == 0 || i < blcf->answer.flight.ns.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_pass: the path of \"%V\" has to end with "
                           "a segment of letters, digits, \".\", \"_\", \"-\","
                           " as \"/v5.0/ocr/binarizeimage\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = ngx_http_binarize_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_main_conf_t *bmcf = conf;

    u_char          *p;
    ssize_t          size;
    ngx_str_t       *value, name, s;
    ngx_uint_t       i;
    ngx_shm_zone_t  *shm_zone, **zp;

    value = cf->args->elts;

    p = ngx_strlchr(value[1].data, value[1].data + value[1].len, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: \"%V\" is not \"name:size\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    name.data = value[1].data;
    name.len = p - name.data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: invalid size in \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < NGX_HTTP_BINARIZE_ZONE_MIN_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: zone \"%V\" is too small, the "
                           "least is 1m", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (name.len == 3 && ngx_strncmp(name.data, "off", 3) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: a zone can not be named \"off\"");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_binarize_zone_is_taken(cf, &name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_zone: \"%V\" is a zone of another module",
                           &name);
        return NGX_CONF_ERROR;
    }

    shm_zone = ngx_http_binarize_zone_add(cf, &name, size);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zp = bmcf->zones.elts;

    for (i = 0; i < bmcf->zones.nelts; i++) {
        if (zp[i] == shm_zone) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_zone: duplicate zone \"%V\"", &name);
            return NGX_CONF_ERROR;
        }
    }

    zp = ngx_array_push(&bmcf->zones);
    if (zp == NULL) {
        return NGX_CONF_ERROR;
    }

    *zp = shm_zone;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_binarize_zone_is_taken(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *shm_zone;
    ngx_list_part_t  *part;

    for (part = &cf->cycle->shared_memory.part; part; part = part->next) {
        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (shm_zone[i].tag != &ngx_http_binarize_module
                && shm_zone[i].shm.name.len == name->len
                && ngx_strncmp(shm_zone[i].shm.name.data, name->data,
                               name->len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static char *
ngx_http_binarize_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (blcf->answer.flight.l1 != NGX_CONF_UNSET || blcf->zone_name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    blcf->answer.flight.l1 = 1;

    for (i = 1; i < cf->args->nelts; i++) {

        if (i == cf->args->nelts - 1
            && value[i].len == 3 && ngx_strncmp(value[i].data, "off", 3) == 0)
        {
            blcf->answer.flight.l1 = 0;

        } else if (i == 1) {
            blcf->zone_name = value[i];

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_cache: invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_negative_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    return ngx_http_binarize_time_and_max(cf, &blcf->answer.flight.negative_ms,
                                          &blcf->answer.flight.negative_max_ms);
}


static char *
ngx_http_binarize_poll(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    char  *rv;

    rv = ngx_http_binarize_time_and_max(cf, &blcf->answer.flight.poll_ms,
                                        &blcf->answer.flight.poll_max_ms);

    if (rv == NGX_CONF_OK && blcf->answer.flight.poll_ms == 0) {
        return "has to be above 0";
    }

    return rv;
}


/* "time [max=time]" */

static char *
ngx_http_binarize_time_and_max(ngx_conf_t *cf, ngx_msec_t *first,
    ngx_msec_t *max)
{
    ngx_str_t  *value, s;

    if (*first != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *first = ngx_parse_time(&value[1], 0);

    if (*first == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: invalid time \"%V\"",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "max=", 4) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid parameter \"%V\"", &value[0],
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    s.data = value[2].data + 4;
    s.len = value[2].len - 4;

    *max = ngx_parse_time(&s, 0);

    if (*max == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: invalid time \"%V\"",
                           &value[0], &value[2]);
        return NGX_CONF_ERROR;
    }

    if (*max < *first) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: \"%V\" is below \"%V\"", &value[0],
                           &value[2], &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_token_source(ngx_conf_t *cf,
    ngx_http_binarize_loc_conf_t *blcf, ngx_uint_t source)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (blcf->token_source != NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: there is another token source on this level",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    blcf->token_source = source;

    return NGX_CONF_OK;
}


/* of parameters "name=value"; the value may be a secret */

static ngx_int_t
ngx_http_binarize_no_duplicates(ngx_conf_t *cf)
{
    u_char      *p;
    ngx_str_t   *value, name;
    ngx_uint_t   i, k;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        p = ngx_strlchr(value[i].data, value[i].data + value[i].len, '=');
        if (p == NULL) {
            continue;
        }

        name.data = value[i].data;
        name.len = p - name.data;

        for (k = i + 1; k < cf->args->nelts; k++) {
            if (value[k].len > name.len
                && ngx_memcmp(value[k].data, name.data, name.len + 1) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "%V: duplicate parameter \"%V\"",
                                   &value[0], &name);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static char *
ngx_http_binarize_credentials(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_str_t   *value, s, file;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_binarize_token_source(cf, blcf,
                                              NGX_HTTP_BINARIZE_TOKEN_OFF);
    }

    if (ngx_http_binarize_token_source(cf, blcf,
                                       NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_binarize_no_duplicates(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_str_null(&file);

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "client_id=", 10) == 0) {
            blcf->client_id.data = value[i].data + 10;
            blcf->client_id.len = value[i].len - 10;
            continue;
        }

        if (ngx_strncmp(value[i].data, "client_secret_file=", 19) == 0) {
            file.data = value[i].data + 19;
            file.len = value[i].len - 19;
            continue;
        }

        if (ngx_strncmp(value[i].data, "token_url=", 10) == 0) {
            s.data = value[i].data + 10;
            s.len = value[i].len - 10;

            blcf->token_target = ngx_http_binarize_target_parse(cf,
                                        "binarize_credentials token_url", &s);
            if (blcf->token_target == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        /* the value may be a secret that was put where it does not belong */

        s.data = value[i].data;
        for (s.len = 0; s.len < value[i].len; s.len++) {
            if (s.data[s.len] == '=') {
                break;
            }
        }

        if (s.len == value[i].len) {
            ngx_str_set(&s, "?");
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_credentials: unknown parameter \"%V\"",
                           &s);
        return NGX_CONF_ERROR;
    }

    if (blcf->client_id.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_credentials: no client_id");
        return NGX_CONF_ERROR;
    }

    if (file.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_credentials: no client_secret_file");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_binarize_token_read_secret(cf, "binarize_credentials", &file,
                                            &blcf->client_secret)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_bearer_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_str_t  *value, secret;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        return ngx_http_binarize_token_source(cf, blcf,
                                              NGX_HTTP_BINARIZE_TOKEN_OFF);
    }

    if (ngx_http_binarize_token_source(cf, blcf, NGX_HTTP_BINARIZE_TOKEN_FILE)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    blcf->bearer_file = value[1];

    /* the workers read it themselves; whether it can be is said now */

    if (ngx_http_binarize_token_read_secret(cf, "binarize_bearer_file",
                                            &blcf->bearer_file, &secret)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_explicit_memzero(secret.data, secret.len);

    return NGX_CONF_OK;
}


static char *
ngx_http_binarize_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_http_binarize_main_conf_t  *bmcf;

    if (ngx_http_binarize_no_duplicates(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_binarize_module);

    return ngx_http_binarize_redis_set(cf, &bmcf->redises, &blcf->answer.flight.redis);
}


static char *
ngx_http_binarize_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    u_char                            *p;
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_binarize_header_t        *h;
    ngx_http_compile_complex_value_t   ccv;

    static ngx_str_t  refused[] = {
        ngx_string("Authorization"),
        ngx_string("Connection"),
        ngx_string("Content-Length"),
        ngx_string("Transfer-Encoding"),
        ngx_string("TE"),
        ngx_string("Trailer"),
        ngx_string("Upgrade"),
        ngx_string("Keep-Alive"),
        ngx_string("Expect"),
        ngx_string("Accept-Encoding"),
        ngx_string("Range"),
        ngx_null_string
    };

    value = cf->args->elts;

    for (i = 0; refused[i].len; i++) {
        if (value[1].len == refused[i].len
            && ngx_strncasecmp(value[1].data, refused[i].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "binarize_set_header: \"%V\" can not be set",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    /* a token of RFC 9110 5.6.2 */

    for (p = value[1].data; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("\"(),/:;<=>?@[\\]{}", *p))
        {
            break;
        }
    }

    if (p == value[1].data || *p) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "binarize_set_header: \"%V\" is not a header name",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (blcf->answer.flight.headers == NULL) {
        blcf->answer.flight.headers = ngx_array_create(cf->pool, 4, sizeof(*h));
        if (blcf->answer.flight.headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    h = ngx_array_push(blcf->answer.flight.headers);
    if (h == NULL) {
        return NGX_CONF_ERROR;
    }

    h->name = value[1];

    ngx_memzero(&ccv, sizeof(ccv));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &h->value;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


static char *
ngx_http_binarize_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (blcf->status != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    if (blcf->answer.flight.cloud.target) {
        return "can not be in a location with \"binarize_pass\"";
    }

    if (cf->args->nelts == 1) {
        blcf->status = NGX_HTTP_BINARIZE_STATUS_AUTO;

    } else if (ngx_conf_set_enum_slot(cf, cmd, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_binarize_status_location;

    return NGX_CONF_OK;
}


/*
 * The three below do what nginx's own do, whose errors do not name the
 * directive.
 */

static char *
ngx_http_binarize_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_conf_enum_t  *e;

    value = cf->args->elts;
    e = cmd->post;

    for (i = 0; e[i].name.len; i++) {
        if (e[i].name.len == value[1].len
            && ngx_strcasecmp(e[i].name.data, value[1].data) == 0)
        {
            return ngx_conf_set_enum_slot(cf, cmd, conf);
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: invalid value \"%V\"",
                       &value[0], &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_binarize_bitmask(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t           *value;
    ngx_uint_t           i, m;
    ngx_conf_bitmask_t  *mask;

    value = cf->args->elts;
    mask = cmd->post;

    for (i = 1; i < cf->args->nelts; i++) {

        for (m = 0; mask[m].name.len; m++) {
            if (mask[m].name.len == value[i].len
                && ngx_strcasecmp(mask[m].name.data, value[i].data) == 0)
            {
                break;
            }
        }

        if (mask[m].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%V: invalid value \"%V\"", &value[0],
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_conf_set_bitmask_slot(cf, cmd, conf);
}


static char *
ngx_http_binarize_bind(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t   *value;
    ngx_addr_t   addr;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0
        && ngx_http_script_variables_count(&value[1]) == 0
        && ngx_parse_addr_port(cf->pool, &addr, value[1].data, value[1].len)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid address \"%V\"", &value[0],
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts > 2
        && ngx_strcmp(value[2].data, "transparent") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: invalid parameter \"%V\"", &value[0],
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_upstream_bind_set_slot(cf, cmd, conf);
}


static char *
ngx_http_binarize_positive_time(ngx_conf_t *cf, void *post, void *data)
{
    time_t *s = data;

    return *s > 0 ? NGX_CONF_OK : "has to be above 0";
}


static char *
ngx_http_binarize_positive_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    return (*size > 0 && *size <= ((size_t) 1 << 40))
           ? NGX_CONF_OK : "has to be above 0 and at most 1024g";
}


static char *
ngx_http_binarize_buffer_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    return *size >= 1024 ? NGX_CONF_OK : "has to be at least 1k";
}


#if (NGX_HTTP_SSL)

static char *
ngx_http_binarize_ssl_password_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_binarize_loc_conf_t *blcf = conf;

    ngx_fd_t    fd;
    ngx_str_t  *value;

    if (blcf->answer.flight.cloud.ssl_passwords != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(value[1].data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%V: " ngx_open_file_n " \"%V\" failed",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_close_file(fd);

    blcf->answer.flight.cloud.ssl_passwords = ngx_ssl_read_password_file(cf, &value[1]);

    return blcf->answer.flight.cloud.ssl_passwords ? NGX_CONF_OK : NGX_CONF_ERROR;
}

#endif
