/* test_coupling.c -- the promises of run.h for families whose coordinates are coupled
 *
 * The family of this test centres the gradient: update = -rate (grad - mean of grad), with one more
 * pass that adds the update to what is remembered, and a shared count of steps. Small enough to be
 * computed here a second time, and it proposes. */
#include "core/coupling.h"
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One test asks for more than any machine has, and must be told so: under AddressSanitizer too such
 * an allocation is NULL here, as it is of libc, where the default is to abort. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

enum { SUM, COUNT, PARTIALS, MEAN = 0, STEPS, SHARED };

static int three(const dsc_hyper *hyper)
{
    (void)hyper;
    return 3;
}

static size_t partials(const dsc_hyper *hyper)
{
    (void)hyper;
    return PARTIALS;
}

static size_t shareds(const dsc_hyper *hyper)
{
    (void)hyper;
    return SHARED;
}

static void join(const dsc_model *model, int phase, uint64_t t, const double *sum, double *shared)
{
    (void)model;
    assert_true(phase == 0 || (sum[SUM] == 0 && sum[COUNT] == 0));
    if (phase > 0)
        return;
    assert_true(shared[STEPS] == (double)t);
    shared[MEAN] = sum[SUM] / sum[COUNT];
    shared[STEPS]++;
}

static void state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    (void)hyper;
    dsc_layout_add(state, "sum", 0, 0, 0, 0);
}

static double no_bound(const dsc_model *model, double grad_max, double state_max)
{
    (void)model;
    (void)grad_max;
    (void)state_max;
    return INFINITY;
}

static void step(const dsc_model *model, const dsc_span *span)
{
    const float rate = (float)dsc_model_hyper(model)->value[0];

    assert_true(span->n <= DSC_TILE && span->begin % DSC_TILE == 0);
    assert_true(span->phase > 0 || span->shared[STEPS] == (double)span->t);
    assert_true(span->partial[SUM] == 0 && span->partial[COUNT] == 0);
    for (size_t i = 0; i < span->n; i++) {
        if (span->phase == 0)
            span->partial[SUM] += (double)span->grad[i];
        else if (span->phase == 1)
            span->update[i] = -rate * (span->grad[i] - (float)span->shared[MEAN]);
        else
            span->state[i] += span->update[i]; /* one number a coordinate: rows are in order */
    }
    span->partial[COUNT] = span->phase == 0 ? (double)span->n : 0;
}

static const dsc_hyper_spec hyper_spec[] = {
    {.name = "rate", .kind = DSC_HYPER_REAL, .min = 0, .max = 1e30, .initial = 1, .doc = "A rate."},
    {.name = NULL},
};

static const dsc_coupled coupled = {.phases = three,
                                    .proposes = true,
                                    .remembers = true,
                                    .partial_len = partials,
                                    .shared_len = shareds,
                                    .join = join};

static const dsc_family centred = {.name = "centred",
                                   .doc = "Subtracts the mean.",
                                   .source = "This test.",
                                   .hyper = hyper_spec,
                                   .state_layout = state_layout,
                                   .update_bound = no_bound,
                                   .step = step,
                                   .coupled = &coupled};

/* Three tiles and a tail; the sums of floats this different have other bits in another order. */
enum { N = 3 * 4096 + 77 };

typedef struct {
    dsc_model *model;
    dsc_run *run;
    float *work, *grad, *update;
} fixture;

static fixture fixture_make(double rate)
{
    fixture f = {.work = dsc_work_new(),
                 .grad = malloc(N * sizeof *f.grad),
                 .update = calloc(N, sizeof *f.update)};
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, centred.hyper);
    assert_true(f.work && f.grad && f.update);
    assert_true(dsc_hyper_set_number(&hyper, "rate", rate, NULL));
    assert_true(dsc_model_new(&f.model, &centred, &hyper, NULL, NULL, NULL));
    assert_true(dsc_run_new(&f.run, f.model, N, NULL));
    return f;
}

static void fixture_free(fixture *f)
{
    dsc_run_free(f->run);
    dsc_model_drop(f->model);
    dsc_work_free(f->work);
    free(f->grad);
    free(f->update);
}

static void fill(float *grad, uint64_t t)
{
    for (size_t c = 0; c < N; c++) {
        dsc_rng rng = dsc_rng_at(5, t, c);

        grad[c] = (float)(dsc_rng_normal(&rng) * exp(9 * dsc_rng_normal(&rng)));
    }
}

static void assert_same_runs(fixture *a, fixture *b)
{
    size_t len, len_b, shared_len;
    const float *const state = dsc_run_state(a->run, 0, N, &len);
    const double *const shared = dsc_run_shared(a->run, &shared_len);

    assert_memory_equal(a->update, b->update, N * sizeof *a->update);
    assert_memory_equal(state, dsc_run_state(b->run, 0, N, &len_b), len * sizeof *state);
    assert_memory_equal(shared, dsc_run_shared(b->run, &len_b), shared_len * sizeof *shared);
    assert_int_equal(dsc_run_steps(a->run), dsc_run_steps(b->run));
}

/* One pass in pieces of `tiles`, the last piece first. */
static void phase_backwards(fixture *f, int phase, size_t tiles)
{
    const size_t grain = dsc_run_grain(f->run) * tiles;

    for (size_t begin = N / grain * grain + grain; begin > 0;) {
        const size_t end = begin < N ? begin : N;

        begin -= grain;
        dsc_run_phase(f->run, dsc_run_steps(f->run), phase, begin, end, f->grad + begin,
                      f->update + begin, f->work);
    }
}

