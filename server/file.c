#include "file.h"
#include "fault.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, CHUNK_BYTES = 64 << 10 };

static bool fail(const char *verb, const char *path, dsc_err *err)
{
    return dsc_fail(err, FAULT_INTERNAL, "", "cannot %s %.90s: %s", verb, path, strerror(errno));
}

/* --- reading --- */

static bool append_chunks(struct buf *out, FILE *file, size_t max, const char *path, dsc_err *err)
{
    char chunk[CHUNK_BYTES];
    size_t len;

    while ((len = fread(chunk, 1, sizeof chunk, file)) > 0) {
        if (len > max - out->len)
            return dsc_fail(err, FAULT_BODY_TOO_LARGE, "", "%.90s has more than %zu bytes", path,
                            max);
        if (!buf_append(out, chunk, len))
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for %.90s", path);
    }
    return !ferror(file) || fail("read", path, err);
}

bool file_read(struct buf **out, const char *path, size_t max, dsc_err *err)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *const file = standard ? stdin : fopen(path, "rb");
    struct buf *bytes;
    bool ok;

    if (!file)
        return fail("read", path, err);
    bytes = buf_new(CHUNK_BYTES);
    ok = bytes ? append_chunks(bytes, file, max, path, err) && buf_append(bytes, "", 1)
               : dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for %.90s", path);
    if (!standard)
        fclose(file);
    if (ok) {
        bytes->len--; /* the NUL */
        *out = buf_hold(bytes);
    }
    buf_drop(bytes);
    return ok;
}

/* --- writing --- */

static bool open_part(const char *path, char part[PATH_BYTES], int *fd, dsc_err *err)
{
    if (snprintf(part, PATH_BYTES, "%s.part", path) >= PATH_BYTES)
        return dsc_fail(err, FAULT_INVALID_VALUE, "", "%.90s... is too long a path", path);
    *fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return *fd >= 0 || fail("write", part, err);
}

bool file_check(const char *path, dsc_err *err)
{
    char part[PATH_BYTES];
    int fd;

    if (!open_part(path, part, &fd, err))
        return false;
    close(fd);
    unlink(part);
    return true;
}

static bool write_all(int fd, const struct buf *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        const ssize_t n = write(fd, bytes->data + at, bytes->len - at);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

bool file_write(const char *path, const struct buf *bytes, dsc_err *err)
{
    char part[PATH_BYTES];
    int fd;
    bool ok;

    if (!open_part(path, part, &fd, err))
        return false;
    ok = write_all(fd, bytes) || fail("write", part, err);
    close(fd);
    ok = ok && (rename(part, path) == 0 || fail("write", path, err));
    if (!ok)
        unlink(part);
    return ok;
}
