/* routes_jobs.c -- long work in the background */
#include "api.h"
#include "shapes.h"

static const struct field location[] = {
    {"Location", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "The path of the job."},
    {0},
};

static const struct field events_query[] = {
    {"after", FIELD_INT, .min = 0, .max = STEP_MAX, .doc = "The id of the last event seen."},
    {"page_size", FIELD_INT, .min = 1, .max = LIMIT_PAGE,
     .doc = "Items of a page; 100 by default."},
    {"page_token", FIELD_STRING, .doc = "next_page_token of the page before."},
    {0},
};

static const struct field events_headers[] = {
    {"Last-Event-ID", FIELD_INT, .min = 0, .max = STEP_MAX,
     .doc = "As after, which it overrides: what a browser sends when it connects again."},
    {0},
};

const struct route job_routes[] = {
    {"POST", "/v1/jobs", SCOPE_JOBS_WRITE, "Train an optimizer, or measure some",
     .in = &job_new_shape, .out = &job_shape, .status = 202, .reply_headers = location,
     .may_fail = CAN(FAULT_NOT_FOUND) | CAN(FAULT_NO_VERSION) | CAN(FAULT_BUILTIN_PROTECTED) |
                 CAN(FAULT_QUOTA_EXCEEDED),
     .serve = job_post},
    {"GET", "/v1/jobs", SCOPE_JOBS_READ, "List jobs", .query = page_query, .out = &job_page_shape,
     .status = 200, .serve = job_list},
    {"GET", "/v1/jobs/{id}", SCOPE_JOBS_READ, "One job", .out = &job_shape, .status = 200,
     .serve = job_get},
    {"DELETE", "/v1/jobs/{id}", SCOPE_JOBS_WRITE, "Forget a job that is over", .status = 204,
     .may_fail = CAN(FAULT_INVALID_STATE), .serve = job_remove},
    {"POST", "/v1/jobs/{id}/cancel", SCOPE_JOBS_WRITE, "End a job, for good", .out = &job_shape,
     .status = 200, .may_fail = CAN(FAULT_INVALID_STATE), .serve = job_abort},
    {"POST", "/v1/jobs/{id}/pause", SCOPE_JOBS_WRITE, "Let a job rest", .out = &job_shape,
     .status = 200, .may_fail = CAN(FAULT_INVALID_STATE), .serve = job_hold},
    {"POST", "/v1/jobs/{id}/resume", SCOPE_JOBS_WRITE, "Let a job that rests go on",
     .out = &job_shape, .status = 200, .may_fail = CAN(FAULT_INVALID_STATE), .serve = job_release},
    {"GET", "/v1/jobs/{id}/events", SCOPE_JOBS_READ, "Follow a job, or a page of its events",
     .query = events_query, .request_headers = events_headers,
     .give = MEDIA(MEDIA_EVENTS) | MEDIA(MEDIA_JSON), .out = &event_page_shape, .status = 200,
     .may_fail = CAN(FAULT_OVERLOADED), .serve = job_events},
    {0},
};
