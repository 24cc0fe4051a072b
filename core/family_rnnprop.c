/* family_rnnprop.c -- RNNprop: an LSTM that sees what Adam and RMSprop would do
 *
 * Of every coordinate two running averages are kept, as in Adam, and the network's two inputs are
 * the gradient and its average, both in units of the gradient's usual size:
 *
 *     m = beta1 m + (1 - beta1) grad              v = beta2 v + (1 - beta2) grad^2
 *     s = sqrt(v / (1 - beta2^t)) + eps           x = [grad / s, m / (1 - beta1^t) / s]
 *     z = ELU(W_in x + b_in)                      2 -> hidden
 *     h = layers of LSTM cells on z               as in `lstm`
 *     update = -alpha tanh(w_out . h + b_out)
 *
 * The inputs do not depend on the scale of the objective, and no update is longer than alpha: that
 * is why it stays stable for far more steps than it was trained for.
 *
 * Weights: input.weight [hidden, 2], input.bias [hidden], then those of `lstm`. State: h and c of
 * every layer, m, v: 82 floats a coordinate with two layers of 20.
 *
 * A block goes through in one piece while it lies in L1: averages and z by rule.c, the cells by
 * lstm_kernel.c, which is given z as its inputs, and the end by rule.c again.
 *
 * Source. Lv, Jiang, Li: Learning gradient descent: better generalization and longer horizons
 * (2017), section 4.
 * Held to account by tests/golden (PyTorch), tests/laws, tests/unit/test_family_rnnprop.c. */
#include "family_adam.h"
#include "family_rows.h"
#include "lstm_kernel.h"
#include "model.h"
#include "net.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { HIDDEN_SIZE, LAYERS, BETA1, BETA2, EPS, ALPHA };
enum { FEATURES = 2, HIDDEN_MAX = 256, LAYERS_MAX = 4 };

static const dsc_hyper_spec hyper_spec[] = {
    [HIDDEN_SIZE] = {.name = "hidden_size",
                     .kind = DSC_HYPER_INT,
                     .min = 1,
                     .max = HIDDEN_MAX,
                     .initial = 20,
                     .doc = "Cells of a layer, and numbers that the inputs are mapped to."},
    [LAYERS] = {.name = "layers",
                .kind = DSC_HYPER_INT,
                .min = 1,
                .max = LAYERS_MAX,
                .initial = 2,
                .doc = "Layers of cells."},
    [BETA1] =
        DSC_ROW_SHARE("beta1", 0.95, "How much of the average gradient a step keeps; below 1."),
    [BETA2] = DSC_ROW_SHARE("beta2", 0.95,
                            "How much of the average squared gradient a step keeps; below 1."),
    [EPS] = DSC_ROW_EPS(1e-8),
    [ALPHA] = {.name = "alpha",
               .kind = DSC_HYPER_REAL,
               .min = 0,
               .max = 1e30,
               .initial = 0.1,
               .open = true,
               .doc = "No update is longer than this."},
    {.name = NULL},
};

/* --- weights and state --- */

static dsc_net net_of(const dsc_hyper *hyper)
{
    const size_t hidden = (size_t)hyper->value[HIDDEN_SIZE];

    return (dsc_net) {hidden, hidden, (size_t)hyper->value[LAYERS], 1};
}

/* Weights and biases of the first map, which phi begins with. */
static size_t map_len(const dsc_net *net)
{
    return (FEATURES + 1) * net->inputs;
}

static void rnnprop_phi_layout(dsc_layout *phi, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_layout_add(phi, "input.weight", 0, 2, net.inputs, FEATURES);
    dsc_layout_add(phi, "input.bias", 0, 1, net.inputs, 0);
    dsc_net_layout(phi, &net);
}

static void rnnprop_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    dsc_net_state_layout(state, &net);
    dsc_layout_add(state, "m", 0, 0, 0, 0);
    dsc_layout_add(state, "v", 0, 0, 0, 0);
}

/* The first map as PyTorch begins: uniform within 1 / sqrt(its inputs). */
static void rnnprop_phi_init(float *phi, dsc_rng *rng, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    for (size_t i = 0; i < map_len(&net); i++)
        phi[i] = (float)((2 * dsc_rng_uniform(rng) - 1) / sqrt(FEATURES));
    dsc_net_init(phi + map_len(&net), rng, &net);
}

/* Layers are numbered without gaps; a file that leaves one out fails dsc_layout_match. */
static bool rnnprop_hyper_guess(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err)
{
    const dsc_tensor *const input = dsc_layout_find(file, "input.bias");
    dsc_layout want = {0};
    int layers = 1;

    if (!input || input->rank != 1 || input->len < 1 || input->len > HIDDEN_MAX)
        return dsc_fail(err, DSC_EWEIGHTS, "input.bias", "must be there with 1 to %d numbers",
                        HIDDEN_MAX);
    for (char name[] = "lstm.weight_ih_l1"; layers < LAYERS_MAX && dsc_layout_find(file, name);)
        name[sizeof name - 2] = (char)('0' + ++layers);
    dsc_hyper_init(hyper, hyper_spec);
    hyper->value[HIDDEN_SIZE] = (double)input->len;
    hyper->value[LAYERS] = layers;
    rnnprop_phi_layout(&want, hyper);
    return dsc_layout_match(file, &want, err);
}

/* Packed: the net, then the map's rows (bias, weights), then the largest |row|. */
static size_t rnnprop_pack_len(const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    return dsc_net_pack_len(&net) + map_len(&net) + 1;
}

