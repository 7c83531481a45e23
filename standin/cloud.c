#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "cloud.h"
#include "control.h"
#include "doc.h"
#include "token.h"
#include "worker.h"

#define CLOUD_PREFIX  "/v5.0/ocr/"


/* What a fetch is answered with, and the texts its fault points into. */
typedef struct {
    fault_t   fault;
    rule_t   *rule;
    char     *base_text;
    char     *rule_text;
    int       forced_status;            /* the rule sets taskStatus */
    int       lasting;                  /* no rule, and the base is for ever */
} plan_t;


static void cloud_token(cloud_t *cloud, http_request_t *r,
    http_script_t *script);
static void cloud_fetch(cloud_t *cloud, op_t op, http_request_t *r,
    http_script_t *script);
static void cloud_fetch_document(entry_t *e, plan_t *plan, counters_t *total,
    answer_t *a);
static blob_t *cloud_document(entry_t *e, state_t state, plan_t *plan);
static void cloud_fetch_count(cloud_t *cloud, entry_t *e, const plan_t *plan,
    int status);
static void cloud_fetch_done(void *data, int complete);
static void cloud_submit(cloud_t *cloud, op_t op, http_request_t *r,
    http_script_t *script);
static const char *cloud_submit_image(cloud_t *cloud, op_t op,
    const http_request_t *r, answer_t *a);
static void cloud_delete(cloud_t *cloud, op_t op, http_request_t *r,
    http_script_t *script);
static entry_t *cloud_entry(op_t op, const http_request_t *r);
static int cloud_authorized(cloud_t *cloud, entry_t *e,
    const http_request_t *r, answer_t *a);
static void cloud_plan(plan_t *plan, rule_t *base, rule_t *rule);
static void cloud_plan_task_only(fault_t *f);
static int cloud_plan_honest(const plan_t *plan);
static void cloud_plan_free(plan_t *plan);
static void cloud_answer(http_script_t *script, answer_t *a, plan_t *plan);
static void cloud_record(buf_t *b, const http_request_t *r);

/* the total that cloud_fetch_done() counts in: there is one cloud */
static counters_t  *fetch_total;


void
cloud_init(cloud_t *cloud)
{
    cloud->counters.times.max = CLOUD_MAX_TIMES;
    fetch_total = &cloud->counters;
}


void
cloud_handle(http_request_t *r, http_script_t *script, void *data)
{
    int           op;
    answer_t      a;
    plan_t        plan;
    cloud_t      *cloud = data;

    if (strncmp(r->path, CONTROL_PREFIX, strlen(CONTROL_PREFIX)) == 0) {
        control_handle(cloud, r, script);
        return;
    }

    if (strcasecmp(r->path, "/connect/token") == 0
        && strcmp(r->method, "POST") == 0)
    {
        cloud_token(cloud, r, script);
        return;
    }

    op = -1;

    if (strncasecmp(r->path, CLOUD_PREFIX, strlen(CLOUD_PREFIX)) == 0) {
        op = op_find(r->path + strlen(CLOUD_PREFIX));
    }

    if (op >= 0 && strcmp(r->method, "GET") == 0) {
        cloud_fetch(cloud, (op_t) op, r, script);
        return;
    }

    if (op >= 0 && strcmp(r->method, "POST") == 0) {
        cloud_submit(cloud, (op_t) op, r, script);
        return;
    }

    if (op >= 0 && strcmp(r->method, "DELETE") == 0) {
        cloud_delete(cloud, (op_t) op, r, script);
        return;
    }

    cloud->not_found++;

    memset(&a, 0, sizeof(a));
    a.status = op >= 0 ? 405 : 404;

    if (op >= 0) {
        buf_puts(&a.headers, "Allow: DELETE, GET, POST\r\n");
    }

    cloud_plan(&plan, NULL, NULL);
    cloud_answer(script, &a, &plan);
}


static void
cloud_token(cloud_t *cloud, http_request_t *r, http_script_t *script)
{
    plan_t             plan;
    answer_t           a;
    token_counters_t  *counters;

    memset(&a, 0, sizeof(a));
    a.status = 200;
    counters = token_counters();
    counters->calls++;

    cloud_record(&cloud->last_token_request, r);
    cloud_plan(&plan, NULL, rule_take(cloud->token_rules));
    counters->faults += plan.rule != NULL;

    if (cloud_plan_honest(&plan)) {
        token_answer(r, &a, &plan.fault);

    } else if (plan.fault.http == 400 && plan.fault.body == NULL
               && plan.rule->body == NULL)
    {
        plan.fault.body = "{\"error\":\"invalid_client\"}";
        plan.fault.content_type = "application/json; charset=UTF-8";
    }

    cloud_answer(script, &a, &plan);
}


