/* test_listings.c -- pages of sessions: filters, tokens, and changes of what they filter by
 *
 * Every listing is compared with what was made, item by item, whatever the size of its pages. */
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

enum { COUNT = 120 };

/* Session i: its optimizer, durability and labels follow from i. */
static const char *const optimizers[] = {"sgd", "adam", "mine:1", "mine:2"};
static const char *const durabilities[] = {"strict", "relaxed", "memory"};
static char ids[COUNT][64];

static int make_sessions(void **state)
{
    char body[512];

    if (start(state) != 0)
        return -1;
    done("POST", OPTIMIZERS, "{\"name\":\"mine\",\"family\":\"sgd\"}", 201);
    done("POST", OPTIMIZERS "/mine/versions", "{\"config\":{}}", 201);
    done("PUT", OPTIMIZERS "/mine/aliases/first", "{\"version\":1}", 201);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"%s\",\"coordinates\":1,\"durability\":\"%s\",\"labels\":{"
                       "\"third\":\"%d\",\"fifth/x.y-z\":\"%d\",\"all\":\"ü\"}%s}",
                       optimizers[i % 4], durabilities[i % 3], i % 3, i % 5,
                       i % 7 == 0 ? ",\"ttl_seconds\":1" : "");
        json_t *const made = ask("POST", SESSIONS, body, 201);
        (void)snprintf(ids[i], sizeof ids[i], "%s", text(made, "id"));
        json_decref(made);
    }
    return 0;
}

/* Sessions on the disk are listed before those in memory, each kind in the order it was made. */
typedef bool wanted(int i);

static int next_of(int i, wanted *want)
{
    const bool memory = i >= 0 && i % 3 == 2;

    for (int k = i + 1; k < COUNT; k++)
        if ((k % 3 == 2) == memory && want(k))
            return k;
    if (memory)
        return COUNT;
    for (int k = 0; k < COUNT; k++)
        if (k % 3 == 2 && want(k))
            return k;
    return COUNT;
}

/* All pages of a query have exactly the sessions that are wanted, in order. */
static void expect(const char *query, int size, wanted *want)
{
    char path[512], token[256] = "";
    int next = next_of(-1, want);

    do {
        (void)snprintf(path, sizeof path, SESSIONS "?%s&page_size=%d&page_token=%s", query, size,
                       token);
        json_t *const page = ask("GET", path, NULL, 200);
        const json_t *const items = json_object_get(page, "items");
        assert_true(json_array_size(items) <= (size_t)size);
        for (size_t i = 0; i < json_array_size(items); i++) {
            assert_true(next < COUNT);
            assert_string_equal(text(json_array_get(items, i), "id"), ids[next]);
            next = next_of(next, want);
        }
        (void)snprintf(token, sizeof token, "%s", text(page, "next_page_token"));
        json_decref(page);
    } while (token[0]);
    assert_int_equal(next, COUNT);
}

static bool every(int i)
{
    return i >= 0;
}

static bool of_adam(int i)
{
    return i % 4 == 1;
}

static bool of_mine(int i)
{
    return i % 4 >= 2;
}

static bool of_mine_1(int i)
{
    return i % 4 == 2;
}

static bool third_1(int i)
{
    return i % 3 == 1;
}

static bool third_1_fifth_2(int i)
{
    return i % 3 == 1 && i % 5 == 2;
}

static bool third_2_mine(int i)
{
    return i % 3 == 2 && of_mine(i);
}

static bool nobody(int i)
{
    return i < 0;
}

