#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

#include "wire.h"

/* pieces as a .NET service's response pipe hands them out */
#define WIRE_CHUNK  16384


static void wire_override(answer_t *a, const fault_t *f, blob_t *rule_body);
static void wire_default_body(answer_t *a);
static int wire_has_body(int status);
static const char *wire_reason(int status);
static void wire_raw(http_script_t *script, const fault_t *f, blob_t *body);
static struct evbuffer *wire_interim(const char *list);
static struct evbuffer *wire_head(const answer_t *a, const fault_t *f,
    fault_framing_t framing);
static void wire_length(struct evbuffer *b, size_t size, const char *length);
static struct evbuffer *wire_body(blob_t *body, size_t upto, size_t chunk);
static struct evbuffer *wire_flood(const char *text, int chunked);
static void wire_bytes(http_script_t *script, const fault_t *f,
    struct evbuffer *b, int dribble);
static int wire_stop(http_script_t *script, const fault_t *f, fault_at_t at);
static blob_t *wire_gzip(const blob_t *body);
static const char *wire_date(void);


void
wire_answer(http_script_t *script, answer_t *a, const fault_t *f,
    blob_t *rule_body)
{
    int               cut;
    size_t            size, upto, chunk;
    blob_t           *packed;
    fault_framing_t   framing;
    struct evbuffer  *b;

    if (f->raw || f->garbage) {
        wire_raw(script, f, rule_body);
        goto done;
    }

    wire_override(a, f, rule_body);

    framing = f->framing ? (fault_framing_t) (f->framing - 1)
                         : a->body ? FRAMING_CHUNKED : FRAMING_LENGTH;

    if (f->gzip) {
        buf_puts(&a->headers, "Content-Encoding: gzip\r\n");

        if (f->gzip == 1 && a->body) {
            packed = wire_gzip(a->body);
            blob_unref(a->body);
            a->body = packed;
        }
    }

    size = a->body ? a->body->size : 0;
    script->status = a->status;
    script->body_size = size;

    if (f->delay_ms) {
        http_script_add(script, STEP_SLEEP, NULL, f->delay_ms, 0);
    }

    if (wire_stop(script, f, AT_START)) {
        goto done;
    }

    if (f->interim) {
        http_script_add(script, STEP_WRITE, wire_interim(f->interim), 0, 0);
    }

    b = wire_head(a, f, framing);

    if (f->hang == AT_MIDHEAD || f->close == AT_MIDHEAD) {
        upto = evbuffer_get_length(b) / 2;
        packed = blob_copy(evbuffer_pullup(b, -1), upto);
        evbuffer_free(b);
        b = wire_body(packed, upto, 0);
        blob_unref(packed);
    }

    wire_bytes(script, f, b, f->dribble_head);

    if (wire_stop(script, f, AT_MIDHEAD) || wire_stop(script, f, AT_HEAD)) {
        goto done;
    }

    if (f->body_delay_ms) {
        http_script_add(script, STEP_SLEEP, NULL, f->body_delay_ms, 0);
    }

    cut = f->hang == AT_BODY || f->close == AT_BODY || f->flood;
    upto = !cut ? size : f->at == 0 ? size / 2 : f->at < size ? f->at : size;
    chunk = framing != FRAMING_CHUNKED && framing != FRAMING_BOTH ? 0
            : f->chunk ? f->chunk : WIRE_CHUNK;

    if (wire_has_body(a->status)) {
        wire_bytes(script, f, wire_body(a->body, upto, chunk), 1);

        if (f->flood) {
            http_script_add(script, STEP_FLOOD,
                            wire_flood(f->flood, chunk != 0), 0, 0);
            goto done;
        }

        if (chunk && !cut) {
            b = evbuffer_new();
            evbuffer_add(b, "0\r\n\r\n", 5);
            http_script_add(script, STEP_WRITE, b, 0, 0);
        }
    }

    if (wire_stop(script, f, AT_BODY) || wire_stop(script, f, AT_END)) {
        goto done;
    }

    http_script_add(script, f->keepalive_off || framing == FRAMING_CLOSE
                            || framing == FRAMING_HTTP10
                            ? STEP_CLOSE : STEP_END, NULL, 0, 0);

done:

    buf_free(&a->headers);
    blob_unref(a->body);
    a->body = NULL;
}


/* Returns 1 if the answer ends here. */
static int
wire_stop(http_script_t *script, const fault_t *f, fault_at_t at)
{
    if (f->hang == (int) at) {
        http_script_add(script, STEP_HANG, NULL, 0, 0);
        return 1;
    }

    if (f->close == (int) at) {
        http_script_add(script, f->reset ? STEP_RESET : STEP_CUT, NULL, 0, 0);
        return 1;
    }

    return 0;
}


