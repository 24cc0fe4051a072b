#include "caller.h"

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void request_make(struct request_text *text, const char *method, const char *path, const char *more,
                  const void *body, size_t body_len)
{
    const int len = snprintf(text->head, sizeof text->head,
                             "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n",
                             method, path, more ? more : "", body_len);

    bench_need(len > 0 && (size_t)len < sizeof text->head, "a request head is too long");
    text->head_len = (size_t)len;
    text->body = body;
    text->body_len = body_len;
}

void caller_open(struct caller *caller, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *caller = (struct caller) {.fd = socket(AF_INET, SOCK_STREAM, 0), .cap = 4096};
    caller->reply = malloc(caller->cap + 1);
    bench_need(caller->fd >= 0 && caller->reply != NULL, "no connection");
    setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bench_need(connect(caller->fd, (struct sockaddr *)&address, sizeof address) == 0,
               "cannot connect");
}

void caller_close(struct caller *caller)
{
    close(caller->fd);
    free(caller->reply);
}

/* --- sending --- */

/* As much as the socket takes; true when all of the request is out. */
static bool send_some(struct caller *caller, const struct request_text *text, int flags)
{
    const size_t all = text->head_len + text->body_len;

    while (caller->sent < all) {
        const size_t in_head = caller->sent < text->head_len ? text->head_len - caller->sent : 0;
        const size_t in_body = caller->sent + in_head - text->head_len;
        struct iovec piece[2] = {
            {(char *)text->head + text->head_len - in_head, in_head},
            {(char *)text->body + in_body, text->body_len - in_body},
        };
        struct msghdr message = {.msg_iov = piece, .msg_iovlen = text->body_len ? 2 : 1};
        const ssize_t sent = sendmsg(caller->fd, &message, flags | MSG_NOSIGNAL);

        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        bench_need(sent > 0, "the server closed the connection");
        caller->sent += (size_t)sent;
    }
    return true;
}

/* --- receiving --- */

static const char *header(const char *head, const char *name)
{
    const size_t len = strlen(name);

    for (const char *line = head; (line = strchr(line, '\n')) != NULL;)
        if (strncasecmp(++line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " ");
    return NULL;
}

static void grow(struct caller *caller, size_t cap)
{
    if (cap <= caller->cap)
        return;
    caller->reply = realloc(caller->reply, cap + 1);
    bench_need(caller->reply != NULL, "no memory");
    caller->cap = cap;
}

static void read_head(struct caller *caller)
{
    caller->reply[caller->len] = '\0';
    const char *const end = strstr(caller->reply, "\r\n\r\n");
    if (!end)
        return;
    const char *const length = header(caller->reply, "Content-Length");
    bench_need(sscanf(caller->reply, "HTTP/1.1 %d", &caller->status) == 1, "no HTTP reply");
    caller->head_len = (size_t)(end + 4 - caller->reply);
    caller->body_len = length ? strtoull(length, NULL, 10) : 0;
    caller->whole = caller->head_len + caller->body_len;
    grow(caller, caller->whole);
}

/* True when the reply is whole. */
static bool receive_some(struct caller *caller, int flags)
{
    while (caller->whole == 0 || caller->len < caller->whole) {
        const ssize_t got =
            recv(caller->fd, caller->reply + caller->len, caller->cap - caller->len, flags);

        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        bench_need(got > 0, "the server closed the connection");
        caller->len += (size_t)got;
        if (caller->whole == 0)
            read_head(caller);
    }
    caller->body = caller->reply + caller->head_len;
    return true;
}

static void begin(struct caller *caller)
{
    caller->len = caller->whole = caller->sent = 0;
}

int caller_ask(struct caller *caller, const struct request_text *text)
{
    begin(caller);
    (void)send_some(caller, text, 0);
    (void)receive_some(caller, 0);
    return caller->status;
}

void caller_send(struct caller *caller, const struct request_text *text)
{
    begin(caller);
    (void)send_some(caller, text, 0);
}

double caller_timing(const struct caller *caller, const char *phase)
{
    const char *const line = header(caller->reply, "Server-Timing");
    const char *const at = line ? strstr(line, phase) : NULL;

    return at ? strtod(strstr(at, "dur=") + 4, NULL) : 0;
}

/* --- many at once --- */

enum { EVENTS = 256 };

static void watch(int epoll, struct caller *callers, size_t i, int what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};

    bench_need(epoll_ctl(epoll, what, callers[i].fd, &event) == 0, "epoll");
}

double callers_run(struct caller *callers, const struct request_text *texts, size_t count,
                   double seconds, int status, double *latency, size_t *latencies)
{
    const int epoll = epoll_create1(0);
    const size_t room = latency ? *latencies : 0;
    double *const began = calloc(count, sizeof *began);
    const double start = bench_wall();
    size_t replies = 0, flying = count, noted = 0;
    double now = start;

    bench_need(began != NULL, "no memory");
    for (size_t i = 0; i < count; i++) {
        watch(epoll, callers, i, EPOLL_CTL_ADD);
        begin(&callers[i]);
        began[i] = bench_wall();
        (void)send_some(&callers[i], &texts[i], 0);
    }
    while (flying > 0) {
        struct epoll_event events[EVENTS];
        const int ready = epoll_wait(epoll, events, EVENTS, -1);

        now = bench_wall();
        for (int e = 0; e < ready; e++) {
            const size_t i = events[e].data.u64;

            if (!receive_some(&callers[i], MSG_DONTWAIT))
                continue;
            bench_need(callers[i].status == status, "a reply of another status");
            replies++;
            if (noted < room)
                latency[noted++] = now - began[i];
            if (now - start >= seconds) {
                flying--;
                continue;
            }
            begin(&callers[i]);
            began[i] = now;
            (void)send_some(&callers[i], &texts[i], 0);
        }
    }
    for (size_t i = 0; i < count; i++)
        watch(epoll, callers, i, EPOLL_CTL_DEL);
    close(epoll);
    free(began);
    if (latency)
        *latencies = noted;
    return (double)replies / (now - start);
}
