/* evaluation.h -- how an optimizer did, as the command and the job say it
 *
 * Everything is borrowed from the arena given to the call. */
#ifndef EVALUATION_H
#define EVALUATION_H

#include "field.h"

struct measured {
    struct field_seen seen;
    const char *optimizer, *config;
    bool tuned;
    struct field_list mean, median, p10, p90;
    double final_loss, final_loss_stderr, loss_sum, loss_sum_stderr, seconds_per_step;
    int64_t diverged;
};

struct evaluation {
    struct field_seen seen;
    struct field_list optimizers;
};

extern const struct shape measured_shape, evaluation_shape;

/* Measure a model, called `name`, on the task. `tuned`: its learning rate was searched for. The
 * failures of dsc_eval. */
bool evaluation_measure(struct measured *out, const char *name, bool tuned, dsc_model *model,
                        const dsc_eval_task *task, const dsc_crew *crew, dsc_arena *arena,
                        dsc_err *err) DSC_MUST_CHECK;

#endif
