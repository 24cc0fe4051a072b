/* dataset.c -- datasets of the database and of a folder under one roof */
#include "dataset_impl.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "registry.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const dataset_format_words[] = {"idx", "cifar", "npy", "csv", NULL};

/* --- which of the folder's --- */

static const struct dataset *find_in_folder(const struct datasets *datasets, const char *name)
{
    for (size_t i = 0; i < datasets->folders; i++)
        if (strcmp(datasets->folder[i].name, name) == 0)
            return &datasets->folder[i];
    return NULL;
}

bool dataset_check_writable(const struct datasets *datasets, const char *name, dsc_err *err)
{
    return !find_in_folder(datasets, name) ||
           dsc_fail(err, FAULT_BUILTIN_PROTECTED, "",
                    "%s is of the folder that the server was given: it does not change", name);
}

/* --- looking --- */

static const char *path_of(const struct datasets *datasets, const char *sha256, dsc_arena *arena)
{
    char path[DATASET_PATH_BYTES];
    const int len = snprintf(path, sizeof path, "%s/%s", datasets->dir, sha256);

    return dsc_arena_text(arena, path, (size_t)len);
}

/* A row of the database with its files. */
static bool complete(struct datasets *datasets, const struct dataset_row *row, struct dataset *out,
                     dsc_arena *arena, dsc_err *err)
{
    struct dataset_file_row *file;
    size_t count;
    bool ok = true;

    if (!store_dataset_files(datasets->store, row->id, &file, &count, arena, err))
        return false;
    *out = (struct dataset) {.name = row->name,
                             .format = row->format,
                             .target = row->target,
                             .files = count,
                             .file = dsc_arena_take(arena, count + 1, sizeof *out->file),
                             .created_at = row->created_at,
                             .committed_at = row->committed_at};
    for (size_t i = 0; ok && out->file && i < count; i++) {
        out->file[i] = (struct dataset_file) {.name = file[i].name,
                                              .path = path_of(datasets, file[i].sha256, arena),
                                              .sha256 = file[i].sha256,
                                              .size_bytes = file[i].size_bytes};
        ok = out->file[i].path != NULL;
    }
    return (ok && out->file) || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the dataset");
}

bool dataset_find(struct datasets *datasets, const char *name, struct dataset *out,
                  dsc_arena *arena, dsc_err *err)
{
    const struct dataset *const folder = find_in_folder(datasets, name);
    struct dataset_row row;

    if (folder)
        *out = *folder;
    return folder || (store_dataset_find(datasets->store, name, &row, arena, err) &&
                      complete(datasets, &row, out, arena, err));
}

/* The next of the folder's after `after`, or NULL. */
static const struct dataset *next_in_folder(const struct datasets *datasets, const char *after)
{
    for (size_t i = 0; i < datasets->folders; i++)
        if (strcmp(datasets->folder[i].name, after) > 0)
            return &datasets->folder[i];
    return NULL;
}

/* Two sorted lists become one: the folder's hides an uploaded one of the same name. */
static bool merge(struct datasets *datasets, const char *after, const struct dataset_row *row,
                  size_t rows, struct dataset *out, size_t max, size_t *count, dsc_arena *arena,
                  dsc_err *err)
{
    const struct dataset *folder = next_in_folder(datasets, after);
    size_t i = 0;

    for (*count = 0; *count < max && (folder || i < rows); ++*count) {
        const int order = !folder ? 1 : i == rows ? -1 : strcmp(folder->name, row[i].name);
        if (order > 0 && !complete(datasets, &row[i], &out[*count], arena, err))
            return false;
        if (order <= 0) {
            out[*count] = *folder;
            folder = next_in_folder(datasets, folder->name);
        }
        i += order >= 0;
    }
    return true;
}

bool dataset_list(struct datasets *datasets, const char *after, size_t max, struct dataset **out,
                  size_t *count, bool *more, dsc_arena *arena, dsc_err *err)
{
    struct dataset_row *row;
    size_t rows;

    *out = dsc_arena_take(arena, max + 1, sizeof **out);
    if (!*out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    if (!store_dataset_list(datasets->store, after, max + 1, &row, &rows, arena, err) ||
        !merge(datasets, after ? after : "", row, rows, *out, max + 1, count, arena, err))
        return false;
    *more = *count > max;
    *count -= *more;
    return true;
}

/* --- changing --- */

bool dataset_commit(struct datasets *datasets, const char *name, enum dataset_format format,
                    const char *target, struct dataset *out, dsc_arena *arena, dsc_err *err)
{
    return dataset_check_writable(datasets, name, err) &&
           dataset_find(datasets, name, out, arena, err) &&
           store_dataset_commit(datasets->store, name, dataset_format_words[format], target, err) &&
           dataset_find(datasets, name, out, arena, err);
}

bool dataset_remove_unused(struct datasets *datasets, const char *sha256, dsc_err *err)
{
    char path[DATASET_PATH_BYTES];
    bool has;

    if (!store_dataset_has(datasets->store, sha256, &has, err))
        return false;
    snprintf(path, sizeof path, "%s/%s", datasets->dir, sha256);
    if (!has && unlink(path) != 0 && errno != ENOENT)
        log_line(LOG_WARN, "dataset", "cannot remove %s: %s", path, strerror(errno));
    return true;
}

bool dataset_delete(struct datasets *datasets, const char *name, dsc_err *err)
{
    struct dataset dataset;
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    pthread_mutex_lock(&datasets->lock);
    ok = dataset_check_writable(datasets, name, err) &&
         dataset_find(datasets, name, &dataset, &arena, err) &&
         store_dataset_delete(datasets->store, name, err);
    for (size_t i = 0; ok && i < dataset.files; i++)
        ok = dataset_remove_unused(datasets, dataset.file[i].sha256, err);
    pthread_mutex_unlock(&datasets->lock);
    dsc_arena_release(&arena);
    return ok;
}

/* --- life --- */

/* What a crash left: uploads that were not finished, files whose row was never written or has gone.
 */
static bool tidy(struct datasets *datasets, dsc_err *err)
{
    DIR *const dir = opendir(datasets->dir);
    char path[DATASET_PATH_BYTES];
    bool ok = true;

    if (!dir)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "cannot read %.80s: %s", datasets->dir,
                        strerror(errno));
    for (struct dirent *entry; ok && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, UPLOAD_PREFIX, strlen(UPLOAD_PREFIX)) == 0) {
            snprintf(path, sizeof path, "%s/%s", datasets->dir, entry->d_name);
            (void)unlink(path);
        } else if (strlen(entry->d_name) == 64)
            ok = dataset_remove_unused(datasets, entry->d_name, err);
    }
    closedir(dir);
    return ok;
}

bool datasets_open(struct datasets **out, const struct datasets_means *means, dsc_err *err)
{
    struct datasets *const datasets = calloc(1, sizeof *datasets);

    if (!datasets)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the datasets");
    pthread_mutex_init(&datasets->lock, NULL);
    dsc_arena_init(&datasets->arena, LIMIT_ARENA_BYTES);
    datasets->store = means->store;
    snprintf(datasets->dir, sizeof datasets->dir, "%s/datasets", means->dir);
    if (store_make_dir(datasets->dir, err) && tidy(datasets, err) &&
        (!means->data_dir || dataset_scan(datasets, means->data_dir, err))) {
        *out = datasets;
        return true;
    }
    datasets_close(datasets);
    return false;
}

void datasets_close(struct datasets *datasets)
{
    if (!datasets)
        return;
    dsc_arena_release(&datasets->arena);
    pthread_mutex_destroy(&datasets->lock);
    free(datasets);
}
