
/*
 * One function per state, each is given the next byte and says
 *   BINARIZE_OK        the byte is used and belongs into the envelope
 *   BINARIZE_DECLINED  the byte is for the state set instead
 *   BINARIZE_ERROR     scan_fail() was called
 * Only the payload is not read byte by byte: scan_payload_run().
 */


#include <string.h>

#include "scan.h"


/* cJSON reads no more of a number */
#define SCAN_NUMBER_MAX_SIZE  63

/* white space in the payload is bounded by what comes with it, and this */
#define SCAN_SPACES_FREE      65536

#define SCAN_BOM_SIZE         3


typedef enum {
    SCAN_SCOPE_NONE = 0,
    SCAN_SCOPE_TOP,
    SCAN_SCOPE_RESULT,              /* results[0] */
    SCAN_SCOPE_ERROR
} scan_scope_e;


typedef enum {
    SCAN_OTHER = 0,
    SCAN_ID,
    SCAN_TASK_STATUS,
    SCAN_RESPONSE_STATUS_CODE,
    SCAN_RESULTS,
    SCAN_ERROR,
    SCAN_TYPE,
    SCAN_DATA,
    SCAN_MESSAGES,
    SCAN_WARNINGS
} scan_member_e;


typedef struct {
    scan_scope_e   scope;
    scan_member_e  member;
    const char    *name;
} scan_name_t;


static int scan_bom(binarize_scan_t *scan);
static int scan_byte(binarize_scan_t *scan);
static int scan_room(binarize_scan_t *scan);
static void scan_keep(binarize_scan_t *scan, unsigned char c);
static int scan_fail(binarize_scan_t *scan, const char *reason);

static int scan_start(binarize_scan_t *scan, unsigned char c);
static int scan_done(binarize_scan_t *scan, unsigned char c);
static int scan_value(binarize_scan_t *scan, unsigned char c);
static int scan_first_value(binarize_scan_t *scan, unsigned char c);
static int scan_next(binarize_scan_t *scan, unsigned char c);
static int scan_first_name(binarize_scan_t *scan, unsigned char c);
static int scan_name(binarize_scan_t *scan, unsigned char c);
static int scan_colon(binarize_scan_t *scan, unsigned char c);

static int scan_open(binarize_scan_t *scan, int array);
static int scan_close(binarize_scan_t *scan, int array);
static int scan_in_array(const binarize_scan_t *scan, unsigned level);

static int scan_literal_start(binarize_scan_t *scan, const char *literal);
static int scan_literal(binarize_scan_t *scan, unsigned char c);

static int scan_number(binarize_scan_t *scan,
    int (*state)(binarize_scan_t *scan, unsigned char c));
static int scan_minus(binarize_scan_t *scan, unsigned char c);
static int scan_zero(binarize_scan_t *scan, unsigned char c);
static int scan_integer(binarize_scan_t *scan, unsigned char c);
static int scan_point(binarize_scan_t *scan, unsigned char c);
static int scan_fraction(binarize_scan_t *scan, unsigned char c);
static int scan_exponent(binarize_scan_t *scan, unsigned char c);
static int scan_exponent_sign(binarize_scan_t *scan, unsigned char c);
static int scan_exponent_digits(binarize_scan_t *scan, unsigned char c);

static int scan_string_start(binarize_scan_t *scan);
static int scan_string(binarize_scan_t *scan, unsigned char c);
static int scan_utf8_start(binarize_scan_t *scan, unsigned char c);
static int scan_utf8(binarize_scan_t *scan, unsigned char c);
static int scan_escape(binarize_scan_t *scan, unsigned char c);
static int scan_hex(binarize_scan_t *scan, unsigned char c);
static int scan_code(binarize_scan_t *scan);
static int scan_low_backslash(binarize_scan_t *scan, unsigned char c);
static int scan_low_u(binarize_scan_t *scan, unsigned char c);
static int scan_hex_digit(binarize_scan_t *scan, unsigned char c);

