/* family_sgd.c -- gradient descent with a fixed step
 *
 *     update = -learning_rate * grad
 *
 * Nothing is remembered, so a run of it has no state at all. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

#include <float.h>

enum { LEARNING_RATE };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.01, "The step along the negative gradient."),
    {.name = NULL},
};

static void sgd_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)state;
    (void)hyper;
}

static double sgd_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double rounding = 1 + 1e-6; /* of the rate and of the product, to float */

    (void)state_max;
    return dsc_model_hyper(model)->value[LEARNING_RATE] * grad_max * rounding +
           (double)FLT_TRUE_MIN;
}

static void sgd_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)-dsc_model_hyper(model)->value[LEARNING_RATE],
    };

    dsc_model_kernel(model)->rules->sgd(&step);
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
