#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "request.h"

#define REQUEST_MAX_HEAD  (64 * 1024)


static int parse_line(request_parser_t *p, char *line);
static int parse_header(request_parser_t *p, char *line);
static int parse_headers_end(request_parser_t *p, size_t max_body);
static int parse_chunk_size(request_parser_t *p, const char *line,
    size_t max_body);
static int parse_body(request_parser_t *p, struct evbuffer *in);
static int parse_text_line(request_parser_t *p, char *line, size_t max_body);


int
request_parse(request_parser_t *p, struct evbuffer *in, size_t max_body)
{
    int      rc;
    char    *line;
    size_t   size;

    while (p->state != PARSE_DONE) {

        if (p->state == PARSE_BODY || p->state == PARSE_CHUNK) {
            rc = parse_body(p, in);

            if (rc != REQUEST_OK) {
                return rc;
            }

            continue;
        }

        line = evbuffer_readln(in, &size, EVBUFFER_EOL_CRLF);

        if (line == NULL) {
            return evbuffer_get_length(in) > REQUEST_MAX_HEAD ? 431
                                                              : REQUEST_AGAIN;
        }

        p->head_size += size;

        rc = p->head_size > REQUEST_MAX_HEAD ? 431
             : strlen(line) != size ? 400
             : parse_text_line(p, line, max_body);

        free(line);

        if (rc != REQUEST_OK) {
            return rc;
        }
    }

    return REQUEST_OK;
}


static int
parse_text_line(request_parser_t *p, char *line, size_t max_body)
{
    switch (p->state) {

    case PARSE_LINE:
        /* RFC 9112, 2.2: empty lines before a request line are ignored */
        return *line ? parse_line(p, line) : REQUEST_OK;

    case PARSE_HEADERS:
        return *line ? parse_header(p, line) : parse_headers_end(p, max_body);

    case PARSE_CHUNK_SIZE:
        return parse_chunk_size(p, line, max_body);

    case PARSE_CHUNK_END:
        p->state = PARSE_CHUNK_SIZE;
        p->head_size = 0;
        return *line ? 400 : REQUEST_OK;

    default: /* PARSE_TRAILERS */
        if (*line == '\0') {
            p->state = PARSE_DONE;
        }
        return REQUEST_OK;
    }
}


static int
parse_line(request_parser_t *p, char *line)
{
    char            *target, *version, *query;
    http_request_t  *r;

    r = &p->request;
    r->line = mem_strdup(line);

    target = strchr(line, ' ');
    version = target ? strchr(target + 1, ' ') : NULL;

    if (version == NULL || strncmp(version, " HTTP/1.", 8) != 0
        || !isdigit((unsigned char) version[8]) || version[9] != '\0'
        || target == line)
    {
        return 400;
    }

    *target++ = '\0';
    *version = '\0';
    r->minor = version[8] - '0';

    if (*target != '/') {
        return 400;
    }

    query = strchr(target, '?');

    if (query) {
        *query++ = '\0';
    }

    r->method = mem_strdup(line);
    r->query = mem_strdup(query ? query : "");
    r->path = mem_strdup(target);
    url_decode(r->path, 0);

    p->state = PARSE_HEADERS;

    return REQUEST_OK;
}


static int
parse_header(request_parser_t *p, char *line)
{
    char           *colon, *value, *end;
    http_header_t  *h;

    colon = strchr(line, ':');

    /* no colon, no name, a folded line or a space before the colon */
    if (colon == NULL || strcspn(line, ": \t") == 0
        || line[strcspn(line, ": \t")] != ':')
    {
        return 400;
    }

    if (p->request.nheaders == HTTP_MAX_HEADERS) {
        return 431;
    }

    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    end = value + strlen(value);

    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }

    h = &p->request.headers[p->request.nheaders++];
    h->name = mem_strdup(line);
    h->value = mem_strdup(value);

    return REQUEST_OK;
}


static int
parse_headers_end(request_parser_t *p, size_t max_body)
{
    char                *end;
    const char          *te, *cl, *expect;
    unsigned long long   size;

    te = http_header(&p->request, "Transfer-Encoding");
    cl = http_header(&p->request, "Content-Length");
    expect = http_header(&p->request, "Expect");
    p->head_size = 0;

    if (te) {
        if (cl || strcasecmp(te, "chunked") != 0) {
            return 400;
        }
        p->state = PARSE_CHUNK_SIZE;

    } else if (cl) {
        size = strtoull(cl, &end, 10);

        if (!isdigit((unsigned char) *cl) || *end) {
            return 400;
        }

        if (size > max_body) {
            return 413;
        }

        p->rest = (size_t) size;
        p->state = size ? PARSE_BODY : PARSE_DONE;

    } else {
        p->state = PARSE_DONE;
    }

    if (p->state != PARSE_DONE && expect
        && strcasecmp(expect, "100-continue") == 0)
    {
        p->expects_continue = 1;
    }

    return REQUEST_OK;
}


static int
parse_chunk_size(request_parser_t *p, const char *line, size_t max_body)
{
    char                *end;
    unsigned long long   size;

    p->head_size = 0;
    size = strtoull(line, &end, 16);

    if (!isxdigit((unsigned char) *line) || (*end && *end != ';')) {
        return 400;
    }

    if (size > max_body - p->request.body.size) {
        return 413;
    }

    p->rest = (size_t) size;
    p->state = size ? PARSE_CHUNK : PARSE_TRAILERS;

    return REQUEST_OK;
}


static int
parse_body(request_parser_t *p, struct evbuffer *in)
{
    int      n;
    char    *dst;
    buf_t   *body;
    size_t   size;

    body = &p->request.body;
    size = evbuffer_get_length(in);

    if (size == 0) {
        return p->expects_continue ? REQUEST_CONTINUE : REQUEST_AGAIN;
    }

    p->expects_continue = 0;
    size = size < p->rest ? size : p->rest;
    dst = buf_reserve(body, size);
    n = evbuffer_remove(in, dst, size);

    if (n <= 0) {
        return REQUEST_AGAIN;
    }

    body->size += (size_t) n;
    body->data[body->size] = '\0';
    p->rest -= (size_t) n;

    if (p->rest) {
        return REQUEST_AGAIN;
    }

    p->state = p->state == PARSE_BODY ? PARSE_DONE : PARSE_CHUNK_END;

    return REQUEST_OK;
}


void
request_parser_reset(request_parser_t *p)
{
    size_t           i;
    http_request_t  *r;

    r = &p->request;

    free(r->line);
    free(r->method);
    free(r->path);
    free(r->query);
    buf_free(&r->body);

    for (i = 0; i < r->nheaders; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }

    memset(p, 0, sizeof(*p));
}


int
request_parser_idle(const request_parser_t *p)
{
    return p->state == PARSE_LINE;
}


const char *
http_header(const http_request_t *r, const char *name)
{
    size_t  i;

    for (i = 0; i < r->nheaders; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0) {
            return r->headers[i].value;
        }
    }

    return NULL;
}


int
http_request_keepalive(const http_request_t *r)
{
    const char  *value;

    value = http_header(r, "Connection");

    if (value && strcasestr(value, "close")) {
        return 0;
    }

    return r->minor > 0 || (value && strcasestr(value, "keep-alive"));
}
