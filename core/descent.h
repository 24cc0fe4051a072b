/* descent.h -- the whole of the core that the outside sees
 *
 * The core turns gradients into updates with optimizers that were designed or learned. It does no
 * I/O, keeps no global, reads no clock, starts no thread, and allocates nothing in a step. In
 * reading order: */
#ifndef DSC_DESCENT_H
#define DSC_DESCENT_H

#include "arena.h"  /* memory given back all at once         */
#include "err.h"    /* how a failure travels                 */
#include "rng.h"    /* random numbers by value               */
#include "hyper.h"  /* checked parameters                    */
#include "layout.h" /* a flat array as named tensors         */
#include "state.h"  /* where a coordinate's numbers lie      */
#include "family.h" /* a kind of optimizer, as a constant    */
#include "kernel.h" /* the instruction sets                  */
#include "model.h"  /* family + hyper + weights, immutable   */
#include "run.h"    /* one optimization in progress          */

#include "mat.h"     /* products of matrices            */
#include "dataset.h" /* rows to learn from              */
#include "problem.h" /* functions to minimise              */
#include "crew.h"    /* threads that are lent to the core  */
#include "train.h"   /* learning an optimizer              */
#include "eval.h"    /* measuring one                      */

#endif
