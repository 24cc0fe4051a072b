/* train.c -- meta-training, epoch by epoch
 *
 *     epoch:     draw batches ------> for each unroll: play and back, each batch by itself
 *                                       -> add derivatives in order -> clip -> Adam -> phi
 *     sometimes: draw batches apart -> play to the horizon -> mean loss -> keep the best phi
 *
 * A batch is drawn, played and gone back through by one worker at a time. Which functions are in
 * it depends on the spec alone, so the sums do not depend on the crew.
 *
 * Not finite. One function that overflows makes the sum of its meta-step worthless. Such a step is
 * counted and not taken, and the epoch ends there, for its functions stand at infinity. Training
 * has diverged when that has happened more often than SKIPS_FREE times and in more than a tenth of
 * the epochs.
 *
 * What is saved is one struct and four arrays. theta and states need not be: they are drawn anew
 * each epoch.
 *
 * Held to account by. tests/unit/test_train.c (golden values; threads; saving; divergence). */
#include "train.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Streams of random numbers that no epoch of training uses. */
#define EPOCH_PHI        (UINT64_C(1) << 61)
#define EPOCH_VALIDATION (EPOCH_PHI + 1)
#define LANE_MIXTURE     (UINT64_C(1) << 61)
#define LANE_IMITATION   (LANE_MIXTURE - 1)

enum { SKIPS_FREE = 20 };

static const double beta1 = 0.9, beta2 = 0.999, adam_eps = 1e-8;

/* What an epoch changes besides the arrays. */
typedef struct {
    uint64_t magic, phi_len; /* what these bytes are */
    uint64_t state, epoch, skipped, adam_steps;
    uint64_t horizon;             /* index into the curriculum                */
    uint64_t stale;               /* validations since the last better one    */
    uint64_t validated, has_best; /* in the last epoch; whether best means something */
    uint64_t imitated;            /* in the last epoch */
    double loss, validation, best;
} record;

#define RECORD_MAGIC UINT64_C(0x326e696172742d63) /* "c-train2" */

enum { PHI, MOMENT1, MOMENT2, BEST, ARRAYS };

/* A batch: what to draw, and what came of the last job on it. */
typedef struct {
    const dsc_train_problem *problem;
    dsc_draw first;
    size_t functions;
    dsc_batch batch;
    dsc_teacher teacher;
    dsc_real *d_packed; /* [packed_len] owned */
    double loss;        /* weighted sum over steps and functions */
    dsc_err err;
} worksheet;

struct dsc_train {
    dsc_train_spec spec;
    dsc_crew crew;
    const dsc_trainable *trainable;
    size_t phi_len, packed_len;
    record record;
    dsc_real *array[ARRAYS]; /* [phi_len] each, owned */
    dsc_real *packed, *sum, *d_phi;
    double *losses, *weights;      /* [workers][unroll]; [unroll] of this one */
    dsc_unroll **scratch;          /* [workers] */
    worksheet *sheets;             /* [sheet_max]: at worst every batch has one function */
    size_t sheet_max, sheet_count; /* there are; in use */
    size_t steps;                  /* of this unroll */
};

/* --- the spec --- */

static size_t last_horizon(const dsc_train_spec *spec)
{
    return spec->horizons[spec->horizon_count - 1];
}

static bool check_numbers(const dsc_train_spec *spec, dsc_err *err)
{
    double sum = 0;

    for (size_t t = 0; t < last_horizon(spec); t++) {
        if (!(spec->loss_weights[t] >= 0 && isfinite(spec->loss_weights[t])))
            return dsc_fail(err, DSC_EINVAL, "loss_weights", "must be finite and not negative");
        sum += t < spec->horizons[0] ? spec->loss_weights[t] : 0;
    }
    if (!(sum > 0 && isfinite(sum)))
        return dsc_fail(err, DSC_EINVAL, "loss_weights",
                        "must not all be 0 within the (first) horizon");
    return true;
}

