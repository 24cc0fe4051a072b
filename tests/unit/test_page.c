/* test_page.c -- the tokens of listings: what goes in comes out, and nothing else does */
#include "server/fault.h"
#include "server/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define LIST "/v1/sessions\nlabel.a\n1\n"

static void test_there_and_back(void **state)
{
    char token[PAGE_TOKEN_BYTES], key[PAGE_KEY_BYTES], got[PAGE_KEY_BYTES];

    (void)state;
    for (size_t len = 1; len < PAGE_KEY_BYTES; len++) {
        memset(key, 'k', len);
        key[len - 1] = (char)('a' + len % 26);
        key[len] = '\0';
        page_token_write(token, LIST, key);
        assert_int_equal(strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_"),
                         strlen(token)); /* needs no escape in a query */
        assert_true(page_token_read(got, LIST, token, NULL));
        assert_string_equal(got, key);
        assert_false(page_token_read(got, "/v1/sessions", token, NULL));
        if (len == PAGE_KEY_BYTES - 1)
            break;
    }
}

static void test_altered(void **state)
{
    char token[PAGE_TOKEN_BYTES], got[PAGE_KEY_BYTES];
    dsc_err err = {0};

    (void)state;
    page_token_write(token, LIST, "1234567890");
    for (size_t i = 0; token[i]; i++) {
        const char kept = token[i];

        token[i] = kept == 'x' ? 'y' : 'x';
        assert_false(page_token_read(got, LIST, token, NULL));
        token[i] = '\0';
        assert_false(page_token_read(got, LIST, token, NULL));
        token[i] = kept;
    }
    assert_false(page_token_read(got, LIST, "?", &err));
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_string_equal(err.where, "page_token");
}

static void test_too_long(void **state)
{
    char token[4000], got[PAGE_KEY_BYTES];

    (void)state;
    memset(token, 'A', sizeof token - 1);
    token[sizeof token - 1] = '\0';
    assert_false(page_token_read(got, LIST, token, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
