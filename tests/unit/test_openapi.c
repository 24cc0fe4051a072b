/* test_openapi.c -- the description: the committed copy, and laws over all tables */
#include "server/openapi.h"
#include "server/api.h"
#include "server/shapes.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct buf *made;
static json_t *document;

static int make(void **state)
{
    dsc_err err = {0};

    (void)state;
    if (!openapi_make(&made, &err))
        return -1;
    document = json_loadb((const char *)made->data, made->len, JSON_REJECT_DUPLICATES, NULL);
    return document ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    json_decref(document);
    buf_drop(made);
    return 0;
}

static void the_committed_copy_is_current(void **state)
{
    FILE *const file = fopen("clients/openapi.json", "rb");
    char *const text = malloc(made->len + 2);
    size_t len;

    (void)state;
    assert_non_null(file);
    assert_non_null(text);
    len = fread(text, 1, made->len + 2, file);
    fclose(file);
    if (len != made->len || memcmp(text, made->data, len) != 0)
        fail_msg("clients/openapi.json is not what this program says: run `make openapi`");
    free(text);
}

static void the_same_bytes_each_time(void **state)
{
    struct buf *again = NULL;
    dsc_err err = {0};

    (void)state;
    assert_true(openapi_make(&again, &err));
    assert_int_equal(again->len, made->len);
    assert_memory_equal(again->data, made->data, made->len);
    buf_drop(again);
}

/* --- what the document promises --- */

static void check_references(const json_t *node)
{
    const char *const path = json_string_value(json_object_get(node, "$ref"));
    const char *key;
    json_t *value;
    size_t i;

    if (path) {
        char kind[64], name[256];
        assert_int_equal(sscanf(path, "#/components/%63[^/]/%255s", kind, name), 2);
        const json_t *const kinds = json_object_get(json_object_get(document, "components"), kind);
        if (!json_object_get(kinds, name))
            fail_msg("%s is not there", path);
    }
    json_object_foreach((json_t *)node, key, value) check_references(value);
    json_array_foreach(node, i, value) check_references(value);
}

static void every_reference_leads_somewhere(void **state)
{
    (void)state;
    check_references(document);
}

static void every_row_is_an_operation(void **state)
{
    const json_t *const paths = json_object_get(document, "paths");
    size_t operations = 0;
    const char *key;
    json_t *path;

    (void)state;
    json_object_foreach((json_t *)paths, key, path) operations += json_object_size(path);
    assert_int_equal(operations, route_count());
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        char method[16] = "";
        for (size_t c = 0; route->method[c]; c++)
            method[c] = (char)(route->method[c] | 0x20);
        const json_t *const operation =
            json_object_get(json_object_get(paths, route->path), method);
        assert_string_equal(json_string_value(json_object_get(operation, "summary")),
                            route->summary);
    }
}

static void operation_ids_are_unique(void **state)
{
    json_t *const seen = json_object();
    const char *key, *method;
    json_t *path, *operation;

    (void)state;
    json_object_foreach(json_object_get(document, "paths"), key, path)
    {
        json_object_foreach(path, method, operation)
        {
            const char *const id = json_string_value(json_object_get(operation, "operationId"));
            if (json_object_get(seen, id))
                fail_msg("%s is there twice", id);
            json_object_set_new(seen, id, json_true());
        }
    }
    json_decref(seen);
}

static const json_t *schema(const char *name)
{
    const json_t *const components = json_object_get(document, "components");

    return json_object_get(json_object_get(components, "schemas"), name);
}

static const json_t *property(const char *of, const char *name)
{
    return json_object_get(json_object_get(schema(of), "properties"), name);
}

static bool is_json(const json_t *node, const char *text)
{
    json_t *const want = json_loads(text, JSON_DECODE_ANY, NULL);
    const bool same = json_equal(node, want);

    json_decref(want);
    return same;
}

