/* kernel.h -- which instruction set the steps run on
 *
 * The same source is compiled once for each row; the best one the processor has is picked at run
 * time. All kernels with fused multiply-add ("fma") give the same bits, so a session may move
 * between them. */
#ifndef DSC_KERNEL_H
#define DSC_KERNEL_H

#include <stdbool.h>

struct dsc_lstm_step;  /* lstm_kernel.h */
struct dsc_lstm_maths; /* lstm.h        */
struct dsc_rules;      /* rule.h        */

typedef struct {
    const char *name;       /* "x86-64-v4", "x86-64-v3", "plain" */
    const char *arithmetic; /* "fma" or "nofma": equal words, equal bits */
    bool (*usable)(void);   /* does this processor have it?      */
    void (*lstm)(const struct dsc_lstm_step *step);
    const struct dsc_lstm_maths *maths; /* of training */
    const struct dsc_rules *rules;      /* of the hand-designed families */
} dsc_kernel;

/* Fastest first, NULL-terminated; "plain" is last and always usable. */
extern const dsc_kernel *const dsc_kernels[];

/* The fastest usable kernel; borrowed. */
const dsc_kernel *dsc_kernel_best(void);

/* By name; NULL when there is none or this processor cannot run it. */
const dsc_kernel *dsc_kernel_find(const char *name);

#endif
