
/*
 * What the gateway says where it has no picture, and where an answer comes
 * from: the words of pages, logs, metrics and problem documents.
 */


#ifndef _BINARIZE_PROBLEM_H_INCLUDED_
#define _BINARIZE_PROBLEM_H_INCLUDED_


/* kept in shared memory and in Redis: the order stays */
typedef enum {
    BINARIZE_PROBLEM_NONE = 0,       /* there is a document */
    BINARIZE_PROBLEM_BAD_ID,
    BINARIZE_PROBLEM_BAD_FORMAT,
    BINARIZE_PROBLEM_BAD_METHOD,
    BINARIZE_PROBLEM_NOT_ACCEPTABLE,
    BINARIZE_PROBLEM_NOT_FOUND,
    BINARIZE_PROBLEM_TASK_ERROR,
    BINARIZE_PROBLEM_NO_RESULT,
    BINARIZE_PROBLEM_UNREACHABLE,
    BINARIZE_PROBLEM_UNAUTHORIZED,
    BINARIZE_PROBLEM_BAD_STATUS,
    BINARIZE_PROBLEM_BAD_RESPONSE,
    BINARIZE_PROBLEM_TRUNCATED,
    BINARIZE_PROBLEM_BAD_DOCUMENT,
    BINARIZE_PROBLEM_TOO_LARGE,
    BINARIZE_PROBLEM_NOT_PNG,
    BINARIZE_PROBLEM_TIMEOUT,
    BINARIZE_PROBLEM_BUSY,
    BINARIZE_PROBLEM_BUDGET,
    BINARIZE_PROBLEM_TOKEN_REFUSED,
    BINARIZE_PROBLEM_TOKEN_FAILED,
    BINARIZE_PROBLEM_INTERNAL,

    /* of a flight that was not begun */
    BINARIZE_PROBLEM_CROWDED,

    /* of a purge, not of a flight */
    BINARIZE_PROBLEM_NOT_KEPT,
    BINARIZE_PROBLEM_NOT_PURGED
} binarize_problem_e;

/* those a flight ends with */
#define BINARIZE_PROBLEMS  (BINARIZE_PROBLEM_INTERNAL + 1)


typedef enum {
    BINARIZE_SOURCE_NONE = 0,
    BINARIZE_SOURCE_L1,
    BINARIZE_SOURCE_REDIS,
    BINARIZE_SOURCE_MISS,
    BINARIZE_SOURCE_COLLAPSED,
    BINARIZE_SOURCE_NEGATIVE,
    BINARIZE_SOURCE_PENDING,
    BINARIZE_SOURCE_BYPASS
} binarize_source_e;

#define BINARIZE_SOURCES  (BINARIZE_SOURCE_BYPASS + 1)


/* the slug, as in README.md; empty for none */
const char *binarize_problem_name(binarize_problem_e problem);

/* as $binarize_cache; "NONE" for none */
const char *binarize_source_name(binarize_source_e source);


#endif /* _BINARIZE_PROBLEM_H_INCLUDED_ */
