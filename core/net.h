/* net.h -- layers of LSTM cells and a readout, as weights: what they are called, where they lie,
 * how they begin, and the form that the kernel reads
 *
 * What the learned families have in common; what goes in and what becomes of the answers is theirs.
 * Pure functions of sizes and arrays, any thread. */
#ifndef DSC_NET_H
#define DSC_NET_H

#include "layout.h"
#include "rng.h"

#include <stddef.h>

typedef struct {
    size_t inputs, hidden, layers; /* of the first layer; cells of a layer; 0: readout only */
    size_t answers;                /* rows of the readout */
} dsc_net;

/* What the readout sees. */
static inline size_t dsc_net_top(const dsc_net *net)
{
    return net->layers ? net->hidden : net->inputs;
}

/* Append PyTorch's names, shapes and order of gates: lstm.weight_ih_l0 [4 hidden, inputs],
 * lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0, the other layers, output.weight [answers,
 * top], output.bias [answers]. */
void dsc_net_layout(dsc_layout *phi, const dsc_net *net);

/* Append what is kept of a coordinate: h_l0 [hidden], c_l0 [hidden], h_l1, ... */
void dsc_net_state_layout(dsc_layout *state, const dsc_net *net);

/* Weights to begin with. PyTorch's: uniform within 1 / sqrt(hidden), for the readout within 1 /
 * sqrt(what it sees). Two changes: a forget bias of 1 more, so that gradients reach back far enough
 * to be learned from, and a readout ten times smaller, so that the first updates are small. */
void dsc_net_init(float *phi, dsc_rng *rng, const dsc_net *net);

/* packed [dsc_net_pack_len] <- phi, which begins with the first of the tensors above: as
 * lstm_kernel.h has it, behind it the other rows of the readout, and three sums of sizes. */
size_t dsc_net_pack_len(const dsc_net *net);
void dsc_net_pack(float *packed, const float *phi, const dsc_net *net);

/* A row of the readout: its bias, then its weights [top]. */
const float *dsc_net_answer(const float *packed, const dsc_net *net, size_t row);

/* A bound on every |answer|, whatever the state, when every |input| <= input_max; INFINITY where a
 * sum on the way might not be finite. */
double dsc_net_bound(const float *packed, const dsc_net *net, double input_max);

#endif
