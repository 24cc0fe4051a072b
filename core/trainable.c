/* trainable.c -- the one list of families that can be trained */
#include "trainable.h"

#include <stddef.h>

const dsc_trainable *const dsc_trainables[] = {
    &dsc_trainable_lstm,
    NULL,
};

const dsc_trainable *dsc_trainable_find(const dsc_family *family)
{
    for (const dsc_trainable *const *row = dsc_trainables; *row; row++)
        if ((*row)->family == family)
            return *row;
    return NULL;
}
