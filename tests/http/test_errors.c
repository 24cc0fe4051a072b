/* test_errors.c -- what a client is told when HTTP itself is wrong, and that nothing came of it
 *
 * Beside most refusals stands a session of Adam with a twin that nobody disturbs. The next step of
 * both must have the same answer, to the last digit: then the refused request changed nothing. */
#include "tests/support/client.h"

#include <cmocka.h>

#define PAIR_BODY "{\"optimizer\":\"adam\",\"coordinates\":2,\"durability\":\"strict\"}"

static struct served server;
static struct client client;

/* The paths of two sessions that are to stay equal. */
struct pair {
    char path[128], update[160], twin[160];
    int step;
};

static struct pair pair;

static void session_new(char path[128])
{
    json_t *const made = client_json(&client, "POST", "/v1/sessions", PAIR_BODY, 201);

    (void)snprintf(path, 128, "/v1/sessions/%s", json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

/* One step of both; the session's number says that nothing else was taken. */
static void pair_step(void)
{
    char body[128];

    (void)snprintf(body, sizeof body, "{\"gradient\":[%d.5,-3],\"step\":%d}", pair.step % 7 - 3,
                   pair.step);
    json_t *const mine = client_json(&client, "POST", pair.update, body, 200);
    json_t *const twins = client_json(&client, "POST", pair.twin, body, 200);
    assert_true(json_equal(mine, twins));
    assert_true(json_is_false(json_object_get(mine, "replayed")));
    json_decref(mine);
    json_decref(twins);
    pair.step++;
}

static int start(void **state)
{
    char twin[128];

    (void)state;
    client_open(&client, &server);
    if (!served_start(&server))
        return -1;
    session_new(pair.path);
    session_new(twin);
    (void)snprintf(pair.update, sizeof pair.update, "%s/update", pair.path);
    (void)snprintf(pair.twin, sizeof pair.twin, "%s/update", twin);
    pair_step();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

static void refuse(const struct asked *asked, int status, const char *code)
{
    client_refused(&client, asked, status, code);
    pair_step();
}

static void refuse_json(const char *path, const char *body, int status, const char *code)
{
    const struct asked asked = {.method = "POST",
                                .path = path,
                                .type = "application/json",
                                .body = body,
                                .len = strlen(body)};

    refuse(&asked, status, code);
}

/* --- what is not there, and what is not done there --- */

static void test_not_found(void **state)
{
    static const char *const paths[] = {
        "/",
        "/v2",
        "/v1/",
        "/v1/nothing",
        "/V1",
        "//v1",
        "/v1/../v1",
        "/v1/sessions/",
        "/v1/sessions/a/b",
        "/v1/optimizers//versions",
        "/v1%00",
        "/%2e%2e",
        "/v1/sessions/ses_none",
        "/v1/optimizers/nobody",
        "/v1/optimizers/%73gd",
        "/livez/",
        "/\"quoted\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct asked asked = {.method = "GET", .path = paths[i]};
        refuse(&asked, 404, "not_found");
    }
}

/* A path of any length that the server reads has an answer, and it is cut nowhere. */
static void test_long_path(void **state)
{
    char path[1024] = "/v1/sessions/";

    (void)state;
    memset(path + strlen(path), 'x', 900);
    const struct asked asked = {.method = "GET", .path = path};
    refuse(&asked, 404, "not_found");
}

static void test_method_not_allowed(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } row[] = {
        {"DELETE", "/v1", "GET, HEAD"},
        {"POST", "/livez", "GET, HEAD"},
        {"DELETE", "/v1/sessions", "POST, GET, HEAD"},
        {"PUT", "/v1/optimizers", "POST, GET, HEAD"},
        {"POST", "/v1/optimizers/sgd", "GET, HEAD, PATCH, DELETE"},
        {"GET", "/v1/sessions/x/update", "POST"},
        {"GET", "/v1/sessions/x/reset", "POST"},
        {"PUT", "/v1/optimizers/sgd/versions/1/weights", "GET, HEAD"},
        {"get", "/v1", "GET, HEAD"},
        {"BREW", "/v1", "GET, HEAD"},
    };
    char allow[256];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct asked asked = {.method = row[i].method, .path = row[i].path};
        client_refused(&client, &asked, 405, "method_not_allowed");
        assert_string_equal(client_header(&client, "Allow", allow), row[i].allow);
    }
    pair_step();
}

/* A mistake costs a client no connection: 405, 404 and 415 leave it open. */
static void test_refused_connections_go_on(void **state)
{
    static const char *const requests[] = {
        "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        "DELETE /v1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    };
    static const int statuses[] = {404, 405, 404, 415};
    struct wire wire;
    struct wire_reply reply;

    (void)state;
    assert_true(wire_open(&wire, server.port, WIRE_WIDE));
    for (int i = 0; i < 12; i++) {
        assert_true(wire_send(&wire, requests[i % 4], strlen(requests[i % 4])));
        assert_true(wire_read(&wire, &reply));
        assert_int_equal(reply.status, statuses[i % 4]);
    }
    wire_close(&wire);
    pair_step();
}

/* --- media types --- */

static void test_unsupported_media_type(void **state)
{
    static const char *const types[] = {NULL,
                                        "text/plain",
                                        "application/jsonx",
                                        "json",
                                        "application/xml",
                                        "multipart/form-data",
                                        "*/*",
                                        "application/x-safetensors"};
    static const char body[] = "{\"gradient\":[1,2]}";
    char accept[256];

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct asked asked = {.method = "POST",
                                    .path = pair.update,
                                    .type = types[i],
                                    .body = body,
                                    .len = sizeof body - 1};
        client_refused(&client, &asked, 415, "unsupported_media_type");
        assert_string_equal(client_header(&client, "Accept", accept),
                            "application/json, application/octet-stream");
        pair_step();
    }
}

