/* test_versions.c -- versions over HTTP: made by a config, imported and exported to the byte, and
 * every way for a file to lie
 *
 * After each refused file the list of versions is what it was before, and the next good import gets
 * the next number. */
#include "server/safetensors.h"
#include "tests/support/client.h"
#include "tests/support/disk.h"

#include <cmocka.h>
#include <math.h>
#include <sodium.h>

#define VERSIONS "/v1/optimizers/net/versions"
#define SPARE    "/v1/optimizers/spare/versions"

static struct served server;
static struct client client;

static json_t *post(const char *path, const char *body, int status)
{
    return client_json(&client, "POST", path, body, status);
}

static int start(void **state)
{
    (void)state;
    client_open(&client, &server);
    if (!served_start(&server))
        return -1;
    json_decref(post("/v1/optimizers", "{\"name\":\"net\",\"family\":\"lstm\"}", 201));
    json_decref(post("/v1/optimizers", "{\"name\":\"spare\",\"family\":\"sgd\"}", 201));
    return 0;
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

static json_t *get(const char *path)
{
    return client_json(&client, "GET", path, NULL, 200);
}

static void discard(const char *path, int status)
{
    json_decref(client_json(&client, "DELETE", path, NULL, status));
}

/* A request that must be refused and change nothing. */
static void refuse(const struct asked *asked, int status, const char *code)
{
    json_t *const net = get(VERSIONS), *const spare = get(SPARE);

    client_refused(&client, asked, status, code);
    json_t *const net_after = get(VERSIONS), *const spare_after = get(SPARE);
    assert_true(json_equal(net, net_after) && json_equal(spare, spare_after));
    json_decref(net);
    json_decref(spare);
    json_decref(net_after);
    json_decref(spare_after);
}

static struct asked json_request(const char *method, const char *path, const char *body)
{
    return (struct asked) {.method = method,
                           .path = path,
                           .type = body ? "application/json" : NULL,
                           .body = body,
                           .len = body ? strlen(body) : 0};
}

static struct asked file_request(const char *path, const void *bytes, size_t len)
{
    return (struct asked) {.method = "POST",
                           .path = path,
                           .type = "application/x-safetensors",
                           .body = bytes,
                           .len = len};
}

static json_t *import(const void *bytes, size_t len)
{
    const struct asked asked = file_request(VERSIONS, bytes, len);
    const struct wire_reply reply = client_ask(&client, &asked);

    if (reply.status != 201)
        fail_msg("import: %d %.400s", reply.status, reply.body);
    json_t *const version = json_loadb(reply.body, reply.len, 0, NULL);
    assert_non_null(version);
    return version;
}

/* --- files --- */

/* Weights of the default LSTM as the file that Descent writes for them; the caller's count. */
static struct buf *lstm_file(uint64_t seed, int hidden, int layers)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(seed, 0, 0);
    dsc_hyper hyper;
    dsc_model *model = NULL;
    struct buf *file = NULL;

    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "hidden_size", hidden, NULL) &&
                dsc_hyper_set_number(&hyper, "layers", layers, NULL));
    dsc_family_lstm.phi_layout(&layout, &hyper);
    float *const phi = calloc(layout.len, sizeof *phi);
    assert_non_null(phi);
    dsc_family_lstm.phi_init(phi, &rng, &hyper);
    assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, NULL) &&
                safetensors_export(&file, model, NULL));
    dsc_model_drop(model);
    free(phi);
    return file;
}

/* A file of this header (its length in front, true or not) and these data; the caller's count. */
static struct buf *file_of(uint64_t header_len, const char *header, const void *data, size_t len)
{
    struct buf *const file = buf_new(8 + strlen(header) + len);

    assert_non_null(file);
    assert_true(buf_append(file, &header_len, 8) && buf_append(file, header, strlen(header)) &&
                buf_append(file, data, len));
    return file;
}

/* --- the good ways --- */

static void sha256_hex(char out[65], const void *bytes, size_t len)
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, bytes, len);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

