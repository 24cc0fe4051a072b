/* store_check.h -- is a data directory sound? For the commands; one thread. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "core/descent.h"
#include <stddef.h>
#include <stdio.h>

/* Check both databases of `dir` and print a line for each thing that is wrong: their structure
 * (SQLite's own checks), their references, every stored weights file against its hash, that every
 * session's gradients are whole and without a gap, and that its chunks are among them. Of a
 * database that is not up to date only the structure. Changes nothing and may run beside a server;
 * reads everything. False only when it could not be done: FAULT_NOT_FOUND, FAULT_INTERNAL. */
bool store_check(const char *dir, FILE *out, size_t *faults, dsc_err *err) DSC_MUST_CHECK;

/* Print what migrations the databases of `dir` are at, and count those that this program would
 * apply. With `try` they are applied, and undone again, so that a failure is known before; then no
 * server may work in `dir`. */
bool store_check_migrations(const char *dir, bool try, FILE *out, size_t *pending,
                            dsc_err *err) DSC_MUST_CHECK;

#endif
