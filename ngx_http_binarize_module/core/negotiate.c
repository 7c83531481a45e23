
#include <string.h>

#include "negotiate.h"


#define NEGOTIATE_QUALITY_MAX  1000


/* how closely a range names an offer, the closest counts */
typedef enum {
    NEGOTIATE_NO_MATCH = 0,
    NEGOTIATE_ANY,                  /* any type */
    NEGOTIATE_TYPE,                 /* any subtype of the type */
    NEGOTIATE_STAND_IN,             /* a type that counts as the offer */
    NEGOTIATE_EXACT,
    NEGOTIATE_PARAMETER             /* with a parameter of the answer */
} negotiate_match_e;


typedef struct {
    const unsigned char  *next;
    const unsigned char  *end;
} negotiate_input_t;


typedef struct {
    binarize_span_t       type;
    binarize_span_t       subtype;
    unsigned              quality;
    unsigned              quality_seen:1;
    unsigned              charset:1;        /* charset=utf-8 */
    unsigned              foreign:1;        /* any other parameter */
} negotiate_range_t;


typedef struct {
    const char           *type;
    const char           *subtype;
    negotiate_match_e     match;
    unsigned              charset:1;        /* may be named */
} negotiate_name_t;


typedef struct {
    negotiate_match_e     match;
    unsigned              quality;
} negotiate_offer_t;


static int negotiate_range(negotiate_input_t *in, negotiate_range_t *range);
static int negotiate_parameters(negotiate_input_t *in,
    negotiate_range_t *range);
static int negotiate_parameter(negotiate_range_t *range,
    binarize_span_t name, binarize_span_t value);
static int negotiate_quality(binarize_span_t value, unsigned *quality);
static void negotiate_weigh(const negotiate_name_t *names,
    const negotiate_range_t *range, negotiate_offer_t *offer);
static negotiate_match_e negotiate_match(const negotiate_name_t *names,
    const negotiate_range_t *range);

static int prefer_preference(negotiate_input_t *in, binarize_span_t *name,
    binarize_span_t *value);
static int prefer_pair(negotiate_input_t *in, binarize_span_t *name,
    binarize_span_t *value);
static int prefer_seconds(binarize_span_t value, uint32_t *seconds);

static int field_parameter(negotiate_input_t *in);
static int field_next(negotiate_input_t *in);
static void field_skip(negotiate_input_t *in);
static int field_at_end(negotiate_input_t *in);
static int field_char(negotiate_input_t *in, unsigned char c);
static void field_space(negotiate_input_t *in);
static int field_token(negotiate_input_t *in, binarize_span_t *token);
static int field_value(negotiate_input_t *in, binarize_span_t *value);
static int field_quoted(negotiate_input_t *in, binarize_span_t *value);
static int field_is_token_char(unsigned char c);
static int span_is(binarize_span_t span, const char *lower);


static const negotiate_name_t  negotiate_png[] = {
    { "image",       "png",  NEGOTIATE_EXACT,    0 },
    { "image",       "*",    NEGOTIATE_TYPE,     0 },
    { "*",           "*",    NEGOTIATE_ANY,      0 },
    { NULL,          NULL,   NEGOTIATE_NO_MATCH, 0 }
};


static const negotiate_name_t  negotiate_json[] = {
    { "application", "json", NEGOTIATE_EXACT,    1 },
    { "text",        "json", NEGOTIATE_STAND_IN, 1 },
    { "text",        "plain", NEGOTIATE_STAND_IN, 1 },
    { "application", "*",    NEGOTIATE_TYPE,     0 },
    { "*",           "*",    NEGOTIATE_ANY,      0 },
    { NULL,          NULL,   NEGOTIATE_NO_MATCH, 0 }
};


int
binarize_segment_parse(const unsigned char *text, size_t size,
    unsigned char guid[BINARIZE_GUID_SIZE], binarize_format_e *format)
{
    size_t                suffix_size;
    const unsigned char  *suffix;

    if (size < BINARIZE_GUID_SIZE) {
        return BINARIZE_ERROR;
    }

    suffix = text + BINARIZE_GUID_SIZE;
    suffix_size = size - BINARIZE_GUID_SIZE;

    if (suffix_size == 0) {
        *format = BINARIZE_FORMAT_NONE;

    } else {
        if (suffix[0] != '.') {
            return BINARIZE_ERROR;
        }

        *format = binarize_format_parse(suffix + 1, suffix_size - 1);

        if (*format == BINARIZE_FORMAT_NONE) {
            return BINARIZE_ERROR;
        }
    }

    return binarize_guid_parse(text, BINARIZE_GUID_SIZE, guid);
}


