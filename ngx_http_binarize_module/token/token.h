
/*
 * Bearer tokens: OAuth 2.0 client credentials (RFC 6749 4.4), one token for
 * all workers, fetched by one of them at a time; or a file somebody else
 * rotates.
 */


#ifndef _NGX_HTTP_BINARIZE_TOKEN_H_INCLUDED_
#define _NGX_HTTP_BINARIZE_TOKEN_H_INCLUDED_


#include "budget/budget.h"
#include "cloud/conf.h"


#define NGX_HTTP_BINARIZE_TOKEN_OFF          0
#define NGX_HTTP_BINARIZE_TOKEN_CREDENTIALS  1
#define NGX_HTTP_BINARIZE_TOKEN_FILE         2


typedef struct ngx_http_binarize_token_s  ngx_http_binarize_token_t;


/* a token source as configured; shared by the locations that agree */
struct ngx_http_binarize_token_s {
    ngx_http_binarize_cloud_conf_t *conf;       /* for time-outs and TLS */
    ngx_shm_zone_t                 *shm_zone;

    ngx_http_binarize_budget_t     *budget;     /* or NULL */

    ngx_str_t                       client_id;
    ngx_str_t                       client_secret;
    ngx_http_binarize_target_t     *target;
    u_char                          id[32];

    ngx_str_t                       file;       /* then none of the above */

    /* of this worker */
    ngx_str_t                       text;       /* the file's */
    ngx_msec_t                      checked_ms;
    uint64_t                        generation;
    unsigned                        checked:1;
    unsigned                        failed:1;   /* logged */
};


typedef struct {
    ngx_str_t                       text;
    uint64_t                        generation;
} ngx_http_binarize_bearer_t;


/* embedded by who waits */
typedef struct {
    ngx_http_binarize_sleeper_t     sleeper;
    ngx_event_t                     event;
    void                          (*handler)(void *data);
    void                           *data;
} ngx_http_binarize_token_waiter_t;


/*
 * The current token.
 *   NGX_OK        bearer, until it is dropped
 *   NGX_AGAIN     a call is in the air: waiter->handler(data) is called when
 *                 it has ended, then ask again
 *   NGX_DECLINED  there is none now: *problem, and *retry_after_s (0: unknown)
 * A token in its last fifth is given out, and a new one is fetched beside.
 */
ngx_int_t ngx_http_binarize_token_get(ngx_http_binarize_token_t *token,
    ngx_http_binarize_bearer_t *bearer,
    ngx_http_binarize_token_waiter_t *waiter,
    binarize_problem_e *problem, time_t *retry_after_s);

/* wipes the text, if there is one; the generation stays */
void ngx_http_binarize_token_drop(ngx_http_binarize_bearer_t *bearer);

/* the cloud has taken the token of that generation */
void ngx_http_binarize_token_accepted(ngx_http_binarize_token_t *token,
    uint64_t generation);

/*
 * The cloud answered 401 to it.  NGX_OK: ask for another one.  NGX_DECLINED:
 * there will not be a better one soon.
 */
ngx_int_t ngx_http_binarize_token_refused(ngx_http_binarize_token_t *token,
    uint64_t generation);

/* the cloud answered 429: nobody gets the token for so long */
void ngx_http_binarize_token_pause(ngx_http_binarize_token_t *token,
    time_t pause_s);

/* when the configuration is read: what its calls may cost */
void ngx_http_binarize_token_set_budget(ngx_http_binarize_token_t *token,
    ngx_http_binarize_budget_t *budget);

/*
 * Reads a file with a secret when the configuration is read: its first line.
 * Logs in one line why it fails, naming the directive.
 */
ngx_int_t ngx_http_binarize_token_read_secret(ngx_conf_t *cf,
    const char *directive, ngx_str_t *file, ngx_str_t *secret);

/* a pool cleanup: the text a token source read from its file */
void ngx_http_binarize_token_file_cleanup(void *data);


#endif /* _NGX_HTTP_BINARIZE_TOKEN_H_INCLUDED_ */
