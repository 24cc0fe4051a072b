/* test_schema.c -- the judge of every reply: each keyword lets something pass and stops something
 */
#include "tests/support/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const char root_text[] =
    "{\"components\": {\"schemas\": {"
    " \"point\": {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"number\"}},"
    "             \"required\": [\"x\"]}}}}";

static const struct {
    const char *schema, *good, *bad, *why;
} row[] = {
    {"{'type': 'integer'}", "1", "1.5", "is no integer"},
    {"{'type': 'number'}", "1.5", "'1'", "is no number"},
    {"{'type': 'boolean'}", "true", "0", "is no boolean"},
    {"{'type': 'string'}", "'a'", "null", "is no string"},
    {"{'type': 'array'}", "[]", "{}", "is no array"},
    {"{'type': ['integer', 'null']}", "null", "false", "none of the types"},
    {"{'enum': ['a', null]}", "'a'", "'b'", "none of the words"},
    {"{'minimum': 1, 'maximum': 2}", "2", "3", "above 2"},
    {"{'minimum': 1, 'maximum': 2}", "1", "0", "below 1"},
    {"{'exclusiveMinimum': 0}", "0.1", "0", "not above 0"},
    {"{'minLength': 1, 'maxLength': 2}", "'\xc3\xa4\xc3\xa4'", "'abc'", "too long"},
    {"{'minLength': 1}", "'a'", "''", "too short"},
    {"{'format': 'date-time'}", "'2026-11-25T15:00:00.123Z'", "'2026-11-25 15:00'", "no time"},
    {"{'items': {'type': 'integer'}}", "[1, 2]", "[1, '2']", "is no integer"},
    {"{'minItems': 1, 'maxItems': 2}", "[1]", "[]", "too few"},
    {"{'minItems': 1, 'maxItems': 2}", "[1]", "[1, 2, 3]", "too many"},
    {"{'uniqueItems': true}", "[1, 2]", "[1, 1]", "twice"},
    {"{'type': 'object', 'properties': {'a': {'type': 'integer'}}}", "{'a': 1}", "{'a': 'x'}",
     "a: is no integer"},
    {"{'type': 'object', 'properties': {'a': {}}}", "{'a': 1}", "{'b': 1}", "not described"},
    {"{'type': 'object', 'properties': {'a': {}}, 'required': ['a']}", "{'a': 1}", "{}", "lacks a"},
    {"{'type': 'object', 'additionalProperties': {'type': 'string'}}", "{'b': 'x'}", "{'b': 1}",
     "b: is no string"},
    {"{'type': 'object', 'maxProperties': 1}", "{'b': 'x'}", "{'b': 1, 'c': 1}", "too many"},
    {"{'anyOf': [{'type': 'integer'}, {'type': 'null'}]}", "null", "'x'", "no branch"},
    {"{'oneOf': [{'type': 'integer'}, {'type': 'number'}]}", "1.5", "1", "exactly one"},
    {"{'$ref': '#/components/schemas/point'}", "{'x': 1}", "{}", "lacks x"},
    {"{'$ref': '#/components/schemas/point', 'properties': {'x': {'enum': [1]}}}", "{'x': 1}",
     "{'x': 2}", "none of the words"},
};

/* JSON with ' for ". */
static json_t *json(const char *text)
{
    char out[512];
    size_t i;

    for (i = 0; text[i]; i++)
        out[i] = text[i] == '\'' ? '"' : text[i];
    out[i] = '\0';
    json_t *const value = json_loads(out, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

static void each_keyword_passes_and_stops(void **state)
{
    json_t *const root = json(root_text);
    char why[SCHEMA_WHY_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *const schema = json(row[i].schema);
        json_t *const good = json(row[i].good), *const bad = json(row[i].bad);
        if (!schema_fits(root, schema, good, why))
            fail_msg("%s stops %s: %s", row[i].schema, row[i].good, why);
        if (schema_fits(root, schema, bad, why))
            fail_msg("%s lets %s pass", row[i].schema, row[i].bad);
        if (!strstr(why, row[i].why))
            fail_msg("%s about %s: %s", row[i].schema, row[i].bad, why);
        json_decref(schema);
        json_decref(good);
        json_decref(bad);
    }
    json_decref(root);
}

/* What the judge does not know it must not pass over. */
static void a_schema_that_is_not_understood_fits_nothing(void **state)
{
    static const char *const schemas[] = {"{'pattern': '^a'}",
                                          "{'$ref': '#/components/schemas/none'}",
                                          "{'type': 'integr'}", "{'format': 'email'}"};
    char why[SCHEMA_WHY_BYTES];
    json_t *const root = json(root_text), *const value = json("'a'");

    (void)state;
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        json_t *const schema = json(schemas[i]);
        assert_false(schema_fits(root, schema, value, why));
        assert_true(why[0]);
        json_decref(schema);
    }
    json_decref(root);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_keyword_passes_and_stops),
        cmocka_unit_test(a_schema_that_is_not_understood_fits_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
