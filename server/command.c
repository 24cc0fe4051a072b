#include "command.h"
#include "fault.h"
#include "suggest.h"
#include <errno.h>
#include <string.h>

static const char statuses[] =
    "\nExit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.\n";

static void print_failure(const dsc_err *err)
{
    fprintf(stderr, "descent: %s%s%s", err->where, err->where[0] ? ": " : "", err->text);
}

int command_failed(const dsc_err *err)
{
    print_failure(err);
    fputc('\n', stderr);
    return 1;
}

int command_misused(const struct command *command, const dsc_err *err)
{
    print_failure(err);
    fprintf(stderr, " (see descent %s%s--help)\n", command ? command->name : "",
            command ? " " : "");
    return 2;
}

/* --- help --- */

static int help_all(const struct command *const *commands)
{
    puts("descent -- a server of learned optimizers\n\nCommands:");
    for (; *commands; commands++)
        printf("  %-12s %s\n", (*commands)->name, (*commands)->summary);
    puts("\n`descent COMMAND --help` tells the rest.");
    fputs(statuses, stdout);
    return 0;
}

static int help_one(const struct command *command)
{
    const char *argument = command->argument ? command->argument : "";

    printf("usage: descent %s%s%s%s\n\n%s", command->name,
           command->options[0] ? " [OPTION]..." : "", argument[0] ? " " : "", argument,
           command->about);
    if (command->options[0]) {
        fputs("\nOptions:\n", stdout);
        config_help(command->options, stdout);
    }
    if (command->examples)
        printf("\nExamples:\n%s", command->examples);
    fputs(statuses, stdout);
    return 0;
}

/* --- which one --- */

/* How many words of argv the name takes: 0 when they are others. */
static int words_matched(const char *name, int argc, char **argv)
{
    int words = 0;

    while (words < argc) {
        size_t len = strcspn(name, " ");
        if (strlen(argv[words]) != len || strncmp(argv[words], name, len) != 0)
            return 0;
        words++;
        if (!name[len])
            return words;
        name += len + 1;
    }
    return 0;
}

static int no_command(const struct command *const *commands, int argc, char **argv)
{
    const char *names[32];
    char given[64];
    size_t count = 0;
    dsc_err err = {0};

    while (count < 32 && commands[count]) {
        names[count] = commands[count]->name;
        count++;
    }
    if (argc < 1) {
        dsc_fail(&err, FAULT_INVALID_VALUE, "", "a command is missing");
        return command_misused(NULL, &err);
    }
    snprintf(given, sizeof given, argc > 1 && argv[1][0] != '-' ? "%.30s %.30s" : "%.30s", argv[0],
             argc > 1 ? argv[1] : "");
    const char *near = suggest(given, names, count, sizeof *names);
    if (!near)
        near = suggest(argv[0], names, count, sizeof *names);
    for (size_t i = 0; i < count && !near; i++) /* "key" alone, or with a word that it has not */
        if (strncmp(names[i], argv[0], strlen(argv[0])) == 0 && names[i][strlen(argv[0])] == ' ')
            near = names[i];
    dsc_fail(&err, FAULT_INVALID_VALUE, "", "there is no command \"%s\"%s%s%s", given,
             near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return command_misused(NULL, &err);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct config config;
    dsc_err err = {0};
    int status;

    if (!config_read(&config, command->options, command->argument, argc, argv, &err)) {
        status =
            err.code == FAULT_INVALID_VALUE ? command_misused(command, &err) : command_failed(&err);
    } else if (config.print) {
        config_print(&config, command->options, stdout);
        status = 0;
    } else {
        log_set_level(LOG_NOTHING); /* a server says itself what it logs; others fail in one line */
        status = command->run(&config);
    }
    config_release(&config);
    return status;
}

static int dispatch(const struct command *const *commands, int argc, char **argv)
{
    for (size_t i = 0; commands[i]; i++) {
        int words = words_matched(commands[i]->name, argc, argv);
        if (words > 0 && asks_for_help(argc - words, argv + words))
            return help_one(commands[i]);
        if (words > 0)
            return run(commands[i], argc - words, argv + words);
    }
    if (argc > 0 && asks_for_help(1, argv))
        return help_all(commands);
    return no_command(commands, argc, argv);
}

int command_main(const struct command *const *commands, int argc, char **argv)
{
    dsc_err err = {0};
    int status = dispatch(commands, argc - 1, argv + 1);

    if (status != 0 || fflush(stdout) == 0)
        return status;
    dsc_fail(&err, FAULT_INTERNAL, "stdout", "cannot write: %s", strerror(errno));
    return command_failed(&err);
}
