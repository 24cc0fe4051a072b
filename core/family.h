/* family.h -- a kind of optimizer, as a constant
 *
 * A family turns gradients into updates. It owns nothing: every number it works on is handed to it,
 * its weights are one flat array described by phi_layout, and what it remembers of a coordinate is
 * a row of state_layout. Two consequences are relied on elsewhere: a run is saved by copying its
 * state array, and a step can fail only by producing a number that is not finite.
 *
 * To add a family: one file family_<name>.c with one const dsc_family, one line in family.c, golden
 * vectors in tests/golden. The laws in tests/laws hold every row of the list to the same promises.
 */
#ifndef DSC_FAMILY_H
#define DSC_FAMILY_H

#include "err.h"
#include "hyper.h"
#include "layout.h"
#include "rng.h"
#include "state.h"

struct dsc_model;

/* One step for a range of coordinates: what comes in, what goes out, and the memory of exactly
 * these coordinates. A range begins at a multiple of DSC_BLOCK; it ends at one too, or at the
 * session's end. */
typedef struct {
    uint64_t t;        /* steps taken before this one: 0 for the first */
    size_t n;          /* coordinates in the range                     */
    const float *grad; /* [n] finite                                   */
    float *update;     /* [n] out: to be ADDED to the parameters       */
    float *state;      /* blocked (state.h), in and out, 64-byte aligned */
    float *work;       /* [work_len(model)] scratch, 64-byte aligned   */
} dsc_span;

typedef struct dsc_family {
    const char *name;   /* stored in databases and sent on the wire: never renamed */
    const char *doc;    /* one sentence for a person choosing                      */
    const char *source; /* paper and section, and what we changed                  */
    const dsc_hyper_spec *hyper;

    /* Learned weights as a file carries them; NULL for a hand-designed family. */
    void (*phi_layout)(dsc_layout *phi, const dsc_hyper *hyper);
    void (*phi_init)(float *phi, dsc_rng *rng, const dsc_hyper *hyper);

    /* Read from the shapes of a file that says nothing of its config (numerics.md, api.md section
     * 4). DSC_EWEIGHTS when the tensors are not this family's. NULL for a hand-designed family. */
    bool (*hyper_guess)(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err);

    /* What is kept of ONE coordinate: a tensor of rank 0 is one number, of rank 1 a row of them. */
    void (*state_layout)(dsc_layout *state, const dsc_hyper *hyper);
    /* Fill a fresh state of `len` numbers; NULL means zeros. */
    void (*state_init)(float *state, size_t len, const dsc_hyper *hyper);

    /* The model's private form of phi, made once: transposed, padded, pre-scaled for the kernel.
     * Both NULL when there is nothing to prepare. */
    size_t (*pack_len)(const dsc_hyper *hyper);
    void (*pack)(float *packed, const float *phi, const dsc_hyper *hyper);
    size_t (*work_len)(const dsc_hyper *hyper); /* NULL means none; at most DSC_WORK_MAX */

    /* A bound on |update| when every |grad| <= grad_max, valid for any state the family can reach;
     * INFINITY when it cannot promise a finite one. It lets a server accept a step before it has
     * computed it. */
    double (*update_bound)(const struct dsc_model *model, double grad_max);

    /* update, state <- grad. Deterministic, the same bits for any split into ranges; touches only
     * its arguments, never allocates. */
    void (*step)(const struct dsc_model *model, const dsc_span *span);
} dsc_family;

extern const dsc_family dsc_family_sgd, dsc_family_adam, dsc_family_lstm;

/* Every family, NULL-terminated: the one list to extend. */
extern const dsc_family *const dsc_families[];

/* Borrowed; NULL if there is none of that name. */
const dsc_family *dsc_family_find(const char *name);

#endif
