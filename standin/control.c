#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "report.h"
#include "token.h"


typedef struct {
    cloud_t         *cloud;
    http_request_t  *request;
    const char      *rest;              /* of the path, after the name */
    answer_t         answer;
} control_t;


typedef struct {
    const char  *method;
    const char  *name;
    void       (*handler)(control_t *c);
} route_t;


static void control_calls(control_t *c);
static void control_times(control_t *c);
static void control_reset(control_t *c);
static void control_task_put(control_t *c);
static void control_task_get(control_t *c);
static void control_task_delete(control_t *c);
static void control_result(control_t *c);
static void control_faults_put(control_t *c);
static void control_faults_post(control_t *c);
static void control_faults_delete(control_t *c);
static void control_token_put(control_t *c);
static void control_mint(control_t *c);
static void control_revoke(control_t *c);
static void control_unlock(control_t *c);
static void control_credentials_put(control_t *c);
static void control_credentials_delete(control_t *c);
static void control_close_idle(control_t *c);
static void control_pause(control_t *c);
static void control_faults_add(control_t *c, const char *target, int append);
static rule_t **control_rules(control_t *c, const char *target);
static entry_t *control_entry(control_t *c, const char *guid, int create);
static op_t control_op(control_t *c);
static uint64_t control_number(control_t *c, const char *name,
    uint64_t otherwise);
