/* lstm_train.c -- training the coordinatewise LSTM: layers put together, forward and back
 *
 *     packed   layer 0's matrix, layer 1's, ..., then the readout's weights and its bias (lstm.h)
 *     state    per layer h [hidden][lanes], c [hidden][lanes], as state.h has them within a block
 *     trace    per layer what lstm.h says; with no layers, the inputs
 *
 * A layer's h is the input of the next one at the same step, so backward goes through the layers
 * from the top: dx of a layer is added to the dh that the layer below has from the next step.
 *
 * Held to account by. tests/laws/test_trainable.c. */
#include "trainable.h"

#include "family_lstm.h"
#include "lstm.h"

#include <string.h>

static const dsc_lstm_maths *maths(void)
{
#if defined(DSC_KERNEL_DOUBLE)
    return &dsc_lstm_maths_double;
#else
    return dsc_kernel_best()->maths;
#endif
}

/* --- sizes --- */

static dsc_lstm_shape shape_of(const dsc_lstm_config *config, size_t layer, size_t lanes)
{
    return (dsc_lstm_shape) {
        .inputs = layer == 0 ? config->inputs : config->hidden,
        .hidden = config->hidden,
        .lanes = lanes,
    };
}

static size_t weights_len(const dsc_lstm_shape *shape)
{
    return DSC_LSTM_GATES * shape->hidden * dsc_lstm_pitch(shape->inputs, shape->hidden);
}

/* What the readout sees of a coordinate. */
static size_t readout_len(const dsc_lstm_config *config)
{
    return config->layers ? config->hidden : config->inputs;
}

static size_t packed_len(const dsc_hyper *hyper)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);
    size_t len = readout_len(&config) + 1;

    for (size_t i = 0; i < config.layers; i++) {
        const dsc_lstm_shape shape = shape_of(&config, i, DSC_LANES);

        len += weights_len(&shape);
    }
    return len;
}

static size_t state_len(const dsc_hyper *hyper, size_t lanes)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);

    return 2 * config.layers * config.hidden * lanes;
}

static size_t trace_len(const dsc_hyper *hyper, size_t lanes)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);
    size_t len = config.layers ? 0 : config.inputs * lanes;

    for (size_t i = 0; i < config.layers; i++) {
        const dsc_lstm_shape shape = shape_of(&config, i, lanes);

        len += dsc_lstm_trace_len(&shape);
    }
    return len;
}

/* Scratch holds a row of answers, the rows that the readout sees, a layer's own, and derivatives by
 * the inputs. */
static size_t work_len(const dsc_hyper *hyper, size_t lanes)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);
    const dsc_lstm_shape shape = shape_of(&config, config.layers > 1, lanes);

    return (1 + 2 * DSC_LSTM_INPUTS_MAX + config.hidden) * lanes + dsc_lstm_work_len(&shape);
}

/* --- two forms of the weights --- */

/* A layer's tensors in phi, one after the other: ih, hh, bias_ih, bias_hh (family_lstm.c). */
static size_t pack_layer(dsc_real *to, const dsc_real *phi, const dsc_lstm_shape *shape)
{
    const size_t inputs = shape->inputs, hidden = shape->hidden, rows = DSC_LSTM_GATES * hidden;
    const size_t pitch = dsc_lstm_pitch(inputs, hidden);
    const dsc_real *const ih = phi, *const hh = ih + rows * inputs;
    const dsc_real *const bias_ih = hh + rows * hidden, *const bias_hh = bias_ih + rows;

    memset(to, 0, rows * pitch * sizeof *to);
    for (size_t row = 0; row < rows; row++, to += pitch) {
        memcpy(to, ih + row * inputs, inputs * sizeof *to);
        memcpy(to + inputs, hh + row * hidden, hidden * sizeof *to);
        to[inputs + hidden] = bias_ih[row] + bias_hh[row];
    }
    return rows * (inputs + hidden + 2);
}

static void pack(dsc_real *packed, const dsc_real *phi, const dsc_hyper *hyper)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);

    for (size_t i = 0; i < config.layers; i++) {
        const dsc_lstm_shape shape = shape_of(&config, i, DSC_LANES);

        phi += pack_layer(packed, phi, &shape);
        packed += weights_len(&shape);
    }
    memcpy(packed, phi, (readout_len(&config) + 1) * sizeof *packed);
}

static size_t unpack_layer(dsc_real *d_phi, const dsc_real *from, const dsc_lstm_shape *shape)
{
    const size_t inputs = shape->inputs, hidden = shape->hidden, rows = DSC_LSTM_GATES * hidden;
    const size_t pitch = dsc_lstm_pitch(inputs, hidden);
    dsc_real *const ih = d_phi, *const hh = ih + rows * inputs;
    dsc_real *const bias_ih = hh + rows * hidden, *const bias_hh = bias_ih + rows;

    memset(bias_hh, 0, rows * sizeof *bias_hh); /* training moves bias_ih only */
    for (size_t row = 0; row < rows; row++, from += pitch) {
        memcpy(ih + row * inputs, from, inputs * sizeof *from);
        memcpy(hh + row * hidden, from + inputs, hidden * sizeof *from);
        bias_ih[row] = from[inputs + hidden];
    }
    return rows * (inputs + hidden + 2);
}

