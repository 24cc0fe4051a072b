/* net.c -- the weights of LSTM layers and a readout */
#include "net.h"

#include "lstm_kernel.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { GATE_I, GATE_F, GATE_G, GATE_O };

/* --- names and places --- */

static size_t layer_inputs(const dsc_net *net, size_t layer)
{
    return layer == 0 ? net->inputs : net->hidden;
}

void dsc_net_layout(dsc_layout *phi, const dsc_net *net)
{
    const size_t gates = DSC_LSTM_GATES * net->hidden;

    for (size_t i = 0; i < net->layers; i++) {
        dsc_layout_add(phi, "lstm.weight_ih_l%d", (int)i, 2, gates, layer_inputs(net, i));
        dsc_layout_add(phi, "lstm.weight_hh_l%d", (int)i, 2, gates, net->hidden);
        dsc_layout_add(phi, "lstm.bias_ih_l%d", (int)i, 1, gates, 0);
        dsc_layout_add(phi, "lstm.bias_hh_l%d", (int)i, 1, gates, 0);
    }
    dsc_layout_add(phi, "output.weight", 0, 2, net->answers, dsc_net_top(net));
    dsc_layout_add(phi, "output.bias", 0, 1, net->answers, 0);
}

void dsc_net_state_layout(dsc_layout *state, const dsc_net *net)
{
    for (size_t i = 0; i < net->layers; i++) {
        dsc_layout_add(state, "h_l%d", (int)i, 1, net->hidden, 0);
        dsc_layout_add(state, "c_l%d", (int)i, 1, net->hidden, 0);
    }
}

/* --- weights to begin with --- */

static void fill_uniform(float *x, size_t len, double size, dsc_rng *rng)
{
    for (size_t i = 0; i < len; i++)
        x[i] = (float)(size * (2 * dsc_rng_uniform(rng) - 1));
}

void dsc_net_init(float *phi, dsc_rng *rng, const dsc_net *net)
{
    dsc_layout layout = {0};
    int at = 0;

    dsc_net_layout(&layout, net);
    for (; at < 4 * (int)net->layers; at++) {
        const dsc_tensor *const tensor = &layout.tensor[at];

        fill_uniform(phi + tensor->offset, tensor->len, 1 / sqrt((double)net->hidden), rng);
        if (at % 4 == 2) /* bias_ih */
            for (size_t j = 0; j < net->hidden; j++)
                phi[tensor->offset + GATE_F * net->hidden + j] += 1;
    }
    for (; at < layout.count; at++)
        fill_uniform(phi + layout.tensor[at].offset, layout.tensor[at].len,
                     0.1 / sqrt((double)dsc_net_top(net)), rng);
}

/* --- the packed form --- */

/* Behind what the kernel reads stand three sums of |weights|, which make bounds cheap. */
enum {
    SIZE_CELLS,   /* the largest of any gate of any unit */
    SIZE_READOUT, /* of any row of output.weight         */
    SIZE_BIAS,    /* of output.bias                      */
    SIZES
};

/* The numbers of all layers. */
static size_t cells_len(const dsc_net *net)
{
    size_t len = 0;

    for (size_t i = 0; i < net->layers; i++)
        len += net->hidden * dsc_lstm_row(layer_inputs(net, i), net->hidden);
    return len;
}

size_t dsc_net_pack_len(const dsc_net *net)
{
    return cells_len(net) + net->answers * (1 + dsc_net_top(net)) + SIZES;
}

const float *dsc_net_answer(const float *packed, const dsc_net *net, size_t row)
{
    return packed + cells_len(net) + row * (1 + dsc_net_top(net));
}

static const float *sizes_of(const float *packed, const dsc_net *net)
{
    return packed + dsc_net_pack_len(net) - SIZES;
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

static float largest_gate(const float *row, const dsc_net *net)
{
    float largest = 0;

    for (size_t i = 0; i < net->layers; i++) {
        const size_t len = dsc_lstm_row(layer_inputs(net, i), net->hidden);

        for (const float *const end = row + net->hidden * len; row < end; row += len)
            for (size_t gate = 0; gate < DSC_LSTM_GATES; gate++)
                largest =
                    fmaxf(largest, sum_sizes(row + gate, len / DSC_LSTM_GATES, DSC_LSTM_GATES));
    }
    return largest;
}

static float *pack_layers(float *to, const float *phi, const dsc_layout *layout, const dsc_net *net)
{
    for (size_t i = 0; i < net->layers; i++) {
        const dsc_tensor *const tensor = &layout->tensor[4 * i];
        const weights w = {.ih = phi + tensor[0].offset,
                           .hh = phi + tensor[1].offset,
                           .bias_ih = phi + tensor[2].offset,
                           .bias_hh = phi + tensor[3].offset,
                           .inputs = layer_inputs(net, i),
                           .hidden = net->hidden};

        to = pack_layer(to, &w);
    }
    return to;
}

void dsc_net_pack(float *packed, const float *phi, const dsc_net *net)
{
    const size_t top = dsc_net_top(net);
    dsc_layout layout = {0};
    float *row, *sizes;

    dsc_net_layout(&layout, net);
    row = pack_layers(packed, phi, &layout, net);
    sizes = row + net->answers * (1 + top);
    memset(sizes, 0, SIZES * sizeof *sizes);
    sizes[SIZE_CELLS] = largest_gate(packed, net);
    for (size_t i = 0; i < net->answers; i++, row += 1 + top) {
        row[0] = phi[layout.tensor[layout.count - 1].offset + i];
        memcpy(row + 1, phi + layout.tensor[layout.count - 2].offset + i * top, top * sizeof *row);
        sizes[SIZE_READOUT] = fmaxf(sizes[SIZE_READOUT], sum_sizes(row + 1, top, 1));
        sizes[SIZE_BIAS] = fmaxf(sizes[SIZE_BIAS], fabsf(row[0]));
    }
}

/* |h| <= 1 holds whatever the state, unless a sum inside the layers overflows and becomes NaN: then
 * nothing can be promised. Without layers the readout sees the inputs. The rounding of some hundred
 * additions is far below the last factor. */
double dsc_net_bound(const float *packed, const dsc_net *net, double input_max)
{
    const double rounding = 1 + 1e-4, safe = (double)FLT_MAX / 2;
    const float *const sizes = sizes_of(packed, net);
    const double most = fmax(1, input_max * rounding);
    const double answer =
        (double)sizes[SIZE_BIAS] + (double)sizes[SIZE_READOUT] * (net->layers ? 1 : most);

    if (!(most < safe && answer < safe && (double)sizes[SIZE_CELLS] * most < safe))
        return INFINITY;
    return answer * rounding;
}