static bool check_problems(const dsc_train_spec *spec, dsc_err *err)
{
    if (spec->problem_count < 1 || spec->problem_count > DSC_PROBLEMS_MAX)
        return dsc_fail(err, DSC_EINVAL, "problems", "must be 1 to %d", DSC_PROBLEMS_MAX);
    for (int i = 0; i < spec->problem_count; i++)
        if (!(spec->problems[i].weight > 0 && isfinite(spec->problems[i].weight)))
            return dsc_fail(err, DSC_EINVAL, "problems", "weights must be positive");
    return true;
}

static bool check_horizons(const dsc_train_spec *spec, dsc_err *err)
{
    if (spec->horizon_count < 1 || spec->horizon_count > DSC_HORIZONS_MAX)
        return dsc_fail(err, DSC_EINVAL, "curriculum", "must be 1 to %d horizons",
                        DSC_HORIZONS_MAX);
    for (int i = 0; i < spec->horizon_count; i++)
        if (spec->horizons[i] < 1 || (i > 0 && spec->horizons[i] <= spec->horizons[i - 1]))
            return dsc_fail(err, DSC_EINVAL, "curriculum", "must grow, from 1 on");
    if (spec->unroll < 1 || spec->unroll > spec->horizons[0])
        return dsc_fail(err, DSC_EINVAL, "unroll", "must be in [1, %zu], the (first) horizon",
                        spec->horizons[0]);
    return true;
}

static bool check_curvature(const dsc_train_spec *spec, dsc_err *err)
{
    for (int i = 0; spec->second_derivatives && i < spec->problem_count; i++)
        if (!spec->problems[i].problem->curve)
            return dsc_fail(err, DSC_EINVAL, "second_derivatives", "%s has none",
                            spec->problems[i].problem->name);
    return true;
}

bool dsc_train_check(const dsc_train_spec *spec, dsc_err *err)
{
    if (!dsc_trainable_find(spec->family))
        return dsc_fail(err, DSC_EINVAL, "family", "%s cannot be trained", spec->family->name);
    if (!check_problems(spec, err) || !check_horizons(spec, err) || !check_curvature(spec, err))
        return false;
    if (spec->functions < 1 || spec->validation_functions < 1 || spec->validate_every < 1)
        return dsc_fail(err, DSC_EINVAL, "functions_per_step",
                        "must be at least 1, as validation_functions and validate_every");
    if (!(spec->learning_rate > 0 && isfinite(spec->learning_rate)))
        return dsc_fail(err, DSC_EINVAL, "learning_rate", "must be positive");
    if (!(spec->clip_norm >= 0 && isfinite(spec->clip_norm)))
        return dsc_fail(err, DSC_EINVAL, "clip_norm", "must not be negative");
    return spec->loss != DSC_LOSS_NUMBERS || check_numbers(spec, err);
}

/* --- life --- */

static dsc_real *numbers_new(size_t len)
{
    const size_t bytes = (len * sizeof(dsc_real) + 64) / 64 * 64;
    dsc_real *const x = aligned_alloc(64, bytes);

    return x ? memset(x, 0, bytes) : NULL;
}

static bool begin_phi(dsc_train *train)
{
    dsc_rng rng = dsc_rng_at(train->spec.seed, EPOCH_PHI, 0);
    float *const phi = calloc(train->phi_len, sizeof *phi);

    if (!phi)
        return false;
    if (train->spec.phi)
        memcpy(phi, train->spec.phi, train->phi_len * sizeof *phi);
    else
        train->spec.family->phi_init(phi, &rng, &train->spec.config);
    for (size_t i = 0; i < train->phi_len; i++)
        train->array[PHI][i] = train->array[BEST][i] = (dsc_real)phi[i];
    free(phi);
    return true;
}

/* The widest batch of any problem. */
static size_t lanes_max(const dsc_train *train)
{
    const dsc_train_spec *const spec = &train->spec;
    size_t lanes = DSC_UNROLL_LANES;

    for (int i = 0; i < spec->problem_count; i++) {
        const size_t n =
            dsc_batch_n(spec->problems[i].problem, &spec->problems[i].hyper, &spec->dressing);

        lanes = dsc_state_lanes(n) > lanes ? dsc_state_lanes(n) : lanes;
    }
    return lanes;
}

