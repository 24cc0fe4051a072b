/* test_metrics.c -- counters from many threads, the text, and that the parser which judges it is
 * strict */
#include "server/metrics.h"
#include "tests/support/exposition.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, TIMES = 10000 };

static void *count_many(void *arg)
{
    struct metrics *metrics = arg;

    for (int i = 0; i < TIMES; i++)
        metrics_count(metrics, &(struct metrics_request) {.route = (size_t)i % 2,
                                                          .status = i % 4 ? 200 : 404,
                                                          .bytes_in = 3,
                                                          .bytes_out = 5,
                                                          .ns = (uint64_t)i * 1000});
    return NULL;
}

/* Nothing is lost between threads. */
static void test_counts(void **state)
{
    struct metrics *metrics;
    pthread_t thread[THREADS];
    uint64_t observed = 0;

    (void)state;
    assert_true(metrics_open(&metrics, 1, NULL));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_many, metrics), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(metrics->route[0].status[200 - METRICS_STATUS_MIN], THREADS * TIMES / 4);
    assert_int_equal(metrics->route[0].status[404 - METRICS_STATUS_MIN], THREADS * TIMES / 4);
    assert_int_equal(metrics->route[1].status[200 - METRICS_STATUS_MIN], THREADS * TIMES / 2);
    assert_int_equal(metrics->route[0].bytes_in + metrics->route[1].bytes_in, 3 * THREADS * TIMES);
    assert_int_equal(metrics->route[0].bytes_out, 5 * THREADS * TIMES / 2);
    for (int r = 0; r < 2; r++)
        for (int i = 0; i <= METRICS_BOUNDS; i++)
            observed += metrics->route[r].seconds.bucket[i];
    assert_int_equal(observed, THREADS * TIMES);
    metrics_count(metrics, &(struct metrics_request) {.status = 99});
    metrics_count(metrics, &(struct metrics_request) {.status = 600}); /* no slot, no harm */
    metrics_close(metrics);
}

static struct buf *text_of(struct metrics_histogram *histogram)
{
    struct metrics_text text = {buf_new(64), true};
    metrics_head(&text, "t_seconds", "histogram", "Of a test.");
    metrics_spread(&text, "t_seconds", "route=\"/x\"", histogram);
    assert_true(text.ok && buf_append(text.out, "", 1));
    return text.out;
}

/* A bound belongs to its bucket; what is beyond the last is in +Inf; sum and count agree. */
static void test_buckets(void **state)
{
    static struct metrics_histogram histogram;
    struct exposition read;

    (void)state;
    metrics_observe(&histogram, 10000);
    metrics_observe(&histogram, 10001);
    metrics_observe(&histogram, 0);
    metrics_observe(&histogram, 3600000000000u);
    struct buf *text = text_of(&histogram);
    if (!exposition_read(&read, (char *)text->data))
        fail_msg("%s", read.trouble);
#define VALUE(series) exposition_value(&read, series)
    assert_true(VALUE("t_seconds_bucket{route=\"/x\",le=\"1e-05\"}") == 2);
    assert_true(VALUE("t_seconds_bucket{route=\"/x\",le=\"2.5e-05\"}") == 3);
    assert_true(VALUE("t_seconds_bucket{route=\"/x\",le=\"10\"}") == 3);
    assert_true(VALUE("t_seconds_bucket{route=\"/x\",le=\"+Inf\"}") == 4);
    assert_true(VALUE("t_seconds_count{route=\"/x\"}") == 4);
    assert_true(VALUE("t_seconds_sum{route=\"/x\"}") == 3600.000020001);
    exposition_free(&read);
    buf_drop(text);
}

static void test_labels_are_safe(void **state)
{
    char out[16];

    (void)state;
    metrics_label(out, sizeof out, "a\"b\\c\nd");
    assert_string_equal(out, "a\\\"b\\\\c\\nd");
    metrics_label(out, sizeof out, "\"\"\"\"\"\"\"\"\"\"\"\"");
    assert_true(strlen(out) < sizeof out && strlen(out) % 2 == 0); /* never half an escape */
}

/* A line that does not fit is no text at all rather than another series. */
static void test_a_long_line_fails(void **state)
{
    struct metrics_text text = {buf_new(64), true};
    char name[1100];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    metrics_whole(&text, name, "", 1);
    assert_false(text.ok);
    buf_drop(text.out);
}

static void test_process(void **state)
{
    struct metrics *metrics;
    struct metrics_text text = {buf_new(64), true};
    struct exposition read;

    (void)state;
    assert_true(metrics_open(&metrics, 0, NULL));
    metrics_process(&text, metrics);
    assert_true(text.ok && buf_append(text.out, "", 1));
    if (!exposition_read(&read, (char *)text.out->data))
        fail_msg("%s", read.trouble);
    assert_true(VALUE("process_open_fds") >= 3);
    assert_true(VALUE("process_max_fds") >= VALUE("process_open_fds"));
    assert_true(VALUE("process_resident_memory_bytes") > 100000);
    assert_true(VALUE("process_start_time_seconds") > 1.7e9);
    exposition_free(&read);
    buf_drop(text.out);
    metrics_close(metrics);
}

/* The judge is judged: each of these must be refused. */
static void test_the_parser_is_strict(void **state)
{
#define HEAD(name, type) "# HELP " name " x\n# TYPE " name " " type "\n"
    static const char *const good[] = {
        HEAD("a_total", "counter") "a_total 1\n",
        HEAD("a", "gauge") "a{b=\"c\\\"d\",e=\"\"} -1.5e-3\n",
        HEAD("h",
             "histogram") "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
    };
    static const char *const bad[] = {
        "",
        HEAD("a_total", "counter") "a_total 1",
        "a_total 1\n",
        "# TYPE a gauge\na 1\n",
        HEAD("a", "counter") "a 1\n",
        HEAD("a_total", "gauge") "a_total 1\n",
        HEAD("a", "gauge") "a 1\na 2\n",
        HEAD("a", "gauge") "a{b=\"c\"} 1\na{b=\"c\"} 1\n",
        HEAD("a", "gauge") HEAD("a", "gauge") "a 1\n",
        HEAD("a", "gauge") HEAD("b", "gauge") "a 1\n",
        HEAD("a", "gauge") "a x\n",
        HEAD("a", "gauge") "a 1 \n",
        HEAD("a", "gauge") "a{b=c} 1\n",
        HEAD("a", "gauge") "a{b=\"c} 1\n",
        HEAD("a", "gauge") "a{b=\"\\x\"} 1\n",
        HEAD("a", "gauge") "a{1b=\"c\"} 1\n",
        HEAD("a_total", "counter") "a_total -1\n",
        HEAD("h", "histogram") "h_bucket{le=\"1\"} 1\nh_sum 3\nh_count 1\n",
        HEAD("h",
             "histogram") "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 3\nh_count 1\n",
        HEAD("h",
             "histogram") "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
                          "h_sum 3\nh_count 1\n",
        HEAD("h", "histogram") "h_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 3\n",
        HEAD("h", "histogram") "h_bucket{le=\"+Inf\"} 2\nh_count 2\n",
    };
    struct exposition read;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!exposition_read(&read, good[i]))
            fail_msg("%s\n%s", good[i], read.trouble);
        exposition_free(&read);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (exposition_read(&read, bad[i]))
            fail_msg("taken: %s", bad[i]);
        exposition_free(&read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),          cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_labels_are_safe), cmocka_unit_test(test_a_long_line_fails),
        cmocka_unit_test(test_process),         cmocka_unit_test(test_the_parser_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
