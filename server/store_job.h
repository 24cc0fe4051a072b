/* store_job.h -- jobs in the small database: their state, where they go on, what happened to them
 *
 * A worker claims a job and gets a turn number; what it writes counts only while that is still the
 * job's last turn. So a job that was paused, resumed and claimed by another worker, while the first
 * had not noticed yet, has one author all the same. Threads that may wait for a disk. */
#ifndef STORE_JOB_H
#define STORE_JOB_H

#include "store.h"

enum job_type { JOB_META_TRAIN, JOB_EVALUATE };
extern const char *const job_type_words[];

enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_PAUSED,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATES,
};
extern const char *const job_state_words[];

static inline bool job_is_over(enum job_state state)
{
    return state >= JOB_SUCCEEDED;
}

struct job_progress {
    int64_t epoch, epochs;
    double loss, validation; /* NAN: none yet */
    int64_t worked_ms;
};

/* Texts are borrowed from the arena given to the call. */
struct job_row {
    int64_t seq, turn;
    const char *id;
    enum job_type type;
    enum job_state state;
    const char *spec;     /* JSON */
    int64_t optimizer_id; /* 0: none */
    struct job_progress progress;
    const char *result, *error;                  /* JSON; "" when there is none */
    int64_t created_at, started_at, finished_at; /* 0: not yet */
    int64_t claim;                               /* that its insertion fulfils (store.h); 0: none */
};

/* Insert a queued job that works with these versions (0: none in that position); fills seq and
 * created_at.
 * FAULT_QUOTA_EXCEEDED beyond LIMIT_JOBS_UNFINISHED or LIMIT_JOBS, FAULT_NOT_FOUND when a version
 * is gone. */
bool store_job_insert(struct store *store, struct job_row *row, const int64_t *versions,
                      size_t count, dsc_err *err) DSC_MUST_CHECK;
bool store_job_find(struct store *store, const char *id, struct job_row *out, dsc_arena *arena,
                    dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND */
/* Those after seq `after`, ascending; *count rows, from the arena: fewer than `max` when their
 * texts are long. *more: there are others behind them. A long result is left out: "". */
bool store_job_list(struct store *store, int64_t after, size_t max, struct job_row **out,
                    size_t *count, bool *more, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* The versions of an unfinished job, in the spec's order: the one at `position`, 0 when it has
 * none there. */
bool store_job_version(struct store *store, int64_t seq, size_t position, int64_t *version,
                       dsc_err *err) DSC_MUST_CHECK;
bool store_job_delete(struct store *store, const char *id,
                      dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND, FAULT_INVALID_STATE */
/* JOB_CANCELLED for a job that is gone. */
bool store_job_state(struct store *store, int64_t seq, enum job_state *state,
                     dsc_err *err) DSC_MUST_CHECK;
bool store_job_counts(struct store *store, int64_t counts[JOB_STATES], dsc_err *err) DSC_MUST_CHECK;

/* --- what clients do --- */

/* To state `to`, if it is in one of `from` (bits 1 << state); *moved says whether it was. Sets
 * finished_at when `to` is an end. */
bool store_job_move(struct store *store, int64_t seq, unsigned from, enum job_state to, bool *moved,
                    dsc_err *err) DSC_MUST_CHECK;

/* --- what workers do --- */

/* Jobs that were running when the server ended are queued again. For the start. *count of them, in
 * seqs [max]. */
bool store_job_recover(struct store *store, int64_t *seqs, size_t max, size_t *count,
                       dsc_err *err) DSC_MUST_CHECK;

/* Take the oldest queued job: it is running, at its next turn. *found false when there is none. */
bool store_job_claim(struct store *store, struct job_row *out, bool *found, dsc_arena *arena,
                     dsc_err *err) DSC_MUST_CHECK;

/* Keep row->progress and the checkpoint, unless the job is over or another's. *state is where it
 * stands now: anything but JOB_RUNNING means to let go. */
bool store_job_save(struct store *store, const struct job_row *row, const void *bytes, size_t len,
                    enum job_state *state, dsc_err *err) DSC_MUST_CHECK;
/* *out is the caller's count; NULL when there is none. */
bool store_job_checkpoint(struct store *store, int64_t seq, struct buf **out,
                          dsc_err *err) DSC_MUST_CHECK;

/* End it with row->state, result, error and progress. *mine is false, and nothing has changed, when
 * it is no longer running at this turn. */
bool store_job_finish(struct store *store, const struct job_row *row, bool *mine,
                      dsc_err *err) DSC_MUST_CHECK;

/* --- events --- */

enum event_kind { EVENT_STATE, EVENT_PROGRESS, EVENT_METRIC, EVENT_LOG, EVENT_DONE };
extern const char *const event_kind_words[];

struct event_row {
    int64_t id, at;
    enum event_kind kind;
    const char *data; /* JSON */
};

/* The next event of a job, of at most LIMIT_EVENT_BYTES; beyond LIMIT_JOB_EVENTS the oldest goes. A
 * job that is gone has none, which is no failure. */
bool store_event_add(struct store *store, int64_t job, enum event_kind kind, const char *data,
                     dsc_err *err) DSC_MUST_CHECK;
/* Those after id `after`, ascending; *count rows, from the arena. */
bool store_event_list(struct store *store, int64_t job, int64_t after, size_t max,
                      struct event_row **out, size_t *count, dsc_arena *arena,
                      dsc_err *err) DSC_MUST_CHECK;

#endif
