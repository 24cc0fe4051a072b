/* test_problems.c -- promises that every problem keeps
 *
 * That gradients are right is held to account in double, by tests/double/test_gradients.c. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 20 };

/* Two classes that a line nearly tells apart, for problems that learn from a dataset. */
enum { TOY_ROWS = 50, TOY_FEATURES = 12 };
static float toy_numbers[TOY_ROWS * TOY_FEATURES], toy_targets[TOY_ROWS];
static const dsc_dataset toy = {.rows = TOY_ROWS,
                                .features = TOY_FEATURES,
                                .classes = 2,
                                .image = {3, 2, 2},
                                .numbers = toy_numbers,
                                .targets = toy_targets};

static int make_toy(void **state)
{
    dsc_rng rng = dsc_rng_at(8, 0, 0);

    (void)state;
    for (size_t row = 0; row < TOY_ROWS; row++) {
        for (size_t i = 0; i < TOY_FEATURES; i++)
            toy_numbers[row * TOY_FEATURES + i] = (float)dsc_rng_normal(&rng);
        toy_targets[row] = toy_numbers[row * TOY_FEATURES] + 0.5 * dsc_rng_normal(&rng) > 0;
    }
    return 0;
}

/* One function of a problem, with room to evaluate it. */
typedef struct {
    const dsc_problem *problem;
    dsc_hyper hyper;
    dsc_draw draw;
    size_t n, data_len, work_len;
    dsc_real *data, *theta, *grad, *work;
} drawn;

static dsc_real *numbers(size_t len)
{
    dsc_real *const x = calloc(len + 1, sizeof *x);

    assert_non_null(x);
    x[len] = 12345; /* nobody writes here */
    return x;
}

static void draw(drawn *f, const dsc_problem *problem, uint64_t lane)
{
    *f = (drawn) {.problem = problem, .draw = {3, 4, lane}};
    dsc_hyper_init(&f->hyper, problem->hyper);
    if (dsc_hyper_has_dataset(problem->hyper))
        f->hyper.dataset = &toy;
    assert_true(!problem->check || problem->check(&f->hyper, NULL));
    f->n = problem->dim(&f->hyper);
    f->data_len = problem->data_len(&f->hyper);
    f->work_len = problem->work_len(&f->hyper);
    f->data = numbers(f->data_len);
    f->theta = numbers(f->n);
    f->grad = numbers(f->n);
    f->work = numbers(f->work_len);
    problem->sample(&f->hyper, &f->draw, f->data, f->theta);
}

static void release(drawn *f)
{
    assert_true(f->data[f->data_len] == 12345 && f->theta[f->n] == 12345);
    assert_true(f->grad[f->n] == 12345 && f->work[f->work_len] == 12345);
    free(f->data);
    free(f->theta);
    free(f->grad);
    free(f->work);
}

static double eval(drawn *f, const dsc_real *theta, dsc_real *grad)
{
    return f->problem->eval(&f->hyper, &f->draw, f->data, 5, theta, grad, f->work);
}

static void test_described(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++) {
        const dsc_problem *const problem = dsc_problems[i];

        assert_ptr_equal(dsc_problem_find(problem->name), problem);
        assert_true(strlen(problem->doc) > 10 && strlen(problem->source) > 5);
        for (const dsc_hyper_spec *row = problem->hyper; row->name; row++) {
            dsc_hyper hyper;

            assert_true(row->doc && strlen(row->doc) > 5);
            dsc_hyper_init(&hyper, problem->hyper);
            if (row->kind == DSC_HYPER_INT || row->kind == DSC_HYPER_REAL)
                assert_true(dsc_hyper_set_number(&hyper, row->name, row->initial, NULL));
        }
    }
    assert_null(dsc_problem_find("nothing"));
}

/* The same draw is the same function, another one is another. */
static void test_sample_is_pure(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++) {
        drawn a, b, c;

        draw(&a, dsc_problems[i], 1);
        draw(&c, dsc_problems[i], 2);
        draw(&b, dsc_problems[i], 1);
        assert_memory_equal(a.data, b.data, a.data_len * sizeof *a.data);
        assert_memory_equal(a.theta, b.theta, a.n * sizeof *a.theta);
        assert_memory_not_equal(a.theta, c.theta, a.n * sizeof *a.theta);
        assert_true(eval(&a, a.theta, a.grad) != eval(&c, c.theta, c.grad));
        release(&a);
        release(&b);
        release(&c);
    }
}

/* What work holds before makes no difference, nor whether a gradient is wanted. */
static void test_eval_is_pure(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++) {
        drawn f;
        double loss;

        draw(&f, dsc_problems[i], 1);
        dsc_real *const again = numbers(f.n);
        loss = eval(&f, f.theta, f.grad);
        for (size_t k = 0; k < f.work_len; k++)
            f.work[k] = NAN;
        for (size_t k = 0; k < f.n; k++)
            again[k] = NAN;
        assert_true(eval(&f, f.theta, NULL) == loss);
        assert_true(eval(&f, f.theta, again) == loss && isfinite(loss));
        assert_memory_equal(f.grad, again, f.n * sizeof *again);
        free(again);
        release(&f);
    }
}

/* Downhill is down. */
static void test_gradient_descends(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++)
        for (uint64_t lane = 0; lane < DRAWS; lane++) {
            double before, square = 0, step;
            drawn f;

            draw(&f, dsc_problems[i], lane);
            before = eval(&f, f.theta, f.grad);
            for (size_t k = 0; k < f.n; k++)
                square += (double)f.grad[k] * (double)f.grad[k];
            assert_true(square > 0);
            step = 1e-3 / sqrt(square);
            for (size_t k = 0; k < f.n; k++)
                f.theta[k] -= (dsc_real)(step * (double)f.grad[k]);
            if (!(eval(&f, f.theta, NULL) < before))
                fail_msg("%s, function %d", dsc_problems[i]->name, (int)lane);
            release(&f);
        }
}

/* Where the solution is known, it is one: the least value, a gradient of 0, nothing lower near. */
static void test_solution(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++)
        for (uint64_t lane = 0; dsc_problems[i]->least && lane < DRAWS; lane++) {
            const dsc_problem *const problem = dsc_problems[i];
            double least, loss;
            drawn f;

            draw(&f, problem, lane);
            least = problem->least(&f.hyper, f.data);
            assert_true(eval(&f, f.theta, f.grad) >= least);
            if (problem->solve) {
                problem->solve(&f.hyper, f.data, f.theta);
                loss = eval(&f, f.theta, f.grad);
                if (!(fabs(loss - least) <= 1e-5 * fmax(1, fabs(least))))
                    fail_msg("%s: %g at its solution, not %g", problem->name, loss, least);
                for (size_t k = 0; k < f.n; k++)
                    assert_true(fabs((double)f.grad[k]) < 0.02);
            }
            release(&f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_described),    cmocka_unit_test(test_sample_is_pure),
        cmocka_unit_test(test_eval_is_pure), cmocka_unit_test(test_gradient_descends),
        cmocka_unit_test(test_solution),
    };

    return cmocka_run_group_tests(tests, make_toy, NULL);
}
