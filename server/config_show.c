/* config_show.c -- the table of settings for people: --help, --print-config, misspelt variables */
#include "config.h"
#include "suggest.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *show_value(const struct config *config, const struct option *row, char out[96])
{
    const void *value = (const char *)config + row->offset;
    const struct address *address = value;

    switch (row->kind) {
    case OPTION_FLAG:
        return *(const bool *)value ? "true" : "false";
    case OPTION_TEXT:
    case OPTION_SECRET:
        return *(const char *const *)value;
    case OPTION_WHOLE:
        snprintf(out, 96, "%" PRId64, *(const int64_t *)value);
        return out;
    case OPTION_WORD:
        return row->words[*(const int *)value];
    case OPTION_ADDRESS:
        snprintf(out, 96, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host,
                 (unsigned)address->port);
        return out;
    }
    return NULL;
}

void config_print(const struct config *config, const char *const *names, FILE *out)
{
    static const char *const from[] = {"default", "file", "environment", "flag"};

    for (const struct option *row = config_options; row->name; row++) {
        char text[96];
        if (row->once || !config_named(names, row->name))
            continue;
        const char *value = show_value(config, row, text);
        const char *source = from[config->source[row - config_options]];
        if (!value)
            fprintf(out, "# %s is not set\n", row->name);
        else if (row->kind == OPTION_SECRET)
            fprintf(out, "# %s is set, and not shown (%s)\n", row->name, source);
        else
            fprintf(out, "%-16s = %-20s # %s\n", row->name, value, source);
    }
}

/* Words of `text` in lines of at most 79 columns, each after six blanks. */
static void print_wrapped(FILE *out, const char *text)
{
    enum { INDENT = 6, COLUMNS = 79 };
    size_t column = 0;

    while (*text) {
        size_t len = strcspn(text, " ");
        if (column == 0 || column + 1 + len > COLUMNS) {
            fprintf(out, "%s%*s%.*s", column ? "\n" : "", INDENT, "", (int)len, text);
            column = INDENT + len;
        } else {
            fprintf(out, " %.*s", (int)len, text);
            column += 1 + len;
        }
        text += len + strspn(text + len, " ");
    }
    fputc('\n', out);
}

static void print_option(const struct option *row, FILE *out)
{
    char name[64], text[256];

    config_variable(row, name);
    if (row->kind == OPTION_SECRET)
        fprintf(out, "\n  --%s-file FILE\n", row->name);
    else
        fprintf(out, "\n  --%s%s%s\n", row->name, row->value ? " " : "",
                row->value ? row->value : "");
    print_wrapped(out, row->doc);
    const char *fallback = row->fallback ? row->fallback : "none";
    if (row->once)
        snprintf(text, sizeof text, "Default: %s.", fallback);
    else if (row->kind == OPTION_SECRET)
        snprintf(text, sizeof text, "Default: %s. Environment: %s, or %s_FILE.", fallback, name,
                 name);
    else
        snprintf(text, sizeof text, "Default: %s. Environment: %s.", fallback, name);
    print_wrapped(out, text);
}

void config_help(const char *const *names, FILE *out)
{
    for (const struct option *row = config_options; row->name; row++)
        if (config_named(names, row->name))
            print_option(row, out);
    fputs("\n  --config FILE\n", out);
    print_wrapped(out, "Settings as lines of name = value, the names as above without the dashes; "
                       "a '#' begins a comment. A flag wins over the environment, and that over "
                       "the file.");
    print_wrapped(out, "Default: none. Environment: DESCENT_CONFIG.");
    fputs("\n  --print-config\n", out);
    print_wrapped(out, "Print the settings in force and where each comes from, in the form of such "
                       "a file, and do nothing else.");
    fputs("\n  --help\n", out);
    print_wrapped(out, "Print this and do nothing else.");
}

void config_warn(void)
{
    char name[CONFIG_OPTIONS_MAX][64];
    const char *known[CONFIG_OPTIONS_MAX];
    size_t count = 0;

    for (const struct option *row = config_options; row->name; row++) {
        if (row->once)
            continue;
        config_variable(row, name[count]);
        known[count] = name[count];
        count++;
    }
    for (char **at = environ; *at; at++) {
        char given[64];
        size_t len = strcspn(*at, "=");
        if (strncmp(*at, "DESCENT_", 8) != 0 || len >= sizeof given)
            continue;
        snprintf(given, sizeof given, "%.*s", (int)len, *at);
        const char *near = suggest(given, known, count, sizeof *known);
        if (near && strcmp(near, given) != 0)
            log_line(LOG_WARN, "config", "%s is set and means nothing; did you mean %s?", given,
                     near);
    }
}
