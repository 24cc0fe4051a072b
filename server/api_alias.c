/* api_alias.c -- names that point at a version, over HTTP */
#include "api.h"
#include "condition.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAG_BYTES = 24 };

static const char *tag_of(const struct alias_row *row, char tag[TAG_BYTES])
{
    (void)snprintf(tag, TAG_BYTES, "\"%" PRId64 "\"", row->revision);
    return tag;
}

static void show_alias(struct call *call, const struct alias_row *row, struct alias_body *out)
{
    out->optimizer = row->optimizer;
    out->alias = row->name;
    out->version = row->version;
    out->created_at = call_time(call, row->created_at);
    out->updated_at = call_time(call, row->updated_at);
}

static bool show_found(struct call *call, struct alias_body *out, dsc_err *err)
{
    struct alias_row row;
    char tag[TAG_BYTES];

    if (!store_alias_find(call->app->store, call->param[0], call->param[1], &row, &call->arena,
                          err))
        return false;
    show_alias(call, &row, out);
    reply_header(&call->reply, "ETag", "%s", tag_of(&row, tag));
    return true;
}

bool alias_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in;
    return show_found(call, out, err);
}

/* If-Match and If-None-Match against the alias as it is; *there says whether it is. */
static bool check_conditions(struct call *call, struct alias_row *row, bool *there, dsc_err *err)
{
    char tag[TAG_BYTES];
    dsc_err inner = {0};

    *there = store_alias_find(call->app->store, call->param[0], call->param[1], row, &call->arena,
                              &inner);
    if (!*there && inner.code != FAULT_NOT_FOUND) {
        *err = inner;
        return false;
    }
    return condition_holds(http_header(call->request, "If-Match"),
                           http_header(call->request, "If-None-Match"),
                           *there ? tag_of(row, tag) : NULL, err);
}

static bool find_version(struct call *call, int64_t number, struct version_row *version,
                         dsc_err *err)
{
    dsc_err inner = {0};

    if (store_version_find(call->app->store, call->param[0], number, version, &call->arena, &inner))
        return true;
    return dsc_fail(err, inner.code, "version", "%s", inner.text);
}

/* In one transaction, so that nobody moves the alias between the check and the move. */
static bool put(struct call *call, const struct alias_new *in, dsc_err *err)
{
    struct optimizer_row optimizer;
    struct version_row version;
    struct alias_row row = {.version = 0};
    bool there;

    if (!store_optimizer_find(call->app->store, call->param[0], &optimizer, &call->arena, err) ||
        !check_conditions(call, &row, &there, err) ||
        !find_version(call, in->version, &version, err))
        return false;
    call->reply.status = there ? 200 : 201;
    return (there && row.version == in->version) ||
           store_alias_put(call->app->store, &version, call->param[1], !there, err);
}

bool alias_put(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *const store = call->app->store;

    if (!registry_alias_ok(call->param[1]))
        return dsc_fail(err, FAULT_INVALID_VALUE, "alias",
                        "\"%.63s\" must match ^[a-z0-9][a-z0-9._-]{0,31}$", call->param[1]);
    if (!store_begin(store, err) ||
        !store_end(store, put(call, in, err) && show_found(call, out, err), err))
        return false;
    if (call->reply.status == 201)
        reply_header(&call->reply, "Location", "/v1/optimizers/%s/aliases/%s", call->param[0],
                     call->param[1]);
    return true;
}

static bool delete_alias(struct call *call, dsc_err *err)
{
    struct alias_row row;
    bool there;

    return check_conditions(call, &row, &there, err) &&
           store_alias_delete(call->app->store, call->param[0], call->param[1], err);
}

bool alias_delete(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *const store = call->app->store;

    (void)in, (void)out;
    return store_begin(store, err) && store_end(store, delete_alias(call, err), err);
}

bool alias_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct alias_row *row;
    const char *after;
    size_t size, count;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_alias_list(call->app->store, call->param[0], after, size, &row, &count, &call->arena,
                          err))
        return false;
    struct alias_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        show_alias(call, &row[i], &item[i]);
    out->items = (struct field_list) {count, item};
    return call_page_end(call, count == size ? row[count - 1].name : "", out, err);
}

bool alias_history(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct alias_move_row *row;
    const char *after;
    size_t size, count;
    char key[24] = "";

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_alias_moves(call->app->store, call->param[0], call->param[1],
                           strtoll(after, NULL, 10), size, &row, &count, &call->arena, err))
        return false;
    struct alias_move_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++) {
        item[i].revision = row[i].revision;
        item[i].version = row[i].version;
        if (row[i].version == 0)
            item[i].seen.null |= field_bit(&alias_move_shape, "version");
        item[i].changed_at = call_time(call, row[i].moved_at);
    }
    if (count == size)
        (void)snprintf(key, sizeof key, "%" PRId64, row[count - 1].revision);
    out->items = (struct field_list) {count, item};
    return call_page_end(call, key, out, err);
}
