/* tape_ops.c -- every kind of node: what it is, and its way back
 *
 * With dy for the gradient by a node's value y, and + for "adds to":
 *
 *     affine     y = x w + 1 b           dx + dy w'      dw + x' dy     db + 1' dy
 *     sigmoid    y = 1 / (1 + e^-x)      dx + dy y (1 - y)
 *     tanh                               dx + dy (1 - y^2)
 *     relu       y = max(x, 0)           dx + dy where x > 0
 *     conv       y_i = w columns(x_i)    dw + dy_i columns(x_i)'    dcolumns = w' dy_i
 *     pool       y = max of the window   dx of the greatest + dy
 *     batch norm z = (x - m) / s, y = gain z + bias, over the N numbers of a channel:
 *                dx + gain/s (dy - mean(dy) - z mean(dy z))
 *     softmax loss    mean of log sum e^x - x_label        dx + (softmax(x) - onehot) / rows
 *     logistic loss   mean of log(1 + e^x) - label x       dx + (sigmoid(x) - label) / rows
 *     square loss     mean of (x - y)^2                    dx + 2 (x - y) / numbers
 *
 * A convolution is a product with the matrix whose columns are the windows of an image ("im2col"),
 * made anew on the way back: it is size^2 times as large as the image.
 *
 * Tangents (R for "the derivative along v of") follow from each line by the rules of products:
 *
 *     affine     Ry = Rx w + x Rw + Rb     Rdx + Rdy w' + dy Rw'   Rdw + Rx' dy + x' Rdy
 *     y = s(x)   Ry = s' Rx                Rdx + Rdy s' + dy s'' Rx
 *     losses     Ry is not needed          Rdx + the derivative of dx along Rx, as dy = 1, Rdy = 0
 *
 * Sums that end in a loss are taken in double. */
#include "tape_op.h"

#include "mat.h"

#include <assert.h>
#include <math.h>
#include <string.h>

const dsc_tape_op dsc_tape_op_param = {.name = "param"}, dsc_tape_op_input = {.name = "input"};

static const dsc_tape_node *node_of(const dsc_tape *tape, dsc_var var)
{
    assert(var >= 0 && var < tape->count);
    return &tape->node[var];
}

static size_t len_of(const dsc_tape_node *node)
{
    return node->rows * node->columns;
}

/* A node's own value and gradient. */
static dsc_real *value_of(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    return pass->work + node->value;
}
static const dsc_real *grad_of(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    return pass->work + node->grad;
}

/* Their tangents. */
static dsc_real *tangent_of(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    return pass->twin + node->value;
}
static const dsc_real *grad_tangent_of(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    return pass->twin + node->grad;
}

/* --- affine --- */

static void affine_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const bias = dsc_tape_value(pass, node->from[2]);
    dsc_real *const y = value_of(pass, node);

    for (size_t row = 0; row < node->rows; row++)
        memcpy(y + row * node->columns, bias, node->columns * sizeof *y);
    dsc_mat_mul(y, dsc_tape_value(pass, node->from[0]), dsc_tape_value(pass, node->from[1]),
                node->rows, node->columns, pass->tape->node[node->from[0]].columns,
                (dsc_mat_how) {.add = true});
}

/* to [columns] += the rows of from */
static void add_rows(dsc_real *to, const dsc_real *from, size_t rows, size_t columns)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < columns; i++)
            to[i] += from[row * columns + i];
}

static void affine_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t terms = pass->tape->node[node->from[0]].columns;
    const dsc_real *const dy = grad_of(pass, node);
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    dsc_mat_mul(dsc_tape_grad(pass, node->from[1]), dsc_tape_value(pass, node->from[0]), dy, terms,
                node->columns, node->rows, (dsc_mat_how) {.a_transposed = true, .add = true});
    add_rows(dsc_tape_grad(pass, node->from[2]), dy, node->rows, node->columns);
    if (dx)
        dsc_mat_mul(dx, dy, dsc_tape_value(pass, node->from[1]), node->rows, terms, node->columns,
                    (dsc_mat_how) {.b_transposed = true, .add = true});
}

