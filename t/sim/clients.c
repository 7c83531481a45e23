
#include "sim.h"


/* a stalled worker finds both when it goes on */

void
sim_client_planned(const sim_planned_t *planned)
{
    uint32_t       i;
    sim_client_t  *client;
    sim_worker_t  *worker;

    client = &sim->clients[planned->client];
    worker = &sim->workers[client->worker];

    if (planned->kind == SIM_ARRIVE) {

        if (client->state != SIM_CLIENT_AWAY) {
            return;
        }

        for (i = 0; i < sim->conf.nworkers; i++) {

            worker = sim_slot(&sim->zones[worker->node],
                              (worker->slot + (i != 0)) % sim->conf.nworkers);

            if (worker->pid && !worker->quits) {
                break;
            }
        }

        if (i == sim->conf.nworkers) {
            client->state = SIM_CLIENT_DONE;
            return;
        }

        client->worker = worker->number;
    }

    if (worker->stalled_until_ms > sim->now_ms) {
        sim_push(SIM_PLANNED, worker->stalled_until_ms, SIM_NONE,
                 planned - sim->plan, 0);
        return;
    }

    sim->running = worker->number;

    if (planned->kind == SIM_ARRIVE) {
        sim_client_arrive(client);

    } else {
        sim_client_leave(client);
    }

    if (worker->pid) {
        sim_drain(worker);
    }
}


void
sim_client_arrive(sim_client_t *client)
{
    uint32_t       i;
    sim_hand_t     hand;
    sim_worker_t  *worker;

    worker = &sim->workers[client->worker];
    client->came_ms = sim->now_ms;

    sim_trace("n%u w%u  id %u  client %u comes, %u ms", worker->node,
              worker->slot, client->id, client->number, client->patience_ms);

    client->waiter.until_ms = sim->now_ms + client->patience_ms;
    client->state = SIM_CLIENT_WAITS;
    sim->nwaiting++;

    memset(&hand, 0, sizeof(hand));

    if (sim_find(worker, client->id, &hand)
        && (hand.kind != SIM_PENDING || client->patience_ms == 0))
    {
        client->hand = hand;
        client->by = BINARIZE_FLIGHT_BY_HAND;
        sim_client_answer(client);
        return;
    }

    sim_drop(worker, &hand);

    i = worker->flights[client->id];

    binarize_flight_join(i == SIM_NONE
                         ? &sim_flight_create(worker, client->id)->flight
                         : &sim->flights[i].flight,
                         &client->waiter, sim->now_ms);

    sim_push(SIM_OVERDUE, sim_overdue_ms(client), SIM_NONE, client->number,
             0);
}


void
sim_client_leave(sim_client_t *client)
{
    if (client->state != SIM_CLIENT_WAITS
        && client->state != SIM_CLIENT_ANSWERING)
    {
        return;
    }

    sim_trace("n%u  id %u  client %u leaves",
              sim->workers[client->worker].node, client->id, client->number);

    client->state = SIM_CLIENT_DONE;
    sim->nwaiting--;

    sim_drop(&sim->workers[client->worker], &client->hand);

    binarize_flight_leave(&client->waiter, sim->now_ms);
}


/*
 * With its answer a connection may end, and another request on it; or that
 * request comes only now.
 */

void
sim_client_answer(sim_client_t *client)
{
    sim_client_t  *other;

    sim_check_answer(client);

    client->state = SIM_CLIENT_READS;
    sim->nwaiting--;

    sim_trace("n%u  id %u  client %u answered by %u",
              sim->workers[client->worker].node, client->id, client->number,
              client->hand.kind);

    if (client->read_ms) {
        sim_push(SIM_READ, sim->now_ms + client->read_ms, client->worker,
                 client->number, 0);

    } else {
        sim_drop(&sim->workers[client->worker], &client->hand);
        client->state = SIM_CLIENT_DONE;
    }

    if (client->closes == SIM_NONE) {
        return;
    }

    other = &sim->clients[client->closes];

    if (other->worker != client->worker) {
        return;
    }

    if (other->state == SIM_CLIENT_AWAY) {
        sim_client_arrive(other);

    } else {
        sim_client_leave(other);
    }
}


void
sim_client_on_deadline(sim_client_t *client)
{
    sim_trace("n%u  id %u  client %u has no patience left",
              sim->workers[client->worker].node, client->id, client->number);

    if (client->waiter.flight) {
        sim_check_flight((sim_flight_t *) client->waiter.flight);
    }

    binarize_flight_on_deadline(&client->waiter, sim->now_ms);
}


void
sim_answer_slice(sim_worker_t *worker)
{
    uint32_t  n;

    worker->answers = 0;

    for (n = 0; n <= sim->conf.slice; n++) {

        if (binarize_waiters_empty(&worker->answering)) {
            return;
        }

        sim_client_answer((sim_client_t *)
                          binarize_waiters_shift(&worker->answering));
    }

    if (!worker->answers && !binarize_waiters_empty(&worker->answering)) {
        worker->answers = 1;
        sim_push(SIM_NEXT_ANSWER, sim->now_ms, worker->number, 0, 0);
    }
}
