/* test_watch.c -- clients that follow a job's events, over real connections
 *
 * GET /N asks for the events of the one job from after id N on. */
#include "server/fault.h"
#include "server/http.h"
#include "server/limits.h"
#include "server/watch.h"
#include "tests/support/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct room {
    char dir[64];
    struct store *store;
    struct pool *pool;
    struct watchers *watchers;
    struct http *http;
    struct job_row job;
};

static bool begin(void *app, struct request *request)
{
    (void)app, (void)request;
    return true;
}

static void serve(void *app, struct request *request)
{
    struct room *const room = app;
    struct reply reply = {.status = 200, .content_type = "text/event-stream"};

    assert_true(
        watch_job(room->watchers, room->job.seq, atoll(request->path + 1), &reply.stream, NULL));
    http_reply(request, &reply);
}

static void done(void *app, struct request *request)
{
    (void)app, (void)request;
}

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    *state = room;
    strcpy(room->dir, "/tmp/descent-watch-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    assert_true(store_open(&room->store, room->dir, NULL));
    assert_true(pool_open(&room->pool, 2, NULL));
    assert_true(watchers_open(
        &room->watchers,
        &(struct watch_means) {.store = room->store, .pool = room->pool, .silent = true}, NULL));
    room->job = (struct job_row) {.id = "job_a", .spec = "{}"};
    assert_true(store_job_insert(room->store, &room->job, NULL, 0, NULL));
    return http_start(
               &room->http, &(struct http_options) {.host = "127.0.0.1"},
               &(struct http_calls) {.begin = begin, .serve = serve, .done = done, .app = room},
               NULL)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm"};
    struct room *const room = *state;
    char path[128];

    http_stop(room->http);
    pool_close(room->pool);
    watchers_close(room->watchers);
    store_close(room->store);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", room->dir, files[i]);
        (void)unlink(path);
    }
    rmdir(room->dir);
    free(room);
    return 0;
}

static void add(struct room *room, enum event_kind kind, const char *data)
{
    assert_true(store_event_add(room->store, room->job.seq, kind, data, NULL));
}

static void end_job(struct room *room)
{
    bool moved;

    assert_true(
        store_job_move(room->store, room->job.seq, 1u << JOB_QUEUED, JOB_CANCELLED, &moved, NULL));
    assert_true(moved);
    watchers_wake(room->watchers, room->job.seq);
}

/* --- a client --- */

static void follow(struct room *room, struct follower *follower, int after, enum wire_room width)
{
    char path[32];

    snprintf(path, sizeof path, "/%d", after);
    follower_open(follower, http_port(room->http), path, "", width);
}

static void expect(struct follower *follower, const char *text)
{
    for (const char *at = text; *at; at++) {
        const char c = follower_byte(follower);
        if (c != *at)
            fail_msg("\"%c\" came where \"%.40s\" was due", c, at);
    }
}

static void expect_end(struct follower *follower)
{
    assert_int_equal(follower_byte(follower), 0);
    follower_close(follower);
}

/* --- tests --- */

static void test_past_and_present(void **state)
{
    struct room *const room = *state;
    struct follower all, rest;

    add(room, EVENT_STATE, "{\"n\":1}");
    add(room, EVENT_PROGRESS, "{\"n\":2}");
    follow(room, &all, 0, WIRE_WIDE);
    follow(room, &rest, 1, WIRE_WIDE);
    expect(&all, "id: 1\nevent: state\ndata: {\"n\":1}\n\n");
    expect(&all, "id: 2\nevent: progress\ndata: {\"n\":2}\n\n");
    expect(&rest, "id: 2\nevent: progress\ndata: {\"n\":2}\n\n");
    add(room, EVENT_METRIC, "{\"n\":3}");
    watchers_wake(room->watchers, room->job.seq);
    expect(&all, "id: 3\nevent: metric\ndata: {\"n\":3}\n\n");
    expect(&rest, "id: 3\nevent: metric\ndata: {\"n\":3}\n\n");
    watchers_wake(room->watchers, room->job.seq + 1); /* another job's */
    add(room, EVENT_DONE, "{}");
    end_job(room);
    expect(&all, "id: 4\nevent: done\ndata: {}\n\n");
    expect_end(&all);
    expect(&rest, "id: 4\nevent: done\ndata: {}\n\n");
    expect_end(&rest);
}

