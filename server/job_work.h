/* job_work.h -- one job in a worker's hands; for job*.c only
 *
 * A kind of job (job_train.c, job_eval.c) does its work with the crew it finds here, saves where it
 * can go on, and settles the job when it is done. */
#ifndef JOB_WORK_H
#define JOB_WORK_H

#include "job.h"
#include "job_event.h"
#include "spec.h"
#include <pthread.h>
#include <stdatomic.h>

const struct jobs_means *jobs_means(const struct jobs *jobs);
void jobs_announce(struct jobs *jobs); /* something was queued */

/* A training's spec as this server means it: where the text is silent, the optimizer that it is for
 * decides about family and config, and a version that it begins from about the config. */
struct training_spec {
    struct spec_train text;
    struct optimizer_row optimizer;         /* name NULL: there is none of that name yet */
    struct version_row first;               /* id 0: begins afresh */
    struct version_row teacher;             /* id 0: nobody is imitated */
    dsc_model *first_model, *teacher_model; /* the caller's counts; or NULL */
    struct datasets *datasets;
};

/* The version that each of a training's references meant, in job_version. */
enum { POSITION_FIRST, POSITION_TEACHER, POSITIONS };

/* first.id and teacher.id other than 0 are versions that the job was promised. Clear in both cases.
 */
bool training_spec_read(struct training_spec *spec, const struct jobs_means *means,
                        const char *text, size_t len, dsc_arena *arena,
                        dsc_err *err) DSC_MUST_CHECK;
void training_spec_clear(struct training_spec *spec);

struct work {
    struct jobs *jobs;
    struct job_row row; /* progress is the job's to write */
    dsc_arena arena;    /* for as long as the job is here */
    dsc_crew crew;      /* does nothing any more once stop is set */
    atomic_bool stop;
    struct job_progress counted; /* in jobs_done */
    uint64_t clock;              /* ns up to which worked_ms counts */
    uint64_t saved_ns;           /* when it was last saved */
};

/* Each returns true when the job needs nothing more from this worker: it is settled, or was let go
 * of. False: it failed, for the reason in err. */
bool job_train(struct work *work, dsc_err *err) DSC_MUST_CHECK;
bool job_evaluate(struct work *work, dsc_err *err) DSC_MUST_CHECK;

/* Is it time to save? */
bool work_is_due(const struct work *work);

/* Keep the progress and `bytes` as where to go on, and tell those who follow, with what was
 * measured just before (shape NULL: nothing). When the job is not to run on, stop is set. */
bool work_save(struct work *work, const void *bytes, size_t len, const struct shape *measured,
               const void *body, dsc_err *err) DSC_MUST_CHECK;

/* End the job with row.state, result and error. *mine is false, and nothing has changed, when it is
 * not running here any more. Within a transaction of the caller's, or one of its own. */
bool work_finish(struct work *work, bool *mine, dsc_err *err) DSC_MUST_CHECK;

/* A failure as the job's error. From the arena; NULL when there is no memory. */
const char *work_error(struct work *work, const char *code, const char *detail);

#endif
