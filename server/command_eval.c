/* command_eval.c -- `descent eval`: optimizers measured beside tuned baselines, without a server */
#include "command.h"
#include "evaluation.h"
#include "fault.h"
#include "file.h"
#include "lend.h"
#include "limits.h"
#include "shelf.h"
#include "spec.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- measuring --- */

struct evaluating {
    const struct config *config;
    struct spec_eval spec;
    struct shelf shelf;
    struct datasets *datasets;
    struct pool *pool;
    dsc_crew crew;
    dsc_arena arena;
    struct measured *row; /* [optimizers + baselines] from the arena */
    size_t rows;          /* measured so far */
    bool terminal;
};

static bool read_spec(struct evaluating *e, dsc_err *err)
{
    struct buf *text = NULL;
    const bool ok = file_read(&text, e->config->argument, LIMIT_CONTROL_BYTES, err) &&
                    spec_eval_decode(&e->spec, (const char *)text->data, text->len, e->datasets,
                                     &e->arena, err);

    buf_drop(text);
    return ok;
}

/* The folder that was named, or .descent where it is there already: looking makes nothing. */
static const char *folder_of(const struct config *config)
{
    struct stat status;

    for (size_t i = 0; config_options[i].name; i++)
        if (strcmp(config_options[i].name, "data") == 0 && config->source[i] != SOURCE_DEFAULT)
            return config->data;
    return stat(config->data, &status) == 0 ? config->data : NULL;
}

static int threads_of(const struct config *config)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return config->threads ? (int)config->threads : processors < 1 ? 1 : (int)processors;
}

static bool begin(struct evaluating *e, dsc_err *err)
{
    if (!datasets_open(&e->datasets, e->config->data_dir, err) || !read_spec(e, err) ||
        !shelf_open(&e->shelf, folder_of(e->config), err) ||
        !pool_open(&e->pool, threads_of(e->config), err))
        return false;
    e->crew = lend_pool(e->pool);
    e->terminal = isatty(STDOUT_FILENO) == 1;
    e->row = dsc_arena_take(&e->arena, e->spec.optimizers.count + e->spec.baselines.count,
                            sizeof *e->row);
    return e->row || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the results");
}

static void end(struct evaluating *e)
{
    pool_close(e->pool);
    shelf_close(&e->shelf);
    datasets_close(e->datasets);
    dsc_arena_release(&e->arena);
}

static bool measure(struct evaluating *e, const char *name, bool tuned, dsc_model *model,
                    dsc_err *err)
{
    return evaluation_measure(&e->row[e->rows++], name, tuned, model, &e->spec.task, &e->crew,
                              &e->arena, err);
}

static void tell(const struct evaluating *e, const char *verb, const char *name)
{
    if (!e->terminal)
        return;
    printf("\r\033[K%s %s", verb, name);
    fflush(stdout);
}

static bool measure_optimizer(struct evaluating *e, const char *reference, dsc_err *err)
{
    dsc_model *model = NULL;
    bool ok;

    tell(e, "measuring", reference);
    ok = shelf_take(&e->shelf, reference, NULL, &model, err) &&
         measure(e, reference, false, model, err);
    dsc_model_drop(model);
    return ok;
}

static bool measure_baseline(struct evaluating *e, const char *name, dsc_err *err)
{
    dsc_model *model = NULL;
    bool ok;

    tell(e, "tuning", name);
    ok = dsc_eval_tune(&model, dsc_family_find(name), &e->spec.tuning, &e->spec.task, &e->crew,
                       err) &&
         measure(e, name, true, model, err);
    dsc_model_drop(model);
    return ok;
}

static bool measure_all(struct evaluating *e, dsc_err *err)
{
    const char *const *const optimizers = e->spec.optimizers.items;
    const char *const *const baselines = e->spec.baselines.items;

    for (size_t i = 0; i < e->spec.optimizers.count; i++)
        if (!measure_optimizer(e, optimizers[i], err))
            return false;
    for (size_t i = 0; i < e->spec.baselines.count; i++)
        if (!measure_baseline(e, baselines[i], err))
            return false;
    return true;
}

