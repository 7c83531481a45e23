
#ifndef _BINARIZE_STATE_H_INCLUDED_
#define _BINARIZE_STATE_H_INCLUDED_


#include "envelope.h"


/*
 * That there is no result, or none yet, as nodes tell each other in Redis: a
 * string that expires when the cloud may be asked again,
 *
 *     1 <outcome> <task status> <problem> <cloud's status> <repeat>\n<document>
 *
 * with decimal numbers.  The document may be empty.
 */
typedef struct {
    binarize_outcome_e      outcome;
    binarize_task_status_e  task_status;
    uint32_t                problem;      /* the caller's, up to 31 */
    uint32_t                status;       /* HTTP, up to 999 */
    uint32_t                repeat;
    binarize_span_t         doc;
} binarize_state_t;


/* what binarize_state_write() needs, without the document */
#define BINARIZE_STATE_HEAD_SIZE  64


/* writes what stands before the document, returns its size */
size_t binarize_state_write(char head[BINARIZE_STATE_HEAD_SIZE],
    const binarize_state_t *state);

/*
 * BINARIZE_OK, doc points into text; or BINARIZE_ERROR: not of this format,
 * or a result, which is no state.
 */
int binarize_state_read(const unsigned char *text, size_t size,
    binarize_state_t *state);


#endif /* _BINARIZE_STATE_H_INCLUDED_ */