/* Imported, exported, compared; then the same after a kill -9. */
static void test_import_gives_back_the_bytes(void **state)
{
    static const int sizes[][2] = {{20, 2}, {1, 1}, {7, 4}, {20, 0}};
    char path[128], sha[65];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf *const file = lstm_file(i, sizes[i][0], sizes[i][1]);
        json_t *const version = import(file->data, file->len);
        sha256_hex(sha, file->data, file->len);
        assert_string_equal(text(version, "sha256"), sha);
        assert_string_equal(text(version, "source"), "import");
        assert_string_equal(text(version, "family"), "lstm");
        assert_int_equal(whole(version, "size_bytes"), file->len);
        assert_int_equal(whole(json_object_get(version, "config"), "layers"), sizes[i][1]);
        assert_int_equal(whole(version, "state_bytes_per_coordinate"),
                         sizes[i][0] * sizes[i][1] * 2 * 4);
        (void)snprintf(path, sizeof path, VERSIONS "/%lld", (long long)whole(version, "version"));
        json_t *const again = get(path);
        assert_true(json_equal(version, again));
        strcat(path, "/weights");
        const struct asked asked = json_request("GET", path, NULL);
        for (int kills = 0; kills < 2; kills++) {
            const struct wire_reply reply = client_ask(&client, &asked);
            assert_int_equal(reply.status, 200);
            assert_int_equal(reply.len, file->len);
            assert_memory_equal(reply.body, file->data, file->len);
            client_close(&client);
            assert_true(served_kill(&server) && served_start(&server));
        }
        json_decref(version);
        json_decref(again);
        buf_drop(file);
    }
}

static void test_etag(void **state)
{
    char etag[256], header[300], path[160];
    struct buf *const file = lstm_file(9, 3, 1);
    json_t *const version = import(file->data, file->len);

    (void)state;
    (void)snprintf(path, sizeof path, VERSIONS "/%lld/weights",
                   (long long)whole(version, "version"));
    struct asked asked = json_request("GET", path, NULL);
    assert_int_equal(client_ask(&client, &asked).status, 200);
    client_header(&client, "ETag", etag);
    (void)snprintf(header, sizeof header, "\"sha256:%s\"", text(version, "sha256"));
    assert_string_equal(etag, header);
    (void)snprintf(header, sizeof header, "If-None-Match: %s\r\n", etag);
    asked.headers = header;
    struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, 304);
    assert_int_equal(reply.len, 0);
    assert_string_equal(client_header(&client, "ETag", header), etag);
    asked.headers = "If-None-Match: \"sha256:0\"\r\n";
    reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.len, file->len);
    json_decref(version);
    buf_drop(file);
}

/* The parts of a small file: a linear map of two inputs. */
/* Parts of the file, put together again; and what is no part of it. */
static void test_ranges(void **state)
{
    char path[160], headers[400], value[256], expected[128];
    struct buf *const file = lstm_file(11, 3, 1);
    json_t *const version = import(file->data, file->len);

    (void)state;
    (void)snprintf(path, sizeof path, VERSIONS "/%lld/weights",
                   (long long)whole(version, "version"));
    struct asked asked = json_request("GET", path, NULL);
    asked.headers = headers;
    for (size_t at = 0; at < file->len; at += 100) {
        const size_t end = at + 100 < file->len ? at + 100 : file->len;
        (void)snprintf(headers, sizeof headers, "Range: bytes=%zu-%zu\r\n", at, at + 99);
        const struct wire_reply reply = client_ask(&client, &asked);
        assert_int_equal(reply.status, 206);
        assert_int_equal(reply.len, end - at);
        assert_memory_equal(reply.body, file->data + at, reply.len);
        (void)snprintf(expected, sizeof expected, "bytes %zu-%zu/%zu", at, end - 1, file->len);
        assert_string_equal(client_header(&client, "Content-Range", value), expected);
    }
    (void)snprintf(headers, sizeof headers, "Range: bytes=%zu-\r\n", file->len);
    client_refused(&client, &asked, 416, "range_not_satisfiable");
    (void)snprintf(expected, sizeof expected, "bytes */%zu", file->len);
    assert_string_equal(client_header(&client, "Content-Range", value), expected);
    (void)snprintf(headers, sizeof headers, "Range: bytes=0-9\r\nIf-Range: \"sha256:%s\"\r\n",
                   text(version, "sha256"));
    assert_int_equal(client_ask(&client, &asked).status, 206);
    (void)snprintf(headers, sizeof headers, "Range: bytes=0-9\r\nIf-Range: \"sha256:0\"\r\n");
    const struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.len, file->len);
    json_decref(version);
    buf_drop(file);
}

/* How many files are stored; asks the databases of a dead server. */
static int64_t count_files(void)
{
    client_close(&client);
    assert_true(served_kill(&server));
    const int64_t count = disk_number(server.dir, "SELECT count(*) FROM weights");
    assert_true(served_start(&server));
    return count;
}

