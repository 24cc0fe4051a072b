/* command_train.c -- `descent train`: a training without a server
 *
 * The core goes on epoch by epoch; between two of them this looks at the clock and at signals. On a
 * terminal one line is written over and over, elsewhere each validation is a line of JSON. */
#include "clock.h"
#include "command.h"
#include "fault.h"
#include "file.h"
#include "lend.h"
#include "limits.h"
#include "shelf.h"
#include "spec.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A person reads five lines a second; a program that follows wants none without news. */
#define SHOW_TERMINAL_NS UINT64_C(200000000)
#define SHOW_JSON_NS     UINT64_C(10000000000)

/* --- lines of JSON --- */

struct train_progress {
    struct field_seen seen;
    const char *event;
    bool imitated;
    int64_t epoch, epochs, horizon, skipped;
    double loss, validation, best, elapsed_seconds, eta_seconds;
};

struct train_result {
    struct field_seen seen;
    const char *event, *reason, *optimizer, *file;
    int64_t version, epochs, skipped;
    double validation_loss, elapsed_seconds;
};

#define PROGRESS(member) .offset = offsetof(struct train_progress, member)
#define RESULT(member)   .offset = offsetof(struct train_result, member)

static const struct field progress_rows[] = {
    {"event", FIELD_STRING, PROGRESS(event), .doc = "\"progress\"."},
    {"epoch", FIELD_INT, PROGRESS(epoch), .doc = "Epochs done."},
    {"epochs", FIELD_INT, PROGRESS(epochs), .doc = "Epochs in all."},
    {"horizon", FIELD_INT, PROGRESS(horizon), .doc = "Steps of an episode now."},
    {"loss", FIELD_REAL, PROGRESS(loss), .doc = "Mean over steps and functions, last epoch."},
    {"imitated", FIELD_BOOL, PROGRESS(imitated),
     .doc = "That epoch followed the teacher, and loss is half the mean squared difference."},
    {"validation", FIELD_REAL, PROGRESS(validation), .doc = "The last one; null: none yet."},
    {"best", FIELD_REAL, PROGRESS(best), .doc = "The best one."},
    {"skipped", FIELD_INT, PROGRESS(skipped), .doc = "Steps of the weights that were not finite."},
    {"elapsed_seconds", FIELD_REAL, PROGRESS(elapsed_seconds), .doc = "Since the start."},
    {"eta_seconds", FIELD_REAL, PROGRESS(eta_seconds), .doc = "To the last epoch, at this pace."},
    {0},
};
static const struct shape progress_shape = {.name = "train_progress",
                                            .doc = "How far a training is.",
                                            .size = sizeof(struct train_progress),
                                            .fields = progress_rows};

enum { NO_VERSION = 1 }; /* the bit of the first row */

static const struct field result_rows[] = {
    {"version", FIELD_INT, RESULT(version), FIELD_NULLABLE, .doc = "Its number; null: it is none."},
    {"event", FIELD_STRING, RESULT(event), .doc = "\"done\"."},
    {"reason", FIELD_STRING, RESULT(reason), .doc = "Why it ended."},
    {"validation_loss", FIELD_REAL, RESULT(validation_loss), .doc = "Of the weights kept."},
    {"epochs", FIELD_INT, RESULT(epochs), .doc = "Epochs done."},
    {"skipped", FIELD_INT, RESULT(skipped), .doc = "Steps of the weights that were not finite."},
    {"elapsed_seconds", FIELD_REAL, RESULT(elapsed_seconds), .doc = "Since the start."},
    {"optimizer", FIELD_STRING, RESULT(optimizer), .doc = "Whose version it is; null: nobody's."},
    {"file", FIELD_STRING, RESULT(file), .doc = "The weights file; null: none."},
    {0},
};
static const struct shape result_shape = {.name = "train_result",
                                          .doc = "What came of a training.",
                                          .size = sizeof(struct train_result),
                                          .fields = result_rows};

static void print_json(const struct shape *shape, const void *body)
{
    struct buf *const line = buf_new(512);

    if (line && field_encode(shape, body, line, NULL)) {
        (void)fwrite(line->data, 1, line->len, stdout);
        putchar('\n');
        fflush(stdout);
    }
    buf_drop(line);
}

/* --- progress --- */

struct watch {
    bool terminal;
    uint64_t began, shown; /* ns */
    uint64_t first_epoch;
};

static double seconds_since(uint64_t ns)
{
    return (double)(clock_ns() - ns) / 1e9;
}

static double seconds_left(const struct watch *watch, const dsc_train_progress *p)
{
    const double done = (double)(p->epoch - watch->first_epoch);

    return done > 0 ? seconds_since(watch->began) / done * (double)(p->epochs - p->epoch) : NAN;
}

