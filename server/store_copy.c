/* store_copy.c -- a copy of two databases that change
 *
 * What a server does may be two transactions, one in each database, and it is made so that a crash
 * between them loses nothing. So a copy should be what a crash at one moment would have left: both
 * databases at the same moment. With the small one locked against writers, a read transaction is
 * begun in the bulk one and then in the small one; nothing has happened to the small one meanwhile,
 * so the moment is that of the bulk one. Then the lock goes, after some microseconds, and the copy
 * is made page by page of what the two transactions see, however long that takes.
 *
 * (VACUUM INTO, of one after the other, was tried: a session that is forked in between would be in
 * the copy without its state.)
 *
 * The small database gets its name last, so that a copy is whole when it has one.
 *
 * Held to account by tests/http/test_care.c. */
#include "store_copy.h"
#include "fault.h"
#include "store.h"
#include "store_sql.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* Every name that a copy has on its way. */
enum { MADE = 5 };
static const char *const made[MADE] = {"descent.db", "bulk.db", "bulk.db-journal",
                                       "descent.db.part", "descent.db.part-journal"};

/* --- the file system --- */

static bool to_disk(const char *path, dsc_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && fsync(fd) == 0;
    const int failure = errno;

    if (fd >= 0)
        close(fd);
    return ok || dsc_fail(err, FAULT_INTERNAL, path, "cannot be written: %s", strerror(failure));
}

static bool exists(const char *dir, const char *file)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    return access(path, F_OK) == 0;
}

static bool both_there(const char *dir, dsc_err *err)
{
    for (size_t i = 0; i < 2; i++)
        if (!exists(dir, made[i]))
            return dsc_fail(err, FAULT_NOT_FOUND, dir, "has no %s", made[i]);
    return true;
}

/* Also of a copy that was cut off: what is there is the operator's to remove. */
static bool none_there(const char *dir, dsc_err *err)
{
    for (size_t i = 0; i < MADE; i++)
        if (exists(dir, made[i]))
            return dsc_fail(err, FAULT_ALREADY_EXISTS, dir, "has a %s already", made[i]);
    return true;
}

static void remove_made(const char *dir)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < MADE; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, made[i]);
        unlink(path);
    }
}

/* --- the databases --- */

enum { STEP_PAGES = 256 };

/* Everything that is open while a copy is made; members are NULL when they are not. */
struct copy {
    const char *from, *to;
    sqlite3 *lock, *bulk, *small;
};

static bool look(sqlite3 **out, const char *dir, const char *file, const char *begin, dsc_err *err)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    return store_sql_look(out, path, err) && store_sql_run(*out, begin, err);
}

/* A transaction sees the database as it is when it first reads. */
static bool take_moment(struct copy *copy, dsc_err *err)
{
    static const char read[] = "BEGIN; SELECT count(*) FROM sqlite_schema";
    const bool ok = look(&copy->lock, copy->from, "descent.db", "BEGIN IMMEDIATE", err) &&
                    look(&copy->bulk, copy->from, "bulk.db", read, err) &&
                    look(&copy->small, copy->from, "descent.db", read, err);

    sqlite3_close(copy->lock);
    copy->lock = NULL;
    return ok;
}

static bool copy_pages(sqlite3 *target, sqlite3 *source)
{
    sqlite3_backup *const backup = sqlite3_backup_init(target, "main", source, "main");
    int rc = SQLITE_OK;

    while (backup && rc == SQLITE_OK)
        rc = sqlite3_backup_step(backup, STEP_PAGES);
    return backup && sqlite3_backup_finish(backup) == SQLITE_OK && rc == SQLITE_DONE;
}

static bool copy_one(sqlite3 *source, const char *to, const char *name, dsc_err *err)
{
    char path[PATH_BYTES];
    sqlite3 *target = NULL;

    snprintf(path, sizeof path, "%s/%s", to, name);
    const bool ok = sqlite3_open_v2(path, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                    NULL) == SQLITE_OK &&
                    copy_pages(target, source);
    if (!ok)
        store_sql_fail(target, err);
    sqlite3_close(target);
    return ok;
}

/* Both on the disk, then the small one's name. */
static bool finish(const char *to, dsc_err *err)
{
    char bulk[PATH_BYTES], part[PATH_BYTES], small[PATH_BYTES];

    snprintf(bulk, sizeof bulk, "%s/bulk.db", to);
    snprintf(part, sizeof part, "%s/descent.db.part", to);
    snprintf(small, sizeof small, "%s/descent.db", to);
    return to_disk(bulk, err) && to_disk(part, err) &&
           (rename(part, small) == 0 ||
            dsc_fail(err, FAULT_INTERNAL, small, "cannot be written: %s", strerror(errno))) &&
           to_disk(to, err);
}

bool store_copy(const char *from, const char *to, dsc_err *err)
{
    struct copy copy = {.from = from, .to = to};

    if (!both_there(from, err) || !store_make_dir(to, err) || !none_there(to, err))
        return false;
    const bool ok = take_moment(&copy, err) && copy_one(copy.bulk, to, "bulk.db", err) &&
                    copy_one(copy.small, to, "descent.db.part", err) && finish(to, err);
    sqlite3_close(copy.bulk);
    sqlite3_close(copy.small);
    if (!ok)
        remove_made(to);
    return ok;
}
