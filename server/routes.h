/* routes.h -- the API as tables of rows, and what every handler gets
 *
 * A row says what a route takes, gives and may refuse; routes.c does for all of them what rows
 * share: matching, media types, lengths, decoding, encoding. openapi.c describes them to clients,
 * and tests/support/contract.c holds every reply of a test to that description. */
#ifndef ROUTES_H
#define ROUTES_H

#include "collection.h"
#include "field.h"
#include "http.h"
#include "job.h"
#include "idempotency.h"
#include "key.h"
#include "media.h"
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
    struct watchers *watchers;
    struct jobs *jobs;
    struct collection *collection;
    struct idempotency *idempotency;
    struct metrics *metrics;
    struct probe *probe; /* NULL outside the crash test */
    struct buf *openapi; /* the document, made at the start */
    const dsc_kernel *kernel;
    float *scratch; /* of the network thread, as those of the pool's */
    atomic_bool draining;
};

#define ROUTE_PARAMS_MAX 2 /* in a path */
#define ROUTE_ALSO_MAX   2

/* One request on its way through the server. */
struct call {
    struct task task; /* first: the pool hands it back */
    struct app *app;
    struct request *request;
    const struct route *route;        /* NULL: none fits */
    size_t route_number;              /* route_count() where none fits */
    char param[ROUTE_PARAMS_MAX][80]; /* {name}, {id} ... of the path, in order */
    enum media media;                 /* of a success: what of route->give the client likes best */
    dsc_arena arena;
    float *work; /* the thread's scratch while a handler runs */
    struct reply reply;
    uint64_t replied_ns; /* clock_ns when the gateway got the reply; 0 before */
    dsc_err err;
    struct quota quota; /* of the key that asked; limit 0: it has no bound */
    int64_t claim;      /* of the request's Idempotency-Key, for the row that is made; 0: none */
    void *own;          /* a deferred handler's own state; freed with the call */
    void (*own_free)(void *own);
};

/* in and out have the sizes of the route's shapes; out arrives zeroed. */
typedef bool handler(struct call *call, const void *in, void *out, dsc_err *err);

/* A piece of a body that comes in pieces: call->request->body. The last one is for the handler. */
typedef bool piece_handler(struct call *call, dsc_err *err);

/* A set of failures of the second half of fault.h: CAN(FAULT_IN_USE) | CAN(FAULT_NO_VERSION). */
#define CAN(code) ((uint64_t)1 << ((code)-DSC_EUSER))

/* One row of the API. To add a route: a row in the table of its noun (routes_<noun>.c), its handler
 * in api_<noun>.c and in api.h; new bodies in shapes.h and shapes.c. Then `make openapi`, and tests
 * in tests/http until `make test` says that everything the row declares was seen.
 *
 * Declare what the handler itself does. What follows from the row is not repeated in it:
 *
 *     in       JSON is taken, unless `take` says otherwise; malformed_json, ..., invalid_value
 *     out      JSON is given, unless `give` says otherwise; not_acceptable
 *     scope    unauthenticated, forbidden, draining
 *     {name}   not_found, unless the row makes it
 *     query    invalid_value for rows that are not texts
 *     201      the header Location; of a POST (and of 202) also Idempotency-Key, as its handler
 *              gives call->claim to the row that is made
 *
 * and length_required, malformed_header, body_too_large, overloaded, out_of_memory, internal and,
 * where something is written, storage_full: see route_failures. A GET route answers HEAD as well.
 */
struct route {
    const char *method;
    const char *path; /* "/v1/sessions/{id}/update"; its parameters are those of openapi.c */
    enum scope scope; /* what a key must be allowed to do */
    const char *summary;
    media_set take;            /* what a body may be */
    const struct shape *in;    /* of a JSON body */
    media_set give;            /* what a success may be; the handler of a binary one makes it */
    const struct shape *out;   /* of a JSON success */
    int status;                /* of a success */
    int also[ROUTE_ALSO_MAX];  /* further ones: 304 has no body, others have the same */
    const struct field *query; /* parameters after the '?': rows as those of a body, or NULL */
    const struct field *request_headers, *reply_headers; /* its own ones, or NULL */
    bool makes;        /* what the path names need not be there: it is made */
    uint64_t may_fail; /* CAN() bits: what the handler refuses */
    handler *serve;
    piece_handler *piece; /* the body comes in pieces of LIMIT_PIECE_BYTES; NULL: whole */
    bool at_once;  /* serve neither waits nor computes nor reads a body: the network thread runs it
                    */
    bool routine;  /* machines ask for it every few seconds: a success is no news in the log */
    bool deferred; /* serve decodes the body and answers later, with call_finish, from the compute
                      pool; in and out only describe */
};

/* The tables, each up to a row without a method. */
extern const struct route service_routes[], optimizer_routes[], session_routes[], job_routes[],
    data_routes[], key_routes[];

/* All of them in one row, numbered from 0; NULL behind the last. */
const struct route *route_at(size_t number);
size_t route_count(void);

/* The row's defaults filled in. */
media_set route_takes(const struct route *route);
media_set route_gives(const struct route *route);
bool route_creates(const struct route *route);      /* takes an Idempotency-Key */
uint64_t route_failures(const struct route *route); /* CAN() bits: all a client may see */

/* The up-calls for http_start, with the app as their first argument. */
bool route_begin(void *app, struct request *request);
void route_serve(void *app, struct request *request);
void route_piece(void *app, struct request *request);
void route_done(void *app, struct request *request);

/* Answer a deferred call: call->reply as it stands, or the failure. Any thread, once. */
void call_finish(struct call *call, const dsc_err *err);

/* Encode *value as the reply's JSON body. */
bool call_json(struct call *call, const struct shape *shape, const void *value,
               dsc_err *err) DSC_MUST_CHECK;

/* A query parameter by the bounds of its row in route->query; `absent` where there is none.
 * FAULT_INVALID_VALUE. */
bool call_query_int(const struct call *call, const char *name, int64_t absent, int64_t *out,
                    dsc_err *err) DSC_MUST_CHECK;

/* For the query of a list: page_size and page_token. */
extern const struct field page_query[];

/* ?page_size= and ?page_token=; *after is the key that the token holds, "" at the start.
 * FAULT_INVALID_VALUE. */
bool call_page(struct call *call, size_t *size, const char **after, dsc_err *err) DSC_MUST_CHECK;

/* The page goes on after a key; "" ends it. */
struct page_body;
bool call_page_end(struct call *call, const char *key, struct page_body *out,
                   dsc_err *err) DSC_MUST_CHECK;

/* RFC 3339 in UTC from milliseconds, from the call's arena. */
const char *call_time(struct call *call, int64_t ms);

#endif