static bool scratch_new(dsc_train *train, dsc_err *err)
{
    const dsc_unroll_kind kind =
        train->spec.second_derivatives ? DSC_UNROLL_CURVED : DSC_UNROLL_PLAIN;
    const size_t lanes = lanes_max(train);

    for (int i = 0; i < train->crew.workers; i++)
        if (!dsc_unroll_new(&train->scratch[i], train->trainable, &train->spec.config, kind, lanes,
                            train->spec.unroll, err))
            return false;
    return true;
}

static bool allocate(dsc_train *train)
{
    const size_t workers = (size_t)train->crew.workers, unroll = train->spec.unroll;
    bool ok = true;

    for (int i = 0; i < ARRAYS; i++)
        ok = (train->array[i] = numbers_new(train->phi_len)) && ok;
    train->packed = numbers_new(train->packed_len);
    train->sum = numbers_new(train->packed_len);
    train->d_phi = numbers_new(train->phi_len);
    train->losses = calloc(workers * unroll, sizeof *train->losses);
    train->weights = calloc(unroll, sizeof *train->weights);
    train->scratch = calloc(workers, sizeof *train->scratch);
    train->sheets = calloc(train->sheet_max, sizeof *train->sheets);
    return ok && train->packed && train->sum && train->d_phi && train->losses && train->weights &&
           train->scratch && train->sheets;
}

static bool fill(dsc_train *train, dsc_err *err)
{
    if (!allocate(train) || !begin_phi(train))
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for a training");
    return scratch_new(train, err);
}

bool dsc_train_new(dsc_train **out, const dsc_train_spec *spec, const dsc_crew *crew, dsc_err *err)
{
    dsc_layout layout = {0};
    dsc_train *train;

    if (!dsc_train_check(spec, err))
        return false;
    train = calloc(1, sizeof *train);
    if (!train)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for a training");
    *train =
        (dsc_train) {.spec = *spec, .crew = *crew, .trainable = dsc_trainable_find(spec->family)};
    train->sheet_max =
        spec->functions > spec->validation_functions ? spec->functions : spec->validation_functions;
    spec->family->phi_layout(&layout, &spec->config);
    train->phi_len = layout.len;
    train->packed_len = train->trainable->packed_len(&spec->config);
    train->record = (record) {.magic = RECORD_MAGIC,
                              .phi_len = layout.len,
                              .state = spec->epochs ? DSC_TRAIN_RUNNING : DSC_TRAIN_COMPLETED,
                              .loss = NAN,
                              .validation = NAN,
                              .best = NAN};
    if (!fill(train, err)) {
        dsc_train_free(train);
        return false;
    }
    *out = train;
    return true;
}

void dsc_train_free(dsc_train *train)
{
    if (!train)
        return;
    for (int i = 0; i < ARRAYS; i++)
        free(train->array[i]);
    for (size_t i = 0; train->sheets && i < train->sheet_max; i++) {
        dsc_batch_clear(&train->sheets[i].batch);
        dsc_teacher_clear(&train->sheets[i].teacher);
        free(train->sheets[i].d_packed);
    }
    for (int i = 0; train->scratch && i < train->crew.workers; i++)
        dsc_unroll_free(train->scratch[i]);
    free(train->scratch);
    free(train->sheets);
    free(train->packed);
    free(train->sum);
    free(train->d_phi);
    free(train->losses);
    free(train->weights);
    free(train);
}

/* --- what to draw --- */

/* The problem of the batch that begins at `draw`, by weight. */
static const dsc_train_problem *choose(const dsc_train_spec *spec, const dsc_draw *draw)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane + LANE_MIXTURE);
    double total = 0, at;
    int i = 0;

    for (int k = 0; k < spec->problem_count; k++)
        total += spec->problems[k].weight;
    at = total * dsc_rng_uniform(&rng);
    for (; i < spec->problem_count - 1 && at >= spec->problems[i].weight; i++)
        at -= spec->problems[i].weight;
    return &spec->problems[i];
}

