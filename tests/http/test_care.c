/* test_care.c -- backup, restore, check, migrate: what an operator does to a data folder
 *
 * Backups are taken while sessions take steps, begin and end. What a server on a backup must answer
 * is known to the bit (calm.h), from whichever step the backup is of. Damage is done to the files
 * of a stopped server, of every kind that `descent check` promises to see. */
#include "migrations/embedded.h"
#include "server/safetensors.h"
#include "tests/support/calm.h"
#include "tests/support/client.h"
#include "tests/support/disk.h"
#include "tests/support/ran.h"
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define OLD "ses_0123456789abcdef0123456789abcdef"

enum {
    N = 3000,
    SESSIONS = 4,
    BACKUPS = 4,
    STEPS_MIN = 20,
    FORK_EVERY = 4,
    FORKS = 25,
    LINE = 512
};

static struct served server;
static dsc_model *adam;

static int start(void **state)
{
    dsc_hyper hyper;

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_adam.hyper);
    return dsc_model_new(&adam, &dsc_family_adam, &hyper, NULL, NULL, NULL) && served_start(&server)
               ? 0
               : -1;
}

static int stop(void **state)
{
    (void)state;
    dsc_model_drop(adam);
    return served_stop(&server) ? 0 : -1;
}

/* A name for a folder that is not there. */
static void fresh_folder(char dir[64])
{
    strcpy(dir, "/tmp/descent-care-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(rmdir(dir), 0);
}

static void remove_folder(const char *dir)
{
    char line[LINE];

    (void)snprintf(line, sizeof line, "rm -r '%s'", dir);
    assert_int_equal(system(line), 0);
}

static void command(int status, const char *out, const char *err, const char *form, ...)
    __attribute__((format(printf, 4, 5)));

/* `descent` with the words of the form. */
static void command(int status, const char *out, const char *err, const char *form, ...)
{
    char words[LINE];
    va_list list;

    va_start(list, form);
    (void)vsnprintf(words, sizeof words, form, list);
    va_end(list);
    ran_expect(words, status, out, err);
}

/* --- sessions that go on meanwhile --- */

struct subject {
    char id[40];
    _Atomic uint64_t steps; /* answered */
};

struct traffic {
    struct subject subject[SESSIONS];
    uint64_t steps_max; /* it ends by itself when each session has taken as many; 0: it does not */
    atomic_bool over;
    char fault[256];
    pthread_t thread;
};

/* A POST that makes something; the id of the session in the reply, if `id` is not NULL. */
static bool post(struct wire *wire, const char *path, const char *body, char id[40])
{
    char text[LINE];
    struct wire_reply reply;
    const int len = snprintf(text, sizeof text,
                             "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             path, strlen(body), body);

    if (!wire_send(wire, text, (size_t)len) || !wire_read(wire, &reply) || reply.status != 201)
        return false;
    return !id || sscanf(strstr(reply.body, "ses_"), "%39[a-z0-9_]", id) == 1;
}

static bool create(struct wire *wire, const char *durability, char id[40])
{
    char body[160];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"adam\",\"coordinates\":%d,\"durability\":\"%s\","
                   "\"ttl_seconds\":1000}",
                   N, durability);
    return post(wire, "/v1/sessions", body, id);
}

/* A session with the state of another; what is kept of it under the step's number. */
static bool fork_session(struct wire *wire, const char *id, char fork[40])
{
    char path[128];

    (void)snprintf(path, sizeof path, "/v1/sessions/%s/fork", id);
    return post(wire, path, "{}", fork);
}

static bool checkpoint(struct wire *wire, const char *id, uint64_t step)
{
    char path[128], body[64];

    (void)snprintf(path, sizeof path, "/v1/sessions/%s/checkpoints", id);
    (void)snprintf(body, sizeof body, "{\"name\":\"at-%" PRIu64 "\"}", step);
    return post(wire, path, body, NULL);
}

static bool take_step(struct wire *wire, const char *id, const float *gradient, uint64_t t)
{
    char text[LINE];
    struct wire_reply reply;
    const int len =
        snprintf(text, sizeof text,
                 "POST /v1/sessions/%s/update HTTP/1.1\r\nHost: test\r\nContent-Type: "
                 "application/octet-stream\r\nDescent-Step: %" PRIu64 "\r\nContent-Length: %zu"
                 "\r\n\r\n",
                 id, t, N * sizeof(float));

    return wire_send(wire, text, (size_t)len) && wire_send(wire, gradient, N * sizeof(float)) &&
           wire_read(wire, &reply) && reply.status == 200;
}

static bool end(struct wire *wire, const char *id)
{
    char text[LINE];
    struct wire_reply reply;
    const int len =
        snprintf(text, sizeof text, "DELETE /v1/sessions/%s HTTP/1.1\r\nHost: test\r\n\r\n", id);

    return wire_send(wire, text, (size_t)len) && wire_read(wire, &reply) && reply.status == 204;
}

/* A step of each session; one that begins, takes a step and ends; and, once in a while, a fork,
 * which stays, and a checkpoint. */
static bool one_round(struct traffic *traffic, struct wire *wire, struct calm *calm)
{
    char passing[40];
    const uint64_t steps = atomic_load(&traffic->subject[0].steps);

    for (int i = 0; i < SESSIONS; i++) {
        struct subject *const subject = &traffic->subject[i];
        const uint64_t t = atomic_load(&subject->steps);
        if (!take_step(wire, subject->id, calm_gradient(calm, t), t))
            return false;
        atomic_store(&subject->steps, t + 1);
    }
    if (steps % FORK_EVERY == 0 && steps < FORKS * FORK_EVERY &&
        !(fork_session(wire, traffic->subject[0].id, passing) &&
          checkpoint(wire, traffic->subject[0].id, steps)))
        return false;
    return create(wire, "relaxed", passing) &&
           take_step(wire, passing, calm_gradient(calm, 0), 0) && end(wire, passing);
}

static bool is_done(const struct traffic *traffic)
{
    return traffic->steps_max &&
           atomic_load(&traffic->subject[SESSIONS - 1].steps) >= traffic->steps_max;
}

static void *keep_going(void *arg)
{
    struct traffic *const traffic = arg;
    struct calm calm; /* for its gradients */
    struct wire wire = {0};
    bool ok = calm_init(&calm, adam, N, 3, VECTOR_F32) && wire_open(&wire, server.port, WIRE_WIDE);

    while (ok && !atomic_load(&traffic->over) && !is_done(traffic))
        ok = one_round(traffic, &wire, &calm);
    if (!ok)
        (void)snprintf(traffic->fault, sizeof traffic->fault, "a request failed beside a backup");
    wire_close(&wire);
    calm_release(&calm);
    return NULL;
}

static void begin(struct traffic *traffic, uint64_t steps_max)
{
    struct wire wire;

    *traffic = (struct traffic) {.over = false, .steps_max = steps_max};
    assert_true(wire_open(&wire, server.port, WIRE_WIDE));
    for (int i = 0; i < SESSIONS; i++)
        assert_true(create(&wire, i % 2 ? "relaxed" : "strict", traffic->subject[i].id));
    wire_close(&wire);
    assert_int_equal(pthread_create(&traffic->thread, NULL, keep_going, traffic), 0);
}

static void finish(struct traffic *traffic)
{
    atomic_store(&traffic->over, true);
    pthread_join(traffic->thread, NULL);
    assert_string_equal(traffic->fault, "");
}

static void wait_for_steps(struct traffic *traffic, uint64_t steps)
{
    while (!traffic->fault[0] && atomic_load(&traffic->subject[SESSIONS - 1].steps) < steps)
        (void)usleep(1000);
}

/* --- a server on what was copied --- */

static uint64_t step_of(struct client *client, const char *id)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/v1/sessions/%s", id);
    json_t *const session = client_json(client, "GET", path, NULL, 200);
    const json_int_t step = json_integer_value(json_object_get(session, "step"));
    json_decref(session);
    return (uint64_t)step;
}

