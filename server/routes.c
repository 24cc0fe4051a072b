#include "routes.h"
#include "api.h"
#include "clock.h"
#include "fault.h"
#include "jsontext.h"
#include "limits.h"
#include "log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const struct route routes[] = {
    {"GET", "/livez", SCOPE_NONE, "Is the process alive?", .out = &health_shape, .status = 200,
     .serve = livez_get},
    {"GET", "/readyz", SCOPE_NONE, "Can it answer updates?", .out = &health_shape, .status = 200,
     .serve = readyz_get},
    {"GET", "/v1", SCOPE_ANY, "Name, version, limits, families", .out = &info_shape, .status = 200,
     .serve = info_get},

    {"GET", "/metrics", SCOPE_METRICS_READ, "Counters for Prometheus", .status = 200,
     .serve = metrics_get},

    {"POST", "/v1/optimizers", SCOPE_OPTIMIZERS_WRITE, "Create an optimizer", .body = ROUTE_JSON,
     .in = &optimizer_new_shape, .out = &optimizer_shape, .status = 201, .serve = optimizer_post},
    {"GET", "/v1/optimizers", SCOPE_OPTIMIZERS_READ, "List optimizers",
     .out = &optimizer_page_shape, .status = 200, .serve = optimizer_list},
    {"GET", "/v1/optimizers/{name}", SCOPE_OPTIMIZERS_READ, "One optimizer",
     .out = &optimizer_shape, .status = 200, .serve = optimizer_get},
    {"DELETE", "/v1/optimizers/{name}", SCOPE_OPTIMIZERS_WRITE, "Delete an optimizer",
     .status = 204, .serve = optimizer_delete},
    {"POST", "/v1/optimizers/{name}/versions", SCOPE_OPTIMIZERS_WRITE,
     "Add a version: a weights file or a config", .body = ROUTE_JSON_OR_WEIGHTS,
     .in = &version_new_shape, .out = &version_shape, .status = 201, .serve = version_post},
    {"GET", "/v1/optimizers/{name}/versions", SCOPE_OPTIMIZERS_READ, "List versions",
     .out = &version_page_shape, .status = 200, .serve = version_list},
    {"GET", "/v1/optimizers/{name}/versions/{n}", SCOPE_OPTIMIZERS_READ, "One version",
     .out = &version_shape, .status = 200, .serve = version_get},
    {"DELETE", "/v1/optimizers/{name}/versions/{n}", SCOPE_OPTIMIZERS_WRITE, "Delete a version",
     .status = 204, .serve = version_delete},
    {"GET", "/v1/optimizers/{name}/versions/{n}/weights", SCOPE_OPTIMIZERS_READ,
     "The safetensors file", .status = 200, .serve = weights_get},

    {"POST", "/v1/sessions", SCOPE_SESSIONS_WRITE, "Start an optimization", .body = ROUTE_JSON,
     .in = &session_new_shape, .out = &session_shape, .status = 201, .serve = session_post},
    {"GET", "/v1/sessions", SCOPE_SESSIONS_READ, "List sessions", .out = &session_page_shape,
     .status = 200, .serve = session_list},
    {"GET", "/v1/sessions/{id}", SCOPE_SESSIONS_READ, "One session", .out = &session_shape,
     .status = 200, .serve = session_get},
    {"DELETE", "/v1/sessions/{id}", SCOPE_SESSIONS_WRITE, "End an optimization", .status = 204,
     .serve = session_remove},
    {"POST", "/v1/sessions/{id}/reset", SCOPE_SESSIONS_WRITE,
     "Back to the initial state and step 0", .out = &session_shape, .status = 200,
     .serve = session_restart},
    {"POST", "/v1/sessions/{id}/update", SCOPE_SESSIONS_WRITE, "Give a gradient, receive an update",
     .body = ROUTE_JSON_OR_VECTOR, .status = 200, .serve = session_update, .deferred = true},

    {"POST", "/v1/keys", SCOPE_KEYS_ADMIN, "Create a key; its text is in this reply only",
     .body = ROUTE_JSON, .in = &key_new_shape, .out = &key_shape, .status = 201, .serve = key_post},
    {"GET", "/v1/keys", SCOPE_KEYS_ADMIN, "List keys", .out = &key_page_shape, .status = 200,
     .serve = key_list},
    {"GET", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "One key", .out = &key_shape, .status = 200,
     .serve = key_get},
    {"PATCH", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "Change a key's name, scopes or expiry",
     .body = ROUTE_MERGE, .in = &key_patch_shape, .out = &key_shape, .status = 200,
     .serve = key_patch},
    {"DELETE", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "Revoke a key at once", .status = 204,
     .serve = key_remove},
    {"POST", "/v1/keys/{id}/rotate", SCOPE_KEYS_ADMIN,
     "Give a key a new text; the old one is refused at once", .out = &key_shape, .status = 200,
     .serve = key_rotate},
};
const size_t routes_count = sizeof routes / sizeof *routes;