static void scan_name_start(binarize_scan_t *scan);
static void scan_name_add(binarize_scan_t *scan, unsigned char c);
static void scan_name_foreign(binarize_scan_t *scan);
static int scan_name_end(binarize_scan_t *scan);
static scan_scope_e scan_scope(const binarize_scan_t *scan);
static scan_member_e scan_lookup(const binarize_scan_t *scan);

static int scan_payload(binarize_scan_t *scan, unsigned char c);
static int scan_payload_run(binarize_scan_t *scan);
static int scan_payload_end(binarize_scan_t *scan);
static int scan_payload_escaped(binarize_scan_t *scan);
static int scan_payload_escape(binarize_scan_t *scan, unsigned char c);
static int scan_payload_hex(binarize_scan_t *scan, unsigned char c);
static int scan_payload_char(binarize_scan_t *scan, unsigned char c);
static int scan_payload_space(binarize_scan_t *scan);
static int scan_payload_decode(binarize_scan_t *scan,
    const unsigned char **in, const unsigned char *in_end);
static size_t scan_payload_room(binarize_scan_t *scan,
    unsigned char **out, unsigned char *none);
static int scan_payload_written(binarize_scan_t *scan, size_t size);


static const unsigned char  scan_bom_bytes[SCAN_BOM_SIZE] = {
    0xef, 0xbb, 0xbf
};


/* what cJSON is asked for in envelope.c, and warnings */
static const scan_name_t  scan_names[] = {
    { SCAN_SCOPE_TOP,    SCAN_ID,                   "id" },
    { SCAN_SCOPE_TOP,    SCAN_TASK_STATUS,          "taskStatus" },
    { SCAN_SCOPE_TOP,    SCAN_RESPONSE_STATUS_CODE, "responseStatusCode" },
    { SCAN_SCOPE_TOP,    SCAN_RESULTS,              "results" },
    { SCAN_SCOPE_TOP,    SCAN_ERROR,                "error" },
    { SCAN_SCOPE_RESULT, SCAN_TYPE,                 "type" },
    { SCAN_SCOPE_RESULT, SCAN_DATA,                 "data" },
    { SCAN_SCOPE_ERROR,  SCAN_MESSAGES,             "messages" },
    { SCAN_SCOPE_ERROR,  SCAN_WARNINGS,             "warnings" },
    { SCAN_SCOPE_NONE,   SCAN_OTHER,                NULL }
};


void
binarize_scan_init(binarize_scan_t *scan, uint64_t max_payload_size)
{
    memset(scan, 0, sizeof(*scan));

    binarize_base64_init(&scan->base64);
    scan->base64.json = 1;

    scan->max_payload_size = max_payload_size;
    scan->state = scan_start;
}


int
binarize_scan_run(binarize_scan_t *scan)
{
    int  rc;

    if (scan->reason) {
        return BINARIZE_ERROR;
    }

    while (scan->avail_in) {

        if (scan->state == scan_payload) {
            rc = scan_payload_run(scan);

        } else if (scan->nbom < SCAN_BOM_SIZE && scan->state == scan_start) {
            rc = scan_bom(scan);

        } else {
            rc = scan_byte(scan);
        }

        if (rc != BINARIZE_OK) {
            return rc;
        }
    }

    return BINARIZE_AGAIN;
}


int
binarize_scan_finish(binarize_scan_t *scan)
{
    if (scan->reason) {
        return BINARIZE_ERROR;
    }

    if (scan->state != scan_done) {
        return scan_fail(scan, "the document is cut short");
    }

    return BINARIZE_OK;
}


