/* dataset_idx.c -- MNIST's format
 *
 * Big-endian: two zero bytes, the type (8: unsigned bytes), the number of dimensions, then each
 * dimension as 32 bits, then the numbers. Source: LeCun, Cortes, Burges, the MNIST database. */
#include "dataset.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, TYPE_BYTES = 8 };

static const char *const images[] = {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"};
static const char *const labels[] = {"train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"};

static bool is_there(const char *path, dsc_part part)
{
    char found[PATH_BYTES];

    return dsc_dataset_find(found, sizeof found, path, images[part]) &&
           dsc_dataset_find(found, sizeof found, path, labels[part]);
}

/* A file in memory, its header read. */
typedef struct {
    unsigned char *bytes, *data;
    size_t len, size[3];
} idx;

static size_t number_at(const unsigned char *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static bool check(idx *file, const char *name, int dimensions, dsc_err *err)
{
    const size_t header = 4 + 4 * (size_t)dimensions;
    size_t len = 1;

    if (file->len < header || file->bytes[0] || file->bytes[1] || file->bytes[2] != TYPE_BYTES ||
        file->bytes[3] != dimensions)
        return dsc_fail(err, DSC_EINVAL, name, "does not begin like %d dimensions of bytes in IDX",
                        dimensions);
    for (int i = 0; i < dimensions; i++) {
        file->size[i] = number_at(file->bytes + 4 + 4 * i);
        if (__builtin_mul_overflow(len, file->size[i], &len))
            return dsc_fail(err, DSC_EINVAL, name, "has dimensions that are too large");
    }
    if (len != file->len - header)
        return dsc_fail(err, DSC_EINVAL, name, "should have %zu bytes behind its header, not %zu",
                        len, file->len - header);
    file->data = file->bytes + header;
    return true;
}

static bool load(idx *file, const char *dir, const char *name, int dimensions, dsc_err *err)
{
    char path[PATH_BYTES];

    return (dsc_dataset_find(path, sizeof path, dir, name) ||
            dsc_fail(err, DSC_EINVAL, name, "is not there")) &&
           dsc_dataset_slurp(&file->bytes, &file->len, path, err) &&
           check(file, name, dimensions, err);
}

static bool join(dsc_dataset **out, const idx *x, const idx *y, const char *name, dsc_err *err)
{
    size_t features;

    if (x->size[0] != y->size[0])
        return dsc_fail(err, DSC_EINVAL, name, "has %zu labels for %zu images", y->size[0],
                        x->size[0]);
    if (__builtin_mul_overflow(x->size[1], x->size[2], &features) ||
        !dsc_dataset_new(out, x->size[0], features, true, err))
        return false;
    memcpy((*out)->bytes, x->data, x->size[0] * features);
    for (size_t i = 0; i < x->size[0]; i++)
        (*out)->targets[i] = y->data[i];
    (*out)->image = (dsc_image) {1, x->size[1], x->size[2]};
    return dsc_dataset_classify(*out); /* bytes are always classes */
}

static bool read_part(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                      dsc_err *err)
{
    idx x = {.bytes = NULL}, y = {.bytes = NULL};
    const bool ok = load(&x, path, images[part], 3, err) && load(&y, path, labels[part], 1, err) &&
                    join(out, &x, &y, labels[part], err);

    (void)target;
    free(x.bytes);
    free(y.bytes);
    return ok;
}

const dsc_dataset_format dsc_dataset_idx = {"idx", is_there, read_part};
