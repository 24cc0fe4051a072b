/* problem_net.c -- learning from a dataset: networks and regressions, as tapes
 *
 *     mlp                   dense layers, softmax cross-entropy
 *     softmax_regression    the same without hidden layers
 *     logistic_regression   two classes, one output
 *     linear_regression     a number to predict, mean squared difference
 *
 * A function of these distributions is a start: theta_0, normal, biases too. Its loss at step t is
 * that of a fresh minibatch, the same for the value and the gradient, drawn with replacement from
 * (seed, epoch, lane, t). theta: for each layer its weights [inputs][outputs], then its biases. */
#include "dataset.h"
#include "minibatch.h"
#include "problem.h"
#include "tape.h"

#include <assert.h>

enum { DATASET, LABELS, BATCH, INIT_STD, HIDDEN, ACTIVATION };
enum { SIGMOID, RELU, TANH };

static const char *const activation_words[] = {
    [SIGMOID] = "sigmoid", [RELU] = "relu", [TANH] = "tanh", NULL};

static const dsc_hyper_spec mlp_spec[] = {
    [DATASET] = DSC_MINIBATCH_DATASET,
    [LABELS] = DSC_MINIBATCH_LABELS,
    [BATCH] = DSC_MINIBATCH_BATCH,
    [INIT_STD] = DSC_MINIBATCH_INIT,
    [HIDDEN] = {.name = "hidden",
                .kind = DSC_HYPER_LIST,
                .min = 1,
                .max = 4096,
                .initial = 20,
                .doc = "Units of each hidden layer."},
    [ACTIVATION] = {.name = "activation",
                    .kind = DSC_HYPER_WORD,
                    .max = TANH,
                    .initial = SIGMOID,
                    .words = activation_words,
                    .doc = "Of the hidden units."},
    {.name = NULL},
};

static const dsc_hyper_spec regression_spec[] = {[DATASET] = DSC_MINIBATCH_DATASET,
                                                 [LABELS] = DSC_MINIBATCH_LABELS,
                                                 [BATCH] = DSC_MINIBATCH_BATCH,
                                                 [INIT_STD] = DSC_MINIBATCH_INIT,
                                                 {.name = NULL}};

/* --- the tape --- */

typedef enum { SOFTMAX, LOGISTIC, LINEAR } loss_kind;

typedef struct {
    dsc_tape tape;
    dsc_var x, target;
} net;

static dsc_var dense(dsc_tape *tape, dsc_var x, size_t outputs)
{
    const dsc_var w = dsc_tape_param(tape, tape->node[x].columns, outputs);
    const dsc_var b = dsc_tape_param(tape, 1, outputs);

    return dsc_tape_affine(tape, x, w, b);
}

static dsc_var activate(dsc_tape *tape, dsc_var x, int activation)
{
    return activation == SIGMOID ? dsc_tape_sigmoid(tape, x)
           : activation == RELU  ? dsc_tape_relu(tape, x)
                                 : dsc_tape_tanh(tape, x);
}

static dsc_var hidden_layers(dsc_tape *tape, dsc_var x, const dsc_hyper *hyper)
{
    const dsc_hyper_list *const hidden = dsc_hyper_list_at(hyper, HIDDEN);

    for (int i = 0; i < hidden->count; i++)
        x = activate(tape, dense(tape, x, (size_t)hidden->item[i]), (int)hyper->value[ACTIVATION]);
    return x;
}

static void build(net *to, const dsc_hyper *hyper, loss_kind loss)
{
    const dsc_dataset *const dataset = hyper->dataset;
    const size_t batch = (size_t)hyper->value[BATCH];
    dsc_tape *const tape = &to->tape;
    dsc_var x;

    assert(dataset);
    dsc_tape_init(tape);
    x = to->x = dsc_tape_input(tape, batch, dataset->features);
    if (hyper->spec == mlp_spec)
        x = hidden_layers(tape, x, hyper);
    x = dense(tape, x, loss == SOFTMAX ? dataset->classes : 1);
    to->target = dsc_tape_input(tape, batch, 1);
    if (loss == SOFTMAX)
        (void)dsc_tape_softmax_loss(tape, x, to->target);
    else if (loss == LOGISTIC)
        (void)dsc_tape_logistic_loss(tape, x, to->target);
    else
        (void)dsc_tape_square_loss(tape, x, to->target);
}

/* --- what all have --- */

static size_t params(const dsc_hyper *hyper, loss_kind loss)
{
    net n;

    build(&n, hyper, loss);
    return n.tape.params;
}

static size_t work(const dsc_hyper *hyper, loss_kind loss)
{
    net n;

    build(&n, hyper, loss);
    return 2 * n.tape.work_len; /* of curve; eval takes the first half */
}

static size_t data_len(const dsc_hyper *hyper)
{
    (void)hyper;
    return 0;
}

static double run(const dsc_hyper *hyper, loss_kind loss, const dsc_draw *draw, uint64_t t,
                  const dsc_real *theta, dsc_real *grad, dsc_real *scratch)
{
    net n;

    build(&n, hyper, loss);
    dsc_minibatch_fill(hyper->dataset, draw, t, (size_t)hyper->value[BATCH],
                       dsc_tape_at(&n.tape, scratch, n.x), dsc_tape_at(&n.tape, scratch, n.target));
    return dsc_tape_run(&n.tape, theta, grad, scratch);
}

