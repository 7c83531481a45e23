#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "util.h"


void *
mem_alloc(size_t size)
{
    return mem_realloc(NULL, size);
}


void *
mem_zalloc(size_t size)
{
    return memset(mem_alloc(size), 0, size);
}


void *
mem_realloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);

    if (p == NULL) {
        fprintf(stderr, "standin: out of memory\n");
        abort();
    }

    return p;
}


char *
mem_strdup(const char *s)
{
    size_t  size;

    size = strlen(s) + 1;

    return memcpy(mem_alloc(size), s, size);
}


blob_t *
blob_own(void *data, size_t size)
{
    blob_t  *b;

    b = mem_alloc(sizeof(*b));
    b->refs = 1;
    b->size = size;
    b->data = mem_realloc(data, size + 1);
    b->data[size] = '\0';

    return b;
}


blob_t *
blob_copy(const void *data, size_t size)
{
    void  *p;

    p = mem_alloc(size + 1);

    if (size) {
        memcpy(p, data, size);
    }

    return blob_own(p, size);
}


blob_t *
blob_from_buf(buf_t *buf)
{
    blob_t  *b;

    b = blob_own(buf->data, buf->size);
    memset(buf, 0, sizeof(*buf));

    return b;
}


blob_t *
blob_ref(blob_t *b)
{
    if (b) {
        b->refs++;
    }

    return b;
}


void
blob_unref(blob_t *b)
{
    if (b == NULL || --b->refs) {
        return;
    }

    free(b->data);
    free(b);
}


char *
buf_reserve(buf_t *b, size_t size)
{
    size_t  need;

    need = b->size + size + 1;

    if (need > b->capacity) {
        b->capacity = need > 2 * b->capacity ? need : 2 * b->capacity;
        b->data = mem_realloc(b->data, b->capacity);
    }

    return b->data + b->size;
}


void
buf_add(buf_t *b, const void *data, size_t size)
{
    char  *p;

    p = buf_reserve(b, size);

    if (size) {
        memcpy(p, data, size);
    }

    b->size += size;
    b->data[b->size] = '\0';
}


void
buf_puts(buf_t *b, const char *s)
{
    buf_add(b, s, strlen(s));
}


void
buf_printf(buf_t *b, const char *fmt, ...)
{
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    if (n < 0) {
        return;
    }

    buf_reserve(b, n);

    va_start(args, fmt);
    vsnprintf(b->data + b->size, n + 1, fmt, args);
    va_end(args);

    b->size += n;
}


void
buf_free(buf_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}


/* Returns the code point at *p and moves past it. */
static unsigned
utf8_next(const unsigned char **p)
{
    int            i, n;
    unsigned       c;
    const unsigned char  *s;

    static const unsigned  min[] = { 0, 0x80, 0x800, 0x10000 };

    s = *p;
    c = *s++;
    *p = s;

    if (c < 0x80) {
        return c;
    }

    n = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

    if (c < 0xc2 || c > 0xf4) {
        return 0xfffd;
    }

    c &= 0x3f >> n;

    for (i = 0; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0xfffd;
        }
        c = c << 6 | (s[i] & 0x3f);
    }

    if (c < min[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0xfffd;
    }

    *p = s + n;

    return c;
}


void
buf_json_string(buf_t *b, const char *s)
{
    unsigned              c;
    const char           *e;
    const unsigned char  *p;

    static const char  from[] = "\b\f\n\r\t\\";
    static const char  to[] = "bfnrt\\";

    buf_puts(b, "\"");

    for (p = (const unsigned char *) s; *p; /* void */ ) {
        c = utf8_next(&p);
        e = c < 0x80 ? strchr(from, (int) c) : NULL;

        if (e) {
            buf_printf(b, "\\%c", to[e - from]);

        } else if (c >= 0x10000) {
            c -= 0x10000;
            buf_printf(b, "\\u%04X\\u%04X", 0xd800 + (c >> 10),
                       0xdc00 + (c & 0x3ff));

        } else if (c < 0x20 || c > 0x7e || strchr("\"&'+<>`", (int) c)) {
            buf_printf(b, "\\u%04X", c);

        } else {
            buf_printf(b, "%c", (char) c);
        }
    }

    buf_puts(b, "\"");
}


static int
hex_value(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


int
guid_parse(const char *s, char out[GUID_SIZE + 1])
{
    int  i;

    for (i = 0; i < GUID_SIZE; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s[i] != '-') {
                return -1;
            }
            out[i] = '-';
            continue;
        }

        if (hex_value((unsigned char) s[i]) < 0) {
            return -1;
        }

        out[i] = "0123456789abcdef"[hex_value((unsigned char) s[i])];
    }

    out[i] = '\0';

    return s[i] == '\0' ? 0 : -1;
}