static void
cloud_fetch(cloud_t *cloud, op_t op, http_request_t *r, http_script_t *script)
{
    int        silent;
    plan_t     plan;
    rule_t    *rule;
    entry_t   *e;
    answer_t   a;

    memset(&a, 0, sizeof(a));
    a.status = 200;

    cloud->counters.fetches++;
    e = cloud_entry(op, r);

    if (e) {
        e->counters.fetches++;
        cloud_record(&e->last_request, r);
    }

    if (!cloud_authorized(cloud, e, r, &a)) {
        cloud_plan(&plan, NULL, NULL);

    } else if (e == NULL) {
        cloud_plan(&plan, NULL, NULL);
        answer_problem(&a, 400, "One or more validation errors occurred.",
                       "The id is missing or not valid.");

    } else {
        task_expire(e);

        rule = rule_take(e->fetch_rules);
        rule = rule ? rule : rule_take(cloud->any_rules);

        cloud_plan(&plan, e->task ? e->task->base : NULL, rule);

        if (cloud_plan_honest(&plan)) {
            cloud_fetch_document(e, &plan, &cloud->counters, &a);
        }
    }

    silent = plan.fault.hang == AT_START || plan.fault.close == AT_START
             || plan.fault.raw || plan.fault.garbage;

    cloud_fetch_count(cloud, e, &plan,
                      silent ? 0
                      : plan.fault.http ? (int) plan.fault.http : a.status);

    script->on_done = cloud_fetch_done;
    script->data = e;

    cloud_answer(script, &a, &plan);
}


static void
cloud_fetch_document(entry_t *e, plan_t *plan, counters_t *total, answer_t *a)
{
    state_t  state;

    state = e->task ? task_state(e->task) : STATE_NOTEXIST;

    if (plan->forced_status) {
        state = state_find(plan->fault.status, state);
    }

    e->counters.states[state]++;
    total->states[state]++;

    a->body = cloud_document(e, state, plan);
    a->content_type = "application/json; charset=utf-8";
}


static blob_t *
cloud_document(entry_t *e, state_t state, plan_t *plan)
{
    doc_t    d;
    task_t  *t;
    blob_t  *doc;

    t = e->task;

    if (t && t->doc && plan->lasting && state == STATE_COMPLETED) {
        return blob_ref(t->doc);
    }

    memset(&d, 0, sizeof(d));
    d.id = e->guid;
    d.status = plan->forced_status
               || (state == STATE_COMPLETED && plan->fault.status)
               ? plan->fault.status : state_names[state];

    if (t && state == STATE_COMPLETED) {
        d.result = t->result;
    }

    if (state == STATE_NOTEXIST) {
        d.message = "Task not found";

    } else if (state == STATE_ERROR) {
        d.message = t && t->failure ? t->failure
                                    : "The image could not be processed";
    }

    doc = doc_write(&d, &plan->fault);

    if (t && plan->lasting && state == STATE_COMPLETED) {
        t->doc = blob_ref(doc);
    }

    return doc;
}


static void
cloud_fetch_count(cloud_t *cloud, entry_t *e, const plan_t *plan, int status)
{
    counters_t  *c;

    c = &cloud->counters;
    c->faults += plan->rule != NULL;
    counters_add_status(c, status);
    times_add(&c->times, e ? e->number : UINT32_MAX, status);

    if (++c->in_air > c->max_in_air) {
        c->max_in_air = c->in_air;
    }

    if (e == NULL) {
        return;
    }

    c = &e->counters;
    c->faults += plan->rule != NULL;
    counters_add_status(c, status);
    times_add(&c->times, e->number, status);

    if (++c->in_air > c->max_in_air) {
        c->max_in_air = c->in_air;
    }
}


static void
cloud_fetch_done(void *data, int complete)
{
    entry_t  *e = data;

    fetch_total->in_air--;
    fetch_total->aborted += !complete;

    if (e) {
        e->counters.in_air--;
        e->counters.aborted += !complete;
    }
}


static void
cloud_submit(cloud_t *cloud, op_t op, http_request_t *r, http_script_t *script)
{
    plan_t        plan;
    answer_t      a;
    const char   *error;

    memset(&a, 0, sizeof(a));
    a.status = 200;
    cloud->counters.submits++;

    if (!cloud_authorized(cloud, NULL, r, &a)) {
        cloud_plan(&plan, NULL, NULL);
        cloud_answer(script, &a, &plan);
        return;
    }

    cloud_plan(&plan, NULL, rule_take(cloud->submit_rules));

    if (cloud_plan_honest(&plan)) {
        error = cloud_submit_image(cloud, op, r, &a);

        if (error) {
            answer_problem(&a, 400, "One or more validation errors occurred.",
                           error);
        }
    }

    cloud_answer(script, &a, &plan);
}


