/* problem_convnet.c -- a convolutional network learning to classify images
 *
 * `convolutions` times: convolution 5 x 5, batch norm, ReLU, pooling 2 x 2; then a dense layer with
 * batch norm and ReLU, and one for the classes. Minibatches as in problem_net.c. theta in that
 * order: of a layer weights, biases, then gain and bias of its norm. Gains begin at 1, the norm's
 * biases at 0, all else normal. */
#include "dataset.h"
#include "minibatch.h"
#include "problem.h"
#include "tape.h"

#include <assert.h>

enum { DATASET, LABELS, BATCH, INIT_STD, CONVOLUTIONS, CHANNELS, UNITS };
enum { FILTER = 5 };

static const dsc_hyper_spec hyper_spec[] = {
    [DATASET] = DSC_MINIBATCH_DATASET,
    [LABELS] = DSC_MINIBATCH_LABELS,
    [BATCH] = DSC_MINIBATCH_BATCH,
    [INIT_STD] = DSC_MINIBATCH_INIT,
    [CONVOLUTIONS] = {.name = "convolutions",
                      .kind = DSC_HYPER_INT,
                      .min = 1,
                      .max = 4,
                      .initial = 3,
                      .doc = "Convolutional layers, each halving the image."},
    [CHANNELS] = {.name = "channels",
                  .kind = DSC_HYPER_INT,
                  .min = 1,
                  .max = 256,
                  .initial = 16,
                  .doc = "Channels of each convolution."},
    [UNITS] = {.name = "units",
               .kind = DSC_HYPER_INT,
               .min = 1,
               .max = 4096,
               .initial = 32,
               .doc = "Units of the dense layer."},
    {.name = NULL},
};

static size_t choice(const dsc_hyper *hyper, int row)
{
    return (size_t)hyper->value[row];
}

typedef struct {
    dsc_tape tape;
    dsc_var x, target;
    dsc_var gains[8]; /* of the norms, which begin at 1 */
    int norms;
} net;

static dsc_var normalise(net *to, dsc_var x, dsc_image image)
{
    const dsc_var gain = dsc_tape_param(&to->tape, 1, image.channels);
    const dsc_var bias = dsc_tape_param(&to->tape, 1, image.channels);

    to->gains[to->norms++] = gain;
    return dsc_tape_relu(&to->tape, dsc_tape_batch_norm(&to->tape, x, gain, bias, image));
}

/* One more layer; *image becomes that of its output. */
static dsc_var convolve(net *to, dsc_var x, dsc_image *image, size_t channels)
{
    const size_t window = image->channels * FILTER * FILTER;
    const dsc_var w = dsc_tape_param(&to->tape, channels, window);
    const dsc_var b = dsc_tape_param(&to->tape, 1, channels);

    x = dsc_tape_conv(&to->tape, x, w, b, *image, FILTER);
    image->channels = channels;
    x = dsc_tape_pool(&to->tape, normalise(to, x, *image), *image);
    image->height = (image->height + 1) / 2;
    image->width = (image->width + 1) / 2;
    return x;
}

static dsc_var dense(dsc_tape *tape, dsc_var x, size_t outputs)
{
    const dsc_var w = dsc_tape_param(tape, tape->node[x].columns, outputs);
    const dsc_var b = dsc_tape_param(tape, 1, outputs);

    return dsc_tape_affine(tape, x, w, b);
}

static void build(net *to, const dsc_hyper *hyper)
{
    const dsc_dataset *const dataset = hyper->dataset;
    dsc_image image = dataset->image;
    dsc_var x;

    dsc_tape_init(&to->tape);
    to->norms = 0;
    x = to->x = dsc_tape_input(&to->tape, choice(hyper, BATCH), dataset->features);
    for (size_t i = 0; i < choice(hyper, CONVOLUTIONS); i++)
        x = convolve(to, x, &image, choice(hyper, CHANNELS));
    x = dense(&to->tape, x, choice(hyper, UNITS));
    x = normalise(to, x, (dsc_image) {choice(hyper, UNITS), 1, 1});
    x = dense(&to->tape, x, dataset->classes);
    to->target = dsc_tape_input(&to->tape, choice(hyper, BATCH), 1);
    (void)dsc_tape_softmax_loss(&to->tape, x, to->target);
}

static bool check(const dsc_hyper *hyper, dsc_err *err)
{
    if (!dsc_minibatch_check(hyper, err))
        return false;
    return hyper->dataset->image.channels > 0 ||
           dsc_fail(err, DSC_EINVAL, "dataset", "%s has no images", hyper->dataset_name);
}

static size_t dim(const dsc_hyper *hyper)
{
    net n;

    build(&n, hyper);
    return n.tape.params;
}

static size_t data_len(const dsc_hyper *hyper)
{
    (void)hyper;
    return 0;
}

static size_t work_len(const dsc_hyper *hyper)
{
    net n;

    build(&n, hyper);
    return n.tape.work_len;
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    net n;

    (void)data;
    build(&n, hyper);
    dsc_minibatch_start(draw, hyper->value[INIT_STD], theta, n.tape.params);
    for (int i = 0; i < n.norms; i++) {
        const dsc_tape_node *const gain = &n.tape.node[n.gains[i]];

        for (size_t k = 0; k < gain->columns; k++) {
            theta[gain->value + k] = 1;
            theta[gain->value + gain->columns + k] = 0; /* the bias follows the gain */
        }
    }
}

static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    net n;

    (void)data;
    build(&n, hyper);
    dsc_minibatch_fill(hyper->dataset, draw, t, choice(hyper, BATCH),
                       dsc_tape_at(&n.tape, work, n.x), dsc_tape_at(&n.tape, work, n.target));
    return dsc_tape_run(&n.tape, theta, grad, work);
}

const dsc_problem dsc_problem_convnet = {
    .name = "convnet",
    .doc = "A convolutional network learning to classify images, minibatch by minibatch.",
    .source = "Andrychowicz et al. 2016, section 3.3; layers as in their code.",
    .hyper = hyper_spec,
    .check = check,
    .dim = dim,
    .data_len = data_len,
    .work_len = work_len,
    .sample = sample,
    .eval = eval,
};
