/* test_sessions.c -- sessions over HTTP: created, listed, looked at, reset and ended
 *
 * After each refusal the list of sessions is what it was before. */
#include "tests/support/client.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SESSIONS "/v1/sessions"

enum { MANY = 10000, CHURNERS = 3, LISTINGS = 200, BYSTANDERS = 100 };

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

static json_t *create(const char *body)
{
    return client_json(&client, "POST", SESSIONS, body, 201);
}

static void path_of(char path[160], const json_t *session, const char *rest)
{
    (void)snprintf(path, 160, SESSIONS "/%s%s", text(session, "id"), rest);
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    const struct asked asked = {.method = method,
                                .path = path,
                                .type = body ? "application/json" : NULL,
                                .body = body,
                                .len = body ? strlen(body) : 0};
    json_t *const before = client_json(&client, "GET", SESSIONS "?page_size=1000", NULL, 200);

    client_refused(&client, &asked, status, code);
    json_t *const after = client_json(&client, "GET", SESSIONS "?page_size=1000", NULL, 200);
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

/* --- creating --- */

static void test_coordinates(void **state)
{
    char path[160], location[256];

    (void)state;
    json_t *const made = create("{\"optimizer\":\"adam\",\"coordinates\":33,"
                                "\"labels\":{\"run\":\"1\",\"a\":\"ä\"}}");
    client_header(&client, "Location", location);
    path_of(path, made, "");
    assert_string_equal(location, path);
    assert_string_equal(text(made, "optimizer"), "adam:1"); /* pinned */
    assert_string_equal(text(made, "durability"), "strict");
    assert_string_equal(text(made, "state"), "active");
    assert_string_equal(text(json_object_get(made, "labels"), "a"), "ä");
    assert_true(json_is_null(json_object_get(made, "ttl_seconds")));
    assert_int_equal(whole(made, "coordinates"), 33);
    assert_int_equal(whole(made, "step"), 0);
    assert_true(whole(made, "state_bytes") >= 33 * 2 * 4); /* two moments each */
    json_t *const got = client_json(&client, "GET", path, NULL, 200);
    assert_true(json_equal(made, got));
    json_decref(made);
    json_decref(got);
}

static void test_layout(void **state)
{
    static const struct {
        const char *layout;
        int coordinates;
    } row[] = {
        {"[{\"name\":\"w\",\"shape\":[784,20]},{\"name\":\"b\",\"shape\":[20]}]", 784 * 20 + 20},
        {"[{\"name\":\"x\",\"shape\":[1]}]", 1},
        {"[{\"name\":\"k\",\"shape\":[2,3,4,5]}]", 120},
        {"[{\"name\":\"k\",\"shape\":[7],\"optimizer\":\"sgd\"}]", 7},
    };
    char body[512];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        (void)snprintf(body, sizeof body, "{\"optimizer\":\"sgd\",\"layout\":%s}", row[i].layout);
        json_t *const made = create(body);
        assert_int_equal(whole(made, "coordinates"), row[i].coordinates);
        json_decref(made);
    }
}

