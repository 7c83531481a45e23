
#include "sim.h"


static int sim_event_before(const sim_event_t *a, const sim_event_t *b);
static uint32_t sim_sift_up(uint32_t i);
static void sim_sift_down(uint32_t i);
static int sim_is_over(uint64_t *quiet_ms);
static int sim_is_busy(sim_worker_t *worker);
static void sim_unpost(sim_flight_t *f);
static void sim_on_due(sim_flight_t *f);


/*
 * The events of one moment are ordered by worker, not always the same first,
 * so that all a worker has then is one turn of its event loop.
 */

sim_event_t *
sim_push(sim_event_e kind, uint64_t at_ms, uint32_t worker, uint32_t object,
    uint32_t serial)
{
    sim_event_t  event;

    memset(&event, 0, sizeof(event));

    event.kind = kind;
    event.worker = worker;
    event.pid = (worker == SIM_NONE) ? 0 : sim->workers[worker].pid;
    event.object = object;
    event.serial = serial;
    event.seq = sim->seq++;

    return sim_put_off_event(&event, at_ms);
}


/* its place among those that come over the same connection stays */

sim_event_t *
sim_put_off_event(const sim_event_t *given, uint64_t at_ms)
{
    uint32_t      i;
    sim_event_t  *event;

    if (sim->nevents == sim->events_size) {
        sim_fail("no room for events");
    }

    i = sim->nevents++;
    event = &sim->events[i];

    *event = *given;

    event->at_ms = at_ms;
    event->order = sim_mix(at_ms ^ sim->seed
                           ^ ((uint64_t) event->worker << 40));

    if (event->kind < SIM_BEAT) {
        sim->nactive++;
    }

    if (sim->conf.explored) {
        return event;
    }

    return &sim->events[sim_sift_up(i)];
}


static int
sim_event_before(const sim_event_t *a, const sim_event_t *b)
{
    if (a->at_ms != b->at_ms) {
        return a->at_ms < b->at_ms;
    }

    if (a->order != b->order) {
        return a->order < b->order;
    }

    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }

    return a->seq < b->seq;
}


/* returns where it has come to */

static uint32_t
sim_sift_up(uint32_t i)
{
    sim_event_t  event;

    event = sim->events[i];

    while (i && sim_event_before(&event, &sim->events[(i - 1) / 2])) {
        sim->events[i] = sim->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }

    sim->events[i] = event;

    return i;
}


static void
sim_sift_down(uint32_t i)
{
    uint32_t     child;
    sim_event_t  event;

    event = sim->events[i];

    for (child = 2 * i + 1; child < sim->nevents; child = 2 * i + 1) {

        if (child + 1 < sim->nevents
            && sim_event_before(&sim->events[child + 1], &sim->events[child]))
        {
            child++;
        }

        if (!sim_event_before(&sim->events[child], &event)) {
            break;
        }

        sim->events[i] = sim->events[child];
        i = child;
    }

    sim->events[i] = event;
}


/* any of them in the explorer, which has no heap, the first one elsewhere */

void
sim_take(uint32_t i, sim_event_t *event)
{
    *event = sim->events[i];

    if (event->kind < SIM_BEAT) {
        sim->nactive--;
    }

    sim->nevents--;

    if (sim->conf.explored) {
        memmove(&sim->events[i], &sim->events[i + 1],
                (sim->nevents - i) * sizeof(sim_event_t));
        return;
    }

    if (sim->nevents) {
        sim->events[0] = sim->events[sim->nevents];
        sim_sift_down(0);
    }
}


/* of what is gone, or a timer that was set anew */

