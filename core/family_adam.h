/* family_adam.h -- what Adam and AMSGrad have in common
 *
 * Pure functions of a config, for any thread. */
#ifndef DSC_FAMILY_ADAM_H
#define DSC_FAMILY_ADAM_H

#include "family.h"
#include "rule.h"

/* learning_rate, beta1, beta2, eps */
extern const dsc_hyper_spec dsc_adam_rows[];

/* A bound on |m^| / (sqrt(v^) + eps), for any gradients and at any step; INFINITY where there is
 * none.
 */
double dsc_adam_ratio_max(double beta1, double beta2, double eps);

/* A dsc_family's update_bound. */
double dsc_adam_update_bound(const struct dsc_model *model, double grad_max, double state_max);

/* The numbers of a step, and the span it works on. */
dsc_rule_step dsc_adam_prepare(const struct dsc_model *model, const dsc_span *span);

#endif
