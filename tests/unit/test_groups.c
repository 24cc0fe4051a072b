/* test_groups.c -- a session of several optimizers equals the same optimizers alone */
#include "server/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 30000, STEPS = 7 };

static float *work;

static dsc_model *model_of(const char *family, double learning_rate)
{
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_find(family)->hyper);
    assert_true(dsc_hyper_set_number(&hyper, "learning_rate", learning_rate, NULL));
    assert_true(dsc_model_new(&model, dsc_family_find(family), &hyper, NULL, NULL, NULL));
    return model;
}

static dsc_model *lstm_of(uint64_t seed)
{
    dsc_hyper hyper;
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(seed, 0, 0);
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    dsc_family_lstm.phi_layout(&layout, &hyper);
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    dsc_family_lstm.phi_init(phi, &rng, &hyper);
    assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, NULL));
    free(phi);
    return model;
}

static float gradient(size_t c, uint64_t t)
{
    dsc_rng rng = dsc_rng_at(5, t, c);

    return (float)dsc_rng_normal(&rng);
}

/* Four groups dealt out in ten slices whose lengths are no block's. The last is coupled: a step
 * has two rounds of proposals, and it has more than one tile. */
static const struct slice mixed[] = {{100, 1}, {7, 0},    {3000, 2}, {1, 1},  {5000, 3},
                                     {20, 1},  {5000, 2}, {64, 0},   {99, 3}, {6500, 0}};
enum { MIXED = sizeof mixed / sizeof mixed[0] };

static struct groups *mixed_new(void)
{
    dsc_model *const model[] = {model_of("adam", 0.1), model_of("sgd", 0.5), lstm_of(3),
                                model_of("lbfgs", 0.1)};
    struct groups *groups = NULL;

    assert_true(groups_new(&groups, model, 4, mixed, MIXED, NULL));
    for (int i = 0; i < 4; i++)
        dsc_model_drop(model[i]);
    return groups;
}

/* All rounds of step t, in group order. */
static void take_step(struct groups *groups, uint64_t t, size_t want, const float *grad,
                      float *update)
{
    for (int round = 0; round < groups_rounds(groups); round++) {
        struct range range[64];
        const size_t count = groups_split(groups, round, want, range, 64);

        for (size_t i = count; i-- > 0;)
            groups_span(groups, t, round, &range[i], grad, update, work);
        if (round < groups_rounds(groups) - 1)
            groups_join(groups, t, round);
    }
    groups_advance(groups);
}

static void fill(float *grad, size_t n, uint64_t t)
{
    for (size_t i = 0; i < n; i++)
        grad[i] = gradient(i, t);
}

static void alone(dsc_model *model, int group, uint64_t steps, const float *expected)
{
    static float grad[N_MAX], update[N_MAX];
    dsc_run *run = NULL;
    size_t n = 0;

    for (int i = 0; i < MIXED; i++)
        n += mixed[i].group == group ? mixed[i].len : 0;
    assert_true(dsc_run_new(&run, model, n, NULL));
    for (uint64_t t = 0; t < steps; t++) {
        size_t at = 0, c = 0;
        for (int i = 0; i < MIXED; c += mixed[i].len, i++)
            for (size_t k = 0; mixed[i].group == group && k < mixed[i].len; k++)
                grad[at++] = gradient(c + k, t);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
    }
    for (size_t i = 0, at = 0, c = 0; i < MIXED; c += mixed[i].len, i++)
        for (size_t k = 0; mixed[i].group == group && k < mixed[i].len; k++)
            assert_true(update[at++] == expected[c + k]);
    dsc_run_free(run);
    dsc_model_drop(model);
}

static void test_equals_each_alone(void **state)
{
    static float grad[N_MAX], ordered[N_MAX], fresh[N_MAX], update[N_MAX];
    struct groups *const groups = mixed_new();
    const size_t n = groups_n(groups);

    (void)state;
    assert_true(groups_reordered(groups));
    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, n, t);
        groups_gather(groups, ordered, grad);
        take_step(groups, t, 1 + t, ordered, fresh);
        groups_scatter(groups, update, fresh);
    }
    alone(model_of("adam", 0.1), 0, STEPS, update);
    alone(model_of("sgd", 0.5), 1, STEPS, update);
    alone(lstm_of(3), 2, STEPS, update);
    alone(model_of("lbfgs", 0.1), 3, STEPS, update);
    groups_free(groups);
}