/* Steps `from` to `to` of the session are those of the undisturbed run. */
static void expect_steps(struct client *client, const char *id, uint64_t from, uint64_t to)
{
    char path[128], headers[64];
    struct calm calm;

    (void)snprintf(path, sizeof path, "/v1/sessions/%s/update", id);
    assert_true(calm_init(&calm, adam, N, 3, VECTOR_F32));
    for (uint64_t t = 0; t < to; t++) {
        const float *const update = calm_update(&calm, t);
        if (t < from)
            continue;
        (void)snprintf(headers, sizeof headers, "Descent-Step: %" PRIu64 "\r\n", t);
        const struct wire_reply reply =
            client_ask(client, &(struct asked) {.method = "POST",
                                                .path = path,
                                                .type = "application/octet-stream",
                                                .headers = headers,
                                                .body = calm_gradient(&calm, t),
                                                .len = N * sizeof(float)});
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.len, N * sizeof(float));
        assert_memory_equal(reply.body, update, reply.len);
    }
    calm_release(&calm);
}

/* All sessions were sent the same gradients, so each, whatever it was doing, goes on like the
 * others from its step. */
static void expect_all_continue(struct client *client)
{
    json_t *const page = client_json(client, "GET", "/v1/sessions?page_size=1000", NULL, 200);
    const json_t *const items = json_object_get(page, "items");

    assert_true(json_array_size(items) >= SESSIONS);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *const one = json_array_get(items, i);
        const uint64_t step = (uint64_t)json_integer_value(json_object_get(one, "step"));
        expect_steps(client, json_string_value(json_object_get(one, "id")), step, step + 1);
    }
    json_decref(page);
}

