/* rule.c -- the loops of the hand-designed families
 *
 * Compiled once for each instruction set (see the Makefile). A step of these is bound by memory,
 * except where it divides: then a loop of one coordinate at a time is too slow by far, and whether
 * the compiler makes vectors of it must not be left to chance. So every loop has a length that is
 * known when it is compiled, DSC_BLOCK or DSC_LANES, and where n ends within a tail block, padded
 * copies of the gradient and the update stand in for the arrays.
 *
 * All operations are single IEEE ones in a written order (-ffp-contract=off): the same bits on
 * every instruction set, and wherever in a block a coordinate lies.
 *
 * Held to account by tests/golden (against PyTorch) and tests/laws (bits, splits, sizes). */
#include "rule.h"

#include "state.h"
#include "vmath.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define RULE_INLINE static inline __attribute__((always_inline))

/* One block: grad, update [lanes]; state: rows of `lanes` numbers. */
typedef void block(const dsc_rule_step *step, const float *restrict grad, float *restrict update,
                   float *restrict state, size_t lanes);

/* Every block of a span whose state has `width` rows. `one` is a constant where this is inlined. */
RULE_INLINE void walk(const dsc_rule_step *step, size_t width, block *one)
{
    size_t c = 0;

    for (; step->n - c >= DSC_BLOCK; c += DSC_BLOCK)
        one(step, step->grad + c, step->update + c, step->state + c * width, DSC_BLOCK);
    for (; c < step->n; c += DSC_LANES) {
        const size_t left = step->n - c < DSC_LANES ? step->n - c : DSC_LANES;
        float grad[DSC_LANES] = {0}, update[DSC_LANES];

        memcpy(grad, step->grad + c, left * sizeof *grad);
        one(step, grad, update, step->state + c * width, DSC_LANES);
        memcpy(step->update + c, update, left * sizeof *update);
    }
}

/* --- without a memory, or with one of the direction ---
 *
 * A velocity sums up the error of its factor, and 0.9 is no float: hence the doubles. */

RULE_INLINE void sgd_block(const dsc_rule_step *s, const float *restrict grad,
                           float *restrict update, float *restrict state, size_t lanes)
{
    (void)state;
    for (size_t i = 0; i < lanes; i++)
        update[i] = s->rate * grad[i];
}

RULE_INLINE void momentum_block(const dsc_rule_step *s, const float *restrict grad,
                                float *restrict update, float *restrict v, size_t lanes)
{
    for (size_t i = 0; i < lanes; i++) {
        v[i] = (float)(s->momentum * (double)v[i] + (double)grad[i]);
        update[i] = s->rate * v[i];
    }
}

RULE_INLINE void nag_block(const dsc_rule_step *s, const float *restrict grad,
                           float *restrict update, float *restrict v, size_t lanes)
{
    for (size_t i = 0; i < lanes; i++) {
        v[i] = (float)(s->momentum * (double)v[i] + (double)grad[i]);
        update[i] = s->rate * (float)(s->momentum * (double)v[i] + (double)grad[i]);
    }
}

/* --- scaled by what the gradient's square was --- */

RULE_INLINE void rmsprop_block(const dsc_rule_step *s, const float *restrict grad,
                               float *restrict update, float *restrict v, size_t lanes)
{
    for (size_t i = 0; i < lanes; i++) {
        v[i] = s->keep_sq * v[i] + s->add_sq * grad[i] * grad[i];
        update[i] = s->rate * (grad[i] / (sqrtf(v[i]) + s->eps));
    }
}

RULE_INLINE void adagrad_block(const dsc_rule_step *s, const float *restrict grad,
                               float *restrict update, float *restrict sum, size_t lanes)
{
    for (size_t i = 0; i < lanes; i++) {
        sum[i] = sum[i] + grad[i] * grad[i];
        update[i] = s->rate * (grad[i] / (sqrtf(sum[i]) + s->eps));
    }
}

