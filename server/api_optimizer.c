#include "api.h"
#include "condition.h"
#include "fault.h"
#include "limits.h"
#include "safetensors.h"
#include "shapes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- optimizers --- */

static void show_optimizer(struct call *call, const struct optimizer_row *row,
                           struct optimizer_body *out)
{
    out->name = row->name;
    out->family = row->family;
    out->config = row->config;
    out->description = row->description ? row->description : "";
    out->labels = row->labels ? row->labels : "{}";
    out->source = row->builtin ? "builtin" : "user";
    out->latest_version = row->latest_version;
    if (row->latest_version == 0)
        out->seen.null |= field_bit(&optimizer_shape, "latest_version");
    out->created_at = call_time(call, row->created_at);
}

bool optimizer_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct optimizer_new *in = in_;
    const dsc_family *family = dsc_family_find(in->family);
    struct optimizer_row row = {
        .name = in->name,
        .family = in->family,
        .description = in->description ? in->description : "",
        .labels = in->labels ? in->labels : "{}",
        .claim = call->claim,
    };
    dsc_hyper hyper;

    if (!registry_name_ok(in->name))
        return dsc_fail(err, FAULT_INVALID_VALUE, "name",
                        "\"%.63s\" must match ^[a-z0-9][a-z0-9._-]{0,62}$", in->name);
    if (!family)
        return dsc_fail(err, FAULT_INVALID_VALUE, "family", "there is no family \"%.63s\"",
                        in->family);
    dsc_hyper_init(&hyper, family->hyper);
    if (!field_hyper_decode(&hyper, in->config, in->config ? strlen(in->config) : 0, "config",
                            err) ||
        !registry_create(call->app->registry, &row, &hyper, &call->arena, err) ||
        !store_optimizer_find(call->app->store, in->name, &row, &call->arena, err))
        return false;
    reply_header(&call->reply, "Location", "/v1/optimizers/%s", row.name);
    show_optimizer(call, &row, out);
    return true;
}

bool optimizer_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct optimizer_row row;

    (void)in;
    if (!store_optimizer_find(call->app->store, call->param[0], &row, &call->arena, err))
        return false;
    show_optimizer(call, &row, out);
    return true;
}

/* What the patch gives over what there is; NULL where it leaves that. In one transaction. */
static bool patch_optimizer(struct call *call, const struct optimizer_patch *in, dsc_err *err)
{
    struct store *const store = call->app->store;
    const struct shape *const shape = &optimizer_patch_shape;
    const char *description = NULL, *labels = NULL;
    struct optimizer_row row;

    if (!store_optimizer_find(store, call->param[0], &row, &call->arena, err))
        return false;
    if (in->seen.given & field_bit(shape, "description"))
        description = in->description ? in->description : "";
    if (in->seen.given & field_bit(shape, "labels") &&
        !labels_patch(call, row.labels, in->labels, &labels, err))
        return false;
    return store_optimizer_update(store, row.name, description, labels, err);
}

bool optimizer_patch(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *const store = call->app->store;

    return store_begin(store, err) && store_end(store, patch_optimizer(call, in, err), err) &&
           optimizer_get(call, NULL, out, err);
}

/* RFC 7396: members that are null go; a patch that is null itself takes all. */
bool labels_patch(struct call *call, const char *labels, const char *patch, const char **out,
                  dsc_err *err)
{
    *out = patch ? field_labels_merge(labels, patch, &call->arena) : "{}";
    if (!*out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the labels");
    return field_labels_count(*out) <= LIMIT_LABELS ||
           dsc_fail(err, FAULT_INVALID_VALUE, "labels", "would be %zu; there may be %d at most",
                    field_labels_count(*out), LIMIT_LABELS);
}

bool optimizer_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct optimizer_row *row;
    const char *after;
    size_t size, count;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_optimizer_list(call->app->store, after[0] ? after : NULL, size, &row, &count,
                              &call->arena, err))
        return false;
    struct optimizer_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        show_optimizer(call, &row[i], &item[i]);
    out->items = (struct field_list) {count, item};
    return call_page_end(call, count == size ? row[count - 1].name : "", out, err);
}

/* An expired session uses nothing any more, but its row still does: end those before their day is
 * over, so that they do not keep a version (0: any of the optimizer). Failures show when the
 * deletion is tried again. */