static void step_backwards(fixture *f, size_t tiles)
{
    const int proposal = dsc_run_proposal(f->run), phases = dsc_run_phases(f->run);

    assert_true(dsc_run_check_gradient(f->run, f->grad, NULL));
    for (int phase = 0; phase < phases; phase++) {
        if (phase == proposal)
            assert_true(dsc_run_check_update(f->run, f->update, FLT_MAX, NULL));
        if (phase > 0)
            dsc_run_join(f->run, dsc_run_steps(f->run), phase - 1);
        phase_backwards(f, phase, tiles);
    }
    dsc_run_advance(f->run);
}

static void test_shape(void **state)
{
    fixture f = fixture_make(1);

    (void)state;
    assert_true(dsc_run_coupled(f.run));
    assert_int_equal(dsc_run_phases(f.run), 3);
    assert_int_equal(dsc_run_proposal(f.run), 2);
    assert_int_equal(dsc_run_grain(f.run), DSC_TILE);
    fixture_free(&f);
}

static void test_same_bits_for_any_split(void **state)
{
    fixture a = fixture_make(1), b = fixture_make(1);

    (void)state;
    for (uint64_t t = 0; t < 4; t++) {
        fill(a.grad, t);
        fill(b.grad, t);
        assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
        step_backwards(&b, t % 3 + 1);
        assert_same_runs(&a, &b);
    }
    fixture_free(&a);
    fixture_free(&b);
}

/* Only the update of coordinate 9000 overflows. Neither run gives a sign of it. */
static void test_refused_step_changes_nothing(void **state)
{
    fixture a = fixture_make(1e10), b = fixture_make(1e10);
    dsc_err err = {0};

    (void)state;
    for (uint64_t t = 0; t < 3; t++) {
        fill(a.grad, t);
        assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
        memcpy(b.grad, a.grad, N * sizeof *b.grad);
        b.grad[9000] = 1e32f;
        assert_false(dsc_run_step(b.run, b.grad, b.update, b.work, &err));
        assert_int_equal(err.code, DSC_ENUMERIC);
        assert_string_equal(err.where, "update[9000]");
        b.grad[9000] = NAN;
        err = (dsc_err) {0};
        assert_false(dsc_run_check_gradient(b.run, b.grad, &err));
        assert_string_equal(err.where, "gradient[9000]");
        assert_false(dsc_run_check(b.run, b.grad, FLT_MAX, b.work, NULL));
        err = (dsc_err) {0};
        assert_true(dsc_run_check(b.run, a.grad, FLT_MAX, b.work, &err));
        assert_false(dsc_run_check(b.run, a.grad, 1, b.work, &err));
        assert_true(dsc_run_step(b.run, a.grad, b.update, b.work, NULL));
        assert_same_runs(&a, &b);
        err = (dsc_err) {0};
    }
    fixture_free(&a);
    fixture_free(&b);
}

/* A proposal that is computed into the answer and then given up. */
static void test_given_up_proposal(void **state)
{
    fixture a = fixture_make(1), b = fixture_make(1);
    dsc_err err = {0};

    (void)state;
    for (uint64_t t = 0; t < 3; t++) {
        fill(a.grad, t);
        assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
        fill(b.grad, t + 100);
        phase_backwards(&b, 0, 1);
        dsc_run_join(b.run, t, 0);
        phase_backwards(&b, 1, 1);
        assert_false(dsc_run_check_update(b.run, b.update, 1e-9, &err));
        memcpy(b.grad, a.grad, N * sizeof *b.grad);
        step_backwards(&b, 1);
        assert_same_runs(&a, &b);
    }
    fixture_free(&a);
    fixture_free(&b);
}

static void load(fixture *to, fixture *from)
{
    size_t len, shared_len;
    float *const state = dsc_run_state(to->run, 0, N, &len);
    double *const shared = dsc_run_shared(to->run, &shared_len);

    assert_int_equal(shared_len, SHARED);
    memcpy(state, dsc_run_state(from->run, 0, N, &len), len * sizeof *state);
    memcpy(shared, dsc_run_shared(from->run, &shared_len), shared_len * sizeof *shared);
}

static void test_saved_and_reset(void **state)
{
    fixture a = fixture_make(1), b = fixture_make(1);
    size_t len;

    (void)state;
    fill(a.grad, 0);
    assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
    assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
    load(&b, &a);
    dsc_run_set_steps(b.run, 2);
    assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
    assert_true(dsc_run_step(b.run, a.grad, b.update, b.work, NULL));
    assert_same_runs(&a, &b);
    dsc_run_reset(a.run);
    assert_true(dsc_run_shared(a.run, &len)[STEPS] == 0);
    assert_true(dsc_run_step(a.run, a.grad, a.update, a.work, NULL));
    fixture_free(&a);
    fixture_free(&b);
}

static void test_no_memory(void **state)
{
    fixture f = fixture_make(1);
    dsc_coupling coupling;

    (void)state;
    assert_false(dsc_coupling_init(&coupling, f.model, SIZE_MAX));
    assert_null(coupling.partial);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_same_bits_for_any_split),
        cmocka_unit_test(test_refused_step_changes_nothing),
        cmocka_unit_test(test_given_up_proposal),
        cmocka_unit_test(test_saved_and_reset),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
