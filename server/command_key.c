/* command_key.c -- `descent key create`: the first key of a server, and any other
 *
 * Writes the small database only, as one more connection of SQLite: a server that runs on it sees
 * the key at its first use. */
#include "clock.h"
#include "command.h"
#include "fault.h"
#include "key.h"
#include "limits.h"
#include <string.h>
#include <sys/stat.h>

struct wanted {
    const char *name;
    scope_set scopes;
    int64_t expires_at;
};

static bool read_wanted(struct wanted *out, const struct config *config, dsc_err *err)
{
    out->name = config->name;
    out->expires_at = 0;
    if (!config->name || !config->scopes)
        return dsc_fail(err, FAULT_INVALID_VALUE, config->name ? "--scopes" : "--name",
                        "is missing");
    if (strlen(config->name) < 1 || strlen(config->name) > LIMIT_LABEL_BYTES)
        return dsc_fail(err, FAULT_INVALID_VALUE, "--name", "must have 1 to %d bytes",
                        LIMIT_LABEL_BYTES);
    if (config->expires_at &&
        (!clock_parse(config->expires_at, &out->expires_at) || out->expires_at <= clock_ms()))
        return dsc_fail(err, FAULT_INVALID_VALUE, "--expires-at",
                        "must be a time to come such as 2030-01-31T12:00:00Z, not \"%.40s\"",
                        config->expires_at);
    return scope_parse(&out->scopes, config->scopes, "--scopes", err);
}

static int create(const struct config *config)
{
    struct store *store = NULL;
    struct wanted wanted;
    struct key_text key;
    dsc_err err = {0};

    if (!read_wanted(&wanted, config, &err))
        return command_misused(&command_key_create, &err);
    umask(0077); /* what is in the database is nobody else's */
    bool ok = store_make_dir(config->data, &err) && store_open(&store, config->data, &err) &&
              key_create(store, wanted.name, wanted.scopes, wanted.expires_at, &key, &err);
    store_close(store);
    if (!ok)
        return command_failed(&err);
    puts(key.text);
    return 0;
}

const struct command command_key_create = {
    .name = "key create",
    .summary = "make an API key and print it",
    .options = (const char *const[]) {"data", "name", "scopes", "expires-at", NULL},
    .about = "Makes a key and prints it on stdout. It is not kept and cannot be shown again.\n"
             "A server may be running on the same folder, and takes the key at once. Run this\n"
             "as the user that the server runs as, who must own the files.\n",
    .examples = "  descent key create --data .descent --name laptop \\\n"
                "    --scopes optimizers:read,sessions:read,sessions:write\n"
                "  descent key create --name admin --scopes all\n"
                "  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8080/v1\n",
    .run = create,
};
