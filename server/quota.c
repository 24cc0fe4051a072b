#include "quota.h"
#include "limits.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Twice the keys there may be, so that searches stay short. */
enum { BUCKETS = 1 << 15, SEARCH = 16, ID_BYTES = 17, MINUTE_MS = 60000 };

_Static_assert(BUCKETS >= 2 * LIMIT_KEYS, "a bucket for every key");

struct bucket {
    char id[ID_BYTES]; /* "" when it is nobody's */
    double level;      /* requests that would be taken */
    int64_t at;        /* ms, when that was so */
};

struct quotas {
    struct bucket bucket[BUCKETS];
};

struct quotas *quotas_new(void)
{
    return calloc(1, sizeof(struct quotas));
}

void quotas_free(struct quotas *quotas)
{
    free(quotas);
}

static uint32_t hash(const char *id)
{
    uint32_t h = 2166136261u; /* FNV-1a; ids are random */

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 16777619u;
    return h;
}

/* The key's bucket; where keys that are gone have filled the neighbourhood, that of the one that
 * was longest silent. */
static struct bucket *find(struct quotas *quotas, const char *id, int64_t limit, int64_t now)
{
    struct bucket *oldest = NULL;

    for (uint32_t i = 0; i < SEARCH; i++) {
        struct bucket *const bucket = &quotas->bucket[(hash(id) + i) % BUCKETS];

        if (strcmp(bucket->id, id) == 0)
            return bucket;
        if (!oldest || bucket->at < oldest->at)
            oldest = bucket;
        if (bucket->id[0] == '\0')
            break;
    }
    *oldest = (struct bucket) {.level = (double)limit, .at = now};
    strncpy(oldest->id, id, ID_BYTES - 1);
    return oldest;
}

static int64_t seconds_for(double requests, int64_t limit)
{
    return requests > 0 ? (int64_t)ceil(requests * 60 / (double)limit) : 0;
}

bool quota_take(struct quotas *quotas, const char *id, int64_t limit, int64_t now,
                struct quota *out)
{
    struct bucket *const bucket = find(quotas, id, limit, now);
    const double passed = now > bucket->at ? (double)(now - bucket->at) : 0;

    bucket->level = fmin(bucket->level + passed * (double)limit / MINUTE_MS, (double)limit);
    bucket->at = now;
    const bool taken = bucket->level >= 1;
    bucket->level -= taken ? 1 : 0;
    *out = (struct quota) {.limit = limit,
                           .remaining = (int64_t)bucket->level,
                           .reset_s = seconds_for((double)limit - bucket->level, limit),
                           .retry_s = seconds_for(1 - bucket->level, limit)};
    return taken;
}
