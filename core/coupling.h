/* coupling.h -- what the ranges of a step tell each other, in a run whose coordinates are coupled
 *
 *     ranges of pass p  --partial-->  sum of the tiles, in their order  --join-->  shared  -->
 *     ranges of pass p + 1
 *
 * Owned by one run. Every tile of DSC_TILE coordinates has a row of its own, so ranges on several
 * threads write side by side, and because tiles have a fixed size and are added in a fixed order,
 * the sums have the same bits however the coordinates were dealt out.
 *
 * The shared numbers are kept twice. `kept` is what the last taken step left and is part of the
 * run's saved state; the joins of a step work on `draft`, which becomes `kept` when the step is
 * taken. A step that is given up has changed nothing. */
#ifndef DSC_COUPLING_H
#define DSC_COUPLING_H

#include "family.h"
#include "model.h"

typedef struct {
    size_t tiles, partial_len, shared_len;
    double *partial; /* [tiles, partial_len] what the ranges of this pass have reported */
    double *sum;     /* [partial_len] */
    double *kept;    /* [shared_len] as the last taken step left it */
    double *draft;   /* [shared_len] as the last join left it */
} dsc_coupling;

/* For n coordinates of the model; all zero, and without memory, when its family is not coupled.
 * False when there is no memory; then there is nothing to release. */
bool dsc_coupling_init(dsc_coupling *coupling, const dsc_model *model, size_t n) DSC_MUST_CHECK;
void dsc_coupling_release(dsc_coupling *coupling);

/* Nothing has been shared yet. */
void dsc_coupling_reset(dsc_coupling *coupling);

/* The row of the tile that begins at coordinate c, set to zero. */
double *dsc_coupling_row(const dsc_coupling *coupling, size_t c);

/* What the spans of a pass may read: `kept` in the first, `draft` afterwards. */
const double *dsc_coupling_shared(const dsc_coupling *coupling, int phase);

/* Between pass `phase` and the next one: sum <- tiles, draft <- join. O(tiles * partial_len). */
void dsc_coupling_join(const dsc_coupling *coupling, const dsc_model *model, uint64_t t, int phase);

/* The step has been taken: kept <- draft. */
void dsc_coupling_keep(const dsc_coupling *coupling);

#endif
