/* test_store_journal.c -- records into the bulk database and back, and what a failing disk leaves
 *
 * The committer is held at a gate in a record's done where a test wants several records in one
 * transaction. A disk that refuses is a limit on the size of files. */
#include "server/store_journal.h"
#include "server/fault.h"
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct room {
    char dir[64];
    struct journal *journal;
};

static void room_reopen(struct room *room)
{
    journal_close(room->journal);
    assert_true(journal_open(&room->journal, room->dir, NULL, NULL));
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    strcpy(room->dir, "/tmp/descent-journal-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    assert_true(journal_open(&room->journal, room->dir, NULL, NULL));
    *state = room;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"bulk.db", "bulk.db-wal", "bulk.db-shm"};
    struct room *const room = *state;
    char path[128];

    journal_close(room->journal);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", room->dir, files[i]);
        (void)unlink(path);
    }
    const int removed = rmdir(room->dir);
    free(room);
    return removed;
}

/* --- records and who waits for them --- */

struct sent {
    struct record record; /* first: done hands it back */
    sem_t done;
    sem_t *gate; /* done does not end before it opens; or NULL */
    dsc_err err;
    int times, order;
    int *clock;
};

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

static void on_done(struct record *record, const dsc_err *err)
{
    struct sent *const sent = (struct sent *)(void *)record;

    if (err)
        sent->err = *err;
    sent->times++;
    sent->order = sent->clock ? (*sent->clock)++ : 0;
    sem_t *const gate = sent->gate;
    sem_post(&sent->done);
    if (gate)
        wait_for(gate);
}

static void sent_init(struct sent *sent, const struct record *record)
{
    *sent = (struct sent) {.record = *record};
    sent->record.done = on_done;
    sem_init(&sent->done, 0, 0);
}

/* Append and wait; the code it failed with, or DSC_OK. */
static int commit(struct room *room, const struct record *record)
{
    struct sent sent;

    sent_init(&sent, record);
    assert_true(journal_append(room->journal, &sent.record));
    wait_for(&sent.done);
    assert_int_equal(sent.times, 1);
    sem_destroy(&sent.done);
    return sent.err.code;
}

/* A gradient whose every byte depends on session and step. */
static unsigned char *gradient_of(int64_t session, uint64_t step, size_t len)
{
    unsigned char *const bytes = malloc(len);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)((size_t)session * 31 + step * 7 + i * 13 + i / 257);
    return bytes;
}

static struct record step_of(int64_t session, uint64_t step, const void *gradient, size_t len)
{
    return (struct record) {.kind = RECORD_STEP,
                            .session = session,
                            .step = step,
                            .gradient = gradient,
                            .gradient_bytes = len,
                            .chunk = -1};
}

static void put_step(struct room *room, int64_t session, uint64_t step, size_t len)
{
    unsigned char *const bytes = gradient_of(session, step, len);
    const struct record record = step_of(session, step, bytes, len);

    assert_int_equal(commit(room, &record), DSC_OK);
    free(bytes);
}

/* What a walk brought: rows joined in order. */
struct found {
    unsigned char *bytes;
    size_t len, rows, rows_max;
    uint64_t key, step;
};

static bool take_row(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct found *const found = arg;

    assert_int_equal(row->part, found->rows);
    assert_true(row->len <= LIMIT_ROW_BYTES);
    if (found->rows++ == found->rows_max && found->rows_max)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "enough");
    found->bytes = realloc(found->bytes, found->len + row->len);
    assert_non_null(found->bytes);
    memcpy(found->bytes + found->len, row->bytes, row->len);
    found->len += row->len;
    found->key = row->key;
    found->step = row->step;
    return true;
}

static void expect_gradient(struct room *room, int64_t session, uint64_t from, uint64_t step,
                            size_t len)
{
    struct found found = {.bytes = NULL};
    unsigned char *const want = gradient_of(session, step, len);

    assert_true(journal_gradient(room->journal, session, from, take_row, &found, NULL));
    assert_int_equal(found.len, len);
    assert_int_equal(found.key, step);
    assert_memory_equal(found.bytes, want, len);
    free(found.bytes);
    free(want);
}