/* One of each kind, typed a second time. */
static void rows_become_schemas(void **state)
{
    (void)state;
    assert_true(is_json(property("limits", "page_size_max"),
                        "{\"type\": \"integer\", \"description\": \"Items in a page.\"}"));
    assert_true(is_json(property("optimizer", "latest_version"),
                        "{\"type\": [\"integer\", \"null\"],"
                        " \"description\": \"The highest version, or null.\"}"));
    assert_true(is_json(property("key", "created_at"), "{\"type\": \"string\", \"format\":"
                                                       " \"date-time\", \"description\":"
                                                       " \"RFC 3339.\"}"));
    assert_true(
        is_json(property("session_new", "clip_norm"),
                "{\"type\": [\"number\", \"null\"], \"minimum\": 1e-30, \"maximum\": 1e30,"
                " \"description\": \"The whole gradient, over all tensors and optimizers, is"
                " scaled down to this Euclidean norm before any optimizer sees it; null:"
                " never.\"}"));
    assert_true(is_json(json_object_get(property("session_new", "durability"), "enum"),
                        "[\"strict\", \"relaxed\", \"memory\"]"));
    assert_true(is_json(json_object_get(property("session_new", "layout"), "items"),
                        "{\"$ref\": \"#/components/schemas/layout\"}"));
    assert_true(
        is_json(json_object_get(property("info", "dtypes"), "items"), "{\"type\": \"string\"}"));
    assert_true(is_json(property("optimizer_new", "config"),
                        "{\"$ref\": \"#/components/schemas/config\","
                        " \"description\": \"Of the family; the rest is default.\"}"));
    assert_true(is_json(json_object_get(property("config_lstm", "layers"), "default"), "2"));
    assert_true(
        is_json(json_object_get(property("config_sgd", "learning_rate"), "default"), "0.01"));
    assert_true(is_json(property("update_in", "gradient"),
                        "{\"type\": \"array\", \"items\": {\"type\": \"number\"},"
                        " \"description\": \"One number a coordinate.\"}"));
    assert_true(is_json(json_object_get(schema("session_new"), "required"), "[\"optimizer\"]"));
    assert_true(is_json(json_object_get(schema("session_new"), "additionalProperties"), "false"));
    assert_null(json_object_get(schema("session"), "additionalProperties"));
}

/* --- laws over the tables that it is made of --- */

static void check_rows(const struct shape *shape, bool request)
{
    for (const struct field *row = shape->fields; row->name; row++) {
        const unsigned need = row->flags & (FIELD_REQUIRED | FIELD_OPTIONAL);
        if (!row->doc || !row->doc[0])
            fail_msg("%s.%s says nothing", shape->name, row->name);
        if (request && need != FIELD_REQUIRED && need != FIELD_OPTIONAL)
            fail_msg("%s.%s is neither required nor optional", shape->name, row->name);
        if (row->shape)
            check_rows(row->shape, request);
    }
}

static void every_row_says_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        assert_true(route->summary[0] && route->serve && route->scope != SCOPE_UNDECLARED);
        if (route->in)
            check_rows(route->in, true);
        if (route->out)
            check_rows(route->out, false);
    }
    check_rows(&problem_shape, false);
}

/* Two shapes of one name would hide each other. */
static void names_of_shapes_are_theirs(void **state)
{
    const struct shape *seen[512];
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct shape *const both[] = {route_at(i)->in, route_at(i)->out};
        for (size_t b = 0; b < 2; b++) {
            for (size_t k = 0; both[b] && k < count; k++)
                if (strcmp(seen[k]->name, both[b]->name) == 0)
                    assert_ptr_equal(seen[k], both[b]);
            if (both[b])
                seen[count++] = both[b];
        }
    }
}

/* A method and path twice: the second would never be served. */
static void no_route_hides_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count(); i++)
        for (size_t k = i + 1; k < route_count(); k++)
            assert_false(strcmp(route_at(i)->path, route_at(k)->path) == 0 &&
                         strcmp(route_at(i)->method, route_at(k)->method) == 0);
    assert_null(route_at(route_count()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_copy_is_current),
        cmocka_unit_test(the_same_bytes_each_time),
        cmocka_unit_test(every_reference_leads_somewhere),
        cmocka_unit_test(every_row_is_an_operation),
        cmocka_unit_test(operation_ids_are_unique),
        cmocka_unit_test(rows_become_schemas),
        cmocka_unit_test(every_row_says_what_it_is),
        cmocka_unit_test(names_of_shapes_are_theirs),
        cmocka_unit_test(no_route_hides_another),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