/* --- lengths --- */

static const char *wire_problem(struct wire *wire, int status)
{
    struct wire_reply reply;

    assert_true(wire_read(wire, &reply));
    if (reply.status != status)
        fail_msg("%d, not %d: %.300s", reply.status, status, reply.body);
    return reply.body;
}

/* The bytes are sent as they are; the answer must have the status and the code. */
static void refuse_raw(const char *bytes, int status, const char *code)
{
    struct wire wire;
    char quoted[80];

    assert_true(wire_open(&wire, server.port, WIRE_WIDE) && wire_send(&wire, bytes, strlen(bytes)));
    (void)snprintf(quoted, sizeof quoted, "\"code\":\"%s\"", code);
    assert_non_null(strstr(wire_problem(&wire, status), quoted));
    wire_close(&wire);
    pair_step();
}

/* A body in chunks is refused before a byte of it is read. */
static void test_transfer_encoding(void **state)
{
    char bytes[512];

    (void)state;
    (void)snprintf(bytes, sizeof bytes,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   pair.update);
    refuse_raw(bytes, 411, "length_required");
    strcat(bytes, "12\r\n{\"gradient\":[1,2]}\r\n0\r\n\r\n");
    refuse_raw(bytes, 411, "length_required");
}

static void test_no_length(void **state)
{
    char bytes[512];

    (void)state;
    (void)snprintf(bytes, sizeof bytes,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n",
                   pair.update);
    refuse_raw(bytes, 411, "length_required");
}

/* Refused from the number alone: of the body, nothing is ever sent. */
static void test_body_too_large(void **state)
{
    static const char *const types[] = {"application/json", "application/octet-stream"};
    char bytes[512];

    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(bytes, sizeof bytes,
                       "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                       "Content-Length: 67108865\r\n\r\n",
                       pair.update, types[i]);
        refuse_raw(bytes, 413, "body_too_large");
    }
    refuse_raw("POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Content-Length: 1048577\r\n\r\n",
               413, "body_too_large");
    refuse_raw("POST /v1/optimizers/x/versions HTTP/1.1\r\nHost: x\r\n"
               "Content-Type: application/x-safetensors\r\n"
               "Content-Length: 9223372036854775807\r\n\r\n",
               413, "body_too_large");
}

