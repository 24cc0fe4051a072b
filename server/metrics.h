/* metrics.h -- what the server counts and times, and the text that Prometheus reads
 *
 * One struct metrics for a server; routes are numbers here, named by whoever writes the text. Every
 * update is a relaxed atomic addition and may come from any thread; a reader sees
 * each number whole, and numbers of one moment only roughly. Counts are since the start. */
#ifndef METRICS_H
#define METRICS_H

#include "buf.h"
#include "core/descent.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Upper bounds of 10 us to 10 s, three a decade: from a step of a small session to a request that
 * somebody should look at. */
enum { METRICS_BOUNDS = 19 };

struct metrics_histogram {
    _Atomic uint64_t bucket[METRICS_BOUNDS + 1]; /* each alone, the last without a bound */
    _Atomic uint64_t sum_ns;
};

/* The parts of an update, as in Server-Timing; send is from the answer to its last byte. */
enum metrics_phase { PHASE_QUEUE, PHASE_COMPUTE, PHASE_PERSIST, PHASE_SEND, PHASES };
extern const char *const metrics_phase_words[];

enum { METRICS_STATUS_MIN = 100, METRICS_STATUS_END = 600 };

struct metrics_route {
    _Atomic uint64_t status[METRICS_STATUS_END - METRICS_STATUS_MIN];
    _Atomic uint64_t bytes_in, bytes_out; /* of bodies */
    struct metrics_histogram seconds;     /* from the headers to the answer */
};

struct metrics {
    size_t routes;
    struct metrics_route *route; /* [routes + 1]; the last is for requests that fit no route */
    struct metrics_histogram phase[PHASES];
    _Atomic int64_t in_flight; /* requests that have begun and are not over */
    int64_t began_ms;
    uint64_t began_ns;
};

/* *out is the caller's. FAULT_OUT_OF_MEMORY. */
bool metrics_open(struct metrics **out, size_t routes, dsc_err *err) DSC_MUST_CHECK;
void metrics_close(struct metrics *metrics); /* NULL is fine */

void metrics_observe(struct metrics_histogram *histogram, uint64_t ns);

/* One answered request; `route` is metrics->routes when it fits none. */
struct metrics_request {
    size_t route;
    int status;
    uint64_t bytes_in, bytes_out, ns;
};
void metrics_count(struct metrics *metrics, const struct metrics_request *request);

/* --- the text, format 0.0.4: a head for each family of series, then its samples ---
 *
 * Append to a buffer that grows; `ok` is false once there was no memory. Labels are written as
 * given, `route="/v1",status="200"`; metrics_label makes a value safe. */
struct metrics_text {
    struct buf *out;
    bool ok;
};

void metrics_head(struct metrics_text *text, const char *name, const char *type, const char *help);
void metrics_whole(struct metrics_text *text, const char *name, const char *labels, uint64_t value);
void metrics_real(struct metrics_text *text, const char *name, const char *labels, double value);
/* name_bucket, name_sum and name_count; nothing when nothing was observed. */
void metrics_spread(struct metrics_text *text, const char *name, const char *labels,
                    const struct metrics_histogram *histogram);
void metrics_label(char *out, size_t size, const char *value);

/* process_cpu_seconds_total, process_resident_memory_bytes, ... as client libraries name them. */
void metrics_process(struct metrics_text *text, const struct metrics *metrics);

#endif
