/* test_norm.c -- the norm of a gradient: exact where it can be, the same bits in any alignment */
#include "server/norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { N = 1000 };

static void fill(float *x, size_t n)
{
    uint32_t seed = 7;

    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) / 16777216.0F - 0.5F) * 8.0F;
    }
}

/* Sums of small whole numbers are exact in any order, so every length can be checked. */
static void test_whole_numbers_are_exact(void **state)
{
    float x[N];
    double sum = 0;

    (void)state;
    for (size_t n = 0; n < N; n++) {
        assert_true(norm_squares(x, n) == sum);
        x[n] = (float)(n % 17) - 8.0F;
        sum += (double)x[n] * (double)x[n];
    }
}

/* The order of the sum is part of the contract: sessions continue on other machines. */
static void test_order_is_fixed(void **state)
{
    float x[N + 16];
    double lane[16] = {0}, sum = 0;

    (void)state;
    fill(x, N);
    for (size_t i = 0; i < N; i++)
        lane[i % 16] += (double)x[i] * (double)x[i];
    for (int l = 0; l < 16; l++)
        sum += lane[l];
    assert_true(norm_squares(x, N) == sum);
    for (size_t shift = 1; shift < 16; shift++) {
        float moved[N + 16];

        memcpy(moved + shift, x, N * sizeof *x);
        assert_true(norm_squares(moved + shift, N) == sum);
    }
}

static void test_only_what_is_not_finite_is_not(void **state)
{
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    float x[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
    assert_true(norm_squares(x, N) <= DBL_MAX);
    for (size_t at = 0; at < N; at += 37)
        for (size_t k = 0; k < 4; k++) {
            const float good = x[at];

            x[at] = bad[k];
            assert_false(norm_squares(x, N) <= DBL_MAX);
            x[at] = good;
        }
}

static void test_factor(void **state)
{
    (void)state;
    assert_true(norm_factor(25, 0) == 1);    /* none */
    assert_true(norm_factor(25, 5) == 1);    /* the norm itself */
    assert_true(norm_factor(25, 6) == 1);    /* below */
    assert_true(norm_factor(25, 1) == 0.2F); /* above */
    assert_true(norm_factor(0, 1e-30) == 1); /* no gradient at all */
    assert_true(norm_factor(1e76, 1) == 1e-38F);
}

static void test_scaled_to_the_norm(void **state)
{
    float x[N], kept[N];

    (void)state;
    fill(x, N);
    memcpy(kept, x, sizeof x);
    norm_scale(x, N, 1.0F);
    assert_memory_equal(x, kept, sizeof x);
    norm_scale(x, N, norm_factor(norm_squares(x, N), 2.0));
    assert_true(fabs(sqrt(norm_squares(x, N)) - 2.0) < 2e-7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers_are_exact),
        cmocka_unit_test(test_order_is_fixed),
        cmocka_unit_test(test_only_what_is_not_finite_is_not),
        cmocka_unit_test(test_factor),
        cmocka_unit_test(test_scaled_to_the_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
