/* peers.h -- connections that must not take for ever
 *
 * The HTTP library's timeout measures inactivity, so a client that drips a byte now and then would
 * keep a connection, and what it holds, for good. Each connection therefore has an absolute
 * deadline, moved on as its request proceeds; one thread shuts down those that are past it, and the
 * library then closes them. The same thread reads what clients still send after an early answer:
 * closing at once would reset the connection, and the answer would be lost with it. */
#ifndef PEERS_H
#define PEERS_H

#include "core/descent.h"
#include <stdint.h>

struct peers;
struct peer;

/* Starts the thread. *out is the caller's. FAULT_OUT_OF_MEMORY. */
bool peers_open(struct peers **out, dsc_err *err) DSC_MUST_CHECK;
void peers_close(struct peers *peers); /* NULL is fine */

/* A connection begins; NULL when there is no memory for it. fd is borrowed until peer_remove, which
 * must come before it is closed. */
struct peer *peer_add(struct peers *peers, int fd);
void peer_remove(struct peers *peers, struct peer *peer); /* NULL is fine */

/* Shut it down at `deadline` (clock_ns); 0: never. Any thread; NULL is fine. */
void peer_deadline(struct peer *peer, uint64_t deadline);

/* The connection was answered before its body had been read, and is about to be closed: keep it
 * open a little, and read on, until the client ends it or a bound is reached. */
void peer_linger(struct peers *peers, struct peer *peer);

#endif
