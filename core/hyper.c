/* hyper.c -- checking what a person chose against the rows of a table */
#include "hyper.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 128 }; /* of names in a sentence; a longer list is cut */

void dsc_hyper_init(dsc_hyper *hyper, const dsc_hyper_spec *spec)
{
    *hyper = (dsc_hyper) {.spec = spec};
    for (int row = 0, lists = 0; spec[row].name; row++) {
        assert(row < DSC_HYPER_MAX);
        hyper->value[row] = spec[row].initial;
        if (spec[row].kind == DSC_HYPER_LIST) {
            assert(lists < DSC_HYPER_LISTS);
            hyper->list[lists].count = spec[row].initial != 0;
            hyper->list[lists].item[0] = spec[row].initial;
            hyper->value[row] = lists++;
        }
    }
}

int dsc_hyper_find(const dsc_hyper_spec *spec, const char *name)
{
    for (int row = 0; spec[row].name; row++)
        if (strcmp(spec[row].name, name) == 0)
            return row;
    return -1;
}

/* Append ", word" to a list, or as much of it as there is room for. */
static void list_add(char list[LIST_BYTES], const char *word)
{
    const size_t used = strlen(list);

    (void)snprintf(list + used, LIST_BYTES - used, "%s%s", used ? ", " : "", word);
}

static bool fail_unknown(const dsc_hyper_spec *spec, const char *name, dsc_err *err)
{
    char list[LIST_BYTES] = "";

    for (; spec->name; spec++)
        list_add(list, spec->name);
    return dsc_fail(err, DSC_EINVAL, name, "is not a parameter; there are: %s", list);
}

static bool fail_word(const dsc_hyper_spec *row, dsc_err *err)
{
    char list[LIST_BYTES] = "";

    for (const char *const *word = row->words; *word; word++)
        list_add(list, *word);
    return dsc_fail(err, DSC_EINVAL, row->name, "must be one of: %s", list);
}

static bool fail_range(const dsc_hyper_spec *row, dsc_err *err)
{
    if (row->kind == DSC_HYPER_DATASET)
        return dsc_fail(err, DSC_EINVAL, row->name, "must be the name of a dataset");
    if (row->kind == DSC_HYPER_LIST)
        return dsc_fail(err, DSC_EINVAL, row->name,
                        "must be a list of at most %d whole numbers in [%.9g, %.9g]",
                        DSC_HYPER_LIST_MAX, row->min, row->max);
    return dsc_fail(err, DSC_EINVAL, row->name, "must be %s in %c%.9g, %.9g]",
                    row->kind == DSC_HYPER_INT ? "a whole number" : "a number",
                    row->open ? '(' : '[', row->min, row->max);
}

static bool in_range(const dsc_hyper_spec *row, double value)
{
    const bool above = row->open ? value > row->min : value >= row->min;

    /* A NaN fails both comparisons. */
    return above && value <= row->max && (row->kind == DSC_HYPER_REAL || value == floor(value));
}

bool dsc_hyper_set_number(dsc_hyper *hyper, const char *name, double value, dsc_err *err)
{
    const int row = dsc_hyper_find(hyper->spec, name);

    if (row < 0)
        return fail_unknown(hyper->spec, name, err);
    if (hyper->spec[row].kind == DSC_HYPER_WORD)
        return fail_word(&hyper->spec[row], err);
    if (hyper->spec[row].kind == DSC_HYPER_LIST || hyper->spec[row].kind == DSC_HYPER_DATASET)
        return fail_range(&hyper->spec[row], err);
    if (!in_range(&hyper->spec[row], value))
        return fail_range(&hyper->spec[row], err);
    hyper->value[row] = value;
    return true;
}

static bool set_dataset(dsc_hyper *hyper, const dsc_hyper_spec *row, const char *name, dsc_err *err)
{
    const size_t len = strlen(name);

    if (len < 1 || len > DSC_HYPER_NAME_MAX)
        return dsc_fail(err, DSC_EINVAL, row->name, "must have 1 to %d bytes", DSC_HYPER_NAME_MAX);
    memcpy(hyper->dataset_name, name, len + 1);
    hyper->dataset = NULL;
    return true;
}

bool dsc_hyper_set_word(dsc_hyper *hyper, const char *name, const char *word, dsc_err *err)
{
    const int row = dsc_hyper_find(hyper->spec, name);

    if (row < 0)
        return fail_unknown(hyper->spec, name, err);
    if (hyper->spec[row].kind == DSC_HYPER_DATASET)
        return set_dataset(hyper, &hyper->spec[row], word, err);
    if (hyper->spec[row].kind != DSC_HYPER_WORD)
        return fail_range(&hyper->spec[row], err);
    for (int i = 0; hyper->spec[row].words[i]; i++) {
        if (strcmp(hyper->spec[row].words[i], word) == 0) {
            hyper->value[row] = i;
            return true;
        }
    }
    return fail_word(&hyper->spec[row], err);
}

bool dsc_hyper_check(const dsc_hyper *hyper, dsc_err *err)
{
    for (int row = 0; hyper->spec[row].name; row++) {
        const dsc_hyper_spec *const spec = &hyper->spec[row];
        const int other = spec->at_most ? dsc_hyper_find(hyper->spec, spec->at_most) : -1;

        if (other >= 0 && hyper->value[row] > hyper->value[other])
            return dsc_fail(err, DSC_EINVAL, spec->name, "must be at most %s, which is %.9g",
                            spec->at_most, hyper->value[other]);
    }
    return true;
}

const char *dsc_hyper_word(const dsc_hyper *hyper, int row)
{
    assert(hyper->spec[row].kind == DSC_HYPER_WORD);
    return hyper->spec[row].words[(int)hyper->value[row]];
}

bool dsc_hyper_set_list(dsc_hyper *hyper, const char *name, const double *items, size_t count,
                        dsc_err *err)
{
    const int row = dsc_hyper_find(hyper->spec, name);
    dsc_hyper_list *list;

    if (row < 0)
        return fail_unknown(hyper->spec, name, err);
    if (hyper->spec[row].kind == DSC_HYPER_WORD)
        return fail_word(&hyper->spec[row], err);
    if (hyper->spec[row].kind != DSC_HYPER_LIST || count > DSC_HYPER_LIST_MAX)
        return fail_range(&hyper->spec[row], err);
    for (size_t i = 0; i < count; i++)
        if (!(items[i] >= hyper->spec[row].min && items[i] <= hyper->spec[row].max &&
              items[i] == floor(items[i])))
            return fail_range(&hyper->spec[row], err);
    list = &hyper->list[(int)hyper->value[row]];
    list->count = (int)count;
    for (size_t i = 0; i < count; i++)
        list->item[i] = items[i];
    return true;
}

const dsc_hyper_list *dsc_hyper_list_at(const dsc_hyper *hyper, int row)
{
    assert(hyper->spec[row].kind == DSC_HYPER_LIST);
    return &hyper->list[(int)hyper->value[row]];
}

bool dsc_hyper_has_dataset(const dsc_hyper_spec *spec)
{
    while (spec->name && spec->kind != DSC_HYPER_DATASET)
        spec++;
    return spec->name != NULL;
}
