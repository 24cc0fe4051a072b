/* state_file.h -- a session's state as a safetensors file, for people and for other programs
 *
 * One tensor for each number or row that a family keeps of a coordinate, with coordinates as rows:
 * h_l0 [n, H], c_l0 [n, H] of an lstm, m [n], v [n] of adam. They are the coordinates of the
 * tensor's group in the order of the layout; where a session has several groups, names begin with
 * "group0.", "group1.", ... in the order of the metadata's optimizers. What all coordinates of a
 * group share is `shared`, in F64.
 *
 * Metadata: `step`, `coordinates`, and `optimizer_sha256`, the weights file of each group's version
 * with a comma between. Any thread that has the groups to itself. */
#ifndef STATE_FILE_H
#define STATE_FILE_H

#include "buf.h"
#include "groups.h"

/* The hexadecimal digests of the groups' versions with commas between, [GROUPS_MAX * 65] bytes. */
enum { STATE_FILE_SHA_BYTES = GROUPS_MAX * 65 };

/* *out is the caller's count. FAULT_INVALID_STATE when there are more tensors than a file may have,
 * FAULT_BODY_TOO_LARGE when it would have more than LIMIT_STATE_BYTES, FAULT_OUT_OF_MEMORY. */
bool state_file_write(struct buf **out, const struct groups *groups, uint64_t step,
                      const char *sha256, dsc_err *err) DSC_MUST_CHECK;

/* Into groups in their initial state. FAULT_INVALID_VALUE when it is of other versions or its step
 * is none, FAULT_DIMENSION_MISMATCH when it is of another n, FAULT_INVALID_WEIGHTS for everything
 * else; the groups may then be half written. */
bool state_file_read(struct groups *groups, uint64_t *step, const char *sha256, const void *bytes,
                     size_t len, dsc_err *err) DSC_MUST_CHECK;

#endif
