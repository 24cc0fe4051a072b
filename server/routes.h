/* routes.h -- the API as a table, and what every handler gets
 *
 * A row says what a route takes, gives and may refuse; routes.c does for all of them what rows
 * share: matching, media types, lengths, decoding, encoding, and the one place where a failure
 * becomes an HTTP status. */
#ifndef ROUTES_H
#define ROUTES_H

#include "field.h"
#include "http.h"
#include "key.h"
#include "metrics.h"
#include "pool.h"
#include "registry.h"
#include "scope.h"
#include "session.h"

#define DESCENT_VERSION "0.1.0"

/* Made once in main, passed everywhere. */
struct app {
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct sessions *sessions;
    struct pool *compute, *control;
    struct keyring *keyring;
    struct metrics *metrics;
    struct probe *probe; /* NULL outside the crash test */
    const dsc_kernel *kernel;
    atomic_bool draining;
};

#define ROUTE_PARAMS_MAX 2

/* One request on its way through the server. */
struct call {
    struct task task; /* first: the pool hands it back */
    struct app *app;
    struct request *request;
    const struct route *route;
    char param[ROUTE_PARAMS_MAX][80]; /* {name}, {id} ... of the path, in order */
    dsc_arena arena;
    float *work; /* the thread's scratch while a handler runs */
    struct reply reply;
    uint64_t replied_ns; /* clock_ns when the gateway got the reply; 0 before */
    dsc_err err;
    void *own; /* a deferred handler's own state; freed with the call */
    void (*own_free)(void *own);
};

/* in and out have the sizes of the route's shapes; out arrives zeroed. */
typedef bool handler(struct call *call, const void *in, void *out, dsc_err *err);

enum route_body {
    ROUTE_EMPTY,
    ROUTE_JSON,
    ROUTE_MERGE,
    ROUTE_JSON_OR_WEIGHTS,
    ROUTE_JSON_OR_VECTOR
};

struct route {
    const char *method;
    const char *path; /* "/v1/sessions/{id}/update" */
    enum scope scope; /* what a key must be allowed to do */
    const char *summary;
    enum route_body body;
    const struct shape *in;  /* NULL: nothing is decoded */
    const struct shape *out; /* NULL: the handler makes the reply's body itself, or there is none */
    int status;              /* on success */
    handler *serve;
    bool deferred; /* serve answers later, with call_finish, from the compute pool */
};

extern const struct route routes[];
extern const size_t routes_count;

/* The up-calls for http_start, with the app as their first argument. */
bool route_begin(void *app, struct request *request);
void route_serve(void *app, struct request *request);
void route_done(void *app, struct request *request);

/* Answer a deferred call: call->reply as it stands, or the failure. Any thread, once. */
void call_finish(struct call *call, const dsc_err *err);

/* Encode *value as the reply's JSON body. */
bool call_json(struct call *call, const struct shape *shape, const void *value,
               dsc_err *err) DSC_MUST_CHECK;

/* ?page_size= and ?page_token=; *after is "" at the start. FAULT_INVALID_VALUE. */
bool call_page(struct call *call, size_t *size, const char **after, dsc_err *err) DSC_MUST_CHECK;

/* RFC 3339 in UTC from milliseconds, from the call's arena. */
const char *call_time(struct call *call, int64_t ms);

#endif
