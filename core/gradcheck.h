/* gradcheck.h -- is a gradient right? compared with central differences
 *
 * For tests, of ours and of whoever writes a problem or a family. Any thread. */
#ifndef DSC_GRADCHECK_H
#define DSC_GRADCHECK_H

#include "real.h"

#include <stddef.h>

/* f(x) for x [n]; may not keep x. */
typedef double dsc_gradcheck_function(void *arg, const dsc_real *x);

/* The largest |grad[i] - difference| / max(|difference|, floor), where floor is a thousandth of the
 * largest |grad[j]|: components far smaller than the others carry the rounding of the others.
 *
 *   x     [n] restored when done
 *   grad  [n] the gradient at x that is in question
 *   step  to each side, relative to max(1, |x[i]|); 1e-5 suits a build in double
 *
 * INFINITY when a number is not finite. Costs 2 n evaluations. */
double dsc_gradcheck(dsc_gradcheck_function *f, void *arg, dsc_real *x, const dsc_real *grad,
                     size_t n, double step);

#endif
