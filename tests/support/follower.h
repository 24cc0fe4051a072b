/* follower.h -- a client of server-sent events
 *
 * Opens a connection of its own and reads the reply, whose body must be chunked, as it comes.
 * Everything that is not as expected fails the test. One thread at a time. */
#ifndef FOLLOWER_H
#define FOLLOWER_H

#include "tests/support/wire.h"

struct follower {
    struct wire wire;
    size_t left; /* bytes of the chunk that are still to come */
};

/* Ask for `path`; `headers` are further lines, each with its "\r\n". The reply must be 200. */
void follower_open(struct follower *follower, int port, const char *path, const char *headers,
                   enum wire_room room);
void follower_close(struct follower *follower);

/* The next byte of the body; 0 at its end. */
char follower_byte(struct follower *follower);

/* The next event, comments left out; false at the end of the body. */
struct follower_event {
    long id;
    char kind[32], data[1024];
};
bool follower_next(struct follower *follower, struct follower_event *out);

#endif