/* The same file twice is stored once, and stays until the last version that has it is gone. */
static void test_stored_once(void **state)
{
    struct buf *const file = lstm_file(12, 20, 2);
    const int64_t before = count_files();
    char path[128], weights[160];

    (void)state;
    json_t *const first = import(file->data, file->len);
    json_t *const second = import(file->data, file->len);
    assert_string_equal(text(first, "sha256"), text(second, "sha256"));
    assert_int_equal(count_files(), before + 1);
    (void)snprintf(path, sizeof path, VERSIONS "/%lld", (long long)whole(first, "version"));
    json_decref(client_json(&client, "DELETE", path, NULL, 204));
    (void)snprintf(weights, sizeof weights, VERSIONS "/%lld/weights",
                   (long long)whole(second, "version"));
    const struct asked asked = json_request("GET", weights, NULL);
    const struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.len, file->len);
    assert_memory_equal(reply.body, file->data, file->len);
    (void)snprintf(path, sizeof path, VERSIONS "/%lld", (long long)whole(second, "version"));
    json_decref(client_json(&client, "DELETE", path, NULL, 204));
    assert_int_equal(count_files(), before);
    json_decref(first);
    json_decref(second);
    buf_drop(file);
}

#define WEIGHT(dtype, shape, offsets)                                                              \
    "\"output.weight\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define BIAS(dtype, shape, offsets)                                                                \
    "\"output.bias\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define GOOD_WEIGHT WEIGHT("F32", "[1,2]", "[0,8]")
#define GOOD_BIAS   BIAS("F32", "[1]", "[8,12]")
#define META(text)  "\"__metadata__\":{" text "}"

static const float small[3] = {0.5f, -2, 0.25f};

/* PyTorch's own files have no config: sizes come from the shapes. */
static void test_without_metadata(void **state)
{
    static const char *const headers[] = {
        "{" GOOD_WEIGHT "," GOOD_BIAS "}",
        "{" GOOD_BIAS "," GOOD_WEIGHT "}",
        "{" META("\"format\":\"pt\"") "," GOOD_WEIGHT "," GOOD_BIAS "}",
        "{" GOOD_WEIGHT "," GOOD_BIAS "}      ",
    };
    json_t *first = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct buf *const file = file_of(strlen(headers[i]), headers[i], small, sizeof small);
        json_t *const version = import(file->data, file->len);
        const json_t *const config = json_object_get(version, "config");
        assert_int_equal(whole(config, "layers"), 0);
        assert_string_equal(text(config, "preprocessing"), "log_sign");
        assert_true(json_number_value(json_object_get(config, "output_scale")) == 1);
        assert_int_equal(whole(version, "weights_count"), 3);
        if (!first)
            first = json_incref(version);
        assert_string_equal(text(version, "sha256"), text(first, "sha256")); /* one model */
        json_decref(version);
        buf_drop(file);
    }
    json_decref(first);
}

/* 16 and 64 bits a number: the values of these are the same in each format. */
static void test_other_dtypes(void **state)
{
    static const uint16_t f16[] = {0x3800, 0xc000, 0x3400}, bf16[] = {0x3f00, 0xc000, 0x3e80};
    static const double f64[] = {0.5, -2, 0.25};
    static const struct {
        const char *header;
        const void *data;
        size_t len;
    } row[] = {
        {"{" GOOD_WEIGHT "," GOOD_BIAS "}", small, sizeof small},
        {"{" WEIGHT("F16", "[1,2]", "[0,4]") "," BIAS("F16", "[1]", "[4,6]") "}", f16, sizeof f16},
        {"{" WEIGHT("BF16", "[1,2]", "[0,4]") "," BIAS("BF16", "[1]", "[4,6]") "}", bf16,
         sizeof bf16},
        {"{" WEIGHT("F64", "[1,2]", "[0,16]") "," BIAS("F64", "[1]", "[16,24]") "}", f64,
         sizeof f64},
    };
    char sha[65] = "";

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf *const file =
            file_of(strlen(row[i].header), row[i].header, row[i].data, row[i].len);
        json_t *const version = import(file->data, file->len);
        if (i == 0)
            (void)snprintf(sha, sizeof sha, "%s", text(version, "sha256"));
        assert_string_equal(text(version, "sha256"), sha);
        json_decref(version);
        buf_drop(file);
    }
}

