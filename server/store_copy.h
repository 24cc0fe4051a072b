/* store_copy.h -- a data directory copied whole, also while a server works in it
 *
 * For the commands; one thread. Neither directory is migrated. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "core/descent.h"

/* Copy the databases in `from` to `to`, which is made for its owner only and must hold none yet.
 * The copy is what a crash at one moment would have left; sessions of durability `memory` are not
 * in it. One that was cut off has no descent.db. FAULT_NOT_FOUND when `from` has no databases,
 * FAULT_ALREADY_EXISTS when `to` has, FAULT_STORAGE_FULL, FAULT_INTERNAL. */
bool store_copy(const char *from, const char *to, dsc_err *err) DSC_MUST_CHECK;

#endif