static void unpack(dsc_real *d_phi, const dsc_real *d_packed, const dsc_hyper *hyper)
{
    const dsc_lstm_config config = dsc_lstm_config_of(hyper);

    for (size_t i = 0; i < config.layers; i++) {
        const dsc_lstm_shape shape = shape_of(&config, i, DSC_LANES);

        d_phi += unpack_layer(d_phi, d_packed, &shape);
        d_packed += weights_len(&shape);
    }
    memcpy(d_phi, d_packed, (readout_len(&config) + 1) * sizeof *d_phi);
}

/* --- forward --- */

static void step(const dsc_pass *pass, const dsc_real *grad, dsc_real *update, dsc_real *state,
                 dsc_real *trace)
{
    const dsc_lstm_config config = dsc_lstm_config_of(pass->hyper);
    const size_t lanes = pass->lanes, len = config.hidden * lanes;
    const dsc_real *weight = pass->packed, *x;
    dsc_real *const first = config.layers ? pass->work : trace;
    dsc_real *const scratch = pass->work + DSC_LSTM_INPUTS_MAX * lanes;

    maths()->inputs(&config.input, grad, first, lanes);
    x = first;
    for (size_t i = 0; i < config.layers; i++) {
        const dsc_lstm_shape shape = shape_of(&config, i, lanes);

        maths()->forward(&shape, weight, x, state, state + len, trace, scratch);
        x = state;
        state += 2 * len;
        weight += weights_len(&shape);
        trace += dsc_lstm_trace_len(&shape);
    }
    maths()->readout(weight, x, update, readout_len(&config), lanes);
    for (size_t lane = 0; lane < lanes; lane++)
        update[lane] *= (dsc_real)config.output_scale;
}

/* --- backward --- */

/* Where the layers lie in each array; `at` counts down from the end. */
typedef struct {
    const dsc_real *weight, *trace;
    dsc_real *d_weight, *d_state;
} cursor;

static void enter_layer(cursor *at, const dsc_lstm_shape *shape)
{
    at->weight -= weights_len(shape);
    at->d_weight -= weights_len(shape);
    at->trace -= dsc_lstm_trace_len(shape);
    at->d_state -= 2 * shape->hidden * shape->lanes;
}

/* The readout: d_update goes into its weights and into what it saw, which is the top layer's h or,
 * without layers, the inputs. */
static void readout_back(const dsc_pass *pass, const dsc_lstm_config *config, const cursor *end,
                         const dsc_real *d_update, dsc_real *dx)
{
    const size_t lanes = pass->lanes, len = config->hidden * lanes;
    dsc_real *const d_out = pass->work, *const h = pass->work + lanes;
    const dsc_real *x = end->trace - config->inputs * lanes;

    for (size_t lane = 0; lane < lanes; lane++)
        d_out[lane] = d_update[lane] * (dsc_real)config->output_scale;
    if (config->layers) {
        const dsc_lstm_shape top = shape_of(config, config->layers - 1, lanes);

        maths()->output(&top, end->trace - dsc_lstm_trace_len(&top), h);
        x = h;
    }
    maths()->readout_back(end->weight, x, d_out, end->d_weight,
                          config->layers ? end->d_state - 2 * len : dx, readout_len(config), lanes);
}

/* Where the derivative by the inputs is collected: behind all other scratch. */
static dsc_real *inputs_at(const dsc_pass *pass)
{
    return pass->work + work_len(pass->hyper, pass->lanes) - DSC_LSTM_INPUTS_MAX * pass->lanes;
}

static void backward(const dsc_pass *pass, const dsc_real *grad, const dsc_real *d_update,
                     const dsc_real *trace, dsc_real *d_packed, dsc_real *d_state, dsc_real *d_grad)
{
    const dsc_lstm_config config = dsc_lstm_config_of(pass->hyper);
    const size_t lanes = pass->lanes, len = config.hidden * lanes;
    const size_t weights = packed_len(pass->hyper) - readout_len(&config) - 1;
    dsc_real *const dx = d_grad ? inputs_at(pass) : NULL;
    cursor at = {.weight = pass->packed + weights,
                 .trace = trace + trace_len(pass->hyper, lanes),
                 .d_weight = d_packed + weights,
                 .d_state = d_state + state_len(pass->hyper, lanes)};

    if (dx)
        memset(dx, 0, DSC_LSTM_INPUTS_MAX * lanes * sizeof *dx);
    readout_back(pass, &config, &at, d_update, dx);
    for (size_t i = config.layers; i-- > 0;) {
        const dsc_lstm_shape shape = shape_of(&config, i, lanes);
        dsc_real *below;

        enter_layer(&at, &shape);
        below = i > 0 ? at.d_state - 2 * len : dx;
        maths()->backward(&shape, at.weight, at.trace, at.d_state, at.d_state + len, at.d_weight,
                          below, pass->work);
    }
    if (dx)
        maths()->inputs_back(&config.input, grad, dx, d_grad, lanes);
}

const dsc_trainable dsc_trainable_lstm = {
    .family = &dsc_family_lstm,
    .packed_len = packed_len,
    .pack = pack,
    .unpack = unpack,
    .state_len = state_len,
    .trace_len = trace_len,
    .work_len = work_len,
    .step = step,
    .backward = backward,
};
