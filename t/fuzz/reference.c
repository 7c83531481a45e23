
#include <string.h>

#include "reference.h"


/* each takes what it knows from the front of the text, NULL if it cannot */

static const char *json_value(const char *p, const char *end, size_t depth);
static const char *json_list(const char *p, const char *end, size_t depth,
    char close);
static const char *json_string(const char *p, const char *end);
static const char *json_escape(const char *p, const char *end);
static const char *json_number(const char *p, const char *end);
static const char *json_digits(const char *p, const char *end);
static const char *json_space(const char *p, const char *end);
static long json_hex(const char *p, const char *end);
static size_t utf8_size(const unsigned char *p, const unsigned char *end);


int
reference_json(const unsigned char *doc, size_t size, size_t max_depth)
{
    const char  *p, *end;

    p = (const char *) doc;
    end = p + size;

    p = json_space(p, end);

    if (p == end || *p != '{') {
        return 0;
    }

    p = json_value(p, end, max_depth);

    return p != NULL && json_space(p, end) == end;
}


static const char *
json_value(const char *p, const char *end, size_t depth)
{
    size_t  i;

    static const char  *literals[] = { "null", "true", "false" };

    if (p == end) {
        return NULL;
    }

    if (*p == '"') {
        return json_string(p, end);
    }

    if (*p == '{' || *p == '[') {
        return depth ? json_list(p + 1, end, depth - 1, *p == '{' ? '}' : ']')
                     : NULL;
    }

    for (i = 0; i < 3; i++) {
        if ((size_t) (end - p) >= strlen(literals[i])
            && strncmp(p, literals[i], strlen(literals[i])) == 0)
        {
            return p + strlen(literals[i]);
        }
    }

    return json_number(p, end);
}


static const char *
json_list(const char *p, const char *end, size_t depth, char close)
{
    p = json_space(p, end);

    if (p != end && *p == close) {
        return p + 1;
    }

    for ( ;; ) {

        if (close == '}') {
            p = json_string(p, end);

            if (p == NULL) {
                return NULL;
            }

            p = json_space(p, end);

            if (p == end || *p != ':') {
                return NULL;
            }

            p = json_space(p + 1, end);
        }

        p = json_value(p, end, depth);

        if (p == NULL) {
            return NULL;
        }

        p = json_space(p, end);

        if (p == end) {
            return NULL;
        }

        if (*p == close) {
            return p + 1;
        }

        if (*p != ',') {
            return NULL;
        }

        p = json_space(p + 1, end);
    }
}


static const char *
json_string(const char *p, const char *end)
{
    size_t  n;

    if (p == end || *p != '"') {
        return NULL;
    }

    p++;

    while (p != end) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\') {
            p = json_escape(p + 1, end);

            if (p == NULL) {
                return NULL;
            }

            continue;
        }

        n = utf8_size((const unsigned char *) p, (const unsigned char *) end);

        if (n == 0 || (n == 1 && *p < ' ')) {
            return NULL;
        }

        p += n;
    }

    return NULL;
}


static const char *
json_escape(const char *p, const char *end)
{
    long  code, low;

    if (p == end) {
        return NULL;
    }

    if (*p != 'u') {
        return *p && strchr("\"\\/bfnrt", *p) ? p + 1 : NULL;
    }

    code = json_hex(p + 1, end);

    if (code <= 0 || (code >= 0xdc00 && code <= 0xdfff)) {
        return NULL;
    }

    p += 5;

    if (code < 0xd800 || code > 0xdbff) {
        return p;
    }

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NULL;
    }

    low = json_hex(p + 2, end);

    return low >= 0xdc00 && low <= 0xdfff ? p + 6 : NULL;
}


static long
json_hex(const char *p, const char *end)
{
    int          i;
    long         code;
    const char  *digit;

    static const char  digits[] = "00112233445566778899aAbBcCdDeEfF";

    if (end - p < 4) {
        return -1;
    }

    code = 0;

    for (i = 0; i < 4; i++) {
        digit = p[i] ? strchr(digits, p[i]) : NULL;

        if (digit == NULL) {
            return -1;
        }

        code = code * 16 + (digit - digits) / 2;
    }

    return code;
}


static const char *
json_number(const char *p, const char *end)
{
    const char  *start;

    start = p;

    if (*p == '-') {
        p++;
    }

    if (p != end && *p == '0') {
        p++;

    } else {
        p = json_digits(p, end);
    }

    if (p && p != end && *p == '.') {
        p = json_digits(p + 1, end);
    }

    if (p && p != end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p != end && (*p == '+' || *p == '-')) {
            p++;
        }

        p = json_digits(p, end);
    }

    return p && p - start <= 63 ? p : NULL;
}


static const char *
json_digits(const char *p, const char *end)
{
    const char  *start;

    for (start = p; p != end && *p >= '0' && *p <= '9'; p++) { /* void */ }

    return p == start ? NULL : p;
}


static const char *
json_space(const char *p, const char *end)
{
    while (p != end && *p && strchr(" \t\r\n", *p)) {
        p++;
    }

    return p;
}


int
reference_utf8(const unsigned char *text, size_t size)
{
    size_t  i, n;

    for (i = 0; i < size; i += n) {
        n = utf8_size(text + i, text + size);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


/* by decoding: overlong forms, surrogates and large codes show as numbers */

static size_t
utf8_size(const unsigned char *p, const unsigned char *end)
{
    size_t    i, n;
    uint32_t  code;

    static const uint32_t  smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (p[0] < 0x80) {
        return 1;
    }

    for (n = 0; n < 8 && (p[0] & 0x80 >> n); n++) { /* void */ }

    if (n < 2 || n > 4 || (size_t) (end - p) < n) {
        return 0;
    }

    code = p[0] & (0x7f >> n);

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        code = code << 6 | (p[i] & 0x3f);
    }

    if (code < smallest[n] || code > 0x10ffff
        || (code >= 0xd800 && code <= 0xdfff))
    {
        return 0;
    }

    return n;
}


long
reference_base64(const unsigned char *text, size_t size, unsigned char *out,
    int *unpadded)
{
    int          bit;
    long         nbits, n;
    size_t       i, ndigits, npads, value;
    const char  *digit;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    ndigits = 0;
    npads = 0;

    memset(out, 0, size);

    for (i = 0; i < size; i++) {

        if (text[i] && strchr(" \t\r\n", text[i])) {
            continue;
        }

        if (text[i] == '=') {
            npads++;
            continue;
        }

        digit = text[i] ? strchr(digits, text[i]) : NULL;

        if (digit == NULL || npads) {
            return -1;
        }

        value = digit - digits;

        for (bit = 0; bit < 6; bit++) {
            nbits = (long) ndigits * 6 + bit;

            if (value >> (5 - bit) & 1) {
                out[nbits / 8] |= 0x80 >> nbits % 8;
            }
        }

        ndigits++;
    }

    *unpadded = ndigits % 4 && npads == 0;

    if (ndigits % 4 == 1 || (npads && (ndigits + npads) % 4)
        || npads > 2 || (npads && ndigits % 4 == 0))
    {
        return -1;
    }

    nbits = (long) ndigits * 6;
    n = nbits / 8;

    /* what is left over has to be zero */

    return nbits % 8 && out[n] ? -1 : n;
}
