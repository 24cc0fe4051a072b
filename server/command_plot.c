/* command_plot.c -- `descent plot`: the curves that an evaluation printed, as a picture */
#include "command.h"
#include "evaluation.h"
#include "fault.h"
#include "file.h"
#include "limits.h"
#include "plot.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS = 72, ROWS = 20, NAME_BYTES = 160 };

/* What is read, and what is drawn of it. */
struct drawing {
    const struct config *config;
    struct evaluation evaluation;
    struct plot plot;
    struct plot_curve curve[PLOT_CURVES_MAX];
    char name[PLOT_CURVES_MAX][NAME_BYTES];
    dsc_arena arena;
};

static bool read_evaluation(struct drawing *drawing, dsc_err *err)
{
    struct buf *text = NULL;
    const bool ok = file_read(&text, drawing->config->argument, LIMIT_BODY_BYTES, err) &&
                    field_decode(&evaluation_shape, (const char *)text->data, text->len,
                                 &drawing->evaluation, &drawing->arena, err);

    buf_drop(text);
    return ok;
}

/* What a tuned one was tuned to is in its config. */
static void name_curve(char out[NAME_BYTES], const struct measured *one)
{
    static const char key[] = "\"learning_rate\":";
    const char *const rate = one->tuned && one->config ? strstr(one->config, key) : NULL;
    const double *const mean = one->mean.items;
    const double last = one->mean.count ? mean[one->mean.count - 1] : NAN;
    char tuned[64] = "", end[64] = ", does not stay finite";

    if (rate)
        (void)snprintf(tuned, sizeof tuned, " at its best learning rate, %.3g",
                       strtod(rate + sizeof key - 1, NULL));
    if (isfinite(last))
        (void)snprintf(end, sizeof end, ", ends at %.4g", last);
    (void)snprintf(out, NAME_BYTES, "%.60s%s%s", one->optimizer ? one->optimizer : "?", tuned, end);
}

static void take_curves(struct drawing *drawing)
{
    const struct measured *const one = drawing->evaluation.optimizers.items;

    for (size_t i = 0; i < drawing->plot.curves; i++) {
        name_curve(drawing->name[i], &one[i]);
        drawing->curve[i] =
            (struct plot_curve) {drawing->name[i], one[i].mean.items, one[i].mean.count};
    }
}

static bool check_count(struct drawing *drawing, dsc_err *err)
{
    drawing->plot.curves = drawing->evaluation.optimizers.count;
    return (drawing->plot.curves > 0 && drawing->plot.curves <= PLOT_CURVES_MAX) ||
           dsc_fail(err, FAULT_INVALID_VALUE, "optimizers", "must have 1 to %d curves, not %zu",
                    PLOT_CURVES_MAX, drawing->plot.curves);
}

/* As wide as the terminal, up to what is easy to read. */
static int columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col > COLUMNS + 12)
        return COLUMNS;
    return size.ws_col < 40 ? 28 : size.ws_col - 12;
}

static bool write_svg(const struct drawing *drawing, dsc_err *err)
{
    FILE *const out = fopen(drawing->config->svg, "w");

    if (out)
        plot_svg(&drawing->plot, out);
    const bool ok = out && !ferror(out);
    return (out && fclose(out) == 0 && ok) || dsc_fail(err, FAULT_INTERNAL, drawing->config->svg,
                                                       "cannot be written: %s", strerror(errno));
}

static int plot(const struct config *config)
{
    struct drawing drawing = {.config = config, .plot = {.columns = columns(), .rows = ROWS}};
    dsc_err err = {0};

    drawing.plot.curve = drawing.curve;
    dsc_arena_init(&drawing.arena, LIMIT_CURVES_BYTES);
    bool ok = read_evaluation(&drawing, &err) && check_count(&drawing, &err);
    if (ok) {
        take_curves(&drawing);
        plot_text(&drawing.plot, stdout);
        ok = !config->svg || write_svg(&drawing, &err);
    }
    dsc_arena_release(&drawing.arena);
    return ok ? 0 : command_failed(&err);
}

const struct command command_plot = {
    .name = "plot",
    .summary = "draw the curves of an evaluation",
    .argument = "FILE.json",
    .options = (const char *const[]) {"svg", NULL},
    .about = "Draws the mean loss of each optimizer by step, the loss on a logarithmic axis,\n"
             "of what `descent eval` or an evaluate job printed (- is standard input).\n",
    .examples = "  descent eval spec.json > result.json && descent plot result.json\n"
                "  descent eval spec.json | descent plot - --svg curves.svg\n",
    .run = plot,
};
