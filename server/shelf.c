#include "shelf.h"
#include "fault.h"
#include "file.h"
#include "limits.h"
#include "safetensors.h"
#include <string.h>

bool shelf_open(struct shelf *shelf, const char *dir, dsc_err *err)
{
    *shelf = (struct shelf) {.store = NULL};
    dsc_arena_init(&shelf->arena, LIMIT_ARENA_BYTES);
    return (!dir || store_make_dir(dir, err)) && store_open(&shelf->store, dir, err) &&
           registry_open(&shelf->registry, shelf->store, dsc_kernel_best(), err);
}

void shelf_close(struct shelf *shelf)
{
    registry_close(shelf->registry);
    store_close(shelf->store);
    dsc_arena_release(&shelf->arena);
}

/* --- taking --- */

static bool take_file(const char *path, const dsc_family *family, dsc_model **out, dsc_err *err)
{
    struct buf *file = NULL;
    const bool ok = file_read(&file, path, LIMIT_BODY_BYTES, err) &&
                    safetensors_import(out, file->data, file->len, family, NULL, err);

    buf_drop(file);
    return ok;
}

static bool is_path(const char *reference)
{
    static const char ending[] = ".safetensors";
    const size_t len = strlen(reference), end = strlen(ending);

    return len > end && strcmp(reference + len - end, ending) == 0;
}

bool shelf_take(struct shelf *shelf, const char *reference, const dsc_family *family,
                dsc_model **out, dsc_err *err)
{
    struct version_row row;

    if (is_path(reference))
        return take_file(reference, family, out, err);
    if (!registry_resolve(shelf->registry, reference, &row, &shelf->arena, err))
        return false;
    if (family && strcmp(row.family, family->name) != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, reference, "is of the family %s, not %s",
                        row.family, family->name);
    return registry_model(shelf->registry, row.id, out, err);
}

/* --- putting --- */

/* The optimizer of that name, if there is one: may it get a version of this family? */
static bool look(struct shelf *shelf, const char *name, const dsc_family *family, bool *is_there,
                 dsc_err *err)
{
    struct optimizer_row there;

    if (!registry_name_ok(name))
        return dsc_fail(err, FAULT_INVALID_VALUE, "optimizer",
                        "must match ^[a-z0-9][a-z0-9._-]{0,62}$, not \"%.63s\"", name);
    *is_there = store_optimizer_find(shelf->store, name, &there, &shelf->arena, NULL);
    if (*is_there && there.builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "optimizer",
                        "%s came with the program and gets no other versions", name);
    if (*is_there && strcmp(there.family, family->name) != 0)
        return dsc_fail(err, FAULT_INVALID_VALUE, "optimizer", "%s is of the family %s, not %s",
                        name, there.family, family->name);
    return true;
}

bool shelf_check(struct shelf *shelf, const char *name, const dsc_family *family, dsc_err *err)
{
    bool is_there;

    return look(shelf, name, family, &is_there, err);
}

/* The optimizer that a version is for, made unless it is there. */
static bool find_or_create(struct shelf *shelf, const char *name, const dsc_model *model,
                           dsc_err *err)
{
    const dsc_family *const family = dsc_model_family(model);
    struct optimizer_row row = {
        .name = name, .family = family->name, .description = "", .labels = "{}"};
    bool is_there;

    return look(shelf, name, family, &is_there, err) &&
           (is_there ||
            registry_create(shelf->registry, &row, dsc_model_hyper(model), &shelf->arena, err));
}

bool shelf_put(struct shelf *shelf, const char *name, dsc_model *model, struct version_row *row,
               dsc_err *err)
{
    return find_or_create(shelf, name, model, err) &&
           registry_publish(shelf->registry, name, model, "job", row, &shelf->arena, err);
}

bool shelf_write(const char *path, const dsc_model *model, dsc_err *err)
{
    struct buf *bytes = NULL;
    const bool ok = safetensors_export(&bytes, model, err) && file_write(path, bytes, err);

    buf_drop(bytes);
    return ok;
}