int
sim_event_is_stale(const sim_event_t *event)
{
    sim_worker_t  *worker;

    if (event->worker == SIM_NONE) {
        return 0;
    }

    worker = &sim->workers[event->worker];

    if (event->pid != worker->pid) {
        return event->kind != SIM_RESPAWN;
    }

    switch (event->kind) {

    case SIM_REPLY:
    case SIM_RECONNECT:
        return event->serial != worker->connection;

    case SIM_REDIS_TIMEOUT:
        return event->serial != worker->connection
               || event->object < worker->nanswered;

    case SIM_CALL_ENDS:
    case SIM_CALL_TIMEOUT:
        return event->serial != sim->calls[event->object].serial;

    case SIM_NEXT_COPY:
        return event->serial != sim->flights[event->object].serial;

    case SIM_DUE:
        return event->serial != sim->flights[event->object].due_serial
               || sim->flights[event->object].due_ms == 0;

    case SIM_DEADLINE:
        return event->serial != sim->clients[event->object].deadline_serial
               || sim->clients[event->object].state != SIM_CLIENT_WAITS;

    case SIM_BUDGET:
        return event->serial != worker->budget_serial
               || worker->budget_ms == 0;

    default:
        return 0;
    }
}


void
sim_run(void)
{
    uint64_t      quiet_ms;
    sim_event_t   event;
    sim_worker_t *worker;

    quiet_ms = 0;

    while (!sim_is_over(&quiet_ms)) {

        sim_take(0, &event);

        if (sim_event_is_stale(&event)) {
            continue;
        }

        if (event.at_ms > sim->now_ms) {
            sim->now_ms = event.at_ms;
        }

        worker = (event.worker == SIM_NONE) ? NULL
                                            : &sim->workers[event.worker];

        if (worker && worker->stalled_until_ms > sim->now_ms
            && event.kind != SIM_RESPAWN)
        {
            (void) sim_put_off_event(&event, worker->stalled_until_ms);
            continue;
        }

        sim_handle(&event);

        if (worker == NULL
            || (sim->nactive && sim->events[0].at_ms <= sim->now_ms
                && sim->events[0].worker == event.worker))
        {
            continue;
        }

        sim_drain(worker);
    }

    sim_check_end();
}


/* after accidents others may have to find out first who is gone */

static int
sim_is_over(uint64_t *quiet_ms)
{
    if (sim->nevents == 0) {
        return 1;
    }

    if (sim->nactive) {
        *quiet_ms = sim->now_ms;
        return 0;
    }

    if (sim->slack_ms == 0) {
        return 1;
    }

    return sim->now_ms > *quiet_ms + (sim->nwaiting || sim->nflights
                                      ? 60000 : 12000);
}


void
sim_handle(const sim_event_t *event)
{
    sim_worker_t  *worker;

    worker = (event->worker == SIM_NONE) ? NULL : &sim->workers[event->worker];

    sim->nhandled++;
    sim->running = event->worker;

    switch (event->kind) {

    case SIM_PLANNED:
        sim_on_planned(&sim->plan[event->object]);
        break;

    case SIM_COMMAND:
        sim_on_command(event);
        break;

    case SIM_REPLY:
        sim_on_reply(worker, &event->message, 1);
        break;

    case SIM_MESSAGE:
        sim_on_message(worker, &event->message);
        break;

    case SIM_CALL_ENDS:
    case SIM_CALL_TIMEOUT:
        sim_on_call(&sim->calls[event->object], event->kind == SIM_CALL_ENDS);
        break;

    case SIM_TOKEN_ENDS:
        sim_token_ends(worker, event->object);
        break;

    case SIM_WAKE:
        sim_on_wake(worker);
        break;

    case SIM_NEXT_COPY:
        sim_on_copied(&sim->flights[event->object]);
        break;

    case SIM_NEXT_ANSWER:
        sim_answer_slice(worker);
        break;

    case SIM_DUE:
        sim_on_due(&sim->flights[event->object]);
        break;

    case SIM_DEADLINE:
        sim_client_on_deadline(&sim->clients[event->object]);
        break;

    case SIM_BUDGET:
        worker->budget_ms = 0;
        worker->budget_posted = 1;
        break;

    case SIM_AGREED:
        sim_on_agreed(worker);
        break;

    case SIM_RENEW:
        sim_on_renew(worker);
        break;

    case SIM_REDIS_TIMEOUT:
        sim_redis_cut(worker);
        break;

    case SIM_RECONNECT:
        sim_redis_connect(worker);
        break;

    case SIM_READ:
        sim_drop(worker, &sim->clients[event->object].hand);
        sim->clients[event->object].state = SIM_CLIENT_DONE;
        break;

    case SIM_RESPAWN:
        sim_worker_begin(worker);
        break;

    case SIM_BACK:
        sim->redis.away = 0;
        break;

    case SIM_BEAT:
        sim_on_beat(worker);
        break;

    default:
        sim_check_overdue(&sim->clients[event->object]);
    }

    sim->running = SIM_NONE;
}


