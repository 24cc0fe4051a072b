/* dataset.c -- which format is there, files whole, and what all formats share */
#include "dataset.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH_BYTES = 4096, CHUNK_BYTES = 1 << 16 };

static const dsc_dataset_format *const formats[] = {
    &dsc_dataset_idx, &dsc_dataset_cifar, &dsc_dataset_npy, &dsc_dataset_csv, NULL,
};

/* The last part of a path, for sentences. */
static const char *base_of(const char *path)
{
    const char *const slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

bool dsc_dataset_read(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                      dsc_err *err)
{
    if (access(path, R_OK) != 0)
        return dsc_fail(err, DSC_EINVAL, base_of(path), "cannot be read: %s", strerror(errno));
    for (const dsc_dataset_format *const *format = formats; *format; format++)
        if ((*format)->is_there(path, part))
            return (*format)->read(out, path, part, target, err);
    return dsc_fail(err, DSC_EINVAL, base_of(path),
                    "holds no %s part of a dataset that is known: IDX, CIFAR-10, npy, npz or CSV",
                    part == DSC_PART_TRAIN ? "training" : "test");
}

/* --- files --- */

bool dsc_dataset_find(char *path, size_t size, const char *dir, const char *name)
{
    static const char *const endings[] = {"", ".gz"};

    for (int i = 0; i < 2; i++) {
        const int len = snprintf(path, size, "%s/%s%s", dir, name, endings[i]);

        if (len > 0 && (size_t)len < size && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* Room for one more chunk: the array doubles. */
static bool make_room(unsigned char **bytes, size_t *room, size_t len, const char *path,
                      dsc_err *err)
{
    unsigned char *more;

    if (*room - len >= CHUNK_BYTES)
        return true;
    *room = *room ? 2 * *room : 16 * (size_t)CHUNK_BYTES;
    more = realloc(*bytes, *room);
    if (!more)
        return dsc_fail(err, DSC_ENOMEM, base_of(path), "no memory for it");
    *bytes = more;
    return true;
}

static bool read_all(gzFile file, unsigned char **bytes, size_t *len, const char *path,
                     dsc_err *err)
{
    size_t room = 0;

    for (int n = 1; n > 0; *len += (size_t)n) {
        if (*len > DSC_DATASET_BYTES)
            return dsc_fail(err, DSC_ELIMIT, base_of(path), "has more than %zu bytes",
                            DSC_DATASET_BYTES);
        if (!make_room(bytes, &room, *len, path, err))
            return false;
        n = gzread(file, *bytes + *len, CHUNK_BYTES);
        if (n < 0)
            return dsc_fail(err, DSC_EINVAL, base_of(path), "is damaged, or cut off");
    }
    return true;
}

bool dsc_dataset_slurp(unsigned char **bytes, size_t *len, const char *path, dsc_err *err)
{
    gzFile file = gzopen(path, "rb");
    bool ok;

    *bytes = NULL;
    *len = 0;
    if (!file)
        return dsc_fail(err, DSC_EINVAL, base_of(path), "cannot be read: %s", strerror(errno));
    (void)gzbuffer(file, CHUNK_BYTES);
    ok = read_all(file, bytes, len, path, err);
    if (gzclose_r(file) != Z_OK && ok) /* a gzip that ends early is seen only here */
        ok = dsc_fail(err, DSC_EINVAL, base_of(path), "is damaged, or cut off");
    if (!ok) {
        free(*bytes);
        *bytes = NULL;
    }
    return ok;
}

/* --- what all formats share --- */

bool dsc_dataset_new(dsc_dataset **out, size_t rows, size_t features, bool as_bytes, dsc_err *err)
{
    const size_t each = as_bytes ? 1 : sizeof(float);
    dsc_dataset *d;
    size_t len;

    if (rows < 1 || features < 1)
        return dsc_fail(err, DSC_EINVAL, "dataset", "has no rows or no columns");
    if (__builtin_mul_overflow(rows, features, &len) || len > DSC_DATASET_BYTES / each ||
        rows > DSC_DATASET_BYTES / sizeof(float))
        return dsc_fail(err, DSC_ELIMIT, "dataset", "%zu rows of %zu take more than %zu bytes",
                        rows, features, DSC_DATASET_BYTES);
    d = calloc(1, sizeof *d);
    if (!d)
        return dsc_fail(err, DSC_ENOMEM, "dataset", "no memory for it");
    d->rows = rows;
    d->features = features;
    d->bytes = as_bytes ? calloc(len, 1) : NULL;
    d->numbers = as_bytes ? NULL : calloc(len, sizeof *d->numbers);
    d->targets = calloc(rows, sizeof *d->targets);
    if ((!d->bytes && !d->numbers) || !d->targets) {
        dsc_dataset_free(d);
        return dsc_fail(err, DSC_ENOMEM, "dataset", "no memory for it");
    }
    *out = d;
    return true;
}

void dsc_dataset_free(dsc_dataset *d)
{
    if (!d)
        return;
    free(d->bytes);
    free(d->numbers);
    free(d->targets);
    free(d);
}

void dsc_dataset_row(const dsc_dataset *d, size_t row, dsc_real *x)
{
    const dsc_real scale = (dsc_real)1 / 255;

    if (d->bytes)
        for (size_t i = 0; i < d->features; i++)
            x[i] = scale * (dsc_real)d->bytes[row * d->features + i];
    else
        for (size_t i = 0; i < d->features; i++)
            x[i] = (dsc_real)d->numbers[row * d->features + i];
}

bool dsc_dataset_classify(dsc_dataset *d)
{
    float greatest = 0;

    for (size_t i = 0; i < d->rows; i++) {
        const float x = d->targets[i];

        if (!(x >= 0 && x < DSC_CLASSES_MAX && x == floorf(x)))
            return false;
        greatest = x > greatest ? x : greatest;
    }
    d->classes = (size_t)greatest + 1;
    return true;
}

/* --- some classes only --- */

/* What each class becomes: -1 when it is left out. */
static bool renumber(int to[DSC_CLASSES_MAX], const dsc_dataset *from, const double *labels,
                     size_t count, dsc_err *err)
{
    for (size_t i = 0; i < DSC_CLASSES_MAX; i++)
        to[i] = -1;
    for (size_t i = 0; i < count; i++) {
        if (!(labels[i] >= 0 && labels[i] < (double)from->classes))
            return dsc_fail(err, DSC_EINVAL, "labels", "%g is none of the %zu classes", labels[i],
                            from->classes);
        if (to[(int)labels[i]] >= 0)
            return dsc_fail(err, DSC_EINVAL, "labels", "%g is there twice", labels[i]);
        to[(int)labels[i]] = (int)i;
    }
    return true;
}

static size_t count_rows(const dsc_dataset *from, const int to[DSC_CLASSES_MAX])
{
    size_t rows = 0;

    for (size_t row = 0; row < from->rows; row++)
        rows += to[(int)from->targets[row]] >= 0;
    return rows;
}

static void copy_rows(dsc_dataset *into, const dsc_dataset *from, const int to[DSC_CLASSES_MAX])
{
    const size_t features = from->features;
    size_t at = 0;

    for (size_t row = 0; row < from->rows; row++) {
        const int class = to[(int)from->targets[row]];

        if (class < 0)
            continue;
        if (from->bytes)
            memcpy(into->bytes + at * features, from->bytes + row * features, features);
        else
            memcpy(into->numbers + at * features, from->numbers + row * features,
                   features * sizeof *into->numbers);
        into->targets[at++] = (float)class;
    }
}

bool dsc_dataset_subset(dsc_dataset **out, const dsc_dataset *from, const double *labels,
                        size_t count, dsc_err *err)
{
    int to[DSC_CLASSES_MAX];
    size_t rows;

    if (!renumber(to, from, labels, count, err))
        return false;
    rows = count_rows(from, to);
    if (rows == 0)
        return dsc_fail(err, DSC_EINVAL, "labels", "no row is of these classes");
    if (!dsc_dataset_new(out, rows, from->features, from->bytes != NULL, err))
        return false;
    (*out)->classes = count;
    (*out)->image = from->image;
    copy_rows(*out, from, to);
    return true;
}
