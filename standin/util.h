/*
 * Small helpers of the stand-in cloud: bytes, text, identifiers, time.
 * Allocation failure ends the program: it is a test server.
 */

#ifndef STANDIN_UTIL_H
#define STANDIN_UTIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define GUID_SIZE  36


/* Immutable bytes shared by several answers; used by one thread at a time. */
typedef struct {
    size_t          refs;
    size_t          size;
    unsigned char  *data;       /* zero-terminated beyond size */
} blob_t;


/* A growing buffer; data is zero-terminated, NULL while nothing was added. */
typedef struct {
    char    *data;
    size_t   size;
    size_t   capacity;
} buf_t;


void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);

blob_t *blob_copy(const void *data, size_t size);
/* takes over memory from mem_alloc */
blob_t *blob_own(void *data, size_t size);
/* takes over the buffer's memory and leaves it empty */
blob_t *blob_from_buf(buf_t *b);
blob_t *blob_ref(blob_t *b);
/* NULL is allowed */
void blob_unref(blob_t *b);

/* makes room for size more bytes and returns where they go */
char *buf_reserve(buf_t *b, size_t size);
void buf_add(buf_t *b, const void *data, size_t size);
void buf_puts(buf_t *b, const char *s);
void buf_printf(buf_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_free(buf_t *b);

/*
 * A JSON string with its quotes, escaped as System.Text.Json's default
 * encoder does: only harmless ASCII stays, the rest becomes \uXXXX.
 * Bytes that are not UTF-8 become U+FFFD.
 */
void buf_json_string(buf_t *b, const char *s);

/* Canonical (lower case) form of an 8-4-4-4-12 GUID; -1 if it is none. */
int guid_parse(const char *s, char out[GUID_SIZE + 1]);
/* A random version 4 GUID (RFC 9562). */
void guid_random(char out[GUID_SIZE + 1]);

void random_bytes(void *p, size_t size);
/* A repeatable stream of bytes; state is any non-zero number. */
void noise_bytes(uint64_t *state, void *p, size_t size);

/*
 * Convert.FromBase64String(): white space is skipped, padding is required.
 * Returns memory of *size bytes, NULL if the text is not base64.
 */
unsigned char *base64_decode(const char *s, size_t *size);
void buf_base64(buf_t *b, const void *data, size_t size);
/* RFC 4648 section 5, no padding */
void buf_base64url(buf_t *b, const void *data, size_t size);
void sha256_hex(const void *data, size_t size, char out[65]);

/* In place; plus: "+" means a space, as in forms. */
void url_decode(char *s, int plus);
/*
 * Splits "a=b&c=d" in place and hands out decoded pairs; *pos starts as the
 * text and ends as NULL. Returns 0 when there are no more.
 */
int query_next(char **pos, char **name, char **value);
/* First value of a name (without case) in a copy of query; NULL if absent. */
char *query_get(const char *query, const char *name);

/* Milliseconds of wall clock since 1970, and of the monotonic clock. */
double wall_ms(void);
uint64_t now_ms(void);

#endif
