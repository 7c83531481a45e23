#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "report.h"
#include "token.h"


static void report_counters(cJSON *json, const counters_t *c);
static void report_request(cJSON *json, const char *name, const buf_t *record);
static void report_connections(cJSON *json, http_server_t *server);
static void report_token(cJSON *json, const cloud_t *cloud);
static cJSON *report_id(const entry_t *e, int with_times);
static int report_seen(const counters_t *c);
static void report_number(cJSON *json, const char *name, uint64_t n);
static blob_t *report_finish(cJSON *json);


blob_t *
report_all(const cloud_t *cloud, http_server_t *server)
{
    cJSON     *json, *ids;
    uint32_t   i;
    uint64_t   n;
    entry_t   *e;

    json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "now_ms", wall_ms());
    report_token(json, cloud);
    report_counters(json, &cloud->counters);
    report_number(json, "not_found", cloud->not_found);
    report_connections(json, server);

    ids = cJSON_AddObjectToObject(json, "ids");

    for (n = 0, i = 0; i < entry_count(); i++) {
        e = entry_by_number(i);

        if (report_seen(&e->counters) && ++n <= REPORT_MAX_IDS) {
            cJSON_AddItemToObject(ids, e->guid, report_id(e, 0));
        }
    }

    report_number(json, "ids_seen", n);

    return report_finish(json);
}


blob_t *
report_entry(const entry_t *e)
{
    return report_finish(report_id(e, 1));
}


static cJSON *
report_id(const entry_t *e, int with_times)
{
    size_t               i;
    cJSON               *json, *times;
    const fetch_time_t  *f;

    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "op", op_names[e->op]);
    report_counters(json, &e->counters);

    if (!with_times) {
        return json;
    }

    times = cJSON_AddArrayToObject(json, "fetches_ms");

    for (i = 0; (f = times_get(&e->counters.times, i)) != NULL; i++) {
        cJSON_AddItemToArray(times, cJSON_CreateNumber(f->ms));
    }

    report_request(json, "last_fetch", &e->last_request);

    return json;
}


blob_t *
report_task(entry_t *e)
{
    cJSON   *json;
    task_t  *t;

    task_expire(e);
    t = e->task;

    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "id", e->guid);
    cJSON_AddStringToObject(json, "op", op_names[e->op]);
    cJSON_AddBoolToObject(json, "exists", t != NULL);

    if (t) {
        report_number(json, "age_ms", now_ms() - t->created_ms);
        report_number(json, "pending_left", t->pending);
        report_number(json, "processing_left", t->processing);
        report_number(json, "result_size", t->result ? t->result->size : 0);
        cJSON_AddStringToObject(json, "ends_as", state_names[t->last]);
        cJSON_AddBoolToObject(json, "working", t->job != 0);
    }

    return report_finish(json);
}


/* [[ms, id, HTTP status], ...], oldest first */
blob_t *
report_times(const times_t *times)
{
    buf_t                b = { NULL, 0, 0 };
    size_t               i;
    const fetch_time_t  *f;

    buf_puts(&b, "[");

    for (i = 0; (f = times_get(times, i)) != NULL; i++) {
        buf_printf(&b, "%s[%.3f,\"%s\",%d]", i ? ",\n" : "", f->ms,
                   f->entry == UINT32_MAX ? ""
                                          : entry_by_number(f->entry)->guid,
                   f->status);
    }

    buf_puts(&b, "]\n");

    return blob_from_buf(&b);
}


static int
report_seen(const counters_t *c)
{
    return c->fetches || c->submits || c->deletes || c->unauthorized;
}


static void
report_counters(cJSON *json, const counters_t *c)
{
    int      i;
    char     name[16];
    cJSON   *states, *statuses;

    report_number(json, "fetches", c->fetches);
    report_number(json, "submits", c->submits);
    report_number(json, "deletes", c->deletes);
    report_number(json, "unauthorized", c->unauthorized);
    report_number(json, "aborted", c->aborted);
    report_number(json, "faults", c->faults);
    report_number(json, "in_air", c->in_air);
    report_number(json, "max_in_air", c->max_in_air);

    states = cJSON_AddObjectToObject(json, "task_status");

    for (i = 0; i < STATE_MAX; i++) {
        report_number(states, state_names[i], c->states[i]);
    }

    statuses = cJSON_AddObjectToObject(json, "http_status");

    for (i = 0; i < ENTRY_MAX_STATUSES && c->statuses[i].n; i++) {
        snprintf(name, sizeof(name), "%d", c->statuses[i].status);
        report_number(statuses, name, c->statuses[i].n);
    }
}


static void
report_token(cJSON *json, const cloud_t *cloud)
{
    cJSON                   *token;
    const token_counters_t  *c;

    c = token_counters();
    token = cJSON_AddObjectToObject(json, "token");

    report_number(token, "calls", c->calls);
    report_number(token, "ok", c->ok);
    report_number(token, "refused", c->refused);
    report_number(token, "locked", c->locked);
    report_number(token, "faults", c->faults);
    report_request(token, "last", &cloud->last_token_request);
}


static void
report_connections(cJSON *json, http_server_t *server)
{
    size_t                  i;
    cJSON                  *connections, *sni;
    const http_counters_t  *c;

    c = http_server_counters(server);
    connections = cJSON_AddObjectToObject(json, "connections");

    report_number(connections, "accepted", c->accepted);
    report_number(connections, "open", http_server_open(server));
    report_number(connections, "max_open", c->max_open);
    report_number(connections, "requests", c->requests);
    report_number(connections, "bad_requests", c->bad_requests);
    report_number(connections, "tls_handshakes", c->handshakes);
    report_number(connections, "tls_resumed", c->handshakes_resumed);
    report_number(connections, "tls_failed", c->handshakes_failed);

    sni = cJSON_AddObjectToObject(connections, "sni");

    for (i = 0; i < c->nsni; i++) {
        report_number(sni, c->sni[i].name, c->sni[i].n);
    }
}


/* {"line": ..., "headers": [[name, value], ...]}, null if there was none */
static void
report_request(cJSON *json, const char *name, const buf_t *record)
{
    char   *copy, *pos, *line, *value;
    cJSON  *request, *headers, *pair;

    if (record->size == 0) {
        cJSON_AddNullToObject(json, name);
        return;
    }

    pos = copy = mem_strdup(record->data);
    request = cJSON_AddObjectToObject(json, name);
    cJSON_AddStringToObject(request, "line", strsep(&pos, "\n"));
    headers = cJSON_AddArrayToObject(request, "headers");

    while (pos && *pos) {
        line = strsep(&pos, "\n");
        value = strchr(line, ':');
        *value++ = '\0';

        pair = cJSON_CreateArray();
        cJSON_AddItemToArray(pair, cJSON_CreateString(line));
        cJSON_AddItemToArray(pair, cJSON_CreateString(value));
        cJSON_AddItemToArray(headers, pair);
    }

    free(copy);
}


static void
report_number(cJSON *json, const char *name, uint64_t n)
{
    cJSON_AddNumberToObject(json, name, (double) n);
}


static blob_t *
report_finish(cJSON *json)
{
    char    *text;
    blob_t  *b;

    text = cJSON_Print(json);
    cJSON_Delete(json);

    b = blob_copy(text, strlen(text) + 1);
    b->data[b->size - 1] = '\n';
    free(text);

    return b;
}
