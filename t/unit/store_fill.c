
/*
 * How much of the memory is live while it is filled over and over: at every
 * moment after it was filled twice, not only in the end.
 */


#include "store_fixture.h"


#define FILL_SEEDS  20
#define FILL_TIMES  10

/*
 * What the zone's pictures are to have of a zone, over what the store has of
 * one of 8 MB
 */
#define FILL_SHARE  (0.85 / 0.955)


typedef struct {
    size_t    memory;
    uint64_t  least;        /* sizes of pictures */
    uint64_t  most;
    int       octaves;      /* as many in each power of two */
    int       known;        /* sizes are, before the pictures arrive */
} fill_t;


typedef struct {
    uint64_t  nmoments;
    uint64_t  nbelow;       /* of FILL_SHARE */
    uint64_t  nsplit;
    uint64_t  ninserts;
    uint64_t  ndeclined;
    double    least;
} fill_result_t;


static uint64_t
fill_random(fixture_t *f, const fill_t *fill)
{
    unsigned  n;
    uint64_t  least, most;

    least = fill->least;
    most = fill->most;

    if (fill->octaves) {
        for (n = 0; least << n < most; n++) { /* void */ }

        least <<= unit_random(&f->random) % n;
        most = least * 2 < most ? least * 2 : most;
    }

    return least + unit_random(&f->random) % (most - least + 1);
}


/* payloads alone */

static double
fill_share(fixture_t *f, const fill_t *fill)
{
    binarize_store_stats_t  stats;

    binarize_store_stats(f->store, &stats);

    return (double) (stats.kinds[BINARIZE_STORE_RESULT].size
                     - 150 * stats.kinds[BINARIZE_STORE_RESULT].nentries)
           / fill->memory;
}


static void
fill_run(const fill_t *fill, uint32_t seed, fill_result_t *result)
{
    int                     rc;
    double                  share;
    uint64_t                size, sum;
    fixture_t               f;
    binarize_store_stats_t  stats;

    fixture_init(&f, fill->memory);
    f.random = seed * 7919;

    for (sum = 0; sum < FILL_TIMES * (uint64_t) fill->memory; /* void */ ) {
        size = fill_random(&f, fill);
        rc = fill->known ? insert(&f, f.nkeys++, BINARIZE_STORE_RESULT, size,
                                  150, NULL)
                         : insert_growing(&f, f.nkeys++, size);

        if (size > binarize_store_max_size(f.store)) {
            assert_int_equal(rc, BINARIZE_DECLINED);
            result->ndeclined++;

        } else {
            assert_int_equal(rc, BINARIZE_OK);
            sum += size;
        }

        if (sum < 2 * fill->memory) {
            continue;
        }

        share = fill_share(&f, fill);

        result->nmoments++;
        result->nbelow += share < FILL_SHARE;
        result->least = share < result->least ? share : result->least;
    }

    binarize_store_stats(f.store, &stats);

    result->nsplit += stats.split;
    result->ninserts += f.nkeys;

    fixture_done(&f);
}


static fill_result_t
fill_seeds(const fill_t *fill)
{
    uint32_t       seed;
    fill_result_t  result;

    memset(&result, 0, sizeof(result));
    result.least = 1;

    for (seed = 1; seed <= FILL_SEEDS; seed++) {
        fill_run(fill, seed, &result);
    }

    print_message("%3zuM, %4luK to %4luK%s%s: at least %.1f%%, %.2f%% of %lu "
                  "moments below %.1f%%, %.0f%% declined, %.0f%% split\n",
                  fill->memory >> 20, (unsigned long) fill->least >> 10,
                  (unsigned long) fill->most >> 10,
                  fill->octaves ? " by octaves" : "",
                  fill->known ? "" : ", unknown before", result.least * 100,
                  100.0 * result.nbelow / result.nmoments,
                  (unsigned long) result.nmoments, FILL_SHARE * 100,
                  100.0 * result.ndeclined / result.ninserts,
                  100.0 * result.nsplit / result.ninserts);

    return result;
}


