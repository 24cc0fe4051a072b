/* test_pretrained.c -- the optimizers that ship can be read, and do what they were made for */
#include "migrations/embedded.h"
#include "server/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTIONS = 200, STEPS = 100 };

static dsc_model *shipped(const char *name)
{
    dsc_model *model = NULL;

    for (size_t i = 0; pretrained[i].name; i++)
        if (strcmp(pretrained[i].name, name) == 0)
            assert_true(safetensors_import(&model, pretrained[i].bytes, pretrained[i].len, NULL,
                                           NULL, NULL));
    assert_non_null(model);
    return model;
}

/* Read and written again, a file is what it was: what a server shows is what ships. */
static void test_files(void **state)
{
    (void)state;
    assert_non_null(pretrained[0].name);
    for (size_t i = 0; pretrained[i].name; i++) {
        dsc_model *const model = shipped(pretrained[i].name);
        struct buf *file = NULL;

        assert_true(safetensors_export(&file, model, NULL));
        assert_int_equal(file->len, pretrained[i].len);
        assert_memory_equal(file->data, pretrained[i].bytes, file->len);
        assert_true(strlen(pretrained[i].about) > 20);
        buf_drop(file);
        dsc_model_drop(model);
    }
}

static double final_loss(dsc_model *model, const dsc_hyper *hyper, double *sum)
{
    const dsc_eval_task task = {&dsc_problem_quadratic, hyper, STEPS, FUNCTIONS, 11};
    dsc_eval_result result;
    double loss;

    assert_true(dsc_eval(&result, &task, model, &dsc_crew_alone, NULL));
    assert_int_equal(result.diverged, 0);
    loss = result.final_loss;
    *sum = result.loss_sum;
    dsc_eval_clear(&result);
    return loss;
}

/* Far below Adam tuned for the same functions, at the end and on the way. */
static void test_quadratic(void **state)
{
    const dsc_tuning tuning = {27, 1e-5, 10, FUNCTIONS};
    dsc_model *const learned = shipped("lstm-quadratic");
    dsc_model *adam = NULL;
    double loss, sum, adam_loss, adam_sum;
    dsc_hyper hyper;

    (void)state;
    dsc_hyper_init(&hyper, dsc_problem_quadratic.hyper);
    assert_true(
        dsc_eval_tune(&adam, &dsc_family_adam, &tuning,
                      &(dsc_eval_task) {&dsc_problem_quadratic, &hyper, STEPS, FUNCTIONS, 11},
                      &dsc_crew_alone, NULL));
    loss = final_loss(learned, &hyper, &sum);
    adam_loss = final_loss(adam, &hyper, &adam_sum);
    assert_true(loss < 0.5 * adam_loss);
    assert_true(sum < 0.4 * adam_sum);
    dsc_model_drop(learned);
    dsc_model_drop(adam);
}

/* Two classes that a line nearly tells apart. */
enum { ROWS = 200, FEATURES = 12 };

static void make_rows(float *numbers, float *targets)
{
    dsc_rng rng = dsc_rng_at(8, 0, 0);

    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < FEATURES; i++)
            numbers[row * FEATURES + i] = (float)dsc_rng_uniform(&rng);
        targets[row] = numbers[row * FEATURES] > numbers[row * FEATURES + 1];
    }
}

/* On rows it has never seen, of another width, a small network learns. */
static void test_mlp(void **state)
{
    static float numbers[ROWS * FEATURES], targets[ROWS];
    const dsc_dataset rows = {
        .rows = ROWS, .features = FEATURES, .classes = 2, .numbers = numbers, .targets = targets};
    dsc_model *const learned = shipped("lstm-mlp");
    dsc_eval_result result;
    dsc_hyper hyper;

    (void)state;
    make_rows(numbers, targets);
    dsc_hyper_init(&hyper, dsc_problem_mlp.hyper);
    hyper.dataset = &rows;
    const dsc_eval_task task = {&dsc_problem_mlp, &hyper, STEPS, 20, 11};
    assert_true(dsc_eval(&result, &task, learned, &dsc_crew_alone, NULL));
    assert_int_equal(result.diverged, 0);
    assert_true(result.final_loss < 0.5 * result.mean[0]);
    dsc_eval_clear(&result);
    dsc_model_drop(learned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_quadratic), cmocka_unit_test(test_mlp)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
