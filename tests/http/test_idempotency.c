/* test_idempotency.c -- a request that creates, sent again with its Idempotency-Key
 *
 * Sent twice, sent while it is at work, sent after a kill at each place where one can come, sent
 * with another body or by another client. */
#include "tests/support/client.h"
#include "tests/support/disk.h"

#include <cmocka.h>
#include <pthread.h>

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

enum { REPLY = 1 << 16 };

struct kept {
    int status;
    char location[256];
    char body[REPLY];
};

static void send_key(struct client *with, const char *path, const char *body, const char *key,
                     struct kept *out)
{
    char headers[400];

    (void)snprintf(headers, sizeof headers, "Idempotency-Key: %s\r\n", key);
    const struct asked asked = json_request("POST", path, body, headers);
    const struct wire_reply reply = client_ask(with, &asked);
    out->status = reply.status;
    assert_true(reply.len < REPLY);
    memcpy(out->body, reply.body, reply.len);
    out->body[reply.len] = '\0';
    (void)client_header(with, "Location", out->location);
}

static void refuse_key(const char *path, const char *body, const char *key, int status,
                       const char *code)
{
    char headers[400];

    (void)snprintf(headers, sizeof headers, "Idempotency-Key: %s\r\n", key);
    const struct asked asked = json_request("POST", path, body, headers);
    client_refused(&client, &asked, status, code);
}

static void same(const struct kept *a, const struct kept *b)
{
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->location, b->location);
    assert_string_equal(a->body, b->body);
}

static size_t count(const char *path)
{
    json_t *const page = ask("GET", path, NULL, 200);
    const size_t items = json_array_size(json_object_get(page, "items"));

    json_decref(page);
    return items;
}

static char session_path[160], fork_path[200], checkpoints_path[200];

/* Everything that creates: where, with what, and the listing that must grow by one. */
static const struct {
    const char *path, *body, *list;
} creating[] = {
    {OPTIMIZERS, "{\"name\":\"once\",\"family\":\"sgd\"}", OPTIMIZERS "?page_size=1000"},
    {OPTIMIZERS "/once/versions", "{\"config\":{\"learning_rate\":2}}",
     OPTIMIZERS "/once/versions"},
    {SESSIONS, "{\"optimizer\":\"once\",\"coordinates\":2}", SESSIONS "?page_size=1000"},
    {SESSIONS, "{\"optimizer\":\"once\",\"coordinates\":2,\"durability\":\"memory\"}",
     SESSIONS "?page_size=1000"},
    {fork_path, "{}", SESSIONS "?page_size=1000"},
    {checkpoints_path, "{\"name\":\"a\"}", checkpoints_path},
    {"/v1/jobs",
     "{\"type\":\"evaluate\",\"optimizers\":[\"adam:1\"],\"baselines\":[],\"problem\":{\"type\":"
     "\"quadratic\",\"params\":{\"dimension\":2}},\"steps\":1,\"functions\":1,\"seed\":7}",
     "/v1/jobs?page_size=1000"},
    {"/v1/keys", "{\"name\":\"once\",\"scopes\":[\"sessions:read\"]}", "/v1/keys?page_size=1000"},
};
enum { CREATING = sizeof creating / sizeof *creating };

static int start_with_a_session(void **state)
{
    static const char *const flags[] = {"--jobs", "0",
                                        NULL}; /* a job that is made stays as it is */

    server.flags = flags;
    if (start(state) != 0)
        return -1;
    json_t *const made = ask("POST", SESSIONS, "{\"optimizer\":\"adam\",\"coordinates\":2}", 201);
    (void)snprintf(session_path, sizeof session_path, SESSIONS "/%s", text(made, "id"));
    (void)snprintf(fork_path, sizeof fork_path, "%s/fork", session_path);
    (void)snprintf(checkpoints_path, sizeof checkpoints_path, "%s/checkpoints", session_path);
    json_decref(made);
    return 0;
}

/* Twice, and twice more after a kill: made once, answered alike. A memory session is gone then, and
 * its answer is still what it was. */
static void test_once(void **state)
{
    static struct kept first, again;
    char key[32];

    (void)state;
    for (int i = 0; i < CREATING; i++) {
        const size_t before = count(creating[i].list);
        (void)snprintf(key, sizeof key, "once-%d", i);
        send_key(&client, creating[i].path, creating[i].body, key, &first);
        if (first.status != 201 && first.status != 202)
            fail_msg("%s: %d %s", creating[i].path, first.status, first.body);
        send_key(&client, creating[i].path, creating[i].body, key, &again);
        same(&first, &again);
        assert_int_equal(count(creating[i].list), before + 1);
        if (i != 3) { /* not memory */
            restart();
            send_key(&client, creating[i].path, creating[i].body, key, &again);
            same(&first, &again);
        }
    }
}

