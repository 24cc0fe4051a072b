/* stream.h -- a reply's body that comes piece by piece, such as server-sent events
 *
 * A bounded queue of bytes between the application, which writes on any thread, and the network
 * thread, which sends. A client that does not read fills it, and then write refuses: what was not
 * taken is the writer's to write again later, so a slow client costs LIMIT_STREAM_BYTES and nothing
 * more. While there is nothing to send the connection is suspended and holds no thread.
 *
 * A stream is counted: the writer has one count, the gateway takes another with the reply. */
#ifndef STREAM_H
#define STREAM_H

#include "core/descent.h"
#include <stddef.h>
#include <stdint.h>

struct stream;

/* What the writer is told, on the network thread, where nothing may block; in this order. */
struct stream_calls {
    void (*room)(void *arg); /* what was refused fits now */
    void (*gone)(void *arg); /* nothing will be sent any more; the last call */
    void *arg;
};

/* The first count is the caller's. NULL when there is no memory. */
struct stream *stream_new(const struct stream_calls *calls);
struct stream *stream_hold(struct stream *stream); /* one more count; returns its argument */
void stream_drop(struct stream *stream);           /* NULL is fine */

/* Take all of it or, when there is no room, nothing. len is at most LIMIT_STREAM_BYTES. Taken and
 * forgotten once the client is gone or the stream has ended. */
bool stream_write(struct stream *stream, const void *bytes, size_t len);

/* The body ends after what was taken. */
void stream_end(struct stream *stream);

/* --- for http.c --- */

struct MHD_Connection;
struct MHD_Response;
struct peer;

/* The streams of one gateway. */
struct streams;

/* *out is the caller's. FAULT_OUT_OF_MEMORY. */
bool streams_open(struct streams **out, dsc_err *err) DSC_MUST_CHECK;
void streams_close(struct streams *streams); /* none is left; NULL is fine */

/* End those there are, and each that comes later at once. */
void streams_end(struct streams *streams);

/* A response that sends the stream over this connection, moving the peer's deadline on as its bytes
 * are taken. Takes over one count. NULL when there is no memory. On the network thread. */
struct MHD_Response *stream_response(struct streams *streams, struct stream *stream,
                                     struct MHD_Connection *connection, struct peer *peer);

/* The client left before there could be a response. Takes over one count; NULL is fine. */
void stream_lose(struct stream *stream);

#endif
