/* lstm_kernel.h -- one step of the coordinatewise LSTM, as the kernels take it
 *
 * family_lstm.c fills this in from a model and a span; lstm_kernel.c, compiled once per instruction
 * set, does the work. Everything is borrowed.
 *
 * The packed weights of a layer are, for each unit, one row of four gates (i, f, g, o) for the
 * bias, then one for each input, then one for each h of the layer; the layers follow one another,
 * and behind them the bias of the readout and its weights. Gates i, f, o are scaled by -log2 e and
 * g by -2 log2 e, so that exp2 of a sum is what sigmoid and tanh need. */
#ifndef DSC_LSTM_KERNEL_H
#define DSC_LSTM_KERNEL_H

#include "kernel.h"
#include "state.h"

#include <stddef.h>

enum {
    DSC_LSTM_GATES = 4,
    DSC_LSTM_INPUTS_MAX = 2, /* what preprocessing makes of a gradient */
};

typedef struct {
    bool log_sign; /* else the input is input_scale * grad            */
    float input_scale;
    float threshold;  /* e^-p: from here on the logarithm is taken       */
    float inverse_p;  /* 1 / p                                           */
    float root_scale; /* e^(p/2): applied twice, since e^100 is no float */
} dsc_lstm_input;

typedef struct dsc_lstm_step {
    size_t hidden, layers, inputs;
    size_t from, to; /* the part of the network to run: layers from .. to - 1, counting the readout
                        as the layer behind the last; 0 and layers + 1 for all of it */
    dsc_lstm_input input;
    float output_scale;
    const float *packed;
    size_t n;           /* coordinates, as in dsc_span; of one block only where `given` is */
    const float *grad;  /* [n] */
    const float *given; /* [inputs][lanes of the block] in place of what is made of grad; or NULL */
    float *update;      /* [n] written by the readout */
    float *state;       /* blocked, state.h: per layer h [hidden], c [hidden] ... */
    size_t width;       /* ... and what a family keeps behind them: numbers of a coordinate */
    float *scratch;     /* [dsc_lstm_scratch_len(hidden)], 64-byte aligned */
} dsc_lstm_step;

/* Numbers of scratch: one block of inputs and one of new h. */
static inline size_t dsc_lstm_scratch_len(size_t hidden)
{
    return (DSC_LSTM_INPUTS_MAX + hidden) * DSC_BLOCK;
}

/* Numbers of a unit's packed row when its layer has `inputs` inputs. */
static inline size_t dsc_lstm_row(size_t inputs, size_t hidden)
{
    return DSC_LSTM_GATES * (1 + inputs + hidden);
}

extern const dsc_kernel dsc_kernel_plain;
#ifdef __x86_64__
extern const dsc_kernel dsc_kernel_v3, dsc_kernel_v4;
#endif

#endif