static void affine_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t terms = pass->tape->node[node->from[0]].columns;
    const dsc_real *const bias = dsc_tape_tangent(pass, node->from[2]);
    dsc_real *const y = tangent_of(pass, node);

    for (size_t row = 0; row < node->rows; row++)
        memcpy(y + row * node->columns, bias, node->columns * sizeof *y);
    dsc_mat_mul(y, dsc_tape_tangent(pass, node->from[0]), dsc_tape_value(pass, node->from[1]),
                node->rows, node->columns, terms, (dsc_mat_how) {.add = true});
    dsc_mat_mul(y, dsc_tape_value(pass, node->from[0]), dsc_tape_tangent(pass, node->from[1]),
                node->rows, node->columns, terms, (dsc_mat_how) {.add = true});
}

static void affine_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t terms = pass->tape->node[node->from[0]].columns;
    const dsc_mat_how left = {.a_transposed = true, .add = true};
    const dsc_mat_how right = {.b_transposed = true, .add = true};
    const dsc_real *const dy = grad_of(pass, node), *const r_dy = grad_tangent_of(pass, node);
    dsc_real *const dx = dsc_tape_grad_tangent(pass, node->from[0]);
    dsc_real *const dw = dsc_tape_grad_tangent(pass, node->from[1]);

    dsc_mat_mul(dw, dsc_tape_tangent(pass, node->from[0]), dy, terms, node->columns, node->rows,
                left);
    dsc_mat_mul(dw, dsc_tape_value(pass, node->from[0]), r_dy, terms, node->columns, node->rows,
                left);
    add_rows(dsc_tape_grad_tangent(pass, node->from[2]), r_dy, node->rows, node->columns);
    if (!dx)
        return;
    dsc_mat_mul(dx, r_dy, dsc_tape_value(pass, node->from[1]), node->rows, terms, node->columns,
                right);
    dsc_mat_mul(dx, dy, dsc_tape_tangent(pass, node->from[1]), node->rows, terms, node->columns,
                right);
}

static const dsc_tape_op affine = {"affine", affine_forward, affine_backward, affine_tangent,
                                   affine_tangent_back};

dsc_var dsc_tape_affine(dsc_tape *tape, dsc_var x, dsc_var w, dsc_var b)
{
    const dsc_tape_node *const from = node_of(tape, x), *const weight = node_of(tape, w);

    assert(from->columns == weight->rows && node_of(tape, b)->columns == weight->columns);
    return dsc_tape_add(tape, &(dsc_tape_node) {.op = &affine,
                                                .from = {x, w, b},
                                                .rows = from->rows,
                                                .columns = weight->columns});
}

/* --- one number at a time --- */

static void sigmoid_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    dsc_real *const y = value_of(pass, node);

    for (size_t i = 0; i < len_of(node); i++) /* cannot overflow */
        y[i] = (dsc_real)(0.5 + 0.5 * tanh(0.5 * (double)x[i]));
}

static void sigmoid_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const y = value_of(pass, node), *const dy = grad_of(pass, node);
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t i = 0; dx && i < len_of(node); i++)
        dx[i] += dy[i] * y[i] * (1 - y[i]);
}

static void tanh_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    dsc_real *const y = value_of(pass, node);

    for (size_t i = 0; i < len_of(node); i++)
        y[i] = (dsc_real)tanh((double)x[i]);
}

static void tanh_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const y = value_of(pass, node), *const dy = grad_of(pass, node);
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t i = 0; dx && i < len_of(node); i++)
        dx[i] += dy[i] * (1 - y[i] * y[i]);
}

/* A NaN goes through: it is not hidden as a 0. */
static void relu_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    dsc_real *const y = value_of(pass, node);

    for (size_t i = 0; i < len_of(node); i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

static void relu_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const y = value_of(pass, node), *const dy = grad_of(pass, node);
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t i = 0; dx && i < len_of(node); i++)
        dx[i] += y[i] > 0 ? dy[i] : 0;
}

/* s' and s'' from y = s(x). */
typedef struct {
    dsc_real first, second;
} slopes;

typedef slopes slopes_of(dsc_real y);

