/* vec.h -- vectors of numbers, the same operations for every instruction set
 *
 * A vec is a GCC vector of as many lanes as one register of the target holds: 16 (v4), 8 (v3) or 4
 * (plain) floats; 2 doubles in the build that checks gradients. + - * / and comparisons are the
 * compiler's; here is what it has no operator for. Each lane of each operation is one IEEE
 * operation, so that all three give the same bits as long as the order of the operations is written
 * down: multiply-adds are fused where vec_fma says so and nowhere else
 * (-ffp-contract=off).
 *
 * Included by sources that are compiled once per instruction set with DSC_KERNEL_PLAIN, _V3, _V4
 * or _DOUBLE. */
#ifndef DSC_VEC_H
#define DSC_VEC_H

#include "real.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(DSC_KERNEL_V4)
#include <immintrin.h>
#define VEC_BYTES 64
#elif defined(DSC_KERNEL_V3)
#include <immintrin.h>
#define VEC_BYTES 32
#elif defined(DSC_KERNEL_PLAIN) || defined(DSC_KERNEL_DOUBLE)
#define VEC_BYTES 16
#else
#error "which instruction set? see the Makefile"
#endif

/* An integer as wide as a number. */
#if defined(DSC_KERNEL_DOUBLE)
typedef int64_t vec_bit;
#else
typedef int32_t vec_bit;
#endif

_Static_assert(sizeof(vec_bit) == sizeof(dsc_real), "the instruction set and DSC_REAL disagree");

enum { VEC_LANES = VEC_BYTES / sizeof(dsc_real) };

typedef dsc_real vec __attribute__((vector_size(VEC_BYTES)));
typedef vec_bit vec_int __attribute__((vector_size(VEC_BYTES)));

#define VEC_INLINE static inline __attribute__((always_inline))

/* Neither needs an aligned address. */
VEC_INLINE vec vec_load(const dsc_real *from)
{
    vec v;

    memcpy(&v, from, sizeof v);
    return v;
}

VEC_INLINE void vec_store(dsc_real *to, vec v)
{
    memcpy(to, &v, sizeof v);
}

/* The bits of a vec as integers, and back. */
VEC_INLINE vec_int vec_bits(vec v)
{
    return (vec_int)v;
}

VEC_INLINE vec vec_of_bits(vec_int bits)
{
    return (vec)bits;
}

/* The first, or second, half of the lanes of a and b, taken in turns. */
#if defined(DSC_KERNEL_V4)
#define VEC_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VEC_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(DSC_KERNEL_V3)
#define VEC_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define VEC_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif defined(DSC_KERNEL_PLAIN)
#define VEC_LOW  0, 4, 1, 5
#define VEC_HIGH 2, 6, 3, 7
#else
#define VEC_LOW  0, 2
#define VEC_HIGH 1, 3
#endif

VEC_INLINE vec vec_low(vec a, vec b)
{
    return __builtin_shufflevector(a, b, VEC_LOW);
}
VEC_INLINE vec vec_high(vec a, vec b)
{
    return __builtin_shufflevector(a, b, VEC_HIGH);
}

/* vec_min(a, b) is a < b ? a : b, and max likewise: b where one of the two is NaN, as in SSE and
 * AVX. */
#if defined(DSC_KERNEL_V4)

VEC_INLINE vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
VEC_INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
VEC_INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

#elif defined(DSC_KERNEL_V3)

VEC_INLINE vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}
VEC_INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}
VEC_INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

#else

VEC_INLINE vec vec_set(dsc_real x)
{
    return x - (vec) {0};
}

/* Without the instruction this is a call of fmaf a lane: slow, and exact. */
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
#if defined(DSC_KERNEL_DOUBLE)
    return (vec) {fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])};
#else
    return (vec) {fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]),
                  fmaf(a[3], b[3], c[3])};
#endif
}

VEC_INLINE vec vec_min(vec a, vec b)
{
    const vec_int less = a < b;

    return vec_of_bits((vec_bits(a) & less) | (vec_bits(b) & ~less));
}

VEC_INLINE vec vec_max(vec a, vec b)
{
    const vec_int more = a > b;

    return vec_of_bits((vec_bits(a) & more) | (vec_bits(b) & ~more));
}

#endif

/* yes where the mask is all ones, no where it is 0. */
VEC_INLINE vec vec_select(vec_int mask, vec yes, vec no)
{
    return vec_of_bits((vec_bits(yes) & mask) | (vec_bits(no) & ~mask));
}

#endif
