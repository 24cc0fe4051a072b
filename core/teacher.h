/* teacher.h -- an optimizer that shows a learner its updates
 *
 * For imitation: an episode follows the teacher, and the learner, who is shown the same gradients,
 * is fitted to the teacher's updates. That keeps training among points that a sound optimizer
 * visits while the learner is still a bad one. A teacher owns a run for each function of a batch
 * and what it recorded; one thread at a time. Source: Chen et al. 2020, section 3.3. */
#ifndef DSC_TEACHER_H
#define DSC_TEACHER_H

#include "batch.h"
#include "model.h"
#include "run.h"

typedef struct {
    dsc_run **runs; /* [runs_max] owned; the first batch->functions in use */
    size_t runs_max;
    float *work;                /* owned */
    dsc_real *grads, *updates;  /* [steps + 1][lanes], [steps][lanes]; one piece, owned */
    size_t capacity;            /* numbers in it */
    dsc_real *answers, *errors; /* [steps][lanes] each: the learner's updates, and what is wrong */
} dsc_teacher;

/* Fresh runs of `model` for a batch just drawn, and room for unrolls of `steps` steps. The teacher
 * is zeroed before its first use. DSC_ENOMEM. */
bool dsc_teacher_begin(dsc_teacher *teacher, dsc_model *model, const dsc_batch *batch, size_t steps,
                       dsc_err *err) DSC_MUST_CHECK;
void dsc_teacher_clear(dsc_teacher *teacher);

/* Take `steps` steps with every function of the batch: its theta moves, and grads and updates are
 * what was seen and done. Its state, gradient and t are left to dsc_unroll_replay. False when a
 * number was not finite. */
bool dsc_teacher_show(dsc_teacher *teacher, dsc_batch *batch, size_t steps) DSC_MUST_CHECK;

/* errors from answers: the derivative of the sum over steps and functions of half the mean squared
 * difference to the teacher's updates, which is returned. */
double dsc_teacher_mark(dsc_teacher *teacher, const dsc_batch *batch, size_t steps);

#endif
