
#ifndef _NGX_HTTP_BINARIZE_STATUS_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_STATUS_H_INCLUDED_


#include "flight/conf.h"
#include "zone/metrics.h"


typedef enum {
    NGX_HTTP_BINARIZE_STATUS_OFF = 0,
    NGX_HTTP_BINARIZE_STATUS_AUTO,           /* by Accept */
    NGX_HTTP_BINARIZE_STATUS_PROMETHEUS,
    NGX_HTTP_BINARIZE_STATUS_JSON,
    NGX_HTTP_BINARIZE_STATUS_HTML
} ngx_http_binarize_status_e;


/* the zone's name as the three formats need it */
typedef struct {
    ngx_str_t                        label;
    ngx_str_t                        json;
    ngx_str_t                        html;
} ngx_http_binarize_status_name_t;


/* a token source of a zone, and its budget */
typedef struct {
    ngx_uint_t                       credential;   /* from 1, as configured */
    ngx_uint_t                       nzone;
    uint64_t                         expires_s;    /* 0: there is no token */
    uint64_t                         quota;        /* 0: there is none */
    uint64_t                         spent;
    ngx_uint_t                       problem;      /* of the last call */
    uint64_t                         next_try_s;
    unsigned                         file:1;       /* read by each worker */
    unsigned                         used:1;
} ngx_http_binarize_status_token_t;


/* a page, written piece by piece into the request's pool */
typedef struct {
    ngx_http_request_t              *request;

    ngx_uint_t                       nzones;
    ngx_http_binarize_snapshot_t    *snapshots;
    ngx_http_binarize_status_name_t *names;        /* of the zones */

    ngx_uint_t                       ntokens;
    ngx_http_binarize_status_token_t *tokens;

    ngx_chain_t                     *chain;
    ngx_chain_t                    **last;
    ngx_buf_t                       *buf;
    off_t                            size;
    unsigned                         failed:1;     /* no memory */
} ngx_http_binarize_page_t;


/* a number of each token source */
typedef struct {
    const char                      *name;         /* without "binarize_" */
    const char                      *help;
    size_t                           offset;       /* in .._status_token_t */
} ngx_http_binarize_credential_t;


/* ends with an entry without a name */
extern const ngx_http_binarize_credential_t  ngx_http_binarize_per_credential[];


/* at most 1024 bytes a call; formats as ngx_sprintf() */
void ngx_cdecl ngx_http_binarize_page_printf(ngx_http_binarize_page_t *page,
    const char *fmt, ...);

/* the i-th number of a family */
uint64_t ngx_http_binarize_family_number(
    const ngx_http_binarize_family_t *family,
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t i);

/* the value of its label; NULL: there is no such number */
const char *ngx_http_binarize_family_value(
    const ngx_http_binarize_family_t *family, ngx_uint_t i);

/* 1 and *n: the token source has such a number */
ngx_uint_t ngx_http_binarize_credential_number(
    const ngx_http_binarize_credential_t *credential,
    ngx_http_binarize_status_token_t *token, uint64_t *n);

/* a namespace that exists: name, or NULL */
u_char *ngx_http_binarize_namespace_name(
    ngx_http_binarize_snapshot_t *snapshot, ngx_uint_t i);

/* requests by namespace, format and source */
uint64_t ngx_http_binarize_requests(ngx_http_binarize_snapshot_t *snapshot,
    ngx_uint_t ns, ngx_uint_t format, ngx_uint_t source);

/* Prometheus' text format, version 0.0.4 */
void ngx_http_binarize_page_prometheus(ngx_http_binarize_page_t *page);

/* the same numbers as a JSON document */
void ngx_http_binarize_page_json(ngx_http_binarize_page_t *page);

/* what a person wants to know, without a script */
void ngx_http_binarize_page_html(ngx_http_binarize_page_t *page);

/* binarize_status, with an .._status_e at cmd->offset; and its words */
char *ngx_http_binarize_status_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_conf_enum_t  ngx_http_binarize_status_words[];

ngx_int_t ngx_http_binarize_status_handler(ngx_http_request_t *r,
    ngx_uint_t format);


#endif /* _NGX_HTTP_BINARIZE_STATUS_H_INCLUDED_ */
