/* collection_scan.c -- what a folder of data offers
 *
 *     mnist/train-images-idx3-ubyte.gz ...    dataset mnist, format idx
 *     cifar-10/data_batch_1.bin.gz ...        dataset cifar-10, format cifar
 *     tabular/optdigits.tra, optdigits.tes    dataset optdigits, format csv
 *     adult.csv                               dataset adult
 *
 * The ends of names decide; what no format knows (licences, descriptions) is passed over, as are
 * names that a dataset cannot have. Files in one folder that belong to one dataset follow each
 * other by name. */
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

static const struct {
    const char *end;
    enum dataset_format format;
} ends[] = {
    {"-ubyte", DATASET_IDX}, {".bin", DATASET_CIFAR}, {".npy", DATASET_NPY}, {".npz", DATASET_NPY},
    {".csv", DATASET_CSV},   {".tra", DATASET_CSV},   {".tes", DATASET_CSV}, {".data", DATASET_CSV},
};

/* Does text[0..len) end so? */
static bool has_end(const char *text, size_t len, const char *end)
{
    const size_t end_len = strlen(end);

    return len > end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static bool format_of(const char *name, enum dataset_format *format)
{
    size_t len = strlen(name);

    len -= has_end(name, len, ".gz") ? 3 : 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (has_end(name, len, ends[i].end)) {
            *format = ends[i].format;
            return true;
        }
    return false;
}

/* The dataset that a file belongs to: tables by their stem, others by their folder. */
static bool name_of(const char *folder, const char *file, enum dataset_format format, char out[64])
{
    const char *const from = format == DATASET_CSV ? file : folder;
    const size_t len = format == DATASET_CSV ? strcspn(file, ".") : strlen(from);

    if (len > 63)
        return false;
    snprintf(out, 64, "%.*s", (int)len, from);
    return registry_name_ok(out);
}

static struct dataset *find(struct collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->folders; i++)
        if (strcmp(collection->folder[i].name, name) == 0)
            return &collection->folder[i];
    return NULL;
}

static bool no_memory(dsc_err *err)
{
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, "--data-dir", "there is no memory for its list");
}

static bool add_dataset(struct collection *collection, const char *name, enum dataset_format format,
                        struct dataset **out, dsc_err *err)
{
    struct dataset *const to = &collection->folder[collection->folders];

    *out = NULL;
    if (collection->folders == LIMIT_DATASETS) {
        log_line(LOG_WARN, "dataset", "there are more than %d in the folder", LIMIT_DATASETS);
        return true;
    }
    *to = (struct dataset) {
        .name = dsc_arena_text(&collection->arena, name, strlen(name)),
        .format = dataset_format_words[format],
        .target = "",
        .read_only = true,
        .file = dsc_arena_take(&collection->arena, LIMIT_DATASET_FILES, sizeof *to->file)};
    if (!to->name || !to->file)
        return no_memory(err);
    collection->folders++;
    *out = to;
    return true;
}

static bool add_file(struct collection *collection, struct dataset *to, const char *name,
                     const char *path, int64_t size, dsc_err *err)
{
    struct dataset_file *const file = &to->file[to->files];

    if (to->files == LIMIT_DATASET_FILES)
        return true;
    *file = (struct dataset_file) {.name = dsc_arena_text(&collection->arena, name, strlen(name)),
                                   .path = dsc_arena_text(&collection->arena, path, strlen(path)),
                                   .sha256 = "",
                                   .size_bytes = size};
    to->files++;
    return (file->name && file->path) || no_memory(err);
}

/* One file of `folder`; files of another format than the dataset's first are passed over. */
static bool take_file(struct collection *collection, const char *folder, const char *name,
                      const char *path, int64_t size, dsc_err *err)
{
    enum dataset_format format;
    char dataset[64];

    if (!format_of(name, &format) || !name_of(folder, name, format, dataset))
        return true;
    struct dataset *to = find(collection, dataset);
    if (!to && !add_dataset(collection, dataset, format, &to, err))
        return false;
    return !to || strcmp(to->format, dataset_format_words[format]) != 0 ||
           add_file(collection, to, name, path, size, err);
}

/* A folder; `depth` 0: its own folders as well. */
static bool take_folder(struct collection *collection, const char *path, const char *name,
                        int depth, dsc_err *err)
{
    struct dirent **entries;
    const int count = scandir(path, &entries, NULL, alphasort);
    char inner[COLLECTION_PATH_BYTES];
    struct stat status;
    bool ok = true;

    if (count < 0)
        return dsc_fail(err, FAULT_INTERNAL, "--data-dir", "cannot read %.80s: %s", path,
                        strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *const entry = entries[i]->d_name;
        const int len = snprintf(inner, sizeof inner, "%s/%s", path, entry);
        const bool seen =
            ok && entry[0] != '.' && (size_t)len < sizeof inner && stat(inner, &status) == 0;
        if (seen && S_ISREG(status.st_mode))
            ok = take_file(collection, name, entry, inner, (int64_t)status.st_size, err);
        else if (seen && S_ISDIR(status.st_mode) && depth == 0)
            ok = take_folder(collection, inner, entry, depth + 1, err);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct dataset *)a)->name, ((const struct dataset *)b)->name);
}

bool collection_scan(struct collection *collection, const char *data_dir, dsc_err *err)
{
    collection->folder =
        dsc_arena_take(&collection->arena, LIMIT_DATASETS, sizeof *collection->folder);
    if (!collection->folder)
        return no_memory(err);
    if (!take_folder(collection, data_dir, "", 0, err))
        return false;
    qsort(collection->folder, collection->folders, sizeof *collection->folder, compare);
    return true;
}
