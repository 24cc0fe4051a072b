/* safetensors.h -- weights files: a model from bytes, and bytes from a model
 *
 * The format (huggingface/safetensors): 8 bytes little-endian header length, a JSON header that
 * names each tensor's dtype, shape and data_offsets, then the data. Files come from strangers: a
 * header that lies about sizes, offsets, types or names is refused with a sentence and nothing is
 * kept. */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include "buf.h"
#include "core/descent.h"
#include <stddef.h>

/* Make a model of `family` from a file.
 *
 *   bytes    [len] F32, F16, BF16 or F64 tensors; wider ones are rounded to float32
 *   family   of the optimizer that the file is for; a file whose metadata names another is refused.
 *            NULL: the one that its metadata names, `lstm` where it names none
 *
 * The config is __metadata__["config"] when __metadata__["family"] is there, else what
 * family->hyper_guess reads from the shapes. *out is the caller's count. FAULT_INVALID_WEIGHTS with
 * where = the tensor or metadata key, FAULT_OUT_OF_MEMORY. */
bool safetensors_import(dsc_model **out, const void *bytes, size_t len, const dsc_family *family,
                        const dsc_kernel *kernel, dsc_err *err) DSC_MUST_CHECK;

/* The file we serve for a model: metadata `family`, `config` and `format` = "pt", then every tensor
 * as F32 in layout order; header padded with spaces to 8 bytes. Equal models give equal bytes. *out
 * is the caller's count. A hand-designed model gives metadata and no tensor. */
bool safetensors_export(struct buf **out, const dsc_model *model, dsc_err *err) DSC_MUST_CHECK;

/* --- any other file of named tensors --- */

/* A tensor and the caller's array of its numbers, [shape] row-major: `data` for one that is kept in
 * float32, `wide` for one that must not be rounded. */
struct safetensors_tensor {
    char name[sizeof((dsc_tensor *)NULL)->name];
    int rank;
    size_t shape[DSC_RANK_MAX];
    float *data;
    double *wide;
};

struct safetensors_text { /* of __metadata__ */
    const char *key;
    char value[4096]; /* "" where the file has none; what does not fit is refused */
};

/* A file of `count` tensors, at most DSC_TENSORS_MAX; *out is the caller's count. */
bool safetensors_write(struct buf **out, const struct safetensors_text *text, size_t texts,
                       const struct safetensors_tensor *tensor, size_t count,
                       dsc_err *err) DSC_MUST_CHECK;

/* The metadata of a file, for the keys of `text`. Failures as below. */
bool safetensors_describe(const void *bytes, size_t len, struct safetensors_text *text,
                          size_t texts, dsc_err *err) DSC_MUST_CHECK;

/* Fill the tensors' arrays from a file that has exactly these, each of its shape, all numbers
 * finite. FAULT_INVALID_WEIGHTS with where = the tensor, FAULT_OUT_OF_MEMORY. */
bool safetensors_read(const void *bytes, size_t len, const struct safetensors_tensor *tensor,
                      size_t count, dsc_err *err) DSC_MUST_CHECK;

#endif
