
#ifndef _BINARIZE_BUDGET_H_INCLUDED_
#define _BINARIZE_BUDGET_H_INCLUDED_


#include "binarize.h"


/*
 * What may be spent on calls: a token bucket, as ngx_http_limit_req_module
 * has it turned round, and a quota by the UTC calendar.  All in integers: a
 * bucket gains rate units a microsecond, and a call costs as many units as a
 * minute has microseconds.
 */
#define BINARIZE_BUDGET_UNIT       60000000

#define BINARIZE_BUDGET_MAX_RATE   60000000    /* calls a minute */
#define BINARIZE_BUDGET_MAX_BURST  1000000
#define BINARIZE_BUDGET_MAX_QUOTA  2147483647


typedef struct {
    uint32_t      rate;         /* calls a minute, 0: no bucket */
    uint32_t      burst;        /* calls a full bucket holds, at least 1 */
    uint32_t      concurrency;  /* counted by the caller, 0: no limit */
    uint32_t      quota;        /* calls a period, 0: none */
    unsigned      monthly:1;    /* period: a month, not a day */
} binarize_budget_limits_t;


/*
 * May lie in shared memory, under the caller's lock.  A process that dies
 * while it changes one leaves at worst less to spend.
 */
typedef struct {
    uint64_t      level;        /* of the bucket, units */
    uint64_t      updated_us;   /* when the level was right */
    uint64_t      spent;        /* period << 32 | calls in it */
} binarize_budget_t;


/*
 * Times are given: now_us is of a clock that never goes back, and of the
 * same clock for all calls; unix_s is the calendar's.  A calendar that goes
 * back into the period before does not give a quota back.
 */

/* a full bucket and nothing spent */
void binarize_budget_init(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us);

/*
 * Takes one call.  BINARIZE_DECLINED: not now, and nothing was taken.
 */
int binarize_budget_take(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us, int64_t unix_s);

/* gives back what was taken for a call that was not made */
void binarize_budget_give_back(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us, int64_t unix_s);

/*
 * Microseconds until one can be taken after `ahead` others; 0: now.  When
 * a quota has to be waited for, the next period is the answer, however many
 * are ahead.
 */
uint64_t binarize_budget_wait_us(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t ahead, uint64_t now_us,
    int64_t unix_s);

/* what another keeper of the same budget knows: units, and calls made */
void binarize_budget_set(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t level, uint32_t spent,
    uint64_t now_us, int64_t unix_s);

/* calls made in the period of unix_s */
uint32_t binarize_budget_spent(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, int64_t unix_s);

/*
 * A period's number: of the day, or of the month, since 1970-01-01; and the
 * first second of the period with that number.
 */
uint32_t binarize_budget_period(int64_t unix_s, unsigned monthly);
int64_t binarize_budget_period_start(uint32_t period, unsigned monthly);


#endif /* _BINARIZE_BUDGET_H_INCLUDED_ */