static void show_line(const struct watch *watch, const dsc_train_progress *p)
{
    const double left = seconds_left(watch, p);

    printf("\r\033[Kepoch %llu/%llu  %s %.4g", (unsigned long long)p->epoch,
           (unsigned long long)p->epochs, p->imitated ? "imitation" : "loss", p->loss);
    if (!isnan(p->best))
        printf("  validation %.4g (best %.4g)", p->validation, p->best);
    if (p->skipped)
        printf("  skipped %llu", (unsigned long long)p->skipped);
    if (!isnan(left))
        printf("  %.0f:%02.0f left", floor(left / 60), floor(fmod(left, 60)));
    fflush(stdout);
}

static void show_json(const struct watch *watch, const dsc_train_progress *p)
{
    print_json(&progress_shape, &(struct train_progress) {
                                    .event = "progress",
                                    .epoch = (int64_t)p->epoch,
                                    .epochs = (int64_t)p->epochs,
                                    .horizon = (int64_t)p->horizon,
                                    .imitated = p->imitated,
                                    .skipped = (int64_t)p->skipped,
                                    .loss = p->loss,
                                    .validation = p->validation,
                                    .best = p->best,
                                    .elapsed_seconds = seconds_since(watch->began),
                                    .eta_seconds = seconds_left(watch, p),
                                });
}

static void show(struct watch *watch, const dsc_train_progress *p)
{
    const uint64_t now = clock_ns();
    const uint64_t pause = watch->terminal ? SHOW_TERMINAL_NS : SHOW_JSON_NS;

    if (now - watch->shown < pause && !(p->validated && !watch->terminal))
        return;
    watch->shown = now;
    if (watch->terminal)
        show_line(watch, p);
    else
        show_json(watch, p);
}

/* --- the training --- */

/* What the command was asked to do, opened. */
struct training {
    const struct config *config;
    struct spec_train spec;
    struct shelf shelf;
    struct datasets *datasets;
    struct pool *pool;
    dsc_crew crew;
    dsc_model *first, *teacher; /* init_from, whom to imitate; or NULL */
    dsc_train *train;
    dsc_arena arena;
    struct watch watch;
    bool stopped; /* by a signal */
};

static bool read_spec(struct training *t, dsc_err *err)
{
    struct buf *text = NULL;
    const bool ok = file_read(&text, t->config->argument, LIMIT_CONTROL_BYTES, err) &&
                    spec_train_decode(&t->spec, (const char *)text->data, text->len, NULL,
                                      t->datasets, &t->arena, err);

    buf_drop(text);
    return ok;
}

/* A folder is used when it was named, or when there is no other place for the weights. */
static bool wants_folder(const struct training *t)
{
    for (size_t i = 0; config_options[i].name; i++)
        if (strcmp(config_options[i].name, "data") == 0 && t->config->source[i] != SOURCE_DEFAULT)
            return true;
    return !t->config->out;
}

/* Is there a place for what will come out? Before it takes hours to find out. */
static bool check_places(struct training *t, dsc_err *err)
{
    if (wants_folder(t) && !t->spec.optimizer)
        return dsc_fail(err, FAULT_MISSING_FIELD, "optimizer",
                        "is missing: whose version is it to be? (or write a file with --out)");
    if (wants_folder(t) && !shelf_check(&t->shelf, t->spec.optimizer, t->spec.core.family, err))
        return false;
    return !t->config->out || file_check(t->config->out, err);
}

static bool take_first(struct training *t, dsc_err *err)
{
    dsc_train_spec *const core = &t->spec.core;

    if (!t->spec.init_from)
        return true;
    if (!shelf_take(&t->shelf, t->spec.init_from, core->family, &t->first, err))
        return false;
    if (t->spec.has_config && memcmp(core->config.value, dsc_model_hyper(t->first)->value,
                                     sizeof core->config.value) != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, "config",
                        "differs from that of init_from; leave it out to take that");
    core->config = *dsc_model_hyper(t->first);
    core->phi = dsc_model_phi(t->first);
    return true;
}

static bool take_teacher(struct training *t, dsc_err *err)
{
    if (!t->spec.teacher)
        return true;
    if (!shelf_take(&t->shelf, t->spec.teacher, NULL, &t->teacher, err))
        return false;
    t->spec.core.imitation.teacher = t->teacher;
    return true;
}

static int threads_of(const struct config *config)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return config->threads ? (int)config->threads : processors < 1 ? 1 : (int)processors;
}

static bool begin(struct training *t, dsc_err *err)
{
    if (!datasets_open(&t->datasets, t->config->data_dir, err) || !read_spec(t, err) ||
        !shelf_open(&t->shelf, wants_folder(t) ? t->config->data : NULL, err) ||
        !check_places(t, err) || !take_first(t, err) || !take_teacher(t, err) ||
        !pool_open(&t->pool, threads_of(t->config), err))
        return false;
    t->crew = lend_pool(t->pool);
    t->watch = (struct watch) {.terminal = isatty(STDOUT_FILENO) == 1, .began = clock_ns()};
    return dsc_train_new(&t->train, &t->spec.core, &t->crew, err);
}

static void end(struct training *t)
{
    dsc_train_free(t->train);
    pool_close(t->pool);
    dsc_model_drop(t->first);
    dsc_model_drop(t->teacher);
    shelf_close(&t->shelf);
    datasets_close(t->datasets);
    dsc_arena_release(&t->arena);
}

