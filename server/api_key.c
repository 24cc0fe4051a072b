#include "api.h"
#include "clock.h"
#include "fault.h"
#include "shapes.h"
#include <stdio.h>
#include <string.h>

static const char *show_time(struct call *call, int64_t ms)
{
    return ms ? call_time(call, ms) : NULL;
}

static bool show_key(struct call *call, const struct key_row *row, struct key_body *out,
                     dsc_err *err)
{
    const int64_t cached = keyring_last_used(call->app->keyring, row->id);
    char *prefix = dsc_arena_take(&call->arena, 1, 8 + KEY_ID_BYTES);

    if (!prefix)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    snprintf(prefix, 8 + KEY_ID_BYTES, "descent_%s", row->id);
    out->id = row->id;
    out->name = row->name;
    out->prefix = prefix;
    out->created_at = show_time(call, row->created_at);
    out->rotated_at = show_time(call, row->rotated_at);
    out->expires_at = show_time(call, row->expires_at);
    out->last_used_at = show_time(call, cached > row->last_used_at ? cached : row->last_used_at);
    out->requests_per_minute = row->requests_per_minute;
    if (row->requests_per_minute == 0)
        out->seen.null |= field_bit(&key_shape, "requests_per_minute");
    return scope_parse(&out->scopes, row->scopes, "", err);
}

/* The text of a key that was just made, beside what everybody may see of it. */
static bool show_made(struct call *call, const struct key_text *made, struct key_body *out,
                      dsc_err *err)
{
    struct key_row row;

    out->key = dsc_arena_text(&call->arena, made->text, strlen(made->text));
    if (!out->key)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    out->seen.given |= field_bit(&key_shape, "key");
    reply_header(&call->reply, "Cache-Control", "no-store");
    return store_key_find(call->app->store, made->id, &row, &call->arena, err) &&
           show_key(call, &row, out, err);
}

/* NULL is for ever: 0. */
static bool read_expiry(const char *text, int64_t *out, dsc_err *err)
{
    *out = 0;
    if (!text)
        return true;
    if (!clock_parse(text, out))
        return dsc_fail(err, FAULT_INVALID_VALUE, "expires_at",
                        "must be a time such as 2030-01-31T12:00:00Z, not \"%.40s\"", text);
    return *out > clock_ms() ||
           dsc_fail(err, FAULT_INVALID_VALUE, "expires_at", "%.40s is in the past", text);
}

static bool create(struct call *call, const struct key_new *in, int64_t expires_at,
                   struct key_text *made, dsc_err *err)
{
    struct store *const store = call->app->store;
    char location[64], words[SCOPE_TEXT_BYTES];
    struct key_row row = {.name = in->name,
                          .scopes = words,
                          .expires_at = expires_at,
                          .requests_per_minute = in->requests_per_minute};

    if (!store_begin(store, err))
        return false;
    scope_format(in->scopes, words);
    const bool ok = key_create_row(store, &row, made, err);
    (void)snprintf(location, sizeof location, "/v1/keys/%s", ok ? made->id : "");
    return store_end(store, ok && store_claim_fulfil(store, call->claim, location, err), err);
}

bool key_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct key_new *in = in_;
    struct key_text made;
    int64_t expires_at;

    if (!read_expiry(in->expires_at, &expires_at, err) ||
        !create(call, in, expires_at, &made, err) || !show_made(call, &made, out, err))
        return false;
    reply_header(&call->reply, "Location", "/v1/keys/%s", made.id);
    return true;
}

bool key_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct key_row row;

    (void)in;
    return store_key_find(call->app->store, call->param[0], &row, &call->arena, err) &&
           show_key(call, &row, out, err);
}

bool key_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct key_row *row;
    const char *after;
    size_t size, count;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_key_list(call->app->store, after, size, &row, &count, &call->arena, err))
        return false;
    struct key_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        if (!show_key(call, &row[i], &item[i], err))
            return false;
    out->items = (struct field_list) {count, item};
    return call_page_end(call, count == size ? row[count - 1].id : "", out, err);
}

static bool is_given(const struct key_new *in, const char *name)
{
    return in->seen.given & field_bit(&key_patch_shape, name);
}

/* What the patch gives, over what the row has. */
static bool merge(struct call *call, const struct key_new *in, struct key_row *row, dsc_err *err)
{
    char *words = dsc_arena_take(&call->arena, 1, SCOPE_TEXT_BYTES);

    if (!words)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the change");
    if (is_given(in, "name"))
        row->name = in->name;
    if (is_given(in, "scopes")) {
        scope_format(in->scopes, words);
        row->scopes = words;
    }
    if (is_given(in, "requests_per_minute"))
        row->requests_per_minute = in->requests_per_minute;
    return !is_given(in, "expires_at") || read_expiry(in->expires_at, &row->expires_at, err);
}

bool key_patch(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *store = call->app->store;
    struct key_row row;

    if (!store_begin(store, err))
        return false;
    bool ok = store_key_find(store, call->param[0], &row, &call->arena, err) &&
              merge(call, in, &row, err) && store_key_update(store, &row, err);
    if (!store_end(store, ok, err))
        return false;
    keyring_forget(call->app->keyring, row.id);
    return show_key(call, &row, out, err);
}

bool key_remove(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in, (void)out;
    if (!store_key_delete(call->app->store, call->param[0], err))
        return false;
    keyring_forget(call->app->keyring, call->param[0]);
    return true;
}

bool key_rotate(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct store *store = call->app->store;
    struct key_text made;
    struct key_row row;

    (void)in;
    if (!store_begin(store, err))
        return false;
    bool ok = store_key_find(store, call->param[0], &row, &call->arena, err);
    if (ok) {
        key_make(&made, row.id);
        row.hash = made.hash;
        row.rotated_at = clock_ms();
        ok = store_key_update(store, &row, err);
    }
    if (!store_end(store, ok, err))
        return false;
    keyring_forget(call->app->keyring, row.id);
    return show_made(call, &made, out, err);
}