int
binarize_scan_payload_offset(const unsigned char *doc, size_t size,
    size_t *offset)
{
    binarize_scan_t  scan;

    binarize_scan_init(&scan, 0);

    scan.next_in = doc;
    scan.avail_in = size;
    scan.discard = 1;
    scan.nbom = SCAN_BOM_SIZE;

    if (binarize_scan_run(&scan) != BINARIZE_AGAIN
        || binarize_scan_finish(&scan) != BINARIZE_OK
        || !scan.payload_seen)
    {
        return BINARIZE_ERROR;
    }

    /* white space makes an empty payload, but no empty string */

    if (doc[scan.payload_offset] != '"') {
        return BINARIZE_ERROR;
    }

    *offset = scan.payload_offset;

    return BINARIZE_OK;
}


/* nbom runs to the BOM's size, with or without one */

static int
scan_bom(binarize_scan_t *scan)
{
    if (*scan->next_in != scan_bom_bytes[scan->nbom]) {

        if (scan->nbom) {
            return scan_fail(scan, "bad JSON: half a byte order mark");
        }

        scan->nbom = SCAN_BOM_SIZE;
        return BINARIZE_OK;
    }

    scan->nbom++;
    scan->next_in++;
    scan->avail_in--;

    return BINARIZE_OK;
}


static int
scan_byte(binarize_scan_t *scan)
{
    int            rc;
    unsigned char  c;

    rc = scan_room(scan);
    if (rc != BINARIZE_OK) {
        return rc;
    }

    c = *scan->next_in;

    rc = scan->state(scan, c);

    if (rc == BINARIZE_DECLINED) {
        return BINARIZE_OK;
    }

    if (rc == BINARIZE_OK) {
        scan_keep(scan, c);
    }

    return rc;
}


static int
scan_room(binarize_scan_t *scan)
{
    if (scan->envelope_size >= BINARIZE_ENVELOPE_MAX_SIZE) {
        return scan_fail(scan, "the document without its payload is larger "
                               "than 64 KiB");
    }

    if (scan->envelope_size >= scan->envelope_room && !scan->discard) {
        return BINARIZE_GROW;
    }

    return BINARIZE_OK;
}


static void
scan_keep(binarize_scan_t *scan, unsigned char c)
{
    if (!scan->discard) {
        scan->envelope[scan->envelope_size] = c;
    }

    scan->envelope_size++;
    scan->next_in++;
    scan->avail_in--;
}


static int
scan_fail(binarize_scan_t *scan, const char *reason)
{
    scan->reason = reason;

    return BINARIZE_ERROR;
}


#define scan_is_space(c)                                                      \
    ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')


static int
scan_start(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_space(c)) {
        return BINARIZE_OK;
    }

    if (c != '{') {
        return scan_fail(scan, "the document is not a JSON object");
    }

    return scan_open(scan, 0);
}


static int
scan_done(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_space(c)) {
        return BINARIZE_OK;
    }

    return scan_fail(scan, "data behind the document");
}


static int
scan_value(binarize_scan_t *scan, unsigned char c)
{
    switch (c) {

    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return BINARIZE_OK;

    case '{':
        return scan_open(scan, 0);

    case '[':
        return scan_open(scan, 1);

    case '"':
        return scan_string_start(scan);

    case '-':
        scan->number_size = 0;
        return scan_number(scan, scan_minus);

    case '0':
        scan->number_size = 0;
        return scan_number(scan, scan_zero);

    case 'n':
        return scan_literal_start(scan, "ull");

    case 't':
        return scan_literal_start(scan, "rue");

    case 'f':
        return scan_literal_start(scan, "alse");

    default:
        if (c < '1' || c > '9') {
            return scan_fail(scan, "bad JSON: a value is expected");
        }

        scan->number_size = 0;
        return scan_number(scan, scan_integer);
    }
}


static int
scan_first_value(binarize_scan_t *scan, unsigned char c)
{
    if (c == ']') {
        return scan_close(scan, 1);
    }

    return scan_value(scan, c);
}