static void test_filters(void **state)
{
    static const struct {
        const char *query;
        wanted *want;
    } row[] = {
        {"", every},
        {"optimizer=adam", of_adam},
        {"optimizer=adam:1", of_adam},
        {"optimizer=mine", of_mine},
        {"optimizer=mine:1", of_mine_1},
        {"optimizer=mine@first", of_mine_1},
        {"label.third=1", third_1},
        {"label.third=1&label.fifth/x.y-z=2", third_1_fifth_2},
        {"label.third=1&label.fifth%2Fx.y-z=2", third_1_fifth_2},
        {"label.fifth/x.y-z=2&label.third=1", third_1_fifth_2},
        {"label.third=2&optimizer=mine", third_2_mine},
        {"label.third=7", nobody},
        {"label.nothing=1", nobody},
        {"label.third=", nobody},
        {"label.all=%C3%BC", every},
        {"optimizer=lion", nobody},
    };
    static const int sizes[] = {1, 7, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (size_t k = 0; k < 3; k++)
            expect(row[i].query, sizes[k], row[i].want);
}

static void test_bad_filters(void **state)
{
    char path[512];
    size_t len = (size_t)snprintf(path, sizeof path, SESSIONS "?");

    (void)state;
    refuse("GET", SESSIONS "?state=Active", NULL, 422, "invalid_value");
    refuse("GET", SESSIONS "?optimizer=nobody", NULL, 404, "not_found");
    refuse("GET", SESSIONS "?optimizer=mine:9", NULL, 404, "not_found");
    refuse("GET", SESSIONS "?optimizer=mine@nobody", NULL, 404, "not_found");
    refuse("GET", SESSIONS "?optimizer=Mine", NULL, 422, "invalid_value");
    refuse("GET", SESSIONS "?optimizer=", NULL, 422, "invalid_value");
    for (int i = 0; i < 9; i++)
        len += (size_t)snprintf(path + len, sizeof path - len, "label.l%d=x&", i);
    refuse("GET", path, NULL, 422, "invalid_value");
}

/* A token is good for the listing that gave it, and as it was given. */
static void test_tokens(void **state)
{
    char path[512], token[256];
    json_t *const page = ask("GET", SESSIONS "?page_size=2&label.third=1", NULL, 200);

    (void)state;
    (void)snprintf(token, sizeof token, "%s", text(page, "next_page_token"));
    json_decref(page);
    (void)snprintf(path, sizeof path, SESSIONS "?page_size=9&label.third=1&page_token=%s", token);
    done("GET", path, NULL, 200); /* another size is fine */
    (void)snprintf(path, sizeof path, SESSIONS "?label.third=2&page_token=%s", token);
    refuse("GET", path, NULL, 422, "invalid_value");
    (void)snprintf(path, sizeof path, SESSIONS "?page_token=%s", token);
    refuse("GET", path, NULL, 422, "invalid_value");
    (void)snprintf(path, sizeof path, OPTIMIZERS "?page_token=%s", token);
    refuse("GET", path, NULL, 422, "invalid_value");
    for (size_t i = 0; token[i]; i++) {
        const char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        (void)snprintf(path, sizeof path, SESSIONS "?label.third=1&page_token=%s", token);
        refuse("GET", path, NULL, 422, "invalid_value");
        token[i] = kept;
    }
    refuse("GET", SESSIONS "?page_token=7", NULL, 422, "invalid_value");
}

static int count_state(const char *state)
{
    char path[128];

    (void)snprintf(path, sizeof path, SESSIONS "?state=%s&page_size=1000", state);
    json_t *const page = ask("GET", path, NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        assert_string_equal(text(json_array_get(items, i), "state"), state);
    const int count = (int)json_array_size(items);
    json_decref(page);
    return count;
}

/* Those with a second to live, a seventh, expire sooner or later; the others never. */
static void test_states(void **state)
{
    const int mortal = (COUNT + 6) / 7;
    int expired;

    (void)state;
    while ((expired = count_state("expired")) < mortal)
        (void)nanosleep(&(struct timespec) {.tv_nsec = 10000000}, NULL);
    assert_int_equal(expired, mortal);
    assert_int_equal(count_state("active"), COUNT - mortal);
}

/* --- PATCH of a session --- */

static struct wire_reply patch(const char *id, const char *body, const char *headers)
{
    char path[160];

    (void)snprintf(path, sizeof path, SESSIONS "/%s", id);
    const struct asked asked = {.method = "PATCH",
                                .path = path,
                                .type = "application/merge-patch+json",
                                .headers = headers,
                                .body = body,
                                .len = strlen(body)};
    return client_ask(&client, &asked);
}

static json_t *patched(const char *id, const char *body)
{
    const struct wire_reply reply = patch(id, body, NULL);

    assert_int_equal(reply.status, 200);
    return json_loadb(reply.body, reply.len, 0, NULL);
}

static int labelled(const char *name, const char *value)
{
    char path[128];

    (void)snprintf(path, sizeof path, SESSIONS "?label.%s=%s", name, value);
    json_t *const page = ask("GET", path, NULL, 200);
    const int count = (int)json_array_size(json_object_get(page, "items"));
    json_decref(page);
    return count;
}

/* What a listing finds follows the labels, for each kind of session, also after a restart. */
static void test_labels_move(void **state)
{
    (void)state;
    for (int i = 1; i < 4; i++) { /* not of a second's life */
        json_t *got = patched(ids[i], "{\"labels\":{\"third\":null,\"new\":\"v\"}}");
        assert_null(json_object_get(json_object_get(got, "labels"), "third"));
        assert_string_equal(text(json_object_get(got, "labels"), "all"), "ü");
        json_decref(got);
        assert_int_equal(labelled("new", "v"), 1);
        assert_int_equal(labelled("third", i % 3 == 0   ? "0"
                                           : i % 3 == 1 ? "1"
                                                        : "2"),
                         COUNT / 3 - 1);
        got = patched(ids[i], "{\"labels\":null}");
        assert_int_equal(json_object_size(json_object_get(got, "labels")), 0);
        json_decref(got);
        assert_int_equal(labelled("new", "v"), 0);
    }
    restart();
    assert_int_equal(labelled("all", "%C3%BC"), COUNT / 3 * 2 - 2); /* memory ones are gone */
}

static void test_ttl_changes(void **state)
{
    (void)state;
    json_t *const made = ask("POST", SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":1}", 201);
    const char *const id = text(made, "id");
    json_t *got = patched(id, "{\"ttl_seconds\":1000}");
    assert_int_equal(whole(got, "ttl_seconds"), 1000);
    json_decref(got);
    restart();
    got = patched(id, "{}");
    assert_int_equal(whole(got, "ttl_seconds"), 1000);
    json_decref(got);
    got = patched(id, "{\"ttl_seconds\":null}");
    assert_true(json_is_null(json_object_get(got, "ttl_seconds")));
    json_decref(got);
    json_decref(patched(id, "{\"ttl_seconds\":1}"));
    struct wire_reply reply;
    do {
        (void)nanosleep(&(struct timespec) {.tv_nsec = 10000000}, NULL);
        reply = patch(id, "{\"labels\":{}}", NULL);
    } while (reply.status == 200);
    assert_int_equal(reply.status, 410);
    json_decref(made);
}

static void test_if_match(void **state)
{
    char update[160], etag[256];

    (void)state;
    json_t *const made = ask("POST", SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":1}", 201);
    const char *const id = text(made, "id");
    (void)snprintf(update, sizeof update, SESSIONS "/%s/update", id);
    done("POST", update, "{\"gradient\":[1]}", 200);
    assert_int_equal(patch(id, "{\"labels\":{\"a\":\"1\"}}", "If-Match: \"0\"\r\n").status, 412);
    assert_int_equal(patch(id, "{\"labels\":{\"a\":\"1\"}}", "If-Match: \"1\"\r\n").status, 200);
    assert_string_equal(client_header(&client, "ETag", etag), "\"1\"");
    assert_int_equal(patch(id, "{\"labels\":{\"a\":\"2\"}}", "If-Match: *\r\n").status, 200);
    assert_int_equal(patch(id, "{\"steps\":2}", NULL).status, 422);
    assert_int_equal(patch(id, "{\"ttl_seconds\":0}", NULL).status, 422);
    assert_int_equal(patch("ses_0", "{}", NULL).status, 404);
    json_decref(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),     cmocka_unit_test(test_bad_filters),
        cmocka_unit_test(test_tokens),      cmocka_unit_test(test_states),
        cmocka_unit_test(test_labels_move), cmocka_unit_test(test_ttl_changes),
        cmocka_unit_test(test_if_match),
    };
    return cmocka_run_group_tests(tests, make_sessions, stop);
}
