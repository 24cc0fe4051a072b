/* family_lstm.c -- the coordinatewise LSTM: one small network, a separate state for every
 * coordinate
 *
 * Here is what a model and a file know of it: names and shapes of the weights, how to read sizes
 * from them, how to begin, and the packed form. The step itself is lstm_kernel.c. Tensor names,
 * shapes and the order of gates are PyTorch's (nn.LSTM + nn.Linear); layers = 0 leaves a linear map
 * of the inputs.
 *
 * Source: Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016),
 * section 2.1 and appendix A. */
#include "family_lstm.h"

#include "family.h"
#include "lstm_kernel.h"
#include "model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GATE_I, GATE_F, GATE_G, GATE_O };

const char *const dsc_lstm_preprocessings[] = {
    [DSC_LSTM_LOG_SIGN] = "log_sign", [DSC_LSTM_NONE] = "none", NULL};

static const dsc_hyper_spec hyper_spec[] = {DSC_LSTM_ROWS, {.name = NULL}};

/* --- sizes --- */

static size_t hidden_of(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DSC_LSTM_HIDDEN_SIZE];
}

static int layers_of(const dsc_hyper *hyper)
{
    return (int)hyper->value[DSC_LSTM_LAYERS];
}

static size_t inputs_of(const dsc_hyper *hyper)
{
    return hyper->value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_LOG_SIGN ? 2 : 1;
}

/* Inputs of layer `index`; for index == layers, of the readout. */
static size_t layer_inputs(const dsc_hyper *hyper, int index)
{
    return index == 0 ? inputs_of(hyper) : hidden_of(hyper);
}

void dsc_lstm_phi_layout(dsc_layout *phi, const dsc_hyper *hyper)
{
    const size_t hidden = hidden_of(hyper), gates = DSC_LSTM_GATES * hidden;
    const int layers = layers_of(hyper);

    for (int i = 0; i < layers; i++) {
        dsc_layout_add(phi, "lstm.weight_ih_l%d", i, 2, gates, layer_inputs(hyper, i));
        dsc_layout_add(phi, "lstm.weight_hh_l%d", i, 2, gates, hidden);
        dsc_layout_add(phi, "lstm.bias_ih_l%d", i, 1, gates, 0);
        dsc_layout_add(phi, "lstm.bias_hh_l%d", i, 1, gates, 0);
    }
    dsc_layout_add(phi, "output.weight", 0, 2, 1, layer_inputs(hyper, layers));
    dsc_layout_add(phi, "output.bias", 0, 1, 1, 0);
}

void dsc_lstm_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    for (int i = 0; i < layers_of(hyper); i++) {
        dsc_layout_add(state, "h_l%d", i, 1, hidden_of(hyper), 0);
        dsc_layout_add(state, "c_l%d", i, 1, hidden_of(hyper), 0);
    }
}

/* --- reading sizes from a file --- */

/* Layers are numbered without gaps; a file that leaves one out fails dsc_layout_match. */
static int count_layers(const dsc_layout *file)
{
    int layers = 0;

    for (;; layers++) {
        char name[40];

        (void)snprintf(name, sizeof name, "lstm.weight_ih_l%d", layers);
        if (!dsc_layout_find(file, name))
            return layers;
    }
}

static bool guess_inputs(dsc_hyper *hyper, const dsc_tensor *tensor, dsc_err *err)
{
    const size_t inputs = tensor->shape[1];

    if (tensor->rank != 2 || (inputs != 1 && inputs != 2))
        return dsc_fail(err, DSC_EWEIGHTS, tensor->name,
                        "must have 1 column (no preprocessing) or 2 (log_sign)");
    hyper->value[DSC_LSTM_PREPROCESSING] = inputs == 2 ? DSC_LSTM_LOG_SIGN : DSC_LSTM_NONE;
    return true;
}

static bool guess_hidden(dsc_hyper *hyper, const dsc_tensor *output, dsc_err *err)
{
    const size_t hidden = output->shape[1];

    if (output->rank != 2 || hidden < 1 || hidden > DSC_LSTM_HIDDEN_MAX)
        return dsc_fail(err, DSC_EWEIGHTS, output->name, "must have one row of 1 to %d columns",
                        DSC_LSTM_HIDDEN_MAX);
    hyper->value[DSC_LSTM_HIDDEN_SIZE] = (double)hidden;
    return true;
}

bool dsc_lstm_hyper_guess(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err)
{
    const dsc_tensor *const output = dsc_layout_find(file, "output.weight");
    const dsc_tensor *const first = dsc_layout_find(file, "lstm.weight_ih_l0");
    const int layers = count_layers(file);
    dsc_hyper guess;
    dsc_layout want = {0};

    if (!output)
        return dsc_fail(err, DSC_EWEIGHTS, "output.weight", "is missing");
    if (layers > DSC_LSTM_LAYERS_MAX)
        return dsc_fail(err, DSC_EWEIGHTS, NULL, "there are %d layers; at most %d are possible",
                        layers, DSC_LSTM_LAYERS_MAX);
    dsc_hyper_init(&guess, hyper->spec);
    guess.value[DSC_LSTM_LAYERS] = layers;
    guess.value[DSC_LSTM_OUTPUT_SCALE] = 1;
    if (!guess_inputs(&guess, first ? first : output, err) ||
        (first && !guess_hidden(&guess, output, err)))
        return false;
    dsc_lstm_phi_layout(&want, &guess);
    if (!dsc_layout_match(file, &want, err))
        return false;
    *hyper = guess;
    return true;
}

