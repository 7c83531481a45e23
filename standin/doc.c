#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doc.h"

#define DOC_MAX_UNKNOWN  12


static void doc_id(buf_t *b, const doc_t *d, const fault_t *f);
static const char *doc_response_status(const char *status);
static void doc_results(buf_t *b, const doc_t *d, const fault_t *f);
static void doc_result(buf_t *b, const blob_t *result, const fault_t *f);
static void doc_payload(buf_t *b, const blob_t *result, const fault_t *f);
static void doc_escape(buf_t *b, const char *s, size_t size,
    fault_escape_t escape);
static void doc_error(buf_t *b, const doc_t *d, const fault_t *f);
static void doc_strings(buf_t *b, const char *name, const char *list,
    const char *more);
static size_t doc_unknown(doc_member_t *members, const fault_t *f);
static void doc_shuffle(doc_member_t *members, size_t n, fault_order_t order);
static int doc_omitted(const fault_t *f, const char *name);
static void doc_damage(buf_t *b, fault_text_t text);


blob_t *
doc_write(const doc_t *d, const fault_t *f)
{
    size_t         n;
    doc_member_t  *m, members[DOC_MAX_MEMBERS];

    memset(members, 0, sizeof(members));
    m = members;

    if (f->id == NULL || strcmp(f->id, "absent") != 0) {
        m->name = "id";
        doc_id(&m++->value, d, f);
    }

    if (f->duplicate) {
        m->name = "taskStatus";
        buf_puts(&m++->value, "\"Processing\"");
    }

    m->name = "taskStatus";
    buf_json_string(&m++->value, d->status);

    m->name = "responseStatusCode";
    buf_json_string(&m++->value, f->response_status
                                 ? f->response_status
                                 : doc_response_status(d->status));

    if (f->duplicate) {
        m->name = "results";
        buf_puts(&m++->value, "null");
    }

    if (f->results != RESULTS_ABSENT) {
        m->name = "results";
        doc_results(&m++->value, d, f);
    }

    m->name = "error";
    doc_error(&m++->value, d, f);

    n = (size_t) (m - members);
    n += doc_unknown(m, f);

    return doc_join(members, n, f);
}


blob_t *
doc_join(doc_member_t *members, size_t nmembers, const fault_t *f)
{
    buf_t        b = { NULL, 0, 0 };
    size_t       i;
    const char  *comma;

    doc_shuffle(members, nmembers, (fault_order_t) f->order);

    if (f->bom) {
        buf_puts(&b, "\xef\xbb\xbf");
    }

    buf_puts(&b, f->indent ? "{\r\n" : "{");
    comma = "";

    for (i = 0; i < nmembers; i++) {

        if (!doc_omitted(f, members[i].name)) {
            buf_printf(&b, f->indent ? "%s  \"%s\" : " : "%s\"%s\":", comma,
                       members[i].name);
            buf_add(&b, members[i].value.data, members[i].value.size);
            comma = f->indent ? ",\r\n" : ",";
        }

        buf_free(&members[i].value);
    }

    buf_puts(&b, f->indent ? "\r\n}\r\n" : "}");
    doc_damage(&b, (fault_text_t) f->text);

    return blob_from_buf(&b);
}


static void
doc_id(buf_t *b, const doc_t *d, const fault_t *f)
{
    char  *p;

    if (f->id && strcmp(f->id, "null") == 0) {
        buf_puts(b, "null");
        return;
    }

    if (f->id && strcmp(f->id, "upper") != 0) {
        buf_json_string(b, f->id);
        return;
    }

    buf_json_string(b, d->id);

    for (p = b->data; f->id && *p; p++) {
        if (*p >= 'a' && *p <= 'f') {
            *p = (char) (*p - 'a' + 'A');
        }
    }
}


static const char *
doc_response_status(const char *status)
{
    if (strcmp(status, "Pending") == 0 || strcmp(status, "Processing") == 0) {
        return "NotReady";
    }

    if (strcmp(status, "NotExist") == 0) {
        return "TaskNotFound";
    }

    return strcmp(status, "Error") == 0 ? "Error" : "Ok";
}


