/* tape_op.h -- what a kind of node does, for tape.c and tape_ops.c only */
#ifndef DSC_TAPE_OP_H
#define DSC_TAPE_OP_H

#include "tape.h"

/* One run of a tape. */
typedef struct {
    const dsc_tape *tape;
    const dsc_real *theta;
    dsc_real *grad; /* [params], NULL when nobody wants it */
    dsc_real *work;
} dsc_tape_pass;

typedef struct dsc_tape_op {
    const char *name;
    /* The node's value from those of `from`. */
    void (*forward)(const dsc_tape_pass *pass, const dsc_tape_node *node);
    /* The gradients of `from` += what the node's own gradient makes of them; those of inputs are
     * NULL. */
    void (*backward)(const dsc_tape_pass *pass, const dsc_tape_node *node);
} dsc_tape_op;

extern const dsc_tape_op dsc_tape_op_param, dsc_tape_op_input;

/* A new node with a value, a gradient and `extra` numbers of its own. */
dsc_var dsc_tape_add(dsc_tape *tape, const dsc_tape_node *node);

const dsc_real *dsc_tape_value(const dsc_tape_pass *pass, dsc_var var); /* [rows][columns] */
dsc_real *dsc_tape_grad(const dsc_tape_pass *pass, dsc_var var);        /* likewise, or NULL */

#endif
