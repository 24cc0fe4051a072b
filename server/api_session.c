#include "api.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include "vector.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- create, show, list, end --- */

static uint64_t null_bit(const struct shape *shape, const char *name)
{
    for (size_t i = 0; shape->fields[i].name; i++)
        if (strcmp(shape->fields[i].name, name) == 0)
            return (uint64_t)1 << i;
    return 0;
}

/* Rows from before state_bytes was kept have one version. */
static bool state_bytes(struct call *call, const struct session_row *row, int64_t *bytes,
                        dsc_err *err)
{
    dsc_model *model = NULL;

    *bytes = row->state_bytes;
    if (row->state_bytes >= 0)
        return true;
    if (!registry_model(call->app->registry, row->version_id, &model, err))
        return false;
    *bytes = (int64_t)dsc_model_state_bytes(model, (size_t)row->coordinates);
    dsc_model_drop(model);
    return true;
}

/* As a listing has it. FAULT_NOT_FOUND when the session has left since its row was read. */
static bool show_session(struct call *call, const struct session_row *row, struct session_body *out,
                         dsc_err *err)
{
    uint64_t steps = 0;
    int64_t expires_at = 0;

    if (!session_steps(call->app->sessions, row, &steps, err) ||
        !session_expires_at(call->app->sessions, row, &expires_at, err) ||
        !state_bytes(call, row, &out->state_bytes, err))
        return false;
    out->id = row->id;
    out->optimizer = row->optimizer;
    out->durability = durability_words[row->durability];
    out->state = session_has_expired(call->app->sessions, expires_at) ? "expired" : "active";
    out->labels = row->labels ? row->labels : "{}";
    out->created_at = call_time(call, row->created_at);
    out->coordinates = row->coordinates;
    out->step = (int64_t)steps;
    out->ttl_seconds = row->ttl_seconds;
    out->clip_norm = row->clip_norm;
    if (!row->ttl_seconds)
        out->seen.null |= null_bit(&session_shape, "ttl_seconds");
    if (row->clip_norm == 0)
        out->seen.null |= null_bit(&session_shape, "clip_norm");
    return true;
}

/* With its layout. */
static bool show_whole(struct call *call, const struct session_row *row, struct session_body *out,
                       dsc_err *err)
{
    const uint64_t bit = null_bit(&session_shape, "layout");

    out->seen.given |= bit;
    if (row->tensors == 0)
        out->seen.null |= bit;
    return show_session(call, row, out, err) && layout_show(call, row, out, err);
}

bool session_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct session_new *in = in_;
    struct version_row version;
    struct session_row row = {
        .durability = (enum durability)in->durability,
        .labels = in->labels ? in->labels : "{}",
        .ttl_seconds = in->ttl_seconds,
        .clip_norm = in->clip_norm,
    };

    if (!layout_read(call, in, &row, err) ||
        !registry_resolve(call->app->registry, in->optimizer, &version, &call->arena, err))
        return false;
    row.version_id = version.id;
    if (!session_create(call->app->sessions, &row, &call->arena, err) ||
        !store_session_find(call->app->store, row.id, &row, &call->arena, err) ||
        !show_whole(call, &row, out, err))
        return false;
    reply_header(&call->reply, "Location", "/v1/sessions/%s", row.id);
    return true;
}

bool session_get(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct session_body *out = out_;
    struct session_row row;

    (void)in;
    if (!store_session_find(call->app->store, call->param[0], &row, &call->arena, err) ||
        !show_whole(call, &row, out, err))
        return false;
    reply_header(&call->reply, "ETag", "\"%lld\"", (long long)out->step);
    return true;
}

/* The sessions of a page, but for those that leave meanwhile; *shown of them. */
static bool show_page(struct call *call, const struct session_row *row, size_t count,
                      struct session_body *item, size_t *shown, dsc_err *err)
{
    *shown = 0;
    for (size_t i = 0; i < count; i++) {
        dsc_err why = {0};
        if (show_session(call, &row[i], &item[*shown], &why)) {
            ++*shown;
        } else if (why.code != FAULT_NOT_FOUND) {
            *err = why;
            return false;
        }
    }
    return true;
}

