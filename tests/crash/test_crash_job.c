/* test_crash_job.c -- a training killed again and again ends with the bits of one that was not
 *
 * What it should be comes first: `descent train` on the same spec, undisturbed, in another process.
 * Then the same training as a job, on a server that is killed with -9 whenever the job has got on a
 * little: at moments that spread over computing, saving and the time in between, because the wait
 * before each kill is another. After each kill the database passes integrity_check. In the end
 *
 *     the version's sha256 is that of the file that the command wrote
 *     each validation was told once, in order, although epochs were done twice
 *     the events' ids are 1, 2, ... without a gap
 *
 * DESCENT_CRASH_KILLS (200) says how many kills, a tenth of it; the training is long enough that
 * most of them meet it at work, and how many did is printed. */
#include "server/job.h"
#include "server/limits.h"
#include "tests/support/disk.h"
#include "tests/support/follower.h"
#include "tests/support/served.h"
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

enum { EPOCHS = 4000, VALIDATE_EVERY = 40 };

static const char spec[] =
    "{\"type\":\"meta_train\",\"optimizer\":\"killed\",\"problems\":[{\"type\":\"quadratic\","
    "\"params\":{\"dimension\":10}}],\"config\":{\"hidden_size\":8,\"layers\":2},\"horizon\":20,"
    "\"unroll\":10,\"functions_per_step\":8,\"epochs\":4000,\"validate_every\":40,"
    "\"validation_functions\":8,\"patience\":0,\"seed\":3}";

static int kills_wanted(void)
{
    const char *const text = getenv("DESCENT_CRASH_KILLS");
    const int kills = (text ? atoi(text) : 200) / 10;

    return kills < 3 ? 3 : kills;
}

/* --- undisturbed --- */

static void digest_of(const char *path, char digest[65])
{
    static unsigned char bytes[1 << 20];
    unsigned char hash[crypto_hash_sha256_BYTES];
    FILE *const file = fopen(path, "rb");

    assert_non_null(file);
    const size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    crypto_hash_sha256(hash, bytes, len);
    sodium_bin2hex(digest, 65, hash, sizeof hash);
}

static void train(char digest[65])
{
    const char *const program = getenv("DESCENT_BIN") ? getenv("DESCENT_BIN") : "build/descent";
    char path[] = "/tmp/descent-spec-XXXXXX", out[64], command[512];
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, spec, strlen(spec)), strlen(spec));
    close(fd);
    snprintf(out, sizeof out, "%s.safetensors", path);
    snprintf(command, sizeof command, "%s train %s --out %s >/dev/null", program, path, out);
    assert_int_equal(system(command), 0);
    digest_of(out, digest);
    unlink(path);
    unlink(out);
}

/* --- killed --- */

static struct served server;

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    static char reply[1 << 16];
    json_t *json;

    assert_int_equal(served_ask(&server, method, path, body, reply, sizeof reply), status);
    json = json_loads(reply, 0, NULL);
    assert_non_null(json);
    return json;
}

static void pause_us(long us)
{
    nanosleep(&(struct timespec) {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

/* The epoch it is in; EPOCHS and true when it is over. */
static bool look(const char *path, json_int_t *epoch)
{
    json_t *const job = ask("GET", path, NULL, 200);
    const char *const state = json_string_value(json_object_get(job, "state"));
    const bool over = !json_is_null(json_object_get(job, "finished_at"));

    *epoch = json_integer_value(json_object_get(json_object_get(job, "progress"), "epoch"));
    if (over && strcmp(state, "succeeded") != 0)
        fail_msg("it is %s", state);
    json_decref(job);
    return over;
}

/* Until it is beyond `epoch` or over. */
static bool get_on(const char *path, json_int_t *epoch)
{
    const json_int_t before = *epoch;
    bool over;

    while (!(over = look(path, epoch)) && *epoch <= before)
        pause_us(1000);
    return over;
}

static void kill_and_restart(void)
{
    assert_true(served_kill(&server));
    assert_true(disk_sound(server.dir));
    assert_true(served_start(&server));
}

/* How many kills met the job at work. */
static int kill_often(const char *path, int kills)
{
    json_int_t epoch = 0;
    int met = 0;

    while (met < kills && !get_on(path, &epoch)) {
        pause_us(met * 7919 % 5000); /* another moment each time */
        kill_and_restart();
        met++;
    }
    return met;
}

static void expect_events(const char *path)
{
    struct follower follower;
    struct follower_event event;
    json_int_t validated = 0;

    follower_open(&follower, server.port, path, "", WIRE_WIDE);
    for (long id = 1; follower_next(&follower, &event); id++) {
        assert_int_equal(event.id, id);
        if (strcmp(event.kind, "metric") != 0)
            continue;
        json_t *const data = json_loads(event.data, 0, NULL);
        validated += VALIDATE_EVERY;
        assert_int_equal(json_integer_value(json_object_get(data, "epoch")), validated);
        json_decref(data);
    }
    assert_int_equal(validated, EPOCHS);
    assert_string_equal(event.kind, "");
    follower_close(&follower);
}

static void test_same_bits(void **state)
{
    char digest[65], path[128], events[160];
    json_int_t epoch = 0;

    (void)state;
    train(digest);
    assert_true(served_start(&server));
    json_t *const job = ask("POST", "/v1/jobs", spec, 202);
    snprintf(path, sizeof path, "/v1/jobs/%s", json_string_value(json_object_get(job, "id")));
    json_decref(job);
    const int met = kill_often(path, kills_wanted());
    while (!look(path, &epoch))
        pause_us(5000);
    json_t *const version = ask("GET", "/v1/optimizers/killed/versions/1", NULL, 200);
    assert_string_equal(json_string_value(json_object_get(version, "sha256")), digest);
    json_decref(version);
    snprintf(events, sizeof events, "%s/events", path);
    expect_events(events);
    printf("a training of %d epochs, killed %d times: the same sha256\n", EPOCHS, met);
    assert_true(met > 0);
    assert_true(served_stop(&server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