static slopes sigmoid_slopes(dsc_real y)
{
    return (slopes) {y * (1 - y), y * (1 - y) * (1 - 2 * y)};
}
static slopes tanh_slopes(dsc_real y)
{
    return (slopes) {1 - y * y, -2 * y * (1 - y * y)};
}
static slopes relu_slopes(dsc_real y)
{
    return (slopes) {y > 0, 0};
}

static void any_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node, slopes_of *slopes_at)
{
    const dsc_real *const y = value_of(pass, node);
    const dsc_real *const r_x = dsc_tape_tangent(pass, node->from[0]);
    dsc_real *const r_y = tangent_of(pass, node);

    for (size_t i = 0; i < len_of(node); i++)
        r_y[i] = slopes_at(y[i]).first * r_x[i];
}

static void any_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node,
                             slopes_of *slopes_at)
{
    const dsc_real *const y = value_of(pass, node), *const dy = grad_of(pass, node);
    const dsc_real *const r_dy = grad_tangent_of(pass, node);
    const dsc_real *const r_x = dsc_tape_tangent(pass, node->from[0]);
    dsc_real *const r_dx = dsc_tape_grad_tangent(pass, node->from[0]);

    for (size_t i = 0; r_dx && i < len_of(node); i++) {
        const slopes s = slopes_at(y[i]);

        r_dx[i] += r_dy[i] * s.first + dy[i] * s.second * r_x[i];
    }
}

static void sigmoid_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent(pass, node, sigmoid_slopes);
}
static void sigmoid_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent_back(pass, node, sigmoid_slopes);
}
static void tanh_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent(pass, node, tanh_slopes);
}
static void tanh_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent_back(pass, node, tanh_slopes);
}
static void relu_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent(pass, node, relu_slopes);
}
static void relu_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    any_tangent_back(pass, node, relu_slopes);
}

static const dsc_tape_op sigmoid = {"sigmoid", sigmoid_forward, sigmoid_backward, sigmoid_tangent,
                                    sigmoid_tangent_back};
static const dsc_tape_op tanh_op = {"tanh", tanh_forward, tanh_backward, tanh_tangent,
                                    tanh_tangent_back};
static const dsc_tape_op relu = {"relu", relu_forward, relu_backward, relu_tangent,
                                 relu_tangent_back};

static dsc_var add_same(dsc_tape *tape, const dsc_tape_op *op, dsc_var x)
{
    const dsc_tape_node *const from = node_of(tape, x);

    return dsc_tape_add(
        tape,
        &(dsc_tape_node) {.op = op, .from = {x}, .rows = from->rows, .columns = from->columns});
}

dsc_var dsc_tape_sigmoid(dsc_tape *tape, dsc_var x)
{
    return add_same(tape, &sigmoid, x);
}
dsc_var dsc_tape_tanh(dsc_tape *tape, dsc_var x)
{
    return add_same(tape, &tanh_op, x);
}
dsc_var dsc_tape_relu(dsc_tape *tape, dsc_var x)
{
    return add_same(tape, &relu, x);
}

/* --- convolution --- */

static size_t places(const dsc_image *image)
{
    return image->height * image->width;
}

/* Rows of the matrix of windows. */
static size_t window(const dsc_tape_node *node)
{
    return node->image.channels * node->filter.height * node->filter.width;
}

/* Row `dy, dx` of a channel's part of the matrix: the plane, moved, with zeros beyond its edges.
 * Forward it is written into `columns`; back, columns are added to the plane. */
static void shift_plane(dsc_real *columns, dsc_real *plane, const dsc_image *image, long dy,
                        long dx, bool back)
{
    const long height = (long)image->height, width = (long)image->width;

    for (long y = 0; y < height; y++)
        for (long x = 0; x < width; x++) {
            const bool inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width;
            dsc_real *const column = &columns[y * width + x];

            if (!back)
                *column = inside ? plane[(y + dy) * width + x + dx] : 0;
            else if (inside)
                plane[(y + dy) * width + x + dx] += *column;
        }
}

