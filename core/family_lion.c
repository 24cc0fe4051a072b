/* family_lion.c -- Lion: a step of one size along the sign of an average
 *
 *     update = -learning_rate sign(beta1 m + (1 - beta1) grad)
 *     m = beta2 m + (1 - beta2) grad                                    sign(0) = 0
 *
 * Source: Chen et al.: Symbolic discovery of optimization algorithms (2023), algorithm 2, without
 * weight decay: a server that never sees the parameters cannot shrink them. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

enum { LEARNING_RATE, BETA1, BETA2 };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.0001, "The size of every step."),
    [BETA1] = DSC_ROW_SHARE("beta1", 0.9, "How much the average weighs in a step; below 1."),
    [BETA2] = DSC_ROW_SHARE("beta2", 0.99, "How much of the average a step keeps; below 1."),
    {.name = NULL},
};

static void lion_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "m", 0, 0, 0, 0);
}

static double lion_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    (void)grad_max;
    (void)state_max;
    return (double)(float)dsc_model_hyper(model)->value[LEARNING_RATE];
}

static void lion_step(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)-value[LEARNING_RATE],
        .keep = (float)value[BETA1],
        .add = (float)(1 - value[BETA1]),
        .keep_sq = (float)value[BETA2],
        .add_sq = (float)(1 - value[BETA2]),
    };

    dsc_model_kernel(model)->rules->lion(&step);
}

const dsc_family dsc_family_lion = {
    .name = "lion",
    .doc = "Lion: steps of one size along the sign of an average of the gradient.",
    .source = "Chen et al. 2023, algorithm 2, without weight decay.",
    .hyper = hyper_spec,
    .state_layout = lion_state_layout,
    .update_bound = lion_update_bound,
    .step = lion_step,
};
