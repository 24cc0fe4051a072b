#include "api.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- jobs --- */

static const char *time_or_null(struct call *call, int64_t ms)
{
    return ms ? call_time(call, ms) : NULL;
}

static bool show_job(struct call *call, const struct job_row *row, struct job_body *out,
                     dsc_err *err)
{
    out->id = row->id;
    out->type = (int)row->type;
    out->state = (int)row->state;
    out->spec = row->spec;
    out->result = row->result[0] ? row->result : NULL;
    out->created_at = call_time(call, row->created_at);
    out->started_at = time_or_null(call, row->started_at);
    out->finished_at = time_or_null(call, row->finished_at);
    progress_show(row, &out->progress);
    if (!row->error[0])
        out->seen.null |= field_bit(&job_shape, "error");
    return !row->error[0] || field_decode(&job_error_shape, row->error, strlen(row->error),
                                          &out->error, &call->arena, err);
}

bool job_post(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct job_new *const in = in_;
    struct job_row row = {.claim = call->claim};

    if (!job_submit(call->app->jobs, (enum job_type)in->type, in->text, strlen(in->text), &row,
                    &call->arena, err))
        return false;
    reply_header(&call->reply, "Location", "/v1/jobs/%s", row.id);
    return show_job(call, &row, out, err);
}

bool job_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct job_row row;

    (void)in;
    return store_job_find(call->app->store, call->param[0], &row, &call->arena, err) &&
           show_job(call, &row, out, err);
}

/* The next page begins behind the item of this number; 0 when there is none. */
static bool page_end(struct call *call, int64_t after, struct page_body *out, dsc_err *err)
{
    char key[24] = "";

    if (after)
        (void)snprintf(key, sizeof key, "%" PRId64, after);
    return call_page_end(call, key, out, err);
}

bool job_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *const out = out_;
    struct job_row *row;
    const char *after;
    size_t size, count;
    bool more;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !store_job_list(call->app->store, strtoll(after, NULL, 10), size, &row, &count, &more,
                        &call->arena, err))
        return false;
    struct job_body *const item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (size_t i = 0; i < count; i++)
        if (!show_job(call, &row[i], &item[i], err))
            return false;
    out->items = (struct field_list) {count, item};
    return page_end(call, more ? row[count - 1].seq : 0, out, err);
}

bool job_remove(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in, (void)out;
    return job_delete(call->app->jobs, call->param[0], err);
}

bool job_abort(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct job_row row;

    (void)in;
    return job_cancel(call->app->jobs, call->param[0], &row, &call->arena, err) &&
           show_job(call, &row, out, err);
}

bool job_hold(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct job_row row;

    (void)in;
    return job_pause(call->app->jobs, call->param[0], &row, &call->arena, err) &&
           show_job(call, &row, out, err);
}

bool job_release(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct job_row row;

    (void)in;
    return job_resume(call->app->jobs, call->param[0], &row, &call->arena, err) &&
           show_job(call, &row, out, err);
}

/* --- events --- */

/* What a client wants of the events: those after the last one that it has seen, a page of them. */
struct wish {
    int64_t after;
    size_t size;
};

static bool read_last(const struct call *call, int64_t *after, dsc_err *err)
{
    const char *const last = http_header(call->request, "Last-Event-ID");
    const size_t len = last ? strlen(last) : 0;

    if (!last)
        return true;
    if (len < 1 || len > 15 || strspn(last, "0123456789") != len)
        return dsc_fail(err, FAULT_MALFORMED_HEADER, "Last-Event-ID",
                        "must be the id of an event, not \"%.40s\"", last);
    *after = strtoll(last, NULL, 10);
    return true;
}

static bool read_wish(struct call *call, struct wish *out, dsc_err *err)
{
    const char *token;

    if (!call_page(call, &out->size, &token, err) ||
        !call_query_int(call, "after", 0, &out->after, err))
        return false;
    if (token[0])
        out->after = strtoll(token, NULL, 10);
    return read_last(call, &out->after, err);
}

static bool follow(struct call *call, const struct job_row *row, int64_t after, dsc_err *err)
{
    if (!watch_job(call->app->watchers, row->seq, after, &call->reply.stream, err))
        return false;
    call->reply.content_type = media_type(MEDIA_EVENTS);
    reply_header(&call->reply, "Cache-Control", "no-store");
    reply_header(&call->reply, "X-Accel-Buffering", "no"); /* nginx would wait for more */
    return true;
}

static bool show_events(struct call *call, const struct event_row *row, size_t count,
                        struct page_body *out, dsc_err *err)
{
    struct event_body *const item = dsc_arena_take(&call->arena, count + 1, sizeof *item);

    for (size_t i = 0; item && i < count; i++) {
        item[i].id = row[i].id;
        item[i].event = (int)row[i].kind;
        item[i].data = row[i].data;
        item[i].at = call_time(call, row[i].at);
    }
    out->items = (struct field_list) {count, item};
    return item || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
}

static bool page_of_events(struct call *call, const struct job_row *row, const struct wish *wish,
                           struct page_body *out, dsc_err *err)
{
    struct event_row *event;
    size_t count;

    if (!store_event_list(call->app->store, row->seq, wish->after, wish->size, &event, &count,
                          &call->arena, err) ||
        !show_events(call, event, count, out, err))
        return false;
    return page_end(call, count == wish->size ? event[count - 1].id : 0, out, err);
}

bool job_events(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct job_row row;
    struct wish wish;

    (void)in;
    if (!read_wish(call, &wish, err) ||
        !store_job_find(call->app->store, call->param[0], &row, &call->arena, err))
        return false;
    return call->media == MEDIA_EVENTS ? follow(call, &row, wish.after, err)
                                       : page_of_events(call, &row, &wish, out, err);
}