static int
scan_next(binarize_scan_t *scan, unsigned char c)
{
    switch (c) {

    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return BINARIZE_OK;

    case ',':
        if (!scan_in_array(scan, scan->depth)) {
            scan->state = scan_name;
            return BINARIZE_OK;
        }

        if (scan->depth == 2) {
            scan->element = 1;
        }

        scan->state = scan_value;
        return BINARIZE_OK;

    case '}':
        return scan_close(scan, 0);

    case ']':
        return scan_close(scan, 1);

    default:
        return scan_fail(scan, "bad JSON: a comma or an end is expected");
    }
}


static int
scan_first_name(binarize_scan_t *scan, unsigned char c)
{
    if (c == '}') {
        return scan_close(scan, 0);
    }

    return scan_name(scan, c);
}


static int
scan_name(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_space(c)) {
        return BINARIZE_OK;
    }

    if (c != '"') {
        return scan_fail(scan, "bad JSON: a member's name is expected");
    }

    scan_name_start(scan);
    scan->state = scan_string;

    return BINARIZE_OK;
}


static int
scan_colon(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_space(c)) {
        return BINARIZE_OK;
    }

    if (c != ':') {
        return scan_fail(scan, "bad JSON: a colon is expected");
    }

    scan->state = scan_value;

    return BINARIZE_OK;
}


static int
scan_open(binarize_scan_t *scan, int array)
{
    uint32_t  bit;

    if (scan->depth == BINARIZE_SCAN_MAX_DEPTH) {
        return scan_fail(scan, "the document is nested too deeply");
    }

    bit = (uint32_t) 1 << scan->depth;
    scan->depth++;

    if (array) {
        scan->arrays |= bit;
        scan->state = scan_first_value;

    } else {
        scan->arrays &= ~bit;
        scan->state = scan_first_name;
    }

    if (scan->depth == 2) {
        scan->element = 0;
    }

    return BINARIZE_OK;
}


static int
scan_close(binarize_scan_t *scan, int array)
{
    if (scan_in_array(scan, scan->depth) != array) {
        return scan_fail(scan, "bad JSON: the wrong bracket closes");
    }

    scan->depth--;
    scan->state = scan->depth ? scan_next : scan_done;

    return BINARIZE_OK;
}


static int
scan_in_array(const binarize_scan_t *scan, unsigned level)
{
    return scan->arrays >> (level - 1) & 1;
}


static int
scan_literal_start(binarize_scan_t *scan, const char *literal)
{
    scan->literal = literal;
    scan->state = scan_literal;

    return BINARIZE_OK;
}


static int
scan_literal(binarize_scan_t *scan, unsigned char c)
{
    if (c != (unsigned char) *scan->literal) {
        return scan_fail(scan, "bad JSON: an unknown literal");
    }

    scan->literal++;

    if (*scan->literal == '\0') {
        scan->state = scan_next;
    }

    return BINARIZE_OK;
}


#define scan_is_digit(c)  ((c) >= '0' && (c) <= '9')


static int
scan_number(binarize_scan_t *scan,
    int (*state)(binarize_scan_t *scan, unsigned char c))
{
    if (++scan->number_size > SCAN_NUMBER_MAX_SIZE) {
        return scan_fail(scan, "a number is too long");
    }

    scan->state = state;

    return BINARIZE_OK;
}


static int
scan_minus(binarize_scan_t *scan, unsigned char c)
{
    if (!scan_is_digit(c)) {
        return scan_fail(scan, "bad JSON: a digit is expected");
    }

    return scan_number(scan, c == '0' ? scan_zero : scan_integer);
}


static int
scan_zero(binarize_scan_t *scan, unsigned char c)
{
    if (c == '.') {
        return scan_number(scan, scan_point);
    }

    if (c == 'e' || c == 'E') {
        return scan_number(scan, scan_exponent);
    }

    scan->state = scan_next;

    return BINARIZE_DECLINED;
}


static int
scan_integer(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_digit(c)) {
        return scan_number(scan, scan_integer);
    }

    return scan_zero(scan, c);
}