/* pictures of up to an eighth of the memory */

static void
test_always(void **state)
{
    size_t    i;
    unsigned  octaves, known;
    fill_t    fill;

    static const size_t  sizes[] = { 8 << 20, 16 << 20, 32 << 20, 64 << 20 };

    (void) state;

    for (i = 0; i < unit_nelts(sizes); i++) {

        fill.memory = sizes[i];
        fill.least = 1024;
        fill.most = sizes[i] / 8 < 4 << 20 ? sizes[i] / 8 : 4 << 20;

        for (octaves = 0; octaves < 2; octaves++) {
            for (known = 0; known < 2; known++) {
                fill.octaves = octaves;
                fill.known = known;

                assert_int_equal(fill_seeds(&fill).nbelow, 0);
            }
        }
    }
}


/*
 * Up to a quarter, and larger ones: where all that is there are four or five
 * large ones, any of them leaves more when it goes.
 */

static void
test_quarter(void **state)
{
    size_t         i;
    unsigned       octaves, known;
    fill_t         fill;
    fill_result_t  result;

    static const struct {
        size_t     memory;
        uint64_t   most;
    } cases[] = {
        { 8 << 20, 2000 << 10 },
        { 8 << 20, 4 << 20 },
        { 16 << 20, 4 << 20 },
        { 32 << 20, 8100 << 10 },
    };

    (void) state;

    for (i = 0; i < unit_nelts(cases); i++) {

        fill.memory = cases[i].memory;
        fill.least = 1024;
        fill.most = cases[i].most;

        for (octaves = 0; octaves < 2; octaves++) {
            for (known = 0; known < 2; known++) {
                fill.octaves = octaves;
                fill.known = known;
                result = fill_seeds(&fill);

                assert_true(result.nbelow * 33 <= result.nmoments);
                assert_true(result.least >= 0.75);
            }
        }
    }
}


/* the usual sizes, where they are small against the memory; and the least */

static void
test_small(void **state)
{
    static const fill_t  small[] = {
        { 32 << 20, 1024, 300 << 10, 0, 1 },
        { 32 << 20, 1024, 300 << 10, 0, 0 },
        { 32 << 20, 30 << 10, 300 << 10, 0, 1 },
        { 256 << 20, 1024, 4 << 20, 0, 1 }
    };
    static const fill_t  least = { 8 << 20, 1024, 1024, 0, 1 };

    size_t  i;

    (void) state;

    for (i = 0; i < unit_nelts(small); i++) {
        assert_true(fill_seeds(&small[i]).least >= 0.94);
    }

    assert_true(fill_seeds(&least).least >= 0.65);
}


/* a large one that nobody wants is spared for small ones, but not for ever */

static void
test_spared(void **state)
{
    uint64_t                size;
    fixture_t               f;
    unsigned char           key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_stats_t  stats;

    (void) state;

    fixture_init(&f, 8 << 20);
    key_of(f.nkeys, key);

    assert_int_equal(insert(&f, f.nkeys++, BINARIZE_STORE_RESULT, 1 << 20, 150,
                            NULL),
                     BINARIZE_OK);

    do {
        assert_int_equal(insert(&f, f.nkeys++, BINARIZE_STORE_RESULT, 10000,
                                150, NULL),
                         BINARIZE_OK);

        binarize_store_stats(f.store, &stats);
        size = stats.evictions[BINARIZE_STORE_RESULT] * 10000;

    } while (binarize_store_peek(f.store, key) && size < 20 << 20);

    print_message("after %.1f times its size\n", size / 1048576.0);

    assert_null(binarize_store_peek(f.store, key));
    assert_true(size > 8 << 20);

    fixture_done(&f);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_always),
        cmocka_unit_test(test_quarter),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_spared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
