/* job_eval.c -- an evaluation in a worker's hands, optimizer by optimizer
 *
 * The checkpoint is the text of what was measured so far: one JSON object a line. The result is the
 * same lines with commas between them, so nothing is measured or written twice, and a job that was
 * interrupted says the same as one that was not (but for seconds_per_step). */
#include "evaluation.h"
#include "fault.h"
#include "job_work.h"
#include "limits.h"
#include <string.h>

struct evaluating {
    struct work *work;
    const struct jobs_means *means;
    struct spec_eval spec;
    struct datasets *datasets;
    struct buf *lines; /* a checkpoint; owned */
    size_t done;       /* lines in it */
};

static bool no_memory(dsc_err *err)
{
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the results");
}

static size_t entries(const struct evaluating *e)
{
    return e->spec.optimizers.count + e->spec.baselines.count;
}

static bool begin(struct evaluating *e, dsc_err *err)
{
    const struct job_row *const row = &e->work->row;

    if (!datasets_open_offered(&e->datasets, e->means->collection, err) ||
        !spec_eval_decode(&e->spec, row->spec, strlen(row->spec), e->datasets, &e->work->arena,
                          err) ||
        !store_job_checkpoint(e->means->store, row->seq, &e->lines, err))
        return false;
    if (!e->lines && !(e->lines = buf_new(4096)))
        return no_memory(err);
    for (size_t i = 0; i < e->lines->len; i++)
        e->done += e->lines->data[i] == '\n';
    return true;
}

/* --- one optimizer --- */

static bool find_model(struct evaluating *e, size_t i, dsc_model **out, dsc_err *err)
{
    int64_t version;

    return store_job_version(e->means->store, e->work->row.seq, i, &version, err) &&
           registry_model(e->means->registry, version, out, err);
}

/* The one to measure: a version as it is, or a family at its best learning rate. */
static bool take_model(struct evaluating *e, size_t i, const char **name, dsc_model **out,
                       dsc_err *err)
{
    const char *const *const optimizers = e->spec.optimizers.items;
    const char *const *const baselines = e->spec.baselines.items;

    if (i < e->spec.optimizers.count) {
        *name = optimizers[i];
        return find_model(e, i, out, err);
    }
    *name = baselines[i - e->spec.optimizers.count];
    return dsc_eval_tune(out, dsc_family_find(*name), &e->spec.tuning, &e->spec.task,
                         &e->work->crew, err);
}

static bool keep(struct evaluating *e, const struct measured *measured, dsc_err *err)
{
    const struct evaluation_metric metric = {.optimizer = measured->optimizer,
                                             .final_loss = measured->final_loss,
                                             .loss_sum = measured->loss_sum,
                                             .diverged = measured->diverged};

    if (!field_encode(&measured_shape, measured, e->lines, err))
        return false;
    if (!buf_append(e->lines, "\n", 1))
        return no_memory(err);
    e->work->row.progress.epoch = (int64_t)++e->done;
    return work_save(e->work, e->lines->data, e->lines->len, &evaluation_metric_shape, &metric,
                     err);
}

/* Measure the next one, unless it is to stop on the way. */
static bool measure_next(struct evaluating *e, dsc_err *err)
{
    const size_t i = e->done;
    struct measured measured;
    const char *name;
    dsc_model *model = NULL;
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_CURVES_BYTES);
    ok = take_model(e, i, &name, &model, err) &&
         evaluation_measure(&measured, name, i >= e->spec.optimizers.count, model, &e->spec.task,
                            &e->work->crew, &arena, err);
    if (atomic_load(&e->work->stop))
        ok = true; /* the crew left functions out, so neither success nor failure means anything */
    else
        ok = ok && keep(e, &measured, err);
    dsc_arena_release(&arena);
    dsc_model_drop(model);
    return ok;
}

/* --- all of them --- */

/* {"optimizers":[line,line]}; the caller's. NULL when there is no memory. */
static struct buf *join(const struct evaluating *e)
{
    static const char head[] = "{\"optimizers\":[", tail[] = "]}";
    struct buf *const text = buf_new(e->lines->len + sizeof head + sizeof tail);

    if (!text)
        return NULL;
    bool ok = buf_append(text, head, strlen(head)) &&
              buf_append(text, e->lines->data, e->lines->len - 1); /* without the last newline */
    for (size_t i = 0; ok && i < text->len; i++)
        if (text->data[i] == '\n')
            text->data[i] = ',';
    if (ok && buf_append(text, tail, sizeof tail)) /* with its NUL */
        return text;
    buf_drop(text);
    return NULL;
}

static bool settle(struct evaluating *e, bool *mine, dsc_err *err)
{
    struct job_row *const row = &e->work->row;
    struct buf *const text = join(e);
    bool ok;

    if (!text)
        return no_memory(err);
    row->state = JOB_SUCCEEDED;
    row->result = (const char *)text->data;
    row->error = "";
    ok = work_finish(e->work, mine, err);
    row->result = "";
    buf_drop(text);
    return ok;
}

/* Let go of, perhaps just before its end. */
static bool save(struct evaluating *e, dsc_err *err)
{
    return work_save(e->work, e->lines->data, e->lines->len, NULL, NULL, err);
}

bool job_evaluate(struct work *work, dsc_err *err)
{
    struct evaluating e = {.work = work, .means = jobs_means(work->jobs)};
    bool mine = false;
    bool ok = begin(&e, err);

    while (ok && e.done < entries(&e) && !atomic_load(&work->stop))
        ok = measure_next(&e, err);
    if (ok && e.done == entries(&e))
        ok = settle(&e, &mine, err);
    if (ok && !mine)
        ok = save(&e, err);
    buf_drop(e.lines);
    datasets_close(e.datasets);
    return ok;
}
