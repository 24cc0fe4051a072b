/* test_fault.c -- every code has a row, every row keeps the contract */
#include "server/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void every_code_is_found(void **state)
{
    (void)state;
    for (int code = DSC_EINVAL; code <= DSC_ENOMEM; code++)
        assert_int_equal(fault_find(code)->code, code);
    for (int code = DSC_EUSER; code < FAULT_END; code++)
        assert_int_equal(fault_find(code)->code, code);
}

static void an_unknown_code_is_internal(void **state)
{
    static const int codes[] = {-1, DSC_OK, DSC_ENOMEM + 1, DSC_EUSER - 1, FAULT_END, 1 << 30};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(fault_find(codes[i])->code, FAULT_INTERNAL);
}

static void words_are_unique(void **state)
{
    size_t count;
    const struct fault *const rows = fault_rows(&count);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (rows[i].code >= DSC_EUSER)
                assert_string_not_equal(rows[i].word, rows[j].word);
}

/* A failure of the core shows as one of ours: same word, same status. */
static void core_codes_borrow_words(void **state)
{
    static const int pairs[][2] = {
        {DSC_EINVAL, FAULT_INVALID_VALUE},         {DSC_EWEIGHTS, FAULT_INVALID_WEIGHTS},
        {DSC_ENUMERIC, FAULT_NON_FINITE_GRADIENT}, {DSC_ELIMIT, FAULT_QUOTA_EXCEEDED},
        {DSC_ENOMEM, FAULT_OUT_OF_MEMORY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct fault *const core = fault_find(pairs[i][0]), *const own =
                                                                      fault_find(pairs[i][1]);

        assert_string_equal(core->word, own->word);
        assert_string_equal(core->title, own->title);
        assert_int_equal(core->status, own->status);
        assert_int_equal(core->retryable, own->retryable);
    }
}

/* The table of the HTTP contract, typed a second time. */
static void statuses_are_those_of_the_contract(void **state)
{
    static const struct {
        int status;
        const char *words;
    } contract[] = {
        {400, "malformed_json duplicate_key malformed_header"},
        {401, "unauthenticated"},
        {403, "forbidden"},
        {404, "not_found"},
        {405, "method_not_allowed"},
        {406, "not_acceptable"},
        {409,
         "already_exists in_use no_version builtin_protected invalid_state step_stale step_gap"},
        {410, "session_expired"},
        {411, "length_required"},
        {412, "precondition_failed"},
        {413, "body_too_large"},
        {415, "unsupported_media_type"},
        {416, "range_not_satisfiable"},
        {422, "unknown_field missing_field invalid_value dimension_mismatch non_finite_gradient "
              "non_finite_update step_payload_mismatch invalid_weights idempotency_mismatch"},
        {429, "quota_exceeded"},
        {500, "internal"},
        {503, "overloaded draining out_of_memory"},
        {507, "storage_full"},
    };
    size_t count, named = 0;
    const struct fault *const rows = fault_rows(&count);

    (void)state;
    for (size_t c = 0; c < sizeof contract / sizeof contract[0]; c++)
        for (size_t i = 0; i < count; i++)
            if (rows[i].code >= DSC_EUSER && strstr(contract[c].words, rows[i].word)) {
                assert_int_equal(rows[i].status, contract[c].status);
                named++;
            }
    assert_int_equal(named, FAULT_END - DSC_EUSER);
}

static void retry_goes_with_retry_after(void **state)
{
    size_t count;
    const struct fault *const rows = fault_rows(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].retryable, rows[i].status == 429 || rows[i].status == 503);
        assert_true(strlen(rows[i].title) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_found),
        cmocka_unit_test(an_unknown_code_is_internal),
        cmocka_unit_test(words_are_unique),
        cmocka_unit_test(core_codes_borrow_words),
        cmocka_unit_test(statuses_are_those_of_the_contract),
        cmocka_unit_test(retry_goes_with_retry_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
