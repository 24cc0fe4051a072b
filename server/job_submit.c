/* job_submit.c -- specs as this server means them, checked whole before anything is queued
 *
 * What can be wrong is found here, so that a job that was accepted fails only for reasons that
 * nobody could know: memory, divergence. References are resolved once; the job keeps the versions
 * they meant, whatever is published afterwards. */
#include "datasets.h"
#include "fault.h"
#include "job_work.h"
#include "limits.h"
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* 128 random bits: ids cannot be guessed. */
static const char *make_id(dsc_arena *arena)
{
    unsigned char bytes[16];
    char id[4 + 2 * sizeof bytes + 1] = "job_";

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id + 4, sizeof id - 4, bytes, sizeof bytes);
    return dsc_arena_text(arena, id, strlen(id));
}

/* --- trainings --- */

/* The optimizer that the version is for, if it is there. */
static bool find_optimizer(struct training_spec *spec, const struct jobs_means *means,
                           dsc_arena *arena, dsc_err *err)
{
    const char *const name = spec->text.optimizer;
    dsc_err why = {0};

    if (!name)
        return dsc_fail(err, FAULT_MISSING_FIELD, "optimizer", "is missing: whose version is it?");
    if (!registry_name_ok(name))
        return dsc_fail(err, FAULT_INVALID_VALUE, "optimizer",
                        "must match ^[a-z0-9][a-z0-9._-]{0,62}$, not \"%.63s\"", name);
    if (!store_optimizer_find(means->store, name, &spec->optimizer, arena, &why)) {
        spec->optimizer = (struct optimizer_row) {.name = NULL};
        return why.code == FAULT_NOT_FOUND || dsc_fail(err, why.code, why.where, "%s", why.text);
    }
    return !spec->optimizer.builtin ||
           dsc_fail(err, FAULT_BUILTIN_PROTECTED, "optimizer",
                    "%s came with the program and gets no other versions", name);
}

/* Where the text is silent, the optimizer speaks. */
static bool take_optimizer(struct training_spec *spec, const char *text, size_t len,
                           dsc_arena *arena, dsc_err *err)
{
    const struct optimizer_row *const row = &spec->optimizer;
    const dsc_family *const family = row->name ? dsc_family_find(row->family) : NULL;

    if (!row->name)
        return true;
    if (!family)
        return dsc_fail(err, FAULT_INTERNAL, "", "this program has no family %.40s", row->family);
    if (!spec_train_decode(&spec->text, text, len, family, spec->datasets, arena, err))
        return false;
    if (spec->text.core.family != family)
        return dsc_fail(err, FAULT_INVALID_VALUE, "family", "%s is of the family %s, not %s",
                        row->name, row->family, spec->text.core.family->name);
    return spec->text.has_config || field_hyper_decode(&spec->text.core.config, row->config,
                                                       strlen(row->config), "config", err);
}

/* The version that a reference means; out->id is 0 where there is none, and was set before where
 * the job was promised one. */
static bool find_version(const struct jobs_means *means, const char *reference, const char *where,
                         struct version_row *out, dsc_arena *arena, dsc_err *err)
{
    dsc_err why = {0};

    if (out->id)
        return store_version_by_id(means->store, out->id, out, arena, err);
    return !reference || registry_resolve(means->registry, reference, out, arena, &why) ||
           dsc_fail(err, why.code, where, "%s", why.text);
}

static bool find_first(struct training_spec *spec, const struct jobs_means *means, dsc_arena *arena,
                       dsc_err *err)
{
    return find_version(means, spec->text.init_from, "init_from", &spec->first, arena, err);
}

/* Whom to imitate. */
static bool take_teacher(struct training_spec *spec, const struct jobs_means *means,
                         dsc_arena *arena, dsc_err *err)
{
    if (!find_version(means, spec->text.teacher, "imitation.optimizer", &spec->teacher, arena, err))
        return false;
    if (spec->teacher.id &&
        !registry_model(means->registry, spec->teacher.id, &spec->teacher_model, err))
        return false;
    spec->text.core.imitation.teacher = spec->teacher_model;
    return true;
}

