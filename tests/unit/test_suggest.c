#include "server/suggest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *name;
    int other;
};
static const struct row rows[] = {{"serve", 1}, {"listen", 2}, {"log-level", 3}, {"key create", 4}};

static const char *near(const char *word)
{
    return suggest(word, &rows[0].name, sizeof rows / sizeof *rows, sizeof *rows);
}

static void test_typing_errors(void **state)
{
    (void)state;
    assert_string_equal(near("serv"), "serve");
    assert_string_equal(near("server"), "serve");
    assert_string_equal(near("lisetn"), "listen"); /* a swap is two */
    assert_string_equal(near("loglevel"), "log-level");
    assert_string_equal(near("listen"), "listen");
}

static void test_other_words(void **state)
{
    char longest[200];

    (void)state;
    assert_null(near(""));
    assert_null(near("lst")); /* three away */
    assert_null(near("se"));  /* more than half of it would be wrong */
    assert_null(near("banana"));
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(near(longest));
    assert_null(suggest("serve", &rows[0].name, 0, sizeof *rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typing_errors),
        cmocka_unit_test(test_other_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
