/* store_dataset.h -- uploaded datasets in the small database
 *
 * The bytes of their files are beside it: see dataset.h. Threads that may wait for a disk. */
#ifndef STORE_DATASET_H
#define STORE_DATASET_H

#include "store.h"

/* Texts are borrowed from the arena given to the call. */
struct dataset_row {
    int64_t id;
    const char *name, *format, *target; /* format "": not committed yet */
    int64_t created_at, committed_at;   /* 0: not yet */
};

struct dataset_file_row {
    const char *name, *sha256;
    int64_t size_bytes;
};

/* FAULT_NOT_FOUND. */
bool store_dataset_find(struct store *store, const char *name, struct dataset_row *out,
                        dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* Names after `after` (NULL: from the first), ascending; *count rows, from the arena. */
bool store_dataset_list(struct store *store, const char *after, size_t max,
                        struct dataset_row **out, size_t *count, dsc_arena *arena,
                        dsc_err *err) DSC_MUST_CHECK;
/* Its files by name; at most LIMIT_DATASET_FILES. */
bool store_dataset_files(struct store *store, int64_t id, struct dataset_file_row **out,
                         size_t *count, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* Add a file to a dataset that is not committed, which is made unless it is there, or put it in
 * the place of one of that name: *replaced. FAULT_INVALID_STATE, FAULT_QUOTA_EXCEEDED beyond
 * LIMIT_DATASETS or LIMIT_DATASET_FILES. */
bool store_dataset_put(struct store *store, const char *dataset,
                       const struct dataset_file_row *file, bool *replaced,
                       dsc_err *err) DSC_MUST_CHECK;
/* FAULT_NOT_FOUND; FAULT_INVALID_STATE when it is committed as something else. */
bool store_dataset_commit(struct store *store, const char *name, const char *format,
                          const char *target, dsc_err *err) DSC_MUST_CHECK;
bool store_dataset_delete(struct store *store, const char *name,
                          dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND */

/* An unfinished job reads it; one of that name that is in a folder is no failure. */
bool store_dataset_use(struct store *store, const char *name, int64_t job,
                       dsc_err *err) DSC_MUST_CHECK;

/* Does any dataset have a file of this content? */
bool store_dataset_has(struct store *store, const char *sha256, bool *has,
                       dsc_err *err) DSC_MUST_CHECK;

#endif
