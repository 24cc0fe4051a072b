/* tape.h -- a function as a list of layers, its value forward and its gradient in reverse
 *
 * A tape is a short list of nodes, each a matrix made of earlier ones. Whoever builds one calls the
 * functions below in order, then runs it as often as it likes: forward through the list, backward
 * through it in reverse, each node adding to the gradients of what it was made of.
 *
 *     x      = dsc_tape_input(&tape, 128, 784);
 *     w      = dsc_tape_param(&tape, 784, 20);            theta in the order of these calls
 *     hidden = dsc_tape_sigmoid(&tape, dsc_tape_affine(&tape, x, w, b));
 *     ...      dsc_tape_softmax_loss(&tape, logits, labels);   the last node: one number
 *
 * A tape is plain data and owns nothing. Values and gradients of nodes lie in the caller's work
 * array, parameters in theta and grad themselves, so that nothing is copied or allocated. Any
 * thread. Shapes that do not fit are our own mistake: an assert.
 *
 * Held to account by tests/double/test_tape.c: every kind of node against central differences. */
#ifndef DSC_TAPE_H
#define DSC_TAPE_H

#include "image.h"
#include "real.h"

#include <stdbool.h>
#include <stddef.h>

#define DSC_TAPE_NODES 64

typedef int dsc_var; /* a node by its place in the list */

struct dsc_tape_op;

typedef struct {
    const struct dsc_tape_op *op;
    dsc_var from[3];
    size_t rows, columns;
    size_t value, grad; /* where: in work, or, of a parameter, in theta and grad */
    size_t extra;       /* numbers of its own in work, at `kept`                 */
    size_t kept;
    dsc_image image, filter; /* of convolutions and what works on images         */
} dsc_tape_node;

typedef struct {
    int count;
    dsc_tape_node node[DSC_TAPE_NODES];
    size_t params;   /* numbers of theta */
    size_t work_len; /* numbers of work  */
} dsc_tape;

void dsc_tape_init(dsc_tape *tape);

/* --- where values come from --- */

dsc_var dsc_tape_param(dsc_tape *tape, size_t rows, size_t columns);
dsc_var dsc_tape_input(dsc_tape *tape, size_t rows, size_t columns); /* no gradient is kept */

/* Where to write an input's values, row by row. */
dsc_real *dsc_tape_at(const dsc_tape *tape, dsc_real *work, dsc_var var);

/* --- layers --- */

/* x [m][k] w [k][n] + b [1][n], b in each row */
dsc_var dsc_tape_affine(dsc_tape *tape, dsc_var x, dsc_var w, dsc_var b);
dsc_var dsc_tape_sigmoid(dsc_tape *tape, dsc_var x);
dsc_var dsc_tape_tanh(dsc_tape *tape, dsc_var x);
dsc_var dsc_tape_relu(dsc_tape *tape, dsc_var x); /* derivative at 0: 0 */

/* Rows of x are images, w [filters][channels * size * size], b [1][filters]; stride 1, edges padded
 * with zeros so that the size stays (SAME). size is odd. */
dsc_var dsc_tape_conv(dsc_tape *tape, dsc_var x, dsc_var w, dsc_var b, dsc_image image,
                      size_t size);
/* The greatest of each 2 x 2; an odd last row or column is a window by itself (SAME). */
dsc_var dsc_tape_pool(dsc_tape *tape, dsc_var x, dsc_image image);
/* Of each channel over all rows and places: (x - mean) / sqrt(variance + 1e-3) gain + bias, with
 * the batch's own mean and variance, as in training (Ioffe, Szegedy 2015). gain, bias [1][channels]
 */
dsc_var dsc_tape_batch_norm(dsc_tape *tape, dsc_var x, dsc_var gain, dsc_var bias, dsc_image image);

/* --- losses, each a mean over the rows --- */

/* Cross-entropy of softmax(x) [m][classes] with labels [m][1], each a class's number. */
dsc_var dsc_tape_softmax_loss(dsc_tape *tape, dsc_var x, dsc_var labels);
/* Cross-entropy of sigmoid(x) [m][1] with labels 0 or 1. */
dsc_var dsc_tape_logistic_loss(dsc_tape *tape, dsc_var x, dsc_var labels);
/* (x - y)^2, the mean over all numbers. */
dsc_var dsc_tape_square_loss(dsc_tape *tape, dsc_var x, dsc_var y);

/* --- running --- */

/* The value of the last node, which must be one number, for theta [params]; unless grad is NULL,
 * grad [params] out. work [work_len], its inputs filled in. */
double dsc_tape_run(const dsc_tape *tape, const dsc_real *theta, dsc_real *grad, dsc_real *work);

/* product [params] = H v, with H the second derivatives by theta: the derivative along v of a run
 * forward and back (Pearlmutter 1994). work [2 work_len], its inputs filled in. About three runs.
 * Not for tapes with convolutions, pooling or batch norm. */
void dsc_tape_curve(const dsc_tape *tape, const dsc_real *theta, const dsc_real *v,
                    dsc_real *product, dsc_real *work);

#endif