static void bend(const dsc_hyper *hyper, loss_kind loss, const dsc_draw *draw, uint64_t t,
                 const dsc_real *theta, const dsc_real *v, dsc_real *product, dsc_real *scratch)
{
    net n;

    build(&n, hyper, loss);
    dsc_minibatch_fill(hyper->dataset, draw, t, (size_t)hyper->value[BATCH],
                       dsc_tape_at(&n.tape, scratch, n.x), dsc_tape_at(&n.tape, scratch, n.target));
    dsc_tape_curve(&n.tape, theta, v, product, scratch);
}

/* --- what a dataset must be like --- */

static bool check_two(const dsc_hyper *hyper, dsc_err *err)
{
    return hyper->dataset->classes == 2 ||
           dsc_fail(err, DSC_EINVAL, "dataset", "must have 2 classes; %s has %zu",
                    hyper->dataset_name, hyper->dataset->classes);
}

/* --- the four --- */

static size_t dim_softmax(const dsc_hyper *hyper)
{
    return params(hyper, SOFTMAX);
}
static size_t work_softmax(const dsc_hyper *hyper)
{
    return work(hyper, SOFTMAX);
}
static void sample_softmax(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data,
                           dsc_real *theta)
{
    (void)data;
    dsc_minibatch_start(draw, hyper->value[INIT_STD], theta, dim_softmax(hyper));
}
static double eval_softmax(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                           uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *scratch)
{
    (void)data;
    return run(hyper, SOFTMAX, draw, t, theta, grad, scratch);
}

static void curve_softmax(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                          uint64_t t, const dsc_real *theta, const dsc_real *v, dsc_real *product,
                          dsc_real *scratch)
{
    (void)data;
    bend(hyper, SOFTMAX, draw, t, theta, v, product, scratch);
}

const dsc_problem dsc_problem_mlp = {
    .name = "mlp",
    .doc = "A dense network learning to classify a dataset's rows, minibatch by minibatch.",
    .source = "Andrychowicz et al. 2016, section 3.2.",
    .hyper = mlp_spec,
    .check = dsc_minibatch_check,
    .dim = dim_softmax,
    .data_len = data_len,
    .work_len = work_softmax,
    .sample = sample_softmax,
    .eval = eval_softmax,
    .curve = curve_softmax,
};

const dsc_problem dsc_problem_softmax_regression = {
    .name = "softmax_regression",
    .doc = "A linear classifier of a dataset's rows.",
    .source = "Standard; convex.",
    .hyper = regression_spec,
    .check = dsc_minibatch_check,
    .dim = dim_softmax,
    .data_len = data_len,
    .work_len = work_softmax,
    .sample = sample_softmax,
    .eval = eval_softmax,
    .curve = curve_softmax,
};

static size_t dim_one(const dsc_hyper *hyper)
{
    return hyper->dataset->features + 1;
}
static size_t work_logistic(const dsc_hyper *hyper)
{
    return work(hyper, LOGISTIC);
}
static size_t work_linear(const dsc_hyper *hyper)
{
    return work(hyper, LINEAR);
}
static void sample_one(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data,
                       dsc_real *theta)
{
    (void)data;
    dsc_minibatch_start(draw, hyper->value[INIT_STD], theta, dim_one(hyper));
}
static double eval_logistic(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                            uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *scratch)
{
    (void)data;
    return run(hyper, LOGISTIC, draw, t, theta, grad, scratch);
}
static double eval_linear(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                          uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *scratch)
{
    (void)data;
    return run(hyper, LINEAR, draw, t, theta, grad, scratch);
}

static void curve_logistic(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                           uint64_t t, const dsc_real *theta, const dsc_real *v, dsc_real *product,
                           dsc_real *scratch)
{
    (void)data;
    bend(hyper, LOGISTIC, draw, t, theta, v, product, scratch);
}

const dsc_problem dsc_problem_logistic_regression = {
    .name = "logistic_regression",
    .doc = "A linear classifier into two classes.",
    .source = "Standard; convex.",
    .hyper = regression_spec,
    .check = check_two,
    .dim = dim_one,
    .data_len = data_len,
    .work_len = work_logistic,
    .sample = sample_one,
    .eval = eval_logistic,
    .curve = curve_logistic,
};

static void curve_linear(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                         uint64_t t, const dsc_real *theta, const dsc_real *v, dsc_real *product,
                         dsc_real *scratch)
{
    (void)data;
    bend(hyper, LINEAR, draw, t, theta, v, product, scratch);
}

const dsc_problem dsc_problem_linear_regression = {
    .name = "linear_regression",
    .doc = "A number predicted from a dataset's rows, mean squared difference.",
    .source = "Standard; convex.",
    .hyper = regression_spec,
    .dim = dim_one,
    .data_len = data_len,
    .work_len = work_linear,
    .sample = sample_one,
    .eval = eval_linear,
    .curve = curve_linear,
};
