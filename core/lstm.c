/* lstm.c -- a layer of LSTM cells, forward with a trace and backward
 *
 * What it computes. With x the inputs, h and c what the layer remembers, and z = [x; h; 1], a
 * matrix whose columns are coordinates:
 *
 *     a = W z              [4 hidden][lanes], rows by gate: i, f, g, o
 *     i, f, o = sigmoid    g = tanh
 *     c <- f c + i g       h <- o tanh(c)
 *
 * and back, from dh and dc, the derivatives of the loss by the new h and c:
 *
 *     dc += dh o (1 - tanh(c)^2)
 *     da  = [dc g i(1-i);  dc c_before f(1-f);  dc i (1-g^2);  dh tanh(c) o(1-o)]
 *     dW += da z'          [dx; dh] = W' da          dc <- dc f
 *
 * How. Coordinates lie in lanes, as in lstm_kernel.c, so all that is not a product of matrices is
 * one flat loop over a row. The three products are one function: a tile of 4 rows by a few vectors
 * of columns stays in registers while a column of the left matrix, broadcast number by number,
 * meets a row of the right one. W and W' are the same array with its strides exchanged. For dW the
 * right matrix is z', whose transposition costs a few per cent of the product and is done where z
 * is warm, going forward.
 *
 * Bits. Each number sees the same operations in the same order on every instruction set and for
 * every number of lanes: sums run over terms, and dW's over lanes, one after the other.
 *
 * What it costs. 4 hidden (inputs + hidden + 1) multiply-adds a coordinate forward, twice that
 * back. Tried on the way: OpenBLAS for the products, see the commit.
 *
 * Sources. Hochreiter, Schmidhuber 1997; Andrychowicz et al. 2016, section 2.1.
 * Held to account by. tests/laws/test_trainable.c (the step itself; central differences, in
 * double). */
#include "lstm.h"

#include "lstm_inputs.h"
#include "vec.h"
#include "vmath.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { GATE_I, GATE_F, GATE_G, GATE_O };

/* A tile has ROWS rows; with four vectors of columns its sums, operands and a broadcast fill half
 * of 32 registers or, with two, 16. */
#if defined(DSC_KERNEL_V4)
enum { TILE = 4 };
#else
enum { TILE = 2 };
#endif
enum { ROWS = 4 };

/* --- products --- */

/* c [rows][columns] (+)= a [rows][terms] b [terms][columns]; columns a multiple of DSC_LANES. */
typedef struct {
    dsc_real *c;
    const dsc_real *a, *b;
    size_t rows, columns, terms;
    size_t c_row, a_row, a_term, b_term; /* from one to the next, in numbers */
    bool add;
} product;

