/* family_adagrad.c -- Adagrad: a gradient divided by the root of the sum of all its squares so far
 *
 *     sum = sum + grad^2                  update = -learning_rate grad / (sqrt(sum) + eps)
 *
 * Nothing is forgotten, so steps only become shorter: right for coordinates whose gradient is
 * seldom anything but 0.
 *
 * Source: Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic
 * optimization (2011); the same numbers as torch.optim.Adagrad. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

#include <float.h>
#include <math.h>

enum { LEARNING_RATE, EPS };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.01, "The size of the first step."),
    [EPS] = DSC_ROW_EPS(1e-10),
    {.name = NULL},
};

static void adagrad_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "sum", 0, 0, 0, 0);
}

/* sum >= grad^2, but for `lost`, what a square may lose below the normal numbers: that much can
 * weigh no more than its root over eps. A sum that overflows makes the step 0. */
static double adagrad_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double rounding = 1 + 1e-5, lost = 4 * (double)FLT_TRUE_MIN;

    (void)grad_max;
    (void)state_max;
    return value[LEARNING_RATE] * (1 + sqrt(lost) / value[EPS]) * rounding + lost;
}

static void adagrad_step(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)-value[LEARNING_RATE],
        .eps = (float)value[EPS],
    };

    dsc_model_kernel(model)->rules->adagrad(&step);
}

const dsc_family dsc_family_adagrad = {
    .name = "adagrad",
    .doc = "Adagrad: the gradient divided by the root of the sum of all its squares so far.",
    .source = "Duchi, Hazan, Singer 2011, the diagonal form; no decay of the learning rate.",
    .hyper = hyper_spec,
    .state_layout = adagrad_state_layout,
    .update_bound = adagrad_update_bound,
    .step = adagrad_step,
};
