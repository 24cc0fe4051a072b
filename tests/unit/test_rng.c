/* test_rng.c -- the published numbers of both generators, and distributions at fixed seeds
 *
 * Every draw here is a constant, so nothing can fail by chance; the limits are those of a 1e-6 test
 * all the same, and hold for nearly every other seed. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

/* Vigna's splitmix64.c, written again. */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The first ten of xoshiro256++ from the state 1, 2, 3, 4, as the reference implementation gives.
 */
static void test_xoshiro(void **state)
{
    static const uint64_t want[] = {
        UINT64_C(41943041),
        UINT64_C(58720359),
        UINT64_C(3588806011781223),
        UINT64_C(3591011842654386),
        UINT64_C(9228616714210784205),
        UINT64_C(9973669472204895162),
        UINT64_C(14011001112246962877),
        UINT64_C(12406186145184390807),
        UINT64_C(15849039046786891736),
        UINT64_C(10450023813501588000),
    };
    dsc_rng rng = {.s = {1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(dsc_rng_u64(&rng) == want[i]);
}

/* splitmix64 seeded with 1234567 gives these. A lane is chosen that leads dsc_rng_at there. */
static void test_splitmix(void **state)
{
    static const uint64_t want[] = {
        UINT64_C(6457827717110365317),
        UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431),
    };
    uint64_t x = 5;
    dsc_rng rng;

    (void)state;
    x = splitmix(&x) ^ 6;
    x = splitmix(&x) ^ 1234567;
    rng = dsc_rng_at(5, 6, x);
    for (int i = 0; i < 4; i++)
        assert_true(rng.s[i] == want[i]);
}

/* Seeds of trained optimizers are kept in databases: the streams may never change. */
static void test_streams_are_kept(void **state)
{
    dsc_rng a = dsc_rng_at(0, 0, 0), b = dsc_rng_at(1, 2, 3), c = dsc_rng_at(1, 3, 2);
    uint64_t x = 0;

    (void)state;
    x = splitmix(&x);
    x = splitmix(&x);
    for (int i = 0; i < 4; i++)
        assert_true(a.s[i] == splitmix(&x));
    assert_true(dsc_rng_u64(&b) != dsc_rng_u64(&c));
    b = dsc_rng_at(1, 2, 3);
    c = b; /* a copy continues alike */
    assert_true(dsc_rng_u64(&b) == dsc_rng_u64(&c));
    assert_true(dsc_rng_normal(&b) == dsc_rng_normal(&c));
}

/* Streams of neighbouring triples share no output and, bit by bit, agree half of the time. */
static void test_streams_are_apart(void **state)
{
    enum { SIDE = 8, COUNT = SIDE * SIDE * SIDE };
    uint64_t first[COUNT];
    double agree = 0;

    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        dsc_rng rng = dsc_rng_at(i % SIDE, i / SIDE % SIDE, i / SIDE / SIDE);

        first[i] = dsc_rng_u64(&rng);
        for (uint64_t j = 0; j < i; j++) {
            assert_true(first[i] != first[j]);
            agree += 64 - __builtin_popcountll(first[i] ^ first[j]);
        }
    }
    agree /= 64.0 * COUNT * (COUNT - 1) / 2;
    assert_true(fabs(agree - 0.5) < 0.002);
}

/* --- uniform --- */

static void test_uniform_ends(void **state)
{
    dsc_rng none = {.s = {0, 1, 1, 0}}, all = {.s = {0, 1, 1, UINT64_MAX}};

    (void)state;
    assert_true(dsc_rng_uniform(&none) == 0);
    assert_true(dsc_rng_uniform(&all) == 1 - 0x1p-53);
}

/* Chi square of the top and of the lowest bits of the 53: 255 degrees, 1e-6 at 375. */
static void test_uniform_is_flat(void **state)
{
    enum { BINS = 256, DRAWS = BINS * 1000 };
    int high[BINS] = {0}, low[BINS] = {0};
    dsc_rng rng = dsc_rng_at(3, 1, 4);
    double chi_high = 0, chi_low = 0;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double u = dsc_rng_uniform(&rng);

        assert_true(u >= 0 && u < 1);
        high[(int)(u * BINS)]++;
        low[(uint64_t)(u * 0x1p53) % BINS]++;
    }
    for (int i = 0; i < BINS; i++) {
        chi_high += (high[i] - 1000) * (high[i] - 1000) / 1000.0;
        chi_low += (low[i] - 1000) * (low[i] - 1000) / 1000.0;
    }
    assert_true(chi_high > 160 && chi_high < 375);
    assert_true(chi_low > 160 && chi_low < 375);
}