static void
doc_results(buf_t *b, const doc_t *d, const fault_t *f)
{
    if (d->result == NULL || f->results == RESULTS_NULL) {
        buf_puts(b, "null");
        return;
    }

    buf_puts(b, "[");

    if (f->results != RESULTS_EMPTY) {
        doc_result(b, d->result, f);
    }

    if (f->results == RESULTS_TWO) {
        buf_puts(b, ",");
        doc_result(b, d->result, f);
    }

    buf_puts(b, "]");
}


static void
doc_result(buf_t *b, const blob_t *result, const fault_t *f)
{
    int  data_first;

    data_first = f->order != ORDER_DOTNET;

    buf_puts(b, "{");

    if (data_first) {
        buf_puts(b, "\"data\":");
        doc_payload(b, result, f);
        buf_puts(b, ",");
    }

    buf_puts(b, "\"type\":");
    buf_json_string(b, f->type ? f->type : "ImagePNG");

    if (!data_first) {
        buf_puts(b, ",\"data\":");
        doc_payload(b, result, f);
    }

    buf_puts(b, "}");
}


static void
doc_payload(buf_t *b, const blob_t *result, const fault_t *f)
{
    buf_t                 text = { NULL, 0, 0 };
    size_t                size;
    const unsigned char  *data;

    data = result->data;
    size = result->size;

    switch (f->payload) {

    case PAYLOAD_NULL:
        buf_puts(b, "null");
        return;

    case PAYLOAD_EMPTY:
        size = 0;
        break;

    case PAYLOAD_NOTPNG:
        data = (const unsigned char *) "GIF89a, says the picture";
        size = 24;
        break;

    case PAYLOAD_CUT:
        size -= size / 3;
        break;

    case PAYLOAD_NOIEND:
        size -= size < 12 ? size : 12;
        break;
    }

    buf_base64(&text, data, size);

    if (f->payload == PAYLOAD_BADBASE64) {
        text.data[text.size / 2] = '*';
    }

    while (f->payload == PAYLOAD_UNPADDED && text.size
           && text.data[text.size - 1] == '=')
    {
        text.size--;
    }

    buf_puts(b, "\"");
    doc_escape(b, text.data, text.size, (fault_escape_t) f->escape);
    buf_puts(b, "\"");
    buf_free(&text);
}


static void
doc_escape(buf_t *b, const char *s, size_t size, fault_escape_t escape)
{
    char        *p;
    size_t       i, n;
    const char  *plus, *slash;

    plus = escape == ESCAPE_NONE || escape == ESCAPE_SLASH ? "+"
           : escape == ESCAPE_LOWER ? "\\u002b" : "\\u002B";
    slash = escape == ESCAPE_SLASH ? "\\/"
            : escape == ESCAPE_USLASH ? "\\u002F" : "/";

    for (i = 0; i < size; i += n) {

        n = size - i < 76 ? size - i : 76;
        p = buf_reserve(b, 76 * 6 + 4);

        for (size_t k = i; k < i + n; k++) {

            if (escape == ESCAPE_ALL) {
                p += snprintf(p, 7, "\\u%04X", (unsigned char) s[k]);

            } else if (s[k] == '+') {
                p = stpcpy(p, plus);

            } else if (s[k] == '/') {
                p = stpcpy(p, slash);

            } else {
                *p++ = s[k];
            }
        }

        if (escape == ESCAPE_CRLF && i + n < size) {
            p = stpcpy(p, "\\r\\n");
        }

        *p = '\0';
        b->size = (size_t) (p - b->data);
    }
}


static void
doc_error(buf_t *b, const doc_t *d, const fault_t *f)
{
    if (f->messages == NULL && f->warnings == NULL && d->message == NULL) {
        buf_puts(b, "null");
        return;
    }

    buf_puts(b, "{");
    doc_strings(b, "messages", f->messages, d->message);
    buf_puts(b, ",");
    doc_strings(b, "warnings", f->warnings, NULL);
    buf_puts(b, "}");
}


