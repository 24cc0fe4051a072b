/* batch.c -- functions of one problem, drawn together to be minimised side by side */
#include "batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Streams of a draw's dressing stand apart from that of the function itself. */
#define DRESSING_EPOCHS (UINT64_C(1) << 62)

static const double helper_max = 10; /* beyond it the helper is flat */

/* --- sizes --- */

size_t dsc_batch_functions(size_t n, size_t left)
{
    size_t best = 1, best_lanes = dsc_state_lanes(n);

    for (size_t k = 2; k <= left && k * n <= DSC_UNROLL_LANES; k++) {
        const size_t lanes = dsc_state_lanes(k * n);

        if (lanes * best <= best_lanes * k) { /* no more lanes a function than before */
            best = k;
            best_lanes = lanes;
        }
    }
    return best;
}

size_t dsc_batch_n(const dsc_problem *problem, const dsc_hyper *hyper, const dsc_dressing *dressing)
{
    return problem->dim(hyper) + (dressing->convex_helper ? DSC_HELPER_COORDINATES : 0);
}

static dsc_real *carve(dsc_real *memory, size_t *used, size_t len)
{
    dsc_real *const at = memory ? memory + *used : NULL;

    *used += (len + DSC_LANES - 1) / DSC_LANES * DSC_LANES;
    return at;
}

/* Point into memory; without any this only measures. */
static size_t lay_out(dsc_batch *b, size_t state_len)
{
    size_t used = 0;

    b->strand.theta = carve(b->memory, &used, b->lanes);
    b->strand.grad = carve(b->memory, &used, b->lanes);
    b->strand.state = carve(b->memory, &used, state_len);
    b->data = carve(b->memory, &used, b->functions * b->problem->data_len(b->hyper));
    b->scale = carve(b->memory, &used, b->lanes);
    b->target = carve(b->memory, &used, b->functions * DSC_HELPER_COORDINATES);
    b->point = carve(b->memory, &used, b->n);
    b->along = carve(b->memory, &used, b->n);
    b->work = carve(b->memory, &used, b->problem->work_len(b->hyper));
    return used;
}

static bool fit(dsc_batch *b, size_t state_len, dsc_err *err)
{
    dsc_real *const old = b->memory;
    size_t needed;

    b->memory = NULL;
    needed = lay_out(b, state_len);
    b->memory = old;
    if (needed > b->capacity) {
        free(old);
        b->capacity = 0;
        b->memory = aligned_alloc(64, needed * sizeof *b->memory);
        if (!b->memory)
            return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for %zu functions", b->functions);
        b->capacity = needed;
    }
    (void)lay_out(b, state_len);
    memset(b->memory, 0, needed * sizeof *b->memory);
    return true;
}

/* --- drawing --- */

static dsc_draw draw_of(const dsc_batch *b, size_t i)
{
    dsc_draw draw = b->first;

    draw.lane += i;
    return draw;
}

/* Scale the function's own coordinates, and draw the helper's. */
static void dress(dsc_batch *b, size_t i)
{
    const dsc_draw draw = draw_of(b, i);
    const size_t dim = b->problem->dim(b->hyper);
    dsc_rng rng = dsc_rng_at(draw.seed, draw.epoch + DRESSING_EPOCHS, draw.lane);
    dsc_real *const scale = b->scale + i * b->n, *const theta = b->strand.theta + i * b->n;

    for (size_t k = 0; b->dressing.random_scale > 0 && k < dim; k++) {
        scale[k] = (dsc_real)exp(b->dressing.random_scale * (2 * dsc_rng_uniform(&rng) - 1));
        theta[k] /= scale[k];
    }
    for (size_t k = dim; k < b->n; k++) {
        b->target[i * DSC_HELPER_COORDINATES + k - dim] = (dsc_real)dsc_rng_normal(&rng);
        theta[k] = (dsc_real)dsc_rng_normal(&rng);
    }
}

bool dsc_batch_draw(dsc_batch *b, const dsc_trainable *trainable, const dsc_hyper *config,
                    const dsc_problem *problem, const dsc_hyper *hyper,
                    const dsc_dressing *dressing, const dsc_draw *first, size_t functions,
                    dsc_err *err)
{
    b->problem = problem;
    b->hyper = hyper;
    b->dressing = *dressing;
    b->first = *first;
    b->functions = functions;
    b->n = dsc_batch_n(problem, hyper, dressing);
    b->lanes = dsc_state_lanes(functions * b->n);
    if (!fit(b, dsc_unroll_state_len(trainable, config, b->lanes), err))
        return false;
    b->strand.lanes = b->lanes;
    b->strand.t = 0;
    for (size_t i = 0; i < functions; i++) {
        const dsc_draw draw = draw_of(b, i);

        problem->sample(hyper, &draw, b->data + i * problem->data_len(hyper),
                        b->strand.theta + i * b->n);
        dress(b, i);
    }
    (void)dsc_batch_eval(b, 0, b->strand.theta, b->strand.grad);
    return true;
}