static void
wire_override(answer_t *a, const fault_t *f, blob_t *rule_body)
{
    size_t  i;

    if (f->http) {
        a->status = (int) f->http;
    }

    if (f->body || rule_body) {
        blob_unref(a->body);
        a->body = f->body ? blob_copy(f->body, strlen(f->body))
                          : blob_ref(rule_body);

    } else if (f->http && a->status != 200) {
        wire_default_body(a);
    }

    if (f->content_type) {
        a->content_type = *f->content_type ? f->content_type : NULL;
    }

    if (f->retry_after) {
        buf_printf(&a->headers, "Retry-After: %s\r\n", f->retry_after);
    }

    if (f->location) {
        buf_printf(&a->headers, "Location: %s\r\n", f->location);
    }

    for (i = 0; i < f->nheader; i++) {
        buf_printf(&a->headers, "%s\r\n", f->header[i]);
    }
}


static void
wire_default_body(answer_t *a)
{
    buf_t        b = { NULL, 0, 0 };
    const char  *reason;

    blob_unref(a->body);
    a->body = NULL;
    a->content_type = NULL;

    reason = wire_reason(a->status);

    if (a->status == 401) {
        answer_unauthorized(a, "The signature is invalid");

    } else if (a->status >= 500) {
        buf_printf(&b, "<html>\r\n<head><title>%d %s</title></head>\r\n<body>"
                   "\r\n<center><h1>%d %s</h1></center>\r\n</body>\r\n"
                   "</html>\r\n", a->status, reason, a->status, reason);
        a->body = blob_from_buf(&b);
        a->content_type = "text/html";

    } else if (a->status >= 400) {
        answer_problem(a, a->status, reason, NULL);
    }
}


static int
wire_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}


