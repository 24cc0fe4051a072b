/* test_jsontext.c -- strings and doubles as JSON */
#include "server/jsontext.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void check_string(const char *text, size_t len, const char *json)
{
    struct buf *const out = buf_new(1);

    assert_true(jsontext_string(out, text, len));
    assert_int_equal(out->len, strlen(json));
    assert_memory_equal(out->data, json, out->len);
    buf_drop(out);
}

static void strings_are_escaped(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"", "\"\""},
        {"abc", "\"abc\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\r\t\b\x1f\x7f", "\"\\n\\r\\t\\u0008\\u001f\\u007f\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        /* no UTF-8: cut short, alone, overlong, half a pair, beyond Unicode */
        {"a\xc3", "\"a\\ufffd\""},
        {"\xe2\x82", "\"\\ufffd\\ufffd\""},
        {"\x80z", "\"\\ufffdz\""},
        {"\xc0\x80", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"\xff\xfe", "\"\\ufffd\\ufffd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_string(rows[i].text, strlen(rows[i].text), rows[i].json);
    check_string("a\0b", 3, "\"a\\u0000b\"");
}

static void doubles_are_shortest(void **state)
{
    static const struct {
        double x;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {17, "17"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {1e-8, "1e-08"},
        {0.1 + 0.2, "0.30000000000000004"},
        {9007199254740991, "9007199254740991"},
        {1e22, "1e+22"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {16777216, "16777216"},
        {-2.5, "-2.5"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    char text[JSONTEXT_REAL_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(jsontext_real(text, rows[i].x), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
}

static void random_doubles_return(void **state)
{
    uint64_t bits = 88172645463325252;
    char text[JSONTEXT_REAL_MAX];
    double x;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        assert_true(jsontext_real(text, x) < JSONTEXT_REAL_MAX);
        assert_true(strtod(text, NULL) == x);
    }
}

static void quotes_are_cut_at_characters(void **state)
{
    static const struct {
        const char *from;
        size_t size;
        const char *to;
    } rows[] = {
        {"abc", 8, "abc"},
        {"abc", 4, "abc"},
        {"abc", 3, "ab"},
        {"abc", 1, ""},
        {"", 1, ""},
        {"a\xc3\xa9z", 3, "a"}, /* the letter of two bytes does not fit */
        {"a\xc3\xa9z", 4, "a\xc3\xa9"},
        {"a\nb\x7f\x1b[31m", 16, "a?b??[31m"},
        {"\xff\xc3", 16, "??"},
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(jsontext_quote(out, rows[i].size, rows[i].from), strlen(rows[i].to));
        assert_string_equal(out, rows[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(doubles_are_shortest),
        cmocka_unit_test(random_doubles_return),
        cmocka_unit_test(quotes_are_cut_at_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
