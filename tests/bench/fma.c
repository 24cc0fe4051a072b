#include "fma.h"

#include "bench.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Twelve sums hide a latency of four cycles on up to three units. */
enum { SUMS = 12, ROUNDS = 200000 };

__attribute__((target("avx512f"))) static float run_512(void)
{
    __m512 sum[SUMS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);

    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, y);
        __asm__ volatile("" : "+v"(x), "+v"(y)); /* the loop is not to be thought away */
    }
    for (int i = 1; i < SUMS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx2,fma"))) static float run_256(void)
{
    __m256 sum[SUMS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);

    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], x, y);
        __asm__ volatile("" : "+x"(x), "+x"(y));
    }
    for (int i = 1; i < SUMS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return _mm256_cvtss_f32(sum[0]);
}

static double rate(float (*run)(void), int lanes)
{
    volatile float keep;
    const double began = bench_cpu();

    keep = run();
    (void)keep;
    return 2.0 * SUMS * ROUNDS * lanes / (bench_cpu() - began);
}

double fma_peak(void)
{
    const double narrow =
        __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") ? rate(run_256, 8) : 0;
    const double wide = __builtin_cpu_supports("avx512f") ? rate(run_512, 16) : 0;

    return wide > narrow ? wide : narrow;
}

#else

double fma_peak(void)
{
    return 0;
}

#endif
