/* problem_lasso.c -- sparse regression: f(theta) = 1/(2m) |A theta - b|^2 + lambda |theta|_1
 *
 * A is normal, and b = A theta' + noise with a theta' of which only some coordinates are not 0. The
 * gradient of |theta_i| at 0 counts as 0. Data: A [m][d], then b [m]. */
#include "problem.h"

#include <math.h>
#include <string.h>

enum { DIMENSION, MEASUREMENTS, SPARSITY, LAMBDA, NOISE, INIT_STD };

static const dsc_hyper_spec hyper_spec[] = {
    [DIMENSION] = {.name = "dimension",
                   .kind = DSC_HYPER_INT,
                   .min = 1,
                   .max = 1000,
                   .initial = 20,
                   .doc = "Coordinates of theta."},
    [MEASUREMENTS] = {.name = "measurements",
                      .kind = DSC_HYPER_INT,
                      .min = 1,
                      .max = 1000,
                      .initial = 10,
                      .doc = "Rows of A."},
    [SPARSITY] = {.name = "sparsity",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1,
                  .initial = 0.1,
                  .doc = "The share of coordinates that are not 0 in what was measured."},
    [LAMBDA] = {.name = "lambda",
                .kind = DSC_HYPER_REAL,
                .min = 0,
                .max = 1e3,
                .initial = 0.005,
                .doc = "The price of |theta|."},
    [NOISE] = {.name = "noise",
               .kind = DSC_HYPER_REAL,
               .min = 0,
               .max = 1e3,
               .initial = 0.01,
               .doc = "Standard deviation of what is added to each measurement."},
    [INIT_STD] = {.name = "init_std",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1e3,
                  .initial = 0.01,
                  .doc = "Standard deviation of theta at the start."},
    {.name = NULL},
};

static size_t dim(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DIMENSION];
}

static size_t measurements(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[MEASUREMENTS];
}

static size_t data_len(const dsc_hyper *hyper)
{
    return measurements(hyper) * (dim(hyper) + 1);
}

static size_t work_len(const dsc_hyper *hyper)
{
    (void)hyper;
    return 0;
}

/* theta holds the sparse vector until b is measured. */
static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);
    const size_t d = dim(hyper), m = measurements(hyper);
    dsc_real *const b = data + m * d;

    for (size_t i = 0; i < d; i++) {
        const bool there = dsc_rng_uniform(&rng) < hyper->value[SPARSITY];

        theta[i] = (dsc_real)(there ? dsc_rng_normal(&rng) : 0);
    }
    for (size_t row = 0; row < m; row++) {
        b[row] = (dsc_real)(hyper->value[NOISE] * dsc_rng_normal(&rng));
        for (size_t i = 0; i < d; i++) {
            data[row * d + i] = (dsc_real)dsc_rng_normal(&rng);
            b[row] += data[row * d + i] * theta[i];
        }
    }
    for (size_t i = 0; i < d; i++)
        theta[i] = (dsc_real)(hyper->value[INIT_STD] * dsc_rng_normal(&rng));
}

/* The price, and its gradient. */
static double eval_price(double lambda, const dsc_real *theta, dsc_real *grad, size_t d)
{
    double loss = 0;

    for (size_t i = 0; i < d; i++) {
        loss += lambda * fabs((double)theta[i]);
        if (grad)
            grad[i] = (dsc_real)(lambda * ((theta[i] > 0) - (theta[i] < 0)));
    }
    return loss;
}

static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const size_t d = dim(hyper), m = measurements(hyper);
    const dsc_real *const b = data + m * d;
    double loss = eval_price(hyper->value[LAMBDA], theta, grad, d);

    (void)draw, (void)t, (void)work;
    for (size_t row = 0; row < m; row++) {
        const dsc_real *const a = data + row * d;
        dsc_real r = -b[row];

        for (size_t i = 0; i < d; i++)
            r += a[i] * theta[i];
        loss += 0.5 * (double)r * (double)r / (double)m;
        for (size_t i = 0; grad && i < d; i++)
            grad[i] += r * a[i] / (dsc_real)m;
    }
    return loss;
}

const dsc_problem dsc_problem_lasso = {
    .name = "lasso",
    .doc = "Sparse regression from few measurements: 1/(2m) |A x - b|^2 + lambda |x|_1.",
    .source = "Tibshirani 1996; sizes as in Chen et al. 2022.",
    .hyper = hyper_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval,
};
