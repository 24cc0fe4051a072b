/* family_rmsprop.c -- RMSprop: a gradient divided by the running root mean square of its size
 *
 *     v = alpha v + (1 - alpha) grad^2    update = -learning_rate grad / (sqrt(v) + eps)
 *
 * v begins at 0 and nothing corrects for it, so the first steps are the longest: up to
 * learning_rate / sqrt(1 - alpha).
 *
 * Source: Tieleman, Hinton: Neural networks for machine learning, lecture 6.5 (2012); the same
 * numbers as torch.optim.RMSprop. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

#include <float.h>
#include <math.h>

enum { LEARNING_RATE, ALPHA, EPS };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.01, "The size of a step when sizes are steady."),
    [ALPHA] = DSC_ROW_SHARE("alpha", 0.99, "How much of the average square a step keeps; below 1."),
    [EPS] = DSC_ROW_EPS(1e-8),
    {.name = NULL},
};

static void rmsprop_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "v", 0, 0, 0, 0);
}

/* v >= (1 - alpha) grad^2, but for `lost`, what its sum may lose below the normal numbers: that
 * much can weigh no more than its root over eps. A v that overflows makes the step 0, unless alpha
 * is 0 and multiplies it. */
static double rmsprop_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double rounding = 1 + 1e-5, lost = 4 * (double)FLT_TRUE_MIN;
    const double most = (1 + sqrt(lost) / value[EPS]) / sqrt(1 - value[ALPHA]);

    (void)grad_max;
    (void)state_max;
    if ((float)value[ALPHA] == 0)
        return INFINITY;
    return value[LEARNING_RATE] * most * rounding + lost;
}

static void rmsprop_step(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)-value[LEARNING_RATE],
        .keep_sq = (float)value[ALPHA],
        .add_sq = (float)(1 - value[ALPHA]),
        .eps = (float)value[EPS],
    };

    dsc_model_kernel(model)->rules->rmsprop(&step);
}

const dsc_family dsc_family_rmsprop = {
    .name = "rmsprop",
    .doc = "RMSprop: the gradient divided by the running root mean square of its size.",
    .source = "Tieleman, Hinton 2012, lecture 6.5; eps outside of the root, as torch.optim.",
    .hyper = hyper_spec,
    .state_layout = rmsprop_state_layout,
    .update_bound = rmsprop_update_bound,
    .step = rmsprop_step,
};
