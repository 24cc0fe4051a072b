/* family.c -- the one list of families */
#include "family.h"

#include <stddef.h>
#include <string.h>

const dsc_family *const dsc_families[] = {
    /* hand-designed */
    &dsc_family_sgd, &dsc_family_momentum, &dsc_family_nag, &dsc_family_rmsprop,
    &dsc_family_adagrad, &dsc_family_adam, &dsc_family_amsgrad, &dsc_family_lion, &dsc_family_rprop,
    &dsc_family_lbfgs,
    /* learned */
    &dsc_family_lstm, &dsc_family_lstm_gac, &dsc_family_rnnprop, &dsc_family_ntm_lbfgs, NULL};

const dsc_family *dsc_family_find(const char *name)
{
    for (const dsc_family *const *family = dsc_families; *family; family++)
        if (strcmp((*family)->name, name) == 0)
            return *family;
    return NULL;
}
