
#ifndef _NGX_HTTP_BINARIZE_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/budget.h"
#include "core/envelope.h"
#include "core/guid.h"
#include "core/negotiate.h"
#include "core/png.h"
#include "core/record.h"
#include "core/scan.h"


#define NGX_HTTP_BINARIZE_NAME     "binarize"
#define NGX_HTTP_BINARIZE_VERSION  "0.1.0"


typedef struct ngx_http_binarize_loc_conf_s  ngx_http_binarize_loc_conf_t;
typedef struct ngx_http_binarize_budget_s    ngx_http_binarize_budget_t;
typedef struct ngx_http_binarize_flight_s    ngx_http_binarize_flight_t;
typedef struct ngx_http_binarize_json_s      ngx_http_binarize_json_t;
typedef struct ngx_http_binarize_placeholder_s
                                             ngx_http_binarize_placeholder_t;
typedef struct ngx_http_binarize_result_s    ngx_http_binarize_result_t;
typedef struct ngx_http_binarize_redis_s     ngx_http_binarize_redis_t;
typedef struct ngx_http_binarize_token_s     ngx_http_binarize_token_t;
typedef struct ngx_http_binarize_zone_s      ngx_http_binarize_zone_t;


/* an http(s) server the module calls */
typedef struct {
    ngx_str_t                      url;        /* as configured */
    ngx_str_t                      authority;  /* host[:port] of the URL */
    ngx_str_t                      host;       /* for the resolver and SNI */
    ngx_str_t                      uri;        /* path, at least "/" */
    in_port_t                      port;

    ngx_addr_t                    *addrs;      /* known when it was read */
    ngx_uint_t                     naddrs;

    /* an upstream{} or one of our own; NULL: resolved at run time */
    ngx_http_upstream_srv_conf_t  *upstream;

    unsigned                       no_port:1;  /* in the URL */
    unsigned                       ssl:1;
} ngx_http_binarize_target_t;


typedef struct {
    ngx_array_t                    zones;      /* ngx_shm_zone_t *, named */
    ngx_array_t                    gateways;   /* ngx_http_binarize_loc_conf_t * */
    ngx_array_t                    redises;    /* ngx_http_binarize_redis_t * */
    ngx_array_t                    tokens;     /* ngx_http_binarize_token_t * */

    ngx_queue_t                    idle;       /* idle connections, this
                                                  worker's, see cloud/peer.c */
    ngx_uint_t                     nidle;
    ngx_queue_t                    sessions;   /* of TLS, likewise */
    ngx_uint_t                     nsessions;

    ngx_queue_t                    remote;     /* flights that wait for
                                                  another node */
} ngx_http_binarize_main_conf_t;


typedef struct {
    ngx_str_t                      name;
    ngx_http_complex_value_t       value;
} ngx_http_binarize_header_t;


typedef struct {
    binarize_budget_limits_t       limits;
    ngx_uint_t                     shared;
} ngx_http_binarize_budget_conf_t;


struct ngx_http_binarize_loc_conf_s {
    ngx_http_upstream_conf_t       upstream;

    /* the context jobs run in: this location's, made harmless */
    void                         **job_main_conf;
    void                         **job_srv_conf;
    void                         **job_loc_conf;

    ngx_http_binarize_main_conf_t *main_conf;
    ngx_http_binarize_target_t    *target;     /* NULL: not a gateway */
    ngx_str_t                      ns;         /* the key's namespace */
    ngx_uint_t                     ns_index;   /* of its counters */
    u_char                         ns_digest[16];
    ngx_str_t                      prefix;     /* empty: last segment */
    ngx_uint_t                     regex;      /* the location's name is one */

    ngx_http_complex_value_t      *id;
    ngx_uint_t                     format;     /* binarize_format_e */
    ngx_str_t                      zone_name;
    ngx_shm_zone_t                *zone;
    ngx_flag_t                     l1;
    time_t                         valid_s;
    ngx_msec_t                     negative_ms;
    ngx_msec_t                     negative_max_ms;
    ngx_msec_t                     wait_ms;
    ngx_msec_t                     poll_ms;
    ngx_msec_t                     poll_max_ms;
    size_t                         max_size;
    ngx_http_complex_value_t      *cache_control;
    ngx_array_t                   *headers;    /* of .._header_t */
    ngx_flag_t                     intercept_errors;
    ngx_flag_t                     purge;
    ngx_http_binarize_placeholder_t *placeholder; /* NULL: off */
    ngx_uint_t                     status;     /* .._status_e, the page */

    /* the token source as configured, then the one it resolves to */
    ngx_uint_t                     token_source;  /* unset: inherited */
    ngx_str_t                      client_id;
    ngx_str_t                      client_secret;
    ngx_http_binarize_target_t    *token_target;  /* NULL: pass' host */
    ngx_str_t                      bearer_file;
    ngx_http_binarize_token_t     *token;

    /* as configured, NULL: "off"; and the credential's own */
    ngx_http_binarize_budget_conf_t  *budget_conf;
    ngx_http_binarize_budget_t    *budget;

    ngx_http_binarize_redis_t     *redis;

#if (NGX_HTTP_SSL)
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
};


#define NGX_HTTP_BINARIZE_TOKEN_OFF          0
#define NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS  1
#define NGX_HTTP_BINARIZE_TOKEN_FILE         2


