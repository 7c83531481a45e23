
/*
 * Which of the processes that share memory live.
 *
 * Each has a slot in it, with a beat that it counts up about once a second. A
 * looker goes by its own beats, not by a clock: if all are stopped for a
 * while and continue one after the other, it has not beaten either, and finds
 * nobody dead.
 *
 * Who is declared dead may only have been stalled.  It finds that its epoch
 * is over before it does what only a living one may, and begins another.
 */


#ifndef _BINARIZE_PROCESS_H_INCLUDED_
#define _BINARIZE_PROCESS_H_INCLUDED_


#include "binarize.h"


/* own beats of the looker over which another's does not change */
#define BINARIZE_PROCESS_STILL_BEATS  2
#define BINARIZE_PROCESS_DEAD_BEATS   4


/* a slot, in shared memory, zeroed at first; changed under its lock */
typedef struct {
    int64_t        pid;         /* 0: nobody's; set last */
    uint64_t       epoch;       /* odd: it lives.  None comes twice */
    uint64_t       beat;
} binarize_process_t;


/* what one looker has seen of a slot, zeroed at first */
typedef struct {
    uint64_t       epoch;
    uint64_t       beat;
    uint64_t       since;       /* the looker's beat when that was new */
} binarize_process_seen_t;


typedef enum {
    BINARIZE_PROCESS_NONE = 0,  /* nobody's slot, or declared dead already */
    BINARIZE_PROCESS_BEATING,
    BINARIZE_PROCESS_STILL,     /* not to be waited for where that is free */
    BINARIZE_PROCESS_DEAD       /* to be declared dead */
} binarize_process_state_e;


/* the slot is pid's from now on; returns its epoch, never 0 */
uint64_t binarize_process_begin(binarize_process_t *process, int64_t pid);

/* the process ends, or it is gone and has been cleaned up after */
void binarize_process_end(binarize_process_t *process);

/* its epoch is over; the slot is its own still */
void binarize_process_declare_dead(binarize_process_t *process);

/*
 * As a looker sees it whose own beat this is.  Any number of looks between
 * two beats is one.  A pid that is known to be gone need not be looked at.
 */
binarize_process_state_e binarize_process_look(
    const binarize_process_t *process, binarize_process_seen_t *seen,
    uint64_t own_beat);


/* 1 while who began with that epoch has not been declared dead, nor ended */
static inline int
binarize_process_lives(const binarize_process_t *process, uint64_t epoch)
{
    return process->epoch == epoch && (epoch & 1);
}


#endif /* _BINARIZE_PROCESS_H_INCLUDED_ */
