/* eval.c -- measuring optimizers on fresh functions
 *
 * Each function is a run of its own, as a session would be, so that families that couple their
 * coordinates are measured rightly, and through the step that is served. Losses are kept for all
 * functions and steps; statistics are taken of them afterwards, in the order of functions. */
#include "eval.h"

#include "run.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Streams of functions to measure and to tune on: those of no epoch of a training, also one with
 * the same seed. */
#define EPOCH_MEASURE ((UINT64_C(1) << 61) + 2)
#define EPOCH_TUNE    (EPOCH_MEASURE + 1)

/* One evaluation at work. */
typedef struct {
    const dsc_eval_task *task;
    dsc_model *model;
    uint64_t epoch;
    double *losses; /* [functions][steps + 1] */
    float **work;   /* [workers] */
    dsc_err *errs;  /* [functions] */
} measurement;

/* --- one function --- */

/* What a job needs for one function, in one piece of memory. */
typedef struct {
    dsc_real *data, *theta, *grad, *update, *scratch;
} place;

static bool place_new(place *p, const dsc_eval_task *task)
{
    const size_t n = task->problem->dim(task->hyper);
    const size_t data = task->problem->data_len(task->hyper);

    p->data = calloc(data + 3 * n + task->problem->work_len(task->hyper), sizeof *p->data);
    if (!p->data)
        return false;
    p->theta = p->data + data;
    p->grad = p->theta + n;
    p->update = p->grad + n;
    p->scratch = p->update + n;
    return true;
}

/* From step t on there is nothing to measure. */
static void give_up(double *losses, size_t t, size_t steps)
{
    for (; t <= steps; t++)
        losses[t] = INFINITY;
}

static void minimise(const measurement *m, const dsc_draw *draw, dsc_run *run, const place *p,
                     float *work, double *losses)
{
    const dsc_eval_task *const task = m->task;
    const size_t n = dsc_run_n(run);

    task->problem->sample(task->hyper, draw, p->data, p->theta);
    for (size_t t = 0;; t++) {
        losses[t] =
            task->problem->eval(task->hyper, draw, p->data, t, p->theta, p->grad, p->scratch);
        if (!isfinite(losses[t]))
            give_up(losses, t, task->steps);
        if (t == task->steps || !isfinite(losses[t]))
            return;
        if (!dsc_run_step(run, p->grad, p->update, work, NULL)) {
            give_up(losses, t + 1, task->steps);
            return;
        }
        for (size_t i = 0; i < n; i++)
            p->theta[i] += p->update[i];
    }
}

static void job_measure(void *arg, size_t index, int worker)
{
    const measurement *const m = arg;
    const dsc_draw draw = {m->task->seed, m->epoch, index};
    dsc_run *run = NULL;
    place p = {.data = NULL};

    if (!place_new(&p, m->task))
        (void)dsc_fail(&m->errs[index], DSC_ENOMEM, NULL, "no memory for a function");
    else if (dsc_run_new(&run, m->model, m->task->problem->dim(m->task->hyper), &m->errs[index]))
        minimise(m, &draw, run, &p, m->work[worker], m->losses + index * (m->task->steps + 1));
    dsc_run_free(run);
    free(p.data);
}

/* --- all of them --- */

static bool work_new(measurement *m, int workers)
{
    m->work = calloc((size_t)workers, sizeof *m->work);
    for (int i = 0; m->work && i < workers; i++)
        if (!(m->work[i] = dsc_work_new()))
            return false;
    return m->work != NULL;
}

static void clear(measurement *m, int workers)
{
    for (int i = 0; m->work && i < workers; i++)
        dsc_work_free(m->work[i]);
    free(m->work);
    free(m->errs);
    free(m->losses);
}