static void test_versions_by_config(void **state)
{
    (void)state;
    json_t *const second = post(SPARE, "{\"config\":{\"learning_rate\":0.25}}", 201);
    assert_int_equal(whole(second, "version"), 2);
    assert_int_equal(whole(second, "weights_count"), 0);
    assert_true(json_number_value(
                    json_object_get(json_object_get(second, "config"), "learning_rate")) == 0.25);
    json_t *const optimizer = get("/v1/optimizers/spare");
    assert_int_equal(whole(optimizer, "latest_version"), 2);
    json_decref(second);
    json_decref(optimizer);
    static const struct {
        const char *body, *code;
        int status;
    } row[] = {
        {"{}", "missing_field", 422},
        {"{\"config\":{\"learning_rate\":-1}}", "invalid_value", 422},
        {"{\"config\":{\"momentum\":1}}", "unknown_field", 422},
        {"{\"config\":{},\"family\":\"adam\"}", "unknown_field", 422},
        {"{\"config\":{\"learning_rate\":1,\"learning_rate\":1}}", "duplicate_key", 400},
        {"{\"config\":", "malformed_json", 400},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct asked asked = json_request("POST", SPARE, row[i].body);
        refuse(&asked, row[i].status, row[i].code);
    }
}

/* Version numbers are never used again, and `name` means the highest that remains. */
static void test_numbers_are_never_reused(void **state)
{
    (void)state;
    json_decref(post("/v1/optimizers", "{\"name\":\"count\",\"family\":\"sgd\"}", 201));
    for (int number = 2; number <= 5; number++) {
        json_t *const version = post("/v1/optimizers/count/versions", "{\"config\":{}}", 201);
        assert_int_equal(whole(version, "version"), number);
        json_decref(version);
        discard("/v1/optimizers/count/versions/1", number == 2 ? 204 : 404);
        if (number == 3)
            discard("/v1/optimizers/count/versions/3", 204);
    }
    json_t *const list = get("/v1/optimizers/count/versions");
    static const int left[] = {2, 4, 5};
    const json_t *const items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(whole(json_array_get(items, i), "version"), left[i]);
    json_decref(list);
    discard("/v1/optimizers/count/versions/5", 204);
    json_t *const session =
        post("/v1/sessions", "{\"optimizer\":\"count\",\"coordinates\":1}", 201);
    assert_string_equal(text(session, "optimizer"), "count:4");
    json_decref(session);
}

/* A version, and so its optimizer, stays while a session uses it. */
static void test_in_use(void **state)
{
    char path[128];

    (void)state;
    json_decref(post("/v1/optimizers", "{\"name\":\"used\",\"family\":\"sgd\"}", 201));
    json_decref(post("/v1/optimizers/used/versions", "{\"config\":{}}", 201));
    json_t *const session =
        post("/v1/sessions", "{\"optimizer\":\"used:1\",\"coordinates\":1}", 201);
    struct asked asked = json_request("DELETE", "/v1/optimizers/used/versions/1", NULL);
    refuse(&asked, 409, "in_use");
    asked.path = "/v1/optimizers/used";
    refuse(&asked, 409, "in_use");
    discard("/v1/optimizers/used/versions/2", 204); /* nobody's */
    (void)snprintf(path, sizeof path, "/v1/sessions/%s", text(session, "id"));
    json_decref(session);
    discard(path, 204);
    discard("/v1/optimizers/used/versions/1", 204);
    discard("/v1/optimizers/used", 204);
}

static void test_versions_that_are_not_there(void **state)
{
    static const char *const paths[] = {
        VERSIONS "/0",
        VERSIONS "/999",
        VERSIONS "/-1",
        VERSIONS "/01",
        VERSIONS "/x",
        VERSIONS "/1.0",
        VERSIONS "/999/weights",
        VERSIONS "/99999999999999999999",
        "/v1/optimizers/nobody/versions",
        "/v1/optimizers/nobody/versions/1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct asked asked = json_request("GET", paths[i], NULL);
        refuse(&asked, 404, "not_found");
    }
}

/* --- files that lie --- */

struct lie {
    const char *header;
    size_t data_len;
};

/* Refused with 422; `spare` is the optimizer to which even a true lstm file does not belong. */
static void refuse_file(const char *path, const struct buf *file)
{
    const struct asked asked = file_request(path, file->data, file->len);

    refuse(&asked, 422, "invalid_weights");
}

