/* torch.h -- PyTorch in a process beside ours (torch_side.py), measured when asked */
#ifndef TORCH_H
#define TORCH_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct torch {
    pid_t pid;
    FILE *to, *from;
    char how[128]; /* the way that was fastest at the last measurement */
};

void torch_start(struct torch *torch);
void torch_stop(struct torch *torch);

/* What is to be measured: arg of the bench sides below. */
struct torch_task {
    struct torch *torch;
    size_t number; /* coordinates of a step, or threads of a meta-step */
};

double torch_step(void *task); /* seconds; bench sides */
double torch_meta(void *task);

#endif
