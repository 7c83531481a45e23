
#include "conf/conf.h"
#include "answer/placeholder.h"
#include "common/conf.h"


#define NGX_HTTP_BINARIZE_L_CONF                                              \
    NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF

#define NGX_HTTP_BINARIZE_MSL_CONF                                            \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_BINARIZE_L_CONF

#define ngx_http_binarize_answer_offset(member)                               \
    offsetof(ngx_http_binarize_loc_conf_t, answer.member)

#define ngx_http_binarize_flight_offset(member)                               \
    ngx_http_binarize_answer_offset(flight.member)

#define ngx_http_binarize_cloud_offset(member)                                \
    ngx_http_binarize_flight_offset(cloud.member)


ngx_command_t  ngx_http_binarize_commands[] = {

    { ngx_string("binarize_pass"),
      NGX_HTTP_BINARIZE_L_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_pass_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_id"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(id),
      NULL },

    { ngx_string("binarize_format"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_words_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(format),
      ngx_http_binarize_format_words },

    { ngx_string("binarize_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_zone_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_cache"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_cache_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_valid"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_flight_offset(valid_s),
      &ngx_http_binarize_valid_post },

    { ngx_string("binarize_negative_valid"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_negative_valid_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_wait"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(wait_ms),
      NULL },

    { ngx_string("binarize_poll"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_poll_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_max_size"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(max_size),
      &ngx_http_binarize_max_size_post },

    { ngx_string("binarize_cache_control"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(cache_control),
      NULL },

    { ngx_string("binarize_credentials"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE123,
      ngx_http_binarize_credentials_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, token),
      NULL },

    { ngx_string("binarize_bearer_file"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_bearer_file_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, token),
      NULL },

    { ngx_string("binarize_redis"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_flight_redis_set,
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
      ngx_http_binarize_header_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("binarize_status"),
      NGX_HTTP_BINARIZE_L_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_binarize_page_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, status),
      ngx_http_binarize_status_words },

    { ngx_string("binarize_intercept_errors"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(intercept_errors),
      NULL },

    { ngx_string("binarize_purge"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_answer_offset(purge),
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
      ngx_http_binarize_cloud_offset(upstream.connect_timeout),
      NULL },

    { ngx_string("binarize_send_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.send_timeout),
      NULL },

    { ngx_string("binarize_read_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.read_timeout),
      NULL },

    { ngx_string("binarize_buffer_size"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.buffer_size),
      &ngx_http_binarize_buffer_size_post },

    { ngx_string("binarize_bind"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE12,
      ngx_http_binarize_bind_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.local),
      NULL },

    { ngx_string("binarize_next_upstream"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_words_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.next_upstream),
      ngx_http_binarize_next_upstream_words },

    { ngx_string("binarize_next_upstream_tries"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.next_upstream_tries),
      NULL },

    { ngx_string("binarize_next_upstream_timeout"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.next_upstream_timeout),
      NULL },

    { ngx_string("binarize_socket_keepalive"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.socket_keepalive),
      NULL },

#if (NGX_HTTP_SSL)

    { ngx_string("binarize_ssl_session_reuse"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.ssl_session_reuse),
      NULL },

    { ngx_string("binarize_ssl_protocols"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_1MORE,
      ngx_http_binarize_words_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.protocols),
      ngx_http_binarize_ssl_protocol_words },

    { ngx_string("binarize_ssl_ciphers"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.ciphers),
      NULL },

    { ngx_string("binarize_ssl_name"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.ssl_name),
      NULL },

    { ngx_string("binarize_ssl_server_name"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.ssl_server_name),
      NULL },

    { ngx_string("binarize_ssl_verify"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      ngx_http_binarize_cloud_offset(upstream.ssl_verify),
      NULL },

    { ngx_string("binarize_ssl_verify_depth"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.verify_depth),
      NULL },

    { ngx_string("binarize_ssl_trusted_certificate"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.trusted_certificate),
      NULL },

    { ngx_string("binarize_ssl_crl"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.crl),
      NULL },

    { ngx_string("binarize_ssl_certificate"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.certificate),
      NULL },

    { ngx_string("binarize_ssl_certificate_key"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.certificate_key),
      NULL },

    { ngx_string("binarize_ssl_password_file"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE1,
      ngx_http_binarize_ssl_password_file_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.passwords),
      NULL },

    { ngx_string("binarize_ssl_conf_command"),
      NGX_HTTP_BINARIZE_MSL_CONF|NGX_CONF_TAKE2,
      ngx_conf_set_keyval_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_binarize_loc_conf_t, ssl.conf_commands),
      NULL },

#endif

      ngx_null_command
};
