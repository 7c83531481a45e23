
#include "process.h"


/* the order is for who is killed inside: a slot of pid 0 is nobody's */
#define process_commit()  __atomic_signal_fence(__ATOMIC_SEQ_CST)


uint64_t
binarize_process_begin(binarize_process_t *process, int64_t pid)
{
    binarize_process_end(process);
    process_commit();

    process->epoch++;
    process->beat++;

    process_commit();
    process->pid = pid;

    return process->epoch;
}


void
binarize_process_end(binarize_process_t *process)
{
    process->pid = 0;
    process_commit();

    binarize_process_declare_dead(process);
}


void
binarize_process_declare_dead(binarize_process_t *process)
{
    process->epoch += process->epoch & 1;
}


binarize_process_state_e
binarize_process_look(const binarize_process_t *process,
    binarize_process_seen_t *seen, uint64_t own_beat)
{
    uint64_t  nbeats;

    if (process->pid == 0 || (process->epoch & 1) == 0) {
        return BINARIZE_PROCESS_NONE;
    }

    if (seen->epoch != process->epoch || seen->beat != process->beat) {
        seen->epoch = process->epoch;
        seen->beat = process->beat;
        seen->since = own_beat;
    }

    nbeats = own_beat - seen->since;

    if (nbeats >= BINARIZE_PROCESS_DEAD_BEATS) {
        return BINARIZE_PROCESS_DEAD;
    }

    return nbeats >= BINARIZE_PROCESS_STILL_BEATS ? BINARIZE_PROCESS_STILL
                                                  : BINARIZE_PROCESS_BEATING;
}
