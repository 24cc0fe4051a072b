/* family_lstm.c -- the coordinatewise LSTM: one small network, a separate state for every
 * coordinate
 *
 * Here is what a model and a file know of it: its config, and how to read sizes from shapes. The
 * weights are net.c, the step itself is lstm_kernel.c. layers = 0 leaves a linear map of the
 * inputs.
 *
 * Source: Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016),
 * section 2.1 and appendix A. */
#include "family_lstm.h"

#include "family.h"
#include "lstm_kernel.h"
#include "model.h"
#include "net.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const dsc_lstm_preprocessings[] = {
    [DSC_LSTM_LOG_SIGN] = "log_sign", [DSC_LSTM_NONE] = "none", NULL};

static const dsc_hyper_spec hyper_spec[] = {DSC_LSTM_ROWS(0), {.name = NULL}};

/* --- sizes --- */

static size_t hidden_of(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DSC_LSTM_HIDDEN_SIZE];
}

static size_t layers_of(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[DSC_LSTM_LAYERS];
}

static size_t inputs_of(const dsc_hyper *hyper)
{
    return hyper->value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_LOG_SIGN ? 2 : 1;
}

static dsc_net net_of(const dsc_hyper *hyper)
{
    return (dsc_net) {inputs_of(hyper), hidden_of(hyper), layers_of(hyper), 1};
}

void dsc_lstm_phi_layout(dsc_layout *phi, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_net_layout(phi, &net);
}

void dsc_lstm_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_net_state_layout(state, &net);
}

void dsc_lstm_phi_init(float *phi, dsc_rng *rng, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_net_init(phi, rng, &net);
}

size_t dsc_lstm_pack_len(const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    return dsc_net_pack_len(&net);
}

void dsc_lstm_pack(float *packed, const float *phi, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_net_pack(packed, phi, &net);
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

bool dsc_lstm_guess(dsc_hyper *hyper, const dsc_hyper_spec *spec, const dsc_layout *file,
                    dsc_err *err)
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
    dsc_hyper_init(&guess, spec);
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

static bool lstm_hyper_guess(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err)
{
    return dsc_lstm_guess(hyper, hyper_spec, file, err);
}

/* --- bounds --- */

double dsc_lstm_input_bound(const dsc_hyper *hyper, double grad_max)
{
    if (hyper->value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_NONE)
        return grad_max * hyper->value[DSC_LSTM_INPUT_SCALE];
    return fmax(1, log((double)FLT_MAX) / hyper->value[DSC_LSTM_P]);
}

double dsc_lstm_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const dsc_net net = net_of(hyper);

    (void)state_max;
    return dsc_net_bound(dsc_model_packed(model), &net, dsc_lstm_input_bound(hyper, grad_max)) *
           hyper->value[DSC_LSTM_OUTPUT_SCALE];
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
        .layers = layers_of(hyper),
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
        .width = dsc_model_state_layout(model)->len,
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
    .hyper_guess = lstm_hyper_guess,
    .state_layout = dsc_lstm_state_layout,
    .pack_len = dsc_lstm_pack_len,
    .pack = dsc_lstm_pack,
    .work_len = dsc_lstm_scratch,
    .update_bound = dsc_lstm_update_bound,
    .step = lstm_step,
};