/* Cut `functions` functions of an epoch into batches. */
static void plan(dsc_train *train, uint64_t epoch, size_t functions, const dsc_dressing *dressing)
{
    dsc_draw draw = {train->spec.seed, epoch, 0};

    train->sheet_count = 0;
    while (draw.lane < functions) {
        worksheet *const sheet = &train->sheets[train->sheet_count++];

        sheet->problem = choose(&train->spec, &draw);
        sheet->first = draw;
        sheet->functions = dsc_batch_functions(
            dsc_batch_n(sheet->problem->problem, &sheet->problem->hyper, dressing),
            functions - draw.lane);
        draw.lane += sheet->functions;
    }
}

/* --- jobs for the crew --- */

/* Each of them: sheet `index`, by a worker with scratch of its own. */
static bool draw_sheet(dsc_train *train, worksheet *sheet, const dsc_dressing *dressing)
{
    return dsc_batch_draw(&sheet->batch, train->trainable, &train->spec.config,
                          sheet->problem->problem, &sheet->problem->hyper, dressing, &sheet->first,
                          sheet->functions, &sheet->err);
}

static double play(dsc_train *train, worksheet *sheet, int worker)
{
    const dsc_pupil pupil = {train->trainable, &train->spec.config, train->packed};
    double *const losses = train->losses + (size_t)worker * train->spec.unroll;
    double sum = 0;

    dsc_unroll_play(train->scratch[worker], &pupil, &sheet->batch.strand, train->steps,
                    dsc_batch_eval, &sheet->batch, losses);
    for (size_t k = 0; k < train->steps; k++)
        if (train->weights[k] > 0)
            sum += train->weights[k] * losses[k];
    return sum;
}

static void job_draw(void *arg, size_t index, int worker)
{
    dsc_train *const train = arg;
    worksheet *const sheet = &train->sheets[index];

    (void)worker;
    if (draw_sheet(train, sheet, &train->spec.dressing) && train->record.imitated &&
        !dsc_teacher_begin(&sheet->teacher, train->spec.imitation.teacher, &sheet->batch,
                           train->spec.unroll, &sheet->err))
        return; /* sheet->err says why */
}

/* An unroll of the teacher's path, and the learner's answers to what was seen on it. */
static void job_imitate(void *arg, size_t index, int worker)
{
    dsc_train *const train = arg;
    worksheet *const sheet = &train->sheets[index];
    dsc_teacher *const teacher = &sheet->teacher;
    dsc_unroll *const unroll = train->scratch[worker];
    const dsc_pupil pupil = {train->trainable, &train->spec.config, train->packed};

    memset(sheet->d_packed, 0, train->packed_len * sizeof *sheet->d_packed);
    sheet->loss = NAN;
    if (!dsc_teacher_show(teacher, &sheet->batch, train->steps))
        return;
    dsc_unroll_replay(unroll, &pupil, &sheet->batch.strand, train->steps, teacher->grads,
                      teacher->answers);
    sheet->loss = dsc_teacher_mark(teacher, &sheet->batch, train->steps);
    dsc_unroll_back_updates(unroll, &pupil, teacher->errors, sheet->d_packed);
}

static void job_learn(void *arg, size_t index, int worker)
{
    dsc_train *const train = arg;
    worksheet *const sheet = &train->sheets[index];
    const dsc_pupil pupil = {train->trainable, &train->spec.config, train->packed};

    sheet->loss = play(train, sheet, worker);
    memset(sheet->d_packed, 0, train->packed_len * sizeof *sheet->d_packed);
    if (train->spec.second_derivatives)
        dsc_unroll_back_curved(train->scratch[worker], &pupil, train->weights, dsc_batch_curve,
                               &sheet->batch, sheet->d_packed);
    else
        dsc_unroll_back(train->scratch[worker], &pupil, train->weights, sheet->d_packed);
}

