
/*
 * Object hit ratios of the L1 cache on made-up traces: the store itself
 * beside simulated LRU, SIEVE and S3-FIFO, and beside what is nearly the best
 * that can be done by who knows the future.
 *
 *     hitratio [seed]
 *
 * Requests follow a Zipf distribution over the pictures of a working set; the
 * memory is a tenth of it in bytes.  The simulated caches spend all of it on
 * pictures, the store also its heads, tables and rounding.  Scans:
 *
 *   none   Zipf alone
 *   once   every fifth 10,000 requests are for pictures never asked again
 *   sweep  they go through the whole working set, in order
 *   third  every third request is for a picture never asked again
 *   drift  which pictures are popular changes all the time
 *
 * Ends with 1 if the store's ratio is below LRU's, or more than three points
 * below S3-FIFO's, on any trace.
 */


#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store.h"


#define NPICTURES  10000
#define NREQUESTS  500000

#define NONE       UINT32_MAX

/* of S3-FIFO, as in the paper (SOSP 2023) */
#define S3_SMALL_SHARE   0.1
#define S3_GHOST_SHARE   0.9
#define S3_MAX_FREQ      3
#define S3_MOVE_FREQ     2

/* cached ones looked at for the one to go */
#define BEST_SAMPLES     64


typedef enum {
    SCAN_NONE = 0,
    SCAN_ONCE,
    SCAN_SWEEP,
    SCAN_THIRD,
    SCAN_DRIFT,
    NSCANS
} scan_e;


typedef struct {
    uint32_t   objects[NREQUESTS];
    uint32_t   next[NREQUESTS];         /* request for the same one */
    uint32_t   sizes[NPICTURES + NREQUESTS];
    uint32_t   nobjects;
    uint64_t   cache_size;
} trace_t;


typedef struct {
    uint32_t   newer;
    uint32_t   older;
    uint8_t    freq;
    uint8_t    cached;
    uint8_t    main;
    uint8_t    ghost;
    uint32_t   next;
    uint32_t   place;
} object_t;


typedef struct {
    uint32_t   newest;
    uint32_t   oldest;
    uint64_t   size;
} queue_t;


typedef struct {
    double     objects;                 /* per cent */
    double     bytes;
} ratio_t;


typedef struct {
    const trace_t  *trace;
    object_t       *objects;
    uint64_t        hits;
    uint64_t        hit_size;
    uint64_t        size;
} run_t;


typedef ratio_t (*policy_t)(const trace_t *trace);


static uint64_t  random_state;


static uint64_t
random_next(void)
{
    /* xorshift64* */

    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;

    return random_state * 0x2545f4914f6cdd1dULL;
}


static double
random_unit(void)
{
    return (random_next() >> 11) / 9007199254740992.0;
}


static uint32_t
random_lognormal(double median, double sigma)
{
    double  a, b, size;

    a = 1 - random_unit();
    b = random_unit();

    size = median * exp(sigma * sqrt(-2 * log(a)) * cos(2 * M_PI * b));

    if (size < 1024) {
        return 1024;
    }

    return size > 4194304 ? 4194304 : size;
}


/* ranks[i] of the sums: the first that is not below a random number */

