
#include "sim.h"


void
sim_call(sim_flight_t *f, int excess)
{
    uint32_t         i, ms;
    sim_call_t      *call;
    sim_cloud_id_t  *cid;
    sim_worker_t    *worker;

    worker = sim_worker(f);
    cid = &sim->cloud.ids[f->id];

    for (i = 0; i < sim->calls_size && sim->calls[i].serial; i++) {
        /* void */
    }

    if (i == sim->calls_size) {
        sim_fail("no room for calls");
    }

    call = &sim->calls[i];

    call->serial = ++sim->serial;
    call->flight = f->number;
    call->flight_serial = f->serial;
    call->worker = worker->number;
    call->id = f->id;
    call->generation = f->bearer;
    call->epoch = worker->epoch;
    call->ends = SIM_ARRIVE;
    call->excess = excess;
    call->counted = !sim->conf.redis
                    || (f->held
                        && f->lease == sim->redis.ids[f->id].lease);
    call->ms = cid->next_ms;

    f->calls = 1;
    sim->cloud.ncalls++;
    sim_known(worker, f->id)->in_air += call->counted;

    ms = 1 + sim_below(sim->conf.call_ms);

    if (f->bearer < sim->cloud.revoked) {
        call->ends = SIM_REVOKED;

    } else if (cid->next && cid->next != SIM_CALL_SLOW) {
        call->ends = cid->next;

    } else if (cid->polls) {
        cid->polls--;
        call->ends = SIM_LEAVE;
    }

    if (cid->next == SIM_CALL_SLOW) {
        ms = SIM_CALL_TIMEOUT_MS / 2 + sim_below(SIM_CALL_TIMEOUT_MS);
    }

    cid->next = 0;

    sim_trace("n%u w%u  id %u  calls", worker->node, worker->slot, f->id);

    sim_push(SIM_CALL_ENDS, sim->conf.explored ? sim->now_ms
                                               : sim->now_ms + ms,
             worker->number, i, call->serial);
    sim_push(SIM_CALL_TIMEOUT, sim->now_ms + SIM_CALL_TIMEOUT_MS,
             worker->number, i, call->serial);
}


/* in the air, of processes that have not been declared dead */

uint32_t
sim_calls_of(sim_zone_t *zone)
{
    uint32_t       i, n;
    sim_worker_t  *worker;

    for (i = 0, n = 0; i < sim->calls_size; i++) {

        if (sim->calls[i].serial == 0) {
            continue;
        }

        worker = &sim->workers[sim->calls[i].worker];

        if (sim_zone(worker) == zone
            && binarize_process_lives(&zone->processes[worker->slot],
                                      sim->calls[i].epoch))
        {
            n++;
        }
    }

    return n;
}


/* what has failed is made again, and is not one too many */

void
sim_call_landed(sim_call_t *call, int failed)
{
    sim_known_t  *known;

    known = sim_known(&sim->workers[call->worker], call->id);

    call->serial = 0;
    known->in_air -= call->counted;
    known->nexcess -= call->excess && failed;
}


/* of who is stalled, or has lost the lease: one call in its place is enough */

void
sim_calls_write_off(uint32_t id)
{
    uint32_t       i;
    sim_call_t    *call;
    sim_worker_t  *worker;

    for (i = 0; i < sim->calls_size; i++) {

        call = &sim->calls[i];
        worker = &sim->workers[call->worker];

        if (call->serial && call->id == id && call->counted
            && (worker->stalled_until_ms > sim->now_ms
                || (sim->conf.redis
                    && sim->flights[call->flight].lease
                       != sim->redis.ids[id].lease)
                || !binarize_process_lives(&sim_zone(worker)->processes
                                                            [worker->slot],
                                           call->epoch)))
        {
            call->counted = 0;
            sim_known(worker, id)->in_air--;
        }
    }
}