/* --- matching --- */

/* Does the path fit the pattern? {x} matches one segment of 1 to 79 bytes, which is copied to
 * param. */
static bool path_fits(const char *pattern, const char *path, char param[][80])
{
    int params = 0;

    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        if (len < 1 || len >= sizeof param[0] || params == ROUTE_PARAMS_MAX)
            return false;
        memcpy(param[params], path, len);
        param[params++][len] = '\0';
        path += len;
        pattern = strchr(pattern, '}') + 1;
    }
    return *path == '\0';
}

/* The route, or NULL with the methods the path has in `allow` ("" when the path is unknown). */
static const struct route *route_find(const char *method, const char *path, char param[][80],
                                      char *allow, size_t allow_size)
{
    allow[0] = '\0';
    for (size_t i = 0; i < routes_count; i++) {
        if (!path_fits(routes[i].path, path, param))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
        size_t used = strlen(allow);
        snprintf(allow + used, allow_size - used, "%s%s", used ? ", " : "", routes[i].method);
    }
    return NULL;
}

/* --- failures --- */

static void append_member(struct buf *out, const char *name, const char *text)
{
    (void)buf_append(out, "\"", 1);
    (void)buf_append(out, name, strlen(name));
    (void)buf_append(out, "\":", 2);
    (void)jsontext_string(out, text, strlen(text)); /* a client's bytes need not be UTF-8 */
    (void)buf_append(out, ",", 1);
}

/* "layout[1].shape[0]" as a JSON pointer: "/layout/1/shape/0". */
static void pointer_of(const char *where, char out[96])
{
    size_t n = 0;

    out[n++] = '/';
    for (; *where && n < 94; where++)
        if (*where == '[' || *where == '.')
            out[n++] = '/';
        else if (*where != ']')
            out[n++] = *where;
    out[n] = '\0';
}

static void append_problem(struct buf *out, const struct call *call, const struct fault *fault)
{
    const dsc_err *err = &call->err;
    char text[512], pointer[96];

    (void)buf_append(out, "{", 1);
    snprintf(text, sizeof text, "urn:descent:error:%s", fault->word);
    append_member(out, "type", text);
    append_member(out, "title", fault->title);
    snprintf(text, sizeof text, "%s%s%s", err->where, err->where[0] ? ": " : "", err->text);
    append_member(out, "detail", text);
    append_member(out, "instance", call->request->path);
    append_member(out, "code", fault->word);
    append_member(out, "request_id", call->request->id);
    for (int i = 0; i < 2 && err->fact[i].name; i++) {
        int len = snprintf(text, sizeof text, "\"%s\":%" PRIu64 ",", err->fact[i].name,
                           err->fact[i].value);
        (void)buf_append(out, text, (size_t)len);
    }
    if (err->where[0]) {
        pointer_of(err->where, pointer);
        (void)buf_append(out, "\"errors\":[{", 11);
        append_member(out, "pointer", pointer);
        append_member(out, "detail", err->text);
        out->len--; /* the last comma */
        (void)buf_append(out, "}],", 3);
    }
    int len = snprintf(text, sizeof text, "\"status\":%d,\"retryable\":%s}", fault->status,
                       fault->retryable ? "true" : "false");
    (void)buf_append(out, text, (size_t)len);
}

/* RFC 6750, section 3. */
static void add_challenge(struct call *call, int status)
{
    bool sent = http_header(call->request, "Authorization") != NULL;

    if (status == 401)
        reply_header(&call->reply, "WWW-Authenticate", "Bearer realm=\"descent\"%s",
                     sent ? ", error=\"invalid_token\"" : "");
    if (status == 403 && call->route->scope >= SCOPE_FIRST)
        reply_header(&call->reply, "WWW-Authenticate",
                     "Bearer realm=\"descent\", error=\"insufficient_scope\", scope=\"%s\"",
                     scope_word(call->route->scope));
}

/* The one place where a failure becomes an HTTP reply. */
static void reply_fault(struct call *call)
{
    const struct fault *fault = fault_find(call->err.code);
    struct reply *reply = &call->reply;

    buf_drop(reply->body);
    reply->body = buf_new(2048);
    reply->status = fault->status;
    reply->content_type = reply->body ? "application/problem+json" : NULL;
    if (fault->status != 405 && fault->status != 415)
        reply->headers = 0;
    if (reply->body)
        append_problem(reply->body, call, fault);
    if (fault->status == 503 || fault->status == 429)
        reply_header(reply, "Retry-After", "1");
    add_challenge(call, fault->status);
}

