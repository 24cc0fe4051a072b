/* norm.h -- the Euclidean norm of a gradient, and scaling one down to it
 *
 * A session with a clip_norm takes the norm over all coordinates of the client's gradient, whatever
 * optimizers they belong to, and every update depends on it: so the sum has a fixed order, and the
 * same gradient has the same norm on every machine, after every restart. Any thread. */
#ifndef NORM_H
#define NORM_H

#include <stddef.h>

/* The sum of the squares of x [n], in double: no finite float32 overflows it, so it is finite if
 * and only if every number is. Lane l of 16 adds the numbers l, l + 16, ... in order; then the
 * lanes are added in order. O(n). */
double norm_squares(const float *x, size_t n);

/* What to multiply a gradient of norm sqrt(squares) with so that its norm is at most `clip`: 1 when
 * it is already, or when clip is 0 (none). */
float norm_factor(double squares, double clip);

/* x [n] times factor, each rounded to float32; a factor of 1 changes nothing. */
void norm_scale(float *x, size_t n, float factor);

#endif
