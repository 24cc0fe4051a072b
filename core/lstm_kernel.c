/* lstm_kernel.c -- one step of the coordinatewise LSTM
 *
 * Compiled once per instruction set (vec.h). Coordinates lie in lanes: a weight is broadcast and
 * multiplied with as many coordinates as a vector holds, so nothing is ever added across lanes, and
 * every coordinate sees the same operations in the same order wherever it lies. Hence equal bits
 * for any block, any split into ranges and any kernel.
 *
 * A block of coordinates is finished (inputs, all layers, readout) while its state is in L1, in
 * tiles of `vectors` registers: with the four gates, 4 * vectors sums are in flight, which hides
 * the latency of multiply-adds and uses each broadcast weight `vectors` times. The new h of a layer
 * goes to scratch until all of its units are done, because every unit reads the old h.
 *
 * Measurements: design/performance.md, section 1. */
#include "lstm_kernel.h"

#include "lstm.h"
#include "lstm_inputs.h"
#include "rule.h"
#include "vec.h"
#include "vmath.h"

#include <stdbool.h>

/* Registers per tile: 4 * TILE sums, TILE inputs and a weight must fit into 32 or 16 of them. */
#if defined(DSC_KERNEL_V4)
enum { TILE = 4 };
#elif defined(DSC_KERNEL_V3)
enum { TILE = 2 };
#else
enum { TILE = 1 };
#endif

enum { GATE_I, GATE_F, GATE_G, GATE_O, GATES };

_Static_assert((int)GATES == (int)DSC_LSTM_GATES, "the packed rows have these gates");
_Static_assert(DSC_LANES % VEC_LANES == 0 && DSC_BLOCK % (TILE * VEC_LANES) == 0,
               "tiles fill blocks");

/* Sums of a tile: [gate][vector]. */
typedef vec sums[GATES][TILE];

/* --- cells --- */

/* sum[gate] += weight[k][gate] * row k, for `count` rows that lie `stride` floats apart. */
VEC_INLINE void accumulate(sums sum, const float *weight, const float *rows, size_t stride,
                           size_t count, int vectors)
{
    for (size_t k = 0; k < count; k++) {
        vec x[TILE];

#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            x[v] = vec_load(rows + v * VEC_LANES);
#pragma GCC unroll 4
        for (int gate = 0; gate < GATES; gate++) {
            const vec w = vec_set(weight[gate]);

#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[gate][v] = vec_fma(w, x[v], sum[gate][v]);
        }
        rows += stride;
        weight += GATES;
    }
}

/* With E = 2^(scaled sum): sigmoid = 1 / (1 + E) and tanh = (1 - E) / (1 + E), so that
 *     c' = f c + i u = (c (1 + Ei) (1 + Eg) + (1 - Eg) (1 + Ef)) / ((1 + Ef) (1 + Ei) (1 + Eg))
 *     h  = o tanh c' = (1 - Ec) / ((1 + Eo) (1 + Ec))
 * take two divisions. |h| <= 1 holds in float too. c grows by at most 1 a step and is held at 2^24,
 * where adding 1 would change nothing: rounding must not carry it further in a session of any
 * length. */
VEC_INLINE void cell(vec i, vec f, vec g, vec o, float *c, float *h)
{
    const vec one = vec_set(1.0f);
    const vec eg = exp2_clamped(g);
    const vec input = (one + exp2_clamped(i)) * (one + eg);
    const vec forget = one + exp2_clamped(f);
    const vec sum = vec_fma(vec_load(c), input, (one - eg) * forget) / (forget * input);
    const vec next = vec_max(vec_min(sum, vec_set(0x1p24f)), vec_set(-0x1p24f));
    const vec ec = exp2_clamped(next * vec_set(-0x1.715476p+1f)); /* -2 log2 e */

    vec_store(c, next);
    vec_store(h, (one - ec) / ((one + exp2_clamped(o)) * (one + ec)));
}

/* What a layer reads and writes, for one tile of lanes. */
typedef struct {
    const float *x; /* inputs */
    size_t x_stride, inputs;
    float *h, *c; /* rows of the state */
    size_t stride, hidden;
    float *fresh; /* the new h: [hidden] rows of a tile */
} layer;

