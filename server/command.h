/* command.h -- the program's commands as rows: what each is for, which settings it takes, its
 * --help
 *
 * A command lives in command_<name>.c; main.c lists them. Exit statuses are the same everywhere: 0
 * success, 1 failure with one line on stderr, 2 wrong usage. */
#ifndef COMMAND_H
#define COMMAND_H

#include "config.h"

struct command {
    const char *name;                        /* "serve", "key create" */
    const char *summary;                     /* one line for `descent --help` */
    const char *argument;                    /* "SPEC.json"; NULL when it takes none */
    const char *const *options;              /* NULL-terminated names of rows of config_options */
    const char *about;                       /* what it does, in lines of at most 79 columns */
    const char *examples;                    /* lines to copy */
    int (*run)(const struct config *config); /* returns the exit status */
};

extern const struct command command_serve, command_health, command_key_create, command_train,
    command_eval, command_plot, command_backup, command_restore, command_check, command_migrate,
    command_openapi, command_version;

/* Find the command in argv, read its settings, run it or print its --help. Returns the exit status.
 * `commands` is NULL-terminated. */
int command_main(const struct command *const *commands, int argc, char **argv);

/* One line on stderr about a failure; returns 1. */
int command_failed(const dsc_err *err);

/* The same, ending with where to find help; returns 2. */
int command_misused(const struct command *command, const dsc_err *err);

#endif
