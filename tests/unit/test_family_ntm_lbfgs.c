/* test_family_ntm_lbfgs.c -- the external memory beside the network without one
 *
 * That a hundred steps agree with the formulas, with the memory as a matrix, is the business of
 * tests/golden. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4096 + 100, STEPS = 6, HIDDEN = 5, LAYERS = 2, WINDOW = 3 };

static void configure(dsc_hyper *hyper, const dsc_family *family)
{
    dsc_hyper_init(hyper, family->hyper);
    assert_true(dsc_hyper_set_number(hyper, "hidden_size", HIDDEN, NULL));
    assert_true(dsc_hyper_set_number(hyper, "layers", LAYERS, NULL));
}

static dsc_run *run_of(const dsc_family *family, const dsc_hyper *hyper, const float *phi)
{
    dsc_model *model = NULL;
    dsc_run *run = NULL;

    assert_true(dsc_model_new(&model, family, hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&run, model, N, NULL));
    dsc_model_drop(model);
    return run;
}

static float *weights_of(const dsc_family *family, const dsc_hyper *hyper, dsc_layout *layout)
{
    dsc_rng rng = dsc_rng_at(8, 0, 0);

    family->phi_layout(layout, hyper);
    float *const phi = malloc(layout->len * sizeof *phi);
    assert_non_null(phi);
    family->phi_init(phi, &rng, hyper);
    return phi;
}

static dsc_run *ntm_of(double sigma, double gain)
{
    dsc_layout layout = {0};
    dsc_hyper hyper;

    configure(&hyper, &dsc_family_ntm_lbfgs);
    assert_true(dsc_hyper_set_number(&hyper, "sigma", sigma, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "memory_gain", gain, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "window", WINDOW, NULL));
    float *const phi = weights_of(&dsc_family_ntm_lbfgs, &hyper, &layout);
    dsc_run *const run = run_of(&dsc_family_ntm_lbfgs, &hyper, phi);
    free(phi);
    return run;
}

/* The same network without the columns of what is read and the rows of what is written. */
static dsc_run *gac_of_it(void)
{
    dsc_layout from = {0}, to = {0};
    dsc_hyper ntm, gac;

    configure(&ntm, &dsc_family_ntm_lbfgs);
    configure(&gac, &dsc_family_lstm_gac);
    float *const phi = weights_of(&dsc_family_ntm_lbfgs, &ntm, &from);
    float *const less = weights_of(&dsc_family_lstm_gac, &gac, &to);
    for (int i = 0; i < to.count; i++) {
        const dsc_tensor *const big = dsc_layout_find(&from, to.tensor[i].name);
        const dsc_tensor *const small = &to.tensor[i];
        const size_t cols = small->rank == 2 ? small->shape[1] : 1;
        const size_t pitch = big->rank == 2 ? big->shape[1] : 1;

        for (size_t row = 0; row < small->shape[0]; row++)
            memcpy(less + small->offset + row * cols, phi + big->offset + row * pitch,
                   cols * sizeof *less);
    }
    dsc_run *const run = run_of(&dsc_family_lstm_gac, &gac, less);
    free(phi);
    free(less);
    return run;
}

static void fill(float *grad, uint64_t t)
{
    for (size_t i = 0; i < N; i++) {
        dsc_rng rng = dsc_rng_at(2, t, i);

        grad[i] = (float)dsc_rng_normal(&rng);
    }
}

/* The first step at which two runs differ; STEPS when none. */
static uint64_t differ_at(dsc_run *a, dsc_run *b)
{
    static float grad[N], one[N], other[N];
    float *const work = dsc_work_new();
    uint64_t t = 0;

    for (; t < STEPS; t++) {
        fill(grad, t);
        assert_true(dsc_run_step(a, grad, one, work, NULL));
        assert_true(dsc_run_step(b, grad, other, work, NULL));
        if (memcmp(one, other, sizeof one) != 0)
            break;
    }
    dsc_work_free(work);
    dsc_run_free(a);
    dsc_run_free(b);
    return t;
}

/* Nothing is read at step 0, since r is 0. At step 1 sigma r is; with sigma = 0 it is only what was
 * written at step 0; with a gain of 0 as well, nothing ever. */
static void test_what_is_read_when(void **state)
{
    (void)state;
    assert_int_equal(differ_at(ntm_of(0, 0), gac_of_it()), STEPS);
    assert_int_equal(differ_at(ntm_of(1, 0), gac_of_it()), 1);
    assert_int_equal(differ_at(ntm_of(0, 1), gac_of_it()), 1);
    assert_int_equal(differ_at(ntm_of(1, 1), ntm_of(1, 0)), 1);
}

/* Step t writes to slot t mod window, and to no other. */
static void test_ring(void **state)
{
    dsc_run *const run = ntm_of(1, 0.1);
    const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
    const dsc_tensor *const a = dsc_layout_find(layout, "a");
    static float grad[N], update[N], before[N * WINDOW * 3], after[N * WINDOW * 3];
    float *const work = dsc_work_new();

    (void)state;
    assert_int_equal(a->len, WINDOW * 3);
    for (uint64_t t = 0; t < STEPS; t++) {
        size_t len;

        dsc_state_gather(before, dsc_run_state(run, 0, N, &len), N, layout, a);
        fill(grad, t);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        dsc_state_gather(after, dsc_run_state(run, 0, N, &len), N, layout, a);
        for (size_t i = 0; i < a->len; i++)
            assert_int_equal(before[i] != after[i], i / 3 == t % WINDOW);
    }
    dsc_work_free(work);
    dsc_run_free(run);
}

/* Heads, preprocessing and sizes from the shapes alone. */
static void test_guess(void **state)
{
    (void)state;
    for (int heads = 0; heads < 4 * 4 * 2 * 2; heads++) {
        dsc_hyper hyper, guess;
        dsc_layout layout = {0};

        configure(&hyper, &dsc_family_ntm_lbfgs);
        assert_true(dsc_hyper_set_number(&hyper, "read_heads", 1 + heads % 4, NULL));
        assert_true(dsc_hyper_set_number(&hyper, "write_heads", 1 + heads / 4 % 4, NULL));
        assert_true(dsc_hyper_set_number(&hyper, "layers", 1 + heads / 16 % 2, NULL));
        assert_true(dsc_hyper_set_number(&hyper, "output_scale", 1, NULL));
        if (heads / 32)
            assert_true(dsc_hyper_set_word(&hyper, "preprocessing", "none", NULL));
        dsc_family_ntm_lbfgs.phi_layout(&layout, &hyper);
        assert_true(dsc_family_ntm_lbfgs.hyper_guess(&guess, &layout, NULL));
        for (int row = 0; hyper.spec[row].name; row++)
            assert_true(guess.value[row] == hyper.value[row]);
    }
}

/* An lstm's file is none of its. */
static void test_guess_refuses(void **state)
{
    dsc_hyper hyper, guess;
    dsc_layout layout = {0};
    dsc_err err = {0};

    (void)state;
    configure(&hyper, &dsc_family_lstm);
    dsc_family_lstm.phi_layout(&layout, &hyper);
    assert_false(dsc_family_ntm_lbfgs.hyper_guess(&guess, &layout, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
    assert_string_equal(err.where, "output.weight");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read_when),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_guess_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
