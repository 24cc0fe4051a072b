/* test_store_job.c -- jobs in the database: every transition, who may write, what a crash leaves
 *
 * Also store_event.c. A real database in a temporary directory, closed and opened again where a
 * restart matters. */
#include "server/fault.h"
#include "server/limits.h"
#include "server/store_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct room {
    char dir[64];
    struct store *store;
    dsc_arena arena;
};

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    strcpy(room->dir, "/tmp/descent-job-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    assert_true(store_open(&room->store, room->dir, NULL));
    dsc_arena_init(&room->arena, LIMIT_ARENA_BYTES);
    *state = room;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm"};
    struct room *const room = *state;
    char path[128];

    store_close(room->store);
    dsc_arena_release(&room->arena);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", room->dir, files[i]);
        (void)unlink(path);
    }
    rmdir(room->dir);
    free(room);
    return 0;
}

/* --- what tests do often --- */

static struct job_row new_job(const char *id)
{
    return (struct job_row) {.id = id,
                             .type = JOB_META_TRAIN,
                             .spec = "{\"epochs\":9}",
                             .progress = {.epochs = 9, .loss = NAN, .validation = NAN}};
}

static struct job_row insert(struct room *room, const char *id)
{
    struct job_row row = new_job(id);

    assert_true(store_job_insert(room->store, &row, NULL, 0, NULL));
    return row;
}

static struct job_row find(struct room *room, const char *id)
{
    struct job_row row;

    assert_true(store_job_find(room->store, id, &row, &room->arena, NULL));
    return row;
}

static struct job_row claim(struct room *room)
{
    struct job_row row;
    bool found = false;

    assert_true(store_job_claim(room->store, &row, &found, &room->arena, NULL));
    assert_true(found);
    return row;
}

static bool nothing_to_claim(struct room *room)
{
    struct job_row row;
    bool found = true;

    assert_true(store_job_claim(room->store, &row, &found, &room->arena, NULL));
    return !found;
}

static bool move(struct room *room, const struct job_row *row, unsigned from, enum job_state to)
{
    bool moved = false;

    assert_true(store_job_move(room->store, row->seq, from, to, &moved, NULL));
    return moved;
}

static enum job_state save(struct room *room, const struct job_row *row, const char *bytes)
{
    enum job_state state = JOB_QUEUED;

    assert_true(store_job_save(room->store, row, bytes, strlen(bytes), &state, NULL));
    return state;
}

static void expect_checkpoint(struct room *room, const struct job_row *row, const char *bytes)
{
    struct buf *buf = NULL;

    assert_true(store_job_checkpoint(room->store, row->seq, &buf, NULL));
    if (!bytes) {
        assert_null(buf);
        return;
    }
    assert_non_null(buf);
    assert_int_equal(buf->len, strlen(bytes));
    assert_memory_equal(buf->data, bytes, buf->len);
    buf_drop(buf);
}

static bool finish(struct room *room, struct job_row row, enum job_state state)
{
    bool mine = false;

    row.state = state;
    row.result = state == JOB_SUCCEEDED ? "{\"version\":1}" : "";
    row.error = state == JOB_FAILED ? "{\"code\":\"internal\"}" : "";
    assert_true(store_job_finish(room->store, &row, &mine, NULL));
    return mine;
}

/* --- tests --- */

static void test_a_life(void **state)
{
    struct room *const room = *state;
    struct job_row row = insert(room, "job_a");

    row = find(room, "job_a");
    assert_int_equal(row.state, JOB_QUEUED);
    assert_string_equal(row.spec, "{\"epochs\":9}");
    assert_true(isnan(row.progress.loss) && isnan(row.progress.validation));
    assert_true(row.created_at > 0 && row.started_at == 0 && row.finished_at == 0);

    row = claim(room);
    assert_int_equal(row.state, JOB_RUNNING);
    assert_int_equal(row.turn, 1);
    assert_true(row.started_at > 0);
    row.progress = (struct job_progress) {3, 9, 0.25, INFINITY, 1500};
    assert_int_equal(save(room, &row, "three"), JOB_RUNNING);
    expect_checkpoint(room, &row, "three");
    assert_int_equal(save(room, &row, "more"), JOB_RUNNING);
    expect_checkpoint(room, &row, "more");

    assert_true(finish(room, row, JOB_SUCCEEDED));
    row = find(room, "job_a");
    assert_int_equal(row.state, JOB_SUCCEEDED);
    assert_string_equal(row.result, "{\"version\":1}");
    assert_int_equal(row.progress.epoch, 3);
    assert_int_equal(row.progress.worked_ms, 1500);
    assert_true(row.progress.loss == 0.25 && isnan(row.progress.validation));
    assert_true(row.finished_at >= row.started_at);
    expect_checkpoint(room, &row, NULL);
    assert_true(nothing_to_claim(room));
}

