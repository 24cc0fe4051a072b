/* job_train.c -- a training in a worker's hands, epoch by epoch
 *
 * After each epoch the training is copied to `saved`; that is what goes to the database. So when
 * the crew stops in the middle of an epoch, what that epoch had done is nowhere, and the copy is
 * where the job goes on. */
#include "fault.h"
#include "job_work.h"
#include "limits.h"
#include "log.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct training {
    struct work *work;
    const struct jobs_means *means;
    struct training_spec spec;
    dsc_train *train;
    unsigned char *saved; /* [dsc_train_bytes] after the last epoch that was whole */
    bool unaliased;       /* the alias that was asked for cannot be had */
    bool cut;             /* an epoch was not: the train is worth nothing any more */
};

/* --- where it goes on --- */

static void keep(struct training *t)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    struct job_progress *const progress = &t->work->row.progress;

    dsc_train_save(t->train, t->saved);
    progress->epoch = (int64_t)p.epoch;
    progress->loss = p.loss;
    progress->validation = p.validation;
}

/* A checkpoint of another program's making may not fit: then it begins again, and says so. */
static bool load(struct training *t, dsc_err *err)
{
    struct store *const store = t->means->store;
    const int64_t seq = t->work->row.seq;
    struct buf *bytes;
    dsc_err why = {0};
    bool ok = store_job_checkpoint(store, seq, &bytes, err);

    if (ok && bytes && !dsc_train_load(t->train, bytes->data, bytes->len, &why)) {
        log_line(LOG_WARN, "job", "%s begins again: %s %s", t->work->row.id, why.where, why.text);
        ok = event_log(store, seq, "its checkpoint is of another version: it begins again", err);
    }
    buf_drop(bytes);
    return ok;
}

static bool find_promised(struct training *t, size_t position, struct version_row *out,
                          dsc_err *err)
{
    return store_job_version(t->means->store, t->work->row.seq, position, &out->id, err);
}

static bool begin(struct training *t, dsc_err *err)
{
    const char *const text = t->work->row.spec;

    if (!find_promised(t, POSITION_FIRST, &t->spec.first, err) ||
        !find_promised(t, POSITION_TEACHER, &t->spec.teacher, err) ||
        !training_spec_read(&t->spec, t->means, text, strlen(text), &t->work->arena, err) ||
        !dsc_train_new(&t->train, &t->spec.text.core, &t->work->crew, err) || !load(t, err))
        return false;
    t->saved = malloc(dsc_train_bytes(t->train));
    if (!t->saved)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for a checkpoint");
    keep(t);
    return true;
}

/* --- on its way --- */

static bool save(struct training *t, bool validated, dsc_err *err)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    const struct validation_metric metric = {.epoch = (int64_t)p.epoch,
                                             .horizon = (int64_t)p.horizon,
                                             .loss = p.loss,
                                             .validation = p.validation,
                                             .best = p.best};

    return work_save(t->work, t->saved, dsc_train_bytes(t->train),
                     validated ? &validation_metric_shape : NULL, &metric, err);
}

static bool is_running(const struct training *t)
{
    return dsc_train_progress_of(t->train).state == DSC_TRAIN_RUNNING;
}

/* Until it has ended or is to stop. */
static bool go_on(struct training *t, dsc_err *err)
{
    while (is_running(t) && !atomic_load(&t->work->stop)) {
        if (!dsc_train_epoch(t->train, err))
            return false;
        t->cut = atomic_load(&t->work->stop); /* perhaps */
        if (t->cut)
            break;
        keep(t);
        const bool validated = dsc_train_progress_of(t->train).validated;
        if ((validated || work_is_due(t->work)) && !save(t, validated, err))
            return false;
    }
    return true;
}

/* --- what came of it --- */

struct training_result {
    struct field_seen seen;
    const char *optimizer, *reason;
    int64_t version;
    double validation_loss;
};

static const struct field result_rows[] = {
    {"optimizer", FIELD_STRING, .offset = offsetof(struct training_result, optimizer),
     .doc = "Whose version it is."},
    {"version", FIELD_INT, .offset = offsetof(struct training_result, version),
     .doc = "Its number."},
    {"validation_loss", FIELD_REAL, .offset = offsetof(struct training_result, validation_loss),
     .doc = "Of its weights."},
    {"reason", FIELD_STRING, .offset = offsetof(struct training_result, reason),
     .doc = "Why it ended."},
    {0},
};
static const struct shape result_shape = {
    .name = "meta_train_result",
    .doc = "What came of a training.",
    .size = sizeof(struct training_result),
    .fields = result_rows,
};

struct version_metrics {
    struct field_seen seen;
    double validation_loss;
    int64_t epochs, horizon, skipped;
};

static const struct field metrics_rows[] = {
    {"validation_loss", FIELD_REAL, .offset = offsetof(struct version_metrics, validation_loss),
     .doc = "Mean loss on the functions drawn apart."},
    {"epochs", FIELD_INT, .offset = offsetof(struct version_metrics, epochs),
     .doc = "Epochs it was trained for."},
    {"horizon", FIELD_INT, .offset = offsetof(struct version_metrics, horizon),
     .doc = "Steps of a function, at the end."},
    {"skipped", FIELD_INT, .offset = offsetof(struct version_metrics, skipped),
     .doc = "Steps of the weights that were not finite and not taken."},
    {0},
};
static const struct shape metrics_shape = {
    .name = "version_metrics",
    .doc = "What the training of a version measured.",
    .size = sizeof(struct version_metrics),
    .fields = metrics_rows,
};

