#include "routes.h"
#include "api.h"
#include "clock.h"
#include "fault.h"
#include "jsontext.h"
#include "limits.h"
#include "log.h"
#include "page.h"
#include "shapes.h"
#include "refusal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct route *const tables[] = {
    service_routes, optimizer_routes, session_routes, job_routes, data_routes, key_routes,
};

enum { TABLES = sizeof tables / sizeof *tables };

const struct field page_query[] = {
    {"page_size", FIELD_INT, .min = 1, .max = LIMIT_PAGE,
     .doc = "Items of a page; 100 by default."},
    {"page_token", FIELD_STRING, .doc = "next_page_token of the page before."},
    {0},
};

/* --- the rows --- */

const struct route *route_at(size_t number)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct route *row = tables[t]; row->method; row++)
            if (number-- == 0)
                return row;
    return NULL;
}

size_t route_count(void)
{
    size_t count = 0;

    for (size_t t = 0; t < TABLES; t++)
        for (const struct route *row = tables[t]; row->method; row++)
            count++;
    return count;
}

media_set route_takes(const struct route *route)
{
    return route->take ? route->take : route->in ? MEDIA(MEDIA_JSON) : 0;
}

media_set route_gives(const struct route *route)
{
    return route->give ? route->give : route->out ? MEDIA(MEDIA_JSON) : 0;
}

static bool is_read(const struct route *route)
{
    return strcmp(route->method, "GET") == 0;
}

static bool has_required(const struct shape *shape)
{
    for (const struct field *row = shape->fields; row->name; row++)
        if (row->flags & FIELD_REQUIRED)
            return true;
    return false;
}

static bool has_checked(const struct field *query)
{
    for (; query && query->name; query++)
        if (query->kind != FIELD_STRING)
            return true;
    return false;
}

static uint64_t body_failures(const struct route *route)
{
    uint64_t set = 0;

    if (route_takes(route))
        set |= CAN(FAULT_UNSUPPORTED_MEDIA_TYPE);
    if (route->in)
        set |= CAN(FAULT_MALFORMED_JSON) | CAN(FAULT_DUPLICATE_KEY) | CAN(FAULT_UNKNOWN_FIELD) |
               CAN(FAULT_INVALID_VALUE);
    if (route->in && has_required(route->in))
        set |= CAN(FAULT_MISSING_FIELD);
    return set;
}

static uint64_t scope_failures(enum scope scope)
{
    return (scope == SCOPE_NONE
                ? 0
                : CAN(FAULT_UNAUTHENTICATED) | CAN(FAULT_QUOTA_EXCEEDED) | CAN(FAULT_DRAINING)) |
           (scope < SCOPE_FIRST ? 0 : CAN(FAULT_FORBIDDEN));
}

bool route_creates(const struct route *route)
{
    return strcmp(route->method, "POST") == 0 && (route->status == 201 || route->status == 202);
}

uint64_t route_failures(const struct route *route)
{
    uint64_t set = CAN(FAULT_LENGTH_REQUIRED) | CAN(FAULT_MALFORMED_HEADER) |
                   CAN(FAULT_BODY_TOO_LARGE) | CAN(FAULT_OVERLOADED) | CAN(FAULT_OUT_OF_MEMORY) |
                   CAN(FAULT_INTERNAL);

    if (route_gives(route))
        set |= CAN(FAULT_NOT_ACCEPTABLE);
    if (strchr(route->path, '{') && !route->makes)
        set |= CAN(FAULT_NOT_FOUND);
    if (has_checked(route->query))
        set |= CAN(FAULT_INVALID_VALUE);
    if (!is_read(route))
        set |= CAN(FAULT_STORAGE_FULL);
    if (route_creates(route))
        set |= CAN(FAULT_IDEMPOTENCY_MISMATCH) | CAN(FAULT_QUOTA_EXCEEDED);
    return set | scope_failures(route->scope) | body_failures(route) | route->may_fail;
}

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

/* "GET, HEAD, POST": each method once. */
static void allow_add(char *allow, size_t size, const char *method)
{
    const size_t used = strlen(allow);

    snprintf(allow + used, size - used, "%s%s%s", used ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

static bool fits_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (is_read(route) && strcmp(method, "HEAD") == 0);
}

/* The route, or NULL with the methods the path has in `allow` ("" when the path is unknown). */
static const struct route *route_find(struct call *call, char *allow, size_t allow_size)
{
    const struct request *const request = call->request;

    allow[0] = '\0';
    call->route_number = 0;
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct route *row = tables[t]; row->method; row++, call->route_number++) {
            if (!path_fits(row->path, request->path, call->param))
                continue;
            if (fits_method(row, request->method))
                return row;
            allow_add(allow, allow_size, row->method);
        }
    }
    return NULL;
}

