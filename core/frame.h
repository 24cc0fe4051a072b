/* frame.h -- a random place and orientation for a test function
 *
 * f(theta) = base(R (theta - s)): the minimum is not at 0, and the axes are not those of theta, so
 * that an optimizer cannot profit from either. R is a product of reflections x - 2 v (v.x) with
 * random unit vectors v: orthogonal to rounding, O(d) numbers and time for each. d of them would be
 * uniform over all rotations (Stewart 1980); a few mix every coordinate with every other. Owns
 * nothing; any thread. */
#ifndef DSC_FRAME_H
#define DSC_FRAME_H

#include "real.h"
#include "rng.h"

#include <stdbool.h>
#include <stddef.h>

/* Reflections of a rotation. */
#define DSC_FRAME_REFLECTIONS ((size_t)8)

/* Numbers that hold a frame of d coordinates: s [d], then the v [reflections][d]. */
size_t dsc_frame_len(size_t d);

/* s normal with standard deviation `shift`; without rotation the v are 0, which reflects nothing.
 */
void dsc_frame_sample(dsc_real *frame, size_t d, double shift, bool rotate, dsc_rng *rng);

/* x [d] = R (theta - s) */
void dsc_frame_enter(const dsc_real *frame, size_t d, const dsc_real *theta, dsc_real *x);

/* grad [d], by x, becomes the gradient by theta: R' grad. */
void dsc_frame_leave(const dsc_real *frame, size_t d, dsc_real *grad);

/* theta [d] where x is: s + R' x. The two may be the same array. */
void dsc_frame_place(const dsc_real *frame, size_t d, const dsc_real *x, dsc_real *theta);

#endif
