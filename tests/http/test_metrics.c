/* test_metrics.c -- GET /metrics after known traffic: what is counted, and that the text is sound
 */
#include "server/routes.h"
#include "tests/support/exposition.h"
#include "tests/support/served.h"

#include <cmocka.h>

static struct served server;
static char text[1 << 18];

static int start(void **state)
{
    (void)state;
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return served_stop(&server) ? 0 : -1;
}

static struct exposition scrape(void)
{
    struct exposition read;

    assert_int_equal(served_ask_whole(&server, "GET", "/metrics", NULL, text, sizeof text), 200);
    assert_non_null(strstr(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    if (!exposition_read(&read, strstr(text, "\r\n\r\n") + 4))
        fail_msg("%s", read.trouble);
    return read;
}

static int ask(const char *method, const char *path, const char *body)
{
    static char reply[8192];
    return served_ask(&server, method, path, body, reply, sizeof reply);
}

static void open_session(const char *durability, char path[128])
{
    char body[128], reply[4096];

    snprintf(body, sizeof body, "{\"optimizer\":\"adam\",\"coordinates\":2,\"durability\":\"%s\"}",
             durability);
    assert_int_equal(served_ask(&server, "POST", "/v1/sessions", body, reply, sizeof reply), 201);
    const char *id = strstr(reply, "ses_");
    assert_non_null(id);
    snprintf(path, 128, "/v1/sessions/%.*s/update", (int)strcspn(id, "\""), id);
}

#define VALUE(series) exposition_value(&read, series)

static void test_counts(void **state)
{
    char strict[128], memory[128];
    static const char step[] = "{\"gradient\":[1,2],\"step\":0}";

    (void)state;
    open_session("strict", strict);
    open_session("memory", memory);
    assert_int_equal(ask("POST", strict, step), 200);
    assert_int_equal(ask("POST", strict, step), 200); /* a replay */
    assert_int_equal(ask("POST", memory, step), 200);
    assert_int_equal(ask("POST", memory, "{\"gradient\":[1]}"), 422);
    assert_int_equal(ask("GET", "/v1/sessions/nobody", NULL), 404);
    assert_int_equal(ask("GET", "/no/such/path", NULL), 404);

    struct exposition read = scrape();
#define UPDATE "method=\"POST\",route=\"/v1/sessions/{id}/update\""
    assert_true(VALUE("descent_http_requests_total{" UPDATE ",status=\"200\"}") == 3);
    assert_true(VALUE("descent_http_requests_total{" UPDATE ",status=\"422\"}") == 1);
    assert_true(VALUE("descent_http_requests_total{method=\"GET\",route=\"/v1/sessions/{id}\","
                      "status=\"404\"}") == 1);
    assert_true(
        VALUE("descent_http_requests_total{method=\"\",route=\"unmatched\",status=\"404\"}") == 1);
    assert_true(VALUE("descent_http_request_body_bytes_total{" UPDATE "}") ==
                3 * strlen(step) + strlen("{\"gradient\":[1]}"));
    assert_true(VALUE("descent_http_request_seconds_count{" UPDATE "}") == 4);
    /* A replay is neither computed nor committed again, and `memory` is never committed. */
    assert_true(VALUE("descent_update_phase_seconds_count{phase=\"queue\"}") == 3);
    assert_true(VALUE("descent_update_phase_seconds_count{phase=\"compute\"}") == 2);
    assert_true(VALUE("descent_update_phase_seconds_count{phase=\"persist\"}") == 1);
    assert_true(VALUE("descent_sessions_in_memory") == 2);
    assert_true(VALUE("descent_sessions_memory_bytes") > 0);
    assert_true(VALUE("descent_journal_commits_total{durability=\"strict\"}") == 1);
    assert_true(VALUE("descent_journal_records_total") == 1);
    assert_true(VALUE("descent_journal_queue_records") == 0);
    assert_true(VALUE("descent_http_requests_in_flight") >= 1); /* this one */
    assert_true(VALUE("descent_uptime_seconds") > 0);
    exposition_free(&read);
}

/* Ids and other words of clients are in no label. */
static void test_no_client_words(void **state)
{
    char path[128];

    (void)state;
    open_session("strict", path);
    assert_int_equal(ask("POST", path, "{\"gradient\":[1,2]}"), 200);
    assert_int_equal(ask("GET", "/v1/optimizers/my-secret-name", NULL), 404);
    assert_int_equal(ask("BREW", "/v1", NULL), 405);
    struct exposition read = scrape();
    assert_null(strstr(text, "ses_"));
    assert_null(strstr(text, "my-secret-name"));
    assert_null(strstr(text, "BREW"));
    exposition_free(&read);
}

/* Counters only rise, and a scrape counts itself for the next one. */
static void test_two_scrapes(void **state)
{
    static const char self[] =
        "descent_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}";
    struct exposition first, second;

    (void)state;
    first = scrape();
    second = scrape();
    assert_true(second.count >= first.count);
    for (size_t i = 0; i < first.count; i++)
        if (strstr(first.sample[i].family, "_total"))
            assert_true(exposition_value(&second, first.sample[i].series) >= first.sample[i].value);
    assert_true(exposition_value(&second, self) >= 1);
    exposition_free(&first);
    exposition_free(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_no_client_words),
        cmocka_unit_test(test_two_scrapes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