static int
scan_point(binarize_scan_t *scan, unsigned char c)
{
    if (!scan_is_digit(c)) {
        return scan_fail(scan, "bad JSON: a digit is expected");
    }

    return scan_number(scan, scan_fraction);
}


static int
scan_fraction(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_digit(c)) {
        return scan_number(scan, scan_fraction);
    }

    if (c == 'e' || c == 'E') {
        return scan_number(scan, scan_exponent);
    }

    scan->state = scan_next;

    return BINARIZE_DECLINED;
}


static int
scan_exponent(binarize_scan_t *scan, unsigned char c)
{
    if (c == '+' || c == '-') {
        return scan_number(scan, scan_exponent_sign);
    }

    return scan_exponent_sign(scan, c);
}


static int
scan_exponent_sign(binarize_scan_t *scan, unsigned char c)
{
    if (!scan_is_digit(c)) {
        return scan_fail(scan, "bad JSON: a digit is expected");
    }

    return scan_number(scan, scan_exponent_digits);
}


static int
scan_exponent_digits(binarize_scan_t *scan, unsigned char c)
{
    if (scan_is_digit(c)) {
        return scan_number(scan, scan_exponent_digits);
    }

    scan->state = scan_next;

    return BINARIZE_DECLINED;
}


/* of a value */

static int
scan_string_start(binarize_scan_t *scan)
{
    scan->name_open = 0;
    scan->scope = SCAN_SCOPE_NONE;

    if (scan->member == SCAN_DATA && scan_scope(scan) == SCAN_SCOPE_RESULT) {

        /* the opening quote is still to be kept */
        scan->payload_offset = scan->envelope_size + 1;
        scan->payload_seen = 1;
        scan->state = scan_payload;

    } else {
        scan->state = scan_string;
    }

    return BINARIZE_OK;
}


static int
scan_string(binarize_scan_t *scan, unsigned char c)
{
    if (c == '"') {

        if (scan->name_open) {
            return scan_name_end(scan);
        }

        scan->state = scan_next;

    } else if (c == '\\') {
        scan->state = scan_escape;

    } else if (c < 0x20) {
        return scan_fail(scan, "bad JSON: a control character in a string");

    } else if (c >= 0x80) {
        return scan_utf8_start(scan, c);

    } else {
        scan_name_add(scan, c);
    }

    return BINARIZE_OK;
}


/* RFC 3629, section 4 */

static int
scan_utf8_start(binarize_scan_t *scan, unsigned char c)
{
    scan_name_foreign(scan);

    scan->follow_low = 0x80;
    scan->follow_high = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        scan->nfollow = 1;

    } else if (c >= 0xe0 && c <= 0xef) {
        scan->nfollow = 2;

        if (c == 0xe0) {
            scan->follow_low = 0xa0;

        } else if (c == 0xed) {
            scan->follow_high = 0x9f;
        }

    } else if (c >= 0xf0 && c <= 0xf4) {
        scan->nfollow = 3;

        if (c == 0xf0) {
            scan->follow_low = 0x90;

        } else if (c == 0xf4) {
            scan->follow_high = 0x8f;
        }

    } else {
        return scan_fail(scan, "bad UTF-8");
    }

    scan->state = scan_utf8;

    return BINARIZE_OK;
}


static int
scan_utf8(binarize_scan_t *scan, unsigned char c)
{
    if (c < scan->follow_low || c > scan->follow_high) {
        return scan_fail(scan, "bad UTF-8");
    }

    scan->follow_low = 0x80;
    scan->follow_high = 0xbf;

    if (--scan->nfollow == 0) {
        scan->state = scan_string;
    }

    return BINARIZE_OK;
}


