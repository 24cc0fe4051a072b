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
    static const char *const kinds[] = {"integer", "number", "word", "integers", "dataset"};
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
    } else if (row->kind == DSC_HYPER_DATASET) {
        assert_true(json_is_null(range) && json_is_null(initial));
    } else {
        const json_t *const first =
            row->kind == DSC_HYPER_LIST ? json_array_get(initial, 0) : initial;
        assert_true(json_number_value(first) == row->initial);
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

/* A table of two classes, as a dataset `mine`. */
static void upload_table(void)
{
    static const char table[] = "a,b,class\n0,1,0\n1,0,1\n0,2,0\n2,0,1\n0,3,0\n3,0,1\n";
    const struct asked asked = {.method = "PUT",
                                .path = "/v1/datasets/mine/files/train.csv",
                                .type = "application/octet-stream",
                                .body = table,
                                .len = strlen(table)};

    assert_int_equal(client_ask(&client, &asked).status, 201);
    json_decref(
        client_json(&client, "POST", "/v1/datasets/mine/commit", "{\"format\":\"csv\"}", 200));
}

/* Every parameter of a problem at its default, and the dataset where it takes one. */
static json_t *defaults_of(const json_t *shown)
{
    json_t *const params = json_object(), *one;
    size_t i;

    json_array_foreach(json_object_get(shown, "parameters"), i,
                       one) if (strcmp(text(one, "kind"), "dataset") == 0)
        json_object_set_new(params, text(one, "name"), json_string("mine"));
    else json_object_set(params, text(one, "name"), json_object_get(one, "default"));
    return params;
}

/* A client that knows nothing but the list can train on every problem; but for one that needs
 * images, which says so. */
static void test_defaults_are_taken(void **state)
{
    json_t *const page = client_json(&client, "GET", "/v1/problems", NULL, 200), *shown;
    size_t i;

    (void)state;
    upload_table();
    json_array_foreach(json_object_get(page, "items"), i, shown)
    {
        const bool images = strcmp(text(shown, "type"), "convnet") == 0;
        json_t *const spec =
            json_pack("{ss,ss,s[{ss,so}]}", "type", "meta_train", "optimizer", "mine", "problems",
                      "type", text(shown, "type"), "params", defaults_of(shown));
        char *const body = json_dumps(spec, 0);
        json_decref(client_json(&client, "POST", "/v1/jobs", body, images ? 422 : 202));
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