/* The route that shows what is at a path, its parameters in call->param; NULL when none does. */
static const struct route *route_getting(struct call *call, const char *path)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct route *row = tables[t]; row->method; row++)
            if (strcmp(row->method, "GET") == 0 && row->out &&
                path_fits(row->path, path, call->param))
                return row;
    return NULL;
}

/* --- the way through --- */

/* What a client only announced is not counted. */
static void call_count(const struct call *call, uint64_t bytes_out, uint64_t ns)
{
    const struct request *request = call->request;
    struct metrics *metrics = call->app->metrics;

    metrics_count(metrics, &(struct metrics_request) {
                               .route = call->route_number,
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
        .routine = call->route && call->route->routine && status < 400,
    });
}

/* As the drafts of the IETF's httpapi group have them, without a standard yet. */
static void add_quota(struct call *call)
{
    const struct quota *const quota = &call->quota;

    if (quota->limit == 0)
        return;
    reply_header(&call->reply, "RateLimit-Limit", "%" PRId64, quota->limit);
    reply_header(&call->reply, "RateLimit-Remaining", "%" PRId64, quota->remaining);
    reply_header(&call->reply, "RateLimit-Reset", "%" PRId64, quota->reset_s);
}

/* The request struct belongs to the gateway again once this returns; the call is freed by
 * route_done. */
