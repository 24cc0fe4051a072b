/* decimal.h -- one float32 from and to decimal text
 *
 * The two halves of vector.c that know what a digit is. Reading rounds to the nearest float32, ties
 * to even, exactly; writing gives the shortest digits that read back as the same float32, and of
 * those the nearest. Pure functions, any thread. */
#ifndef DECIMAL_H
#define DECIMAL_H

#include <stddef.h>

/* The most bytes that decimal_write needs. */
#define DECIMAL_MAX 16

/* Read the JSON number that begins at text, in front of `end`.
 *
 * Returns the byte behind it, or NULL when there is no JSON number ("+1", "01", ".5", "1.", "1e",
 * "NaN"). Beyond float32 it is an infinity; below, a subnormal or a zero of its sign. 5 to 25 ns;
 * 100 to 200 when there are more than 19 digits, or the number is subnormal or within 2^-50 of the
 * middle of two float32. */
const char *decimal_read(const char *text, const char *end, float *x);

/* Write x, finite, as a JSON number: "0", "-0", "0.1", "16777216", "1e-7", "1.1754944e-38". Returns
 * its bytes; no NUL. About 20 ns. */
size_t decimal_write(char text[DECIMAL_MAX], float x);

#endif
