/* command_care.c -- the commands that look after a data directory: backup, restore, check, migrate
 */
#include "command.h"
#include "fault.h"
#include "store_check.h"
#include "store_copy.h"
#include "store_journal.h"
#include <sys/stat.h>
#include <unistd.h>

/* --- backup and restore: the same copy, out and back --- */

static int backup(const struct config *config)
{
    dsc_err err = {0};

    umask(0077); /* what is in the databases is nobody else's */
    return store_copy(config->data, config->argument, &err) ? 0 : command_failed(&err);
}

const struct command command_backup = {
    .name = "backup",
    .summary = "copy a data folder, also while a server uses it",
    .argument = "FOLDER",
    .options = (const char *const[]) {"data", NULL},
    .about = "Copies the databases to FOLDER, which is made and must not hold any. A server\n"
             "may go on working meanwhile. The copy is whole when FOLDER/descent.db is there,\n"
             "and is a data folder itself. Everything is in it as it was at one moment; a\n"
             "client that is ahead of it then gets step_gap with the step to go on from.\n"
             "Sessions of durability `memory` are not in it, nor are uploaded datasets. Run\n"
             "this as the user that the server runs as.\n",
    .examples = "  descent backup --data /var/lib/descent /mnt/backup/$(date +%F)\n"
                "  descent check --data /mnt/backup/2030-01-31\n",
    .run = backup,
};

/* Nothing damaged is put in the place of nothing. */
static int restore(const struct config *config)
{
    size_t faults = 0;
    dsc_err err = {0};
    int lock = -1;

    umask(0077);
    bool ok = store_check(config->argument, stdout, &faults, &err);
    if (ok && faults > 0)
        ok = dsc_fail(&err, FAULT_INTERNAL, config->argument, "is damaged; nothing was restored");
    ok = ok && store_lock_dir(config->data, &lock, &err) &&
         store_copy(config->argument, config->data, &err);
    if (lock >= 0)
        close(lock);
    return ok ? 0 : command_failed(&err);
}

const struct command command_restore = {
    .name = "restore",
    .summary = "make a data folder from a backup",
    .argument = "FOLDER",
    .options = (const char *const[]) {"data", NULL},
    .about = "Checks the backup in FOLDER and copies it to the folder of --data, which must\n"
             "not hold databases: move those that are there away first. The server that\n"
             "starts there goes on from the moment of the backup.\n",
    .examples = "  systemctl stop descent; mv /var/lib/descent /var/lib/descent.old\n"
                "  descent restore --data /var/lib/descent /mnt/backup/2030-01-31\n",
    .run = restore,
};

/* --- check --- */

static int check(const struct config *config)
{
    size_t faults = 0;
    dsc_err err = {0};

    if (!store_check(config->data, stdout, &faults, &err))
        return command_failed(&err);
    if (faults == 0) {
        puts("sound");
        return 0;
    }
    dsc_fail(&err, FAULT_INTERNAL, config->data, "%zu things are wrong", faults);
    return command_failed(&err);
}

const struct command command_check = {
    .name = "check",
    .summary = "is a data folder or a backup sound?",
    .options = (const char *const[]) {"data", NULL},
    .about = "Reads everything in both databases: their structure, their references, weights\n"
             "against their hashes, gradients and chunks of every session. Prints a line for\n"
             "each thing that is wrong, and `sound` when nothing is. Changes nothing; a\n"
             "server may go on working meanwhile.\n",
    .examples = "  descent check --data /var/lib/descent\n",
    .run = check,
};

/* --- migrate --- */

/* Opening a database applies what is missing. */
static bool apply(const char *dir, dsc_err *err)
{
    struct store *store = NULL;
    struct journal *journal = NULL;
    const bool ok = store_open(&store, dir, err) && journal_open(&journal, dir, NULL, err);

    journal_close(journal);
    store_close(store);
    return ok;
}

static int migrate(const struct config *config)
{
    size_t pending = 0;
    dsc_err err = {0};
    int lock = -1;

    umask(0077);
    const bool ok = store_lock_dir(config->data, &lock, &err) &&
                    store_check_migrations(config->data, config->dry_run, stdout, &pending, &err) &&
                    (config->dry_run || pending == 0 || apply(config->data, &err));
    if (lock >= 0)
        close(lock);
    if (!ok)
        return command_failed(&err);
    puts(pending == 0      ? "nothing to do"
         : config->dry_run ? "they can be applied; nothing was changed"
                           : "applied");
    return 0;
}

const struct command command_migrate = {
    .name = "migrate",
    .summary = "bring a data folder's databases up to date",
    .options = (const char *const[]) {"data", "dry-run", NULL},
    .about = "A server does this by itself when it starts; here it can be done before, or\n"
             "only tried. An older program refuses the databases afterwards: make a backup\n"
             "first. No server may be running on the folder.\n",
    .examples = "  descent migrate --data /var/lib/descent --dry-run\n",
    .run = migrate,
};
