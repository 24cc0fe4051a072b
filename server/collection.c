/* collection.c -- datasets of the database and of a folder under one roof */
#include "collection_impl.h"
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

static const struct dataset *find_in_folder(const struct collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->folders; i++)
        if (strcmp(collection->folder[i].name, name) == 0)
            return &collection->folder[i];
    return NULL;
}

bool collection_check_writable(const struct collection *collection, const char *name, dsc_err *err)
{
    return !find_in_folder(collection, name) ||
           dsc_fail(err, FAULT_BUILTIN_PROTECTED, "",
                    "%s is of the folder that the server was given: it does not change", name);
}

/* --- looking --- */

static const char *path_of(const struct collection *collection, const char *sha256,
                           dsc_arena *arena)
{
    char path[COLLECTION_PATH_BYTES];
    const int len = snprintf(path, sizeof path, "%s/%s", collection->dir, sha256);

    return dsc_arena_text(arena, path, (size_t)len);
}

/* A row of the database with its files. */
static bool complete(struct collection *collection, const struct dataset_row *row,
                     struct dataset *out, dsc_arena *arena, dsc_err *err)
{
    struct dataset_file_row *file;
    size_t count;
    bool ok = true;

    if (!store_dataset_files(collection->store, row->id, &file, &count, arena, err))
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
                                              .path = path_of(collection, file[i].sha256, arena),
                                              .sha256 = file[i].sha256,
                                              .size_bytes = file[i].size_bytes};
        ok = out->file[i].path != NULL;
    }
    return (ok && out->file) || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the dataset");
}

bool collection_find(struct collection *collection, const char *name, struct dataset *out,
                     dsc_arena *arena, dsc_err *err)
{
    const struct dataset *const folder = find_in_folder(collection, name);
    struct dataset_row row;

    if (folder)
        *out = *folder;
    return folder || (store_dataset_find(collection->store, name, &row, arena, err) &&
                      complete(collection, &row, out, arena, err));
}

/* The next of the folder's after `after`, or NULL. */
static const struct dataset *next_in_folder(const struct collection *collection, const char *after)
{
    for (size_t i = 0; i < collection->folders; i++)
        if (strcmp(collection->folder[i].name, after) > 0)
            return &collection->folder[i];
    return NULL;
}

/* Two sorted lists become one: the folder's hides an uploaded one of the same name. */
static bool merge(struct collection *collection, const char *after, const struct dataset_row *row,
                  size_t rows, struct dataset *out, size_t max, size_t *count, dsc_arena *arena,
                  dsc_err *err)
{
    const struct dataset *folder = next_in_folder(collection, after);
    size_t i = 0;

    for (*count = 0; *count < max && (folder || i < rows); ++*count) {
        const int order = !folder ? 1 : i == rows ? -1 : strcmp(folder->name, row[i].name);
        if (order > 0 && !complete(collection, &row[i], &out[*count], arena, err))
            return false;
        if (order <= 0) {
            out[*count] = *folder;
            folder = next_in_folder(collection, folder->name);
        }
        i += order >= 0;
    }
    return true;
}

bool collection_list(struct collection *collection, const char *after, size_t max,
                     struct dataset **out, size_t *count, bool *more, dsc_arena *arena,
                     dsc_err *err)
{
    struct dataset_row *row;
    size_t rows;

    *out = dsc_arena_take(arena, max + 1, sizeof **out);
    if (!*out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    if (!store_dataset_list(collection->store, after, max + 1, &row, &rows, arena, err) ||
        !merge(collection, after ? after : "", row, rows, *out, max + 1, count, arena, err))
        return false;
    *more = *count > max;
    *count -= *more;
    return true;
}

/* --- changing --- */

/* Once it has been seen that the files are that. */
static bool commit(struct collection *collection, const struct dataset *dataset,
                   enum dataset_format format, const char *target, dsc_err *err)
{
    if (collection_check(collection, dataset, format, target, err))
        return store_dataset_commit(collection->store, dataset->name, dataset_format_words[format],
                                    target, err);
    collection_forget_links(collection, dataset->name); /* its files may still change */
    return false;
}

bool collection_commit(struct collection *collection, const char *name, enum dataset_format format,
                       const char *target, struct dataset *out, dsc_arena *arena, dsc_err *err)
{
    if (!collection_check_writable(collection, name, err) ||
        !collection_find(collection, name, out, arena, err))
        return false;
    return (out->format[0] ? store_dataset_commit(collection->store, name,
                                                  dataset_format_words[format], target, err)
                           : commit(collection, out, format, target, err)) &&
           collection_find(collection, name, out, arena, err);
}

bool collection_remove_unused(struct collection *collection, const char *sha256, dsc_err *err)
{
    char path[COLLECTION_PATH_BYTES];
    bool has;

    if (!store_dataset_has(collection->store, sha256, &has, err))
        return false;
    snprintf(path, sizeof path, "%s/%s", collection->dir, sha256);
    if (!has && unlink(path) != 0 && errno != ENOENT)
        log_line(LOG_WARN, "dataset", "cannot remove %s: %s", path, strerror(errno));
    return true;
}

bool collection_delete(struct collection *collection, const char *name, dsc_err *err)
{
    struct dataset dataset;
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    pthread_mutex_lock(&collection->lock);
    ok = collection_check_writable(collection, name, err) &&
         collection_find(collection, name, &dataset, &arena, err) &&
         store_dataset_delete(collection->store, name, err);
    if (ok)
        collection_forget_links(collection, name);
    for (size_t i = 0; ok && i < dataset.files; i++)
        ok = collection_remove_unused(collection, dataset.file[i].sha256, err);
    pthread_mutex_unlock(&collection->lock);
    dsc_arena_release(&arena);
    return ok;
}

/* --- life --- */

/* What a crash left: uploads that were not finished, files whose row was never written or has gone.
 */
static bool tidy(struct collection *collection, dsc_err *err)
{
    DIR *const dir = opendir(collection->dir);
    char path[COLLECTION_PATH_BYTES];
    bool ok = true;

    if (!dir)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "cannot read %.80s: %s", collection->dir,
                        strerror(errno));
    for (struct dirent *entry; ok && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, UPLOAD_PREFIX, strlen(UPLOAD_PREFIX)) == 0) {
            snprintf(path, sizeof path, "%s/%s", collection->dir, entry->d_name);
            (void)unlink(path);
        } else if (strncmp(entry->d_name, LINKS_PREFIX, strlen(LINKS_PREFIX)) == 0) {
            snprintf(path, sizeof path, "%s/%s", collection->dir, entry->d_name);
            collection_remove_links(path);
        } else if (strlen(entry->d_name) == 64)
            ok = collection_remove_unused(collection, entry->d_name, err);
    }
    closedir(dir);
    return ok;
}

bool collection_open(struct collection **out, const struct collection_means *means, dsc_err *err)
{
    struct collection *const collection = calloc(1, sizeof *collection);

    if (!collection)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the datasets");
    pthread_mutex_init(&collection->lock, NULL);
    dsc_arena_init(&collection->arena, LIMIT_ARENA_BYTES);
    collection->store = means->store;
    snprintf(collection->dir, sizeof collection->dir, "%s/datasets", means->dir);
    if (store_make_dir(collection->dir, err) && tidy(collection, err) &&
        (!means->data_dir || collection_scan(collection, means->data_dir, err))) {
        *out = collection;
        return true;
    }
    collection_close(collection);
    return false;
}

void collection_close(struct collection *collection)
{
    if (!collection)
        return;
    dsc_arena_release(&collection->arena);
    pthread_mutex_destroy(&collection->lock);
    free(collection);
}
