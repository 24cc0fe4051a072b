/* test_datasets.c -- datasets over HTTP: uploaded in pieces, listed, committed, deleted; a folder
 */
#include "server/limits.h"
#include "tests/support/client.h"
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATASETS "/v1/datasets"

static char folder[] = "/tmp/descent-folder-XXXXXX";
static const char *flags[] = {"--data-dir", folder, "--jobs", "0", NULL};
static struct served server = {.flags = flags};
static struct client client;

static void make_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int start(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || sodium_init() < 0)
        return -1;
    make_file("shipped.csv", "a,b\n1,2\n");
    client_open(&client, &server);
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    char path[128];

    (void)state;
    client_close(&client);
    snprintf(path, sizeof path, "%s/shipped.csv", folder);
    unlink(path);
    rmdir(folder);
    return served_stop(&server) ? 0 : -1;
}

static const char *text(const json_t *body, const char *name)
{
    const char *const value = json_string_value(json_object_get(body, name));

    assert_non_null(value);
    return value;
}

static struct asked file_request(const char *path, const void *bytes, size_t len)
{
    return (struct asked) {.method = "PUT",
                           .path = path,
                           .type = "application/octet-stream",
                           .body = bytes,
                           .len = len};
}

static json_t *put(const char *path, const void *bytes, size_t len, int status)
{
    const struct asked asked = file_request(path, bytes, len);
    const struct wire_reply reply = client_ask(&client, &asked);

    if (reply.status != status)
        fail_msg("PUT %s: %d: %.300s", path, reply.status, reply.body);
    json_t *const json = json_loadb(reply.body, reply.len, 0, NULL);
    assert_non_null(json);
    return json;
}

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    return client_json(&client, method, path, body, status);
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    client_refused(&client,
                   &(struct asked) {.method = method,
                                    .path = path,
                                    .type = body ? "application/json" : NULL,
                                    .body = body,
                                    .len = body ? strlen(body) : 0},
                   status, code);
}

static void refuse_file(const char *path, int status, const char *code)
{
    const struct asked asked = file_request(path, "1,2\n", 4);

    client_refused(&client, &asked, status, code);
}

static void expect_digest(const json_t *file, const unsigned char *bytes, size_t len)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char digest[65];

    crypto_hash_sha256(hash, bytes, len);
    sodium_bin2hex(digest, sizeof digest, hash, sizeof hash);
    assert_string_equal(text(file, "sha256"), digest);
    assert_int_equal(json_integer_value(json_object_get(file, "size_bytes")), len);
}

/* Lengths around that of a piece, and several pieces. */
static void test_lengths(void **state)
{
    static const size_t lens[] = {0,
                                  1,
                                  LIMIT_PIECE_BYTES - 1,
                                  LIMIT_PIECE_BYTES,
                                  LIMIT_PIECE_BYTES + 1,
                                  2 * LIMIT_PIECE_BYTES,
                                  5 * LIMIT_PIECE_BYTES + 12345};
    const size_t most = 6 * LIMIT_PIECE_BYTES;
    unsigned char *const bytes = malloc(most);
    char path[128], value[256];

    (void)state;
    assert_non_null(bytes);
    randombytes_buf(bytes, most);
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        snprintf(path, sizeof path, DATASETS "/lengths/files/f%zu.bin", i);
        json_t *file = put(path, bytes, lens[i], 201);
        assert_string_equal(client_header(&client, "Location", value), DATASETS "/lengths");
        expect_digest(file, bytes, lens[i]);
        json_decref(file);
        file = put(path, bytes, lens[i], 200); /* again is the same */
        expect_digest(file, bytes, lens[i]);
        json_decref(file);
    }
    free(bytes);
    json_t *const dataset = ask("GET", DATASETS "/lengths", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(dataset, "files")), 7);
    json_decref(dataset);
    json_decref(ask("DELETE", DATASETS "/lengths", NULL, 204));
}

