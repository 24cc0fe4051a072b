/* condition.h -- what a request makes depend on an entity tag (RFC 9110, sections 13 and 14)
 *
 * Tags are quoted texts such as "sha256:..." or "17"; ours are strong. Any thread. */
#ifndef CONDITION_H
#define CONDITION_H

#include "core/descent.h"
#include <stdint.h>

/* Does the value of an If-Match or If-None-Match header name the tag? `*` names any. Without a
 * tag (NULL: there is nothing yet) nothing is named. A tag of the client's that is marked weak
 * counts for If-None-Match only. */
enum condition_strength { CONDITION_STRONG, CONDITION_WEAK };
bool condition_names(const char *header, const char *tag, enum condition_strength strength);

/* If-Match and If-None-Match of a request that changes something; headers that are absent are NULL.
 * FAULT_PRECONDITION_FAILED. */
bool condition_holds(const char *if_match, const char *if_none_match, const char *tag,
                     dsc_err *err) DSC_MUST_CHECK;

/* A Range header over `size` bytes. Several ranges, another unit, or a header that is malformed
 * ask for the whole, as the RFC allows. */
enum condition_range { RANGE_WHOLE, RANGE_PART, RANGE_NONE };
enum condition_range condition_range(const char *header, uint64_t size, uint64_t *begin,
                                     uint64_t *end);

#endif
