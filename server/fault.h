/* fault.h -- the failures that a client can see, as constants
 *
 * One row for each code of the HTTP contract: the word that goes on the wire, the status, the
 * title. The core's own codes (DSC_E...) are rows too, so any dsc_err can be answered. Rows are
 * never renamed. */
#ifndef FAULT_H
#define FAULT_H

#include "core/descent.h"

enum {
    FAULT_MALFORMED_JSON = DSC_EUSER,
    FAULT_DUPLICATE_KEY,
    FAULT_MALFORMED_HEADER,
    FAULT_UNAUTHENTICATED,
    FAULT_FORBIDDEN,
    FAULT_NOT_FOUND,
    FAULT_METHOD_NOT_ALLOWED,
    FAULT_NOT_ACCEPTABLE,
    FAULT_ALREADY_EXISTS,
    FAULT_IN_USE,
    FAULT_NO_VERSION,
    FAULT_BUILTIN_PROTECTED,
    FAULT_INVALID_STATE,
    FAULT_STEP_STALE,
    FAULT_STEP_GAP,
    FAULT_SESSION_EXPIRED,
    FAULT_LENGTH_REQUIRED,
    FAULT_PRECONDITION_FAILED,
    FAULT_BODY_TOO_LARGE,
    FAULT_UNSUPPORTED_MEDIA_TYPE,
    FAULT_RANGE_NOT_SATISFIABLE,
    FAULT_UNKNOWN_FIELD,
    FAULT_MISSING_FIELD,
    FAULT_INVALID_VALUE,
    FAULT_DIMENSION_MISMATCH,
    FAULT_NON_FINITE_GRADIENT,
    FAULT_NON_FINITE_UPDATE,
    FAULT_STEP_PAYLOAD_MISMATCH,
    FAULT_INVALID_WEIGHTS,
    FAULT_IDEMPOTENCY_MISMATCH,
    FAULT_QUOTA_EXCEEDED,
    FAULT_OVERLOADED,
    FAULT_DRAINING,
    FAULT_OUT_OF_MEMORY,
    FAULT_INTERNAL,
    FAULT_STORAGE_FULL,
    FAULT_END,
};

struct fault {
    int code;          /* FAULT_... or DSC_E... */
    const char *word;  /* "step_gap" */
    int status;        /* 409 */
    const char *title; /* "The step is ahead of the session" */
    bool retryable;    /* the same request may succeed later, unchanged */
};

/* The row of a code; an unknown one is FAULT_INTERNAL's. Never NULL. */
const struct fault *fault_find(int code);

/* Every row, for the documentation; *count of them. */
const struct fault *fault_rows(size_t *count);

#endif