static void test_oldest_first(void **state)
{
    struct room *const room = *state;

    insert(room, "job_a");
    insert(room, "job_b");
    insert(room, "job_c");
    assert_string_equal(claim(room).id, "job_a");
    assert_string_equal(claim(room).id, "job_b");
    assert_string_equal(claim(room).id, "job_c");
    assert_true(nothing_to_claim(room));
}

/* Every state against every set of states it may be left from. */
static void test_move(void **state)
{
    struct room *const room = *state;
    const struct job_row row = insert(room, "job_a");

    for (int from = 0; from < JOB_STATES; from++)
        for (int allowed = 0; allowed < JOB_STATES; allowed++)
            for (int to = 0; to < JOB_STATES; to++) {
                assert_true(move(room, &row, (1u << JOB_STATES) - 1, (enum job_state)from));
                const bool moved = move(room, &row, 1u << allowed, (enum job_state)to);
                assert_int_equal(moved, allowed == from);
                const struct job_row now = find(room, "job_a");
                assert_int_equal(now.state, moved ? to : from);
                assert_int_equal(now.finished_at != 0, job_is_over(now.state));
            }
}

/* A job that somebody else has taken meanwhile is no longer the first worker's to write. */
static void test_turns(void **state)
{
    struct room *const room = *state;

    insert(room, "job_a");
    struct job_row first = claim(room);
    assert_int_equal(save(room, &first, "first"), JOB_RUNNING);
    assert_true(move(room, &first, 1u << JOB_RUNNING, JOB_PAUSED));
    assert_false(finish(room, first, JOB_SUCCEEDED)); /* paused before its end was known */
    assert_int_equal(save(room, &first, "paused"), JOB_PAUSED);
    expect_checkpoint(room, &first, "paused");
    assert_true(move(room, &first, 1u << JOB_PAUSED, JOB_QUEUED));
    assert_int_equal(save(room, &first, "queued"), JOB_QUEUED);

    struct job_row second = claim(room);
    assert_int_equal(second.turn, 2);
    assert_int_equal(second.started_at, first.started_at);
    assert_int_equal(save(room, &second, "second"), JOB_RUNNING);
    assert_int_equal(save(room, &first, "late"), JOB_CANCELLED);
    expect_checkpoint(room, &second, "second");
    assert_false(finish(room, first, JOB_FAILED));
    assert_true(finish(room, second, JOB_SUCCEEDED));
    assert_false(finish(room, second, JOB_FAILED));
}

static void test_cancelled_while_it_runs(void **state)
{
    struct room *const room = *state;

    insert(room, "job_a");
    struct job_row row = claim(room);
    assert_int_equal(save(room, &row, "one"), JOB_RUNNING);
    assert_true(move(room, &row, 1u << JOB_RUNNING, JOB_CANCELLED));
    expect_checkpoint(room, &row, NULL);
    assert_int_equal(save(room, &row, "two"), JOB_CANCELLED);
    expect_checkpoint(room, &row, NULL);
    assert_false(finish(room, row, JOB_SUCCEEDED));
    assert_true(store_job_delete(room->store, "job_a", NULL));
    assert_int_equal(save(room, &row, "three"), JOB_CANCELLED);
}

