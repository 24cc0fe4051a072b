/* test_aliases.c -- names that point at a version: moved, matched, remembered, in the way of a
 * deletion */
#include "tests/support/client.h"

#include <cmocka.h>
#include <time.h>

#define SESSIONS   "/v1/sessions"
#define OPTIMIZERS "/v1/optimizers"

static struct served server;
static struct client client;

static int start(void **state)
{
    (void)state;
    client_open(&client, &server);
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

static void restart(void)
{
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
}

static const char *text(const json_t *body, const char *name)
{
    const char *const value = json_string_value(json_object_get(body, name));

    assert_non_null(value);
    return value;
}

static json_int_t whole(const json_t *body, const char *name)
{
    assert_true(json_is_integer(json_object_get(body, name)));
    return json_integer_value(json_object_get(body, name));
}

/* A request with JSON, and further headers or NULL. */
static struct asked json_request(const char *method, const char *path, const char *body,
                                 const char *headers)
{
    return (struct asked) {.method = method,
                           .path = path,
                           .type = body ? "application/json" : NULL,
                           .headers = headers,
                           .body = body,
                           .len = body ? strlen(body) : 0};
}

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    return client_json(&client, method, path, body, status);
}

static void done(const char *method, const char *path, const char *body, int status)
{
    json_decref(ask(method, path, body, status));
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    const struct asked asked = json_request(method, path, body, NULL);

    client_refused(&client, &asked, status, code);
}

#define NET      OPTIMIZERS "/net"
#define CHAMPION NET "/aliases/champion"

/* A new optimizer "net" with versions 1, 2, 3, whose learning rates are 1, 2, 3. */
static int make_net(void **state)
{
    (void)state;
    done("POST", OPTIMIZERS,
         "{\"name\":\"net\",\"family\":\"sgd\",\"config\":{\"learning_rate\":1}}", 201);
    done("POST", NET "/versions", "{\"config\":{\"learning_rate\":2}}", 201);
    done("POST", NET "/versions", "{\"config\":{\"learning_rate\":3}}", 201);
    return 0;
}