/* Blocked before any thread is made, so that it waits until it is asked for. */
static void block_signals(sigset_t *stop)
{
    sigemptyset(stop);
    sigaddset(stop, SIGINT);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, stop, NULL);
    signal(SIGPIPE, SIG_IGN); /* whoever read the progress may leave: the training is what counts */
}

static bool has_come(const sigset_t *stop)
{
    return sigtimedwait(stop, NULL, &(struct timespec) {0}) > 0;
}

static bool go_on(struct training *t, const sigset_t *stop, dsc_err *err)
{
    while (dsc_train_progress_of(t->train).state == DSC_TRAIN_RUNNING && !t->stopped) {
        if (!dsc_train_epoch(t->train, err))
            return false;
        const dsc_train_progress p = dsc_train_progress_of(t->train);
        show(&t->watch, &p);
        t->stopped = has_come(stop);
    }
    return true;
}

/* --- what came of it --- */

static const char *reason_of(const struct training *t, const dsc_train_progress *p)
{
    static const char *const words[] = {
        [DSC_TRAIN_COMPLETED] = "completed",
        [DSC_TRAIN_EARLY_STOP] = "early_stop",
        [DSC_TRAIN_DIVERGED] = "diverged",
    };

    return p->state == DSC_TRAIN_RUNNING && t->stopped ? "stopped" : words[p->state];
}

static bool publish(struct training *t, dsc_model *model, struct train_result *result, dsc_err *err)
{
    struct version_row row;

    if (t->config->out && !shelf_write(t->config->out, model, err))
        return false;
    result->file = t->config->out;
    if (!wants_folder(t))
        return true;
    if (!shelf_put(&t->shelf, t->spec.optimizer, model, &row, err))
        return false;
    result->optimizer = t->spec.optimizer;
    result->version = row.number;
    result->seen.null = 0;
    return true;
}

static void show_result(const struct training *t, const struct train_result *r)
{
    if (!t->watch.terminal) {
        print_json(&result_shape, r);
        return;
    }
    printf("\r\033[K%s after %lld epochs and %.0f s; validation %.4g\n", r->reason,
           (long long)r->epochs, r->elapsed_seconds, r->validation_loss);
    if (r->file)
        printf("weights: %s\n", r->file);
    if (r->optimizer)
        printf("version: %s:%lld\n", r->optimizer, (long long)r->version);
}

/* Keep the weights that count, unless a divergence left none that were ever judged. */
static bool finish(struct training *t, dsc_err *err)
{
    const dsc_train_progress p = dsc_train_progress_of(t->train);
    const bool worthless = p.state == DSC_TRAIN_DIVERGED && isnan(p.best);
    dsc_model *model = NULL;
    struct train_result result = {
        .seen.null = NO_VERSION,
        .event = "done",
        .reason = reason_of(t, &p),
        .validation_loss = p.best,
        .epochs = (int64_t)p.epoch,
        .skipped = (int64_t)p.skipped,
        .elapsed_seconds = seconds_since(t->watch.began),
    };
    const bool ok = worthless || (dsc_model_new(&model, t->spec.core.family, &t->spec.core.config,
                                                dsc_train_phi(t->train), NULL, err) &&
                                  publish(t, model, &result, err));

    if (ok)
        show_result(t, &result);
    dsc_model_drop(model);
    return ok && (p.state != DSC_TRAIN_DIVERGED ||
                  dsc_fail(err, DSC_ENUMERIC, "",
                           "the training diverged: %llu of its steps were not finite%s",
                           (unsigned long long)p.skipped,
                           worthless ? "" : "; the best weights before that were kept"));
}

static int train(const struct config *config)
{
    struct training t = {.config = config};
    sigset_t stop;
    dsc_err err = {0};
    int status = 0;

    dsc_arena_init(&t.arena, LIMIT_ARENA_BYTES);
    block_signals(&stop);
    if (!begin(&t, &err) || !go_on(&t, &stop, &err) || !finish(&t, &err))
        status = command_failed(&err);
    end(&t);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "learn an optimizer's weights",
    .argument = "SPEC.json",
    .options = (const char *const[]) {"data", "data-dir", "out", "threads", NULL},
    .about = "Trains the weights of an optimizer on the problems that SPEC.json names, in the\n"
             "words of a meta_train job (problems, horizon, unroll, epochs, ...; - reads it\n"
             "from standard input). The best weights of all validations are written to the\n"
             "file that --out names, and, with --data or without --out, become a new version\n"
             "of the spec's optimizer in that folder. A server may be running on it.\n"
             "The same spec gives the same bits, whatever the number of threads.\n\n"
             "On a terminal one line tells how far it is; elsewhere stdout has a JSON object\n"
             "a line, the last one with \"event\": \"done\". SIGINT and SIGTERM end it after\n"
             "the present epoch, and what is best then is kept.\n",
    .examples = "  descent train core/pretrained/lstm-quadratic.json --out mine.safetensors\n"
                "  descent train spec.json --data .descent | jq .validation\n",
    .run = train,
};
