
#include "sim.h"


/*
 * Faults that were made before, or nearly, put back on purpose: each has to
 * be found.  Those of an operation are in it, by sim_fault.  How many worlds
 * that may take is counted: seconds would be the machine's.
 */

#define SIM_FAULT_WORLDS  200000

static const char *const  sim_fault_names[] = {
    "",
    "an event runs twice when timer and wake-up meet",
    "a flight is freed by its own answer",
    "a second leader after a stall",
    "a result is replaced by Pending",
    "a turn that does not look",
    "a call for nobody",
    "a lost wake-up",
    "a unit that is never given back",
    "a claim that is lost in recovery",
    "a lease that is released before the put"
};


/* 0 if all of them are found */

int
sim_faults(void)
{
    int       missed;
    double    begun;
    uint64_t  nworlds;

    missed = 0;

    for (sim_fault = 1; sim_fault < SIM_NFAULTS; sim_fault++) {

        begun = sim_clock();

        if (sim_random_worlds(1, 3600, SIM_FAULT_WORLDS, 0, &nworlds) == 0) {
            printf("NOT FOUND: %s, %llu worlds\n", sim_fault_names[sim_fault],
                   (unsigned long long) nworlds);
            missed++;
            continue;
        }

        printf("%s: %.2f s, %llu worlds: %s\n", sim_fault_names[sim_fault],
               sim_clock() - begun, (unsigned long long) nworlds,
               sim_failure);
    }

    sim_fault = SIM_SOUND;

    return missed != 0;
}