static uint32_t
random_rank(const double *sums)
{
    double    u;
    uint32_t  high, low, middle;

    u = random_unit() * sums[NPICTURES - 1];
    low = 0;
    high = NPICTURES - 1;

    while (low < high) {
        middle = (low + high) / 2;

        if (sums[middle] < u) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


static uint32_t
trace_request(trace_t *trace, scan_e scan, const double *sums,
    const uint32_t *order, uint32_t i)
{
    int       scanning;
    uint32_t  rank;

    scanning = scan == SCAN_THIRD ? random_next() % 3 == 0
                                  : i / 10000 % 5 == 4;

    if (scanning && (scan == SCAN_ONCE || scan == SCAN_THIRD)) {
        return trace->nobjects++;
    }

    if (scanning && scan == SCAN_SWEEP) {
        return i % NPICTURES;
    }

    rank = random_rank(sums);

    if (scan == SCAN_DRIFT) {
        rank += i / 1000 * (NPICTURES / 500);
    }

    return order[rank % NPICTURES];
}


static void
trace_make(trace_t *trace, double alpha, scan_e scan, double median,
    double sigma)
{
    uint32_t         i, k, swap;
    uint64_t         size;
    static double    sums[NPICTURES];
    static uint32_t  order[NPICTURES], last[NPICTURES + NREQUESTS];

    for (i = 0; i < NPICTURES; i++) {
        sums[i] = pow(i + 1, -alpha) + (i ? sums[i - 1] : 0);
        order[i] = i;
    }

    for (i = NPICTURES - 1; i; i--) {
        k = random_next() % (i + 1);
        swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }

    for (i = 0, size = 0; i < NPICTURES + NREQUESTS; i++) {
        trace->sizes[i] = random_lognormal(median, sigma);
        size += i < NPICTURES ? trace->sizes[i] : 0;
    }

    trace->cache_size = size / 10;
    trace->nobjects = NPICTURES;

    for (i = 0; i < NREQUESTS; i++) {
        trace->objects[i] = trace_request(trace, scan, sums, order, i);
    }

    memset(last, 0xff, sizeof(last));

    for (i = NREQUESTS; i-- > 0; /* void */ ) {
        trace->next[i] = last[trace->objects[i]];
        last[trace->objects[i]] = i;
    }
}


static void
run_init(run_t *run, const trace_t *trace)
{
    memset(run, 0, sizeof(*run));

    run->trace = trace;
    run->objects = calloc(trace->nobjects, sizeof(object_t));

    if (run->objects == NULL) {
        abort();
    }
}


/* counts a request, returns 1 if it is a hit */

static int
run_request(run_t *run, uint32_t object, int hit)
{
    run->size += run->trace->sizes[object];

    if (hit) {
        run->hits++;
        run->hit_size += run->trace->sizes[object];
    }

    return hit;
}


static ratio_t
run_done(run_t *run)
{
    ratio_t  ratio;

    free(run->objects);

    ratio.objects = 100.0 * run->hits / NREQUESTS;
    ratio.bytes = 100.0 * run->hit_size / run->size;

    return ratio;
}


static void
queue_init(queue_t *queue)
{
    queue->newest = NONE;
    queue->oldest = NONE;
    queue->size = 0;
}


static void
queue_push(run_t *run, queue_t *queue, uint32_t i)
{
    object_t  *object;

    object = &run->objects[i];
    object->newer = NONE;
    object->older = queue->newest;

    if (queue->newest == NONE) {
        queue->oldest = i;

    } else {
        run->objects[queue->newest].newer = i;
    }

    queue->newest = i;
    queue->size += run->trace->sizes[i];
}


static void
queue_remove(run_t *run, queue_t *queue, uint32_t i)
{
    object_t  *object;

    object = &run->objects[i];

    if (object->newer == NONE) {
        queue->newest = object->older;

    } else {
        run->objects[object->newer].older = object->older;
    }

    if (object->older == NONE) {
        queue->oldest = object->newer;

    } else {
        run->objects[object->older].newer = object->newer;
    }

    queue->size -= run->trace->sizes[i];
}


static ratio_t
policy_lru(const trace_t *trace)
{
    run_t     run;
    queue_t   queue;
    uint32_t  i, object, victim;

    run_init(&run, trace);
    queue_init(&queue);

    for (i = 0; i < NREQUESTS; i++) {
        object = trace->objects[i];

        if (run_request(&run, object, run.objects[object].cached)) {
            queue_remove(&run, &queue, object);
            queue_push(&run, &queue, object);
            continue;
        }

        while (queue.size + trace->sizes[object] > trace->cache_size) {
            victim = queue.oldest;
            queue_remove(&run, &queue, victim);
            run.objects[victim].cached = 0;
        }

        queue_push(&run, &queue, object);
        run.objects[object].cached = 1;
    }

    return run_done(&run);
}


static ratio_t
policy_sieve(const trace_t *trace)
{
    run_t      run;
    queue_t    queue;
    uint32_t   hand, i, object;
    object_t  *victim;

    run_init(&run, trace);
    queue_init(&queue);
    hand = NONE;

    for (i = 0; i < NREQUESTS; i++) {
        object = trace->objects[i];

        if (run_request(&run, object, run.objects[object].cached)) {
            run.objects[object].freq = 1;
            continue;
        }

        while (queue.size + trace->sizes[object] > trace->cache_size) {

            if (hand == NONE) {
                hand = queue.oldest;
            }

            victim = &run.objects[hand];

            if (victim->freq) {
                victim->freq = 0;
                hand = victim->newer;
                continue;
            }

            queue_remove(&run, &queue, hand);
            victim->cached = 0;
            hand = victim->newer;
        }

        queue_push(&run, &queue, object);
        run.objects[object].cached = 1;
        run.objects[object].freq = 0;
    }

    return run_done(&run);
}


/* forgets the oldest ghosts above their share */

static void
s3_ghost_push(run_t *run, uint32_t *ghosts, uint32_t *first, uint32_t *last,
    uint64_t *size, uint32_t i)
{
    const trace_t  *trace;

    trace = run->trace;

    ghosts[(*last)++] = i;
    run->objects[i].ghost = 1;
    *size += trace->sizes[i];

    while (*size > trace->cache_size * S3_GHOST_SHARE) {
        i = ghosts[(*first)++];
        run->objects[i].ghost = 0;
        *size -= trace->sizes[i];
    }
}


static ratio_t
policy_s3fifo(const trace_t *trace)
{
    run_t      run;
    queue_t    main, small;
    uint32_t  *ghosts, first, i, last, object, victim;
    uint64_t   ghosts_size;
    object_t  *o;

    run_init(&run, trace);
    queue_init(&main);
    queue_init(&small);

    /* each miss makes one ghost at most */
    ghosts = malloc(NREQUESTS * sizeof(uint32_t));

    if (ghosts == NULL) {
        abort();
    }

    first = 0;
    last = 0;
    ghosts_size = 0;

    for (i = 0; i < NREQUESTS; i++) {
        object = trace->objects[i];
        o = &run.objects[object];

        if (run_request(&run, object, o->cached)) {
            o->freq += o->freq < S3_MAX_FREQ;
            continue;
        }

        while (main.size + small.size + trace->sizes[object]
               > trace->cache_size)
        {
            if (small.size > trace->cache_size * S3_SMALL_SHARE
                || main.oldest == NONE)
            {
                victim = small.oldest;
                queue_remove(&run, &small, victim);

                if (run.objects[victim].freq >= S3_MOVE_FREQ) {
                    run.objects[victim].freq = 0;
                    queue_push(&run, &main, victim);
                    continue;
                }

                s3_ghost_push(&run, ghosts, &first, &last, &ghosts_size,
                              victim);

            } else {
                victim = main.oldest;
                queue_remove(&run, &main, victim);

                if (run.objects[victim].freq) {
                    run.objects[victim].freq--;
                    queue_push(&run, &main, victim);
                    continue;
                }
            }

            run.objects[victim].cached = 0;
        }

        queue_push(&run, o->ghost ? &main : &small, object);
        o->cached = 1;
        o->freq = 0;
    }

    free(ghosts);

    return run_done(&run);
}


/*
 * Belady's rule for objects of different sizes: of a sample of those that are
 * cached, the one goes whose next use times size is largest.  What is never
 * asked again is not cached.
 */

static ratio_t
policy_best(const trace_t *trace)
{
    run_t      run;
    double     distance, score;
    uint32_t  *cached, i, k, n, object, sample, victim;
    uint64_t   size;

    run_init(&run, trace);

    cached = malloc(trace->nobjects * sizeof(uint32_t));

    if (cached == NULL) {
        abort();
    }

    n = 0;
    size = 0;

    for (i = 0; i < NREQUESTS; i++) {
        object = trace->objects[i];
        run.objects[object].next = trace->next[i];

        if (run_request(&run, object, run.objects[object].cached)
            || trace->next[i] == NONE)
        {
            continue;
        }

        run.objects[object].cached = 1;
        run.objects[object].place = n;
        cached[n++] = object;
        size += trace->sizes[object];

        while (size > trace->cache_size) {
            victim = cached[0];
            score = -1;

            for (k = 0; k < BEST_SAMPLES; k++) {
                sample = cached[random_next() % n];

                distance = run.objects[sample].next == NONE
                           ? 1e12 : run.objects[sample].next - i;

                if (distance * trace->sizes[sample] > score) {
                    score = distance * trace->sizes[sample];
                    victim = sample;
                }
            }

            run.objects[victim].cached = 0;
            size -= trace->sizes[victim];

            k = run.objects[victim].place;
            cached[k] = cached[--n];
            run.objects[cached[k]].place = k;
        }
    }

    free(cached);

    return run_done(&run);
}


static void
store_key(uint32_t object, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    uint64_t  i, word;

    for (i = 0; i < BINARIZE_STORE_KEY_SIZE / sizeof(word); i++) {
        word = (object * 4ULL + i + 1) * 0x9e3779b97f4a7c15ULL;
        word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9ULL;
        word ^= word >> 32;
        memcpy(key + i * sizeof(word), &word, sizeof(word));
    }
}


static void
store_insert(binarize_store_t *store, const unsigned char *key, uint64_t size)
{
    int                      rc;
    binarize_store_entry_t  *entry;

    static const binarize_store_meta_t  meta = { .expires_ms = UINT64_MAX };

    do {
        rc = binarize_store_reserve(store, key, BINARIZE_STORE_RESULT, size,
                                    1, 0, &entry);
    } while (rc == BINARIZE_AGAIN);

    if (rc != BINARIZE_OK
        || binarize_store_finish(store, entry, size, 150, 0) != BINARIZE_OK)
    {
        fprintf(stderr, "the store took no picture of %lu bytes\n",
                (unsigned long) size);
        exit(2);
    }

    binarize_store_publish(store, entry, &meta);
}


static ratio_t
policy_store(const trace_t *trace)
{
    run_t              run;
    void              *memory;
    size_t             size;
    uint32_t           i, object;
    unsigned           attached;
    unsigned char      key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_t  *store;

    run_init(&run, trace);

    size = trace->cache_size & ~(uint64_t) 63;
    memory = mmap(NULL, size, PROT_READ|PROT_WRITE,
                  MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED
        || binarize_store_init(memory, size, &store, &attached)
           != BINARIZE_OK)
    {
        abort();
    }

    for (i = 0; i < NREQUESTS; i++) {
        object = trace->objects[i];
        store_key(object, key);

        if (!run_request(&run, object,
                         binarize_store_lookup(store, key, 0) != NULL))
        {
            store_insert(store, key, trace->sizes[object]);
        }
    }

    munmap(memory, size);

    return run_done(&run);
}


static int
measure(trace_t *trace, double alpha, scan_e scan, const char *sizes,
    double median, double sigma)
{
    int       failed;
    ratio_t   best, lru, s3fifo, sieve, store;

    static const char  *scans[] = {
        "none", "once", "sweep", "third", "drift"
    };

    trace_make(trace, alpha, scan, median, sigma);

    lru = policy_lru(trace);
    sieve = policy_sieve(trace);
    s3fifo = policy_s3fifo(trace);
    store = policy_store(trace);
    best = policy_best(trace);

    failed = store.objects < lru.objects
             || store.objects < s3fifo.objects - 3;

    printf("%-9s %4.1f  %-5s %7.2f %7.2f %7.2f %7.2f %7.2f"
           "   %7.2f %7.2f %7.2f%s\n",
           sizes, alpha, scans[scan], lru.objects, sieve.objects,
           s3fifo.objects, store.objects, best.objects, lru.bytes,
           s3fifo.bytes, store.bytes, failed ? "  FAILED" : "");
    fflush(stdout);

    return failed;
}


int
main(int argc, char **argv)
{
    int       failed;
    scan_e    scan;
    double    alpha;
    trace_t  *trace;

    random_state = 88172645463325252ULL;

    if (argc > 1) {
        random_state += strtoul(argv[1], NULL, 10) * 0x9e3779b97f4a7c15ULL;
    }

    trace = malloc(sizeof(*trace));

    if (trace == NULL) {
        abort();
    }

    printf("%-9s %4s  %-5s %39s   %23s\n", "", "", "",
           "requests that hit, %", "bytes that hit, %");
    printf("%-9s %4s  %-5s %7s %7s %7s %7s %7s   %7s %7s %7s\n",
           "sizes", "Zipf", "scan", "LRU", "SIEVE", "S3-FIFO", "store",
           "best", "LRU", "S3-FIFO", "store");

    failed = 0;

    for (alpha = 0.8; alpha < 1.3; alpha += 0.2) {
        for (scan = SCAN_NONE; scan < NSCANS; scan++) {
            failed |= measure(trace, alpha, scan, "30K-300K", 95000, 0.575);
        }
    }

    for (alpha = 0.8; alpha < 1.3; alpha += 0.2) {
        for (scan = SCAN_NONE; scan < NSCANS; scan++) {
            failed |= measure(trace, alpha, scan, "1K-4M", 100000, 1.4);
        }
    }

    free(trace);

    return failed;
}
