/* test_probe.c -- gauges that a process leaves behind */
#include "server/probe.h"
#include "server/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_no_file_no_probe(void **state)
{
    struct probe other, *probe = &other;
    dsc_err err = {0};

    (void)state;
    assert_true(probe_open(&probe, NULL, &err));
    assert_null(probe);
    probe_move(probe, PROBE_NONE, PROBE_RECEIVE);
    probe_close(probe);
}

/* A child dies by kill -9 with one request in COMMIT and none in RECEIVE; the parent reads that. */
static void test_survives_the_process(void **state)
{
    char path[] = "/tmp/descent-probe-XXXXXX";
    struct probe *probe = NULL;
    dsc_err err = {0};
    int fd = mkstemp(path), status;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_true(probe_open(&probe, path, &err));
    pid_t pid = fork();
    if (pid == 0) {
        probe_move(probe, PROBE_NONE, PROBE_RECEIVE);
        probe_move(probe, PROBE_RECEIVE, PROBE_COMMIT);
        kill(getpid(), 9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(atomic_load(&probe->gauge[PROBE_COMMIT]), 1);
    assert_int_equal(atomic_load(&probe->gauge[PROBE_RECEIVE]), 0);
    probe_close(probe);
    assert_true(probe_open(&probe, path, &err)); /* the next process begins at none */
    assert_int_equal(atomic_load(&probe->gauge[PROBE_COMMIT]), 0);
    probe_close(probe);
    unlink(path);
}

static void test_a_path_that_cannot_be(void **state)
{
    struct probe *probe = NULL;
    dsc_err err = {0};

    (void)state;
    assert_false(probe_open(&probe, "/nonexistent/probe", &err));
    assert_null(probe);
    assert_int_equal(err.code, FAULT_INTERNAL);
    assert_non_null(strstr(err.text, "/nonexistent/probe"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_no_probe),
        cmocka_unit_test(test_survives_the_process),
        cmocka_unit_test(test_a_path_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
