/* stream.c -- bytes on their way to clients that listen
 *
 *     writer --stream_write--> [ at ... len ] --the library's reader--> socket
 *
 * The reader runs on the network thread whenever the socket can take more. With nothing to give it
 * suspends the connection; the next write resumes it. Both happen under the stream's lock, so a
 * write cannot fall between looking and suspending.
 *
 * A client that left while its connection was suspended is noticed when the next bytes cannot be
 * sent: whoever writes must do so now and then (a comment every 15 s). One that stays but does not
 * read is past its deadline after LIMIT_STREAM_SECONDS without taking a piece.
 *
 * Locks, in order: streams, stream, the library's own. None is held during a call of the writer's.
 */
#include "stream.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "peers.h"
#include <assert.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct stream {
    _Atomic unsigned holders;
    pthread_mutex_t lock;
    struct stream_calls calls;
    struct MHD_Connection *connection; /* NULL before and after */
    struct peer *peer;
    bool suspended, ended, gone;
    bool refused; /* a write, since there was room */
    struct streams *streams;
    struct stream *previous, *next; /* of those of a gateway */
    size_t at, len;                 /* of data: sent, written */
    char data[LIMIT_STREAM_BYTES];
};

struct streams {
    pthread_mutex_t lock;
    struct stream *first;
    bool ending;
};

/* --- counts --- */

struct stream *stream_new(const struct stream_calls *calls)
{
    struct stream *const stream = calloc(1, sizeof *stream);

    if (!stream)
        return NULL;
    atomic_init(&stream->holders, 1);
    pthread_mutex_init(&stream->lock, NULL);
    stream->calls = *calls;
    return stream;
}

struct stream *stream_hold(struct stream *stream)
{
    atomic_fetch_add(&stream->holders, 1);
    return stream;
}

void stream_drop(struct stream *stream)
{
    if (!stream || atomic_fetch_sub(&stream->holders, 1) > 1)
        return;
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

/* --- the writer's side --- */

/* There is something for the reader to see. Under the stream's lock. */
static void resume(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

/* Under the stream's lock. */
static bool append(struct stream *stream, const void *bytes, size_t len)
{
    if (len > sizeof stream->data - (stream->len - stream->at))
        return false;
    if (len > sizeof stream->data - stream->len) {
        memmove(stream->data, stream->data + stream->at, stream->len - stream->at);
        stream->len -= stream->at;
        stream->at = 0;
    }
    memcpy(stream->data + stream->len, bytes, len);
    stream->len += len;
    return true;
}

bool stream_write(struct stream *stream, const void *bytes, size_t len)
{
    assert(len <= LIMIT_STREAM_BYTES);
    pthread_mutex_lock(&stream->lock);
    const bool taken = stream->gone || stream->ended || append(stream, bytes, len);
    stream->refused = !taken;
    resume(stream);
    pthread_mutex_unlock(&stream->lock);
    return taken;
}

void stream_end(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    resume(stream);
    pthread_mutex_unlock(&stream->lock);
}

/* --- the network thread's side --- */

static size_t take(struct stream *stream, char *out, size_t max)
{
    const size_t waiting = stream->len - stream->at, len = waiting < max ? waiting : max;

    memcpy(out, stream->data + stream->at, len);
    stream->at += len;
    if (stream->at == stream->len)
        stream->at = stream->len = 0;
    return len;
}

static void allow(struct stream *stream, size_t len)
{
    const uint64_t ns = LIMIT_STREAM_SECONDS * UINT64_C(1000000000);

    peer_deadline(stream->peer, len > 0 ? clock_ns() + ns : 0);
}

/* The library asks for more. 0 with the connection suspended means: later. */
static ssize_t on_read(void *stream_, uint64_t position, char *out, size_t max)
{
    struct stream *const stream = stream_;

    (void)position;
    pthread_mutex_lock(&stream->lock);
    const size_t len = take(stream, out, max);
    const bool end = len == 0 && stream->ended;
    const bool room = stream->refused && stream->len == 0 && !stream->ended;
    if (room)
        stream->refused = false;
    if (!end)
        allow(stream, len);
    if (len == 0 && !end) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    if (room)
        stream->calls.room(stream->calls.arg);
    return end ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)len;
}

static void leave(struct streams *streams, struct stream *stream)
{
    pthread_mutex_lock(&streams->lock);
    *(stream->previous ? &stream->previous->next : &streams->first) = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    pthread_mutex_unlock(&streams->lock);
}

/* Sent, or the client is gone. */
static void on_free(void *stream_)
{
    struct stream *const stream = stream_;

    leave(stream->streams, stream);
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    stream->suspended = false;
    stream->connection = NULL;
    stream->peer = NULL;
    pthread_mutex_unlock(&stream->lock);
    stream->calls.gone(stream->calls.arg);
    stream_drop(stream);
}

void stream_lose(struct stream *stream)
{
    if (!stream)
        return;
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    pthread_mutex_unlock(&stream->lock);
    stream->calls.gone(stream->calls.arg);
    stream_drop(stream);
}

static void enter(struct streams *streams, struct stream *stream)
{
    pthread_mutex_lock(&streams->lock);
    stream->next = streams->first;
    if (streams->first)
        streams->first->previous = stream;
    streams->first = stream;
    if (streams->ending)
        stream_end(stream);
    pthread_mutex_unlock(&streams->lock);
}

struct MHD_Response *stream_response(struct streams *streams, struct stream *stream,
                                     struct MHD_Connection *connection, struct peer *peer)
{
    struct MHD_Response *const response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, LIMIT_CONNECTION_BYTES / 4, on_read, stream, on_free);

    if (!response) {
        stream_lose(stream);
        return NULL;
    }
    stream->streams = streams;
    stream->connection = connection;
    stream->peer = peer;
    enter(streams, stream);
    return response;
}

/* --- all of them --- */

bool streams_open(struct streams **out, dsc_err *err)
{
    struct streams *const streams = calloc(1, sizeof *streams);

    if (!streams)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the streams");
    pthread_mutex_init(&streams->lock, NULL);
    *out = streams;
    return true;
}

void streams_close(struct streams *streams)
{
    if (!streams)
        return;
    assert(!streams->first);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}

void streams_end(struct streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->ending = true;
    for (struct stream *stream = streams->first; stream; stream = stream->next)
        stream_end(stream);
    pthread_mutex_unlock(&streams->lock);
}