static void test_headers_that_lie(void **state)
{
    static const struct lie row[] = {
        /* wrong sizes */
        {"{" GOOD_WEIGHT "," BIAS("F32", "[2]", "[8,12]") "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[8,16]") "}", 16},
        {"{" WEIGHT("F32", "[2,1]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[2]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[1,3]", "[0,12]") "," BIAS("F32", "[1]", "[12,16]") "}", 16},
        {"{" WEIGHT("F32", "[1,1,2]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[-1,-2]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[1,2.0]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[4611686018427387904,4]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[4611686018427387904,1]", "[0,8]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[0,2]", "[0,0]") "," BIAS("F32", "[1]", "[0,4]") "}", 4},
        /* offsets that overlap, leave holes, run backwards, end outside, overflow */
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[4,8]") "}", 8},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[12,16]") "}", 16},
        {"{" GOOD_WEIGHT "," GOOD_BIAS "}", 16},
        {"{" GOOD_WEIGHT "," GOOD_BIAS "}", 11},
        {"{" GOOD_WEIGHT "," GOOD_BIAS "}", 0},
        {"{" WEIGHT("F32", "[1,2]", "[8,0]") "," GOOD_BIAS "}", 12},
        {"{" WEIGHT("F32", "[1,2]", "[-8,0]") "," GOOD_BIAS "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[9223372036854775803,9223372036854775807]") "}",
         12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[18446744073709551612,18446744073709551616]") "}",
         12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[8]") "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[8,12,12]") "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("F32", "[1]", "[\"8\",\"12\"]") "}", 12},
        /* wrong types */
        {"{" GOOD_WEIGHT "," BIAS("I32", "[1]", "[8,12]") "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("f32", "[1]", "[8,12]") "}", 12},
        {"{" GOOD_WEIGHT "," BIAS("F64", "[1]", "[8,12]") "}", 12},
        {"{" GOOD_WEIGHT ",\"output.bias\":{\"shape\":[1],\"data_offsets\":[8,12]}}", 12},
        {"{" GOOD_WEIGHT ",\"output.bias\":[]}", 12},
        {"{" GOOD_WEIGHT ",\"output.bias\":{}}", 12},
        /* names: twice, missing, unknown */
        {"{" GOOD_WEIGHT "," GOOD_BIAS "," GOOD_BIAS "}", 12},
        {"{" GOOD_WEIGHT "}", 8},
        {"{" BIAS("F32", "[1]", "[0,4]") "}", 4},
        {"{}", 0},
        {"{" GOOD_WEIGHT "," GOOD_BIAS
         ",\"more\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]}}",
         16},
        {"{" GOOD_WEIGHT "," GOOD_BIAS
         ",\"empty\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[12,12]}}",
         12},
        /* metadata: another family, a config that does not fit or is none */
        {"{" META("\"family\":\"adam\"") "," GOOD_WEIGHT "," GOOD_BIAS "}", 12},
        {"{" META("\"family\":\"nobody\"") "," GOOD_WEIGHT "," GOOD_BIAS "}", 12},
        {"{" META("\"family\":1") "," GOOD_WEIGHT "," GOOD_BIAS "}", 12},
        {"{\"__metadata__\":[]," GOOD_WEIGHT "," GOOD_BIAS "}", 12},
        {"{" META("\"family\":\"lstm\",\"config\":\"{\\\"layers\\\":2}\"") "," GOOD_WEIGHT
                                                                           "," GOOD_BIAS "}",
         12},
        {"{" META("\"family\":\"lstm\",\"config\":\"{\\\"layers\\\":-1}\"") "," GOOD_WEIGHT
                                                                            "," GOOD_BIAS "}",
         12},
        {"{" META("\"family\":\"lstm\",\"config\":\"{\\\"hidden_size\\\":1e300}\"") "," GOOD_WEIGHT
                                                                                    "," GOOD_BIAS
                                                                                    "}",
         12},
        {"{" META("\"family\":\"lstm\",\"config\":\"no json\"") "," GOOD_WEIGHT "," GOOD_BIAS "}",
         12},
        /* no header at all */
        {"[]", 0},
        {"{", 0},
        {"", 0},
        {" {" GOOD_WEIGHT "," GOOD_BIAS "}", 12},
        {"{" GOOD_WEIGHT "," GOOD_BIAS "} x", 12},
    };
    static const float zeros[4] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct buf *const file =
            file_of(strlen(row[i].header), row[i].header, zeros, row[i].data_len);
        refuse_file(VERSIONS, file);
        buf_drop(file);
    }
}

