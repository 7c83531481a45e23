/* TLS for the HTTP front. */

#ifndef STANDIN_TLS_H
#define STANDIN_TLS_H

#include <openssl/ssl.h>

#include "http.h"

/*
 * A server context; client_ca may be NULL. Every SNI name seen is counted.
 * Prints what is wrong and returns NULL on any error.
 */
SSL_CTX *tls_context(const char *cert, const char *key, const char *client_ca,
    http_counters_t *counters);

#endif
