
#include "problem.h"


static const char  *problem_names[] = {
    "",
    "bad-id",
    "bad-format",
    "bad-method",
    "not-acceptable",
    "not-found",
    "task-failed",
    "no-result",
    "cloud-unreachable",
    "cloud-unauthorized",
    "cloud-status",
    "cloud-protocol",
    "cloud-truncated",
    "bad-document",
    "too-large",
    "not-a-png",
    "cloud-timeout",
    "cloud-busy",
    "budget",
    "credentials-refused",
    "no-token",
    "internal",
    "crowded",
    "not-kept",
    "not-purged"
};


static const char  *source_names[] = {
    "NONE",
    "L1",
    "REDIS",
    "MISS",
    "COLLAPSED",
    "NEGATIVE",
    "PENDING",
    "BYPASS"
};


const char *
binarize_problem_name(binarize_problem_e problem)
{
    return problem_names[problem];
}


const char *
binarize_source_name(binarize_source_e source)
{
    return source_names[source];
}
