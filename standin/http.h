/*
 * The HTTP/1.1 front: listener, connections, requests, and the player of
 * answers. An answer is a script of timed steps over raw bytes, so that
 * every misbehaviour on the wire is just another script.
 */

#ifndef STANDIN_HTTP_H
#define STANDIN_HTTP_H

#include <event2/buffer.h>

#include "util.h"

#define HTTP_MAX_STEPS    12
#define HTTP_MAX_HEADERS  128


typedef struct {
    char  *name;
    char  *value;
} http_header_t;


typedef struct {
    char           *line;               /* request line as received */
    char           *method;
    char           *path;               /* percent-decoded */
    char           *query;              /* as received, "" if there is none */
    int             minor;              /* HTTP/1.minor */
    http_header_t   headers[HTTP_MAX_HEADERS];
    size_t          nheaders;
    buf_t           body;
} http_request_t;


typedef enum {
    STEP_WRITE,                 /* bytes */
    STEP_DRIBBLE,               /* bytes, size of them every ms */
    STEP_FLOOD,                 /* bytes, again and again */
    STEP_SLEEP,                 /* ms */
    STEP_HANG,                  /* until the client closes */
    STEP_END,                   /* wait for the next request */
    STEP_CLOSE,                 /* after all bytes left, in order */
    STEP_CUT,                   /* the same without TLS' close_notify */
    STEP_RESET                  /* the same by a TCP RST */
} http_step_kind_t;


typedef struct {
    http_step_kind_t   kind;
    struct evbuffer   *bytes;
    uint64_t           ms;
    size_t             size;
} http_step_t;


/* What is to be played for one request, and who wants to know its end. */
typedef struct {
    http_step_t   steps[HTTP_MAX_STEPS];
    size_t        nsteps;
    int           status;       /* for the log; 0: no HTTP answer */
    size_t        body_size;    /* for the log */
    /* complete is 0 if the client left before the last step */
    void        (*on_done)(void *data, int complete);
    void         *data;
} http_script_t;


typedef struct http_server_s  http_server_t;

/* Called with every whole request; has to fill in the script. */
typedef void (*http_handler_pt)(http_request_t *r, http_script_t *script,
    void *data);


typedef struct {
    const char       *listen;           /* "127.0.0.1:0", "[::1]:80" */
    const char       *tls_cert;         /* NULL: plain HTTP */
    const char       *tls_key;
    const char       *tls_client_ca;    /* demand client certificates */
    unsigned          keepalive_s;      /* idle connections are closed then */
    size_t            max_body;
    const char       *log;              /* NULL: none, "-": stderr */
    http_handler_pt   handler;
    void             *data;
} http_options_t;


typedef struct {
    char      name[256];
    uint64_t  n;
} http_sni_t;


typedef struct {
    uint64_t    accepted;
    uint64_t    handshakes;
    uint64_t    handshakes_resumed;
    uint64_t    handshakes_failed;
    uint64_t    requests;
    uint64_t    bad_requests;
    uint64_t    max_open;
    http_sni_t  sni[32];
    size_t      nsni;
} http_counters_t;


struct event_base;

/* Prints what is wrong and returns NULL on any error. */
http_server_t *http_server_create(struct event_base *base,
    const http_options_t *options);
void http_server_destroy(http_server_t *server);

/* "127.0.0.1:8080" */
const char *http_server_address(http_server_t *server);
http_counters_t *http_server_counters(http_server_t *server);
uint64_t http_server_open(http_server_t *server);
/* closes the connections that wait for a request; returns how many */
size_t http_server_close_idle(http_server_t *server);
/* accepts nothing for that long; the kernel still completes handshakes */
void http_server_pause(http_server_t *server, uint64_t ms);

/* First header of that name, NULL if absent. */
const char *http_header(const http_request_t *r, const char *name);
/* 1 if the client wants the connection kept (RFC 9112, 9.3) */
int http_request_keepalive(const http_request_t *r);

void http_script_add(http_script_t *script, http_step_kind_t kind,
    struct evbuffer *bytes, uint64_t ms, size_t size);

#endif