RULE_INLINE void adam_block(const dsc_rule_step *s, const float *restrict grad,
                            float *restrict update, float *restrict m, size_t lanes)
{
    float *const v = m + lanes;

    for (size_t i = 0; i < lanes; i++) {
        m[i] = s->keep * m[i] + s->add * grad[i];
        v[i] = s->keep_sq * v[i] + s->add_sq * grad[i] * grad[i];
        update[i] = s->rate * (m[i] / (sqrtf(v[i]) * s->root + s->eps));
    }
}

RULE_INLINE void amsgrad_block(const dsc_rule_step *s, const float *restrict grad,
                               float *restrict update, float *restrict m, size_t lanes)
{
    float *const v = m + lanes, *const most = v + lanes;

    for (size_t i = 0; i < lanes; i++) {
        m[i] = s->keep * m[i] + s->add * grad[i];
        v[i] = s->keep_sq * v[i] + s->add_sq * grad[i] * grad[i];
        most[i] = v[i] > most[i] ? v[i] : most[i];
        update[i] = s->rate * (m[i] / (sqrtf(most[i]) * s->root + s->eps));
    }
}

/* --- of the sign alone --- */

RULE_INLINE float sign(float x)
{
    return (float)((x > 0) - (x < 0));
}

/* An average of floats is one: rounding must not lift the largest to infinity. */
RULE_INLINE float clamp(float x, float smallest, float largest)
{
    const float above = x < smallest ? smallest : x;

    return above > largest ? largest : above;
}

/* + 0 so that a zero has no sign. */
RULE_INLINE void lion_block(const dsc_rule_step *s, const float *restrict grad,
                            float *restrict update, float *restrict m, size_t lanes)
{
    for (size_t i = 0; i < lanes; i++) {
        const float g = grad[i];

        update[i] = s->rate * sign(s->keep * m[i] + s->add * g) + 0.0F;
        m[i] = clamp(s->keep_sq * m[i] + s->add_sq * g, -FLT_MAX, FLT_MAX);
    }
}

/* The signs are compared, not multiplied gradients, whose product may be too small for a float. */
RULE_INLINE void rprop_block(const dsc_rule_step *s, const float *restrict grad,
                             float *restrict update, float *restrict last, size_t lanes)
{
    float *const size = last + lanes;

    for (size_t i = 0; i < lanes; i++) {
        const float turn = sign(grad[i]) * sign(last[i]);
        const float longer = (float)((double)size[i] * s->up);
        const float shorter = (float)((double)size[i] * s->down);
        const float now = turn > 0 ? longer : turn < 0 ? shorter : size[i];
        const float kept = turn < 0 ? 0 : grad[i];

        size[i] = clamp(now, s->smallest, s->largest);
        update[i] = s->rate * sign(kept) * size[i] + 0.0F;
        last[i] = kept;
    }
}

/* --- sizes --- */

/* The bits of a float without its sign, which order as sizes do: all that are not finite are above
 * FLT_MAX. Signed, because SSE2 compares no unsigned integers. */
static int32_t size_bits(float x)
{
    int32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits & INT32_MAX;
}

/* One maximum per lane, in an inner loop of fixed length that the compiler turns into vectors. */
static float largest(const float *x, size_t n)
{
    int32_t most[DSC_BLOCK] = {0}, result = 0;
    float found;
    size_t i = 0;

    for (; n - i >= DSC_BLOCK; i += DSC_BLOCK) {
        for (size_t lane = 0; lane < DSC_BLOCK; lane++) {
            const int32_t bits = size_bits(x[i + lane]);

            most[lane] = bits > most[lane] ? bits : most[lane];
        }
    }
    for (size_t lane = 0; i < n; i++, lane++)
        most[lane] = size_bits(x[i]) > most[lane] ? size_bits(x[i]) : most[lane];
    for (size_t lane = 0; lane < DSC_BLOCK; lane++)
        result = most[lane] > result ? most[lane] : result;
    memcpy(&found, &result, sizeof found);
    return found;
}

/* --- sums --- */

/* Sixteen sums side by side: the compiler may not put additions into another order. */
static void dot(double *sum, const float *a, const float *b, size_t lanes)
{
    double part[DSC_LANES];

    memcpy(part, sum, sizeof part);
    for (size_t at = 0; at < lanes; at += DSC_LANES)
        for (size_t i = 0; i < DSC_LANES; i++)
            part[i] += (double)a[at + i] * (double)b[at + i];
    memcpy(sum, part, sizeof part);
}

