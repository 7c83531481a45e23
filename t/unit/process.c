
#include "process.h"
#include "unit.h"


/*
 * A world of processes with virtual time.  A tick is a half second; a beat is
 * due two ticks after the last one, and comes at once when a process that was
 * stopped meanwhile continues, as a timer does.
 */

#define NPROCESSES   3
#define TICKS        2


typedef struct {
    binarize_process_t       slots[NPROCESSES];
    binarize_process_seen_t  seen[NPROCESSES][NPROCESSES];
    uint64_t                 epochs[NPROCESSES];    /* each knows its own */
    uint64_t                 declared[NPROCESSES];  /* epochs, the last one */
    unsigned                 due[NPROCESSES];       /* its next beat */
    unsigned                 stopped[NPROCESSES];
    unsigned                 still[NPROCESSES];     /* ticks without a beat */
    unsigned                 late[NPROCESSES];      /* has found that it was
                                                       declared dead */
    unsigned                 now;
    unsigned                 n;
} world_t;


static void
world_begin(world_t *world, unsigned n)
{
    unsigned  i;

    memset(world, 0, sizeof(*world));
    world->n = n;

    for (i = 0; i < n; i++) {
        world->epochs[i] = binarize_process_begin(&world->slots[i], 100 + i);
        world->due[i] = i % TICKS;
    }
}


/* as the worker's timer does */

static void
world_beat(world_t *world, unsigned i)
{
    unsigned             k;
    binarize_process_t  *slot;

    slot = &world->slots[i];

    if (!binarize_process_lives(slot, world->epochs[i])) {
        world->late[i]++;
        world->epochs[i] = binarize_process_begin(slot, 100 + i);
    }

    slot->beat++;
    world->still[i] = 0;

    for (k = 0; k < world->n; k++) {

        if (k != i
            && binarize_process_look(&world->slots[k], &world->seen[i][k],
                                     slot->beat)
               == BINARIZE_PROCESS_DEAD)
        {
            assert_true(world->slots[k].epoch > world->declared[k]);
            world->declared[k] = world->slots[k].epoch;
            binarize_process_declare_dead(&world->slots[k]);
        }
    }

    world->due[i] = world->now + TICKS;
}


static void
world_tick(world_t *world)
{
    unsigned  i;

    world->now++;

    for (i = 0; i < world->n; i++) {
        world->still[i]++;

        if (!world->stopped[i] && world->now >= world->due[i]) {
            world_beat(world, i);
        }
    }
}


static void
world_continue(world_t *world, unsigned i)
{
    world->stopped[i] = 0;

    if (world->now >= world->due[i]) {
        world_beat(world, i);
    }
}


/* how many have ever been declared dead */

static unsigned
world_ndeclared(const world_t *world)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < world->n; i++) {
        n += world->declared[i] != 0;
    }

    return n;
}


static void
test_a_slot(void **state)
{
    uint64_t            first, second;
    binarize_process_t  slot;

    (void) state;

    memset(&slot, 0, sizeof(slot));

    assert_false(binarize_process_lives(&slot, slot.epoch));

    first = binarize_process_begin(&slot, 7);
    assert_int_equal(slot.pid, 7);
    assert_true(binarize_process_lives(&slot, first));

    binarize_process_declare_dead(&slot);
    assert_int_equal(slot.pid, 7);
    assert_false(binarize_process_lives(&slot, first));
    assert_false(binarize_process_lives(&slot, slot.epoch));

    /* once is enough */

    second = slot.epoch;
    binarize_process_declare_dead(&slot);
    assert_int_equal(slot.epoch, second);

    second = binarize_process_begin(&slot, 7);
    assert_true(second > first);
    assert_true(binarize_process_lives(&slot, second));
    assert_false(binarize_process_lives(&slot, first));

    /* into a slot whose process has gone without a word */

    first = binarize_process_begin(&slot, 8);
    assert_true(first > second);
    assert_int_equal(slot.pid, 8);

    binarize_process_end(&slot);
    assert_int_equal(slot.pid, 0);
    assert_false(binarize_process_lives(&slot, first));
}


