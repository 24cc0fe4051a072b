/* test_golden.c -- every golden case, on every kernel that this processor can run
 *
 * A case is two files that make_golden.py wrote: NAME.safetensors, imported as a user would, and
 * NAME.golden, what PyTorch answered in float64 (README.md has both layouts). The gradients are
 * made here by the same formula. What is measured is printed: the largest error of an update and of
 * the last state, each in units of what would be allowed. */
#include "server/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An error may be absolute * output_scale + relative * the largest |number| of the same step, or of
 * the same tensor of the state. Each is three times what was seen, or the promise of the API where
 * that is less than ten times it: sgd 1e-7; momentum 2e-7; nag 7e-7; rmsprop 5e-7; adagrad 3e-7;
 * adam, amsgrad 9e-7; lion 1e-6 for m; rprop 4e-7; lbfgs 3e-6; lstm 1e-7, with weights three times
 * as large 3e-7, and 7e-7 for c; rnnprop 7e-7. */
typedef struct {
    const char *family;
    double absolute, relative;
} tolerance;

static const tolerance tolerances[] = {
    {"sgd", 0, 3e-7},        {"momentum", 0, 1e-6},     {"nag", 0, 1e-6},
    {"rmsprop", 0, 3e-6},    {"adagrad", 0, 1e-6},      {"adam", 0, 3e-6},
    {"amsgrad", 0, 3e-6},    {"lion", 0, 3e-6},         {"rprop", 0, 1e-6},
    {"lbfgs", 0, 1e-5},      {"lstm", 1e-6, 3e-7},      {"lstm_gac", 1e-6, 3e-7},
    {"rnnprop", 1e-6, 1e-6}, {"ntm_lbfgs", 1e-6, 1e-6},
};

static const tolerance *tolerance_of(const char *family)
{
    for (size_t i = 0; i < sizeof tolerances / sizeof tolerances[0]; i++)
        if (strcmp(tolerances[i].family, family) == 0)
            return &tolerances[i];
    fail_msg("%s has golden vectors but no row in tolerances[]", family);
    return NULL;
}

/* --- reading files: little-endian, as every processor we build for --- */

typedef struct {
    unsigned char *bytes; /* owned */
    size_t len, at;
} file;

static file file_read(const char *path)
{
    FILE *const in = fopen(path, "rb");
    file f = {0};

    if (!in)
        fail_msg("%s: cannot be opened", path);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    f.len = (size_t)ftell(in);
    rewind(in);
    f.bytes = malloc(f.len + 1);
    assert_non_null(f.bytes);
    assert_int_equal(fread(f.bytes, 1, f.len, in), f.len);
    (void)fclose(in);
    return f;
}

static void take(file *f, void *to, size_t bytes)
{
    assert_true(bytes <= f->len - f->at);
    memcpy(to, f->bytes + f->at, bytes);
    f->at += bytes;
}

/* The next `count` pieces of `size` bytes, in memory of their own. */
static void *take_new(file *f, size_t count, size_t size)
{
    void *const piece = malloc(count * size + 1);

    assert_non_null(piece);
    take(f, piece, count * size);
    return piece;
}

/* --- one n of a case --- */

typedef struct {
    int32_t n, steps, seed, low, high, given, chosen_count, kept, width;
} section_head;

typedef struct {
    section_head head;
    int32_t *chosen;  /* [chosen_count] the steps whose updates are kept, ascending */
    float *gradients; /* [steps, n], or NULL: by the formula                        */
    double *updates;  /* [chosen_count, n]                                          */
    double *state;    /* [kept, width] of the last coordinates                      */
    size_t n, kept, width;
} section;

static section section_take(file *f)
{
    section s = {0};

    take(f, &s.head, sizeof s.head);
    s.n = (size_t)s.head.n;
    s.kept = (size_t)s.head.kept;
    s.width = (size_t)s.head.width;
    s.chosen = take_new(f, (size_t)s.head.chosen_count, sizeof *s.chosen);
    if (s.head.given)
        s.gradients = take_new(f, (size_t)s.head.steps * s.n, sizeof *s.gradients);
    s.updates = take_new(f, (size_t)s.head.chosen_count * s.n, sizeof *s.updates);
    s.state = take_new(f, s.kept * s.width, sizeof *s.state);
    return s;
}

static void section_release(section *s)
{
    free(s->chosen);
    free(s->gradients);
    free(s->updates);
    free(s->state);
}

/* --- gradients --- */

/* The finalizer of MurmurHash3 (Appleby). */
static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * UINT32_C(0x85ebca6b);
    x = (x ^ x >> 13) * UINT32_C(0xc2b2ae35);
    return x ^ x >> 16;
}