static void expect_none(struct room *room, int64_t session, uint64_t from)
{
    struct found found = {.bytes = NULL};

    assert_true(journal_gradient(room->journal, session, from, take_row, &found, NULL));
    assert_int_equal(found.rows, 0);
}

static void expect_steps(struct room *room, int64_t session, uint64_t want)
{
    uint64_t steps = 99;

    assert_true(journal_steps(room->journal, session, &steps, NULL));
    assert_int_equal(steps, want);
}

/* --- what is written is what is read --- */

static void test_gradients(void **state)
{
    struct room *const room = *state;

    expect_steps(room, 1, 0);
    expect_none(room, 1, 0);
    for (uint64_t t = 0; t < 5; t++) {
        put_step(room, 1, t, 400 + t);
        put_step(room, 2, t, 8);
    }
    for (int reopened = 0; reopened < 2; reopened++) {
        for (uint64_t t = 0; t < 5; t++)
            expect_gradient(room, 1, t, t, 400 + t);
        expect_gradient(room, 2, 0, 0, 8);
        expect_none(room, 1, 5);
        expect_none(room, 3, 0);
        expect_steps(room, 1, 5);
        expect_steps(room, 2, 5);
        room_reopen(room);
    }
}

/* Longer than a row: in parts, on either side of the bound. */
static void test_parts(void **state)
{
    static const size_t lens[] = {LIMIT_ROW_BYTES - 1, LIMIT_ROW_BYTES, LIMIT_ROW_BYTES + 1,
                                  2 * LIMIT_ROW_BYTES + 4};
    struct room *const room = *state;

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        put_step(room, 7, i, lens[i]);
        expect_gradient(room, 7, i, i, lens[i]);
    }
    expect_steps(room, 7, 4);
}

/* A walk that has had enough ends with its reason. */
static void test_walk_ends(void **state)
{
    struct room *const room = *state;
    struct found found = {.rows_max = 1};
    dsc_err err = {0};

    put_step(room, 7, 0, 2 * LIMIT_ROW_BYTES);
    assert_false(journal_gradient(room->journal, 7, 0, take_row, &found, &err));
    assert_int_equal(err.code, FAULT_OUT_OF_MEMORY);
    assert_int_equal(found.rows, 2);
    free(found.bytes);
    expect_gradient(room, 7, 0, 0, 2 * LIMIT_ROW_BYTES); /* the reader came back whole */
}

/* The record of a step that is sent again takes the place of what was left of the first. */
static void test_written_again(void **state)
{
    struct room *const room = *state;
    unsigned char *const other = gradient_of(9, 9, 64);
    const struct record record = step_of(1, 0, other, 64);

    assert_int_equal(commit(room, &record), DSC_OK);
    put_step(room, 1, 0, 64);
    expect_gradient(room, 1, 0, 0, 64);
    expect_steps(room, 1, 1);
    free(other);
}

static void put_chunk(struct room *room, int64_t session, uint64_t step, int64_t chunk,
                      const unsigned char *state, size_t len, uint64_t keep_from)
{
    const unsigned char gradient[4] = {1, 2, 3, (unsigned char)step};
    struct record record = step_of(session, step, gradient, sizeof gradient);

    record.chunk = chunk;
    record.state = state;
    record.state_bytes = len;
    record.keep_from = keep_from;
    assert_int_equal(commit(room, &record), DSC_OK);
}

struct chunks {
    size_t rows;
    uint64_t key[8], step[8];
    unsigned char first[8];
};

static bool take_chunk(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct chunks *const chunks = arg;

    (void)err;
    chunks->key[chunks->rows] = row->key;
    chunks->step[chunks->rows] = row->step;
    chunks->first[chunks->rows++] = *(const unsigned char *)row->bytes;
    return true;
}