static void shift_image(const dsc_tape_node *node, dsc_real *columns, dsc_real *image, bool back)
{
    const long half = (long)node->filter.height / 2;

    for (size_t c = 0; c < node->image.channels; c++, image += places(&node->image))
        for (long dy = -half; dy <= half; dy++)
            for (long dx = -half; dx <= half; dx++, columns += places(&node->image))
                shift_plane(columns, image, &node->image, dy, dx, back);
}

static void conv_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t filters = node->filter.channels, plane = places(&node->image);
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const w = dsc_tape_value(pass, node->from[1]);
    const dsc_real *const b = dsc_tape_value(pass, node->from[2]);
    dsc_real *const columns = pass->work + node->kept;

    for (size_t row = 0; row < node->rows; row++) {
        dsc_real *const y = value_of(pass, node) + row * node->columns;

        for (size_t i = 0; i < node->columns; i++)
            y[i] = b[i / plane];
        shift_image(node, columns, (dsc_real *)x + row * node->image.channels * plane, false);
        dsc_mat_mul(y, w, columns, filters, plane, window(node), (dsc_mat_how) {.add = true});
    }
}

static void conv_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t filters = node->filter.channels, plane = places(&node->image);
    const size_t image = node->image.channels * plane;
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const w = dsc_tape_value(pass, node->from[1]);
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);
    dsc_real *const dw = dsc_tape_grad(pass, node->from[1]);
    dsc_real *const db = dsc_tape_grad(pass, node->from[2]);
    dsc_real *const columns = pass->work + node->kept;

    for (size_t row = 0; row < node->rows; row++) {
        const dsc_real *const dy = grad_of(pass, node) + row * node->columns;

        for (size_t i = 0; i < node->columns; i++)
            db[i / plane] += dy[i];
        shift_image(node, columns, (dsc_real *)x + row * image, false);
        dsc_mat_mul(dw, dy, columns, filters, window(node), plane,
                    (dsc_mat_how) {.b_transposed = true, .add = true});
        if (!dx)
            continue;
        dsc_mat_mul(columns, w, dy, window(node), plane, filters,
                    (dsc_mat_how) {.a_transposed = true});
        shift_image(node, columns, dx + row * image, true);
    }
}

static const dsc_tape_op conv = {
    .name = "conv", .forward = conv_forward, .backward = conv_backward};

dsc_var dsc_tape_conv(dsc_tape *tape, dsc_var x, dsc_var w, dsc_var b, dsc_image image, size_t size)
{
    const dsc_tape_node *const from = node_of(tape, x), *const weight = node_of(tape, w);
    const size_t plane = places(&image);

    assert(size % 2 == 1 && from->columns == image.channels * plane);
    assert(weight->columns == image.channels * size * size);
    assert(node_of(tape, b)->columns == weight->rows);
    return dsc_tape_add(tape, &(dsc_tape_node) {.op = &conv,
                                                .from = {x, w, b},
                                                .rows = from->rows,
                                                .columns = weight->rows * plane,
                                                .extra = weight->columns * plane,
                                                .image = image,
                                                .filter = {weight->rows, size, size}});
}

/* --- pooling --- */

static dsc_image pooled(const dsc_image *image)
{
    return (dsc_image) {image->channels, (image->height + 1) / 2, (image->width + 1) / 2};
}

/* Where in the plane the greatest of window (y, x) is. */
static size_t greatest(const dsc_real *plane, const dsc_image *image, size_t y, size_t x)
{
    size_t best = 2 * y * image->width + 2 * x;

    for (size_t i = 2 * y; i < 2 * y + 2 && i < image->height; i++)
        for (size_t k = 2 * x; k < 2 * x + 2 && k < image->width; k++)
            if (!(plane[i * image->width + k] <= plane[best]))
                best = i * image->width + k;
    return best;
}

static void pool_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_image out = pooled(&node->image);
    const dsc_real *plane = dsc_tape_value(pass, node->from[0]);
    dsc_real *y = value_of(pass, node);

    for (size_t i = 0; i < node->rows * out.channels; i++, plane += places(&node->image))
        for (size_t at = 0; at < places(&out); at++)
            *y++ = plane[greatest(plane, &node->image, at / out.width, at % out.width)];
}

