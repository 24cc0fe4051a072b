/* tape.c -- the list of nodes: laid out while it is built, then run */
#include "tape.h"

#include "tape_op.h"

#include <assert.h>
#include <string.h>

/* Nodes begin at multiples of 64 bytes, for BLAS's sake. */
enum { ALIGNED = 16 };

void dsc_tape_init(dsc_tape *tape)
{
    tape->count = 0;
    tape->params = 0;
    tape->work_len = 0;
}

static size_t carve(dsc_tape *tape, size_t len)
{
    const size_t at = tape->work_len;

    tape->work_len += (len + ALIGNED - 1) / ALIGNED * ALIGNED;
    return at;
}

/* The next place in the list, its own numbers not yet laid out. */
static dsc_tape_node *append(dsc_tape *tape, const dsc_tape_node *node)
{
    assert(tape->count < DSC_TAPE_NODES && node->rows > 0 && node->columns > 0);
    tape->node[tape->count] = *node;
    return &tape->node[tape->count++];
}

dsc_var dsc_tape_add(dsc_tape *tape, const dsc_tape_node *node)
{
    dsc_tape_node *const to = append(tape, node);

    to->value = carve(tape, node->rows * node->columns);
    to->grad = carve(tape, node->rows * node->columns);
    to->kept = carve(tape, node->extra);
    return tape->count - 1;
}

dsc_var dsc_tape_param(dsc_tape *tape, size_t rows, size_t columns)
{
    dsc_tape_node *const to =
        append(tape, &(dsc_tape_node) {.op = &dsc_tape_op_param, .rows = rows, .columns = columns});

    to->value = to->grad = tape->params;
    tape->params += rows * columns;
    return tape->count - 1;
}

dsc_var dsc_tape_input(dsc_tape *tape, size_t rows, size_t columns)
{
    dsc_tape_node *const to =
        append(tape, &(dsc_tape_node) {.op = &dsc_tape_op_input, .rows = rows, .columns = columns});

    to->value = carve(tape, rows * columns);
    return tape->count - 1;
}

dsc_real *dsc_tape_at(const dsc_tape *tape, dsc_real *work, dsc_var var)
{
    assert(tape->node[var].op == &dsc_tape_op_input);
    return work + tape->node[var].value;
}

const dsc_real *dsc_tape_value(const dsc_tape_pass *pass, dsc_var var)
{
    const dsc_tape_node *const node = &pass->tape->node[var];

    return node->op == &dsc_tape_op_param ? pass->theta + node->value : pass->work + node->value;
}

dsc_real *dsc_tape_grad(const dsc_tape_pass *pass, dsc_var var)
{
    const dsc_tape_node *const node = &pass->tape->node[var];

    if (node->op == &dsc_tape_op_input)
        return NULL;
    return node->op == &dsc_tape_op_param ? pass->grad + node->grad : pass->work + node->grad;
}

const dsc_real *dsc_tape_tangent(const dsc_tape_pass *pass, dsc_var var)
{
    const dsc_tape_node *const node = &pass->tape->node[var];

    return node->op == &dsc_tape_op_param ? pass->v + node->value : pass->twin + node->value;
}

dsc_real *dsc_tape_grad_tangent(const dsc_tape_pass *pass, dsc_var var)
{
    const dsc_tape_node *const node = &pass->tape->node[var];

    if (node->op == &dsc_tape_op_input)
        return NULL;
    return node->op == &dsc_tape_op_param ? pass->product + node->grad : pass->twin + node->grad;
}

/* --- running --- */

static void forward(const dsc_tape_pass *pass)
{
    for (dsc_var i = 0; i < pass->tape->count; i++)
        if (pass->tape->node[i].op->forward)
            pass->tape->node[i].op->forward(pass, &pass->tape->node[i]);
}

static void backward(const dsc_tape_pass *pass)
{
    const dsc_tape *const tape = pass->tape;

    memset(pass->grad, 0, tape->params * sizeof *pass->grad);
    for (dsc_var i = 0; i < tape->count; i++)
        if (tape->node[i].op->backward)
            memset(dsc_tape_grad(pass, i), 0,
                   tape->node[i].rows * tape->node[i].columns * sizeof *pass->grad);
    *dsc_tape_grad(pass, tape->count - 1) = 1;
    for (dsc_var i = tape->count; i-- > 0;)
        if (tape->node[i].op->backward)
            tape->node[i].op->backward(pass, &tape->node[i]);
}

double dsc_tape_run(const dsc_tape *tape, const dsc_real *theta, dsc_real *grad, dsc_real *work)
{
    const dsc_tape_pass pass = {.tape = tape, .theta = theta, .grad = grad, .work = work};
    const dsc_tape_node *const last = &tape->node[tape->count - 1];

    assert(last->rows == 1 && last->columns == 1);
    forward(&pass);
    if (grad)
        backward(&pass);
    return (double)work[last->value];
}

/* Inputs do not move, so their tangents are 0, as are at first those of all gradients. */
static void run_tangents(const dsc_tape_pass *pass)
{
    const dsc_tape *const tape = pass->tape;

    memset(pass->twin, 0, tape->work_len * sizeof *pass->twin);
    memset(pass->product, 0, tape->params * sizeof *pass->product);
    for (dsc_var i = 0; i < tape->count; i++) {
        assert(!tape->node[i].op->forward || tape->node[i].op->tangent);
        if (tape->node[i].op->tangent)
            tape->node[i].op->tangent(pass, &tape->node[i]);
    }
    for (dsc_var i = tape->count; i-- > 0;)
        if (tape->node[i].op->tangent_back)
            tape->node[i].op->tangent_back(pass, &tape->node[i]);
}

void dsc_tape_curve(const dsc_tape *tape, const dsc_real *theta, const dsc_real *v,
                    dsc_real *product, dsc_real *work)
{
    /* The gradient by theta itself is not needed: product has room for it until its turn. */
    const dsc_tape_pass pass = {.tape = tape,
                                .theta = theta,
                                .grad = product,
                                .work = work,
                                .v = v,
                                .product = product,
                                .twin = work + tape->work_len};

    forward(&pass);
    backward(&pass);
    run_tangents(&pass);
}
