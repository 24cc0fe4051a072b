/* plot.h -- curves of a loss by step: as text for a terminal, and as an SVG picture
 *
 * The loss is on a logarithmic axis; what is not a positive number is not drawn. Any thread. */
#ifndef PLOT_H
#define PLOT_H

#include <stddef.h>
#include <stdio.h>

enum { PLOT_CURVES_MAX = 26 }; /* a letter for each */

struct plot_curve {
    const char *name;
    const double *loss; /* [points] of steps 0, 1, ... */
    size_t points;
};

struct plot {
    const struct plot_curve *curve; /* [curves], the first is drawn over the others */
    size_t curves;
    int columns, rows; /* of the text: 20 to 400, 5 to 100 */
};

/* Nothing is drawn when no curve has a positive number. Whether the stream took it is for its owner
 * to ask (ferror). */
void plot_text(const struct plot *plot, FILE *out);
void plot_svg(const struct plot *plot, FILE *out);

#endif
