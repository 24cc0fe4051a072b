/* wire.h -- one keep-alive connection to a server that may die at any byte
 *
 * Requests are sent as the bytes they are, whole or in pieces, and a reply is either read whole or
 * not at all. One thread at a time. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire {
    int fd;
    char *bytes; /* of the reply being read */
    size_t len, cap;
    bool bare; /* the reply is one to HEAD: its body does not come */
};

/* Ordinary, or with so little room on the way that a long reply which is not read stays with the
 * server. */
enum wire_room { WIRE_WIDE, WIRE_NARROW };

/* A reply; body is the wire's until the next call, with a NUL behind it. */
struct wire_reply {
    int status;
    uint64_t step; /* Descent-Step, or 0 */
    bool replayed; /* Descent-Replayed   */
    char *body;
    size_t len;
};

bool wire_open(struct wire *wire, int port, enum wire_room room);
void wire_close(struct wire *wire);

/* False when the other side is gone. */
bool wire_send(struct wire *wire, const void *bytes, size_t len);

/* Read one reply; false when the connection ends before it is whole. */
bool wire_read(struct wire *wire, struct wire_reply *reply);

#endif
