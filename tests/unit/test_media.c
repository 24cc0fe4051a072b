/* test_media.c -- media types, and what an Accept header chooses */
#include "server/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BOTH (MEDIA(MEDIA_JSON) | MEDIA(MEDIA_BYTES))

static void a_content_type_is_found_whatever_its_parameters(void **state)
{
    static const struct {
        const char *type;
        int media; /* MEDIA_COUNT: none */
    } row[] = {
        {"application/json", MEDIA_JSON},
        {"Application/JSON; charset=utf-8", MEDIA_JSON},
        {"application/json\t", MEDIA_JSON},
        {"application/octet-stream", MEDIA_BYTES},
        {"application/jsonp", MEDIA_COUNT},
        {"application/jso", MEDIA_COUNT},
        {"application/merge-patch+json", MEDIA_COUNT}, /* known, but not of the set */
        {"", MEDIA_COUNT},
        {NULL, MEDIA_COUNT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        enum media media = MEDIA_COUNT;
        assert_int_equal(media_of_type(&media, row[i].type, BOTH), row[i].media != MEDIA_COUNT);
        assert_int_equal(media, row[i].media);
    }
}

static void a_list_names_the_bare_types(void **state)
{
    char list[MEDIA_LIST_BYTES];

    (void)state;
    media_list(0, list);
    assert_string_equal(list, "");
    media_list(MEDIA(MEDIA_METRICS) | MEDIA(MEDIA_JSON), list);
    assert_string_equal(list, "application/json, text/plain");
    media_list((1u << MEDIA_COUNT) - 1, list); /* all of them fit */
    for (int i = 0; i < MEDIA_COUNT; i++)
        assert_true(strlen(media_type((enum media)i)) > 0);
}

static void accept_chooses(void **state)
{
    static const struct {
        const char *accept;
        int chosen; /* of BOTH; MEDIA_COUNT: none; -1: whichever is first */
    } row[] = {
        {NULL, -1},
        {"*/*", -1},
        {"application/*", -1},
        {"application/json", MEDIA_JSON},
        {"application/octet-stream", MEDIA_BYTES},
        {"APPLICATION/OCTET-STREAM", MEDIA_BYTES},
        {"text/html, application/json;q=0.9", MEDIA_JSON},
        {"application/json;q=0.2, application/octet-stream;q=0.3", MEDIA_BYTES},
        {"application/json;q=0.3, application/octet-stream;q=0.2", MEDIA_JSON},
        {"application/json; q=0.5,*/*", MEDIA_BYTES},
        {"*/*, application/json;q=0", MEDIA_BYTES}, /* the closest range decides */
        {"application/*;q=0, application/json", MEDIA_JSON},
        {"application/json;charset=utf-8;q=0.1, */*;q=0.2", MEDIA_BYTES},
        {"application/json, application/octet-stream", -1},
        {"text/html", MEDIA_COUNT},
        {"text/*", MEDIA_COUNT},
        {"application/json;q=0, application/octet-stream;q=0.0", MEDIA_COUNT},
        {"application/json;q=2", MEDIA_COUNT}, /* no weight */
        {"application/json;q=", MEDIA_COUNT},
        {"application/json;q=nan", MEDIA_COUNT},
        {"application", MEDIA_COUNT},
        {"applicationx*", MEDIA_COUNT},
        {"", MEDIA_COUNT},
        {",,, ,application/json,", MEDIA_JSON},
        {";q=1", MEDIA_COUNT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        static const enum media firsts[] = {MEDIA_JSON, MEDIA_BYTES};
        for (size_t f = 0; f < 2; f++) {
            const int want = row[i].chosen < 0 ? (int)firsts[f] : row[i].chosen;
            enum media got = MEDIA_COUNT;
            const bool ok = media_choose(&got, row[i].accept, BOTH, firsts[f]);
            if (ok != (want != MEDIA_COUNT) || (int)got != want)
                fail_msg("\"%s\" chooses %d, not %d", row[i].accept ? row[i].accept : "(none)", got,
                         want);
        }
    }
}

/* `first` is a wish among equals, not a permission. */
static void what_is_not_given_is_not_chosen(void **state)
{
    enum media got = MEDIA_COUNT;

    (void)state;
    assert_true(media_choose(&got, NULL, MEDIA(MEDIA_WEIGHTS), MEDIA_JSON));
    assert_int_equal(got, MEDIA_WEIGHTS);
    assert_false(media_choose(&got, "*/*", 0, MEDIA_JSON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_content_type_is_found_whatever_its_parameters),
        cmocka_unit_test(a_list_names_the_bare_types),
        cmocka_unit_test(accept_chooses),
        cmocka_unit_test(what_is_not_given_is_not_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