/* A body as text from the job's arena; NULL when there is no memory. */
static const char *encode(struct training *t, const struct shape *shape, const void *body)
{
    struct buf *const text = buf_new(256);
    const char *copy = NULL;

    if (text && field_encode(shape, body, text, NULL))
        copy = dsc_arena_text(&t->work->arena, (const char *)text->data, text->len);
    buf_drop(text);
    return copy;
}

static const char *const reasons[] = {
    [DSC_TRAIN_COMPLETED] = "completed",
    [DSC_TRAIN_EARLY_STOP] = "early_stop",
    [DSC_TRAIN_DIVERGED] = "diverged",
};

/* The version's row and file; *file is the caller's. */
static bool describe(struct training *t, struct version_row *row, struct buf **file, dsc_err *err)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    const struct version_metrics metrics = {.validation_loss = p.best,
                                            .epochs = (int64_t)p.epoch,
                                            .horizon = (int64_t)p.horizon,
                                            .skipped = (int64_t)p.skipped};
    char parent[96] = "";
    dsc_model *model = NULL;
    bool ok =
        dsc_model_new(&model, t->spec.text.core.family, &t->spec.text.core.config,
                      dsc_train_phi(t->train), t->means->kernel, err) &&
        registry_describe(t->spec.optimizer.name, model, "job", row, file, &t->work->arena, err);

    dsc_model_drop(model);
    if (!ok)
        return false;
    if (t->spec.first.id)
        snprintf(parent, sizeof parent, "%s:%lld", t->spec.first.optimizer,
                 (long long)t->spec.first.number);
    row->job = t->work->row.id;
    row->parent = dsc_arena_text(&t->work->arena, parent, strlen(parent));
    row->metrics = encode(t, &metrics_shape, &metrics);
    return (row->parent && row->metrics) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the version");
}

/* What the job's row says in the end; `version` 0: there is none. */
static bool conclude(struct training *t, int64_t version, dsc_err *err)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    const bool diverged = p.state == DSC_TRAIN_DIVERGED;
    struct job_row *const row = &t->work->row;
    char detail[128];

    snprintf(detail, sizeof detail, "%llu of its steps were not finite%s",
             (unsigned long long)p.skipped,
             version ? "; the best weights before that were kept" : "");
    row->state = diverged ? JOB_FAILED : JOB_SUCCEEDED;
    row->error = diverged ? work_error(t->work, "diverged", detail) : "";
    row->result = version ? encode(t, &result_shape,
                                   &(struct training_result) {.optimizer = t->spec.optimizer.name,
                                                              .version = version,
                                                              .validation_loss = p.best,
                                                              .reason = reasons[p.state]})
                          : "";
    return (row->error && row->result) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the result");
}

/* Let the spec's alias point at it, unless the training diverged. */
static bool point_alias(struct training *t, const struct version_row *version, dsc_err *err)
{
    const char *const alias = t->unaliased ? NULL : t->spec.text.alias;
    struct store *const store = t->means->store;
    struct alias_row there;
    dsc_err why = {0};

    if (!alias || dsc_train_progress_of(t->train).state == DSC_TRAIN_DIVERGED)
        return true;
    const bool found =
        store_alias_find(store, version->optimizer, alias, &there, &t->work->arena, &why);
    if (!found && why.code != FAULT_NOT_FOUND)
        return dsc_fail(err, why.code, why.where, "%s", why.text);
    return store_alias_put(store, version, alias, !found, err);
}

/* All of it or nothing: *mine false undoes the version. */
static bool store_result(struct training *t, struct version_row *version, struct buf *file,
                         bool *mine, dsc_err *err)
{
    return (!file || (store_version_insert(t->means->store, version, file, err) &&
                      point_alias(t, version, err))) &&
           conclude(t, file ? version->number : 0, err) && work_finish(t->work, mine, err) && *mine;
}

/* A training that diverged before any weights were judged has nothing to keep. */
static bool settle(struct training *t, bool *mine, dsc_err *err)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    const bool worthless = p.state == DSC_TRAIN_DIVERGED && isnan(p.best);
    struct version_row version;
    struct buf *file = NULL;
    bool ok = worthless || describe(t, &version, &file, err);

    *mine = true;
    ok = ok && store_begin(t->means->store, err) &&
         store_end(t->means->store, store_result(t, &version, file, mine, err), err);
    buf_drop(file);
    return ok;
}

/* An optimizer that got too many aliases meanwhile does not make hours of work vain. */
static bool settle_somehow(struct training *t, bool *mine, dsc_err *err)
{
    dsc_err why = {0};

    if (settle(t, mine, &why))
        return true;
    if (!*mine)
        return false;
    if (why.code == FAULT_QUOTA_EXCEEDED && !t->unaliased) {
        t->unaliased = true;
        return event_log(t->means->store, t->work->row.seq, "the alias is one too many", err) &&
               settle(t, mine, err);
    }
    return dsc_fail(err, why.code, why.where, "%s", why.text);
}

static bool finish(struct training *t, dsc_err *err)
{
    bool mine;

    if (!t->cut && !is_running(t)) {
        if (settle_somehow(t, &mine, err))
            return true;
        if (mine)
            return false;
    }
    return save(t, false, err); /* paused or cancelled, perhaps just before its end */
}

static void clear(struct training *t)
{
    dsc_train_free(t->train);
    training_spec_clear(&t->spec);
    free(t->saved);
}

bool job_train(struct work *work, dsc_err *err)
{
    struct training t = {.work = work, .means = jobs_means(work->jobs)};
    const bool ok = begin(&t, err) && go_on(&t, err) && finish(&t, err);

    clear(&t);
    return ok;
}
