/* file.h -- whole files: read within a bound, written completely or not at all
 *
 * For commands; the server's own files are databases. */
#ifndef FILE_H
#define FILE_H

#include "buf.h"
#include "core/descent.h"

/* Read a file ("-": standard input) of at most `max` bytes; *out is the caller's count, and a NUL
 * follows its bytes. FAULT_INTERNAL, FAULT_BODY_TOO_LARGE, FAULT_OUT_OF_MEMORY; the sentence has
 * the path. */
bool file_read(struct buf **out, const char *path, size_t max, dsc_err *err) DSC_MUST_CHECK;

/* Can `path` be written? Asked before work that would be lost otherwise. FAULT_INTERNAL. */
bool file_check(const char *path, dsc_err *err) DSC_MUST_CHECK;

/* Write under another name beside it, to the disk, then rename: whoever opens the path sees the old
 * bytes or the new ones. FAULT_INTERNAL. */
bool file_write(const char *path, const struct buf *bytes, dsc_err *err) DSC_MUST_CHECK;

#endif
