/* quota.h -- how many requests a key may still send
 *
 * A bucket for each key that has a bound: it holds a minute's worth of requests at most, each takes
 * one, and it fills evenly. So a client may send its minute at once and then has to go at its pace.
 * Buckets are in memory only: a restart fills them. Whoever calls has them to itself. */
#ifndef QUOTA_H
#define QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quotas;

/* What a client is told (the RateLimit headers); limit 0: it has no bound. */
struct quota {
    int64_t limit;     /* requests a minute                                 */
    int64_t remaining; /* that would be taken now                           */
    int64_t reset_s;   /* seconds until the bucket is full, rounded up      */
    int64_t retry_s;   /* seconds until one more is taken; 0 when it would be now */
};

struct quotas *quotas_new(void); /* NULL when there is no memory */
void quotas_free(struct quotas *quotas);

/* One request at `now` (ms) of a key that may send `limit` a minute. False when it must wait. */
bool quota_take(struct quotas *quotas, const char *id, int64_t limit, int64_t now,
                struct quota *out);

#endif
