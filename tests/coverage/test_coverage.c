/* test_coverage.c -- what the API declares and no test has seen
 *
 * Runs after all others, with the programs that speak HTTP as arguments. Each has left a .seen file
 * (tests/support/contract.h); one that has not run since it was built, or that ran against another
 * description, fails here, so that nothing old counts. Then every operation must have been seen
 * with each status of success and each code of failure that it declares.
 *
 * Codes that need the machine itself to fail, and whose causes lie below all routes, need to be
 * seen at one route only: see `anywhere`. */
#include "tests/support/contract.h"
#include "tests/support/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char *const anywhere[] = {"overloaded", "out_of_memory", "internal", "storage_full",
                                       "draining"};

static char **programs; /* NULL-terminated */
static json_t *seen;    /* lines as keys */

/* --- the record --- */

static bool is_newer(const char *path, const char *than)
{
    struct stat a, b;

    return stat(path, &a) == 0 && stat(than, &b) == 0 &&
           (a.st_mtim.tv_sec > b.st_mtim.tv_sec ||
            (a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec >= b.st_mtim.tv_nsec));
}

static void read_seen(const char *program)
{
    char path[4096], line[1024], mark[CONTRACT_MARK_BYTES];

    snprintf(path, sizeof path, "%s.seen", program);
    if (!is_newer(path, program))
        fail_msg("%s has not run since it was built: `make run-tests` runs all", program);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    contract_mark(mark);
    for (bool first = true; fgets(line, sizeof line, file); first = false) {
        line[strcspn(line, "\n")] = '\0';
        if (first && strcmp(line, mark) != 0)
            fail_msg("%s ran against another description", program);
        json_object_set_new(seen, line, json_true());
    }
    fclose(file);
}

static void every_program_has_run(void **state)
{
    (void)state;
    assert_non_null(programs[0]);
    for (char **program = programs; *program; program++)
        read_seen(*program);
}

/* --- what is declared --- */

static bool is_anywhere(const char *code)
{
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (strcmp(anywhere[i], code) == 0)
            return true;
    return false;
}

static bool was_seen(const char *method, const char *path, const char *status, const char *code)
{
    char line[1024];

    snprintf(line, sizeof line, "%s %s %s %s", method, path, status, code);
    return json_object_get(seen, line) != NULL;
}

/* The codes of a failing response. */
static const json_t *codes_of(const json_t *response)
{
    const json_t *const content = json_object_get(response, "content");
    const json_t *const problem = json_object_get(content, "application/problem+json");
    const json_t *const schema = json_object_get(problem, "schema");
    const json_t *const code = json_object_get(json_object_get(schema, "properties"), "code");

    return json_object_get(code, "enum");
}

/* Prints what was not; returns how many. */
static size_t missing_of(const char *method, const char *path, const char *status,
                         const json_t *response)
{
    const json_t *const codes = codes_of(response);
    const json_t *code;
    size_t i, missing = 0;

    if (!codes && !was_seen(method, path, status, "-") && ++missing)
        print_error("never seen: %s %s %s\n", method, path, status);
    json_array_foreach(codes, i, code)
    {
        const char *const word = json_string_value(code);
        if (is_anywhere(word) || was_seen(method, path, status, word))
            continue;
        print_error("never seen: %s %s %s %s\n", method, path, status, word);
        missing++;
    }
    return missing;
}

static size_t missing_of_operation(const char *method, const char *path, const json_t *operation)
{
    const char *status;
    json_t *response;
    size_t missing = 0;

    json_object_foreach(json_object_get(operation, "responses"), status, response) missing +=
        missing_of(method, path, status, schema_follow(contract_document(), response));
    return missing;
}

static void everything_declared_was_seen(void **state)
{
    const char *path, *method;
    json_t *operations, *operation;
    size_t missing = 0;

    (void)state;
    json_object_foreach(json_object_get(contract_document(), "paths"), path, operations)
    {
        json_object_foreach(operations, method, operation) missing +=
            missing_of_operation(method, path, operation);
    }
    if (missing)
        fail_msg("%zu declared outcomes were never seen", missing);
}

static void what_has_no_route_was_seen(void **state)
{
    (void)state;
    assert_true(was_seen("-", "-", "404", "not_found"));
    assert_true(was_seen("-", "-", "405", "method_not_allowed"));
}

static bool ends_with(const char *line, const char *word)
{
    const char *const last = strrchr(line, ' ');

    return last && strcmp(last + 1, word) == 0;
}

static void failures_of_the_machine_were_seen_somewhere(void **state)
{
    size_t missing = 0;

    (void)state;
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++) {
        bool found = false;
        const char *line;
        json_t *one;
        json_object_foreach(seen, line, one) found |= ends_with(line, anywhere[i]);
        if (!found)
            print_error("never seen: %s\n", anywhere[i]);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_program_has_run),
        cmocka_unit_test(everything_declared_was_seen),
        cmocka_unit_test(what_has_no_route_was_seen),
        cmocka_unit_test(failures_of_the_machine_were_seen_somewhere),
    };

    (void)argc;
    programs = argv + 1;
    seen = json_object();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(seen);
    return failed;
}
