/* The request parser of the HTTP front (RFC 9112). */

#ifndef STANDIN_REQUEST_H
#define STANDIN_REQUEST_H

#include "http.h"

/* what request_parse() returns; other values are HTTP error statuses */
#define REQUEST_OK        0
#define REQUEST_AGAIN    -1
#define REQUEST_CONTINUE -2     /* the client waits for 100 Continue */


typedef enum {
    PARSE_LINE,
    PARSE_HEADERS,
    PARSE_BODY,
    PARSE_CHUNK_SIZE,
    PARSE_CHUNK,
    PARSE_CHUNK_END,
    PARSE_TRAILERS,
    PARSE_DONE
} request_state_t;


/* All zeroes is the initial state. */
typedef struct {
    http_request_t   request;
    request_state_t  state;
    size_t           head_size;
    size_t           rest;              /* bytes of body or chunk to come */
    unsigned         expects_continue:1;
} request_parser_t;


/* Consumes what it can of the input. */
int request_parse(request_parser_t *p, struct evbuffer *in, size_t max_body);
/* Frees the request and starts anew. */
void request_parser_reset(request_parser_t *p);
/* 1 if no byte of a request has come */
int request_parser_idle(const request_parser_t *p);

#endif
