/* direct.h -- the whole API in the caller's thread: no sockets, no pools
 *
 * Stands in for http.c and pool.c so that a fuzzer or a test can hand a request to routes.c and
 * look at the reply: the program is linked with DIRECT_WRAP (Makefile), which turns calls of
 * http_header, http_query, http_reply, pool_submit, pool_follow, pool_threads and pool_waiting into
 * those here. Everything else is the real thing, the journal's committer thread included. One
 * thread at a time.
 */
#ifndef DIRECT_H
#define DIRECT_H

#include "server/http.h"
#include "server/routes.h"

struct direct {
    struct app app;
    char dir[64]; /* the data: made by direct_open, removed by direct_close */
};

bool direct_open(struct direct *direct, dsc_err *err) DSC_MUST_CHECK;
void direct_close(struct direct *direct);

struct direct_pair {
    const char *name, *value;
};

/* What a client sends; everything is borrowed. */
struct direct_request {
    const char *method, *path;                /* the path without its query */
    const struct direct_pair *header, *query; /* query parameters as they are after decoding */
    size_t headers, queries;
    const void *body;
    size_t body_len;
};

/* Send it and wait for the one answer. The reply's body is the caller's count. */
void direct_ask(struct direct *direct, const struct direct_request *request, struct reply *reply);

#endif