/* Begin with the weights of a version, whose config it then is. */
static bool take_first(struct training_spec *spec, const struct jobs_means *means, dsc_err *err)
{
    dsc_train_spec *const core = &spec->text.core;

    if (!spec->first.id)
        return true;
    if (strcmp(spec->first.family, core->family->name) != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, "init_from", "is of the family %s, not %s",
                        spec->first.family, core->family->name);
    if (!registry_model(means->registry, spec->first.id, &spec->first_model, err))
        return false;
    if (spec->text.has_config &&
        memcmp(core->config.value, dsc_model_hyper(spec->first_model)->value,
               sizeof core->config.value) != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, "config",
                        "differs from that of init_from; leave it out to take that");
    core->config = *dsc_model_hyper(spec->first_model);
    core->phi = dsc_model_phi(spec->first_model);
    return true;
}

static bool check_alias(const char *alias, dsc_err *err)
{
    return !alias || registry_alias_ok(alias) ||
           dsc_fail(err, FAULT_INVALID_VALUE, "alias",
                    "\"%.32s\" must match ^[a-z0-9][a-z0-9._-]{0,31}$", alias);
}

bool training_spec_read(struct training_spec *spec, const struct jobs_means *means,
                        const char *text, size_t len, dsc_arena *arena, dsc_err *err)
{
    return datasets_open_offered(&spec->datasets, means->collection, err) &&
           spec_train_decode(&spec->text, text, len, NULL, spec->datasets, arena, err) &&
           find_optimizer(spec, means, arena, err) && take_optimizer(spec, text, len, arena, err) &&
           find_first(spec, means, arena, err) && take_first(spec, means, err) &&
           take_teacher(spec, means, arena, err) && check_alias(spec->text.alias, err) &&
           dsc_train_check(&spec->text.core, err);
}

void training_spec_clear(struct training_spec *spec)
{
    dsc_model_drop(spec->first_model);
    dsc_model_drop(spec->teacher_model);
    datasets_close(spec->datasets);
    *spec = (struct training_spec) {.first.id = 0};
}

static bool create_optimizer(struct training_spec *spec, const struct jobs_means *means,
                             dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row row = {.name = spec->text.optimizer,
                                .family = spec->text.core.family->name,
                                .description = "",
                                .labels = "{}"};

    return spec->optimizer.name ||
           (registry_create(means->registry, &row, &spec->text.core.config, arena, err) &&
            store_optimizer_find(means->store, row.name, &spec->optimizer, arena, err));
}

/* --- what is queued --- */

/* Within a transaction; *row as it is then. */
static bool insert(const struct jobs_means *means, struct job_row *row, const int64_t *versions,
                   size_t count, dsc_arena *arena, dsc_err *err)
{
    return store_job_insert(means->store, row, versions, count, err) &&
           event_state(means->store, row->seq, JOB_QUEUED, err) &&
           store_job_find(means->store, row->id, row, arena, err);
}

/* Uploaded datasets stay as long as the job may read them. */
static bool use_datasets(const struct jobs_means *means, const struct job_row *row,
                         const dsc_train_spec *core, dsc_err *err)
{
    bool ok = true;

    for (int i = 0; ok && i < core->problem_count; i++)
        ok = store_dataset_use(means->store, core->problems[i].hyper.dataset_name, row->seq, err);
    return ok;
}

/* Within a transaction. */
static bool insert_training(const struct jobs_means *means, struct job_row *row,
                            struct training_spec *spec, dsc_arena *arena, dsc_err *err)
{
    const int64_t versions[POSITIONS] = {
        [POSITION_FIRST] = spec->first.id, [POSITION_TEACHER] = spec->teacher.id};

    if (!create_optimizer(spec, means, arena, err))
        return false;
    row->optimizer_id = spec->optimizer.id;
    return insert(means, row, versions, POSITIONS, arena, err) &&
           use_datasets(means, row, &spec->text.core, err);
}

