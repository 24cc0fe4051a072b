/* crew.h -- threads that the core is lent
 *
 * The core starts no thread. Who calls training or evaluation lends it a crew: a function that runs
 * jobs 0 .. jobs-1, in any order, on up to `workers` threads, and returns when all are done. No two
 * jobs that run at the same time are given the same worker, so that each worker can have scratch.
 *
 * A crew that is told to stop may leave jobs out. What it was called for then gives numbers that
 * mean nothing, without harm, and whoever told it throws them away. */
#ifndef DSC_CREW_H
#define DSC_CREW_H

#include <stddef.h>

typedef void dsc_job(void *arg, size_t index, int worker); /* worker in [0, workers) */

typedef struct {
    int workers;
    void (*run)(void *pool, size_t jobs, dsc_job *job, void *arg);
    void *pool;
} dsc_crew;

/* One worker: the calling thread. */
extern const dsc_crew dsc_crew_alone;

#endif
