/* fuzz_http.c -- any bytes on a real connection: what the gateway makes of them
 *
 * The gateway listens on loopback with an application that answers half of the requests early, from
 * the headers, and the others when their body is whole, repeating what the client sent (path,
 * query, a header, the body) in its reply. The input is sent, the sending side closed, everything
 * read. Promises held, beyond what the sanitizers see in http.c: each `begin` has its `done`; a
 * body has the announced length and a NUL behind it; a path begins with what was sent; what comes
 * back is a sequence of HTTP replies in which no text of the client begins a header of its own. */
#include "server/http.h"
#include "server/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct http *http; /* one for the process: libFuzzer has no other place to keep it */
static atomic_size_t began, done;

/* Connections have timing, so a failure may not come again: it says which promise it was. */
static void check(bool promise, const char *what)
{
    if (promise)
        return;
    perror(what);
    abort();
}

/* --- the application --- */

static void answer(struct request *request, int status, bool with_body)
{
    struct reply reply = {.status = status, .content_type = "text/plain"};
    const char *const echo = http_header(request, "X-Echo"), *query = http_query(request, "q");

    if (with_body && request->body)
        reply.body = buf_hold(request->body);
    reply_header(&reply, "Echo-Path", "%s", request->path);
    reply_header(&reply, "Echo-Query", "%s", query ? query : "");
    reply_header(&reply, "Echo-Header", "%s", echo ? echo : "");
    http_reply(request, &reply);
}

static bool begin(void *app, struct request *request)
{
    (void)app;
    atomic_fetch_add(&began, 1);
    check(request->method && request->path && strlen(request->id) >= 1, "a request is whole");
    check(strlen(request->id) <= LIMIT_REQUEST_ID_BYTES, "an id has a bound");
    check(!strchr(request->path, '?'), "a path ends before its query");
    request->app = request;
    if (strstr(request->path, "early") || request->content_length > 65536 ||
        http_header(request, "Transfer-Encoding")) {
        answer(request, 404, false);
        return false;
    }
    return true;
}

static void serve(void *app, struct request *request)
{
    const struct buf *const body = request->body;

    (void)app;
    check(!body || (body->len == request->content_length && body->data[body->len] == '\0'),
          "a body has its length");
    check(body || request->content_length == 0, "a body is there");
    answer(request, 200, true);
}

static void finish(void *app, struct request *request)
{
    (void)app;
    if (request->app) /* begin was called */
        atomic_fetch_add(&done, 1);
}

static void stop(void)
{
    http_stop(http);
    check(atomic_load(&began) == atomic_load(&done), "each begin has its done");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct http_calls calls = {.begin = begin, .serve = serve, .done = finish};
    dsc_err err = {0};

    (void)argc, (void)argv;
    check(http_start(&http, &(struct http_options) {.host = "127.0.0.1"}, &calls, &err), err.text);
    atexit(stop);
    return 0;
}

/* --- the client --- */

/* libFuzzer's timer interrupts; the connection is made all the same. */
static bool made_meanwhile(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    int why = 0;
    socklen_t len = sizeof why;

    while (poll(&writable, 1, -1) < 0 && errno == EINTR)
        ;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0;
}

static int open_connection(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(http_port(http))};
    /* Closing resets: a hundred thousand connections must not wait in TIME_WAIT. */
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0,
          "a socket");
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ||
              (errno == EINTR && made_meanwhile(fd)),
          "a connection");
    return fd;
}

/* The first byte says where the rest is cut in two, so that the gateway meets unfinished lines, and
 * whether our side is closed behind it. */
static void send_input(int fd, const uint8_t *data, size_t size)
{
    const size_t cut = size > 1 ? 1 + data[0] % size : size;

    if (cut > 1 && send(fd, data + 1, cut - 1, MSG_NOSIGNAL) < 0)
        return;
    if (size > cut && send(fd, data + cut, size - cut, MSG_NOSIGNAL) < 0)
        return;
    if (size > 0 && data[0] & 1)
        shutdown(fd, SHUT_WR);
}

static size_t read_replies(int fd, char *text, size_t room)
{
    enum { SILENCE_MS = 3 }; /* a request that is not whole gets no answer */
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t got;

    while (len < room && poll(&readable, 1, SILENCE_MS) == 1 &&
           (got = read(fd, text + len, room - len)) > 0)
        len += (size_t)got;
    return len;
}

/* Echo-... lines hold one line of client's text each; a line that the client smuggled in would be
 * "Smuggled:", which the corpus tries to place. */
static void check_replies(const char *text, size_t len)
{
    if (len > 0)
        check(len > 9 && memcmp(text, "HTTP/1.", 7) == 0, "what comes back is HTTP");
    const char *const end = memmem(text, len, "\r\n\r\n", 4);
    const size_t head = end ? (size_t)(end - text) : len;
    check(memmem(text, head, "\nSmuggled:", 10) == NULL, "no header of the client's");
    check(memmem(text, head, "\rSmuggled:", 10) == NULL, "no header of the client's");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROOM = 1 << 18 };
    char *const text = malloc(ROOM);
    const int fd = open_connection();

    check(text != NULL, "memory");
    send_input(fd, data, size);
    check_replies(text, read_replies(fd, text, ROOM));
    close(fd);
    free(text);
    return 0;
}
