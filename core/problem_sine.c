/* problem_sine.c -- a small network fitted to a few points of a sine
 *
 * y = a sin(x + p) with a in [0.1, 5], p in [0, pi], at `points` places x in [-5, 5]: Finn, Abbeel,
 * Levine 2017, section 5.1. The network has two hidden layers; its weights begin normal with
 * variance 1 / inputs, its biases at 0. Data: x [points], then y [points]. */
#include "problem.h"
#include "tape.h"

#include <math.h>
#include <string.h>

enum { POINTS, UNITS, ACTIVATION };
enum { RELU, TANH, SIGMOID };

static const char *const activation_words[] = {
    [RELU] = "relu", [TANH] = "tanh", [SIGMOID] = "sigmoid", NULL};

static const dsc_hyper_spec hyper_spec[] = {
    [POINTS] = {.name = "points",
                .kind = DSC_HYPER_INT,
                .min = 1,
                .max = 1000,
                .initial = 10,
                .doc = "Points of the sine that are known."},
    [UNITS] = {.name = "units",
               .kind = DSC_HYPER_INT,
               .min = 1,
               .max = 256,
               .initial = 40,
               .doc = "Units of each of the two hidden layers."},
    [ACTIVATION] = {.name = "activation",
                    .kind = DSC_HYPER_WORD,
                    .max = SIGMOID,
                    .initial = RELU,
                    .words = activation_words,
                    .doc = "Of the hidden units."},
    {.name = NULL},
};

static size_t points(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[POINTS];
}

typedef struct {
    dsc_tape tape;
    dsc_var x, y;
} net;

static dsc_var dense(dsc_tape *tape, dsc_var x, size_t outputs)
{
    const dsc_var w = dsc_tape_param(tape, tape->node[x].columns, outputs);
    const dsc_var b = dsc_tape_param(tape, 1, outputs);

    return dsc_tape_affine(tape, x, w, b);
}

static dsc_var hidden(dsc_tape *tape, dsc_var x, const dsc_hyper *hyper)
{
    static dsc_var (*const activate[])(dsc_tape *, dsc_var) = {
        [RELU] = dsc_tape_relu, [TANH] = dsc_tape_tanh, [SIGMOID] = dsc_tape_sigmoid};

    x = dense(tape, x, (size_t)hyper->value[UNITS]);
    return activate[(int)hyper->value[ACTIVATION]](tape, x);
}

static void build(net *to, const dsc_hyper *hyper)
{
    dsc_var x;

    dsc_tape_init(&to->tape);
    to->x = dsc_tape_input(&to->tape, points(hyper), 1);
    x = hidden(&to->tape, hidden(&to->tape, to->x, hyper), hyper);
    x = dense(&to->tape, x, 1);
    to->y = dsc_tape_input(&to->tape, points(hyper), 1);
    (void)dsc_tape_square_loss(&to->tape, x, to->y);
}

static size_t dim(const dsc_hyper *hyper)
{
    net n;

    build(&n, hyper);
    return n.tape.params;
}

static size_t data_len(const dsc_hyper *hyper)
{
    return 2 * points(hyper);
}

static size_t work_len(const dsc_hyper *hyper)
{
    net n;

    build(&n, hyper);
    return 2 * n.tape.work_len; /* of curve; eval takes the first half */
}

/* Weights of `inputs` inputs and their biases; where the next layer begins. */
static dsc_real *start_layer(dsc_real *theta, size_t inputs, size_t outputs, dsc_rng *rng)
{
    const double std = 1 / sqrt((double)inputs);

    for (size_t i = 0; i < inputs * outputs; i++)
        *theta++ = (dsc_real)(std * dsc_rng_normal(rng));
    memset(theta, 0, outputs * sizeof *theta);
    return theta + outputs;
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);
    const double height = 0.1 + 4.9 * dsc_rng_uniform(&rng);
    const double phase = 3.141592653589793 * dsc_rng_uniform(&rng);
    const size_t n = points(hyper), units = (size_t)hyper->value[UNITS];

    for (size_t i = 0; i < n; i++) {
        const double x = 10 * dsc_rng_uniform(&rng) - 5;

        data[i] = (dsc_real)x;
        data[n + i] = (dsc_real)(height * sin(x + phase));
    }
    theta = start_layer(theta, 1, units, &rng);
    theta = start_layer(theta, units, units, &rng);
    (void)start_layer(theta, units, 1, &rng);
}

static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const size_t n = points(hyper);
    net to;

    (void)draw, (void)t;
    build(&to, hyper);
    memcpy(dsc_tape_at(&to.tape, work, to.x), data, n * sizeof *data);
    memcpy(dsc_tape_at(&to.tape, work, to.y), data + n, n * sizeof *data);
    return dsc_tape_run(&to.tape, theta, grad, work);
}

static void curve(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                  const dsc_real *theta, const dsc_real *v, dsc_real *product, dsc_real *work)
{
    const size_t n = points(hyper);
    net to;

    (void)draw, (void)t;
    build(&to, hyper);
    memcpy(dsc_tape_at(&to.tape, work, to.x), data, n * sizeof *data);
    memcpy(dsc_tape_at(&to.tape, work, to.y), data + n, n * sizeof *data);
    dsc_tape_curve(&to.tape, theta, v, product, work);
}

const dsc_problem dsc_problem_sine_mlp = {
    .name = "sine_mlp",
    .doc = "A small network fitted to a few points of a random sine, mean squared difference.",
    .source = "Finn, Abbeel, Levine 2017, section 5.1.",
    .hyper = hyper_spec,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval,
    .curve = curve,
};
