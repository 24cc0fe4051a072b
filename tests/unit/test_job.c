/* test_job.c -- jobs without HTTP: what is refused, every transition, and the same bits by any way
 *
 * Everything below the routes is real: the database, the registry, workers with threads. A job is
 * waited for by looking at its row. Also job_submit.c, job_train.c, job_eval.c, job_event.c. */
#include "server/evaluation.h"
#include "server/fault.h"
#include "server/job.h"
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct room {
    char dir[64];
    struct store *store;
    struct registry *registry;
    struct pool *pool;
    struct watchers *watchers;
    struct jobs *jobs; /* NULL: no workers */
    dsc_arena arena;
};

static void jobs_start(struct room *room, int workers, int threads)
{
    assert_true(jobs_open(&room->jobs,
                          &(struct jobs_means) {.store = room->store,
                                                .registry = room->registry,
                                                .watchers = room->watchers,
                                                .kernel = dsc_kernel_best(),
                                                .workers = workers,
                                                .threads = threads},
                          NULL));
}

static void jobs_end(struct room *room)
{
    jobs_close(room->jobs);
    room->jobs = NULL;
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    *state = room;
    strcpy(room->dir, "/tmp/descent-jobs-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    assert_true(store_open(&room->store, room->dir, NULL));
    assert_true(registry_open(&room->registry, room->store, dsc_kernel_best(), NULL));
    assert_true(pool_open(&room->pool, 1, NULL));
    assert_true(watchers_open(
        &room->watchers,
        &(struct watch_means) {.store = room->store, .pool = room->pool, .silent = true}, NULL));
    dsc_arena_init(&room->arena, 256u << 20);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm"};
    struct room *const room = *state;
    char path[128];

    jobs_close(room->jobs);
    pool_close(room->pool);
    watchers_close(room->watchers);
    registry_close(room->registry);
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

/* --- specs --- */

/* A small training; `more` are further members, each with a comma in front. */
static const char *training(struct room *room, const char *name, int epochs, const char *more)
{
    char text[1024];
    const int len = snprintf(text, sizeof text,
                             "{\"type\":\"meta_train\",\"optimizer\":\"%s\","
                             "\"problems\":[{\"type\":\"quadratic\",\"params\":{\"dimension\":5}}],"
                             "\"horizon\":20,\"unroll\":10,\"functions_per_step\":8,\"epochs\":%d,"
                             "\"validate_every\":50,\"validation_functions\":8,\"patience\":0%s}",
                             name, epochs, more);

    return dsc_arena_text(&room->arena, text, (size_t)len);
}

#define SMALL ",\"config\":{\"hidden_size\":4,\"layers\":1}"

static struct job_row submit(struct room *room, enum job_type type, const char *spec)
{
    struct job_row row = {.claim = 0};
    dsc_err err = {0};

    if (!job_submit(room->jobs, type, spec, strlen(spec), &row, &room->arena, &err))
        fail_msg("%s: %s", err.where, err.text);
    return row;
}

static struct job_row find(struct room *room, const char *id)
{
    struct job_row row;

    assert_true(store_job_find(room->store, id, &row, &room->arena, NULL));
    return row;
}

/* Look until the job is in one of these states, and at least in this epoch. */
static struct job_row await(struct room *room, const char *id, unsigned states, int64_t epoch)
{
    for (;;) {
        const struct job_row row = find(room, id);

        if (states >> row.state & 1 && row.progress.epoch >= epoch)
            return row;
        if (job_is_over(row.state) && states >> row.state & 1)
            return row;
        if (job_is_over(row.state))
            fail_msg("it is %s %s", job_state_words[row.state], row.error);
        nanosleep(&(struct timespec) {.tv_nsec = 2000000}, NULL);
    }
}

#define OVER (1u << JOB_SUCCEEDED | 1u << JOB_FAILED | 1u << JOB_CANCELLED)

static struct job_row await_success(struct room *room, const char *id)
{
    const struct job_row row = await(room, id, OVER, 0);

    if (row.state != JOB_SUCCEEDED)
        fail_msg("it is %s: %s", job_state_words[row.state], row.error);
    return row;
}

static struct version_row version(struct room *room, const char *name, int64_t number)
{
    struct version_row row;

    assert_true(store_version_find(room->store, name, number, &row, &room->arena, NULL));
    return row;
}

static void refuse(struct room *room, enum job_type type, const char *spec, int code,
                   const char *where)
{
    struct job_row row = {.claim = 0}, *rows;
    dsc_err err = {0};
    size_t before, after;
    bool more;

    assert_true(store_job_list(room->store, 0, 100, &rows, &before, &more, &room->arena, NULL));
    assert_false(job_submit(room->jobs, type, spec, strlen(spec), &row, &room->arena, &err));
    if (err.code != code || strcmp(err.where, where) != 0)
        fail_msg("%s: code %d, where \"%s\", %s", spec, err.code, err.where, err.text);
    assert_true(store_job_list(room->store, 0, 100, &rows, &after, &more, &room->arena, NULL));
    assert_int_equal(after, before);
}

/* --- trainings --- */

static void expect_events(struct room *room, const struct job_row *row, const char *kinds)
{
    static const char letters[] = "spmld"; /* state, progress, metric, log, done */
    struct event_row *events;
    char seen[1024];
    size_t count, len = 0;

    assert_true(
        store_event_list(room->store, row->seq, 0, 1000, &events, &count, &room->arena, NULL));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(events[i].id, i + 1);
        if (events[i].kind != EVENT_PROGRESS) /* how many depends on the time */
            seen[len++] = letters[events[i].kind];
    }
    seen[len] = '\0';
    assert_string_equal(seen, kinds);
    assert_int_equal(events[count - 1].kind, EVENT_DONE);
    assert_string_equal(events[count - 1].data, "{\"state\":\"succeeded\"}");
}

static void test_training(void **state)
{
    struct room *const room = *state;

    jobs_start(room, 1, 2);
    struct job_row row = submit(room, JOB_META_TRAIN, training(room, "mine", 100, SMALL));
    assert_int_equal(row.progress.epochs, 100);
    row = await_success(room, row.id);
    assert_int_equal(row.progress.epoch, 100);
    assert_true(row.started_at > 0 && row.finished_at >= row.started_at);
    assert_string_equal(row.error, "");
    expect_events(room, &row, "ssmmsd");

    const struct version_row made = version(room, "mine", 1);
    assert_string_equal(made.source, "job");
    assert_string_equal(made.job, row.id);
    assert_string_equal(made.parent, "");
    json_t *const result = json_loads(row.result, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(result, "optimizer")), "mine");
    assert_int_equal(json_integer_value(json_object_get(result, "version")), 1);
    assert_string_equal(json_string_value(json_object_get(result, "reason")), "completed");
    json_t *const metrics = json_loads(made.metrics, 0, NULL);
    assert_true(json_real_value(json_object_get(result, "validation_loss")) ==
                json_real_value(json_object_get(metrics, "validation_loss")));
    assert_true(json_real_value(json_object_get(metrics, "validation_loss")) > 0);
    json_decref(result);
    json_decref(metrics);
}