/* where an answer came from: $binarize_cache */
typedef enum {
    NGX_HTTP_BINARIZE_NONE = 0,
    NGX_HTTP_BINARIZE_L1,
    NGX_HTTP_BINARIZE_REDIS,
    NGX_HTTP_BINARIZE_MISS,
    NGX_HTTP_BINARIZE_COLLAPSED,
    NGX_HTTP_BINARIZE_NEGATIVE,
    NGX_HTTP_BINARIZE_PENDING,
    NGX_HTTP_BINARIZE_BYPASS
} ngx_http_binarize_source_e;


/* the gateway's own problem documents, see the table in answer/answer.c */
typedef enum {
    NGX_HTTP_BINARIZE_OK = 0,
    NGX_HTTP_BINARIZE_BAD_ID,
    NGX_HTTP_BINARIZE_BAD_FORMAT,
    NGX_HTTP_BINARIZE_BAD_METHOD,
    NGX_HTTP_BINARIZE_NOT_ACCEPTABLE,
    NGX_HTTP_BINARIZE_NOT_FOUND,
    NGX_HTTP_BINARIZE_TASK_ERROR,
    NGX_HTTP_BINARIZE_NO_RESULT,
    NGX_HTTP_BINARIZE_UNREACHABLE,
    NGX_HTTP_BINARIZE_UNAUTHORIZED,
    NGX_HTTP_BINARIZE_BAD_STATUS,
    NGX_HTTP_BINARIZE_BAD_RESPONSE,
    NGX_HTTP_BINARIZE_TRUNCATED,
    NGX_HTTP_BINARIZE_BAD_DOCUMENT,
    NGX_HTTP_BINARIZE_TOO_LARGE,
    NGX_HTTP_BINARIZE_NOT_PNG,
    NGX_HTTP_BINARIZE_TIMEOUT,
    NGX_HTTP_BINARIZE_BUSY,
    NGX_HTTP_BINARIZE_BUDGET,
    NGX_HTTP_BINARIZE_TOKEN_REFUSED,
    NGX_HTTP_BINARIZE_TOKEN_FAILED,
    NGX_HTTP_BINARIZE_INTERNAL,

    /* of a purge, not of a flight */
    NGX_HTTP_BINARIZE_NOT_KEPT,
    NGX_HTTP_BINARIZE_NOT_PURGED
} ngx_http_binarize_problem_e;


/*
 * What a request is answered with.  Shared by all requests a flight answers,
 * by reference count; release() gives back what the spans point into.
 */
struct ngx_http_binarize_result_s {
    ngx_uint_t                     refs;

    ngx_http_binarize_problem_e    problem;    /* _OK: a document */
    binarize_outcome_e             outcome;
    binarize_task_status_e         task_status;
    ngx_http_binarize_source_e     source;
    uint64_t                       expires_ms; /* ngx_current_msec; 0: never */

    ngx_str_t                      doc;        /* payload emptied */
    size_t                         payload_offset;
    binarize_span_t               *png;        /* its pieces, in order */
    ngx_uint_t                     npieces;
    size_t                         png_size;
    u_char                         etag[BINARIZE_ETAG_SIZE];
    u_char                         json_etag[BINARIZE_ETAG_SIZE];
    time_t                         stored;

    time_t                         retry_after_s;
    ngx_uint_t                     status;     /* the cloud's, 0: none */

    unsigned                       unpadded:1;
    unsigned                       kept:1;     /* in L1 or Redis */

    ngx_pool_t                    *pool;       /* its own, or NULL */
    void                         (*release)(ngx_http_binarize_result_t *result);
    void                          *owner;
    void                          *owned;
};


/* one client request */
typedef struct {
    ngx_http_request_t            *request;
    ngx_http_binarize_loc_conf_t  *conf;
    u_char                         key[32];    /* of L1 and flights */
    u_char                         guid[BINARIZE_GUID_SIZE];
    binarize_format_e              format;

    ngx_http_binarize_flight_t    *flight;     /* waiting for its landing */
    ngx_queue_t                    queue;      /* flight->waiters */
    ngx_event_t                    deadline;
    ngx_msec_t                     wait_ms;
    ngx_msec_t                     started_ms;

    ngx_http_binarize_result_t    *result;     /* what it is answered with */
    ngx_http_binarize_json_t      *json;       /* being sent */

    ngx_http_binarize_source_e     source;
    ngx_uint_t                     cloud_calls;
    ngx_msec_t                     waited_ms;
    binarize_task_status_e         task_status;

    unsigned                       has_guid:1;
    unsigned                       has_status:1;
    unsigned                       leader:1;
    unsigned                       vary:1;
    unsigned                       patient:1;  /* deadline has not passed */
    unsigned                       prefer:1;   /* Prefer: wait was applied */
    unsigned                       headed:1;   /* its headers are set */
    unsigned                       done:1;
} ngx_http_binarize_ctx_t;


/* also of an empty string, whose data may be NULL */
static ngx_inline ngx_uint_t
ngx_http_binarize_str_equal(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* answer/handler.c */
ngx_int_t ngx_http_binarize_handler(ngx_http_request_t *r);

/*
 * Whether what the request's URL is answered with depends on Accept: it has
 * neither a suffix nor an argument "format".
 */
ngx_uint_t ngx_http_binarize_varies(ngx_http_request_t *r);

/* answer/problem.c: the slug of a problem */
const char *ngx_http_binarize_problem_name(
    ngx_http_binarize_problem_e problem);

extern ngx_module_t  ngx_http_binarize_module;


#endif /* _NGX_HTTP_BINARIZE_H_INCLUDED_ */
