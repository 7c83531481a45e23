
/* state.h: what is read is what was written, and is written again as it is */


#include "fuzz.h"
#include "state.h"


static void fuzz_round_trip(const binarize_state_t *state);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                rc;
    unsigned char     *text;
    binarize_state_t   state;

    text = fuzz_copy(data, size);

    rc = binarize_state_read(text, size, &state);

    fuzz_assert(rc == BINARIZE_OK || rc == BINARIZE_ERROR);

    if (rc == BINARIZE_OK) {

        fuzz_assert(state.outcome <= BINARIZE_REFUSED);
        fuzz_assert(state.task_status <= BINARIZE_TASK_NOT_EXIST);
        fuzz_assert(state.problem <= 31 && state.status <= 999);
        fuzz_assert(state.outcome != BINARIZE_RESULT || state.problem);

        /* the rest of the text, to its end */

        fuzz_assert(state.doc.data > text);
        fuzz_assert(state.doc.data + state.doc.size == text + size);
        fuzz_assert(state.doc.data[-1] == '\n');
        fuzz_assert(memchr(text, '\n', size) == state.doc.data - 1);

        fuzz_round_trip(&state);
    }

    free(text);

    return 0;
}


static void
fuzz_round_trip(const binarize_state_t *state)
{
    char               head[BINARIZE_STATE_HEAD_SIZE];
    size_t             size;
    unsigned char     *text;
    binarize_state_t   again;

    size = binarize_state_write(head, state);

    fuzz_assert(size < sizeof(head));

    text = fuzz_copy((uint8_t *) head, size);

    fuzz_assert(binarize_state_read(text, size, &again) == BINARIZE_OK);

    fuzz_assert(again.outcome == state->outcome
                && again.task_status == state->task_status
                && again.problem == state->problem
                && again.status == state->status
                && again.repeat == state->repeat
                && again.doc.size == 0);

    free(text);
}
