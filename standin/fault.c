#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fault.h"


typedef enum {
    PARAM_NUMBER,
    PARAM_STRING,
    PARAM_CHOICE,
    PARAM_HEADER
} param_kind_t;


typedef struct {
    const char    *name;
    param_kind_t   kind;
    size_t         offset;
    const char    *choices;     /* " a b c": their index is the value */
} param_t;


#define NUMBER(field)   #field, PARAM_NUMBER, offsetof(fault_t, field), NULL
#define STRING(field)   #field, PARAM_STRING, offsetof(fault_t, field), NULL
#define CHOICE(field, choices)                                               \
    #field, PARAM_CHOICE, offsetof(fault_t, field), choices


static const param_t  params[] = {
    { NUMBER(http) },
    { STRING(body) },
    { STRING(retry_after) },
    { STRING(location) },
    { STRING(content_type) },
    { "header", PARAM_HEADER, 0, NULL },
    { NUMBER(huge_header) },
    { NUMBER(delay_ms) },
    { NUMBER(body_delay_ms) },
    { NUMBER(dribble) },
    { NUMBER(dribble_ms) },
    { CHOICE(dribble_head, "off on") },
    { STRING(flood) },
    { CHOICE(hang, "off start midhead head body end") },
    { CHOICE(close, "off start midhead head body end") },
    { NUMBER(at) },
    { CHOICE(reset, "off on") },
    { CHOICE(framing, "default chunked length close http10 both") },
    { NUMBER(chunk) },
    { STRING(interim) },
    { CHOICE(gzip, "off on lie") },
    { STRING(length) },
    { "keepalive", PARAM_CHOICE, offsetof(fault_t, keepalive_off), "on off" },
    { NUMBER(garbage) },
    { CHOICE(raw, "off on") },
    { STRING(id) },
    { STRING(status) },
    { "responseStatusCode", PARAM_STRING, offsetof(fault_t, response_status),
      NULL },
    { STRING(type) },
    { STRING(messages) },
    { STRING(warnings) },
    { CHOICE(results, "one two empty null absent") },
    { CHOICE(payload,
             "result notpng cut noiend badbase64 unpadded empty null") },
    { CHOICE(escape, "dotnet lower none slash uslash crlf all") },
    { CHOICE(order, "dotnet reverse shuffle results-first") },
    { NUMBER(unknown) },
    { NUMBER(unknown_size) },
    { NUMBER(nest) },
    { CHOICE(duplicate, "off on") },
    { CHOICE(bom, "off on") },
    { CHOICE(indent, "off on") },
    { CHOICE(text, "as-is invalid cut trailing empty") },
    { STRING(omit) },
    { NUMBER(pending) },
    { NUMBER(pending_ms) },
    { NUMBER(processing) },
    { NUMBER(processing_ms) },
    { NUMBER(retention) },
    { NUMBER(size) },
    { STRING(expires_in) },
    { STRING(token_type) },
    { STRING(token) },
    { NUMBER(lives) },
    { NUMBER(times) },
    { NUMBER(skip) },
    { STRING(on) },
    { STRING(op) },
};


static int param_set(fault_t *f, const param_t *p, char *value);
static int choice_index(const char *choices, const char *value);


char *
fault_read(fault_t *f, const char *query, char **bad)
{
    char    *text, *pos, *name, *value;
    size_t   i;

    *bad = NULL;
    pos = text = mem_strdup(query);

    while (query_next(&pos, &name, &value)) {

        for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
            if (strcmp(params[i].name, name) == 0) {
                break;
            }
        }

        if (i == sizeof(params) / sizeof(params[0])
            || param_set(f, &params[i], value) != 0)
        {
            *bad = mem_strdup(name);
            free(text);
            return NULL;
        }
    }

    return text;
}


static int
param_set(fault_t *f, const param_t *p, char *value)
{
    int    n;
    char  *field, *end;

    field = (char *) f + p->offset;

    switch (p->kind) {

    case PARAM_NUMBER:
        *(uint64_t *) (void *) field = strtoull(value, &end, 10);
        return isdigit((unsigned char) *value) && *end == '\0' ? 0 : -1;

    case PARAM_STRING:
        *(char **) (void *) field = value;
        return 0;

    case PARAM_CHOICE:
        n = choice_index(p->choices, value);
        *(int *) (void *) field = n;
        return n < 0 ? -1 : 0;

    default: /* PARAM_HEADER */
        if (f->nheader == sizeof(f->header) / sizeof(f->header[0])
            || strchr(value, ':') == NULL)
        {
            return -1;
        }

        f->header[f->nheader++] = value;
        return 0;
    }
}


static int
choice_index(const char *choices, const char *value)
{
    int          i;
    size_t       size;
    const char  *p;

    for (i = 0, p = choices; /* void */ ; i++, p += size + 1) {
        size = strcspn(p, " ");

        if (strlen(value) == size && strncmp(p, value, size) == 0) {
            return i;
        }

        if (p[size] == '\0') {
            return -1;
        }
    }
}


rule_t *
rule_create(const char *query, const void *body, size_t size, char **bad)
{
    char     *text;
    rule_t   *r;
    fault_t   f;

    memset(&f, 0, sizeof(f));
    f.times = UINT64_MAX;
    text = fault_read(&f, query, bad);

    if (text == NULL) {
        return NULL;
    }

    r = mem_zalloc(sizeof(*r));
    r->query = mem_strdup(query);
    r->body = size ? blob_copy(body, size) : NULL;
    r->skip = f.skip;
    r->left = f.times;

    free(text);

    return r;
}


void
rule_free_all(rule_t **list)
{
    rule_t  *r;

    while (*list) {
        r = *list;
        *list = r->next;
        free(r->query);
        blob_unref(r->body);
        free(r);
    }
}


void
rule_append(rule_t **list, rule_t *r)
{
    while (*list) {
        list = &(*list)->next;
    }

    *list = r;
}


rule_t *
rule_take(rule_t *list)
{
    for ( /* void */ ; list; list = list->next) {

        if (list->left == 0) {
            continue;
        }

        if (list->skip) {
            list->skip--;
            continue;
        }

        if (list->left != UINT64_MAX) {
            list->left--;
        }

        return list;
    }

    return NULL;
}