static const char *sha256_of(struct room *room, const char *name)
{
    return version(room, name, 0).sha256;
}

/* The weights of a training that nothing interrupted. */
static const char *whole(struct room *room, int epochs)
{
    char name[32];

    snprintf(name, sizeof name, "whole%d", epochs);
    const struct job_row row = submit(room, JOB_META_TRAIN, training(room, name, epochs, SMALL));
    await_success(room, row.id);
    return sha256_of(room, name);
}

/* Interrupt it as often as it has a sixth behind it. How often that was: on a machine that lets
 * this thread sleep, it may be over before anybody looks. */
static int interrupt(struct room *room, const char *id, int epochs,
                     void (*how)(struct room *room, const char *id))
{
    int times = 0;

    for (int64_t epoch = 50; epoch < epochs; epoch += epochs / 6, times++) {
        const struct job_row row = await(room, id, OVER | 1u << JOB_RUNNING, epoch);
        if (job_is_over(row.state))
            break;
        how(room, id);
    }
    await_success(room, id);
    return times;
}

/* The same weights, however it is interrupted; with more epochs until that has happened. */
static void expect_same_bits(struct room *room, void (*how)(struct room *room, const char *id))
{
    char name[32];
    int times = 0;

    jobs_start(room, 1, 3);
    for (int epochs = 3000; times == 0; epochs *= 2) {
        const char *const sha256 = whole(room, epochs);
        snprintf(name, sizeof name, "parts%d", epochs);
        const struct job_row row =
            submit(room, JOB_META_TRAIN, training(room, name, epochs, SMALL));
        times = interrupt(room, row.id, epochs, how);
        assert_string_equal(sha256_of(room, name), sha256);
        assert_true(find(room, row.id).turn <= times + 1);
    }
}

