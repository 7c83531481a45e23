
#include "budget.h"


/* tells months from days where a configuration has changed */
#define BINARIZE_BUDGET_MONTHLY  0x80000000u


static uint64_t
budget_cap(const binarize_budget_limits_t *limits)
{
    return (uint64_t) limits->burst * BINARIZE_BUDGET_UNIT;
}


static uint64_t
budget_level(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us)
{
    uint64_t  cap, gap, passed_us;

    cap = budget_cap(limits);

    if (budget->level >= cap) {
        return cap;
    }

    if (now_us <= budget->updated_us) {
        return budget->level;
    }

    gap = cap - budget->level;
    passed_us = now_us - budget->updated_us;

    /* the first test keeps the product small */

    if (passed_us >= gap || passed_us * limits->rate >= gap) {
        return cap;
    }

    return budget->level + passed_us * limits->rate;
}


/* the time first: between the two stores a bucket may be too empty only */

static void
budget_set_level(binarize_budget_t *budget, uint64_t level, uint64_t now_us)
{
    if (now_us > budget->updated_us) {
        __atomic_store_n(&budget->updated_us, now_us, __ATOMIC_RELEASE);
    }

    __atomic_store_n(&budget->level, level, __ATOMIC_RELEASE);
}


/* days from 1970-01-01 to the first of a month, counted from 1970, too */

static int64_t
budget_month_start(int64_t month)
{
    int64_t  year;

    /* years that begin in March have the leap day last */

    month += 1970 * 12 - 2;
    year = month / 12;

    return 365 * year + year / 4 - year / 100 + year / 400
           + (153 * (month % 12) + 2) / 5 - 719468;
}


uint32_t
binarize_budget_period(int64_t unix_s, unsigned monthly)
{
    int64_t  days, month;

    days = unix_s > 0 ? unix_s / 86400 : 0;

    if (!monthly) {
        return days;
    }

    month = days * 12 / 366;

    while (budget_month_start(month + 1) <= days) {
        month++;
    }

    return month;
}


int64_t
binarize_budget_period_start(uint32_t period, unsigned monthly)
{
    return 86400 * (monthly ? budget_month_start(period) : (int64_t) period);
}


/*
 * The period to count in, and what was spent in it.  That after the
 * calendar's own is one that had begun already when the calendar went back.
 */

static uint32_t
budget_spent(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, int64_t unix_s, uint32_t *period)
{
    uint32_t  last;

    *period = binarize_budget_period(unix_s, limits->monthly)
              | (limits->monthly ? BINARIZE_BUDGET_MONTHLY : 0);

    last = budget->spent >> 32;

    if (last == *period + 1) {
        *period = last;
    }

    return (last == *period) ? (uint32_t) budget->spent : 0;
}


static void
budget_set_spent(binarize_budget_t *budget, uint32_t period, uint32_t spent)
{
    __atomic_store_n(&budget->spent, (uint64_t) period << 32 | spent,
                     __ATOMIC_RELEASE);
}


void
binarize_budget_init(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us)
{
    budget->level = budget_cap(limits);
    budget->updated_us = now_us;
    budget->spent = 0;
}


int
binarize_budget_take(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us, int64_t unix_s)
{
    uint32_t  period, spent;
    uint64_t  level;

    level = 0;
    spent = 0;
    period = 0;

    if (limits->rate) {
        level = budget_level(budget, limits, now_us);

        if (level < BINARIZE_BUDGET_UNIT) {
            return BINARIZE_DECLINED;
        }
    }

    if (limits->quota) {
        spent = budget_spent(budget, limits, unix_s, &period);

        if (spent >= limits->quota) {
            return BINARIZE_DECLINED;
        }
    }

    if (limits->quota) {
        budget_set_spent(budget, period, spent + 1);
    }

    if (limits->rate) {
        budget_set_level(budget, level - BINARIZE_BUDGET_UNIT, now_us);
    }

    return BINARIZE_OK;
}


void
binarize_budget_give_back(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t now_us, int64_t unix_s)
{
    uint32_t  period, spent;
    uint64_t  level, cap;

    if (limits->rate) {
        cap = budget_cap(limits);
        level = budget_level(budget, limits, now_us);
        level = (cap - level < BINARIZE_BUDGET_UNIT)
                ? cap : level + BINARIZE_BUDGET_UNIT;

        budget_set_level(budget, level, now_us);
    }

    if (limits->quota) {
        spent = budget_spent(budget, limits, unix_s, &period);

        if (spent) {
            budget_set_spent(budget, period, spent - 1);
        }
    }
}


uint64_t
binarize_budget_wait_us(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t ahead, uint64_t now_us,
    int64_t unix_s)
{
    int64_t   next_s;
    uint32_t  period;
    uint64_t  wait_us, needed, level, spent;

    wait_us = 0;

    if (limits->rate) {
        needed = (ahead + 1) * BINARIZE_BUDGET_UNIT;
        level = budget_level(budget, limits, now_us);

        if (level < needed) {
            wait_us = (needed - level + limits->rate - 1) / limits->rate;
        }
    }

    if (limits->quota) {
        spent = budget_spent(budget, limits, unix_s, &period);

        if (spent + ahead >= limits->quota) {
            next_s = binarize_budget_period_start(
                                  (period & ~BINARIZE_BUDGET_MONTHLY) + 1,
                                  limits->monthly)
                     - unix_s;

            if (next_s > 0 && wait_us < (uint64_t) next_s * 1000000) {
                wait_us = (uint64_t) next_s * 1000000;
            }
        }
    }

    return wait_us;
}


void
binarize_budget_set(binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, uint64_t level, uint32_t spent,
    uint64_t now_us, int64_t unix_s)
{
    uint32_t  period;

    (void) budget_spent(budget, limits, unix_s, &period);

    if (level > budget_cap(limits)) {
        level = budget_cap(limits);
    }

    budget_set_level(budget, level, now_us);
    budget_set_spent(budget, period, spent);
}


uint32_t
binarize_budget_spent(const binarize_budget_t *budget,
    const binarize_budget_limits_t *limits, int64_t unix_s)
{
    uint32_t  period;

    return budget_spent(budget, limits, unix_s, &period);
}
