
#include <stdio.h>

#include "state.h"


#define BINARIZE_STATE_NUMBERS  5


static const unsigned char *state_number(const unsigned char *p,
    const unsigned char *end, uint32_t max, uint32_t *number);


size_t
binarize_state_write(char head[BINARIZE_STATE_HEAD_SIZE],
    const binarize_state_t *state)
{
    return (size_t) snprintf(head, BINARIZE_STATE_HEAD_SIZE,
                             "1 %u %u %u %u %u\n",
                             (unsigned) state->outcome,
                             (unsigned) state->task_status,
                             state->problem, state->status, state->repeat);
}


int
binarize_state_read(const unsigned char *text, size_t size,
    binarize_state_t *state)
{
    size_t                i;
    uint32_t              n[BINARIZE_STATE_NUMBERS];
    const unsigned char  *p, *end;

    static const uint32_t  max[BINARIZE_STATE_NUMBERS] = {
        BINARIZE_REFUSED, BINARIZE_TASK_NOT_EXIST, 31, 999, 1000000
    };

    p = text;
    end = text + size;

    if (size < 2 || p[0] != '1') {
        return BINARIZE_ERROR;
    }

    p++;

    for (i = 0; i < BINARIZE_STATE_NUMBERS; i++) {

        if (p == end || *p != ' ') {
            return BINARIZE_ERROR;
        }

        p = state_number(p + 1, end, max[i], &n[i]);
        if (p == NULL) {
            return BINARIZE_ERROR;
        }
    }

    if (p == end || *p != '\n') {
        return BINARIZE_ERROR;
    }

    p++;

    if (n[0] == BINARIZE_RESULT && n[2] == 0) {
        return BINARIZE_ERROR;
    }

    state->outcome = (binarize_outcome_e) n[0];
    state->task_status = (binarize_task_status_e) n[1];
    state->problem = n[2];
    state->status = n[3];
    state->repeat = n[4];
    state->doc.data = p;
    state->doc.size = (size_t) (end - p);

    return BINARIZE_OK;
}


/* at most seven digits; NULL if there is none or it is above max */

static const unsigned char *
state_number(const unsigned char *p, const unsigned char *end, uint32_t max,
    uint32_t *number)
{
    size_t    ndigits;
    uint32_t  n;

    n = 0;

    for (ndigits = 0; p < end && *p >= '0' && *p <= '9'; ndigits++, p++) {

        if (ndigits == 7) {
            return NULL;
        }

        n = n * 10 + (*p - '0');
    }

    if (ndigits == 0 || n > max) {
        return NULL;
    }

    *number = n;

    return p;
}
