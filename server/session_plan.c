/* session_plan.c -- which optimizers a session has, and which coordinates are whose
 *
 * A row names one version for the session and perhaps others for tensors of its layout. The groups
 * are the versions that have a coordinate, in the order in which the layout first needs them;
 * neighbours of one group are one slice. The same row always gives the same plan, so what the
 * journal has by chunk stays right. */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"
#include <stdlib.h>
#include <string.h>

/* The group of a version; a new one when there is none yet. -1: there are too many. */
static int group_of(struct session_plan *plan, int64_t version)
{
    int g = 0;

    while (g < plan->count && plan->version[g] != version)
        g++;
    if (g == plan->count && g < GROUPS_MAX)
        plan->version[plan->count++] = version;
    return g < GROUPS_MAX ? g : -1;
}

/* "784,20": 15680. */
static size_t size_of(const char *shape)
{
    size_t size = 1;

    for (char *end; *shape; shape = *end ? end + 1 : end)
        size *= strtoull(shape, &end, 10);
    return size;
}

static void add_slice(struct session_plan *plan, int group, size_t len)
{
    struct slice *const last = plan->slices ? &plan->slice[plan->slices - 1] : NULL;

    if (last && last->group == group)
        last->len += len;
    else
        plan->slice[plan->slices++] = (struct slice) {len, group};
}

/* Deal the coordinates out. FAULT_INVALID_VALUE when there are more versions than groups. */
static bool deal(struct session_plan *plan, const struct session_row *row, dsc_err *err)
{
    for (size_t i = 0; i < row->tensors; i++) {
        const struct tensor_row *const tensor = &row->tensor[i];
        const int group = group_of(plan, tensor->version_id ? tensor->version_id : row->version_id);

        if (group < 0)
            return dsc_fail(err, FAULT_INVALID_VALUE, "layout",
                            "names more than %d optimizer versions", GROUPS_MAX);
        add_slice(plan, group, size_of(tensor->shape));
    }
    if (row->tensors == 0)
        add_slice(plan, group_of(plan, row->version_id), (size_t)row->coordinates);
    return true;
}

static bool find_models(struct session_plan *plan, struct registry *registry, dsc_err *err)
{
    for (int g = 0; g < plan->count; g++)
        if (!registry_model(registry, plan->version[g], &plan->model[g], err))
            return false;
    return true;
}

bool session_plan_open(struct session_plan *plan, struct registry *registry,
                       const struct session_row *row, dsc_err *err)
{
    *plan = (struct session_plan) {.count = 0};
    plan->slice = calloc(row->tensors + 1, sizeof *plan->slice);
    if (!plan->slice)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session's layout");
    if (deal(plan, row, err) && find_models(plan, registry, err))
        return true;
    session_plan_close(plan);
    return false;
}

void session_plan_close(struct session_plan *plan)
{
    for (int g = 0; g < plan->count; g++)
        dsc_model_drop(plan->model[g]);
    free(plan->slice);
}

int session_versions(const struct session_row *row, int64_t version[GROUPS_MAX])
{
    struct session_plan plan = {.count = 0};

    for (size_t i = 0; i < row->tensors; i++)
        (void)group_of(&plan,
                       row->tensor[i].version_id ? row->tensor[i].version_id : row->version_id);
    if (row->tensors == 0)
        (void)group_of(&plan, row->version_id);
    memcpy(version, plan.version, sizeof plan.version);
    return plan.count;
}

size_t session_plan_state_bytes(const struct session_plan *plan)
{
    size_t n[GROUPS_MAX] = {0}, bytes = 0;

    for (size_t i = 0; i < plan->slices; i++)
        n[plan->slice[i].group] += plan->slice[i].len;
    for (int g = 0; g < plan->count; g++)
        bytes += dsc_model_state_bytes(plan->model[g], n[g]);
    return bytes;
}
