
#include "zone/metrics.h"


static const char *ngx_http_binarize_outcome_name(ngx_uint_t i);
static const char *ngx_http_binarize_token_outcome_name(ngx_uint_t i);


static const uint64_t  ngx_http_binarize_size_bounds[] = {
    0, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864
};

static const char *const  ngx_http_binarize_size_labels[] = {
    "0", "1024", "4096", "16384", "65536", "262144", "1048576", "4194304",
    "16777216", "67108864"
};

static const uint64_t  ngx_http_binarize_seconds_bounds[] = {
    5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
    5000000, 10000000, 30000000, 60000000
};

static const char *const  ngx_http_binarize_seconds_labels[] = {
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
    "10", "30", "60"
};

static const uint64_t  ngx_http_binarize_quick_bounds[] = {
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000
};

static const char *const  ngx_http_binarize_quick_labels[] = {
    "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005",
    "0.01", "0.025", "0.05", "0.1", "0.25"
};


#define ngx_http_binarize_array_size(a)  (sizeof(a) / sizeof(a[0]))

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_size_bounds)
               == NGX_HTTP_BINARIZE_SIZE_BOUNDS
               && ngx_http_binarize_array_size(ngx_http_binarize_size_labels)
                  == NGX_HTTP_BINARIZE_SIZE_BOUNDS, "bounds of sizes");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_seconds_bounds)
               == NGX_HTTP_BINARIZE_SECONDS_BOUNDS
               && ngx_http_binarize_array_size(
                                          ngx_http_binarize_seconds_labels)
                  == NGX_HTTP_BINARIZE_SECONDS_BOUNDS, "bounds of seconds");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_quick_bounds)
               == NGX_HTTP_BINARIZE_QUICK_BOUNDS
               && ngx_http_binarize_array_size(ngx_http_binarize_quick_labels)
                  == NGX_HTTP_BINARIZE_QUICK_BOUNDS, "bounds of the quick");


const ngx_http_binarize_histogram_t  ngx_http_binarize_histograms[] = {

    [NGX_HTTP_BINARIZE_H_SIZE] =
    { "answer_size_bytes",
      "Bytes of body sent to a client, complete or not.",
      NGX_HTTP_BINARIZE_M_SIZE, NGX_HTTP_BINARIZE_SIZE_BOUNDS,
      ngx_http_binarize_size_bounds, ngx_http_binarize_size_labels, 0 },

    [NGX_HTTP_BINARIZE_H_WAIT] =
    { "wait_duration_seconds",
      "Time that requests waited for Redis, the cloud, or another request.",
      NGX_HTTP_BINARIZE_M_WAIT, NGX_HTTP_BINARIZE_SECONDS_BOUNDS,
      ngx_http_binarize_seconds_bounds, ngx_http_binarize_seconds_labels, 1 },

    [NGX_HTTP_BINARIZE_H_FETCH] =
    { "fetch_duration_seconds",
      "Time of calls to the cloud, from connecting to the last byte.",
      NGX_HTTP_BINARIZE_M_FETCH, NGX_HTTP_BINARIZE_SECONDS_BOUNDS,
      ngx_http_binarize_seconds_bounds, ngx_http_binarize_seconds_labels, 1 },

    [NGX_HTTP_BINARIZE_H_REDIS_LOOKUP] =
    { "redis_lookup_duration_seconds",
      "Time of look-ups of a result in Redis.",
      NGX_HTTP_BINARIZE_M_REDIS_LOOKUP, NGX_HTTP_BINARIZE_QUICK_BOUNDS,
      ngx_http_binarize_quick_bounds, ngx_http_binarize_quick_labels, 1 },

    [NGX_HTTP_BINARIZE_H_WAKE] =
    { "wake_duration_seconds",
      "Time from a landing to the worker that waits for it.",
      NGX_HTTP_BINARIZE_M_WAKE, NGX_HTTP_BINARIZE_QUICK_BOUNDS,
      ngx_http_binarize_quick_bounds, ngx_http_binarize_quick_labels, 1 },

    { NULL, NULL, 0, 0, NULL, NULL, 0 }
};