/* A checkpoint has the state of its step; restoring it is how one sees that. */
static void expect_checkpoints(struct client *client, const char *id)
{
    char path[160], restore[128], body[160];

    (void)snprintf(path, sizeof path, "/v1/sessions/%s/checkpoints", id);
    (void)snprintf(restore, sizeof restore, "/v1/sessions/%s/restore", id);
    json_t *const page = client_json(client, "GET", path, NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *const name =
            json_string_value(json_object_get(json_array_get(items, i), "name"));
        (void)snprintf(body, sizeof body, "{\"checkpoint\":\"%s\"}", name);
        json_decref(client_json(client, "POST", restore, body, 200));
        const uint64_t step = step_of(client, id);
        assert_int_equal(step, strtoull(name + strlen("at-"), NULL, 10) + 1);
        expect_steps(client, id, step, step + 1);
    }
    json_decref(page);
}

/* The last answer again, then three more; then everything else that is in the copy. */
static void expect_continued(const char *dir, struct traffic *traffic, const uint64_t *before)
{
    struct served copy = {.pid = 0};
    struct client client;

    (void)snprintf(copy.dir, sizeof copy.dir, "%s", dir);
    assert_true(served_start(&copy));
    client_open(&client, &copy);
    for (int i = 0; i < SESSIONS; i++) {
        const uint64_t steps = step_of(&client, traffic->subject[i].id);
        assert_true(steps >= before[i]);
        assert_true(steps <= atomic_load(&traffic->subject[i].steps) + 1); /* one is in flight */
        expect_steps(&client, traffic->subject[i].id, steps ? steps - 1 : 0, steps + 3);
    }
    expect_all_continue(&client);
    expect_checkpoints(&client, traffic->subject[0].id);
    client_close(&client);
    assert_true(served_kill(&copy));
    assert_true(disk_sound(dir));
    /* of sessions that ended meanwhile nothing is left, in either */
    assert_int_equal(
        disk_number(dir, "SELECT count(*) FROM (SELECT session FROM bulk.gradient UNION"
                         " SELECT session FROM bulk.chunk UNION SELECT session FROM"
                         " bulk.last_use) WHERE session > 0 AND session NOT IN (SELECT seq FROM"
                         " session)"),
        0);
}

static void test_backup_beside_traffic(void **state)
{
    struct traffic traffic;
    uint64_t before[SESSIONS];
    char dir[64], restored[64];

    (void)state;
    begin(&traffic, 0);
    for (int k = 1; k <= BACKUPS; k++) {
        fresh_folder(dir);
        fresh_folder(restored);
        wait_for_steps(&traffic, (uint64_t)k * STEPS_MIN);
        for (int i = 0; i < SESSIONS; i++)
            before[i] = atomic_load(&traffic.subject[i].steps);
        command(0, "", "", "backup --data %s %s", server.dir, dir);
        command(0, "sound\n", "", "check --data %s", server.dir);
        command(0, "sound\n", "", "check --data %s", dir);
        command(0, "", "", "restore --data %s %s", restored, dir);
        expect_continued(dir, &traffic, before);
        expect_continued(restored, &traffic, before);
        remove_folder(dir);
        remove_folder(restored);
    }
    finish(&traffic);
}

/* --- what is refused --- */

static void test_nothing_is_written_over(void **state)
{
    char dir[64], other[64], line[LINE];

    (void)state;
    fresh_folder(dir);
    fresh_folder(other);
    command(0, "", "", "backup --data %s %s", server.dir, dir);
    (void)snprintf(line, sizeof line, "%s/descent.db", dir);
    struct stat was, is;
    assert_int_equal(stat(line, &was), 0);
    assert_int_equal(was.st_mode & 0777, 0600);
    command(1, "", "has a descent.db already", "backup --data %s %s", server.dir, dir);
    command(1, "", "has a descent.db already", "restore --data %s %s", dir, dir);
    command(1, "", "another server uses", "restore --data %s %s", server.dir, dir);
    assert_int_equal(stat(line, &is), 0);
    assert_true(was.st_ino == is.st_ino && was.st_size == is.st_size &&
                was.st_mtim.tv_nsec == is.st_mtim.tv_nsec);
    command(1, "", "has no descent.db", "backup --data %s %s", other, dir);
    command(1, "", "has no descent.db", "check --data %s", other);
    command(1, "", "another server uses", "migrate --data %s", server.dir);
    ran_expect("backup", 2, "", "FOLDER: is missing");
    ran_expect("backup a b", 2, "", "one argument too many");
    remove_folder(dir);
}

