/* vector.h -- long vectors of numbers as text and as bytes
 *
 * A JSON library takes 300 ns and 50 bytes of heap for a number, so gradients and updates never
 * pass through it. The scanner rounds every number to the nearest float32 (ties to even), exactly;
 * the writer gives the shortest text that reads back as the same float32. Also the 16-bit formats
 * of the binary body. */
#ifndef VECTOR_H
#define VECTOR_H

#include "core/descent.h"
#include <stddef.h>
#include <stdint.h>

/* Take the array of numbers that is the top-level member `name` out of a JSON object.
 *
 *   text    [*len] in: the body; out: the same with the array cut down to [], *len shortened; what
 * is left is small and goes to field_decode, which finds whatever else is wrong with it out [cap]
 * the numbers; further ones are counted but not stored *count  how many there were; 0 and *found =
 * false when there is no such member or it is not an array
 *
 * A number beyond float32 becomes an infinity, which the caller's finiteness check names.
 * FAULT_MALFORMED_JSON when the array is not JSON (NaN, 01, [1,], unfinished ...);
 * FAULT_INVALID_VALUE with where = "gradient[3]" when an element is JSON but no number. Only the
 * first such member is taken; a second is left for the duplicate check. 10 to 35 ns a number. */
bool vector_extract(char *text, size_t *len, const char *name, float *out, size_t cap,
                    size_t *count, bool *found, dsc_err *err) DSC_MUST_CHECK;

/* The most bytes that vector_write needs for n numbers. */
size_t vector_text_max(size_t n);

/* Write x [n], all finite, as a JSON array; returns the bytes written. -0 is written "-0". */
size_t vector_write(char *text, const float *x, size_t n);

/* One number, shortest that round-trips; returns its bytes (at most 16). */
size_t vector_write_one(char *text, float x);

/* Formats of a binary body, little-endian. */
enum vector_dtype { VECTOR_F32, VECTOR_F16, VECTOR_BF16 };
extern const char *const vector_dtypes[]; /* "F32", "F16", "BF16", NULL: indexed by the enum */
size_t vector_dtype_bytes(enum vector_dtype dtype);

/* n numbers from and to bytes. To 16 bits rounds to nearest even; a magnitude that overflows
 * becomes infinity, so check against vector_dtype_max first. In place (x == bytes) is fine for
 * VECTOR_F32 only. */
void vector_from_bytes(float *x, const void *bytes, size_t n, enum vector_dtype dtype);
void vector_to_bytes(void *bytes, const float *x, size_t n, enum vector_dtype dtype);

/* The largest magnitude that still rounds to a finite number of the format. */
double vector_dtype_max(enum vector_dtype dtype);

#endif
