/* clock.h -- the time, in the two forms that the server needs */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Nanoseconds that only ever go forward: for durations and deadlines. */
static inline uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Milliseconds since 1970: for what people and databases read. */
static inline int64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* RFC 3339 in UTC ("2030-01-31T12:00:00Z", with or without a fraction) as milliseconds since 1970;
 * false when the text is something else or no such moment. */
bool clock_parse(const char *text, int64_t *ms);

#endif