static void retire_sessions(struct call *call, int64_t number)
{
    struct app *const app = call->app;
    struct version_row version = {.id = 0};
    struct optimizer_row optimizer;
    struct session_row *row;
    size_t count = 0;

    if (!store_optimizer_find(app->store, call->param[0], &optimizer, &call->arena, NULL) ||
        (number &&
         !store_version_find(app->store, optimizer.name, number, &version, &call->arena, NULL)) ||
        !store_session_users(app->store, optimizer.id, version.id, LIMIT_RETIRED_SESSIONS, &row,
                             &count, &call->arena, NULL))
        return;
    for (size_t i = 0; i < count; i++) {
        int64_t expires_at = 0;

        if (session_expires_at(app->sessions, &row[i], &expires_at, NULL) &&
            session_has_expired(app->sessions, expires_at))
            (void)!session_delete(app->sessions, row[i].id, NULL);
    }
}

bool optimizer_delete(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *const store = call->app->store;
    dsc_err first = {0};

    (void)in, (void)out;
    if (store_optimizer_delete(store, call->param[0], &first))
        return true;
    if (first.code == FAULT_IN_USE)
        retire_sessions(call, 0);
    return store_optimizer_delete(store, call->param[0], err);
}

/* --- versions --- */

/* Bytes; or -1 where the state is not proportional to n, because coordinates share some of it. */
static int64_t state_bytes_per_coordinate(const struct version_row *row)
{
    const dsc_family *family = dsc_family_find(row->family);
    dsc_layout layout = {0};
    dsc_hyper hyper;

    if (!family)
        return -1;
    dsc_hyper_init(&hyper, family->hyper);
    if (!field_hyper_decode(&hyper, row->config, strlen(row->config), "", NULL) ||
        (family->coupled && family->coupled->remembers))
        return -1;
    family->state_layout(&layout, &hyper);
    return (int64_t)(layout.len * sizeof(float));
}

static void show_version(struct call *call, const struct version_row *row, struct version_body *out)
{
    out->optimizer = row->optimizer;
    out->version = row->number;
    out->family = row->family;
    out->config = row->config;
    out->sha256 = row->sha256;
    out->size_bytes = row->size_bytes;
    out->weights_count = row->weights_count;
    out->state_bytes_per_coordinate = state_bytes_per_coordinate(row);
    if (out->state_bytes_per_coordinate < 0)
        out->seen.null |= field_bit(&version_shape, "state_bytes_per_coordinate");
    out->source = row->source;
    out->job = row->job[0] ? row->job : NULL;
    out->parent = row->parent[0] ? row->parent : NULL;
    out->metrics = row->metrics;
    out->created_at = call_time(call, row->created_at);
}

/* The {n} of a path. A text that is no number names no version. */
static bool version_number(const struct call *call, int64_t *number, dsc_err *err)
{
    const char *text = call->param[1];
    size_t len = strlen(text);

    if (len < 1 || len > 15 || strspn(text, "0123456789") != len || text[0] == '0')
        return dsc_fail(err, FAULT_NOT_FOUND, "", "%s has no version \"%.40s\"", call->param[0],
                        text);
    *number = strtoll(text, NULL, 10);
    return true;
}

static bool import_model(struct call *call, const dsc_family *family, dsc_model **model,
                         dsc_err *err)
{
    const struct buf *body = call->request->body;

    return safetensors_import(model, body ? body->data : NULL, body ? body->len : 0, family,
                              call->app->kernel, err);
}

static bool configure_model(struct call *call, const dsc_family *family,
                            const struct version_new *in, dsc_model **model, dsc_err *err)
{
    dsc_hyper hyper;

    if (family->phi_layout)
        return dsc_fail(
            err, FAULT_INVALID_VALUE, "config",
            "makes a version of a hand-designed family only; %s is learned: send weights",
            family->name);
    dsc_hyper_init(&hyper, family->hyper);
    return field_hyper_decode(&hyper, in->config, strlen(in->config), "config", err) &&
           dsc_model_new(model, family, &hyper, NULL, call->app->kernel, err);
}

