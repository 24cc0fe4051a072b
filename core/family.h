/* family.h -- a kind of optimizer, as a constant
 *
 * A family turns gradients into updates. It owns nothing: every number it works on is handed to it,
 * its weights are one flat array described by phi_layout, and what it remembers of a coordinate is
 * a row of state_layout (a coupled family also remembers the numbers that all coordinates share).
 * Two consequences are relied on elsewhere: a run is saved by copying its state, and a step can
 * fail only by producing a number that is not finite.
 *
 * To add a family, write
 *
 *     core/family_<name>.c             one const dsc_family; the equations and the source on top
 *     core/family.h, core/family.c     its declaration, and its line in the one list
 *     core/rule.h, core/rule.c         its loop, if it is a simple one (hand-designed families)
 *     tests/golden/make_golden.py      its cases, against PyTorch or NumPy in float64; then
 *                                      `make golden`, and a row of tolerances in test_golden.c
 *     tests/laws/test_families.c       its rows of configs[], the extreme ones too
 *     tests/http/test_families.c       its config as a client sees it (hand-designed families)
 *     tests/unit/test_rule.c           (or test_family_<name>.c) what a person can check by hand
 *
 * Nothing else knows its name: server, files and API read the tables below. A family that is left
 * out of the golden vectors, the laws or the HTTP test fails them. */
#ifndef DSC_FAMILY_H
#define DSC_FAMILY_H

#include "err.h"
#include "hyper.h"
#include "layout.h"
#include "rng.h"
#include "state.h"

struct dsc_model;

/* One pass of a step for a range of coordinates: what comes in, what goes out, and the memory of
 * exactly these coordinates. A range begins at a multiple of DSC_BLOCK; it ends at one too, or at
 * the run's end. */
typedef struct {
    uint64_t t;        /* steps taken before this one: 0 for the first */
    size_t n;          /* coordinates in the range                     */
    const float *grad; /* [n] finite; does not overlap update          */
    float *update;     /* [n] out: to be ADDED to the parameters       */
    float *state;      /* blocked (state.h), in and out, 64-byte aligned */
    float *work;       /* [work_len(model)] scratch, 64-byte aligned   */

    /* Of a coupled family only (0 and NULL else), whose spans are one tile each. */
    int phase;            /* which pass, from 0                                              */
    size_t begin;         /* the first coordinate of the range, in its run                   */
    const double *shared; /* [shared_len] as the last join left it: of this step, or, in its */
                          /* first pass, of the last step taken                              */
    double *partial;      /* [partial_len] zero on entry; add to it                          */
} dsc_span;

/* Coordinates that report together: a fixed number, because the order of a sum decides its bits. A
 * row of a hundred doubles for each costs a fifth of a byte a coordinate. */
#define DSC_TILE ((size_t)64 * DSC_BLOCK)

/* The passes that a step may have. */
#define DSC_PHASES_MAX 8

/* What a family declares whose coordinates depend on one another through sums over all of them.
 * Its step is a number of passes over the coordinates, and between two passes a join on one
 * thread: the join gets the sums of what the spans of the pass before have added to `partial`, and
 * leaves what the spans of the next may read in `shared`.
 *
 * If it proposes, all passes but the last leave the state alone, the one before the last alone
 * writes the update, and the last leaves the update alone: whether every number of the update is
 * finite is then known while the step can still be given up. A family that does not must bound its
 * update beforehand (update_bound). */
typedef struct {
    int (*phases)(const dsc_hyper *hyper); /* 1 to DSC_PHASES_MAX; 3 at least if it proposes */
    bool proposes;
    bool remembers; /* the shared numbers are part of the state; else they are of one step only */
    size_t (*partial_len)(const dsc_hyper *hyper);
    size_t (*shared_len)(const dsc_hyper *hyper); /* zeros before the first step */

    /* After pass `phase` of the step that follows t taken ones. shared comes as the join before
     * left it: that of this step, or, after the first pass, the last one of the step before. */
    void (*join)(const struct dsc_model *model, int phase, uint64_t t, const double *sum,
                 double *shared);
} dsc_coupled;

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
    /* Fill a fresh state of n coordinates (state.h), tail lanes included; NULL means zeros. */
    void (*state_init)(float *state, size_t n, const dsc_hyper *hyper);

    /* The model's private form of phi, made once: transposed, padded, pre-scaled for the kernel.
     * Both NULL when there is nothing to prepare. */
    size_t (*pack_len)(const dsc_hyper *hyper);
    void (*pack)(float *packed, const float *phi, const dsc_hyper *hyper);
    size_t (*work_len)(const dsc_hyper *hyper); /* NULL means none; at most DSC_WORK_MAX */

    /* A bound on |update| when every |grad| <= grad_max, valid for any state the family can reach,
     * or, if bound_reads_state, for any whose numbers are <= state_max (0 else); INFINITY when it
     * cannot promise a finite one. It lets a server accept a step before it has computed it. */
    double (*update_bound)(const struct dsc_model *model, double grad_max, double state_max);
    bool bound_reads_state; /* costs a pass over the state, where a trial costs the whole step */

    /* update, state <- grad; or one pass of that. Deterministic, the same bits for any split into
     * ranges; touches only its arguments, never allocates. */
    void (*step)(const struct dsc_model *model, const dsc_span *span);

    const dsc_coupled *coupled; /* NULL when every coordinate is stepped by itself */
} dsc_family;

extern const dsc_family dsc_family_sgd, dsc_family_momentum, dsc_family_nag, dsc_family_rmsprop,
    dsc_family_adagrad, dsc_family_adam, dsc_family_amsgrad, dsc_family_lion, dsc_family_rprop,
    dsc_family_lbfgs, dsc_family_lstm, dsc_family_lstm_gac, dsc_family_rnnprop,
    dsc_family_ntm_lbfgs;

/* Every family, NULL-terminated: the one list to extend. */
extern const dsc_family *const dsc_families[];

/* Borrowed; NULL if there is none of that name. */
const dsc_family *dsc_family_find(const char *name);

#endif
