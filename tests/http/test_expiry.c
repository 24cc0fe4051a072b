/* test_expiry.c -- sessions with a ttl over HTTP: expired, looked at, removed a day later
 *
 * Expiry is waited for by asking; the day is not waited for: the server is stopped and its
 * databases are told that everything in them happened two days ago. */
#include "tests/support/client.h"
#include "tests/support/disk.h"

#include <cmocka.h>
#include <time.h>

#define SESSIONS "/v1/sessions"
#define TWO_DAYS "172800000"
#define USED     "{\"gradient\":[1,-2]}"
#define EXPIRED  "descent_sessions_expired_total "
#define ALL_GONE                                                                                   \
    "SELECT (SELECT count(*) FROM bulk.gradient) + (SELECT count(*) FROM bulk.chunk)"              \
    " + (SELECT count(*) FROM bulk.last_use) + (SELECT count(*) FROM erasure)"

enum { MANY = 70, PATIENCE = 6000 }; /* more than two passes of the sweeper; a minute of asking */

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
    assert_true(served_start(&server));
}

static void create(char path[160], const char *durability, long ttl_seconds)
{
    char body[256];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"adam\",\"coordinates\":2,\"durability\":\"%s\","
                   "\"ttl_seconds\":%ld}",
                   durability, ttl_seconds);
    json_t *const made = client_json(&client, "POST", SESSIONS, body, 201);
    assert_string_equal(json_string_value(json_object_get(made, "state")), "active");
    (void)snprintf(path, 160, SESSIONS "/%s", json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

static void use(const char *path)
{
    char update[256];

    (void)snprintf(update, sizeof update, "%.159s/update", path);
    json_decref(client_json(&client, "POST", update, USED, 200));
}

static void refuse(const char path[160], const char *rest, const char *body)
{
    char whole[256];

    (void)snprintf(whole, sizeof whole, "%.159s%s", path, rest);
    client_refused(&client,
                   &(struct asked) {.method = "POST",
                                    .path = whole,
                                    .type = body ? "application/json" : NULL,
                                    .body = body,
                                    .len = body ? strlen(body) : 0},
                   410, "session_expired");
}

static bool in_state(const char *path, const char *state)
{
    json_t *const session = client_json(&client, "GET", path, NULL, 200);
    const bool is = strcmp(json_string_value(json_object_get(session, "state")), state) == 0;

    json_decref(session);
    return is;
}

static int status_of(const char *path)
{
    return client_ask(&client, &(struct asked) {.method = "GET", .path = path}).status;
}

static void pause_a_moment(void)
{
    (void)nanosleep(&(struct timespec) {.tv_nsec = 10000000}, NULL);
}

static void wait_until_expired(const char *path)
{
    int asked = 0;

    while (!in_state(path, "expired") && asked++ < PATIENCE)
        pause_a_moment();
    assert_true(asked < PATIENCE);
}

/* --- expired --- */

static void expect_expired(const char *path)
{
    assert_true(in_state(path, "expired"));
    refuse(path, "/update", USED);
    refuse(path, "/update", "no JSON"); /* the session comes before the syntax */
    refuse(path, "/reset", NULL);
    assert_true(in_state(path, "expired"));
}

static void test_expires(void **state)
{
    static const char *const words[] = {"strict", "relaxed", "memory"};
    char path[3][160];

    (void)state;
    for (int i = 0; i < 3; i++)
        create(path[i], words[i], 1);
    for (int i = 0; i < 3; i++) {
        wait_until_expired(path[i]);
        expect_expired(path[i]);
    }
    client_close(&client);
    assert_true(served_kill(&server));
    restart();
    expect_expired(path[0]);
    expect_expired(path[1]);
    assert_int_equal(status_of(path[2]), 404);
    json_decref(client_json(&client, "DELETE", path[0], NULL, 204));
    assert_int_equal(status_of(path[0]), 404);
    json_decref(client_json(&client, "DELETE", path[1], NULL, 204));
}

/* --- removed --- */

static double expired_total(void)
{
    char reply[65536];

    assert_int_equal(served_ask(&server, "GET", "/metrics", NULL, reply, sizeof reply), 200);
    const char *const line = strstr(reply, "\n" EXPIRED);
    assert_non_null(line);
    return strtod(line + 1 + strlen(EXPIRED), NULL);
}

/* One is counted when all of it is gone. */
static void wait_until_removed(double count)
{
    int asked = 0;

    while (expired_total() < count && asked++ < PATIENCE)
        pause_a_moment();
    assert_true(asked < PATIENCE);
    assert_true(expired_total() == count);
}

static void make_old(const char *sql)
{
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir, sql));
    restart();
}

/* They are gone from both databases after some passes; one that was used since stays. */
static void test_removed(void **state)
{
    char path[MANY][160], used[160];

    (void)state;
    create(used, "strict", 3600);
    use(used);
    for (int i = 0; i < MANY; i++) {
        create(path[i], i % 2 ? "strict" : "relaxed", 3600);
        use(path[i]);
    }
    make_old("UPDATE session SET used_at = used_at - " TWO_DAYS ";"
             "UPDATE bulk.last_use SET at = at - " TWO_DAYS
             " WHERE session > (SELECT min(seq) FROM session)");
    wait_until_removed(MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(status_of(path[i]), 404);
    assert_true(in_state(used, "active"));
    use(used);
    json_decref(client_json(&client, "DELETE", used, NULL, 204));
    client_close(&client);
    assert_true(served_kill(&server));
    assert_int_equal(disk_number(server.dir, ALL_GONE), 0);
    assert_true(disk_sound(server.dir));
    restart();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_removed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
