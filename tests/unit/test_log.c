/* test_log.c -- a line for everything: whole JSON whatever is in it, by level, never torn */
#include "server/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_MAX = 4096, LINE_MAX = 4096, THREADS = 8, EACH = 200 };

static int stderr_before, file;

/* From here on stderr is a file. */
static int set_up(void **state)
{
    char path[] = "/tmp/descent-log-XXXXXX";

    (void)state;
    file = mkstemp(path);
    stderr_before = dup(STDERR_FILENO);
    log_set_level(LOG_INFO);
    return file >= 0 && stderr_before >= 0 && dup2(file, STDERR_FILENO) >= 0 ? unlink(path) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    if (stderr_before >= 0) {
        dup2(stderr_before, STDERR_FILENO);
        close(stderr_before);
        close(file);
    }
    stderr_before = -1;
    return 0;
}

/* stderr is itself again; each line must be JSON. The caller frees the array. */
static json_t *lines(void)
{
    static char line[2 * LINE_MAX];
    FILE *const stream = fdopen(dup(file), "r");
    json_t *const all = json_array();

    dup2(stderr_before, STDERR_FILENO);
    assert_non_null(stream);
    rewind(stream);
    while (fgets(line, sizeof line, stream)) {
        json_error_t error;
        json_t *const object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (!object)
            fail_msg("%s: %s", error.text, line);
        assert_true(strlen(line) <= LINE_MAX);
        assert_non_null(json_object_get(object, "time"));
        json_array_append_new(all, object);
    }
    fclose(stream);
    return all;
}

static const char *text(const json_t *all, size_t i, const char *name)
{
    const char *const value = json_string_value(json_object_get(json_array_get(all, i), name));

    return value ? value : "";
}

static void test_levels(void **state)
{
    (void)state;
    log_line(LOG_DEBUG, "no", "below");
    log_line(LOG_INFO, "one", "%d", 1);
    log_set_level(LOG_ERROR);
    log_line(LOG_WARN, "no", "below");
    log_line(LOG_ERROR, "two", "x");
    log_set_level(LOG_NOTHING);
    log_line(LOG_ERROR, "no", "below");
    json_t *const all = lines();
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(text(all, 0, "event"), "one");
    assert_string_equal(text(all, 0, "level"), "info");
    assert_string_equal(text(all, 0, "detail"), "1");
    assert_string_equal(text(all, 1, "level"), "error");
    json_decref(all);
}

/* What a probe asks every few seconds is no news, unless it goes wrong. */
static void test_routine(void **state)
{
    const struct log_request well = {
        .request_id = "a", .method = "GET", .route = "/readyz", .status = 200, .routine = true};
    struct log_request other = well;

    (void)state;
    log_request(&well);
    other.routine = false;
    log_request(&other);
    log_set_level(LOG_DEBUG);
    log_request(&well);
    json_t *const all = lines();
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(text(all, 0, "level"), "info");
    assert_string_equal(text(all, 1, "level"), "debug");
    json_decref(all);
}

/* Every byte, alone and in a row that is much longer than a line, in every text of a request. */
static void test_any_text_is_json(void **state)
{
    static char wide[40000];
    size_t count = 0;

    (void)state;
    for (int c = 1; c < 256; c++) {
        const char alone[2] = {(char)c, '\0'};
        memset(wide, c, sizeof wide - 1);
        const char *const value[] = {alone, wide};
        for (size_t i = 0; i < 2; i++, count += 2) {
            log_request(&(struct log_request) {value[i], value[i], value[i], value[i], 599,
                                               value[i], INT64_MAX, INT64_MAX, INT64_MAX, false});
            log_line(LOG_WARN, "event", "%s", value[i]);
        }
    }
    json_t *const all = lines();
    assert_int_equal(json_array_size(all), count);
    for (size_t i = 0; i < count; i += 2) {
        const json_t *const one = json_array_get(all, i);
        assert_int_equal(json_integer_value(json_object_get(one, "status")), 599);
        assert_non_null(json_object_get(one, "microseconds"));
    }
    assert_string_equal(text(all, 1, "detail"), "\x01");
    json_decref(all);
}

static void *write_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        log_line(LOG_INFO, "thread", "%0900d", *(int *)arg);
    return NULL;
}

static void test_lines_are_whole(void **state)
{
    pthread_t thread[THREADS];
    int number[THREADS], seen[THREADS] = {0};

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        number[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, write_many, &number[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    json_t *const all = lines();
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *const detail = text(all, i, "detail");
        assert_int_equal(strlen(detail), 900);
        seen[atoi(detail)]++;
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(seen[i], EACH);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_routine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_text_is_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lines_are_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
