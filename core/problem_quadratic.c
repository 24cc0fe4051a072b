/* problem_quadratic.c -- random least squares: f(theta) = |W theta - y|^2
 *
 * The paper's text has Gaussian W and y; its figure and its code draw both from [0, 1), which is
 * the default here because it is the one to compare with. W is square, so the least value is 0
 * unless W is singular, which has probability 0. Data: W [d][d], then y [d].
 *
 * The product is written out because d is small: at d = 10 a call of BLAS costs as much. */
#include "problem.h"

#include <string.h>

enum { DIMENSION, DISTRIBUTION, INIT_STD };
enum { UNIFORM, GAUSSIAN };

static const char *const distribution_words[] = {
    [UNIFORM] = "uniform", [GAUSSIAN] = "gaussian", NULL};

static const dsc_hyper_spec hyper_spec[] = {
    [DIMENSION] = {.name = "dimension",
                   .kind = DSC_HYPER_INT,
                   .min = 1,
                   .max = 1000,
                   .initial = 10,
                   .doc = "Coordinates of theta, and rows of W."},
    [DISTRIBUTION] = {.name = "distribution",
                      .kind = DSC_HYPER_WORD,
                      .max = GAUSSIAN,
                      .initial = UNIFORM,
                      .words = distribution_words,
                      .doc = "Of W and y: uniform in [0, 1), or standard normal."},
    [INIT_STD] = {.name = "init_std",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1e6,
                  .initial = 0.01,
                  .doc = "Standard deviation of theta at the start."},
    {.name = NULL},
};

static size_t dim(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DIMENSION];
}

static size_t data_len(const dsc_hyper *hyper)
{
    return dim(hyper) * (dim(hyper) + 1);
}

static size_t work_len(const dsc_hyper *hyper)
{
    (void)hyper;
    return 0;
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);
    const bool uniform = hyper->value[DISTRIBUTION] == UNIFORM;
    const size_t d = dim(hyper), len = data_len(hyper);

    for (size_t i = 0; i < len; i++)
        data[i] = (dsc_real)(uniform ? dsc_rng_uniform(&rng) : dsc_rng_normal(&rng));
    for (size_t i = 0; i < d; i++)
        theta[i] = (dsc_real)(hyper->value[INIT_STD] * dsc_rng_normal(&rng));
}

/* grad += factor * row */
static void add_row(dsc_real *grad, dsc_real factor, const dsc_real *row, size_t d)
{
    for (size_t i = 0; i < d; i++)
        grad[i] += factor * row[i];
}

/* With r = W theta - y: f = r.r and grad = 2 W' r, both in one walk over the rows of W. */
static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const size_t d = dim(hyper);
    const dsc_real *const y = data + d * d;
    double loss = 0;

    (void)draw, (void)t, (void)work;
    if (grad)
        memset(grad, 0, d * sizeof *grad);
    for (size_t row = 0; row < d; row++) {
        const dsc_real *const w = data + row * d;
        dsc_real r = -y[row];

        for (size_t i = 0; i < d; i++)
            r += w[i] * theta[i];
        loss += (double)r * (double)r;
        if (grad)
            add_row(grad, 2 * r, w, d);
    }
    return loss;
}

/* H = 2 W' W */
static void curve(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                  const dsc_real *theta, const dsc_real *v, dsc_real *product, dsc_real *work)
{
    const size_t d = dim(hyper);

    (void)draw, (void)t, (void)theta, (void)work;
    memset(product, 0, d * sizeof *product);
    for (size_t row = 0; row < d; row++) {
        const dsc_real *const w = data + row * d;
        dsc_real along = 0;

        for (size_t i = 0; i < d; i++)
            along += w[i] * v[i];
        add_row(product, 2 * along, w, d);
    }
}

static double least(const dsc_hyper *hyper, const dsc_real *data)
{
    (void)hyper, (void)data;
    return 0;
}

const dsc_problem dsc_problem_quadratic = {
    .name = "quadratic",
    .doc = "Random least squares, |W theta - y|^2.",
    .source = "Andrychowicz et al. 2016, section 3.1; uniform as in its figure and code.",
    .hyper = hyper_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval,
    .curve = curve,
    .least = least,
};