static void pool_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_image out = pooled(&node->image);
    const dsc_real *plane = dsc_tape_value(pass, node->from[0]), *dy = grad_of(pass, node);
    dsc_real *dx = dsc_tape_grad(pass, node->from[0]);

    if (!dx)
        return;
    for (size_t i = 0; i < node->rows * out.channels; i++) {
        for (size_t at = 0; at < places(&out); at++)
            dx[greatest(plane, &node->image, at / out.width, at % out.width)] += *dy++;
        plane += places(&node->image);
        dx += places(&node->image);
    }
}

static const dsc_tape_op pool = {
    .name = "pool", .forward = pool_forward, .backward = pool_backward};

dsc_var dsc_tape_pool(dsc_tape *tape, dsc_var x, dsc_image image)
{
    const dsc_tape_node *const from = node_of(tape, x);
    const dsc_image out = pooled(&image);

    assert(from->columns == image.channels * places(&image));
    return dsc_tape_add(tape, &(dsc_tape_node) {.op = &pool,
                                                .from = {x},
                                                .rows = from->rows,
                                                .columns = out.channels * places(&out),
                                                .image = image});
}

/* --- batch norm --- */

static const double norm_eps = 1e-3;

/* One channel's numbers: of every row, the plane at `from`. */
typedef struct {
    size_t from, plane, rows, columns;
} channel;

static channel channel_of(const dsc_tape_node *node, size_t c)
{
    const size_t plane = places(&node->image);

    return (channel) {c * plane, plane, node->rows, node->columns};
}

static double channel_count(const channel *c)
{
    return (double)(c->rows * c->plane);
}

/* Mean over the channel of a (b - shift) scale, or of a alone when b is NULL. */
static double channel_mean(const channel *c, const dsc_real *a, const dsc_real *b, double shift,
                           double scale)
{
    double sum = 0;

    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = row * c->columns + c->from, end = i + c->plane; i < end; i++)
            sum += b ? (double)a[i] * (((double)b[i] - shift) * scale) : (double)a[i];
    return sum / channel_count(c);
}

static double channel_variance(const channel *c, const dsc_real *x, double mean)
{
    double sum = 0;

    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = row * c->columns + c->from, end = i + c->plane; i < end; i++)
            sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sum / channel_count(c);
}

/* kept: mean and 1/s of each channel */
static void norm_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const gain = dsc_tape_value(pass, node->from[1]);
    const dsc_real *const bias = dsc_tape_value(pass, node->from[2]);
    dsc_real *const y = value_of(pass, node), *const kept = pass->work + node->kept;

    for (size_t k = 0; k < node->image.channels; k++) {
        const channel c = channel_of(node, k);
        const double mean = channel_mean(&c, x, NULL, 0, 1);
        const double scale = 1 / sqrt(channel_variance(&c, x, mean) + norm_eps);

        kept[2 * k] = (dsc_real)mean;
        kept[2 * k + 1] = (dsc_real)scale;
        for (size_t row = 0; row < c.rows; row++)
            for (size_t i = row * c.columns + c.from, end = i + c.plane; i < end; i++)
                y[i] = (dsc_real)(((double)x[i] - mean) * scale) * gain[k] + bias[k];
    }
}

static void norm_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const gain = dsc_tape_value(pass, node->from[1]);
    const dsc_real *const dy = grad_of(pass, node), *const kept = pass->work + node->kept;
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);
    dsc_real *const dgain = dsc_tape_grad(pass, node->from[1]);
    dsc_real *const dbias = dsc_tape_grad(pass, node->from[2]);

    for (size_t k = 0; k < node->image.channels; k++) {
        const channel c = channel_of(node, k);
        const double mean = (double)kept[2 * k], scale = (double)kept[2 * k + 1];
        const double mean_dy = channel_mean(&c, dy, NULL, 0, 1);
        const double mean_dyz = channel_mean(&c, dy, x, mean, scale);

        dgain[k] += (dsc_real)(mean_dyz * channel_count(&c));
        dbias[k] += (dsc_real)(mean_dy * channel_count(&c));
        for (size_t row = 0; dx && row < c.rows; row++)
            for (size_t i = row * c.columns + c.from, end = i + c.plane; i < end; i++)
                dx[i] += (dsc_real)((double)gain[k] * scale *
                                    ((double)dy[i] - mean_dy -
                                     ((double)x[i] - mean) * scale * mean_dyz));
    }
}

