#include "scope.h"
#include "fault.h"
#include "suggest.h"
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

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

/* Add the word text[0..len) to the set. */
static bool add_word(scope_set *set, const char *text, size_t len, const char *where, dsc_err *err)
{
    char word[64];

    snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), text);
    for (int i = 0; i < SCOPE_COUNT; i++) {
        if (strcmp(scope_words[i], word) == 0) {
            *set |= (scope_set)1 << i;
            return true;
        }
    }
    const char *near = suggest(word, scope_words, SCOPE_COUNT, sizeof *scope_words);
    return dsc_fail(err, FAULT_INVALID_VALUE, where, "there is no scope \"%.40s\"%s%s%s", word,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

bool scope_parse(scope_set *out, const char *text, const char *where, dsc_err *err)
{
    *out = SCOPE_ALL;
    if (strcmp(text, "all") == 0)
        return true;
    *out = 0;
    for (size_t len;; text += len + 1) {
        len = strcspn(text, ",");
        if (!add_word(out, text, len, where, err))
            return false;
        if (!text[len])
            return true;
    }
}

void scope_format(scope_set set, char out[SCOPE_TEXT_BYTES])
{
    size_t len = 0;

    out[0] = '\0';
    for (int i = 0; i < SCOPE_COUNT; i++)
        if (set >> i & 1)
            len += (size_t)snprintf(out + len, SCOPE_TEXT_BYTES - len, "%s%s", len ? "," : "",
                                    scope_words[i]);
    assert(len < SCOPE_TEXT_BYTES);
}