/* --- weights to begin with --- */

static void fill_uniform(float *x, size_t len, double size, dsc_rng *rng)
{
    for (size_t i = 0; i < len; i++)
        x[i] = (float)(size * (2 * dsc_rng_uniform(rng) - 1));
}

/* PyTorch's: uniform within 1 / sqrt(hidden), for the readout within 1 / sqrt(its inputs). Two
 * changes: a forget bias of 1 more, so that gradients reach back far enough to be learned from, and
 * a readout ten times smaller, so that the first updates are small. */
void dsc_lstm_phi_init(float *phi, dsc_rng *rng, const dsc_hyper *hyper)
{
    const size_t hidden = hidden_of(hyper);
    const int layers = layers_of(hyper);
    dsc_layout layout = {0};
    int at = 0;

    dsc_lstm_phi_layout(&layout, hyper);
    for (; at < 4 * layers; at++) {
        const dsc_tensor *const tensor = &layout.tensor[at];

        fill_uniform(phi + tensor->offset, tensor->len, 1 / sqrt((double)hidden), rng);
        if (at % 4 == 2) /* bias_ih */
            for (size_t j = 0; j < hidden; j++)
                phi[tensor->offset + GATE_F * hidden + j] += 1;
    }
    for (; at < layout.count; at++)
        fill_uniform(phi + layout.tensor[at].offset, layout.tensor[at].len,
                     0.1 / sqrt((double)layer_inputs(hyper, layers)), rng);
}

/* --- the packed form --- */

/* Behind what the kernel reads stand three sums of |weights|, which make update_bound cheap. */
enum {
    SIZE_CELLS,   /* the largest of any gate of any unit */
    SIZE_READOUT, /* of output.weight                    */
    SIZE_BIAS,    /* of output.bias                      */
    SIZES
};

size_t dsc_lstm_pack_len(const dsc_hyper *hyper)
{
    const int layers = layers_of(hyper);
    size_t len = 1 + layer_inputs(hyper, layers) + SIZES;

    for (int i = 0; i < layers; i++)
        len += hidden_of(hyper) * dsc_lstm_row(layer_inputs(hyper, i), hidden_of(hyper));
    return len;
}

/* What turns the sum of a gate into the exponent of 2 that the kernel wants. */
static double gate_scale(size_t gate)
{
    const double log2_e = 1.4426950408889634;

    return gate == GATE_G ? -2 * log2_e : -log2_e;
}

/* A layer's four tensors as phi holds them, one after the other. */
typedef struct {
    const float *ih, *hh, *bias_ih, *bias_hh;
    size_t inputs, hidden;
} weights;

/* One gate of one unit: row `from` of the tensors, every DSC_LSTM_GATES-th number of `to`. The
 * products are rounded once, from double. */
static void pack_gate(float *to, const weights *w, size_t from, double scale)
{
    const double bias = (double)w->bias_ih[from] + (double)w->bias_hh[from];

    *to = (float)(scale * bias);
    for (size_t k = 0; k < w->inputs; k++)
        *(to += DSC_LSTM_GATES) = (float)(scale * (double)w->ih[from * w->inputs + k]);
    for (size_t k = 0; k < w->hidden; k++)
        *(to += DSC_LSTM_GATES) = (float)(scale * (double)w->hh[from * w->hidden + k]);
}

static float *pack_layer(float *to, const weights *w)
{
    for (size_t unit = 0; unit < w->hidden; unit++) {
        for (size_t gate = 0; gate < DSC_LSTM_GATES; gate++)
            pack_gate(to + gate, w, gate * w->hidden + unit, gate_scale(gate));
        to += dsc_lstm_row(w->inputs, w->hidden);
    }
    return to;
}

static float sum_sizes(const float *x, size_t len, size_t stride)
{
    double sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += fabs((double)x[i * stride]);
    return sum < (double)FLT_MAX ? (float)sum : INFINITY;
}

static float largest_gate(const float *row, const dsc_hyper *hyper)
{
    const size_t hidden = hidden_of(hyper);
    float largest = 0;

    for (int i = 0; i < layers_of(hyper); i++) {
        const size_t len = dsc_lstm_row(layer_inputs(hyper, i), hidden);

        for (const float *const end = row + hidden * len; row < end; row += len)
            for (size_t gate = 0; gate < DSC_LSTM_GATES; gate++)
                largest =
                    fmaxf(largest, sum_sizes(row + gate, len / DSC_LSTM_GATES, DSC_LSTM_GATES));
    }
    return largest;
}

