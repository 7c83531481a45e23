
/*
 * What a hit costs in the store: lookup, pin, unpin, as the number of entries
 * grows; one key asked all the time, and keys at random.  Instructions where
 * the kernel counts them, since they do not depend on the neighbours.
 */


#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store.h"


#define NHITS       2000000
#define NROUNDS     5
#define ENTRY_SIZE  4096


static uint64_t
now_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static int
counter_open(void)
{
    struct perf_event_attr  attr;

    memset(&attr, 0, sizeof(attr));
    attr.type = PERF_TYPE_HARDWARE;
    attr.size = sizeof(attr);
    attr.config = PERF_COUNT_HW_INSTRUCTIONS;
    attr.exclude_kernel = 1;

    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}


static uint64_t
counter_read(int fd)
{
    uint64_t  n;

    return fd >= 0 && read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}


static void
key_of(uint32_t n, unsigned char key[BINARIZE_STORE_KEY_SIZE])
{
    uint64_t  i, word;

    for (i = 0; i < BINARIZE_STORE_KEY_SIZE / sizeof(word); i++) {
        word = (n * 4ULL + i + 1) * 0x9e3779b97f4a7c15ULL;
        word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9ULL;
        word ^= word >> 32;
        memcpy(key + i * sizeof(word), &word, sizeof(word));
    }
}


static void
insert(binarize_store_t *store, const unsigned char *key)
{
    binarize_store_entry_t  *entry;

    static const binarize_store_meta_t  meta = { .expires_ms = UINT64_MAX };

    if (binarize_store_reserve(store, key, BINARIZE_STORE_RESULT, ENTRY_SIZE,
                               1, 0, &entry)
        != BINARIZE_OK
        || binarize_store_finish(store, entry, ENTRY_SIZE, 150, 0)
           != BINARIZE_OK)
    {
        abort();
    }

    binarize_store_publish(store, entry, &meta);
}


static void
measure(binarize_store_t *store, uint32_t nentries, int at_random, int fd,
    double *best_ns, double *instructions)
{
    double                   ns;
    uint32_t                 i, n, round;
    uint64_t                 counted, start;
    unsigned char            (*keys)[BINARIZE_STORE_KEY_SIZE];
    binarize_store_entry_t  *entry;

    /* keys are made before: the module has the digest at hand */

    keys = malloc((size_t) 65536 * BINARIZE_STORE_KEY_SIZE);

    if (keys == NULL) {
        abort();
    }

    for (i = 0, n = 1; i < 65536; i++) {
        n = n * 1664525 + 1013904223;
        key_of(at_random ? (n >> 8) % nentries : 0, keys[i]);
    }

    *best_ns = 1e9;

    for (round = 0; round < NROUNDS; round++) {
        counted = counter_read(fd);
        start = now_ns();

        for (i = 0; i < NHITS; i++) {
            entry = binarize_store_lookup(store, keys[i % 65536], 0);

            if (entry == NULL
                || binarize_store_pin(store, entry, 1) != BINARIZE_OK
                || binarize_store_unpin(store, entry, 1) != BINARIZE_OK)
            {
                abort();
            }
        }

        ns = (double) (now_ns() - start) / NHITS;
        *best_ns = ns < *best_ns ? ns : *best_ns;
        *instructions = (double) (counter_read(fd) - counted) / NHITS;
    }

    free(keys);
}


int
main(void)
{
    int                fd;
    void              *memory;
    double             hot, instructions, spread, spread_instructions;
    size_t             size;
    uint32_t           i, n;
    unsigned           attached;
    unsigned char      key[BINARIZE_STORE_KEY_SIZE];
    binarize_store_t  *store;

    fd = counter_open();
    size = 512u << 20;

    memory = mmap(NULL, size, PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED
        || binarize_store_init(memory, size, &store, &attached)
           != BINARIZE_OK)
    {
        abort();
    }

    printf("lookup, pin, unpin  %22s  %22s\n", "one key", "keys at random");
    printf("%8s entries  %9s %12s  %9s %12s\n", "", "ns", "instructions",
           "ns", "instructions");

    for (n = 1, i = 0; n <= 100000; n *= 10) {

        for ( /* void */ ; i < n; i++) {
            key_of(i, key);
            insert(store, key);
        }

        measure(store, n, 0, fd, &hot, &instructions);
        measure(store, n, 1, fd, &spread, &spread_instructions);

        printf("%8u %20.1f %12.1f  %9.1f %12.1f\n", n, hot, instructions,
               spread, spread_instructions);
    }

    if (fd < 0) {
        printf("(no instruction counter here)\n");
    }

    return 0;
}
