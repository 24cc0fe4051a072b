#include "wire.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A small segment keeps the server's send buffer small, and the receive buffer is ours. */
enum { NARROW_SEGMENT = 536, NARROW_BYTES = 4096 };

bool wire_open(struct wire *wire, int port, enum wire_room room)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int segment = NARROW_SEGMENT, bytes = NARROW_BYTES, on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *wire = (struct wire) {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    if (wire->fd < 0)
        return false;
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (room == WIRE_NARROW) {
        setsockopt(wire->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
        setsockopt(wire->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    return connect(wire->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    free(wire->bytes);
    *wire = (struct wire) {.fd = -1};
}

bool wire_send(struct wire *wire, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t sent = send(wire->fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Receive until `want` bytes are there. */
static bool fill(struct wire *wire, size_t want)
{
    if (want + 1 > wire->cap) {
        char *more = realloc(wire->bytes, want + 1);
        if (!more)
            return false;
        wire->bytes = more;
        wire->cap = want + 1;
    }
    while (wire->len < want) {
        ssize_t got = recv(wire->fd, wire->bytes + wire->len, want - wire->len, 0);
        if (got <= 0)
            return false;
        wire->len += (size_t)got;
    }
    wire->bytes[wire->len] = '\0';
    return true;
}

/* The head ends with an empty line; it is read byte by byte so that the body stays unread. */
static bool read_head(struct wire *wire)
{
    wire->len = 0;
    do
        if (!fill(wire, wire->len + 1))
            return false;
    while (wire->len < 4 || memcmp(wire->bytes + wire->len - 4, "\r\n\r\n", 4) != 0);
    return true;
}

static const char *header(const struct wire *wire, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = wire->bytes; (line = strchr(line, '\n')) != NULL;)
        if (strncasecmp(++line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    return NULL;
}

bool wire_read(struct wire *wire, struct wire_reply *reply)
{
    if (!read_head(wire))
        return false;
    const char *length = header(wire, "Content-Length"), *step = header(wire, "Descent-Step"),
               *replayed = header(wire, "Descent-Replayed");
    size_t head = wire->len;

    *reply = (struct wire_reply) {
        .step = step ? strtoull(step, NULL, 10) : 0,
        .replayed = replayed && strncmp(replayed, "true", 4) == 0,
        .len = length && !wire->bare ? strtoull(length, NULL, 10) : 0,
    };
    if (sscanf(wire->bytes, "HTTP/1.1 %d", &reply->status) != 1 || !fill(wire, head + reply->len))
        return false;
    reply->body = wire->bytes + head;
    return true;
}