bool version_post(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct optimizer_row optimizer;
    struct version_row row;
    dsc_model *model = NULL;

    if (!store_optimizer_find(call->app->store, call->param[0], &optimizer, &call->arena, err))
        return false;
    if (optimizer.builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "", "%s is built in", optimizer.name);
    const dsc_family *family = dsc_family_find(optimizer.family);
    bool ok = family ? in ? configure_model(call, family, in, &model, err)
                          : import_model(call, family, &model, err)
                     : dsc_fail(err, FAULT_INTERNAL, "", "this program has no family %s",
                                optimizer.family);
    ok = ok &&
         registry_import(call->app->registry, optimizer.name, model, call->claim, &row,
                         &call->arena, err) &&
         store_version_find(call->app->store, optimizer.name, row.number, &row, &call->arena, err);
    dsc_model_drop(model);
    if (!ok)
        return false;
    reply_header(&call->reply, "Location", "/v1/optimizers/%s/versions/%lld", row.optimizer,
                 (long long)row.number);
    show_version(call, &row, out);
    return true;
}

static bool find_version(struct call *call, struct version_row *row, dsc_err *err)
{
    int64_t number;

    return version_number(call, &number, err) &&
           store_version_find(call->app->store, call->param[0], number, row, &call->arena, err);
}

bool version_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct version_row row;

    (void)in;
    if (!find_version(call, &row, err))
        return false;
    show_version(call, &row, out);
    return true;
}

bool version_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct version_row *row;
    const char *after;
    size_t size, count;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_version_list(call->app->store, call->param[0], strtoll(after, NULL, 10), size, &row,
                            &count, &call->arena, err))
        return false;
    struct version_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    char key[24] = "";
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        show_version(call, &row[i], &item[i]);
    if (count == size)
        snprintf(key, sizeof key, "%lld", (long long)row[count - 1].number);
    out->items = (struct field_list) {count, item};
    return call_page_end(call, key, out, err);
}

bool version_delete(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *const store = call->app->store;
    dsc_err first = {0};
    int64_t number;

    (void)in, (void)out;
    if (!version_number(call, &number, err))
        return false;
    if (store_version_delete(store, call->param[0], number, &first))
        return true;
    if (first.code == FAULT_IN_USE)
        retire_sessions(call, number);
    return store_version_delete(store, call->param[0], number, err);
}

/* Is the whole file asked for, as Range and If-Range say, or a part of it? */
static enum condition_range weights_range(const struct call *call, const char *tag, uint64_t size,
                                          uint64_t *begin, uint64_t *end)
{
    const char *const unless = http_header(call->request, "If-Range");

    if (unless && !condition_names(unless, tag, CONDITION_STRONG))
        return RANGE_WHOLE;
    return condition_range(http_header(call->request, "Range"), size, begin, end);
}

/* Replace the body by a part of it. */
static bool cut(struct call *call, uint64_t begin, uint64_t end, dsc_err *err)
{
    struct buf *const whole = call->reply.body, *const part = buf_new((size_t)(end - begin));

    if (!part || !buf_append(part, whole->data + begin, (size_t)(end - begin))) {
        buf_drop(part);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the range");
    }
    reply_header(&call->reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%zu", begin, end - 1,
                 whole->len);
    buf_drop(whole);
    call->reply.body = part;
    call->reply.status = 206;
    return true;
}

static bool send_weights(struct call *call, const struct version_row *row, const char *tag,
                         dsc_err *err)
{
    const uint64_t size = (uint64_t)row->size_bytes;
    uint64_t begin = 0, end = size;
    const enum condition_range range = weights_range(call, tag, size, &begin, &end);

    if (range == RANGE_NONE) {
        reply_header(&call->reply, "Content-Range", "bytes */%" PRIu64, size);
        return dsc_fail(err, FAULT_RANGE_NOT_SATISFIABLE, "Range",
                        "is %.60s; the file has %" PRIu64 " bytes",
                        http_header(call->request, "Range"), size);
    }
    call->reply.content_type = "application/x-safetensors";
    reply_header(&call->reply, "Accept-Ranges", "bytes");
    return store_version_weights(call->app->store, row->id, &call->reply.body, err) &&
           (range == RANGE_WHOLE || cut(call, begin, end, err));
}

bool weights_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct version_row row;
    char tag[80];

    (void)in, (void)out;
    if (!find_version(call, &row, err))
        return false;
    (void)snprintf(tag, sizeof tag, "\"sha256:%s\"", row.sha256);
    reply_header(&call->reply, "ETag", "%s", tag);
    if (condition_names(http_header(call->request, "If-None-Match"), tag, CONDITION_WEAK)) {
        call->reply.status = 304;
        return true;
    }
    return send_weights(call, &row, tag, err);
}
