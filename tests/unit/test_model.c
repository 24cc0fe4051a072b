/* test_model.c -- counting, what is copied, the packed form, and every weight that is refused */
#include "core/descent.h"

#include "core/lstm_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 3, LAYERS = 2, PHI_MAX = 1000 };

static void hyper_small(dsc_hyper *hyper)
{
    dsc_hyper_init(hyper, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(hyper, "hidden_size", HIDDEN, NULL));
    assert_true(dsc_hyper_set_number(hyper, "layers", LAYERS, NULL));
}

/* Weights that tell where they came from: 1, 2, 3, ... */
static size_t phi_numbered(float *phi, const dsc_hyper *hyper)
{
    dsc_layout layout = {0};

    dsc_family_lstm.phi_layout(&layout, hyper);
    assert_true(layout.len <= PHI_MAX);
    for (size_t i = 0; i < layout.len; i++)
        phi[i] = (float)(i + 1);
    return layout.len;
}

static dsc_model *model_small(const dsc_kernel *kernel)
{
    float phi[PHI_MAX];
    dsc_hyper hyper;
    dsc_model *model;

    hyper_small(&hyper);
    (void)phi_numbered(phi, &hyper);
    assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, kernel, NULL));
    memset(phi, 255, sizeof phi); /* whoever kept a pointer would see NaN */
    memset(&hyper, 255, sizeof hyper);
    return model;
}

static void test_copies(void **state)
{
    dsc_model *const model = model_small(NULL);
    const size_t len = dsc_model_phi_layout(model)->len;

    (void)state;
    for (size_t i = 0; i < len; i++)
        assert_true(dsc_model_phi(model)[i] == (float)(i + 1));
    assert_true(dsc_model_hyper(model)->value[0] == HIDDEN);
    assert_ptr_equal(dsc_model_hyper(model)->spec, dsc_family_lstm.hyper);
    assert_ptr_equal(dsc_model_family(model), &dsc_family_lstm);
    assert_int_equal((uintptr_t)dsc_model_packed(model) % 64, 0);
    dsc_model_drop(model);
}

static void test_sizes(void **state)
{
    dsc_model *const model = model_small(NULL);

    (void)state;
    assert_int_equal(dsc_model_phi_layout(model)->len,
                     (12 * 2 + 12 * 3 + 24) + (12 * 3 + 12 * 3 + 24) + 3 + 1);
    assert_int_equal(dsc_model_state_layout(model)->len, 2 * LAYERS * HIDDEN);
    assert_int_equal(dsc_model_state_len(model, 1), 16 * 12);
    assert_int_equal(dsc_model_state_len(model, 64), 64 * 12);
    assert_int_equal(dsc_model_state_len(model, 65), 80 * 12);
    assert_true(dsc_model_work_len(model) >= dsc_lstm_scratch_len(HIDDEN));
    dsc_model_drop(model);
}

static void test_hand_designed(void **state)
{
    dsc_hyper hyper;
    dsc_model *model;

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_sgd.hyper);
    assert_true(dsc_model_new(&model, &dsc_family_sgd, &hyper, NULL, NULL, NULL));
    assert_null(dsc_model_phi(model));
    assert_null(dsc_model_packed(model));
    assert_int_equal(dsc_model_phi_layout(model)->len, 0);
    assert_int_equal(dsc_model_state_len(model, 1000), 0);
    dsc_model_drop(model);
    dsc_model_drop(NULL);
}

static void test_kernel(void **state)
{
    (void)state;
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        dsc_model *const model = model_small(*kernel);

        assert_ptr_equal(dsc_model_kernel(model), *kernel);
        dsc_model_drop(model);
    }
    dsc_model *const model = model_small(NULL);
    assert_ptr_equal(dsc_model_kernel(model), dsc_kernel_best());
    dsc_model_drop(model);
}

/* --- counting: a sanitizer tells of a free too many or too few --- */

