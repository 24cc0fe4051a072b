/* main.c -- the program: its commands */
#include "command.h"
#include "routes.h"
#include <stdio.h>

static int version(const struct config *config)
{
    (void)config;
    printf("descent %s\n", DESCENT_VERSION);
    return 0;
}

const struct command command_version = {
    .name = "version",
    .summary = "print the version",
    .options = (const char *const[]) {NULL},
    .about = "Prints the version of this program.\n",
    .run = version,
};

int main(int argc, char **argv)
{
    static const struct command *const commands[] = {
        &command_serve,
        &command_train,
        &command_eval,
        &command_plot,
        &command_health,
        &command_key_create,
        &command_backup,
        &command_restore,
        &command_check,
        &command_migrate,
        &command_openapi,
        &command_version,
        NULL,
    };

    dsc_mat_begin(); /* before anything blocks signals or starts a thread */
    return command_main(commands, argc, argv);
}