/* --- showing --- */

static double rate_of(const struct measured *row)
{
    const char *const at = strstr(row->config, "\"learning_rate\":");

    return at ? strtod(at + strlen("\"learning_rate\":"), NULL) : NAN;
}

/* A number with its standard error, such as "0.0406 +-0.0020". */
static void print_pair(double value, double error)
{
    char text[48];

    snprintf(text, sizeof text, "%.4g +-%.2g", value, error);
    printf("  %20s", text);
}

static void print_row(const struct measured *row, size_t steps)
{
    char rate[24] = "";

    if (row->tuned)
        snprintf(rate, sizeof rate, "%.3g", rate_of(row));
    printf("%-24s %9s", row->optimizer, rate);
    print_pair(row->final_loss, row->final_loss_stderr);
    printf("  %9.4g", ((const double *)row->median.items)[steps]);
    print_pair(row->loss_sum, row->loss_sum_stderr);
    printf("  %8lld  %7.1f\n", (long long)row->diverged, row->seconds_per_step * 1e6);
}

static void print_table(const struct evaluating *e)
{
    const dsc_eval_task *const task = &e->spec.task;
    char final[24], sum[32];

    snprintf(final, sizeof final, "f(theta_%zu)", task->steps);
    snprintf(sum, sizeof sum, "sum f(theta_1..%zu)", task->steps);
    printf("\r\033[K%s, %zu functions, %zu steps, from f(theta_0) = %.4g\n\n",
           e->spec.problem->name, task->functions, task->steps,
           ((const double *)e->row[0].mean.items)[0]);
    printf("%-24s %9s  %20s  %9s  %20s  %8s  %7s\n", "optimizer", "tuned lr", final, "median", sum,
           "diverged", "us/step");
    for (size_t i = 0; i < e->rows; i++)
        print_row(&e->row[i], task->steps);
}

static bool print_json(const struct evaluating *e, dsc_err *err)
{
    struct buf *const text = buf_new(4096);
    const struct evaluation body = {.optimizers = {e->rows, e->row}};
    const bool ok =
        text ? field_encode(&evaluation_shape, &body, text, err) && buf_append(text, "\n", 1)
             : dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the results");

    if (ok)
        (void)fwrite(text->data, 1, text->len, stdout);
    buf_drop(text);
    return ok;
}

static bool show(const struct evaluating *e, dsc_err *err)
{
    if (!e->terminal && !e->config->table)
        return print_json(e, err);
    print_table(e);
    return true;
}

static int eval(const struct config *config)
{
    struct evaluating e = {.config = config};
    dsc_err err = {0};
    int status = 0;

    dsc_arena_init(&e.arena, LIMIT_CURVES_BYTES);
    if (!begin(&e, &err) || !measure_all(&e, &err) || !show(&e, &err)) {
        if (e.terminal)
            printf("\r\033[K");
        status = command_failed(&err);
    }
    end(&e);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measure optimizers beside tuned baselines",
    .argument = "SPEC.json",
    .options = (const char *const[]) {"data", "data-dir", "table", "threads", NULL},
    .about = "Measures optimizers on fresh functions, in the words of an evaluate job\n"
             "(optimizers, baselines, problem, steps, functions, seed, tuning; - reads it\n"
             "from standard input). An optimizer is a version in the folder of --data (name,\n"
             "name:7) or the path of a .safetensors file; without a folder the names are\n"
             "those of a fresh server. A baseline is a hand-designed family at the best of 27\n"
             "learning rates, found on functions drawn apart.\n\n"
             "Prints a table on a terminal and JSON, with the whole curves, elsewhere.\n",
    .examples = "  descent eval core/pretrained/lstm-quadratic.eval.json\n"
                "  descent eval spec.json --data .descent | jq '.optimizers[].final_loss'\n",
    .run = eval,
};
