/* test_gradcheck.c -- a right gradient passes, and one that is wrong in any single place does not
 *
 * In float32, where steps are powers of two and the functions low polynomials, so that differences
 * are exact or nearly so; tests/double checks real gradients in double. */
#include "core/gradcheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { N = 7 };

static const double step = 1.0 / 1024;

/* sum of a_i x_i^2 + x_0 x_1 */
static double square(void *arg, const dsc_real *x)
{
    const double *const a = arg;
    double sum = (double)x[0] * (double)x[1];

    for (size_t i = 0; i < N; i++)
        sum += a[i] * (double)x[i] * (double)x[i];
    return sum;
}

static void gradient(const double *a, const dsc_real *x, dsc_real *grad)
{
    for (size_t i = 0; i < N; i++)
        grad[i] = (dsc_real)(2 * a[i] * (double)x[i]);
    grad[0] += x[1];
    grad[1] += x[0];
}

static double coefficients[N] = {1, -2, 0.5, 3, 0, 100, -0.25};
static const dsc_real start[N] = {1, -0.5f, 2, 0.25f, 8, -1, 64};

static void test_right(void **state)
{
    dsc_real x[N], grad[N];

    (void)state;
    memcpy(x, start, sizeof x);
    gradient(coefficients, x, grad);
    assert_true(dsc_gradcheck(square, coefficients, x, grad, N, step) < 1e-6);
    assert_memory_equal(x, start, sizeof x); /* restored */
}

static void test_wrong_somewhere(void **state)
{
    dsc_real x[N], grad[N];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        memcpy(x, start, sizeof x);
        gradient(coefficients, x, grad);
        grad[i] += 2 + grad[i] / 50;
        assert_true(dsc_gradcheck(square, coefficients, x, grad, N, step) > 5e-3);
        gradient(coefficients, x, grad);
        grad[i] = -grad[i];
        const double error = dsc_gradcheck(square, coefficients, x, grad, N, step);
        assert_true(grad[i] == 0 || error > 1);
    }
}

/* Small beside the others: what rounding does there is forgiven, as the header says. */
static void test_floor(void **state)
{
    dsc_real x[N], grad[N];

    (void)state;
    memcpy(x, start, sizeof x);
    gradient(coefficients, x, grad);
    grad[4] += 1e-6f; /* of 200 */
    assert_true(dsc_gradcheck(square, coefficients, x, grad, N, step) < 1e-4);
}

static void test_not_finite(void **state)
{
    static const dsc_real bad[] = {NAN, INFINITY, -INFINITY};
    dsc_real x[N], grad[N];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(x, start, sizeof x);
        gradient(coefficients, x, grad);
        grad[N - 1] = bad[i];
        assert_true(isinf(dsc_gradcheck(square, coefficients, x, grad, N, step)));
        gradient(coefficients, x, grad);
        x[2] = bad[i];
        assert_true(isinf(dsc_gradcheck(square, coefficients, x, grad, N, step)));
    }
}

static void test_nothing(void **state)
{
    (void)state;
    assert_true(dsc_gradcheck(square, coefficients, NULL, NULL, 0, step) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),   cmocka_unit_test(test_wrong_somewhere),
        cmocka_unit_test(test_floor),   cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
