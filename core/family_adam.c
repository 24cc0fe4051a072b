/* family_adam.c -- Adam: steps scaled by running averages of the gradient and of its square
 *
 *     m = beta1 m + (1 - beta1) grad              v = beta2 v + (1 - beta2) grad^2
 *     update = -learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * with t counting from 1. The two powers are taken in double once for a whole span: they are the
 * only places where an error would grow with t. The correction of m is part of the rate, so that an
 * m near FLT_MAX is divided before it is enlarged.
 *
 * Source: Kingma, Ba: Adam (2015), algorithm 1; the same numbers as torch.optim.Adam. */
#include "family_adam.h"

#include "family_rows.h"
#include "model.h"

#include <float.h>
#include <math.h>

enum { LEARNING_RATE, BETA1, BETA2, EPS };

const dsc_hyper_spec dsc_adam_rows[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.001, "The size of a step when gradients agree."),
    [BETA1] =
        DSC_ROW_SHARE("beta1", 0.9, "How much of the average gradient a step keeps; below 1."),
    [BETA2] = DSC_ROW_SHARE("beta2", 0.999,
                            "How much of the average squared gradient a step keeps; below 1."),
    [EPS] = DSC_ROW_EPS(1e-8),
    {.name = NULL},
};

static void adam_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "m", 0, 0, 0, 0);
    dsc_layout_add(state, "v", 0, 0, 0, 0);
}

/* m is a sum of a_i g_i and v one of b_i g_i^2, so by Cauchy and Schwarz
 *     m^2 <= v * sum of a_i^2 / b_i = v * w1^2 / (w2 (1 - beta1^2 / beta2)),    w = 1 - beta,
 * a geometric series that converges only when beta1^2 < beta2. The corrections are at most
 * 1 / (1 - beta1) for m and at most 1 for sqrt(v). Two additions keep this true in float: `ulp`
 * widens the ratio of the series by the rounding of a step, and what v and m lose below the normal
 * numbers, a few FLT_TRUE_MIN a step, can weigh no more than itself over eps. grad_max does not
 * matter: the step of Adam does not grow with the gradient. (A v that overflows to infinity only
 * makes the step 0.) */
double dsc_adam_ratio_max(double beta1, double beta2, double eps)
{
    const double ulp = 4 * FLT_EPSILON, lost = 4 * (double)FLT_TRUE_MIN;
    const double w1 = 1 - beta1, w2 = 1 - beta2;
    const double b1 = beta1 * (1 + ulp), b2 = beta2 * (1 - ulp);
    double series, tiny;

    if (b1 * b1 >= b2 || b1 >= 1)
        return INFINITY;
    series = w1 / sqrt(w2 * (1 - b1 * b1 / b2));
    tiny = (series * sqrt(lost / w2) + lost / (1 - b1)) / eps;
    return (series + tiny) / w1 * (1 + 1e-5);
}

double dsc_adam_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double *const value = dsc_model_hyper(model)->value;

    (void)grad_max;
    (void)state_max;
    return value[LEARNING_RATE] * dsc_adam_ratio_max(value[BETA1], value[BETA2], value[EPS]);
}

dsc_rule_step dsc_adam_prepare(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double steps = (double)span->t + 1;

    return (dsc_rule_step) {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = (float)(-value[LEARNING_RATE] / (1 - pow(value[BETA1], steps))),
        .keep = (float)value[BETA1],
        .add = (float)(1 - value[BETA1]),
        .keep_sq = (float)value[BETA2],
        .add_sq = (float)(1 - value[BETA2]),
        .root = (float)(1 / sqrt(1 - pow(value[BETA2], steps))),
        .eps = (float)value[EPS],
    };
}

static void adam_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_rule_step step = dsc_adam_prepare(model, span);

    dsc_model_kernel(model)->rules->adam(&step);
}

const dsc_family dsc_family_adam = {
    .name = "adam",
    .doc = "Adam: steps scaled by running averages of the gradient and of its square.",
    .source = "Kingma, Ba: Adam (2015), algorithm 1; betas and eps kept where float can hold them.",
    .hyper = dsc_adam_rows,
    .state_layout = adam_state_layout,
    .update_bound = dsc_adam_update_bound,
    .step = adam_step,
};
