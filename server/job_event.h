/* job_event.h -- what a job tells those who follow it, put into words once
 *
 * Each call adds one event to the database, within the caller's transaction if there is one;
 * whoever ends that wakes the watchers. Threads that may wait for a disk. */
#ifndef JOB_EVENT_H
#define JOB_EVENT_H

#include "field.h"
#include "store_job.h"

/* How far a job is, as its events and its resource say it. */
struct progress_body {
    struct field_seen seen;
    int64_t epoch, epochs;
    double loss, validation, eta_seconds; /* not finite: null */
};
extern const struct shape progress_shape;

/* Why it failed: code as in a reply, or "diverged". */
struct job_error {
    struct field_seen seen;
    const char *code, *detail;
};
extern const struct shape job_error_shape;

void progress_show(const struct job_row *row, struct progress_body *out);

bool event_state(struct store *store, int64_t job, enum job_state state,
                 dsc_err *err) DSC_MUST_CHECK;
bool event_progress(struct store *store, const struct job_row *row, dsc_err *err) DSC_MUST_CHECK;
bool event_log(struct store *store, int64_t job, const char *message, dsc_err *err) DSC_MUST_CHECK;

/* Any kind, with its body. */
bool event_tell(struct store *store, int64_t job, enum event_kind kind, const struct shape *shape,
                const void *body, dsc_err *err) DSC_MUST_CHECK;

/* Bodies of EVENT_METRIC. Numbers that are not finite are null. */
struct validation_metric {
    struct field_seen seen;
    int64_t epoch, horizon;
    double loss, validation, best;
};
struct evaluation_metric {
    struct field_seen seen;
    const char *optimizer;
    double final_loss, loss_sum;
    int64_t diverged;
};
extern const struct shape validation_metric_shape, evaluation_metric_shape;

#endif