/* --- the way through --- */

/* What a client only announced is not counted. */
static void call_count(const struct call *call, uint64_t bytes_out, uint64_t ns)
{
    const struct request *request = call->request;
    struct metrics *metrics = call->app->metrics;

    metrics_count(metrics, &(struct metrics_request) {
                               .route = call->route ? (size_t)(call->route - routes) : routes_count,
                               .status = call->reply.status,
                               .bytes_in = request->body ? request->body->len : 0,
                               .bytes_out = bytes_out,
                               .ns = ns,
                           });
}

static void call_log(const struct call *call, int status, uint64_t bytes_out, uint64_t ns)
{
    const struct request *request = call->request;

    log_request(&(struct log_request) {
        .request_id = request->id,
        .method = request->method,
        .route = call->route ? call->route->path : "",
        .trace = http_header(request, "traceparent"),
        .status = status,
        .code = call->err.code ? fault_find(call->err.code)->word : NULL,
        .bytes_in = request->content_length,
        .bytes_out = bytes_out,
        .microseconds = ns / 1000,
    });
}

/* The request struct belongs to the gateway again once this returns; the call is freed by
 * route_done. */
static void call_reply(struct call *call)
{
    if (call->err.code)
        reply_fault(call);
    const uint64_t bytes_out = call->reply.body ? call->reply.body->len : 0;
    call->replied_ns = clock_ns();
    const uint64_t ns = call->replied_ns - call->request->began_ns;
    call_log(call, call->reply.status, bytes_out, ns);
    call_count(call, bytes_out, ns);
    http_reply(call->request, &call->reply);
}

void call_finish(struct call *call, const dsc_err *err)
{
    if (err)
        call->err = *err;
    call_reply(call);
}

bool call_json(struct call *call, const struct shape *shape, const void *value, dsc_err *err)
{
    struct buf *body = buf_new(1024);

    if (!body || !field_encode(shape, value, body, err)) {
        buf_drop(body);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    }
    call->reply.body = body;
    call->reply.content_type = "application/json";
    return true;
}

bool call_page(struct call *call, size_t *size, const char **after, dsc_err *err)
{
    const char *text = http_query(call->request, "page_size");
    const char *token = http_query(call->request, "page_token");
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : 100;

    if (text && (end == text || *end || value < 1 || value > LIMIT_PAGE))
        return dsc_fail(err, FAULT_INVALID_VALUE, "page_size",
                        "must be a whole number in [1, %d], not \"%.40s\"", LIMIT_PAGE, text);
    *size = (size_t)value;
    *after = token ? token : "";
    return true;
}

const char *call_time(struct call *call, int64_t ms)
{
    char text[40];
    struct tm tm;
    time_t seconds = ms / 1000;

    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(text + len, sizeof text - len, ".%03dZ", (int)(ms % 1000));
    return dsc_arena_text(&call->arena, text, len);
}

static bool is_type(const char *type, const char *want)
{
    size_t len = strlen(want);

    return type && strncasecmp(type, want, len) == 0 && strchr("; \t", type[len]);
}

static bool call_decode(struct call *call, void **in, dsc_err *err)
{
    const struct shape *shape = call->route->in;
    const struct buf *body = call->request->body;
    const char *type = http_header(call->request, "Content-Type");

    *in = NULL;
    if (!shape || is_type(type, "application/x-safetensors"))
        return true;
    *in = dsc_arena_take(&call->arena, 1, shape->size);
    if (!*in)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the request");
    return field_decode(shape, body ? (const char *)body->data : "", body ? body->len : 0, *in,
                        &call->arena, err);
}

static bool call_serve(struct call *call, dsc_err *err)
{
    const struct route *route = call->route;
    void *in, *out = NULL;

    if (!call_decode(call, &in, err))
        return false;
    if (route->out && !(out = dsc_arena_take(&call->arena, 1, route->out->size)))
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    if (call->reply.status == 0)
        call->reply.status = route->status;
    return route->serve(call, in, out, err) && (!out || call_json(call, route->out, out, err));
}

static void call_run(struct task *task, float *work)
{
    struct call *call = (struct call *)(void *)task; /* its first member */
    dsc_err err = {0};

    bool deferred = call->route->deferred; /* such a call may be over before serve returns */
    call->work = work;
    bool ok = call_serve(call, &err);
    if (ok && deferred)
        return;
    call_finish(call, ok ? NULL : &err);
}

/* --- what the headers already decide --- */

