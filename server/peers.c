/* peers.c -- deadlines of connections, and the polite end of those answered early
 *
 * The list's lock is what makes shutdown() safe: the library announces that a connection closes
 * before it closes the descriptor, and that announcement (peer_remove) takes the lock, so a
 * descriptor in the list is always still the connection's.
 *
 * Lingering works on a duplicate of the descriptor, because the library closes its own: the
 * connection itself lives until the last one is closed. */
#include "peers.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 500,    /* how late a deadline may be noticed               */
    LINGER_READS = 64, /* of 16 kB from one connection before the next one */
};

struct peer {
    int fd;
    _Atomic uint64_t deadline;
    struct peer *previous, *next;
};

struct lingering {
    int fd;
    uint64_t deadline;
    size_t bytes; /* read so far */
};

struct peers {
    pthread_mutex_t lock;
    struct peer *first;
    struct lingering linger[LIMIT_LINGERING];
    size_t lingering;
    bool closing;

    int wake; /* an eventfd: there is something new for the thread */
    pthread_t thread;
    bool started;
};

/* --- the list --- */

struct peer *peer_add(struct peers *peers, int fd)
{
    struct peer *const peer = calloc(1, sizeof *peer);

    if (!peer)
        return NULL;
    peer->fd = fd;
    pthread_mutex_lock(&peers->lock);
    peer->next = peers->first;
    if (peers->first)
        peers->first->previous = peer;
    peers->first = peer;
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void peer_remove(struct peers *peers, struct peer *peer)
{
    if (!peer)
        return;
    pthread_mutex_lock(&peers->lock);
    *(peer->previous ? &peer->previous->next : &peers->first) = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    pthread_mutex_unlock(&peers->lock);
    free(peer);
}

void peer_deadline(struct peer *peer, uint64_t deadline)
{
    if (peer)
        atomic_store_explicit(&peer->deadline, deadline, memory_order_relaxed);
}

static void sweep(struct peers *peers, uint64_t now)
{
    pthread_mutex_lock(&peers->lock);
    for (struct peer *peer = peers->first; peer; peer = peer->next) {
        const uint64_t deadline = atomic_load_explicit(&peer->deadline, memory_order_relaxed);

        if (deadline && deadline < now)
            (void)shutdown(peer->fd, SHUT_RDWR); /* it may have ended by itself already */
    }
    pthread_mutex_unlock(&peers->lock);
}

/* --- lingering --- */

static void wake(struct peers *peers)
{
    (void)eventfd_write(peers->wake, 1); /* fails only when it is awake many times over */
}

void peer_linger(struct peers *peers, struct peer *peer)
{
    const int fd = peer ? fcntl(peer->fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (fd < 0)
        return; /* then the client may see a reset connection */
    pthread_mutex_lock(&peers->lock);
    const bool room = peers->lingering < LIMIT_LINGERING;
    if (room)
        peers->linger[peers->lingering++] =
            (struct lingering) {fd, clock_ns() + LIMIT_LINGER_SECONDS * UINT64_C(1000000000), 0};
    pthread_mutex_unlock(&peers->lock);
    if (room)
        wake(peers);
    else
        close(fd);
}

/* Read and forget, a piece at a time: the others have their turn. False when it is over. */
static bool read_on(struct lingering *linger, uint64_t now)
{
    char bytes[16384];
    ssize_t got = 1;

    for (int i = 0; i < LINGER_READS && got > 0 && linger->bytes <= LIMIT_LINGER_BYTES; i++) {
        got = recv(linger->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        linger->bytes += got > 0 ? (size_t)got : 0;
    }
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    return got != 0 && linger->bytes <= LIMIT_LINGER_BYTES && now < linger->deadline;
}

static void linger_end(struct peers *peers, size_t i)
{
    pthread_mutex_lock(&peers->lock);
    close(peers->linger[i].fd);
    peers->linger[i] = peers->linger[--peers->lingering];
    pthread_mutex_unlock(&peers->lock);
}

/* The network thread waits for the lock, so nothing is read under it: only this thread takes
 * entries away, and the others append behind `count`. Backwards, because the last takes the place
 * of one that ends. */
static void linger_on(struct peers *peers, uint64_t now)
{
    pthread_mutex_lock(&peers->lock);
    const size_t count = peers->lingering;
    pthread_mutex_unlock(&peers->lock);
    for (size_t i = count; i-- > 0;)
        if (!read_on(&peers->linger[i], now))
            linger_end(peers, i);
}

/* --- the thread --- */

/* Wait until something lingering can be read, somebody wakes us, or it is time to sweep. False when
 * the server closes. */
static bool wait_for_work(struct peers *peers)
{
    struct pollfd polled[1 + LIMIT_LINGERING] = {{.fd = peers->wake, .events = POLLIN}};
    eventfd_t woken;

    pthread_mutex_lock(&peers->lock);
    const size_t count = peers->lingering;
    for (size_t i = 0; i < count; i++)
        polled[1 + i] = (struct pollfd) {.fd = peers->linger[i].fd, .events = POLLIN};
    const bool closing = peers->closing;
    pthread_mutex_unlock(&peers->lock);
    if (closing)
        return false;
    if (poll(polled, 1 + count, SWEEP_MS) > 0 && polled[0].revents)
        (void)eventfd_read(peers->wake, &woken);
    return true;
}

static void *run(void *arg)
{
    struct peers *const peers = arg;
    uint64_t swept = 0;

    while (wait_for_work(peers)) {
        const uint64_t now = clock_ns();

        linger_on(peers, now);
        if (now - swept < SWEEP_MS * UINT64_C(1000000))
            continue;
        sweep(peers, now);
        swept = now;
    }
    return NULL;
}

bool peers_open(struct peers **out, dsc_err *err)
{
    struct peers *const peers = calloc(1, sizeof *peers);

    if (!peers)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the connections");
    pthread_mutex_init(&peers->lock, NULL);
    peers->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    peers->started = peers->wake >= 0 && pthread_create(&peers->thread, NULL, run, peers) == 0;
    if (!peers->started) {
        peers_close(peers);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "cannot start the thread of deadlines");
    }
    *out = peers;
    return true;
}

void peers_close(struct peers *peers)
{
    if (!peers)
        return;
    pthread_mutex_lock(&peers->lock);
    peers->closing = true;
    pthread_mutex_unlock(&peers->lock);
    if (peers->started) {
        wake(peers);
        pthread_join(peers->thread, NULL);
    }
    for (size_t i = 0; i < peers->lingering; i++)
        close(peers->linger[i].fd);
    if (peers->wake >= 0)
        close(peers->wake);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}
