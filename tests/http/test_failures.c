/* test_failures.c -- what a client is told when it is the machine that fails
 *
 * Memory is full, the database is damaged, too many wait, the server stops: each made to happen,
 * the reply looked at, and then what is stored. The disk is full in test_storage.c. */
#include "tests/support/client.h"
#include "tests/support/contract.h"

#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <cmocka.h>

enum { WAITERS = 80 }; /* more than a session lets wait, LIMIT_TURN_QUEUE */

static sqlite3 *open_database(const struct served *server, const char *file)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", server->dir, file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 60000), SQLITE_OK);
    return db;
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

/* A session over that many coordinates; its path, with /update. */
static void make_session(struct client *client, const char *durability, char path[160])
{
    char body[256];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"sgd\",\"coordinates\":1,\"durability\":\"%s\"}", durability);
    json_t *const made = client_json(client, "POST", "/v1/sessions", body, 201);
    (void)snprintf(path, 160, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

/* --- the memory is full --- */

/* One session may take more than the budget; a second one beside it may not. */
static void a_session_beyond_the_budget_is_refused(void **state)
{
    static const char *const flags[] = {"--memory-mb", "16", NULL};
    static const char body[] =
        "{\"optimizer\":\"adam\",\"coordinates\":8000000,\"durability\":\"memory\"}";
    const struct asked asked = {"POST", "/v1/sessions", "application/json",
                                NULL,   body,           sizeof body - 1};
    struct served server = {.flags = flags};
    struct client client;

    (void)state;
    assert_true(served_start(&server));
    client_open(&client, &server);
    json_decref(client_json(&client, "POST", "/v1/sessions", body, 201));
    client_refused(&client, &asked, 503, "out_of_memory");
    json_t *const page = client_json(&client, "GET", "/v1/sessions", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 1);
    json_decref(page);
    client_close(&client);
    assert_true(served_stop(&server));
}

/* --- the database is damaged --- */

static void a_damaged_database_is_not_explained_to_clients(void **state)
{
    struct served server = {0};
    struct client client;

    (void)state;
    assert_true(served_start(&server));
    client_open(&client, &server);
    sqlite3 *const db = open_database(&server, "descent.db");
    run_sql(db, "ALTER TABLE key RENAME TO elsewhere");
    const struct asked asked = {.method = "GET", .path = "/v1/keys"};
    client_refused(&client, &asked, 500, "internal");
    assert_null(strstr(client.wire.bytes, "no such table")); /* that is for the log */
    json_decref(client_json(&client, "GET", "/v1/optimizers", NULL, 200));
    run_sql(db, "ALTER TABLE elsewhere RENAME TO key");
    json_decref(client_json(&client, "GET", "/v1/keys", NULL, 200));
    sqlite3_close(db);
    client_close(&client);
    assert_true(served_stop(&server));
}

/* --- too many wait --- */

/* While somebody else writes, the first update cannot be committed, and the others wait for the
 * session: the first one that can be answered is one too many. */
static void send_all(struct wire wire[WAITERS], const struct served *server, const char *path)
{
    static const char body[] = "{\"gradient\":[1]}";
    char bytes[512];
    const int len = snprintf(bytes, sizeof bytes,
                             "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             path, sizeof body - 1, body);

    for (int i = 0; i < WAITERS; i++)
        assert_true(wire_open(&wire[i], server->port, WIRE_WIDE) &&
                    wire_send(&wire[i], bytes, (size_t)len));
}

static void wait_for_any(const struct wire wire[WAITERS])
{
    struct pollfd wait[WAITERS];

    for (int i = 0; i < WAITERS; i++)
        wait[i] = (struct pollfd) {.fd = wire[i].fd, .events = POLLIN};
    assert_true(poll(wait, WAITERS, 60000) > 0);
}

static void the_line_for_a_session_has_an_end(void **state)
{
    struct served server = {0};
    struct client client;
    struct wire wire[WAITERS];
    struct wire_reply reply;
    char update[160];
    int answered = 0, refused = 0, failed = 0;

    (void)state;
    assert_true(served_start(&server));
    client_open(&client, &server);
    make_session(&client, "strict", update);
    sqlite3 *const db = open_database(&server, "bulk.db");
    run_sql(db, "BEGIN IMMEDIATE");
    send_all(wire, &server, update);
    wait_for_any(wire);
    run_sql(db, "ROLLBACK");
    sqlite3_close(db);
    for (int i = 0; i < WAITERS; i++) {
        assert_true(wire_read(&wire[i], &reply));
        contract_check("POST", update, wire[i].bytes, reply.body, reply.len);
        answered += reply.status == 200;
        refused += reply.status == 503;
        failed += reply.status == 500; /* the wait for the other writer has an end, too */
        wire_close(&wire[i]);
    }
    assert_int_equal(answered + refused + failed, WAITERS);
    assert_true(refused > 0);
    *strrchr(update, '/') = '\0';
    json_t *const session = client_json(&client, "GET", update, NULL, 200);
    assert_int_equal(json_integer_value(json_object_get(session, "step")), answered);
    json_decref(session);
    client_close(&client);
    assert_true(served_stop(&server));
}

/* --- the server stops --- */

/* A request that is half sent keeps it from ending at once; meanwhile others are told. */
static void a_stopping_server_says_so(void **state)
{
    static const char half[] = "POST /v1/sessions HTTP/1.1\r\nHost: x\r\n"
                               "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    const struct asked asked = {.method = "GET", .path = "/v1"};
    struct served server = {0};
    struct client client[8];
    struct wire wire;
    int status = 200, last;

    (void)state;
    assert_true(served_start(&server));
    for (int i = 0; i < 8; i++) {
        client_open(&client[i], &server);
        assert_int_equal(client_ask(&client[i], &asked).status, 200);
    }
    assert_true(wire_open(&wire, server.port, WIRE_WIDE) &&
                wire_send(&wire, half, sizeof half - 1));
    assert_int_equal(client_ask(&client[0], &asked).status, 200); /* the half has arrived */
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    for (last = 0; status == 200 && last < 8; last += status == 200)
        do
            status = client_ask(&client[last], &asked).status;
        while (status == 200 && client[last].open && !client_ends(&client[last]));
    assert_int_equal(status, 503);
    assert_non_null(strstr(client[last].wire.bytes, "\"code\":\"draining\""));
    wire_close(&wire);
    for (int i = 0; i < 8; i++)
        client_close(&client[i]);
    assert_true(served_stop(&server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_beyond_the_budget_is_refused),
        cmocka_unit_test(a_damaged_database_is_not_explained_to_clients),
        cmocka_unit_test(the_line_for_a_session_has_an_end),
        cmocka_unit_test(a_stopping_server_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