bool session_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    const struct session_filter filter = {.labels = 0};
    struct session_row *row;
    const char *after;
    size_t size, count, shown;

    (void)in;
    if (!call_page(call, &size, &after, err))
        return false;
    int64_t cursor = strtoll(after, NULL, 10);
    if (!store_session_list(call->app->store, &filter, &cursor, size, &row, &count, &call->arena,
                            err))
        return false;
    struct session_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    char *token = dsc_arena_take(&call->arena, 24, 1);
    if (!item || !token)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    if (!show_page(call, row, count, item, &shown, err))
        return false;
    if (cursor)
        snprintf(token, 24, "%lld", (long long)cursor);
    out->items = (struct field_list) {shown, item};
    out->next_page_token = token;
    return true;
}

bool session_remove(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in, (void)out;
    return session_delete(call->app->sessions, call->param[0], err);
}

bool session_restart(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct session *session = NULL;
    struct session_row row;

    (void)in;
    if (!session_load(call->app->sessions, call->param[0], &session, call->work, err))
        return false;
    bool ok = session_reset(call->app->sessions, session, err);
    session_drop(call->app->sessions, session);
    return ok && store_session_find(call->app->store, call->param[0], &row, &call->arena, err) &&
           show_whole(call, &row, out, err);
}

/* --- update --- */

/* An update on its way: the session's step, and how the answer is to look. */
struct update {
    struct session_step step; /* first: done hands it back */
    struct call *call;
    struct session *session;
    bool json_in, json_out;
    enum vector_dtype dtype;
};

static void update_free(void *own)
{
    struct update *update = own;

    buf_drop(update->step.update);
    session_drop(update->call->app->sessions, update->session);
    free(update);
}

/* Descent-Step, Descent-Loss and Descent-Dtype of a binary body. */
static bool read_headers(struct update *update, dsc_err *err)
{
    const struct request *request = update->call->request;
    const char *step = http_header(request, "Descent-Step");
    const char *loss = http_header(request, "Descent-Loss");
    const char *dtype = http_header(request, "Descent-Dtype");
    char *end = NULL;

    if (step) {
        size_t len = strlen(step);
        if (len < 1 || len > 16 || strspn(step, "0123456789") != len ||
            (update->step.step = strtoull(step, NULL, 10)) > 9007199254740991u)
            return dsc_fail(err, FAULT_INVALID_VALUE, "Descent-Step",
                            "must be a whole number in [0, 9007199254740991], not \"%.40s\"", step);
        update->step.has_step = true;
    }
    if (loss && (!isfinite(strtod(loss, &end)) || end == loss || *end))
        return dsc_fail(err, FAULT_INVALID_VALUE, "Descent-Loss",
                        "must be a finite number, not \"%.40s\"", loss);
    for (int i = 0; dtype && strcmp(dtype, vector_dtypes[update->dtype]) != 0; i++) {
        if (!vector_dtypes[i])
            return dsc_fail(err, FAULT_INVALID_VALUE, "Descent-Dtype",
                            "must be F32, F16 or BF16, not \"%.40s\"", dtype);
        update->dtype = (enum vector_dtype)i;
    }
    return true;
}

static bool wrong_length(size_t expected, size_t got, dsc_err *err)
{
    dsc_fail(err, FAULT_DIMENSION_MISMATCH, "gradient",
             "has %zu numbers; the session has %zu coordinates", got, expected);
    dsc_fail_fact(err, "expected", expected);
    return dsc_fail_fact(err, "got", got);
}

static struct buf *new_vector(size_t n, dsc_err *err)
{
    struct buf *buf = buf_new(n * sizeof(float));

    if (!buf)
        dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the gradient");
    else
        buf->len = n * sizeof(float);
    return buf;
}

static bool read_binary(struct update *update, size_t n, dsc_err *err)
{
    struct buf *body = update->call->request->body;
    size_t each = vector_dtype_bytes(update->dtype), len = body ? body->len : 0;

    if (len % each) {
        dsc_fail(err, FAULT_DIMENSION_MISMATCH, "gradient", "%zu bytes are no whole number of %s",
                 len, vector_dtypes[update->dtype]);
        dsc_fail_fact(err, "expected", n);
        return dsc_fail_fact(err, "got", len / each);
    }
    if (len / each != n)
        return wrong_length(n, len / each, err);
    if (update->dtype == VECTOR_F32) { /* the body is the gradient */
        update->step.gradient = buf_hold(body);
        return true;
    }
    if (!(update->step.gradient = new_vector(n, err)))
        return false;
    vector_from_bytes((float *)(void *)update->step.gradient->data, body->data, n, update->dtype);
    return true;
}