/* Returns what is wrong with the request. */
static const char *
cloud_submit_image(cloud_t *cloud, op_t op, const http_request_t *r,
    answer_t *a)
{
    char            guid[GUID_SIZE + 1];
    cJSON          *json, *image;
    size_t          size;
    entry_t        *e;
    unsigned char  *data;

    json = cJSON_ParseWithLength(r->body.data ? r->body.data : "",
                                 r->body.size);
    image = cJSON_GetObjectItem(json, "image");
    data = cJSON_IsString(image) ? base64_decode(image->valuestring, &size)
                                 : NULL;

    if (data == NULL) {
        cJSON_Delete(json);
        return "The image field is required and has to be base64.";
    }

    cJSON_Delete(json);

    guid_random(guid);
    e = entry_find(op, guid, 1);
    e->counters.submits++;

    task_submit(e, cloud->pending_ms, cloud->processing_ms,
                cloud->retention_s);
    worker_post(e, data, size);

    a->content_type = "text/plain; charset=utf-8";
    a->body = blob_copy(guid, GUID_SIZE);

    return NULL;
}


static void
cloud_delete(cloud_t *cloud, op_t op, http_request_t *r, http_script_t *script)
{
    plan_t     plan;
    entry_t   *e;
    answer_t   a;

    memset(&a, 0, sizeof(a));
    a.status = 200;
    cloud->counters.deletes++;
    e = cloud_entry(op, r);

    if (e) {
        e->counters.deletes++;
    }

    if (!cloud_authorized(cloud, e, r, &a)) {
        cloud_plan(&plan, NULL, NULL);

    } else if (e == NULL) {
        cloud_plan(&plan, NULL, NULL);
        answer_problem(&a, 400, "One or more validation errors occurred.",
                       "The id is missing or not valid.");

    } else {
        cloud_plan(&plan, NULL, rule_take(e->delete_rules));

        if (cloud_plan_honest(&plan)) {
            task_remove(e);
        }
    }

    cloud_answer(script, &a, &plan);
}


/* NULL if the query has no valid id. */
static entry_t *
cloud_entry(op_t op, const http_request_t *r)
{
    char     guid[GUID_SIZE + 1];
    char    *id;
    entry_t  *e;

    id = query_get(r->query, "id");
    e = id && guid_parse(id, guid) == 0 ? entry_find(op, guid, 1) : NULL;
    free(id);

    return e;
}


static int
cloud_authorized(cloud_t *cloud, entry_t *e, const http_request_t *r,
    answer_t *a)
{
    const char  *error;

    error = token_check(r);

    if (error == NULL) {
        return 1;
    }

    answer_unauthorized(a, *error ? error : NULL);
    cloud->counters.unauthorized++;

    if (e) {
        e->counters.unauthorized++;
    }

    return 0;
}


/* What lasts of a base whose calls are used up or yet to come. */
static void
cloud_plan_task_only(fault_t *f)
{
    fault_t  task;

    memset(&task, 0, sizeof(task));

    task.status = f->status;
    task.response_status = f->response_status;
    task.messages = f->messages;
    task.warnings = f->warnings;
    task.results = f->results;
    task.type = f->type;

    *f = task;
}


static void
cloud_plan(plan_t *plan, rule_t *base, rule_t *rule)
{
    char     *bad;
    char     *status;
    fault_t  *f;

    memset(plan, 0, sizeof(*plan));
    f = &plan->fault;
    plan->rule = rule;
    plan->lasting = rule == NULL;

    if (base) {
        plan->base_text = fault_read(f, base->query, &bad);
        plan->lasting = plan->lasting && base->left == UINT64_MAX
                        && base->skip == 0 && f->order != ORDER_SHUFFLE;

        if (rule_take(base) == NULL) {
            cloud_plan_task_only(f);
        }
    }

    if (rule) {
        status = f->status;
        f->status = NULL;
        plan->rule_text = fault_read(f, rule->query, &bad);
        plan->forced_status = f->status != NULL;
        f->status = f->status ? f->status : status;
    }
}


/* 1 if the call does its work, however the answer travels. */
static int
cloud_plan_honest(const plan_t *plan)
{
    const fault_t  *f;

    f = &plan->fault;

    return !f->raw && !f->garbage && f->body == NULL
           && (f->http == 0 || f->http == 200)
           && (plan->rule == NULL || plan->rule->body == NULL);
}


static void
cloud_plan_free(plan_t *plan)
{
    free(plan->base_text);
    free(plan->rule_text);
}


static void
cloud_answer(http_script_t *script, answer_t *a, plan_t *plan)
{
    wire_answer(script, a, &plan->fault, plan->rule ? plan->rule->body : NULL);
    cloud_plan_free(plan);
}


/* Line and headers, with a digest in place of what is secret. */
static void
cloud_record(buf_t *b, const http_request_t *r)
{
    char            hash[65];
    size_t          i;
    const char     *value;

    b->size = 0;
    buf_printf(b, "%s\n", r->line);

    for (i = 0; i < r->nheaders; i++) {
        value = r->headers[i].value;

        if (strcasecmp(r->headers[i].name, "Authorization") == 0) {
            sha256_hex(value, strlen(value), hash);
            buf_printf(b, "%s:sha256=%s\n", r->headers[i].name, hash);
            continue;
        }

        buf_printf(b, "%s:%s\n", r->headers[i].name, value);
    }
}