void dsc_batch_clear(dsc_batch *b)
{
    free(b->memory);
    *b = (dsc_batch) {.memory = NULL};
}

/* --- values and gradients --- */

static double eval_helper(const dsc_real *target, const dsc_real *x, dsc_real *grad)
{
    const double each = 1.0 / (double)DSC_HELPER_COORDINATES;
    double sum = 0;

    for (size_t k = 0; k < DSC_HELPER_COORDINATES; k++) {
        const double d = (double)x[k] - (double)target[k];
        const bool flat = d * d >= helper_max;

        sum += each * (flat ? helper_max : d * d);
        grad[k] = flat ? 0 : (dsc_real)(2 * d * each);
    }
    return sum;
}

static double eval_scaled(dsc_batch *b, size_t i, uint64_t t, const dsc_real *theta, dsc_real *grad)
{
    const dsc_draw draw = draw_of(b, i);
    const size_t dim = b->problem->dim(b->hyper);
    const dsc_real *const data = b->data + i * b->problem->data_len(b->hyper);
    const dsc_real *const scale = b->scale + i * b->n;
    double loss;

    if (!(b->dressing.random_scale > 0))
        return b->problem->eval(b->hyper, &draw, data, t, theta, grad, b->work);
    for (size_t k = 0; k < dim; k++)
        b->point[k] = scale[k] * theta[k];
    loss = b->problem->eval(b->hyper, &draw, data, t, b->point, grad, b->work);
    for (size_t k = 0; k < dim; k++)
        grad[k] *= scale[k];
    return loss;
}

double dsc_batch_eval(void *batch, uint64_t t, const dsc_real *theta, dsc_real *grad)
{
    dsc_batch *const b = batch;
    const size_t dim = b->problem->dim(b->hyper);
    double sum = 0;

    for (size_t i = 0; i < b->functions; i++) {
        sum += eval_scaled(b, i, t, theta + i * b->n, grad + i * b->n);
        if (b->dressing.convex_helper)
            sum += eval_helper(b->target + i * DSC_HELPER_COORDINATES, theta + i * b->n + dim,
                               grad + i * b->n + dim);
    }
    return sum;
}

/* --- second derivatives --- */

static void curve_helper(const dsc_real *target, const dsc_real *x, const dsc_real *v,
                         dsc_real *product)
{
    for (size_t k = 0; k < DSC_HELPER_COORDINATES; k++) {
        const double d = (double)x[k] - (double)target[k];
        const double bend = d * d >= helper_max ? 0 : 2.0 / (double)DSC_HELPER_COORDINATES;

        product[k] = (dsc_real)(bend * (double)v[k]);
    }
}

/* Of f(c theta): c H(c theta) (c v). */
static void curve_scaled(dsc_batch *b, size_t i, uint64_t t, const dsc_real *theta,
                         const dsc_real *v, dsc_real *product)
{
    const dsc_draw draw = draw_of(b, i);
    const size_t dim = b->problem->dim(b->hyper);
    const dsc_real *const data = b->data + i * b->problem->data_len(b->hyper);
    const dsc_real *const scale = b->scale + i * b->n;
    const bool scaled = b->dressing.random_scale > 0;

    for (size_t k = 0; k < dim; k++) {
        b->point[k] = (scaled ? scale[k] : 1) * theta[k];
        b->along[k] = (scaled ? scale[k] : 1) * v[k];
    }
    b->problem->curve(b->hyper, &draw, data, t, b->point, b->along, product, b->work);
    for (size_t k = 0; scaled && k < dim; k++)
        product[k] *= scale[k];
}

void dsc_batch_curve(void *batch, uint64_t t, const dsc_real *theta, const dsc_real *v,
                     dsc_real *product)
{
    dsc_batch *const b = batch;
    const size_t dim = b->problem->dim(b->hyper);

    for (size_t i = 0; i < b->functions; i++) {
        const size_t at = i * b->n;

        curve_scaled(b, i, t, theta + at, v + at, product + at);
        if (b->dressing.convex_helper)
            curve_helper(b->target + i * DSC_HELPER_COORDINATES, theta + at + dim, v + at + dim,
                         product + at + dim);
    }
}