static const char *
wire_reason(int status)
{
    size_t  i;

    static const struct {
        int          status;
        const char  *reason;
    } reasons[] = {
        { 100, "Continue" }, { 102, "Processing" }, { 103, "Early Hints" },
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
        { 204, "No Content" }, { 206, "Partial Content" },
        { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" },
        { 304, "Not Modified" }, { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" }, { 400, "Bad Request" },
        { 401, "Unauthorized" }, { 402, "Payment Required" },
        { 403, "Forbidden" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
        { 413, "Payload Too Large" }, { 415, "Unsupported Media Type" },
        { 429, "Too Many Requests" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 502, "Bad Gateway" },
        { 503, "Service Temporarily Unavailable" },
        { 504, "Gateway Time-out" },
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }

    return "Unknown";
}


static void
wire_raw(http_script_t *script, const fault_t *f, blob_t *body)
{
    buf_t      b = { NULL, 0, 0 };
    blob_t    *noise;
    uint64_t   seed;

    if (f->delay_ms) {
        http_script_add(script, STEP_SLEEP, NULL, f->delay_ms, 0);
    }

    if (f->raw) {
        noise = body ? blob_ref(body) : blob_copy("", 0);

    } else {
        seed = 1;
        noise_bytes(&seed, buf_reserve(&b, f->garbage), f->garbage);
        b.size = f->garbage;
        noise = blob_from_buf(&b);
    }

    script->body_size = noise->size;
    wire_bytes(script, f, wire_body(noise, noise->size, 0), 1);
    blob_unref(noise);

    if (!wire_stop(script, f, AT_END)) {
        http_script_add(script, STEP_CUT, NULL, 0, 0);
    }
}


static struct evbuffer *
wire_interim(const char *list)
{
    int               status;
    char             *end;
    struct evbuffer  *b;

    b = evbuffer_new();

    for ( /* void */ ; *list; list = end + (*end == ',')) {
        status = (int) strtol(list, &end, 10);

        if (end == list) {
            break;
        }

        evbuffer_add_printf(b, "HTTP/1.1 %d %s\r\n%s\r\n", status,
                            wire_reason(status),
                            status == 103
                            ? "Link: </style.css>; rel=preload\r\n" : "");
    }

    return b;
}


static struct evbuffer *
wire_head(const answer_t *a, const fault_t *f, fault_framing_t framing)
{
    char             *huge;
    size_t            size;
    struct evbuffer  *b;

    b = evbuffer_new();
    size = a->body ? a->body->size : 0;

    evbuffer_add_printf(b, "HTTP/1.%d %d %s\r\n", framing != FRAMING_HTTP10,
                        a->status, wire_reason(a->status));

    if (a->content_type) {
        evbuffer_add_printf(b, "Content-Type: %s\r\n", a->content_type);
    }

    evbuffer_add_printf(b, "Date: %s\r\nServer: Kestrel\r\n", wire_date());

    if (!wire_has_body(a->status)) {
        framing = FRAMING_CLOSE;
    }

    if (framing == FRAMING_LENGTH || framing == FRAMING_BOTH) {
        wire_length(b, size, f->length);
    }

    if (framing == FRAMING_CHUNKED || framing == FRAMING_BOTH) {
        evbuffer_add_printf(b, "Transfer-Encoding: chunked\r\n");
    }

    if (f->keepalive_off
        || (framing == FRAMING_CLOSE && wire_has_body(a->status)))
    {
        evbuffer_add_printf(b, "Connection: close\r\n");
    }

    if (a->headers.size) {
        evbuffer_add(b, a->headers.data, a->headers.size);
    }

    if (f->huge_header) {
        huge = mem_alloc(f->huge_header);
        memset(huge, 'h', f->huge_header);
        evbuffer_add_printf(b, "X-Huge: ");
        evbuffer_add(b, huge, f->huge_header);
        evbuffer_add_printf(b, "\r\n");
        free(huge);
    }

    evbuffer_add_printf(b, "\r\n");

    return b;
}


static void
wire_length(struct evbuffer *b, size_t size, const char *length)
{
    long long  n;

    n = (long long) size;

    /* an unescaped "+" of a query arrives as a space */
    if (length && strchr("+- ", *length)) {
        n += strtoll(length, NULL, 10);

    } else if (length) {
        evbuffer_add_printf(b, "Content-Length: %s\r\n", length);
        return;
    }

    evbuffer_add_printf(b, "Content-Length: %lld\r\n", n);
}


static void
wire_release(const void *data, size_t size, void *extra)
{
    (void) data;
    (void) size;

    blob_unref(extra);
}


/*
 * The body up to some byte, without the end of chunks; a chunk that is cut
 * has its full size in front.
 */
static struct evbuffer *
wire_body(blob_t *body, size_t upto, size_t chunk)
{
    size_t            pos, n, declared;
    struct evbuffer  *b;

    b = evbuffer_new();

    for (pos = 0; pos < upto; pos += n) {
        declared = body->size - pos;
        declared = chunk && chunk < declared ? chunk : declared;
        n = declared < upto - pos ? declared : upto - pos;

        if (chunk) {
            evbuffer_add_printf(b, "%zx\r\n", declared);
        }

        evbuffer_add_reference(b, body->data + pos, n, wire_release,
                               blob_ref(body));
        if (chunk && n == declared) {
            evbuffer_add(b, "\r\n", 2);
        }
    }

    return b;
}


/* A block of 64 KB or so of the text, to be sent for ever. */
static struct evbuffer *
wire_flood(const char *text, int chunked)
{
    size_t            n;
    struct evbuffer  *b;

    text = *text ? text : "A";
    n = 65536 / strlen(text) + 1;
    b = evbuffer_new();

    if (chunked) {
        evbuffer_add_printf(b, "%zx\r\n", n * strlen(text));
    }

    while (n--) {
        evbuffer_add(b, text, strlen(text));
    }

    if (chunked) {
        evbuffer_add(b, "\r\n", 2);
    }

    return b;
}


static void
wire_bytes(http_script_t *script, const fault_t *f, struct evbuffer *b,
    int dribble)
{
    if (f->dribble && dribble) {
        http_script_add(script, STEP_DRIBBLE, b,
                        f->dribble_ms ? f->dribble_ms : 1, f->dribble);
        return;
    }

    http_script_add(script, STEP_WRITE, b, 0, 0);
}


static blob_t *
wire_gzip(const blob_t *body)
{
    buf_t     b = { NULL, 0, 0 };
    z_stream  z;

    memset(&z, 0, sizeof(z));

    /* 15 bits of window, and 16 for a gzip header */
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
    {
        fprintf(stderr, "standin: deflateInit2() failed\n");
        abort();
    }

    z.next_in = body->data;
    z.avail_in = (uInt) body->size;
    z.avail_out = (uInt) deflateBound(&z, body->size);
    z.next_out = (unsigned char *) buf_reserve(&b, z.avail_out);

    deflate(&z, Z_FINISH);
    b.size = z.total_out;
    deflateEnd(&z);

    return blob_from_buf(&b);
}


static const char *
wire_date(void)
{
    time_t     now;
    struct tm  tm;

    static char    text[64];
    static time_t  last;

    now = time(NULL);

    if (now != last) {
        last = now;
        gmtime_r(&now, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }

    return text;
}


void
answer_problem(answer_t *a, int status, const char *title,
    const char *detail)
{
    int            i;
    buf_t          b = { NULL, 0, 0 };
    unsigned char  r[24];

    random_bytes(r, sizeof(r));

    buf_puts(&b, "{\"type\":\"https://tools.ietf.org/html/");
    buf_puts(&b, status == 429 ? "rfc6585#section-4\""
                 : status == 404 ? "rfc7231#section-6.5.4\""
                 : status == 405 ? "rfc7231#section-6.5.5\""
                 : "rfc7231#section-6.5.1\"");
    buf_puts(&b, ",\"title\":");
    buf_json_string(&b, title);
    buf_printf(&b, ",\"status\":%d", status);

    if (detail) {
        buf_puts(&b, ",\"detail\":");
        buf_json_string(&b, detail);
    }

    buf_puts(&b, ",\"traceId\":\"00-");

    for (i = 0; i < 24; i++) {
        buf_printf(&b, i == 16 ? "-%02x" : "%02x", r[i]);
    }

    buf_puts(&b, "-00\"}");

    a->status = status;
    a->content_type = "application/problem+json; charset=utf-8";
    a->body = blob_from_buf(&b);
}


void
answer_unauthorized(answer_t *a, const char *description)
{
    a->status = 401;
    a->content_type = NULL;
    buf_puts(&a->headers, "WWW-Authenticate: Bearer");

    if (description) {
        buf_printf(&a->headers, " error=\"invalid_token\","
                   " error_description=\"%s\"", description);
    }

    buf_puts(&a->headers, "\r\n");
}
