#include "refusal.h"
#include "fault.h"
#include "shapes.h"
#include "where.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { POINTER_BYTES = 96 };

static bool has_row(const struct field *rows, const char *name)
{
    for (; rows && rows->name; rows++)
        if (strcasecmp(rows->name, name) == 0)
            return true;
    return false;
}

/* Headers that every route knows. */
static bool is_common_header(const char *name)
{
    static const char *const names[] = {"Authorization", "Accept", "Content-Type", "Content-Length",
                                        "Transfer-Encoding"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* What a client called a field that is none is no header, whatever its name. */
static bool is_of_body(const dsc_err *err)
{
    return err->code == FAULT_UNKNOWN_FIELD || err->code == FAULT_DUPLICATE_KEY ||
           err->code == FAULT_MISSING_FIELD;
}

/* A file has no fields to point at; the sentence names the tensor. */
static bool is_weights(const struct call *call)
{
    enum media media;

    return media_of_type(&media, http_header(call->request, "Content-Type"), MEDIA(MEDIA_WEIGHTS));
}

static void give(const struct shape *shape, void *body, const char *name, bool given)
{
    struct field_seen *const seen = body; /* its first member */

    if (given)
        seen->given |= field_bit(shape, name);
}

/* Where the value is that was refused: in the body, a header or the query. */
static void name_place(struct refused *item, const struct call *call, char pointer[POINTER_BYTES])
{
    const struct route *const route = call->route;
    const dsc_err *const err = &call->err;

    if (!is_of_body(err) && route && has_row(route->query, err->where))
        item->query = err->where;
    else if (!is_of_body(err) && (is_common_header(err->where) ||
                                  (route && has_row(route->request_headers, err->where))))
        item->header = err->where;
    else {
        where_pointer(err->where, pointer, POINTER_BYTES);
        item->pointer = pointer;
    }
    item->detail = err->text;
    give(&refused_shape, item, "pointer", item->pointer != NULL);
    give(&refused_shape, item, "header", item->header != NULL);
    give(&refused_shape, item, "query", item->query != NULL);
}

static void name_facts(struct problem *problem, const dsc_err *err)
{
    int64_t *const member[] = {&problem->expected, &problem->got, &problem->current_step};
    static const char *const name[] = {"expected", "got", "current_step"};

    for (int i = 0; i < 2 && err->fact[i].name; i++)
        for (int k = 0; k < 3; k++)
            if (strcmp(name[k], err->fact[i].name) == 0) {
                *member[k] = (int64_t)err->fact[i].value;
                give(&problem_shape, problem, name[k], true);
            }
}

static bool write_problem(struct buf *out, const struct call *call, const struct fault *fault)
{
    const dsc_err *const err = &call->err;
    char type[64], detail[sizeof err->where + sizeof err->text + 4], pointer[POINTER_BYTES];
    struct refused item = {.detail = err->text};
    struct problem problem = {
        .type = type,
        .title = fault->title,
        .status = fault->status,
        .detail = detail,
        .instance = call->request->path,
        .code = fault->word,
        .request_id = call->request->id,
        .retryable = fault->retryable,
        .errors = {1, &item},
    };

    snprintf(type, sizeof type, "urn:descent:error:%s", fault->word);
    snprintf(detail, sizeof detail, "%s%s%s", err->where, err->where[0] ? ": " : "", err->text);
    name_place(&item, call, pointer);
    name_facts(&problem, err);
    give(&problem_shape, &problem, "errors", err->where[0] && !is_weights(call));
    return field_encode(&problem_shape, &problem, out, NULL);
}

/* RFC 6750, section 3. */
static void add_challenge(struct call *call, int status)
{
    const bool sent = http_header(call->request, "Authorization") != NULL;

    if (status == 401)
        reply_header(&call->reply, "WWW-Authenticate", "Bearer realm=\"descent\"%s",
                     sent ? ", error=\"invalid_token\"" : "");
    if (status == 403 && call->route->scope >= SCOPE_FIRST)
        reply_header(&call->reply, "WWW-Authenticate",
                     "Bearer realm=\"descent\", error=\"insufficient_scope\", scope=\"%s\"",
                     scope_word(call->route->scope));
}

static const struct {
    int status;
    struct field row[2];
} headers[] = {
    {401, {{"WWW-Authenticate", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "RFC 6750."}}},
    {403, {{"WWW-Authenticate", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "RFC 6750."}}},
    {405, {{"Allow", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "The methods there are."}}},
    {415, {{"Accept", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "What is taken."}}},
    {416, {{"Content-Range", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "bytes */20904."}}},
    {429, {{"Retry-After", FIELD_INT, .flags = FIELD_REQUIRED, .doc = "Seconds."}}},
    {503, {{"Retry-After", FIELD_INT, .flags = FIELD_REQUIRED, .doc = "Seconds."}}},
};

const struct field *refusal_headers(int status)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (headers[i].status == status)
            return headers[i].row;
    return NULL;
}

/* Those that a success would have had, and that do not go with this status. */
static void drop_headers(struct reply *reply, int status)
{
    const struct field *const rows = refusal_headers(status);
    int kept = 0;

    for (int i = 0; i < reply->headers; i++)
        if (has_row(rows, reply->header[i].name))
            reply->header[kept++] = reply->header[i];
    reply->headers = kept;
}

void refusal_write(struct call *call)
{
    const struct fault *const fault = fault_find(call->err.code);
    struct reply *const reply = &call->reply;

    buf_drop(reply->body);
    reply->body = buf_new(2048);
    if (reply->body && !write_problem(reply->body, call, fault)) {
        buf_drop(reply->body);
        reply->body = NULL; /* no memory: the status has to do */
    }
    reply->status = fault->status;
    reply->content_type = reply->body ? MEDIA_PROBLEM : NULL;
    drop_headers(reply, fault->status);
    if (fault->status == 503 || fault->status == 429)
        reply_header(reply, "Retry-After", "%" PRId64,
                     call->quota.retry_s > 1 ? call->quota.retry_s : (int64_t)1);
    add_challenge(call, fault->status);
}