static void control_text(control_t *c, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void control_forget_all(cloud_t *cloud);


static const route_t  routes[] = {
    { "GET", "calls", control_calls },
    { "GET", "times", control_times },
    { "POST", "reset", control_reset },
    { "PUT", "tasks", control_task_put },
    { "GET", "tasks", control_task_get },
    { "DELETE", "tasks", control_task_delete },
    { "GET", "result", control_result },
    { "PUT", "faults", control_faults_put },
    { "POST", "faults", control_faults_post },
    { "DELETE", "faults", control_faults_delete },
    { "PUT", "token", control_token_put },
    { "POST", "mint", control_mint },
    { "POST", "revoke", control_revoke },
    { "POST", "unlock", control_unlock },
    { "PUT", "credentials", control_credentials_put },
    { "DELETE", "credentials", control_credentials_delete },
    { "POST", "close-idle", control_close_idle },
    { "POST", "pause", control_pause },
};

static http_server_t  *server;


void
control_init(http_server_t *s)
{
    server = s;
}


void
control_handle(cloud_t *cloud, http_request_t *r, http_script_t *script)
{
    int           found;
    size_t        i, size;
    fault_t       honest;
    control_t     c;
    const char   *name;

    memset(&c, 0, sizeof(c));
    c.cloud = cloud;
    c.request = r;
    c.answer.status = 200;

    name = r->path + strlen(CONTROL_PREFIX);
    size = strcspn(name, "/");
    c.rest = name[size] ? name + size + 1 : name + size;
    found = 0;

    for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {

        if (strlen(routes[i].name) != size
            || strncmp(routes[i].name, name, size) != 0)
        {
            continue;
        }

        found = 1;

        if (strcmp(routes[i].method, r->method) == 0) {
            routes[i].handler(&c);
            break;
        }
    }

    if (i == sizeof(routes) / sizeof(routes[0])) {
        control_text(&c, found ? 405 : 404, "no such control");
    }

    memset(&honest, 0, sizeof(honest));
    honest.framing = FRAMING_LENGTH + 1;
    wire_answer(script, &c.answer, &honest, NULL);
}


static void
control_calls(control_t *c)
{
    char     *id;
    entry_t  *e;

    id = query_get(c->request->query, "id");

    if (id == NULL) {
        c->answer.body = report_all(c->cloud, server);
        c->answer.content_type = "application/json";
        return;
    }

    e = control_entry(c, id, 1);
    free(id);

    if (e) {
        c->answer.body = report_entry(e);
        c->answer.content_type = "application/json";
    }
}


static void
control_times(control_t *c)
{
    c->answer.body = report_times(&c->cloud->counters.times);
    c->answer.content_type = "application/json";
}


static void
control_reset(control_t *c)
{
    uint32_t           i;
    cloud_t           *cloud;
    http_counters_t   *http;

    cloud = c->cloud;
    http = http_server_counters(server);

    counters_zero(&cloud->counters);
    cloud->not_found = 0;
    cloud->last_token_request.size = 0;
    memset(token_counters(), 0, sizeof(*token_counters()));
    memset(http, 0, sizeof(*http));
    http->max_open = http_server_open(server);

    for (i = 0; i < entry_count(); i++) {
        counters_zero(&entry_by_number(i)->counters);
        entry_by_number(i)->last_request.size = 0;
    }

    if (control_number(c, "all", 0)) {
        control_forget_all(cloud);
    }

    c->answer.status = 204;
}


static void
control_forget_all(cloud_t *cloud)
{
    uint32_t   i;
    entry_t   *e;

    for (i = 0; i < entry_count(); i++) {
        e = entry_by_number(i);
        task_remove(e);
        rule_free_all(&e->fetch_rules);
        rule_free_all(&e->delete_rules);
    }

    rule_free_all(&cloud->token_rules);
    rule_free_all(&cloud->submit_rules);
    rule_free_all(&cloud->any_rules);
    token_unlock_all();
}


static void
control_task_put(control_t *c)
{
    char     *bad, *text;
    rule_t   *rule;
    fault_t   f;
    entry_t  *e;

    e = control_entry(c, c->rest, 1);

    if (e == NULL) {
        return;
    }

    rule = rule_create(c->request->query, c->request->body.data,
                       c->request->body.size, &bad);
    if (rule == NULL) {
        control_text(c, 400, "bad parameter \"%s\"", bad);
        free(bad);
        return;
    }

    memset(&f, 0, sizeof(f));
    f.retention = c->cloud->retention_s;
    text = fault_read(&f, rule->query, &bad);

    rule_free_all(&e->fetch_rules);
    rule_free_all(&e->delete_rules);
    task_create(e, rule, &f);
    free(text);

    c->answer.status = 204;
}


static void
control_task_get(control_t *c)
{
    entry_t  *e;

    e = control_entry(c, c->rest, 0);

    if (e) {
        c->answer.body = report_task(e);
        c->answer.content_type = "application/json";
    }
}


static void
control_task_delete(control_t *c)
{
    uint32_t  i;
    entry_t  *e;

    c->answer.status = 204;

    if (*c->rest) {
        e = control_entry(c, c->rest, 0);

        if (e) {
            task_remove(e);
        }

        return;
    }

    for (i = 0; i < entry_count(); i++) {
        task_remove(entry_by_number(i));
    }
}


static void
control_result(control_t *c)
{
    entry_t  *e;

    e = control_entry(c, c->rest, 0);

    if (e == NULL) {
        return;
    }

    if (e->task == NULL || e->task->result == NULL) {
        control_text(c, 404, "no result");
        return;
    }

    c->answer.body = blob_ref(e->task->result);
    c->answer.content_type = "image/png";
}


static void
control_faults_put(control_t *c)
{
    control_faults_add(c, c->rest, 0);
}


static void
control_faults_post(control_t *c)
{
    control_faults_add(c, c->rest, 1);
}


static void
control_token_put(control_t *c)
{
    control_faults_add(c, "token", 0);
}


static void
control_faults_add(control_t *c, const char *target, int append)
{
    char    *bad;
    rule_t  *rule, **rules;

    rules = control_rules(c, target);

    if (rules == NULL) {
        return;
    }

    rule = rule_create(c->request->query, c->request->body.data,
                       c->request->body.size, &bad);
    if (rule == NULL) {
        control_text(c, 400, "bad parameter \"%s\"", bad);
        free(bad);
        return;
    }

    if (!append) {
        rule_free_all(rules);
    }

    rule_append(rules, rule);
    c->answer.status = 204;
}


static void
control_faults_delete(control_t *c)
{
    uint32_t   i;
    rule_t   **rules;

    c->answer.status = 204;

    if (*c->rest) {
        rules = control_rules(c, c->rest);

        if (rules) {
            rule_free_all(rules);
        }

        return;
    }

    for (i = 0; i < entry_count(); i++) {
        rule_free_all(&entry_by_number(i)->fetch_rules);
        rule_free_all(&entry_by_number(i)->delete_rules);
    }

    rule_free_all(&c->cloud->token_rules);
    rule_free_all(&c->cloud->submit_rules);
    rule_free_all(&c->cloud->any_rules);
}


/* The list for "token", "submit", "any" or an id; NULL and an answer else. */
static rule_t **
control_rules(control_t *c, const char *target)
{
    int       of_delete;
    char     *on;
    entry_t  *e;

    if (strcmp(target, "token") == 0) {
        return &c->cloud->token_rules;
    }

    if (strcmp(target, "submit") == 0) {
        return &c->cloud->submit_rules;
    }

    if (strcmp(target, "any") == 0) {
        return &c->cloud->any_rules;
    }

    e = control_entry(c, target, 1);

    if (e == NULL) {
        return NULL;
    }

    on = query_get(c->request->query, "on");
    of_delete = on && strcmp(on, "delete") == 0;
    free(on);

    return of_delete ? &e->delete_rules : &e->fetch_rules;
}


/* NULL and an answer if guid is none, or unknown and not to be made. */
static entry_t *
control_entry(control_t *c, const char *guid, int create)
{
    char      canonical[GUID_SIZE + 1];
    entry_t  *e;

    if (guid_parse(guid, canonical) != 0) {
        control_text(c, 400, "not a GUID");
        return NULL;
    }

    e = entry_find(control_op(c), canonical, create);

    if (e == NULL) {
        control_text(c, 404, "nothing known of it");
    }

    return e;
}


static op_t
control_op(control_t *c)
{
    int    op;
    char  *name;

    name = query_get(c->request->query, "op");
    op = name ? op_find(name) : OP_BINARIZE;
    free(name);

    return op < 0 ? OP_BINARIZE : (op_t) op;
}


static void
control_mint(control_t *c)
{
    buf_t  b = { NULL, 0, 0 };

    token_create(&b, control_number(c, "lives", 3600));
    c->answer.body = blob_from_buf(&b);
    c->answer.content_type = "text/plain";
}


static void
control_revoke(control_t *c)
{
    token_revoke_all();
    c->answer.status = 204;
}


static void
control_unlock(control_t *c)
{
    token_unlock_all();
    c->answer.status = 204;
}


static void
control_credentials_put(control_t *c)
{
    char  *id;

    id = query_get(c->request->query, "client_id");

    if (id == NULL || c->request->body.size == 0) {
        control_text(c, 400, "client_id=... and the secret as body");
        free(id);
        return;
    }

    token_set_credentials(id, c->request->body.data);
    free(id);
    c->answer.status = 204;
}


static void
control_credentials_delete(control_t *c)
{
    char  *id;

    id = query_get(c->request->query, "client_id");

    if (id) {
        token_forget_credentials(id);
        free(id);
    }

    c->answer.status = 204;
}


static void
control_close_idle(control_t *c)
{
    control_text(c, 200, "%zu", http_server_close_idle(server));
}


static void
control_pause(control_t *c)
{
    http_server_pause(server, control_number(c, "ms", 1000));
    c->answer.status = 204;
}


static uint64_t
control_number(control_t *c, const char *name, uint64_t otherwise)
{
    char      *value;
    uint64_t   n;

    value = query_get(c->request->query, name);
    n = value ? strtoull(value, NULL, 10) : otherwise;
    free(value);

    return n;
}


static void
control_text(control_t *c, int status, const char *fmt, ...)
{
    char     text[512];
    int      n;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text) - 1, fmt, args);
    va_end(args);

    n = n < (int) sizeof(text) - 1 ? n : (int) sizeof(text) - 2;
    text[n++] = '\n';

    blob_unref(c->answer.body);
    c->answer.status = status;
    c->answer.content_type = "text/plain";
    c->answer.body = blob_copy(text, (size_t) n);
}
