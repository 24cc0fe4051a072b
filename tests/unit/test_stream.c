/* test_stream.c -- replies that come piece by piece, over real connections
 *
 * The application here answers /stream with a stream that the test writes to, and everything else
 * at once. */
#include "server/http.h"
#include "server/limits.h"
#include "tests/support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct room {
    struct http *http;
    struct stream *stream; /* of the last request for one */
    sem_t served, room, gone;
};

static void on_room(void *room_)
{
    struct room *const room = room_;

    sem_post(&room->room);
}

static void on_gone(void *room_)
{
    struct room *const room = room_;

    sem_post(&room->gone);
}

static bool begin(void *app, struct request *request)
{
    (void)app, (void)request;
    return true;
}

static void serve(void *app, struct request *request)
{
    struct room *const room = app;
    struct reply reply = {.status = 200, .content_type = "text/plain"};

    if (strcmp(request->path, "/stream") == 0) {
        room->stream = stream_new(&(struct stream_calls) {on_room, on_gone, room});
        assert_non_null(room->stream);
        reply.stream = stream_hold(room->stream);
    }
    http_reply(request, &reply);
    sem_post(&room->served);
}

static void done(void *app, struct request *request)
{
    (void)app, (void)request;
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    sem_init(&room->served, 0, 0);
    sem_init(&room->room, 0, 0);
    sem_init(&room->gone, 0, 0);
    *state = room;
    return http_start(
               &room->http, &(struct http_options) {.host = "127.0.0.1"},
               &(struct http_calls) {.begin = begin, .serve = serve, .done = done, .app = room},
               NULL)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct room *const room = *state;

    http_stop(room->http);
    stream_drop(room->stream);
    sem_destroy(&room->served);
    sem_destroy(&room->room);
    sem_destroy(&room->gone);
    free(room);
    return 0;
}

static void await(sem_t *what)
{
    while (sem_wait(what) != 0)
        ;
}

/* A client that left is noticed by the second piece at the latest: the first one may still find
 * room on the way. */
static void write_until_gone(struct room *room)
{
    struct timespec soon;

    do {
        assert_true(stream_write(room->stream, "?", 1));
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 10000000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
    } while (sem_timedwait(&room->gone, &soon) != 0);
}

static void ask(struct room *room, struct wire *wire, const char *path)
{
    char text[128];
    const int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);

    assert_true(wire_send(wire, text, (size_t)len));
    await(&room->served);
}

static void open_stream(struct room *room, struct wire *wire, enum wire_room width)
{
    assert_true(wire_open(wire, http_port(room->http), width));
    ask(room, wire, "/stream");
}

/* --- what a client reads --- */

/* One line without its end. */
static void read_line(int fd, char *line, size_t size)
{
    size_t len = 0;

    while (len < size) {
        assert_int_equal(recv(fd, line + len, 1, 0), 1);
        if (line[len++] == '\n')
            break;
    }
    assert_true(len >= 2 && line[len - 2] == '\r');
    line[len - 2] = '\0';
}

static void read_head(int fd)
{
    char line[512];
    bool chunked = false;

    read_line(fd, line, sizeof line);
    assert_string_equal(line, "HTTP/1.1 200 OK");
    for (read_line(fd, line, sizeof line); line[0]; read_line(fd, line, sizeof line))
        chunked |= strcmp(line, "Transfer-Encoding: chunked") == 0;
    assert_true(chunked);
}

