/* problem_matrix.c -- a matrix as a product of two thin ones: f = |U V' - M|^2 / numbers of M
 *
 * M = A B' with A and B normal, so that the least value is 0, reached where U = A and V = B (and
 * wherever else the products agree). theta: U [rows][rank], then V [columns][rank]. Data: A and B
 * likewise; M is never formed but number by number. */
#include "problem.h"

#include <math.h>
#include <string.h>

enum { ROWS, COLUMNS, RANK, INIT_STD };

#define SIZE_ROW(what, about, default)                                                             \
    {                                                                                              \
        .name = what, .kind = DSC_HYPER_INT, .min = 1, .max = 200, .initial = default,             \
        .doc = about                                                                               \
    }

static const dsc_hyper_spec hyper_spec[] = {
    [ROWS] = SIZE_ROW("rows", "Rows of the matrix.", 8),
    [COLUMNS] = SIZE_ROW("columns", "Columns of the matrix.", 6),
    [RANK] = SIZE_ROW("rank", "Columns of the two thin matrices.", 2),
    [INIT_STD] = {.name = "init_std",
                  .kind = DSC_HYPER_REAL,
                  .min = 0,
                  .max = 1e3,
                  .initial = 0.3,
                  .doc = "Standard deviation of theta at the start."},
    {.name = NULL},
};

static size_t size(const dsc_hyper *hyper, int row)
{
    return (size_t)hyper->value[row];
}

static size_t dim(const dsc_hyper *hyper)
{
    return size(hyper, RANK) * (size(hyper, ROWS) + size(hyper, COLUMNS));
}

static size_t work_len(const dsc_hyper *hyper)
{
    (void)hyper;
    return 0;
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);

    for (size_t i = 0; i < dim(hyper); i++) {
        data[i] = (dsc_real)dsc_rng_normal(&rng);
        theta[i] = (dsc_real)(hyper->value[INIT_STD] * dsc_rng_normal(&rng));
    }
}

static dsc_real dot(const dsc_real *a, const dsc_real *b, size_t n)
{
    dsc_real sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const size_t rows = size(hyper, ROWS), columns = size(hyper, COLUMNS);
    const size_t rank = size(hyper, RANK), second = rows * rank;
    const double scale = 1 / (double)(rows * columns);
    double loss = 0;

    (void)draw, (void)t, (void)work;
    if (grad)
        memset(grad, 0, dim(hyper) * sizeof *grad);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++) {
            const size_t u = i * rank, v = second + k * rank;
            const dsc_real r = dot(theta + u, theta + v, rank) - dot(data + u, data + v, rank);
            const dsc_real pull = (dsc_real)(2 * scale * (double)r);

            loss += scale * (double)r * (double)r;
            for (size_t j = 0; grad && j < rank; j++) {
                grad[u + j] += pull * theta[v + j];
                grad[v + j] += pull * theta[u + j];
            }
        }
    return loss;
}

static double least(const dsc_hyper *hyper, const dsc_real *data)
{
    (void)hyper, (void)data;
    return 0;
}

static void solve(const dsc_hyper *hyper, const dsc_real *data, dsc_real *theta)
{
    memcpy(theta, data, dim(hyper) * sizeof *theta);
}

const dsc_problem dsc_problem_matrix_factorization = {
    .name = "matrix_factorization",
    .doc = "A matrix of low rank as a product of two thin ones, mean squared difference.",
    .source = "A standard non-convex test; every local minimum is global (Ge, Lee, Ma 2016).",
    .hyper = hyper_spec,
    .dim = dim,
    .data_len = dim,
    .work_len = work_len,
    .sample = sample,
    .eval = eval,
    .least = least,
    .solve = solve,
};
