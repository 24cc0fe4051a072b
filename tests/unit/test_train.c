/* test_train.c -- golden values of a training, the same bits by any way, and how it ends */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- f(x) = x^2 from 1, or whatever `height` says --- */

enum { HEIGHT };

static const dsc_hyper_spec parabola_spec[] = {
    [HEIGHT] = {.name = "height", .kind = DSC_HYPER_REAL, .min = 0, .max = 1e300, .initial = 1},
    {.name = NULL},
};

static size_t one(const dsc_hyper *hyper)
{
    (void)hyper;
    return 1;
}

static void parabola_sample(const dsc_hyper *hyper, const dsc_draw *draw, dsc_real *data,
                            dsc_real *theta)
{
    (void)hyper, (void)draw;
    data[0] = 0;
    theta[0] = 1;
}

static double parabola_eval(const dsc_hyper *hyper, const dsc_draw *draw, const dsc_real *data,
                            uint64_t t, const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const double height = hyper->value[HEIGHT];

    (void)draw, (void)data, (void)t, (void)work;
    if (grad)
        grad[0] = (dsc_real)(2 * height) * theta[0];
    return height * (double)theta[0] * (double)theta[0];
}

static const dsc_problem parabola = {
    .name = "parabola",
    .hyper = parabola_spec,
    .dim = one,
    .data_len = one,
    .work_len = one,
    .sample = parabola_sample,
    .eval = parabola_eval,
};

/* --- specs --- */

/* A linear map of the raw gradient, from zero weights. */
static dsc_train_spec linear_spec(const float *zeros)
{
    dsc_train_spec spec = {.family = &dsc_family_lstm,
                           .phi = zeros,
                           .problem_count = 1,
                           .problems = {{.problem = &parabola, .weight = 1}},
                           .horizon_count = 1,
                           .horizons = {10},
                           .unroll = 5,
                           .functions = 1,
                           .learning_rate = 0.01,
                           .epochs = 1,
                           .validate_every = 1000,
                           .validation_functions = 1};

    dsc_hyper_init(&spec.config, dsc_family_lstm.hyper);
    dsc_hyper_init(&spec.problems[0].hyper, parabola_spec);
    assert_true(dsc_hyper_set_number(&spec.config, "layers", 0, NULL));
    assert_true(dsc_hyper_set_number(&spec.config, "output_scale", 1, NULL));
    assert_true(dsc_hyper_set_word(&spec.config, "preprocessing", "none", NULL));
    return spec;
}

/* Small quadratics of two sizes. */
static dsc_train_spec quadratic_spec(uint64_t epochs)
{
    dsc_train_spec spec = {.family = &dsc_family_lstm,
                           .problem_count = 2,
                           .problems = {{.problem = &dsc_problem_quadratic, .weight = 1},
                                        {.problem = &dsc_problem_quadratic, .weight = 2}},
                           .horizon_count = 1,
                           .horizons = {23},
                           .unroll = 10,
                           .functions = 20,
                           .learning_rate = 0.01,
                           .clip_norm = 1,
                           .schedule = DSC_SCHEDULE_COSINE,
                           .epochs = epochs,
                           .validate_every = 3,
                           .validation_functions = 13,
                           .seed = 5};

    dsc_hyper_init(&spec.config, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(&spec.config, "hidden_size", 6, NULL));
    for (int i = 0; i < 2; i++) {
        dsc_hyper_init(&spec.problems[i].hyper, dsc_problem_quadratic.hyper);
        assert_true(
            dsc_hyper_set_number(&spec.problems[i].hyper, "dimension", i == 0 ? 3 : 110, NULL));
    }
    return spec;
}

static dsc_train *train_new(const dsc_train_spec *spec, const dsc_crew *crew)
{
    dsc_train *train = NULL;

    assert_true(dsc_train_new(&train, spec, crew, NULL));
    return train;
}

static void run(dsc_train *train, uint64_t until)
{
    while (dsc_train_progress_of(train).state == DSC_TRAIN_RUNNING &&
           dsc_train_progress_of(train).epoch < until)
        assert_true(dsc_train_epoch(train, NULL));
}

