/* dataset.h -- rows of numbers, each with a class or a number to predict
 *
 * Read once, then immutable: any thread may look. The reader is handed a path and opens what is
 * there, gzipped or not:
 *
 *     a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte (t10k-... for the test
 * part) a folder with data_batch_1.bin, data_batch_2.bin, ... (test_batch.bin) as of CIFAR-10 a
 * folder with x.npy and y.npy (x_test.npy, y_test.npy), or an .npz with arrays of those names a
 * .csv, .data or .tra (.tes beside it for the test part): a row a line, the target last or named
 *
 * Files come from strangers: a header that lies, a size that overflows, a gzip that ends early, a
 * class out of range are refused with a sentence that has the file's name. */
#ifndef DSC_DATASET_H
#define DSC_DATASET_H

#include "err.h"
#include "image.h"
#include "real.h"

#include <stddef.h>
#include <stdint.h>

/* The most a dataset may take, uncompressed: 2 GiB. MNIST is 47 MB, CIFAR-10 180 MB. */
#define DSC_DATASET_BYTES ((size_t)2 << 30)

/* Beyond this many classes a softmax over them is not what these problems are for. */
#define DSC_CLASSES_MAX 1000

typedef struct dsc_dataset {
    size_t rows, features;
    size_t classes;  /* 0: targets are numbers, not classes               */
    dsc_image image; /* how features lie in planes; channels 0: no images */
    uint8_t *bytes;  /* [rows][features], each counting as byte / 255     */
    float *numbers;  /* [rows][features], where there are no bytes        */
    float *targets;  /* [rows] a class's number, or a number              */
} dsc_dataset;

typedef enum { DSC_PART_TRAIN, DSC_PART_TEST } dsc_part;

/* Read what is at `path`; `target` names a .csv's column to predict, or is NULL for the last one.
 * *out is the caller's. DSC_EINVAL with a sentence, DSC_ELIMIT beyond DSC_DATASET_BYTES,
 * DSC_ENOMEM.
 */
bool dsc_dataset_read(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                      dsc_err *err) DSC_MUST_CHECK;
void dsc_dataset_free(dsc_dataset *dataset); /* NULL is fine */

/* A new dataset with the rows of some classes only, which become 0, 1, ... in the order of `labels`
 * [count]. DSC_EINVAL when one is no class or there twice, or no row is left.
 */
bool dsc_dataset_subset(dsc_dataset **out, const dsc_dataset *from, const double *labels,
                        size_t count, dsc_err *err) DSC_MUST_CHECK;

/* x [features] = a row's numbers. */
void dsc_dataset_row(const dsc_dataset *dataset, size_t row, dsc_real *x);

/* --- for the readers of the formats --- */

/* A whole file, gunzipped if it is gzipped. Its bytes are the caller's to free(). */
bool dsc_dataset_slurp(unsigned char **bytes, size_t *len, const char *path,
                       dsc_err *err) DSC_MUST_CHECK;

/* Is there DIR/NAME or DIR/NAME.gz? Its path then. */
bool dsc_dataset_find(char *path, size_t size, const char *dir, const char *name);

/* Room for rows and targets; `as_bytes` or numbers. DSC_ELIMIT, DSC_ENOMEM. */
bool dsc_dataset_new(dsc_dataset **out, size_t rows, size_t features, bool as_bytes,
                     dsc_err *err) DSC_MUST_CHECK;

/* Set classes from the targets, which must all be whole numbers from 0 on; false if they are not.
 */
bool dsc_dataset_classify(dsc_dataset *dataset);

/* One format each: is it there, and then read it. */
typedef struct {
    const char *name;
    bool (*is_there)(const char *path, dsc_part part);
    bool (*read)(dsc_dataset **out, const char *path, dsc_part part, const char *target,
                 dsc_err *err);
} dsc_dataset_format;

extern const dsc_dataset_format dsc_dataset_idx, dsc_dataset_cifar, dsc_dataset_npy,
    dsc_dataset_csv;

#endif