/* The next chunk's bytes, from malloc; *len 0 at the end of the body. */
static char *read_chunk(int fd, size_t *len)
{
    char line[64];
    char *bytes;

    read_line(fd, line, sizeof line);
    *len = strtoul(line, NULL, 16);
    bytes = malloc(*len + 1);
    assert_non_null(bytes);
    for (size_t at = 0; at < *len;) {
        const ssize_t got = recv(fd, bytes + at, *len - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    bytes[*len] = '\0';
    read_line(fd, line, sizeof line);
    assert_string_equal(line, "");
    return bytes;
}

static void expect(int fd, const char *text)
{
    size_t len;
    char *const chunk = read_chunk(fd, &len);

    assert_string_equal(chunk, text);
    free(chunk);
}

/* --- tests --- */

static void test_pieces(void **state)
{
    struct room *const room = *state;
    struct wire wire;

    open_stream(room, &wire, WIRE_WIDE);
    read_head(wire.fd);
    assert_true(stream_write(room->stream, "one", 3));
    expect(wire.fd, "one");
    assert_true(stream_write(room->stream, "two", 3));
    expect(wire.fd, "two");
    stream_end(room->stream);
    expect(wire.fd, "");
    await(&room->gone);
    assert_true(stream_write(room->stream, "late", 4)); /* and forgotten */
    wire_close(&wire);
}

/* Nothing to send must not keep the one network thread from others. */
static void test_others_are_served(void **state)
{
    struct room *const room = *state;
    struct wire quiet, other;
    struct wire_reply reply;

    open_stream(room, &quiet, WIRE_WIDE);
    read_head(quiet.fd);
    assert_true(wire_open(&other, http_port(room->http), WIRE_WIDE));
    ask(room, &other, "/");
    assert_true(wire_read(&other, &reply));
    assert_int_equal(reply.status, 200);
    assert_true(stream_write(room->stream, "still there", 11));
    expect(quiet.fd, "still there");
    wire_close(&other);
    wire_close(&quiet);
    write_until_gone(room);
}

enum { PIECE = 4000 };

static void fill(char piece[PIECE], unsigned number)
{
    for (size_t i = 0; i < PIECE; i++)
        piece[i] = (char)('a' + (number + i) % 26);
}

/* Read `bytes` bytes of the pieces from number 0 on and compare them. */
static void read_pieces(int fd, size_t bytes)
{
    char piece[PIECE];

    for (size_t at = 0; at < bytes;) {
        size_t len;
        char *const chunk = read_chunk(fd, &len);

        assert_true(len > 0);
        for (size_t i = 0; i < len; i++, at++) {
            if (at % PIECE == 0)
                fill(piece, (unsigned)(at / PIECE));
            assert_int_equal(chunk[i], piece[at % PIECE]);
        }
        free(chunk);
    }
}

/* A client that does not read has what fits on the way and in the queue, and no more; once it
 * reads, everything that was taken arrives, whole and in order. */
static void test_slow_client(void **state)
{
    struct room *const room = *state;
    struct wire wire;
    char piece[PIECE];
    unsigned taken = 0;

    open_stream(room, &wire, WIRE_NARROW);
    for (int refusals = 0; refusals < 3;) {
        fill(piece, taken);
        if (stream_write(room->stream, piece, PIECE)) {
            taken++;
            continue;
        }
        refusals++;
        if (refusals == 1)
            read_head(wire.fd);
        if (refusals == 3)
            break;
        read_pieces(wire.fd, (size_t)taken * PIECE);
        await(&room->room); /* everything was sent, so what was refused fits */
        taken = 0;
    }
    assert_true((size_t)taken * PIECE >= LIMIT_STREAM_BYTES - PIECE);
    stream_end(room->stream);
    read_pieces(wire.fd, (size_t)taken * PIECE);
    expect(wire.fd, "");
    await(&room->gone);
    wire_close(&wire);
}

/* One that left is noticed by what is written to it. */
static void test_client_leaves(void **state)
{
    struct room *const room = *state;
    struct wire wire;

    open_stream(room, &wire, WIRE_WIDE);
    read_head(wire.fd);
    wire_close(&wire);
    write_until_gone(room);
}

/* Stopping ends streams that nobody ended, suspended ones as well. */
static void test_stop(void **state)
{
    struct room *const room = *state;
    struct wire wire;
    char byte;

    open_stream(room, &wire, WIRE_WIDE);
    read_head(wire.fd);
    assert_true(stream_write(room->stream, "one", 3));
    expect(wire.fd, "one");
    http_quiesce(room->http);
    http_stop(room->http);
    room->http = NULL;
    await(&room->gone);
    expect(wire.fd, "");
    assert_int_equal(recv(wire.fd, &byte, 1, 0), 0);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
