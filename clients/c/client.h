/* client.h -- what the sources behind descent_client.h share; internal */
#ifndef DESCENT_CLIENT_INTERNAL_H
#define DESCENT_CLIENT_INTERNAL_H

#include "transport.h"
#include <jansson.h>

struct descent_client {
    struct transport *transport;
};

/* A request with JSON both ways. body is borrowed and may be NULL. *reply, when reply is not NULL,
 * is the caller's; NULL inside when there is no body. */
bool client_call(descent_client *client, const char *method, const char *path, const json_t *body,
                 bool creates, json_t **reply, descent_error *err);

/* printf for a path, each %s a segment that is percent-encoded (RFC 3986); the caller's, or NULL
 * with err. */
char *client_path(descent_error *err, const char *fmt, ...);

/* A member as a number or a text; false with "invalid_answer". */
bool client_member_u64(const json_t *object, const char *name, uint64_t *out, descent_error *err);
bool client_member_text(const json_t *object, const char *name, const char **out,
                        descent_error *err);

#endif
