/* fuzz_dataset.c -- any bytes as the files of a dataset: refused, or a dataset that is sound
 *
 * The first byte chooses the format. Formats of two files get the same images, or labels, that are
 * right, beside the one under test. */
#include "core/descent.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool promise)
{
    if (!promise)
        abort();
}

/* Where the bytes go, and what else must be there; the folder is the process's own. */
static const struct {
    const char *dataset, *file, *other;
    const char *bytes; /* of the other */
    size_t len;
} formats[] = {
    {"t.csv", "t.csv", NULL, NULL, 0},
    {"t.npz", "t.npz", NULL, NULL, 0},
    {"idx", "idx/train-images-idx3-ubyte", "idx/train-labels-idx1-ubyte",
     "\0\0\x08\x01\0\0\0\x02\x04\0", 10},
    {"idx", "idx/train-labels-idx1-ubyte", "idx/train-images-idx3-ubyte",
     "\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x01\x07\x09", 18},
    {"cifar", "cifar/data_batch_1.bin", NULL, NULL, 0},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static void path_of(char path[128], const char *name)
{
    (void)snprintf(path, 128, "/dev/shm/descent-fuzz-%ld/%s", (long)getpid(), name);
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    char path[128];

    path_of(path, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0);
}

static const char *const folders[] = {"", "idx", "cifar"};

static void make_folders(void)
{
    char path[128];

    for (int i = 0; i < 3; i++) {
        path_of(path, folders[i]);
        (void)mkdir(path, 0700);
    }
}

/* Nothing is left behind. */
static void remove_all(void)
{
    char path[128];

    for (int i = 0; i < FORMATS; i++) {
        path_of(path, formats[i].file);
        (void)unlink(path);
    }
    for (int i = 3; i-- > 0;) {
        path_of(path, folders[i]);
        (void)rmdir(path);
    }
}

/* Every number of it is finite, every class below the count of them. */
static void check_sound(const dsc_dataset *d)
{
    dsc_real *const x = calloc(d->features, sizeof *x);

    check(x && d->rows > 0 && (d->bytes != NULL) != (d->numbers != NULL));
    check(d->image.channels == 0 ||
          d->image.channels * d->image.height * d->image.width == d->features);
    for (size_t row = 0; row < d->rows; row++) {
        check(isfinite(d->targets[row]));
        check(d->classes == 0 || (d->targets[row] >= 0 && d->targets[row] < (float)d->classes));
        dsc_dataset_row(d, row, x);
        for (size_t i = 0; i < d->features; i++)
            check(isfinite(x[i]));
    }
    free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t i = size ? data[0] % FORMATS : 0;
    dsc_dataset *dataset = NULL;
    dsc_err err = {.code = DSC_OK};
    char path[128];

    if (size == 0)
        return 0;
    make_folders();
    write_file(formats[i].file, data + 1, size - 1);
    if (formats[i].other)
        write_file(formats[i].other, formats[i].bytes, formats[i].len);
    path_of(path, formats[i].dataset);
    if (dsc_dataset_read(&dataset, path, DSC_PART_TRAIN, NULL, &err))
        check_sound(dataset);
    else
        check(err.code != DSC_OK && err.text[0] != '\0' && !dataset);
    dsc_dataset_free(dataset);
    remove_all();
    return 0;
}
