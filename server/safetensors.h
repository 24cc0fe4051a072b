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

#endif
