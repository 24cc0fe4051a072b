/* problem.h -- a distribution of functions to minimise: the p(f) that optimizers are trained on
 *
 * A problem is a constant that owns nothing. `sample` draws one function and a place to start, and
 * `eval` gives its value and gradient. What is drawn depends on a dsc_draw and on nothing else, so
 * it is the same however many threads work and whatever was interrupted. Any thread.
 *
 * To add a problem: problem_<name>.c with one const dsc_problem, one line in problem.c. The laws in
 * tests/laws hold every row of the list to central differences, to its minimum where it is known,
 * and to `sample` being a function of the draw. */
#ifndef DSC_PROBLEM_H
#define DSC_PROBLEM_H

#include "err.h"
#include "hyper.h"
#include "real.h"
#include "rng.h"

#include <stddef.h>
#include <stdint.h>

/* Which one of all functions: that of lane `lane` in epoch `epoch` of the job with this seed. */
typedef struct {
    uint64_t seed, epoch, lane;
} dsc_draw;

typedef struct dsc_problem {
    const char *name;   /* on the wire and in databases: never renamed */
    const char *doc;    /* one sentence for a person choosing          */
    const char *source; /* paper and section, and what we changed      */
    const dsc_hyper_spec *hyper;

    /* Do the choices, the dataset above all, go together? NULL: always. Asked once, before all
     * that follows; of a problem with a dataset, only with one bound. DSC_EINVAL with where = the
     * row. */
    bool (*check)(const dsc_hyper *hyper, dsc_err *err);

    size_t (*dim)(const dsc_hyper *hyper);      /* coordinates of theta         */
    size_t (*data_len)(const dsc_hyper *hyper); /* numbers that hold a function */
    size_t (*work_len)(const dsc_hyper *hyper); /* scratch of eval              */

    /* data [data_len], theta [dim] <- a function and its start. */
    void (*sample)(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta);

    /* Returns f(theta) and, unless grad is NULL, sets grad [dim]. `t` is the step, for problems
     * that draw a minibatch at each one. */
    double (*eval)(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work);

    /* product [dim] = H v, with H the second derivatives of f at theta; NULL where nobody wrote it
     * down. */
    void (*curve)(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                  const dsc_real *theta, const dsc_real *v, dsc_real *product, dsc_real *work);

    /* The least value of f, and a theta [dim] that has it; each NULL where nobody knows. */
    double (*least)(const dsc_hyper *hyper, const dsc_real *data);
    void (*solve)(const dsc_hyper *hyper, const dsc_real *data, dsc_real *theta);
} dsc_problem;

extern const dsc_problem dsc_problem_quadratic, dsc_problem_rosenbrock, dsc_problem_rastrigin,
    dsc_problem_styblinski_tang, dsc_problem_lasso, dsc_problem_matrix_factorization,
    dsc_problem_mlp, dsc_problem_softmax_regression, dsc_problem_logistic_regression,
    dsc_problem_linear_regression, dsc_problem_convnet, dsc_problem_sine_mlp;

/* Every problem, NULL-terminated: the one list to extend. */
extern const dsc_problem *const dsc_problems[];

/* Borrowed; NULL if there is none of that name. */
const dsc_problem *dsc_problem_find(const char *name);

#endif