/* Two lengths are two meanings: equal ones as well. */
static void test_two_lengths(void **state)
{
    static const int second[] = {18, 3};
    char bytes[512];

    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(bytes, sizeof bytes,
                       "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Content-Length: 18\r\nContent-Length: %d\r\n\r\n{\"gradient\":[1,2]}",
                       pair.update, second[i]);
        refuse_raw(bytes, 400, "malformed_header");
    }
}

/* Connections that end inside the head or the body, at every byte: there was no request. */
static void test_half_sent(void **state)
{
    char bytes[512];
    const int head = snprintf(bytes, sizeof bytes,
                              "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                              "Content-Length: 18\r\n\r\n",
                              pair.update);

    (void)state;
    strcat(bytes, "{\"gradient\":[1,2]}");
    for (size_t len = 0; len < strlen(bytes); len++) {
        struct wire wire;
        assert_true(wire_open(&wire, server.port, WIRE_WIDE) && wire_send(&wire, bytes, len));
        wire_close(&wire);
        if (len % 16 == 0 || len > (size_t)head)
            pair_step();
    }
    pair_step();
}

/* --- JSON --- */

static void test_malformed_json(void **state)
{
    static const char *const bodies[] = {
        " ",
        "{",
        "}",
        "null",
        "1",
        "\"gradient\"",
        "[[1,2]]",
        "{\"gradient\":[1,2]",
        "{\"gradient\":[1,2}",
        "{\"gradient\":[1,]}",
        "{\"gradient\":[,1]}",
        "{\"gradient\":[01,2]}",
        "{\"gradient\":[1,2.]}",
        "{\"gradient\":[1,.2]}",
        "{\"gradient\":[+1,2]}",
        "{\"gradient\":[1e,2]}",
        "{\"gradient\":[NaN,2]}",
        "{\"gradient\":[1,Infinity]}",
        "{\"gradient\":[1,-Infinity]}",
        "{\"gradient\":[0x1,2]}",
        "{\"gradient\":[1 2]}",
        "{\"gradient\":[1,2]}{}",
        "{\"gradient\":[1,2]},",
        "{\"gradient\":[1,2],}",
        "{'gradient':[1,2]}",
        "{gradient:[1,2]}",
        "{\"gradient\" [1,2]}",
        "{\"gradient\":[1,2],\"loss\":NaN}",
        "\xef\xbb\xbf{\"gradient\":[1,2]}",
        "{\"gradient\":[1,2],\"\xff\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuse_json(pair.update, bodies[i], 400, "malformed_json");
    refuse_json(pair.update, "", 422, "missing_field"); /* an empty object */
}

static void test_duplicate_keys(void **state)
{
    static const char *const bodies[] = {
        "{\"gradient\":[1,2],\"gradient\":[1,2]}",
        "{\"gradient\":[1,2],\"step\":1,\"step\":1}",
        "{\"step\":1,\"gradient\":[1,2],\"st\\u0065p\":1}",
        "{\"gradient\":[1,2],\"loss\":1,\"loss\":2}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuse_json(pair.update, bodies[i], 400, "duplicate_key");
    refuse_json(
        "/v1/sessions",
        "{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"name\":\"a\",\"shape\":[1]}]}", 400,
        "duplicate_key");
}

/* Half a megabyte of brackets, wherever they stand. */
static void test_deep_nesting(void **state)
{
    static const char *const begin[] = {"{\"gradient\":", "{\"gradient\":[1,2],\"loss\":", "",
                                        "{\"optimizer\":\"sgd\",\"labels\":"};
    static const char *const unit[] = {"[", "{\"a\":"};
    const size_t len = (size_t)1 << 19;
    char *const body = malloc(len + 64);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < 8; i++) {
        const char *const piece = unit[i % 2];
        size_t at = (size_t)sprintf(body, "%s", begin[i / 2]);
        while (at < len)
            at += (size_t)sprintf(body + at, "%s", piece);
        const struct asked asked = {.method = "POST",
                                    .path = i / 2 == 3 ? "/v1/sessions" : pair.update,
                                    .type = "application/json",
                                    .body = body,
                                    .len = at};
        const struct wire_reply reply = client_ask(&client, &asked);
        if (reply.status != 400 && reply.status != 422)
            fail_msg("nesting %zu: %d %.200s", i, reply.status, reply.body);
        pair_step();
    }
    free(body);
}

static void test_values(void **state)
{
    static const struct {
        const char *body, *code;
    } row[] = {
        {"{\"gradient\":[1]}", "dimension_mismatch"},
        {"{\"gradient\":[]}", "dimension_mismatch"},
        {"{\"gradient\":[1,2,3]}", "dimension_mismatch"},
        {"{\"gradient\":[1,1e39]}", "non_finite_gradient"},
        {"{\"gradient\":[1,-1e400]}", "non_finite_gradient"},
        {"{\"gradient\":[1,null]}", "invalid_value"},
        {"{\"gradient\":[1,[2]]}", "invalid_value"},
        {"{\"gradient\":[true,2]}", "invalid_value"},
        {"{\"gradient\":[1,\"2\"]}", "invalid_value"},
        {"{\"gradient\":{\"0\":1}}", "invalid_value"},
        {"{\"gradient\":null}", "invalid_value"},
        {"{\"gradient\":[1,2],\"step\":-1}", "invalid_value"},
        {"{\"gradient\":[1,2],\"step\":1.0}", "invalid_value"},
        {"{\"gradient\":[1,2],\"step\":\"1\"}", "invalid_value"},
        {"{\"gradient\":[1,2],\"step\":9007199254740992}", "invalid_value"},
        {"{\"gradient\":[1,2],\"loss\":1e999}", "invalid_value"},
        {"{\"gradient\":[1,2],\"loss\":\"x\"}", "invalid_value"},
        {"{\"gradient\":[1,2],\"Step\":1}", "unknown_field"},
        {"{\"grad\":[1,2]}", "unknown_field"},
        {"{\"step\":1}", "missing_field"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        refuse_json(pair.update, row[i].body, 422, row[i].code);
}

/* --- the problem document --- */

/* The pointer leads to the field, and each of the sentences has the client's own word. */
static void test_pointers(void **state)
{
    static const struct {
        const char *path, *body, *pointer, *word;
        int status;
    } row[] = {
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"coordinates\":-7}", "/coordinates", "-7", 422},
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"w\",\"shape\":[3,0]}]}",
         "/layout/0/shape/1", "0", 422},
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"coordinates\":1,\"banana\":1}", "/banana",
         "banana", 422},
        {"/v1/optimizers", "{\"name\":\"UPPER\",\"family\":\"sgd\"}", "/name", "UPPER", 422},
        {"/v1/optimizers", "{\"name\":\"x\",\"family\":\"banana\"}", "/family", "banana", 422},
        {"/v1/optimizers",
         "{\"name\":\"x\",\"family\":\"sgd\",\"config\":{\"learning_rate\":\"fast\"}}",
         "/config/learning_rate", "learning_rate", 422},
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"coordinates\":1e999}", "/coordinates", "large",
         422},
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"clip_norm\":99999999999999999999}", "/clip_norm",
         "large", 422},
        {"/v1/sessions", "{\"optimizer\":\"sg\\u0000d\"}", "/optimizer", "u0000", 422},
        {"/v1/sessions", "{\"optimizer\":\"sgd\",\"labels\":{\"a.b/c\":1}}", "/labels/a.b~1c",
         "a.b/c", 422},
        {"/v1/sessions",
         "{\"layout\":[{\"name\":\"w\",\"shape\":[1]},{\"name\":\"w\",\"name\":\"w\"}]}",
         "/layout/1/name", "twice", 400},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *const problem =
            client_json(&client, "POST", row[i].path, row[i].body, row[i].status);
        const json_t *const errors = json_object_get(problem, "errors");
        const json_t *const first = json_array_get(errors, 0);
        const char *const pointer = json_string_value(json_object_get(first, "pointer"));
        const char *const detail = json_string_value(json_object_get(problem, "detail"));
        assert_int_equal(json_array_size(errors), 1);
        assert_non_null(json_string_value(json_object_get(first, "detail")));
        assert_true(pointer && detail);
        assert_string_equal(pointer, row[i].pointer);
        if (!strstr(detail, row[i].word))
            fail_msg("\"%s\" does not name %s", detail, row[i].word);
        json_decref(problem);
    }
}

