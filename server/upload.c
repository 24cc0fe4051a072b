/* upload.c -- a file on its way to a dataset
 *
 *     bytes -> DIR/datasets/upload-XXXXXX -> fsync -> rename to its SHA-256 -> fsync of the folder
 *           -> row
 *
 * A crash leaves at most a file without a row, which the next start removes. */
#include "collection_impl.h"
#include "fault.h"
#include "limits.h"
#include "registry.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct upload {
    struct collection *collection;
    char dataset[64], file[80];
    char path[COLLECTION_PATH_BYTES]; /* "" once it has its last name */
    char sha256[65];
    int fd;
    int64_t size_bytes;
    crypto_hash_sha256_state hash;
};

/* --- names --- */

#define FILE_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool file_ok(const char *name)
{
    const size_t len = strlen(name);

    return len >= 1 && len <= 79 && strspn(name, FILE_FIRST) > 0 &&
           strspn(name, FILE_FIRST "._-") == len;
}

static bool check_names(const char *dataset, const char *file, dsc_err *err)
{
    if (!registry_name_ok(dataset))
        return dsc_fail(err, FAULT_INVALID_VALUE, "name",
                        "\"%.63s\" must match ^[a-z0-9][a-z0-9._-]{0,62}$", dataset);
    return file_ok(file) ||
           dsc_fail(err, FAULT_INVALID_VALUE, "file",
                    "\"%.79s\" must be letters, digits and . _ -, and begin with a letter or digit",
                    file);
}

/* Sooner than the row would say it, and before the bytes have come. */
static bool check_open(struct collection *collection, const char *dataset, dsc_err *err)
{
    struct dataset_row row = {.format = ""};
    dsc_arena arena;
    bool committed;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    committed = store_dataset_find(collection->store, dataset, &row, &arena, NULL) && row.format[0];
    dsc_arena_release(&arena);
    return !committed || dsc_fail(err, FAULT_INVALID_STATE, "",
                                  "%s is committed: it does not change any more", dataset);
}

/* --- bytes --- */

static bool fail_disk(dsc_err *err)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return dsc_fail(err, FAULT_STORAGE_FULL, "", "the disk is full");
    return dsc_fail(err, FAULT_INTERNAL, "", "the file cannot be written: %s", strerror(errno));
}

static bool create(struct upload *upload, dsc_err *err)
{
    snprintf(upload->path, sizeof upload->path, "%s/" UPLOAD_PREFIX "XXXXXX",
             upload->collection->dir);
    upload->fd = mkostemp(upload->path, O_CLOEXEC);
    if (upload->fd >= 0)
        return true;
    upload->path[0] = '\0';
    return fail_disk(err);
}

bool upload_open(struct upload **out, struct collection *collection, const char *dataset,
                 const char *file, dsc_err *err)
{
    struct upload *upload;

    *out = NULL;
    if (!check_names(dataset, file, err) || !collection_check_writable(collection, dataset, err) ||
        !check_open(collection, dataset, err))
        return false;
    upload = calloc(1, sizeof *upload);
    if (!upload)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for an upload");
    upload->collection = collection;
    upload->fd = -1;
    strcpy(upload->dataset, dataset); /* their lengths were checked */
    strcpy(upload->file, file);
    crypto_hash_sha256_init(&upload->hash);
    if (!create(upload, err)) {
        upload_free(upload);
        return false;
    }
    *out = upload;
    return true;
}

bool upload_write(struct upload *upload, const void *bytes, size_t len, dsc_err *err)
{
    const unsigned char *at = bytes;

    for (size_t left = len; left > 0;) {
        const ssize_t written = write(upload->fd, at, left);
        if (written < 0 && errno != EINTR)
            return fail_disk(err);
        at += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    crypto_hash_sha256_update(&upload->hash, bytes, len);
    upload->size_bytes += (int64_t)len;
    return true;
}

/* --- the end --- */

static bool sync_folder(const char *dir, dsc_err *err)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok || fail_disk(err);
}

static bool keep(struct upload *upload, dsc_err *err)
{
    char path[COLLECTION_PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", upload->collection->dir, upload->sha256);
    if (rename(upload->path, path) != 0)
        return fail_disk(err);
    upload->path[0] = '\0';
    return sync_folder(upload->collection->dir, err);
}

/* The content of the file that this one takes the place of; "" when it takes none's. */
static const char *former(const struct upload *upload, dsc_arena *arena)
{
    struct dataset dataset;

    if (!collection_find(upload->collection, upload->dataset, &dataset, arena, NULL))
        return "";
    for (size_t i = 0; i < dataset.files; i++)
        if (strcmp(dataset.file[i].name, upload->file) == 0)
            return dataset.file[i].sha256;
    return "";
}

/* Under the lock. */
static bool enter(struct upload *upload, const struct dataset_file_row *row, bool *replaced,
                  dsc_err *err)
{
    dsc_arena arena;
    const char *old;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    old = former(upload, &arena);
    ok = keep(upload, err) &&
         store_dataset_put(upload->collection->store, upload->dataset, row, replaced, err) &&
         (!*replaced || !old[0] || collection_remove_unused(upload->collection, old, err));
    dsc_arena_release(&arena);
    return ok;
}

bool upload_finish(struct upload *upload, struct dataset_file_row *out, bool *replaced,
                   dsc_err *err)
{
    struct collection *const collection = upload->collection;
    unsigned char digest[crypto_hash_sha256_BYTES];
    bool ok;

    crypto_hash_sha256_final(&upload->hash, digest);
    sodium_bin2hex(upload->sha256, sizeof upload->sha256, digest, sizeof digest);
    *out = (struct dataset_file_row) {upload->file, upload->sha256, upload->size_bytes};
    if (fsync(upload->fd) != 0)
        return fail_disk(err);
    pthread_mutex_lock(&collection->lock);
    ok = enter(upload, out, replaced, err);
    pthread_mutex_unlock(&collection->lock);
    return ok;
}

void upload_free(struct upload *upload)
{
    if (!upload)
        return;
    if (upload->fd >= 0)
        close(upload->fd);
    if (upload->path[0])
        (void)unlink(upload->path);
    free(upload);
}