static void test_count(void **state)
{
    dsc_model *const model = model_small(NULL);
    dsc_run *run;

    (void)state;
    assert_ptr_equal(dsc_model_hold(model), model);
    dsc_model_drop(model);
    assert_true(dsc_run_new(&run, model, 5, NULL));
    dsc_model_drop(model); /* the run has a count of its own */
    assert_true(dsc_model_phi(dsc_run_model(run))[7] == 8);
    dsc_run_free(run);
}

static void *hold_and_drop(void *model)
{
    for (int i = 0; i < 20000; i++) {
        (void)dsc_model_hold(model);
        dsc_model_drop(model);
    }
    dsc_model_drop(model);
    return NULL;
}

static void test_count_on_threads(void **state)
{
    enum { THREADS = 4 };
    dsc_model *const model = model_small(NULL);
    pthread_t thread[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hold_and_drop, dsc_model_hold(model)), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_true(dsc_model_phi(model)[0] == 1);
    dsc_model_drop(model);
}

/* --- the packed form, as lstm_kernel.h describes it --- */

/* A row of gates: number `at` of row `unit` of each gate of a tensor [4 hidden, cols]. */
static const float *expect_gates(const float *packed, const float *tensor, const float *also,
                                 size_t unit, size_t at, size_t cols)
{
    for (size_t gate = 0; gate < 4; gate++) {
        const size_t i = (gate * HIDDEN + unit) * cols + at;
        const double weight = (double)tensor[i] + (also ? (double)also[i] : 0);
        const double scale = gate == 2 ? -2 * M_LOG2E : -M_LOG2E;

        assert_true(packed[gate] == (float)(scale * weight));
    }
    return packed + 4;
}

static void test_packed(void **state)
{
    dsc_model *const model = model_small(NULL);
    const float *packed = dsc_model_packed(model), *phi = dsc_model_phi(model);

    (void)state;
    for (int layer = 0; layer < LAYERS; layer++) {
        const size_t inputs = layer == 0 ? 2 : HIDDEN;
        const float *const hh = phi + 12 * inputs, *const bias = hh + 12 * HIDDEN;

        for (size_t unit = 0; unit < HIDDEN; unit++) {
            packed = expect_gates(packed, bias, bias + 12, unit, 0, 1);
            for (size_t k = 0; k < inputs; k++)
                packed = expect_gates(packed, phi, NULL, unit, k, inputs);
            for (size_t k = 0; k < HIDDEN; k++)
                packed = expect_gates(packed, hh, NULL, unit, k, HIDDEN);
        }
        phi = bias + 24;
    }
    assert_true(packed[0] == phi[HIDDEN]); /* output.bias, then output.weight */
    assert_memory_equal(packed + 1, phi, HIDDEN * sizeof *phi);
    dsc_model_drop(model);
}

/* --- weights that are not finite --- */

/* At the first and last place of every tensor, each named with its index. */
static void test_not_finite(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    dsc_hyper hyper;
    dsc_layout layout = {0};

    (void)state;
    hyper_small(&hyper);
    dsc_family_lstm.phi_layout(&layout, &hyper);
    for (int i = 0; i < 2 * layout.count; i++) {
        const dsc_tensor *const tensor = &layout.tensor[i / 2];
        const size_t at = i % 2 ? tensor->len - 1 : 0;
        float phi[PHI_MAX];
        char where[64];
        dsc_model *model = NULL;
        dsc_err err = {0};

        (void)phi_numbered(phi, &hyper);
        phi[tensor->offset + at] = bad[i % 3];
        (void)snprintf(where, sizeof where, "%s[%zu]", tensor->name, at);
        assert_false(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, &err));
        assert_int_equal(err.code, DSC_EWEIGHTS);
        assert_string_equal(err.where, where);
        assert_string_equal(err.text, "is not finite");
        assert_null(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_kernel), cmocka_unit_test(test_hand_designed),
        cmocka_unit_test(test_count),  cmocka_unit_test(test_count_on_threads),
        cmocka_unit_test(test_packed), cmocka_unit_test(test_not_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
