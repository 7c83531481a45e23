/* Turns an answer and the fault it shall have into bytes and steps. */

#ifndef STANDIN_WIRE_H
#define STANDIN_WIRE_H

#include "fault.h"
#include "http.h"


/* All zeroes but status is an empty answer. */
typedef struct {
    int           status;
    const char   *content_type;         /* NULL: none */
    buf_t         headers;              /* whole lines with CRLF */
    blob_t       *body;
} answer_t;


/*
 * Fills in the script and frees what the answer holds. rule_body, the body
 * given with the fault's rule, may be NULL.
 */
void wire_answer(http_script_t *script, answer_t *a, const fault_t *f,
    blob_t *rule_body);

/* application/problem+json as ASP.NET Core writes it; detail may be NULL */
void answer_problem(answer_t *a, int status, const char *title,
    const char *detail);
void answer_unauthorized(answer_t *a, const char *description);

#endif
