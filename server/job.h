/* job.h -- long work in the background: meta-training and evaluation
 *
 * Jobs wait in the database in the order of their making; workers take one at a time, below the
 * priority of everything that a client waits for. Between two epochs (or two optimizers of an
 * evaluation) a job can be saved, and is: once a second at most, when it is told to stop, and when
 * the server ends. It goes on from there, and ends with the bits of one that was never interrupted.
 *
 * What clients ask (pause, cancel) happens to the row at once, and the worker finds out: within a
 * batch of functions, and what the present epoch had done by then is forgotten. */
#ifndef JOB_H
#define JOB_H

#include "registry.h"
#include "store_job.h"
#include "watch.h"

struct jobs;

struct jobs_means { /* all borrowed */
    struct store *store;
    struct registry *registry;
    struct watchers *watchers;
    struct collection *collection;
    const dsc_kernel *kernel;
    int workers; /* jobs at a time */
    int threads; /* of each job */
};

/* Queues again what was running when the server ended, and starts the workers. *out is the
 * caller's. */
bool jobs_open(struct jobs **out, const struct jobs_means *means, dsc_err *err) DSC_MUST_CHECK;
/* Workers are to save their jobs and take no more; does not wait. NULL is fine. */
void jobs_halt(struct jobs *jobs);
void jobs_close(struct jobs *jobs); /* halts and waits; NULL is fine */

/* Check a spec, a JSON text, and queue it; creates the optimizer of a training unless it is there.
 * *out is the new row; its claim is the caller's. Failures of the spec's fields as field_decode;
 * FAULT_NOT_FOUND and FAULT_NO_VERSION for references, FAULT_BUILTIN_PROTECTED,
 * FAULT_QUOTA_EXCEEDED. */
bool job_submit(struct jobs *jobs, enum job_type type, const char *spec, size_t len,
                struct job_row *out, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* FAULT_NOT_FOUND; FAULT_INVALID_STATE when its state does not allow it. Where it is there already,
 * nothing happens. *out is the row afterwards. */
bool job_pause(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
               dsc_err *err) DSC_MUST_CHECK;
bool job_resume(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
                dsc_err *err) DSC_MUST_CHECK;
bool job_cancel(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
                dsc_err *err) DSC_MUST_CHECK;
bool job_delete(struct jobs *jobs, const char *id,
                dsc_err *err) DSC_MUST_CHECK; /* FAULT_INVALID_STATE when it is not over */

/* Since the start. */
struct jobs_done {
    uint64_t epochs; /* of evaluations: optimizers */
    double seconds;  /* at work */
};
struct jobs_done jobs_done(struct jobs *jobs);

#endif
