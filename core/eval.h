/* eval.h -- measuring optimizers on fresh functions, and tuning the hand-designed ones to compare
 *
 * Functions are drawn by (seed, lane); those that tune are drawn apart from those that measure.
 * The same bits for any crew. It does no I/O and knows no time; whoever asks may measure the call.
 */
#ifndef DSC_EVAL_H
#define DSC_EVAL_H

#include "crew.h"
#include "model.h"
#include "problem.h"

/* The most numbers that an evaluation keeps: functions * (steps + 1). 800 MB. */
#define DSC_EVAL_MAX ((size_t)100000000)

typedef struct {
    const dsc_problem *problem;
    const dsc_hyper *hyper;
    size_t steps, functions;
    uint64_t seed;
} dsc_eval_task;

/* Index t of a curve is f(theta_t) over the functions; t = 0 is the start. A function whose loss,
 * gradient or update stops being finite counts as infinite from there on. */
typedef struct {
    double *mean, *median, *p10, *p90; /* [steps + 1], owned                 */
    double final_loss, final_loss_stderr;
    double loss_sum, loss_sum_stderr; /* of mean, from t = 1 on             */
    size_t diverged;                  /* functions that did not stay finite */
} dsc_eval_result;

/* DSC_EINVAL (where = "functions") when it would keep more than DSC_EVAL_MAX, DSC_ENOMEM. */
bool dsc_eval(dsc_eval_result *out, const dsc_eval_task *task, dsc_model *model,
              const dsc_crew *crew, dsc_err *err) DSC_MUST_CHECK;
void dsc_eval_clear(dsc_eval_result *result);

typedef struct {
    size_t rates;    /* how many, log-spaced, at least 2 */
    double min, max; /* the first and the last           */
    size_t functions;
} dsc_tuning;

/* The learning rate with the least mean final loss, as a model with all else at its default. An
 * optimum at an edge of the range widens it, at most `rates` times. DSC_EINVAL when the family has
 * no learning_rate, or no rate in the range that its table allows; the rest as dsc_eval. */
bool dsc_eval_tune(dsc_model **out, const dsc_family *family, const dsc_tuning *tuning,
                   const dsc_eval_task *task, const dsc_crew *crew, dsc_err *err) DSC_MUST_CHECK;

#endif