static void job_draw_apart(void *arg, size_t index, int worker)
{
    dsc_train *const train = arg;

    (void)worker;
    (void)draw_sheet(train, &train->sheets[index], &(dsc_dressing) {.random_scale = 0});
}

static void job_judge(void *arg, size_t index, int worker)
{
    dsc_train *const train = arg;

    train->sheets[index].loss = play(train, &train->sheets[index], worker);
}

static void run(dsc_train *train, dsc_job *job)
{
    train->crew.run(train->crew.pool, train->sheet_count, job, train);
}

/* Draw what was planned; the first failure in lane order, if any. */
static bool draw(dsc_train *train, dsc_job *job, dsc_err *err)
{
    for (size_t i = 0; i < train->sheet_count; i++)
        train->sheets[i].err = (dsc_err) {.code = DSC_OK};
    run(train, job);
    for (size_t i = 0; i < train->sheet_count; i++)
        if (train->sheets[i].err.code != DSC_OK)
            return dsc_fail(err, train->sheets[i].err.code, train->sheets[i].err.where, "%s",
                            train->sheets[i].err.text);
    return true;
}

/* Here and not in a job, for a crew may leave jobs out. */
static bool make_room(dsc_train *train, dsc_err *err)
{
    for (size_t i = 0; i < train->sheet_count; i++)
        if (!train->sheets[i].d_packed &&
            !(train->sheets[i].d_packed = numbers_new(train->packed_len)))
            return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for derivatives");
    return true;
}

/* --- a meta-step --- */

/* Prepare an unroll that begins `from` steps in; the sum of its weights. */
static double begin_unroll(dsc_train *train, dsc_loss_kind kind, size_t from, size_t horizon)
{
    const size_t left = horizon - from;
    double sum = 0;

    train->steps = left < train->spec.unroll ? left : train->spec.unroll;
    for (size_t k = 0; k < train->steps; k++) {
        switch (kind) {
        case DSC_LOSS_UNIFORM:
            train->weights[k] = 1;
            break;
        case DSC_LOSS_LAST:
            train->weights[k] = k == train->steps - 1;
            break;
        case DSC_LOSS_NUMBERS:
            train->weights[k] = train->spec.loss_weights[from + k];
            break;
        }
        sum += train->weights[k];
    }
    return sum;
}

/* Losses of all sheets, in order. */
static double add_losses(const dsc_train *train)
{
    double sum = 0;

    for (size_t i = 0; i < train->sheet_count; i++)
        sum += train->sheets[i].loss;
    return sum;
}

/* d_phi <- mean over functions; its norm. */
static double add_derivatives(dsc_train *train)
{
    double square = 0;

    for (size_t k = 0; k < train->packed_len; k++) {
        double sum = 0;

        for (size_t i = 0; i < train->sheet_count; i++)
            sum += (double)train->sheets[i].d_packed[k];
        train->sum[k] = (dsc_real)(sum / (double)train->spec.functions);
    }
    train->trainable->unpack(train->d_phi, train->sum, &train->spec.config);
    for (size_t k = 0; k < train->phi_len; k++)
        square += (double)train->d_phi[k] * (double)train->d_phi[k];
    return sqrt(square);
}

static double learning_rate(const dsc_train *train)
{
    const double pi = 3.141592653589793;
    const double done = (double)train->record.epoch / (double)train->spec.epochs;
    const double rate = train->spec.learning_rate;

    return train->spec.schedule == DSC_SCHEDULE_COSINE ? rate * (1 + cos(pi * done)) / 2 : rate;
}