static void test_gather_and_scatter_are_inverse(void **state)
{
    static float from[N_MAX], ordered[N_MAX], back[N_MAX];
    struct groups *const groups = mixed_new();
    const size_t n = groups_n(groups);

    (void)state;
    for (size_t i = 0; i < n; i++)
        from[i] = (float)i;
    groups_gather(groups, ordered, from);
    groups_scatter(groups, back, ordered);
    assert_memory_equal(from, back, n * sizeof *from);
    assert_memory_not_equal(from, ordered, n * sizeof *from);
    groups_free(groups);
}

static void test_one_group_is_not_reordered(void **state)
{
    const struct slice slice[] = {{10, 0}, {20, 0}};
    dsc_model *const model = model_of("adam", 0.1);
    struct groups *groups = NULL;

    (void)state;
    assert_true(groups_new(&groups, &model, 1, slice, 2, NULL));
    assert_false(groups_reordered(groups));
    assert_int_equal(groups_n(groups), 30);
    groups_free(groups);
    dsc_model_drop(model);
}

/* Every pass of every group, whole and in order: 1 of adam, sgd and lstm, 3 of lbfgs. */
static void test_ranges_cover_everything_once(void **state)
{
    struct groups *const groups = mixed_new();
    const size_t coupled = 5000 + 99;

    (void)state;
    assert_int_equal(groups_rounds(groups), 3);
    assert_int_equal(groups_proposals(groups), 2);
    for (size_t want = 1; want < 20; want++) {
        for (int round = 0; round < 3; round++) {
            size_t covered = 0, end[4] = {0};
            struct range range[64];
            const size_t count = groups_split(groups, round, want, range, 64);

            for (size_t i = 0; i < count; i++) {
                assert_int_equal(range[i].begin, end[range[i].group]);
                assert_true(range[i].end > range[i].begin);
                end[range[i].group] = range[i].end;
                covered += range[i].end - range[i].begin;
            }
            assert_int_equal(end[3], coupled);
            assert_int_equal(covered, round < 2 ? coupled : groups_n(groups));
        }
    }
    groups_free(groups);
}

/* The first two rounds of step t, and nothing more: within no limit. */
static void propose_and_give_up(struct groups *groups, uint64_t t, const float *grad, float *update)
{
    dsc_err err = {0};

    assert_true(groups_check(groups, grad, (double)FLT_MAX, work, NULL));
    for (int round = 0; round < groups_proposals(groups); round++) {
        struct range range[64];
        const size_t count = groups_split(groups, round, 4, range, 64);

        for (size_t i = 0; i < count; i++)
            groups_span(groups, t, round, &range[i], grad, update, work);
        groups_join(groups, t, round);
    }
    assert_true(groups_check_update(groups, update, (double)FLT_MAX, NULL));
    assert_false(groups_check_update(groups, update, 1e-30, &err));
    assert_int_equal(err.code, DSC_ENUMERIC);
    assert_string_equal(err.where, "update[3108]"); /* the first coordinate of group 3 */
}

/* A proposal that is given up has changed nothing. */
static void test_a_proposal_is_given_up(void **state)
{
    static float grad[N_MAX], ordered[N_MAX], fresh[N_MAX], calm[N_MAX];
    struct groups *const groups = mixed_new(), *const other = mixed_new();
    const size_t n = groups_n(groups);

    (void)state;
    for (uint64_t t = 0; t < STEPS; t++) {
        fill(grad, n, 100 + t);
        groups_gather(groups, ordered, grad);
        propose_and_give_up(groups, t, ordered, fresh);
        fill(grad, n, t);
        groups_gather(groups, ordered, grad);
        take_step(groups, t, 3, ordered, fresh);
        take_step(other, t, 1, ordered, calm);
        assert_memory_equal(fresh, calm, n * sizeof *fresh);
    }
    groups_free(groups);
    groups_free(other);
}

