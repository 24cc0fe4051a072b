#include "job_event.h"
#include "fault.h"
#include <math.h>

/* --- bodies --- */

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct field progress_rows[] = {
    {"epoch", FIELD_INT, AT(progress_body, epoch),
     .doc = "Epochs done; of an evaluation, optimizers measured."},
    {"epochs", FIELD_INT, AT(progress_body, epochs), .doc = "In all."},
    {"loss", FIELD_REAL, AT(progress_body, loss), FIELD_NULLABLE,
     .doc = "Mean over steps and functions of the last epoch; null: none yet, or not finite."},
    {"validation", FIELD_REAL, AT(progress_body, validation), FIELD_NULLABLE,
     .doc = "The last one on functions drawn apart, likewise."},
    {"eta_seconds", FIELD_REAL, AT(progress_body, eta_seconds), FIELD_NULLABLE,
     .doc = "Work that is left, at the pace so far; null: not known yet."},
    {0},
};
const struct shape progress_shape = {
    .name = "job_progress",
    .doc = "How far a job is.",
    .size = sizeof(struct progress_body),
    .fields = progress_rows,
};

static const struct field validation_rows[] = {
    {"epoch", FIELD_INT, AT(validation_metric, epoch), .doc = "Epochs done."},
    {"horizon", FIELD_INT, AT(validation_metric, horizon), .doc = "Steps of a function now."},
    {"loss", FIELD_REAL, AT(validation_metric, loss), FIELD_NULLABLE, .doc = "Of the epoch."},
    {"validation", FIELD_REAL, AT(validation_metric, validation), FIELD_NULLABLE,
     .doc = "Mean loss on the functions drawn apart."},
    {"best", FIELD_REAL, AT(validation_metric, best), FIELD_NULLABLE,
     .doc = "The best one at this horizon so far."},
    {0},
};
const struct shape validation_metric_shape = {
    .name = "validation_metric",
    .doc = "What a validation measured.",
    .size = sizeof(struct validation_metric),
    .fields = validation_rows,
};

static const struct field evaluation_rows[] = {
    {"optimizer", FIELD_STRING, AT(evaluation_metric, optimizer), .doc = "Which one."},
    {"final_loss", FIELD_REAL, AT(evaluation_metric, final_loss), FIELD_NULLABLE,
     .doc = "The mean at the last step."},
    {"loss_sum", FIELD_REAL, AT(evaluation_metric, loss_sum), FIELD_NULLABLE,
     .doc = "The means of the steps together."},
    {"diverged", FIELD_INT, AT(evaluation_metric, diverged),
     .doc = "Functions that did not stay finite."},
    {0},
};
const struct shape evaluation_metric_shape = {
    .name = "evaluation_metric",
    .doc = "How an optimizer did.",
    .size = sizeof(struct evaluation_metric),
    .fields = evaluation_rows,
};

static const struct field error_rows[] = {
    {"code", FIELD_STRING, AT(job_error, code), .doc = "As in a reply, or \"diverged\"."},
    {"detail", FIELD_STRING, AT(job_error, detail), .doc = "For a person."},
    {0},
};
const struct shape job_error_shape = {
    .name = "job_error",
    .doc = "Why a job failed.",
    .size = sizeof(struct job_error),
    .fields = error_rows,
};

struct state_body {
    struct field_seen seen;
    int state;
};

static const struct field state_rows[] = {
    {"state", FIELD_WORD, AT(state_body, state), .words = job_state_words, .doc = "Its state."},
    {0},
};
static const struct shape state_shape = {
    .name = "job_state_event",
    .doc = "A job's new state.",
    .size = sizeof(struct state_body),
    .fields = state_rows,
};

struct log_body {
    struct field_seen seen;
    const char *message;
};

static const struct field log_rows[] = {
    {"message", FIELD_STRING, AT(log_body, message), .doc = "A line for a person."},
    {0},
};
static const struct shape log_shape = {
    .name = "job_log_event",
    .doc = "Something worth knowing.",
    .size = sizeof(struct log_body),
    .fields = log_rows,
};

/* --- events --- */

bool event_tell(struct store *store, int64_t job, enum event_kind kind, const struct shape *shape,
                const void *body, dsc_err *err)
{
    struct buf *const text = buf_new(256);
    const bool ok = text ? field_encode(shape, body, text, err) && buf_append(text, "", 1) &&
                               store_event_add(store, job, kind, (const char *)text->data, err)
                         : dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for an event");

    buf_drop(text);
    return ok;
}

/* An end is told twice: as a state like the others, and as the last of all events. */
bool event_state(struct store *store, int64_t job, enum job_state state, dsc_err *err)
{
    const struct state_body body = {.state = state};

    return event_tell(store, job, EVENT_STATE, &state_shape, &body, err) &&
           (!job_is_over(state) || event_tell(store, job, EVENT_DONE, &state_shape, &body, err));
}

void progress_show(const struct job_row *row, struct progress_body *out)
{
    const struct job_progress *const p = &row->progress;
    const double pace = p->epoch > 0 ? (double)p->worked_ms / 1000 / (double)p->epoch : NAN;

    *out = (struct progress_body) {
        .epoch = p->epoch,
        .epochs = p->epochs,
        .loss = p->loss,
        .validation = p->validation,
        .eta_seconds = job_is_over(row->state) ? 0 : pace * (double)(p->epochs - p->epoch),
    };
}

bool event_progress(struct store *store, const struct job_row *row, dsc_err *err)
{
    struct progress_body body;

    progress_show(row, &body);
    return event_tell(store, row->seq, EVENT_PROGRESS, &progress_shape, &body, err);
}

bool event_log(struct store *store, int64_t job, const char *message, dsc_err *err)
{
    return event_tell(store, job, EVENT_LOG, &log_shape, &(struct log_body) {.message = message},
                      err);
}
