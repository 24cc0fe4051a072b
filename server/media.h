/* media.h -- the media types that bodies come in, and what a client asks for
 *
 * Pure; any thread. */
#ifndef MEDIA_H
#define MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of preference where a client has none. */
enum media {
    MEDIA_EVENTS, /* server-sent */
    MEDIA_JSON,
    MEDIA_MERGE, /* RFC 7396 */
    MEDIA_WEIGHTS,
    MEDIA_BYTES, /* a vector */
    MEDIA_METRICS,
    MEDIA_COUNT,
};

/* Of a failure, whatever the client asked for (RFC 9457). */
#define MEDIA_PROBLEM "application/problem+json"

typedef unsigned media_set;
#define MEDIA(media) (1u << (media))

/* "application/json" ...: as Content-Type says it in a reply. */
const char *media_type(enum media media);

/* Which of `set` a Content-Type names, whatever its parameters; false when it is NULL or none. */
bool media_of_type(enum media *out, const char *content_type, media_set set);

/* "application/json, application/octet-stream". */
#define MEDIA_LIST_BYTES 192
void media_list(media_set set, char out[MEDIA_LIST_BYTES]);

/* The one of `set` that an Accept header (NULL: none, all is welcome) likes best; `first` among
 * equals. False when it allows none. RFC 9110, section 12.5.1: the most specific range decides
 * about a type, its q orders them; a range that cannot be read is left out. */
bool media_choose(enum media *out, const char *accept, media_set set, enum media first);

#endif