static void add(double *restrict sum, double factor, const float *restrict x, size_t lanes)
{
    for (size_t at = 0; at < lanes; at += DSC_LANES)
        for (size_t i = 0; i < DSC_LANES; i++)
            sum[at + i] += factor * (double)x[at + i];
}

/* --- around a network --- */

static void moments(const dsc_rule_step *s, const float *restrict grad, float *restrict m,
                    float *restrict v, float *restrict x, size_t lanes)
{
    float *const mean = x + lanes;

    for (size_t at = 0; at < lanes; at += DSC_LANES)
        for (size_t i = at; i < at + DSC_LANES; i++) {
            m[i] = s->keep * m[i] + s->add * grad[i];
            v[i] = s->keep_sq * v[i] + s->add_sq * grad[i] * grad[i];
            x[i] = grad[i] / (sqrtf(v[i]) * s->root + s->eps);
            mean[i] = -s->rate * (m[i] / (sqrtf(v[i]) * s->root + s->eps));
        }
}

static void affine(float *out, const float *weight, const float *x, size_t inputs, size_t lanes)
{
    for (size_t at = 0; at < lanes; at += VEC_LANES) {
        vec sum = vec_set(weight[0]);

        for (size_t k = 0; k < inputs; k++)
            sum = vec_fma(vec_set(weight[1 + k]), vec_load(x + k * lanes + at), sum);
        vec_store(out + at, sum);
    }
}

static void elu(float *x, size_t lanes)
{
    const vec log2_e = vec_set(0x1.715476p+0f), one = vec_set(1.0f);

    for (size_t at = 0; at < lanes; at += VEC_LANES) {
        const vec v = vec_load(x + at);

        vec_store(x + at, vec_select(v > vec_set(0.0f), v, exp2_clamped(v * log2_e) - one));
    }
}

static void tanh_scaled(float *x, float scale, size_t lanes)
{
    const vec factor = vec_set(-0x1.715476p+1f), one = vec_set(1.0f); /* -2 log2 e */

    for (size_t at = 0; at < lanes; at += VEC_LANES) {
        const vec e = exp2_clamped(vec_load(x + at) * factor);

        vec_store(x + at, vec_set(scale) * ((one - e) / (one + e)));
    }
}

/* --- the list --- */

static void sgd(const dsc_rule_step *step)
{
    walk(step, 0, sgd_block);
}
static void momentum(const dsc_rule_step *step)
{
    walk(step, 1, momentum_block);
}
static void nag(const dsc_rule_step *step)
{
    walk(step, 1, nag_block);
}
static void rmsprop(const dsc_rule_step *step)
{
    walk(step, 1, rmsprop_block);
}
static void adagrad(const dsc_rule_step *step)
{
    walk(step, 1, adagrad_block);
}
static void adam(const dsc_rule_step *step)
{
    walk(step, 2, adam_block);
}
static void amsgrad(const dsc_rule_step *step)
{
    walk(step, 3, amsgrad_block);
}
static void lion(const dsc_rule_step *step)
{
    walk(step, 1, lion_block);
}
static void rprop(const dsc_rule_step *step)
{
    walk(step, 2, rprop_block);
}

#if defined(DSC_KERNEL_V4)
#define RULES dsc_rules_v4
#elif defined(DSC_KERNEL_V3)
#define RULES dsc_rules_v3
#else
#define RULES dsc_rules_plain
#endif

const dsc_rules RULES = {
    .sgd = sgd,
    .momentum = momentum,
    .nag = nag,
    .rmsprop = rmsprop,
    .adagrad = adagrad,
    .adam = adam,
    .amsgrad = amsgrad,
    .lion = lion,
    .rprop = rprop,
    .largest = largest,
    .dot = dot,
    .add = add,
    .moments = moments,
    .affine = affine,
    .elu = elu,
    .tanh = tanh_scaled,
};