static void test_restart(void **state)
{
    struct room *const room = *state;
    int64_t seqs[4];
    size_t count = 0;

    insert(room, "job_a");
    insert(room, "job_b");
    struct job_row row = claim(room);
    assert_int_equal(save(room, &row, "kept"), JOB_RUNNING);
    store_close(room->store);
    assert_true(store_open(&room->store, room->dir, NULL));
    assert_true(store_job_recover(room->store, seqs, 4, &count, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(seqs[0], row.seq);
    row = claim(room);
    assert_string_equal(row.id, "job_a");
    assert_int_equal(row.turn, 2);
    expect_checkpoint(room, &row, "kept");
    assert_true(store_job_recover(room->store, seqs, 4, &count, NULL));
    assert_int_equal(count, 1);
}

static void expect_code(bool ok, const dsc_err *err, int code)
{
    assert_false(ok);
    assert_int_equal(err->code, code);
}

static void test_delete(void **state)
{
    struct room *const room = *state;
    struct job_row row = insert(room, "job_a");
    dsc_err err = {0};

    expect_code(store_job_delete(room->store, "job_b", &err), &err, FAULT_NOT_FOUND);
    for (enum job_state at = JOB_QUEUED; at < JOB_STATES; at++) {
        err = (dsc_err) {0};
        assert_true(move(room, &row, (1u << JOB_STATES) - 1, at));
        if (job_is_over(at))
            break;
        expect_code(store_job_delete(room->store, "job_a", &err), &err, FAULT_INVALID_STATE);
    }
    assert_true(store_event_add(room->store, row.seq, EVENT_LOG, "{}", NULL));
    assert_true(store_job_delete(room->store, "job_a", NULL));
    expect_code(store_job_find(room->store, "job_a", &row, &room->arena, &err), &err,
                FAULT_NOT_FOUND);
}

static void test_list_and_counts(void **state)
{
    struct room *const room = *state;
    struct job_row *rows;
    int64_t counts[JOB_STATES];
    size_t count;
    bool more;
    char id[16];

    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "job_%d", i);
        insert(room, id);
    }
    const struct job_row first = claim(room);
    assert_true(move(room, &first, 1u << JOB_RUNNING, JOB_PAUSED));
    claim(room);
    assert_true(store_job_list(room->store, 0, 3, &rows, &count, &more, &room->arena, NULL));
    assert_int_equal(count, 3);
    assert_true(more);
    assert_string_equal(rows[2].id, "job_2");
    assert_true(
        store_job_list(room->store, rows[1].seq, 3, &rows, &count, &more, &room->arena, NULL));
    assert_int_equal(count, 3);
    assert_false(more);
    assert_string_equal(rows[2].id, "job_4");
    assert_true(store_job_counts(room->store, counts, NULL));
    assert_int_equal(counts[JOB_QUEUED], 3);
    assert_int_equal(counts[JOB_RUNNING], 1);
    assert_int_equal(counts[JOB_PAUSED], 1);
    assert_int_equal(counts[JOB_SUCCEEDED], 0);
}

/* Long specs end a page early; long results are for those who ask for the job. */
static void test_long_texts(void **state)
{
    enum { LONG = 1 << 20, JOBS = 9 };
    struct room *const room = *state;
    char *const text = malloc(LONG + 1);
    struct job_row *rows, row;
    size_t count, seen = 0;
    bool more = true, mine;
    char id[16];

    assert_non_null(text);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    for (int i = 0; i < JOBS; i++) {
        snprintf(id, sizeof id, "job_%d", i);
        row = new_job(id);
        row.spec = text;
        assert_true(store_job_insert(room->store, &row, NULL, 0, NULL));
    }
    for (int64_t after = 0; more; seen += count) {
        dsc_arena arena;
        dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
        assert_true(store_job_list(room->store, after, 100, &rows, &count, &more, &arena, NULL));
        assert_true(count > 0 && count < JOBS);
        after = rows[count - 1].seq;
        dsc_arena_release(&arena);
    }
    assert_int_equal(seen, JOBS);

    row = claim(room);
    row.state = JOB_SUCCEEDED;
    row.result = text;
    assert_true(store_job_finish(room->store, &row, &mine, NULL));
    assert_true(store_job_list(room->store, 0, 1, &rows, &count, &more, &room->arena, NULL));
    assert_string_equal(rows[0].result, "");
    assert_int_equal(strlen(find(room, rows[0].id).result), LONG);
    free(text);
}

static void test_as_many_as_may_be(void **state)
{
    struct room *const room = *state;
    struct job_row row;
    dsc_err err = {0};
    char id[16];

    assert_true(store_begin(room->store, NULL)); /* one transaction for speed */
    for (int i = 0; i < LIMIT_JOBS_UNFINISHED; i++) {
        snprintf(id, sizeof id, "job_%d", i);
        row = insert(room, id);
    }
    assert_true(store_end(room->store, true, NULL));
    struct job_row more = new_job("job_more");
    expect_code(store_job_insert(room->store, &more, NULL, 0, &err), &err, FAULT_QUOTA_EXCEEDED);
    assert_true(move(room, &row, 1u << JOB_QUEUED, JOB_CANCELLED));
    assert_true(store_job_insert(room->store, &more, NULL, 0, NULL));
}

/* --- versions that a job works with --- */

