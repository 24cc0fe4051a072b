/* fuzz_safetensors.c -- any bytes as a weights file: refused, or a model whose file is a fixed
 * point
 *
 * The length in front is put right for half of the inputs; a fuzzer would seldom guess it. */
#include "server/safetensors.h"
#include "server/fault.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool promise)
{
    if (!promise)
        abort();
}

static struct buf *export(const dsc_model *model)
{
    struct buf *file = NULL;
    dsc_err err = {.code = DSC_OK};

    check(safetensors_export(&file, model, &err));
    return file;
}

static void check_fixed_point(dsc_model *model)
{
    struct buf *const once = export(model), *twice;
    dsc_model *again = NULL;
    dsc_err err = {.code = DSC_OK};

    check(safetensors_import(&again, once->data, once->len, dsc_model_family(model), NULL, &err));
    twice = export(again);
    check(once->len == twice->len && memcmp(once->data, twice->data, once->len) == 0);
    buf_drop(once);
    buf_drop(twice);
    dsc_model_drop(again);
}

static void as_file(const void *bytes, size_t len, const dsc_family *family)
{
    dsc_model *model = NULL;
    dsc_err err = {.code = DSC_OK};

    if (safetensors_import(&model, bytes, len, family, NULL, &err))
        check_fixed_point(model);
    else
        check(!model && (err.code == FAULT_INVALID_WEIGHTS || err.code == FAULT_OUT_OF_MEMORY));
    dsc_model_drop(model);
}

/* Let the header end at its last brace, where there is one. */
static void mend_length(unsigned char *bytes, size_t size)
{
    const unsigned char *const brace = size > 8 ? memrchr(bytes + 8, '}', size - 8) : NULL;
    const uint64_t len = brace ? (uint64_t)(brace - bytes - 7) : 0;

    if (brace)
        memcpy(bytes, &len, sizeof len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *const copy =
        malloc(size ? size : 1); /* of exactly its length, for the sanitizers */

    check(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    for (int mended = 0; mended < 2; mended++) {
        for (const dsc_family *const *family = dsc_families; *family; family++)
            as_file(copy, size, *family);
        mend_length(copy, size);
    }
    free(copy);
    return 0;
}
