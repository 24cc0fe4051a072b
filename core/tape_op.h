/* tape_op.h -- what a kind of node does, for tape.c and tape_ops.c only */
#ifndef DSC_TAPE_OP_H
#define DSC_TAPE_OP_H

#include "tape.h"

/* One run of a tape. A tangent is the derivative along v of what it is the tangent of. */
typedef struct {
    const dsc_tape *tape;
    const dsc_real *theta;
    dsc_real *grad; /* [params], NULL when nobody wants it */
    dsc_real *work;

    const dsc_real *v; /* [params]; this and the rest only where tangents are wanted */
    dsc_real *product; /* [params] the tangent of grad */
    dsc_real *twin;    /* [work_len] tangents, of values and of gradients, as they lie in work */
} dsc_tape_pass;

typedef struct dsc_tape_op {
    const char *name;
    /* The node's value from those of `from`. */
    void (*forward)(const dsc_tape_pass *pass, const dsc_tape_node *node);
    /* The gradients of `from` += what the node's own gradient makes of them; those of inputs are
     * NULL. */
    void (*backward)(const dsc_tape_pass *pass, const dsc_tape_node *node);
    /* The same two for tangents, when values and gradients are there; NULL where nobody wrote them
     * down. */
    void (*tangent)(const dsc_tape_pass *pass, const dsc_tape_node *node);
    void (*tangent_back)(const dsc_tape_pass *pass, const dsc_tape_node *node);
} dsc_tape_op;

extern const dsc_tape_op dsc_tape_op_param, dsc_tape_op_input;

/* A new node with a value, a gradient and `extra` numbers of its own. */
dsc_var dsc_tape_add(dsc_tape *tape, const dsc_tape_node *node);

const dsc_real *dsc_tape_value(const dsc_tape_pass *pass, dsc_var var); /* [rows][columns] */
dsc_real *dsc_tape_grad(const dsc_tape_pass *pass, dsc_var var);        /* likewise, or NULL */

const dsc_real *dsc_tape_tangent(const dsc_tape_pass *pass, dsc_var var);
dsc_real *dsc_tape_grad_tangent(const dsc_tape_pass *pass, dsc_var var);

#endif
