/* rng.h -- random numbers by value
 *
 * A generator is a small struct that its owner copies and passes; there is none behind the scenes.
 * Everything random in Descent starts at dsc_rng_at(seed, epoch, lane), so a result depends on
 * where a number is used and never on how many threads ran or on what was interrupted. Source:
 * xoshiro256++ (Blackman, Vigna 2019), seeded by splitmix64. */
#ifndef DSC_RNG_H
#define DSC_RNG_H

#include <stdint.h>

typedef struct {
    uint64_t s[4];
} dsc_rng;

/* The stream that belongs to (seed, epoch, lane). Streams of different triples are unrelated. */
dsc_rng dsc_rng_at(uint64_t seed, uint64_t epoch, uint64_t lane);

uint64_t dsc_rng_u64(dsc_rng *rng);

/* Uniform in [0, 1), 53 bits. */
double dsc_rng_uniform(dsc_rng *rng);

/* Uniform in 0..n-1 without bias, n > 0 (Lemire 2019). */
uint64_t dsc_rng_below(dsc_rng *rng, uint64_t n);

/* Standard normal (Box and Muller; uses two uniforms each, keeps none back). */
double dsc_rng_normal(dsc_rng *rng);

#endif