/* Adam (Kingma, Ba 2015) on phi, with the derivative scaled down to clip_norm. */
static void descend(dsc_train *train, double norm)
{
    const double clip = train->spec.clip_norm;
    const double scale = clip > 0 && norm > clip ? clip / norm : 1;
    const double t = (double)++train->record.adam_steps;
    const double rate = learning_rate(train) * sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    const double eps = adam_eps * sqrt(1 - pow(beta2, t));

    for (size_t k = 0; k < train->phi_len; k++) {
        const double d = scale * (double)train->d_phi[k];
        const double m = beta1 * (double)train->array[MOMENT1][k] + (1 - beta1) * d;
        const double v = beta2 * (double)train->array[MOMENT2][k] + (1 - beta2) * d * d;

        train->array[MOMENT1][k] = (dsc_real)m;
        train->array[MOMENT2][k] = (dsc_real)v;
        train->array[PHI][k] -= (dsc_real)(rate * m / (sqrt(v) + eps));
    }
}

static void pack(dsc_train *train)
{
    train->trainable->pack(train->packed, train->array[PHI], &train->spec.config);
}

/* One unroll of all sheets and what is learned from it: nothing where no loss has a weight. False
 * when it is not finite. */
static bool meta_step(dsc_train *train, double weight, double *loss)
{
    double norm;

    pack(train);
    if (weight == 0) {
        run(train, job_judge);
        return *loss = 0, true;
    }
    run(train, train->record.imitated ? job_imitate : job_learn);
    *loss = add_losses(train);
    norm = add_derivatives(train);
    if (!isfinite(*loss) || !isfinite(norm))
        return false;
    descend(train, norm);
    return true;
}

/* --- an epoch --- */

static size_t horizon_of(const dsc_train *train)
{
    return train->spec.horizons[train->record.horizon];
}

static void learn(dsc_train *train)
{
    const size_t horizon = horizon_of(train);
    const dsc_loss_kind kind = train->record.imitated ? DSC_LOSS_UNIFORM : train->spec.loss;
    double sum = 0, weights = 0;

    for (size_t from = 0; from < horizon; from += train->steps) {
        const double weight = begin_unroll(train, kind, from, horizon);
        double loss;

        weights += weight;
        if (!meta_step(train, weight, &loss)) {
            train->record.skipped++;
            sum = NAN;
            break;
        }
        sum += loss;
    }
    train->record.loss = sum / (weights * (double)train->spec.functions);
}

/* The mean loss on the functions drawn apart, over `horizon` steps. */
static double judge(dsc_train *train, size_t horizon)
{
    double sum = 0, weights = 0;

    pack(train);
    for (size_t from = 0; from < horizon; from += train->steps) {
        weights += begin_unroll(train, train->spec.loss, from, horizon);
        run(train, job_judge);
        sum += add_losses(train);
    }
    return sum / (weights * (double)train->spec.validation_functions);
}

/* A curriculum is judged by the next horizon (Chen et al. 2020), the last one by itself. */
static size_t horizon_judged(const dsc_train *train)
{
    const bool last = train->record.horizon + 1 == (uint64_t)train->spec.horizon_count;

    return train->spec.horizons[train->record.horizon + !last];
}

/* Patience ran out: on to the next horizon with the best weights so far, or the end. */
static void give_up(dsc_train *train)
{
    record *const r = &train->record;

    if (r->horizon + 1 == (uint64_t)train->spec.horizon_count) {
        r->state = DSC_TRAIN_EARLY_STOP;
        return;
    }
    memcpy(train->array[PHI], train->array[BEST], train->phi_len * sizeof(dsc_real));
    r->horizon++;
    r->stale = 0;
    r->has_best = false; /* of another horizon: not to be compared with */
    r->best = NAN;
}

static void keep_better(dsc_train *train)
{
    record *const r = &train->record;

    r->validated = true;
    if (isfinite(r->validation) && (!r->has_best || r->validation < r->best)) {
        r->has_best = true;
        r->best = r->validation;
        r->stale = 0;
        memcpy(train->array[BEST], train->array[PHI], train->phi_len * sizeof(dsc_real));
    } else if (++r->stale == train->spec.patience)
        give_up(train);
}

static bool validate(dsc_train *train, dsc_err *err)
{
    plan(train, EPOCH_VALIDATION, train->spec.validation_functions,
         &(dsc_dressing) {.random_scale = 0});
    if (!draw(train, job_draw_apart, err))
        return false;
    train->record.validation = judge(train, horizon_judged(train));
    keep_better(train);
    return true;
}

