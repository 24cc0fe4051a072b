#include "condition.h"
#include "fault.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One tag of a list: an optional W/, then a quoted text. Returns what follows it, NULL when it is
 * malformed. */
static const char *read_tag(const char *at, const char **text, size_t *len, bool *weak)
{
    *weak = strncmp(at, "W/", 2) == 0;
    at += *weak ? 2 : 0;
    if (*at != '"')
        return NULL;
    *text = at;
    const char *const close = strchr(at + 1, '"');
    if (!close)
        return NULL;
    *len = (size_t)(close + 1 - at);
    return close + 1;
}

bool condition_names(const char *header, const char *tag, enum condition_strength strength)
{
    const char *text;
    size_t len;
    bool weak;

    if (!header || !tag)
        return false;
    header += strspn(header, " \t");
    if (strcmp(header, "*") == 0)
        return true;
    while ((header = read_tag(header, &text, &len, &weak)) != NULL) {
        if (len == strlen(tag) && strncmp(text, tag, len) == 0 &&
            (strength == CONDITION_WEAK || !weak))
            return true;
        header += strspn(header, " \t,");
    }
    return false;
}

bool condition_holds(const char *if_match, const char *if_none_match, const char *tag, dsc_err *err)
{
    if (if_match && !condition_names(if_match, tag, CONDITION_STRONG))
        return dsc_fail(err, FAULT_PRECONDITION_FAILED, "If-Match",
                        "is %.60s, but the entity tag is %.60s", if_match, tag ? tag : "none");
    if (if_none_match && condition_names(if_none_match, tag, CONDITION_WEAK))
        return dsc_fail(err, FAULT_PRECONDITION_FAILED, "If-None-Match",
                        "is %.60s, but the entity tag is %.60s", if_none_match, tag);
    return true;
}

/* --- ranges --- */

/* Digits up to `stop`; false when there are none, or too many. */
static bool read_number(const char **at, uint64_t *out)
{
    const size_t len = strspn(*at, "0123456789");

    if (len < 1 || len > 18)
        return false;
    *out = strtoull(*at, NULL, 10);
    *at += len;
    return true;
}

/* "-500": the last 500 bytes. */
static enum condition_range suffix_range(const char *at, uint64_t size, uint64_t *begin,
                                         uint64_t *end)
{
    uint64_t last;

    if (!read_number(&at, &last) || *at)
        return RANGE_WHOLE;
    if (last == 0 || size == 0)
        return RANGE_NONE;
    *begin = last < size ? size - last : 0;
    *end = size;
    return RANGE_PART;
}

enum condition_range condition_range(const char *header, uint64_t size, uint64_t *begin,
                                     uint64_t *end)
{
    uint64_t last = UINT64_MAX - 1;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    header += 6;
    if (*header == '-')
        return suffix_range(header + 1, size, begin, end);
    if (!read_number(&header, begin) || *header++ != '-')
        return RANGE_WHOLE;
    if (*header && (!read_number(&header, &last) || *header || last < *begin))
        return RANGE_WHOLE;
    if (*begin >= size)
        return RANGE_NONE;
    *end = last < size ? last + 1 : size;
    return RANGE_PART;
}
