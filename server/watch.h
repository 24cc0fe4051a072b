/* watch.h -- clients that follow a job's events as they happen
 *
 * What happened is in the database; a watcher is one client's place in it. When a job says that
 * there is more, or a client's stream has room again, the pool reads the next page and writes it
 * out, so a client holds no thread, and a slow one costs its stream's bytes. Those that have heard
 * nothing for LIMIT_WATCH_SECONDS get a comment, which keeps proxies from hanging up and finds
 * clients that are gone. Any thread. */
#ifndef WATCH_H
#define WATCH_H

#include "pool.h"
#include "store_job.h"
#include "stream.h"

struct watchers;

struct watch_means {
    struct store *store;
    struct pool *pool; /* for reading the database; outlives every stream */
    bool silent;       /* for tests: nobody ticks but the caller */
};

/* *out is the caller's. FAULT_OUT_OF_MEMORY. */
bool watchers_open(struct watchers **out, const struct watch_means *means,
                   dsc_err *err) DSC_MUST_CHECK;
/* After the gateway and the pool have been closed; NULL is fine. */
void watchers_close(struct watchers *watchers);

/* Follow a job from the event after id `after`; the stream ends with the job. *out is for a reply.
 * FAULT_OVERLOADED beyond LIMIT_WATCHERS, FAULT_OUT_OF_MEMORY. */
bool watch_job(struct watchers *watchers, int64_t job, int64_t after, struct stream **out,
               dsc_err *err) DSC_MUST_CHECK;

/* The job has new events, or is gone. */
void watchers_wake(struct watchers *watchers, int64_t job);

/* Comments for those who have heard nothing; `now` as clock_ns. */
void watchers_tick(struct watchers *watchers, uint64_t now);

size_t watchers_count(struct watchers *watchers);

#endif
