/* family_amsgrad.c -- AMSGrad: Adam whose divisor never becomes smaller
 *
 *     m and v as in Adam                  v_max = max(v_max, v)
 *     update = -learning_rate / (1 - beta1^t) * m / (sqrt(v_max) / sqrt(1 - beta2^t) + eps)
 *
 * The maximum is that of the raw v, corrected for the present t. It is no smaller than v, so Adam's
 * bound holds.
 *
 * Source: Reddi, Kale, Kumar: On the convergence of Adam and beyond (2018); the same numbers as
 * torch.optim.Adam(amsgrad=True). */
#include "family_adam.h"
#include "model.h"

static void amsgrad_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "m", 0, 0, 0, 0);
    dsc_layout_add(state, "v", 0, 0, 0, 0);
    dsc_layout_add(state, "v_max", 0, 0, 0, 0);
}

static void amsgrad_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_rule_step step = dsc_adam_prepare(model, span);

    dsc_model_kernel(model)->rules->amsgrad(&step);
}

const dsc_family dsc_family_amsgrad = {
    .name = "amsgrad",
    .doc = "AMSGrad: Adam, divided by the largest average square so far.",
    .source = "Reddi, Kale, Kumar 2018; with Adam's corrections, as torch.optim.",
    .hyper = dsc_adam_rows,
    .state_layout = amsgrad_state_layout,
    .update_bound = dsc_adam_update_bound,
    .step = amsgrad_step,
};
