/* lstm.h -- a layer of LSTM cells, forward with a trace and backward, for training
 *
 * The arithmetic of one layer and one step for many coordinates at once, compiled once per
 * instruction set from lstm.c. Nothing is owned; every array is the caller's, row-major, and a row
 * is `lanes` coordinates long, a multiple of DSC_LANES. Any thread. */
#ifndef DSC_LSTM_H
#define DSC_LSTM_H

#include "lstm_kernel.h"
#include "real.h"
#include "state.h"

#include <stddef.h>

/* A layer's weights are one matrix, [4 hidden][pitch], rows by gate (i, f, g, o) as in PyTorch:
 *
 *     | weight_ih: inputs | weight_hh: hidden | bias: 1 | zeros up to pitch |        */
typedef struct {
    size_t inputs, hidden, lanes;
} dsc_lstm_shape;

/* Columns that mean something, and columns there are. */
static inline size_t dsc_lstm_terms(size_t inputs, size_t hidden)
{
    return inputs + hidden + 1;
}
static inline size_t dsc_lstm_pitch(size_t inputs, size_t hidden)
{
    return dsc_state_lanes(dsc_lstm_terms(inputs, hidden));
}

/* Numbers that backward needs of one step: the terms, transposed [lanes][pitch]; the four gates
 * after sigmoid and tanh [4 hidden][lanes]; c before and tanh(c) after the step [hidden][lanes]. */
static inline size_t dsc_lstm_trace_len(const dsc_lstm_shape *shape)
{
    return shape->lanes *
           (dsc_lstm_pitch(shape->inputs, shape->hidden) + (DSC_LSTM_GATES + 2) * shape->hidden);
}

/* Numbers of scratch, for either direction. */
static inline size_t dsc_lstm_work_len(const dsc_lstm_shape *shape)
{
    const size_t pitch = dsc_lstm_pitch(shape->inputs, shape->hidden);
    const size_t gates = DSC_LSTM_GATES * shape->hidden;

    return shape->lanes * (pitch > gates ? pitch : gates);
}

typedef struct dsc_lstm_maths {
    /* x [1 or 2][lanes] <- grad [lanes], as in the step. */
    void (*inputs)(const dsc_lstm_input *input, const dsc_real *grad, dsc_real *x, size_t lanes);

    /* d_grad [lanes] <- dx [1 or 2][lanes], where grad went in. */
    void (*inputs_back)(const dsc_lstm_input *input, const dsc_real *grad, const dsc_real *dx,
                        dsc_real *d_grad, size_t lanes);

    /* h, c [hidden][lanes] <- one step on x [inputs][lanes]; trace [trace_len] out. */
    void (*forward)(const dsc_lstm_shape *shape, const dsc_real *weight, const dsc_real *x,
                    dsc_real *h, dsc_real *c, dsc_real *trace, dsc_real *work);

    /* dh, dc [hidden][lanes]: in, the derivative by this step's h and c; out, by the step's before.
     * d_weight [4 hidden][pitch] += ...; dx [inputs][lanes] += ..., or NULL where nobody asks. */
    void (*backward)(const dsc_lstm_shape *shape, const dsc_real *weight, const dsc_real *trace,
                     dsc_real *dh, dsc_real *dc, dsc_real *d_weight, dsc_real *dx, dsc_real *work);

    /* out [lanes] = bias + weight [rows] . x [rows][lanes], weight and bias in one array, the bias
     * last; and back: d_weight [rows + 1] += ..., dx [rows][lanes] += ..., or NULL. */
    void (*readout)(const dsc_real *weight, const dsc_real *x, dsc_real *out, size_t rows,
                    size_t lanes);
    void (*readout_back)(const dsc_real *weight, const dsc_real *x, const dsc_real *d_out,
                         dsc_real *d_weight, dsc_real *dx, size_t rows, size_t lanes);

    /* The h that a step ended with, from its trace. */
    void (*output)(const dsc_lstm_shape *shape, const dsc_real *trace, dsc_real *h);
} dsc_lstm_maths;

extern const dsc_lstm_maths dsc_lstm_maths_plain, dsc_lstm_maths_double;
#ifdef __x86_64__
extern const dsc_lstm_maths dsc_lstm_maths_v3, dsc_lstm_maths_v4;
#endif

#endif