static float of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static float formula(const section_head *head, uint32_t c, uint32_t step)
{
    const uint32_t own = mix(c + (uint32_t)head->seed);
    const uint32_t now = mix(own ^ step * UINT32_C(0x9e3779b9));
    const uint32_t more = mix(now ^ UINT32_C(0x5bd1e995));
    const uint32_t sign = now & UINT32_C(0x80000000), mantissa = now & UINT32_C(0x7fffff);
    const uint32_t span = (uint32_t)(head->high - head->low + 1);
    const uint32_t at = own >> 31 ? more % span : (own % span + more % 3) % span;

    if (more >> 27 == 0)
        return of_bits(sign);
    if (more >> 27 == 1)
        return of_bits(sign | mantissa); /* subnormal */
    return of_bits(sign | (at + (uint32_t)(head->low + 127)) << 23 | mantissa);
}

static void fill_gradient(float *grad, const section *s, uint32_t step)
{
    for (uint32_t c = 0; c < s->n; c++)
        grad[c] = s->gradients ? s->gradients[step * s->n + c] : formula(&s->head, c, step);
}

/* --- comparing --- */

/* The largest error so far, in units of what is allowed: more than 1 is a failure. */
typedef struct {
    double update, state;
} worst;

/* The largest |number| in the first `cols` of each of `rows` rows that lie `stride` apart. */
static double largest(const double *x, size_t rows, size_t cols, size_t stride)
{
    double most = 0;

    for (size_t row = 0; row < rows; row++)
        for (size_t i = row * stride; i < row * stride + cols; i++)
            most = fmax(most, fabs(x[i]));
    return most;
}

/* The largest |got - want|, likewise; infinite where got is not finite. */
static double distance(const float *got, const double *want, size_t rows, size_t cols,
                       size_t stride)
{
    double most = 0;

    for (size_t row = 0; row < rows; row++)
        for (size_t i = row * stride; i < row * stride + cols; i++)
            most = isfinite(got[i]) ? fmax(most, fabs((double)got[i] - want[i])) : INFINITY;
    return most;
}

/* In units of what is allowed. Where nothing is, any error is infinite. */
static double units(double error, const tolerance *allow, double unit, double scale)
{
    return error == 0 ? 0 : error / (allow->absolute * unit + allow->relative * scale);
}

/* [kept, width]: all our tensors of the last coordinates, as the file has them. */
static float *last_state(dsc_run *run, const section *s)
{
    const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
    float *const last = malloc((s->kept * layout->len + 1) * sizeof *last);
    float *const rows = malloc((s->n * layout->len + 1) * sizeof *rows);
    size_t len;
    const float *const state = dsc_run_state(run, 0, s->n, &len);

    assert_true(last && rows);
    for (int i = 0; i < layout->count; i++) {
        const dsc_tensor *const tensor = &layout->tensor[i];

        dsc_state_gather(rows, state, s->n, layout, tensor);
        for (size_t c = 0; c < s->kept; c++)
            memcpy(last + c * layout->len + tensor->offset,
                   rows + (s->n - s->kept + c) * tensor->len, tensor->len * sizeof *rows);
    }
    free(rows);
    return last;
}

static double compare_state(dsc_run *run, const section *s, const tolerance *allow)
{
    const dsc_layout *const layout = dsc_model_state_layout(dsc_run_model(run));
    float *const last = last_state(run, s);
    double error = 0;

    assert_int_equal(layout->len, s->width);
    for (int i = 0; i < layout->count; i++) {
        const size_t at = layout->tensor[i].offset;

        const size_t len = layout->tensor[i].len;

        error = fmax(error, units(distance(last + at, s->state + at, s->kept, len, s->width), allow,
                                  1, largest(s->state + at, s->kept, len, s->width)));
    }
    free(last);
    return error;
}

static double output_scale(const dsc_model *model)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const int row = dsc_hyper_find(hyper->spec, "output_scale");

    return row < 0 ? 1 : hyper->value[row];
}

/* The update of a kept step. What is small is told by the largest of the same step; a single
 * coordinate, whose average may just be changing its sign, is measured by all of its steps. */
static double compare_update(const float *update, const section *s, size_t kept,
                             const tolerance *allow, double unit)
{
    const double *const want = s->updates + kept * s->n;
    const double scale = s->n > 1 ? largest(want, 1, s->n, 0)
                                  : largest(s->updates, 1, (size_t)s->head.chosen_count, 0);

    return units(distance(update, want, 1, s->n, 0), allow, unit, scale);
}

