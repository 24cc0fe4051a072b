/* test_condition.c -- If-Match, If-None-Match and Range, by the examples of RFC 9110 and beyond */
#include "server/condition.h"
#include "server/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void test_names(void **state)
{
    static const struct {
        const char *header, *tag;
        bool strong, weak;
    } row[] = {
        {"\"7\"", "\"7\"", true, true},
        {"\"7\"", "\"8\"", false, false},
        {"\"7\"", "\"77\"", false, false},
        {"\"77\"", "\"7\"", false, false},
        {"*", "\"7\"", true, true},
        {"*", NULL, false, false},
        {"\"7\"", NULL, false, false},
        {"W/\"7\"", "\"7\"", false, true},
        {"\"a\", \"7\"", "\"7\"", true, true},
        {"\"a\",\"b\" ,\t\"7\"", "\"7\"", true, true},
        {"\"a, 7\"", "\"7\"", false, false},
        {"7", "\"7\"", false, false},
        {"\"7", "\"7\"", false, false},
        {"", "\"7\"", false, false},
        {NULL, "\"7\"", false, false},
        {"\"a\" 7, \"7\"", "\"7\"", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        assert_int_equal(condition_names(row[i].header, row[i].tag, CONDITION_STRONG),
                         row[i].strong);
        assert_int_equal(condition_names(row[i].header, row[i].tag, CONDITION_WEAK), row[i].weak);
    }
}

static void test_holds(void **state)
{
    dsc_err err = {0};

    (void)state;
    assert_true(condition_holds(NULL, NULL, "\"7\"", NULL));
    assert_true(condition_holds(NULL, NULL, NULL, NULL));
    assert_true(condition_holds("\"7\"", NULL, "\"7\"", NULL));
    assert_true(condition_holds(NULL, "*", NULL, NULL)); /* create only */
    assert_false(condition_holds(NULL, "*", "\"7\"", NULL));
    assert_false(condition_holds("*", NULL, NULL, NULL)); /* change only */
    assert_false(condition_holds("\"6\"", NULL, "\"7\"", &err));
    assert_int_equal(err.code, FAULT_PRECONDITION_FAILED);
    assert_string_equal(err.where, "If-Match");
    assert_non_null(strstr(err.text, "\"7\"")); /* says what it is */
}

static void test_range(void **state)
{
    static const struct {
        const char *header;
        uint64_t size;
        enum condition_range range;
        uint64_t begin, end;
    } row[] = {
        {"bytes=0-99", 1000, RANGE_PART, 0, 100},
        {"bytes=500-", 1000, RANGE_PART, 500, 1000},
        {"bytes=-1", 1000, RANGE_PART, 999, 1000},
        {"bytes=-5000", 1000, RANGE_PART, 0, 1000},
        {"bytes=999-999", 1000, RANGE_PART, 999, 1000},
        {"bytes=999-5000", 1000, RANGE_PART, 999, 1000},
        {"bytes=1000-", 1000, RANGE_NONE, 0, 0},
        {"bytes=1000-1001", 1000, RANGE_NONE, 0, 0},
        {"bytes=-0", 1000, RANGE_NONE, 0, 0},
        {"bytes=0-", 0, RANGE_NONE, 0, 0},
        {"bytes=-1", 0, RANGE_NONE, 0, 0},
        {"bytes=0-1,5-6", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=5-4", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=-", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=1", 1000, RANGE_WHOLE, 0, 0},
        {"bytes=0-18446744073709551616", 1000, RANGE_WHOLE, 0, 0},
        {"items=0-1", 1000, RANGE_WHOLE, 0, 0},
        {"", 1000, RANGE_WHOLE, 0, 0},
        {NULL, 1000, RANGE_WHOLE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t begin = 0, end = 0;

        assert_int_equal(condition_range(row[i].header, row[i].size, &begin, &end), row[i].range);
        if (row[i].range == RANGE_PART) {
            assert_int_equal(begin, row[i].begin);
            assert_int_equal(end, row[i].end);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
