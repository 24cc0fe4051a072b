/* api_snapshot.c -- a session's state over HTTP: checkpoints, forks, files */
#include "api.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include "state_file.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The session of the path in memory; the caller drops it. */
static bool open_session(struct call *call, struct session **session, dsc_err *err)
{
    return session_load(call->app->sessions, call->param[0], session, call->work, err);
}

static bool show_now(struct call *call, const char *id, struct session_body *out, dsc_err *err)
{
    struct session_row row;

    return store_session_find(call->app->store, id, &row, &call->arena, err) &&
           session_show(call, &row, out, err);
}

/* --- checkpoints --- */

static void show_checkpoint(struct call *call, const struct checkpoint_row *row,
                            struct checkpoint_body *out)
{
    out->name = row->name;
    out->step = row->step;
    out->created_at = call_time(call, row->created_at);
}

bool checkpoint_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct checkpoint_new *const in = in_;
    struct checkpoint_row row = {
        .name = in->name, .session_id = call->param[0], .claim = call->claim};
    struct session *session = NULL;

    if (!registry_name_ok(in->name))
        return dsc_fail(err, FAULT_INVALID_VALUE, "name",
                        "\"%.63s\" must match ^[a-z0-9][a-z0-9._-]{0,62}$", in->name);
    if (!open_session(call, &session, err))
        return false;
    const bool ok = session_checkpoint(call->app->sessions, session, &row, err);
    session_drop(call->app->sessions, session);
    if (!ok)
        return false;
    reply_header(&call->reply, "Location", "/v1/sessions/%s/checkpoints/%s", call->param[0],
                 row.name);
    show_checkpoint(call, &row, out);
    return true;
}

bool checkpoint_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct session_row session;
    struct checkpoint_row *row;
    const char *after;
    size_t size, count;
    char key[24] = "";

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_session_find(call->app->store, call->param[0], &session, &call->arena, err) ||
        !store_checkpoint_list(call->app->store, session.seq, strtoll(after, NULL, 10), size, &row,
                               &count, &call->arena, err))
        return false;
    struct checkpoint_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        show_checkpoint(call, &row[i], &item[i]);
    if (count == size)
        (void)snprintf(key, sizeof key, "%" PRId64, row[count - 1].number);
    out->items = (struct field_list) {count, item};
    return call_page_end(call, key, out, err);
}

bool checkpoint_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct session_row session;
    struct checkpoint_row row;

    (void)in;
    if (!store_session_find(call->app->store, call->param[0], &session, &call->arena, err) ||
        !store_checkpoint_find(call->app->store, session.seq, call->param[1], &row, &call->arena,
                               err))
        return false;
    show_checkpoint(call, &row, out);
    return true;
}

bool checkpoint_delete(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct session *session = NULL;

    (void)in, (void)out;
    if (!open_session(call, &session, err))
        return false;
    const bool ok = session_checkpoint_delete(call->app->sessions, session, call->param[1], err);
    session_drop(call->app->sessions, session);
    return ok;
}

bool session_restore_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct restore_body *const in = in_;
    struct session *session = NULL;
    dsc_err inner = {0};

    if (!open_session(call, &session, err))
        return false;
    const bool ok = session_restore(call->app->sessions, session, in->checkpoint, &inner);
    session_drop(call->app->sessions, session);
    if (!ok) /* the session is there, or open_session had said so */
        return dsc_fail(err, inner.code, inner.code == FAULT_NOT_FOUND ? "checkpoint" : inner.where,
                        "%s", inner.text);
    return show_now(call, call->param[0], out, err);
}

/* --- fork --- */

bool session_fork_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct fork_body *const in = in_;
    struct session *session = NULL;
    struct session_row row = {.claim = call->claim};
    dsc_err inner = {0};

    if (!open_session(call, &session, err))
        return false;
    const bool ok =
        session_fork(call->app->sessions, session, in->checkpoint, &row, &call->arena, &inner);
    session_drop(call->app->sessions, session);
    if (!ok)
        return dsc_fail(err, inner.code, inner.code == FAULT_NOT_FOUND ? "checkpoint" : inner.where,
                        "%s", inner.text);
    reply_header(&call->reply, "Location", "/v1/sessions/%s", row.id);
    return show_now(call, row.id, out, err);
}

