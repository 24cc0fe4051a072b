#include "api.h"
#include "fault.h"
#include "jsontext.h"
#include "shapes.h"
#include <string.h>

static const char *const kinds[] = {
    [DSC_HYPER_INT] = "integer",   [DSC_HYPER_REAL] = "number",     [DSC_HYPER_WORD] = "word",
    [DSC_HYPER_LIST] = "integers", [DSC_HYPER_DATASET] = "dataset",
};

static size_t count_words(const char *const *words)
{
    size_t count = 0;

    while (words && words[count])
        count++;
    return count;
}

static bool append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* A list has nothing in it at first, or `initial` alone. */
static bool append_default(struct buf *out, const dsc_hyper_spec *row)
{
    char number[JSONTEXT_REAL_MAX];
    const size_t len = jsontext_real(number, row->initial);

    switch (row->kind) {
    case DSC_HYPER_INT:
    case DSC_HYPER_REAL:
        return buf_append(out, number, len);
    case DSC_HYPER_WORD:
        return jsontext_string(out, row->words[(size_t)row->initial],
                               strlen(row->words[(size_t)row->initial]));
    case DSC_HYPER_LIST:
        return append_text(out, "[") && (row->initial == 0 || buf_append(out, number, len)) &&
               append_text(out, "]");
    case DSC_HYPER_DATASET:
        return append_text(out, "null"); /* it must be named */
    }
    return false;
}

/* The row's default as JSON, from the arena. */
static const char *show_default(const dsc_hyper_spec *row, dsc_arena *arena)
{
    struct buf *const text = buf_new(64);
    const char *const copy = text && append_default(text, row)
                                 ? dsc_arena_text(arena, (const char *)text->data, text->len)
                                 : NULL;

    buf_drop(text);
    return copy;
}

/* The row's range: two numbers, or null for what has none. */
static bool show_range(const dsc_hyper_spec *row, struct parameter_body *out, dsc_arena *arena)
{
    double *const range = dsc_arena_take(arena, 2, sizeof *range);

    if (row->kind == DSC_HYPER_WORD || row->kind == DSC_HYPER_DATASET)
        out->seen.null |= field_bit(&parameter_shape, "range");
    if (!range)
        return false;
    range[0] = row->min;
    range[1] = row->max;
    out->range = (struct field_list) {2, range};
    return true;
}

static bool show_parameter(const dsc_hyper_spec *row, struct parameter_body *out, dsc_arena *arena)
{
    out->name = row->name;
    out->kind = kinds[row->kind];
    out->initial = show_default(row, arena);
    out->meaning = row->doc;
    out->words = (struct field_list) {count_words(row->words), (void *)(uintptr_t)row->words};
    return out->initial && show_range(row, out, arena);
}

static size_t count_rows(const dsc_hyper_spec *rows)
{
    size_t count = 0;

    while (rows[count].name)
        count++;
    return count;
}

static bool show_problem(const dsc_problem *problem, struct problem_kind *out, dsc_arena *arena)
{
    const size_t count = count_rows(problem->hyper);
    struct parameter_body *const list = dsc_arena_take(arena, count + 1, sizeof *list);

    out->type = problem->name;
    out->doc = problem->doc;
    out->source = problem->source;
    out->parameters = (struct field_list) {count, list};
    for (size_t i = 0; list && i < count; i++)
        if (!show_parameter(&problem->hyper[i], &list[i], arena))
            return false;
    return list != NULL;
}

bool problem_list(struct call *call, const void *in, void *out_, dsc_err *err)
{
    struct page_body *const out = out_;
    struct problem_kind *list;
    size_t count = 0;
    bool ok;

    (void)in;
    while (dsc_problems[count])
        count++;
    list = dsc_arena_take(&call->arena, count + 1, sizeof *list);
    ok = list != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = show_problem(dsc_problems[i], &list[i], &call->arena);
    out->items = (struct field_list) {count, list};
    out->next_page_token = "";
    return ok || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the problems");
}
