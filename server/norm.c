#include "norm.h"

#include <math.h>

enum { LANES = 16 };

double norm_squares(const float *x, size_t n)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (double)x[i + l] * (double)x[i + l]; /* the product is exact */
    for (size_t l = 0; i < n; i++, l++)
        lane[l] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

float norm_factor(double squares, double clip)
{
    const double norm = sqrt(squares);

    return clip > 0 && norm > clip ? (float)(clip / norm) : 1.0F;
}

void norm_scale(float *x, size_t n, float factor)
{
    for (size_t i = 0; factor != 1.0F && i < n; i++)
        x[i] *= factor;
}