static void pause_and_resume(struct room *room, const char *id)
{
    struct job_row row;
    dsc_err err = {0};

    if (!job_pause(room->jobs, id, &row, &room->arena, &err)) {
        assert_int_equal(err.code, FAULT_INVALID_STATE); /* it was over first */
        return;
    }
    assert_int_equal(row.state, JOB_PAUSED);
    assert_true(job_resume(room->jobs, id, &row, &room->arena, NULL));
}

static void restart(struct room *room, const char *id)
{
    (void)id;
    jobs_end(room);
    jobs_start(room, 1, 2);
}

static void test_paused(void **state)
{
    expect_same_bits(*state, pause_and_resume);
}

static void test_restarted(void **state)
{
    expect_same_bits(*state, restart);
}

/* Several workers, each with its own job. */
static void test_side_by_side(void **state)
{
    struct room *const room = *state;
    struct job_row rows[4];
    char name[16];

    jobs_start(room, 3, 2);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "mine%d", i);
        rows[i] = submit(room, JOB_META_TRAIN, training(room, name, 60, SMALL));
    }
    for (int i = 0; i < 4; i++)
        await_success(room, rows[i].id);
    for (int i = 1; i < 4; i++) {
        snprintf(name, sizeof name, "mine%d", i);
        assert_string_equal(sha256_of(room, name), sha256_of(room, "mine0"));
    }
}

/* A later version of the same optimizer begins where the first one was, and takes its config. */
static void test_init_from(void **state)
{
    struct room *const room = *state;
    struct job_row row;
    dsc_err err = {0};

    jobs_start(room, 1, 1);
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 50, SMALL));
    await_success(room, row.id);
    refuse(room, JOB_META_TRAIN,
           training(room, "mine", 50, ",\"init_from\":\"mine:1\",\"config\":{\"hidden_size\":5}"),
           FAULT_INVALID_VALUE, "config");
    refuse(room, JOB_META_TRAIN, training(room, "mine", 50, ",\"init_from\":\"mine:2\""),
           FAULT_NOT_FOUND, "init_from");
    refuse(room, JOB_META_TRAIN, training(room, "mine", 50, ",\"init_from\":\"adam\""),
           FAULT_INVALID_VALUE, "init_from");
    jobs_end(room);

    jobs_start(room, 0, 1);
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 50, ",\"init_from\":\"mine\""));
    assert_false(store_version_delete(room->store, "mine", 1, &err));
    assert_int_equal(err.code, FAULT_IN_USE);
    jobs_end(room);
    jobs_start(room, 1, 1);
    await_success(room, row.id);
    const struct version_row made = version(room, "mine", 2);
    assert_string_equal(made.parent, "mine:1");
    assert_string_equal(made.config, version(room, "mine", 1).config);
    assert_string_not_equal(made.sha256, sha256_of(room, "adam"));
    assert_true(store_version_delete(room->store, "mine", 1, NULL));
}

static int64_t aliased(struct room *room, const char *alias)
{
    struct alias_row row;

    assert_true(store_alias_find(room->store, "mine", alias, &row, &room->arena, NULL));
    return row.version;
}

