/* test_plot.c -- what is drawn is where the numbers are */
#include "server/plot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a drawing function writes; the caller's. */
static char *drawn(void (*draw)(const struct plot *, FILE *), const struct plot *plot)
{
    char *text = NULL;
    size_t len = 0;
    FILE *const out = open_memstream(&text, &len);

    assert_non_null(out);
    draw(plot, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static const double falling[] = {100, 10, 1, 0.1, 0.01}, flat[] = {1, 1, 1, 1, 1};

/* Five powers of ten over five rows, five steps over 21 columns. */
static void test_text(void **state)
{
    const struct plot_curve curve[] = {{"ours", falling, 5}, {"theirs", flat, 5}};
    char *const text = drawn(plot_text, &(struct plot) {curve, 2, 21, 5});

    (void)state;
    assert_string_equal(text, "      100 |aaa\n"
                              "          |   aaaaa\n"
                              "        1 |bbbbbbbbaaaaabbbbbbbb\n"
                              "          |             aaaaa\n"
                              "     0.01 |                  aaa\n"
                              "          +---------------------\n"
                              "           0             4 steps\n"
                              "           a ours\n"
                              "           b theirs\n");
    free(text);
}

static void test_what_cannot_be_drawn(void **state)
{
    const double nothing[] = {NAN, -1, 0, INFINITY}, some[] = {1, NAN, 1e300, 5e-324};
    const struct plot_curve bad = {"bad", nothing, 4};
    const struct plot_curve mixed[] = {{"bad", nothing, 4}, {"some", some, 4}, {"none", some, 0}};

    (void)state;
    for (int svg = 0; svg < 2; svg++) {
        char *empty = drawn(svg ? plot_svg : plot_text, &(struct plot) {&bad, 1, 20, 5});
        assert_string_equal(empty, "");
        free(empty);
        char *text = drawn(svg ? plot_svg : plot_text, &(struct plot) {mixed, 3, 400, 100});
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        assert_non_null(strstr(text, "some"));
        free(text);
    }
}

static size_t count(const char *text, const char *word)
{
    size_t found = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        found++;
    return found;
}

/* The corners of the frame; a gap lifts the pen; names are text and no markup. */
static void test_svg(void **state)
{
    const double broken[] = {1, 1, NAN, 1, 1};
    const struct plot_curve curve[] = {{"<a&b>", falling, 5}, {"broken", broken, 5}};
    char *const text = drawn(plot_svg, &(struct plot) {curve, 2, 20, 5});

    (void)state;
    assert_non_null(
        strstr(text, "d=\"M60.0 20.0L220.0 110.0L380.0 200.0L540.0 290.0L700.0 380.0\""));
    assert_non_null(strstr(text, "d=\"M60.0 200.0L220.0 200.0M540.0 200.0L700.0 200.0\""));
    assert_non_null(strstr(text, ">&lt;a&amp;b></text>"));
    assert_int_equal(count(text, "<text"), count(text, "</text>"));
    assert_int_equal(count(text, "text-anchor=\"end\">0.05<"), 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_what_cannot_be_drawn),
        cmocka_unit_test(test_svg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
