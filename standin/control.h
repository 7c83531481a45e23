/* The control plane for tests; README.md documents it. */

#ifndef STANDIN_CONTROL_H
#define STANDIN_CONTROL_H

#include "cloud.h"

#define CONTROL_PREFIX  "/_standin/"

void control_init(http_server_t *server);
void control_handle(cloud_t *cloud, http_request_t *r,
    http_script_t *script);

#endif
