/* evaluation.c -- an optimizer's curves as a result says them */
#include "evaluation.h"
#include "clock.h"
#include "fault.h"
#include <string.h>

#define MEASURED(member) .offset = offsetof(struct measured, member)

static const struct field measured_rows[] = {
    {"optimizer", FIELD_STRING, MEASURED(optimizer), .doc = "The reference or the family."},
    {"config", FIELD_JSON, MEASURED(config), .doc = "The whole config."},
    {"tuned", FIELD_BOOL, MEASURED(tuned), .doc = "Whether its learning rate was searched for."},
    {"mean", FIELD_REALS, MEASURED(mean), FIELD_NULLABLE,
     .doc = "f(theta_t) over the functions, t = 0, 1, ..."},
    {"median", FIELD_REALS, MEASURED(median), FIELD_NULLABLE, .doc = "The same, the middle one."},
    {"p10", FIELD_REALS, MEASURED(p10), FIELD_NULLABLE,
     .doc = "The same, the lowest tenth's limit."},
    {"p90", FIELD_REALS, MEASURED(p90), FIELD_NULLABLE,
     .doc = "The same, the highest tenth's limit."},
    {"final_loss", FIELD_REAL, MEASURED(final_loss), FIELD_NULLABLE,
     .doc = "The mean at the last step."},
    {"final_loss_stderr", FIELD_REAL, MEASURED(final_loss_stderr), FIELD_NULLABLE,
     .doc = "Its standard error."},
    {"loss_sum", FIELD_REAL, MEASURED(loss_sum), FIELD_NULLABLE,
     .doc = "The means of t = 1, 2, ... together."},
    {"loss_sum_stderr", FIELD_REAL, MEASURED(loss_sum_stderr), FIELD_NULLABLE,
     .doc = "Its standard error."},
    {"diverged", FIELD_INT, MEASURED(diverged), .doc = "Functions that did not stay finite."},
    {"seconds_per_step", FIELD_REAL, MEASURED(seconds_per_step),
     .doc = "Of one function on one thread, its gradient included."},
    {0},
};
const struct shape measured_shape = {.name = "measured",
                                     .doc = "How an optimizer did.",
                                     .size = sizeof(struct measured),
                                     .fields = measured_rows};

static const struct field evaluation_rows[] = {
    {"optimizers", FIELD_LIST, .offset = offsetof(struct evaluation, optimizers),
     .shape = &measured_shape, .doc = "In the order of the spec, baselines last."},
    {0},
};
const struct shape evaluation_shape = {.name = "evaluation",
                                       .doc = "What came of an evaluation.",
                                       .size = sizeof(struct evaluation),
                                       .fields = evaluation_rows};

/* A curve into the arena. */
static bool keep_curve(struct field_list *to, const double *from, size_t points, dsc_arena *arena)
{
    *to = (struct field_list) {points, dsc_arena_take(arena, points, sizeof *from)};
    if (!to->items)
        return false;
    memcpy(to->items, from, points * sizeof *from);
    return true;
}

static bool keep(struct measured *to, const dsc_eval_result *r, size_t points, dsc_arena *arena,
                 dsc_err *err)
{
    to->final_loss = r->final_loss;
    to->final_loss_stderr = r->final_loss_stderr;
    to->loss_sum = r->loss_sum;
    to->loss_sum_stderr = r->loss_sum_stderr;
    to->diverged = (int64_t)r->diverged;
    return (to->config && keep_curve(&to->mean, r->mean, points, arena) &&
            keep_curve(&to->median, r->median, points, arena) &&
            keep_curve(&to->p10, r->p10, points, arena) &&
            keep_curve(&to->p90, r->p90, points, arena)) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the curves");
}

bool evaluation_measure(struct measured *out, const char *name, bool tuned, dsc_model *model,
                        const dsc_eval_task *task, const dsc_crew *crew, dsc_arena *arena,
                        dsc_err *err)
{
    const uint64_t began = clock_ns();
    dsc_eval_result result;
    bool ok;

    if (!dsc_eval(&result, task, model, crew, err))
        return false;
    *out = (struct measured) {.optimizer = name,
                              .config = field_hyper_encode(dsc_model_hyper(model), arena),
                              .tuned = tuned};
    out->seconds_per_step = (double)(clock_ns() - began) / 1e9 * crew->workers /
                            (double)(task->steps * task->functions);
    ok = keep(out, &result, task->steps + 1, arena, err);
    dsc_eval_clear(&result);
    return ok;
}
