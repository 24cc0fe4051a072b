/* test_spec.c -- jobs as text: what is left out, what is wrong and how it is named */
#include "server/fault.h"
#include "server/limits.h"
#include "server/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct datasets *datasets;

static int setup(void **state)
{
    static dsc_arena arena;

    if (!datasets_open(&datasets, NULL, NULL))
        return -1;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    dsc_arena_release(*state);
    datasets_close(datasets);
    return 0;
}

/* --- training --- */

static bool train(const char *text, struct spec_train *out, dsc_arena *arena, dsc_err *err)
{
    *err = (dsc_err) {.code = DSC_OK};
    return spec_train_decode(out, text, strlen(text), NULL, datasets, arena, err);
}

static void test_train_defaults(void **state)
{
    struct spec_train s;
    dsc_err err;

    assert_true(train("{\"problems\":[{\"type\":\"quadratic\"}]}", &s, *state, &err));
    assert_ptr_equal(s.core.family, &dsc_family_lstm);
    assert_null(s.optimizer);
    assert_null(s.init_from);
    assert_true(s.core.problem_count == 1 && s.core.problems[0].weight == 1);
    assert_ptr_equal(s.core.problems[0].problem, &dsc_problem_quadratic);
    assert_true(s.core.problems[0].hyper.value[0] == 10);
    assert_true(s.core.horizon_count == 1 && s.core.horizons[0] == 100 && s.core.unroll == 20);
    assert_true(s.core.functions == 8 && s.core.loss == DSC_LOSS_UNIFORM);
    assert_true(s.core.learning_rate == 0.003 && s.core.clip_norm == 1);
    assert_true(s.core.epochs == 500 && s.core.validate_every == 25);
    assert_true(s.core.validation_functions == 32 && s.core.patience == 5 && s.core.seed == 1);
}

static void test_train_whole(void **state)
{
    static const char text[] =
        "{\"type\":\"meta_train\",\"optimizer\":\"mine\",\"family\":\"lstm\",\"config\":{"
        "\"layers\":1},"
        "\"init_from\":null,\"problems\":[{\"type\":\"quadratic\",\"weight\":2,\"params\":{"
        "\"dimension\":3}},{\"type\":\"quadratic\"}],\"curriculum\":[4,8],\"unroll\":2,"
        "\"functions_per_step\":16,\"loss_weights\":[0,0,0,0,0,0,1,2.5],\"random_scale\":3,"
        "\"convex_helper\":true,\"meta_optimizer\":{\"name\":\"adam\",\"learning_rate\":0.01,"
        "\"clip_norm\":0,\"schedule\":\"cosine\"},\"epochs\":7,\"validate_every\":2,"
        "\"validation_functions\":9,\"patience\":0,\"seed\":4,\"algorithm\":\"bptt\",\"alias\":"
        "\"c\"}";
    struct spec_train s;
    dsc_err err;

    assert_true(train(text, &s, *state, &err));
    assert_string_equal(s.optimizer, "mine");
    assert_true(s.has_config && s.core.config.value[1] == 1);
    assert_true(s.core.problem_count == 2 && s.core.problems[0].weight == 2);
    assert_true(s.core.problems[0].hyper.value[0] == 3 && s.core.problems[1].hyper.value[0] == 10);
    assert_true(s.core.horizon_count == 2 && s.core.horizons[0] == 4 && s.core.horizons[1] == 8);
    assert_true(s.core.loss == DSC_LOSS_NUMBERS && s.core.loss_weights[7] == 2.5);
    assert_true(s.core.dressing.random_scale == 3 && s.core.dressing.convex_helper);
    assert_true(s.core.learning_rate == 0.01 && s.core.clip_norm == 0);
    assert_true(s.core.schedule == DSC_SCHEDULE_COSINE && s.core.patience == 0);
    assert_true(s.core.epochs == 7 && s.core.validate_every == 2 && s.core.seed == 4);
}

#define PROBLEMS "\"problems\":[{\"type\":\"quadratic\"}]"

