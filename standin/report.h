/* What was counted, as JSON. */

#ifndef STANDIN_REPORT_H
#define STANDIN_REPORT_H

#include "cloud.h"

#define REPORT_MAX_IDS  1000

blob_t *report_all(const cloud_t *cloud, http_server_t *server);
blob_t *report_entry(const entry_t *e);
blob_t *report_task(entry_t *e);
blob_t *report_times(const times_t *times);

#endif
