/* api_layout.c -- a session's layout, between the client's list and the rows that are stored */
#include "api.h"
#include "fault.h"
#include "limits.h"
#include "shapes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_BYTES = 8 * 9 }; /* eight dimensions of up to eight digits */

/* --- from the client --- */

/* Adds the entry's coordinates to *n; the bound is checked before a product can overflow. */
static bool count_entry(const struct layout_entry *entry, size_t i, int64_t *n, dsc_err *err)
{
    const int64_t *const dim = entry->shape.items;
    char where[64];
    int64_t size = 1;

    for (size_t d = 0; d < entry->shape.count && size <= LIMIT_COORDINATES; d++)
        size *= dim[d];
    *n += size;
    if (*n <= LIMIT_COORDINATES)
        return true;
    (void)snprintf(where, sizeof where, "layout[%zu].shape", i);
    return dsc_fail(err, FAULT_INVALID_VALUE, where, "the layout has more than %d coordinates",
                    LIMIT_COORDINATES);
}

/* [784, 20]: "784,20". */
static const char *shape_text(struct call *call, const struct field_list *shape)
{
    const int64_t *const dim = shape->items;
    char text[SHAPE_BYTES + 16] = "";
    size_t len = 0;

    for (size_t d = 0; d < shape->count; d++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%" PRId64, d ? "," : "", dim[d]);
    return dsc_arena_text(&call->arena, text, len);
}

/* The version that an entry names. Neighbours mostly name the same, which is looked up once. */
static bool pin(struct call *call, const struct layout_entry *entry, size_t i,
                struct tensor_row *tensor, dsc_err *err)
{
    struct version_row version;
    dsc_err inner = {0};
    char where[64];

    if (!entry[i].optimizer)
        return true;
    if (i > 0 && entry[i - 1].optimizer &&
        strcmp(entry[i - 1].optimizer, entry[i].optimizer) == 0) {
        tensor->version_id = tensor[-1].version_id;
        return true;
    }
    if (registry_resolve(call->app->registry, entry[i].optimizer, &version, &call->arena, &inner)) {
        tensor->version_id = version.id;
        return true;
    }
    (void)snprintf(where, sizeof where, "layout[%zu].optimizer", i);
    return dsc_fail(err, inner.code, where, "%s", inner.text);
}

static bool read_entries(struct call *call, const struct session_new *in, struct session_row *row,
                         dsc_err *err)
{
    const struct layout_entry *const entry = in->layout.items;

    for (size_t i = 0; i < in->layout.count; i++, row->tensors++) {
        struct tensor_row *const tensor = &row->tensor[i];

        tensor->name = entry[i].name;
        tensor->shape = shape_text(call, &entry[i].shape);
        if (!tensor->shape)
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the layout");
        if (!count_entry(&entry[i], i, &row->coordinates, err) || !pin(call, entry, i, tensor, err))
            return false;
    }
    return true;
}

bool layout_read(struct call *call, const struct session_new *in, struct session_row *row,
                 dsc_err *err)
{
    if ((in->coordinates != 0) == (in->layout.count != 0))
        return dsc_fail(err, FAULT_INVALID_VALUE, "coordinates",
                        "give exactly one of coordinates and layout");
    row->coordinates = in->coordinates;
    row->tensor = dsc_arena_take(&call->arena, in->layout.count + 1, sizeof *row->tensor);
    if (!row->tensor)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the layout");
    return read_entries(call, in, row, err);
}

/* --- to the client --- */

static bool show_shape(struct call *call, const char *text, struct field_list *out)
{
    int64_t *const dim = dsc_arena_take(&call->arena, strlen(text) + 1, sizeof *dim);

    out->items = dim;
    for (char *end; dim && *text; text = *end ? end + 1 : end)
        dim[out->count++] = strtoll(text, &end, 10);
    return dim != NULL;
}

bool layout_show(struct call *call, const struct session_row *row, struct session_body *out,
                 dsc_err *err)
{
    struct layout_entry *const entry =
        dsc_arena_take(&call->arena, row->tensors + 1, sizeof *entry);

    for (size_t i = 0; entry && i < row->tensors; i++) {
        const struct tensor_row *const tensor = &row->tensor[i];

        entry[i].seen.given = UINT64_MAX;
        entry[i].name = tensor->name;
        entry[i].optimizer = tensor->optimizer ? tensor->optimizer : row->optimizer;
        if (!show_shape(call, tensor->shape, &entry[i].shape))
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the layout");
    }
    out->layout = (struct field_list) {row->tensors, entry};
    return entry || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the layout");
}