static void test_durability_and_life(void **state)
{
    static const char *const words[] = {"strict", "relaxed", "memory"};
    char body[256];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"sgd\",\"coordinates\":1,\"durability\":\"%s\","
                       "\"ttl_seconds\":1000,\"clip_norm\":null}",
                       words[i]);
        json_t *const made = create(body);
        assert_string_equal(text(made, "durability"), words[i]);
        assert_int_equal(whole(made, "ttl_seconds"), 1000);
        json_decref(made);
    }
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *rest, *code;
        int status;
    } row[] = {
        {"", "invalid_value", 422},
        {",\"coordinates\":2,\"layout\":[{\"name\":\"w\",\"shape\":[2]}]", "invalid_value", 422},
        {",\"coordinates\":0", "invalid_value", 422},
        {",\"coordinates\":-1", "invalid_value", 422},
        {",\"coordinates\":16777217", "invalid_value", 422},
        {",\"coordinates\":9223372036854775807", "invalid_value", 422},
        {",\"coordinates\":1.5", "invalid_value", 422},
        {",\"coordinates\":\"2\"", "invalid_value", 422},
        {",\"coordinates\":null", "invalid_value", 422},
        {",\"layout\":[]", "invalid_value", 422},
        {",\"layout\":{}", "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\"}]", "missing_field", 422},
        {",\"layout\":[{\"shape\":[2]}]", "missing_field", 422},
        {",\"layout\":[{\"name\":\"\",\"shape\":[2]}]", "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\",\"shape\":[0]}]", "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\",\"shape\":[4096,4097]}]", "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\",\"shape\":[16777216]},{\"name\":\"b\",\"shape\":[1]}]",
         "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\",\"shape\":[16777216,16777216,16777216,16777216]}]",
         "invalid_value", 422},
        {",\"layout\":[{\"name\":\"w\",\"shape\":[2],\"shap\":[2]}]", "unknown_field", 422},
        {",\"coordinates\":2,\"durability\":\"Strict\"", "invalid_value", 422},
        {",\"coordinates\":2,\"ttl_seconds\":0", "invalid_value", 422},
        {",\"coordinates\":2,\"ttl_seconds\":-5", "invalid_value", 422},
        {",\"coordinates\":2,\"ttl_seconds\":1e300", "invalid_value", 422},
        {",\"coordinates\":2,\"labels\":{\"a\":1}", "invalid_value", 422},
        {",\"coordinates\":2,\"labels\":{\"a\":null}", "invalid_value", 422},
        {",\"coordinates\":2,\"labels\":{\"a\":\"1\",\"a\":\"2\"}", "duplicate_key", 400},
        {",\"coordinates\":2,\"coordinates\":2", "duplicate_key", 400},
        {",\"coordinate\":2", "unknown_field", 422},
        {",\"coordinates\":2,", "malformed_json", 400},
    };
    char body[512];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        (void)snprintf(body, sizeof body, "{\"optimizer\":\"sgd\"%s}", row[i].rest);
        refuse("POST", SESSIONS, body, row[i].status, row[i].code);
    }
    refuse("POST", SESSIONS, "{\"coordinates\":2}", 422, "missing_field");
}

static void test_references(void **state)
{
    static const struct {
        const char *optimizer, *code;
        int status;
    } row[] = {
        {"nobody", "not_found", 404},
        {"sgd:2", "not_found", 404},
        {"sgd:0", "invalid_value", 422},
        {"sgd:x", "invalid_value", 422},
        {"sgd:", "invalid_value", 422},
        {"sgd:1:1", "invalid_value", 422},
        {"", "invalid_value", 422},
        {":1", "invalid_value", 422},
        {"SGD", "invalid_value", 422},
        {"sgd:-1", "invalid_value", 422},
        {"sgd:99999999999999999999", "invalid_value", 422},
    };
    char body[256];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        (void)snprintf(body, sizeof body, "{\"optimizer\":\"%s\",\"coordinates\":1}",
                       row[i].optimizer);
        refuse("POST", SESSIONS, body, row[i].status, row[i].code);
    }
    json_decref(create("{\"optimizer\":\"sgd:1\",\"coordinates\":1}"));
}

/* A key more than the contract's bound, and texts longer than it. */
static void test_too_many_labels(void **state)
{
    char body[4096];
    size_t len = (size_t)snprintf(body, sizeof body,
                                  "{\"optimizer\":\"sgd\",\"coordinates\":1,\"labels\":{");

    (void)state;
    for (int i = 0; i < 65; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "%s\"k%d\":\"v\"", i ? "," : "", i);
    (void)snprintf(body + len, sizeof body - len, "}}");
    refuse("POST", SESSIONS, body, 422, "invalid_value");
    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"sgd\",\"coordinates\":1,\"labels\":{\"a\":\"%0257d\"}}", 0);
    refuse("POST", SESSIONS, body, 422, "invalid_value");
}

/* --- looking, resetting, ending --- */

static void expect_etag(const char *path, const char *expected)
{
    char etag[256];

    json_decref(client_json(&client, "GET", path, NULL, 200));
    assert_string_equal(client_header(&client, "ETag", etag), expected);
}