static void rnnprop_pack(float *packed, const float *phi, const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);
    float *row = packed + dsc_net_pack_len(&net);
    double largest = 0;

    dsc_net_pack(packed, phi + map_len(&net), &net);
    for (size_t k = 0; k < net.inputs; k++, row += 1 + FEATURES) {
        row[0] = phi[FEATURES * net.inputs + k];
        memcpy(row + 1, phi + k * FEATURES, FEATURES * sizeof *row);
        largest = fmax(largest, fabs((double)row[0]) + fabs((double)row[1]) + fabs((double)row[2]));
    }
    *row = largest < (double)FLT_MAX ? (float)largest : INFINITY;
}

/* tanh is never more than 1, whatever the sums, unless one of them overflows. Both inputs are
 * averages over averages (family_adam.c); the gradient itself is one with beta1 = 0. */
static double rnnprop_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const double *const value = hyper->value;
    const dsc_net net = net_of(hyper);
    const float *const packed = dsc_model_packed(model);
    const double feature =
        fmax(1, fmax(dsc_adam_ratio_max(0, value[BETA2], value[EPS]),
                     dsc_adam_ratio_max(value[BETA1], value[BETA2], value[EPS])));
    const double z = feature * (double)packed[rnnprop_pack_len(hyper) - 1];

    (void)grad_max;
    (void)state_max;
    return isfinite(dsc_net_bound(packed, &net, fmax(1, z))) ? value[ALPHA] * (1 + 1e-6) : INFINITY;
}

/* --- the step --- */

/* Scratch of the kernel, then z. */
static size_t rnnprop_work_len(const dsc_hyper *hyper)
{
    const dsc_net net = net_of(hyper);

    return dsc_lstm_scratch_len(net.hidden) + net.inputs * DSC_BLOCK;
}

static dsc_rule_step averages_of(const dsc_hyper *hyper, uint64_t t)
{
    const double *const value = hyper->value;
    const double steps = (double)t + 1;

    return (dsc_rule_step) {
        .rate = (float)(-1 / (1 - pow(value[BETA1], steps))),
        .keep = (float)value[BETA1],
        .add = (float)(1 - value[BETA1]),
        .keep_sq = (float)value[BETA2],
        .add_sq = (float)(1 - value[BETA2]),
        .root = (float)(1 / sqrt(1 - pow(value[BETA2], steps))),
        .eps = (float)value[EPS],
    };
}

static dsc_lstm_step cells_of(const dsc_model *model, const dsc_net *net)
{
    return (dsc_lstm_step) {
        .hidden = net->hidden,
        .layers = net->layers,
        .inputs = net->inputs,
        .from = 0,
        .to = net->layers + 1,
        .output_scale = 1,
        .packed = dsc_model_packed(model),
        .width = dsc_model_state_layout(model)->len,
    };
}

/* z [inputs][lanes] <- grad [lanes] */
static void map_inputs(const dsc_model *model, const dsc_net *net, const dsc_rule_step *averages,
                       const float *grad, float *m, float *z, size_t lanes)
{
    const dsc_rules *const rules = dsc_model_kernel(model)->rules;
    const float *row = dsc_model_packed(model) + dsc_net_pack_len(net);
    float x[FEATURES * DSC_BLOCK];

    rules->moments(averages, grad, m, m + lanes, x, lanes);
    for (size_t k = 0; k < net->inputs; k++, row += 1 + FEATURES) {
        rules->affine(z + k * lanes, row, x, FEATURES, lanes);
        rules->elu(z + k * lanes, lanes);
    }
}

static void rnnprop_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const dsc_kernel *const kernel = dsc_model_kernel(model);
    const dsc_net net = net_of(hyper);
    const dsc_rule_step averages = averages_of(hyper, span->t);
    dsc_lstm_step cells = cells_of(model, &net);
    float *const z = span->work + dsc_lstm_scratch_len(net.hidden);

    for (size_t c = 0, lanes; c < span->n; c += lanes) {
        const size_t left = span->n - c;
        float grad[DSC_BLOCK] = {0}, update[DSC_BLOCK] = {0};

        lanes = dsc_state_block(c, span->n);
        cells.n = left < lanes ? left : lanes;
        cells.state = span->state + c * cells.width;
        cells.given = z;
        cells.update = update;
        cells.scratch = span->work;
        memcpy(grad, span->grad + c, cells.n * sizeof *grad);
        map_inputs(model, &net, &averages, grad, cells.state + (cells.width - 2) * lanes, z, lanes);
        kernel->lstm(&cells);
        kernel->rules->tanh(update, (float)-hyper->value[ALPHA], lanes);
        memcpy(span->update + c, update, cells.n * sizeof *update);
    }
}

const dsc_family dsc_family_rnnprop = {
    .name = "rnnprop",
    .doc =
        "RNNprop: an LSTM on the gradient and its average in units of their size; bounded steps.",
    .source = "Lv, Jiang, Li 2017, section 4; beginnings as `lstm`.",
    .hyper = hyper_spec,
    .phi_layout = rnnprop_phi_layout,
    .phi_init = rnnprop_phi_init,
    .hyper_guess = rnnprop_hyper_guess,
    .state_layout = rnnprop_state_layout,
    .pack_len = rnnprop_pack_len,
    .pack = rnnprop_pack,
    .work_len = rnnprop_work_len,
    .update_bound = rnnprop_update_bound,
    .step = rnnprop_step,
};