binarize_format_e
binarize_format_parse(const unsigned char *text, size_t size)
{
    if (size == 3 && memcmp(text, "png", 3) == 0) {
        return BINARIZE_FORMAT_PNG;
    }

    if (size == 4 && memcmp(text, "json", 4) == 0) {
        return BINARIZE_FORMAT_JSON;
    }

    return BINARIZE_FORMAT_NONE;
}


binarize_format_e
binarize_negotiate(const unsigned char *accept, size_t size,
    binarize_format_e preferred)
{
    int                nranges;
    negotiate_input_t  in;
    negotiate_offer_t  png, json;
    negotiate_range_t  range;

    if (size == 0) {
        return preferred;
    }

    in.next = accept;
    in.end = size ? accept + size : accept;

    memset(&png, 0, sizeof(png));
    memset(&json, 0, sizeof(json));

    nranges = 0;

    while (field_next(&in)) {

        if (negotiate_range(&in, &range) != BINARIZE_OK) {
            field_skip(&in);
            continue;
        }

        nranges = 1;

        negotiate_weigh(negotiate_png, &range, &png);
        negotiate_weigh(negotiate_json, &range, &json);
    }

    if (!nranges) {
        return preferred;
    }

    if (png.quality == 0 && json.quality == 0) {
        return BINARIZE_FORMAT_NONE;
    }

    if (png.quality == json.quality) {
        return preferred;
    }

    return png.quality > json.quality ? BINARIZE_FORMAT_PNG
                                      : BINARIZE_FORMAT_JSON;
}


unsigned
binarize_accept_quality(const unsigned char *accept, size_t size,
    const char *type, const char *subtype)
{
    int                nranges;
    negotiate_input_t  in;
    negotiate_offer_t  offer;
    negotiate_range_t  range;

    const negotiate_name_t  names[] = {
        { type, subtype, NEGOTIATE_EXACT,    0 },
        { type, "*",     NEGOTIATE_TYPE,     0 },
        { "*",  "*",     NEGOTIATE_ANY,      0 },
        { NULL, NULL,    NEGOTIATE_NO_MATCH, 0 }
    };

    in.next = accept;
    in.end = size ? accept + size : accept;

    memset(&offer, 0, sizeof(offer));

    nranges = 0;

    while (size && field_next(&in)) {

        if (negotiate_range(&in, &range) != BINARIZE_OK) {
            field_skip(&in);
            continue;
        }

        nranges = 1;

        range.charset = 0;
        range.foreign = 0;

        negotiate_weigh(names, &range, &offer);
    }

    return nranges ? offer.quality : NEGOTIATE_QUALITY_MAX;
}


int
binarize_prefer_wait(const unsigned char *prefer, size_t size,
    uint32_t *wait_s)
{
    int                rc;
    binarize_span_t    name, value;
    negotiate_input_t  in;

    if (size == 0) {
        return BINARIZE_DECLINED;
    }

    in.next = prefer;
    in.end = size ? prefer + size : prefer;

    while (field_next(&in)) {

        rc = prefer_preference(&in, &name, &value);

        if (span_is(name, "wait")) {
            return rc == BINARIZE_OK ? prefer_seconds(value, wait_s)
                                     : BINARIZE_ERROR;
        }

        if (rc != BINARIZE_OK) {
            field_skip(&in);
        }
    }

    return BINARIZE_DECLINED;
}


/* a member of Accept and its weight, to the comma or the end */

static int
negotiate_range(negotiate_input_t *in, negotiate_range_t *range)
{
    memset(range, 0, sizeof(*range));
    range->quality = NEGOTIATE_QUALITY_MAX;

    if (field_token(in, &range->type) != BINARIZE_OK
        || field_char(in, '/') != BINARIZE_OK
        || field_token(in, &range->subtype) != BINARIZE_OK)
    {
        return BINARIZE_ERROR;
    }

    /* "*" is a token's character, too */

    if (span_is(range->type, "*") && !span_is(range->subtype, "*")) {
        return BINARIZE_ERROR;
    }

    return negotiate_parameters(in, range);
}


