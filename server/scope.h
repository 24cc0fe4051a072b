/* scope.h -- what a key can be allowed to do: constants, one word each
 *
 * A route's row has its scope in the third place, before its summary, so that a row without one
 * does not compile (a text is no scope). */
#ifndef SCOPE_H
#define SCOPE_H

#include "core/descent.h"
#include <stdint.h>

enum scope {
    SCOPE_UNDECLARED, /* what a forgotten row would have: nobody may */
    SCOPE_NONE,       /* open to all                                 */
    SCOPE_ANY,        /* any valid key                               */
    SCOPE_OPTIMIZERS_READ,
    SCOPE_OPTIMIZERS_WRITE,
    SCOPE_SESSIONS_READ,
    SCOPE_SESSIONS_WRITE,
    SCOPE_JOBS_READ,
    SCOPE_JOBS_WRITE,
    SCOPE_DATASETS_READ,
    SCOPE_DATASETS_WRITE,
    SCOPE_KEYS_ADMIN,
    SCOPE_METRICS_READ,
    SCOPE_END,
    SCOPE_FIRST = SCOPE_OPTIMIZERS_READ,
};

/* Of a key: bit i allows scope_words[i]. */
typedef uint64_t scope_set;

enum { SCOPE_COUNT = SCOPE_END - SCOPE_FIRST };

/* "optimizers:read", ... in the order of the enum from SCOPE_FIRST; NULL-terminated. */
extern const char *const scope_words[];

static inline scope_set scope_bit(enum scope scope)
{
    return scope < SCOPE_FIRST ? 0 : (scope_set)1 << (scope - SCOPE_FIRST);
}

#define SCOPE_ALL (((scope_set)1 << SCOPE_COUNT) - 1)

/* "optimizers:read,jobs:write", or "all". FAULT_INVALID_VALUE with that `where`. */
bool scope_parse(scope_set *out, const char *text, const char *where, dsc_err *err) DSC_MUST_CHECK;

/* The same text again, from bits. */
#define SCOPE_TEXT_BYTES 256
void scope_format(scope_set set, char out[SCOPE_TEXT_BYTES]);

/* "optimizers:read", "any", "none". */
const char *scope_word(enum scope scope);

#endif