static const dsc_tape_op batch_norm = {
    .name = "batch_norm", .forward = norm_forward, .backward = norm_backward};

dsc_var dsc_tape_batch_norm(dsc_tape *tape, dsc_var x, dsc_var gain, dsc_var bias, dsc_image image)
{
    const dsc_tape_node *const from = node_of(tape, x);

    assert(from->columns == image.channels * places(&image));
    assert(node_of(tape, gain)->columns == image.channels);
    assert(node_of(tape, bias)->columns == image.channels);
    return dsc_tape_add(tape, &(dsc_tape_node) {.op = &batch_norm,
                                                .from = {x, gain, bias},
                                                .rows = from->rows,
                                                .columns = from->columns,
                                                .extra = 2 * image.channels,
                                                .image = image});
}

/* --- losses --- */

static dsc_var add_loss(dsc_tape *tape, const dsc_tape_op *op, dsc_var x, dsc_var target,
                        size_t extra)
{
    assert(node_of(tape, x)->rows == node_of(tape, target)->rows);
    assert(node_of(tape, target)->op == &dsc_tape_op_input);
    return dsc_tape_add(
        tape,
        &(dsc_tape_node) {.op = op, .from = {x, target}, .rows = 1, .columns = 1, .extra = extra});
}

/* The probabilities of one row, and the log of the sum that they were divided by. */
static double softmax_row(dsc_real *p, const dsc_real *x, size_t classes)
{
    double greatest_x = (double)x[0], sum = 0;

    for (size_t i = 1; i < classes; i++)
        greatest_x = fmax(greatest_x, (double)x[i]);
    for (size_t i = 0; i < classes; i++)
        sum += exp((double)x[i] - greatest_x);
    for (size_t i = 0; i < classes; i++)
        p[i] = (dsc_real)(exp((double)x[i] - greatest_x) / sum);
    /* cppcheck-suppress invalidFunctionArg ; there is a class, so the sum is 1 or more */
    return greatest_x + log(sum);
}

static void softmax_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_tape_node *const from = &pass->tape->node[node->from[0]];
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const label = dsc_tape_value(pass, node->from[1]);
    dsc_real *const p = pass->work + node->kept;
    double sum = 0;

    for (size_t row = 0; row < from->rows; row++) {
        const size_t at = row * from->columns;

        sum += softmax_row(p + at, x + at, from->columns) - (double)x[at + (size_t)label[row]];
    }
    *value_of(pass, node) = (dsc_real)(sum / (double)from->rows);
}

static void softmax_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_tape_node *const from = &pass->tape->node[node->from[0]];
    const dsc_real *const label = dsc_tape_value(pass, node->from[1]);
    const dsc_real *const p = pass->work + node->kept;
    const dsc_real scale = *grad_of(pass, node) / (dsc_real)from->rows;
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t row = 0; dx && row < from->rows; row++)
        for (size_t i = 0; i < from->columns; i++) {
            const size_t at = row * from->columns + i;

            dx[at] += scale * (p[at] - (i == (size_t)label[row]));
        }
}

static void logistic_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t rows = pass->tape->node[node->from[0]].rows;
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const label = dsc_tape_value(pass, node->from[1]);
    double sum = 0;

    for (size_t row = 0; row < rows; row++) /* log(1 + e^x) that cannot overflow */
        sum += fmax((double)x[row], 0) + log1p(exp(-fabs((double)x[row]))) -
               (double)label[row] * (double)x[row];
    *value_of(pass, node) = (dsc_real)(sum / (double)rows);
}