static void test_life(void **state)
{
    static const char table[] = "x,y\n1,2\n3,4\n", other[] = "x,y\n5,6\n";

    (void)state;
    json_decref(put(DATASETS "/mine/files/a.csv", table, strlen(table), 201));
    json_t *dataset = ask("GET", DATASETS "/mine", NULL, 200);
    assert_string_equal(text(dataset, "state"), "open");
    assert_string_equal(text(dataset, "source"), "upload");
    assert_true(json_is_null(json_object_get(dataset, "format")));
    json_decref(dataset);
    json_decref(put(DATASETS "/mine/files/a.csv", other, strlen(other), 200));
    dataset = ask("POST", DATASETS "/mine/commit", "{\"format\":\"csv\",\"target\":\"y\"}", 200);
    assert_string_equal(text(dataset, "state"), "ready");
    assert_string_equal(text(dataset, "format"), "csv");
    assert_string_equal(text(dataset, "target"), "y");
    assert_true(json_is_string(json_object_get(dataset, "committed_at")));
    json_t *const again =
        ask("POST", DATASETS "/mine/commit", "{\"format\":\"csv\",\"target\":\"y\"}", 200);
    assert_true(json_equal(dataset, again));
    json_decref(again);
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"npy\"}", 409, "invalid_state");
    refuse_file(DATASETS "/mine/files/b.csv", 409, "invalid_state");

    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    json_t *const after = ask("GET", DATASETS "/mine", NULL, 200);
    assert_true(json_equal(dataset, after));
    json_decref(after);
    json_decref(dataset);
    json_decref(ask("DELETE", DATASETS "/mine", NULL, 204));
    refuse("GET", DATASETS "/mine", NULL, 404, "not_found");
    refuse("DELETE", DATASETS "/mine", NULL, 404, "not_found");
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"csv\"}", 404, "not_found");
}

/* A dataset that a job is to read stays until the job is over. */
static void test_in_use(void **state)
{
    static const char table[] = "x,class\n1,0\n2,1\n";
    char path[128];

    (void)state;
    json_decref(put(DATASETS "/used/files/a.csv", table, strlen(table), 201));
    static const char job[] =
        "{\"type\":\"meta_train\",\"optimizer\":\"of-used\",\"problems\":[{\"type\":"
        "\"softmax_regression\",\"params\":{\"dataset\":\"used\",\"batch\":2}}]}";
    refuse("POST", "/v1/jobs", job, 422, "invalid_value"); /* not committed */
    json_decref(ask("POST", DATASETS "/used/commit", "{\"format\":\"csv\"}", 200));
    json_t *const made = ask("POST", "/v1/jobs", job, 202);
    refuse("DELETE", DATASETS "/used", NULL, 409, "in_use");
    snprintf(path, sizeof path, "/v1/jobs/%s/cancel", text(made, "id"));
    json_decref(ask("POST", path, NULL, 200));
    json_decref(made);
    json_decref(ask("DELETE", DATASETS "/used", NULL, 204));
    refuse("POST", "/v1/jobs", job, 422, "invalid_value"); /* gone */
}

static void test_refused(void **state)
{
    struct asked asked = file_request(DATASETS "/mine/files/a", "x", 1);

    (void)state;
    refuse_file(DATASETS "/Mine/files/a", 422, "invalid_value");
    refuse_file(DATASETS "/mine/files/.a", 422, "invalid_value");
    refuse_file(DATASETS "/mine/files/a%2fb", 422, "invalid_value");
    asked.type = "text/csv";
    client_refused(&client, &asked, 415, "unsupported_media_type");
    refuse("GET", DATASETS "/mine", NULL, 404, "not_found"); /* none of them made it */
    json_decref(put(DATASETS "/mine/files/a.csv", "x\n1\n", 4, 201));
    refuse("POST", DATASETS "/mine/commit", "{}", 422, "missing_field");
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"xls\"}", 422, "invalid_value");
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"cifar\"}", 422, "invalid_value");
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"csv\",\"target\":\"y\"}", 422,
           "invalid_value");
    refuse("POST", DATASETS "/mine/commit", "{\"format\":\"csv\",\"x\":1}", 422, "unknown_field");
    json_decref(ask("DELETE", DATASETS "/mine", NULL, 204));
}