static int drop_net(void **state)
{
    json_t *const page = ask("GET", NET "/aliases?page_size=1000", NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    char path[160];

    (void)state;
    for (size_t i = 0; i < json_array_size(items); i++) {
        (void)snprintf(path, sizeof path, NET "/aliases/%s",
                       text(json_array_get(items, i), "alias"));
        done("DELETE", path, NULL, 204);
    }
    json_decref(page);
    done("DELETE", NET, NULL, 204);
    return 0;
}

static void move(int version, int status)
{
    char body[64];

    (void)snprintf(body, sizeof body, "{\"version\":%d}", version);
    json_t *const alias = ask("PUT", CHAMPION, body, status);
    assert_int_equal(whole(alias, "version"), version);
    assert_string_equal(text(alias, "alias"), "champion");
    assert_string_equal(text(alias, "optimizer"), "net");
    json_decref(alias);
}

/* The learning rate of what a reference means: the update of a gradient of -1. */
static double rate_of(const char *reference)
{
    char body[160], path[160];

    (void)snprintf(body, sizeof body, "{\"optimizer\":\"%s\",\"coordinates\":1}", reference);
    json_t *const session = ask("POST", SESSIONS, body, 201);
    (void)snprintf(path, sizeof path, SESSIONS "/%s/update", text(session, "id"));
    json_t *const answer = ask("POST", path, "{\"gradient\":[-1]}", 200);
    const double rate = json_number_value(json_array_get(json_object_get(answer, "update"), 0));
    *strrchr(path, '/') = '\0';
    done("DELETE", path, NULL, 204);
    json_decref(session);
    json_decref(answer);
    return rate;
}

static void test_made_moved_gone(void **state)
{
    char location[256];

    (void)state;
    refuse("GET", CHAMPION, NULL, 404, "not_found");
    move(1, 201);
    assert_string_equal(client_header(&client, "Location", location), CHAMPION);
    move(2, 200);
    json_t *const before = ask("GET", CHAMPION, NULL, 200);
    restart();
    json_t *const after = ask("GET", CHAMPION, NULL, 200);
    assert_true(json_equal(before, after));
    done("DELETE", CHAMPION, NULL, 204);
    refuse("DELETE", CHAMPION, NULL, 404, "not_found");
    refuse("GET", CHAMPION, NULL, 404, "not_found");
    json_decref(before);
    json_decref(after);
}

static void test_references(void **state)
{
    (void)state;
    refuse("POST", SESSIONS, "{\"optimizer\":\"net@champion\",\"coordinates\":1}", 404,
           "not_found");
    move(2, 201);
    assert_true(rate_of("net") == 3);
    assert_true(rate_of("net:1") == 1);
    assert_true(rate_of("net@champion") == 2);
    move(1, 200);
    assert_true(rate_of("net@champion") == 1);
    refuse("POST", SESSIONS, "{\"optimizer\":\"net@Champion\",\"coordinates\":1}", 422,
           "invalid_value");
    refuse("POST", SESSIONS, "{\"optimizer\":\"net@\",\"coordinates\":1}", 422, "invalid_value");
    refuse("POST", SESSIONS, "{\"optimizer\":\"net@champion:1\",\"coordinates\":1}", 422,
           "invalid_value");
    json_t *const mixed = ask("POST", SESSIONS,
                              "{\"optimizer\":\"net\",\"layout\":[{\"name\":\"w\",\"shape\":[2],"
                              "\"optimizer\":\"net@champion\"},{\"name\":\"b\",\"shape\":[1]}]}",
                              201);
    const json_t *const layout = json_object_get(mixed, "layout");
    assert_string_equal(text(json_array_get(layout, 0), "optimizer"), "net:1");
    assert_string_equal(text(json_array_get(layout, 1), "optimizer"), "net:3");
    char path[160];
    (void)snprintf(path, sizeof path, SESSIONS "/%s", text(mixed, "id"));
    done("DELETE", path, NULL, 204);
    json_decref(mixed);
}

/* A session keeps the version that the alias meant when it was made. */
static void test_pinned(void **state)
{
    char path[160];

    (void)state;
    move(1, 201);
    json_t *const session =
        ask("POST", SESSIONS, "{\"optimizer\":\"net@champion\",\"coordinates\":1}", 201);
    assert_string_equal(text(session, "optimizer"), "net:1");
    move(3, 200);
    (void)snprintf(path, sizeof path, SESSIONS "/%s", text(session, "id"));
    json_t *const later = ask("GET", path, NULL, 200);
    assert_string_equal(text(later, "optimizer"), "net:1");
    done("DELETE", path, NULL, 204);
    json_decref(session);
    json_decref(later);
}

static void test_conditions(void **state)
{
    char etag[256], match[300];
    struct asked asked = json_request("PUT", CHAMPION, "{\"version\":1}", "If-Match: *\r\n");

    (void)state;
    client_refused(&client, &asked, 412, "precondition_failed"); /* there is none yet */
    asked.headers = "If-None-Match: *\r\n";
    assert_int_equal(client_ask(&client, &asked).status, 201);
    client_refused(&client, &asked, 412, "precondition_failed"); /* now there is */
    done("GET", CHAMPION, NULL, 200);
    (void)snprintf(match, sizeof match, "If-Match: %s\r\n", client_header(&client, "ETag", etag));
    asked = json_request("PUT", CHAMPION, "{\"version\":2}", match);
    assert_int_equal(client_ask(&client, &asked).status, 200);
    client_refused(&client, &asked, 412, "precondition_failed"); /* it has moved since */
    asked = json_request("DELETE", CHAMPION, NULL, match);
    client_refused(&client, &asked, 412, "precondition_failed");
    json_t *const alias = ask("GET", CHAMPION, NULL, 200);
    assert_int_equal(whole(alias, "version"), 2); /* refused: unchanged */
    json_decref(alias);
    (void)snprintf(match, sizeof match, "If-Match: %s\r\n", client_header(&client, "ETag", etag));
    assert_int_equal(client_ask(&client, &asked).status, 204);
    move(2, 201); /* made again: an old tag means the old one */
    client_refused(&client, &asked, 412, "precondition_failed");
}

static void test_history(void **state)
{
    static const int moves[] = {1, 3, 2, 0, 1};
    char path[256];

    (void)state;
    refuse("GET", CHAMPION "/history", NULL, 404, "not_found");
    move(1, 201);
    move(3, 200);
    move(3, 200); /* no move */
    move(2, 200);
    done("DELETE", CHAMPION, NULL, 204);
    move(1, 201);
    restart();
    json_t *page = ask("GET", CHAMPION "/history", NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    assert_int_equal(json_array_size(items), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *const item = json_array_get(items, i);
        if (moves[i])
            assert_int_equal(whole(item, "version"), moves[i]);
        else
            assert_true(json_is_null(json_object_get(item, "version")));
        assert_int_equal(whole(item, "revision"), i + 1);
        assert_non_null(text(item, "changed_at"));
    }
    json_decref(page);
    page = ask("GET", CHAMPION "/history?page_size=3", NULL, 200);
    (void)snprintf(path, sizeof path, CHAMPION "/history?page_size=3&page_token=%s",
                   text(page, "next_page_token"));
    json_decref(page);
    page = ask("GET", path, NULL, 200);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 2);
    json_decref(page);
}

static void test_refused(void **state)
{
    static const char *const names[] = {"Champion", ".x", "-x", "a%20b",
                                        "a23456789012345678901234567890123"};
    char path[160];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, NET "/aliases/%s", names[i]);
        refuse("PUT", path, "{\"version\":1}", 422, "invalid_value");
    }
    refuse("PUT", CHAMPION, "{\"version\":9}", 404, "not_found");
    refuse("PUT", CHAMPION, "{\"version\":0}", 422, "invalid_value");
    refuse("PUT", CHAMPION, "{\"version\":null}", 422, "invalid_value");
    refuse("PUT", CHAMPION, "{}", 422, "missing_field");
    refuse("PUT", OPTIMIZERS "/nobody/aliases/a", "{\"version\":1}", 404, "not_found");
    refuse("GET", OPTIMIZERS "/nobody/aliases", NULL, 404, "not_found");
    refuse("GET", CHAMPION, NULL, 404, "not_found");
}