static int
scan_escape(binarize_scan_t *scan, unsigned char c)
{
    switch (c) {

    case '"':
    case '\\':
    case '/':
        scan_name_add(scan, c);
        break;

    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        scan_name_foreign(scan);
        break;

    case 'u':
        scan->code = 0;
        scan->nhex = 0;
        scan->state = scan_hex;
        return BINARIZE_OK;

    default:
        return scan_fail(scan, "bad JSON: an unknown escape");
    }

    scan->state = scan_string;

    return BINARIZE_OK;
}


static int
scan_hex(binarize_scan_t *scan, unsigned char c)
{
    if (scan_hex_digit(scan, c) != BINARIZE_OK) {
        return BINARIZE_ERROR;
    }

    if (scan->nhex < 4) {
        return BINARIZE_OK;
    }

    return scan_code(scan);
}


/* cJSON refuses lone surrogates and ends a string at \u0000 */

static int
scan_code(binarize_scan_t *scan)
{
    unsigned  code;

    code = scan->code;

    if (code == 0) {
        return scan_fail(scan, "\\u0000 in a string");
    }

    if (scan->high_surrogate != (code >= 0xdc00 && code <= 0xdfff)) {
        return scan_fail(scan, "a lone surrogate in a string");
    }

    scan->high_surrogate = 0;

    if (code >= 0xd800 && code <= 0xdbff) {
        scan->high_surrogate = 1;
        scan->state = scan_low_backslash;
        return BINARIZE_OK;
    }

    if (code < 0x80) {
        scan_name_add(scan, (unsigned char) code);

    } else {
        scan_name_foreign(scan);
    }

    scan->state = scan_string;

    return BINARIZE_OK;
}


static int
scan_low_backslash(binarize_scan_t *scan, unsigned char c)
{
    if (c != '\\') {
        return scan_fail(scan, "a lone surrogate in a string");
    }

    scan->state = scan_low_u;

    return BINARIZE_OK;
}


static int
scan_low_u(binarize_scan_t *scan, unsigned char c)
{
    if (c != 'u') {
        return scan_fail(scan, "a lone surrogate in a string");
    }

    scan->code = 0;
    scan->nhex = 0;
    scan->state = scan_hex;

    return BINARIZE_OK;
}


static int
scan_hex_digit(binarize_scan_t *scan, unsigned char c)
{
    unsigned  digit;

    if (scan_is_digit(c)) {
        digit = c - '0';

    } else {
        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return scan_fail(scan, "bad JSON: a hex digit is expected");
        }

        digit = c - 'a' + 10;
    }

    scan->code = scan->code << 4 | digit;
    scan->nhex++;

    return BINARIZE_OK;
}


static void
scan_name_start(binarize_scan_t *scan)
{
    scan->name_open = 1;
    scan->name_size = 0;
    scan->scope = scan_scope(scan);
}


static void
scan_name_add(binarize_scan_t *scan, unsigned char c)
{
    if (scan->scope == SCAN_SCOPE_NONE) {
        return;
    }

    if (scan->name_size >= sizeof(scan->name)) {
        scan_name_foreign(scan);
        return;
    }

    scan->name[scan->name_size++] = c;
}


/* longer than all known names */

static void
scan_name_foreign(binarize_scan_t *scan)
{
    scan->name_size = sizeof(scan->name) + 1;
}


static int
scan_name_end(binarize_scan_t *scan)
{
    uint32_t       bit;
    scan_member_e  member;

    scan->state = scan_colon;

    if (scan->scope == SCAN_SCOPE_NONE) {
        return BINARIZE_OK;
    }

    member = scan_lookup(scan);

    if (scan->scope == SCAN_SCOPE_TOP) {
        scan->top = member;

    } else {
        scan->member = member;
    }

    if (member == SCAN_OTHER) {
        return BINARIZE_OK;
    }

    bit = (uint32_t) 1 << member;

    if (scan->seen & bit) {
        return scan_fail(scan, "a member of the document appears twice");
    }

    scan->seen |= bit;

    return BINARIZE_OK;
}


