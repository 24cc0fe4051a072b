/* test_rule.c -- the hand-designed families by hand: small runs whose answers a person can check,
 * and what happens at the ends of the floats
 *
 * That a hundred steps agree with PyTorch is the business of tests/golden. */
#include "core/descent.h"
#include "core/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 3 };

typedef struct {
    dsc_run *run;
    float *work;
} subject;

/* A run of n coordinates, with some of the config set. */
static subject subject_make(const char *family, size_t n, const char *const name[PAIRS],
                            const double value[PAIRS], const dsc_kernel *kernel)
{
    subject s = {.work = dsc_work_new()};
    dsc_model *model = NULL;
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, dsc_family_find(family)->hyper);
    for (int i = 0; i < PAIRS && name && name[i]; i++)
        assert_true(dsc_hyper_set_number(&hyper, name[i], value[i], NULL));
    assert_true(dsc_model_new(&model, dsc_family_find(family), &hyper, NULL, kernel, NULL));
    assert_true(dsc_run_new(&s.run, model, n, NULL));
    dsc_model_drop(model);
    return s;
}

static void subject_free(subject *s)
{
    dsc_run_free(s->run);
    dsc_work_free(s->work);
}

static float step(subject *s, float grad)
{
    float update = NAN;

    assert_true(dsc_run_step(s->run, &grad, &update, s->work, NULL));
    return update;
}

static void assert_near(float got, double want)
{
    if (!(fabs((double)got - want) <= 1e-6 * fabs(want)))
        fail_msg("%.9g is not %.9g", (double)got, want);
}

/* --- by hand --- */

static void test_momentum(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "momentum"};
    static const double value[PAIRS] = {0.5, 0.5};
    subject s = subject_make("momentum", 1, name, value, NULL);

    (void)state;
    assert_near(step(&s, 2), -1);    /* v = 2           */
    assert_near(step(&s, 2), -1.5);  /* v = 3           */
    assert_near(step(&s, -4), 1.25); /* v = 1.5 - 4     */
    assert_near(step(&s, 0), 0.625); /* v = -1.25       */
    subject_free(&s);
}

static void test_nag(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "momentum"};
    static const double value[PAIRS] = {0.5, 0.5};
    subject s = subject_make("nag", 1, name, value, NULL);

    (void)state;
    assert_near(step(&s, 2), -1.5);   /* v = 2:    2 + 1       */
    assert_near(step(&s, 2), -1.75);  /* v = 3:    2 + 1.5     */
    assert_near(step(&s, -4), 2.625); /* v = -2.5: -4 - 1.25   */
    subject_free(&s);
}

static void test_rmsprop(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "alpha", "eps"};
    static const double value[PAIRS] = {1, 0.75, 0.5};
    subject s = subject_make("rmsprop", 1, name, value, NULL);

    (void)state;
    assert_near(step(&s, 4), -4.0 / (2 + 0.5));        /* v = 16 / 4 */
    assert_near(step(&s, 0), 0);                       /* v = 3      */
    assert_near(step(&s, -2), 2 / (sqrt(3.25) + 0.5)); /* v = 9/4 + 1 */
    subject_free(&s);
}

static void test_adagrad(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "eps"};
    static const double value[PAIRS] = {1, 1};
    subject s = subject_make("adagrad", 1, name, value, NULL);

    (void)state;
    assert_near(step(&s, 3), -3.0 / 4);
    assert_near(step(&s, -4), 4.0 / 6);
    assert_near(step(&s, 12), -12.0 / 14);
    subject_free(&s);
}

/* The divisor keeps the largest average: after a blow AMSGrad's steps are far shorter than Adam's.
 */
static void test_amsgrad(void **state)
{
    static const char *const name[PAIRS] = {"beta2"};
    static const double value[PAIRS] = {0.5};
    subject adam = subject_make("adam", 1, name, value, NULL);
    subject amsgrad = subject_make("amsgrad", 1, name, value, NULL);

    (void)state;
    assert_true(step(&adam, 1) == step(&amsgrad, 1)); /* until v falls they are one */
    assert_true(step(&adam, 100) == step(&amsgrad, 100));
    for (int i = 0; i < 30; i++)
        assert_true(fabsf(step(&amsgrad, 1)) < fabsf(step(&adam, 1)));
    assert_true(20 * fabsf(step(&amsgrad, 1)) < fabsf(step(&adam, 1)));
    subject_free(&adam);
    subject_free(&amsgrad);
}

static void test_lion(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "beta1", "beta2"};
    static const double value[PAIRS] = {0.25, 0.75, 0.5};
    subject s = subject_make("lion", 1, name, value, NULL);
    const float zero = step(&s, 0);

    (void)state;
    assert_true(zero == 0 && !signbit(zero));
    assert_true(step(&s, 8) == -0.25F);  /* m = 4                  */
    assert_true(step(&s, -8) == -0.25F); /* 3 - 2 > 0; m = -2      */
    assert_true(step(&s, 5) == 0.25F);   /* -1.5 + 1.25 < 0        */
    subject_free(&s);
}

