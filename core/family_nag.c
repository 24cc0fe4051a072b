/* family_nag.c -- Nesterov's accelerated gradient
 *
 *     v = momentum v + grad               update = -learning_rate (grad + momentum v)
 *
 * The form of Sutskever et al. in the variable that the gradient is taken at: the caller stands
 * where the look-ahead would be, so that a client need not know of it.
 *
 * Sources: Nesterov: A method for solving a convex programming problem with rate O(1/k^2) (1983);
 * Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
 * learning (2013); the same numbers as torch.optim.SGD(momentum=..., nesterov=True). */
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

static void nag_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "v", 0, 0, 0, 0);
}

/* `lost`: what a product may gain when it is rounded to a number below the normal ones. */
static double nag_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double rounding = 1 + 1e-6, lost = 2 * (double)FLT_TRUE_MIN;
    const double v = (value[MOMENTUM] * state_max + grad_max) * rounding + lost;
    const double ahead = (value[MOMENTUM] * v + grad_max) * rounding + lost;

    if (!(v < (double)FLT_MAX && ahead < (double)FLT_MAX))
        return INFINITY;
    return value[LEARNING_RATE] * ahead * rounding + lost;
}

static void nag_step(const dsc_model *model, const dsc_span *span)
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

    dsc_model_kernel(model)->rules->nag(&step);
}

const dsc_family dsc_family_nag = {
    .name = "nag",
    .doc = "Nesterov's accelerated gradient: momentum that looks one step ahead.",
    .source = "Nesterov 1983, as Sutskever et al. 2013 write it, where the gradient is taken.",
    .hyper = hyper_spec,
    .state_layout = nag_state_layout,
    .bound_reads_state = true,
    .update_bound = nag_update_bound,
    .step = nag_step,
};
