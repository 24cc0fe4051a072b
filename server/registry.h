/* registry.h -- stored optimizers as models ready to run
 *
 * Resolves references (`name`, `name:7`, `name@alias`), keeps each used version's model in memory
 * once, and puts the builtin optimizers into a fresh database. For threads that may wait for a
 * disk. */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "store.h"

struct registry;

/* Adds what a fresh server holds. `store` and `kernel` are borrowed. */
bool registry_open(struct registry **out, struct store *store, const dsc_kernel *kernel,
                   dsc_err *err) DSC_MUST_CHECK;
void registry_close(struct registry *registry); /* NULL is fine */

/* The version that a reference means. FAULT_INVALID_VALUE (where = "optimizer") when it is
 * malformed, FAULT_NOT_FOUND, FAULT_NO_VERSION. */
bool registry_resolve(struct registry *registry, const char *reference, struct version_row *out,
                      dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* A version's model; *out is the caller's count. */
bool registry_model(struct registry *registry, int64_t version_id, dsc_model **out,
                    dsc_err *err) DSC_MUST_CHECK;

/* What a version's row says of its model, and the file that is stored with it; *file is the
 * caller's count. For those who insert it in a transaction of their own. */
bool registry_describe(const char *optimizer, const dsc_model *model, const char *source,
                       struct version_row *row, struct buf **file, dsc_arena *arena,
                       dsc_err *err) DSC_MUST_CHECK;

/* Store a model as a version: the first one of a hand-designed optimizer, or an import. Fills row's
 * id, number, sha256 and sizes. */
bool registry_publish(struct registry *registry, const char *optimizer, dsc_model *model,
                      const char *source, struct version_row *row, dsc_arena *arena,
                      dsc_err *err) DSC_MUST_CHECK;

/* The same for a request's import, which fulfils a claim; 0: none. */
bool registry_import(struct registry *registry, const char *optimizer, dsc_model *model,
                     int64_t claim, struct version_row *row, dsc_arena *arena,
                     dsc_err *err) DSC_MUST_CHECK;

/* Create an optimizer; a hand-designed family gets version 1 at once from `hyper`. */
bool registry_create(struct registry *registry, struct optimizer_row *row, const dsc_hyper *hyper,
                     dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* Does `name` match ^[a-z0-9][a-z0-9._-]{0,62}$ ? An alias is shorter: 32 characters at most. */
bool registry_name_ok(const char *name);
bool registry_alias_ok(const char *alias);

#endif