/* --- damage --- */

static void overwrite(const char *dir, const char *file, long at)
{
    char path[128], junk[64];

    memset(junk, 0x5a, sizeof junk);
    (void)snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *const stream = fopen(path, "r+");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, at, SEEK_SET), 0);
    assert_int_equal(fwrite(junk, 1, sizeof junk, stream), sizeof junk);
    assert_int_equal(fclose(stream), 0);
}

/* A backup of the server, damaged in one way; check must say what, and restore must refuse it. */
static void expect_seen(const char *sql, const char *file, long at, const char *says)
{
    char dir[64], other[64];

    fresh_folder(dir);
    fresh_folder(other);
    command(0, "", "", "backup --data %s %s", server.dir, dir);
    if (sql)
        assert_true(disk_change(dir, sql));
    else
        overwrite(dir, file, at);
    command(1, says, "wrong", "check --data %s", dir);
    command(1, says, "is damaged; nothing was restored", "restore --data %s %s", other, dir);
    assert_int_not_equal(access(other, F_OK), 0);
    remove_folder(dir);
}

static void test_damage_is_seen(void **state)
{
    struct traffic traffic;

    (void)state;
    begin(&traffic, 120); /* there are chunks, and some gradients after them */
    wait_for_steps(&traffic, 120);
    finish(&traffic);
    expect_seen("DELETE FROM bulk.gradient WHERE step = (SELECT max(step) - 2 FROM bulk.gradient)",
                NULL, 0, "gradients are missing between step ");
    expect_seen(
        "UPDATE bulk.gradient SET bytes = substr(bytes, 1, 8) WHERE step = (SELECT max(step)"
        " - 2 FROM bulk.gradient)",
        NULL, 0, "has 8 bytes and not 12000");
    expect_seen(
        "DELETE FROM bulk.gradient WHERE step < (SELECT max(step) FROM bulk.gradient g WHERE"
        " g.session = gradient.session)",
        NULL, 0, "of which there is no gradient");
    expect_seen("UPDATE weights SET bytes = CAST(bytes || x'00' AS BLOB) WHERE sha256 = (SELECT "
                "min(sha256) FROM"
                " weights)",
                NULL, 0, ": their hash is ");
    expect_seen("DROP TRIGGER version_leaves; DELETE FROM weights", NULL, 0,
                "its weights are not there");
    expect_seen("PRAGMA foreign_keys = OFF; UPDATE session SET version = 987654", NULL, 0,
                "refers to a version that is not there");
    expect_seen(NULL, "bulk.db", 65536 + 3, "bulk.db: ");
    expect_seen(NULL, "descent.db", 4096 + 3, "descent.db: ");
}

/* --- migrations --- */

/* A folder as the first `count` migrations of each database left it. */
static void old_folder(char dir[64], int small, int bulk)
{
    static const char *const file[] = {"descent.db", "bulk.db"};
    char path[128], version[64];

    fresh_folder(dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < 2; i++) {
        sqlite3 *db = NULL;
        (void)snprintf(path, sizeof path, "%s/%s", dir, file[i]);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        for (size_t m = 0; m < migrations_count; m++) {
            const bool is_small = strcmp(migrations[m].database, "small") == 0;
            if (is_small != (i == 0) || migrations[m].number > (is_small ? small : bulk))
                continue;
            assert_int_equal(sqlite3_exec(db, migrations[m].sql, NULL, NULL, NULL), SQLITE_OK);
            (void)snprintf(version, sizeof version, "PRAGMA user_version=%d", migrations[m].number);
            assert_int_equal(sqlite3_exec(db, version, NULL, NULL, NULL), SQLITE_OK);
        }
        sqlite3_close(db);
    }
}

static int64_t version_of(const char *dir)
{
    return disk_number(dir, "SELECT user_version FROM pragma_user_version");
}