/* --- its history --- */

static void show_point(const struct history_point *point, struct history_point_body *out)
{
    out->step = (int64_t)point->step;
    out->loss = point->entry.loss; /* what is not finite is null */
    out->gradient_norm = point->entry.gradient_norm;
    out->update_norm = point->entry.update_norm;
}

static bool show_history(struct call *call, struct history_sampler *sampler, uint64_t total,
                         struct history_body *out, dsc_err *err)
{
    size_t count;
    const struct history_point *const point = history_points(sampler, &count);
    struct history_point_body *const item = dsc_arena_take(&call->arena, count + 1, sizeof *item);

    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the history");
    for (size_t i = 0; i < count; i++)
        show_point(&point[i], &item[i]);
    out->items = (struct field_list) {count, item};
    out->total = (int64_t)total;
    return true;
}

bool history_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct history_sampler sampler = {.kept = NULL};
    struct session *session = NULL;
    uint64_t total;
    int64_t max;

    (void)in;
    if (!call_query_int(call, "max_points", 500, &max, err) || !open_session(call, &session, err))
        return false;
    const bool ok =
        session_history(call->app->sessions, session, (size_t)max, &sampler, &total, err) &&
        show_history(call, &sampler, total, out, err);
    history_sampler_close(&sampler);
    session_drop(call->app->sessions, session);
    return ok;
}

/* --- the state as a file --- */

struct state_call {
    struct call *call;
    struct buf *file;
};

/* The weights files of the groups' versions, in the groups' order: that of the layout. */
static bool digests(struct call *call, char sha256[STATE_FILE_SHA_BYTES], dsc_err *err)
{
    struct session_row row;
    int64_t version[GROUPS_MAX];
    size_t len = 0;

    if (!store_session_find(call->app->store, call->param[0], &row, &call->arena, err))
        return false;
    const int count = session_versions(&row, version);
    for (int g = 0; g < count; g++) {
        struct version_row found;

        if (!store_version_by_id(call->app->store, version[g], &found, &call->arena, err))
            return false;
        len += (size_t)snprintf(sha256 + len, STATE_FILE_SHA_BYTES - len, "%s%s", g ? "," : "",
                                found.sha256);
    }
    return true;
}

static bool write_file(void *arg, const struct session_state *state, dsc_err *err)
{
    struct state_call *const own = arg;
    char sha256[STATE_FILE_SHA_BYTES];

    return digests(own->call, sha256, err) &&
           state_file_write(&own->file, state->groups, state->step, sha256, err);
}

bool state_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct state_call own = {.call = call};
    struct session *session = NULL;

    (void)in, (void)out;
    if (!open_session(call, &session, err))
        return false;
    const bool ok = session_look(call->app->sessions, session, write_file, &own, err);
    session_drop(call->app->sessions, session);
    if (!ok)
        return false;
    call->reply.body = own.file;
    call->reply.content_type = media_type(MEDIA_WEIGHTS);
    return true;
}

static bool read_file(void *arg, struct session_state *state, dsc_err *err)
{
    struct state_call *const own = arg;
    const struct buf *const body = own->call->request->body;
    char sha256[STATE_FILE_SHA_BYTES];

    state->imported = true;
    return digests(own->call, sha256, err) &&
           state_file_read(state->groups, &state->step, sha256, body ? body->data : NULL,
                           body ? body->len : 0, err);
}

bool state_put(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct state_call own = {.call = call};
    struct session *session = NULL;

    (void)in;
    if (!open_session(call, &session, err))
        return false;
    const bool ok = session_replace(call->app->sessions, session, read_file, &own, err);
    session_drop(call->app->sessions, session);
    return ok && show_now(call, call->param[0], out, err);
}
