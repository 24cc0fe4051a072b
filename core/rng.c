/* rng.c -- xoshiro256++ by value
 *
 * Sources. Blackman, Vigna: Scrambled linear pseudorandom number generators (2019), for the
 * generator; Steele, Lea, Flood (2014) for splitmix64, which spreads a seed over the 256 bits of
 * state; Lemire: Fast random integer generation in an interval (2019); Box, Muller (1958). */
#include "rng.h"

#include <math.h>

__extension__ typedef unsigned __int128 u128;

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Each of the three is hashed before the next is mixed in, so that neighbours such as (1, 2, 3) and
 * (1, 3, 2) start far apart. splitmix is a bijection of its counter, so the four words of state
 * differ and cannot all be zero, the one state that xoshiro never leaves. */
dsc_rng dsc_rng_at(uint64_t seed, uint64_t epoch, uint64_t lane)
{
    dsc_rng rng;
    uint64_t x = seed;

    x = splitmix(&x) ^ epoch;
    x = splitmix(&x) ^ lane;
    for (int i = 0; i < 4; i++)
        rng.s[i] = splitmix(&x);
    return rng;
}

uint64_t dsc_rng_u64(dsc_rng *rng)
{
    uint64_t *const s = rng->s;
    const uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double dsc_rng_uniform(dsc_rng *rng)
{
    return (double)(dsc_rng_u64(rng) >> 11) * 0x1p-53;
}

/* The high half of u64 * n is the answer; the products whose low half falls into the incomplete
 * first stretch, 2^64 mod n of them, would favour some answers and are drawn again. */
uint64_t dsc_rng_below(dsc_rng *rng, uint64_t n)
{
    const uint64_t uneven = -n % n;
    u128 product;

    do
        product = (u128)dsc_rng_u64(rng) * n;
    while ((uint64_t)product < uneven);
    return (uint64_t)(product >> 64);
}

double dsc_rng_normal(dsc_rng *rng)
{
    const double tau = 6.283185307179586;
    const double radius = sqrt(-2.0 * log(1.0 - dsc_rng_uniform(rng))); /* 1 - u: never log 0 */

    return radius * cos(tau * dsc_rng_uniform(rng));
}