static void test_migrate(void **state)
{
    char dir[64];

    (void)state;
    old_folder(dir, 3, 1);
    command(0, "descent.db is at migration 3 of ", "", "migrate --dry-run --data %s", dir);
    command(0, "they can be applied; nothing was changed", "", "migrate --dry-run --data %s", dir);
    assert_int_equal(version_of(dir), 3);
    command(0, "sound", "", "check --data %s", dir); /* of an old one the structure */
    command(0, "applied", "", "migrate --data %s", dir);
    assert_true(version_of(dir) > 3);
    command(0, "nothing to do", "", "migrate --data %s", dir);
    assert_true(disk_change(dir, "PRAGMA user_version = 1000"));
    command(1, "", "is of a newer Descent", "migrate --data %s", dir);
    command(1, "", "is of a newer Descent", "serve --listen 127.0.0.1:0 --data %s", dir);
    assert_int_equal(version_of(dir), 1000);
    remove_folder(dir);
}

/* One that cannot be applied is known before, and leaves the databases as they were. */
static void test_migration_fails(void **state)
{
    char dir[64];

    (void)state;
    old_folder(dir, 3, 1);
    assert_true(disk_change(dir, "CREATE TABLE erasure (mine TEXT)"));
    command(1, "", "migration 4 of the small database fails: table erasure already exists",
            "migrate --dry-run --data %s", dir);
    command(1, "", "migration 4 of the small database fails: table erasure already exists",
            "migrate --data %s", dir);
    assert_int_equal(version_of(dir), 3);
    assert_true(disk_change(dir, "DROP TABLE erasure"));
    command(0, "applied", "", "migrate --data %s", dir);
    remove_folder(dir);
}

/* --- a session of the first schema --- */

static void put_blob(sqlite3 *db, const char *sql, const void *bytes, size_t len, int64_t step)
{
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_blob(stmt, 1, bytes, (int)len, SQLITE_STATIC), SQLITE_OK);
    if (sqlite3_bind_parameter_count(stmt) > 1)
        assert_int_equal(sqlite3_bind_int64(stmt, 2, step), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
}

/* What a server of the first schema would have written: an optimizer with one version, and a
 * session that has taken `steps` steps, without a chunk yet. */
static void write_old_session(const char *dir, uint64_t steps)
{
    char path[128], line[LINE];
    struct buf *file = NULL;
    struct calm calm;
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/descent.db", dir);
    (void)snprintf(line, sizeof line, "ATTACH '%s/bulk.db' AS bulk", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, line, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "INSERT INTO optimizer VALUES (1, 'old', 'adam', '{}', '', '{\"a\":\"b\"}', 0,"
                     " 2, 1700000000000)",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_true(safetensors_export(&file, adam, NULL));
    unsigned char hash[32];
    char hex[65];
    crypto_hash_sha256(hash, file->data, file->len);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    (void)snprintf(
        line, sizeof line,
        "INSERT INTO version VALUES (1, 1, 1, '{}', '%s', 'import', 0, 1700000000000, ?)", hex);
    put_blob(db, line, file->data, file->len, 0);
    (void)snprintf(line, sizeof line,
                   "INSERT INTO session VALUES (7, '" OLD "', 1, %d, 0, '{\"run\":\"1\"}', 0,"
                   " 1700000000000)",
                   N);
    assert_int_equal(sqlite3_exec(db, line, NULL, NULL, NULL), SQLITE_OK);
    assert_true(calm_init(&calm, adam, N, 3, VECTOR_F32));
    for (uint64_t t = 0; t < steps; t++)
        put_blob(db, "INSERT INTO bulk.gradient VALUES (7, ?2, 0, ?1)", calm_gradient(&calm, t),
                 N * sizeof(float), (int64_t)t);
    calm_release(&calm);
    buf_drop(file);
    sqlite3_close(db);
}

static void test_old_session_continues(void **state)
{
    struct served copy = {.pid = 0};
    struct client client;

    (void)state;
    old_folder(copy.dir, 1, 1);
    write_old_session(copy.dir, 5);
    command(0, "applied", "", "migrate --data %s", copy.dir);
    command(0, "sound", "", "check --data %s", copy.dir);
    assert_true(served_start(&copy));
    client_open(&client, &copy);
    assert_int_equal(step_of(&client, OLD), 5);
    expect_steps(&client, OLD, 4, 9);
    json_t *const session = client_json(&client, "GET", "/v1/sessions/" OLD, NULL, 200);
    assert_string_equal(json_string_value(json_object_get(session, "optimizer")), "old:1");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(session, "labels"), "run")), "1");
    json_decref(session);
    client_close(&client);
    assert_true(served_stop(&copy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_written_over),
        cmocka_unit_test(test_backup_beside_traffic),
        cmocka_unit_test(test_damage_is_seen),
        cmocka_unit_test(test_migrate),
        cmocka_unit_test(test_migration_fails),
        cmocka_unit_test(test_old_session_continues),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