VEC_INLINE void unit(const layer *l, const float *weight, size_t at, int vectors)
{
    sums sum;

#pragma GCC unroll 4
    for (int gate = 0; gate < GATES; gate++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[gate][v] = vec_set(weight[gate]);
    weight += GATES;
    accumulate(sum, weight, l->x, l->x_stride, l->inputs, vectors);
    accumulate(sum, weight + GATES * l->inputs, l->h, l->stride, l->hidden, vectors);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        cell(sum[GATE_I][v], sum[GATE_F][v], sum[GATE_G][v], sum[GATE_O][v],
             l->c + at * l->stride + v * VEC_LANES,
             l->fresh + (at * (size_t)vectors + (size_t)v) * VEC_LANES);
}

/* Returns the weights of the next layer. */
VEC_INLINE const float *run_layer(const layer *l, const float *weight, int vectors)
{
    const size_t width = (size_t)vectors * VEC_LANES;

    for (size_t j = 0; j < l->hidden; j++) {
        unit(l, weight, j, vectors);
        weight += dsc_lstm_row(l->inputs, l->hidden);
    }
    for (size_t j = 0; j < l->hidden; j++)
        for (size_t at = 0; at < width; at += VEC_LANES)
            vec_store(l->h + j * l->stride + at, vec_load(l->fresh + j * width + at));
    return weight;
}

/* --- a tile, a block, a range --- */

VEC_INLINE void readout(const dsc_lstm_step *step, const float *weight, const layer *top,
                        float *update, size_t width)
{
    for (size_t at = 0; at < width; at += VEC_LANES) {
        vec sum = vec_set(weight[0]);

        for (size_t k = 0; k < top->inputs; k++)
            sum = vec_fma(vec_set(weight[1 + k]), vec_load(top->x + k * top->x_stride + at), sum);
        vec_store(update + at, sum * vec_set(step->output_scale));
    }
}

/* All of a step, or the layers of it that are asked for, for `vectors` vectors of coordinates,
 * whose state rows lie `stride` apart. */
VEC_INLINE void run_tile(const dsc_lstm_step *step, const float *grad, float *update, float *state,
                         size_t stride, int vectors)
{
    const size_t width = (size_t)vectors * VEC_LANES;
    const float *weight = step->packed;
    layer l = {.x = step->scratch,
               .x_stride = width,
               .inputs = step->inputs,
               .stride = stride,
               .hidden = step->hidden,
               .fresh = step->scratch + DSC_LSTM_INPUTS_MAX * DSC_BLOCK};

    if (step->given) {
        l.x = grad;
        l.x_stride = stride;
    } else if (step->from == 0) {
        make_inputs(&step->input, grad, step->scratch, width);
    }
    for (size_t i = 0; i < step->layers && i < step->to; i++) {
        l.h = state + 2 * i * step->hidden * stride;
        l.c = l.h + step->hidden * stride;
        weight = i < step->from ? weight + step->hidden * dsc_lstm_row(l.inputs, step->hidden)
                                : run_layer(&l, weight, vectors);
        l.x = l.h; /* this layer's new h is the next one's input */
        l.x_stride = stride;
        l.inputs = step->hidden;
    }
    if (step->to > step->layers)
        readout(step, weight, &l, update, width);
}

/* `vectors` is a constant in each copy of run_tile, which is what lets sums live in registers. */
static __attribute__((noinline)) void wide_tile(const dsc_lstm_step *step, const float *grad,
                                                float *update, float *state)
{
    run_tile(step, grad, update, state, DSC_BLOCK, TILE);
}

static __attribute__((noinline)) void narrow_tile(const dsc_lstm_step *step, const float *grad,
                                                  float *update, float *state)
{
    run_tile(step, grad, update, state, DSC_LANES, 1);
}

static void full_block(const dsc_lstm_step *step, size_t c, float *state)
{
    const float *const from = step->given ? step->given : step->grad + c;

    for (size_t at = 0; at < DSC_BLOCK; at += TILE * VEC_LANES)
        wide_tile(step, from + at, step->update + c + at, state + at);
}

/* The arrays end at n, in the middle of a vector perhaps: padded copies stand in for them. */
static void tail_block(const dsc_lstm_step *step, size_t c, float *state)
{
    const size_t left = step->n - c < DSC_LANES ? step->n - c : DSC_LANES;
    float grad[DSC_LANES] = {0}, update[DSC_LANES];
    const float *const from = step->given ? step->given : grad;

    if (!step->given)
        memcpy(grad, step->grad + c, left * sizeof *grad);
    for (size_t at = 0; at < DSC_LANES; at += VEC_LANES)
        narrow_tile(step, from + at, update + at, state + at);
    if (step->to > step->layers)
        memcpy(step->update + c, update, left * sizeof *update);
}

static void lstm_step(const dsc_lstm_step *step)
{
    size_t c = 0;

    for (; step->n - c >= DSC_BLOCK; c += DSC_BLOCK)
        full_block(step, c, step->state + c * step->width);
    for (; c < step->n; c += DSC_LANES)
        tail_block(step, c, step->state + c * step->width);
}

/* --- the kernel --- */

/* Feature by feature: clang 14 does not know the names of the levels. */
static bool usable(void)
{
#if defined(DSC_KERNEL_V4)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && dsc_kernel_v3.usable();
#elif defined(DSC_KERNEL_V3)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return true;
#endif
}

#if defined(DSC_KERNEL_V4)
const dsc_kernel dsc_kernel_v4 = {"x86-64-v4",        "fma",        usable, lstm_step,
                                  &dsc_lstm_maths_v4, &dsc_rules_v4};
#elif defined(DSC_KERNEL_V3)
const dsc_kernel dsc_kernel_v3 = {"x86-64-v3",        "fma",        usable, lstm_step,
                                  &dsc_lstm_maths_v3, &dsc_rules_v3};
#else
const dsc_kernel dsc_kernel_plain = {
    "plain", "fma", usable, lstm_step, &dsc_lstm_maths_plain, &dsc_rules_plain};
#endif
