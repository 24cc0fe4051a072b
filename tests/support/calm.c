#include "calm.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool calm_init(struct calm *calm, dsc_model *model, size_t n, uint64_t seed,
               enum vector_dtype dtype)
{
    *calm = (struct calm) {.seed = seed, .dtype = dtype, .n = n, .work = dsc_work_new()};
    calm->gradient = malloc(n * sizeof *calm->gradient);
    calm->update[0] = malloc(n * sizeof *calm->update[0]);
    calm->update[1] = malloc(n * sizeof *calm->update[1]);
    if (calm->work && calm->gradient && calm->update[0] && calm->update[1] &&
        dsc_run_new(&calm->run, model, n, NULL))
        return true;
    calm_release(calm);
    return false;
}

void calm_release(struct calm *calm)
{
    dsc_run_free(calm->run);
    dsc_work_free(calm->work);
    free(calm->gradient);
    free(calm->update[0]);
    free(calm->update[1]);
    *calm = (struct calm) {0};
}

/* Sign and fraction are random bits, the exponent is one of 24, or, because halves below 2^-14 have
 * fewer digits, of 18. A 16-bit format keeps the first of the fraction's bits. */
static float random_float(dsc_rng *rng, enum vector_dtype dtype)
{
    uint64_t bits = dsc_rng_u64(rng);
    uint32_t kept = dtype == VECTOR_F32 ? 0x807fffffu : 0x807f0000u;
    const uint32_t least = dtype == VECTOR_F16 ? 113 : 107;
    uint32_t word = ((uint32_t)bits & kept) | (least + (uint32_t)(bits >> 32) % (131 - least))
                                                  << 23;
    float value;

    memcpy(&value, &word, sizeof value);
    return value;
}

const float *calm_gradient(struct calm *calm, uint64_t t)
{
    dsc_rng rng = dsc_rng_at(calm->seed, t, 0);

    for (size_t i = 0; i < calm->n; i++)
        calm->gradient[i] = random_float(&rng, calm->dtype);
    return calm->gradient;
}

const float *calm_update(struct calm *calm, uint64_t t)
{
    uint64_t steps = dsc_run_steps(calm->run);
    bool ok = true;

    if (t == steps)
        ok = dsc_run_step(calm->run, calm_gradient(calm, t), calm->update[t % 2], calm->work, NULL);
    assert(ok && t + 2 >= dsc_run_steps(calm->run) && t < dsc_run_steps(calm->run));
    return calm->update[t % 2];
}
