/* problem_landscape.c -- test functions of many shapes, each moved and turned at random
 *
 *     rosenbrock        sum 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2    a bent valley; 0 at 1
 *     rastrigin         10 d + sum x_i^2 - 10 cos(2 pi x_i)           a bowl with 11^d dents; 0 at
 * 0 styblinski_tang   1/2 sum x_i^4 - 16 x_i^2 + 5 x_i              2^d valleys; -39.166 d
 *
 * Each is base(x) with x = R (theta - s), see frame.h: the data of a function is its frame. */
#include "frame.h"
#include "problem.h"

#include <math.h>

enum { DIMENSION, SHIFT, ROTATION, INIT_STD };
enum { NONE, RANDOM };

static const char *const rotation_words[] = {[NONE] = "none", [RANDOM] = "random", NULL};

#define ROWS(least_dimension)                                                                      \
    {                                                                                              \
        [DIMENSION] = {.name = "dimension",                                                        \
                       .kind = DSC_HYPER_INT,                                                      \
                       .min = least_dimension,                                                     \
                       .max = 10000,                                                               \
                       .initial = 10,                                                              \
                       .doc = "Coordinates of theta."},                                            \
        [SHIFT] = {.name = "shift",                                                                \
                   .kind = DSC_HYPER_REAL,                                                         \
                   .min = 0,                                                                       \
                   .max = 1e3,                                                                     \
                   .initial = 0.5,                                                                 \
                   .doc = "Standard deviation of where the function's origin is."},                \
        [ROTATION] = {.name = "rotation",                                                          \
                      .kind = DSC_HYPER_WORD,                                                      \
                      .max = RANDOM,                                                               \
                      .initial = RANDOM,                                                           \
                      .words = rotation_words,                                                     \
                      .doc = "Whether its axes are turned."},                                      \
        [INIT_STD] = {.name = "init_std",                                                          \
                      .kind = DSC_HYPER_REAL,                                                      \
                      .min = 0,                                                                    \
                      .max = 1e3,                                                                  \
                      .initial = 1,                                                                \
                      .doc = "Standard deviation of theta at the start."},                         \
        {.name = NULL},                                                                            \
    }

static const dsc_hyper_spec valley_spec[] = ROWS(2);
static const dsc_hyper_spec other_spec[] = ROWS(1);

static size_t dim(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DIMENSION];
}

static size_t data_len(const dsc_hyper *hyper)
{
    return dsc_frame_len(dim(hyper));
}

/* x, and a gradient where nobody wants one */
static size_t work_len(const dsc_hyper *hyper)
{
    return 2 * dim(hyper);
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);

    dsc_frame_sample(data, dim(hyper), hyper->value[SHIFT], hyper->value[ROTATION] == RANDOM, &rng);
    for (size_t i = 0; i < dim(hyper); i++)
        theta[i] = (dsc_real)(hyper->value[INIT_STD] * dsc_rng_normal(&rng));
}

/* base(x), and grad by x */
typedef double base(const dsc_real *x, dsc_real *grad, size_t d);

static double eval_in_frame(base *f, const dsc_hyper *hyper, const dsc_real *data,
                            const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const size_t d = dim(hyper);
    dsc_real *const by_x = grad ? grad : work + d;
    double loss;

    dsc_frame_enter(data, d, theta, work);
    loss = f(work, by_x, d);
    if (grad)
        dsc_frame_leave(data, d, grad);
    return loss;
}

static void place_all_at(const dsc_hyper *hyper, const dsc_real *data, dsc_real x, dsc_real *theta)
{
    for (size_t i = 0; i < dim(hyper); i++)
        theta[i] = x;
    dsc_frame_place(data, dim(hyper), theta, theta);
}

/* --- rosenbrock --- */

