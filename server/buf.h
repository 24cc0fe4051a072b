/* buf.h -- bytes with a count
 *
 * Request bodies, gradients, updates and replies travel between threads as counted buffers: whoever
 * keeps one holds a count, and nobody copies. Contents may be written only while there is one
 * holder. */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    _Atomic unsigned holders;
    size_t len, cap;     /* bytes in use, bytes there  */
    unsigned char *data; /* [cap], 64-byte aligned     */
};

/* A buffer with room for cap bytes and len 0; one count, the caller's. NULL when there is no
 * memory. */
struct buf *buf_new(size_t cap);

struct buf *buf_hold(struct buf *buf); /* one more count; returns its argument */
void buf_drop(struct buf *buf);        /* one less; the last frees; NULL is fine */
bool buf_sole(const struct buf *buf);  /* is the caller's count the only one? */

/* Append, growing by half again; false when there is no memory. Only with one holder and while
 * nobody keeps a pointer into data. */
bool buf_append(struct buf *buf, const void *bytes, size_t len);

#endif
