/* gradcheck.c -- central differences: (f(x + h) - f(x - h)) / 2h, wrong by h^2 f'''/6 */
#include "gradcheck.h"

#include <math.h>

static double difference(dsc_gradcheck_function *f, void *arg, dsc_real *x, size_t i, double step)
{
    const dsc_real here = x[i];
    const double h = step * fmax(1, fabs((double)here));
    double above, below, width;

    x[i] = (dsc_real)((double)here + h);
    width = (double)x[i];
    above = f(arg, x);
    x[i] = (dsc_real)((double)here - h);
    width -= (double)x[i]; /* what rounding made of 2h */
    below = f(arg, x);
    x[i] = here;
    return (above - below) / width;
}

double dsc_gradcheck(dsc_gradcheck_function *f, void *arg, dsc_real *x, const dsc_real *grad,
                     size_t n, double step)
{
    double floor = 1e-300, worst = 0;

    for (size_t i = 0; i < n; i++)
        floor = fmax(floor, 1e-3 * fabs((double)grad[i]));
    for (size_t i = 0; i < n; i++) {
        const double d = difference(f, arg, x, i, step);
        const double error = fabs((double)grad[i] - d) / fmax(fabs(d), floor);

        if (!isfinite(error))
            return INFINITY;
        worst = fmax(worst, error);
    }
    return worst;
}