/* What an alias points at stays; the highest remaining version is what the name means. */
static void test_deletions(void **state)
{
    (void)state;
    move(2, 201);
    refuse("DELETE", NET "/versions/2", NULL, 409, "in_use");
    refuse("DELETE", NET, NULL, 409, "in_use");
    done("DELETE", NET "/versions/3", NULL, 204);
    assert_true(rate_of("net") == 2);
    json_t *const made = ask("POST", NET "/versions", "{\"config\":{\"learning_rate\":4}}", 201);
    assert_int_equal(whole(made, "version"), 4); /* 3 is never used again */
    json_decref(made);
    refuse("GET", NET "/versions/3", NULL, 404, "not_found");
    move(4, 200);
    done("DELETE", NET "/versions/2", NULL, 204);
}

static void test_builtin(void **state)
{
    (void)state;
    done("PUT", OPTIMIZERS "/adam/aliases/usual", "{\"version\":1}", 201);
    assert_true(rate_of("adam@usual") > 0);
    refuse("DELETE", OPTIMIZERS "/adam/versions/1", NULL, 409, "builtin_protected");
    done("DELETE", OPTIMIZERS "/adam/aliases/usual", NULL, 204);
}

/* 256 and no more. */
static void test_bounded(void **state)
{
    char path[160];

    (void)state;
    for (int i = 0; i < 256; i++) {
        (void)snprintf(path, sizeof path, NET "/aliases/a%d", i);
        done("PUT", path, "{\"version\":1}", 201);
    }
    refuse("PUT", NET "/aliases/more", "{\"version\":1}", 429, "quota_exceeded");
    done("PUT", NET "/aliases/a7", "{\"version\":2}", 200);
}

