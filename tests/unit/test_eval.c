/* test_eval.c -- statistics of curves, functions that diverge, and tuning */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

/* --- f(x) = k x^2 from 1, where function number `lane` has k = lane: SGD has a closed form --- */

static const dsc_hyper_spec no_spec[] = {{.name = NULL}};

static size_t one(const dsc_hyper *hyper)
{
    (void)hyper;
    return 1;
}

static void sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data, dsc_real *theta)
{
    (void)hyper;
    data[0] = (dsc_real)draw->lane;
    theta[0] = 1;
}

static double eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data, uint64_t t,
                   const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    (void)hyper, (void)draw, (void)t, (void)work;
    grad[0] = 2 * data[0] * theta[0];
    return (double)data[0] * (double)theta[0] * (double)theta[0];
}

static const dsc_problem parabolas = {.name = "parabolas",
                                      .hyper = no_spec,
                                      .dim = one,
                                      .data_len = one,
                                      .work_len = one,
                                      .sample = sample,
                                      .eval = eval};

static const dsc_hyper none = {.spec = no_spec};

static dsc_model *sgd(double rate)
{
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_sgd.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "learning_rate", rate, NULL));
    assert_true(dsc_model_new(&model, &dsc_family_sgd, &hyper, NULL, NULL, NULL));
    return model;
}

/* k = 0..10, rate 0.05: x_t = (1 - 0.1 k)^t. */
static double closed_form(size_t k, size_t t)
{
    return (double)k * pow(1 - 0.1 * (double)k, 2 * (double)t);
}

static void test_curves(void **state)
{
    const dsc_eval_task task = {&parabolas, &none, 3, 11, 1};
    dsc_model *const model = sgd(0.05);
    dsc_eval_result r;
    double sum = 0;

    (void)state;
    assert_true(dsc_eval(&r, &task, model, &dsc_crew_alone, NULL));
    for (size_t t = 0; t <= 3; t++) {
        double mean = 0;

        for (size_t k = 0; k <= 10; k++)
            mean += closed_form(k, t) / 11;
        assert_true(fabs(r.mean[t] - mean) < 1e-5);
        sum += t > 0 ? mean : 0;
    }
    assert_true(r.median[0] == 5 && r.p10[0] == 1 && r.p90[0] == 9); /* of 0, 1, ..., 10 */
    assert_true(fabs(r.loss_sum - sum) < 1e-5);
    assert_true(r.final_loss == r.mean[3] && r.diverged == 0);
    dsc_eval_clear(&r);
    dsc_model_drop(model);
}

static void test_stderr(void **state)
{
    const dsc_eval_task task = {&parabolas, &none, 4, 3, 1};
    dsc_model *const model = sgd(1e-9); /* losses stay 0, 1, 2: deviation 1, over sqrt 3 */
    dsc_eval_result r;

    (void)state;
    assert_true(dsc_eval(&r, &task, model, &dsc_crew_alone, NULL));
    assert_true(fabs(r.final_loss_stderr - 1 / sqrt(3)) < 1e-6);
    assert_true(fabs(r.loss_sum_stderr - 4 / sqrt(3)) < 1e-6); /* sums are 0, 4, 8 */
    dsc_eval_clear(&r);
    dsc_model_drop(model);
}

/* Rate 3 sends every function but k = 0 off to infinity: the mean says so, quantiles go on. */
static void test_diverged(void **state)
{
    const dsc_eval_task task = {&parabolas, &none, 300, 4, 1};
    dsc_model *const model = sgd(3);
    dsc_eval_result r;

    (void)state;
    assert_true(dsc_eval(&r, &task, model, &dsc_crew_alone, NULL));
    assert_int_equal(r.diverged, 3);
    assert_true(isinf(r.final_loss) && isinf(r.median[300]) && r.mean[0] == 1.5);
    assert_true(r.p10[1] >= 0 && isfinite(r.p10[1]));
    dsc_eval_clear(&r);
    dsc_model_drop(model);
}

static double tuned_rate(double min, double max)
{
    const dsc_eval_task task = {&parabolas, &none, 1, 11, 1};
    const dsc_tuning tuning = {9, min, max, 11};
    dsc_model *model = NULL;
    double rate;

    assert_true(dsc_eval_tune(&model, &dsc_family_sgd, &tuning, &task, &dsc_crew_alone, NULL));
    rate = dsc_model_hyper(model)->value[dsc_hyper_find(dsc_family_sgd.hyper, "learning_rate")];
    dsc_model_drop(model);
    return rate;
}

/* The mean of k (1 - 2 k r)^2 over 0..10 is least at r = sum k^2 / (2 sum k^3) = 0.0636. */
static void test_tuning(void **state)
{
    const double best = 385.0 / (2 * 3025.0);

    (void)state;
    assert_true(fabs(log(tuned_rate(1e-3, 10) / best)) <= log(10000) / 8);
    assert_true(fabs(log(tuned_rate(1e-6, 1e-2) / best)) <= log(10000) / 8); /* beyond its edge */
    assert_true(fabs(log(tuned_rate(1, 1e4) / best)) <= log(10000) / 8);
}

static void test_bad_questions(void **state)
{
    const dsc_eval_task large = {&parabolas, &none, 1000000, 1000000, 1};
    const dsc_tuning tuning = {9, 1, 10, 1};
    dsc_model *model = sgd(1);
    dsc_eval_result r;
    dsc_err err = {0};

    (void)state;
    assert_false(dsc_eval(&r, &large, model, &dsc_crew_alone, &err));
    assert_int_equal(err.code, DSC_EINVAL);
    assert_string_equal(err.where, "functions");
    dsc_model_drop(model);
    assert_false(dsc_eval_tune(&model, &dsc_family_lstm, &tuning, &large, &dsc_crew_alone, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curves),        cmocka_unit_test(test_stderr),
        cmocka_unit_test(test_diverged),      cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_bad_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
