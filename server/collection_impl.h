/* collection_impl.h -- what the files of collection.h share; for collection*.c and upload.c only */
#ifndef COLLECTION_IMPL_H
#define COLLECTION_IMPL_H

#include "collection.h"
#include <pthread.h>

enum { COLLECTION_PATH_BYTES = 4096 + 512 };

/* Names of files on their way; finished ones have the 64 digits of their SHA-256. */
#define UPLOAD_PREFIX "upload-"

/* Folders in which uploaded files have their own names again. */
#define LINKS_PREFIX "as-"

struct collection {
    struct store *store;
    pthread_mutex_t lock; /* a file and its row come, or go, together */
    char dir[4096];       /* DIR/datasets */
    dsc_arena arena;      /* of the folder's */
    struct dataset *folder;
    size_t folders;
};

/* FAULT_BUILTIN_PROTECTED when it is of the folder. */
bool collection_check_writable(const struct collection *collection, const char *name,
                               dsc_err *err) DSC_MUST_CHECK;

/* Remove a file that no dataset has any more. Under the lock, or before there is anybody else. */
bool collection_remove_unused(struct collection *collection, const char *sha256,
                              dsc_err *err) DSC_MUST_CHECK;

/* Are the files, read whole, what they are said to be? FAULT_INVALID_VALUE with where = "format".
 */
bool collection_check(struct collection *collection, const struct dataset *dataset,
                      enum dataset_format format, const char *target, dsc_err *err) DSC_MUST_CHECK;

/* Remove a folder of links; that of a dataset. */
void collection_remove_links(const char *folder);
void collection_forget_links(const struct collection *collection, const char *name);

/* Fill folder and folders from data_dir, by name. FAULT_INTERNAL. */
bool collection_scan(struct collection *collection, const char *data_dir,
                     dsc_err *err) DSC_MUST_CHECK;

#endif