/* In order of their index, each as it was written last; gradients before keep_from are gone. */
static void test_chunks(void **state)
{
    struct room *const room = *state;
    const unsigned char one[4] = {1}, two[4] = {2}, three[4] = {3};
    struct chunks chunks = {.rows = 0};

    put_chunk(room, 1, 0, 1, one, 4, 0);
    put_chunk(room, 1, 1, 0, two, 4, 0);
    put_chunk(room, 2, 0, 0, one, 4, 0);
    put_chunk(room, 1, 2, 1, three, 4, 1);
    assert_true(journal_chunks(room->journal, 1, take_chunk, &chunks, NULL));
    assert_int_equal(chunks.rows, 2);
    assert_int_equal(chunks.key[0], 0);
    assert_int_equal(chunks.step[0], 1);
    assert_int_equal(chunks.first[0], 2);
    assert_int_equal(chunks.key[1], 1);
    assert_int_equal(chunks.step[1], 2);
    assert_int_equal(chunks.first[1], 3);
    struct found found = {.bytes = NULL};
    assert_true(journal_gradient(room->journal, 1, 0, take_row, &found, NULL));
    assert_int_equal(found.key, 1); /* step 0 was cut off */
    free(found.bytes);
    expect_steps(room, 1, 3);
    expect_steps(room, 2, 1);
}

static void test_erase(void **state)
{
    struct room *const room = *state;
    const unsigned char one[4] = {1};
    struct chunks chunks = {.rows = 0};

    put_chunk(room, 1, 0, 0, one, 4, 0);
    put_chunk(room, 2, 0, 0, one, 4, 0);
    assert_int_equal(
        commit(room, &(struct record) {.kind = RECORD_ERASE, .session = 1, .chunk = -1}), DSC_OK);
    expect_steps(room, 1, 0);
    assert_true(journal_chunks(room->journal, 1, take_chunk, &chunks, NULL));
    assert_int_equal(chunks.rows, 0);
    expect_steps(room, 2, 1);
    room_reopen(room);
    expect_steps(room, 1, 0);
    assert_int_equal(/* nothing to erase is no failure */
                     commit(room,
                            &(struct record) {.kind = RECORD_ERASE, .session = 1, .chunk = -1}),
                     DSC_OK);
}

/* --- one transaction for what waits --- */

enum { CROWD = 40 };

struct crowd {
    struct sent first, sent[CROWD];
    sem_t gate;
    int clock;
    unsigned char bytes[16];
};

/* The committer stands in the first one's done while the others are appended. */
static void crowd_hold(struct room *room, struct crowd *crowd)
{
    const struct record first = step_of(100, 0, crowd->bytes, sizeof crowd->bytes);

    memset(crowd, 0, sizeof *crowd);
    sem_init(&crowd->gate, 0, 0);
    sent_init(&crowd->first, &first);
    crowd->first.gate = &crowd->gate;
    assert_true(journal_append(room->journal, &crowd->first.record));
    wait_for(&crowd->first.done);
}

static void crowd_append(struct room *room, struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++) {
        struct record record = step_of(i / 2, (uint64_t)i % 2, crowd->bytes, sizeof crowd->bytes);
        record.durability = i / 2 % 2 ? DURABILITY_STRICT : DURABILITY_RELAXED;
        sent_init(&crowd->sent[i], &record);
        crowd->sent[i].clock = &crowd->clock;
        assert_true(journal_append(room->journal, &crowd->sent[i].record));
    }
}

static void crowd_release(struct crowd *crowd)
{
    sem_post(&crowd->gate);
    for (int i = 0; i < CROWD; i++) {
        wait_for(&crowd->sent[i].done);
        assert_int_equal(crowd->sent[i].times, 1);
    }
}

/* Whatever waits is two transactions, one for each durability, each answered in the order in which
 * it came; and an answer comes after its commit. */