void dsc_lstm_pack(float *packed, const float *phi, const dsc_hyper *hyper)
{
    const int layers = layers_of(hyper);
    const size_t readout = layer_inputs(hyper, layers);
    float *row = packed, *sizes;
    dsc_layout layout = {0};

    dsc_lstm_phi_layout(&layout, hyper);
    for (int i = 0; i < layers; i++) {
        const dsc_tensor *const tensor = &layout.tensor[4 * i];
        const weights w = {.ih = phi + tensor[0].offset,
                           .hh = phi + tensor[1].offset,
                           .bias_ih = phi + tensor[2].offset,
                           .bias_hh = phi + tensor[3].offset,
                           .inputs = layer_inputs(hyper, i),
                           .hidden = hidden_of(hyper)};

        row = pack_layer(row, &w);
    }
    row[0] = phi[layout.len - 1]; /* output.bias, the last tensor, goes first */
    memcpy(row + 1, phi + layout.len - 1 - readout, readout * sizeof *row);
    sizes = row + 1 + readout;
    sizes[SIZE_CELLS] = largest_gate(packed, hyper);
    sizes[SIZE_READOUT] = sum_sizes(row + 1, readout, 1);
    sizes[SIZE_BIAS] = fabsf(row[0]);
}

/* --- bounds --- */

/* The largest |input| of the network for gradients up to grad_max. */
static double input_bound(const dsc_hyper *hyper, double grad_max)
{
    if (hyper->value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_NONE)
        return grad_max * hyper->value[DSC_LSTM_INPUT_SCALE];
    return fmax(1, log((double)FLT_MAX) / hyper->value[DSC_LSTM_P]);
}

/* |h| <= 1 holds whatever the state, unless a sum inside the layers overflows and becomes NaN: then
 * nothing can be promised. Without layers the readout sees the inputs. The rounding of some hundred
 * additions is far below the last factor. */
double dsc_lstm_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double rounding = 1 + 1e-4, safe = (double)FLT_MAX / 2;
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const float *const sizes = dsc_model_packed(model) + dsc_lstm_pack_len(hyper) - SIZES;
    const double most = fmax(1, input_bound(hyper, grad_max) * rounding);
    const double answer =
        (double)sizes[SIZE_BIAS] + (double)sizes[SIZE_READOUT] * (layers_of(hyper) ? 1 : most);

    (void)state_max;
    if (!(most < safe && answer < safe && (double)sizes[SIZE_CELLS] * most < safe))
        return INFINITY;
    return answer * hyper->value[DSC_LSTM_OUTPUT_SCALE] * rounding;
}

/* --- the step --- */

size_t dsc_lstm_scratch(const dsc_hyper *hyper)
{
    return dsc_lstm_scratch_len(hidden_of(hyper));
}

static dsc_lstm_input describe_input(const dsc_hyper *hyper)
{
    const double p = hyper->value[DSC_LSTM_P];

    return (dsc_lstm_input) {
        .log_sign = hyper->value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_LOG_SIGN,
        .input_scale = (float)hyper->value[DSC_LSTM_INPUT_SCALE],
        .threshold = (float)exp(-p),
        .inverse_p = (float)(1 / p),
        .root_scale = (float)exp(p / 2),
    };
}

dsc_lstm_config dsc_lstm_config_of(const dsc_hyper *hyper)
{
    return (dsc_lstm_config) {
        .hidden = hidden_of(hyper),
        .layers = (size_t)layers_of(hyper),
        .inputs = inputs_of(hyper),
        .input = describe_input(hyper),
        .output_scale = (float)hyper->value[DSC_LSTM_OUTPUT_SCALE],
    };
}

dsc_lstm_step dsc_lstm_prepare(const dsc_model *model, const dsc_span *span)
{
    const dsc_lstm_config config = dsc_lstm_config_of(dsc_model_hyper(model));

    return (dsc_lstm_step) {
        .hidden = config.hidden,
        .layers = config.layers,
        .inputs = config.inputs,
        .from = 0,
        .to = config.layers + 1,
        .input = config.input,
        .output_scale = config.output_scale,
        .packed = dsc_model_packed(model),
        .n = span->n,
        .grad = span->grad,
        .update = span->update,
        .state = span->state,
        .scratch = span->work,
    };
}

static void lstm_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_lstm_step step = dsc_lstm_prepare(model, span);

    dsc_model_kernel(model)->lstm(&step);
}

const dsc_family dsc_family_lstm = {
    .name = "lstm",
    .doc = "A small LSTM, shared by all coordinates, that was trained to propose updates.",
    .source = "Andrychowicz et al. 2016, section 2.1, appendix A; forget bias 1, small readout at "
              "the start.",
    .hyper = hyper_spec,
    .phi_layout = dsc_lstm_phi_layout,
    .phi_init = dsc_lstm_phi_init,
    .hyper_guess = dsc_lstm_hyper_guess,
    .state_layout = dsc_lstm_state_layout,
    .pack_len = dsc_lstm_pack_len,
    .pack = dsc_lstm_pack,
    .work_len = dsc_lstm_scratch,
    .update_bound = dsc_lstm_update_bound,
    .step = lstm_step,
};
