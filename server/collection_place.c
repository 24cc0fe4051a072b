/* collection_place.c -- where a dataset can be read, and whether it is what it says
 *
 * The core reads a folder of files under their own names, or one table. What was uploaded lies
 * under its content, so a folder of links, DIR/datasets/as-<name>, gives it its names back. It is
 * made when somebody asks, which may be twice at a time, and goes with the dataset or at the next
 * start.
 */
#include "collection_impl.h"
#include "fault.h"
#include "limits.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const dsc_dataset_format *const readers[] = {
    [DATASET_IDX] = &dsc_dataset_idx,
    [DATASET_CIFAR] = &dsc_dataset_cifar,
    [DATASET_NPY] = &dsc_dataset_npy,
    [DATASET_CSV] = &dsc_dataset_csv,
};

static void folder_of(const struct collection *collection, const char *name,
                      char out[COLLECTION_PATH_BYTES])
{
    snprintf(out, COLLECTION_PATH_BYTES, "%s/" LINKS_PREFIX "%.63s", collection->dir, name);
}

/* --- links --- */

static bool fail_link(const char *what, dsc_err *err)
{
    return dsc_fail(err, errno == ENOSPC ? FAULT_STORAGE_FULL : FAULT_INTERNAL, "",
                    "cannot make %.80s: %s", what, strerror(errno));
}

static bool make_links(const struct dataset *dataset, const char *folder, dsc_err *err)
{
    char path[COLLECTION_PATH_BYTES + 128];

    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail_link(folder, err);
    for (size_t i = 0; i < dataset->files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, dataset->file[i].name);
        if (link(dataset->file[i].path, path) != 0 && errno != EEXIST)
            return fail_link(path, err);
    }
    return true;
}

void collection_remove_links(const char *folder)
{
    char path[COLLECTION_PATH_BYTES + 256];
    DIR *const dir = opendir(folder);

    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)unlink(path); /* not of . and .. */
    }
    if (dir)
        closedir(dir);
    (void)rmdir(folder);
}

void collection_forget_links(const struct collection *collection, const char *name)
{
    char folder[COLLECTION_PATH_BYTES];

    folder_of(collection, name, folder);
    collection_remove_links(folder);
}

/* --- places --- */

static bool has_end(const char *name, const char *end)
{
    const size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* The one file of a dataset that is a file: a table's training part, an .npz. */
static const struct dataset_file *main_file(const struct dataset *dataset,
                                            enum dataset_format format)
{
    for (size_t i = 0; i < dataset->files; i++) {
        const char *const name = dataset->file[i].name;
        if (format == DATASET_NPY ? has_end(name, ".npz")
                                  : !has_end(name, ".tes") && !has_end(name, ".tes.gz"))
            return &dataset->file[i];
    }
    return NULL;
}

/* What the core is to be handed. */
static bool place(struct collection *collection, const struct dataset *dataset,
                  enum dataset_format format, char out[COLLECTION_PATH_BYTES + 128], dsc_err *err)
{
    const bool single = format == DATASET_CSV || format == DATASET_NPY;
    const struct dataset_file *const file = single ? main_file(dataset, format) : NULL;
    char folder[COLLECTION_PATH_BYTES];

    if (dataset->files == 0 || (format == DATASET_CSV && !file))
        return dsc_fail(err, FAULT_INVALID_VALUE, "format", "%s has no file of this format",
                        dataset->name);
    if (dataset->read_only)
        snprintf(folder, sizeof folder, "%.*s",
                 (int)(strrchr(dataset->file[0].path, '/') - dataset->file[0].path),
                 dataset->file[0].path);
    else
        folder_of(collection, dataset->name, folder);
    snprintf(out, COLLECTION_PATH_BYTES + 128, "%s%s%s", folder, file ? "/" : "",
             file ? file->name : "");
    return dataset->read_only || make_links(dataset, folder, err);
}

/* The core's sentence, with the file's name in it, as one about the format. */
static bool fail_format(const dsc_err *why, dsc_err *err)
{
    if (why->code == DSC_ENOMEM)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "%s", why->text);
    return dsc_fail(err, FAULT_INVALID_VALUE, "format", "%.40s%s%s", why->where,
                    why->where[0] ? ": " : "", why->text);
}

bool collection_check(struct collection *collection, const struct dataset *dataset,
                      enum dataset_format format, const char *target, dsc_err *err)
{
    const dsc_dataset_format *const reader = readers[format];
    char path[COLLECTION_PATH_BYTES + 128];
    dsc_dataset *read = NULL;
    dsc_err why = {0};

    if (!place(collection, dataset, format, path, err))
        return false;
    if (!reader->is_there(path, DSC_PART_TRAIN))
        return dsc_fail(err, FAULT_INVALID_VALUE, "format",
                        "%s has no training files of this format under their usual names",
                        dataset->name);
    if (!reader->read(&read, path, DSC_PART_TRAIN, target[0] ? target : NULL, &why))
        return fail_format(&why, err);
    dsc_dataset_free(read);
    return true;
}

bool collection_read(struct collection *collection, const char *name, dsc_dataset **out,
                     dsc_err *err)
{
    char path[COLLECTION_PATH_BYTES + 128];
    struct dataset dataset;
    enum dataset_format format = DATASET_IDX;
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    ok = collection_find(collection, name, &dataset, &arena, err) &&
         (dataset.format[0] ||
          dsc_fail(err, FAULT_INVALID_VALUE, "", "the dataset %s is not committed yet", name));
    while (ok && strcmp(dataset_format_words[format], dataset.format) != 0)
        format++;
    ok = ok && place(collection, &dataset, format, path, err) &&
         readers[format]->read(out, path, DSC_PART_TRAIN, dataset.target[0] ? dataset.target : NULL,
                               err);
    dsc_arena_release(&arena);
    return ok;
}