static int
negotiate_parameters(negotiate_input_t *in, negotiate_range_t *range)
{
    int              rc;
    binarize_span_t  name, value;

    while ((rc = field_parameter(in)) == BINARIZE_OK) {

        if (field_token(in, &name) != BINARIZE_OK
            || field_char(in, '=') != BINARIZE_OK
            || field_value(in, &value) != BINARIZE_OK
            || negotiate_parameter(range, name, value) != BINARIZE_OK)
        {
            return BINARIZE_ERROR;
        }
    }

    return rc == BINARIZE_DECLINED ? BINARIZE_OK : rc;
}


/* "q" is the weight wherever it stands: RFC 9110, 12.5.1 */

static int
negotiate_parameter(negotiate_range_t *range, binarize_span_t name,
    binarize_span_t value)
{
    if (span_is(name, "q")) {

        if (range->quality_seen) {
            return BINARIZE_ERROR;
        }

        range->quality_seen = 1;
        return negotiate_quality(value, &range->quality);
    }

    if (span_is(name, "charset") && span_is(value, "utf-8")) {
        range->charset = 1;

    } else {
        range->foreign = 1;
    }

    return BINARIZE_OK;
}


/*
 * RFC 9110, 12.4.2, in thousandths; the zero before the point may be missing
 * (HttpURLConnection of Java sends "q=.2")
 */

static int
negotiate_quality(binarize_span_t value, unsigned *quality)
{
    size_t    i;
    unsigned  q, unit;

    i = 0;
    q = 0;

    if (value.size && (value.data[0] == '0' || value.data[0] == '1')) {
        q = (value.data[0] - '0') * NEGOTIATE_QUALITY_MAX;
        i = 1;
    }

    if (i == value.size) {
        *quality = q;
        return i ? BINARIZE_OK : BINARIZE_ERROR;
    }

    if (value.data[i] != '.' || value.size - i > 4 || value.size < 2) {
        return BINARIZE_ERROR;
    }

    unit = NEGOTIATE_QUALITY_MAX / 10;

    for (i++; i < value.size; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return BINARIZE_ERROR;
        }

        q += (value.data[i] - '0') * unit;
        unit /= 10;
    }

    if (q > NEGOTIATE_QUALITY_MAX) {
        return BINARIZE_ERROR;
    }

    *quality = q;

    return BINARIZE_OK;
}


/* of ranges that are equally close the best counts */

static void
negotiate_weigh(const negotiate_name_t *names, const negotiate_range_t *range,
    negotiate_offer_t *offer)
{
    negotiate_match_e  match;

    match = negotiate_match(names, range);

    if (match == NEGOTIATE_NO_MATCH || match < offer->match) {
        return;
    }

    if (match > offer->match || range->quality > offer->quality) {
        offer->match = match;
        offer->quality = range->quality;
    }
}


static negotiate_match_e
negotiate_match(const negotiate_name_t *names, const negotiate_range_t *range)
{
    const negotiate_name_t  *n;

    if (range->foreign) {
        return NEGOTIATE_NO_MATCH;
    }

    for (n = names; n->type; n++) {

        if (!span_is(range->type, n->type)
            || !span_is(range->subtype, n->subtype))
        {
            continue;
        }

        if (!range->charset) {
            return n->match;
        }

        if (!n->charset) {
            return NEGOTIATE_NO_MATCH;
        }

        return n->match == NEGOTIATE_EXACT ? NEGOTIATE_PARAMETER : n->match;
    }

    return NEGOTIATE_NO_MATCH;
}


/*
 * RFC 7240, section 2: a preference with its parameters.  name is set even
 * where the rest is malformed, value is empty where there is none.
 */

static int
prefer_preference(negotiate_input_t *in, binarize_span_t *name,
    binarize_span_t *value)
{
    int              rc;
    binarize_span_t  parameter, ignored;

    if (prefer_pair(in, name, value) != BINARIZE_OK) {
        return BINARIZE_ERROR;
    }

    while ((rc = field_parameter(in)) == BINARIZE_OK) {

        if (prefer_pair(in, &parameter, &ignored) != BINARIZE_OK) {
            return BINARIZE_ERROR;
        }
    }

    return rc == BINARIZE_DECLINED ? BINARIZE_OK : rc;
}


