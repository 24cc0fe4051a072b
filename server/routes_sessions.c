/* routes_sessions.c -- optimizations in progress */
#include "api.h"
#include "shapes.h"
#include "vector.h"

static const struct field step_etag[] = {
    {"ETag", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "The step, in quotes."},
    {0},
};

static const struct field update_headers[] = {
    {"Descent-Step", FIELD_INT, .min = 0, .max = STEP_MAX,
     .doc = "The session's step, with a binary body; without it a repeated request is a step."},
    {"Descent-Loss", FIELD_REAL, .doc = "f where the caller stands, with a binary body."},
    {"Descent-Dtype", FIELD_STRING, .words = vector_dtypes,
     .doc = "The format of a binary body, and of a binary reply; F32 by default."},
    {0},
};

static const struct field updated_headers[] = {
    {"Descent-Step", FIELD_INT, .flags = FIELD_REQUIRED, .min = 1, .max = STEP_MAX + 1,
     .doc = "The session's step from now on."},
    {"Descent-Replayed", FIELD_BOOL, .flags = FIELD_REQUIRED,
     .doc = "Whether this answer was given before."},
    {"Server-Timing", FIELD_STRING, .flags = FIELD_REQUIRED,
     .doc = "Milliseconds of queue, compute and persist; the last two at the same time."},
    {"Descent-Dtype", FIELD_STRING, .words = vector_dtypes, .doc = "The format of a binary body."},
    {0},
};

const struct route session_routes[] = {
    {"POST", "/v1/sessions", SCOPE_SESSIONS_WRITE, "Start an optimization",
     .in = &session_new_shape, .out = &session_shape, .status = 201,
     .may_fail = CAN(FAULT_NOT_FOUND) | CAN(FAULT_NO_VERSION), .serve = session_post},
    {"GET", "/v1/sessions", SCOPE_SESSIONS_READ, "List sessions", .query = page_query,
     .out = &session_page_shape, .status = 200, .serve = session_list},
    {"GET", "/v1/sessions/{id}", SCOPE_SESSIONS_READ, "One session", .out = &session_shape,
     .status = 200, .reply_headers = step_etag, .serve = session_get},
    {"DELETE", "/v1/sessions/{id}", SCOPE_SESSIONS_WRITE, "End an optimization", .status = 204,
     .serve = session_remove},
    {"POST", "/v1/sessions/{id}/reset", SCOPE_SESSIONS_WRITE,
     "Back to the initial state and step 0", .out = &session_shape, .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED), .serve = session_restart},
    {"POST", "/v1/sessions/{id}/update", SCOPE_SESSIONS_WRITE, "Give a gradient, receive an update",
     .request_headers = update_headers, .take = MEDIA(MEDIA_JSON) | MEDIA(MEDIA_BYTES),
     .in = &update_in_shape, .give = MEDIA(MEDIA_JSON) | MEDIA(MEDIA_BYTES),
     .out = &update_out_shape, .status = 200, .reply_headers = updated_headers,
     .may_fail = CAN(FAULT_SESSION_EXPIRED) | CAN(FAULT_DIMENSION_MISMATCH) |
                 CAN(FAULT_NON_FINITE_GRADIENT) | CAN(FAULT_NON_FINITE_UPDATE) |
                 CAN(FAULT_STEP_STALE) | CAN(FAULT_STEP_GAP) | CAN(FAULT_STEP_PAYLOAD_MISMATCH),
     .serve = session_update, .deferred = true},
    {0},
};