static bool check_length(const struct call *call, dsc_err *err)
{
    const struct request *request = call->request;
    const char *type = http_header(request, "Content-Type");
    uint64_t most = LIMIT_CONTROL_BYTES;

    if (http_header(request, "Transfer-Encoding"))
        return dsc_fail(err, FAULT_LENGTH_REQUIRED, "Transfer-Encoding",
                        "is not taken: send a Content-Length");
    if (request->ambiguous_length)
        return dsc_fail(err, FAULT_MALFORMED_HEADER, "Content-Length", "must be there once");
    if (call->route->body == ROUTE_JSON_OR_VECTOR || call->route->body == ROUTE_JSON_OR_WEIGHTS)
        most = is_type(type, "application/json") ? LIMIT_JSON_BODY_BYTES : LIMIT_BODY_BYTES;
    if (request->content_length > most)
        return dsc_fail(err, FAULT_BODY_TOO_LARGE, "Content-Length",
                        "is %" PRIu64 "; this route takes at most %" PRIu64 " bytes",
                        request->content_length, most);
    if (call->route->body != ROUTE_EMPTY && !request->has_length)
        return dsc_fail(err, FAULT_LENGTH_REQUIRED, "Content-Length", "is required here");
    return true;
}

static const char *const accepts[] = {
    [ROUTE_EMPTY] = NULL,
    [ROUTE_JSON] = "application/json",
    [ROUTE_MERGE] = "application/merge-patch+json, application/json",
    [ROUTE_JSON_OR_WEIGHTS] = "application/json, application/x-safetensors",
    [ROUTE_JSON_OR_VECTOR] = "application/json, application/octet-stream",
};

static bool check_type(struct call *call, dsc_err *err)
{
    const char *type = http_header(call->request, "Content-Type");
    const char *take = accepts[call->route->body];
    char one[64];

    for (const char *at = take; at; at = strchr(at, ',') ? strchr(at, ',') + 2 : NULL) {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(at, ","), at);
        if (is_type(type, one))
            return true;
    }
    if (!take)
        return true;
    reply_header(&call->reply, "Accept", "%s", take);
    return dsc_fail(err, FAULT_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "is \"%.60s\"; send %s",
                    type ? type : "", take);
}

static bool call_admit(struct call *call, dsc_err *err)
{
    char allow[64];

    call->route =
        route_find(call->request->method, call->request->path, call->param, allow, sizeof allow);
    if (!call->route && !allow[0])
        return dsc_fail(err, FAULT_NOT_FOUND, "", "there is nothing at %.100s",
                        call->request->path);
    if (!call->route) {
        reply_header(&call->reply, "Allow", "%s", allow);
        return dsc_fail(err, FAULT_METHOD_NOT_ALLOWED, "", "%.20s is not one of %s",
                        call->request->method, allow);
    }
    if (atomic_load(&call->app->draining) && call->route->scope != SCOPE_NONE)
        return dsc_fail(err, FAULT_DRAINING, "", "the server is stopping; try again");
    return keyring_admit(call->app->keyring, http_header(call->request, "Authorization"),
                         call->route->scope, err) &&
           check_length(call, err) && check_type(call, err);
}

bool route_begin(void *app_, struct request *request)
{
    struct app *app = app_;
    struct call *call = calloc(1, sizeof *call);

    if (!call) {
        http_reply(request, &(struct reply) {.status = 503, .close = true});
        return false;
    }
    call->app = app;
    call->request = request;
    request->app = call;
    atomic_fetch_add(&app->metrics->in_flight, 1);
    dsc_arena_init(&call->arena, LIMIT_ARENA_BYTES);
    if (call_admit(call, &call->err))
        return true;
    call_reply(call);
    return false;
}

void route_serve(void *app_, struct request *request)
{
    struct app *app = app_;
    struct call *call = request->app;
    bool queued;

    call->task.run = call_run;
    if (call->route->deferred) {
        struct session *session = session_find(app->sessions, call->param[0]);
        queued = pool_submit(session ? app->compute : app->control, &call->task);
        session_drop(app->sessions, session);
    } else {
        queued = pool_submit(app->control, &call->task);
    }
    if (!queued) {
        dsc_fail(&call->err, FAULT_OVERLOADED, "", "too many requests wait; try again");
        call_reply(call);
    }
}

void route_done(void *app, struct request *request)
{
    struct call *call = request->app;

    (void)app;
    if (!call)
        return;
    atomic_fetch_sub(&call->app->metrics->in_flight, 1);
    if (call->route && call->route->deferred && call->replied_ns)
        metrics_observe(&call->app->metrics->phase[PHASE_SEND], clock_ns() - call->replied_ns);
    if (call->own_free)
        call->own_free(call->own);
    dsc_arena_release(&call->arena);
    free(call);
}
