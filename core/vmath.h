/* vmath.h -- exponential and logarithm of a vector, the same bits on every instruction set
 *
 * Included after vec.h by sources that are compiled once per instruction set. */
#ifndef DSC_VMATH_H
#define DSC_VMATH_H

#include "vec.h"

#if defined(DSC_KERNEL_DOUBLE)

VEC_INLINE vec exp2_vec(vec x)
{
    return (vec) {exp2(x[0]), exp2(x[1])};
}

VEC_INLINE vec log_vec(vec x)
{
    return (vec) {log(x[0]), log(x[1])};
}

#else

/* 2^x for |x| <= 126: x = k + r with |r| <= 1/2, 2^r by a polynomial, k to the exponent. Adding
 * `shifter` rounds x to a whole number, which then stands in the low bits of the sum. The
 * polynomial has the least largest relative error of all with these degrees, 9.5e-8, and is exactly
 * 1 at 0, so that a cell at rest stays at rest; found by Remez exchange, then a search over float
 * coefficients. */
VEC_INLINE vec exp2_vec(vec x)
{
    const vec shifter = vec_set(0x1.8p23f);
    const vec shifted = x + shifter;
    const vec r = x - (shifted - shifter);
    vec p = vec_set(0x1.5bbacp-10f);

    p = vec_fma(p, r, vec_set(0x1.3cea1p-7f));
    p = vec_fma(p, r, vec_set(0x1.c6b7p-5f));
    p = vec_fma(p, r, vec_set(0x1.ebf9bep-3f));
    p = vec_fma(p, r, vec_set(0x1.62e42ap-1f));
    p = vec_fma(p, r, vec_set(1.0f));
    /* k is added to the exponent of p. The bits of shifter itself are a multiple of 2^9 and leave
     * at the top of the shift by 23. */
    return vec_of_bits(vec_bits(p) + (vec_bits(shifted) << 23));
}

/* ln x for positive x, subnormal ones included; x = 2^e (1 + r) with 1 + r in [sqrt(1/2), sqrt 2),
 * and ln(1 + r) = r - r^2/2 + r^3 q(r). ln 2 is split into a part with so few bits that its product
 * with e is exact, and the rest. */
VEC_INLINE vec log_vec(vec x)
{
    const vec_int root_half = vec_bits(vec_set(0x1.6a09e6p-1f));
    const vec_int subnormal = x < vec_set(0x1p-126f);
    const vec_int bits = vec_bits(vec_select(subnormal, x * vec_set(0x1p24f), x));
    const vec_int e = (bits - root_half) >> 23;
    const vec r = vec_of_bits(bits - (e << 23)) - vec_set(1.0f);
    const vec exponent = __builtin_convertvector(e - (subnormal & 24), vec);
    vec q = vec_set(0x1.633496p-4f);

    q = vec_fma(q, r, vec_set(-0x1.267b56p-3f));
    q = vec_fma(q, r, vec_set(0x1.32c01ap-3f));
    q = vec_fma(q, r, vec_set(-0x1.533d4ep-3f));
    q = vec_fma(q, r, vec_set(0x1.98ad0p-3f));
    q = vec_fma(q, r, vec_set(-0x1.000474p-2f));
    q = vec_fma(q, r, vec_set(0x1.555784p-2f));
    q = vec_fma(q, r, vec_set(-0.5f));
    q = vec_fma(q, r * r, r);
    q = vec_fma(exponent, vec_set(1.428606765330187e-6f), q);
    return vec_fma(exponent, vec_set(0.693145751953125f), q);
}

#endif

/* Beyond 30, 1 + 2^x is 2^x or 1 to the last bit; and products of three stay far from overflow. */
VEC_INLINE vec exp2_clamped(vec x)
{
    return exp2_vec(vec_max(vec_min(x, vec_set(30.0f)), vec_set(-30.0f)));
}

#endif
