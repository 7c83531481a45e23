#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "png.h"
#include "tasks.h"

#define ENTRY_BUCKETS  65536


const char  *const op_names[OP_MAX] = {
    "binarizeimage", "deskewimage", "dewarpimage", "upscaleimage" };

const char  *const state_names[STATE_MAX] = {
    "Pending", "Processing", "Completed", "Error", "NotExist" };

static entry_t   *buckets[ENTRY_BUCKETS];
static entry_t  **entries;
static uint32_t   nentries;


int
op_find(const char *name)
{
    int  i;

    for (i = 0; i < OP_MAX; i++) {
        if (strcasecmp(op_names[i], name) == 0) {
            return i;
        }
    }

    return -1;
}


state_t
state_find(const char *name, state_t other)
{
    int  i;

    for (i = 0; i < STATE_MAX; i++) {
        if (strcmp(state_names[i], name) == 0) {
            return (state_t) i;
        }
    }

    return other;
}


entry_t *
entry_find(op_t op, const char *guid, int create)
{
    uint64_t      h;
    entry_t      *e, **bucket;
    const char   *p;

    h = 0xcbf29ce484222325ULL + (uint64_t) op;

    for (p = guid; *p; p++) {
        h = (h ^ (unsigned char) *p) * 0x100000001b3ULL;
    }

    bucket = &buckets[(h ^ h >> 32) % ENTRY_BUCKETS];

    for (e = *bucket; e; e = e->next) {
        if (e->op == op && strcmp(e->guid, guid) == 0) {
            return e;
        }
    }

    if (!create) {
        return NULL;
    }

    e = mem_zalloc(sizeof(*e));
    memcpy(e->guid, guid, sizeof(e->guid));
    e->op = op;
    e->counters.times.max = ENTRY_MAX_TIMES;
    e->next = *bucket;
    *bucket = e;

    if ((nentries & (nentries - 1)) == 0) {
        entries = mem_realloc(entries, (nentries ? 2 * nentries : 1)
                                       * sizeof(*entries));
    }

    e->number = nentries;
    entries[nentries++] = e;

    return e;
}


entry_t *
entry_by_number(uint32_t number)
{
    return entries[number];
}


uint32_t
entry_count(void)
{
    return nentries;
}


task_t *
task_create(entry_t *e, rule_t *rule, const fault_t *f)
{
    task_t    *t;
    uint64_t   seed;

    task_remove(e);

    t = mem_zalloc(sizeof(*t));
    e->task = t;

    t->base = rule;
    t->created_ms = now_ms();
    t->pending_ms = f->pending_ms;
    t->processing_ms = f->processing_ms;
    t->pending = f->pending;
    t->processing = f->processing;
    t->retention_ms = f->retention * 1000;
    t->last = f->status ? state_find(f->status, STATE_COMPLETED)
                        : STATE_COMPLETED;

    /* the body is the result, not what faults answer with */
    t->result = rule->body;
    rule->body = NULL;

    if (t->result == NULL && t->last == STATE_COMPLETED) {
        memcpy(&seed, e->guid, sizeof(seed));
        t->result = png_generate(f->size, seed);
    }

    return t;
}


task_t *
task_submit(entry_t *e, uint64_t pending_ms, uint64_t processing_ms,
    uint64_t retention_s)
{
    task_t  *t;

    task_remove(e);

    t = mem_zalloc(sizeof(*t));
    e->task = t;

    t->created_ms = now_ms();
    t->pending_ms = pending_ms;
    t->processing_ms = processing_ms;
    t->retention_ms = retention_s * 1000;
    t->last = STATE_COMPLETED;

    return t;
}


void
task_remove(entry_t *e)
{
    task_t  *t;

    t = e->task;

    if (t == NULL) {
        return;
    }

    e->task = NULL;

    rule_free_all(&t->base);
    blob_unref(t->result);
    blob_unref(t->doc);
    free(t->failure);
    free(t);
}


void
task_expire(entry_t *e)
{
    task_t  *t;

    t = e->task;

    if (t && t->retention_ms && now_ms() - t->created_ms >= t->retention_ms) {
        task_remove(e);
    }
}


state_t
task_state(task_t *t)
{
    uint64_t  age_ms;

    age_ms = now_ms() - t->created_ms;

    if (t->pending) {
        t->pending--;
        return STATE_PENDING;
    }

    if (age_ms < t->pending_ms) {
        return STATE_PENDING;
    }

    if (t->processing) {
        t->processing--;
        return STATE_PROCESSING;
    }

    if (age_ms < t->pending_ms + t->processing_ms || t->job) {
        return STATE_PROCESSING;
    }

    return t->last;
}


void
counters_add_status(counters_t *c, int status)
{
    size_t  i;

    for (i = 0; i < ENTRY_MAX_STATUSES; i++) {

        if (c->statuses[i].n == 0) {
            c->statuses[i].status = status;
        }

        if (c->statuses[i].status == status) {
            c->statuses[i].n++;
            return;
        }
    }
}


void
counters_zero(counters_t *c)
{
    size_t    max;
    uint64_t  in_air;

    free(c->times.times);

    max = c->times.max;
    in_air = c->in_air;

    memset(c, 0, sizeof(*c));

    c->times.max = max;
    c->in_air = c->max_in_air = in_air;
}


void
times_add(times_t *t, uint32_t entry, int status)
{
    fetch_time_t  *f;

    if (t->n >= t->capacity && t->capacity < t->max) {
        t->capacity = t->capacity ? 2 * t->capacity : 8;
        t->capacity = t->capacity < t->max ? t->capacity : t->max;
        t->times = mem_realloc(t->times, t->capacity * sizeof(*t->times));
    }

    f = &t->times[t->n++ % t->capacity];
    f->ms = wall_ms();
    f->status = status;
    f->entry = entry;
}


const fetch_time_t *
times_get(const times_t *t, size_t i)
{
    uint64_t  first;

    first = t->n > t->capacity ? t->n - t->capacity : 0;

    return first + i < t->n ? &t->times[(first + i) % t->capacity] : NULL;
}
