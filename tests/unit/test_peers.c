/* test_peers.c -- deadlines and polite ends, on real connections over loopback
 *
 * Time is never measured: what must happen is waited for, and what must not is looked at after
 * something that happens later for certain. */
#include "server/peers.h"
#include "server/clock.h"
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FOREVER_MS = 60000, PIECE = 1 << 16 };

/* The two ends of a connection. */
struct ends {
    int client, server;
};

static int listener, port;

static int set_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    struct peers *peers = NULL;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 || !peers_open(&peers, NULL))
        return -1;
    port = address.sin_port;
    *state = peers;
    return 0;
}

static int tear_down(void **state)
{
    peers_close(*state);
    return close(listener);
}

static struct ends ends_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = (in_port_t)port};
    struct ends ends = {.client = socket(AF_INET, SOCK_STREAM, 0)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(ends.client, (struct sockaddr *)&address, sizeof address), 0);
    ends.server = accept(listener, NULL, NULL);
    assert_true(ends.server >= 0);
    return ends;
}

static void ends_close(struct ends ends)
{
    close(ends.client);
    close(ends.server);
}

/* Wait for something to read: the bytes, 0 at the end of the connection, -1 at a reset one. */
static ssize_t await(int fd, char *bytes, size_t size)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&polled, 1, FOREVER_MS), 1);
    return recv(fd, bytes, size, 0);
}

