/* The tasks of the cloud, and what is known and counted of every id. */

#ifndef STANDIN_TASKS_H
#define STANDIN_TASKS_H

#include "fault.h"
#include "http.h"

#define ENTRY_MAX_TIMES     1024
#define ENTRY_MAX_STATUSES  12


typedef enum {
    OP_BINARIZE,
    OP_DESKEW,
    OP_DEWARP,
    OP_UPSCALE,
    OP_MAX
} op_t;


typedef enum {
    STATE_PENDING,
    STATE_PROCESSING,
    STATE_COMPLETED,
    STATE_ERROR,
    STATE_NOTEXIST,
    STATE_MAX
} state_t;


typedef struct {
    double    ms;               /* wall clock */
    int       status;           /* HTTP; 0: none */
    uint32_t  entry;            /* number of the id; of the common list */
} fetch_time_t;


/* A bounded list that keeps the latest. */
typedef struct {
    fetch_time_t  *times;
    size_t         max;
    size_t         capacity;
    uint64_t       n;           /* added ever */
} times_t;


/* How calls were answered. */
typedef struct {
    uint64_t  fetches;
    uint64_t  submits;
    uint64_t  deletes;
    uint64_t  unauthorized;
    uint64_t  aborted;                          /* client left */
    uint64_t  in_air;
    uint64_t  max_in_air;
    uint64_t  states[STATE_MAX];                /* honest answers only */
    uint64_t  faults;
    struct {
        int       status;                       /* 0: no HTTP answer */
        uint64_t  n;
    } statuses[ENTRY_MAX_STATUSES];
    times_t   times;
} counters_t;


typedef struct {
    rule_t    *base;            /* what PUT said; NULL for submitted ones */
    blob_t    *result;
    blob_t    *doc;             /* of base and result, once Completed */
    uint64_t   created_ms;      /* monotonic */
    uint64_t   pending_ms;
    uint64_t   processing_ms;
    uint64_t   retention_ms;
    uint64_t   pending;         /* fetches yet to be answered so */
    uint64_t   processing;
    uint64_t   job;             /* at work on it; 0: none */
    char      *failure;         /* of the work on it */
    state_t    last;            /* where it ends */
} task_t;


typedef struct entry_s  entry_t;

struct entry_s {
    char       guid[GUID_SIZE + 1];
    op_t       op;
    uint32_t   number;
    task_t    *task;            /* NULL: does not exist */
    rule_t    *fetch_rules;
    rule_t    *delete_rules;
    counters_t counters;
    buf_t      last_request;    /* of a fetch: line and headers */
    entry_t   *next;
};


extern const char  *const op_names[OP_MAX];
extern const char  *const state_names[STATE_MAX];

/* -1 if there is no such operation; without case */
int op_find(const char *name);
/* other if there is no such state */
state_t state_find(const char *name, state_t other);

/* Entries live until the end; NULL if absent and not to be made. */
entry_t *entry_find(op_t op, const char *guid, int create);
entry_t *entry_by_number(uint32_t number);
uint32_t entry_count(void);

/* A task as a PUT describes it; rule is taken over. */
task_t *task_create(entry_t *e, rule_t *rule, const fault_t *f);
/* A submitted one, with the default times. */
task_t *task_submit(entry_t *e, uint64_t pending_ms, uint64_t processing_ms,
    uint64_t retention_s);
void task_remove(entry_t *e);
/* Forgets it if its retention is over. */
void task_expire(entry_t *e);
/* What a fetch is told now; counts down the answers of pending=N. */
state_t task_state(task_t *t);

void counters_add_status(counters_t *c, int status);
void counters_zero(counters_t *c);
void times_add(times_t *t, uint32_t entry, int status);
/* the i-th of those kept, oldest first; NULL beyond */
const fetch_time_t *times_get(const times_t *t, size_t i);

#endif
