/* test_family_lstm_gac.c -- the averaging cells beside the plain lstm
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

enum { N = 4096 + 100, STEPS = 5 };

static dsc_run *run_of(const dsc_family *family, int hidden, int averaged, size_t n)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(8, 0, 0);
    dsc_hyper hyper;
    dsc_model *model = NULL;
    dsc_run *run = NULL;

    dsc_hyper_init(&hyper, family->hyper);
    assert_true(dsc_hyper_set_number(&hyper, "hidden_size", hidden, NULL));
    if (averaged >= 0)
        assert_true(dsc_hyper_set_number(&hyper, "averaged_cells", averaged, NULL));
    family->phi_layout(&layout, &hyper);
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    family->phi_init(phi, &rng, &hyper);
    assert_true(dsc_model_new(&model, family, &hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&run, model, n, NULL));
    dsc_model_drop(model);
    free(phi);
    return run;
}

static void fill(float *grad, size_t n, uint64_t t)
{
    for (size_t i = 0; i < n; i++) {
        dsc_rng rng = dsc_rng_at(2, t, i);

        grad[i] = (float)dsc_rng_normal(&rng);
    }
}

/* The largest difference of two updates after some steps. */
static float distance(dsc_run *a, dsc_run *b, size_t n, bool alike)
{
    static float grad[N], update[N], other[N];
    float *const work = dsc_work_new();
    float most = 0;

    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, n, t);
        for (size_t i = 0; alike && i < n; i++)
            grad[i] = grad[0];
        assert_true(dsc_run_step(a, grad, update, work, NULL));
        assert_true(dsc_run_step(b, grad, other, work, NULL));
        for (size_t i = 0; i < n; i++)
            most = fmaxf(most, fabsf(update[i] - other[i]));
    }
    dsc_work_free(work);
    dsc_run_free(a);
    dsc_run_free(b);
    return most;
}

/* Without averaging, with one coordinate, or with coordinates that are all alike, it is the lstm.
 */
static void test_where_it_is_the_lstm(void **state)
{
    (void)state;
    assert_true(distance(run_of(&dsc_family_lstm_gac, 20, 0, N),
                         run_of(&dsc_family_lstm, 20, -1, N), N, false) == 0);
    assert_true(distance(run_of(&dsc_family_lstm_gac, 20, 5, 1),
                         run_of(&dsc_family_lstm, 20, -1, 1), 1, false) == 0);
    assert_true(distance(run_of(&dsc_family_lstm_gac, 20, 20, N),
                         run_of(&dsc_family_lstm, 20, -1, N), N, true) < 1e-6F);
    assert_true(distance(run_of(&dsc_family_lstm_gac, 20, 1, N),
                         run_of(&dsc_family_lstm, 20, -1, N), N, false) > 1e-4F);
}

/* With all cells averaged in the last layer every coordinate gets the same update. */
static void test_all_cells_averaged(void **state)
{
    dsc_run *const run = run_of(&dsc_family_lstm_gac, 6, 6, N);
    static float grad[N], update[N];
    float *const work = dsc_work_new();

    (void)state;
    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, N, t);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t i = 1; i < N; i++)
            assert_true(update[i] == update[0]);
    }
    dsc_work_free(work);
    dsc_run_free(run);
}

/* What is kept of an averaged cell is its mean, the same for all; of another it is its own. */
static void test_state_holds_the_means(void **state)
{
    dsc_run *const run = run_of(&dsc_family_lstm_gac, 4, 2, 300);
    const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
    static float grad[300], update[300], rows[300][4];
    float *const work = dsc_work_new();
    size_t len;

    (void)state;
    fill(grad, 300, 0);
    assert_true(dsc_run_step(run, grad, update, work, NULL));
    for (int layer = 0; layer < 2; layer++) {
        const dsc_tensor *const h = dsc_layout_find(layout, layer ? "h_l1" : "h_l0");
        bool differ = false;

        dsc_state_gather(rows[0], dsc_run_state(run, 0, 300, &len), 300, layout, h);
        for (size_t i = 1; i < 300; i++) {
            assert_true(rows[i][0] == rows[0][0] && rows[i][1] == rows[0][1]);
            differ = differ || rows[i][2] != rows[0][2];
        }
        assert_true(differ);
    }
    assert_int_equal((dsc_run_shared(run, &len), len), 0); /* nothing else lasts */
    dsc_work_free(work);
    dsc_run_free(run);
}

/* What the bound cannot vouch for is refused whole. */
static void test_beyond_the_bound(void **state)
{
    dsc_run *const run = run_of(&dsc_family_lstm_gac, 20, 2, 10);
    const float grad[10] = {1};
    float *const work = dsc_work_new();
    dsc_err err = {0};

    (void)state;
    assert_true(dsc_run_check(run, grad, 65504, work, NULL));
    assert_false(dsc_run_check(run, grad, 1e-9, work, &err));
    assert_int_equal(err.code, DSC_ENUMERIC);
    assert_string_equal(err.where, "update[0]");
    dsc_work_free(work);
    dsc_run_free(run);
}

/* More averaged cells than there are, and the sentence that says so. */
static void test_config(void **state)
{
    dsc_hyper hyper;
    dsc_err err = {0};

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_lstm_gac.hyper);
    assert_true(dsc_hyper_check(&hyper, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "averaged_cells", 21, NULL));
    assert_false(dsc_hyper_check(&hyper, &err));
    assert_string_equal(err.where, "averaged_cells");
    assert_string_equal(err.text, "must be at most hidden_size, which is 20");
}

/* A file that says nothing of its config: sizes from its shapes, two cells averaged, or one where
 * there is but one. */
static void test_guess(void **state)
{
    dsc_hyper hyper;

    (void)state;
    for (int hidden = 1; hidden < 4; hidden++) {
        dsc_layout layout = {0};

        dsc_hyper_init(&hyper, dsc_family_lstm_gac.hyper);
        assert_true(dsc_hyper_set_number(&hyper, "hidden_size", hidden, NULL));
        dsc_family_lstm_gac.phi_layout(&layout, &hyper);
        dsc_hyper_init(&hyper, dsc_family_lstm_gac.hyper);
        assert_true(dsc_family_lstm_gac.hyper_guess(&hyper, &layout, NULL));
        assert_true(hyper.value[dsc_hyper_find(hyper.spec, "hidden_size")] == hidden);
        assert_true(hyper.value[dsc_hyper_find(hyper.spec, "averaged_cells")] ==
                    (hidden < 2 ? 1 : 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_it_is_the_lstm),
        cmocka_unit_test(test_all_cells_averaged),
        cmocka_unit_test(test_state_holds_the_means),
        cmocka_unit_test(test_beyond_the_bound),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_guess),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