/* what was posted, then those who have ended, as a turn of the loop does */

void
sim_drain(sim_worker_t *worker)
{
    sim_flight_t  *f;

    sim->running = worker->number;

    for ( ;; ) {

        if (worker->posted != SIM_NONE) {
            f = &sim->flights[worker->posted];
            sim_unpost(f);

            if (sim_fault != SIM_RUNS_TWICE) {
                f->due_ms = 0;
            }

            sim_send(f, BINARIZE_FLIGHT_DUE, 0);
            continue;
        }

        if (worker->budget_posted) {
            worker->budget_posted = 0;
            sim_budget_run(worker, 0);
            continue;
        }

        if (worker->ended == SIM_NONE) {
            break;
        }

        f = &sim->flights[worker->ended];
        worker->ended = f->next;
        sim_flight_free(f);
    }

    sim->running = SIM_NONE;
    sim->turn++;

    if (worker->quits && worker->pid && !sim_is_busy(worker)) {
        sim_worker_end(worker, sim->seq);
        sim_push(SIM_RESPAWN, sim->now_ms + 1 + sim_below(1000),
                 worker->number, 0, 0);
    }
}


static int
sim_is_busy(sim_worker_t *worker)
{
    uint32_t  i;

    for (i = 0; i < sim->conf.nclients; i++) {
        if (sim->clients[i].worker == worker->number
            && sim->clients[i].state != SIM_CLIENT_AWAY
            && sim->clients[i].state != SIM_CLIENT_DONE)
        {
            return 1;
        }
    }

    for (i = 0; i < sim->conf.nids; i++) {
        if (worker->flights[i] != SIM_NONE) {
            return 1;
        }
    }

    return 0;
}


void
sim_post(sim_flight_t *f)
{
    sim_worker_t  *worker;

    if (f->posted) {
        return;
    }

    worker = sim_worker(f);

    f->posted = 1;
    f->next = SIM_NONE;

    if (worker->posted == SIM_NONE) {
        worker->posted = f->number;

    } else {
        sim->flights[worker->posted_last].next = f->number;
    }

    worker->posted_last = f->number;
}


static void
sim_unpost(sim_flight_t *f)
{
    uint32_t      *link, last;
    sim_worker_t  *worker;

    worker = sim_worker(f);
    last = SIM_NONE;

    for (link = &worker->posted;
         *link != f->number;
         link = &sim->flights[*link].next)
    {
        last = *link;
    }

    *link = f->next;
    f->next = SIM_NONE;
    f->posted = 0;

    if (worker->posted_last == f->number) {
        worker->posted_last = last;
    }
}


/* a wake-up and the timer are one event */

static void
sim_on_due(sim_flight_t *f)
{
    f->due_ms = 0;

    if (sim_fault != SIM_RUNS_TWICE) {
        sim_unschedule(f);
    }

    sim_send(f, BINARIZE_FLIGHT_DUE, 0);
}


/* neither by the timer nor by what was posted */

void
sim_unschedule(sim_flight_t *f)
{
    f->due_ms = 0;

    if (f->posted) {
        sim_unpost(f);
    }
}


void
sim_send(sim_flight_t *f, binarize_flight_event_e kind, uint64_t at_ms)
{
    sim_check_flight(f);

    if (f->depth) {
        sim_fail("an operation sends an event");
    }

    sim_trace("n%u w%u  id %u  state %u: event %u",
              sim_worker(f)->node, sim_worker(f)->slot, f->id,
              f->flight.state, kind);

    sim_seen[f->flight.state][kind]++;

    f->depth++;
    binarize_flight_event(&f->flight, kind, at_ms, sim->now_ms);
    f->depth--;
}