/* The alias follows from version to version; where there is no room for one more, the version is
 * kept all the same. */
static void test_alias(void **state)
{
    struct room *const room = *state;
    struct alias_row none;
    struct job_row row;
    char alias[16];

    jobs_start(room, 1, 1);
    for (int64_t number = 1; number <= 2; number++) {
        row = submit(room, JOB_META_TRAIN,
                     training(room, "mine", 5, SMALL ",\"alias\":\"candidate\""));
        await_success(room, row.id);
        assert_int_equal(aliased(room, "candidate"), number);
    }
    refuse(room, JOB_META_TRAIN, training(room, "mine", 5, ",\"alias\":\"No\""),
           FAULT_INVALID_VALUE, "alias");
    const struct version_row first = version(room, "mine", 1);
    for (int i = 1; i < LIMIT_ALIASES; i++) {
        snprintf(alias, sizeof alias, "a%d", i);
        assert_true(store_alias_put(room->store, &first, alias, true, NULL));
    }
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 5, ",\"alias\":\"one-more\""));
    row = await_success(room, row.id);
    expect_events(room, &row, "ssmlsd");
    assert_int_equal(version(room, "mine", 0).number, 3);
    assert_false(store_alias_find(room->store, "mine", "one-more", &none, &room->arena, NULL));
}

/* Weights that leave the finite end the job; what was best before is kept. */
static void test_diverged(void **state)
{
    struct room *const room = *state;
    struct job_row row;

    jobs_start(room, 1, 1);
    row = submit(room, JOB_META_TRAIN,
                 "{\"optimizer\":\"wild\",\"problems\":[{\"type\":\"quadratic\"}],\"horizon\":200,"
                 "\"unroll\":200,\"functions_per_step\":1,\"epochs\":200,\"validate_every\":1000,"
                 "\"config\":{\"layers\":0,\"output_scale\":1000,"
                 "\"preprocessing\":\"none\"},"
                 "\"meta_optimizer\":{\"learning_rate\":10,\"clip_norm\":0}}");
    row = await(room, row.id, OVER, 0);
    assert_int_equal(row.state, JOB_FAILED);
    json_t *const error = json_loads(row.error, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(error, "code")), "diverged");
    json_decref(error);
    struct version_row none;
    assert_false(store_version_find(room->store, "wild", 0, &none, &room->arena, NULL));
}

/* --- transitions --- */

typedef bool action(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
                    dsc_err *err);

/* What each action makes of each state; JOB_STATES: refused. */
static void test_transitions(void **state)
{
    static const struct {
        action *act;
        enum job_state result[JOB_STATES];
    } rows[] = {
        {job_pause, {JOB_PAUSED, JOB_PAUSED, JOB_PAUSED, JOB_STATES, JOB_STATES, JOB_STATES}},
        {job_resume, {JOB_QUEUED, JOB_RUNNING, JOB_QUEUED, JOB_STATES, JOB_STATES, JOB_STATES}},
        {job_cancel,
         {JOB_CANCELLED, JOB_CANCELLED, JOB_CANCELLED, JOB_STATES, JOB_STATES, JOB_CANCELLED}},
    };
    struct room *const room = *state;
    struct job_row row;

    jobs_start(room, 0, 1); /* nobody takes it away */
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 9, SMALL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (enum job_state from = 0; from < JOB_STATES; from++) {
            const enum job_state want = rows[i].result[from];
            bool moved;
            dsc_err err = {0};

            assert_true(store_job_move(room->store, row.seq, ~0u, from, &moved, NULL));
            const bool ok = rows[i].act(room->jobs, row.id, &row, &room->arena, &err);
            assert_int_equal(ok, want != JOB_STATES);
            assert_int_equal(ok ? DSC_OK : FAULT_INVALID_STATE, err.code);
            assert_int_equal(find(room, row.id).state, ok ? want : from);
        }
}

