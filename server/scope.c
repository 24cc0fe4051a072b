#include "scope.h"
#include <assert.h>
#include <stddef.h>

const char *const scope_words[] = {
    "optimizers:read",
    "optimizers:write",
    "sessions:read",
    "sessions:write",
    "jobs:read",
    "jobs:write",
    "datasets:read",
    "datasets:write",
    "keys:admin",
    "metrics:read",
    NULL,
};

_Static_assert(sizeof scope_words / sizeof *scope_words == SCOPE_COUNT + 1, "one word each");

const char *scope_word(enum scope scope)
{
    assert(scope > SCOPE_UNDECLARED && scope < SCOPE_END);
    return scope == SCOPE_NONE  ? "none"
           : scope == SCOPE_ANY ? "any"
                                : scope_words[scope - SCOPE_FIRST];
}
