/* shelf.h -- where a command finds optimizers, and puts new ones: a folder's registry, weights
 * files, and what the program ships
 *
 * For commands that work without a server. A reference is name, name:7 or name@alias in the folder,
 * or the path of a .safetensors file. Without a folder, names are those of a fresh server. One
 * thread. */
#ifndef SHELF_H
#define SHELF_H

#include "registry.h"

struct shelf {
    struct store *store; /* NULL: no folder */
    struct registry *registry;
    dsc_arena arena;
};

/* `dir` NULL: no folder. A folder is made when it is not there. Close in both cases. */
bool shelf_open(struct shelf *shelf, const char *dir, dsc_err *err) DSC_MUST_CHECK;
void shelf_close(struct shelf *shelf);

/* *out is the caller's count. A file must be of `family` when it is not NULL; else its metadata
 * says which. */
bool shelf_take(struct shelf *shelf, const char *reference, const dsc_family *family,
                dsc_model **out, dsc_err *err) DSC_MUST_CHECK;

/* May `name` get a version of this family? Asked before work that would be lost otherwise. */
bool shelf_check(struct shelf *shelf, const char *name, const dsc_family *family,
                 dsc_err *err) DSC_MUST_CHECK;

/* Make the model a new version of optimizer `name`, which is created unless it is there. */
bool shelf_put(struct shelf *shelf, const char *name, dsc_model *model, struct version_row *row,
               dsc_err *err) DSC_MUST_CHECK;

/* Write the model's file, all of it or nothing. */
bool shelf_write(const char *path, const dsc_model *model, dsc_err *err) DSC_MUST_CHECK;

#endif