/* where known names are looked for, of the innermost level */

static scan_scope_e
scan_scope(const binarize_scan_t *scan)
{
    if (scan_in_array(scan, scan->depth)) {
        return SCAN_SCOPE_NONE;
    }

    switch (scan->depth) {

    case 1:
        return SCAN_SCOPE_TOP;

    case 2:
        return scan->top == SCAN_ERROR ? SCAN_SCOPE_ERROR : SCAN_SCOPE_NONE;

    case 3:
        if (scan->top == SCAN_RESULTS && scan_in_array(scan, 2)
            && scan->element == 0)
        {
            return SCAN_SCOPE_RESULT;
        }

        return SCAN_SCOPE_NONE;

    default:
        return SCAN_SCOPE_NONE;
    }
}


static scan_member_e
scan_lookup(const binarize_scan_t *scan)
{
    const scan_name_t  *n;

    for (n = scan_names; n->name; n++) {

        if (n->scope == scan->scope
            && strlen(n->name) == scan->name_size
            && memcmp(n->name, scan->name, scan->name_size) == 0)
        {
            return n->member;
        }
    }

    return SCAN_OTHER;
}


/* a mark only: scan_payload_run() takes what follows */

static int
scan_payload(binarize_scan_t *scan, unsigned char c)
{
    (void) scan;
    (void) c;

    return BINARIZE_DECLINED;
}


static int
scan_payload_run(binarize_scan_t *scan)
{
    int                   rc;
    const unsigned char  *in, *in_end;

    if (scan->escape) {
        return scan_payload_escaped(scan);
    }

    in = scan->next_in;
    in_end = in + scan->avail_in;

    rc = scan_payload_decode(scan, &in, in_end);

    scan->next_in = in;
    scan->avail_in = in_end - in;

    if (rc == BINARIZE_AGAIN) {
        return BINARIZE_OK;
    }

    if (rc == BINARIZE_FULL || scan->reason) {
        return rc;
    }

    /* the decoder stopped at a character that is not base64's */

    switch (*in) {

    case '"':
        return scan_payload_end(scan);

    case '\\':
        scan->escape = 1;
        scan->next_in++;
        scan->avail_in--;
        return BINARIZE_OK;

    case ' ':
        rc = scan_payload_space(scan);
        if (rc == BINARIZE_OK) {
            scan->next_in++;
            scan->avail_in--;
        }

        return rc;

    default:
        return scan_fail(scan, "the payload is not base64");
    }
}


static int
scan_payload_end(binarize_scan_t *scan)
{
    int             rc, unpadded;
    size_t          room;
    unsigned char  *out, none[1];

    rc = scan_room(scan);
    if (rc != BINARIZE_OK) {
        return rc;
    }

    room = scan_payload_room(scan, &out, none);
    unpadded = scan->base64.ndigits && !scan->base64.npads;

    rc = binarize_base64_finish(&scan->base64, &out, out + room);

    if (rc == BINARIZE_FULL) {
        return BINARIZE_FULL;
    }

    if (rc == BINARIZE_ERROR) {
        return scan_fail(scan, "the payload's base64 ends wrongly");
    }

    if (room) {
        rc = scan_payload_written(scan, out - scan->next_out);
        if (rc != BINARIZE_OK) {
            return rc;
        }
    }

    scan->payload_unpadded = unpadded;
    scan->state = scan_next;
    scan_keep(scan, '"');

    return BINARIZE_OK;
}


/* the byte is used, unless it completes a digit that finds no room */

static int
scan_payload_escaped(binarize_scan_t *scan)
{
    int            rc;
    unsigned char  c;

    c = *scan->next_in;

    rc = scan->escape == 1 ? scan_payload_escape(scan, c)
                           : scan_payload_hex(scan, c);

    if (rc == BINARIZE_OK) {
        scan->next_in++;
        scan->avail_in--;
    }

    return rc;
}


