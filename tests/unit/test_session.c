/* test_session.c -- sessions without HTTP: turns, the memory budget, and coming back from the disk
 *
 * Everything below the routes is real: both databases in a temporary directory, the committer, a
 * pool. What a session must answer is known to the bit from tests/support/calm.h. */
#include "server/fault.h"
#include "server/session.h"
#include "tests/support/calm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEED = 9, BUDGET = 1 << 30 };

struct room {
    char dir[64];
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct pool *compute;
    struct sessions *sessions;
    float *work;
};

static void room_open(struct room *room, size_t budget)
{
    assert_true(store_open(&room->store, room->dir, NULL));
    assert_true(journal_open(&room->journal, room->dir, NULL, NULL));
    assert_true(registry_open(&room->registry, room->store, dsc_kernel_best(), NULL));
    assert_true(pool_open(&room->compute, 3, NULL));
    assert_true(sessions_open(&room->sessions,
                              &(struct session_means) {.store = room->store,
                                                       .journal = room->journal,
                                                       .registry = room->registry,
                                                       .compute = room->compute,
                                                       .memory_budget = budget},
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

static void room_reopen(struct room *room, size_t budget)
{
    room_close(room);
    room_open(room, budget);
}

static void remove_file(const struct room *room, const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", room->dir, name);
    (void)unlink(path);
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    strcpy(room->dir, "/tmp/descent-session-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    room->work = dsc_work_new();
    assert_non_null(room->work);
    room_open(room, BUDGET);
    *state = room;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm",
                                        "bulk.db",    "bulk.db-wal",    "bulk.db-shm"};
    struct room *const room = *state;

    room_close(room);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        remove_file(room, files[i]);
    (void)rmdir(room->dir);
    dsc_work_free(room->work);
    free(room);
    return 0;
}

/* --- sessions and their steps --- */

/* A network with weights of its own, published once per directory; its version. */
static int64_t learned_version(struct room *room, const char *name, dsc_arena *arena)
{
    const dsc_family *const family =
        strcmp(name, "gac") == 0 ? &dsc_family_lstm_gac : &dsc_family_lstm;
    struct optimizer_row optimizer = {
        .name = name, .family = family->name, .description = "", .labels = "{}"};
    struct version_row row;
    dsc_hyper hyper;
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(1, 2, 3);
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, family->hyper);
    family->phi_layout(&layout, &hyper);
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    family->phi_init(phi, &rng, &hyper);
    assert_true(dsc_model_new(&model, family, &hyper, phi, NULL, NULL));
    free(phi);
    assert_true(registry_create(room->registry, &optimizer, &hyper, arena, NULL));
    assert_true(registry_publish(room->registry, name, model, "import", &row, arena, NULL));
    dsc_model_drop(model);
    return row.id;
}

struct subject {
    char id[40];
    struct calm calm;
    uint64_t t;
};

static void subject_open(struct room *room, struct subject *subject, const char *optimizer,
                         size_t n, enum durability durability)
{
    struct version_row version = {.id = 0};
    struct session_row row = {.coordinates = (int64_t)n, .durability = durability, .labels = "{}"};
    dsc_arena arena;
    dsc_model *model = NULL;

    dsc_arena_init(&arena, 1 << 20);
    if (registry_resolve(room->registry, optimizer, &version, &arena, NULL))
        row.version_id = version.id;
    else
        row.version_id = learned_version(room, optimizer, &arena);
    assert_true(session_create(room->sessions, &row, &arena, NULL));
    (void)snprintf(subject->id, sizeof subject->id, "%s", row.id);
    assert_true(registry_model(room->registry, row.version_id, &model, NULL));
    assert_true(calm_init(&subject->calm, model, n, SEED, VECTOR_F32));
    dsc_model_drop(model);
    subject->t = 0;
    dsc_arena_release(&arena);
}

/* A step and who waits for it. */
struct waiting {
    struct session_step step; /* first: done hands it back */
    sem_t ready;
    dsc_err err;
};

static void on_done(struct session_step *step, const dsc_err *err)
{
    struct waiting *const waiting = (struct waiting *)(void *)step;

    if (err)
        waiting->err = *err;
    sem_post(&waiting->ready);
}

static struct buf *copy_of(const float *x, size_t n)
{
    struct buf *const buf = buf_new(n * sizeof *x);

    assert_non_null(buf);
    assert_true(buf_append(buf, x, n * sizeof *x));
    return buf;
}

/* Send step t with `gradient` [n]; the code it failed with, or DSC_OK with the update in *out. */
static int send(struct room *room, struct session *session, uint64_t t, const float *gradient,
                float *work, struct buf **out)
{
    struct waiting *const waiting = calloc(1, sizeof *waiting);

    assert_non_null(waiting);
    sem_init(&waiting->ready, 0, 0);
    waiting->step.gradient = copy_of(gradient, session_n(session));
    waiting->step.has_step = true;
    waiting->step.step = t;
    waiting->step.limit = (double)FLT_MAX;
    waiting->step.done = on_done;
    session_step(room->sessions, session, &waiting->step, work);
    while (sem_wait(&waiting->ready) != 0)
        ;
    const int code = waiting->err.code;
    if (out)
        *out = waiting->step.update;
    else
        buf_drop(waiting->step.update);
    free(waiting);
    return code;
}

static struct session *loaded(struct room *room, const char *id)
{
    struct session *session = NULL;
    dsc_err err = {0};

    if (!session_load(room->sessions, id, &session, room->work, &err))
        fail_msg("%s", err.text);
    return session;
}

static void expect_step(struct room *room, struct subject *subject, uint64_t t)
{
    struct session *const session = loaded(room, subject->id);
    struct buf *update = NULL;

    assert_int_equal(send(room, session, t, calm_gradient(&subject->calm, t), room->work, &update),
                     DSC_OK);
    assert_memory_equal(update->data, calm_update(&subject->calm, t),
                        subject->calm.n * sizeof(float));
    buf_drop(update);
    session_drop(room->sessions, session);
}

static void advance(struct room *room, struct subject *subject, int steps)
{
    while (steps-- > 0)
        expect_step(room, subject, subject->t++);
}

static void run_bulk_sql(const struct room *room, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof path, "%s/bulk.db", room->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* --- coming back --- */

/* Steps below, at and beyond one period, so that chunks are of every age, each followed by a
 * restart, the last answer once more, and the next step. */
static void test_reopened_continues(void **state)
{
    static const struct {
        const char *optimizer;
        size_t n;
    } row[] = {{"adam", 5},  {"adam", 70000}, {"net", 5},      {"net", 1000}, {"net", 9000},
               {"sgd", 300}, {"lbfgs", 5},    {"lbfgs", 9000}, {"gac", 5},    {"gac", 9000}};
    static const int pauses[] = {1, 78, 1, 1, 40, 77, 9};
    struct room *const room = *state;

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct subject subject;

        subject_open(room, &subject, row[i].optimizer, row[i].n, DURABILITY_RELAXED);
        for (size_t p = 0; p < sizeof pauses / sizeof *pauses; p++) {
            advance(room, &subject, pauses[p]);
            room_reopen(room, BUDGET);
            expect_step(room, &subject, subject.t - 1);
        }
        calm_release(&subject.calm);
    }
}

static void test_memory_sessions_do_not_return(void **state)
{
    struct room *const room = *state;
    struct subject subject;
    struct session *session = NULL;
    dsc_err err = {0};

    subject_open(room, &subject, "adam", 10, DURABILITY_MEMORY);
    advance(room, &subject, 3);
    room_reopen(room, BUDGET);
    assert_false(session_load(room->sessions, subject.id, &session, room->work, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
    calm_release(&subject.calm);
}

static void refused_as_damaged(struct room *room, const char *sql)
{
    struct subject subject;
    struct session *session = NULL;
    dsc_err err = {0};

    subject_open(room, &subject, "adam", 20, DURABILITY_STRICT);
    advance(room, &subject, 10);
    room_close(room);
    run_bulk_sql(room, sql);
    room_open(room, BUDGET);
    assert_false(session_load(room->sessions, subject.id, &session, room->work, &err));
    assert_int_equal(err.code, FAULT_INTERNAL);
    assert_string_equal(err.text, "the stored session is damaged");
    assert_true(session_delete(room->sessions, subject.id, NULL));
    calm_release(&subject.calm);
}

static void test_damage_is_not_replayed_across(void **state)
{
    static const char *const sql[] = {
        "DELETE FROM gradient WHERE step = 4",
        "DELETE FROM gradient",
        "UPDATE gradient SET bytes = x'00000000' WHERE step = 4",
        "UPDATE chunk SET idx = 70",
        "UPDATE chunk SET bytes = zeroblob(100000)",
        "UPDATE gradient SET part = 3 WHERE step = 9",
    };
    struct room *const room = *state;

    /* The first chunk is from before step 0; DELETE FROM gradient alone would be a fresh session,
     * so it is tried with a chunk that is not. */
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        if (i != 1)
            refused_as_damaged(room, sql[i]);
    refused_as_damaged(room, "DELETE FROM gradient; UPDATE chunk SET step = 3");
}

/* --- the memory budget --- */

static void test_sessions_leave_and_return(void **state)
{
    enum { COUNT = 12, N = 4000 };
    struct room *const room = *state;
    static struct subject subject[COUNT];
    const size_t one = 2 * N * sizeof(float) + 4 * N * sizeof(float);

    room_reopen(room, 4 * one);
    for (int i = 0; i < COUNT; i++)
        subject_open(room, &subject[i], "adam", N, DURABILITY_RELAXED);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < COUNT; i++)
            advance(room, &subject[i], 1 + (i + round) % 3);
    const struct session_usage usage = sessions_usage(room->sessions);
    assert_true(usage.bytes <= usage.bytes_budget);
    assert_in_range(usage.count, 2, 4);
    assert_true(usage.evicted >= COUNT);
    assert_true(usage.loaded >= COUNT);
    for (int i = 0; i < COUNT; i++)
        calm_release(&subject[i].calm);
}

static void test_sessions_in_use_stay(void **state)
{
    enum { N = 4000 };
    struct room *const room = *state;
    struct subject used, other;
    struct session_row row = {.coordinates = N, .labels = "{}"};
    dsc_arena arena;
    dsc_err err = {0};

    dsc_arena_init(&arena, 1 << 20);
    room_reopen(room, 6 * N * sizeof(float) + 20000);
    subject_open(room, &used, "adam", N, DURABILITY_STRICT);
    struct session *const held = loaded(room, used.id);
    struct version_row version;
    assert_true(registry_resolve(room->registry, "adam", &version, &arena, NULL));
    row.version_id = version.id;
    assert_false(session_create(room->sessions, &row, &arena, &err));
    assert_int_equal(err.code, FAULT_OUT_OF_MEMORY);
    session_drop(room->sessions, held);
    subject_open(room, &other, "adam", N, DURABILITY_STRICT);
    advance(room, &used, 3);
    advance(room, &other, 3);
    calm_release(&used.calm);
    calm_release(&other.calm);
    dsc_arena_release(&arena);
}

/* --- many threads --- */

struct runner {
    struct room *room;
    const char *id;
    const float *gradient;
    pthread_t thread;
    int steps;
};

/* Steps without a number are applied one after the other, whoever sends them. */
static void *send_many(void *arg)
{
    struct runner *const runner = arg;
    float *const work = dsc_work_new();

    for (int i = 0; i < runner->steps; i++) {
        struct session *session = NULL;
        struct waiting *const waiting = calloc(1, sizeof *waiting);

        assert_true(session_load(runner->room->sessions, runner->id, &session, work, NULL));
        sem_init(&waiting->ready, 0, 0);
        waiting->step.gradient = copy_of(runner->gradient, session_n(session));
        waiting->step.limit = (double)FLT_MAX;
        waiting->step.done = on_done;
        session_step(runner->room->sessions, session, &waiting->step, work);
        while (sem_wait(&waiting->ready) != 0)
            ;
        assert_int_equal(waiting->err.code, DSC_OK);
        buf_drop(waiting->step.update);
        free(waiting);
        session_drop(runner->room->sessions, session);
    }
    dsc_work_free(work);
    return NULL;
}

/* All begin with a session that is only on the disk, so they also load it at the same time. */
static void test_every_request_gets_its_turn(void **state)
{
    enum { THREADS = 8, EACH = 25, N = 9000 };
    struct room *const room = *state;
    struct runner runner[THREADS];
    struct subject subject;
    uint64_t steps = 0;

    subject_open(room, &subject, "adam", N, DURABILITY_RELAXED);
    const float *const gradient = calm_gradient(&subject.calm, 0);
    room_reopen(room, BUDGET);
    for (int i = 0; i < THREADS; i++) {
        runner[i] = (struct runner) {room, subject.id, gradient, 0, EACH};
        assert_int_equal(pthread_create(&runner[i].thread, NULL, send_many, &runner[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(runner[i].thread, NULL);
    assert_int_equal(sessions_usage(room->sessions).loaded, 1);

    dsc_arena arena;
    struct session_row row;
    dsc_arena_init(&arena, 1 << 20);
    assert_true(store_session_find(room->store, subject.id, &row, &arena, NULL));
    assert_true(session_steps(room->sessions, &row, &steps, NULL));
    assert_int_equal(steps, THREADS * EACH);
    room_reopen(room, BUDGET);
    assert_true(session_steps(room->sessions, &row, &steps, NULL));
    assert_int_equal(steps, THREADS * EACH);
    dsc_arena_release(&arena);
    calm_release(&subject.calm);
}

/* --- the step table, reset, delete --- */

static void test_step_table(void **state)
{
    struct room *const room = *state;
    struct subject subject;
    float other[5] = {1, 2, 3, 4, 5}, infinite[5] = {0, 0, INFINITY, 0, 0};

    subject_open(room, &subject, "adam", 5, DURABILITY_STRICT);
    advance(room, &subject, 4);
    struct session *const session = loaded(room, subject.id);
    assert_int_equal(send(room, session, 3, other, room->work, NULL), FAULT_STEP_PAYLOAD_MISMATCH);
    assert_int_equal(send(room, session, 2, other, room->work, NULL), FAULT_STEP_STALE);
    assert_int_equal(send(room, session, 5, other, room->work, NULL), FAULT_STEP_GAP);
    assert_int_equal(send(room, session, 5, infinite, room->work, NULL),
                     FAULT_NON_FINITE_GRADIENT); /* finiteness comes before the step */
    session_drop(room->sessions, session);
    expect_step(room, &subject, 3);
    advance(room, &subject, 2);
    calm_release(&subject.calm);
}

static void test_reset_starts_over(void **state)
{
    struct room *const room = *state;
    struct subject subject, again;

    subject_open(room, &subject, "adam", 30, DURABILITY_STRICT);
    advance(room, &subject, 90);
    struct session *const session = loaded(room, subject.id);
    assert_true(session_reset(room->sessions, session, NULL));
    assert_int_equal(send(room, session, 89, calm_gradient(&subject.calm, 89), room->work, NULL),
                     FAULT_STEP_GAP);
    session_drop(room->sessions, session);
    room_reopen(room, BUDGET);
    subject_open(room, &again, "adam", 30, DURABILITY_STRICT);
    strcpy(again.id, subject.id);
    advance(room, &again, 3);
    calm_release(&subject.calm);
    calm_release(&again.calm);
}

static void test_deleted_is_gone(void **state)
{
    struct room *const room = *state;
    struct subject here, away;
    struct session *session = NULL;
    dsc_err err = {0};

    subject_open(room, &away, "adam", 30, DURABILITY_STRICT);
    advance(room, &away, 3);
    room_reopen(room, BUDGET);
    subject_open(room, &here, "adam", 30, DURABILITY_STRICT);
    advance(room, &here, 3);
    struct session *const held = loaded(room, here.id);
    assert_true(session_delete(room->sessions, here.id, NULL));
    assert_true(session_delete(room->sessions, away.id, NULL));
    assert_int_equal(send(room, held, 3, calm_gradient(&here.calm, 3), room->work, NULL),
                     FAULT_NOT_FOUND);
    session_drop(room->sessions, held);
    assert_false(session_load(room->sessions, away.id, &session, room->work, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
    assert_false(session_delete(room->sessions, away.id, NULL));
    calm_release(&here.calm);
    calm_release(&away.calm);
}

/* A row that was read before the deletion: nothing in the journal is not step 0. */
static void test_steps_of_one_that_left(void **state)
{
    struct room *const room = *state;
    struct subject subject;
    struct session_row row;
    uint64_t steps = 0;
    dsc_arena arena;
    dsc_err err = {0};

    dsc_arena_init(&arena, 1 << 20);
    subject_open(room, &subject, "adam", 30, DURABILITY_STRICT);
    advance(room, &subject, 3);
    assert_true(store_session_find(room->store, subject.id, &row, &arena, NULL));
    assert_true(session_steps(room->sessions, &row, &steps, NULL)); /* in memory */
    assert_int_equal(steps, 3);
    room_reopen(room, BUDGET);
    assert_true(session_steps(room->sessions, &row, &steps, NULL)); /* in the journal */
    assert_int_equal(steps, 3);
    assert_true(session_delete(room->sessions, subject.id, NULL));
    assert_false(session_steps(room->sessions, &row, &steps, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
    dsc_arena_release(&arena);
    calm_release(&subject.calm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopened_continues, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_sessions_do_not_return, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_not_replayed_across, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_leave_and_return, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_in_use_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_request_gets_its_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_step_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset_starts_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deleted_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_steps_of_one_that_left, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