static bool quiet(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static int descriptors(void)
{
    DIR *const folder = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* --- deadlines --- */

static void test_past_its_deadline(void **state)
{
    const struct ends late = ends_open(), early = ends_open(), never = ends_open();
    struct peer *const peer[] = {peer_add(*state, late.server), peer_add(*state, early.server),
                                 peer_add(*state, never.server)};
    char byte;

    peer_deadline(peer[1], clock_ns() + UINT64_C(3600000000000));
    peer_deadline(peer[2], clock_ns());
    peer_deadline(peer[2], 0);
    peer_deadline(peer[0], clock_ns());
    assert_int_equal(await(late.client, &byte, 1), 0);
    assert_true(quiet(early.client));
    assert_true(quiet(never.client));
    for (int i = 0; i < 3; i++)
        peer_remove(*state, peer[i]);
    ends_close(late);
    ends_close(early);
    ends_close(never);
}

/* A descriptor that was given back may be somebody else's by the time of the next sweep. */
static void test_removed_is_left_alone(void **state)
{
    const struct ends gone = ends_open(), there = ends_open();
    struct peer *const leaving = peer_add(*state, gone.server);
    char byte;

    peer_deadline(leaving, clock_ns() + 1);
    peer_remove(*state, leaving);
    struct peer *const staying = peer_add(*state, there.server);
    peer_deadline(staying, clock_ns());
    assert_int_equal(await(there.client, &byte, 1), 0);
    assert_true(quiet(gone.client));
    peer_remove(*state, staying);
    ends_close(gone);
    ends_close(there);
}

/* In and out in every order: the list holds, and those that stay are still swept. */
static void test_comings_and_goings(void **state)
{
    enum { COUNT = 24 };
    struct ends ends[COUNT];
    struct peer *peer[COUNT];
    char byte;

    for (int i = 0; i < COUNT; i++) {
        ends[i] = ends_open();
        peer[i] = peer_add(*state, ends[i].server);
        assert_non_null(peer[i]);
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 3 == 0 || i == COUNT - 1) { /* the first, the last, some between */
            peer_remove(*state, peer[i]);
            peer[i] = NULL;
        }
    for (int i = 0; i < COUNT; i++)
        peer_deadline(peer[i], clock_ns());
    for (int i = 0; i < COUNT; i++)
        if (peer[i])
            assert_int_equal(await(ends[i].client, &byte, 1), 0);
    for (int i = 0; i < COUNT; i++) {
        assert_true(peer[i] || quiet(ends[i].client));
        peer_remove(*state, peer[i]);
        ends_close(ends[i]);
    }
}

static void test_nobody(void **state)
{
    peer_remove(*state, NULL);
    peer_deadline(NULL, 1);
    peer_linger(*state, NULL);
    peers_close(NULL);
}

/* --- lingering --- */

/* Answer, linger, and close as the library does. */
static void answer_and_close(struct peers *peers, const struct ends *ends)
{
    struct peer *const peer = peer_add(peers, ends->server);

    assert_int_equal(send(ends->server, "answer", 6, 0), 6);
    peer_linger(peers, peer);
    peer_remove(peers, peer);
    close(ends->server);
}

/* Send until `bytes` are out or the other side is gone; true when all are out. */
static bool pour(int fd, size_t bytes)
{
    static const char zeros[PIECE];

    while (bytes > 0) {
        const size_t piece = bytes < sizeof zeros ? bytes : sizeof zeros;
        const ssize_t sent = send(fd, zeros, piece, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        bytes -= (size_t)sent;
    }
    return true;
}

/* Without lingering the unread bytes would reset the connection, and the answer with it. */
static void test_the_answer_arrives(void **state)
{
    const struct ends ends = ends_open();
    char text[16];

    answer_and_close(*state, &ends);
    assert_true(pour(ends.client, 8u << 20)); /* more than the kernel keeps for the reader */
    assert_int_equal(shutdown(ends.client, SHUT_WR), 0);
    assert_int_equal(await(ends.client, text, sizeof text), 6);
    assert_memory_equal(text, "answer", 6);
    assert_int_equal(await(ends.client, text, sizeof text), 0); /* and not ECONNRESET */
    close(ends.client);
}

static void test_too_much_is_not_read(void **state)
{
    const struct ends ends = ends_open();

    answer_and_close(*state, &ends);
    assert_false(pour(ends.client, 4 * (size_t)LIMIT_LINGER_BYTES));
    close(ends.client);
}

/* One too many is closed at once, as all were without lingering. */
static void test_too_many_do_not_linger(void **state)
{
    struct ends ends[LIMIT_LINGERING + 1];
    char text[16];

    for (int i = 0; i <= LIMIT_LINGERING; i++) {
        ends[i] = ends_open();
        answer_and_close(*state, &ends[i]);
    }
    assert_int_equal(await(ends[LIMIT_LINGERING].client, text, sizeof text), 6);
    assert_int_equal(await(ends[LIMIT_LINGERING].client, text, sizeof text), 0);
    for (int i = 0; i < LIMIT_LINGERING; i++) {
        assert_int_equal(await(ends[i].client, text, sizeof text), 6);
        assert_true(quiet(ends[i].client)); /* still there */
    }
    for (int i = 0; i <= LIMIT_LINGERING; i++)
        close(ends[i].client);
}

/* However clients leave, what lingered for them is given back. */
static void test_ended_by_the_client(void **state)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    const int before = descriptors();

    for (int i = 0; i < LIMIT_LINGERING; i++) {
        const struct ends ends = ends_open();
        answer_and_close(*state, &ends);
        if (i % 2)
            assert_int_equal(setsockopt(ends.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset),
                             0);
        close(ends.client);
    }
    while (descriptors() > before) /* or the test's own time runs out */
        sched_yield();
}

static void test_closing_ends_those_that_linger(void **state)
{
    const struct ends ends = ends_open();
    struct peers *own = NULL;
    char text[16];

    (void)state;
    assert_true(peers_open(&own, NULL));
    answer_and_close(own, &ends);
    peers_close(own);
    assert_int_equal(await(ends.client, text, sizeof text), 6);
    assert_int_equal(await(ends.client, text, sizeof text), 0);
    close(ends.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_past_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comings_and_goings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_answer_arrives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_much_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_do_not_linger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ended_by_the_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closing_ends_those_that_linger, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