static void assert_same(const dsc_train *a, const dsc_train *b)
{
    const size_t len = dsc_train_bytes(a);
    unsigned char *const x = malloc(len), *const y = malloc(len);

    assert_int_equal(len, dsc_train_bytes(b));
    dsc_train_save(a, x);
    dsc_train_save(b, y);
    assert_memory_equal(x, y, len);
    free(x);
    free(y);
}

/* --- golden values --- */

/* From the authors' tests: two unrolls of five steps, then x = 0.8559 and the loss 0.7325. The
 * first unroll does not move, so that w = b = -0.01 after it: x <- 0.98 x - 0.01 in the second.
 * Seen through the epoch's mean loss: five times 1, then the squares of that sequence. */
static void test_golden(void **state)
{
    const float zeros[2] = {0};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_train *const train = train_new(&spec, &dsc_crew_alone);
    double x = 1, sum = 5;

    (void)state;
    run(train, 1);
    for (int t = 0; t < 5; t++) {
        x = 0.98 * x - 0.01;
        sum += x * x;
    }
    assert_true(fabs(x - 0.8559) < 5e-5 && fabs(x * x - 0.7325) < 7e-5);
    assert_true(fabs(dsc_train_progress_of(train).loss - sum / 10) < 1e-6);
    dsc_train_free(train);
}

/* The same with the losses weighed: the last one counts, and a thousandth of one before the step
 * from w = b = 0, which is 1. */
static void test_golden_last(void **state)
{
    const float zeros[2] = {0};
    const double weights[10] = {[4] = 1e-3, [9] = 1};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_train *train;

    (void)state;
    spec.loss = DSC_LOSS_NUMBERS;
    spec.loss_weights = weights;
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 1);
    assert_true(fabs(dsc_train_progress_of(train).loss - (0.7325 + 1e-3) / 1.001) < 1e-4);
    dsc_train_free(train);
}

/* An unroll without weights teaches nothing, not even what Adam remembers: with all weight in the
 * second one its first step is taken there, and the first unroll of the next epoch leaves it. */
static void test_unroll_without_weights(void **state)
{
    const float zeros[2] = {0};
    const double weights[10] = {[9] = 1};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_train *train;

    (void)state;
    spec.loss = DSC_LOSS_NUMBERS;
    spec.loss_weights = weights;
    spec.epochs = 2;
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 1);
    assert_true(fabs((double)dsc_train_phi(train)[0] + 0.01) < 1e-6); /* one step of Adam */
    run(train, 2);
    assert_in_range((int)(-1e4 * (double)dsc_train_phi(train)[0]), 190, 210); /* and one more */
    dsc_train_free(train);
}

/* --- the same bits --- */

/* Two threads a call, taking jobs from both ends. */
typedef struct {
    dsc_job *job;
    void *arg;
    size_t jobs;
    int worker;
} shift;

static void *work(void *arg)
{
    const shift *const s = arg;

    for (size_t i = 0; i < s->jobs; i++)
        if (i % 2 == (size_t)s->worker)
            s->job(s->arg, s->jobs - 1 - i, s->worker);
    return NULL;
}