/* The ETag is the step; a reset session answers as a new one does, to the last digit. */
static void test_etag_and_reset(void **state)
{
    static const char gradient[] = "{\"gradient\":[1,-2,0.125],\"step\":0}";
    json_t *const made = create("{\"optimizer\":\"adam\",\"coordinates\":3}");
    char path[160], update[160], reset[160];

    (void)state;
    path_of(path, made, "");
    path_of(update, made, "/update");
    path_of(reset, made, "/reset");
    expect_etag(path, "\"0\"");
    json_t *const first = client_json(&client, "POST", update, gradient, 200);
    expect_etag(path, "\"1\"");
    json_decref(client_json(&client, "POST", update, "{\"gradient\":[3,3,3]}", 200));
    expect_etag(path, "\"2\"");
    json_t *const after = client_json(&client, "POST", reset, NULL, 200);
    assert_true(json_equal(after, made));
    expect_etag(path, "\"0\"");
    json_t *const again = client_json(&client, "POST", update, gradient, 200);
    assert_true(json_equal(first, again));
    json_decref(client_json(&client, "POST", reset, NULL, 200));
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server)); /* the reset survives */
    expect_etag(path, "\"0\"");
    refuse("POST", update, "{\"gradient\":[1,1,1],\"step\":1}", 409, "step_gap");
    json_t *const third = client_json(&client, "POST", update, gradient, 200);
    assert_true(json_equal(first, third));
    json_decref(made);
    json_decref(first);
    json_decref(after);
    json_decref(again);
    json_decref(third);
}

/* After a reset there is no last answer. */
static void test_reset_forgets_the_answer(void **state)
{
    json_t *const made = create("{\"optimizer\":\"sgd\",\"coordinates\":1}");
    char update[160], reset[160];

    (void)state;
    path_of(update, made, "/update");
    path_of(reset, made, "/reset");
    for (int i = 0; i < 3; i++)
        json_decref(client_json(&client, "POST", update, "{\"gradient\":[1]}", 200));
    json_decref(client_json(&client, "POST", reset, NULL, 200));
    refuse("POST", update, "{\"gradient\":[1],\"step\":2}", 409, "step_gap");
    json_t *const answer =
        client_json(&client, "POST", update, "{\"gradient\":[1],\"step\":0}", 200);
    assert_true(json_is_false(json_object_get(answer, "replayed")));
    json_decref(answer);
    json_decref(made);
}

static void test_delete(void **state)
{
    static const char *const words[] = {"strict", "relaxed", "memory"};
    char body[256], path[160], update[160], reset[160];

    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"adam\",\"coordinates\":2,\"durability\":\"%s\"}",
                       words[i]);
        json_t *const made = create(body);
        path_of(path, made, "");
        path_of(update, made, "/update");
        path_of(reset, made, "/reset");
        json_decref(client_json(&client, "POST", update, "{\"gradient\":[1,2]}", 200));
        json_decref(client_json(&client, "DELETE", path, NULL, 204));
        for (int kills = 0; kills < 2; kills++) {
            refuse("GET", path, NULL, 404, "not_found");
            refuse("DELETE", path, NULL, 404, "not_found");
            refuse("POST", update, "{\"gradient\":[1,2]}", 404, "not_found");
            refuse("POST", reset, NULL, 404, "not_found");
            client_close(&client);
            assert_true(served_kill(&server) && served_start(&server));
        }
        json_decref(made);
    }
}

/* --- beside deletions --- */

/* Makes and removes sessions, each with an optimizer of its own, until told to stop. */
struct churner {
    pthread_t thread;
    int index;
    atomic_bool stop;
    int rounds, failures;
};

static void churn(struct churner *churner, const char *method, const char *path, const char *body,
                  int status, char reply[4096])
{
    churner->failures += served_ask(&server, method, path, body, reply, 4096) != status;
}