/* by index in metrics.c's table of them */
static const char *const  ngx_http_binarize_status_names[] = {
    "200", "202", "204", "206", "304", "400", "403", "404", "405", "406",
    "412", "416", "499", "500", "502", "503", "504", "other"
};

/* by ngx_http_binarize_gauge_e, from _FOLLOWING on */
static const char *const  ngx_http_binarize_flight_names[] = {
    "following", "redis", "remote", "budget", "token", "fetching", "sleeping"
};

static const char *const  ngx_http_binarize_role_names[] = {
    "leader", "follower"
};

static const char *const  ngx_http_binarize_turn_names[] = {
    "waited", "refused"
};

static const char *const  ngx_http_binarize_kind_names[] = {
    "result", "negative", "pending"
};

static const char *const  ngx_http_binarize_lookup_names[] = {
    "hit", "miss", "error", "unusable"
};

static const char *const  ngx_http_binarize_redis_store_names[] = {
    "sent", "unusable"
};

static const char *const  ngx_http_binarize_lease_names[] = {
    "held", "busy", "told", "error"
};

static const char *const  ngx_http_binarize_redis_failure_names[] = {
    "timeout", "refused", "lost"
};

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_status_names)
               == NGX_HTTP_BINARIZE_STATUSES, "names of statuses");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_flight_names)
               == NGX_HTTP_BINARIZE_G_SLEEPING
                  - NGX_HTTP_BINARIZE_G_FOLLOWING + 1, "names of states");

_Static_assert(ngx_http_binarize_array_size(ngx_http_binarize_kind_names)
               == BINARIZE_STORE_NKINDS, "names of kinds");


/* of a family: one number, or one for each of an array of names */
#define ngx_http_binarize_number  NULL, NULL, NULL, 1

