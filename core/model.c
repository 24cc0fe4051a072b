/* model.c -- an immutable, counted optimizer
 *
 * Everything is computed when a model is made: both layouts, the copy of phi, its packed form.
 * Afterwards only the count changes, atomically, so runs on any thread may share it. */
#include "model.h"

#include "run.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

struct dsc_model {
    atomic_size_t count;
    const dsc_family *family;
    const dsc_kernel *kernel;
    dsc_hyper hyper;
    dsc_layout phi_layout, state_layout;
    size_t work_len;
    float *phi, *packed; /* owned; NULL when there is none */
};

static bool fail_weight(const dsc_layout *layout, size_t at, dsc_err *err)
{
    char where[sizeof err->where];

    for (int i = 0; i < layout->count; i++) {
        const dsc_tensor *const tensor = &layout->tensor[i];

        if (at < tensor->offset || at - tensor->offset >= tensor->len)
            continue;
        (void)snprintf(where, sizeof where, "%s[%zu]", tensor->name, at - tensor->offset);
        break;
    }
    return dsc_fail(err, DSC_EWEIGHTS, where, "is not finite");
}

static bool check_phi(const dsc_layout *layout, const float *phi, dsc_err *err)
{
    for (size_t i = 0; i < layout->len; i++)
        if (!isfinite(phi[i]))
            return fail_weight(layout, i, err);
    return true;
}

/* At least one number, aligned for the widest vectors. NULL when there is no memory. */
static float *numbers_new(size_t len)
{
    const size_t bytes = (len * sizeof(float) + ALIGNMENT) / ALIGNMENT * ALIGNMENT;

    return aligned_alloc(ALIGNMENT, bytes);
}

static bool copy_phi(dsc_model *model, const float *phi, dsc_err *err)
{
    const size_t len = model->phi_layout.len;

    model->phi = numbers_new(len);
    if (!model->phi)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the weights");
    memcpy(model->phi, phi, len * sizeof *phi);
    return true;
}

static bool pack_phi(dsc_model *model, dsc_err *err)
{
    const dsc_family *const family = model->family;

    if (!family->pack_len)
        return true;
    model->packed = numbers_new(family->pack_len(&model->hyper));
    if (!model->packed)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the packed weights");
    family->pack(model->packed, model->phi, &model->hyper);
    return true;
}

/* Lay out what hyper decides. phi_layout stays empty for a hand-designed family. */
static void describe(dsc_model *model)
{
    const dsc_family *const family = model->family;

    if (family->phi_layout)
        family->phi_layout(&model->phi_layout, &model->hyper);
    family->state_layout(&model->state_layout, &model->hyper);
    model->work_len = family->work_len ? family->work_len(&model->hyper) : 0;
    assert(model->work_len <= DSC_WORK_MAX);
}

static bool fill(dsc_model *model, const float *phi, dsc_err *err)
{
    describe(model);
    assert(!phi == !model->family->phi_layout);
    if (!phi)
        return true;
    return check_phi(&model->phi_layout, phi, err) && copy_phi(model, phi, err) &&
           pack_phi(model, err);
}

static void model_free(dsc_model *model)
{
    free(model->phi);
    free(model->packed);
    free(model);
}

bool dsc_model_new(dsc_model **out, const dsc_family *family, const dsc_hyper *hyper,
                   const float *phi, const dsc_kernel *kernel, dsc_err *err)
{
    dsc_model *const model = calloc(1, sizeof *model);

    if (!model)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for a model");
    assert(hyper->spec == family->hyper);
    atomic_init(&model->count, 1);
    model->family = family;
    model->kernel = kernel ? kernel : dsc_kernel_best();
    model->hyper = *hyper;
    if (!fill(model, phi, err)) {
        model_free(model);
        return false;
    }
    *out = model;
    return true;
}

dsc_model *dsc_model_hold(dsc_model *model)
{
    /* Relaxed: whoever adds a count already has one, so nothing has to be seen first. */
    (void)atomic_fetch_add_explicit(&model->count, 1, memory_order_relaxed);
    return model;
}

void dsc_model_drop(dsc_model *model)
{
    /* Release what this thread read; acquire what every other did, before freeing it. */
    if (model && atomic_fetch_sub_explicit(&model->count, 1, memory_order_acq_rel) == 1)
        model_free(model);
}

const dsc_family *dsc_model_family(const dsc_model *model)
{
    return model->family;
}

const dsc_hyper *dsc_model_hyper(const dsc_model *model)
{
    return &model->hyper;
}

const dsc_kernel *dsc_model_kernel(const dsc_model *model)
{
    return model->kernel;
}

const float *dsc_model_phi(const dsc_model *model)
{
    return model->phi;
}

const float *dsc_model_packed(const dsc_model *model)
{
    return model->packed;
}

const dsc_layout *dsc_model_phi_layout(const dsc_model *model)
{
    return &model->phi_layout;
}

const dsc_layout *dsc_model_state_layout(const dsc_model *model)
{
    return &model->state_layout;
}

size_t dsc_model_state_len(const dsc_model *model, size_t n)
{
    return dsc_state_lanes(n) * model->state_layout.len;
}

size_t dsc_model_shared_len(const dsc_model *model)
{
    const dsc_coupled *const coupled = model->family->coupled;

    return coupled && coupled->remembers ? coupled->shared_len(&model->hyper) : 0;
}

size_t dsc_model_state_bytes(const dsc_model *model, size_t n)
{
    return dsc_model_state_len(model, n) * sizeof(float) +
           dsc_model_shared_len(model) * sizeof(double);
}

size_t dsc_model_work_len(const dsc_model *model)
{
    return model->work_len;
}