static void test_another_body(void **state)
{
    static struct kept first, again;
    static const char body[] = "{\"optimizer\":\"sgd\",\"coordinates\":5}";

    (void)state;
    send_key(&client, SESSIONS, body, "body", &first);
    assert_int_equal(first.status, 201);
    const size_t before = count(SESSIONS "?page_size=1000");
    refuse_key(SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":6}", "body", 422,
               "idempotency_mismatch");
    refuse_key(OPTIMIZERS, body, "body", 422, "idempotency_mismatch");
    restart();
    refuse_key(SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":6}", "body", 422,
               "idempotency_mismatch");
    send_key(&client, SESSIONS, body, "body", &again);
    same(&first, &again);
    assert_int_equal(count(SESSIONS "?page_size=1000"), before);
}

/* On every route that creates, each after the other as in test_once. */
static void test_another_body_everywhere(void **state)
{
    static struct kept kept;

    (void)state;
    send_key(&client, SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":4}", "every", &kept);
    for (int i = 0; i < CREATING; i++) {
        const size_t before = count(creating[i].list);
        refuse_key(creating[i].path, creating[i].body, "every", 422, "idempotency_mismatch");
        assert_int_equal(count(creating[i].list), before);
    }
}

/* A million keys of one day, by the span of their numbers. */
static void test_bounded(void **state)
{
    (void)state;
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir, "INSERT INTO claim (id, key, request, created_at) SELECT"
                                        " min(id) + 999999, 'k', 'r', max(created_at) FROM claim"));
    assert_true(served_start(&server));
    for (int i = 0; i < CREATING; i++)
        refuse_key(creating[i].path, creating[i].body, "one-more", 429, "quota_exceeded");
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir, "DELETE FROM claim WHERE key = 'k'"));
    assert_true(served_start(&server));
}

/* A failed request leaves its key free. */
static void test_failures_are_not_kept(void **state)
{
    static struct kept first;

    (void)state;
    refuse_key(SESSIONS, "{\"optimizer\":\"later\",\"coordinates\":5}", "later", 404, "not_found");
    refuse_key(SESSIONS, "{\"optimizer\":\"later\"", "later", 400, "malformed_json");
    done("POST", OPTIMIZERS, "{\"name\":\"later\",\"family\":\"sgd\"}", 201);
    send_key(&client, SESSIONS, "{\"optimizer\":\"later\",\"coordinates\":5}", "later", &first);
    assert_int_equal(first.status, 201);
}

static void test_bad_keys(void **state)
{
    static const char body[] = "{\"optimizer\":\"sgd\",\"coordinates\":5}";
    static struct kept kept;
    char key[200];

    (void)state;
    refuse_key(SESSIONS, body, "", 400, "malformed_header");
    refuse_key(SESSIONS, body, "two words", 400, "malformed_header");
    refuse_key(SESSIONS, body, "\x7f", 400, "malformed_header");
    refuse_key(SESSIONS, body, "\xc3\xa4", 400, "malformed_header");
    memset(key, 'k', 129);
    key[129] = '\0';
    refuse_key(SESSIONS, body, key, 400, "malformed_header");
    key[128] = '\0';
    send_key(&client, SESSIONS, body, key, &kept);
    assert_int_equal(kept.status, 201);
    send_key(&client, SESSIONS, body, "!~", &kept);
    assert_int_equal(kept.status, 201);
}

/* Eight at the same time: one is carried out, all are answered alike. */
struct runner {
    pthread_t thread;
    struct client client;
    struct kept kept;
};

static void *run(void *arg)
{
    struct runner *const runner = arg;

    send_key(&runner->client, SESSIONS, "{\"optimizer\":\"adam\",\"coordinates\":9}", "together",
             &runner->kept);
    return NULL;
}

