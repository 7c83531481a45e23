
/*
 * Keep-alive HTTP/1.1 connections to one address that count a response's body
 * without ever copying it (recv with MSG_TRUNC), so that what the client costs
 * does not hide what the server does.
 */


#ifndef _BENCH_CLIENT_H_INCLUDED_
#define _BENCH_CLIENT_H_INCLUDED_


#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>


#define CLIENT_HEAD_SIZE  2048


typedef struct {
    int       fd;
    uint64_t  started_ns;       /* of the request in the air */

    char      head[CLIENT_HEAD_SIZE];
    size_t    head_size;

    int       status;           /* 0: the header is not whole yet */
    int64_t   length;           /* Content-Length, -1: none */
    int64_t   left;             /* of the body */
    unsigned  closes:1;
} client_t;


typedef enum {
    CLIENT_AGAIN = 0,
    CLIENT_DONE,                /* one response is whole */
    CLIENT_ERROR
} client_event_e;


/* CLOCK_MONOTONIC */
uint64_t client_now_ns(void);

/* "address:port"; 0, or -1 */
int client_address(const char *text, struct sockaddr_in *address);

/* connects, blocking, then makes the socket non-blocking; 0, or -1 */
int client_open(client_t *client, const struct sockaddr_in *address);

/* sends a request, which fits into the socket's buffer; 0, or -1 */
int client_send(client_t *client, const char *request, size_t size);

/*
 * Reads what has arrived.  no_body: the request was a HEAD.  Chunked bodies
 * are not understood (CLIENT_ERROR): no peer here answers so.
 */
client_event_e client_read(client_t *client, int no_body);


#endif /* _BENCH_CLIENT_H_INCLUDED_ */
