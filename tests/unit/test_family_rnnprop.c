/* test_family_rnnprop.c -- what RNNprop promises beside its numbers
 *
 * That a hundred steps agree with PyTorch is the business of tests/golden. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 150, STEPS = 30 };

static dsc_run *run_of(double weights, double alpha)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(8, 0, 0);
    dsc_hyper hyper;
    dsc_model *model = NULL;
    dsc_run *run = NULL;

    dsc_hyper_init(&hyper, dsc_family_rnnprop.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "alpha", alpha, NULL));
    dsc_family_rnnprop.phi_layout(&layout, &hyper);
    assert_int_equal(layout.len, 6801); /* 6,641 when PyTorch's two biases are added */
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    dsc_family_rnnprop.phi_init(phi, &rng, &hyper);
    for (size_t i = 0; i < layout.len; i++)
        phi[i] *= (float)weights;
    assert_true(dsc_model_new(&model, &dsc_family_rnnprop, &hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&run, model, N, NULL));
    assert_int_equal(dsc_model_state_layout(model)->len, 82);
    dsc_model_drop(model);
    free(phi);
    return run;
}

static void fill(float *grad, uint64_t t, double scale)
{
    for (size_t i = 0; i < N; i++) {
        dsc_rng rng = dsc_rng_at(2, t, i);

        grad[i] = (float)(scale * dsc_rng_normal(&rng));
    }
}

/* The objective times a thousand, or a thousandth of it: the same path, but for eps. */
static void test_scale_does_not_matter(void **state)
{
    static const double scales[] = {1e3, 1e-3};
    float grad[N], one[N], other[N];
    float *const work = dsc_work_new();

    (void)state;
    for (int k = 0; k < 2; k++) {
        dsc_run *const a = run_of(1, 0.1), *const b = run_of(1, 0.1);

        for (uint64_t t = 0; t < STEPS; t++) {
            fill(grad, t, 1);
            assert_true(dsc_run_step(a, grad, one, work, NULL));
            fill(grad, t, scales[k]);
            assert_true(dsc_run_step(b, grad, other, work, NULL));
            for (size_t i = 0; i < N; i++)
                assert_true(fabsf(one[i] - other[i]) < 1e-4F * 0.1F);
        }
        dsc_run_free(a);
        dsc_run_free(b);
    }
    dsc_work_free(work);
}

/* No update is longer than alpha, and weights large enough reach it. */
static void test_alpha_is_the_longest(void **state)
{
    dsc_run *const run = run_of(1000, 0.25);
    float grad[N], update[N], most = 0;
    float *const work = dsc_work_new();

    (void)state;
    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, t, 1e10);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t i = 0; i < N; i++)
            most = fmaxf(most, fabsf(update[i]));
    }
    assert_true(most <= 0.25F && most > 0.249F);
    dsc_work_free(work);
    dsc_run_free(run);
}

/* A square beyond the floats makes both inputs 0: the network goes on, and its answer is finite. */
static void test_square_overflows(void **state)
{
    dsc_run *const run = run_of(1, 0.1);
    float grad[N], update[N];
    float *const work = dsc_work_new();

    (void)state;
    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, t, 1e37);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t i = 0; i < N; i++)
            assert_true(fabsf(update[i]) <= 0.1F);
    }
    dsc_work_free(work);
    dsc_run_free(run);
}

/* Sizes from shapes, and files that are not its. */
static void test_guess(void **state)
{
    dsc_hyper hyper, guess;

    (void)state;
    for (int layers = 1; layers <= 4; layers++) {
        dsc_layout layout = {0};
        dsc_err err = {0};

        dsc_hyper_init(&hyper, dsc_family_rnnprop.hyper);
        assert_true(dsc_hyper_set_number(&hyper, "layers", layers, NULL));
        assert_true(dsc_hyper_set_number(&hyper, "hidden_size", 9 + layers, NULL));
        dsc_family_rnnprop.phi_layout(&layout, &hyper);
        assert_true(dsc_family_rnnprop.hyper_guess(&guess, &layout, NULL));
        for (int row = 0; hyper.spec[row].name; row++)
            assert_true(guess.value[row] == hyper.value[row]);
        dsc_layout_add(&layout, "more", 0, 1, 3, 0);
        assert_false(dsc_family_rnnprop.hyper_guess(&guess, &layout, &err));
        assert_int_equal(err.code, DSC_EWEIGHTS);
        assert_string_equal(err.where, "more");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale_does_not_matter),
        cmocka_unit_test(test_alpha_is_the_longest),
        cmocka_unit_test(test_square_overflows),
        cmocka_unit_test(test_guess),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