static bool has_diverged(const record *r)
{
    return r->skipped > SKIPS_FREE && r->skipped * 10 > r->epoch;
}

/* Does the epoch follow the teacher? By its number alone, so that it is the same in every life. */
static bool is_imitation(const dsc_train_spec *spec, uint64_t epoch)
{
    dsc_rng rng = dsc_rng_at(spec->seed, epoch, LANE_IMITATION);

    return spec->imitation.teacher &&
           (spec->imitation.epochs == 0 || epoch < spec->imitation.epochs) &&
           dsc_rng_uniform(&rng) < spec->imitation.probability;
}

bool dsc_train_epoch(dsc_train *train, dsc_err *err)
{
    record *const r = &train->record;

    assert(r->state == DSC_TRAIN_RUNNING);
    r->imitated = is_imitation(&train->spec, r->epoch);
    plan(train, r->epoch, train->spec.functions, &train->spec.dressing);
    if (!make_room(train, err) || !draw(train, job_draw, err))
        return false;
    learn(train);
    r->epoch++;
    r->validated = false;
    if (has_diverged(r))
        r->state = DSC_TRAIN_DIVERGED;
    else if ((r->epoch % train->spec.validate_every == 0 || r->epoch == train->spec.epochs) &&
             !validate(train, err))
        return false;
    if (r->state == DSC_TRAIN_RUNNING && r->epoch == train->spec.epochs)
        r->state = DSC_TRAIN_COMPLETED;
    return true;
}

/* --- looking --- */

dsc_train_progress dsc_train_progress_of(const dsc_train *train)
{
    const record *const r = &train->record;

    return (dsc_train_progress) {
        .state = (dsc_train_state)r->state,
        .epoch = r->epoch,
        .epochs = train->spec.epochs,
        .horizon = horizon_of(train),
        .loss = r->loss,
        .validation = r->validation,
        .best = r->best,
        .validated = r->validated,
        .imitated = r->imitated,
        .skipped = r->skipped,
    };
}

const dsc_real *dsc_train_phi(const dsc_train *train)
{
    /* At the beginning of a horizon BEST is the best of the one before. */
    return train->array[train->record.has_best || train->record.horizon > 0 ? BEST : PHI];
}

/* --- saving and loading --- */

size_t dsc_train_bytes(const dsc_train *train)
{
    return sizeof train->record + ARRAYS * train->phi_len * sizeof(dsc_real);
}

void dsc_train_save(const dsc_train *train, void *bytes)
{
    const size_t len = train->phi_len * sizeof(dsc_real);
    unsigned char *to = bytes;

    memcpy(to, &train->record, sizeof train->record);
    to += sizeof train->record;
    for (int i = 0; i < ARRAYS; i++, to += len)
        memcpy(to, train->array[i], len);
}

static bool is_sound(const dsc_train *train, const record *r)
{
    return r->magic == RECORD_MAGIC && r->phi_len == train->phi_len &&
           r->state <= DSC_TRAIN_DIVERGED && r->epoch <= train->spec.epochs &&
           r->horizon < (uint64_t)train->spec.horizon_count && r->validated <= 1 &&
           r->imitated <= 1 && r->has_best <= 1;
}

bool dsc_train_load(dsc_train *train, const void *bytes, size_t len, dsc_err *err)
{
    const size_t each = train->phi_len * sizeof(dsc_real);
    const unsigned char *from = bytes;
    record r;

    if (len != dsc_train_bytes(train))
        return dsc_fail(err, DSC_EINVAL, "checkpoint", "must have %zu bytes, not %zu",
                        dsc_train_bytes(train), len);
    memcpy(&r, from, sizeof r);
    from += sizeof r;
    if (!is_sound(train, &r))
        return dsc_fail(err, DSC_EINVAL, "checkpoint", "is not of a training like this one");
    train->record = r;
    for (int i = 0; i < ARRAYS; i++, from += each)
        memcpy(train->array[i], from, each);
    return true;
}