void
guid_random(char out[GUID_SIZE + 1])
{
    unsigned char  r[16];

    random_bytes(r, sizeof(r));

    r[6] = (r[6] & 0x0f) | 0x40;
    r[8] = (r[8] & 0x3f) | 0x80;

    snprintf(out, GUID_SIZE + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
             "%02x%02x%02x%02x%02x%02x",
             r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9],
             r[10], r[11], r[12], r[13], r[14], r[15]);
}


void
random_bytes(void *p, size_t size)
{
    if (RAND_bytes(p, (int) size) != 1) {
        fprintf(stderr, "standin: no random bytes\n");
        abort();
    }
}


/* xorshift64* */
void
noise_bytes(uint64_t *state, void *p, size_t size)
{
    size_t          n;
    uint64_t        x, r;
    unsigned char  *out;

    out = p;
    x = *state;

    while (size) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        r = x * 0x2545f4914f6cdd1dULL;

        n = size < sizeof(r) ? size : sizeof(r);
        memcpy(out, &r, n);
        out += n;
        size -= n;
    }

    *state = x;
}


unsigned char *
base64_decode(const char *s, size_t *size)
{
    int             npad, v;
    size_t          n;
    unsigned        bits;
    unsigned char  *out, *p;

    p = out = mem_alloc(strlen(s) / 4 * 3 + 4);
    bits = 0;
    npad = 0;

    for (n = 0; *s; s++) {

        if (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n') {
            continue;
        }

        if (*s == '=') {
            npad++;
            v = 0;

        } else if (npad) {
            goto invalid;

        } else if (*s >= 'A' && *s <= 'Z') {
            v = *s - 'A';

        } else if (*s >= 'a' && *s <= 'z') {
            v = *s - 'a' + 26;

        } else if (*s >= '0' && *s <= '9') {
            v = *s - '0' + 52;

        } else if (*s == '+' || *s == '/') {
            v = *s == '+' ? 62 : 63;

        } else {
            goto invalid;
        }

        bits = bits << 6 | (unsigned) v;

        if (++n % 4 == 0) {
            *p++ = (unsigned char) (bits >> 16);
            *p++ = (unsigned char) (bits >> 8);
            *p++ = (unsigned char) bits;
        }
    }

    if (n % 4 || npad > 2) {
        goto invalid;
    }

    *size = (size_t) (p - out) - (size_t) npad;

    return out;

invalid:

    free(out);

    return NULL;
}


void
buf_base64(buf_t *b, const void *data, size_t size)
{
    char  *p;

    p = buf_reserve(b, (size + 2) / 3 * 4 + 1);
    b->size += (size_t) EVP_EncodeBlock((unsigned char *) p, data, (int) size);
}


void
buf_base64url(buf_t *b, const void *data, size_t size)
{
    char    *p;
    size_t   start;

    start = b->size;
    buf_base64(b, data, size);

    while (b->size > start && b->data[b->size - 1] == '=') {
        b->data[--b->size] = '\0';
    }

    for (p = b->data + start; p < b->data + b->size; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    }
}


void
sha256_hex(const void *data, size_t size, char out[65])
{
    int            i;
    unsigned char  md[SHA256_DIGEST_LENGTH];

    SHA256(data, size, md);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        snprintf(out + 2 * i, 3, "%02x", md[i]);
    }
}


void
url_decode(char *s, int plus)
{
    char  *p;

    for (p = s; *s; s++) {

        if (*s == '%' && hex_value((unsigned char) s[1]) >= 0
            && hex_value((unsigned char) s[2]) >= 0)
        {
            *p++ = (char) (hex_value((unsigned char) s[1]) << 4
                           | hex_value((unsigned char) s[2]));
            s += 2;

        } else {
            *p++ = *s == '+' && plus ? ' ' : *s;
        }
    }

    *p = '\0';
}


int
query_next(char **pos, char **name, char **value)
{
    char  *p;

    do {
        if (*pos == NULL) {
            return 0;
        }

        *name = strsep(pos, "&");

    } while (**name == '\0');

    p = strchr(*name, '=');

    if (p) {
        *p = '\0';
        *value = p + 1;

    } else {
        *value = *name + strlen(*name);
    }

    url_decode(*name, 1);
    url_decode(*value, 1);

    return 1;
}


char *
query_get(const char *query, const char *wanted)
{
    char  *copy, *pos, *name, *value, *found;

    found = NULL;
    pos = copy = mem_strdup(query);

    while (found == NULL && query_next(&pos, &name, &value)) {
        if (strcasecmp(name, wanted) == 0) {
            found = mem_strdup(value);
        }
    }

    free(copy);

    return found;
}


double
wall_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (double) ts.tv_sec * 1e3 + (double) (ts.tv_nsec / 1000) / 1e3;
}


uint64_t
now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}