/* An expired session is not in the way of a deletion. */
static void test_expired_sessions_use_nothing(void **state)
{
    char path[160];

    (void)state;
    json_t *const session =
        ask("POST", SESSIONS, "{\"optimizer\":\"net:3\",\"coordinates\":1,\"ttl_seconds\":1}", 201);
    (void)snprintf(path, sizeof path, SESSIONS "/%s", text(session, "id"));
    for (bool expired = false; !expired;) {
        json_t *const now = ask("GET", path, NULL, 200);
        expired = strcmp(text(now, "state"), "expired") == 0;
        json_decref(now);
        (void)nanosleep(&(struct timespec) {.tv_nsec = 10000000}, NULL);
    }
    done("DELETE", NET "/versions/3", NULL, 204);
    refuse("GET", path, NULL, 404, "not_found");
    json_decref(session);
}

/* --- PATCH of an optimizer --- */

static json_t *patch(const char *body, int status)
{
    const struct asked asked = {.method = "PATCH",
                                .path = NET,
                                .type = "application/merge-patch+json",
                                .body = body,
                                .len = strlen(body)};
    const struct wire_reply reply = client_ask(&client, &asked);

    if (reply.status != status)
        fail_msg("%s: %d, not %d: %.300s", body, reply.status, status, reply.body);
    return json_loadb(reply.body, reply.len, 0, NULL);
}

static void test_patch(void **state)
{
    static const struct {
        const char *patch, *description, *labels;
    } row[] = {
        {"{\"description\":\"d\",\"labels\":{\"a\":\"1\",\"b\":\"2\"}}", "d",
         "{\"a\":\"1\",\"b\":\"2\"}"},
        {"{\"labels\":{\"a\":null,\"c\":\"3\"}}", "d", "{\"b\":\"2\",\"c\":\"3\"}"},
        {"{}", "d", "{\"b\":\"2\",\"c\":\"3\"}"},
        {"{\"labels\":{\"nobody\":null}}", "d", "{\"b\":\"2\",\"c\":\"3\"}"},
        {"{\"description\":null}", "", "{\"b\":\"2\",\"c\":\"3\"}"},
        {"{\"labels\":null}", "", "{}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *const got = patch(row[i].patch, 200);
        json_t *const labels = json_loads(row[i].labels, 0, NULL);
        assert_string_equal(text(got, "description"), row[i].description);
        assert_true(json_equal(json_object_get(got, "labels"), labels));
        json_decref(got);
        json_decref(labels);
    }
    json_decref(patch("{\"name\":\"other\"}", 422));
    json_decref(patch("{\"labels\":{\"a\":1}}", 422));
    json_decref(patch("{\"description\":7}", 422));
    refuse("PATCH", OPTIMIZERS "/nobody", "{\"description\":\"d\"}", 404, "not_found");
}

/* A patch may not bring more labels than a creation. */
static void test_patch_counts_labels(void **state)
{
    char body[4096];

    (void)state;
    for (int half = 0; half < 2; half++) {
        size_t len = (size_t)snprintf(body, sizeof body, "{\"labels\":{");
        for (int i = 0; i < 40; i++)
            len += (size_t)snprintf(body + len, sizeof body - len, "%s\"l%d-%d\":\"\"",
                                    i ? "," : "", half, i);
        (void)snprintf(body + len, sizeof body - len, "}}");
        json_decref(patch(body, half ? 422 : 200));
    }
    json_t *const got = ask("GET", NET, NULL, 200);
    assert_int_equal(json_object_size(json_object_get(got, "labels")), 40);
    json_decref(got);
}

#define OF_NET(test) cmocka_unit_test_setup_teardown(test, make_net, drop_net)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_NET(test_made_moved_gone), OF_NET(test_references),
        OF_NET(test_pinned),          OF_NET(test_conditions),
        OF_NET(test_history),         OF_NET(test_refused),
        OF_NET(test_deletions),       OF_NET(test_builtin),
        OF_NET(test_bounded),         OF_NET(test_expired_sessions_use_nothing),
        OF_NET(test_patch),           OF_NET(test_patch_counts_labels),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