static void logistic_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t rows = pass->tape->node[node->from[0]].rows;
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const label = dsc_tape_value(pass, node->from[1]);
    const double scale = (double)*grad_of(pass, node) / (double)rows;
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t row = 0; dx && row < rows; row++)
        dx[row] +=
            (dsc_real)(scale * (0.5 + 0.5 * tanh(0.5 * (double)x[row]) - (double)label[row]));
}

static void square_forward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t len = len_of(&pass->tape->node[node->from[0]]);
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const y = dsc_tape_value(pass, node->from[1]);
    double sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    *value_of(pass, node) = (dsc_real)(sum / (double)len);
}

static void square_backward(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t len = len_of(&pass->tape->node[node->from[0]]);
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const y = dsc_tape_value(pass, node->from[1]);
    const dsc_real scale = 2 * *grad_of(pass, node) / (dsc_real)len;
    dsc_real *const dx = dsc_tape_grad(pass, node->from[0]);

    for (size_t i = 0; dx && i < len; i++)
        dx[i] += scale * (x[i] - y[i]);
}

/* A loss is the end of a tape: nobody asks for its tangent. */
static void no_tangent(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    (void)pass, (void)node;
}

/* Rp = p (Rx - sum p Rx) */
static void softmax_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const dsc_tape_node *const from = &pass->tape->node[node->from[0]];
    const dsc_real *const p = pass->work + node->kept;
    const dsc_real *const r_x = dsc_tape_tangent(pass, node->from[0]);
    dsc_real *const r_dx = dsc_tape_grad_tangent(pass, node->from[0]);

    for (size_t row = 0; r_dx && row < from->rows; row++) {
        const size_t at = row * from->columns;
        dsc_real mean = 0;

        for (size_t i = at; i < at + from->columns; i++)
            mean += p[i] * r_x[i];
        for (size_t i = at; i < at + from->columns; i++)
            r_dx[i] += p[i] * (r_x[i] - mean) / (dsc_real)from->rows;
    }
}

static void logistic_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t rows = pass->tape->node[node->from[0]].rows;
    const dsc_real *const x = dsc_tape_value(pass, node->from[0]);
    const dsc_real *const r_x = dsc_tape_tangent(pass, node->from[0]);
    dsc_real *const r_dx = dsc_tape_grad_tangent(pass, node->from[0]);

    for (size_t row = 0; r_dx && row < rows; row++) {
        const dsc_real y = (dsc_real)(0.5 + 0.5 * tanh(0.5 * (double)x[row]));

        r_dx[row] += y * (1 - y) * r_x[row] / (dsc_real)rows;
    }
}

static void square_tangent_back(const dsc_tape_pass *pass, const dsc_tape_node *node)
{
    const size_t len = len_of(&pass->tape->node[node->from[0]]);
    const dsc_real *const r_x = dsc_tape_tangent(pass, node->from[0]);
    dsc_real *const r_dx = dsc_tape_grad_tangent(pass, node->from[0]);

    for (size_t i = 0; r_dx && i < len; i++)
        r_dx[i] += 2 * r_x[i] / (dsc_real)len;
}

static const dsc_tape_op softmax_loss = {"softmax_loss", softmax_forward, softmax_backward,
                                         no_tangent, softmax_tangent_back};
static const dsc_tape_op logistic_loss = {"logistic_loss", logistic_forward, logistic_backward,
                                          no_tangent, logistic_tangent_back};
static const dsc_tape_op square_loss = {"square_loss", square_forward, square_backward, no_tangent,
                                        square_tangent_back};

dsc_var dsc_tape_softmax_loss(dsc_tape *tape, dsc_var x, dsc_var labels)
{
    return add_loss(tape, &softmax_loss, x, labels, len_of(node_of(tape, x)));
}
dsc_var dsc_tape_logistic_loss(dsc_tape *tape, dsc_var x, dsc_var labels)
{
    assert(node_of(tape, x)->columns == 1);
    return add_loss(tape, &logistic_loss, x, labels, 0);
}
dsc_var dsc_tape_square_loss(dsc_tape *tape, dsc_var x, dsc_var y)
{
    assert(node_of(tape, x)->columns == node_of(tape, y)->columns);
    return add_loss(tape, &square_loss, x, y, 0);
}
