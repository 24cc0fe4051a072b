/* run.h -- one optimization in progress: a model, n coordinates, and what it remembers of each
 *
 * A run is owned by one caller; the ranges of one pass may be computed on several threads at once.
 * A step has three parts, so that a server can share the middle one among threads and accept a step
 * (and begin to make it durable) before it has been computed:
 *
 *     dsc_run_check      may this gradient be taken?   the only part that can fail; changes nothing
 *     dsc_run_phase      for each pass: every range    any thread, disjoint ranges, each exactly
 * once dsc_run_join     between two passes            one thread, when all ranges are done
 *     dsc_run_advance    the step is taken
 *
 * Most families have one pass and no join. A coupled family (family.h) has several. Where it
 * proposes, its check is a computation of nearly the whole step on one thread; whoever has a pool
 * does better with the same calls in another order, and the same promise:
 *
 *     dsc_run_check_gradient
 *     dsc_run_phase, dsc_run_join   passes 0 .. dsc_run_proposal() - 1, and the joins BETWEEN them
 *     dsc_run_check_update          from here on the step cannot fail; before, it may be given up
 *     dsc_run_join, dsc_run_phase   the join after the proposal, and the passes that are left
 *     dsc_run_advance
 *
 * To give a step up, just do not go on: the next step begins with its first pass again.
 *
 * dsc_run_step is all of it in a row. Nothing here allocates except dsc_run_new and dsc_work_new.
 */
#ifndef DSC_RUN_H
#define DSC_RUN_H

#include "err.h"
#include "model.h"
#include <stddef.h>
#include <stdint.h>

/* The most scratch any model needs, in numbers: hidden size and layers are bounded, so this is too.
 */
#define DSC_WORK_MAX ((size_t)1 << 18)

typedef struct dsc_run dsc_run;

/* A run of `model` over n >= 1 coordinates in the family's initial state, at step 0. Takes a count
 * of the model. *out is the caller's. DSC_ENOMEM. */
bool dsc_run_new(dsc_run **out, dsc_model *model, size_t n, dsc_err *err) DSC_MUST_CHECK;
void dsc_run_free(dsc_run *run); /* NULL is fine */

dsc_model *dsc_run_model(const dsc_run *run); /* borrowed */
size_t dsc_run_n(const dsc_run *run);
uint64_t dsc_run_steps(const dsc_run *run); /* steps taken */

/* Back to the family's initial state and step 0. */
void dsc_run_reset(dsc_run *run);

/* Scratch for one thread: DSC_WORK_MAX numbers, 64-byte aligned, pages untouched until used. NULL
 * when there is no memory. */
float *dsc_work_new(void);
void dsc_work_free(float *work);

/* --- the shape of a step --- */

/* Are coordinates coupled? Then all of them are of one age: the state is saved and loaded as a
 * whole, together with dsc_run_shared. */
bool dsc_run_coupled(const dsc_run *run);
int dsc_run_phases(const dsc_run *run);   /* passes of a step, 1 to DSC_PHASES_MAX */
int dsc_run_proposal(const dsc_run *run); /* how many of them, from the first, leave the state
                                           * alone; 0 when dsc_run_check knows without */
/* Ranges of a pass begin at multiples of this, and end at one or at n: DSC_BLOCK, or DSC_TILE when
 * coupled. */
size_t dsc_run_grain(const dsc_run *run);

/* --- a step --- */

/* May `grad` [n] be the next step, with every |update| <= limit (FLT_MAX, or 65504 where the answer
 * travels as F16)? Changes nothing that a step reads; work is scratch. DSC_ENUMERIC with where =
 * "gradient[i]", the first that is not finite, or "update[i]", the first whose update would not be
 * within the limit. O(n) compares; where the family cannot bound its update beforehand, the step is
 * computed once on a copy, block by block, or, where it proposes, its proposal, tile by tile. */
bool dsc_run_check(const dsc_run *run, const float *grad, double limit, float *work,
                   dsc_err *err) DSC_MUST_CHECK;

/* The two halves of dsc_run_check for a run that proposes: of grad [n] alone, and of the update [n]
 * that its proposal has computed. */
bool dsc_run_check_gradient(const dsc_run *run, const float *grad, dsc_err *err) DSC_MUST_CHECK;
bool dsc_run_check_update(const dsc_run *run, const float *update, double limit,
                          dsc_err *err) DSC_MUST_CHECK;

/* Pass `phase` of step number t for coordinates begin..end (see dsc_run_grain), from grad, a
 * pointer to the gradient of coordinate `begin`, into update, likewise. t is dsc_run_steps() in
 * normal life; a recovery replays ranges at steps of their own where coordinates are not coupled.
 * About 5,000 multiply-adds a coordinate for the default LSTM. Source: Andrychowicz et al. 2016,
 * eq. (1). */
void dsc_run_phase(dsc_run *run, uint64_t t, int phase, size_t begin, size_t end, const float *grad,
                   float *update, float *work);

/* After every range of pass `phase`, which is not the last, and before any of the next. Short: the
 * tiles' sums are added and the family draws its conclusion. */
void dsc_run_join(dsc_run *run, uint64_t t, int phase);

/* The whole of a step of one pass, for a range: dsc_run_phase with phase 0. */
void dsc_run_span(dsc_run *run, uint64_t t, size_t begin, size_t end, const float *grad,
                  float *update, float *work);

/* All ranges of all passes of step dsc_run_steps() have been computed. */
void dsc_run_advance(dsc_run *run);

/* Take step t, which has been accepted before, on this thread: every pass, the joins between them,
 * and dsc_run_advance. What a recovery does with a run whose coordinates are coupled. */
void dsc_run_replay(dsc_run *run, uint64_t t, const float *grad, float *update, float *work);

/* Take one step: grad [n] in, update [n] out, to be ADDED to the parameters as it is. On failure
 * nothing has changed, the update included; err as dsc_run_check with limit FLT_MAX. */
bool dsc_run_step(dsc_run *run, const float *grad, float *update, float *work,
                  dsc_err *err) DSC_MUST_CHECK;

/* --- save and load: writing through these two, then dsc_run_set_steps, restores a run --- */

/* The numbers of coordinates begin..end (multiples of DSC_BLOCK, or n), contiguous in the state.
 * *len is their count. */
float *dsc_run_state(dsc_run *run, size_t begin, size_t end, size_t *len);

/* What all coordinates share and remember, as the last taken step left it. *len is 0 when there is
 * nothing of the kind. They are not part of dsc_model_state_len. */
double *dsc_run_shared(dsc_run *run, size_t *len);

void dsc_run_set_steps(dsc_run *run, uint64_t steps);

/* Was the state written by somebody whose numbers this family might never reach? Then no bound of
 * the family holds, and dsc_run_check computes every step to see. A reset ends it. */
void dsc_run_set_imported(dsc_run *run, bool imported);

#endif
