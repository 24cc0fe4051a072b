/* family_rprop.c -- Rprop: every coordinate has a step size of its own, and sees only signs
 *
 * With turn = sign(grad) sign(last gradient):
 *
 *     turn > 0    size = min(size eta_plus, step_max)     the same way: faster
 *     turn < 0    size = max(size eta_minus, step_min)    beyond the bottom: slower, and this
 *                 gradient counts as 0, so that the next step is neither punished nor rewarded
 *     update = -sign(grad) size
 *
 * learning_rate is the size that every coordinate begins with. Signs are all that is used of a
 * gradient, so the gradient of a whole set of data is what it wants, not that of a minibatch.
 *
 * Source: Riedmiller, Braun: A direct adaptive method for faster backpropagation learning (1993),
 * in the form called iRprop- (Igel, Huesken 2000); the same numbers as torch.optim.Rprop. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

enum { LEARNING_RATE, ETA_MINUS, ETA_PLUS, STEP_MIN, STEP_MAX };

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(0.01, "The size of the first step."),
    [ETA_MINUS] = {.name = "eta_minus",
                   .kind = DSC_HYPER_REAL,
                   .min = 0,
                   .max = DSC_SHARE_MAX,
                   .initial = 0.5,
                   .open = true,
                   .doc = "Multiplies a step size when the gradient changes its sign; below 1."},
    [ETA_PLUS] = {.name = "eta_plus",
                  .kind = DSC_HYPER_REAL,
                  .min = 1,
                  .max = 1e6,
                  .initial = 1.2,
                  .open = true,
                  .doc = "Multiplies a step size when the gradient keeps its sign; above 1."},
    [STEP_MIN] = {.name = "step_min",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1e30,
                  .initial = 1e-6,
                  .open = true,
                  .at_most = "step_max",
                  .doc = "No step is shorter than this."},
    [STEP_MAX] = {.name = "step_max",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1e30,
                  .initial = 50,
                  .open = true,
                  .doc = "No step is longer than this."},
    {.name = NULL},
};

static void rprop_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "last", 0, 0, 0, 0);
    dsc_layout_add(state, "size", 0, 0, 0, 0);
}

static void rprop_state_init(float *state, size_t n, const dsc_hyper *hyper)
{
    for (size_t c = 0, lanes; c < n; c += lanes, state += 2 * lanes) {
        lanes = dsc_state_block(c, n);

        for (size_t i = 0; i < lanes; i++) {
            state[i] = 0;
            state[lanes + i] = (float)hyper->value[LEARNING_RATE];
        }
    }
}

static double rprop_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    (void)grad_max;
    (void)state_max;
    return (double)(float)dsc_model_hyper(model)->value[STEP_MAX];
}

static void rprop_step(const dsc_model *model, const dsc_span *span)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rule_step step = {
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .rate = -1,
        .up = value[ETA_PLUS],
        .down = value[ETA_MINUS],
        .smallest = (float)value[STEP_MIN],
        .largest = (float)value[STEP_MAX],
    };

    dsc_model_kernel(model)->rules->rprop(&step);
}

const dsc_family dsc_family_rprop = {
    .name = "rprop",
    .doc =
        "Rprop: step sizes that grow while a gradient keeps its sign and shrink when it does not.",
    .source = "Riedmiller, Braun 1993, without going back (iRprop-, Igel, Huesken 2000).",
    .hyper = hyper_spec,
    .state_layout = rprop_state_layout,
    .state_init = rprop_state_init,
    .update_bound = rprop_update_bound,
    .step = rprop_step,
};
