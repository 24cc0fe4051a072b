/* averaging.h -- cells whose output is its mean over all coordinates
 *
 * For coupled families made of LSTM cells: after a layer, the sums of its first cells; in the next
 * pass, their means in the place of each. Sums are double and taken in the order of the blocks, so
 * that they have the same bits on every kernel and for any split into ranges. Owns nothing; any
 * thread. */
#ifndef DSC_AVERAGING_H
#define DSC_AVERAGING_H

#include "family.h"
#include "rule.h"

typedef struct {
    size_t
        width; /* numbers of a coordinate in the state, which begins with h_l0, c_l0, h_l1, ... */
    size_t hidden;   /* cells of a layer    */
    size_t averaged; /* of them, from the first */
} dsc_averaging;

/* Partial sums: one of each averaged cell, and the number of coordinates. */
static inline size_t dsc_averaging_partial_len(size_t averaged)
{
    return averaged + 1;
}

/* span->partial += the sums of layer `layer`. */
void dsc_averaging_add(const dsc_averaging *averaging, const dsc_rules *rules, const dsc_span *span,
                       size_t layer);

/* means [averaged] <- the sum of all partial sums */
void dsc_averaging_join(size_t averaged, const double *sum, double *means);

/* h of layer `layer` <- means [averaged] */
void dsc_averaging_put(const dsc_averaging *averaging, const dsc_span *span, size_t layer,
                       const double *means);

#endif