static int
scan_payload_escape(binarize_scan_t *scan, unsigned char c)
{
    switch (c) {

    case 'u':
        scan->escape = 2;
        scan->code = 0;
        scan->nhex = 0;
        return BINARIZE_OK;

    case '/':
        return scan_payload_char(scan, '/');

    case 'n':
    case 'r':
    case 't':
        return scan_payload_char(scan, ' ');

    case '"':
    case '\\':
    case 'b':
    case 'f':
        return scan_fail(scan, "the payload is not base64");

    default:
        return scan_fail(scan, "bad JSON: an unknown escape");
    }
}


static int
scan_payload_hex(binarize_scan_t *scan, unsigned char c)
{
    int       rc;
    unsigned  code, nhex;

    code = scan->code;
    nhex = scan->nhex;

    if (scan_hex_digit(scan, c) != BINARIZE_OK) {
        return BINARIZE_ERROR;
    }

    if (scan->nhex < 4) {
        return BINARIZE_OK;
    }

    if (scan->code >= 0x80) {
        return scan_fail(scan, "the payload is not base64");
    }

    rc = scan_payload_char(scan, (unsigned char) scan->code);

    if (rc == BINARIZE_FULL) {
        /* the digit comes again */
        scan->code = code;
        scan->nhex = nhex;
    }

    return rc;
}


/* an escaped character */

static int
scan_payload_char(binarize_scan_t *scan, unsigned char c)
{
    int                   rc;
    const unsigned char  *in;

    if (scan_is_space(c)) {
        rc = scan_payload_space(scan);

    } else {
        in = &c;
        rc = scan_payload_decode(scan, &in, in + 1);

        if (rc == BINARIZE_ERROR && scan->reason == NULL) {
            return scan_fail(scan, "the payload is not base64");
        }

        if (rc == BINARIZE_AGAIN) {
            rc = BINARIZE_OK;
        }
    }

    if (rc == BINARIZE_OK) {
        scan->escape = 0;
    }

    return rc;
}


/* nothing else bounds a payload of nothing but white space */

static int
scan_payload_space(binarize_scan_t *scan)
{
    scan->nspaces++;

    if (scan->nspaces > SCAN_SPACES_FREE + scan->payload_size) {
        return scan_fail(scan, "too much white space in the payload");
    }

    return BINARIZE_OK;
}


/* as binarize_base64_decode(), with reason set where the size is the error */

static int
scan_payload_decode(binarize_scan_t *scan, const unsigned char **in,
    const unsigned char *in_end)
{
    int             rc;
    size_t          room;
    unsigned char  *out, none[1];

    room = scan_payload_room(scan, &out, none);

    rc = binarize_base64_decode(&scan->base64, in, in_end, &out, out + room);

    if (room && scan_payload_written(scan, out - scan->next_out)
                != BINARIZE_OK)
    {
        return BINARIZE_ERROR;
    }

    return rc;
}


/*
 * At most one quantum more than allowed, so that a payload that is too large
 * is seen as such and never as a lack of room.  next_out may be NULL while
 * there is no room.
 */

static size_t
scan_payload_room(binarize_scan_t *scan, unsigned char **out,
    unsigned char *none)
{
    size_t    room;
    uint64_t  left;

    if (scan->avail_out == 0) {
        *out = none;
        return 0;
    }

    *out = scan->next_out;
    room = scan->avail_out;
    left = scan->max_payload_size - scan->payload_size;

    if (room > left && room - left > 3) {
        room = (size_t) left + 3;
    }

    return room;
}


static int
scan_payload_written(binarize_scan_t *scan, size_t size)
{
    scan->next_out += size;
    scan->avail_out -= size;
    scan->payload_size += size;

    if (scan->payload_size > scan->max_payload_size) {
        scan->payload_too_large = 1;
        return scan_fail(scan, "the payload is too large");
    }

    return BINARIZE_OK;
}
