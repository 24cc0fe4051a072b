#include "media.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const types[] = {
    [MEDIA_EVENTS] = "text/event-stream",
    [MEDIA_JSON] = "application/json",
    [MEDIA_MERGE] = "application/merge-patch+json",
    [MEDIA_WEIGHTS] = "application/x-safetensors",
    [MEDIA_BYTES] = "application/octet-stream",
    [MEDIA_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
};

_Static_assert(sizeof types / sizeof *types == MEDIA_COUNT, "one type each");

const char *media_type(enum media media)
{
    assert(media < MEDIA_COUNT);
    return types[media];
}

/* The bytes of a type or range before its parameters. */
static size_t bare(const char *type)
{
    return strcspn(type, "; \t,");
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

bool media_of_type(enum media *out, const char *content_type, media_set set)
{
    for (int i = 0; content_type && i < MEDIA_COUNT; i++) {
        if ((set & MEDIA(i)) && same(content_type, bare(content_type), types[i], bare(types[i]))) {
            *out = (enum media)i;
            return true;
        }
    }
    return false;
}

void media_list(media_set set, char out[MEDIA_LIST_BYTES])
{
    size_t len = 0;

    out[0] = '\0';
    for (int i = 0; i < MEDIA_COUNT; i++)
        if (set & MEDIA(i))
            len += (size_t)snprintf(out + len, MEDIA_LIST_BYTES - len, "%s%.*s", len ? ", " : "",
                                    (int)bare(types[i]), types[i]);
    assert(len < MEDIA_LIST_BYTES);
}

/* --- Accept --- */

/* How closely a range names a type: 3 exactly, 2 by its first half, 1 as any, 0 not at all. */
static int closeness(const char *range, size_t len, const char *type)
{
    const size_t half = strcspn(type, "/") + 1;

    if (same(range, len, type, bare(type)))
        return 3;
    if (len == half + 1 && range[half] == '*' && strncasecmp(range, type, half) == 0)
        return 2;
    return same(range, len, "*/*", 3);
}

/* The weight among the parameters of a range: [at, end). 1 where there is none, 0 where it cannot
 * be read. */
static double weight(const char *at, const char *end)
{
    while ((at = memchr(at, ';', (size_t)(end - at))) != NULL) {
        at += 1 + strspn(at + 1, " \t");
        if (at + 2 <= end && (at[0] == 'q' || at[0] == 'Q') && at[1] == '=') {
            char *stop;
            const double q = strtod(at + 2, &stop);
            return stop > at + 2 && q >= 0 && q <= 1 ? q : 0;
        }
    }
    return 1;
}

/* What an Accept header thinks of a type: 0 is a refusal. */
static double liking(const char *accept, const char *type)
{
    double q = 0;
    int closest = 0;

    for (const char *range = accept; *range; range += *range == ',') {
        range += strspn(range, " \t");
        const char *const end = range + strcspn(range, ",");
        const int close = closeness(range, bare(range), type);
        if (close > closest) {
            closest = close;
            q = weight(range, end);
        }
        range = end;
    }
    return q;
}

bool media_choose(enum media *out, const char *accept, media_set set, enum media first)
{
    double best = 0;

    for (int i = 0; i < MEDIA_COUNT; i++) {
        const double q = !(set & MEDIA(i)) ? 0 : accept ? liking(accept, types[i]) : 1;
        if (q > best || (q == best && q > 0 && (enum media)i == first)) {
            best = q;
            *out = (enum media)i;
        }
    }
    return best > 0;
}