static void call_reply(struct call *call)
{
    if (call->err.code)
        refusal_write(call);
    add_quota(call);
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

static const struct field *query_row(const struct route *route, const char *name)
{
    const struct field *row = route->query;

    while (strcmp(row->name, name) != 0)
        row++;
    return row;
}

bool call_query_int(const struct call *call, const char *name, int64_t absent, int64_t *out,
                    dsc_err *err)
{
    const struct field *const row = query_row(call->route, name);
    const char *const text = http_query(call->request, name);
    const size_t len = text ? strlen(text) : 0;

    *out = absent;
    if (!text)
        return true;
    *out = strtoll(text, NULL, 10);
    if (len < 1 || len > 18 || strspn(text, "0123456789") != len || (double)*out < row->min ||
        (double)*out > row->max)
        return dsc_fail(err, FAULT_INVALID_VALUE, name,
                        "must be a whole number in [%.0f, %.0f], not \"%.40s\"", row->min, row->max,
                        text);
    return true;
}

/* What is listed: the path, and every parameter that is not about pages. */
struct listing {
    struct buf *text;
    bool ok;
};

static void add_filter(void *arg, const char *name, const char *value)
{
    struct listing *const listing = arg;

    if (strcmp(name, "page_size") == 0 || strcmp(name, "page_token") == 0)
        return;
    listing->ok = listing->ok && buf_append(listing->text, name, strlen(name) + 1) &&
                  (!value || buf_append(listing->text, value, strlen(value) + 1));
}

/* As one text, from the call's arena; NULL when there is no memory. */
static const char *listing_of(struct call *call)
{
    struct listing listing = {buf_new(256), true};
    char *text = NULL;

    if (listing.text && buf_append(listing.text, call->request->path, strlen(call->request->path)))
        http_query_each(call->request, add_filter, &listing);
    for (size_t i = 0; listing.text && i < listing.text->len; i++)
        if (listing.text->data[i] == '\0')
            listing.text->data[i] = '\n';
    if (listing.text && listing.ok)
        text = dsc_arena_text(&call->arena, (const char *)listing.text->data, listing.text->len);
    buf_drop(listing.text);
    return text;
}

bool call_page(struct call *call, size_t *size, const char **after, dsc_err *err)
{
    const char *const token = http_query(call->request, "page_token");
    char key[PAGE_KEY_BYTES] = "";
    int64_t value;

    if (!call_query_int(call, "page_size", 100, &value, err))
        return false;
    *size = (size_t)value;
    const char *const list = listing_of(call);
    if (list && token && token[0] && !page_token_read(key, list, token, err))
        return false;
    *after = list ? dsc_arena_text(&call->arena, key, strlen(key)) : NULL;
    return *after || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
}

bool call_page_end(struct call *call, const char *key, struct page_body *out, dsc_err *err)
{
    char token[PAGE_TOKEN_BYTES] = "";
    const char *const list = listing_of(call);

    if (list && key[0])
        page_token_write(token, list, key);
    out->next_page_token = list ? dsc_arena_text(&call->arena, token, strlen(token)) : NULL;
    return out->next_page_token || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
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

/* What the body is; MEDIA_COUNT where none is taken. */
static enum media body_media(const struct call *call)
{
    enum media media = MEDIA_COUNT;

    (void)media_of_type(&media, http_header(call->request, "Content-Type"),
                        route_takes(call->route));
    return media;
}

static bool call_decode(struct call *call, void **in, dsc_err *err)
{
    const struct shape *shape = call->route->in;
    const struct buf *body = call->request->body;
    const enum media media = body_media(call);

    *in = NULL;
    if (call->route->deferred || (media != MEDIA_JSON && media != MEDIA_MERGE))
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
    if (route->out && !route->deferred &&
        !(out = dsc_arena_take(&call->arena, 1, route->out->size)))
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    if (call->reply.status == 0)
        call->reply.status = route->status;
    return route->serve(call, in, out, err) &&
           (!out || call->reply.stream || call_json(call, route->out, out, err));
}

/* --- once, whatever is sent twice --- */

/* The reply as one text: its status, its headers, an empty line, its body. */
static struct buf *reply_text(const struct reply *reply)
{
    struct buf *const text = buf_new(1024 + (reply->body ? reply->body->len : 0));
    char line[256];
    bool ok = text != NULL;

    for (int i = -1; ok && i < reply->headers; i++) {
        const int len = i < 0 ? snprintf(line, sizeof line, "%d\n", reply->status)
                              : snprintf(line, sizeof line, "%s: %s\n", reply->header[i].name,
                                         reply->header[i].value);
        ok = buf_append(text, line, (size_t)len);
    }
    if (ok && buf_append(text, "\n", 1) &&
        (!reply->body || buf_append(text, reply->body->data, reply->body->len)))
        return text;
    buf_drop(text);
    return NULL;
}

/* A header of a kept reply, whose name must be one that a creation gives. */
static void add_kept_header(struct reply *reply, const char *line, size_t len)
{
    static const char *const names[] = {"Location", "ETag", "Cache-Control"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t name = strlen(names[i]);

        if (len > name + 2 && strncmp(line, names[i], name) == 0 && line[name] == ':')
            reply_header(reply, names[i], "%.*s", (int)(len - name - 2), line + name + 2);
    }
}

static bool reply_kept(struct call *call, const struct buf *text, dsc_err *err)
{
    struct reply *const reply = &call->reply;
    const char *at = (const char *)text->data, *const end = at + text->len;

    reply->status = (int)strtol(at, NULL, 10);
    for (const char *stop; (stop = memchr(at, '\n', (size_t)(end - at))) != NULL; at = stop + 1) {
        if (stop == at)
            break; /* the empty line */
        add_kept_header(reply, at, (size_t)(stop - at));
    }
    const size_t len = (size_t)(end - at) - 1;
    reply->body = buf_new(len);
    reply->content_type = media_type(MEDIA_JSON);
    return (reply->body && buf_append(reply->body, at + 1, len)) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
}

/* What was made by a request whose reply was not kept, as it is now. */
static bool reply_anew(struct call *call, const char *location, dsc_err *err)
{
    const struct route *const made = route_getting(call, location);

    if (!made)
        return dsc_fail(err, FAULT_INTERNAL, "", "nothing is at %.100s", location);
    void *const out = dsc_arena_take(&call->arena, 1, made->out->size);
    if (!out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    call->reply.status = call->route->status;
    if (!made->serve(call, NULL, out, err))
        return false;
    call->reply.headers = 0; /* an ETag is that of a GET */
    reply_header(&call->reply, "Location", "%s", location);
    return call_json(call, made->out, out, err);
}

static bool call_claimed(struct call *call, struct idempotency_claim *claim, dsc_err *err)
{
    if (claim->answer)
        return reply_kept(call, claim->answer, err);
    if (claim->location[0])
        return reply_anew(call, claim->location, err);
    call->claim = claim->id;
    return call_serve(call, err);
}

static bool call_once(struct call *call, dsc_err *err)
{
    struct idempotency *const idempotency = call->app->idempotency;
    const struct idempotency_request request = {
        .key = http_header(call->request, "Idempotency-Key"),
        .credential = http_header(call->request, "Authorization"),
        .method = call->request->method,
        .path = call->request->path,
        .body = call->request->body,
    };
    struct idempotency_claim claim;

    if (!request.key || !route_creates(call->route))
        return call_serve(call, err);
    if (!idempotency_begin(idempotency, &request, &claim, err))
        return false;
    const bool ok = call_claimed(call, &claim, err);
    struct buf *const text = ok ? reply_text(&call->reply) : NULL;
    idempotency_end(idempotency, &claim, text);
    buf_drop(text);
    buf_drop(claim.answer);
    return ok;
}

static void call_run(struct task *task, float *work)
{
    struct call *call = (struct call *)(void *)task; /* its first member */
    dsc_err err = {0};

    bool deferred = call->route->deferred; /* such a call may be over before serve returns */
    call->work = work;
    bool ok = call_once(call, &err);
    if (ok && deferred)
        return;
    call_finish(call, ok ? NULL : &err);
}

/* --- what the headers already decide --- */

/* Vectors and files are long, in JSON as well; what people write is not. */
static uint64_t body_most(const struct call *call)
{
    if (call->route->piece)
        return LIMIT_UPLOAD_BYTES;
    if (!(route_takes(call->route) & (MEDIA(MEDIA_BYTES) | MEDIA(MEDIA_WEIGHTS))))
        return LIMIT_CONTROL_BYTES;
    return body_media(call) == MEDIA_JSON ? LIMIT_JSON_BODY_BYTES : LIMIT_BODY_BYTES;
}

static bool check_length(const struct call *call, dsc_err *err)
{
    const struct request *request = call->request;
    const uint64_t most = body_most(call);

    if (http_header(request, "Transfer-Encoding"))
        return dsc_fail(err, FAULT_LENGTH_REQUIRED, "Transfer-Encoding",
                        "is not taken: send a Content-Length");
    if (request->ambiguous_length)
        return dsc_fail(err, FAULT_MALFORMED_HEADER, "Content-Length", "must be there once");
    if (request->content_length > most)
        return dsc_fail(err, FAULT_BODY_TOO_LARGE, "Content-Length",
                        "is %" PRIu64 "; this route takes at most %" PRIu64 " bytes",
                        request->content_length, most);
    if (route_takes(call->route) && !request->has_length)
        return dsc_fail(err, FAULT_LENGTH_REQUIRED, "Content-Length", "is required here");
    return true;
}

static bool check_type(struct call *call, dsc_err *err)
{
    const char *const type = http_header(call->request, "Content-Type");
    char take[MEDIA_LIST_BYTES];

    if (!route_takes(call->route) || body_media(call) != MEDIA_COUNT)
        return true;
    media_list(route_takes(call->route), take);
    reply_header(&call->reply, "Accept", "%s", take);
    return dsc_fail(err, FAULT_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "is \"%.60s\"; send %s",
                    type ? type : "", take);
}

/* Without a wish the reply has the request's format. */
static bool check_accept(struct call *call, dsc_err *err)
{
    const char *const accept = http_header(call->request, "Accept");
    const media_set gives = route_gives(call->route);
    char give[MEDIA_LIST_BYTES];

    if (!gives || media_choose(&call->media, accept, gives, body_media(call)))
        return true;
    media_list(gives, give);
    return dsc_fail(err, FAULT_NOT_ACCEPTABLE, "Accept", "\"%.60s\" does not allow %s", accept,
                    give);
}

static bool call_admit(struct call *call, dsc_err *err)
{
    char allow[64];

    call->route = route_find(call, allow, sizeof allow);
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
                         call->route->scope, &call->quota, err) &&
           check_length(call, err) && check_type(call, err) && check_accept(call, err);
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
    if (!call_admit(call, &call->err)) {
        call_reply(call);
    } else if (call->route->at_once) {
        call_run(&call->task, NULL);
    } else {
        request->in_pieces = call->route->piece != NULL;
        return true;
    }
    return false;
}

/* An update goes to a thread that computes, unless its session must be loaded first, or its step
 * takes less time than another thread needs to wake up: then this one does it, on its own scratch.
 * The session's count is what keeps it in memory until the handler has found it again. */
static bool serve_update(struct call *call)
{
    struct app *const app = call->app;
    struct session *const session = session_find(app->sessions, call->param[0]);
    const bool here =
        session && session_light(session) && call->request->content_length <= LIMIT_LIGHT_BYTES;
    bool queued = true;

    if (here)
        call_run(&call->task, app->scratch);
    else
        queued = pool_submit(session ? app->compute : app->control, &call->task);
    session_drop(app->sessions, session);
    return queued;
}

void route_serve(void *app_, struct request *request)
{
    struct app *app = app_;
    struct call *call = request->app;

    call->task.run = call_run;
    if (call->route->deferred ? serve_update(call) : pool_submit(app->control, &call->task))
        return;
    dsc_fail(&call->err, FAULT_OVERLOADED, "", "too many requests wait; try again");
    call_reply(call);
}

static void call_take_piece(struct task *task, float *work)
{
    struct call *const call = (struct call *)(void *)task; /* its first member */
    dsc_err err = {0};

    (void)work;
    if (call->route->piece(call, &err))
        http_more(call->request);
    else
        call_finish(call, &err);
}

void route_piece(void *app_, struct request *request)
{
    struct app *const app = app_;
    struct call *const call = request->app;

    call->task.run = call_take_piece;
    if (pool_submit(app->control, &call->task))
        return;
    dsc_fail(&call->err, FAULT_OVERLOADED, "", "too many requests wait; try again");
    call_reply(call);
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
