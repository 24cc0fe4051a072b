/* test_where.c -- paths into a JSON body: written, found from a byte, as pointers */
#include "server/where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void names_and_indices_make_a_path(void **state)
{
    char where[64] = "";

    (void)state;
    where_name(where, sizeof where, "layout");
    where_index(where, sizeof where, 12);
    where_name(where, sizeof where, "shape");
    where_index(where, sizeof where, 0);
    assert_string_equal(where, "layout[12].shape[0]");
}

static void names_that_would_be_misread_are_quoted(void **state)
{
    static const struct {
        const char *name, *where;
    } row[] = {
        {"a", "labels.a"},           {"a.b", "labels[\"a.b\"]"}, {"a[0]", "labels[\"a[0]\"]"},
        {"", "labels[\"\"]"},        {"a/b", "labels.a/b"},      {"\x01", "labels.?"},
        {"a b-c_", "labels.a b-c_"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char where[64] = "labels";
        where_name(where, sizeof where, row[i].name);
        assert_string_equal(where, row[i].where);
    }
}

static void a_path_that_does_not_fit_is_cut(void **state)
{
    char where[8] = "";

    (void)state;
    where_name(where, sizeof where, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    assert_string_equal(where, "\xc3\xa4\xc3\xa4\xc3\xa4"); /* whole letters */
    where_index(where, sizeof where, 123456);
    assert_string_equal(where, "\xc3\xa4\xc3\xa4\xc3\xa4[");
    where_name(where, sizeof where, "x");
    assert_int_equal(strlen(where), 7);
}

/* The byte is that of the first '^'. */
static void a_byte_is_found(void **state)
{
    static const struct {
        const char *text, *where;
    } row[] = {
        {"{\"loss\": 1e9^99}", "loss"},
        {"{\"a\": 1, \"b\": ^2}", "b"},
        {"{\"a\": {\"b\": [1, {\"c\": ^2}]}}", "a.b[1].c"},
        {"{\"a\": [[1, 2], [3, ^4]]}", "a[1][1]"},
        {"{\"a\": [1, 2], \"b\": ^1}", "b"},
        {"{\"a\": {\"x\": 1}, \"b\": [{}, {\"y\": 2}, ^3]}", "b[2]"},
        {"{\"a\": \"x, {\\\"\", \"b\": ^1}", "b"},
        {"{\"a.b\": ^1}", "[\"a.b\"]"},
        {"{\"a\": \"te^xt\"}", "a"},
        {"^{}", ""},
        {"{\"a\": [], ^}", ""},
        {"{\"a\": \"\\", "a"},
        {"]]}}^", ""},
        {"{\"unfinished", "unfinished"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char where[64];
        where_of_byte(row[i].text, strlen(row[i].text), strcspn(row[i].text, "^"), where,
                      sizeof where);
        if (strcmp(where, row[i].where) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", row[i].text, where, row[i].where);
    }
}

/* Deeper than any body that is parsed: no array of the walk is left. */
static void depth_has_an_end(void **state)
{
    char text[256], where[64];

    (void)state;
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    for (size_t at = 0; at <= sizeof text; at++)
        where_of_byte(text, sizeof text, at, where, sizeof where);
    assert_string_equal(where, "");
}

static void a_path_is_a_pointer(void **state)
{
    static const struct {
        const char *where, *pointer;
    } row[] = {
        {"step", "/step"},
        {"layout[1].shape[0]", "/layout/1/shape/0"},
        {"labels[\"a.b\"]", "/labels/a.b"},
        {"[\"a.b\"].c", "/a.b/c"},
        {"labels.a/b~c", "/labels/a~1b~0c"},
        {"gradient[12]", "/gradient/12"},
        {"a[0][1]", "/a/0/1"},
        {"[\"a\"b\"][2]", "/a\"b/2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char pointer[96];
        where_pointer(row[i].where, pointer, sizeof pointer);
        assert_string_equal(pointer, row[i].pointer);
    }
    for (size_t size = 4; size < 24; size++) {
        char pointer[24];
        where_pointer("layout[1].~~//..", pointer, size);
        assert_true(strlen(pointer) < size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_indices_make_a_path),
        cmocka_unit_test(names_that_would_be_misread_are_quoted),
        cmocka_unit_test(a_path_that_does_not_fit_is_cut),
        cmocka_unit_test(a_byte_is_found),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(a_path_is_a_pointer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
