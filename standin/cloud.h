/* The cloud's calls: token, fetch, submit, cancel. */

#ifndef STANDIN_CLOUD_H
#define STANDIN_CLOUD_H

#include "tasks.h"
#include "wire.h"

#define CLOUD_MAX_TIMES  65536


typedef struct {
    uint64_t     pending_ms;            /* of submitted tasks */
    uint64_t     processing_ms;
    uint64_t     retention_s;

    /* over all ids */
    counters_t   counters;
    uint64_t     not_found;             /* paths and methods unknown */
    buf_t        last_token_request;

    rule_t      *token_rules;
    rule_t      *submit_rules;
    rule_t      *any_rules;             /* fetches without a rule of their id */
} cloud_t;


void cloud_init(cloud_t *cloud);
/* An http_handler_pt; data is the cloud_t. */
void cloud_handle(http_request_t *r, http_script_t *script, void *data);

#endif
