/* test_contract.c -- the judge of replies: what it lets pass, and everything that it must not */
#include "tests/support/contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ID      "X-Request-Id: r1\r\n"
#define JSON    "Content-Type: application/json\r\n"
#define PROBLEM "Content-Type: application/problem+json\r\n"
#define OK      "{\"status\":\"ok\"}"

#define REFUSED(status, code)                                                                      \
    "{\"type\":\"urn:descent:error:" code                                                          \
    "\",\"title\":\"T\",\"detail\":\"d\",\"instance\":\"/\","                                      \
    "\"status\":" status ",\"code\":\"" code "\",\"request_id\":\"r1\",\"retryable\":false}"

static const struct {
    const char *method, *target, *head, *body;
    const char *why; /* a part of the sentence; NULL: it passes */
} row[] = {
    {"GET", "/livez", "200 OK\r\n" ID JSON, OK, NULL},
    {"GET", "/livez?x=1", "200 OK\r\n" ID JSON "Date: now\r\nContent-Length: 15\r\n", OK, NULL},
    {"HEAD", "/livez", "200 OK\r\n" ID JSON, "", NULL},
    {"GET", "/livez", "201 Created\r\n" ID JSON, OK, "status 201 is not declared"},
    {"GET", "/livez", "200 OK\r\n" JSON, OK, "X-Request-Id is missing"},
    {"GET", "/livez", "200 OK\r\n" ID JSON "X-More: 1\r\n", OK, "X-More is not described"},
    {"GET", "/livez", "200 OK\r\n" ID, OK, "media type \"\""},
    {"GET", "/livez", "200 OK\r\n" ID "Content-Type: text/html\r\n", OK, "text/html"},
    {"GET", "/livez", "200 OK\r\n" ID JSON, "{\"status\":1}", "status: is no string"},
    {"GET", "/livez", "200 OK\r\n" ID JSON, "{\"status\":\"ok\",\"a\":1}", "a that is not"},
    {"GET", "/livez", "200 OK\r\n" ID JSON, "{}", "lacks status"},
    {"GET", "/livez", "200 OK\r\n" ID JSON, "{\"status\":\"ok\",\"status\":\"ok\"}", "no JSON"},
    {"GET", "/livez", "200 OK\r\n" ID JSON, "", "no JSON"},

    {"DELETE", "/v1/optimizers/a", "204 No Content\r\n" ID, "", NULL},
    {"DELETE", "/v1/optimizers/a", "204 No Content\r\n" ID, "x", "there is a body"},
    {"GET", "/v1/optimizers/a", "404 Not Found\r\n" ID PROBLEM, REFUSED("404", "not_found"), NULL},
    {"GET", "/v1/optimizers/a", "404 Not Found\r\n" ID PROBLEM, REFUSED("404", "in_use"), "code"},
    {"GET", "/v1/optimizers/a", "404 Not Found\r\n" ID PROBLEM, REFUSED("405", "not_found"),
     "the document says 405"},
    {"GET", "/v1/optimizers/a", "404 Not Found\r\nX-Request-Id: r2\r\n" PROBLEM,
     REFUSED("404", "not_found"), "of request r1"},
    {"GET", "/v1/optimizers/a", "503 No\r\n" ID PROBLEM, REFUSED("503", "overloaded"),
     "Retry-After is missing"},
    {"GET", "/v1/optimizers/a", "503 No\r\n" ID PROBLEM "Retry-After: soon\r\n",
     REFUSED("503", "overloaded"), "Retry-After: is no integer"},
    {"GET", "/v1/optimizers/a", "503 No\r\n" ID PROBLEM "Retry-After: 1\r\n",
     REFUSED("503", "overloaded"), NULL},

    {"GET", "/nowhere", "404 Not Found\r\n" ID PROBLEM, REFUSED("404", "not_found"), NULL},
    {"GET", "/nowhere", "200 OK\r\n" ID JSON, OK, "not declared"},
    {"BREW", "/livez", "405 No\r\n" ID PROBLEM "Allow: GET, HEAD\r\n",
     REFUSED("405", "method_not_allowed"), NULL},
    {"BREW", "/livez", "405 No\r\n" ID PROBLEM, REFUSED("405", "method_not_allowed"),
     "Allow is missing"},
    {"BREW", "/livez", "200 OK\r\n" ID JSON, OK, "not declared"},

    {"POST", "/v1/sessions/s/update",
     "200 OK\r\n" ID "Content-Type: application/octet-stream\r\nDescent-Step: 1\r\n"
     "Descent-Replayed: false\r\nServer-Timing: q\r\nDescent-Dtype: F16\r\n",
     "\x01\x02", NULL},
    {"POST", "/v1/sessions/s/update",
     "200 OK\r\n" ID "Content-Type: application/octet-stream\r\nDescent-Step: 1\r\n"
     "Descent-Replayed: no\r\nServer-Timing: q\r\nDescent-Dtype: F16\r\n",
     "\x01\x02", "Descent-Replayed"},
    {"POST", "/v1/sessions/s/update",
     "200 OK\r\n" ID "Content-Type: application/octet-stream\r\nDescent-Step: 0\r\n"
     "Descent-Replayed: true\r\nServer-Timing: q\r\nDescent-Dtype: F16\r\n",
     "\x01\x02", "Descent-Step: is below 1"},
    {"POST", "/v1/sessions/s/update",
     "200 OK\r\n" ID "Content-Type: application/octet-stream\r\nDescent-Step: 1\r\n"
     "Descent-Replayed: true\r\nServer-Timing: q\r\nDescent-Dtype: F64\r\n",
     "\x01\x02", "Descent-Dtype"},
};

static void replies_are_judged(void **state)
{
    char head[1024], why[CONTRACT_WHY_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\n", row[i].head);
        const bool ok = contract_allows(row[i].method, row[i].target, head, row[i].body,
                                        strlen(row[i].body), why);
        if (ok != (row[i].why == NULL))
            fail_msg("%s %s, %zu: %s", row[i].method, row[i].target, i, ok ? "passes" : why);
        if (!ok && !strstr(why, row[i].why))
            fail_msg("%s %s, %zu: \"%s\"", row[i].method, row[i].target, i, why);
    }
    assert_false(contract_allows("GET", "/livez", "SPDY/3 200\r\n\r\n", "", 0, why));
}

static void paths_find_their_templates(void **state)
{
    (void)state;
    assert_string_equal(contract_path("/v1/sessions/abc/update?x=/y"), "/v1/sessions/{id}/update");
    assert_string_equal(contract_path("/v1/sessions"), "/v1/sessions");
    assert_null(contract_path("/v1/sessions/"));
    assert_null(contract_path("/v1/sessions/a/b/c"));
    assert_null(contract_path("/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_judged),
        cmocka_unit_test(paths_find_their_templates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
