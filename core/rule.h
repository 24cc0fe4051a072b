/* rule.h -- one step of a hand-designed family, and sums over blocks, as the kernels take them
 *
 * The family's file fills this in from a model and a span; rule.c, compiled once per instruction
 * set, does the work. Everything is borrowed. What a rule computes from its numbers is written in
 * its family's file; the state's rows come in the order of its state_layout. */
#ifndef DSC_RULE_H
#define DSC_RULE_H

#include <stddef.h>

/* The coordinates of a span, and the numbers that are the same for all of them; a rule reads those
 * it knows. */
typedef struct {
    size_t n;
    const float *grad; /* [n] does not overlap update */
    float *update;     /* [n] */
    float *state;      /* blocked, state.h */

    float rate;              /* negative: the way down                */
    double momentum;         /* what a velocity keeps                 */
    float keep, add;         /* of the average of the gradient        */
    float keep_sq, add_sq;   /* of the average of its square          */
    float root, eps;         /* sqrt(average) * root + eps divides    */
    double up, down;         /* factors of a step size, which lies... */
    float smallest, largest; /* ...between these                      */
} dsc_rule_step;

typedef void dsc_rule(const dsc_rule_step *step);

typedef struct dsc_rules {
    dsc_rule *sgd, *momentum, *nag, *rmsprop, *adagrad, *adam, *amsgrad, *lion, *rprop;

    /* The largest |x[i]|, [n]; not finite (NaN counts as more than infinity) when one is not. */
    float (*largest)(const float *x, size_t n);

    /* Of a block, [lanes] = DSC_BLOCK or DSC_LANES: sum [DSC_LANES] += a * b, every DSC_LANES-th
     * into the same; and sum [lanes] += factor * x. */
    void (*dot)(double *sum, const float *a, const float *b, size_t lanes);
    void (*add)(double *sum, double factor, const float *x, size_t lanes);

    /* Of a block too. The averages m and v [lanes] as in Adam; x [2][lanes] <- grad and m, each
     * divided by sqrt(v) * root + eps, m times -rate. */
    void (*moments)(const dsc_rule_step *step, const float *grad, float *m, float *v, float *x,
                    size_t lanes);
    /* out [lanes] = weight[0] + weight[1 ..] . x [inputs][lanes] */
    void (*affine)(float *out, const float *weight, const float *x, size_t inputs, size_t lanes);
    /* x [lanes] <- x where it is positive, else e^x - 1 (8e-8 of absolute error) */
    void (*elu)(float *x, size_t lanes);
    /* x [lanes] <- scale * tanh x */
    void (*tanh)(float *x, float scale, size_t lanes);
} dsc_rules;

extern const dsc_rules dsc_rules_plain;
#ifdef __x86_64__
extern const dsc_rules dsc_rules_v3, dsc_rules_v4;
#endif

#endif
