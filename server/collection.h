/* collection.h -- the data that problems can be made of: uploaded, or found in a folder
 *
 * Uploaded files lie in DIR/datasets under the SHA-256 of their bytes, so a name in the database
 * and its bytes cannot disagree, and a file is written once, whole, before its row. What is in the
 * folder of --data-dir is offered read-only: each folder of files that a format knows, and each
 * table by its stem. It is looked through once, at the start. Threads that may wait for a disk. */
#ifndef COLLECTION_H
#define COLLECTION_H

#include "store_dataset.h"

struct collection;

enum dataset_format { DATASET_IDX, DATASET_CIFAR, DATASET_NPY, DATASET_CSV };
extern const char *const dataset_format_words[];

struct dataset_file {
    const char *name, *path;
    const char *sha256; /* "" in the folder, where nobody has read it */
    int64_t size_bytes;
};

struct dataset {
    const char *name;
    const char *format; /* "": not committed, files may still come */
    const char *target; /* the column to foretell; "": the format's own, or the last */
    bool read_only;     /* of the folder */
    size_t files;
    struct dataset_file *file;        /* [files] by name */
    int64_t created_at, committed_at; /* 0: not yet, or of the folder */
};

struct collection_means { /* borrowed; texts are copied */
    const char *dir;      /* the server's folder */
    const char *data_dir; /* of --data-dir; NULL: none */
    struct store *store;
};

/* Makes DIR/datasets, and removes what a crash left there. *out is the caller's. FAULT_INTERNAL
 * when a folder cannot be read. */
bool collection_open(struct collection **out, const struct collection_means *means,
                     dsc_err *err) DSC_MUST_CHECK;
void collection_close(struct collection *collection); /* NULL is fine */

/* Texts are borrowed from the arena, or live as long as `datasets`. FAULT_NOT_FOUND. */
bool collection_find(struct collection *collection, const char *name, struct dataset *out,
                     dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* By name, those after `after` (NULL: from the first); *more: there are others behind them. */
bool collection_list(struct collection *collection, const char *after, size_t max,
                     struct dataset **out, size_t *count, bool *more, dsc_arena *arena,
                     dsc_err *err) DSC_MUST_CHECK;
/* Say what the files are, once they have been read and are that: they do not change any more. *out
 * is the dataset then. FAULT_NOT_FOUND, FAULT_BUILTIN_PROTECTED in the folder, FAULT_INVALID_STATE
 * when it is committed as something else, FAULT_INVALID_VALUE when they are not that. */
bool collection_commit(struct collection *collection, const char *name, enum dataset_format format,
                       const char *target, struct dataset *out, dsc_arena *arena,
                       dsc_err *err) DSC_MUST_CHECK;
/* FAULT_NOT_FOUND, FAULT_BUILTIN_PROTECTED in the folder, FAULT_IN_USE by an unfinished job. */
bool collection_delete(struct collection *collection, const char *name,
                       dsc_err *err) DSC_MUST_CHECK;

/* Read the training part; *out is the caller's. FAULT_NOT_FOUND, FAULT_INVALID_VALUE before it is
 * committed, or what dsc_dataset_read says. */
bool collection_read(struct collection *collection, const char *name, dsc_dataset **out,
                     dsc_err *err) DSC_MUST_CHECK;

/* --- a file on its way --- */

struct upload;

/* FAULT_INVALID_VALUE for names, FAULT_INVALID_STATE when the dataset is committed,
 * FAULT_BUILTIN_PROTECTED in the folder, FAULT_STORAGE_FULL. */
bool upload_open(struct upload **out, struct collection *collection, const char *dataset,
                 const char *file, dsc_err *err) DSC_MUST_CHECK;
bool upload_write(struct upload *upload, const void *bytes, size_t len,
                  dsc_err *err) DSC_MUST_CHECK; /* FAULT_STORAGE_FULL */
/* It is whole: on the disk for good, and the dataset's. *out borrows from the upload. */
bool upload_finish(struct upload *upload, struct dataset_file_row *out, bool *replaced,
                   dsc_err *err) DSC_MUST_CHECK;
void upload_free(struct upload *upload); /* what was not finished is removed; NULL is fine */

#endif
