#include "plot.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* --- from numbers to places --- */

/* What the axes span: steps 0 to `last`, powers of ten `low` to `high`. */
struct frame {
    size_t last;
    double low, high;
};

static bool drawable(double loss)
{
    return isfinite(loss) && loss > 0;
}

/* A little room when all are the same. */
static bool frame_of(const struct plot *plot, struct frame *frame)
{
    *frame = (struct frame) {.low = INFINITY, .high = -INFINITY};
    for (size_t c = 0; c < plot->curves; c++)
        for (size_t i = 0; i < plot->curve[c].points; i++) {
            const double loss = plot->curve[c].loss[i];
            if (!drawable(loss))
                continue;
            frame->low = fmin(frame->low, log10(loss));
            frame->high = fmax(frame->high, log10(loss));
            frame->last = i > frame->last ? i : frame->last;
        }
    if (frame->high - frame->low < 0.01)
        frame->high = frame->low + 0.01;
    if (frame->last == 0)
        frame->last = 1;
    return isfinite(frame->low);
}

/* 0 at the lowest loss, 1 at the highest. */
static double height(const struct frame *frame, double loss)
{
    return fmin(1, fmax(0, (log10(loss) - frame->low) / (frame->high - frame->low)));
}

/* --- text --- */

enum { COLUMNS_MAX = 400, ROWS_MAX = 100 };

struct canvas {
    char cell[ROWS_MAX][COLUMNS_MAX + 1];
};

static void draw(struct canvas *canvas, const struct plot *plot, const struct frame *frame,
                 size_t c)
{
    const struct plot_curve *const curve = &plot->curve[c];

    for (int column = 0; column < plot->columns; column++) {
        const size_t step =
            (size_t)lround((double)column * (double)frame->last / (plot->columns - 1));
        if (step >= curve->points || !drawable(curve->loss[step]))
            continue;
        const long up = lround(height(frame, curve->loss[step]) * (plot->rows - 1));
        canvas->cell[plot->rows - 1 - up][column] = (char)('a' + c);
    }
}

/* Losses at the top, the middle and the bottom. */
static void print_row(const struct canvas *canvas, const struct plot *plot,
                      const struct frame *frame, int row, FILE *out)
{
    const char *const cells = canvas->cell[row];
    size_t len = (size_t)plot->columns;

    while (len > 0 && cells[len - 1] == ' ')
        len--;
    if (row == 0 || row == plot->rows / 2 || row == plot->rows - 1)
        fprintf(out, "%9.3g |",
                pow(10, frame->high - (frame->high - frame->low) * row / (plot->rows - 1)));
    else
        fprintf(out, "%9s |", "");
    fprintf(out, "%.*s\n", (int)len, cells);
}

void plot_text(const struct plot *plot, FILE *out)
{
    struct canvas canvas;
    struct frame frame;

    assert(plot->curves <= PLOT_CURVES_MAX && plot->columns >= 20 && plot->rows >= 5);
    assert(plot->columns <= COLUMNS_MAX && plot->rows <= ROWS_MAX);
    if (!frame_of(plot, &frame))
        return;
    memset(&canvas, ' ', sizeof canvas);
    for (size_t c = plot->curves; c-- > 0;)
        draw(&canvas, plot, &frame, c);
    for (int row = 0; row < plot->rows; row++)
        print_row(&canvas, plot, &frame, row, out);
    fprintf(out, "%9s +", "");
    for (int column = 0; column < plot->columns; column++)
        fputc('-', out);
    fprintf(out, "\n%9s  0%*zu steps\n", "", plot->columns - 7, frame.last);
    for (size_t c = 0; c < plot->curves; c++)
        fprintf(out, "%9s  %c %s\n", "", (int)('a' + c), plot->curve[c].name);
}

/* --- SVG --- */

enum { LEFT = 60, TOP = 20, WIDTH = 640, HEIGHT = 360, LINE = 18 };

/* Told apart by colour-blind people too (Okabe and Ito 2008); dashed from the second round on. */
static const char *const colours[] = {"#d55e00", "#0072b2", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#000000"};
enum { COLOURS = sizeof colours / sizeof *colours };

static void svg_escaped(const char *text, FILE *out)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        default:
            fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
        }
}

/* 1, 2, 5, 10, 20, ... */
static void svg_ticks(const struct frame *frame, FILE *out)
{
    static const int digits[] = {1, 2, 5};

    for (int power = (int)floor(frame->low); power <= (int)ceil(frame->high); power++)
        for (size_t i = 0; i < 3; i++) {
            const double tick = digits[i] * pow(10, power);
            if (log10(tick) < frame->low || log10(tick) > frame->high)
                continue;
            const double y = TOP + HEIGHT * (1 - height(frame, tick));
            fprintf(out,
                    "<path d=\"M%d %.1fh%d\" stroke=\"#ddd\"/>"
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                    LEFT, y, WIDTH, LEFT - 6, y + 4, tick);
        }
}

static void svg_curve(const struct plot *plot, const struct frame *frame, size_t c, FILE *out)
{
    const struct plot_curve *const curve = &plot->curve[c];
    const char *const colour = colours[c % COLOURS];
    bool pen_up = true;

    fputs("<path fill=\"none\" d=\"", out);
    for (size_t i = 0; i < curve->points; i++) {
        const bool gap = !drawable(curve->loss[i]);
        if (!gap)
            fprintf(out, "%c%.1f %.1f", pen_up ? 'M' : 'L',
                    LEFT + WIDTH * (double)i / (double)frame->last,
                    TOP + HEIGHT * (1 - height(frame, curve->loss[i])));
        pen_up = gap;
    }
    fprintf(out, "\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", colour,
            c < COLOURS ? "" : " stroke-dasharray=\"6 3\"");
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"%s\">", LEFT + WIDTH - 10,
            TOP + LINE * (int)(c + 1), colour);
    svg_escaped(curve->name, out);
    fputs("</text>\n", out);
}

void plot_svg(const struct plot *plot, FILE *out)
{
    struct frame frame;

    if (!frame_of(plot, &frame))
        return;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\""
            " font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            LEFT + WIDTH + 20, TOP + HEIGHT + 40);
    svg_ticks(&frame, out);
    fprintf(out,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#999\"/>\n"
            "<text x=\"%d\" y=\"%d\">0</text>"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%zu steps</text>\n",
            LEFT, TOP, WIDTH, HEIGHT, LEFT, TOP + HEIGHT + LINE, LEFT + WIDTH, TOP + HEIGHT + LINE,
            frame.last);
    for (size_t c = plot->curves; c-- > 0;)
        svg_curve(plot, &frame, c, out);
    fputs("</svg>\n", out);
}
