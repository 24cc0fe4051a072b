#include "api.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include "vector.h"

bool livez_get(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct health *out = out_;

    (void)call, (void)in, (void)err;
    out->status = "ok";
    return true;
}

static bool queues_have_room(struct app *app, dsc_err *err)
{
    const struct journal_usage journal = journal_usage(app->journal);

    if (pool_waiting(app->compute) < LIMIT_POOL_QUEUE &&
        pool_waiting(app->control) < LIMIT_POOL_QUEUE && journal.waiting < LIMIT_JOURNAL_QUEUE)
        return true;
    return dsc_fail(err, FAULT_OVERLOADED, "", "a queue is full");
}

/* Could a step be taken now, and kept? */
bool readyz_get(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct health *out = out_;

    (void)in;
    if (atomic_load(&call->app->draining))
        return dsc_fail(err, FAULT_DRAINING, "", "the server is stopping");
    out->status = "ok";
    return queues_have_room(call->app, err) && store_probe(call->app->store, err);
}

static bool list_families(struct call *call, struct field_list *list)
{
    size_t count = 0;

    while (dsc_families[count])
        count++;
    struct family_body *item = dsc_arena_take(&call->arena, count, sizeof *item);
    for (size_t i = 0; item && i < count; i++) {
        const dsc_family *family = dsc_families[i];
        dsc_hyper hyper;
        dsc_hyper_init(&hyper, family->hyper);
        item[i].name = family->name;
        item[i].doc = family->doc;
        item[i].source = family->source;
        item[i].learned = family->phi_layout != NULL;
        item[i].config = field_hyper_encode(&hyper, &call->arena);
    }
    *list = (struct field_list) {item ? count : 0, item};
    return item != NULL;
}

static bool list_problems(struct call *call, struct field_list *list)
{
    size_t count = 0;

    while (dsc_problems[count])
        count++;
    const char **name = dsc_arena_take(&call->arena, count, sizeof *name);
    for (size_t i = 0; name && i < count; i++)
        name[i] = dsc_problems[i]->name;
    *list = (struct field_list) {name ? count : 0, name};
    return name != NULL;
}

static bool list_dtypes(struct call *call, struct field_list *list)
{
    size_t count = 0;

    while (vector_dtypes[count])
        count++;
    const char **name = dsc_arena_take(&call->arena, count, sizeof *name);
    for (size_t i = 0; name && i < count; i++)
        name[i] = vector_dtypes[i];
    *list = (struct field_list) {name ? count : 0, name};
    return name != NULL;
}

bool info_get(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct info *out = out_;

    (void)in;
    out->name = "descent";
    out->version = DESCENT_VERSION;
    out->kernel = call->app->kernel->name;
    out->arithmetic = call->app->kernel->arithmetic;
    out->limits = (struct limits_body) {
        .coordinates_max = LIMIT_COORDINATES,
        .body_bytes_max = LIMIT_BODY_BYTES,
        .json_body_bytes_max = LIMIT_JSON_BODY_BYTES,
        .sessions_max = LIMIT_SESSIONS,
        .layout_entries_max = LIMIT_LAYOUT_ENTRIES,
        .page_size_max = LIMIT_PAGE,
        .dense_memory_coordinates_max = LIMIT_DENSE_COORDINATES,
    };
    return (list_families(call, &out->families) && list_problems(call, &out->problems) &&
            list_dtypes(call, &out->dtypes)) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reply");
}

bool openapi_get(struct call *call, const void *in, void *out, dsc_err *err)
{
    (void)in, (void)out, (void)err;
    call->reply.body = buf_hold(call->app->openapi);
    call->reply.content_type = media_type(MEDIA_JSON);
    return true;
}