static void test_unknown(void **state)
{
    struct room *const room = *state;
    struct job_row row;
    dsc_err err = {0};

    jobs_start(room, 0, 1);
    assert_false(job_pause(room->jobs, "job_0", &row, &room->arena, &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
    err = (dsc_err) {0};
    assert_false(job_delete(room->jobs, "job_0", &err));
    assert_int_equal(err.code, FAULT_NOT_FOUND);
}

/* A job that would take for ever ends at once, and makes nothing. */
static void test_cancel_running(void **state)
{
    struct room *const room = *state;
    struct version_row none;
    struct job_row row;
    dsc_err err = {0};

    jobs_start(room, 1, 2);
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 100000000, SMALL));
    await(room, row.id, 1u << JOB_RUNNING, 1);
    assert_false(job_delete(room->jobs, row.id, &err));
    assert_int_equal(err.code, FAULT_INVALID_STATE);
    assert_true(job_cancel(room->jobs, row.id, &row, &room->arena, NULL));
    assert_int_equal(row.state, JOB_CANCELLED);
    struct job_row next = submit(room, JOB_META_TRAIN, training(room, "next", 10, SMALL));
    await_success(room, next.id); /* the worker is free again */
    assert_false(store_version_find(room->store, "mine", 0, &none, &room->arena, NULL));
    assert_true(job_delete(room->jobs, row.id, NULL));
}

/* --- what is refused --- */

static void test_refused_trainings(void **state)
{
    static const struct {
        const char *more;
        int code;
        const char *where;
    } rows[] = {
        {",\"unroll\":30", FAULT_DUPLICATE_KEY, "unroll"},
        {",\"nonsense\":1", FAULT_UNKNOWN_FIELD, "nonsense"},
        {",\"family\":\"adam\"", FAULT_INVALID_VALUE, "family"},
        {",\"family\":\"nobody\"", FAULT_INVALID_VALUE, "family"},
        {",\"config\":{\"hidden_size\":0}", FAULT_INVALID_VALUE, "config.hidden_size"},
        {",\"config\":{\"hidden\":1}", FAULT_UNKNOWN_FIELD, "config.hidden"},
        {",\"init_from\":\"nobody\"", FAULT_NOT_FOUND, "init_from"},
        {",\"loss_weights\":[1,2]", FAULT_INVALID_VALUE, "loss_weights"},
        {",\"curriculum\":[30,20]", DSC_EINVAL, "curriculum"},
        {",\"meta_optimizer\":{\"learning_rate\":-1}", FAULT_INVALID_VALUE,
         "meta_optimizer.learning_rate"},
        {",\"seed\":-1", FAULT_INVALID_VALUE, "seed"},
    };
    struct room *const room = *state;
    struct optimizer_row there;

    jobs_start(room, 0, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse(room, JOB_META_TRAIN, training(room, "mine", 9, rows[i].more), rows[i].code,
               rows[i].where);
    refuse(room, JOB_META_TRAIN, training(room, "Mine", 9, ""), FAULT_INVALID_VALUE, "optimizer");
    refuse(room, JOB_META_TRAIN, training(room, "adam", 9, ""), FAULT_BUILTIN_PROTECTED,
           "optimizer");
    refuse(room, JOB_META_TRAIN, training(room, "mine", 0, ""), FAULT_INVALID_VALUE, "epochs");
    refuse(room, JOB_META_TRAIN, "{\"optimizer\":\"mine\"}", FAULT_MISSING_FIELD, "problems");
    refuse(room, JOB_META_TRAIN, "{\"problems\":[{\"type\":\"quadratic\"}]}", FAULT_MISSING_FIELD,
           "optimizer");
    refuse(room, JOB_META_TRAIN, "{\"optimizer\":\"mine\",\"problems\":[{\"type\":\"x\"}]}",
           FAULT_INVALID_VALUE, "problems[0].type");
    refuse(room, JOB_META_TRAIN,
           "{\"optimizer\":\"mine\",\"problems\":[{\"type\":\"quadratic\","
           "\"params\":{\"dimension\":0}}]}",
           FAULT_INVALID_VALUE, "problems[0].params.dimension");
    refuse(room, JOB_META_TRAIN,
           "{\"optimizer\":\"mine\",\"problems\":[{\"type\":\"quadratic\"}],\"horizon\":10}",
           DSC_EINVAL, "unroll");
    assert_false(store_optimizer_find(room->store, "mine", &there, &room->arena, NULL));
}

/* An optimizer that is there decides about family and config. */
static void test_existing_optimizer(void **state)
{
    struct room *const room = *state;
    struct job_row row;

    jobs_start(room, 1, 1);
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 10, SMALL));
    await_success(room, row.id);
    row = submit(room, JOB_META_TRAIN, training(room, "mine", 10, ""));
    await_success(room, row.id);
    assert_string_equal(version(room, "mine", 2).config, version(room, "mine", 1).config);
    assert_string_equal(sha256_of(room, "mine"), version(room, "mine", 1).sha256);

    struct optimizer_row hand = {
        .name = "hand", .family = "sgd", .config = "{}", .description = "", .labels = "{}"};
    assert_true(store_optimizer_insert(room->store, &hand, NULL));
    refuse(room, JOB_META_TRAIN, training(room, "hand", 10, ""), FAULT_INVALID_VALUE, "family");
}

