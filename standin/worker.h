/* One thread that works on submitted pictures, so that calls need not wait. */

#ifndef STANDIN_WORKER_H
#define STANDIN_WORKER_H

#include "tasks.h"

struct event_base;

/* Returns -1 if there can be no thread. */
int worker_start(struct event_base *base);
/* Waits for the job at hand, drops the others. */
void worker_stop(void);
/*
 * Takes over data (from mem_alloc). The result, or the failure, goes to the
 * entry's task if that still waits for this job.
 */
void worker_post(entry_t *e, unsigned char *data, size_t size);

#endif
