/* pool.h -- threads that take tasks from one bounded queue
 *
 * The server has two: `compute`, one thread a processor, whose tasks never wait for a disk, and
 * `control`, a few threads whose tasks may. Each thread owns scratch for one step of any model. */
#ifndef POOL_H
#define POOL_H

#include "core/descent.h"
#include <stdbool.h>
#include <stddef.h>

struct pool;

/* Embedded in the work's owner; the pool only links it. */
struct task {
    void (*run)(struct task *task, float *work); /* work: DSC_WORK_MAX numbers of this thread */
    struct task *next;
};

/* *out is the caller's. FAULT_OUT_OF_MEMORY. */
bool pool_open(struct pool **out, int threads, dsc_err *err) DSC_MUST_CHECK;

/* Queue a task; false when LIMIT_POOL_QUEUE wait already. */
bool pool_submit(struct pool *pool, struct task *task) DSC_MUST_CHECK;

/* Queue a task that follows from one already accepted: never refused, so that it is finished. */
void pool_follow(struct pool *pool, struct task *task);

/* Tasks that no thread has taken yet. */
size_t pool_waiting(struct pool *pool);

int pool_threads(const struct pool *pool);

/* Run what is queued, then end the threads. NULL is fine. */
void pool_close(struct pool *pool);

#endif
