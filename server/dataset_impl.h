/* dataset_impl.h -- what the files of dataset.h share; for dataset*.c and upload.c only */
#ifndef DATASET_IMPL_H
#define DATASET_IMPL_H

#include "dataset.h"
#include <pthread.h>

enum { DATASET_PATH_BYTES = 4096 + 512 };

/* Names of files on their way; finished ones have the 64 digits of their SHA-256. */
#define UPLOAD_PREFIX "upload-"

struct datasets {
    struct store *store;
    pthread_mutex_t lock; /* a file and its row come, or go, together */
    char dir[4096];       /* DIR/datasets */
    dsc_arena arena;      /* of the folder's */
    struct dataset *folder;
    size_t folders;
};

/* FAULT_BUILTIN_PROTECTED when it is of the folder. */
bool dataset_check_writable(const struct datasets *datasets, const char *name,
                            dsc_err *err) DSC_MUST_CHECK;

/* Remove a file that no dataset has any more. Under the lock, or before there is anybody else. */
bool dataset_remove_unused(struct datasets *datasets, const char *sha256,
                           dsc_err *err) DSC_MUST_CHECK;

/* Fill folder and folders from data_dir, by name. FAULT_INTERNAL. */
bool dataset_scan(struct datasets *datasets, const char *data_dir, dsc_err *err) DSC_MUST_CHECK;

#endif
