/* unroll.h -- T steps of a learned optimizer, and the way back through them
 *
 * Truncated backpropagation through time over U steps:
 *
 *     theta_{t+1} = theta_t + g_t,   g_t, state = family(grad f(theta_t), state; phi)
 *     loss = sum over t = s+1 .. s+U of w_t f(theta_t)
 *
 * The gradients that enter the optimizer count as constants, so the way back needs them and nothing
 * else of f:
 *
 *     lambda_{s+U} = w_{s+U} grad_{s+U}
 *     for t = s+U-1 .. s:   dL/dg_t = lambda_{t+1}  ->  backward  ->  d_phi += ..., d_state
 *                           lambda_t = lambda_{t+1} + w_t grad_t
 *
 * With second derivatives they do not: backward also gives d_grad_t, and lambda_t gets H_t d_grad_t
 * more, with H_t the second derivatives of f at theta_t.
 *
 * Hence a recording of gradients is a complete lesson: dsc_unroll_play makes one by evaluating f,
 * dsc_unroll_replay takes one from elsewhere (a session's log), and dsc_unroll_back learns from
 * either.
 *
 * An unroll owns scratch and is one thread's. What goes on from one unroll to the next (theta, its
 * gradient, the state) is the caller's, in a dsc_strand. Source: Andrychowicz et al. 2016, section
 * 2, which drops second derivatives. */
#ifndef DSC_UNROLL_H
#define DSC_UNROLL_H

#include "trainable.h"

#include <stdint.h>

/* Lanes that are stepped together: few enough that the traces of an unroll stay in a core's cache.
 */
#define DSC_UNROLL_LANES ((size_t)96)

/* The most that the traces of one curved unroll may take: a worker has one. */
#define DSC_UNROLL_BYTES ((size_t)1 << 30)

typedef struct dsc_unroll dsc_unroll;

/* What is being trained. */
typedef struct {
    const dsc_trainable *trainable;
    const dsc_hyper *hyper;
    const dsc_real *packed; /* [packed_len] the weights now */
} dsc_pupil;

/* Functions being minimised side by side, as far as they have come. Rows are `lanes` long, a
 * multiple of DSC_LANES; lanes of nobody are 0. With more than DSC_UNROLL_LANES the state lies in
 * parts of at most that many lanes, one after the other. */
typedef struct {
    size_t lanes;
    uint64_t t;      /* steps taken */
    dsc_real *theta; /* [lanes] */
    dsc_real *grad;  /* [lanes] at theta */
    dsc_real *state; /* [dsc_unroll_state_len] */
} dsc_strand;

/* Set grad [lanes], where only those of functions need be written, and return the sum of the losses
 * of all functions at theta, t steps in. */
typedef double dsc_objective(void *arg, uint64_t t, const dsc_real *theta, dsc_real *grad);

/* product [lanes] = H v at theta, t steps in, function by function; lanes of nobody may be left. */
typedef void dsc_curvature(void *arg, uint64_t t, const dsc_real *theta, const dsc_real *v,
                           dsc_real *product);

size_t dsc_unroll_state_len(const dsc_trainable *trainable, const dsc_hyper *hyper, size_t lanes);

/* What the way back will be. */
typedef enum {
    DSC_UNROLL_PLAIN,
    DSC_UNROLL_CURVED, /* with second derivatives: keeps the traces of all lanes and steps */
} dsc_unroll_kind;

/* Scratch for unrolls of up to `steps` steps over up to `lanes` lanes. DSC_ENOMEM, DSC_ELIMIT when
 * the traces of a curved one take more than DSC_UNROLL_BYTES. */
bool dsc_unroll_new(dsc_unroll **out, const dsc_trainable *trainable, const dsc_hyper *hyper,
                    dsc_unroll_kind kind, size_t lanes, size_t steps, dsc_err *err) DSC_MUST_CHECK;
void dsc_unroll_free(dsc_unroll *unroll); /* NULL is fine */

/* Take `steps` steps: strand goes on, losses [steps] are those at the points reached. */
void dsc_unroll_play(dsc_unroll *unroll, const dsc_pupil *pupil, dsc_strand *strand, size_t steps,
                     dsc_objective *objective, void *arg, double *losses);

/* The same from a recording: grads [steps + 1][lanes], the first one where strand stands. theta is
 * left alone. updates [steps][lanes] out, or NULL. */
void dsc_unroll_replay(dsc_unroll *unroll, const dsc_pupil *pupil, dsc_strand *strand, size_t steps,
                       const dsc_real *grads, dsc_real *updates);

/* d_packed += the derivative of sum of w[k] f(theta_{s+1+k}), k < steps, through the unroll just
 * played or replayed. */
void dsc_unroll_back(dsc_unroll *unroll, const dsc_pupil *pupil, const double *weights,
                     dsc_real *d_packed);

/* The same with second derivatives, of a curved unroll that was played. The curvature costs what
 * the functions' does; with many lanes traces come from memory and not from cache. */
void dsc_unroll_back_curved(dsc_unroll *unroll, const dsc_pupil *pupil, const double *weights,
                            dsc_curvature *curvature, void *arg, dsc_real *d_packed);

/* dsc_unroll_back for another loss: errors [steps][lanes] are the derivatives by the updates
 * themselves.
 */
void dsc_unroll_back_updates(dsc_unroll *unroll, const dsc_pupil *pupil, const dsc_real *errors,
                             dsc_real *d_packed);

#endif