/* --- below --- */

static void test_below_small(void **state)
{
    dsc_rng rng = dsc_rng_at(8, 8, 8);
    int seen[7] = {0};

    (void)state;
    assert_true(dsc_rng_below(&rng, 1) == 0);
    for (int i = 0; i < 70000; i++)
        seen[dsc_rng_below(&rng, 7)]++; /* a sanitizer sees a 7 */
    for (int i = 0; i < 7; i++)
        assert_true(abs(seen[i] - 10000) < 500);
    for (int i = 0; i < 1000; i++)
        assert_true(dsc_rng_below(&rng, UINT64_MAX) < UINT64_MAX);
}

/* Of 3/4 of all 64-bit numbers, those divisible by 3 would come twice as often as the others if
 * nothing were drawn again. */
static void test_below_is_unbiased(void **state)
{
    enum { DRAWS = 90000 };
    dsc_rng rng = dsc_rng_at(2, 7, 1);
    int seen[3] = {0};

    (void)state;
    for (int i = 0; i < DRAWS; i++)
        seen[dsc_rng_below(&rng, UINT64_C(3) << 62) % 3]++;
    for (int i = 0; i < 3; i++)
        assert_true(abs(seen[i] - DRAWS / 3) < 800);
}

/* 2^64 mod 3 = 1: exactly the draw 0 is refused. */
static void test_below_draws_again(void **state)
{
    dsc_rng rng = {.s = {0, 5, 6, 0}}, next = rng;
    uint64_t second;

    (void)state;
    assert_true(dsc_rng_u64(&next) == 0);
    second = dsc_rng_u64(&next);
    assert_true(dsc_rng_below(&rng, 3) == second / (UINT64_MAX / 3));
    assert_memory_equal(&rng, &next, sizeof rng);
    rng = (dsc_rng) {.s = {0, 5, 6, 0}}; /* 2^64 mod 4 = 0: nothing is */
    assert_true(dsc_rng_below(&rng, 4) == 0);
}

/* --- normal --- */

static void test_normal(void **state)
{
    enum { DRAWS = 200000 };
    dsc_rng rng = dsc_rng_at(1, 6, 1);
    double moment[5] = {0};
    int beyond[4] = {0};

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double x = dsc_rng_normal(&rng);
        double power = 1;

        for (int k = 0; k < 5; k++, power *= x)
            moment[k] += power / DRAWS;
        for (int k = 0; k < 4; k++)
            beyond[k] += fabs(x) > k;
    }
    assert_true(fabs(moment[1]) < 0.011);     /* 5 deviations of a mean */
    assert_true(fabs(moment[2] - 1) < 0.016); /* var x^2 = 2 */
    assert_true(fabs(moment[3]) < 0.044);     /* var x^3 = 15 */
    assert_true(fabs(moment[4] - 3) < 0.11);  /* var x^4 = 96 */
    assert_true(fabs(beyond[1] / (double)DRAWS - 0.317311) < 0.0053);
    assert_true(fabs(beyond[2] / (double)DRAWS - 0.045500) < 0.0024);
    assert_true(fabs(beyond[3] / (double)DRAWS - 0.002700) < 0.0006);
}

/* Box and Muller, of two uniforms in this order. */
static void test_normal_formula(void **state)
{
    dsc_rng rng = dsc_rng_at(4, 4, 4), uniform = rng;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        const double radius = sqrt(-2 * log(1 - dsc_rng_uniform(&uniform)));
        const double want = radius * cos(2 * M_PI * dsc_rng_uniform(&uniform));

        assert_true(fabs(dsc_rng_normal(&rng) - want) <= 1e-14);
    }
}

/* The largest uniform meets the logarithm; the smallest does too. */
static void test_normal_is_finite(void **state)
{
    dsc_rng none = {.s = {0, 1, 1, 0}}, all = {.s = {0, 1, 1, UINT64_MAX}};

    (void)state;
    assert_true(dsc_rng_normal(&none) == 0);
    assert_true(fabs(dsc_rng_normal(&all)) <= 8.6); /* sqrt(2 * 53 ln 2) */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xoshiro),           cmocka_unit_test(test_splitmix),
        cmocka_unit_test(test_streams_are_kept),  cmocka_unit_test(test_streams_are_apart),
        cmocka_unit_test(test_uniform_ends),      cmocka_unit_test(test_uniform_is_flat),
        cmocka_unit_test(test_below_small),       cmocka_unit_test(test_below_is_unbiased),
        cmocka_unit_test(test_below_draws_again), cmocka_unit_test(test_normal),
        cmocka_unit_test(test_normal_formula),    cmocka_unit_test(test_normal_is_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
