#include "tests/support/follower.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static char read_byte(int fd)
{
    char c;

    assert_int_equal(recv(fd, &c, 1, 0), 1);
    return c;
}

static void read_raw_line(int fd, char *line, size_t size)
{
    size_t len = 0;

    for (char c = read_byte(fd); c != '\n'; c = read_byte(fd)) {
        assert_true(len + 1 < size);
        line[len++] = c;
    }
    assert_true(len > 0 && line[len - 1] == '\r');
    line[len - 1] = '\0';
}

void follower_open(struct follower *follower, int port, const char *path, const char *headers,
                   enum wire_room room)
{
    char text[1024];
    const int len =
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", path, headers);
    bool chunked = false;

    *follower = (struct follower) {.left = 0};
    assert_true(wire_open(&follower->wire, port, room));
    assert_true(wire_send(&follower->wire, text, (size_t)len));
    read_raw_line(follower->wire.fd, text, sizeof text);
    assert_string_equal(text, "HTTP/1.1 200 OK");
    while (text[0]) {
        read_raw_line(follower->wire.fd, text, sizeof text);
        chunked |= strcmp(text, "Transfer-Encoding: chunked") == 0;
    }
    assert_true(chunked);
}

void follower_close(struct follower *follower)
{
    wire_close(&follower->wire);
}

char follower_byte(struct follower *follower)
{
    const int fd = follower->wire.fd;
    char line[32];

    if (follower->left == 0) {
        read_raw_line(fd, line, sizeof line);
        follower->left = strtoul(line, NULL, 16);
        if (follower->left == 0)
            return 0;
    }
    const char c = read_byte(fd);
    if (--follower->left == 0) {
        read_raw_line(fd, line, sizeof line);
        assert_string_equal(line, "");
    }
    return c;
}

/* A line of the body; false at its end. */
static bool read_line(struct follower *follower, char *line, size_t size)
{
    size_t len = 0;

    for (char c; (c = follower_byte(follower)) != '\n'; line[len++] = c) {
        if (c == 0)
            return false;
        assert_true(len + 1 < size);
    }
    line[len] = '\0';
    return true;
}

static void read_field(const char *line, struct follower_event *out)
{
    if (strncmp(line, "id: ", 4) == 0)
        out->id = atol(line + 4);
    else if (strncmp(line, "event: ", 7) == 0)
        snprintf(out->kind, sizeof out->kind, "%.31s", line + 7);
    else if (strncmp(line, "data: ", 6) == 0)
        snprintf(out->data, sizeof out->data, "%.1023s", line + 6);
    else
        assert_int_equal(line[0], ':');
}

bool follower_next(struct follower *follower, struct follower_event *out)
{
    char line[sizeof out->data + 16];

    *out = (struct follower_event) {.id = 0};
    while (read_line(follower, line, sizeof line)) {
        if (line[0])
            read_field(line, out);
        else if (out->kind[0])
            return true;
    }
    return false;
}