/* --- evaluations --- */

#define PROBLEM "\"problem\":{\"type\":\"quadratic\",\"params\":{\"dimension\":3}}"
#define SIZES   "\"steps\":12,\"functions\":10,\"seed\":7"
#define TUNING  "\"tuning\":{\"learning_rates\":5,\"functions\":6}"

static void expect_curve(const json_t *list, const double *curve, size_t points)
{
    assert_int_equal(json_array_size(list), points);
    for (size_t i = 0; i < points; i++)
        assert_true(json_real_value(json_array_get(list, i)) == curve[i]);
}

/* What the core gives, called alone in this thread. */
static void expect_measured(struct room *room, const json_t *entry, const char *name, bool tuned)
{
    const dsc_problem *const problem = &dsc_problem_quadratic;
    const dsc_tuning tuning = {5, 1e-5, 10, 6};
    dsc_eval_result result;
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, problem->hyper);
    assert_true(dsc_hyper_set_number(&hyper, "dimension", 3, NULL));
    const dsc_eval_task task = {problem, &hyper, 12, 10, 7};
    if (tuned)
        assert_true(
            dsc_eval_tune(&model, dsc_family_find(name), &tuning, &task, &dsc_crew_alone, NULL));
    else
        assert_true(registry_model(room->registry, version(room, name, 1).id, &model, NULL));
    assert_true(dsc_eval(&result, &task, model, &dsc_crew_alone, NULL));
    assert_string_equal(json_string_value(json_object_get(entry, "optimizer")), name);
    assert_int_equal(json_is_true(json_object_get(entry, "tuned")), tuned);
    expect_curve(json_object_get(entry, "mean"), result.mean, 13);
    expect_curve(json_object_get(entry, "median"), result.median, 13);
    expect_curve(json_object_get(entry, "p10"), result.p10, 13);
    expect_curve(json_object_get(entry, "p90"), result.p90, 13);
    assert_true(json_real_value(json_object_get(entry, "final_loss")) == result.final_loss);
    dsc_eval_clear(&result);
    dsc_model_drop(model);
}

static void test_evaluation(void **state)
{
    static const char *const names[] = {"adam", "sgd", "sgd", "adam"};
    struct room *const room = *state;
    struct job_row row;

    jobs_start(room, 1, 2);
    row = submit(room, JOB_EVALUATE,
                 "{\"optimizers\":[\"adam\",\"sgd\"],\"baselines\":[\"sgd\",\"adam\"]," PROBLEM
                 "," SIZES "," TUNING "}");
    row = await_success(room, row.id);
    assert_int_equal(row.progress.epoch, 4);
    expect_events(room, &row, "ssmmmmsd");
    json_t *const result = json_loads(row.result, 0, NULL);
    const json_t *const list = json_object_get(result, "optimizers");
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 4; i++)
        expect_measured(room, json_array_get(list, i), names[i], i >= 2);
    json_decref(result);
}

