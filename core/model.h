/* model.h -- an optimizer ready to run: family, hyper-parameters and weights; immutable and counted
 *
 * Any number of runs on any number of threads share a model without locks, because nobody can
 * change it. Whoever keeps a pointer holds a count. */
#ifndef DSC_MODEL_H
#define DSC_MODEL_H

#include "err.h"
#include "family.h"
#include "kernel.h"

typedef struct dsc_model dsc_model;

/* Make a model.
 *
 *   hyper    copied; already checked against family->hyper
 *   phi      [phi_len] copied; NULL for a hand-designed family
 *   kernel   borrowed for ever (they are constants); NULL picks the best
 *
 * *out is the caller's first count. DSC_EWEIGHTS with where = "tensor[index]" when a weight is not
 * finite, DSC_ENOMEM. O(phi_len). */
bool dsc_model_new(dsc_model **out, const dsc_family *family, const dsc_hyper *hyper,
                   const float *phi, const dsc_kernel *kernel, dsc_err *err) DSC_MUST_CHECK;

dsc_model *dsc_model_hold(dsc_model *model); /* one more count; returns its argument */
void dsc_model_drop(dsc_model *model);       /* one count less; the last one frees; NULL is fine */

const dsc_family *dsc_model_family(const dsc_model *model);
const dsc_hyper *dsc_model_hyper(const dsc_model *model);
const dsc_kernel *dsc_model_kernel(const dsc_model *model);
const float *dsc_model_phi(const dsc_model *model);               /* [phi->len] or NULL; borrowed */
const float *dsc_model_packed(const dsc_model *model);            /* [pack_len] or NULL; borrowed */
const dsc_layout *dsc_model_phi_layout(const dsc_model *model);   /* len 0 when hand-designed     */
const dsc_layout *dsc_model_state_layout(const dsc_model *model); /* of one coordinate          */

/* Numbers kept for n coordinates, tail lanes included. */
size_t dsc_model_state_len(const dsc_model *model, size_t n);

/* Numbers (doubles) that all coordinates share and remember from step to step; mostly 0. */
size_t dsc_model_shared_len(const dsc_model *model);

/* Bytes that a run over n coordinates remembers, in both. */
size_t dsc_model_state_bytes(const dsc_model *model, size_t n);

/* Numbers of scratch that a step needs. */
size_t dsc_model_work_len(const dsc_model *model);

#endif
