/* test_storage.c -- a disk that is full: what clients are told, and that nothing is lost
 *
 * The whole API in this process (tests/support/direct.h) over SQLite's own files, whose writes fail
 * on demand as they do when the kernel says ENOSPC. */
#include "tests/support/contract.h"
#include "tests/support/direct.h"
#include "server/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <cmocka.h>

/* --- a disk that can be full --- */

/* SQLite has one table of methods for databases, which are locked, and one for the files beside
 * them. Each file gets a copy of its table with another write. */
enum { BESIDE, DATABASE, TABLES };

/* Reached from SQLite's callbacks, which have no pointer of ours. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    sqlite3_io_methods methods[TABLES];
    const sqlite3_io_methods *under[TABLES];
    _Atomic bool full;
} disk;

static int write_beside(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    return disk.full ? SQLITE_FULL : disk.under[BESIDE]->xWrite(file, bytes, len, at);
}

static int write_database(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    return disk.full ? SQLITE_FULL : disk.under[DATABASE]->xWrite(file, bytes, len, at);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    const int table = flags & SQLITE_OPEN_MAIN_DB ? DATABASE : BESIDE;
    const int rc = disk.real->xOpen(disk.real, name, file, flags, out);

    (void)vfs;
    if (rc != SQLITE_OK)
        return rc;
    if (!disk.under[table]) {
        disk.methods[table] = *file->pMethods;
        disk.methods[table].xWrite = table == DATABASE ? write_database : write_beside;
        disk.under[table] = file->pMethods;
    }
    assert_ptr_equal(file->pMethods, disk.under[table]);
    file->pMethods = &disk.methods[table];
    return SQLITE_OK;
}

static void install_disk(void)
{
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.zName = "disk";
    disk.vfs.pNext = NULL;
    disk.vfs.xOpen = open_file;
    sqlite3_vfs_register(&disk.vfs, 1);
}

/* --- requests --- */

static struct direct server;

static int start(void **state)
{
    dsc_err err = {0};

    (void)state;
    log_set_level(LOG_ERROR + 1);
    install_disk();
    return direct_open(&server, &err) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    direct_close(&server);
    return 0;
}

static void check(const struct direct_request *asked, const struct reply *reply)
{
    char head[4096];
    size_t len = (size_t)snprintf(head, sizeof head, "HTTP/1.1 %d\r\nX-Request-Id: direct\r\n",
                                  reply->status);

    if (reply->content_type)
        len += (size_t)snprintf(head + len, sizeof head - len, "Content-Type: %s\r\n",
                                reply->content_type);
    for (int i = 0; i < reply->headers; i++)
        len += (size_t)snprintf(head + len, sizeof head - len, "%s: %s\r\n", reply->header[i].name,
                                reply->header[i].value);
    snprintf(head + len, sizeof head - len, "\r\n");
    contract_check(asked->method, asked->path, head, reply->body ? reply->body->data : NULL,
                   reply->body ? reply->body->len : 0);
}

/* The reply must have the status; its body as JSON, the caller's, or NULL. */
static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    static const struct direct_pair json = {"Content-Type", "application/json"};
    const struct direct_request asked = {.method = method,
                                         .path = path,
                                         .header = &json,
                                         .headers = body != NULL,
                                         .body = body,
                                         .body_len = body ? strlen(body) : 0};
    struct reply reply;

    direct_ask(&server, &asked, &reply);
    check(&asked, &reply);
    if (reply.status != status)
        fail_msg("%s %s: %d, not %d: %.*s", method, path, reply.status, status,
                 reply.body ? (int)reply.body->len : 0,
                 reply.body ? (const char *)reply.body->data : "");
    json_t *const value =
        reply.body ? json_loadb((const char *)reply.body->data, reply.body->len, 0, NULL) : NULL;
    buf_drop(reply.body);
    return value;
}

static void refuse(const char *method, const char *path, const char *body)
{
    json_t *const problem = ask(method, path, body, 507);

    assert_string_equal(json_string_value(json_object_get(problem, "code")), "storage_full");
    json_decref(problem);
}

/* --- the tests --- */

static void new_session(char path[128])
{
    json_t *const made =
        ask("POST", "/v1/sessions", "{\"optimizer\":\"adam\",\"coordinates\":2}", 201);

    snprintf(path, 128, "/v1/sessions/%s", json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

static void nothing_is_half_created(void **state)
{
    char path[128];

    (void)state;
    new_session(path);
    disk.full = true;
    refuse("POST", "/v1/optimizers", "{\"name\":\"late\",\"family\":\"sgd\"}");
    refuse("POST", "/v1/sessions", "{\"optimizer\":\"adam\",\"coordinates\":2}");
    refuse("POST", "/v1/keys", "{\"name\":\"late\",\"scopes\":[\"jobs:read\"]}");
    refuse("DELETE", path, NULL);
    json_decref(ask("GET", path, NULL, 200)); /* reading goes on */
    disk.full = false;
    json_decref(ask("GET", "/v1/optimizers/late", NULL, 404));
    json_t *const keys = ask("GET", "/v1/keys", NULL, 200);
    assert_int_equal(json_array_size(json_object_get(keys, "items")), 0);
    json_decref(keys);
    json_decref(ask("POST", "/v1/optimizers", "{\"name\":\"late\",\"family\":\"sgd\"}", 201));
}

/* A balancer sends its requests elsewhere meanwhile. */
static void readiness_is_that_of_the_disk(void **state)
{
    (void)state;
    disk.full = true;
    refuse("GET", "/readyz", NULL);
    refuse("GET", "/readyz", NULL);
    json_decref(ask("GET", "/livez", NULL, 200));
    disk.full = false;
    json_decref(ask("GET", "/readyz", NULL, 200));
}

/* An update that could not be kept was not made: the same step later has the answer that it would
 * have had. */
static void an_update_is_made_when_it_is_kept(void **state)
{
    static const char first[] = "{\"gradient\":[1,-2],\"step\":0}";
    static const char second[] = "{\"gradient\":[3,0.5],\"step\":1}";
    char path[128], update[160], twin[128], twins[160];

    (void)state;
    new_session(path);
    new_session(twin);
    snprintf(update, sizeof update, "%s/update", path);
    snprintf(twins, sizeof twins, "%s/update", twin);
    json_decref(ask("POST", update, first, 200));
    json_decref(ask("POST", twins, first, 200));
    disk.full = true;
    refuse("POST", update, second);
    refuse("POST", update, second);
    disk.full = false;
    json_t *const mine = ask("POST", update, second, 200);
    json_t *const other = ask("POST", twins, second, 200);
    assert_true(json_equal(mine, other));
    json_decref(mine);
    json_decref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_half_created),
        cmocka_unit_test(readiness_is_that_of_the_disk),
        cmocka_unit_test(an_update_is_made_when_it_is_kept),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
