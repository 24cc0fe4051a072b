/* test_run.c -- what dsc_run_check refuses, that a refusal changes nothing, and life of a run */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 150 };

typedef struct {
    dsc_model *model;
    dsc_run *run;
    float *work, grad[N], update[N];
} fixture;

/* A run that has taken one step with gradient 1. */
static void fixture_make(fixture *f, const dsc_family *family, double rate, const float *phi)
{
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, family->hyper);
    if (phi) {
        assert_true(dsc_hyper_set_number(&hyper, "layers", 0, NULL));
        assert_true(dsc_hyper_set_word(&hyper, "preprocessing", "none", NULL));
    } else {
        assert_true(dsc_hyper_set_number(&hyper, "learning_rate", rate, NULL));
    }
    assert_true(dsc_model_new(&f->model, family, &hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&f->run, f->model, N, NULL));
    f->work = dsc_work_new();
    assert_non_null(f->work);
    for (int i = 0; i < N; i++)
        f->grad[i] = 1;
    assert_true(dsc_run_step(f->run, f->grad, f->update, f->work, NULL));
}

static void fixture_free(fixture *f)
{
    dsc_run_free(f->run);
    dsc_model_drop(f->model);
    dsc_work_free(f->work);
}

/* The next step is refused for `where`, and nothing has changed. */
static void assert_refused(fixture *f, const char *where)
{
    size_t len;
    float *const state = dsc_run_state(f->run, 0, N, &len);
    float *const before = malloc((len + 1) * sizeof *before);
    float update[N];
    dsc_err err = {0};

    assert_non_null(before);
    memcpy(before, state, len * sizeof *before);
    memcpy(update, f->update, sizeof update);
    assert_false(dsc_run_step(f->run, f->grad, f->update, f->work, &err));
    assert_int_equal(err.code, DSC_ENUMERIC);
    assert_string_equal(err.where, where);
    assert_memory_equal(before, state, len * sizeof *before);
    assert_memory_equal(update, f->update, sizeof update);
    assert_int_equal(dsc_run_steps(f->run), 1);
    free(before);
}

static void test_refuses_gradient(void **state)
{
    fixture f;

    (void)state;
    fixture_make(&f, &dsc_family_adam, 0.1, NULL);
    f.grad[140] = -INFINITY;
    assert_refused(&f, "gradient[140]");
    f.grad[N - 1] = NAN;
    assert_refused(&f, "gradient[140]");
    f.grad[3] = NAN;
    assert_refused(&f, "gradient[3]");
    f.grad[0] = INFINITY;
    assert_refused(&f, "gradient[0]");
    fixture_free(&f);
}

static void test_refuses_overflow(void **state)
{
    const float phi[] = {1e30f, 0};
    fixture f;

    (void)state;
    fixture_make(&f, &dsc_family_sgd, 1e20, NULL);
    f.grad[77] = 1e19f;
    f.grad[149] = -1e30f;
    assert_refused(&f, "update[77]");
    fixture_free(&f);
    fixture_make(&f, &dsc_family_lstm, 0, phi);
    f.grad[149] = 1e10f;
    assert_refused(&f, "update[149]");
    fixture_free(&f);
}

/* beta1^2 >= beta2: no bound, so the check has to compute, and must not leave a trace. */
static void test_probe_leaves_state(void **state)
{
    fixture f;
    dsc_hyper hyper;
    dsc_err err = {0};
    float *numbers, before[2 * (N + 16)];
    size_t len;

    (void)state;
    fixture_make(&f, &dsc_family_adam, 0.1, NULL);
    fixture_free(&f);
    dsc_hyper_init(&hyper, dsc_family_adam.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "beta2", 0.5, NULL));
    assert_true(dsc_model_new(&f.model, &dsc_family_adam, &hyper, NULL, NULL, NULL));
    assert_true(isinf(dsc_family_adam.update_bound(f.model, 1, 0)));
    assert_true(dsc_run_new(&f.run, f.model, N, NULL));
    f.work = dsc_work_new();
    assert_true(dsc_run_step(f.run, f.grad, f.update, f.work, NULL));
    numbers = dsc_run_state(f.run, 0, N, &len);
    assert_true(len <= sizeof before / sizeof before[0]);
    memcpy(before, numbers, len * sizeof *before);
    assert_true(dsc_run_check(f.run, f.grad, FLT_MAX, f.work, &err));
    assert_false(dsc_run_check(f.run, f.grad, 1e-9, f.work, &err));
    assert_string_equal(err.where, "update[0]");
    assert_memory_equal(before, numbers, len * sizeof *before);
    fixture_free(&f);
}

static void test_limit(void **state)
{
    fixture f;
    dsc_err err = {0};

    (void)state;
    fixture_make(&f, &dsc_family_sgd, 1, NULL);
    f.grad[5] = 65504;
    assert_true(dsc_run_check(f.run, f.grad, 65504, f.work, &err));
    f.grad[5] = 65505;
    assert_false(dsc_run_check(f.run, f.grad, 65504, f.work, &err));
    assert_string_equal(err.where, "update[5]");
    fixture_free(&f);
}

static void test_reset(void **state)
{
    fixture f;
    float first[N];

    (void)state;
    fixture_make(&f, &dsc_family_adam, 0.1, NULL);
    memcpy(first, f.update, sizeof first);
    assert_true(dsc_run_step(f.run, f.grad, f.update, f.work, NULL));
    dsc_run_reset(f.run);
    assert_int_equal(dsc_run_steps(f.run), 0);
    assert_true(dsc_run_step(f.run, f.grad, f.update, f.work, NULL));
    assert_memory_equal(first, f.update, sizeof first);
    assert_int_equal(dsc_run_n(f.run), N);
    assert_ptr_equal(dsc_run_model(f.run), f.model);
    fixture_free(&f);
}

static void test_weight_not_finite(void **state)
{
    const float phi[] = {1, NAN, 0};
    dsc_hyper hyper;
    dsc_model *model;
    dsc_err err = {0};

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "layers", 0, NULL));
    assert_false(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
    assert_string_equal(err.where, "output.weight[1]");
}

static void test_no_memory(void **state)
{
    fixture f;
    dsc_run *run;
    dsc_err err = {0};

    (void)state;
    fixture_make(&f, &dsc_family_adam, 0.1, NULL);
    assert_false(dsc_run_new(&run, f.model, SIZE_MAX / 2, &err));
    assert_int_equal(err.code, DSC_ENOMEM);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_gradient),
        cmocka_unit_test(test_refuses_overflow),
        cmocka_unit_test(test_probe_leaves_state),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_weight_not_finite),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
