/* test_overload.c -- when more is asked than can wait: refused at once, with 503 and Retry-After
 *
 * The test holds the write lock of the server's bulk database, so that the committer has to wait: a
 * strict session's step is then computed and not answered, as long as the test likes. */
#include "server/limits.h"
#include "tests/support/client.h"

#include <cmocka.h>
#include <sqlite3.h>

enum { TOO_MANY = 5 };

static const char *const flags[] = {"--log-level", "warn", NULL};
static struct served server = {.flags = flags};
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

/* --- holding the disk --- */

static sqlite3 *hold_disk(void)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/bulk.db", server.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 60000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void let_go(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- requests that do not wait for their answer --- */

static void create(const char *durability, char path[160])
{
    char body[160];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\": \"sgd\", \"coordinates\": 1, \"durability\": \"%s\"}",
                   durability);
    json_t *const session = client_json(&client, "POST", "/v1/sessions", body, 201);
    (void)snprintf(path, 160, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(session, "id")));
    json_decref(session);
}

static void send_update(struct wire *wire, const char *path)
{
    static const float gradient[1] = {1};
    char text[320];

    assert_true(wire_open(wire, server.port, WIRE_WIDE));
    const int len = snprintf(text, sizeof text - sizeof gradient,
                             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
                             "Content-Type: application/octet-stream\r\n\r\n",
                             path);
    memcpy(text + len, gradient, sizeof gradient);
    assert_true(wire_send(wire, text, (size_t)len + sizeof gradient)); /* in one piece: see below */
}

/* Until the server has so many requests, this look at them not counted: connections are not taken
 * in the order in which they were made. A request that came in one piece is counted and gets its
 * place in one go of the network thread, before it turns to another connection. */
static void await_requests(int count)
{
    const struct asked metrics = {.method = "GET", .path = "/metrics"};
    int seen = -1;

    while (seen != count + 1) {
        const struct wire_reply reply = client_ask(&client, &metrics);
        const char *const at = strstr(reply.body, "\ndescent_http_requests_in_flight ");

        assert_non_null(at);
        seen = atoi(strchr(at + 1, ' '));
    }
}

/* The session's line is full: who comes now is told so, and everybody in it is answered. */
static void test_line(void **state)
{
    struct wire wire[1 + LIMIT_TURN_QUEUE];
    struct wire_reply reply;
    uint64_t steps = 0;
    char path[160];

    (void)state;
    create("strict", path);
    sqlite3 *const disk = hold_disk();
    for (size_t i = 0; i < 1 + LIMIT_TURN_QUEUE; i++)
        send_update(&wire[i], path);
    await_requests(1 + LIMIT_TURN_QUEUE);
    for (int i = 0; i < TOO_MANY; i++) {
        const struct asked asked = {.method = "POST",
                                    .path = path,
                                    .type = "application/octet-stream",
                                    .body = "\0\0\200\77",
                                    .len = 4};
        char after[256];

        client_refused(&client, &asked, 503, "overloaded");
        assert_string_equal(client_header(&client, "Retry-After", after), "1");
    }
    let_go(disk);
    for (size_t i = 0; i < 1 + LIMIT_TURN_QUEUE; i++) {
        assert_true(wire_read(&wire[i], &reply));
        assert_int_equal(reply.status, 200);
        steps += reply.step;
        wire_close(&wire[i]);
    }
    /* 1 + 2 + ... : each got a step of its own. */
    assert_int_equal(steps, (1 + LIMIT_TURN_QUEUE) * (2 + LIMIT_TURN_QUEUE) / 2);
}

/* Somebody else's session does not notice: `memory` needs no disk. */
static void test_others(void **state)
{
    struct wire stuck, other;
    struct wire_reply reply;
    char strict[160], memory[160];

    (void)state;
    create("strict", strict);
    create("memory", memory);
    sqlite3 *const disk = hold_disk();
    send_update(&stuck, strict);
    await_requests(1);
    send_update(&other, memory);
    assert_true(wire_read(&other, &reply));
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.step, 1);
    let_go(disk);
    assert_true(wire_read(&stuck, &reply));
    assert_int_equal(reply.status, 200);
    wire_close(&stuck);
    wire_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
