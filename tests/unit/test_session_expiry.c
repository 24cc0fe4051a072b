/* test_session_expiry.c -- sessions that nobody uses any more, by a clock that the test sets
 *
 * Real databases, committer and pool; only the time is ours, so every bound is met to the
 * millisecond. */
#include "server/fault.h"
#include "server/limits.h"
#include "server/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND = 1000, TTL = 10, N = 3 };
static const int64_t DAY = (int64_t)LIMIT_EXPIRED_SECONDS * SECOND;

static int64_t now;

static int64_t read_now(void)
{
    return now;
}

struct room {
    char dir[64];
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct pool *compute;
    struct sessions *sessions;
    float *work;
};

static void room_open(struct room *room)
{
    assert_true(store_open(&room->store, room->dir, NULL));
    assert_true(journal_open(&room->journal, room->dir, NULL, NULL));
    assert_true(registry_open(&room->registry, room->store, dsc_kernel_best(), NULL));
    assert_true(pool_open(&room->compute, 2, NULL));
    assert_true(sessions_open(&room->sessions,
                              &(struct session_means) {.store = room->store,
                                                       .journal = room->journal,
                                                       .registry = room->registry,
                                                       .compute = room->compute,
                                                       .memory_budget = 1 << 28,
                                                       .now_ms = read_now},
                              NULL));
}

static void room_close(struct room *room)
{
    pool_close(room->compute);
    journal_close(room->journal);
    sessions_close(room->sessions);
    registry_close(room->registry);
    store_close(room->store);
}

static void room_reopen(struct room *room)
{
    room_close(room);
    room_open(room);
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    strcpy(room->dir, "/tmp/descent-expiry-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    room->work = dsc_work_new();
    assert_non_null(room->work);
    now = 1800000000000;
    room_open(room);
    *state = room;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm",
                                        "bulk.db",    "bulk.db-wal",    "bulk.db-shm"};
    struct room *const room = *state;
    char path[128];

    room_close(room);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", room->dir, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(room->dir), 0);
    dsc_work_free(room->work);
    free(room);
    return 0;
}

/* --- sessions, their steps, their rows --- */

struct subject {
    char id[40];
    int64_t seq;
};

static struct subject make(struct room *room, enum durability durability, int64_t ttl_seconds)
{
    struct version_row version;
    struct session_row row = {
        .coordinates = N, .durability = durability, .labels = "{}", .ttl_seconds = ttl_seconds};
    struct subject subject;
    dsc_arena arena;

    dsc_arena_init(&arena, 1 << 20);
    assert_true(registry_resolve(room->registry, "adam", &version, &arena, NULL));
    row.version_id = version.id;
    assert_true(session_create(room->sessions, &row, &arena, NULL));
    (void)snprintf(subject.id, sizeof subject.id, "%s", row.id);
    subject.seq = row.seq;
    dsc_arena_release(&arena);
    return subject;
}

/* DSC_OK when the session can be loaded, otherwise why it cannot. */
static int why_not(struct room *room, const struct subject *subject)
{
    struct session *session = NULL;
    dsc_err err = {0};

    if (session_load(room->sessions, subject->id, &session, room->work, &err))
        session_drop(room->sessions, session);
    return err.code;
}

struct waiting {
    struct session_step step; /* first: done hands it back */
    sem_t ready;
    int code;
};

static void on_done(struct session_step *step, const dsc_err *err)
{
    struct waiting *const waiting = (struct waiting *)(void *)step;

    waiting->code = err ? (int)err->code : DSC_OK;
    sem_post(&waiting->ready);
}

/* Send step t of a session that can be loaded; how it went. */
static int step(struct room *room, const struct subject *subject, uint64_t t)
{
    static const float gradient[N] = {1, -2, 3};
    struct waiting *const waiting = calloc(1, sizeof *waiting);
    struct session *session = NULL;

    assert_non_null(waiting);
    assert_true(session_load(room->sessions, subject->id, &session, room->work, NULL));
    sem_init(&waiting->ready, 0, 0);
    waiting->step.gradient = buf_new(sizeof gradient);
    assert_non_null(waiting->step.gradient);
    assert_true(buf_append(waiting->step.gradient, gradient, sizeof gradient));
    waiting->step.has_step = true;
    waiting->step.step = t;
    waiting->step.limit = (double)FLT_MAX;
    waiting->step.done = on_done;
    session_step(room->sessions, session, &waiting->step, room->work);
    while (sem_wait(&waiting->ready) != 0)
        ;
    const int code = waiting->code;
    buf_drop(waiting->step.update);
    session_drop(room->sessions, session);
    free(waiting);
    return code;
}

