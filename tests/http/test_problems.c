/* test_problems.c -- the list of problems, and that each of them can be trained on as it says */
#include "core/descent.h"
#include "tests/support/client.h"
#include <cmocka.h>

static struct served server;
static struct client client;

static int start(void **state)
{
    static const char *const flags[] = {"--jobs", "0", NULL};

    (void)state;
    server.flags = flags;
    client_open(&client, &server);
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

static const char *text(const json_t *body, const char *name)
{
    const char *const value = json_string_value(json_object_get(body, name));

    assert_non_null(value);
    return value;
}

static void expect_parameter(const json_t *shown, const dsc_hyper_spec *row)
{
    static const char *const kinds[] = {"integer", "number", "word"};
    const json_t *const range = json_object_get(shown, "range"),
                        *const initial = json_object_get(shown, "default"),
                        *const words = json_object_get(shown, "words");

    assert_string_equal(text(shown, "name"), row->name);
    assert_string_equal(text(shown, "kind"), kinds[row->kind]);
    assert_string_equal(text(shown, "meaning"), row->doc);
    if (row->kind == DSC_HYPER_WORD) {
        assert_true(json_is_null(range));
        assert_string_equal(json_string_value(initial), row->words[(size_t)row->initial]);
        for (size_t i = 0; row->words[i]; i++)
            assert_string_equal(json_string_value(json_array_get(words, i)), row->words[i]);
    } else {
        assert_true(json_number_value(initial) == row->initial);
        assert_true(json_number_value(json_array_get(range, 0)) == row->min);
        assert_true(json_number_value(json_array_get(range, 1)) == row->max);
        assert_int_equal(json_array_size(words), 0);
    }
}

static void test_every_problem_is_listed(void **state)
{
    size_t i = 0;

    (void)state;
    json_t *const page = client_json(&client, "GET", "/v1/problems", NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    for (; dsc_problems[i]; i++) {
        const json_t *const shown = json_array_get(items, i);
        const json_t *const parameters = json_object_get(shown, "parameters");
        size_t row = 0;
        assert_string_equal(text(shown, "type"), dsc_problems[i]->name);
        for (; dsc_problems[i]->hyper[row].name; row++)
            expect_parameter(json_array_get(parameters, row), &dsc_problems[i]->hyper[row]);
        assert_int_equal(json_array_size(parameters), row);
    }
    assert_int_equal(json_array_size(items), i);
    json_decref(page);
}

/* A client that knows nothing but the list: every problem with every parameter at its default. */
static void test_defaults_are_taken(void **state)
{
    json_t *const page = client_json(&client, "GET", "/v1/problems", NULL, 200), *shown, *one;
    size_t i, k;

    (void)state;
    json_array_foreach(json_object_get(page, "items"), i, shown)
    {
        json_t *const params = json_object();
        json_array_foreach(json_object_get(shown, "parameters"), k, one)
            json_object_set(params, text(one, "name"), json_object_get(one, "default"));
        json_t *const spec =
            json_pack("{ss,ss,s[{ss,so}]}", "type", "meta_train", "optimizer", "mine", "problems",
                      "type", text(shown, "type"), "params", params);
        char *const body = json_dumps(spec, 0);
        json_decref(client_json(&client, "POST", "/v1/jobs", body, 202));
        free(body);
        json_decref(spec);
    }
    json_decref(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_problem_is_listed),
        cmocka_unit_test(test_defaults_are_taken),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
