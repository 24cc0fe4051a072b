#include "datasets.h"
#include "fault.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

struct kept {
    char name[DSC_HYPER_NAME_MAX + 1];
    dsc_hyper_list labels;
    dsc_dataset *dataset;
    struct kept *next;
};

struct datasets {
    char *dir;                     /* NULL: there are none, or */
    struct collection *collection; /* what a server offers     */
    struct kept *first;
};

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool datasets_open(struct datasets **out, const char *dir, dsc_err *err)
{
    struct datasets *const datasets = calloc(1, sizeof *datasets);

    if (dir && !is_folder(dir)) {
        free(datasets);
        return dsc_fail(err, FAULT_INVALID_VALUE, "--data-dir", "%.100s is no folder", dir);
    }
    if (!datasets || (dir && !(datasets->dir = strdup(dir)))) {
        free(datasets);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the datasets");
    }
    *out = datasets;
    return true;
}

bool datasets_open_offered(struct datasets **out, struct collection *collection, dsc_err *err)
{
    if (!datasets_open(out, NULL, err))
        return false;
    (*out)->collection = collection;
    return true;
}

void datasets_close(struct datasets *datasets)
{
    if (!datasets)
        return;
    for (struct kept *k = datasets->first, *next; k; k = next) {
        next = k->next;
        dsc_dataset_free(k->dataset);
        free(k);
    }
    free(datasets->dir);
    free(datasets);
}

/* --- where it is --- */

/* DIR/NAME.csv and the like. */
static bool find_table(char path[PATH_BYTES], const char *dir, const char *name)
{
    static const char *const endings[] = {".csv", ".tra", ".data", ".npz"};
    struct stat status;

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (snprintf(path, PATH_BYTES, "%s/%s%s", dir, name, endings[i]) < PATH_BYTES &&
            stat(path, &status) == 0 && S_ISREG(status.st_mode))
            return true;
    return false;
}

static bool find_below(char path[PATH_BYTES], const char *dir, const char *name)
{
    char inner[PATH_BYTES];
    DIR *const folder = opendir(dir);
    bool found = false;

    for (struct dirent *entry; folder && !found && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' &&
            snprintf(inner, sizeof inner, "%s/%s", dir, entry->d_name) < (int)sizeof inner &&
            is_folder(inner))
            found = find_table(path, inner, name);
    if (folder)
        closedir(folder);
    return found;
}

/* No name leads out of the folder. */
static bool is_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

static bool find_path(char path[PATH_BYTES], const char *dir, const char *name)
{
    if (!is_name(name))
        return false;
    if (find_table(path, dir, name))
        return true;
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES && is_folder(path))
        return true;
    return find_below(path, dir, name);
}

/* --- finding --- */

static bool keep(struct datasets *datasets, const char *name, const dsc_hyper_list *labels,
                 dsc_dataset *dataset, dsc_err *err)
{
    struct kept *const k = calloc(1, sizeof *k);

    if (!k) {
        dsc_dataset_free(dataset);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the dataset");
    }
    snprintf(k->name, sizeof k->name, "%s", name);
    k->labels = *labels;
    k->dataset = dataset;
    k->next = datasets->first;
    datasets->first = k;
    return true;
}

static bool is_same(const dsc_hyper_list *a, const dsc_hyper_list *b)
{
    return a->count == b->count &&
           memcmp(a->item, b->item, (size_t)a->count * sizeof *a->item) == 0;
}

static bool read_all(struct datasets *datasets, const char *name, dsc_dataset **out, dsc_err *err)
{
    char path[PATH_BYTES];

    if (datasets->collection)
        return collection_read(datasets->collection, name, out, err);
    if (!datasets->dir)
        return dsc_fail(err, FAULT_NOT_FOUND, "",
                        "there is no folder of datasets; --data-dir names one");
    if (!find_path(path, datasets->dir, name))
        return dsc_fail(err, FAULT_NOT_FOUND, "", "there is no dataset \"%.63s\" in %.60s", name,
                        datasets->dir);
    return dsc_dataset_read(out, path, DSC_PART_TRAIN, NULL, err);
}

/* Some classes of a dataset, which itself is found first. */
static bool read_some(struct datasets *datasets, const char *name, const dsc_hyper_list *labels,
                      dsc_dataset **out, dsc_err *err)
{
    const dsc_dataset *all;

    return datasets_find(datasets, name, &(dsc_hyper_list) {.count = 0}, &all, err) &&
           dsc_dataset_subset(out, all, labels->item, (size_t)labels->count, err);
}

bool datasets_find(struct datasets *datasets, const char *name, const dsc_hyper_list *labels,
                   const dsc_dataset **out, dsc_err *err)
{
    dsc_dataset *dataset = NULL;

    for (const struct kept *k = datasets->first; k; k = k->next)
        if (strcmp(k->name, name) == 0 && is_same(&k->labels, labels)) {
            *out = k->dataset;
            return true;
        }
    if (!(labels->count ? read_some(datasets, name, labels, &dataset, err)
                        : read_all(datasets, name, &dataset, err)) ||
        !keep(datasets, name, labels, dataset, err))
        return false;
    *out = dataset;
    return true;
}
