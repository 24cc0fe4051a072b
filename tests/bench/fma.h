/* fma.h -- the most multiply-adds that one core does: the kernels' yardstick */
#ifndef FMA_H
#define FMA_H

/* Floating-point operations a second of independent multiply-adds in registers, two for each; of
 * this thread's own time. Takes a few milliseconds. 0 where this processor has no yardstick. */
double fma_peak(void);

#endif
