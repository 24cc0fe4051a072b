#include "state_file.h"
#include "fault.h"
#include "limits.h"
#include "safetensors.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP, COORDINATES, SHA256, TEXTS };

/* The tensors of all groups, each with room for its numbers unless it is `shared`, whose numbers
 * are the run's own. */
struct tensors {
    size_t count;
    struct safetensors_tensor tensor[DSC_TENSORS_MAX];
};

static void tensors_release(struct tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        free(tensors->tensor[i].data);
}

/* The next one, named; NULL with err when there are too many. */
static struct safetensors_tensor *add(struct tensors *tensors, const struct groups *groups, int g,
                                      const char *name, dsc_err *err)
{
    struct safetensors_tensor *const tensor = &tensors->tensor[tensors->count];

    if (tensors->count == DSC_TENSORS_MAX) {
        (void)dsc_fail(err, FAULT_INVALID_STATE, "",
                       "the state has more than %d tensors, which no file takes", DSC_TENSORS_MAX);
        return NULL;
    }
    if (groups_count(groups) > 1)
        (void)snprintf(tensor->name, sizeof tensor->name, "group%d.%.20s", g, name);
    else
        (void)snprintf(tensor->name, sizeof tensor->name, "%s", name);
    tensors->count++;
    return tensor;
}

static bool add_row(struct tensors *tensors, const struct groups *groups, int g,
                    const dsc_tensor *row, dsc_err *err)
{
    struct safetensors_tensor *const tensor = add(tensors, groups, g, row->name, err);
    const size_t n = dsc_run_n(groups_run(groups, g));

    if (!tensor)
        return false;
    tensor->rank = 1 + (row->rank > 0);
    tensor->shape[0] = n;
    tensor->shape[1] = row->len;
    tensor->data = malloc((n * row->len + 1) * sizeof *tensor->data);
    return tensor->data || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the state");
}

static bool add_group(struct tensors *tensors, const struct groups *groups, int g, dsc_err *err)
{
    dsc_run *const run = groups_run(groups, g);
    const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
    size_t shared_len;
    double *const shared = dsc_run_shared(run, &shared_len);

    for (int i = 0; i < layout->count; i++)
        if (!add_row(tensors, groups, g, &layout->tensor[i], err))
            return false;
    if (shared_len == 0)
        return true;
    struct safetensors_tensor *const tensor = add(tensors, groups, g, "shared", err);
    if (!tensor)
        return false;
    tensor->rank = 1;
    tensor->shape[0] = shared_len;
    tensor->wide = shared;
    return true;
}

static bool tensors_open(struct tensors *tensors, const struct groups *groups, dsc_err *err)
{
    *tensors = (struct tensors) {.count = 0};
    if (groups_state_bytes(groups) > LIMIT_STATE_BYTES)
        return dsc_fail(err, FAULT_BODY_TOO_LARGE, "",
                        "the state has %zu bytes; a file of it has at most %u",
                        groups_state_bytes(groups), LIMIT_STATE_BYTES);
    for (int g = 0; g < groups_count(groups); g++)
        if (!add_group(tensors, groups, g, err)) {
            tensors_release(tensors);
            return false;
        }
    return true;
}

/* Between the runs' states and the tensors' rows, in one direction or the other. */
enum way { TO_FILE, FROM_FILE };

static void move(struct tensors *tensors, const struct groups *groups, enum way way)
{
    size_t at = 0;

    for (int g = 0; g < groups_count(groups); g++) {
        dsc_run *const run = groups_run(groups, g);
        const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
        const size_t n = dsc_run_n(run);
        size_t len;
        float *const state = dsc_run_state(run, 0, n, &len);

        for (int i = 0; i < layout->count; i++, at++)
            if (way == TO_FILE)
                dsc_state_gather(tensors->tensor[at].data, state, n, layout, &layout->tensor[i]);
            else
                dsc_state_scatter(state, tensors->tensor[at].data, n, layout, &layout->tensor[i]);
        at += at < tensors->count && tensors->tensor[at].wide != NULL;
    }
}

/* --- out --- */

static struct safetensors_text *texts_new(dsc_err *err)
{
    struct safetensors_text *const text = calloc(TEXTS, sizeof *text);

    if (!text) {
        (void)dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the state");
        return NULL;
    }
    text[STEP].key = "step";
    text[COORDINATES].key = "coordinates";
    text[SHA256].key = "optimizer_sha256";
    return text;
}

bool state_file_write(struct buf **out, const struct groups *groups, uint64_t step,
                      const char *sha256, dsc_err *err)
{
    struct safetensors_text *const text = texts_new(err);
    struct tensors tensors;

    if (!text || !tensors_open(&tensors, groups, err)) {
        free(text);
        return false;
    }
    (void)snprintf(text[STEP].value, sizeof text->value, "%" PRIu64, step);
    (void)snprintf(text[COORDINATES].value, sizeof text->value, "%zu", groups_n(groups));
    (void)snprintf(text[SHA256].value, sizeof text->value, "%s", sha256);
    move(&tensors, groups, TO_FILE);
    const bool ok = safetensors_write(out, text, TEXTS, tensors.tensor, tensors.count, err);
    tensors_release(&tensors);
    free(text);
    return ok;
}

/* --- in --- */

/* A whole number up to 2^53 - 1, as steps are. */
static bool read_number(const char *text, uint64_t *out)
{
    const size_t len = strlen(text);

    if (len < 1 || len > 16 || strspn(text, "0123456789") != len)
        return false;
    *out = strtoull(text, NULL, 10);
    return *out <= 9007199254740991u;
}

static bool check_texts(const struct groups *groups, const struct safetensors_text *text,
                        const char *sha256, uint64_t *step, dsc_err *err)
{
    uint64_t n = 0;

    if (strcmp(text[SHA256].value, sha256) != 0)
        return dsc_fail(
            err, FAULT_INVALID_VALUE, "optimizer_sha256",
            "is \"%.20s...\", the session's is \"%.20s...\": it is the state of another "
            "optimizer",
            text[SHA256].value, sha256);
    if (!read_number(text[COORDINATES].value, &n) || n != groups_n(groups)) {
        (void)dsc_fail(err, FAULT_DIMENSION_MISMATCH, "coordinates",
                       "is \"%.20s\"; the session has %zu", text[COORDINATES].value,
                       groups_n(groups));
        (void)dsc_fail_fact(err, "expected", groups_n(groups));
        return dsc_fail_fact(err, "got", n);
    }
    return read_number(text[STEP].value, step) ||
           dsc_fail(err, FAULT_INVALID_VALUE, "step",
                    "must be a whole number in [0, 9007199254740991], not \"%.40s\"",
                    text[STEP].value);
}

static bool fill(struct groups *groups, uint64_t *step, const char *sha256, const void *bytes,
                 size_t len, struct safetensors_text *text, dsc_err *err)
{
    struct tensors tensors;

    if (!tensors_open(&tensors, groups, err))
        return false;
    const bool ok = safetensors_describe(bytes, len, text, TEXTS, err) &&
                    check_texts(groups, text, sha256, step, err) &&
                    safetensors_read(bytes, len, tensors.tensor, tensors.count, err);
    if (ok)
        move(&tensors, groups, FROM_FILE);
    tensors_release(&tensors);
    return ok;
}

bool state_file_read(struct groups *groups, uint64_t *step, const char *sha256, const void *bytes,
                     size_t len, dsc_err *err)
{
    struct safetensors_text *const text = texts_new(err);
    const bool ok = text && fill(groups, step, sha256, bytes, len, text, err);

    free(text);
    return ok;
}