VEC_INLINE void product_tile(const product *p, size_t row, size_t column, int rows, int vectors)
{
    const dsc_real *a = p->a + row * p->a_row, *b = p->b + column;
    dsc_real *const c = p->c + row * p->c_row + column;
    vec sum[ROWS][TILE];

#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[i][v] = p->add ? vec_load(c + (size_t)i * p->c_row + v * VEC_LANES) : vec_set(0);
    for (size_t k = 0; k < p->terms; k++, a += p->a_term, b += p->b_term) {
        vec x[TILE];

#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            x[v] = vec_load(b + v * VEC_LANES);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            const vec w = vec_set(a[(size_t)i * p->a_row]);

#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vec_fma(w, x[v], sum[i][v]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            vec_store(c + (size_t)i * p->c_row + v * VEC_LANES, sum[i][v]);
}

VEC_INLINE void product_strip(const product *p, size_t column, int vectors)
{
    size_t row = 0;

    for (; p->rows - row >= ROWS; row += ROWS)
        product_tile(p, row, column, ROWS, vectors);
    for (; row < p->rows; row++)
        product_tile(p, row, column, 1, vectors);
}

/* `vectors` is a constant in each copy of product_strip, so that sums live in registers. */
static void multiply(const product *p)
{
    const size_t vectors = p->columns / VEC_LANES;
    size_t v = 0;

    for (; vectors - v >= TILE; v += TILE)
        product_strip(p, v * VEC_LANES, TILE);
#if defined(DSC_KERNEL_V4)
    for (; vectors - v >= 2; v += 2)
        product_strip(p, v * VEC_LANES, 2);
    for (; v < vectors; v++)
        product_strip(p, v * VEC_LANES, 1);
#endif
    assert(v == vectors);
}

/* Exchange rows and columns of VEC_LANES squared numbers: taking the lanes of the first and the
 * second half in turns, once for each bit of an index, exchanges the bits of row and column. */
VEC_INLINE void transpose_square(dsc_real *to, size_t to_row, const dsc_real *from, size_t from_row)
{
    vec x[VEC_LANES], y[VEC_LANES];

#pragma GCC unroll 16
    for (int i = 0; i < VEC_LANES; i++)
        x[i] = vec_load(from + (size_t)i * from_row);
#pragma GCC unroll 4
    for (int bit = 1; bit < VEC_LANES; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < VEC_LANES / 2; i++) {
            y[2 * i] = vec_low(x[i], x[i + VEC_LANES / 2]);
            y[2 * i + 1] = vec_high(x[i], x[i + VEC_LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VEC_LANES; i++)
            x[i] = y[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < VEC_LANES; i++)
        vec_store(to + (size_t)i * to_row, x[i]);
}

/* to [columns][rows] <- from [rows][columns]; both multiples of DSC_LANES. */
static void transpose(dsc_real *to, const dsc_real *from, size_t rows, size_t columns)
{
    for (size_t row = 0; row < rows; row += VEC_LANES)
        for (size_t column = 0; column < columns; column += VEC_LANES)
            transpose_square(to + column * rows + row, rows, from + row * columns + column,
                             columns);
}

/* --- where things lie in a trace --- */

typedef struct {
    dsc_real *terms, *gates, *c_before, *tanh_c;
} parts;

static parts split(const dsc_lstm_shape *shape, dsc_real *trace)
{
    parts p = {.terms = trace};

    p.gates = p.terms + shape->lanes * dsc_lstm_pitch(shape->inputs, shape->hidden);
    p.c_before = p.gates + shape->lanes * DSC_LSTM_GATES * shape->hidden;
    p.tanh_c = p.c_before + shape->lanes * shape->hidden;
    return p;
}

/* --- forward --- */

/* z = [x; h; 1; zeros] */
static void stack_terms(const dsc_lstm_shape *shape, const dsc_real *x, const dsc_real *h,
                        dsc_real *z)
{
    const size_t lanes = shape->lanes, terms = dsc_lstm_terms(shape->inputs, shape->hidden);
    const size_t pitch = dsc_lstm_pitch(shape->inputs, shape->hidden);

    memcpy(z, x, shape->inputs * lanes * sizeof *z);
    memcpy(z + shape->inputs * lanes, h, shape->hidden * lanes * sizeof *z);
    for (size_t i = (terms - 1) * lanes; i < terms * lanes; i++)
        z[i] = 1;
    memset(z + terms * lanes, 0, (pitch - terms) * lanes * sizeof *z);
}

/* Gates and cell in place, with one division for the four gates and one for tanh(c): with
 * E = 2^(-x log2 e), sigmoid(x) = 1 / (1 + E), and every factor 1 + E is at most 2^30 + 1. */
VEC_INLINE void cell(dsc_real *gate, size_t stride, dsc_real *c, dsc_real *tanh_c, dsc_real *h)
{
    const vec one = vec_set(1), half = vec_set((dsc_real)-1.4426950408889634);
    const vec eg = exp2_clamped(vec_load(gate + GATE_G * stride) * (half + half));
    const vec pi = one + exp2_clamped(vec_load(gate + GATE_I * stride) * half);
    const vec pf = one + exp2_clamped(vec_load(gate + GATE_F * stride) * half);
    const vec po = one + exp2_clamped(vec_load(gate + GATE_O * stride) * half);
    const vec pg = one + eg, pif = pi * pf, pgo = pg * po;
    const vec all = one / (pif * pgo), ago = all * pgo, aif = all * pif;
    const vec i = ago * pf, f = ago * pi, g = (one - eg) * (aif * po), o = aif * pg;
    const vec next = vec_fma(f, vec_load(c), i * g);
    const vec ec = exp2_clamped(next * (half + half));
    const vec t = (one - ec) / (one + ec);

    vec_store(gate + GATE_I * stride, i);
    vec_store(gate + GATE_F * stride, f);
    vec_store(gate + GATE_G * stride, g);
    vec_store(gate + GATE_O * stride, o);
    vec_store(c, next);
    vec_store(tanh_c, t);
    vec_store(h, o * t);
}

static void forward(const dsc_lstm_shape *shape, const dsc_real *weight, const dsc_real *x,
                    dsc_real *h, dsc_real *c, dsc_real *trace, dsc_real *work)
{
    const size_t lanes = shape->lanes, pitch = dsc_lstm_pitch(shape->inputs, shape->hidden);
    const size_t len = shape->hidden * lanes;
    const parts to = split(shape, trace);
    const product a = {.c = to.gates,
                       .a = weight,
                       .b = work,
                       .rows = DSC_LSTM_GATES * shape->hidden,
                       .columns = lanes,
                       .terms = dsc_lstm_terms(shape->inputs, shape->hidden),
                       .c_row = lanes,
                       .a_row = pitch,
                       .a_term = 1,
                       .b_term = lanes};

    stack_terms(shape, x, h, work);
    multiply(&a);
    transpose(to.terms, work, pitch, lanes);
    memcpy(to.c_before, c, len * sizeof *c);
    for (size_t at = 0; at < len; at += VEC_LANES)
        cell(to.gates + at, len, c + at, to.tanh_c + at, h + at);
}

static void output(const dsc_lstm_shape *shape, const dsc_real *trace, dsc_real *h)
{
    const size_t len = shape->hidden * shape->lanes;
    const parts from = split(shape, (dsc_real *)trace); /* only read */

    for (size_t at = 0; at < len; at += VEC_LANES)
        vec_store(h + at, vec_load(from.gates + GATE_O * len + at) * vec_load(from.tanh_c + at));
}

/* --- backward --- */

/* da [4][...] from dh and dc; dc for the step before. */
VEC_INLINE void cell_back(const dsc_real *gate, size_t stride, const dsc_real *c_before,
                          const dsc_real *tanh_c, const dsc_real *dh, dsc_real *dc, dsc_real *da)
{
    const vec one = vec_set(1), t = vec_load(tanh_c), d = vec_load(dh);
    const vec i = vec_load(gate + GATE_I * stride), f = vec_load(gate + GATE_F * stride);
    const vec g = vec_load(gate + GATE_G * stride), o = vec_load(gate + GATE_O * stride);
    const vec inner = vec_fma(d * o, one - t * t, vec_load(dc));

    vec_store(da + GATE_I * stride, inner * g * (i - i * i));
    vec_store(da + GATE_F * stride, inner * vec_load(c_before) * (f - f * f));
    vec_store(da + GATE_G * stride, inner * i * (one - g * g));
    vec_store(da + GATE_O * stride, d * t * (o - o * o));
    vec_store(dc, inner * f);
}

static void backward(const dsc_lstm_shape *shape, const dsc_real *weight, const dsc_real *trace,
                     dsc_real *dh, dsc_real *dc, dsc_real *d_weight, dsc_real *dx, dsc_real *work)
{
    const size_t lanes = shape->lanes, pitch = dsc_lstm_pitch(shape->inputs, shape->hidden);
    const size_t len = shape->hidden * lanes, gates = DSC_LSTM_GATES * shape->hidden;
    const parts from = split(shape, (dsc_real *)trace); /* only read */
    product p = {.c = d_weight,
                 .a = work,
                 .b = from.terms,
                 .rows = gates,
                 .columns = pitch,
                 .terms = lanes,
                 .c_row = pitch,
                 .a_row = lanes,
                 .a_term = 1,
                 .b_term = pitch,
                 .add = true};

    for (size_t at = 0; at < len; at += VEC_LANES)
        cell_back(from.gates + at, len, from.c_before + at, from.tanh_c + at, dh + at, dc + at,
                  work + at);
    multiply(&p);
    p = (product) {.c = dh,
                   .a = weight + shape->inputs,
                   .b = work,
                   .rows = shape->hidden,
                   .columns = lanes,
                   .terms = gates,
                   .c_row = lanes,
                   .a_row = 1,
                   .a_term = pitch,
                   .b_term = lanes};
    multiply(&p);
    if (!dx)
        return;
    p.c = dx;
    p.a = weight;
    p.rows = shape->inputs;
    p.add = true;
    multiply(&p);
}

/* --- readout --- */

static void readout(const dsc_real *weight, const dsc_real *x, dsc_real *out, size_t rows,
                    size_t lanes)
{
    for (size_t at = 0; at < lanes; at += VEC_LANES) {
        vec sum = vec_set(weight[rows]);

        for (size_t k = 0; k < rows; k++)
            sum = vec_fma(vec_set(weight[k]), vec_load(x + k * lanes + at), sum);
        vec_store(out + at, sum);
    }
}

/* Sum of a [lanes] times b [lanes]; DSC_LANES partial sums, whatever a vector holds. */
VEC_INLINE dsc_real dot(const dsc_real *a, const dsc_real *b, size_t lanes)
{
    vec sum[DSC_LANES / VEC_LANES] = {{0}};
    dsc_real part[DSC_LANES], total = 0;

    for (size_t at = 0; at < lanes; at += DSC_LANES)
        for (size_t v = 0; v < DSC_LANES / VEC_LANES; v++)
            sum[v] =
                vec_fma(vec_load(a + at + v * VEC_LANES), vec_load(b + at + v * VEC_LANES), sum[v]);
    for (size_t v = 0; v < DSC_LANES / VEC_LANES; v++)
        vec_store(part + v * VEC_LANES, sum[v]);
    for (size_t lane = 0; lane < DSC_LANES; lane++)
        total += part[lane];
    return total;
}

static void readout_back(const dsc_real *weight, const dsc_real *x, const dsc_real *d_out,
                         dsc_real *d_weight, dsc_real *dx, size_t rows, size_t lanes)
{
    for (size_t k = 0; k < rows; k++)
        d_weight[k] += dot(d_out, x + k * lanes, lanes);
    for (size_t lane = 0; lane < lanes; lane++)
        d_weight[rows] += d_out[lane];
    if (!dx)
        return;
    for (size_t k = 0; k < rows; k++)
        for (size_t at = k * lanes, lane = 0; lane < lanes; at += VEC_LANES, lane += VEC_LANES)
            vec_store(dx + at,
                      vec_fma(vec_set(weight[k]), vec_load(d_out + lane), vec_load(dx + at)));
}

/* --- the row of this instruction set --- */

static void inputs(const dsc_lstm_input *input, const dsc_real *grad, dsc_real *x, size_t lanes)
{
    make_inputs(input, grad, x, lanes);
}

static void inputs_back(const dsc_lstm_input *input, const dsc_real *grad, const dsc_real *dx,
                        dsc_real *d_grad, size_t lanes)
{
    make_inputs_back(input, grad, dx, d_grad, lanes);
}

#define MATHS                                                                                      \
    {                                                                                              \
        inputs, inputs_back, forward, backward, readout, readout_back, output                      \
    }

#if defined(DSC_KERNEL_V4)
const dsc_lstm_maths dsc_lstm_maths_v4 = MATHS;
#elif defined(DSC_KERNEL_V3)
const dsc_lstm_maths dsc_lstm_maths_v3 = MATHS;
#elif defined(DSC_KERNEL_DOUBLE)
const dsc_lstm_maths dsc_lstm_maths_double = MATHS;
#else
const dsc_lstm_maths dsc_lstm_maths_plain = MATHS;
#endif