static bool read_json(struct update *update, size_t n, dsc_err *err)
{
    struct call *call = update->call;
    struct buf *body = call->request->body;
    struct update_in in;
    size_t len = body ? body->len : 0, count = 0;
    bool found = false;

    if (!(update->step.gradient = new_vector(n, err)))
        return false;
    if (!vector_extract(body ? (char *)body->data : (char[]) {""}, &len, "gradient",
                        (float *)(void *)update->step.gradient->data, n, &count, &found, err) ||
        !field_decode(&update_in_shape, body ? (const char *)body->data : "", len, &in,
                      &call->arena, err))
        return false;
    update->step.has_step = in.seen.given & null_bit(&update_in_shape, "step");
    update->step.step = (uint64_t)in.step;
    return count == n || wrong_length(n, count, err);
}

static bool answer_json(struct update *update, size_t n, dsc_err *err)
{
    const struct session_step *step = &update->step;
    struct buf *body = buf_new(vector_text_max(n) + 128);

    if (!body)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
    char *text = (char *)body->data;
    size_t len = (size_t)sprintf(text, "{\"update\":");
    len += vector_write(text + len, (const float *)(const void *)step->update->data, n);
    len += (size_t)sprintf(text + len, ",\"step\":%" PRIu64 ",\"replayed\":%s}", step->next,
                           step->replayed ? "true" : "false");
    body->len = len;
    update->call->reply.body = body;
    update->call->reply.content_type = "application/json";
    return true;
}

static bool answer_binary(struct update *update, size_t n, dsc_err *err)
{
    struct reply *reply = &update->call->reply;

    if (update->dtype == VECTOR_F32) {
        reply->body = buf_hold(update->step.update);
    } else {
        size_t bytes = n * vector_dtype_bytes(update->dtype);
        if (!(reply->body = buf_new(bytes)))
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
        vector_to_bytes(reply->body->data, (const float *)(const void *)update->step.update->data,
                        n, update->dtype);
        reply->body->len = bytes;
    }
    reply->content_type = "application/octet-stream";
    reply_header(reply, "Descent-Dtype", "%s", vector_dtypes[update->dtype]);
    return true;
}

/* A replay is not computed, and a `memory` session not committed: 0 there. */
static void count_phases(struct metrics *metrics, const struct session_step *step)
{
    metrics_observe(&metrics->phase[PHASE_QUEUE], step->queue_ns);
    if (step->compute_ns)
        metrics_observe(&metrics->phase[PHASE_COMPUTE], step->compute_ns);
    if (step->persist_ns)
        metrics_observe(&metrics->phase[PHASE_PERSIST], step->persist_ns);
}

static void update_done(struct session_step *step, const dsc_err *failure)
{
    struct update *update = (struct update *)(void *)step; /* its first member */
    struct call *call = update->call;
    dsc_err err = {0};

    if (!failure) {
        size_t n = session_n(update->session);
        count_phases(call->app->metrics, step);
        reply_header(&call->reply, "Descent-Step", "%" PRIu64, step->next);
        reply_header(&call->reply, "Descent-Replayed", "%s", step->replayed ? "true" : "false");
        reply_header(&call->reply, "Server-Timing",
                     "queue;dur=%.3f, compute;dur=%.3f, persist;dur=%.3f",
                     (double)step->queue_ns / 1e6, (double)step->compute_ns / 1e6,
                     (double)step->persist_ns / 1e6);
        if (!(update->json_out ? answer_json : answer_binary)(update, n, &err))
            failure = &err;
    }
    call_finish(call, failure);
}

/* Deferred: a failure found here is answered by the caller, a step's outcome by update_done. */
bool session_update(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct update *update = calloc(1, sizeof *update);
    enum media media;

    (void)in, (void)out;
    if (!update)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the step");
    call->own = update;
    call->own_free = update_free;
    update->call = call;
    update->json_in =
        media_of_type(&media, http_header(call->request, "Content-Type"), MEDIA(MEDIA_JSON));
    update->json_out = call->media == MEDIA_JSON;
    if (!session_load(call->app->sessions, call->param[0], &update->session, call->work, err))
        return false;
    size_t n = session_n(update->session);
    if (!(update->json_in ? read_json(update, n, err)
                          : read_headers(update, err) && read_binary(update, n, err))) {
        buf_drop(update->step.gradient);
        update->step.gradient = NULL;
        return false;
    }
    update->step.limit = update->json_out ? FLT_MAX : vector_dtype_max(update->dtype);
    update->step.done = update_done;
    session_step(call->app->sessions, update->session, &update->step, call->work);
    return true;
}
