/* dataset_cifar.c -- CIFAR-10's binary format
 *
 * Records of 3,073 bytes: a label 0..9, then 32 x 32 of red, of green, of blue. Several files of
 * the training part are one dataset. Source: Krizhevsky 2009. */
#include "dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, FILES_MAX = 5, PIXELS = 3 * 32 * 32, RECORD = 1 + PIXELS, CLASSES = 10 };

/* The path of file number i of a part; false when there is none. */
static bool path_of(char path[PATH_BYTES], const char *dir, dsc_part part, int i)
{
    static const char *const tests[] = {"test_batch.bin", "test_batch_first1000.bin"};
    char name[32];

    (void)snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
    if (part == DSC_PART_TRAIN)
        return dsc_dataset_find(path, PATH_BYTES, dir, name);
    return i < 2 && dsc_dataset_find(path, PATH_BYTES, dir, tests[i]);
}

static bool is_there(const char *dir, dsc_part part)
{
    char path[PATH_BYTES];

    for (int i = 0; i < FILES_MAX; i++)
        if (path_of(path, dir, part, i))
            return true;
    return false;
}

static bool check(const unsigned char *bytes, size_t len, const char *path, dsc_err *err)
{
    const char *const name = strrchr(path, '/') + 1; /* path_of put one there */

    if (len == 0 || len % RECORD != 0)
        return dsc_fail(err, DSC_EINVAL, name, "has %zu bytes, which are no records of %d", len,
                        RECORD);
    for (size_t at = 0; at < len; at += RECORD)
        if (bytes[at] >= CLASSES)
            return dsc_fail(err, DSC_EINVAL, name, "record %zu has the label %d, beyond 9",
                            at / RECORD, bytes[at]);
    return true;
}

typedef struct {
    unsigned char *bytes[FILES_MAX];
    size_t len[FILES_MAX], records;
} files;

static bool load(files *f, const char *dir, dsc_part part, dsc_err *err)
{
    char path[PATH_BYTES];

    for (int i = 0; i < FILES_MAX; i++) {
        if (!path_of(path, dir, part, i))
            continue;
        if (!dsc_dataset_slurp(&f->bytes[i], &f->len[i], path, err) ||
            !check(f->bytes[i], f->len[i], path, err))
            return false;
        f->records += f->len[i] / RECORD;
    }
    return true;
}

static void take(dsc_dataset *to, const files *f)
{
    size_t row = 0;

    for (int i = 0; i < FILES_MAX; i++)
        for (size_t at = 0; at < f->len[i]; at += RECORD, row++) {
            to->targets[row] = f->bytes[i][at];
            memcpy(to->bytes + row * PIXELS, f->bytes[i] + at + 1, PIXELS);
        }
    to->image = (dsc_image) {3, 32, 32};
    to->classes = CLASSES;
}

static bool read_part(dsc_dataset **out, const char *dir, dsc_part part, const char *target,
                      dsc_err *err)
{
    files f = {.records = 0};
    const bool ok = load(&f, dir, part, err) && dsc_dataset_new(out, f.records, PIXELS, true, err);

    (void)target;
    if (ok)
        take(*out, &f);
    for (int i = 0; i < FILES_MAX; i++)
        free(f.bytes[i]);
    return ok;
}

const dsc_dataset_format dsc_dataset_cifar = {"cifar", is_there, read_part};