static bool submit_training(const struct jobs_means *means, struct job_row *row, dsc_arena *arena,
                            dsc_err *err)
{
    struct training_spec spec = {.first.id = 0};
    bool ok = training_spec_read(&spec, means, row->spec, strlen(row->spec), arena, err);

    row->progress.epochs = (int64_t)spec.text.core.epochs;
    ok = ok && store_begin(means->store, err) &&
         store_end(means->store, insert_training(means, row, &spec, arena, err), err);
    training_spec_clear(&spec);
    return ok;
}

/* --- evaluations --- */

/* The version that optimizers[i] means. */
static bool resolve(const struct jobs_means *means, const char *reference, size_t i,
                    int64_t *version, dsc_arena *arena, dsc_err *err)
{
    struct version_row row;
    dsc_err why = {0};
    char where[48];

    snprintf(where, sizeof where, "optimizers[%zu]", i);
    if (!registry_resolve(means->registry, reference, &row, arena, &why))
        return dsc_fail(err, why.code, where, "%s", why.text);
    *version = row.id;
    return true;
}

/* What it would keep at a time, and what its result would be. */
static bool check_size(const struct spec_eval *spec, dsc_err *err)
{
    const size_t points = spec->task.steps + 1;
    const size_t entries = spec->optimizers.count + spec->baselines.count;
    const size_t most = spec->baselines.count > 0 && spec->tuning.functions > spec->task.functions
                            ? spec->tuning.functions
                            : spec->task.functions;

    if (most > DSC_EVAL_MAX / points)
        return dsc_fail(err, FAULT_INVALID_VALUE, "functions", "times steps must be at most %zu",
                        DSC_EVAL_MAX);
    return entries * points <= LIMIT_RESULT_POINTS ||
           dsc_fail(err, FAULT_INVALID_VALUE, "steps",
                    "times optimizers must be at most %d for the curves", LIMIT_RESULT_POINTS);
}

static bool resolve_all(const struct jobs_means *means, const struct spec_eval *spec,
                        int64_t versions[LIMIT_COMPARED], dsc_arena *arena, dsc_err *err)
{
    const char *const *const references = spec->optimizers.items;

    for (size_t i = 0; i < spec->optimizers.count; i++)
        if (!resolve(means, references[i], i, &versions[i], arena, err))
            return false;
    return true;
}

/* Within a transaction. */
static bool insert_evaluation(const struct jobs_means *means, struct job_row *row,
                              const struct spec_eval *spec, const int64_t *versions,
                              dsc_arena *arena, dsc_err *err)
{
    return insert(means, row, versions, spec->optimizers.count, arena, err) &&
           store_dataset_use(means->store, spec->hyper.dataset_name, row->seq, err);
}

static bool submit_evaluation(const struct jobs_means *means, struct job_row *row, dsc_arena *arena,
                              dsc_err *err)
{
    struct spec_eval spec = {.problem = NULL};
    struct datasets *datasets = NULL;
    int64_t versions[LIMIT_COMPARED];
    bool ok = datasets_open_offered(&datasets, means->collection, err) &&
              spec_eval_decode(&spec, row->spec, strlen(row->spec), datasets, arena, err) &&
              check_size(&spec, err) && resolve_all(means, &spec, versions, arena, err);

    row->progress.epochs = (int64_t)(spec.optimizers.count + spec.baselines.count);
    ok = ok && store_begin(means->store, err) &&
         store_end(means->store, insert_evaluation(means, row, &spec, versions, arena, err), err);
    datasets_close(datasets);
    return ok;
}

bool job_submit(struct jobs *jobs, enum job_type type, const char *spec, size_t len,
                struct job_row *out, dsc_arena *arena, dsc_err *err)
{
    const struct jobs_means *const means = jobs_means(jobs);

    *out = (struct job_row) {.id = make_id(arena),
                             .type = type,
                             .spec = dsc_arena_text(arena, spec, len),
                             .claim = out->claim,
                             .progress = {.loss = NAN, .validation = NAN}};
    if (!out->id || !out->spec)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the job");
    if (!(type == JOB_META_TRAIN ? submit_training(means, out, arena, err)
                                 : submit_evaluation(means, out, arena, err)))
        return false;
    jobs_announce(jobs);
    return true;
}