static void test_at_the_same_time(void **state)
{
    enum { RUNNERS = 8 };
    static struct runner runner[RUNNERS];
    const size_t before = count(SESSIONS "?page_size=1000");

    (void)state;
    for (int i = 0; i < RUNNERS; i++) {
        client_open(&runner[i].client, &server);
        assert_int_equal(pthread_create(&runner[i].thread, NULL, run, &runner[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        pthread_join(runner[i].thread, NULL);
        client_close(&runner[i].client);
        assert_int_equal(runner[i].kept.status, 201);
        same(&runner[i].kept, &runner[0].kept);
    }
    assert_int_equal(count(SESSIONS "?page_size=1000"), before + 1);
}

/* Killed between the thing and its answer: the answer is made anew from the thing. */
static void test_killed_before_the_answer(void **state)
{
    static struct kept first, again;
    char key[32];

    (void)state;
    for (int i = 0; i < CREATING - 1; i++) { /* the text of an API key cannot be told again */
        if (i == 3)
            continue;
        char body[256];
        (void)snprintf(key, sizeof key, "half-%d", i);
        (void)snprintf(body, sizeof body, "%s", creating[i].body);
        if (i == 0)
            (void)snprintf(body, sizeof body, "{\"name\":\"half\",\"family\":\"sgd\"}");
        if (i == 5)
            (void)snprintf(body, sizeof body, "{\"name\":\"half\"}");
        send_key(&client, creating[i].path, body, key, &first);
        assert_in_range(first.status, 201, 202);
        client_close(&client);
        assert_true(served_kill(&server));
        assert_true(disk_change(server.dir, "UPDATE claim SET answer = NULL"));
        assert_true(served_start(&server));
        const size_t before = count(creating[i].list);
        send_key(&client, creating[i].path, body, key, &again);
        same(&first, &again);
        assert_int_equal(count(creating[i].list), before);
    }
}

/* Killed before the thing: carried out as if for the first time. */
static void test_killed_before_the_work(void **state)
{
    static struct kept first, again;
    static const char body[] = "{\"optimizer\":\"sgd\",\"coordinates\":7}";

    (void)state;
    send_key(&client, SESSIONS, body, "early", &first);
    done("DELETE", first.location, NULL, 204);
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir, "UPDATE claim SET answer = NULL, location = NULL"));
    assert_true(served_start(&server));
    send_key(&client, SESSIONS, body, "early", &again);
    assert_int_equal(again.status, 201);
    assert_string_not_equal(first.location, again.location);
    send_key(&client, SESSIONS, body, "early", &first);
    same(&first, &again);
}

/* After a day the key means nothing any more. */
static void test_forgotten_after_a_day(void **state)
{
    static struct kept first, again;
    static const char body[] = "{\"optimizer\":\"sgd\",\"coordinates\":8}";

    (void)state;
    send_key(&client, SESSIONS, body, "day", &first);
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir, "UPDATE claim SET created_at = created_at - 86400000"));
    assert_true(served_start(&server));
    send_key(&client, SESSIONS, body, "day", &again);
    assert_int_equal(again.status, 201);
    assert_string_not_equal(first.location, again.location);
    client_close(&client);
    assert_true(served_kill(&server));
    const int64_t old = disk_number(server.dir, "SELECT count(*) FROM claim WHERE created_at <"
                                                " (SELECT max(created_at) - 86000000 FROM claim)");
    assert_true(served_start(&server));
    send_key(&client, SESSIONS, body, "day-after", &first);
    client_close(&client);
    assert_true(served_kill(&server));
    const int64_t left = disk_number(server.dir, "SELECT count(*) FROM claim WHERE created_at <"
                                                 " (SELECT max(created_at) - 86000000 FROM claim)");
    assert_true(old <= 2 || left <= old - 2); /* and the database forgets them two by two */
    assert_true(served_start(&server));
}

/* No text of a key, nor of the Idempotency-Key, is in the database. */
static void test_answers_are_sealed(void **state)
{
    static struct kept kept;
    char sql[512];

    (void)state;
    send_key(&client, "/v1/keys", "{\"name\":\"sealed\",\"scopes\":[\"sessions:read\"]}",
             "a-secret-of-the-client", &kept);
    assert_int_equal(kept.status, 201);
    client_close(&client);
    assert_true(served_kill(&server));
    json_t *const made = json_loads(kept.body, 0, NULL);
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM claim WHERE instr(answer, CAST('%s' AS BLOB)) > 0"
                   " OR instr(key, 'a-secret') > 0",
                   text(made, "key"));
    assert_int_equal(disk_number(server.dir, sql), 0);
    json_decref(made);
    assert_true(served_start(&server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_another_body),
        cmocka_unit_test(test_another_body_everywhere),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_failures_are_not_kept),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_at_the_same_time),
        cmocka_unit_test(test_killed_before_the_answer),
        cmocka_unit_test(test_killed_before_the_work),
        cmocka_unit_test(test_forgotten_after_a_day),
        cmocka_unit_test(test_answers_are_sealed),
    };
    return cmocka_run_group_tests(tests, start_with_a_session, stop);
}