/* The texts of list are separated by "|". */
static void
doc_strings(buf_t *b, const char *name, const char *list, const char *more)
{
    char  *copy, *pos, *item;

    buf_printf(b, "\"%s\":", name);

    if (list == NULL) {
        list = more;
    }

    if (list == NULL) {
        buf_puts(b, "null");
        return;
    }

    buf_puts(b, "[");
    pos = copy = mem_strdup(list);

    while (*list && pos) {
        item = strsep(&pos, "|");
        buf_json_string(b, item);
        buf_puts(b, pos ? "," : "");
    }

    free(copy);
    buf_puts(b, "]");
}


/* Members that a client does not know, some with well-known names inside. */
static size_t
doc_unknown(doc_member_t *m, const fault_t *f)
{
    char       *p;
    size_t      i, n;
    doc_member_t  *start;

    start = m;
    n = f->unknown < DOC_MAX_UNKNOWN ? f->unknown : DOC_MAX_UNKNOWN;

    static const char  *const names[DOC_MAX_UNKNOWN] = {
        "usage", "elapsed", "trace", "x-data", "result", "Results", "ids",
        "data", "type", "pages", "lang", "" };

    static const char  *const values[] = {
        ("{\"results\":[{\"type\":\"ImagePNG\",\"data\":\"AAAA\"}],"
         "\"taskStatus\":\"Error\",\"id\":7}"),
        "-12.5e-3",
        "[[],{},[{\"a\":[null,true,false]}],\"\\\"]}\\\\\"]",
        "null",
        "{\"error\":{\"messages\":[\"\\uD83D\\uDE00\"]}}",
        "true" };

    for (i = 0; i < n; i++, m++) {
        m->name = names[i];
        buf_puts(&m->value, values[i % 6]);
    }

    if (f->unknown_size) {
        m->name = "padding";
        p = buf_reserve(&m->value, f->unknown_size + 2);
        memset(p, 'u', f->unknown_size + 2);
        m->value.size = f->unknown_size + 2;
        p[0] = p[f->unknown_size + 1] = '"';
        m++;
    }

    if (f->nest) {
        m->name = "deep";
        p = buf_reserve(&m->value, 2 * f->nest);
        memset(p, '[', f->nest);
        memset(p + f->nest, ']', f->nest);
        m->value.size = 2 * f->nest;
        m++;
    }

    return (size_t) (m - start);
}


static void
doc_shuffle(doc_member_t *members, size_t n, fault_order_t order)
{
    size_t        i, k;
    unsigned      r;
    doc_member_t  m;

    for (i = 0; order == ORDER_RESULTS_FIRST && i < n; i++) {
        if (strcmp(members[i].name, "results") == 0) {
            m = members[0];
            members[0] = members[i];
            members[i] = m;
            break;
        }
    }

    for (i = 0; order == ORDER_REVERSE && i < n / 2; i++) {
        m = members[i];
        members[i] = members[n - 1 - i];
        members[n - 1 - i] = m;
    }

    for (i = n; order == ORDER_SHUFFLE && i > 1; i--) {
        random_bytes(&r, sizeof(r));
        k = r % i;
        m = members[i - 1];
        members[i - 1] = members[k];
        members[k] = m;
    }
}


static int
doc_omitted(const fault_t *f, const char *name)
{
    size_t       size;
    const char  *p;

    for (p = f->omit; p && *p; p += size + (p[size] == ',')) {
        size = strcspn(p, ",");

        if (strlen(name) == size && strncmp(p, name, size) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
doc_damage(buf_t *b, fault_text_t text)
{
    switch (text) {

    case TEXT_INVALID:
        b->data[b->size - 1] = ']';
        break;

    case TEXT_CUT:
        b->size /= 2;
        break;

    case TEXT_TRAILING:
        buf_puts(b, "{\"id\":null}");
        break;

    case TEXT_EMPTY:
        b->size = 0;
        break;

    case TEXT_AS_IS:
        break;
    }
}