static void reset(struct room *room, const struct subject *subject)
{
    struct session *session = NULL;

    assert_true(session_load(room->sessions, subject->id, &session, room->work, NULL));
    assert_true(session_reset(room->sessions, session, NULL));
    session_drop(room->sessions, session);
}

/* Its row's used_at; -1 when it has no row. */
static int64_t row_used_at(struct room *room, const struct subject *subject)
{
    struct session_row row = {.used_at = -1};
    dsc_arena arena;

    dsc_arena_init(&arena, 1 << 20);
    if (!store_session_find(room->store, subject->id, &row, &arena, NULL))
        row.used_at = -1;
    dsc_arena_release(&arena);
    return row.used_at;
}

static uint64_t removed(struct room *room)
{
    return sessions_usage(room->sessions).expired;
}

/* Alive until a millisecond before `end`, expired from then on, whoever asks and however often. */
static void expect_end(struct room *room, const struct subject *subject, int64_t end)
{
    now = end - 1;
    assert_int_equal(why_not(room, subject), DSC_OK);
    now = end;
    assert_int_equal(why_not(room, subject), FAULT_SESSION_EXPIRED);
    now = end + 5 * SECOND;
    assert_int_equal(why_not(room, subject), FAULT_SESSION_EXPIRED);
}

/* --- expiring --- */

static void test_unused_expires(void **state)
{
    struct room *const room = *state;

    for (int i = DURABILITY_STRICT; i <= DURABILITY_MEMORY; i++) {
        const struct subject subject = make(room, (enum durability)i, TTL);
        expect_end(room, &subject, now + TTL * SECOND);
    }
}

static void test_without_ttl_never(void **state)
{
    struct room *const room = *state;
    const struct subject subject = make(room, DURABILITY_STRICT, 0);

    now += 36500 * DAY;
    assert_false(sessions_sweep(room->sessions));
    assert_int_equal(why_not(room, &subject), DSC_OK);
}

/* A new step and a reset are use; a request that is refused or answered again is not. */
static void test_use_prolongs(void **state)
{
    struct room *const room = *state;

    for (int i = DURABILITY_STRICT; i <= DURABILITY_MEMORY; i++) {
        const struct subject subject = make(room, (enum durability)i, TTL);
        now += 9 * SECOND;
        assert_int_equal(step(room, &subject, 0), DSC_OK);
        now += 9 * SECOND;
        assert_int_equal(step(room, &subject, 1), DSC_OK);
        now += 5 * SECOND;
        assert_int_equal(step(room, &subject, 1), DSC_OK);
        assert_int_equal(step(room, &subject, 7), FAULT_STEP_GAP);
        expect_end(room, &subject, now + 5 * SECOND);

        const struct subject again = make(room, (enum durability)i, TTL);
        now += 9 * SECOND;
        reset(room, &again);
        expect_end(room, &again, now + TTL * SECOND);
    }
}

/* What memory knew is in the journal: the same end after a restart. */
static void test_the_same_end_after_a_restart(void **state)
{
    struct room *const room = *state;

    for (int i = DURABILITY_STRICT; i <= DURABILITY_RELAXED; i++) {
        const struct subject stepped = make(room, (enum durability)i, TTL);
        const struct subject started_over = make(room, (enum durability)i, TTL);
        now += 9 * SECOND;
        assert_int_equal(step(room, &stepped, 0), DSC_OK);
        reset(room, &started_over);
        const int64_t end = now + TTL * SECOND;
        room_reopen(room);
        now = end - 1;
        assert_int_equal(why_not(room, &started_over), DSC_OK);
        room_reopen(room);
        expect_end(room, &stepped, end);
        now = end;
        assert_int_equal(why_not(room, &started_over), FAULT_SESSION_EXPIRED);
        room_reopen(room);
        assert_int_equal(why_not(room, &stepped), FAULT_SESSION_EXPIRED);
        assert_int_equal(why_not(room, &started_over), FAULT_SESSION_EXPIRED);
    }
}

/* --- removing --- */