/* More than a page, and a client that comes when all is over. */
static void test_many(void **state)
{
    struct room *const room = *state;
    struct follower follower;
    char text[64];

    assert_true(store_begin(room->store, NULL));
    for (int i = 1; i <= 300; i++)
        add(room, EVENT_LOG, "{}");
    assert_true(store_end(room->store, true, NULL));
    end_job(room);
    follow(room, &follower, 0, WIRE_WIDE);
    for (int i = 1; i <= 300; i++) {
        snprintf(text, sizeof text, "id: %d\nevent: log\ndata: {}\n\n", i);
        expect(&follower, text);
    }
    expect_end(&follower);
}

/* Ten times what a stream holds, to a client with little room on the way: what does not fit is read
 * again later, so nothing is lost or sent twice. */
static void test_more_than_fits(void **state)
{
    enum { EVENTS = 10 * LIMIT_STREAM_BYTES / 8000 };
    struct room *const room = *state;
    struct follower follower;
    char data[8000], head[64];

    memset(data, 'x', sizeof data);
    memcpy(data, "{\"x\":\"", 6);
    memcpy(data + sizeof data - 3, "\"}", 3);
    assert_true(store_begin(room->store, NULL));
    for (int i = 0; i < EVENTS; i++)
        add(room, EVENT_LOG, data);
    assert_true(store_end(room->store, true, NULL));
    follow(room, &follower, 0, WIRE_NARROW);
    end_job(room);
    for (int i = 1; i <= EVENTS; i++) {
        snprintf(head, sizeof head, "id: %d\nevent: log\ndata: ", i);
        expect(&follower, head);
        expect(&follower, data);
        expect(&follower, "\n\n");
    }
    expect_end(&follower);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void test_comments(void **state)
{
    const uint64_t silence = LIMIT_WATCH_SECONDS * UINT64_C(1000000000);
    struct room *const room = *state;
    struct follower follower;

    const uint64_t before = now_ns();
    follow(room, &follower, 0, WIRE_WIDE);
    const uint64_t after = now_ns();
    watchers_tick(room->watchers, before + silence - 1); /* too early for one */
    watchers_tick(room->watchers, after + silence);
    expect(&follower, ":\n\n");
    watchers_tick(room->watchers, after + 2 * silence - 1); /* since the comment */
    watchers_tick(room->watchers, after + 2 * silence);
    expect(&follower, ":\n\n");
    end_job(room);
    expect_end(&follower);
}

/* A client that went away is found by comments; what it held is free. */
static void test_client_leaves(void **state)
{
    struct room *const room = *state;
    struct follower follower;
    uint64_t now = now_ns();

    follow(room, &follower, 0, WIRE_WIDE);
    assert_int_equal(watchers_count(room->watchers), 1);
    follower_close(&follower);
    while (watchers_count(room->watchers) > 0) {
        now += (LIMIT_WATCH_SECONDS + 1) * UINT64_C(1000000000);
        watchers_tick(room->watchers, now);
        sched_yield();
    }
}

static void test_job_is_deleted(void **state)
{
    struct room *const room = *state;
    struct follower follower;
    bool moved;

    follow(room, &follower, 0, WIRE_WIDE);
    assert_true(
        store_job_move(room->store, room->job.seq, 1u << JOB_QUEUED, JOB_FAILED, &moved, NULL));
    assert_true(store_job_delete(room->store, "job_a", NULL));
    watchers_wake(room->watchers, room->job.seq);
    expect_end(&follower);
}

static void test_as_many_as_may(void **state)
{
    struct room *const room = *state;
    struct stream *streams[LIMIT_WATCHERS], *more = NULL;
    dsc_err err = {0};

    for (int i = 0; i < LIMIT_WATCHERS; i++)
        assert_true(watch_job(room->watchers, room->job.seq, 0, &streams[i], NULL));
    assert_false(watch_job(room->watchers, room->job.seq, 0, &more, &err));
    assert_int_equal(err.code, FAULT_OVERLOADED);
    assert_null(more);
    for (int i = 0; i < LIMIT_WATCHERS; i++)
        stream_lose(streams[i]);
}

/* The server stops: streams end, and the client may come back with the last id it saw. */
static void test_stop(void **state)
{
    struct room *const room = *state;
    struct follower follower;

    add(room, EVENT_STATE, "{}");
    follow(room, &follower, 0, WIRE_WIDE);
    expect(&follower, "id: 1\nevent: state\ndata: {}\n\n");
    http_quiesce(room->http);
    http_stop(room->http);
    room->http = NULL;
    expect_end(&follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_past_and_present, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_is_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_as_many_as_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