/* Fill m->losses; to be cleared whatever is returned. */
static bool measure(measurement *m, const dsc_crew *crew, dsc_err *err)
{
    const size_t functions = m->task->functions;
    size_t len;

    if (functions < 1 || m->task->steps < 1 ||
        __builtin_mul_overflow(functions, m->task->steps + 1, &len) || len > DSC_EVAL_MAX)
        return dsc_fail(err, DSC_EINVAL, "functions", "times steps must be in [1, %zu]",
                        DSC_EVAL_MAX);
    m->losses = calloc(len, sizeof *m->losses);
    m->errs = calloc(functions, sizeof *m->errs);
    if (!m->losses || !m->errs || !work_new(m, crew->workers))
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for an evaluation");
    crew->run(crew->pool, functions, job_measure, m);
    for (size_t i = 0; i < functions; i++)
        if (m->errs[i].code != DSC_OK)
            return dsc_fail(err, m->errs[i].code, m->errs[i].where, "%s", m->errs[i].text);
    return true;
}

/* --- statistics --- */

static double mean_of(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

static double stderr_of(const double *x, size_t n, double mean)
{
    double square = 0;

    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(square / (double)(n - 1) / (double)n) : 0;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of sorted numbers, between neighbours linearly. */
static double quantile(const double *x, size_t n, double q)
{
    const double at = q * (double)(n - 1);
    const size_t below = (size_t)at;
    const double part = at - (double)below;

    if (part == 0 || x[below] == x[below + 1])
        return x[below];
    return x[below] + part * (x[below + 1] - x[below]);
}

static bool result_new(dsc_eval_result *out, size_t points)
{
    *out = (dsc_eval_result) {.mean = calloc(4 * points, sizeof *out->mean)};
    if (!out->mean)
        return false;
    out->median = out->mean + points;
    out->p10 = out->median + points;
    out->p90 = out->p10 + points;
    return true;
}

static void describe_point(dsc_eval_result *out, const measurement *m, size_t t, double *column)
{
    const size_t n = m->task->functions, steps = m->task->steps;

    for (size_t i = 0; i < n; i++)
        column[i] = m->losses[i * (steps + 1) + t];
    out->mean[t] = mean_of(column, n);
    if (t == steps) {
        out->final_loss = out->mean[t];
        out->final_loss_stderr = stderr_of(column, n, out->final_loss);
        for (size_t i = 0; i < n; i++)
            out->diverged += !isfinite(column[i]);
    }
    qsort(column, n, sizeof *column, compare);
    out->median[t] = quantile(column, n, 0.5);
    out->p10[t] = quantile(column, n, 0.1);
    out->p90[t] = quantile(column, n, 0.9);
}

/* Each function's sum of losses from t = 1 on, for the standard error of the mean of them. */
static void describe_sum(dsc_eval_result *out, const measurement *m, double *column)
{
    const size_t n = m->task->functions, steps = m->task->steps;

    for (size_t i = 0; i < n; i++) {
        column[i] = 0;
        for (size_t t = 1; t <= steps; t++)
            column[i] += m->losses[i * (steps + 1) + t];
    }
    out->loss_sum = mean_of(column, n);
    out->loss_sum_stderr = stderr_of(column, n, out->loss_sum);
}

static bool describe(dsc_eval_result *out, const measurement *m, dsc_err *err)
{
    double *const column = calloc(m->task->functions, sizeof *column);

    if (!column || !result_new(out, m->task->steps + 1)) {
        free(column);
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the curves");
    }
    for (size_t t = 0; t <= m->task->steps; t++)
        describe_point(out, m, t, column);
    describe_sum(out, m, column);
    free(column);
    return true;
}

bool dsc_eval(dsc_eval_result *out, const dsc_eval_task *task, dsc_model *model,
              const dsc_crew *crew, dsc_err *err)
{
    measurement m = {.task = task, .model = model, .epoch = EPOCH_MEASURE};
    const bool ok = measure(&m, crew, err) && describe(out, &m, err);

    clear(&m, crew->workers);
    return ok;
}

void dsc_eval_clear(dsc_eval_result *result)
{
    free(result->mean);
    *result = (dsc_eval_result) {.mean = NULL};
}

/* --- tuning --- */

/* A family at one learning rate, and how it does. */
typedef struct {
    dsc_hyper hyper;
    double loss; /* mean, at the last step; not finite when some function was not */
} trial;

typedef struct {
    const dsc_family *family;
    const dsc_eval_task *task;
    const dsc_crew *crew;
} bench;

static bool try_rate(trial *t, const bench *b, double rate, dsc_err *err)
{
    measurement m = {.task = b->task, .epoch = EPOCH_TUNE};
    const size_t steps = b->task->steps;
    double sum = 0;
    bool ok;

    dsc_hyper_init(&t->hyper, b->family->hyper);
    ok = dsc_hyper_set_number(&t->hyper, "learning_rate", rate, err) &&
         dsc_model_new(&m.model, b->family, &t->hyper, NULL, NULL, err) &&
         measure(&m, b->crew, err);
    for (size_t i = 0; ok && i < b->task->functions; i++)
        sum += m.losses[i * (steps + 1) + steps];
    t->loss = sum / (double)b->task->functions;
    clear(&m, b->crew->workers);
    dsc_model_drop(m.model);
    return ok;
}

/* Does the family's table allow this rate? */
static bool is_allowed(const dsc_hyper_spec *row, double rate)
{
    return rate <= row->max && (row->open ? rate > row->min : rate >= row->min);
}

static double rate_at(const dsc_tuning *tuning, long index)
{
    const double ratio = log(tuning->max / tuning->min) / (double)(tuning->rates - 1);

    return tuning->min * exp(ratio * (double)index);
}

/* Try one index of the grid; keep it if it is the best so far. */
static bool consider(trial *best, long *best_at, const bench *b, const dsc_tuning *tuning, long at,
                     dsc_err *err)
{
    const dsc_hyper_spec *const row =
        &b->family->hyper[dsc_hyper_find(b->family->hyper, "learning_rate")];
    trial now;

    if (!is_allowed(row, rate_at(tuning, at)))
        return true;
    if (!try_rate(&now, b, rate_at(tuning, at), err))
        return false;
    if (isfinite(now.loss) && !(best->loss <= now.loss)) {
        *best = now;
        *best_at = at;
    }
    return true;
}

/* The grid, then beyond an edge for as long as that is the best place. */
static bool search(trial *best, const bench *b, const dsc_tuning *tuning, dsc_err *err)
{
    const long rates = (long)tuning->rates;
    long first = 0, last = rates - 1, at = -1;

    for (long i = 0; i < rates; i++)
        if (!consider(best, &at, b, tuning, i, err))
            return false;
    for (long more = 0; more < rates && (at == first || at == last); more++) {
        const long next = at == first ? --first : ++last;

        if (!consider(best, &at, b, tuning, next, err))
            return false;
    }
    return true;
}

bool dsc_eval_tune(dsc_model **out, const dsc_family *family, const dsc_tuning *tuning,
                   const dsc_eval_task *task, const dsc_crew *crew, dsc_err *err)
{
    dsc_eval_task apart = *task;
    const bench b = {family, &apart, crew};
    trial best = {.loss = NAN};

    assert(tuning->rates >= 2 && tuning->min > 0 && tuning->max > tuning->min);
    if (family->phi_layout || dsc_hyper_find(family->hyper, "learning_rate") < 0)
        return dsc_fail(err, DSC_EINVAL, "baselines", "%s has no learning rate to tune",
                        family->name);
    apart.functions = tuning->functions;
    if (!search(&best, &b, tuning, err))
        return false;
    if (isnan(best.loss))
        return dsc_fail(err, DSC_EINVAL, "baselines", "%s diverges at every learning rate tried",
                        family->name);
    return dsc_model_new(out, family, &best.hyper, NULL, NULL, err);
}