static void run_two(void *pool, size_t jobs, dsc_job *job, void *arg)
{
    shift shifts[2] = {{job, arg, jobs, 0}, {job, arg, jobs, 1}};
    pthread_t thread;

    (void)pool;
    assert_int_equal(pthread_create(&thread, NULL, work, &shifts[1]), 0);
    (void)work(&shifts[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_threads(void **state)
{
    const dsc_train_spec spec = quadratic_spec(7);
    dsc_train *const a = train_new(&spec, &dsc_crew_alone);
    dsc_train *const b = train_new(&spec, &(dsc_crew) {2, run_two, NULL});

    (void)state;
    run(a, 7);
    run(b, 7);
    assert_same(a, b);
    dsc_train_free(a);
    dsc_train_free(b);
}

static void test_saved(void **state)
{
    const dsc_train_spec spec = quadratic_spec(8);
    dsc_train *const a = train_new(&spec, &dsc_crew_alone);
    dsc_train *b = train_new(&spec, &dsc_crew_alone);
    unsigned char *const bytes = malloc(dsc_train_bytes(a));

    (void)state;
    run(a, 8);
    for (uint64_t until = 1; until < 8; until += 3) { /* a new life every three epochs */
        run(b, until);
        dsc_train_save(b, bytes);
        dsc_train_free(b);
        b = train_new(&spec, &dsc_crew_alone);
        assert_true(dsc_train_load(b, bytes, dsc_train_bytes(b), NULL));
    }
    run(b, 8);
    assert_int_equal(dsc_train_progress_of(b).state, DSC_TRAIN_COMPLETED);
    assert_same(a, b);
    free(bytes);
    dsc_train_free(a);
    dsc_train_free(b);
}

static void test_bad_bytes(void **state)
{
    const dsc_train_spec spec = quadratic_spec(2);
    dsc_train *const train = train_new(&spec, &dsc_crew_alone);
    const size_t len = dsc_train_bytes(train);
    unsigned char *const bytes = malloc(len);
    dsc_err err = {0};

    (void)state;
    dsc_train_save(train, bytes);
    assert_false(dsc_train_load(train, bytes, len - 1, &err));
    assert_int_equal(err.code, DSC_EINVAL);
    bytes[0] ^= 1;
    assert_false(dsc_train_load(train, bytes, len, NULL));
    bytes[0] ^= 1;
    assert_true(dsc_train_load(train, bytes, len, NULL));
    free(bytes);
    dsc_train_free(train);
}

/* --- what it is for, and how it ends --- */

static void test_learns(void **state)
{
    dsc_train_spec spec = quadratic_spec(30);
    dsc_train *train;
    double first;

    (void)state;
    spec.problem_count = 1;
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 3);
    first = dsc_train_progress_of(train).validation;
    run(train, 30);
    assert_true(dsc_train_progress_of(train).best < 0.7 * first);
    dsc_train_free(train);
}

static void test_patience(void **state)
{
    const float zeros[2] = {0};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_train *train;

    (void)state;
    spec.epochs = 1000;
    spec.validate_every = 2;
    spec.patience = 3;
    spec.learning_rate = 1e-12; /* nothing gets better */
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 1000);
    assert_int_equal(dsc_train_progress_of(train).state, DSC_TRAIN_EARLY_STOP);
    assert_true(dsc_train_progress_of(train).epoch <= 12);
    dsc_train_free(train);
}

/* Each horizon runs out of patience in turn. */
static void test_curriculum(void **state)
{
    const float zeros[2] = {0};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_train *train;

    (void)state;
    spec.horizon_count = 3;
    spec.horizons[1] = 20;
    spec.horizons[2] = 30;
    spec.epochs = 1000;
    spec.validate_every = 1;
    spec.patience = 2;
    spec.learning_rate = 1e-12;
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 4);
    assert_int_equal(dsc_train_progress_of(train).horizon, 20);
    run(train, 1000);
    assert_int_equal(dsc_train_progress_of(train).horizon, 30);
    assert_int_equal(dsc_train_progress_of(train).state, DSC_TRAIN_EARLY_STOP);
    dsc_train_free(train);
}

/* A linear map of the gradient that follows SGD becomes SGD: the weight its rate, the bias 0. */
static void test_imitation(void **state)
{
    const float zeros[2] = {0};
    dsc_train_spec spec = linear_spec(zeros);
    dsc_model *sgd = NULL;
    dsc_hyper hyper;
    dsc_train *train;

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_sgd.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "learning_rate", 0.05, NULL));
    assert_true(dsc_model_new(&sgd, &dsc_family_sgd, &hyper, NULL, NULL, NULL));
    spec.imitation = (dsc_imitation) {.teacher = sgd, .probability = 1};
    spec.epochs = 400;
    spec.validate_every = 400;
    spec.schedule = DSC_SCHEDULE_COSINE;
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 400);
    assert_true(dsc_train_progress_of(train).imitated);
    assert_true(dsc_train_progress_of(train).loss < 1e-6);
    assert_true(fabs((double)dsc_train_phi(train)[0] + 0.05) < 1e-3);
    assert_true(fabs((double)dsc_train_phi(train)[1]) < 1e-3);
    dsc_train_free(train);
    dsc_model_drop(sgd);
}

