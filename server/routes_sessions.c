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
     .doc = "The session's step, if the body has none; without any a repeated request is a step."},
    {"Descent-Loss", FIELD_REAL, .doc = "f where the caller stands."},
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

static const struct field conditions[] = {
    {"If-Match", FIELD_STRING, .doc = "The step that it must be at, in quotes."},
    {"If-None-Match", FIELD_STRING, .doc = "A step that it must not be at."},
    {0},
};

static const char *const states[] = {"active", "expired", NULL};

static const struct field session_query[] = {
    {"page_size", FIELD_INT, .min = 1, .max = LIMIT_PAGE,
     .doc = "Items of a page; 100 by default."},
    {"page_token", FIELD_STRING, .doc = "next_page_token of the page before."},
    {"optimizer", FIELD_STRING, .min = 1, .max = 128,
     .doc = "Only sessions of it: name, name:7 or name@alias."},
    {"state", FIELD_STRING, .words = states, .doc = "Only active or expired ones."},
    {"label.*", FIELD_STRING, .doc = "Only those whose label of that name has this value."},
    {0},
};

static const struct field history_query[] = {
    {"max_points", FIELD_INT, .min = 8, .max = LIMIT_HISTORY_POINTS,
     .doc = "How many steps to show at most; 500 by default."},
    {0},
};

const struct route session_routes[] = {
    {"POST", "/v1/sessions", SCOPE_SESSIONS_WRITE, "Start an optimization",
     .in = &session_new_shape, .out = &session_shape, .status = 201,
     .may_fail = CAN(FAULT_NOT_FOUND) | CAN(FAULT_NO_VERSION), .serve = session_post},
    {"GET", "/v1/sessions", SCOPE_SESSIONS_READ, "List sessions", .query = session_query,
     .out = &session_page_shape, .status = 200, .may_fail = CAN(FAULT_NOT_FOUND),
     .serve = session_list},
    {"GET", "/v1/sessions/{id}", SCOPE_SESSIONS_READ, "One session", .out = &session_shape,
     .status = 200, .reply_headers = step_etag, .serve = session_get},
    {"PATCH", "/v1/sessions/{id}", SCOPE_SESSIONS_WRITE, "Change a session's labels or ttl",
     .request_headers = conditions, .take = MEDIA(MEDIA_MERGE) | MEDIA(MEDIA_JSON),
     .in = &session_patch_shape, .out = &session_shape, .status = 200, .reply_headers = step_etag,
     .may_fail = CAN(FAULT_SESSION_EXPIRED) | CAN(FAULT_PRECONDITION_FAILED),
     .serve = session_patch},
    {"DELETE", "/v1/sessions/{id}", SCOPE_SESSIONS_WRITE, "End an optimization", .status = 204,
     .serve = session_remove},
    {"POST", "/v1/sessions/{id}/reset", SCOPE_SESSIONS_WRITE,
     "Back to the initial state and step 0", .out = &session_shape, .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED), .serve = session_restart},
    {"POST", "/v1/sessions/{id}/checkpoints", SCOPE_SESSIONS_WRITE, "Keep the state under a name",
     .in = &checkpoint_new_shape, .out = &checkpoint_shape, .status = 201,
     .may_fail = CAN(FAULT_SESSION_EXPIRED) | CAN(FAULT_ALREADY_EXISTS) | CAN(FAULT_QUOTA_EXCEEDED),
     .serve = checkpoint_post},
    {"GET", "/v1/sessions/{id}/checkpoints", SCOPE_SESSIONS_READ, "List checkpoints",
     .query = page_query, .out = &checkpoint_page_shape, .status = 200, .serve = checkpoint_list},
    {"GET", "/v1/sessions/{id}/checkpoints/{checkpoint}", SCOPE_SESSIONS_READ, "One checkpoint",
     .out = &checkpoint_shape, .status = 200, .serve = checkpoint_get},
    {"DELETE", "/v1/sessions/{id}/checkpoints/{checkpoint}", SCOPE_SESSIONS_WRITE,
     "Delete a checkpoint", .status = 204, .may_fail = CAN(FAULT_SESSION_EXPIRED),
     .serve = checkpoint_delete},
    {"POST", "/v1/sessions/{id}/restore", SCOPE_SESSIONS_WRITE, "Back to a checkpoint",
     .in = &restore_shape, .out = &session_shape, .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED), .serve = session_restore_post},
    {"POST", "/v1/sessions/{id}/fork", SCOPE_SESSIONS_WRITE, "A new session with the same state",
     .in = &fork_shape, .out = &session_shape, .status = 201,
     .may_fail = CAN(FAULT_SESSION_EXPIRED), .serve = session_fork_post},
    {"GET", "/v1/sessions/{id}/history", SCOPE_SESSIONS_READ, "Loss and norms of its steps",
     .query = history_query, .out = &history_shape, .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED), .serve = history_get},
    {"GET", "/v1/sessions/{id}/state", SCOPE_SESSIONS_READ, "The state as a safetensors file",
     .give = MEDIA(MEDIA_WEIGHTS), .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED) | CAN(FAULT_INVALID_STATE) | CAN(FAULT_BODY_TOO_LARGE),
     .serve = state_get},
    {"PUT", "/v1/sessions/{id}/state", SCOPE_SESSIONS_WRITE, "Give it the state of such a file",
     .take = MEDIA(MEDIA_WEIGHTS), .out = &session_shape, .status = 200,
     .may_fail = CAN(FAULT_SESSION_EXPIRED) | CAN(FAULT_INVALID_STATE) | CAN(FAULT_BODY_TOO_LARGE) |
                 CAN(FAULT_INVALID_VALUE) | CAN(FAULT_DIMENSION_MISMATCH) |
                 CAN(FAULT_INVALID_WEIGHTS),
     .serve = state_put},
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