static void
test_looks(void **state)
{
    uint64_t                 beat;
    binarize_process_t       slot;
    binarize_process_seen_t  seen;

    (void) state;

    memset(&slot, 0, sizeof(slot));
    memset(&seen, 0, sizeof(seen));

    assert_int_equal(binarize_process_look(&slot, &seen, 1000),
                     BINARIZE_PROCESS_NONE);

    (void) binarize_process_begin(&slot, 7);

    for (beat = 1000; beat < 1002; beat++) {
        assert_int_equal(binarize_process_look(&slot, &seen, beat),
                         BINARIZE_PROCESS_BEATING);
        assert_int_equal(binarize_process_look(&slot, &seen, beat),
                         BINARIZE_PROCESS_BEATING);
    }

    for ( /* void */ ; beat < 1004; beat++) {
        assert_int_equal(binarize_process_look(&slot, &seen, beat),
                         BINARIZE_PROCESS_STILL);
    }

    /* looking more often than one's own heart beats changes nothing */

    assert_int_equal(binarize_process_look(&slot, &seen, 1003),
                     BINARIZE_PROCESS_STILL);
    assert_int_equal(binarize_process_look(&slot, &seen, 1004),
                     BINARIZE_PROCESS_DEAD);

    slot.beat++;
    assert_int_equal(binarize_process_look(&slot, &seen, 1004),
                     BINARIZE_PROCESS_BEATING);
    assert_int_equal(binarize_process_look(&slot, &seen, 1008),
                     BINARIZE_PROCESS_DEAD);

    binarize_process_declare_dead(&slot);
    assert_int_equal(binarize_process_look(&slot, &seen, 1009),
                     BINARIZE_PROCESS_NONE);

    /* another life in the same slot, with whatever beat */

    (void) binarize_process_begin(&slot, 9);
    slot.beat = seen.beat;
    assert_int_equal(binarize_process_look(&slot, &seen, 1010),
                     BINARIZE_PROCESS_BEATING);
}


/* all orders of ticks, stops and continues */

static void
explore(const world_t *before, unsigned depth)
{
    unsigned  i;
    world_t   world;

    if (depth == 0) {
        return;
    }

    world = *before;
    world_tick(&world);

    for (i = 0; i < world.n; i++) {

        /* never one who runs, nor too soon */

        if (world.declared[i] > before->declared[i]) {
            assert_true(world.stopped[i]);
            assert_true(world.still[i] > TICKS * (BINARIZE_PROCESS_DEAD_BEATS
                                                  - 1));
        }

        /* who beats has a living epoch */

        if (!world.stopped[i] && world.still[i] == 0) {
            assert_true(binarize_process_lives(&world.slots[i],
                                               world.epochs[i]));
        }
    }

    explore(&world, depth - 1);

    for (i = 0; i < before->n; i++) {
        world = *before;

        if (world.stopped[i]) {
            world_continue(&world, i);
            assert_true(binarize_process_lives(&world.slots[i],
                                               world.epochs[i])
                        || world.now < world.due[i]);
            explore(&world, depth - 1);

        } else {
            world.stopped[i] = 1;
            explore(&world, depth - 1);
        }
    }
}


static void
test_all_orders(void **state)
{
    world_t  world;

    (void) state;

    world_begin(&world, 2);
    explore(&world, 14);
}


/* one who stands still is found, whoever looks, and finds out himself */

static void
test_one_stalls(void **state)
{
    unsigned  i, ticks;
    world_t   world;

    (void) state;

    for (i = 0; i < NPROCESSES; i++) {
        world_begin(&world, NPROCESSES);

        for (ticks = 0; ticks < 9; ticks++) {
            world_tick(&world);
        }

        world.stopped[i] = 1;

        for (ticks = 0; world_ndeclared(&world) == 0; ticks++) {
            assert_true(ticks < TICKS * (BINARIZE_PROCESS_DEAD_BEATS + 1));
            world_tick(&world);
        }

        assert_true(ticks >= TICKS * (BINARIZE_PROCESS_DEAD_BEATS - 1));

        for (ticks = 0; ticks < 20; ticks++) {
            world_tick(&world);
        }

        assert_int_equal(world_ndeclared(&world), 1);
        assert_false(binarize_process_lives(&world.slots[i],
                                            world.epochs[i]));

        world_continue(&world, i);
        assert_int_equal(world.late[i], 1);
        assert_true(binarize_process_lives(&world.slots[i],
                                           world.epochs[i]));
    }
}


/*
 * All are stopped, wherever they are between two beats, for however long, and
 * continue in any order within a second and a half: nobody is dead.
 */

static void
test_all_stall(void **state)
{
    unsigned  first, from, gap, i, k, length, ticks;
    world_t   world;

    (void) state;

    for (from = 1; from < 8; from++)
    for (length = 0; length < 40; length++)
    for (first = 0; first < NPROCESSES; first++)
    for (gap = 0; gap < 2; gap++) {

        world_begin(&world, NPROCESSES);

        for (ticks = 0; ticks < from; ticks++) {
            world_tick(&world);
        }

        for (i = 0; i < NPROCESSES; i++) {
            world.stopped[i] = 1;
        }

        for (ticks = 0; ticks < length; ticks++) {
            world_tick(&world);
        }

        for (i = 0; i < NPROCESSES; i++) {
            world_continue(&world, (first + i) % NPROCESSES);

            for (k = 0; k < gap; k++) {
                world_tick(&world);
            }
        }

        for (ticks = 0; ticks < 20; ticks++) {
            world_tick(&world);
        }

        assert_int_equal(world_ndeclared(&world), 0);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_slot),
        cmocka_unit_test(test_looks),
        cmocka_unit_test(test_all_orders),
        cmocka_unit_test(test_one_stalls),
        cmocka_unit_test(test_all_stall)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
