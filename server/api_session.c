#include "api.h"
#include "clock.h"
#include "condition.h"
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
        out->seen.null |= field_bit(&session_shape, "ttl_seconds");
    if (row->clip_norm == 0)
        out->seen.null |= field_bit(&session_shape, "clip_norm");
    return true;
}

bool session_show(struct call *call, const struct session_row *row, struct session_body *out,
                  dsc_err *err)
{
    const uint64_t bit = field_bit(&session_shape, "layout");

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
        .claim = call->claim,
    };

    if (!layout_read(call, in, &row, err) ||
        !registry_resolve(call->app->registry, in->optimizer, &version, &call->arena, err))
        return false;
    row.version_id = version.id;
    if (!session_create(call->app->sessions, &row, &call->arena, err) ||
        !store_session_find(call->app->store, row.id, &row, &call->arena, err) ||
        !session_show(call, &row, out, err))
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
        !session_show(call, &row, out, err))
        return false;
    reply_header(&call->reply, "ETag", "\"%lld\"", (long long)out->step);
    return true;
}

/* --- listings --- */

/* ?optimizer=, ?state= and ?label.NAME= of a request, and the first thing that is wrong with them.
 */
struct filters {
    struct session_filter store;
    const char *state; /* "active", "expired", or NULL: either */
    dsc_err err;
};

static void read_label(void *arg, const char *name, const char *value)
{
    struct filters *const filters = arg;

    if (strncmp(name, "label.", 6) != 0 || filters->err.code)
        return;
    if (filters->store.labels == LIMIT_LABEL_FILTERS)
        dsc_fail(&filters->err, FAULT_INVALID_VALUE, name,
                 "is one filter more than the %d there "
                 "may be",
                 LIMIT_LABEL_FILTERS);
    else
        filters->store.label[filters->store.labels++] =
            (struct label_filter) {name + 6, value ? value : ""};
}

/* A name means every version of it; name:7 and name@alias that version. */
static bool read_optimizer(struct call *call, const char *reference, struct session_filter *filter,
                           dsc_err *err)
{
    struct optimizer_row optimizer;
    struct version_row version;

    if (!strpbrk(reference, ":@") && registry_name_ok(reference)) {
        if (!store_optimizer_find(call->app->store, reference, &optimizer, &call->arena, err))
            return false;
        filter->optimizer_id = optimizer.id;
        return true;
    }
    if (!registry_resolve(call->app->registry, reference, &version, &call->arena, err))
        return false;
    filter->version_id = version.id;
    return true;
}

static bool read_filters(struct call *call, struct filters *filters, dsc_err *err)
{
    const char *const optimizer = http_query(call->request, "optimizer");

    filters->state = http_query(call->request, "state");
    if (filters->state && strcmp(filters->state, "active") != 0 &&
        strcmp(filters->state, "expired") != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, "state",
                        "must be active or expired, not \"%.40s\"", filters->state);
    if (filters->state && filters->state[0] == 'e')
        filters->store.expired_at = clock_ms();
    http_query_each(call->request, read_label, filters);
    if (filters->err.code)
        return dsc_fail(err, filters->err.code, filters->err.where, "%s", filters->err.text);
    return !optimizer || read_optimizer(call, optimizer, &filters->store, err);
}

/* The sessions of a page, but for those that leave meanwhile or are of another state than their
 * rows knew; *shown of them. */
static bool show_page(struct call *call, const struct session_row *row, size_t count,
                      const char *state, struct session_body *item, size_t *shown, dsc_err *err)
{
    *shown = 0;
    for (size_t i = 0; i < count; i++) {
        dsc_err why = {0};
        if (show_session(call, &row[i], &item[*shown], &why)) {
            *shown += !state || strcmp(state, item[*shown].state) == 0;
        } else if (why.code != FAULT_NOT_FOUND) {
            *err = why;
            return false;
        }
        if (*shown < count)
            item[*shown] = (struct session_body) {.step = 0};
    }
    return true;
}