static double rosenbrock(const dsc_real *x, dsc_real *grad, size_t d)
{
    double loss = 0;

    grad[0] = 0;
    for (size_t i = 0; i + 1 < d; i++) {
        const double a = (double)x[i + 1] - (double)x[i] * (double)x[i], b = 1 - (double)x[i];

        loss += 100 * a * a + b * b;
        grad[i] += (dsc_real)(-400 * a * (double)x[i] - 2 * b);
        grad[i + 1] = (dsc_real)(200 * a);
    }
    return loss;
}

static double eval_rosenbrock(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                              uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    (void)draw, (void)t;
    return eval_in_frame(rosenbrock, hyper, data, theta, grad, work);
}

static double least_0(const dsc_hyper *hyper, const dsc_real *data)
{
    (void)hyper, (void)data;
    return 0;
}

static void solve_rosenbrock(const dsc_hyper *hyper, const dsc_real *data, dsc_real *theta)
{
    place_all_at(hyper, data, 1, theta);
}

const dsc_problem dsc_problem_rosenbrock = {
    .name = "rosenbrock",
    .doc = "A bent valley: 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, moved and turned.",
    .source = "Rosenbrock 1960.",
    .hyper = valley_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval_rosenbrock,
    .least = least_0,
    .solve = solve_rosenbrock,
};

/* --- rastrigin --- */

static double rastrigin(const dsc_real *x, dsc_real *grad, size_t d)
{
    const double tau = 6.283185307179586;
    double loss = 0;

    for (size_t i = 0; i < d; i++) {
        const double at = (double)x[i];

        loss += at * at + 10 * (1 - cos(tau * at));
        grad[i] = (dsc_real)(2 * at + 10 * tau * sin(tau * at));
    }
    return loss;
}

static double eval_rastrigin(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                             uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    (void)draw, (void)t;
    return eval_in_frame(rastrigin, hyper, data, theta, grad, work);
}

static void solve_rastrigin(const dsc_hyper *hyper, const dsc_real *data, dsc_real *theta)
{
    place_all_at(hyper, data, 0, theta);
}

const dsc_problem dsc_problem_rastrigin = {
    .name = "rastrigin",
    .doc = "A bowl full of dents: 10 + x_i^2 - 10 cos(2 pi x_i), moved and turned.",
    .source = "Rastrigin 1974.",
    .hyper = other_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval_rastrigin,
    .least = least_0,
    .solve = solve_rastrigin,
};

/* --- styblinski-tang --- */

/* Where x^4 - 16 x^2 + 5 x is least: the lowest root of its derivative 4 x^3 - 32 x + 5. */
static const double styblinski_x = -2.903534027771177, styblinski_f = -39.16616570377142;

static double styblinski_tang(const dsc_real *x, dsc_real *grad, size_t d)
{
    double loss = 0;

    for (size_t i = 0; i < d; i++) {
        const double at = (double)x[i];

        loss += 0.5 * at * (at * (at * at - 16) + 5);
        grad[i] = (dsc_real)(at * (2 * at * at - 16) + 2.5);
    }
    return loss;
}

static double eval_styblinski_tang(const dsc_hyper *hyper, const dsc_draw *draw,
                                   const dsc_real *data, uint64_t t, const dsc_real *theta,
                                   dsc_real *grad, dsc_real *work)
{
    (void)draw, (void)t;
    return eval_in_frame(styblinski_tang, hyper, data, theta, grad, work);
}

static double least_styblinski_tang(const dsc_hyper *hyper, const dsc_real *data)
{
    (void)data;
    return styblinski_f * (double)dim(hyper);
}

static void solve_styblinski_tang(const dsc_hyper *hyper, const dsc_real *data, dsc_real *theta)
{
    place_all_at(hyper, data, (dsc_real)styblinski_x, theta);
}

const dsc_problem dsc_problem_styblinski_tang = {
    .name = "styblinski_tang",
    .doc = "2^d valleys: 1/2 (x_i^4 - 16 x_i^2 + 5 x_i), moved and turned.",
    .source = "Styblinski, Tang 1990.",
    .hyper = other_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval_styblinski_tang,
    .least = least_styblinski_tang,
    .solve = solve_styblinski_tang,
};