static void test_rprop(void **state)
{
    static const char *const name[PAIRS] = {"learning_rate", "step_max", "step_min"};
    static const double value[PAIRS] = {0.5, 0.7, 0.2};
    subject s = subject_make("rprop", 1, name, value, NULL);
    float turned;

    (void)state;
    assert_near(step(&s, 1e-30F), -0.5); /* the product of two such is no float */
    assert_near(step(&s, 1e-30F), -0.6);
    assert_near(step(&s, 7), -0.7); /* at the most                */
    turned = step(&s, -1);          /* 0.35, and not taken        */
    assert_true(turned == 0 && !signbit(turned));
    assert_near(step(&s, -1), 0.35); /* nothing to compare it with */
    assert_true(step(&s, 1) == 0);   /* 0.2, at the least          */
    assert_near(step(&s, -3), 0.2);
    assert_true(step(&s, 0) == 0);
    assert_near(step(&s, -3), 0.2);
    subject_free(&s);
}

/* The size of every coordinate's first step is there from the start, tails included. */
static void test_rprop_begins(void **state)
{
    static const size_t sizes[] = {1, 16, 17, 63, 64, 65, 150};

    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        subject s = subject_make("rprop", n, NULL, NULL, NULL);
        float grad[150], update[150];

        for (size_t c = 0; c < n; c++)
            grad[c] = c % 2 ? 1 : -1;
        assert_true(dsc_run_step(s.run, grad, update, s.work, NULL));
        for (size_t c = 0; c < n; c++)
            assert_true(update[c] == (c % 2 ? -0.01F : 0.01F));
        subject_free(&s);
    }
}

/* --- the ends of the floats --- */

/* A velocity beyond the floats is refused, and the run is as before. */
static void test_velocity_overflows(void **state)
{
    static const char *const families[] = {"momentum", "nag"};
    const float grad = FLT_MAX;

    (void)state;
    for (int i = 0; i < 2; i++) {
        subject s = subject_make(families[i], 1, NULL, NULL, NULL);
        subject t = subject_make(families[i], 1, NULL, NULL, NULL);
        float update = 7;
        dsc_err err = {0};

        assert_true(step(&s, 3e38F / 2) == step(&t, 3e38F / 2));
        assert_false(dsc_run_step(s.run, &grad, &update, s.work, &err));
        assert_int_equal(err.code, DSC_ENUMERIC);
        assert_string_equal(err.where, "update[0]");
        assert_true(update == 7);
        assert_int_equal(dsc_run_steps(s.run), 1);
        assert_true(step(&s, 1) == step(&t, 1));
        subject_free(&s);
        subject_free(&t);
    }
}

/* A square beyond the floats makes the step 0, for ever: as torch does it, and finite. */
static void test_square_overflows(void **state)
{
    static const char *const families[] = {"rmsprop", "adagrad", "adam", "amsgrad"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        subject s = subject_make(families[i], 1, NULL, NULL, NULL);

        assert_true(step(&s, 3e38F) == 0);
        assert_true(step(&s, 1) == 0);
        subject_free(&s);
    }
}

/* Lion's average stays a float whatever its parts round to. */
static void test_average_stays(void **state)
{
    static const char *const name[PAIRS] = {"beta2"};

    (void)state;
    for (int i = 1; i < 100; i++) {
        const double value[PAIRS] = {i / 100.0};
        subject s = subject_make("lion", 1, name, value, NULL);
        size_t len;

        for (int t = 0; t < 300; t++)
            (void)step(&s, FLT_MAX);
        assert_true(isfinite(*dsc_run_state(s.run, 0, 1, &len)));
        subject_free(&s);
    }
}

/* --- the largest size --- */

static void test_largest(void **state)
{
    enum { N = 200 };
    float x[N];

    (void)state;
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        if (!(*kernel)->usable())
            continue;
        for (size_t n = 0; n <= N; n++) {
            for (size_t i = 0; i < n; i++)
                x[i] = (float)i * (i % 2 ? 1 : -1);
            assert_true((*kernel)->rules->largest(x, n) == (n ? (float)(n - 1) : 0));
            if (n == 0)
                continue;
            x[n / 2] = -FLT_TRUE_MIN;
            x[n / 3] = -INFINITY;
            assert_true(isinf((*kernel)->rules->largest(x, n)));
            x[n - 1] = -NAN;
            assert_true(isnan((*kernel)->rules->largest(x, n)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_momentum),
        cmocka_unit_test(test_nag),
        cmocka_unit_test(test_rmsprop),
        cmocka_unit_test(test_adagrad),
        cmocka_unit_test(test_amsgrad),
        cmocka_unit_test(test_lion),
        cmocka_unit_test(test_rprop),
        cmocka_unit_test(test_rprop_begins),
        cmocka_unit_test(test_velocity_overflows),
        cmocka_unit_test(test_square_overflows),
        cmocka_unit_test(test_average_stays),
        cmocka_unit_test(test_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