/* From the announced length, before a byte of it is read. */
static void test_too_large(void **state)
{
    char head[256];
    struct wire wire;
    struct wire_reply reply;

    (void)state;
    const int len = snprintf(head, sizeof head,
                             "PUT " DATASETS "/mine/files/a HTTP/1.1\r\nHost: x\r\n"
                             "Content-Type: application/octet-stream\r\n"
                             "Content-Length: %llu\r\n\r\n",
                             (unsigned long long)LIMIT_UPLOAD_BYTES + 1);
    assert_true(wire_open(&wire, server.port, WIRE_WIDE));
    assert_true(wire_send(&wire, head, (size_t)len));
    assert_true(wire_read(&wire, &reply));
    assert_int_equal(reply.status, 413);
    wire_close(&wire);
}

/* A client that leaves in the middle leaves nothing. */
static void test_cut_off(void **state)
{
    static char bytes[3 << 19]; /* one piece and a half of two */
    char head[256], path[160];
    struct wire wire;
    struct stat status;

    (void)state;
    const int len = snprintf(head, sizeof head,
                             "PUT " DATASETS "/mine/files/a HTTP/1.1\r\nHost: x\r\n"
                             "Content-Type: application/octet-stream\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             2 * LIMIT_PIECE_BYTES);
    assert_true(wire_open(&wire, server.port, WIRE_WIDE));
    assert_true(wire_send(&wire, head, (size_t)len));
    assert_true(wire_send(&wire, bytes, sizeof bytes));
    wire_close(&wire);
    refuse("GET", DATASETS "/mine", NULL, 404, "not_found");
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    snprintf(path, sizeof path, "%s/datasets", server.dir);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_nlink, 2);
    assert_int_equal(rmdir(path), 0); /* so it was empty */
    assert_int_equal(mkdir(path, 0700), 0);
}

static void test_folder(void **state)
{
    (void)state;
    json_t *const dataset = ask("GET", DATASETS "/shipped", NULL, 200);
    assert_string_equal(text(dataset, "source"), "folder");
    assert_string_equal(text(dataset, "state"), "ready");
    assert_string_equal(text(dataset, "format"), "csv");
    const json_t *const file = json_array_get(json_object_get(dataset, "files"), 0);
    assert_string_equal(text(file, "name"), "shipped.csv");
    assert_int_equal(json_integer_value(json_object_get(file, "size_bytes")), 8);
    json_decref(dataset);
    refuse_file(DATASETS "/shipped/files/a.csv", 409, "builtin_protected");
    refuse("POST", DATASETS "/shipped/commit", "{\"format\":\"csv\"}", 409, "builtin_protected");
    refuse("DELETE", DATASETS "/shipped", NULL, 409, "builtin_protected");
}

static void test_list(void **state)
{
    char path[128];
    size_t seen = 0;
    static const char *const names[] = {"a", "b", "shipped", "z"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, DATASETS "/%s/files/x", names[i]);
        if (i != 2)
            json_decref(put(path, "x", 1, 201));
    }
    snprintf(path, sizeof path, DATASETS "?page_size=3");
    for (bool more = true; more;) {
        json_t *const page = ask("GET", path, NULL, 200);
        const json_t *const items = json_object_get(page, "items");
        for (size_t i = 0; i < json_array_size(items); i++)
            assert_string_equal(text(json_array_get(items, i), "name"), names[seen++]);
        more = text(page, "next_page_token")[0] != '\0';
        snprintf(path, sizeof path, DATASETS "?page_size=3&page_token=%s",
                 text(page, "next_page_token"));
        json_decref(page);
    }
    assert_int_equal(seen, 4);
    json_decref(ask("GET", DATASETS "?page_size=0", NULL, 422));
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, DATASETS "/%s", names[i]);
        if (i != 2)
            json_decref(ask("DELETE", path, NULL, 204));
    }
}

static void test_too_many_files(void **state)
{
    char path[128];

    (void)state;
    for (int i = 0; i < LIMIT_DATASET_FILES; i++) {
        snprintf(path, sizeof path, DATASETS "/many/files/f%d", i);
        json_decref(put(path, "x", 1, 201));
    }
    refuse_file(DATASETS "/many/files/more", 429, "quota_exceeded");
    json_decref(ask("DELETE", DATASETS "/many", NULL, 204));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),        cmocka_unit_test(test_life),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_too_large),      cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_folder),         cmocka_unit_test(test_list),
        cmocka_unit_test(test_too_many_files),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
