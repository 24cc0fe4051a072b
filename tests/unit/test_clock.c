#include "server/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_moments(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } row[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2000-02-29T12:34:56Z", 951827696000}, /* date -d ... +%s */
        {"2030-01-31T12:00:00.25Z", 1896091200250},
        {"2030-01-31T12:00:00.123456789Z", 1896091200123},
        {"9999-12-31T23:59:59Z", 253402300799000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t ms = -1;
        assert_true(clock_parse(row[i].text, &ms));
        assert_true(ms == row[i].ms);
    }
}

static void test_other_texts(void **state)
{
    static const char *const row[] = {
        "",
        "tomorrow",
        "2030-01-31",
        "2030-01-31 12:00:00Z",
        "2030-01-31T12:00:00",
        "2030-01-31T12:00:00+01:00", /* the contract's times are UTC */
        "2030-01-31T12:00:00.Z",
        "2030-01-31T12:00:00.1234567890Z",
        "2030-01-31T12:00:00Zoo",
        "2030-02-30T12:00:00Z",
        "2001-02-29T12:00:00Z",
        "2030-13-01T12:00:00Z",
        "2030-01-31T24:00:00Z",
        "2030-01-31T12:60:00Z",
        "2030-01-00T12:00:00Z",
        "-030-01-31T12:00:00Z",
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (clock_parse(row[i], &ms))
            fail_msg("\"%s\" was taken", row[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