static void churn_once(struct churner *churner)
{
    char name[64], path[160], body[256], reply[4096], id[64] = "";

    (void)snprintf(name, sizeof name, "brief-%d", churner->index);
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"sgd\"}", name);
    churn(churner, "POST", "/v1/optimizers", body, 201, reply);
    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"%s\",\"coordinates\":1,\"durability\":\"%s\"}", name,
                   churner->rounds % 2 ? "memory" : "relaxed");
    churn(churner, "POST", SESSIONS, body, 201, reply);
    const char *const found = strstr(reply, "ses_");
    if (found)
        (void)snprintf(id, sizeof id, "%.36s", found);
    (void)snprintf(path, sizeof path, SESSIONS "/%s", id);
    churn(churner, "DELETE", path, NULL, 204, reply);
    (void)snprintf(path, sizeof path, "/v1/optimizers/%s", name);
    churn(churner, "DELETE", path, NULL, 204, reply);
    churner->rounds++;
}

static void *churn_on(void *arg)
{
    struct churner *const churner = arg;

    while (!atomic_load(&churner->stop))
        churn_once(churner);
    return NULL;
}

/* A listing shows each session as it was or not at all: one that leaves, its optimizer with it,
 * while the page is being made is no failure of the page, and never seems to be back at step 0. */
static void test_listing_beside_deletions(void **state)
{
    struct churner churner[CHURNERS] = {{.index = 0}, {.index = 1}, {.index = 2}};

    (void)state;
    for (int i = 0; i < BYSTANDERS; i++)
        json_decref(create("{\"optimizer\":\"sgd\",\"coordinates\":1,\"durability\":\"memory\"}"));
    for (int i = 0; i < CHURNERS; i++)
        assert_int_equal(pthread_create(&churner[i].thread, NULL, churn_on, &churner[i]), 0);
    for (int i = 0; i < LISTINGS; i++) {
        json_t *const page = client_json(&client, "GET", SESSIONS "?page_size=1000", NULL, 200);
        assert_true(json_array_size(json_object_get(page, "items")) >= BYSTANDERS);
        json_decref(page);
    }
    for (int i = 0; i < CHURNERS; i++) {
        atomic_store(&churner[i].stop, true);
        assert_int_equal(pthread_join(churner[i].thread, NULL), 0);
        assert_int_equal(churner[i].failures, 0);
        assert_true(churner[i].rounds > 0);
    }
}

/* --- many --- */

/* The number in the label of a session made by test_many. */
static json_int_t serial(const json_t *session)
{
    return strtoll(text(json_object_get(session, "labels"), "serial"), NULL, 10);
}

/* Read every page; each session made by test_many must come once and in the order it was made. */
static size_t count_pages(int size)
{
    char path[160], token[80] = "";
    json_int_t next = 0;
    size_t pages = 0;

    do {
        (void)snprintf(path, sizeof path, SESSIONS "?page_size=%d&page_token=%s", size, token);
        json_t *const page = client_json(&client, "GET", path, NULL, 200);
        const json_t *const items = json_object_get(page, "items");
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *const session = json_array_get(items, i);
            if (json_object_get(json_object_get(session, "labels"), "serial"))
                assert_int_equal(serial(session), next++);
        }
        assert_true(json_array_size(items) <= (size_t)size);
        (void)snprintf(token, sizeof token, "%s", text(page, "next_page_token"));
        json_decref(page);
        pages++;
    } while (token[0]);
    assert_int_equal(next, MANY);
    return pages;
}

/* Our port: another connection has another one, even if its descriptor is the same. */
static int local_port(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;

    assert_true(client.open);
    assert_int_equal(getsockname(client.wire.fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

/* Ten thousand sessions over one connection, which stays the same one to the end. */
static void test_many(void **state)
{
    char body[256];

    (void)state;
    client_close(&client);
    json_decref(client_json(&client, "GET", "/livez", NULL, 200));
    const int port = local_port();
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"sgd\",\"coordinates\":1,\"durability\":\"relaxed\","
                       "\"labels\":{\"serial\":\"%d\"}}",
                       i);
        json_decref(create(body));
    }
    assert_int_equal(local_port(), port);
    assert_true(count_pages(1000) >= MANY / 1000);
    assert_true(count_pages(333) >= MANY / 333);
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    assert_true(count_pages(1000) >= MANY / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coordinates),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_durability_and_life),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_too_many_labels),
        cmocka_unit_test(test_etag_and_reset),
        cmocka_unit_test(test_reset_forgets_the_answer),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_listing_beside_deletions),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
