/* run.h -- one optimization in progress: a model, n coordinates, and what it remembers of each
 *
 * A run is owned by one caller; the ranges of one step may be computed on several threads at once.
 * A step has three parts, so that a server can share the middle one among threads and accept a step
 * (and begin to make it durable) before it has been computed:
 *
 *     dsc_run_check    may this gradient be taken?     the only part that can fail; changes nothing
 *     dsc_run_span     the update of a range           any thread, disjoint ranges, each exactly
 * once dsc_run_advance  the step is taken
 *
 * dsc_run_step is the three in a row. Nothing here allocates except dsc_run_new and dsc_work_new.
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

/* May `grad` [n] be the next step, with every |update| <= limit (FLT_MAX, or 65504 where the answer
 * travels as F16)? Changes nothing; work is scratch. DSC_ENUMERIC with where = "gradient[i]", the
 * first that is not finite, or "update[i]", the first whose update would not be within the limit.
 * O(n) compares; where the family cannot bound its update beforehand, the step is computed once on
 * a copy, block by block. */
bool dsc_run_check(const dsc_run *run, const float *grad, double limit, float *work,
                   dsc_err *err) DSC_MUST_CHECK;

/* Compute coordinates begin..end (begin a multiple of DSC_BLOCK, end one too or n) of the step
 * number t from grad, a pointer to the gradient of coordinate `begin`, into update, likewise. t is
 * dsc_run_steps() in normal life; a recovery replays ranges at steps of their own. About 5,000
 * multiply-adds a coordinate for the default LSTM. Source: Andrychowicz et al. 2016, eq. (1). */
void dsc_run_span(dsc_run *run, uint64_t t, size_t begin, size_t end, const float *grad,
                  float *update, float *work);

/* All ranges of step dsc_run_steps() have been computed. */
void dsc_run_advance(dsc_run *run);

/* Take one step: grad [n] in, update [n] out, to be ADDED to the parameters as it is. On failure
 * nothing has changed, the update included; err as dsc_run_check with limit FLT_MAX. */
bool dsc_run_step(dsc_run *run, const float *grad, float *update, float *work,
                  dsc_err *err) DSC_MUST_CHECK;

/* Save and load: the numbers of coordinates begin..end (block bounds as above), contiguous in the
 * state. *len is their count. Writing through it, then dsc_run_set_steps, restores a run. */
float *dsc_run_state(dsc_run *run, size_t begin, size_t end, size_t *len);
void dsc_run_set_steps(dsc_run *run, uint64_t steps);

#endif