#define ngx_http_binarize_names(what)                                         \
    ngx_http_binarize_##what##_names, NULL,                                   \
    ngx_http_binarize_array_size(ngx_http_binarize_##what##_names)

/* where they are */
#define ngx_http_binarize_cell(metric)                                        \
    offsetof(ngx_http_binarize_snapshot_t, cells)                             \
        + (metric) * sizeof(uint64_t), sizeof(uint64_t)

#define ngx_http_binarize_gauge(gauge)                                        \
    offsetof(ngx_http_binarize_snapshot_t, gauges)                            \
        + (gauge) * sizeof(uint64_t), sizeof(uint64_t)

#define ngx_http_binarize_store(member)                                       \
    offsetof(ngx_http_binarize_snapshot_t, store)                             \
        + offsetof(binarize_store_stats_t, member), sizeof(uint64_t)

/* the members of an array of structures */
#define ngx_http_binarize_store_kinds(member)                                 \
    offsetof(ngx_http_binarize_snapshot_t, store)                             \
        + offsetof(binarize_store_stats_t, kinds[0].member),                  \
    sizeof(((binarize_store_stats_t *) 0)->kinds[0])


const ngx_http_binarize_family_t  ngx_http_binarize_families[] = {

    { "zone_size_bytes", "Size of the zone.", ngx_http_binarize_number,
      offsetof(ngx_http_binarize_snapshot_t, size), 0, 1, 0 },

    { "workers", "Worker processes, those that are shutting down included.",
      ngx_http_binarize_number,
      offsetof(ngx_http_binarize_snapshot_t, nworkers), 0, 1, 0 },

    { "answers", "Answers by the status the client got.",
      "status", ngx_http_binarize_names(status),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_ANSWERS), 1, 1 },

    { "waiting_requests", "Requests that wait for an answer now.",
      ngx_http_binarize_number,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_WAITING), 1, 0 },

    { "flights", "Flights in the air now, by what they wait for.",
      "state", ngx_http_binarize_names(flight),
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_FOLLOWING), 1, 0 },

    { "flights_started", "Flights by whether they led or followed another "
      "worker's; again at each poll.",
      "role", ngx_http_binarize_names(role),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_LED), 1, 1 },

    { "flight_takeovers", "Flights led on after their leader was gone.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_TAKEOVERS), 1, 1 },

    { "wakes_sent", "Workers told that a flight has landed.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_WAKES_SENT), 1, 1 },

    { "wakes", "Wake-ups of workers by others.", ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_WAKES), 1, 1 },

    { "cloud_calls", "Calls to the cloud by their outcome.",
      "outcome", NULL, ngx_http_binarize_outcome_name,
      2 + BINARIZE_PROBLEMS,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_CLOUD_CALLS), 1, 1 },

    { "polls", "Calls made because requests wait for a pending task.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_POLLS), 1, 1 },

    { "budget_turns", "Calls the budget did not allow at once: those that "
      "waited for their turn, and those refused.",
      "outcome", ngx_http_binarize_names(turn),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_BUDGET_WAITED), 1, 1 },

    { "cloud_received_bytes", "Bytes of the bodies the cloud sent.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_CLOUD_BYTES), 1, 1 },

    { "token_calls", "Calls for a token by their outcome.",
      "outcome", NULL, ngx_http_binarize_token_outcome_name,
      BINARIZE_PROBLEMS,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_TOKEN_CALLS), 1, 1 },

    { "l1_blocks_bytes", "Memory of the cache.", ngx_http_binarize_number,
      ngx_http_binarize_store(nblocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_free_bytes", "Free memory of the cache.", ngx_http_binarize_number,
      ngx_http_binarize_store(nfree_blocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_evictable_bytes", "Memory of entries that are not being sent.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nevictable_blocks), BINARIZE_STORE_BLOCK_SIZE,
      0 },

    { "l1_entries", "Entries.",
      "kind", ngx_http_binarize_names(kind),
      ngx_http_binarize_store_kinds(nentries), 1, 0 },

    { "l1_used_bytes", "Memory of entries.",
      "kind", ngx_http_binarize_names(kind),
      ngx_http_binarize_store_kinds(nblocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_data_bytes", "Data of entries, without what it takes to keep them.",
      "kind", ngx_http_binarize_names(kind),
      ngx_http_binarize_store_kinds(size), 1, 0 },

    { "l1_pinned_entries", "Entries that are being sent.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(npinned), 1, 0 },

    { "l1_building_entries", "Entries that are being received.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nbuilding), 1, 0 },

    { "l1_building_bytes", "Memory of entries that are being received.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nbuilding_blocks), BINARIZE_STORE_BLOCK_SIZE,
      0 },

    { "l1_zombie_entries", "Entries gone, but still being sent.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nzombies), 1, 0 },

    { "l1_zombie_bytes", "Memory of entries gone, but still being sent.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nzombie_blocks), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_claimed_bytes", "Memory of claims: ids that are being asked for.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(nclaims), BINARIZE_STORE_BLOCK_SIZE, 0 },

    { "l1_hits", "Look-ups that found an entry of any kind, of flights too.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(hits), 1, 1 },

    { "l1_misses", "Look-ups that found none, of flights too.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(misses), 1, 1 },

    { "l1_inserts", "Entries that were stored.",
      "kind", ngx_http_binarize_names(kind),
      ngx_http_binarize_store(inserts), 1, 1 },

    { "l1_evictions", "Entries that made room for others.",
      "kind", ngx_http_binarize_names(kind),
      ngx_http_binarize_store(evictions), 1, 1 },

    { "l1_replaced", "Entries that a newer one of the same id replaced.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(replaced), 1, 1 },

    { "l1_expired", "Entries that expired.", ngx_http_binarize_number,
      ngx_http_binarize_store(expired), 1, 1 },

    { "l1_removed", "Entries that were removed by a purge.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(removed), 1, 1 },

    { "l1_aborted", "Entries that were begun and not ended.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(aborted), 1, 1 },

    { "l1_declined", "Entries that were too large for the zone.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(declined), 1, 1 },

    { "l1_full", "Entries without room, since all is being sent or received.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(full), 1, 1 },

    { "l1_split", "Entries that were stored in more than one piece.",
      ngx_http_binarize_number,
      ngx_http_binarize_store(split), 1, 1 },

    { "l1_recoveries", "Repairs after a worker died while it changed the "
      "cache.", ngx_http_binarize_number,
      ngx_http_binarize_store(recoveries), 1, 1 },

    { "l1_dropped", "Entries lost in repairs.", ngx_http_binarize_number,
      ngx_http_binarize_store(dropped), 1, 1 },

    { "redis_connections", "Connections to Redis there should be: one a "
      "worker and server.", ngx_http_binarize_number,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_REDIS_CONNECTIONS), 1, 0 },

    { "redis_usable_connections", "Those that are usable now.",
      ngx_http_binarize_number,
      ngx_http_binarize_gauge(NGX_HTTP_BINARIZE_G_REDIS_USABLE), 1, 0 },

    { "redis_lookups", "Results looked up in Redis by outcome.",
      "outcome", ngx_http_binarize_names(lookup),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_HIT), 1, 1 },

    { "redis_stores", "Results given to Redis: sent to it, or not since it "
      "was unusable.",
      "outcome", ngx_http_binarize_names(redis_store),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_STORE_SENT), 1, 1 },

    { "leases", "Leases asked for, before a call to the cloud, by outcome: "
      "held; busy, another node asks the cloud; told, one has just done so.",
      "outcome", ngx_http_binarize_names(lease),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_LEASE_HELD), 1, 1 },

    { "redis_commands", "Commands issued to Redis.", ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_COMMANDS), 1, 1 },

    { "redis_command_failures", "Commands that were not answered in time, "
      "answered by an error, or lost with the connection.",
      "reason", ngx_http_binarize_names(redis_failure),
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_TIMEOUTS), 1, 1 },

    { "redis_connects", "Tries to connect to Redis.", ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_CONNECTS), 1, 1 },

    { "redis_connect_failures", "Tries to connect to Redis that failed, and "
      "connections that did.", ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_FAILURES), 1, 1 },

    { "redis_oversize", "Strings in Redis that were too large to be taken.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_OVERSIZE), 1, 1 },

    { "redis_received_bytes", "Bytes received from Redis.",
      ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_RECEIVED), 1, 1 },

    { "redis_sent_bytes", "Bytes sent to Redis.", ngx_http_binarize_number,
      ngx_http_binarize_cell(NGX_HTTP_BINARIZE_M_REDIS_SENT), 1, 1 },

    { NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0 }
};


const char *
ngx_http_binarize_format_name(ngx_uint_t format)
{
    static const char  *names[] = { "none", "png", "json" };

    return names[format];
}


static const char *
ngx_http_binarize_outcome_name(ngx_uint_t i)
{
    switch (i) {

    case 0:
        return "completed";

    case 1:
        return "pending";

    case 2 + BINARIZE_PROBLEM_NONE:
    case 2 + BINARIZE_PROBLEM_BAD_ID:
    case 2 + BINARIZE_PROBLEM_BAD_FORMAT:
    case 2 + BINARIZE_PROBLEM_BAD_METHOD:
    case 2 + BINARIZE_PROBLEM_NOT_ACCEPTABLE:
    case 2 + BINARIZE_PROBLEM_BUDGET:
    case 2 + BINARIZE_PROBLEM_TOKEN_REFUSED:
    case 2 + BINARIZE_PROBLEM_TOKEN_FAILED:
        return NULL;

    default:
        return binarize_problem_name(i - 2);
    }
}


static const char *
ngx_http_binarize_token_outcome_name(ngx_uint_t i)
{
    switch (i) {

    case BINARIZE_PROBLEM_NONE:
        return "ok";

    case BINARIZE_PROBLEM_UNREACHABLE:
    case BINARIZE_PROBLEM_BAD_RESPONSE:
    case BINARIZE_PROBLEM_TRUNCATED:
    case BINARIZE_PROBLEM_TIMEOUT:
    case BINARIZE_PROBLEM_BUSY:
    case BINARIZE_PROBLEM_TOKEN_REFUSED:
    case BINARIZE_PROBLEM_TOKEN_FAILED:
    case BINARIZE_PROBLEM_INTERNAL:
        return binarize_problem_name(i);

    default:
        return NULL;
    }
}
