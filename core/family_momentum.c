/* family_momentum.c -- heavy-ball momentum
 *
 *     v = momentum v + grad               update = -learning_rate v
 *
 * The velocity is no average: at a constant gradient it grows to grad / (1 - momentum).
 *
 * Source: Polyak: Some methods of speeding up the convergence of iteration methods (1964); the same
 * numbers as torch.optim.SGD(momentum=...). */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

#include <float.h>
#include <math.h>

enum { LEARNING_RATE, MOMENTUM };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.01, "The step along the negative velocity."),
    [MOMENTUM] = DSC_ROW_SHARE("momentum", 0.9, "How much of the velocity a step keeps; below 1."),
    {.name = NULL},
};

static void momentum_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "v", 0, 0, 0, 0);
}

/* `lost`: what a product may gain when it is rounded to a number below the normal ones. */
static double momentum_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double rounding = 1 + 1e-6, lost = 2 * (double)FLT_TRUE_MIN;
    const double v = (value[MOMENTUM] * state_max + grad_max) * rounding + lost;

    return v < (double)FLT_MAX ? value[LEARNING_RATE] * v * rounding + lost : INFINITY;
}

static void momentum_step(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)-value[LEARNING_RATE],
        .momentum = value[MOMENTUM],
    };

    dsc_model_kernel(model)->rules->momentum(&step);
}

const dsc_family dsc_family_momentum = {
    .name = "momentum",
    .doc = "Heavy-ball momentum: steps along a decaying sum of the gradients.",
    .source = "Polyak 1964; a sum and not an average, as torch.optim.SGD.",
    .hyper = hyper_spec,
    .state_layout = momentum_state_layout,
    .bound_reads_state = true,
    .update_bound = momentum_update_bound,
    .step = momentum_step,
};