static void test_facts(void **state)
{
    static const struct {
        const char *body, *fact;
        int status, value;
    } row[] = {
        {"{\"gradient\":[1,2,3]}", "expected", 422, 2},
        {"{\"gradient\":[1,2,3]}", "got", 422, 3},
        {"{\"gradient\":[1,2],\"step\":4000000}", "current_step", 409, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *const problem =
            client_json(&client, "POST", pair.update, row[i].body, row[i].status);
        assert_int_equal(json_integer_value(json_object_get(problem, row[i].fact)),
                         row[i].value < 0 ? pair.step : row[i].value);
        json_decref(problem);
    }
    pair_step();
}

/* Given and good: echoed. Missing, too long or with a space: one is made. */
static void test_request_ids(void **state)
{
    char header[256], id[256], other[256], longest[129];

    (void)state;
    memset(longest, 'i', 128);
    longest[128] = '\0';
    const char *const good[] = {"a", "trace/7:{x}~!", longest};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(header, sizeof header, "X-Request-Id: %s\r\n", good[i]);
        struct asked asked = {.method = "GET", .path = "/v1", .headers = header};
        assert_int_equal(client_ask(&client, &asked).status, 200);
        assert_string_equal(client_header(&client, "X-Request-Id", id), good[i]);
        asked.path = "/v1/nothing";
        client_refused(&client, &asked, 404, "not_found"); /* and so says the document */
        assert_string_equal(client_header(&client, "X-Request-Id", id), good[i]);
    }
    (void)snprintf(header, sizeof header, "X-Request-Id: %sx\r\n", longest);
    const char *const bad[] = {"", "X-Request-Id: a b\r\n", "X-Request-Id: \xc3\xa4\r\n", header};
    for (size_t i = 0; i < 4; i++) {
        const struct asked asked = {.method = "GET", .path = "/livez", .headers = bad[i]};
        assert_int_equal(client_ask(&client, &asked).status, 200);
        client_header(&client, "X-Request-Id", id);
        assert_int_equal(client_ask(&client, &asked).status, 200);
        client_header(&client, "X-Request-Id", other);
        assert_int_equal(strlen(id), 32);
        assert_string_not_equal(id, other);
    }
}

/* The bytes of a client come back as text, never as part of the document. */
static void test_hostile_paths_stay_text(void **state)
{
    static const char *const paths[] = {"/v1/\"},{\"code\":\"x", "/v1/<script>", "/v1/\\u0041\\",
                                        "/v1/%22%0d%0aSet-Cookie:x"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct asked asked = {.method = "GET", .path = paths[i]};
        refuse(&asked, 404, "not_found");
        assert_null(strstr(client.wire.bytes, "\r\nSet-Cookie"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_method_not_allowed),
        cmocka_unit_test(test_refused_connections_go_on),
        cmocka_unit_test(test_unsupported_media_type),
        cmocka_unit_test(test_transfer_encoding),
        cmocka_unit_test(test_no_length),
        cmocka_unit_test(test_body_too_large),
        cmocka_unit_test(test_two_lengths),
        cmocka_unit_test(test_half_sent),
        cmocka_unit_test(test_malformed_json),
        cmocka_unit_test(test_duplicate_keys),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_hostile_paths_stay_text),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
