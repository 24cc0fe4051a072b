/* fault.c -- the table of failures that a client can see */
#include "fault.h"

#include <assert.h>

enum { LATER = true, NEVER = false };

/* In the order of the two enums; fault_find relies on it. */
static const struct fault rows[] = {
    /* What the core says. Callers that know more say it with a code of the second half. */
    {DSC_EINVAL, "invalid_value", 422, "A value is not allowed", NEVER},
    {DSC_EWEIGHTS, "invalid_weights", 422, "The weights do not fit the optimizer", NEVER},
    {DSC_ENUMERIC, "non_finite_gradient", 422, "The gradient is not finite", NEVER},
    {DSC_ELIMIT, "quota_exceeded", 429, "A limit of this server is reached", LATER},
    {DSC_ENOMEM, "out_of_memory", 503, "The server is out of memory", LATER},

    {FAULT_MALFORMED_JSON, "malformed_json", 400, "The body is not valid JSON", NEVER},
    {FAULT_DUPLICATE_KEY, "duplicate_key", 400, "A key occurs twice in one object", NEVER},
    {FAULT_MALFORMED_HEADER, "malformed_header", 400, "A header cannot be understood", NEVER},
    {FAULT_UNAUTHENTICATED, "unauthenticated", 401, "A valid key is needed", NEVER},
    {FAULT_FORBIDDEN, "forbidden", 403, "The key does not allow this", NEVER},
    {FAULT_NOT_FOUND, "not_found", 404, "There is nothing of that name", NEVER},
    {FAULT_METHOD_NOT_ALLOWED, "method_not_allowed", 405, "The method is not allowed here", NEVER},
    {FAULT_NOT_ACCEPTABLE, "not_acceptable", 406, "No format that Accept allows is served", NEVER},
    {FAULT_ALREADY_EXISTS, "already_exists", 409, "The name is taken", NEVER},
    {FAULT_IN_USE, "in_use", 409, "Something still uses it", NEVER},
    {FAULT_NO_VERSION, "no_version", 409, "The optimizer has no version yet", NEVER},
    {FAULT_BUILTIN_PROTECTED, "builtin_protected", 409, "What ships with the server stays", NEVER},
    {FAULT_INVALID_STATE, "invalid_state", 409, "Its state does not allow this", NEVER},
    {FAULT_STEP_STALE, "step_stale", 409, "The step is behind the session", NEVER},
    {FAULT_STEP_GAP, "step_gap", 409, "The step is ahead of the session", NEVER},
    {FAULT_SESSION_EXPIRED, "session_expired", 410, "The session has expired", NEVER},
    {FAULT_LENGTH_REQUIRED, "length_required", 411, "Content-Length is needed", NEVER},
    {FAULT_PRECONDITION_FAILED, "precondition_failed", 412, "If-Match names another state", NEVER},
    {FAULT_BODY_TOO_LARGE, "body_too_large", 413, "The body is too large", NEVER},
    {FAULT_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415,
     "The media type is not taken here", NEVER},
    {FAULT_RANGE_NOT_SATISFIABLE, "range_not_satisfiable", 416, "No such range is in the file",
     NEVER},
    {FAULT_UNKNOWN_FIELD, "unknown_field", 422, "A field is unknown", NEVER},
    {FAULT_MISSING_FIELD, "missing_field", 422, "A field is missing", NEVER},
    {FAULT_INVALID_VALUE, "invalid_value", 422, "A value is not allowed", NEVER},
    {FAULT_DIMENSION_MISMATCH, "dimension_mismatch", 422, "The vector has another length", NEVER},
    {FAULT_NON_FINITE_GRADIENT, "non_finite_gradient", 422, "The gradient is not finite", NEVER},
    {FAULT_NON_FINITE_UPDATE, "non_finite_update", 422, "The update would not be finite", NEVER},
    {FAULT_STEP_PAYLOAD_MISMATCH, "step_payload_mismatch", 422,
     "The step was answered for another gradient", NEVER},
    {FAULT_INVALID_WEIGHTS, "invalid_weights", 422, "The weights do not fit the optimizer", NEVER},
    {FAULT_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 422,
     "The idempotency key was used for another body", NEVER},
    {FAULT_QUOTA_EXCEEDED, "quota_exceeded", 429, "A limit of this server is reached", LATER},
    {FAULT_OVERLOADED, "overloaded", 503, "The server has too much to do", LATER},
    {FAULT_DRAINING, "draining", 503, "The server is shutting down", LATER},
    {FAULT_OUT_OF_MEMORY, "out_of_memory", 503, "The server is out of memory", LATER},
    {FAULT_INTERNAL, "internal", 500, "The server failed", NEVER},
    {FAULT_STORAGE_FULL, "storage_full", 507, "The disk is full", NEVER},
};

enum {
    CORE_COUNT = DSC_ENOMEM - DSC_EINVAL + 1,
    OWN_COUNT = FAULT_END - DSC_EUSER,
    COUNT = sizeof rows / sizeof rows[0],
};

_Static_assert(COUNT == CORE_COUNT + OWN_COUNT, "every code has one row");

static int row_of(int code)
{
    if (code >= DSC_EINVAL && code <= DSC_ENOMEM)
        return code - DSC_EINVAL;
    if (code >= DSC_EUSER && code < FAULT_END)
        return CORE_COUNT + code - DSC_EUSER;
    return CORE_COUNT + FAULT_INTERNAL - DSC_EUSER;
}

const struct fault *fault_find(int code)
{
    const struct fault *const row = &rows[row_of(code)];

    assert(row->code == code || row->code == FAULT_INTERNAL);
    return row;
}

const struct fault *fault_rows(size_t *count)
{
    *count = COUNT;
    return rows;
}
