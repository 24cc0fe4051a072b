#include "spec.h"
#include "fault.h"
#include "limits.h"
#include "suggest.h"

#include <stdio.h>
#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)
#define SHAPE(what, about, type, rows)                                                             \
    const struct shape what = {                                                                    \
        .name = #type, .doc = about, .size = sizeof(struct type), .fields = rows}

#define SEED_MAX 9007199254740991.0 /* 2^53 - 1: exact in every client's numbers */

/* --- bodies --- */

struct problem_choice {
    struct field_seen seen;
    const char *type, *params;
    double weight;
};

struct meta_optimizer {
    struct field_seen seen;
    int name, schedule;
    double learning_rate, clip_norm;
};

struct imitation {
    struct field_seen seen;
    const char *optimizer;
    double probability;
    int64_t epochs;
};

struct meta_train {
    struct field_seen seen;
    int type, algorithm;
    const char *optimizer, *family, *config, *init_from, *alias;
    struct field_list problems, curriculum;
    int64_t horizon, unroll, functions_per_step;
    struct field_choice loss_weights;
    struct meta_optimizer meta_optimizer;
    struct imitation imitation;
    double random_scale;
    bool convex_helper, second_derivatives;
    int64_t epochs, validate_every, validation_functions, patience, seed;
};

struct tuning {
    struct field_seen seen;
    int64_t learning_rates, functions;
    struct field_list range;
};

struct evaluate {
    struct field_seen seen;
    int type;
    struct field_list optimizers, baselines;
    struct problem_choice problem;
    int64_t steps, functions, seed;
    struct tuning tuning;
};

/* --- their rows --- */

static const struct field problem_rows[] = {
    {"type", FIELD_STRING, AT(problem_choice, type), FIELD_REQUIRED, 1, 63,
     .doc = "A kind of problem: see GET /v1/problems."},
    {"weight", FIELD_REAL, AT(problem_choice, weight), FIELD_OPTIONAL, 1e-9, 1e9, .initial = 1,
     .doc = "Its share of the functions, among all weights."},
    {"params", FIELD_JSON, AT(problem_choice, params), FIELD_OPTIONAL,
     .doc = "Of the kind; the rest is default."},
    {0},
};
static SHAPE(problem_shape, "A distribution of functions.", problem_choice, problem_rows);

static const char *const meta_optimizer_words[] = {"adam", NULL};
static const char *const schedule_words[] = {
    [DSC_SCHEDULE_CONSTANT] = "constant", [DSC_SCHEDULE_COSINE] = "cosine", NULL};

static const struct field meta_optimizer_rows[] = {
    {"name", FIELD_WORD, AT(meta_optimizer, name), FIELD_OPTIONAL, .words = meta_optimizer_words,
     .doc = "What moves the weights."},
    {"learning_rate", FIELD_REAL, AT(meta_optimizer, learning_rate), FIELD_OPTIONAL, 1e-9, 10,
     .initial = 0.003, .doc = "Its learning rate."},
    {"clip_norm", FIELD_REAL, AT(meta_optimizer, clip_norm), FIELD_OPTIONAL, 0, 1e9, .initial = 1,
     .doc = "A longer derivative is scaled down to this norm; 0: never."},
    {"schedule", FIELD_WORD, AT(meta_optimizer, schedule), FIELD_OPTIONAL, .words = schedule_words,
     .doc = "The learning rate over the epochs: the same, or falling to 0 as a cosine."},
    {0},
};
static SHAPE(meta_optimizer_shape, "How weights are moved.", meta_optimizer, meta_optimizer_rows);

static const struct field imitation_rows[] = {
    {"optimizer", FIELD_STRING, AT(imitation, optimizer), FIELD_OPTIONAL, 1, 4096,
     .doc = "The version to follow, such as adam:1; without it nobody is followed."},
    {"probability", FIELD_REAL, AT(imitation, probability), FIELD_OPTIONAL, 0, 1, .initial = 0.5,
     .doc = "Of an epoch to follow it."},
    {"epochs", FIELD_INT, AT(imitation, epochs), FIELD_OPTIONAL, 0, LIMIT_EPOCHS,
     .doc = "Only among the first so many epochs; 0: all."},
    {0},
};
static SHAPE(imitation_shape, "An optimizer to learn from.", imitation, imitation_rows);

static const char *const train_words[] = {"meta_train", NULL};
static const char *const algorithm_words[] = {"bptt", NULL};
static const char *const loss_words[] = {
    [DSC_LOSS_UNIFORM] = "uniform", [DSC_LOSS_LAST] = "last", NULL};

static const struct field meta_train_rows[] = {
    {"type", FIELD_WORD, AT(meta_train, type), FIELD_OPTIONAL, .words = train_words,
     .doc = "The kind of job."},
    {"optimizer", FIELD_STRING, AT(meta_train, optimizer), FIELD_OPTIONAL, 1, 63,
     .doc = "Whose new version this makes; it is created if need be."},
    {"family", FIELD_STRING, AT(meta_train, family), FIELD_OPTIONAL, 1, 63,
     .doc = "A family with weights; \"lstm\" by default."},
    {"config", FIELD_JSON, AT(meta_train, config), FIELD_OPTIONAL,
     .doc = "Of the family; the rest is default, or as init_from has it."},
    {"init_from", FIELD_STRING, AT(meta_train, init_from), FIELD_OPTIONAL | FIELD_NULLABLE, 1, 4096,
     .doc = "A version whose weights to begin with; null: fresh ones."},
    {"problems", FIELD_LIST, AT(meta_train, problems), FIELD_REQUIRED, 1, DSC_PROBLEMS_MAX,
     .shape = &problem_shape, .doc = "What to train on."},
    {"horizon", FIELD_INT, AT(meta_train, horizon), FIELD_OPTIONAL, 1, LIMIT_HORIZON,
     .initial = 100, .doc = "Steps that each function is minimised for."},
    {"curriculum", FIELD_INTS, AT(meta_train, curriculum), FIELD_OPTIONAL, 1, LIMIT_HORIZON,
     .max_items = DSC_HORIZONS_MAX,
     .doc = "Growing horizons, in the place of horizon: on to the next when patience runs out."},
    {"unroll", FIELD_INT, AT(meta_train, unroll), FIELD_OPTIONAL, 1, LIMIT_UNROLL, .initial = 20,
     .doc = "Steps that a derivative goes back through."},
    {"functions_per_step", FIELD_INT, AT(meta_train, functions_per_step), FIELD_OPTIONAL, 1,
     LIMIT_FUNCTIONS, .initial = 8, .doc = "Functions of an epoch, minimised side by side."},
    {"loss_weights", FIELD_WORD_OR_REALS, AT(meta_train, loss_weights), FIELD_OPTIONAL, 0, 1e9,
     .max_items = LIMIT_HORIZON, .words = loss_words,
     .doc = "Weights of f(theta_1), f(theta_2), ...: all 1, or 1 at the end of each unroll, or "
            "numbers."},
    {"random_scale", FIELD_REAL, AT(meta_train, random_scale), FIELD_OPTIONAL, 0, 10,
     .doc = "L: each coordinate of a function is scaled by exp(U(-L, L)); 0: not."},
    {"convex_helper", FIELD_BOOL, AT(meta_train, convex_helper), FIELD_OPTIONAL,
     .doc = "Whether each function gets 20 more coordinates in a capped quadratic."},
    {"second_derivatives", FIELD_BOOL, AT(meta_train, second_derivatives), FIELD_OPTIONAL,
     .doc = "Whether the gradients that the optimizer sees count as moving with theta."},
    {"imitation", FIELD_OBJECT, AT(meta_train, imitation), FIELD_OPTIONAL,
     .shape = &imitation_shape, .doc = "An optimizer to learn from in some of the epochs."},
    {"meta_optimizer", FIELD_OBJECT, AT(meta_train, meta_optimizer), FIELD_OPTIONAL,
     .shape = &meta_optimizer_shape, .doc = "How weights are moved."},
    {"epochs", FIELD_INT, AT(meta_train, epochs), FIELD_OPTIONAL, 1, LIMIT_EPOCHS, .initial = 500,
     .doc = "Times that fresh functions are drawn and minimised."},
    {"validate_every", FIELD_INT, AT(meta_train, validate_every), FIELD_OPTIONAL, 1, LIMIT_EPOCHS,
     .initial = 25, .doc = "Epochs between two validations."},
    {"validation_functions", FIELD_INT, AT(meta_train, validation_functions), FIELD_OPTIONAL, 1,
     LIMIT_FUNCTIONS, .initial = 32, .doc = "Functions, drawn apart, that weights are judged on."},
    {"patience", FIELD_INT, AT(meta_train, patience), FIELD_OPTIONAL, 0, LIMIT_EPOCHS, .initial = 5,
     .doc = "Validations without a better one before the end; 0: any number."},
    {"seed", FIELD_INT, AT(meta_train, seed), FIELD_OPTIONAL, 0, SEED_MAX, .initial = 1,
     .doc = "Of everything random."},
    {"algorithm", FIELD_WORD, AT(meta_train, algorithm), FIELD_OPTIONAL, .words = algorithm_words,
     .doc = "How derivatives are made: backpropagation through time."},
    {"alias", FIELD_STRING, AT(meta_train, alias), FIELD_OPTIONAL | FIELD_NULLABLE, 1, 32,
     .doc = "An alias to point at the version."},
    {0},
};
SHAPE(meta_train_shape, "A training to run.", meta_train, meta_train_rows);

static const struct field tuning_rows[] = {
    {"learning_rates", FIELD_INT, AT(tuning, learning_rates), FIELD_OPTIONAL, 2, 1000,
     .initial = 27, .doc = "Learning rates to try, log-spaced."},
    {"range", FIELD_REALS, AT(tuning, range), FIELD_OPTIONAL, 1e-12, 1e6, .max_items = 2,
     .doc = "The least and the greatest of them; [1e-5, 10] by default."},
    {"functions", FIELD_INT, AT(tuning, functions), FIELD_OPTIONAL, 1, LIMIT_FUNCTIONS,
     .initial = 128, .doc = "Functions to tune on, drawn apart from those that measure."},
    {0},
};
static SHAPE(tuning_shape, "How baselines are tuned.", tuning, tuning_rows);

static const char *const evaluate_words[] = {"evaluate", NULL};

static const struct field evaluate_rows[] = {
    {"type", FIELD_WORD, AT(evaluate, type), FIELD_OPTIONAL, .words = evaluate_words,
     .doc = "The kind of job."},
    {"optimizers", FIELD_STRINGS, AT(evaluate, optimizers), FIELD_OPTIONAL, 1, 4096,
     .max_items = LIMIT_COMPARED, .doc = "References to versions, measured as they are."},
    {"baselines", FIELD_STRINGS, AT(evaluate, baselines), FIELD_OPTIONAL, 1, 63,
     .max_items = LIMIT_COMPARED,
     .doc = "Hand-designed families, each measured at its best learning rate."},
    {"problem", FIELD_OBJECT, AT(evaluate, problem), FIELD_REQUIRED, .shape = &problem_shape,
     .doc = "What to measure on."},
    {"steps", FIELD_INT, AT(evaluate, steps), FIELD_OPTIONAL, 1, LIMIT_HORIZON, .initial = 100,
     .doc = "Steps that each function is minimised for."},
    {"functions", FIELD_INT, AT(evaluate, functions), FIELD_OPTIONAL, 1, LIMIT_FUNCTIONS,
     .initial = 128, .doc = "Functions to measure on."},
    {"seed", FIELD_INT, AT(evaluate, seed), FIELD_OPTIONAL, 0, SEED_MAX, .initial = 1,
     .doc = "Of everything random."},
    {"tuning", FIELD_OBJECT, AT(evaluate, tuning), FIELD_OPTIONAL, .shape = &tuning_shape,
     .doc = "How baselines are tuned."},
    {0},
};
SHAPE(evaluate_shape, "An evaluation to run.", evaluate, evaluate_rows);

/* --- problems --- */

static bool fail_problem(const char *where, const char *type, dsc_err *err)
{
    const char *names[64];
    size_t count = 0;

    while (count < 64 && dsc_problems[count]) {
        names[count] = dsc_problems[count]->name;
        count++;
    }
    const char *const near = suggest(type, names, count, sizeof *names);
    return dsc_fail(err, FAULT_INVALID_VALUE, where, "there is no problem \"%.40s\"%s%s%s", type,
                    near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* What was said of a parameter, as a failure of the body at `where`. */
static bool fail_param(const char *where, const dsc_err *inner, int code, dsc_err *err)
{
    char spot[sizeof err->where];

    snprintf(spot, sizeof spot, "%s.%.30s", where, inner->where[0] ? inner->where : "dataset");
    return dsc_fail(err, code, spot, "%s", inner->text);
}

static const dsc_hyper_list *labels_of(const dsc_hyper *hyper)
{
    static const dsc_hyper_list all = {.count = 0};
    const int row = dsc_hyper_find(hyper->spec, "labels");

    return row < 0 ? &all : dsc_hyper_list_at(hyper, row);
}

/* Find the dataset that the parameters name, if the problem has one, and see whether it suits. */
static bool bind_dataset(const dsc_problem *problem, dsc_hyper *hyper, struct datasets *datasets,
                         const char *where, dsc_err *err)
{
    dsc_err inner = {.code = DSC_OK};

    if (dsc_hyper_has_dataset(problem->hyper)) {
        if (!hyper->dataset_name[0])
            return fail_param(where, &(dsc_err) {.text = "is missing"}, FAULT_MISSING_FIELD, err);
        if (!datasets_find(datasets, hyper->dataset_name, labels_of(hyper), &hyper->dataset,
                           &inner)) {
            if (strcmp(inner.where, "labels") != 0)
                inner.where[0] = '\0'; /* a file's name */
            return fail_param(where, &inner, FAULT_INVALID_VALUE, err);
        }
    }
    return !problem->check || problem->check(hyper, &inner) ||
           fail_param(where, &inner, FAULT_INVALID_VALUE, err);
}

static bool read_problem(const struct problem_choice *from, struct datasets *datasets,
                         const char *where, const dsc_problem **problem, dsc_hyper *hyper,
                         dsc_err *err)
{
    char spot[48];

    snprintf(spot, sizeof spot, "%s.type", where);
    *problem = dsc_problem_find(from->type);
    if (!*problem)
        return fail_problem(spot, from->type, err);
    snprintf(spot, sizeof spot, "%s.params", where);
    dsc_hyper_init(hyper, (*problem)->hyper);
    return field_hyper_decode(hyper, from->params, from->params ? strlen(from->params) : 0, spot,
                              err) &&
           bind_dataset(*problem, hyper, datasets, spot, err);
}

/* --- training --- */

static bool read_family(dsc_train_spec *out, const struct meta_train *body,
                        const dsc_family *otherwise, dsc_err *err)
{
    const char *const name = body->family ? body->family : otherwise->name;

    out->family = dsc_family_find(name);
    if (!out->family)
        return dsc_fail(err, FAULT_INVALID_VALUE, "family", "there is no family \"%.40s\"", name);
    if (!out->family->phi_layout)
        return dsc_fail(err, FAULT_INVALID_VALUE, "family",
                        "%s has no weights, so there is nothing to train", name);
    dsc_hyper_init(&out->config, out->family->hyper);
    return field_hyper_decode(&out->config, body->config, body->config ? strlen(body->config) : 0,
                              "config", err);
}

static bool read_problems(dsc_train_spec *out, const struct field_list *list,
                          struct datasets *datasets, dsc_err *err)
{
    const struct problem_choice *const from = list->items;
    char where[32];

    out->problem_count = (int)list->count;
    for (size_t i = 0; i < list->count; i++) {
        dsc_train_problem *const to = &out->problems[i];
        snprintf(where, sizeof where, "problems[%zu]", i);
        to->weight = from[i].weight;
        if (!read_problem(&from[i], datasets, where, &to->problem, &to->hyper, err))
            return false;
    }
    return true;
}

static void read_horizons(dsc_train_spec *out, const struct meta_train *body)
{
    const int64_t *const items = body->curriculum.items;

    out->horizon_count = (int)body->curriculum.count;
    for (size_t i = 0; i < body->curriculum.count; i++)
        out->horizons[i] = (size_t)items[i];
    if (body->curriculum.count == 0) {
        out->horizon_count = 1;
        out->horizons[0] = (size_t)body->horizon;
    }
}

static bool read_loss(dsc_train_spec *out, const struct field_choice *choice, dsc_err *err)
{
    const size_t last = out->horizons[out->horizon_count - 1];

    out->loss = choice->word < 0 ? DSC_LOSS_NUMBERS : (dsc_loss_kind)choice->word;
    out->loss_weights = choice->reals.items;
    if (choice->word < 0 && choice->reals.count != last)
        return dsc_fail(err, FAULT_INVALID_VALUE, "loss_weights",
                        "must be as many numbers as the (last) horizon has steps, %zu, not %zu",
                        last, choice->reals.count);
    return true;
}

static void read_numbers(dsc_train_spec *out, const struct meta_train *body)
{
    out->dressing = (dsc_dressing) {body->random_scale, body->convex_helper};
    out->second_derivatives = body->second_derivatives;
    out->imitation.probability = body->imitation.probability;
    out->imitation.epochs = (uint64_t)body->imitation.epochs;
    out->unroll = (size_t)body->unroll;
    out->functions = (size_t)body->functions_per_step;
    out->learning_rate = body->meta_optimizer.learning_rate;
    out->clip_norm = body->meta_optimizer.clip_norm;
    out->schedule = (dsc_schedule)body->meta_optimizer.schedule;
    out->epochs = (uint64_t)body->epochs;
    out->validate_every = (size_t)body->validate_every;
    out->validation_functions = (size_t)body->validation_functions;
    out->patience = (size_t)body->patience;
    out->seed = (uint64_t)body->seed;
}

bool spec_train_decode(struct spec_train *out, const char *text, size_t len,
                       const dsc_family *family, struct datasets *datasets, dsc_arena *arena,
                       dsc_err *err)
{
    struct meta_train body;

    *out = (struct spec_train) {.optimizer = NULL};
    if (!field_decode(&meta_train_shape, text, len, &body, arena, err))
        return false;
    out->optimizer = body.optimizer;
    out->init_from = body.init_from;
    out->teacher = body.imitation.optimizer;
    out->alias = body.alias;
    out->has_config = body.config != NULL;
    read_numbers(&out->core, &body);
    read_horizons(&out->core, &body);
    return read_family(&out->core, &body, family ? family : &dsc_family_lstm, err) &&
           read_problems(&out->core, &body.problems, datasets, err) &&
           read_loss(&out->core, &body.loss_weights, err);
}

/* --- evaluation --- */

static bool read_tuning(dsc_tuning *out, const struct tuning *from, dsc_err *err)
{
    const double *const range = from->range.items;

    *out = (dsc_tuning) {.rates = (size_t)from->learning_rates,
                         .min = 1e-5,
                         .max = 10,
                         .functions = (size_t)from->functions};
    if (!(from->seen.given && range))
        return true;
    if (from->range.count != 2 || !(range[0] < range[1]))
        return dsc_fail(err, FAULT_INVALID_VALUE, "tuning.range",
                        "must be two numbers, the second one greater");
    out->min = range[0];
    out->max = range[1];
    return true;
}

static bool check_baselines(const struct field_list *list, dsc_err *err)
{
    const char *const *const names = list->items;
    char where[32];

    for (size_t i = 0; i < list->count; i++) {
        const dsc_family *const family = dsc_family_find(names[i]);
        snprintf(where, sizeof where, "baselines[%zu]", i);
        if (!family)
            return dsc_fail(err, FAULT_INVALID_VALUE, where, "there is no family \"%.40s\"",
                            names[i]);
        if (family->phi_layout || dsc_hyper_find(family->hyper, "learning_rate") < 0)
            return dsc_fail(err, FAULT_INVALID_VALUE, where, "%s has no learning rate to tune",
                            names[i]);
    }
    return true;
}

bool spec_eval_decode(struct spec_eval *out, const char *text, size_t len,
                      struct datasets *datasets, dsc_arena *arena, dsc_err *err)
{
    struct evaluate body;

    *out = (struct spec_eval) {.problem = NULL};
    if (!field_decode(&evaluate_shape, text, len, &body, arena, err) ||
        !read_problem(&body.problem, datasets, "problem", &out->problem, &out->hyper, err) ||
        !read_tuning(&out->tuning, &body.tuning, err) || !check_baselines(&body.baselines, err))
        return false;
    if (body.optimizers.count + body.baselines.count == 0)
        return dsc_fail(err, FAULT_MISSING_FIELD, "optimizers",
                        "is missing, as are baselines; there is nothing to measure");
    out->optimizers = body.optimizers;
    out->baselines = body.baselines;
    out->task = (dsc_eval_task) {.problem = out->problem,
                                 .hyper = &out->hyper,
                                 .steps = (size_t)body.steps,
                                 .functions = (size_t)body.functions,
                                 .seed = (uint64_t)body.seed};
    return true;
}
