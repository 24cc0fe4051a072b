#include "api.h"
#include "collection.h"
#include "fault.h"
#include "shapes.h"
#include <string.h>

/* --- showing --- */

static const char *time_or_null(struct call *call, int64_t ms)
{
    return ms ? call_time(call, ms) : NULL;
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static bool no_memory(dsc_err *err)
{
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
}

static bool show_dataset(struct call *call, const struct dataset *from, struct dataset_body *out,
                         dsc_err *err)
{
    struct dataset_file_body *const file =
        dsc_arena_take(&call->arena, from->files + 1, sizeof *file);

    if (!file)
        return no_memory(err);
    for (size_t i = 0; i < from->files; i++) {
        file[i].name = from->file[i].name;
        file[i].sha256 = text_or_null(from->file[i].sha256);
        file[i].size_bytes = from->file[i].size_bytes;
    }
    out->name = from->name;
    out->source = from->read_only ? "folder" : "upload";
    out->state = from->format[0] ? "ready" : "open";
    out->format = text_or_null(from->format);
    out->target = text_or_null(from->target);
    out->files = (struct field_list) {from->files, file};
    out->created_at = time_or_null(call, from->created_at);
    out->committed_at = time_or_null(call, from->committed_at);
    return true;
}

bool dataset_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    struct dataset dataset;

    (void)in;
    return collection_find(call->app->collection, call->param[0], &dataset, &call->arena, err) &&
           show_dataset(call, &dataset, out, err);
}

bool dataset_page(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *const out = out_;
    struct dataset *dataset;
    const char *after;
    size_t size, count;
    bool more;

    (void)in;
    if (!call_page(call, &size, &after, err) ||
        !collection_list(call->app->collection, after[0] ? after : NULL, size, &dataset, &count,
                         &more, &call->arena, err))
        return false;
    struct dataset_body *const item = dsc_arena_take(&call->arena, count + 1, sizeof *item);
    if (!item)
        return no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!show_dataset(call, &dataset[i], &item[i], err))
            return false;
    out->items = (struct field_list) {count, item};
    return call_page_end(call, more ? dataset[count - 1].name : "", out, err);
}

/* --- changing --- */

bool dataset_remove(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in, (void)out;
    return collection_delete(call->app->collection, call->param[0], err);
}

bool dataset_close(struct call *call, const void *in_, void *out, dsc_err *err)
{
    const struct dataset_commit_body *const in = in_;
    struct dataset dataset;

    return collection_commit(call->app->collection, call->param[0], (enum dataset_format)in->format,
                             in->target ? in->target : "", &dataset, &call->arena, err) &&
           show_dataset(call, &dataset, out, err);
}

static void free_upload(void *upload)
{
    upload_free(upload);
}

/* What has come so far goes to the disk. */
static bool take_bytes(struct call *call, dsc_err *err)
{
    const struct buf *const body = call->request->body;
    struct upload *upload = call->own;

    if (!upload &&
        !upload_open(&upload, call->app->collection, call->param[0], call->param[1], err))
        return false;
    call->own = upload;
    call->own_free = free_upload;
    return !body || upload_write(upload, body->data, body->len, err);
}

bool dataset_file_piece(struct call *call, dsc_err *err)
{
    return take_bytes(call, err);
}

bool dataset_file_put(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct dataset_file_body *const out = out_;
    struct dataset_file_row row;
    bool replaced;

    (void)in;
    if (!take_bytes(call, err) || !upload_finish(call->own, &row, &replaced, err))
        return false;
    out->name = row.name;
    out->sha256 = row.sha256;
    out->size_bytes = row.size_bytes;
    call->reply.status = replaced ? 200 : 201;
    if (!replaced)
        reply_header(&call->reply, "Location", "/v1/datasets/%s", call->param[0]);
    return true;
}