/* Some epochs only, the same ones on any number of threads and in every life. */
static void test_imitation_sometimes(void **state)
{
    dsc_train_spec spec = quadratic_spec(20);
    dsc_model *adam = NULL;
    dsc_hyper hyper;
    int imitated = 0;

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_adam.hyper);
    assert_true(dsc_model_new(&adam, &dsc_family_adam, &hyper, NULL, NULL, NULL));
    spec.imitation = (dsc_imitation) {.teacher = adam, .probability = 0.5, .epochs = 10};
    dsc_train *const a = train_new(&spec, &dsc_crew_alone);
    dsc_train *const b = train_new(&spec, &(dsc_crew) {2, run_two, NULL});
    for (uint64_t epoch = 0; epoch < 12; epoch++) {
        run(a, epoch + 1);
        imitated += dsc_train_progress_of(a).imitated;
        assert_true(epoch < 10 || !dsc_train_progress_of(a).imitated);
    }
    assert_true(imitated > 0 && imitated < 10);
    run(b, 12);
    assert_same(a, b);
    dsc_train_free(a);
    dsc_train_free(b);
    dsc_model_drop(adam);
}

/* A loss beyond every float: no step is taken, all are counted, and the weights stay as they were.
 */
static void test_diverged(void **state)
{
    const float start[2] = {0.5f, 0.25f};
    dsc_train_spec spec = linear_spec(start);
    dsc_train *train;

    (void)state;
    spec.epochs = 1000;
    assert_true(dsc_hyper_set_number(&spec.problems[0].hyper, "height", 1e300, NULL));
    train = train_new(&spec, &dsc_crew_alone);
    run(train, 1000);
    assert_int_equal(dsc_train_progress_of(train).state, DSC_TRAIN_DIVERGED);
    assert_true(dsc_train_progress_of(train).skipped == dsc_train_progress_of(train).epoch);
    assert_memory_equal(dsc_train_phi(train), start, sizeof start);
    dsc_train_free(train);
}

static void test_bad_specs(void **state)
{
    const double negative[10] = {-1}, none[10] = {0}, late[20] = {[15] = 1};
    const float zeros[2] = {0};
    dsc_train_spec spec;
    dsc_train *train = NULL;
    dsc_err err = {0};

    (void)state;
    spec = quadratic_spec(1);
    spec.unroll = 24;
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, &err));
    assert_string_equal(err.where, "unroll");
    spec = quadratic_spec(1);
    spec.family = &dsc_family_adam;
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, NULL));
    spec = quadratic_spec(1);
    spec.horizon_count = 2;
    spec.horizons[1] = 23;
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, NULL));
    spec = quadratic_spec(1);
    spec.horizons[0] = 10;
    spec.loss = DSC_LOSS_NUMBERS;
    spec.loss_weights = negative;
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, NULL));
    spec.loss_weights = none;
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, NULL));
    spec = linear_spec(zeros);
    spec.horizon_count = 2;
    spec.horizons[1] = 20;
    spec.loss = DSC_LOSS_NUMBERS;
    spec.loss_weights = late; /* nothing to learn from in the first horizon */
    assert_false(dsc_train_new(&train, &spec, &dsc_crew_alone, &err));
    assert_null(train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_last),
        cmocka_unit_test(test_unroll_without_weights),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_curriculum),
        cmocka_unit_test(test_imitation),
        cmocka_unit_test(test_imitation_sometimes),
        cmocka_unit_test(test_diverged),
        cmocka_unit_test(test_bad_specs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