/* Chunks saved at different steps, each replayed from there, give the state of an undisturbed
 * session: what a recovery relies on. */
static void test_chunks_of_different_ages(void **state)
{
    static float grad[STEPS][N_MAX], fresh[N_MAX], replayed[N_MAX];
    struct groups *const groups = mixed_new(), *const other = mixed_new();
    const size_t chunks = groups_chunks(groups), n = groups_n(groups);
    void *saved[GROUPS_CHUNKS_MAX];

    (void)state;
    assert_true(chunks > 3);
    for (uint64_t t = 0; t < STEPS; t++) {
        for (size_t j = 0; j < chunks; j++)
            if (j % STEPS == t) {
                saved[j] = malloc(groups_chunk_bytes(groups, j));
                groups_chunk_save(groups, j, saved[j]);
            }
        fill(fresh, n, t);
        groups_gather(groups, grad[t], fresh);
        take_step(groups, t, 2, grad[t], fresh);
    }
    for (size_t j = 0; j < chunks; j++) {
        groups_chunk_load(other, j, saved[j]);
        for (uint64_t t = j % STEPS; t < STEPS; t++)
            groups_chunk_replay(other, j, t, grad[t], replayed, work);
        free(saved[j]);
    }
    groups_rest_replay(other, STEPS - 1, grad[STEPS - 1], replayed, work);
    assert_memory_equal(fresh, replayed, n * sizeof *fresh);
    groups_free(groups);
    groups_free(other);
}

/* sgd of rate 0.5 doubles nothing, but 1e30 does: the index is the client's. */
static void test_a_refusal_names_the_clients_index(void **state)
{
    static float grad[N_MAX], ordered[N_MAX];
    dsc_model *const model[] = {model_of("adam", 0.1), model_of("sgd", 1e30)};
    const struct slice slice[] = {{5, 1}, {300, 0}, {9, 1}};
    struct groups *groups = NULL;
    dsc_err err = {0};

    (void)state;
    assert_true(groups_new(&groups, model, 2, slice, 3, NULL));
    grad[5 + 300 + 2] = 1e30f;
    groups_gather(groups, ordered, grad);
    assert_false(groups_check(groups, ordered, (double)FLT_MAX, work, &err));
    assert_string_equal(err.where, "update[307]");
    assert_int_equal(err.code, DSC_ENUMERIC);
    groups_free(groups);
    dsc_model_drop(model[0]);
    dsc_model_drop(model[1]);
}

static void test_many_groups_stay_within_the_chunks(void **state)
{
    dsc_model *model[GROUPS_MAX];
    struct slice slice[GROUPS_MAX];
    struct groups *groups = NULL;

    (void)state;
    for (int g = 0; g < GROUPS_MAX; g++) {
        model[g] = model_of("adam", 0.1 + g);
        slice[g] = (struct slice) {g == 0 ? 900000 : (size_t)g * 1000, g};
    }
    assert_true(groups_new(&groups, model, GROUPS_MAX, slice, GROUPS_MAX, NULL));
    assert_in_range(groups_chunks(groups), GROUPS_MAX, GROUPS_CHUNKS_MAX);
    groups_free(groups);
    for (int g = 0; g < GROUPS_MAX; g++)
        dsc_model_drop(model[g]);
}

static int open_work(void **state)
{
    (void)state;
    work = dsc_work_new();
    return work ? 0 : -1;
}

static int close_work(void **state)
{
    (void)state;
    dsc_work_free(work);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_each_alone),
        cmocka_unit_test(test_gather_and_scatter_are_inverse),
        cmocka_unit_test(test_one_group_is_not_reordered),
        cmocka_unit_test(test_ranges_cover_everything_once),
        cmocka_unit_test(test_a_proposal_is_given_up),
        cmocka_unit_test(test_chunks_of_different_ages),
        cmocka_unit_test(test_a_refusal_names_the_clients_index),
        cmocka_unit_test(test_many_groups_stay_within_the_chunks),
    };
    return cmocka_run_group_tests(tests, open_work, close_work);
}
