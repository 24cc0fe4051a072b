/* config.h -- every setting of the program: one table, read from the file, the environment and the
 * flags
 *
 * A row makes a flag (--log-level), a variable (DESCENT_LOG_LEVEL) and a line of a file (log-level
 * = debug); a flag wins over the environment, and that over the file. A command takes the rows it
 * names; a file may hold any row that has a variable, so that one file serves every command.
 *
 * A file has one `name = value` on a line; blank lines and what follows a '#' at the beginning of a
 * line or after a space are ignored. What --print-config prints is such a file. (JSON was the other
 * choice: it takes no comments, and settings are a flat list.)
 *
 * Everything here happens before the first thread starts. */
#ifndef CONFIG_H
#define CONFIG_H

#include "core/descent.h"
#include "log.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct address {
    char host[64]; /* numeric: "127.0.0.1", "::1" */
    uint16_t port;
    bool loopback;
};

enum option_kind {
    OPTION_FLAG,    /* bool: the flag alone, or true or false                       */
    OPTION_TEXT,    /* const char *; NULL when there is no default                  */
    OPTION_WHOLE,   /* int64_t in [min, max]                                        */
    OPTION_WORD,    /* int, an index into words                                     */
    OPTION_ADDRESS, /* struct address                                               */
    OPTION_SECRET,  /* const char *: NAME from the environment or the file, or the
                       contents of the file that NAME_FILE, --name-file or the line
                       name-file names; never a flag, which other users could see   */
};

struct option {
    const char *name; /* "log-level" */
    enum option_kind kind;
    size_t offset;        /* in struct config */
    const char *value;    /* what stands for the value in --help: "DIR" */
    const char *fallback; /* the default, as it would be written; NULL: none */
    int64_t min, max;
    const char *const *words; /* NULL-terminated */
    bool once;                /* belongs to one call: no variable, no line in a file */
    const char *doc;
};

extern const struct option config_options[]; /* the last row has name == NULL */
#define CONFIG_OPTIONS_MAX 32

enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct config {
    struct address listen;
    const char *data, *data_dir, *kernel, *api_key;
    bool require_keys, insecure_no_keys;
    int log_level; /* enum log_level */
    int64_t threads, jobs, memory_mb;

    const char *out; /* descent train */
    bool table;      /* descent eval */
    bool dry_run;    /* descent migrate */
    const char *svg; /* descent plot */
    const char *url; /* descent health */
    int64_t timeout_seconds;
    const char *name, *scopes, *expires_at; /* descent key create */

    const char *argument; /* the command's one argument, or NULL */
    bool print;           /* --print-config was there            */
    enum config_source source[CONFIG_OPTIONS_MAX];
    dsc_arena arena; /* texts that came from files */
};

/* Read what `names` (NULL-terminated names of rows) say about a command: defaults, then the file,
 * the environment, argv. `argument` names the one argument it takes, or is NULL. Wrong usage is
 * FAULT_INVALID_VALUE with where = "--listen", "DESCENT_LISTEN" or "FILE:3"; a file that cannot be
 * read is FAULT_INTERNAL. Release in both cases. */
bool config_read(struct config *config, const char *const *names, const char *argument, int argc,
                 char **argv, dsc_err *err) DSC_MUST_CHECK;
void config_release(struct config *config);

/* The settings in force and where each comes from, as a file; secrets are not shown. */
void config_print(const struct config *config, const char *const *names, FILE *out);

/* The options of --help, each with its default and its variable. */
void config_help(const char *const *names, FILE *out);

/* Log a warning for each DESCENT_* variable that looks like a misspelt one of ours. Others are let
 * be: Kubernetes sets DESCENT_PORT and its kin where a service is called descent. */
void config_warn(void);

/* Is `name` among the NULL-terminated names? */
bool config_named(const char *const *names, const char *name);

/* The row's variable: "DESCENT_LOG_LEVEL". */
void config_variable(const struct option *option, char out[64]);

#endif