bool session_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *out = out_;
    struct filters filters = {.state = NULL};
    struct session_row *row;
    const char *after;
    size_t size, count, shown;
    char key[24] = "";

    (void)in;
    if (!call_page(call, &size, &after, err) || !read_filters(call, &filters, err))
        return false;
    int64_t cursor = strtoll(after, NULL, 10);
    if (!store_session_list(call->app->store, &filters.store, &cursor, size, &row, &count,
                            &call->arena, err))
        return false;
    struct session_body *item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    if (!show_page(call, row, count, filters.state, item, &shown, err))
        return false;
    if (cursor)
        snprintf(key, sizeof key, "%lld", (long long)cursor);
    out->items = (struct field_list) {shown, item};
    return call_page_end(call, key, out, err);
}

/* --- change --- */

/* In the session's turn, so that its step is what If-Match compares, and its ttl nobody's else. */
static bool patch_session(struct call *call, struct session *session,
                          const struct session_patch *in, dsc_err *err)
{
    const struct shape *const shape = &session_patch_shape;
    struct store *const store = call->app->store;
    struct session_row row;
    char tag[24];

    (void)snprintf(tag, sizeof tag, "\"%" PRIu64 "\"", session_step_now(session));
    if (!condition_holds(http_header(call->request, "If-Match"),
                         http_header(call->request, "If-None-Match"), tag, err) ||
        !store_session_find(store, call->param[0], &row, &call->arena, err))
        return false;
    if (in->seen.given & field_bit(shape, "labels") &&
        !labels_patch(call, row.labels, in->labels, &row.labels, err))
        return false;
    if (!(in->seen.given & field_bit(shape, "ttl_seconds")))
        return store_session_update(store, &row, err);
    row.ttl_seconds = in->ttl_seconds;
    row.used_at = clock_ms();
    if (!store_session_update(store, &row, err))
        return false;
    session_set_ttl(session, row.ttl_seconds, row.used_at);
    return true;
}

bool session_patch(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct sessions *const sessions = call->app->sessions;
    struct session *session = NULL;

    if (!session_load(sessions, call->param[0], &session, call->work, err))
        return false;
    bool ok = session_enter(sessions, session, err);
    if (ok) {
        ok = patch_session(call, session, in, err);
        session_leave(sessions, session);
    }
    session_drop(sessions, session);
    return ok && session_get(call, NULL, out, err);
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
           session_show(call, &row, out, err);
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

/* Descent-Step, Descent-Loss and Descent-Dtype, of a request in either format. */
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
    update->step.loss = loss ? strtod(loss, &end) : (double)NAN;
    if (loss && (strspn(loss, "+-.0123456789eE") != strlen(loss) || /* no hexadecimal */
                 !isfinite(update->step.loss) || end == loss || *end))
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

/* The body's step; a header that says another may not be passed over, as it guards the request. */
static bool take_step(struct update *update, const struct update_in *in, dsc_err *err)
{
    if (!(in->seen.given & field_bit(&update_in_shape, "step")))
        return true;
    if (update->step.has_step && update->step.step != (uint64_t)in->step)
        return dsc_fail(err, FAULT_INVALID_VALUE, "Descent-Step",
                        "is %" PRIu64 ", and the body's step is %" PRId64, update->step.step,
                        in->step);
    update->step.has_step = true;
    update->step.step = (uint64_t)in->step;
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
    if (in.seen.given & field_bit(&update_in_shape, "loss"))
        update->step.loss = in.loss;
    return take_step(update, &in, err) && (count == n || wrong_length(n, count, err));
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
    if (!read_headers(update, err) ||
        !(update->json_in ? read_json : read_binary)(update, n, err)) {
        buf_drop(update->step.gradient);
        update->step.gradient = NULL;
        return false;
    }
    update->step.limit = update->json_out ? FLT_MAX : vector_dtype_max(update->dtype);
    update->step.done = update_done;
    session_step(call->app->sessions, update->session, &update->step, call->work);
    return true;
}