/* Without the one member that is a time. */
static json_t *untimed(const char *result)
{
    json_t *const json = json_loads(result, 0, NULL);
    json_t *entry;
    size_t i;

    assert_non_null(json);
    json_array_foreach(json_object_get(json, "optimizers"), i, entry)
        json_object_del(entry, "seconds_per_step");
    return json;
}

static void test_interrupted_evaluation(void **state)
{
    static const char spec[] =
        "{\"optimizers\":[\"adam\",\"sgd\"],\"baselines\":[\"sgd\",\"adam\"],"
        "\"problem\":{\"type\":\"quadratic\"},\"steps\":200,\"functions\":50,"
        "\"tuning\":{\"learning_rates\":9,\"functions\":50}}";
    struct room *const room = *state;
    struct job_row whole, parts;

    jobs_start(room, 1, 2);
    whole = submit(room, JOB_EVALUATE, spec);
    whole = await_success(room, whole.id);
    parts = submit(room, JOB_EVALUATE, spec);
    for (int i = 1; i <= 3; i++) {
        const struct job_row row = await(room, parts.id, OVER | 1u << JOB_RUNNING, i);
        if (job_is_over(row.state))
            break;
        jobs_end(room);
        jobs_start(room, 1, 1);
    }
    parts = await_success(room, parts.id);
    json_t *const a = untimed(whole.result), *const b = untimed(parts.result);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
}

static void test_refused_evaluations(void **state)
{
    static const struct {
        const char *spec;
        int code;
        const char *where;
    } rows[] = {
        {"{" PROBLEM "}", FAULT_MISSING_FIELD, "optimizers"},
        {"{\"optimizers\":[\"adam\"]}", FAULT_MISSING_FIELD, "problem"},
        {"{\"optimizers\":[\"adam\",\"nobody\"]," PROBLEM "}", FAULT_NOT_FOUND, "optimizers[1]"},
        {"{\"optimizers\":[\"Adam\"]," PROBLEM "}", FAULT_INVALID_VALUE, "optimizers[0]"},
        {"{\"optimizers\":[\"empty\"]," PROBLEM "}", FAULT_NO_VERSION, "optimizers[0]"},
        {"{\"baselines\":[\"adam\",\"lstm\"]," PROBLEM "}", FAULT_INVALID_VALUE, "baselines[1]"},
        {"{\"baselines\":[\"adam\"]," PROBLEM ",\"steps\":0}", FAULT_INVALID_VALUE, "steps"},
        {"{\"baselines\":[\"adam\"]," PROBLEM ",\"steps\":100000}", FAULT_INVALID_VALUE, "steps"},
        {"{\"baselines\":[\"adam\"]," PROBLEM ",\"steps\":90000,\"functions\":100000}",
         FAULT_INVALID_VALUE, "functions"},
        {"{\"baselines\":[\"adam\"]," PROBLEM ",\"tuning\":{\"range\":[1,1]}}", FAULT_INVALID_VALUE,
         "tuning.range"},
    };
    struct room *const room = *state;
    struct optimizer_row empty = {
        .name = "empty", .family = "lstm", .config = "{}", .description = "", .labels = "{}"};

    jobs_start(room, 0, 1);
    assert_true(store_optimizer_insert(room->store, &empty, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse(room, JOB_EVALUATE, rows[i].spec, rows[i].code, rows[i].where);
}

static void test_done(void **state)
{
    struct room *const room = *state;

    jobs_start(room, 1, 1);
    const struct job_row row = submit(room, JOB_META_TRAIN, training(room, "mine", 60, SMALL));
    await_success(room, row.id);
    const struct job_row next = submit(room, JOB_META_TRAIN, training(room, "mine", 60, SMALL));
    await_success(room, next.id);
    assert_int_equal(jobs_done(room->jobs).epochs, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_training, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restarted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_init_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alias, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_diverged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transitions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_running, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_trainings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_existing_optimizer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evaluation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interrupted_evaluation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_evaluations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_done, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
