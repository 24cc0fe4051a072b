/* vec.h -- vectors of floats, the same operations for every instruction set
 *
 * A vec is a GCC vector of as many lanes as one register of the target holds: 16 (v4), 8 (v3) or 4
 * (plain). + - * / and comparisons are the compiler's; here is what it has no operator for. Each
 * lane of each operation is one IEEE operation, so that all three give the same bits as long as the
 * order of the operations is written down: multiply-adds are fused where vec_fma says so and
 * nowhere else
 * (-ffp-contract=off).
 *
 * Included by sources that are compiled once per instruction set with DSC_KERNEL_PLAIN, _V3 or _V4.
 */
#ifndef DSC_VEC_H
#define DSC_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(DSC_KERNEL_V4)
#include <immintrin.h>
#define VEC_BYTES 64
#elif defined(DSC_KERNEL_V3)
#include <immintrin.h>
#define VEC_BYTES 32
#elif defined(DSC_KERNEL_PLAIN)
#define VEC_BYTES 16
#else
#error "which instruction set? see the Makefile"
#endif

enum { VEC_LANES = VEC_BYTES / 4 };

typedef float vec __attribute__((vector_size(VEC_BYTES)));
typedef int32_t vec_int __attribute__((vector_size(VEC_BYTES)));

#define VEC_INLINE static inline __attribute__((always_inline))

/* Neither needs an aligned address. */
VEC_INLINE vec vec_load(const float *from)
{
    vec v;

    memcpy(&v, from, sizeof v);
    return v;
}

VEC_INLINE void vec_store(float *to, vec v)
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

VEC_INLINE vec vec_set(float x)
{
    return (vec) {x, x, x, x};
}

/* Without the instruction this is a call of fmaf a lane: slow, and exact. */
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return (vec) {__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
                  __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
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

/* x * 2^k for integers k, by adding k to the exponent: both x and the result must be normal. */
VEC_INLINE vec vec_scale(vec x, vec_int k)
{
    return vec_of_bits(vec_bits(x) + (k << 23));
}

#endif