/* The eight bytes in front: the header's length. */
static void test_lengths_that_lie(void **state)
{
    static const char header[] = "{" GOOD_WEIGHT "," GOOD_BIAS "}";
    static const uint64_t lengths[] = {0,
                                       1,
                                       sizeof header - 2,
                                       sizeof header,
                                       sizeof header + 12,
                                       1000,
                                       (uint64_t)1 << 32,
                                       INT64_MAX,
                                       UINT64_MAX - 7,
                                       UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf *const file = file_of(lengths[i], header, small, sizeof small);
        refuse_file(VERSIONS, file);
        buf_drop(file);
    }
}

/* A header of two megabytes that would be right if it were shorter, and one nested deep. */
static void test_huge_headers(void **state)
{
    const size_t len = (size_t)2 << 20;
    char *const header = malloc(len + 1);
    static const char good[] = "{" GOOD_WEIGHT "," GOOD_BIAS "}", deep[] = "{\"a\":";

    (void)state;
    assert_non_null(header);
    memset(header, ' ', len);
    memcpy(header, good, sizeof good - 1);
    header[len] = '\0';
    struct buf *file = file_of(len, header, small, sizeof small);
    refuse_file(VERSIONS, file);
    buf_drop(file);
    memset(header, '[', len);
    memcpy(header, deep, sizeof deep - 1);
    header[1 << 19] = '\0';
    file = file_of((uint64_t)1 << 19, header, small, sizeof small);
    refuse_file(VERSIONS, file);
    buf_drop(file);
    free(header);
}

/* A true file cut off at every length, and with one byte more. */
static void test_truncated(void **state)
{
    static const char header[] = "{" GOOD_WEIGHT "," GOOD_BIAS "}";
    struct buf *const file = file_of(sizeof header - 1, header, small, sizeof small);
    const size_t len = file->len;

    (void)state;
    for (file->len = 0; file->len < len; file->len++)
        refuse_file(VERSIONS, file);
    assert_true(buf_append(file, "", 1));
    refuse_file(VERSIONS, file);
    buf_drop(file);
}

static void test_numbers_that_are_none(void **state)
{
    static const char header[] = "{" GOOD_WEIGHT "," GOOD_BIAS "}";
    static const char wide[] =
        "{" WEIGHT("F64", "[1,2]", "[0,16]") "," BIAS("F64", "[1]", "[16,24]") "}";
    static const char half[] =
        "{" WEIGHT("F16", "[1,2]", "[0,4]") "," BIAS("F16", "[1]", "[4,6]") "}";
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const double beyond[3] = {1, -1e39, 0};
    static const uint16_t infinite[3] = {0, 0, 0x7c00};
    struct buf *file;

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        float numbers[3] = {1, 2, 3};
        numbers[i / 3] = bad[i % 3];
        file = file_of(sizeof header - 1, header, numbers, sizeof numbers);
        refuse_file(VERSIONS, file);
        buf_drop(file);
    }
    file = file_of(sizeof wide - 1, wide, beyond, sizeof beyond);
    refuse_file(VERSIONS, file);
    buf_drop(file);
    file = file_of(sizeof half - 1, half, infinite, sizeof infinite);
    refuse_file(VERSIONS, file);
    buf_drop(file);
}

/* The file of one family sent to an optimizer of another. */
static void test_other_family(void **state)
{
    struct buf *const file = lstm_file(1, 20, 2);

    (void)state;
    refuse_file(SPARE, file);
    const struct asked asked = file_request("/v1/optimizers/sgd/versions", file->data, file->len);
    refuse(&asked, 409, "builtin_protected");
    buf_drop(file);
}

/* After all these refusals the next import has the number after the last. */
static void test_refused_files_take_no_number(void **state)
{
    struct buf *const file = lstm_file(2, 2, 1);
    json_t *const first = import(file->data, file->len);
    struct buf *const bad = file_of(0, "", "", 0);

    (void)state;
    refuse_file(VERSIONS, bad);
    json_t *const second = import(file->data, file->len);
    assert_int_equal(whole(second, "version"), whole(first, "version") + 1);
    json_decref(first);
    json_decref(second);
    buf_drop(bad);
    buf_drop(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_gives_back_the_bytes),
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_stored_once),
        cmocka_unit_test(test_without_metadata),
        cmocka_unit_test(test_other_dtypes),
        cmocka_unit_test(test_versions_by_config),
        cmocka_unit_test(test_numbers_are_never_reused),
        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_versions_that_are_not_there),
        cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_huge_headers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_numbers_that_are_none),
        cmocka_unit_test(test_other_family),
        cmocka_unit_test(test_refused_files_take_no_number),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