static int
prefer_pair(negotiate_input_t *in, binarize_span_t *name,
    binarize_span_t *value)
{
    value->data = NULL;
    value->size = 0;

    if (field_token(in, name) != BINARIZE_OK) {
        return BINARIZE_ERROR;
    }

    field_space(in);

    if (field_char(in, '=') != BINARIZE_OK) {
        return BINARIZE_OK;
    }

    field_space(in);

    return field_value(in, value);
}


/* delta-seconds, RFC 9111, 1.2.2: what is too large is the largest */

static int
prefer_seconds(binarize_span_t value, uint32_t *seconds)
{
    size_t    i;
    uint64_t  s;

    if (value.size == 0) {
        return BINARIZE_ERROR;
    }

    s = 0;

    for (i = 0; i < value.size; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return BINARIZE_ERROR;
        }

        if (s <= UINT32_MAX) {
            s = s * 10 + (value.data[i] - '0');
        }
    }

    *seconds = s > UINT32_MAX ? UINT32_MAX : (uint32_t) s;

    return BINARIZE_OK;
}


/*
 * To the next parameter of a member, RFC 9110, 5.6.6; empty ones are allowed.
 * BINARIZE_OK, BINARIZE_DECLINED if there is none, or BINARIZE_ERROR
 */

static int
field_parameter(negotiate_input_t *in)
{
    for ( ;; ) {
        field_space(in);

        if (field_at_end(in)) {
            return BINARIZE_DECLINED;
        }

        if (field_char(in, ';') != BINARIZE_OK) {
            return BINARIZE_ERROR;
        }

        field_space(in);

        if (!field_at_end(in) && *in->next != ';') {
            return BINARIZE_OK;
        }
    }
}


/* to the next member of a list, RFC 9110, 5.6.1; 0 at the end */

static int
field_next(negotiate_input_t *in)
{
    while (in->next < in->end
           && (*in->next == ',' || *in->next == ' ' || *in->next == '\t'))
    {
        in->next++;
    }

    return in->next < in->end;
}


/* over the rest of a malformed member */

static void
field_skip(negotiate_input_t *in)
{
    binarize_span_t  ignored;

    while (!field_at_end(in)) {

        if (*in->next != '"') {
            in->next++;

        } else if (field_quoted(in, &ignored) != BINARIZE_OK) {
            in->next = in->end;
        }
    }
}


static int
field_at_end(negotiate_input_t *in)
{
    return in->next == in->end || *in->next == ',';
}


static int
field_char(negotiate_input_t *in, unsigned char c)
{
    if (in->next == in->end || *in->next != c) {
        return BINARIZE_ERROR;
    }

    in->next++;

    return BINARIZE_OK;
}


static void
field_space(negotiate_input_t *in)
{
    while (in->next < in->end && (*in->next == ' ' || *in->next == '\t')) {
        in->next++;
    }
}


static int
field_token(negotiate_input_t *in, binarize_span_t *token)
{
    token->data = in->next;

    while (in->next < in->end && field_is_token_char(*in->next)) {
        in->next++;
    }

    token->size = in->next - token->data;

    return token->size ? BINARIZE_OK : BINARIZE_ERROR;
}


static int
field_value(negotiate_input_t *in, binarize_span_t *value)
{
    if (in->next < in->end && *in->next == '"') {
        return field_quoted(in, value);
    }

    return field_token(in, value);
}


/*
 * What stands between the quotes, RFC 9110, 5.6.4.  Quoted pairs are left as
 * they are: nothing that is compared has a reason to use them.  Unterminated,
 * it leaves next where it was.
 */

static int
field_quoted(negotiate_input_t *in, binarize_span_t *value)
{
    const unsigned char  *p;

    for (p = in->next + 1; p < in->end && *p != '"'; p++) {

        if (*p == '\\') {
            p++;

            if (p == in->end) {
                return BINARIZE_ERROR;
            }
        }

        if ((*p < 0x20 && *p != '\t') || *p == 0x7f) {
            return BINARIZE_ERROR;
        }
    }

    if (p >= in->end) {
        return BINARIZE_ERROR;
    }

    value->data = in->next + 1;
    value->size = p - value->data;
    in->next = p + 1;

    return BINARIZE_OK;
}


/* RFC 9110, 5.6.2 */

static int
field_is_token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        return 1;
    }

    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}


static int
span_is(binarize_span_t span, const char *lower)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < span.size; i++) {

        c = span.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (unsigned char) lower[i]) {
            return 0;
        }
    }

    return lower[span.size] == '\0';
}
