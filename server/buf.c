/* buf.c -- bytes with a count */
#include "buf.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A cache line, and one vector of AVX-512: kernels read gradients straight out of request bodies.
 */
enum { ALIGNMENT = 64 };

/* Room for *cap bytes, rounded up to whole cache lines; the true room goes back into *cap. Not
 * zeroed: a body of 64 MB is about to be overwritten, and touching its pages twice costs more than
 * receiving it. */
static unsigned char *data_new(size_t *cap)
{
    size_t bytes;

    if (*cap >
        PTRDIFF_MAX - ALIGNMENT) /* no object is larger: pointers in it could not be subtracted */
        return NULL;
    bytes = (*cap + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *cap = bytes ? bytes : ALIGNMENT;
    return aligned_alloc(ALIGNMENT, *cap);
}

struct buf *buf_new(size_t cap)
{
    struct buf *buf = malloc(sizeof *buf);

    if (!buf)
        return NULL;
    *buf = (struct buf) {.cap = cap};
    atomic_init(&buf->holders, 1);
    buf->data = data_new(&buf->cap);
    if (!buf->data) {
        free(buf);
        return NULL;
    }
    return buf;
}

struct buf *buf_hold(struct buf *buf)
{
    /* Relaxed is enough: the caller got its pointer from somebody who holds a count already. */
    const unsigned before = atomic_fetch_add_explicit(&buf->holders, 1, memory_order_relaxed);

    assert(before > 0 && before < UINT32_MAX);
    (void)before;
    return buf;
}

void buf_drop(struct buf *buf)
{
    /* Release our writes and reads to whoever frees; acquire everybody's before freeing. */
    if (!buf || atomic_fetch_sub_explicit(&buf->holders, 1, memory_order_acq_rel) > 1)
        return;
    free(buf->data);
    free(buf);
}

bool buf_sole(const struct buf *buf)
{
    return atomic_load_explicit(&buf->holders, memory_order_acquire) == 1;
}

/* Move to at least `need` bytes, and to half again what there was, so that many appends stay
 * linear. */
static bool grow(struct buf *buf, size_t need)
{
    size_t cap = buf->cap <= SIZE_MAX / 2 ? buf->cap + buf->cap / 2 : need;
    unsigned char *data;

    if (cap < need)
        cap = need;
    data = data_new(&cap);
    if (!data)
        return false;
    memcpy(data, buf->data, buf->len);
    free(buf->data);
    buf->data = data;
    buf->cap = cap;
    return true;
}

bool buf_append(struct buf *buf, const void *bytes, size_t len)
{
    assert(buf_sole(buf));
    if (len > SIZE_MAX - buf->len)
        return false;
    if (len > buf->cap - buf->len && !grow(buf, buf->len + len))
        return false;
    if (len) /* an empty piece may come as NULL, which memcpy does not allow */
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    return true;
}