static int64_t make_version(struct room *room, const char *name)
{
    struct optimizer_row optimizer = {
        .name = name, .family = "sgd", .config = "{}", .description = "", .labels = "{}"};
    struct version_row version = {
        .optimizer = name, .config = "{}", .sha256 = "", .source = "import"};
    struct buf *const weights = buf_new(1);

    assert_non_null(weights);
    assert_true(store_optimizer_insert(room->store, &optimizer, NULL));
    assert_true(store_version_insert(room->store, &version, weights, NULL));
    buf_drop(weights);
    return version.id;
}

static void test_versions_in_use(void **state)
{
    struct room *const room = *state;
    const int64_t versions[] = {make_version(room, "a"), make_version(room, "b")};
    struct job_row row = new_job("job_a");
    dsc_err err = {0};
    int64_t version;

    assert_true(store_job_insert(room->store, &row, versions, 2, NULL));
    assert_true(store_job_version(room->store, row.seq, 1, &version, NULL));
    assert_int_equal(version, versions[1]);
    assert_true(store_job_version(room->store, row.seq, 2, &version, NULL));
    assert_int_equal(version, 0);
    expect_code(store_version_delete(room->store, "a", 1, &err), &err, FAULT_IN_USE);
    err = (dsc_err) {0};
    expect_code(store_optimizer_delete(room->store, "b", &err), &err, FAULT_IN_USE);
    assert_true(move(room, &row, 1u << JOB_QUEUED, JOB_CANCELLED));
    assert_true(store_version_delete(room->store, "a", 1, NULL));
    assert_true(store_optimizer_delete(room->store, "b", NULL));

    err = (dsc_err) {0};
    row = new_job("job_b");
    expect_code(store_job_insert(room->store, &row, versions, 2, &err), &err, FAULT_NOT_FOUND);
    expect_code(store_job_find(room->store, "job_b", &row, &room->arena, &err), &err,
                FAULT_NOT_FOUND);
}

static void test_optimizer_in_use(void **state)
{
    struct room *const room = *state;
    struct job_row row = new_job("job_a");
    struct optimizer_row optimizer;
    dsc_err err = {0};

    (void)make_version(room, "a");
    assert_true(store_optimizer_find(room->store, "a", &optimizer, &room->arena, NULL));
    row.optimizer_id = optimizer.id;
    assert_true(store_job_insert(room->store, &row, NULL, 0, NULL));
    expect_code(store_optimizer_delete(room->store, "a", &err), &err, FAULT_IN_USE);
    assert_true(move(room, &row, 1u << JOB_QUEUED, JOB_CANCELLED));
    assert_true(store_optimizer_delete(room->store, "a", NULL));
    assert_int_equal(find(room, "job_a").optimizer_id, 0);
}

/* --- events --- */

static void test_events(void **state)
{
    struct room *const room = *state;
    const struct job_row row = insert(room, "job_a"), other = insert(room, "job_b");
    struct event_row *events;
    size_t count;

    assert_true(store_event_add(room->store, row.seq, EVENT_STATE, "{\"n\":1}", NULL));
    assert_true(store_event_add(room->store, other.seq, EVENT_LOG, "{\"n\":1}", NULL));
    assert_true(store_event_add(room->store, row.seq, EVENT_METRIC, "{\"n\":2}", NULL));
    assert_true(store_event_add(room->store, row.seq, EVENT_DONE, "{\"n\":3}", NULL));
    assert_true(store_event_list(room->store, row.seq, 0, 2, &events, &count, &room->arena, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(events[0].id, 1);
    assert_int_equal(events[0].kind, EVENT_STATE);
    assert_true(events[0].at > 0);
    assert_string_equal(events[1].data, "{\"n\":2}");
    assert_true(store_event_list(room->store, row.seq, 2, 2, &events, &count, &room->arena, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].id, 3);
    assert_true(store_event_add(room->store, 77, EVENT_LOG, "{}", NULL)); /* a job that is gone */
}

static void test_oldest_events_go(void **state)
{
    struct room *const room = *state;
    const struct job_row row = insert(room, "job_a");
    struct event_row *events;
    size_t count;

    assert_true(store_begin(room->store, NULL));
    for (int i = 0; i < LIMIT_JOB_EVENTS + 3; i++)
        assert_true(store_event_add(room->store, row.seq, EVENT_PROGRESS, "{}", NULL));
    assert_true(store_end(room->store, true, NULL));
    assert_true(store_event_list(room->store, row.seq, 0, 1, &events, &count, &room->arena, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].id, 4);
    assert_true(store_event_list(room->store, row.seq, LIMIT_JOB_EVENTS + 2, 9, &events, &count,
                                 &room->arena, NULL));
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_while_it_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_and_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_as_many_as_may_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_optimizer_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_events_go, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
