/* teacher.c -- an optimizer that shows a learner its updates */
#include "teacher.h"

#include <stdlib.h>
#include <string.h>

void dsc_teacher_clear(dsc_teacher *teacher)
{
    for (size_t i = 0; i < teacher->runs_max; i++)
        dsc_run_free(teacher->runs[i]);
    free(teacher->runs);
    free(teacher->grads);
    dsc_work_free(teacher->work);
    *teacher = (dsc_teacher) {.runs = NULL};
}

static bool fit_runs(dsc_teacher *teacher, size_t functions)
{
    dsc_run **more;

    if (functions <= teacher->runs_max)
        return true;
    more = realloc(teacher->runs, functions * sizeof *more);
    if (!more)
        return false;
    memset(more + teacher->runs_max, 0, (functions - teacher->runs_max) * sizeof *more);
    teacher->runs = more;
    teacher->runs_max = functions;
    return true;
}

static bool fit_record(dsc_teacher *teacher, size_t steps, size_t lanes)
{
    const size_t len = (4 * steps + 1) * lanes;

    if (len > teacher->capacity) {
        free(teacher->grads);
        teacher->capacity = 0;
        teacher->grads = aligned_alloc(64, len * sizeof *teacher->grads); /* lanes are 16s */
        if (!teacher->grads)
            return false;
        teacher->capacity = len;
    }
    memset(teacher->grads, 0, len * sizeof *teacher->grads);
    teacher->updates = teacher->grads + (steps + 1) * lanes;
    teacher->answers = teacher->updates + steps * lanes;
    teacher->errors = teacher->answers + steps * lanes;
    return true;
}

bool dsc_teacher_begin(dsc_teacher *teacher, dsc_model *model, const dsc_batch *batch, size_t steps,
                       dsc_err *err)
{
    if (!teacher->work)
        teacher->work = dsc_work_new();
    if (!teacher->work || !fit_runs(teacher, batch->functions) ||
        !fit_record(teacher, steps, batch->lanes))
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for a teacher");
    for (size_t i = 0; i < batch->functions; i++) {
        dsc_run_free(teacher->runs[i]);
        teacher->runs[i] = NULL;
        if (!dsc_run_new(&teacher->runs[i], model, batch->n, err))
            return false;
    }
    return true;
}

static bool step(dsc_teacher *teacher, dsc_batch *batch, const dsc_real *grad, dsc_real *update)
{
    for (size_t i = 0; i < batch->functions; i++) {
        const size_t at = i * batch->n;

        if (!dsc_run_step(teacher->runs[i], grad + at, update + at, teacher->work, NULL))
            return false;
        for (size_t k = at; k < at + batch->n; k++)
            batch->strand.theta[k] += update[k];
    }
    return true;
}

bool dsc_teacher_show(dsc_teacher *teacher, dsc_batch *batch, size_t steps)
{
    const size_t lanes = batch->lanes;

    memcpy(teacher->grads, batch->strand.grad, lanes * sizeof *teacher->grads);
    for (size_t k = 0; k < steps; k++) {
        if (!step(teacher, batch, teacher->grads + k * lanes, teacher->updates + k * lanes))
            return false;
        (void)dsc_batch_eval(batch, batch->strand.t + k + 1, batch->strand.theta,
                             teacher->grads + (k + 1) * lanes);
    }
    return true;
}

double dsc_teacher_mark(dsc_teacher *teacher, const dsc_batch *batch, size_t steps)
{
    const double each = 1 / (double)batch->n;
    double loss = 0;

    for (size_t k = 0; k < steps; k++)
        for (size_t i = 0; i < batch->lanes; i++) {
            const size_t at = k * batch->lanes + i;
            const bool somebody = i < batch->functions * batch->n;
            const double off =
                somebody ? (double)teacher->answers[at] - (double)teacher->updates[at] : 0;

            loss += 0.5 * each * off * off;
            teacher->errors[at] = (dsc_real)(each * off);
        }
    return loss;
}
