/* family_sgd.c -- gradient descent with a fixed step
 *
 * update = -learning_rate * grad. Nothing is remembered, so a run of it has no state at all. */
#include "family.h"
#include "model.h"

enum { LEARNING_RATE };

/* The range goes far beyond any useful step so that an update that overflows can be reached, and
 * refused, on purpose. */
static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .kind = DSC_HYPER_REAL,
                       .min = 0,
                       .max = 1e30,
                       .initial = 0.01,
                       .open = true,
                       .doc = "The step along the negative gradient."},
    {.name = NULL},
};

static void sgd_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)state;
    (void)hyper;
}

static double sgd_update_bound(const dsc_model *model, double grad_max)
{
    const double rounding = 1 + 1e-6; /* of the rate and of the product, to float */

    return dsc_model_hyper(model)->value[LEARNING_RATE] * grad_max * rounding;
}

static void sgd_step(const dsc_model *model, const dsc_span *span)
{
    const float rate = (float)-dsc_model_hyper(model)->value[LEARNING_RATE];
    const float *const grad = span->grad;
    float *const update = span->update;

    for (size_t i = 0; i < span->n; i++)
        update[i] = rate * grad[i];
}

const dsc_family dsc_family_sgd = {
    .name = "sgd",
    .doc = "Gradient descent with a fixed learning rate.",
    .source = "Robbins, Monro 1951; the deterministic form, no momentum.",
    .hyper = hyper_spec,
    .state_layout = sgd_state_layout,
    .update_bound = sgd_update_bound,
    .step = sgd_step,
};