static void test_train_wrong(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where;
    } rows[] = {
        {"{}", FAULT_MISSING_FIELD, "problems"},
        {"{\"problems\":[]}", FAULT_INVALID_VALUE, "problems"},
        {"{\"problems\":[{}]}", FAULT_MISSING_FIELD, "problems[0].type"},
        {"{\"problems\":[{\"type\":\"quadratik\"}]}", FAULT_INVALID_VALUE, "problems[0].type"},
        {"{\"problems\":[{\"type\":\"quadratic\"},{\"type\":\"quadratic\",\"params\":{"
         "\"dimension\":"
         "0}}]}",
         FAULT_INVALID_VALUE, "problems[1].params.dimension"},
        {"{\"problems\":[{\"type\":\"quadratic\",\"params\":{\"size\":1}}]}", FAULT_UNKNOWN_FIELD,
         "problems[0].params.size"},
        {"{\"problems\":[{\"type\":\"mlp\"}]}", FAULT_MISSING_FIELD, "problems[0].params.dataset"},
        {"{\"problems\":[{\"type\":\"mlp\",\"params\":{\"dataset\":\"mnist\"}}]}",
         FAULT_INVALID_VALUE, "problems[0].params.dataset"},
        {"{\"problems\":[{\"type\":\"mlp\",\"params\":{\"dataset\":3}}]}", FAULT_INVALID_VALUE,
         "problems[0].params.dataset"},
        {"{\"problems\":[{\"type\":\"mlp\",\"params\":{\"hidden\":[20,0]}}]}", FAULT_INVALID_VALUE,
         "problems[0].params.hidden"},
        {"{" PROBLEMS ",\"epoch\":3}", FAULT_UNKNOWN_FIELD, "epoch"},
        {"{" PROBLEMS ",\"epochs\":0}", FAULT_INVALID_VALUE, "epochs"},
        {"{" PROBLEMS ",\"type\":\"evaluate\"}", FAULT_INVALID_VALUE, "type"},
        {"{" PROBLEMS ",\"algorithm\":\"es\"}", FAULT_INVALID_VALUE, "algorithm"},
        {"{" PROBLEMS ",\"family\":\"lsmt\"}", FAULT_INVALID_VALUE, "family"},
        {"{" PROBLEMS ",\"family\":\"adam\"}", FAULT_INVALID_VALUE, "family"},
        {"{" PROBLEMS ",\"config\":{\"layers\":9}}", FAULT_INVALID_VALUE, "config.layers"},
        {"{" PROBLEMS ",\"loss_weights\":[1,2]}", FAULT_INVALID_VALUE, "loss_weights"},
        {"{" PROBLEMS ",\"loss_weights\":\"first\"}", FAULT_INVALID_VALUE, "loss_weights"},
        {"{" PROBLEMS ",\"meta_optimizer\":{\"learning_rate\":0}}", FAULT_INVALID_VALUE,
         "meta_optimizer.learning_rate"},
        {"{" PROBLEMS, FAULT_MALFORMED_JSON, ""},
    };
    struct spec_train s;
    dsc_err err;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(train(rows[i].text, &s, *state, &err));
        if (err.code != rows[i].code || strcmp(err.where, rows[i].where) != 0)
            fail_msg("%s: %d %s: %s", rows[i].text, err.code, err.where, err.text);
    }
    assert_false(train("{\"problems\":[{\"type\":\"quadratik\"}]}", &s, *state, &err));
    assert_string_equal(err.text, "there is no problem \"quadratik\"; did you mean \"quadratic\"?");
}

/* --- evaluation --- */

static bool eval(const char *text, struct spec_eval *out, dsc_arena *arena, dsc_err *err)
{
    *err = (dsc_err) {.code = DSC_OK};
    return spec_eval_decode(out, text, strlen(text), datasets, arena, err);
}

static void test_eval_right(void **state)
{
    struct spec_eval s;
    dsc_err err;

    assert_true(
        eval("{\"optimizers\":[\"a:3\",\"b\"],\"baselines\":[\"sgd\",\"adam\"],\"problem\":{"
             "\"type\":\"quadratic\",\"params\":{\"dimension\":4}},\"steps\":9,\"seed\":7}",
             &s, *state, &err));
    assert_true(s.optimizers.count == 2 && s.baselines.count == 2);
    assert_string_equal(((const char *const *)s.optimizers.items)[1], "b");
    assert_string_equal(((const char *const *)s.baselines.items)[0], "sgd");
    assert_true(s.task.hyper->value[0] == 4 && s.task.steps == 9 && s.task.seed == 7);
    assert_true(s.task.functions == 128 && s.tuning.rates == 27 && s.tuning.min == 1e-5 &&
                s.tuning.max == 10 && s.tuning.functions == 128);
    assert_true(eval("{\"baselines\":[\"sgd\"],\"problem\":{\"type\":\"quadratic\"},\"tuning\":{"
                     "\"learning_rates\":3,\"range\":[0.1,1],\"functions\":5}}",
                     &s, *state, &err));
    assert_true(s.tuning.rates == 3 && s.tuning.min == 0.1 && s.tuning.max == 1 &&
                s.tuning.functions == 5);
}

#define PROBLEM "\"problem\":{\"type\":\"quadratic\"}"

static void test_eval_wrong(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where;
    } rows[] = {
        {"{\"optimizers\":[\"a\"]}", FAULT_MISSING_FIELD, "problem"},
        {"{" PROBLEM "}", FAULT_MISSING_FIELD, "optimizers"},
        {"{" PROBLEM ",\"optimizers\":[],\"baselines\":[]}", FAULT_MISSING_FIELD, "optimizers"},
        {"{" PROBLEM ",\"optimizers\":[1]}", FAULT_INVALID_VALUE, "optimizers[0]"},
        {"{" PROBLEM ",\"baselines\":[\"sgd\",\"sdg\"]}", FAULT_INVALID_VALUE, "baselines[1]"},
        {"{" PROBLEM ",\"baselines\":[\"lstm\"]}", FAULT_INVALID_VALUE, "baselines[0]"},
        {"{" PROBLEM ",\"baselines\":[\"sgd\"],\"tuning\":{\"range\":[1,0.1]}}",
         FAULT_INVALID_VALUE, "tuning.range"},
        {"{" PROBLEM ",\"baselines\":[\"sgd\"],\"tuning\":{\"range\":[1]}}", FAULT_INVALID_VALUE,
         "tuning.range"},
        {"{\"baselines\":[\"sgd\"],\"problem\":{\"type\":\"x\"}}", FAULT_INVALID_VALUE,
         "problem.type"},
    };
    struct spec_eval s;
    dsc_err err;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(eval(rows[i].text, &s, *state, &err));
        if (err.code != rows[i].code || strcmp(err.where, rows[i].where) != 0)
            fail_msg("%s: %d %s: %s", rows[i].text, err.code, err.where, err.text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_train_defaults), TEST(test_train_whole), TEST(test_train_wrong),
        TEST(test_eval_right),     TEST(test_eval_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
