/* shapes_job.c -- the bodies of jobs */
#include "api.h"
#include "shapes.h"
#include "spec.h"

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct shape *const specs[] = {&meta_train_shape, &evaluate_shape, NULL};

static const struct field job_new_rows[] = {
    {"type", FIELD_WORD, AT(job_new, type), FIELD_REQUIRED, .words = job_type_words,
     .doc = "The kind of job; it decides about the other members."},
    {0},
};
const struct shape job_new_shape = {
    .name = "job_new",
    .doc = "A job to do.",
    .size = sizeof(struct job_new),
    .fields = job_new_rows,
    .one_of = specs,
    .text = offsetof(struct job_new, text),
};

static const struct field job_rows[] = {
    {"id", FIELD_STRING, AT(job_body, id), .doc = "Its id."},
    {"type", FIELD_WORD, AT(job_body, type), .words = job_type_words, .doc = "The kind of job."},
    {"state", FIELD_WORD, AT(job_body, state), .words = job_state_words, .doc = "Its state."},
    {"spec", FIELD_JSON, AT(job_body, spec), .doc = "What was asked for."},
    {"progress", FIELD_OBJECT, AT(job_body, progress), .shape = &progress_shape,
     .doc = "How far it is."},
    {"result", FIELD_JSON, AT(job_body, result), FIELD_NULLABLE,
     .doc = "What came of it. Null before that, and in a list where it is long."},
    {"error", FIELD_OBJECT, AT(job_body, error), FIELD_NULLABLE, .shape = &job_error_shape,
     .doc = "Why it failed; null unless it did."},
    {"created_at", FIELD_STRING, AT(job_body, created_at), .format = "date-time",
     .doc = "RFC 3339."},
    {"started_at", FIELD_STRING, AT(job_body, started_at), FIELD_NULLABLE, .format = "date-time",
     .doc = "When it was first taken; null: not yet."},
    {"finished_at", FIELD_STRING, AT(job_body, finished_at), FIELD_NULLABLE, .format = "date-time",
     .doc = "When it was over; null: not yet."},
    {0},
};
const struct shape job_shape = {
    .name = "job",
    .doc = "Long work.",
    .size = sizeof(struct job_body),
    .fields = job_rows,
};

static const struct field job_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &job_shape,
     .doc = "Jobs in the order of their making."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
const struct shape job_page_shape = {
    .name = "job_page",
    .doc = "A page of jobs.",
    .size = sizeof(struct page_body),
    .fields = job_page_rows,
};

static const struct field event_rows[] = {
    {"id", FIELD_INT, AT(event_body, id), .doc = "1, 2, ... for each job."},
    {"event", FIELD_WORD, AT(event_body, event), .words = event_kind_words, .doc = "Its kind."},
    {"data", FIELD_JSON, AT(event_body, data), .doc = "By kind: a state, a progress, a metric."},
    {"at", FIELD_STRING, AT(event_body, at), .format = "date-time", .doc = "RFC 3339."},
    {0},
};
static const struct shape event_shape = {
    .name = "job_event",
    .doc = "Something that happened to a job.",
    .size = sizeof(struct event_body),
    .fields = event_rows,
};

static const struct field event_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &event_shape, .doc = "Events, ascending."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page of now: there may be more later."},
    {0},
};
const struct shape event_page_shape = {
    .name = "job_event_page",
    .doc = "A page of events.",
    .size = sizeof(struct page_body),
    .fields = event_page_rows,
};
