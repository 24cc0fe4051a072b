/* layout.c -- naming the parts of a flat array */
#include "layout.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* "lstm.bias_ih_l%d", 3 -> "lstm.bias_ih_l3". By hand, because a format that is not a literal is a
 * format that no compiler checks. */
static void name_write(char *out, size_t size, const char *name, int index)
{
    const char *const hole = strstr(name, "%d");
    const int len = hole
                        ? snprintf(out, size, "%.*s%d%s", (int)(hole - name), name, index, hole + 2)
                        : snprintf(out, size, "%s", name);

    assert(len > 0 && (size_t)len < size);
}

static size_t shape_len(int rank, const size_t shape[DSC_RANK_MAX])
{
    size_t len = 1;

    for (int i = 0; i < rank; i++) {
        const bool overflows = __builtin_mul_overflow(len, shape[i], &len);

        assert(!overflows);
        (void)overflows;
    }
    return len;
}

void dsc_layout_add(dsc_layout *layout, const char *name, int index, int rank, size_t rows,
                    size_t cols)
{
    dsc_tensor *tensor;

    assert(layout->count < DSC_TENSORS_MAX && rank >= 0 && rank <= DSC_RANK_MAX);
    tensor = &layout->tensor[layout->count++];
    *tensor = (dsc_tensor) {.rank = rank, .offset = layout->len};
    name_write(tensor->name, sizeof tensor->name, name, index);
    if (rank > 0)
        tensor->shape[0] = rows;
    if (rank > 1)
        tensor->shape[1] = cols;
    tensor->len = shape_len(rank, tensor->shape);
    assert(tensor->len <= (size_t)-1 - layout->len);
    layout->len += tensor->len;
}

const dsc_tensor *dsc_layout_find(const dsc_layout *layout, const char *name)
{
    for (int i = 0; i < layout->count; i++)
        if (strcmp(layout->tensor[i].name, name) == 0)
            return &layout->tensor[i];
    return NULL;
}

static bool same_shape(const dsc_tensor *a, const dsc_tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
}

/* "[80, 20]", "[80]" or "[]". */
static void shape_write(char *out, size_t size, const dsc_tensor *tensor)
{
    if (tensor->rank == 0)
        (void)snprintf(out, size, "[]");
    else if (tensor->rank == 1)
        (void)snprintf(out, size, "[%zu]", tensor->shape[0]);
    else
        (void)snprintf(out, size, "[%zu, %zu]", tensor->shape[0], tensor->shape[1]);
}

static bool fail_shape(const dsc_tensor *want, const dsc_tensor *got, dsc_err *err)
{
    char expected[48], actual[48];

    shape_write(expected, sizeof expected, want);
    shape_write(actual, sizeof actual, got);
    return dsc_fail(err, DSC_EWEIGHTS, got->name, "must have shape %s, not %s", expected, actual);
}

bool dsc_layout_match(const dsc_layout *file, const dsc_layout *want, dsc_err *err)
{
    for (int i = 0; i < want->count; i++) {
        const dsc_tensor *const got = dsc_layout_find(file, want->tensor[i].name);

        if (!got)
            return dsc_fail(err, DSC_EWEIGHTS, want->tensor[i].name, "is missing");
        if (!same_shape(&want->tensor[i], got))
            return fail_shape(&want->tensor[i], got, err);
    }
    for (int i = 0; i < file->count; i++) {
        const char *const name = file->tensor[i].name;

        if (!dsc_layout_find(want, name))
            return dsc_fail(err, DSC_EWEIGHTS, name, "is not a tensor of this optimizer");
        if (dsc_layout_find(file, name) != &file->tensor[i])
            return dsc_fail(err, DSC_EWEIGHTS, name, "is there twice");
    }
    return true;
}