static void test_crowd(void **state)
{
    struct room *const room = *state;
    struct crowd crowd;

    crowd_hold(room, &crowd);
    crowd_append(room, &crowd);
    const struct journal_usage before = journal_usage(room->journal);
    assert_int_equal(before.waiting, CROWD);
    assert_int_equal(before.bytes, CROWD * sizeof crowd.bytes);
    crowd_release(&crowd);
    const struct journal_usage after = journal_usage(room->journal);
    assert_int_equal(after.waiting, 0);
    assert_int_equal(after.bytes, 0);
    assert_int_equal(after.commits[0] - before.commits[0], 1);
    assert_int_equal(after.commits[1] - before.commits[1], 1);
    assert_int_equal(after.records - before.records, CROWD);
    assert_int_equal(after.failures, 0);
    for (int i = 4; i < CROWD; i++)
        assert_true(crowd.sent[i].order > crowd.sent[i - 4].order); /* of one durability */
    for (int i = 0; i < CROWD / 2; i++)
        expect_steps(room, i, 2);
}

/* Closing commits what waits first. */
static void test_close_commits(void **state)
{
    struct room *const room = *state;
    struct crowd crowd;

    crowd_hold(room, &crowd);
    crowd_append(room, &crowd);
    sem_post(&crowd.gate);
    room_reopen(room);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd.sent[i].times, 1);
        assert_int_equal(crowd.sent[i].err.code, DSC_OK);
    }
    for (int i = 0; i < CROWD / 2; i++)
        expect_steps(room, i, 2);
}

/* Erasures, whose announced bytes nobody reads, fill the queue by number and by size. */
static void test_bounds(void **state)
{
    struct room *const room = *state;
    struct crowd *const crowd = malloc(sizeof *crowd);
    struct sent *const sent = calloc(LIMIT_JOURNAL_QUEUE + 1, sizeof *sent);
    struct record erase = {.kind = RECORD_ERASE, .session = 5, .chunk = -1};

    assert_true(crowd && sent);
    for (int by_size = 0; by_size < 2; by_size++) {
        const int fit = by_size ? 4 : LIMIT_JOURNAL_QUEUE;
        erase.gradient_bytes = by_size ? LIMIT_JOURNAL_BYTES / 4 : 0;
        crowd_hold(room, crowd);
        for (int i = 0; i <= fit; i++) {
            sent_init(&sent[i], &erase);
            assert_int_equal(journal_append(room->journal, &sent[i].record), i < fit);
        }
        assert_int_equal(journal_usage(room->journal).waiting, fit);
        sem_post(&crowd->gate);
        for (int i = 0; i < fit; i++)
            wait_for(&sent[i].done);
        assert_int_equal(sent[fit].times, 0);
    }
    erase.gradient_bytes = 2 * LIMIT_JOURNAL_BYTES; /* better served than refused for ever */
    assert_int_equal(commit(room, &erase), DSC_OK);
    free(sent);
    free(crowd);
}

/* --- a disk that refuses --- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Everybody in the transaction is told, nothing of it is there, and the next one works. */
static void test_refused(void **state)
{
    struct room *const room = *state;
    struct crowd *const crowd = malloc(sizeof *crowd);

    assert_non_null(crowd);
    put_step(room, 1, 0, 1000);
    for (int round = 0; round < 3; round++) {
        crowd_hold(room, crowd);
        crowd_append(room, crowd);
        limit_files(1);
        crowd_release(crowd);
        limit_files(RLIM_INFINITY);
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(crowd->sent[i].err.code, FAULT_INTERNAL);
        expect_gradient(room, 1, 0, 0, 1000);
        expect_steps(room, 1, 1);
        expect_steps(room, 2, 0);
    }
    assert_int_equal(journal_usage(room->journal).failures, 3 * 2);
    assert_int_equal(journal_usage(room->journal).bytes, 0);
    put_step(room, 1, 1, 1000);
    put_step(room, 2, 0, 1000);
    room_reopen(room);
    expect_gradient(room, 1, 1, 1, 1000);
    expect_steps(room, 1, 2);
    expect_steps(room, 2, 1);
    free(crowd);
}

