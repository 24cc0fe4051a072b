/* frame.c -- a random place and orientation for a test function */
#include "frame.h"

#include <math.h>
#include <string.h>

size_t dsc_frame_len(size_t d)
{
    return d * (1 + DSC_FRAME_REFLECTIONS);
}

static void sample_unit(dsc_real *v, size_t d, dsc_rng *rng)
{
    double square = 0;

    for (size_t i = 0; i < d; i++) {
        v[i] = (dsc_real)dsc_rng_normal(rng);
        square += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < d; i++) /* 0 has probability 0, and reflects nothing */
        v[i] = square > 0 ? (dsc_real)((double)v[i] / sqrt(square)) : 0;
}

void dsc_frame_sample(dsc_real *frame, size_t d, double shift, bool rotate, dsc_rng *rng)
{
    memset(frame, 0, dsc_frame_len(d) * sizeof *frame);
    for (size_t i = 0; i < d; i++)
        frame[i] = (dsc_real)(shift * dsc_rng_normal(rng));
    for (size_t k = 0; rotate && k < DSC_FRAME_REFLECTIONS; k++)
        sample_unit(frame + (1 + k) * d, d, rng);
}

static void reflect(const dsc_real *v, size_t d, dsc_real *x)
{
    dsc_real along = 0;

    for (size_t i = 0; i < d; i++)
        along += v[i] * x[i];
    for (size_t i = 0; i < d; i++)
        x[i] -= 2 * along * v[i];
}

void dsc_frame_enter(const dsc_real *frame, size_t d, const dsc_real *theta, dsc_real *x)
{
    for (size_t i = 0; i < d; i++)
        x[i] = theta[i] - frame[i];
    for (size_t k = 0; k < DSC_FRAME_REFLECTIONS; k++)
        reflect(frame + (1 + k) * d, d, x);
}

/* A reflection is its own transpose, so the way back is the same ones in reverse. */
void dsc_frame_leave(const dsc_real *frame, size_t d, dsc_real *grad)
{
    for (size_t k = DSC_FRAME_REFLECTIONS; k-- > 0;)
        reflect(frame + (1 + k) * d, d, grad);
}

void dsc_frame_place(const dsc_real *frame, size_t d, const dsc_real *x, dsc_real *theta)
{
    memmove(theta, x, d * sizeof *theta);
    dsc_frame_leave(frame, d, theta);
    for (size_t i = 0; i < d; i++)
        theta[i] += frame[i];
}
