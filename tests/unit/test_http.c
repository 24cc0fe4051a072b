/* test_http.c -- an answer on the spot, by another thread at once, and by another thread later
 *
 * The three meet the gateway in different states: before the connection is suspended, around that
 * moment, and after it. Whichever it is, each request gets its own answer, exactly once. */
#include "server/http.h"
#include "tests/support/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One other thread, which answers what is put into `handed` when `go` allows it. */
struct office {
    struct http *http;
    pthread_t clerk;
    sem_t ready, go, done;
    struct request *handed;
    bool closing;
};

/* The path, and the body if there is one. */
static void answer(struct request *request)
{
    struct reply reply = {.status = 200, .content_type = "text/plain", .body = buf_new(64)};

    assert_non_null(reply.body);
    assert_true(buf_append(reply.body, request->path, strlen(request->path)));
    if (request->body)
        assert_true(buf_append(reply.body, request->body->data, request->body->len));
    http_reply(request, &reply);
}

static void await(sem_t *what)
{
    while (sem_wait(what) != 0)
        ;
}

static void *clerk(void *office_)
{
    struct office *const office = office_;

    for (;;) {
        await(&office->ready);
        if (office->closing)
            return NULL;
        if (strcmp(office->handed->path, "/later") == 0)
            await(&office->go);
        answer(office->handed);
    }
}

static bool begin(void *office, struct request *request)
{
    (void)office;
    if (strcmp(request->path, "/begin") != 0)
        return true;
    answer(request);
    return false;
}

static void serve(void *office_, struct request *request)
{
    struct office *const office = office_;

    if (strcmp(request->path, "/spot") == 0) {
        answer(request);
        return;
    }
    office->handed = request;
    sem_post(&office->ready);
}

static void done(void *office_, struct request *request)
{
    struct office *const office = office_;

    (void)request;
    sem_post(&office->done);
}

static int set_up(void **state)
{
    struct office *const office = calloc(1, sizeof *office);

    assert_non_null(office);
    sem_init(&office->ready, 0, 0);
    sem_init(&office->go, 0, 0);
    sem_init(&office->done, 0, 0);
    *state = office;
    return http_start(
               &office->http, &(struct http_options) {.host = "127.0.0.1"},
               &(struct http_calls) {.begin = begin, .serve = serve, .done = done, .app = office},
               NULL) &&
                   pthread_create(&office->clerk, NULL, clerk, office) == 0
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct office *const office = *state;

    http_stop(office->http);
    office->closing = true;
    sem_post(&office->ready);
    pthread_join(office->clerk, NULL);
    sem_destroy(&office->ready);
    sem_destroy(&office->go);
    sem_destroy(&office->done);
    free(office);
    return 0;
}

static void send_request(struct wire *wire, const char *path, int number)
{
    char text[256], body[16];
    const int len = snprintf(body, sizeof body, "?%d", number);

    const int all =
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
                 path, len, body);
    assert_true(wire_send(wire, text, (size_t)all));
}

static void expect_answer(struct wire *wire, const char *path, int number)
{
    struct wire_reply reply;
    char want[64];

    (void)snprintf(want, sizeof want, "%s?%d", path, number);
    if (strcmp(path, "/begin") == 0)
        want[strlen(path)] = '\0'; /* answered before its body */
    assert_true(wire_read(wire, &reply));
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, want);
}

/* On one connection, in turns; "/hand" is answered by the other thread while the first is just
 * about to suspend the connection, now before that and now after. */
static void test_turns(void **state)
{
    static const char *const paths[] = {"/spot", "/hand", "/begin", "/hand", "/later", "/spot"};
    struct office *const office = *state;
    struct wire wire;

    assert_true(wire_open(&wire, http_port(office->http), WIRE_WIDE));
    for (int i = 0; i < 600; i++) {
        const char *const path = paths[i % 6];

        send_request(&wire, path, i);
        if (strcmp(path, "/later") == 0)
            sem_post(&office->go);
        expect_answer(&wire, path, i);
        await(&office->done);
    }
    wire_close(&wire);
}

/* A client that sends the next request before it has the answer gets the answers in order. */
static void test_pipelined(void **state)
{
    static const char *const paths[] = {"/spot", "/hand", "/spot", "/spot", "/hand"};
    struct office *const office = *state;
    struct wire wire;

    assert_true(wire_open(&wire, http_port(office->http), WIRE_WIDE));
    for (int i = 0; i < 50; i++)
        send_request(&wire, paths[i % 5], i);
    for (int i = 0; i < 50; i++)
        expect_answer(&wire, paths[i % 5], i);
    wire_close(&wire);
}

/* The client leaves while the application has its request; a stop waits for the answer. */
static void test_gone(void **state)
{
    struct office *const office = *state;
    struct wire wire;

    assert_true(wire_open(&wire, http_port(office->http), WIRE_WIDE));
    send_request(&wire, "/later", 1);
    wire_close(&wire);
    sem_post(&office->go);
    await(&office->done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pipelined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