/* --- several that read --- */

enum { READERS = 8, READS = 60 };

struct reading {
    pthread_t thread;
    struct room *room;
    int failures;
};

static bool count_rows(void *arg, const struct journal_row *row, dsc_err *err)
{
    (void)err;
    *(size_t *)arg += row->len;
    return true;
}

static void *read_on(void *arg)
{
    struct reading *const reading = arg;
    uint64_t steps;

    for (int i = 0; i < READS; i++) {
        size_t bytes = 0;
        reading->failures +=
            !journal_gradient(reading->room->journal, 1, 0, count_rows, &bytes, NULL) ||
            bytes != 5000 || !journal_steps(reading->room->journal, 1, &steps, NULL) || steps < 1;
    }
    return NULL;
}

/* More threads than readers, while records are written. */
static void test_side_by_side(void **state)
{
    struct reading reading[READERS];

    put_step(*state, 1, 0, 5000);
    for (int i = 0; i < READERS; i++) {
        reading[i] = (struct reading) {.room = *state};
        assert_int_equal(pthread_create(&reading[i].thread, NULL, read_on, &reading[i]), 0);
    }
    for (uint64_t t = 1; t < 30; t++)
        put_step(*state, 1, t, 5000);
    for (int i = 0; i < READERS; i++) {
        pthread_join(reading[i].thread, NULL);
        assert_int_equal(reading[i].failures, 0);
    }
}

/* --- files that are not ours --- */

static void run_sql(const struct room *room, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/bulk.db", room->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static size_t file_bytes(const struct room *room, const char *name)
{
    struct stat status;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", room->dir, name);
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

/* However many steps are written, neither file grows beyond what is kept: the log is moved to the
 * database every 64 MB, also when somebody reads again and again, and rows that are cut make room
 * for others. */
static void test_files_stay_small(void **state)
{
    enum { STEPS = 240, BYTES = 1 << 20, KEPT = 10, LOG = 64 << 20 };
    struct room *const room = *state;
    unsigned char *const bytes = gradient_of(1, 1, BYTES);

    for (uint64_t t = 0; t < STEPS; t++) {
        struct record record = step_of(1, t, bytes, BYTES);
        struct found found = {.bytes = NULL};

        record.durability = DURABILITY_RELAXED;
        record.keep_from = t < KEPT ? 0 : t - KEPT;
        assert_int_equal(commit(room, &record), DSC_OK);
        assert_true(journal_gradient(room->journal, 1, t, take_row, &found, NULL));
        free(found.bytes);
        assert_true(file_bytes(room, "bulk.db-wal") < LOG + 4 * BYTES);
    }
    assert_true(file_bytes(room, "bulk.db") < 4 * KEPT * BYTES);
    free(bytes);
}

static void test_newer_is_refused(void **state)
{
    struct room *const room = *state;
    struct journal *journal = NULL;
    dsc_err err = {0};

    run_sql(room, "PRAGMA user_version = 1000");
    assert_false(journal_open(&journal, room->dir, NULL, &err));
    assert_non_null(strstr(err.text, "newer"));
    assert_null(journal);
    assert_false(journal_open(&journal, "/nowhere/at/all", NULL, &err));
    journal_close(NULL);
}

/* A table that is gone under us: told, and nobody waits for ever. */
static void test_damage(void **state)
{
    struct room *const room = *state;
    const unsigned char bytes[4] = {0};
    const struct record record = step_of(1, 1, bytes, 4);
    struct found found = {.bytes = NULL};
    dsc_err err = {0};

    put_step(room, 1, 0, 4);
    run_sql(room, "DROP TABLE gradient");
    assert_int_equal(commit(room, &record), FAULT_INTERNAL);
    assert_false(journal_gradient(room->journal, 1, 0, take_row, &found, &err));
    assert_int_equal(err.code, FAULT_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gradients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_walk_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_written_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_erase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_commits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_stay_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
