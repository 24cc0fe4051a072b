/* trainable.h -- how a learned family is trained: its way forward with a trace, and its way back
 *
 * The sibling of dsc_family for families with weights. Like it, a constant that owns nothing. Many
 * coordinates go side by side: every array of coordinates is a row of `lanes` numbers, those of
 * function 0, of function 1, ..., and zeros up to a multiple of DSC_LANES. Training calculates in
 * dsc_real. Any thread; nothing allocates.
 *
 * Weights have two forms: phi, as files carry it (family->phi_layout), and packed, as the
 * calculation wants it. Derivatives are summed in the packed form and unpacked once.
 *
 * To make a family trainable: one const dsc_trainable, one line in trainable.c. tests/laws holds
 * every row to the step of its family and to central differences. */
#ifndef DSC_TRAINABLE_H
#define DSC_TRAINABLE_H

#include "family.h"
#include "real.h"

/* Where a calculation happens: shared by all steps of an unroll. */
typedef struct {
    const dsc_hyper *hyper;
    const dsc_real *packed; /* [packed_len] */
    size_t lanes;
    dsc_real *work; /* [work_len], 64-byte aligned */
} dsc_pass;

typedef struct dsc_trainable {
    const dsc_family *family;

    size_t (*packed_len)(const dsc_hyper *hyper);
    void (*pack)(dsc_real *packed, const dsc_real *phi, const dsc_hyper *hyper);
    /* d_phi [phi_len] <- d_packed. Of tensors that only act as a sum, such as PyTorch's two biases,
     * the first gets the derivative and the others 0: one set of weights has one way to move. */
    void (*unpack)(dsc_real *d_phi, const dsc_real *d_packed, const dsc_hyper *hyper);

    size_t (*state_len)(const dsc_hyper *hyper, size_t lanes); /* kept between steps; begins at 0 */
    size_t (*trace_len)(const dsc_hyper *hyper, size_t lanes); /* backward needs of one step */
    size_t (*work_len)(const dsc_hyper *hyper, size_t lanes);

    /* update [lanes], state <- grad [lanes]; trace out. */
    void (*step)(const dsc_pass *pass, const dsc_real *grad, dsc_real *update, dsc_real *state,
                 dsc_real *trace);

    /* From d_update [lanes], the derivative of the loss by one step's update, and d_state, by the
     * state after it: d_packed += ..., d_state by the state before it, and, unless it is NULL,
     * d_grad [lanes] by the gradient that came in, which is `grad` again. Consumes nothing: trace
     * may be read again. */
    void (*backward)(const dsc_pass *pass, const dsc_real *grad, const dsc_real *d_update,
                     const dsc_real *trace, dsc_real *d_packed, dsc_real *d_state,
                     dsc_real *d_grad);
} dsc_trainable;

extern const dsc_trainable dsc_trainable_lstm;

/* Every row, NULL-terminated: the one list to extend. */
extern const dsc_trainable *const dsc_trainables[];

/* Borrowed; NULL when the family cannot be trained. */
const dsc_trainable *dsc_trainable_find(const dsc_family *family);

#endif