/* A day after its end, with its rows in both databases; in memory or not; nothing else goes. */
static void test_removed_a_day_later(void **state)
{
    struct room *const room = *state;

    for (int i = 0; i < 5; i++) { /* 3 and 4: strict and relaxed, after a restart */
        const enum durability durability = (enum durability)(i % 3);
        const uint64_t before = removed(room);
        const struct subject subject = make(room, durability, TTL);
        const struct subject other = make(room, durability, 0);
        assert_int_equal(step(room, &subject, 0), DSC_OK);
        assert_int_equal(step(room, &other, 0), DSC_OK);
        const int64_t end = now + TTL * SECOND;
        now = end + DAY - 1;
        assert_false(sessions_sweep(room->sessions));
        assert_int_equal(why_not(room, &subject), FAULT_SESSION_EXPIRED);
        if (i >= 3)
            room_reopen(room);
        now = end + DAY;
        assert_false(sessions_sweep(room->sessions));
        assert_int_equal(why_not(room, &subject), FAULT_NOT_FOUND);
        assert_int_equal(removed(room), i >= 3 ? 1 : before + 1);

        uint64_t steps = 1;
        int64_t used_at = 1, left = 1;
        assert_true(journal_steps(room->journal, subject.seq, &steps, NULL));
        assert_true(journal_used(room->journal, subject.seq, &used_at, NULL));
        assert_true(store_erasure_next(room->store, &left, NULL));
        assert_int_equal(steps, 0);
        assert_int_equal(used_at, 0);
        assert_int_equal(left, 0);
        assert_int_equal(step(room, &other, 1), DSC_OK);
    }
}

/* The row's time is behind: the sweeper finds the session due, sees that it is not, and does not
 * look again before it can be. */
static void test_used_since(void **state)
{
    struct room *const room = *state;

    for (int i = 0; i < 5; i++) {
        const struct subject subject =
            make(room, (enum durability)(i % 3), 2 * LIMIT_EXPIRED_SECONDS);
        const int64_t made = now;
        now += DAY;
        assert_int_equal(step(room, &subject, 0), DSC_OK);
        const int64_t used = now;
        assert_int_equal(row_used_at(room, &subject), made);
        if (i >= 3)
            room_reopen(room);
        now = made + 3 * DAY;
        assert_false(sessions_sweep(room->sessions));
        assert_int_equal(why_not(room, &subject), FAULT_SESSION_EXPIRED);
        assert_int_equal(row_used_at(room, &subject), used);
        now = used + 3 * DAY;
        assert_false(sessions_sweep(room->sessions));
        assert_int_equal(row_used_at(room, &subject), -1);
    }
}

/* So many to a pass, those that expired first first; the last pass says that it was the last. */
static void test_a_pass_is_bounded(void **state)
{
    enum { COUNT = 2 * LIMIT_SWEEP_SESSIONS + 5 };
    struct room *const room = *state;
    struct subject subject[COUNT];

    for (int i = 0; i < COUNT; i++, now++)
        subject[i] = make(room, (enum durability)(i % 3), TTL);
    now += TTL * SECOND + DAY;
    for (int done = 0; done < COUNT; done += LIMIT_SWEEP_SESSIONS) {
        const int next = done + LIMIT_SWEEP_SESSIONS;
        assert_int_equal(removed(room), done);
        assert_int_equal(why_not(room, &subject[done]), FAULT_SESSION_EXPIRED);
        assert_int_equal(sessions_sweep(room->sessions), next <= COUNT);
        assert_int_equal(why_not(room, &subject[next < COUNT ? next - 1 : COUNT - 1]),
                         FAULT_NOT_FOUND);
    }
    assert_int_equal(removed(room), COUNT);
    assert_false(sessions_sweep(room->sessions));
}

/* Somebody holds it, having asked before it expired. */
static void test_removed_while_held(void **state)
{
    struct room *const room = *state;
    const struct subject subject = make(room, DURABILITY_STRICT, TTL);
    struct session *session = NULL;
    dsc_err err = {0};

    assert_true(session_load(room->sessions, subject.id, &session, room->work, NULL));
    now += TTL * SECOND + DAY;
    assert_false(sessions_sweep(room->sessions));
    assert_int_equal(row_used_at(room, &subject), -1);
    assert_false(session_reset(room->sessions, session, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
    session_drop(room->sessions, session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unused_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_ttl_never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_use_prolongs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_end_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_a_day_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_used_since, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pass_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_while_held, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
