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
#include "family.h"
#include "model.h"

#include <float.h>
#include <math.h>

enum { LEARNING_RATE, BETA1, BETA2, EPS };

/* A beta that rounds to 1 in float would average nothing, and an eps that rounds to 0 would divide
 * 0 by 0 at a gradient of 0: hence the two limits that the paper does not have. */
#define BETA_MAX 0.9999999
#define EPS_MIN  1e-30

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .kind = DSC_HYPER_REAL,
                       .min = 0,
                       .max = 1e30,
                       .initial = 0.001,
                       .open = true,
                       .doc = "The size of a step when gradients agree."},
    [BETA1] = {.name = "beta1",
               .kind = DSC_HYPER_REAL,
               .min = 0,
               .max = BETA_MAX,
               .initial = 0.9,
               .doc = "How much of the average gradient a step keeps; below 1."},
    [BETA2] = {.name = "beta2",
               .kind = DSC_HYPER_REAL,
               .min = 0,
               .max = BETA_MAX,
               .initial = 0.999,
               .doc = "How much of the average squared gradient a step keeps; below 1."},
    [EPS] = {.name = "eps",
             .kind = DSC_HYPER_REAL,
             .min = EPS_MIN,
             .max = 1,
             .initial = 1e-8,
             .doc = "Added to the root of the average square, so that it can divide."},
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
static double adam_update_bound(const dsc_model *model, double grad_max)
{
    const double *const value = dsc_model_hyper(model)->value;
    const double ulp = 4 * FLT_EPSILON, lost = 4 * (double)FLT_TRUE_MIN;
    const double w1 = 1 - value[BETA1], w2 = 1 - value[BETA2];
    const double b1 = value[BETA1] * (1 + ulp), b2 = value[BETA2] * (1 - ulp);
    double series, tiny;

    (void)grad_max;
    if (b1 * b1 >= b2 || b1 >= 1)
        return INFINITY;
    series = w1 / sqrt(w2 * (1 - b1 * b1 / b2));
    tiny = (series * sqrt(lost / w2) + lost / (1 - b1)) / value[EPS];
    return value[LEARNING_RATE] / w1 * (series + tiny) * (1 + 1e-5);
}

/* The numbers of a step that are the same for every coordinate. */
typedef struct {
    float b1, w1, b2, w2, rate, root, eps;
} adam_factors;

static adam_factors adam_prepare(const double *value, uint64_t t)
{
    const double steps = (double)t;

    return (adam_factors) {
        .b1 = (float)value[BETA1],
        .w1 = (float)(1 - value[BETA1]),
        .b2 = (float)value[BETA2],
        .w2 = (float)(1 - value[BETA2]),
        .rate = (float)(-value[LEARNING_RATE] / (1 - pow(value[BETA1], steps))),
        .root = (float)(1 / sqrt(1 - pow(value[BETA2], steps))),
        .eps = (float)value[EPS],
    };
}

static void adam_block(const adam_factors *f, const float *grad, float *update, float *m, float *v,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float g = grad[i];

        m[i] = f->b1 * m[i] + f->w1 * g;
        v[i] = f->b2 * v[i] + f->w2 * g * g;
        update[i] = f->rate * (m[i] / (sqrtf(v[i]) * f->root + f->eps));
    }
}

static void adam_step(const dsc_model *model, const dsc_span *span)
{
    const adam_factors factors = adam_prepare(dsc_model_hyper(model)->value, span->t + 1);
    float *state = span->state;

    for (size_t c = 0; c < span->n;) {
        const size_t lanes = dsc_state_block(c, span->n);
        const size_t left = span->n - c;

        adam_block(&factors, span->grad + c, span->update + c, state, state + lanes,
                   left < lanes ? left : lanes);
        state += 2 * lanes;
        c += lanes;
    }
}

const dsc_family dsc_family_adam = {
    .name = "adam",
    .doc = "Adam: steps scaled by running averages of the gradient and of its square.",
    .source = "Kingma, Ba: Adam (2015), algorithm 1; betas and eps kept where float can hold them.",
    .hyper = hyper_spec,
    .state_layout = adam_state_layout,
    .update_bound = adam_update_bound,
    .step = adam_step,
};
