/* kernel.c -- the list of kernels, and picking from it */
#include "kernel.h"

#include "lstm_kernel.h"

#include <stddef.h>
#include <string.h>

const dsc_kernel *const dsc_kernels[] = {
#ifdef __x86_64__
    &dsc_kernel_v4,
    &dsc_kernel_v3,
#endif
    &dsc_kernel_plain,
    NULL,
};

const dsc_kernel *dsc_kernel_best(void)
{
    const dsc_kernel *const *kernel = dsc_kernels;

    while (!(*kernel)->usable()) /* ends: "plain" always is */
        kernel++;
    return *kernel;
}

const dsc_kernel *dsc_kernel_find(const char *name)
{
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++)
        if (strcmp((*kernel)->name, name) == 0)
            return (*kernel)->usable() ? *kernel : NULL;
    return NULL;
}
