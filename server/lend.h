/* lend.h -- a pool's threads, lent to the core as a crew
 *
 * The core starts no thread: training and evaluation hand their jobs to a dsc_crew. This one runs
 * them on the threads of a pool while the caller, who must be no thread of that pool, waits. */
#ifndef LEND_H
#define LEND_H

#include "pool.h"

/* The pool is borrowed: it must outlive the crew's last use. */
dsc_crew lend_pool(struct pool *pool);

#endif