/* "plain" calls fmaf for each lane of each product, forty times slower than the others: of many
 * coordinates it follows the first ten steps. The laws hold it to the bits of the others. */
static int32_t steps_to_follow(const section *s, const dsc_model *model)
{
    const bool slow = strcmp(dsc_model_kernel(model)->name, "plain") == 0 && s->n > 100;

    return slow && s->head.steps > 10 ? 10 : s->head.steps;
}

static void follow(const section *s, dsc_model *model, const tolerance *allow, worst *w)
{
    float *const grad = malloc(s->n * sizeof *grad), *const update = malloc(s->n * sizeof *update);
    float *const work = dsc_work_new();
    const double unit = output_scale(model);
    const int32_t steps = steps_to_follow(s, model);
    int32_t kept = 0;
    dsc_run *run;

    assert_true(grad && update && work);
    assert_true(dsc_run_new(&run, model, s->n, NULL));
    for (int32_t step = 0; step < steps; step++) {
        fill_gradient(grad, s, (uint32_t)step);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        if (kept == s->head.chosen_count || s->chosen[kept] != step)
            continue;
        w->update = fmax(w->update, compare_update(update, s, (size_t)kept++, allow, unit));
    }
    assert_true(kept > 0);
    if (steps == s->head.steps) {
        assert_int_equal(kept, s->head.chosen_count);
        w->state = fmax(w->state, compare_state(run, s, allow));
    }
    dsc_run_free(run);
    dsc_work_free(work);
    free(grad);
    free(update);
}

/* --- cases --- */

typedef struct {
    char magic[8], family[24];
    int32_t sections;
} golden_head;

/* tests/golden/NAME.golden -> the model in tests/golden/NAME.safetensors. */
static dsc_model *import(const char *path, const dsc_family *family, const dsc_kernel *kernel)
{
    char weights[512];
    const int stem = (int)(strrchr(path, '.') - path);
    dsc_model *model = NULL;
    dsc_err err = {0};
    file f;

    (void)snprintf(weights, sizeof weights, "%.*s.safetensors", stem, path);
    f = file_read(weights);
    if (!safetensors_import(&model, f.bytes, f.len, family, kernel, &err))
        fail_msg("%s: %s %s", weights, err.where, err.text);
    free(f.bytes);
    return model;
}

/* `f` stands behind the head. */
static void follow_all(file *f, int32_t sections, dsc_model *model, const tolerance *allow,
                       worst *w)
{
    for (int32_t i = 0; i < sections; i++) {
        section s = section_take(f);

        follow(&s, model, allow, w);
        section_release(&s);
    }
    assert_int_equal(f->at, f->len);
}

static void check(const char *path, const dsc_kernel *kernel, worst *w)
{
    file f = file_read(path);
    golden_head head;
    dsc_model *model;

    take(&f, head.magic, sizeof head.magic);
    take(&f, head.family, sizeof head.family);
    take(&f, &head.sections, sizeof head.sections);
    assert_memory_equal(head.magic, "DSCGOLD1", sizeof head.magic);
    assert_non_null(dsc_family_find(head.family));
    model = import(path, dsc_family_find(head.family), kernel);
    follow_all(&f, head.sections, model, tolerance_of(head.family), w);
    dsc_model_drop(model);
    free(f.bytes);
}

static void check_kernels(const char *path)
{
    worst w = {0};

    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++)
        if ((*kernel)->usable())
            check(path, *kernel, &w);
    print_message("  %-36s error / allowed: update %.3f, state %.3f\n", path, w.update, w.state);
    assert_true(w.update <= 1 && w.state <= 1);
}

static glob_t cases(void)
{
    glob_t found;

    if (glob("tests/golden/*.golden", 0, NULL, &found) != 0)
        fail_msg("no tests/golden/*.golden; run me where the Makefile is");
    return found;
}

static void test_every_case(void **state)
{
    glob_t found = cases();

    (void)state;
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_kernels(found.gl_pathv[i]);
    globfree(&found);
}

/* A family without golden vectors is not finished. */
static void test_every_family_has_one(void **state)
{
    glob_t found = cases();

    (void)state;
    for (const dsc_family *const *family = dsc_families; *family; family++) {
        bool has = false;

        for (size_t i = 0; i < found.gl_pathc; i++) {
            file f = file_read(found.gl_pathv[i]);

            has = has || (f.len > 8 && strcmp((char *)f.bytes + 8, (*family)->name) == 0);
            free(f.bytes);
        }
        if (!has)
            fail_msg("%s has no golden vectors", (*family)->name);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case),
        cmocka_unit_test(test_every_family_has_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
